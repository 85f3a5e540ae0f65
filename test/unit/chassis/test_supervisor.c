#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "chassis/supervisor.h"

static struct supervisor s;
static struct supervisor_actions out;

static void event(enum supervisor_event_kind kind, enum supervised child, uint64_t now_ms)
{
	supervisor_step(&s, (struct supervisor_event){.kind = kind, .child = child}, now_ms, &out);
}

/* The actions of the last step, exactly and in this order. */
static void expect(unsigned count, ...)
{
	va_list args;

	assert_int_equal(out.count, count);
	va_start(args, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(out.item[i].kind, va_arg(args, int));
		assert_int_equal(out.item[i].child, va_arg(args, int));
	}
	va_end(args);
}

static int start(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	event(EVENT_START, SUPERVISED_VAULT, 0);
	expect(3, ACTION_SPAWN, SUPERVISED_VAULT, ACTION_SPAWN, SUPERVISED_CARD, ACTION_SPAWN, SUPERVISED_CONTROL);
	return 0;
}

static int start_ready(void **state)
{
	start(state);
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++)
		event(EVENT_READY, i, 100);
	expect(1, ACTION_ANNOUNCE, SUPERVISED_CONTROL);
	return 0;
}

static void announces_once_all_are_ready(void **state)
{
	(void)state;
	event(EVENT_READY, SUPERVISED_CONTROL, 10);
	expect(0);
	event(EVENT_READY, SUPERVISED_VAULT, 20);
	expect(0);
	event(EVENT_READY, SUPERVISED_VAULT, 30); /* said twice */
	expect(0);
	event(EVENT_READY, SUPERVISED_CARD, 40);
	expect(1, ACTION_ANNOUNCE, SUPERVISED_CARD);
	assert_true(supervisor_deadline(&s) == UINT64_MAX);

	event(EVENT_EXITED, SUPERVISED_CARD, 50);
	expect(1, ACTION_SPAWN, SUPERVISED_CARD);
	event(EVENT_READY, SUPERVISED_CARD, 60);
	expect(0); /* only the first time */
}

static void restarts_at_once_then_backs_off(void **state)
{
	static const uint64_t delays_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	uint64_t now_ms = 1000;

	(void)state;
	for (unsigned i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
		event(EVENT_EXITED, SUPERVISED_CARD, now_ms);
		if (delays_ms[i] == 0) {
			expect(1, ACTION_SPAWN, SUPERVISED_CARD);
			continue;
		}
		expect(0);
		assert_true(supervisor_deadline(&s) == now_ms + delays_ms[i]);
		event(EVENT_TIME, SUPERVISED_VAULT, now_ms + delays_ms[i] - 1);
		expect(0);
		now_ms += delays_ms[i];
		event(EVENT_TIME, SUPERVISED_VAULT, now_ms);
		expect(1, ACTION_SPAWN, SUPERVISED_CARD);
	}
	assert_false(s.stopping); /* it was ready once: never give up */
}

static void forgives_who_was_stable(void **state)
{
	(void)state;
	event(EVENT_EXITED, SUPERVISED_CARD, 200);
	event(EVENT_EXITED, SUPERVISED_CARD, 300);
	event(EVENT_TIME, SUPERVISED_VAULT, 400);
	expect(1, ACTION_SPAWN, SUPERVISED_CARD);
	event(EVENT_READY, SUPERVISED_CARD, 500);
	event(EVENT_EXITED, SUPERVISED_CARD, 500 + SUPERVISOR_STABLE_MS - 1);
	expect(0); /* not long enough: waits */
	event(EVENT_TIME, SUPERVISED_VAULT, 20000);
	event(EVENT_READY, SUPERVISED_CARD, 20000);
	event(EVENT_EXITED, SUPERVISED_CARD, 20000 + SUPERVISOR_STABLE_MS);
	expect(1, ACTION_SPAWN, SUPERVISED_CARD); /* at once again */
}

