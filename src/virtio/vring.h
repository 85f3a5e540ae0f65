/*
 * Virtqueues, device side: split (VIRTIO 1.2, 2.7) and packed (2.8) behind one set of calls.
 *
 *	peek	looks at the next chains without taking them; the usual shape of a request is recognised at once, and its cache lines
 *		are on their way when the caller gets to them
 *		(peek_plain: the same for chains that go one way only, as packets do)
 *	expand	any other chain, descriptor by descriptor, into a list of segments
 *	take	the chain is ours: the ring's read index moves on, the in-flight record knows of it
 *	use	gives a batch of chains back, and keeps the record in step
 *		(write_used and show_used: the same in two steps, without a record)
 *
 * The rings are the guest's to write at any time. What decides something is read once, into a local, and checked there. A rule that
 * is broken sets `broken_why`, after which nothing more is read from that ring.
 */
#ifndef OUTBOARD_VIRTIO_VRING_H
#define OUTBOARD_VIRTIO_VRING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/guest_memory.h"
#include "virtio/inflight_queue.h"
#include "virtio/mapping_guard.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rings are little endian and read as they are"
#endif

enum {
	RING_BATCH_MAX = 32,
	/* A chain may be as long as the ring. Linux makes indirect tables of up to seg_max + 2 entries whatever the size of the
	 * ring (it does not heed 2.7.5.3.1 there), so that much is taken from any ring. */
	RING_CHAIN_MIN = 128,
};

struct ring_segment {
	uint64_t addr;
	uint32_t length;
};

struct ring_chain {
	uint16_t id;	/* what the guest knows it by: split: head descriptor; packed: buffer id */
	uint16_t slots; /* of the ring it occupies: split: 1 (of the available ring) */
	uint16_t entry; /* of the in-flight record, once taken */
	bool taken;	/* was taken by a predecessor: it stands in the in-flight record */

	/* Readable 16 bytes, some data, one writable byte, each within one region: all that most requests ever are.
	 * After ring_peek_plain(): one piece or two (data NULL: one), each within one region. */
	bool usual;
	bool data_writable;
	uint32_t header_length, data_length; /* the header's: only of peek_plain */
	uint8_t *header, *data, *status;

	struct vring_desc first;		/* split: the head */
	const struct vring_packed_desc *packed; /* packed: copies of its `slots` descriptors */
};

/* A chain in full: `readable` segments, then the writable ones. */
struct ring_segments {
	uint16_t count, readable;
	struct ring_segment segment[VIRTQUEUE_SIZE_MAX];
};

struct ring_used {
	uint16_t id;
	uint16_t slots;
	uint16_t entry;
	uint32_t length;
};

struct virtio_ring {
	union {
		const struct vring_desc *descriptors;
		struct vring_packed_desc *packed;
	};
	union {
		const struct vring_avail *avail;
		const struct vring_packed_desc_event *driver_event;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device_event;
	};
	struct guest_region region; /* the one that was hit last */
	const struct guest_memory *memory;
	struct inflight_queue *inflight; /* may be NULL */
	const char *broken_why;
	/* Where the last request's first lines were: at depth 1 a driver takes the same ones again. Only ever prefetched. */
	const void *last_descriptor, *last_header;
	uint16_t size;
	uint16_t chain_max;
	uint16_t avail_seen; /* split: the driver's index when we last looked */
	uint16_t next_avail; /* split: free-running; packed: slot */
	uint16_t next_used;
	uint16_t signalled; /* next_used when the guest was last told or found not to want it */
	uint16_t slots_in_flight;
	bool avail_wrap, used_wrap; /* packed */
	bool signalled_valid;
	bool is_packed, event_idx, indirect;
	/* The owner's: all that is made available is for the device to read. In packed tables WRITE is ignored then: DPDK's driver
	 * (22.11) leaves it set in the first entry, the net header's. */
	bool reads_only;
	struct vring_packed_desc *copies; /* packed: room for [size] descriptors, the caller's */

	/* Packed: the first used descriptor since the last ring_show_used(), which is written there. */
	struct ring_used hidden;
	uint16_t hidden_slot;
	bool hidden_wrap, hides;
};

/* Translates and checks the ring's addresses, and takes over what a predecessor left. `state` gives size, addresses and indices;
 * `features` the negotiated ones. `recovery` says what is to be done again. -EINVAL, -EFAULT, -ENOMEM. */
