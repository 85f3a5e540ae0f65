/*
 * A poller: one thread on one dedicated core that owns the queues given to it, from the guest's ring to the completion.
 *
 * A queue is in one of these places:
 *
 *	active	visited every pass
 *	held	its volume's allowance is spent: not visited before `again_tsc`
 *	asleep	armed: the guest was asked to kick, the poller spends nothing on it
 *	broken	the guest broke the rules: not visited any more
 *	stopping	read no more; leaves when nothing of it is in flight
 *
 * A pass visits each active queue once, with a budget (VIRTIO_BLK_BATCH_MAX requests, VIRTIO_BLK_VISIT_BYTES_MAX bytes), then reaps
 * the volume engine. So an active queue waits at most
 *
 *	active queues × cost of a full visit + one engine poll + one look at the kicks (POLLER_KICK_INTERVAL_NS apart)
 *
 * which is measured as the service gap. A queue that had nothing for its spin time (5 to 200 µs, adapted to whether the guest comes
 * back soon) is armed and leaves; a poller without active queues sleeps in epoll until a kick, a completion, a message or a
 * deadline. While others are active, kicks are looked for every POLLER_KICK_INTERVAL_NS, so a guest that kicks for ever costs one
 * visit an interval, whatever its rate.
 */
#ifndef OUTBOARD_CARD_POLLER_H
#define OUTBOARD_CARD_POLLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/list.h"
#include "card/mailbox.h"
#include "virtio/virtio_blk.h"
#include "volume/volume.h"

enum {
	POLLERS_MAX = 64,
	POLLER_KICK_INTERVAL_NS = 50000,
	POLLER_SPIN_MIN_NS = 5000,
	POLLER_SPIN_MAX_NS = 200000,
	POLLER_EVENTS_MAX = 64,
};

enum poller_queue_place { QUEUE_ACTIVE, QUEUE_HELD, QUEUE_ASLEEP, QUEUE_BROKEN, QUEUE_STOPPING };

/* One queue while a poller serves it. Made by the control thread, the poller's from poller_add() until `stopped` is posted. */
struct poller_queue {
	struct list link;
	struct virtqueue *vq;
	const struct guest_memory *memory;
	enum poller_queue_place place;
	int kick_fd;	  /* -1: the guest does not kick; polled for ever */
	int call_fd;	  /* -1: the guest polls */
	int err_fd;	  /* -1: none; signalled when the guest broke a rule */
	bool call_posted; /* atomic: `call` is under way */
	uint64_t visited_tsc;
	uint64_t worked_tsc;
	uint64_t slept_tsc;
	bool armed; /* the guest was asked to kick */
	uint64_t spin_ticks;
	uint64_t again_tsc;
	uint64_t gap_ticks_max;
	uint64_t kicks;
	struct message addition;
	struct message removal; /* of its own: a queue may be taken back before the poller has taken it in */
	struct message call;
	struct message stopped; /* posted to the control thread when it left: `stopped.run` is the owner's */
	struct message broken;	/* posted once when the guest broke a rule: `broken.run` is the owner's */
	const char *broken_why; /* set (on the poller, inside a visit) by whoever finds the guest at fault; a string constant */
	struct poller *poller;
};

/* Written by the poller, read by anyone (relaxed). Ticks of the TSC. */
struct poller_account {
	uint64_t busy_ticks;  /* passes that did something */
	uint64_t idle_ticks;  /* passes that found nothing, and sleep */
	uint64_t sleep_ticks; /* of idle_ticks: asleep in the kernel */
	uint64_t passes;
	uint64_t sleeps;
	uint64_t gap_ticks_max;
	struct histogram gap; /* between two visits of an active queue */
	uint32_t active;
	uint32_t queues;
	/* where the cycles of the busy passes went */
	uint64_t visit_ticks;
	uint64_t engine_ticks;
	uint64_t publish_ticks;
	uint64_t kick_ticks;
};

struct poller_config {
	unsigned index;
	int core;
	bool huge;
	uint64_t buffer_bytes;
	struct mailbox *control; /* where `stopped` and `broken` go */
};

struct poller {
	struct mailbox mailbox;
	struct poller_config config;
	struct volume_engine *engine;
	struct virtio_worker *worker;
	struct list active;
	struct list held;
	struct list others; /* asleep, broken */
	struct list stopping;
	uint64_t held_until_tsc; /* the earliest again_tsc of `held` */
	uint64_t kicks_looked_tsc;
	uint32_t asleep;
	int epoll_fd;
	pthread_t thread;
	bool stop;
	int start_error;
	struct poller_account account;
	int watched_fd; /* the watchdog's (control): what it saw at its last look */
	uint64_t watched_passes;
	uint64_t spin_min_ticks, spin_max_ticks, kick_interval_ticks;
};

/* Starts the thread, and returns when it polls: 0 or -errno. */
int poller_start(struct poller *poller, const struct poller_config *config);
void poller_stop(struct poller *poller); /* no queue is left; joins */

/* (control) Gives a queue whose vq was started and whose stopped.run and broken.run are set. */
void poller_add(struct poller *poller, struct poller_queue *queue);
/* (control) Takes it back: `stopped` is posted when it has left. */
void poller_remove(struct poller *poller, struct poller_queue *queue);
/* (control) Calls its guest once. Between add and remove. */
void poller_call(struct poller *poller, struct poller_queue *queue);
/* Any thread but the poller's: run something there. */
void poller_post(struct poller *poller, struct message *message);

#endif
