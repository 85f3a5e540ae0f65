/* Lines from the poller to control: in order, bounded, and what is lost is told. */
#include "../cmocka_all.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card/flow_log_ring.h"

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct flow_log_ring));
	return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void put_number(struct flow_log_ring *ring, unsigned number)
{
	char line[32];

	snprintf(line, sizeof(line), "2 line %u", number);
	flow_log_ring_put(ring, line);
}

/* Takes one event; the lines continue at `next`. Returns how many, or -1: there was no event. */
static int take(struct flow_log_ring *ring, unsigned next, json_int_t *lost)
{
	json_t *event = flow_log_ring_take(ring), *lines;
	char line[32];
	int count;

	if (event == NULL)
		return -1;
	lines = json_object_get(event, "lines");
	count = (int)json_array_size(lines);
	for (int i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "2 line %u", next + (unsigned)i);
		assert_string_equal(json_string_value(json_array_get(lines, (size_t)i)), line);
	}
	*lost = json_integer_value(json_object_get(event, "lost"));
	json_decref(event);
	return count;
}

static void test_in_order_and_some_at_a_time(void **state)
{
	struct flow_log_ring *ring = *state;
	json_int_t lost;

	assert_null(flow_log_ring_take(ring));
	for (unsigned i = 0; i < FLOW_LOG_EVENT_LINES_MAX + 10; i++)
		put_number(ring, i);
	assert_int_equal(take(ring, 0, &lost), FLOW_LOG_EVENT_LINES_MAX);
	assert_int_equal(take(ring, FLOW_LOG_EVENT_LINES_MAX, &lost), 10);
	assert_int_equal(lost, 0);
	assert_int_equal(take(ring, 0, &lost), -1);
}

static void test_what_found_no_room_is_told_once(void **state)
{
	struct flow_log_ring *ring = *state;
	json_int_t lost;

	for (unsigned i = 0; i < FLOW_LOG_SLOTS; i++)
		put_number(ring, i);
	assert_false(flow_log_ring_put(ring, "one"));
	assert_false(flow_log_ring_put(ring, "two"));
	assert_int_equal(take(ring, 0, &lost), FLOW_LOG_EVENT_LINES_MAX);
	assert_int_equal(lost, 2);
	put_number(ring, FLOW_LOG_SLOTS); /* there is room again */
	for (unsigned next = FLOW_LOG_EVENT_LINES_MAX; next <= FLOW_LOG_SLOTS;) {
		int count = take(ring, next, &lost);

		assert_true(count > 0);
		assert_int_equal(lost, 0);
		next += (unsigned)count;
	}
	assert_int_equal(take(ring, 0, &lost), -1);
}

static void test_a_long_line_is_cut(void **state)
{
	struct flow_log_ring *ring = *state;
	char line[2 * FLOW_LOG_LINE_SIZE];
	json_t *event;

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	assert_true(flow_log_ring_put(ring, line));
	event = flow_log_ring_take(ring);
	assert_int_equal(json_string_length(json_array_get(json_object_get(event, "lines"), 0)), FLOW_LOG_LINE_SIZE - 1);
	json_decref(event);
}

enum { THREAD_LINES = 200000 };

static void *write_all(void *ring)
{
	for (unsigned i = 0; i < THREAD_LINES;) {
		char line[32];

		snprintf(line, sizeof(line), "2 line %u", i);
		i += flow_log_ring_put(ring, line);
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	struct flow_log_ring *ring = *state;
	pthread_t thread;
	unsigned next = 0;

	assert_int_equal(pthread_create(&thread, NULL, write_all, ring), 0);
	while (next < THREAD_LINES) {
		json_int_t lost;
		int count = take(ring, next, &lost);

		if (count > 0)
			next += (unsigned)count;
	}
	pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_order_and_some_at_a_time),
		TEST(test_what_found_no_room_is_told_once),
		TEST(test_a_long_line_is_cut),
		TEST(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
