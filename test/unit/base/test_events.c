/* The event loop: order of timers, what handlers may do to themselves and others. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/events.h"

static struct events events;
static char happened[64];

struct named_timer {
	struct event_timer timer;
	const char *name;
};

static void timer_due(struct event_timer *timer)
{
	strcat(happened, container_of(timer, struct named_timer, timer)->name);
}

static int setup(void **state)
{
	(void)state;
	happened[0] = '\0';
	return events_open(&events);
}

static int teardown(void **state)
{
	(void)state;
	events_close(&events);
	return 0;
}

static void run_until(size_t length)
{
	while (strlen(happened) < length)
		assert_int_equal(events_wait(&events, -1), 0);
}

static void test_timers_in_order(void **state)
{
	struct named_timer t[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};

	(void)state;
	for (int i = 0; i < 4; i++)
		event_timer_init(&t[i].timer, timer_due);
	event_timer_set(&events, &t[2].timer, 3);
	event_timer_set(&events, &t[0].timer, 1);
	event_timer_set(&events, &t[3].timer, 2);
	event_timer_set(&events, &t[1].timer, 50);
	event_timer_set(&events, &t[1].timer, 2); /* moved: behind those of the same time */
	event_timer_cancel(&t[3].timer);
	event_timer_cancel(&t[3].timer);
	run_until(3);
	assert_string_equal(happened, "abc");
	assert_true(list_empty(&events.timers));
}

static void again(struct event_timer *timer)
{
	strcat(happened, "x");
	if (strlen(happened) < 3)
		event_timer_set(&events, timer, 0);
}

static void test_timer_sets_itself(void **state)
{
	struct event_timer timer;

	(void)state;
	event_timer_init(&timer, again);
	event_timer_set(&events, &timer, 0);
	assert_int_equal(events_wait(&events, -1), 0);
	assert_string_equal(happened, "x"); /* one a turn */
	run_until(3);
}

static void read_once(struct event_watch *watch, uint32_t epoll_events)
{
	int fd = watch->fd;

	assert_true(epoll_events & EPOLLIN);
	strcat(happened, "r");
	events_remove(&events, watch);
	events_remove(&events, watch);
	close(fd);
	free(watch);
}

/* Both are ready at once; each frees itself. */
static void test_watch_frees_itself(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct event_watch *watch = calloc(1, sizeof(*watch));
		int pair[2];

		assert_int_equal(pipe(pair), 0);
		watch->ready = read_once;
		assert_int_equal(events_add(&events, watch, pair[0], EPOLLIN), 0);
		assert_int_equal(write(pair[1], "x", 1), 1);
		close(pair[1]);
	}
	run_until(2);
	assert_int_equal(events_wait(&events, 0), 0);
	assert_string_equal(happened, "rr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_sets_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_frees_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
