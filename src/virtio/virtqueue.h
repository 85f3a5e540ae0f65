/*
 * The inside of virtio_blk.h: worker, device, queue, request.
 *
 * A request's life: taken from the worker's free list when its chain is parsed; `submitted` to the target, or answered here;
 * `done`, on its queue's list of those; published (status byte, used element), and free again. Its first two cache lines are all
 * that a usual request touches.
 */
#ifndef OUTBOARD_VIRTIO_VIRTQUEUE_H
#define OUTBOARD_VIRTIO_VIRTQUEUE_H

#include "virtio/ring_watch.h"
#include "virtio/virtio_blk.h"
#include "virtio/virtio_blk_proto.h"
#include "virtio/vring.h"

enum {
	REQUEST_IOV_INLINE = 5,
	REQUEST_IOV_MAX = 256, /* twice VIRTIO_BLK_SEG_MAX: each segment may lie across a border between regions */
	REQUEST_RESERVE = VIRTIO_BLK_DISCARD_SEG_MAX, /* what one chain may need besides its own */
	WORKER_IOVS = 256, /* iov arrays of REQUEST_IOV_MAX, for requests that need more than the inline ones */
};

enum request_flag {
	REQUEST_ANSWERED = 1, /* not for the target: `answer` is its status, io.length_bytes the used length */
	REQUEST_DATA_IN = 2,  /* there are writable bytes before the status byte */
	REQUEST_LONG_IOV = 4, /* io.iov is one of the worker's */
	REQUEST_RANGES = 8,   /* has children, which hang on io.next until they start */
};

struct request {
	struct blk_io io;
	struct virtqueue *vq;
	union {
		uint8_t *status;	/* NULL: the chain has none */
		struct request *parent; /* of a part */
	};
	uint16_t id, slots, entry; /* of its chain */
	uint8_t flags;
	uint8_t answer;
	struct iovec iov[REQUEST_IOV_INLINE];
};

_Static_assert(sizeof(struct request) == 192, "three cache lines");
_Static_assert((int)VIRTIO_BLK_BATCH_MAX == (int)RING_BATCH_MAX, "a visit takes what a peek shows");

struct net_room; /* virtio/net_queue.h */

struct iov_array {
	union {
		struct iov_array *next; /* while it is free */
		struct iovec iov[REQUEST_IOV_MAX];
	};
};

struct virtio_worker {
	struct blk_io *free;
	struct iov_array *free_iovs;
	unsigned free_count, free_iovs_count;
	struct virtqueue *dirty; /* queues with requests done and not published */
	bool contended;		 /* other queues wait for their visits */
	int calling_fd;		 /* atomic: the eventfd that is being written to; -1 */
	struct request *requests;
	struct iov_array *iovs;
	struct ring_chain chains[RING_BATCH_MAX];
	struct ring_segments segments;
	struct vring_packed_desc copies[VIRTQUEUE_SIZE_MAX];
	struct net_room *net;
};

struct virtio_blk {
	struct blk_target *target;
	uint64_t features;
	unsigned requests, iovs; /* of the worker's that it holds */
	uint16_t queues_max;
	uint8_t write_back; /* atomic: as CONFIG_WCE has it */
	char serial[VBLK_ID_BYTES];
	void (*broken)(void *context, unsigned queue, const char *why);
	void *context;
};

/* A request that is too large for one visit, and how far it has been given to the target. */
struct cut {
	struct request *request; /* NULL: none */
	uint64_t bytes;
	uint64_t element_bytes; /* of iov[element] */
	unsigned element;
};

struct virtqueue {
	struct virtio_ring ring;
	struct virtio_worker *worker;
	struct virtio_blk *blk;
	struct blk_io *done; /* completed, in that order */
	struct blk_io **done_tail;
	struct virtqueue *dirty_next;
	const struct guest_memory *memory;
	uint64_t features;
	uint32_t in_flight;
	int call_fd;
	uint16_t index;
	bool dirty;
	bool stopping;
	bool armed;
	bool told; /* the owner knows that it is broken */

	/* What a predecessor left to be done again: entries [redo_next, redo_count) of `redo`. */
	uint16_t redo_next, redo_count;
	uint16_t *redo;

	struct cut cut;
	struct ring_watch watch;
	struct blk_io asking; /* the request at the head of the ring, as the target's allowance knows it */
	struct virtqueue_accounts accounts;
};

/* What of the device a batch is judged by: read once a visit. */
struct batch {
	uint64_t capacity_bytes;
	uint64_t block_mask;
	uint64_t now_tsc;
	bool read_only;
	uint8_t write_flags;
	unsigned count; /* requests for the target so far, [count] of ios */
	uint64_t bytes;
	uint64_t bytes_max; /* of this visit */
	struct blk_io *ios[RING_BATCH_MAX + REQUEST_RESERVE];
};

enum parse_result {
	PARSE_OK,
	PARSE_LATER, /* a pool has run out */
	PARSE_BROKEN,
};

static inline bool batch_full(const struct batch *b)
{
	return b->count >= VIRTIO_BLK_BATCH_MAX || b->bytes >= b->bytes_max;
}

static inline void batch_add(struct batch *b, struct blk_io *io)
{
	b->bytes += io->op == BLK_DISCARD ? 0 : io->length_bytes;
	b->ios[b->count++] = io;
}

/* virtio_blk.c: the write cache as `state` has it. */
void virtio_blk_cache_mode(struct virtio_blk *blk, const struct device_state *state);

/* virtqueue.c: what the device is at this moment; and all of the batch to the target. */
void batch_open(const struct virtqueue *vq, struct batch *b, uint64_t now_tsc);
void batch_submit(struct virtqueue *vq, struct batch *b);

/* blk_request.c: fills `req` (from the pool) from a chain. Children of a request with several ranges are taken from the pool and
 * hang on io.next of their parent. */
enum parse_result blk_request_parse(struct virtqueue *vq, const struct batch *b, const struct ring_chain *chain,
				    struct request *req);
void blk_request_complete(struct blk_io *io, int error);
int request_iov_add(struct request *req, uint8_t *base, uint64_t length_bytes); /* 0, -E2BIG, -EAGAIN (pool) */

/* request_parts.c */
void request_parts_open(struct request *parent);
struct request *request_part_take(struct request *parent); /* NULL: pool */
bool request_needs_cut(const struct request *req, uint64_t bytes_max);
void request_cut_open(struct virtqueue *vq, struct request *req); /* taken from the ring */
void request_cut_on(struct virtqueue *vq, struct batch *b);	  /* as far as batch and pools go */

/* worker.c */
void worker_dirty(struct virtqueue *vq); /* to be looked at by virtio_worker_publish() */
struct request *worker_request_take(struct virtio_worker *w);
void worker_request_put(struct virtio_worker *w, struct request *req); /* and its iov array, and its children that did not start */
struct iovec *worker_iov_take(struct virtio_worker *w);
void worker_iov_put(struct virtio_worker *w, struct iovec *iov);

/*
 * For a queue's device, NULL also when it has its share: a device may hold as many as it leaves free. So one alone has half of a
 * pool, and however slow k devices are, a part of 1/(k + 1) is left for the next; what a chain needs at the very least, it always
 * may have.
 */
struct request *virtqueue_request_take(struct virtqueue *vq);
struct iovec *virtqueue_iov_take(struct virtqueue *vq);

#define COUNT(field, n) ACCOUNT_SET(field, (field) + (n))

#endif
