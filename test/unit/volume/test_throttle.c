/*
 * The throttle under a virtual clock of 1 GHz. Greedy front ends ask as a poller does: in order in each queue, again when they were
 * told to, and a little late.
 */
#include "../cmocka_all.h"

#include <string.h>

#include "volume/throttle.h"

enum { HZ = 1000000000, QUEUES_MAX = 40, KIB = 1024, MIB = 1024 * 1024 };
static const uint64_t gib = 1ull << 30;

struct queue {
	struct blk_io io;
	uint64_t again_tsc;
	uint64_t started;
	uint32_t length_bytes; /* of all its requests; 0: any multiple of 4 KiB up to 256 KiB */
	bool sequential;
};

struct load {
	struct throttle throttle;
	struct queue queues[QUEUES_MAX];
	unsigned queues_count;
	uint64_t now_tsc, late_ticks_max;
	uint64_t ios, bytes; /* started */
};

static uint64_t random_state = 42;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void load_init(struct load *l, struct volume_rate rate, uint64_t size_bytes, unsigned queues)
{
	memset(l, 0, sizeof(*l));
	l->now_tsc = 12345;
	l->queues_count = queues;
	throttle_set(&l->throttle, &rate, size_bytes, HZ, l->now_tsc);
}

static void queue_next(struct queue *q)
{
	uint64_t end = q->io.offset_bytes + q->io.length_bytes;

	q->io.op = q->sequential ? BLK_READ : next_random() % 2 ? BLK_READ : BLK_WRITE;
	q->io.length_bytes = q->length_bytes != 0 ? q->length_bytes : (1 + next_random() % 64) * 4 * KIB;
	q->io.offset_bytes = q->sequential ? end : (next_random() % 1000000) * 8192 * KIB;
}

/* All queues ask until they are held; `until` is the end. */
static void load_run(struct load *l, uint64_t until_tsc)
{
	while (l->now_tsc < until_tsc) {
		uint64_t next_tsc = UINT64_MAX;

		for (unsigned i = 0; i < l->queues_count; i++) {
			struct queue *q = &l->queues[i];

			if (q->io.length_bytes == 0)
				queue_next(q);
			while (q->again_tsc <= l->now_tsc) {
				q->again_tsc = throttle_admit(&l->throttle, &q->io, l->now_tsc);
				if (q->again_tsc != 0) {
					assert_true(q->again_tsc > l->now_tsc);
					break;
				}
				q->started++;
				l->ios += (q->io.length_bytes + VOLUME_IO_UNIT_BYTES - 1) / VOLUME_IO_UNIT_BYTES;
				l->bytes += q->io.length_bytes;
				queue_next(q);
			}
			if (q->again_tsc < next_tsc)
				next_tsc = q->again_tsc;
		}
		l->now_tsc = next_tsc + (l->late_ticks_max != 0 ? next_random() % l->late_ticks_max : 0);
	}
}

/* Every one of 1,000 windows of a second: at least 90 % of what is provisioned, at most that, one bucket and one request. */
static void check_windows(struct load *l, uint64_t rate, const uint64_t *count, uint64_t request_max)
{
	load_run(l, l->now_tsc + HZ);
	for (unsigned window = 0; window < 1000; window++) {
		uint64_t before = *count;

		load_run(l, l->now_tsc / HZ * HZ + HZ);
		assert_true(*count - before >= rate / 10 * 9);
		assert_true(*count - before <= rate + rate / THROTTLE_DEPTH_PER_SECOND + request_max);
	}
}

static void iops_are_delivered(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.iops = 3000}, gib, 4);
	l.late_ticks_max = HZ / 5000;
	check_windows(&l, 3000, &l.ios, 1);
}

static void throughput_is_delivered(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.throughput_bytes = 125 * MIB}, gib, 3);
	l.late_ticks_max = HZ / 5000;
	check_windows(&l, 125 * MIB, &l.bytes, 256 * KIB);
}

/* Both at once: each alone would let twice as much pass. */
static void the_scarcer_rate_counts(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.iops = 16000, .throughput_bytes = 32 * MIB}, gib, 2);
	l.queues[0].length_bytes = l.queues[1].length_bytes = 4 * KIB; /* 8,192 a second */
	check_windows(&l, 32 * MIB, &l.bytes, 4 * KIB);
	load_init(&l, (struct volume_rate){.iops = 4096, .throughput_bytes = 64 * MIB}, gib, 2);
	l.queues[0].length_bytes = l.queues[1].length_bytes = 4 * KIB;
	check_windows(&l, 4096, &l.ios, 1);
}

static void a_mebibyte_costs_four(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.iops = 400}, gib, 1);
	l.queues[0].length_bytes = MIB;
	load_run(&l, 100ull * HZ);
	assert_in_range(l.queues[0].started, 9990, 10010); /* 100 a second */
}