int ring_open(struct virtio_ring *r, const struct virtqueue_state *state, uint64_t features, const struct guest_memory *memory,
	      struct inflight_queue *inflight, struct inflight_recovery *recovery);
/* The indices for whoever serves it next. `empty`: nothing is in flight, nothing left in the record. */
void ring_close(struct virtio_ring *r, struct virtqueue_state *state, bool empty);

unsigned ring_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max);
/* Chains that are all readable, or all writable: `usual` when such a chain is one descriptor, or two (also in a table). The first
 * lines of the pieces are fetched. What is not taken may be peeked at again. */
unsigned ring_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable);
/* Chains that stand in the in-flight record. False when they cannot be read. */
bool ring_peek_entry(struct virtio_ring *r, uint16_t entry, struct ring_chain *chain);
bool ring_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out);
bool ring_take(struct virtio_ring *r, struct ring_chain *chain);
void ring_use(struct virtio_ring *r, const struct ring_used *used, unsigned count);
/* For a ring without a record. Between the two the driver sees none of it. */
void ring_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count);
void ring_show_used(struct virtio_ring *r); /* something was written since the last time */

/* Takes chains of `slots` together, without a record. */
static inline void ring_advance(struct virtio_ring *r, uint16_t slots)
{
	r->slots_in_flight = (uint16_t)(r->slots_in_flight + slots);
	r->next_avail = (uint16_t)(r->next_avail + slots);
	if (r->is_packed && r->next_avail >= r->size) {
		r->next_avail = (uint16_t)(r->next_avail - r->size);
		r->avail_wrap = !r->avail_wrap;
	}
}

/* The driver took its memory, or the record, away. */
static inline bool ring_lost(const struct virtio_ring *r)
{
	return mapping_lost(&r->memory->lost) || (r->inflight != NULL && mapping_lost(r->inflight->lost));
}

/* Chains that are known to wait after a peek that found `peeked`. A packed ring has no index that tells how many lie beyond. */
static inline unsigned ring_waiting(const struct virtio_ring *r, unsigned peeked)
{
	return r->is_packed || r->broken_why != NULL ? peeked : (uint16_t)(r->avail_seen - r->next_avail);
}

/* More was made available than was taken: as of the last peek where an index tells, else by a look. */
bool ring_knows_more(const struct virtio_ring *r);
/* The same by a fresh look. */
bool ring_has_more(struct virtio_ring *r);
/* After ring_use(): does the driver want to be called? */
bool ring_wants_call(struct virtio_ring *r);
void ring_ask_for_kick(struct virtio_ring *r); /* complete with respect to a following ring_has_more() */
void ring_ask_for_no_kick(struct virtio_ring *r);

/* ---- the two kinds; for vring.c ---- */
unsigned ring_split_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max);
unsigned ring_split_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable);
bool ring_split_peek_entry(struct virtio_ring *r, uint16_t head, struct ring_chain *chain);
bool ring_split_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out);
void ring_split_use(struct virtio_ring *r, const struct ring_used *used, unsigned count);
void ring_split_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count);
void ring_split_show_used(struct virtio_ring *r);
bool ring_split_wants_call(struct virtio_ring *r);

unsigned ring_packed_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max);
unsigned ring_packed_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable);
bool ring_packed_peek_entry(struct virtio_ring *r, uint16_t entry, struct ring_chain *chain);
bool ring_packed_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out);
void ring_packed_use(struct virtio_ring *r, const struct ring_used *used, unsigned count);
void ring_packed_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count);
void ring_packed_show_used(struct virtio_ring *r);
bool ring_packed_wants_call(struct virtio_ring *r);
bool ring_packed_has_more(const struct virtio_ring *r);
/* Used descriptors that were written and not made visible look available again. */
void ring_packed_unpublish(struct virtio_ring *r, uint16_t slots);

/* ---- reading the guest's memory ---- */

static inline uint16_t read_once16(const void *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
}

typedef uint64_t __attribute__((aligned(1), may_alias)) unaligned64;
typedef uint32_t __attribute__((aligned(1), may_alias)) unaligned32;

static inline uint64_t read_once64(const void *p)
{
	return *(const volatile unaligned64 *)p;
}

static inline uint32_t read_once32(const void *p)
{
	return *(const volatile unaligned32 *)p;
}

