/*
 * A poller: one thread on one dedicated core that owns the sources of work given to it: guests' queues, from the ring to the
 * completion, and what networks add to them (source.h says in which places a source can be).
 *
 * A pass visits each active source once, with a budget (of a block queue: VIRTIO_BLK_BATCH_MAX requests, VIRTIO_BLK_VISIT_BYTES_MAX
 * bytes), then reaps the volume engine. So an active source waits at most
 *
 *	active sources × cost of a full visit + one engine poll + one look at the kicks (POLLER_KICK_INTERVAL_NS apart)
 *
 * which is measured as the service gap. A source that had nothing for its spin time (5 to 200 µs, adapted to whether work comes
 * back soon) is armed and leaves; a poller without active sources sleeps in epoll until a kick, a completion, a message or a
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
#include "card/source.h"
#include "virtio/virtio_blk.h"
#include "volume/volume.h"

enum {
	POLLERS_MAX = 64,
	POLLER_KICK_INTERVAL_NS = 50000,
	POLLER_SPIN_MIN_NS = 5000,
	POLLER_SPIN_MAX_NS = 200000,
	POLLER_EVENTS_MAX = 64,
};

/* Written by the poller, read by anyone (relaxed). Ticks of the TSC. */
struct poller_account {
	uint64_t busy_ticks;  /* passes that did something */
	uint64_t idle_ticks;  /* passes that found nothing, and sleep */
	uint64_t sleep_ticks; /* of idle_ticks: asleep in the kernel */
	uint64_t passes;
	uint64_t sleeps;
	uint64_t gap_ticks_max;
	struct histogram gap; /* between two visits of an active source */
	uint32_t active;
	uint32_t sources;
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
	struct list others; /* asleep, passive, broken */
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
void poller_stop(struct poller *poller); /* no source is left; joins */

/* (control) Gives a source whose ops, descriptors, stopped.run and broken.run are set. */
void poller_add(struct poller *poller, struct source *source);
/* (control) Takes it back: `stopped` is posted when it has left. */
void poller_remove(struct poller *poller, struct source *source);
/* (control) Calls its guest once. Between add and remove. */
void poller_call(struct poller *poller, struct source *source);
/* Any thread but the poller's: run something there. */
void poller_post(struct poller *poller, struct message *message);

/* ---- source.c: the places of sources; for poller.c ---- */
void source_hold(struct source *source, uint64_t again_tsc);
void source_fall_asleep(struct source *source, uint64_t now_tsc);
void source_kicked(struct source *source, uint64_t now_tsc);
void source_activate(struct source *source, uint64_t now_tsc);
void source_mark_broken(struct source *source);
unsigned source_leave_stopped(struct poller *poller);

#endif
