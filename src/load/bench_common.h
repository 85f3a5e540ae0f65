/* What `bench blk` and `bench net` share: saying what makes no sense, numbers, a processor of its own, Ctrl-C, percentiles. */
#ifndef OUTBOARD_LOAD_BENCH_COMMON_H
#define OUTBOARD_LOAD_BENCH_COMMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"

/* Who speaks, and how. */
struct bench_voice {
	const char *name; /* "bench blk" */
	bool json;
};

struct bench_voice bench_voice_of(const char *name, int argc, char **argv); /* --json may stand anywhere */

/* The command line makes no sense: a sentence on standard error, or with --json an object on standard output. */
__attribute__((format(printf, 2, 3))) void bench_wrong(const struct bench_voice *voice, const char *format, ...);
bool bench_parse_number(const struct bench_voice *voice, const char *name, const char *text, uint64_t min, uint64_t max,
			uint64_t *out);

/* 0, or 2 and a sentence. cpu -1: wherever the scheduler likes. */
int bench_pin(const struct bench_voice *voice, int cpu);

/* The first SIGINT or SIGTERM sets what this returns; the second one kills. */
const volatile int *bench_catch_interrupts(void);

/* A quantile; no record is larger than `max_ticks`, which the upper edge of a bucket may be. */
uint64_t bench_quantile_ns(const struct histogram *h, uint64_t max_ticks, uint32_t part_per_million);

enum { BENCH_CPU_MAX = 1023, BENCH_SECONDS_MAX = 7 * 24 * 3600 };

#endif
