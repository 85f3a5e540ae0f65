/* When a wire is looked at: with and without a descriptor that tells of frames. */
#include "../cmocka_all.h"

#include "base/clock.h"
#include "card/wire_source.h"

struct fake_wire {
	struct wire wire;
	unsigned frames;
	int fd;
	bool arms;
	unsigned armed, disarmed;
};

static struct fake_wire *fake_of(struct wire *wire)
{
	return container_of(wire, struct fake_wire, wire);
}

static unsigned fake_receive(struct wire *wire, struct packet_input *input, uint64_t now_tsc)
{
	unsigned count = fake_of(wire)->frames;

	(void)input;
	(void)now_tsc;
	fake_of(wire)->frames = 0;
	return count;
}

static int fake_wait_fd(struct wire *wire)
{
	return fake_of(wire)->fd;
}

static bool fake_arm(struct wire *wire)
{
	fake_of(wire)->armed++;
	return fake_of(wire)->arms;
}

static void fake_disarm(struct wire *wire)
{
	fake_of(wire)->disarmed++;
}

static const struct wire_ops ops = {.receive = fake_receive, .wait_fd = fake_wait_fd, .arm = fake_arm, .disarm = fake_disarm};

static struct fake_wire fake;
static struct wire_source ws;
static uint64_t now_tsc;

static void begin(int fd)
{
	fake = (struct fake_wire){.wire.ops = &ops, .fd = fd};
	wire_source_init(&ws, &fake.wire, NULL);
	now_tsc = clock_ns_to_tsc(UINT64_C(10) * 1000000000);
}

static void pass(uint64_t ns)
{
	now_tsc += clock_ns_to_tsc(ns);
}

static struct visit visit(void)
{
	return ws.source.ops->visit(&ws.source, now_tsc);
}

/* The wait that a fruitless visit asks for, in ns; 0: to be visited again at once. */
static uint64_t wait_ns(void)
{
	struct visit v = visit();

	assert_int_equal(v.started, 0);
	return v.again_tsc == 0 ? 0 : clock_tsc_to_ns(v.again_tsc - now_tsc);
}

/* Nanoseconds become ticks and are doubled as such: each doubling doubles the rounding. */
#define assert_about(value, expected) assert_in_range(value, (expected)-2 - (expected) / 25000, (expected) + 2 + (expected) / 25000)

static void test_waits_grow_while_nothing_comes(void **state)
{
	uint64_t wait = WIRE_WAIT_MIN_NS;

	(void)state;
	begin(-1);
	fake.frames = 1;
	assert_int_equal(visit().started, 1);
	pass(WIRE_SPIN_NS / 2);
	assert_int_equal(wait_ns(), 0); /* still hot */
	pass(WIRE_SPIN_NS);
	for (; wait < WIRE_WAIT_MAX_NS; wait *= 2) {
		assert_about(wait_ns(), wait);
		pass(wait);
	}
	for (int i = 0; i < 3; i++) {
		assert_about(wait_ns(), WIRE_WAIT_MAX_NS);
		pass(WIRE_WAIT_MAX_NS);
	}
	fake.frames = 5;
	assert_int_equal(visit().started, 5);
	pass(WIRE_SPIN_NS / 2);
	assert_int_equal(wait_ns(), 0);
	pass(WIRE_SPIN_NS);
	assert_about(wait_ns(), WIRE_WAIT_MIN_NS);
}

static void test_what_was_sent_makes_it_hot(void **state)
{
	(void)state;
	begin(-1);
	for (int i = 0; i < 8; i++) {
		pass(WIRE_WAIT_MAX_NS);
		wait_ns();
	}
	assert_about(wait_ns(), WIRE_WAIT_MAX_NS);
	wire_source_sent(&ws, now_tsc); /* nothing was */
	assert_about(wait_ns(), WIRE_WAIT_MAX_NS);
	fake.wire.counters.packets_out = 3;
	wire_source_sent(&ws, now_tsc);
	assert_int_equal(wait_ns(), 0);
	pass(2 * WIRE_SPIN_NS);
	assert_about(wait_ns(), WIRE_WAIT_MIN_NS);
}

static void test_a_full_burst_means_more(void **state)
{
	(void)state;
	begin(-1);
	fake.frames = PACKET_BATCH_MAX;
	assert_true(visit().more);
	fake.frames = PACKET_BATCH_MAX - 1;
	assert_false(visit().more);
}

static void test_with_a_descriptor_it_is_armed_and_never_waits(void **state)
{
	(void)state;
	begin(7);
	assert_int_equal(ws.source.kick_fd, 7);
	pass(10 * WIRE_WAIT_MAX_NS);
	assert_int_equal(wait_ns(), 0);
	assert_false(ws.source.ops->arm(&ws.source));
	fake.arms = true;
	assert_true(ws.source.ops->arm(&ws.source));
	assert_int_equal(fake.armed, 2);
	ws.source.ops->disarm(&ws.source);
	assert_int_equal(fake.disarmed, 1);
}

static int calibrate(void **state)
{
	(void)state;
	clock_calibrate();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_grow_while_nothing_comes),
		cmocka_unit_test(test_what_was_sent_makes_it_hot),
		cmocka_unit_test(test_a_full_burst_means_more),
		cmocka_unit_test(test_with_a_descriptor_it_is_armed_and_never_waits),
	};

	return cmocka_run_group_tests(tests, calibrate, NULL);
}
