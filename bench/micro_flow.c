/*
 * What the flow table costs, alone on a core: batches of 32 random keys out of all flows, found and (second figure) found and
 * touched as a packet touches its flow; insertion and removal; sweeping; a miss.
 *
 *	micro_flow [flows...]		default: 1024 100000 1000000
 *
 * Printed: cycles (ticks of the invariant counter) a packet, the best of several passes (on a machine that does other things as
 * well, that is the one that was not interrupted) and their median. Key building is outside of what is measured.
 */
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vpc/flow.h"

enum { PASSES = 31, BATCHES = 4096 };

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * bound >> 32);
}

static struct flow_key key_of(uint32_t n)
{
	struct flow_key key = {.zone = n % 32, .protocol = IPPROTO_UDP, .remote_port = htons(53)};

	key.local = net_address_v4(htonl(0x0a000000 + n / 60000));
	key.remote = net_address_v4(htonl(0x0b000000 + n % 251));
	key.local_port = htons((uint16_t)(1024 + n % 60000));
	return key;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *what, double *passes, const char *unit)
{
	qsort(passes, PASSES, sizeof(*passes), compare);
	printf("  %-28s best %7.1f  median %7.1f %s\n", what, passes[0], passes[PASSES / 2], unit);
}

/* What an outbound packet reads and writes of its flow. */
static uint32_t touch(struct flow *f, uint32_t now_ms)
{
	f->seen_ms = now_ms;
	f->counters_out.packets++;
	f->counters_out.bytes += 64;
	return f->out.target + f->generation;
}

static double look_up(struct flow_table *t, uint32_t first, uint32_t flows, bool touched)
{
	struct flow_key keys[PACKET_BATCH_MAX];
	uint32_t hashes[PACKET_BATCH_MAX], indices[PACKET_BATCH_MAX], sink = 0;
	uint64_t ticks = 0;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		uint64_t start;

		for (unsigned i = 0; i < PACKET_BATCH_MAX; i++)
			keys[i] = key_of(first + random_below(flows));
		start = clock_tsc();
		flow_find_batch(t, keys, PACKET_BATCH_MAX, hashes, indices);
		if (touched)
			for (unsigned i = 0; i < PACKET_BATCH_MAX; i++)
				sink += touch(flow_at(t, indices[i]), batch);
		ticks += clock_tsc() - start;
		sink += indices[0];
	}
	__asm__ volatile("" ::"r"(sink));
	return (double)ticks / (BATCHES * PACKET_BATCH_MAX);
}

/* A new flow comes and one that was there goes, in random order: the table stays as full as it is. */
static double replace(struct flow_table *t, uint32_t flows, uint32_t *held, uint32_t *next)
{
	enum { COUNT = 20000 };
	uint64_t start = clock_tsc();

	for (unsigned i = 0; i < COUNT; i++) {
		uint32_t victim = random_below(flows);
		struct flow_key key = key_of((*next)++);

		flow_remove(t, held[victim]);
		held[victim] = flow_insert(t, &key, flow_hash(t, &key), 0);
	}
	return (double)(clock_tsc() - start) / COUNT;
}

static void no_flow(void *context, struct flow *flow, uint32_t index)
{
	(void)context, (void)flow, (void)index;
	abort();
}

static double sweep(struct flow_table *t, uint32_t flows)
{
	uint64_t start = clock_tsc();

	do
		flow_table_sweep(t, 0, NULL, no_flow, NULL);
	while (flow_table_sweep_left(t) > 0);
	return (double)(clock_tsc() - start) / flows;
}

static void run(uint32_t flows)
{
	uint32_t *held = calloc(flows, sizeof(*held)), next = flows;
	double passes[5][PASSES], seconds;
	struct flow_table *t;
	uint64_t start;

	if (held == NULL || flow_table_open(&t, flows, -1, true) != 0) {
		fprintf(stderr, "micro_flow: no memory for %u flows\n", flows);
		exit(1);
	}
	start = clock_tsc();
	for (uint32_t n = 0; n < flows; n++) {
		struct flow_key key = key_of(n);

		held[n] = flow_insert(t, &key, flow_hash(t, &key), 0);
		flow_at(t, held[n])->timeout_ms = 1000;
	}
	seconds = (double)(clock_tsc() - start) / (double)clock_tsc_hz();
	printf("%u flows\n  %-28s %.2f million/s, memory not touched before\n", flows, "first insertion", flows / seconds / 1e6);
	for (unsigned pass = 0; pass < PASSES; pass++) {
		passes[0][pass] = look_up(t, 0, flows, false);
		passes[1][pass] = look_up(t, 0, flows, true);
		passes[2][pass] = look_up(t, 2000000000, flows, false);
		passes[3][pass] = sweep(t, flows);
	}
	for (unsigned pass = 0; pass < PASSES; pass++)
		passes[4][pass] = replace(t, flows, held, &next);
	print("look-up, batch of 32", passes[0], "cycles a packet");
	print("look-up and touch", passes[1], "cycles a packet");
	print("miss", passes[2], "cycles a packet");
	print("sweep", passes[3], "cycles a flow");
	print("insert + remove", passes[4], "cycles");
	printf("  %-28s best %7.2f  median %7.2f million/s\n", "", (double)clock_tsc_hz() / passes[4][0] / 1e6,
	       (double)clock_tsc_hz() / passes[4][PASSES / 2] / 1e6);
	flow_table_close(t);
	free(held);
}

int main(int argc, char **argv)
{
	static const uint32_t defaults[] = {1024, 100000, 1000000};
	cpu_set_t core;

	CPU_ZERO(&core);
	CPU_SET(1, &core);
	sched_setaffinity(0, sizeof(core), &core);
	clock_calibrate();
	for (int i = 1; i < argc; i++)
		run((uint32_t)strtoul(argv[i], NULL, 10));
	for (unsigned i = 0; argc == 1 && i < sizeof(defaults) / sizeof(defaults[0]); i++)
		run(defaults[i]);
	return 0;
}
