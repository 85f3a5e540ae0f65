/*
 * An event loop for control paths: descriptors (epoll, level triggered) and timers, on one thread. Handlers may add, change and
 * remove anything, also themselves: one event is taken a wait, so what a handler frees is never the target of a later event.
 */
#ifndef OUTBOARD_BASE_EVENTS_H
#define OUTBOARD_BASE_EVENTS_H

#include <stdint.h>

#include "base/list.h"

/* Embedded in whatever owns the descriptor. */
struct event_watch {
	int fd; /* -1: not watched */
	void (*ready)(struct event_watch *watch, uint32_t epoll_events);
};

/* Embedded likewise; fires once. event_timer_init() before first use. */
struct event_timer {
	struct list node;
	uint64_t due_ns;
	void (*due)(struct event_timer *timer);
};

struct events {
	int epoll_fd;
	struct list timers; /* by due time */
};

int events_open(struct events *events);
void events_close(struct events *events);

int events_add(struct events *events, struct event_watch *watch, int fd, uint32_t epoll_events);
int events_change(struct events *events, struct event_watch *watch, uint32_t epoll_events);
void events_remove(struct events *events, struct event_watch *watch); /* idempotent; the descriptor stays open */

void event_timer_init(struct event_timer *timer, void (*due)(struct event_timer *timer));
void event_timer_set(struct events *events, struct event_timer *timer, unsigned delay_ms); /* again: moves it */
void event_timer_cancel(struct event_timer *timer);					   /* idempotent */

/* Waits at most `timeout_ms` (-1: no bound of its own) and handles what is due: one descriptor and every expired timer. 0 or
 * -errno. */
int events_wait(struct events *events, int timeout_ms);

#endif
