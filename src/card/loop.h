/* The control thread's event loop: epoll, its mailbox, and a tick. */
#ifndef OUTBOARD_CARD_LOOP_H
#define OUTBOARD_CARD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "card/mailbox.h"

enum { LOOP_TICKS_PER_SECOND = 10 };

/* What is called when a descriptor is ready. Embedded in whatever owns the descriptor. */
struct watch {
	int fd; /* -1: not watched */
	void (*ready)(struct watch *watch, uint32_t events);
};

struct loop {
	int epoll_fd;
	bool stop;
	struct mailbox mailbox; /* what pollers tell the control thread */
	struct watch mailbox_watch;
	/* A short step of work for when there is nothing else to do; false: there is none. May be NULL. Set `busy` when there may
	 * be. */
	bool (*idle)(void *context);
	bool busy;
};

int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

int loop_add(struct loop *loop, struct watch *watch, int fd, uint32_t events);
int loop_change(struct loop *loop, struct watch *watch, uint32_t events); /* 0: keep, but hear nothing but errors */
void loop_remove(struct loop *loop, struct watch *watch);		  /* idempotent; the descriptor stays open */

/* Until loop->stop. `tick` is called LOOP_TICKS_PER_SECOND times a second, or less when busy; `idle` with the same context. */
int loop_run(struct loop *loop, void (*tick)(void *context), void *context);

#endif