/* 16 bytes as two words, whatever their alignment. */
static inline struct vring_desc read_descriptor(const void *p)
{
	uint64_t word = read_once64((const uint8_t *)p + 8);

	return (struct vring_desc){
		.addr = read_once64(p), .len = (uint32_t)word, .flags = (uint16_t)(word >> 32), .next = (uint16_t)(word >> 48)};
}

static inline bool ring_break(struct virtio_ring *r, const char *why)
{
	if (r->broken_why == NULL)
		r->broken_why = why;
	return false;
}

/* Host address of a range that lies in one region; NULL otherwise. */
static inline uint8_t *ring_host(struct virtio_ring *r, uint64_t addr, uint64_t length)
{
	uint64_t offset = addr - r->region.guest_addr;

	if (__builtin_expect(offset < r->region.size_bytes && length <= r->region.size_bytes - offset, 1))
		return r->region.host + offset;
	for (uint32_t i = 0; i < r->memory->count; i++) {
		const struct guest_region *region = &r->memory->regions[i];

		offset = addr - region->guest_addr;
		if (offset < region->size_bytes && length <= region->size_bytes - offset) {
			r->region = *region;
			return region->host + offset;
		}
	}
	return NULL;
}

/* Copies from guest memory, over region borders. False: not all of it is there. */
bool ring_copy_in(const struct virtio_ring *r, void *to, uint64_t addr, uint64_t length);

/* One descriptor more for an expanded chain; false (broken) when it may not be there. */
bool ring_segment_add(struct virtio_ring *r, struct ring_segments *s, uint64_t addr, uint32_t length, bool writable);

/* Length of an indirect table in entries; 0 (broken) when it is none. */
unsigned ring_table_entries(struct virtio_ring *r, uint32_t length_bytes);

/* A request is there: its lines are most likely those of the last, and can all be on their way before they are known. */
static inline void ring_guess(const struct virtio_ring *r)
{
	__builtin_prefetch(r->last_descriptor);
	__builtin_prefetch(r->last_header);
}

/* Is it the usual shape? Its lines are fetched meanwhile: the header to be read, the status byte to be written. */
static inline bool ring_usual(struct virtio_ring *r, struct ring_chain *c, uint64_t header, uint64_t data, uint32_t data_length,
			      uint64_t status)
{
	c->header = ring_host(r, header, 16);
	c->status = ring_host(r, status, 1);
	c->data = ring_host(r, data, data_length);
	c->data_length = data_length;
	if (__builtin_expect(c->header == NULL || c->status == NULL || c->data == NULL, 0))
		return false;
	__builtin_prefetch(c->header);
	__builtin_prefetch(c->status, 1);
	return true;
}

enum { PLAIN_PREFETCH_BYTES = 320 }; /* a net header, the head of a frame, and what lies askew */

static inline void ring_prefetch_plain(const uint8_t *p, uint32_t length, bool writable)
{
	uint32_t bytes = length < PLAIN_PREFETCH_BYTES ? length : PLAIN_PREFETCH_BYTES;

	if (writable) { /* one line: most frames that come are small, and long ones stream */
		__builtin_prefetch(p, 1);
		__builtin_prefetch(p + 64, 1);
		return;
	}
	for (uint32_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(p + at);
	__builtin_prefetch(p + bytes - 1);
}

static inline void ring_plain_one(struct virtio_ring *r, struct ring_chain *c, uint64_t addr, uint32_t length, bool writable)
{
	c->header = ring_host(r, addr, length);
	c->header_length = length;
	c->data = NULL;
	c->data_length = 0;
	c->usual = c->header != NULL && length != 0;
	if (c->usual)
		ring_prefetch_plain(c->header, length, writable);
}

static inline void ring_plain_two(struct virtio_ring *r, struct ring_chain *c, uint64_t addr, uint32_t length, uint64_t data,
				  uint32_t data_length, bool writable)
{
	c->header = ring_host(r, addr, length);
	c->header_length = length;
	c->data = ring_host(r, data, data_length);
	c->data_length = data_length;
	c->usual = c->header != NULL && c->data != NULL && length != 0 && data_length != 0;
	if (!c->usual)
		return;
	__builtin_prefetch(c->header);
	ring_prefetch_plain(c->data, data_length, writable);
}

#endif
