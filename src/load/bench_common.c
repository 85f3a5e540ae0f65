#include "load/bench_common.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static volatile int interrupted;

struct bench_voice bench_voice_of(const char *name, int argc, char **argv)
{
	struct bench_voice voice = {.name = name};

	for (int i = 1; i < argc; i++)
		voice.json |= strcmp(argv[i], "--json") == 0;
	return voice;
}

void bench_wrong(const struct bench_voice *voice, const char *format, ...)
{
	char text[320];
	va_list args;
	json_t *object;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!voice->json) {
		fprintf(stderr, "%s: %s\n", voice->name, text);
		return;
	}
	object = json_pack("{s:{s:s,s:s}}", "error", "code", "usage", "message", text);
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

bool bench_parse_number(const struct bench_voice *voice, const char *name, const char *text, uint64_t min, uint64_t max,
			uint64_t *out)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || v < min || v > max) {
		bench_wrong(voice, "--%s %s: give a number from %llu to %llu", name, text, (unsigned long long)min,
			    (unsigned long long)max);
		return false;
	}
	*out = v;
	return true;
}

int bench_pin(const struct bench_voice *voice, int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return 0;
	fprintf(stderr, "%s: --cpu %d: %s; `nproc` tells how many processors there are\n", voice->name, cpu, strerror(errno));
	return 2;
}

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

const volatile int *bench_catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return &interrupted;
}

uint64_t bench_quantile_ns(const struct histogram *h, uint64_t max_ticks, uint32_t part_per_million)
{
	uint64_t ticks = histogram_quantile(h, part_per_million);

	return clock_tsc_to_ns(ticks < max_ticks ? ticks : max_ticks);
}