static void kills_who_never_becomes_ready(void **state)
{
	(void)state;
	event(EVENT_READY, SUPERVISED_VAULT, 1);
	event(EVENT_READY, SUPERVISED_CONTROL, 1);
	assert_true(supervisor_deadline(&s) == SUPERVISOR_START_MS);
	event(EVENT_TIME, SUPERVISED_VAULT, SUPERVISOR_START_MS);
	expect(1, ACTION_KILL, SUPERVISED_CARD);
	event(EVENT_TIME, SUPERVISED_VAULT, SUPERVISOR_START_MS + 1);
	expect(0); /* once is enough */
	event(EVENT_EXITED, SUPERVISED_CARD, SUPERVISOR_START_MS + 2);
	expect(1, ACTION_SPAWN, SUPERVISED_CARD);
}

static void gives_up_on_a_broken_installation(void **state)
{
	uint64_t now_ms = 0;

	(void)state;
	event(EVENT_READY, SUPERVISED_VAULT, 1);
	for (int i = 1; i < SUPERVISOR_START_ATTEMPTS; i++) {
		event(EVENT_EXITED, SUPERVISED_CARD, now_ms);
		assert_false(s.stopping);
		now_ms += SUPERVISOR_BACKOFF_MAX_MS;
		event(EVENT_TIME, SUPERVISED_VAULT, now_ms);
	}
	event(EVENT_EXITED, SUPERVISED_CARD, now_ms);
	expect(2, ACTION_GIVE_UP, SUPERVISED_CARD, ACTION_TERMINATE, SUPERVISED_CONTROL);
	assert_true(s.gave_up);
	event(EVENT_EXITED, SUPERVISED_CONTROL, now_ms);
	expect(1, ACTION_TERMINATE, SUPERVISED_VAULT);
	event(EVENT_EXITED, SUPERVISED_VAULT, now_ms);
	expect(1, ACTION_FINISH, SUPERVISED_VAULT);
}

static void gives_up_at_once_on_who_refuses(void **state)
{
	(void)state;
	event(EVENT_EXITED, SUPERVISED_CARD, 1); /* a crash is no refusal */
	expect(1, ACTION_SPAWN, SUPERVISED_CARD);
	event(EVENT_REFUSED, SUPERVISED_CARD, 2);
	expect(2, ACTION_GIVE_UP, SUPERVISED_CARD, ACTION_TERMINATE, SUPERVISED_CONTROL);
	assert_true(s.gave_up);
	event(EVENT_REFUSED, SUPERVISED_CONTROL, 3); /* it was told to stop: however it ends */
	expect(1, ACTION_TERMINATE, SUPERVISED_VAULT);
	event(EVENT_EXITED, SUPERVISED_VAULT, 4);
	expect(1, ACTION_FINISH, SUPERVISED_VAULT);
}

static void who_was_ready_once_is_started_again_whatever_it_says(void **state)
{
	(void)state;
	event(EVENT_READY, SUPERVISED_CARD, 1);
	event(EVENT_REFUSED, SUPERVISED_CARD, 2);
	expect(1, ACTION_SPAWN, SUPERVISED_CARD);
	assert_false(s.stopping);
}

static void stops_in_order(void **state)
{
	(void)state;
	event(EVENT_STOP, SUPERVISED_VAULT, 1000);
	expect(1, ACTION_TERMINATE, SUPERVISED_CONTROL);
	event(EVENT_STOP, SUPERVISED_VAULT, 1001);
	expect(0); /* asked twice */
	event(EVENT_EXITED, SUPERVISED_CONTROL, 1002);
	expect(1, ACTION_TERMINATE, SUPERVISED_CARD);
	event(EVENT_EXITED, SUPERVISED_CARD, 1003);
	expect(1, ACTION_TERMINATE, SUPERVISED_VAULT);
	event(EVENT_EXITED, SUPERVISED_VAULT, 1004);
	expect(1, ACTION_FINISH, SUPERVISED_VAULT);
	assert_false(s.gave_up);
}

static void kills_who_does_not_stop(void **state)
{
	(void)state;
	event(EVENT_STOP, SUPERVISED_VAULT, 1000);
	assert_true(supervisor_deadline(&s) == 1000 + SUPERVISOR_STOP_MS);
	event(EVENT_TIME, SUPERVISED_VAULT, 1000 + SUPERVISOR_STOP_MS);
	expect(1, ACTION_KILL, SUPERVISED_CONTROL);
	event(EVENT_EXITED, SUPERVISED_CONTROL, 20000);
	expect(1, ACTION_TERMINATE, SUPERVISED_CARD);
}

