#include "base/events.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

int events_open(struct events *events)
{
	list_init(&events->timers);
	events->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return events->epoll_fd < 0 ? -errno : 0;
}

void events_close(struct events *events)
{
	close(events->epoll_fd);
	events->epoll_fd = -1;
}

int events_add(struct events *events, struct event_watch *watch, int fd, uint32_t epoll_events)
{
	struct epoll_event event = {.events = epoll_events, .data.ptr = watch};

	if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	watch->fd = fd;
	return 0;
}

int events_change(struct events *events, struct event_watch *watch, uint32_t epoll_events)
{
	struct epoll_event event = {.events = epoll_events, .data.ptr = watch};

	return epoll_ctl(events->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0 ? -errno : 0;
}

void events_remove(struct events *events, struct event_watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(events->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void event_timer_init(struct event_timer *timer, void (*due)(struct event_timer *timer))
{
	list_init(&timer->node);
	timer->due = due;
}

void event_timer_set(struct events *events, struct event_timer *timer, unsigned delay_ms)
{
	struct list *after;

	list_del(&timer->node);
	timer->due_ns = clock_monotonic_ns() + delay_ms * 1000000ull;
	/* Timers are mostly set in the order in which they expire: from the end. */
	for (after = events->timers.prev; after != &events->timers; after = after->prev)
		if (list_entry(after, struct event_timer, node)->due_ns <= timer->due_ns)
			break;
	list_add_tail(after->next, &timer->node);
}

void event_timer_cancel(struct event_timer *timer)
{
	list_del(&timer->node);
}

static int wait_ms(const struct events *events, int timeout_ms)
{
	uint64_t now_ns, due_ns, left_ms;

	if (list_empty(&events->timers))
		return timeout_ms;
	now_ns = clock_monotonic_ns();
	due_ns = list_entry(events->timers.next, struct event_timer, node)->due_ns;
	left_ms = due_ns <= now_ns ? 0 : (due_ns - now_ns) / 1000000u + 1;
	if (left_ms > INT_MAX)
		left_ms = INT_MAX;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms ? timeout_ms : (int)left_ms;
}

static void run_timers(struct events *events)
{
	uint64_t now_ns = clock_monotonic_ns(); /* once: a timer that sets itself again waits for the next turn */

	while (!list_empty(&events->timers)) {
		struct event_timer *first = list_entry(events->timers.next, struct event_timer, node);

		if (first->due_ns > now_ns)
			return;
		list_del(&first->node);
		first->due(first);
	}
}

int events_wait(struct events *events, int timeout_ms)
{
	struct epoll_event event;
	int count = epoll_wait(events->epoll_fd, &event, 1, wait_ms(events, timeout_ms));

	if (count < 0 && errno != EINTR)
		return -errno;
	if (count == 1) {
		struct event_watch *watch = event.data.ptr;

		watch->ready(watch, event.events);
	}
	run_timers(events);
	return 0;
}
