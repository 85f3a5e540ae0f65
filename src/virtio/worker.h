/*
 * What the queues of one poller share, whatever the devices are: the pools of their requests and packets, and the list of queues
 * that have something to show to their guests.
 */
#ifndef OUTBOARD_VIRTIO_WORKER_H
#define OUTBOARD_VIRTIO_WORKER_H

#include <stdbool.h>
#include <stdint.h>

struct virtio_worker;

enum {
	VIRTIO_WORKER_REQUESTS_DEFAULT = 4096, /* in flight at once on a poller; beyond that requests wait in their rings */
};

int virtio_worker_create(struct virtio_worker **out, unsigned requests_max); /* 0 or -ENOMEM */
void virtio_worker_free(struct virtio_worker *worker);			     /* no queue is served any more */
/* (poller) Whether more than one queue is visited in turns: visits are shorter then. */
void virtio_worker_contend(struct virtio_worker *worker, bool contended);
/* (poller) Makes completions visible to guests and calls them; returns the number of queues published. */
unsigned virtio_worker_publish(struct virtio_worker *worker, uint64_t now_tsc);

/* (poller) Signals an eventfd that a VMM shares; -1 for none. True: it was taken. The other side can make such a write block, so
 * pollers are the only ones who do it: they are watched. */
bool virtio_worker_call(struct virtio_worker *worker, int fd);
/* (any thread) The eventfd that the worker's thread is writing to at this moment, or -1: for the watchdog. */
int virtio_worker_calling(const struct virtio_worker *worker);

#endif
