/*
 * virtio-blk (VIRTIO 1.2, section 5.2): the front end between a guest's virtqueues and a block target.
 *
 * Threads. A device belongs to one poller. Calls marked (control) run on the control thread and only while the queue they name is
 * not served; calls marked (poller) run on the device's poller. Nothing here blocks, allocates on the data path, or trusts a
 * byte of guest memory.
 *
 * A visit takes requests that may start from one ring, parsed into `struct blk_io`, and submits them in one batch. Completions
 * (which may come before submit returns) go onto the queue's list of those, and the queue onto the worker's dirty list;
 * virtio_worker_publish() then makes them visible, with at most one eventfd write a queue.
 */
#ifndef OUTBOARD_VIRTIO_VIRTIO_BLK_H
#define OUTBOARD_VIRTIO_VIRTIO_BLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/blockio.h"
#include "base/list.h"
#include "base/visit.h"
#include "virtio/device_state.h"
#include "virtio/guest_memory.h"
#include "virtio/worker.h"

struct virtio_blk;     /* a device */
struct virtqueue;      /* one of its queues, while it is served */
struct inflight_queue; /* virtio/inflight.h */

enum {
	VIRTIO_BLK_BATCH_MAX = 32,		/* requests taken in one visit */
	VIRTIO_BLK_VISIT_BYTES_MAX = 256 << 10, /* bytes started in one visit, and what crosses it; larger requests are cut */
	VIRTIO_BLK_VISIT_BYTES_CONTENDED =
		8 << 10, /* the same while other queues wait, for targets whose data is moved in the visit */
	VIRTIO_BLK_SEG_MAX = 126,
	VIRTIO_BLK_DISCARD_SEG_MAX = 16, /* ranges in a DISCARD, WRITE_ZEROES or SECURE_ERASE */
	/* A range at most: what a back end does with it in one go is time that neighbours wait. */
	VIRTIO_BLK_DISCARD_SECTORS_MAX = (32 << 20) / 512,
	VIRTIO_BLK_ZEROES_SECTORS_MAX = (1 << 20) / 512,
	VIRTIO_BLK_CONFIG_BYTES = 96, /* what a driver may read; what this device does not have reads as zero */
};

struct virtio_blk_config {
	struct blk_target *target; /* outlives the device */
	const char *serial;	   /* at most 20 bytes are shown by GET_ID */
	uint16_t queues_max;
	bool packed_allowed;
	void (*broken)(void *context, unsigned queue, const char *why); /* (poller) the guest broke a rule: that queue stops */
	void *context;
};

int virtio_blk_create(struct virtio_blk **out, const struct virtio_blk_config *config); /* (control) */
void virtio_blk_free(struct virtio_blk *blk);						/* (control) no queue is served */

uint64_t virtio_blk_features(const struct virtio_blk *blk); /* (control) device features offered, VHOST_USER_F_* not among them */
/* (control) `struct virtio_blk_config` of the specification, little endian. -EINVAL when the range is outside it. */
int virtio_blk_config_read(const struct virtio_blk *blk, const struct device_state *state, uint32_t offset, void *data,
			   uint32_t size);
/* (control) Only `writeback` is writable (CONFIG_WCE); -EINVAL otherwise. Takes effect for requests read after it. */
int virtio_blk_config_write(struct virtio_blk *blk, struct device_state *state, uint32_t offset, const void *data, uint32_t size);

/* (poller, or control before the poller knows of it) Starts to serve queue `index` as `state` describes it: ring addresses are
 * translated and checked (-EINVAL, -EFAULT). `inflight` (may be NULL) is that queue's in-flight record; requests that it lists as
 * in flight are resubmitted first, in the order of their counters. `call_fd` may be -1. On success *out is the queue. */
int virtio_blk_queue_start(struct virtio_blk *blk, struct virtio_worker *worker, unsigned index, const struct device_state *state,
			   const struct guest_memory *memory, struct inflight_queue *inflight, int call_fd, uint64_t now_tsc,
			   struct virtqueue **out);

/* (poller) Reads no more. A request leaves the ring only when it starts, so those that wait are where a successor looks for them.
 */
void virtqueue_stop(struct virtqueue *vq);
/* (poller) After virtqueue_stop: nothing of it is in flight any more and all completions are published. */
bool virtqueue_stopped(const struct virtqueue *vq);
/* (poller) After virtqueue_stopped: writes next_avail/next_used into *state and frees the queue. */
void virtqueue_release(struct virtqueue *vq, struct virtqueue_state *state);

/* (poller) One bounded piece of work on one queue. */
struct visit virtqueue_visit(struct virtqueue *vq, uint64_t now_tsc);

/* (poller) Asks the guest for a kick, and looks once more: false when requests came meanwhile (then notifications are off again).
 */
bool virtqueue_arm(struct virtqueue *vq);
void virtqueue_disarm(struct virtqueue *vq); /* (poller) tells the guest not to kick */

unsigned virtqueue_in_flight(const struct virtqueue *vq);
/* Accounting of one queue, read by anyone: `ring` (from the last look at the ring to the look that found the request: an upper
 * bound of its wait there, 0-based when the queue was asleep), `device` (from read to used). */
struct virtqueue_accounts {
	struct account ring;
	struct account device;
	uint64_t kicks_suppressed, calls_sent, errors, unsupported;
};
const struct virtqueue_accounts *virtqueue_accounts(const struct virtqueue *vq);

#endif