static void sequential_requests_merge(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.iops = 100}, gib, 1);
	l.queues[0].length_bytes = 4 * KIB;
	l.queues[0].sequential = true;
	load_run(&l, 100ull * HZ);
	assert_in_range(l.queues[0].started, 639000, 641000); /* 64 for one */
}

static uint64_t wait_of(struct throttle *t, const struct blk_io *io, uint64_t *now_tsc)
{
	uint64_t from = *now_tsc, again;

	while ((again = throttle_admit(t, io, *now_tsc)) != 0) {
		assert_true(again > *now_tsc);
		*now_tsc = again;
	}
	return *now_tsc - from;
}

static void dearer_than_the_bucket_waits_and_goes(void **state)
{
	struct throttle t = {0};
	struct blk_io big = {.op = BLK_WRITE, .length_bytes = 8 * MIB},
		      small = {.op = BLK_READ, .offset_bytes = 4096, .length_bytes = 4096};
	uint64_t now = 1000;

	(void)state;
	throttle_set(&t, &(struct volume_rate){.iops = 2}, gib, HZ, now);
	assert_in_range(wait_of(&t, &big, &now), 15.4 * HZ, 15.6 * HZ);	  /* 32 I/Os, one of them saved up */
	assert_in_range(wait_of(&t, &small, &now), 0.49 * HZ, 0.51 * HZ); /* the bucket is empty, not in debt */
}

static void flush_and_discard_cost_one(void **state)
{
	struct throttle t = {0};
	struct blk_io flush = {.op = BLK_FLUSH}, discard = {.op = BLK_DISCARD, .length_bytes = 1ull << 40};
	uint64_t now = 1000;

	(void)state;
	throttle_set(&t, &(struct volume_rate){.iops = 10, .throughput_bytes = 1}, gib, HZ, now);
	assert_int_equal(wait_of(&t, &flush, &now), 0);
	assert_in_range(wait_of(&t, &discard, &now), 0.09 * HZ, 0.11 * HZ);
	assert_in_range(wait_of(&t, &flush, &now), 0.09 * HZ, 0.11 * HZ);
}

static void zeroes_cost_as_writes(void **state)
{
	struct throttle t = {0};
	struct blk_io zeroes = {.op = BLK_WRITE_ZEROES, .length_bytes = MIB};
	uint64_t now = 1000;

	(void)state;
	throttle_set(&t, &(struct volume_rate){.throughput_bytes = MIB}, gib, HZ, now);
	assert_in_range(wait_of(&t, &zeroes, &now), 0.94 * HZ, 0.96 * HZ);
}

static void no_rate_no_wait(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){0}, gib, 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(throttle_admit(&l.throttle, &(struct blk_io){.op = BLK_WRITE, .length_bytes = MIB}, 1000), 0);
}

/* 100 GiB: 300 IOPS, and 5.4 million credits carry 3,000 for 2,000 s. */
static void credits_carry_a_burst(void **state)
{
	static struct load l;
	uint64_t before;

	(void)state;
	load_init(&l, (struct volume_rate){.burst = true}, 100 * gib, 2);
	l.queues[0].length_bytes = l.queues[1].length_bytes = 16 * KIB;
	load_run(&l, 1990ull * HZ);
	assert_in_range(l.ios, 2990ull * 1990, 3010ull * 1990);
	load_run(&l, 2010ull * HZ);
	before = l.ios;
	load_run(&l, 2110ull * HZ);
	assert_in_range(l.ios - before, 299 * 100, 301 * 100);
}

static void large_and_small_volumes_have_their_baseline(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.burst = true}, 2000 * gib, 1);
	load_run(&l, 4000ull * HZ / 10);
	assert_in_range(l.ios, 400 * 5990ull, 400 * 6010ull); /* above the burst rate: never held to it */
	load_init(&l, (struct volume_rate){.burst = true}, gib, 1);
	load_run(&l, 1870ull * HZ); /* 5.4 million / (3,000 - 100) = 1,862 s */
	l.ios = 0;
	load_run(&l, 1970ull * HZ);
	assert_in_range(l.ios, 9900, 10100);
}

static void a_faster_rate_reaches_who_waits(void **state)
{
	struct throttle t = {0};
	struct blk_io io = {.op = BLK_WRITE, .length_bytes = MIB},
		      next = {.op = BLK_WRITE, .length_bytes = 4096, .offset_bytes = gib};
	uint64_t now = 1000, again;

	(void)state;
	throttle_set(&t, &(struct volume_rate){.throughput_bytes = 1024}, gib, HZ, now); /* 17 minutes */
	again = throttle_admit(&t, &io, now);
	assert_in_range(again, now + 1, now + HZ / 50);
	now = again;
	throttle_set(&t, &(struct volume_rate){.throughput_bytes = 10 * MIB}, gib, HZ, now);
	assert_true(wait_of(&t, &io, &now) <= HZ / 10);
	assert_true(wait_of(&t, &next, &now) <= HZ / 10); /* the price is not owed twice */
	assert_int_equal(t.waiters_count, 0);
}

