/*
 * Messages between threads: an intrusive list that anybody pushes to and its one owner takes whole, in order. The sender embeds the
 * message in what it is about, so that sending never allocates and a mailbox is bounded by the objects there are. A message belongs
 * to the receiver from mailbox_post() until `run` is called.
 */
#ifndef OUTBOARD_CARD_MAILBOX_H
#define OUTBOARD_CARD_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct message {
	struct message *next;
	void (*run)(struct message *message); /* on the receiver's thread */
};

struct mailbox {
	_Atomic(struct message *) newest;
	atomic_bool asleep; /* the owner waits for the eventfd */
	int event_fd;	    /* readable when something was posted to a sleeping owner */
};

int mailbox_open(struct mailbox *box); /* 0 or -errno */
void mailbox_close(struct mailbox *box);

void mailbox_post(struct mailbox *box, struct message *message);

static inline bool mailbox_empty(struct mailbox *box)
{
	return atomic_load_explicit(&box->newest, memory_order_relaxed) == NULL;
}

unsigned mailbox_run(struct mailbox *box); /* runs all that was posted, oldest first; returns how many */

/* Before the owner waits: true when it may (then posts write to event_fd); after it waited: mailbox_wake. */
bool mailbox_sleep(struct mailbox *box);
void mailbox_wake(struct mailbox *box);

#endif
