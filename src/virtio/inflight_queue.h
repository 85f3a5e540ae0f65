/*
 * The in-flight record of one queue, as the ring code uses it. Layouts and the order of stores are those of the vhost-user
 * protocol, "Inflight I/O tracking": wherever the process is killed, what the record says together with the ring is enough to
 * neither lose nor repeat a request. A kill takes effect between two instructions, so program order is all that is asked for:
 * record_order() keeps the compiler to it.
 *
 * The peer can write to the record at any time. While the queue is served nothing is believed that was read from it; indices that a
 * decision hangs on are kept in struct inflight_queue.
 */
#ifndef OUTBOARD_VIRTIO_INFLIGHT_QUEUE_H
#define OUTBOARD_VIRTIO_INFLIGHT_QUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/device_state.h"
#include "virtio/inflight.h"

struct inflight_split_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

struct inflight_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_entry desc[];
};

struct inflight_packed_entry {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* Progress of the used ring, new and old: eight bytes that are always stored at once, so that they cannot be half new. */
union inflight_packed_used {
	struct {
		uint16_t used_idx;
		uint16_t old_used_idx;
		uint8_t used_wrap_counter;
		uint8_t old_used_wrap_counter;
		uint8_t padding[2];
	};
	uint64_t word;
};

struct inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	union inflight_packed_used used;
	uint8_t padding[8]; /* five of the protocol's, three of its compiler's */
	struct inflight_packed_entry desc[];
};

_Static_assert(sizeof(struct inflight_split_entry) == 16 && sizeof(struct inflight_split) == 16, "vhost-user layout");
_Static_assert(sizeof(struct inflight_packed_entry) == 32 && sizeof(struct inflight_packed) == 32, "vhost-user layout");

enum {
	INFLIGHT_VERSION = 1,
	INFLIGHT_ALIGNMENT_BYTES = 64, /* of each queue's region, as libvhost-user and DPDK have it */
};

struct inflight_queue {
	union {
		struct inflight_split *split;
		struct inflight_packed *packed;
	};
	uint64_t counter;
	uint16_t size;		  /* entries */
	uint16_t last_batch_head; /* split */
	uint16_t free_head;	  /* packed */
	bool is_packed;
	bool drained; /* its ring was stopped by us with nothing in flight, and not started since */
	const bool *lost;
	/* Packed: our own copy of the links, [size] each, made when the queue is first recovered. */
	uint16_t *next;
	uint16_t *last;
};

/* Where the ring stands after recovery, and what is to be done again, oldest first. */
struct inflight_recovery {
	bool valid; /* the record was in use: next_used and in_flight_slots hold; else the ring stands where the peer says */
	uint16_t next_used;
	bool used_wrap;		  /* packed */
	uint16_t in_flight_slots; /* entries of the ring between next_used and next_avail */
	uint16_t count;
	uint16_t entries[VIRTQUEUE_SIZE_MAX]; /* split: heads; packed: entries of the record */
};

static inline void record_order(void)
{
	__asm__ volatile("" ::: "memory");
}

/*
 * Brings record and ring into agreement after a stop or a kill (ring_size <= entries of the record). An uninitialised record
 * (version 0) is initialised to an empty one that starts at next_used. -EINVAL when the content cannot be; -ENOMEM.
 */
int inflight_recover_split(struct inflight_queue *q, uint16_t ring_size, uint16_t ring_used_idx, struct inflight_recovery *out);
int inflight_recover_packed(struct inflight_queue *q, const struct vring_packed_desc *ring, uint16_t ring_size, uint16_t next_used,
			    bool used_wrap, struct inflight_recovery *out);
/*
 * The VMM knows where the ring stands, or says itself where it is to start: of a ring that was drained the record says no more.
 * Not before that: when the connection ends, the record alone tells a successor where a packed ring stands.
 */
void inflight_close(struct inflight_queue *q);

/* ---- split ---- */

/* False: this head is in flight already, the driver broke the ring. */
static inline bool inflight_split_take(struct inflight_queue *q, uint16_t head)
{
	struct inflight_split_entry *e = &q->split->desc[head];

	if (__builtin_expect(__atomic_load_n(&e->inflight, __ATOMIC_RELAXED) != 0, 0))
		return false;
	e->counter = q->counter++;
	record_order();
	e->inflight = 1;
	return true;
}

/* Before the used index moves: each head of the batch, then the batch. */
static inline void inflight_split_link(struct inflight_queue *q, uint16_t head)
{
	q->split->desc[head].next = q->last_batch_head;
	q->last_batch_head = head;
}

static inline void inflight_split_batch(struct inflight_queue *q)
{
	q->split->last_batch_head = q->last_batch_head;
	record_order();
}

/* After it has moved: each head, then the batch. */
static inline void inflight_split_drop(struct inflight_queue *q, uint16_t head)
{
	q->split->desc[head].inflight = 0;
}

static inline void inflight_split_commit(struct inflight_queue *q, uint16_t used_idx)
{
	record_order();
	q->split->used_idx = used_idx;
	record_order();
}

/* ---- packed ---- */

/* Records a chain of `count` ring descriptors; returns its entry. There are as many entries as slots: never full. */
static inline uint16_t inflight_packed_take(struct inflight_queue *q, const struct vring_packed_desc *descriptors, uint16_t count)
{
	struct inflight_packed *p = q->packed;
	uint16_t head = q->free_head, entry = head;

	p->desc[head].counter = q->counter++;
	p->desc[head].num = count;
	record_order();
	p->desc[head].inflight = 1;
	for (uint16_t i = 0; i < count; i++) {
		entry = q->free_head;
		p->desc[entry].addr = descriptors[i].addr;
		p->desc[entry].len = descriptors[i].len;
		p->desc[entry].flags = descriptors[i].flags;
		p->desc[entry].id = descriptors[i].id;
		q->free_head = q->next[entry];
	}
	p->desc[head].last = entry;
	q->last[head] = entry;
	p->free_head = q->free_head;
	record_order();
	p->old_free_head = q->free_head;
	record_order();
	return head;
}

static inline void inflight_packed_free(struct inflight_queue *q, uint16_t entry)
{
	uint16_t last = q->last[entry];

	q->next[last] = q->free_head;
	q->packed->desc[last].next = q->free_head;
	q->free_head = entry;
}

/* Before the first used descriptor is made visible: inflight_packed_free() of each of the batch, then this. */
static inline void inflight_packed_batch(struct inflight_queue *q, uint16_t next_used, bool used_wrap)
{
	union inflight_packed_used used = q->packed->used;

	used.used_idx = next_used;
	used.used_wrap_counter = used_wrap;
	q->packed->free_head = q->free_head;
	record_order();
	__atomic_store_n(&q->packed->used.word, used.word, __ATOMIC_RELAXED);
	record_order();
}

static inline void inflight_packed_drop(struct inflight_queue *q, uint16_t entry)
{
	q->packed->desc[entry].inflight = 0;
}

static inline void inflight_packed_commit(struct inflight_queue *q, uint16_t next_used, bool used_wrap)
{
	union inflight_packed_used used = {.used_idx = next_used,
					   .old_used_idx = next_used,
					   .used_wrap_counter = used_wrap,
					   .old_used_wrap_counter = used_wrap};

	record_order();
	q->packed->old_free_head = q->free_head;
	record_order();
	__atomic_store_n(&q->packed->used.word, used.word, __ATOMIC_RELAXED);
	record_order();
}

#endif