static void what_was_used_stays_used(void **state)
{
	struct throttle t = {0};
	struct blk_io io = {.op = BLK_WRITE};
	struct volume_rate rate = {.iops = 100};
	uint64_t now = 1000, started = 0;

	(void)state;
	throttle_set(&t, &rate, gib, HZ, now);
	for (unsigned i = 0; i < 1000; i++) { /* setting it again and again buys nothing */
		io.length_bytes = 4096;
		io.offset_bytes = i * 8192ull;
		started += throttle_admit(&t, &io, now) == 0;
		throttle_set(&t, &rate, gib, HZ, now);
	}
	assert_in_range(started, 1, 100 / THROTTLE_DEPTH_PER_SECOND + 1);
}

/* A queue of giant requests and one of small ones: neither starves, whichever asks first. */
static void queues_take_turns(void **state)
{
	static struct load l;

	(void)state;
	for (unsigned giant = 0; giant < 2; giant++) {
		load_init(&l, (struct volume_rate){.throughput_bytes = 100 * MIB}, gib, 2);
		l.queues[giant].length_bytes = 8 * MIB;
		l.queues[!giant].length_bytes = 4 * KIB;
		load_run(&l, 100ull * HZ);
		assert_true(l.queues[giant].started > 500);
		assert_true(l.queues[!giant].started >= l.queues[giant].started);
	}
}

static void who_vanished_makes_room(void **state)
{
	struct throttle t = {0};
	static struct blk_io gone[1000];
	struct blk_io io = {.op = BLK_WRITE, .length_bytes = 4096};
	uint64_t now = 1000;

	(void)state;
	throttle_set(&t, &(struct volume_rate){.iops = 1000}, gib, HZ, now);
	for (unsigned i = 0; i < 1000; i++) {
		gone[i] = (struct blk_io){.op = BLK_WRITE, .length_bytes = 4096, .offset_bytes = i * gib};
		(void)throttle_admit(&t, &gone[i], now); /* never asks again */
		assert_true(t.waiters_count <= THROTTLE_WAITERS_MAX);
	}
	assert_in_range(wait_of(&t, &io, &now), 1, 1.01 * HZ); /* after all they have paid for */
	now += 2ull * HZ;
	throttle_forget_waiters(&t, now);
	assert_int_equal(t.waiters_count, 0);
	assert_int_equal(t.held.arrivals, t.held.departures);
}

/* Little's law: with nobody inside, the integral of the occupancy is the sum of the waits. */
static void held_requests_are_accounted(void **state)
{
	static struct load l;

	(void)state;
	load_init(&l, (struct volume_rate){.iops = 1000}, gib, 5);
	load_run(&l, 10ull * HZ);
	throttle_forget_waiters(&l.throttle, l.now_tsc);
	assert_true(l.throttle.held.arrivals > 9000);
	assert_int_equal(l.throttle.held.arrivals, l.throttle.held.departures);
	assert_int_equal(l.throttle.held.occupancy_ticks, l.throttle.held.wait_ticks);
}

/* A rate that no clock can divide, and prices without end, neither wrap nor divide by nothing. */
static void extremes_do_not_wrap(void **state)
{
	struct throttle t = {0};
	struct blk_io io = {.op = BLK_WRITE_ZEROES, .length_bytes = UINT64_MAX / 4};

	(void)state;
	throttle_set(&t, &(struct volume_rate){.iops = UINT64_MAX, .throughput_bytes = UINT64_MAX}, gib, HZ, 1000);
	assert_true(throttle_admit(&t, &(struct blk_io){.op = BLK_READ, .length_bytes = 4096}, 1000) <= 1001);
	throttle_set(&t, &(struct volume_rate){.iops = 1, .throughput_bytes = 1}, gib, HZ, 1000);
	assert_true(throttle_admit(&t, &io, 1000) > 1000);
	assert_true(throttle_admit(&t, &io, 2000) > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iops_are_delivered),
		cmocka_unit_test(throughput_is_delivered),
		cmocka_unit_test(the_scarcer_rate_counts),
		cmocka_unit_test(a_mebibyte_costs_four),
		cmocka_unit_test(sequential_requests_merge),
		cmocka_unit_test(dearer_than_the_bucket_waits_and_goes),
		cmocka_unit_test(flush_and_discard_cost_one),
		cmocka_unit_test(zeroes_cost_as_writes),
		cmocka_unit_test(no_rate_no_wait),
		cmocka_unit_test(credits_carry_a_burst),
		cmocka_unit_test(large_and_small_volumes_have_their_baseline),
		cmocka_unit_test(a_faster_rate_reaches_who_waits),
		cmocka_unit_test(what_was_used_stays_used),
		cmocka_unit_test(queues_take_turns),
		cmocka_unit_test(who_vanished_makes_room),
		cmocka_unit_test(held_requests_are_accounted),
		cmocka_unit_test(extremes_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