static void who_dies_during_the_stop_stays_dead(void **state)
{
	(void)state;
	event(EVENT_STOP, SUPERVISED_VAULT, 1000);
	event(EVENT_EXITED, SUPERVISED_CARD, 1001);
	expect(0); /* control is still being waited for */
	event(EVENT_EXITED, SUPERVISED_CONTROL, 1002);
	expect(1, ACTION_TERMINATE, SUPERVISED_VAULT);
	event(EVENT_READY, SUPERVISED_VAULT, 1003);
	expect(0);
	event(EVENT_EXITED, SUPERVISED_VAULT, 1004);
	expect(1, ACTION_FINISH, SUPERVISED_VAULT);
}

static void who_waits_for_a_restart_is_not_waited_for(void **state)
{
	(void)state;
	event(EVENT_EXITED, SUPERVISED_CONTROL, 1000);
	event(EVENT_EXITED, SUPERVISED_CONTROL, 1001); /* now it waits 100 ms */
	event(EVENT_STOP, SUPERVISED_VAULT, 1002);
	expect(1, ACTION_TERMINATE, SUPERVISED_CARD);
	event(EVENT_TIME, SUPERVISED_VAULT, 1500);
	expect(0); /* and is not started any more */

	start_ready(state);
	event(EVENT_EXITED, SUPERVISED_CARD, 1000);
	event(EVENT_EXITED, SUPERVISED_CARD, 1001);
	event(EVENT_STOP, SUPERVISED_VAULT, 1002);
	expect(1, ACTION_TERMINATE, SUPERVISED_CONTROL);
	event(EVENT_TIME, SUPERVISED_VAULT, 1500); /* nor one whose turn to stop has not come */
	expect(0);
}

/* Whatever comes, in whatever order: a stop always ends, and nothing is started after it began. */
static void any_history_comes_to_an_end(void **state)
{
	uint32_t random = 12345;

	for (unsigned run = 0; run < 2000; run++) {
		bool alive[SUPERVISED_COUNT] = {true, true, true}, finished = false;
		uint64_t now_ms = 0;

		start(state);
		for (unsigned i = 0; i < 200 && !finished; i++) {
			struct supervisor_event e;

			random = random * 1664525 + 1013904223;
			e.child = (random >> 8) % SUPERVISED_COUNT;
			e.kind = i > 100 ? EVENT_STOP : (enum supervisor_event_kind)(EVENT_READY + (random >> 16) % 5);
			if (i > 100 && (random & 1) != 0)
				e.kind = EVENT_EXITED;
			if ((e.kind == EVENT_EXITED || e.kind == EVENT_REFUSED || e.kind == EVENT_READY) && !alive[e.child])
				e.kind = EVENT_TIME;
			if (e.kind == EVENT_EXITED || e.kind == EVENT_REFUSED)
				alive[e.child] = false;
			now_ms += (random >> 20) % 3000;
			supervisor_step(&s, e, now_ms, &out);
			for (unsigned j = 0; j < out.count; j++) {
				if (out.item[j].kind == ACTION_SPAWN) {
					assert_false(s.stopping);
					assert_false(alive[out.item[j].child]);
					alive[out.item[j].child] = true;
				}
				finished |= out.item[j].kind == ACTION_FINISH;
			}
		}
		assert_true(finished);
		for (unsigned i = 0; i < SUPERVISED_COUNT; i++)
			assert_false(alive[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(announces_once_all_are_ready, start),
		cmocka_unit_test_setup(restarts_at_once_then_backs_off, start_ready),
		cmocka_unit_test_setup(forgives_who_was_stable, start_ready),
		cmocka_unit_test_setup(kills_who_never_becomes_ready, start),
		cmocka_unit_test_setup(gives_up_on_a_broken_installation, start),
		cmocka_unit_test_setup(gives_up_at_once_on_who_refuses, start),
		cmocka_unit_test_setup(who_was_ready_once_is_started_again_whatever_it_says, start),
		cmocka_unit_test_setup(stops_in_order, start_ready),
		cmocka_unit_test_setup(kills_who_does_not_stop, start_ready),
		cmocka_unit_test_setup(who_dies_during_the_stop_stays_dead, start_ready),
		cmocka_unit_test_setup(who_waits_for_a_restart_is_not_waited_for, start_ready),
		cmocka_unit_test(any_history_comes_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
