/* Split virtqueues (VIRTIO 1.2, 2.7). */
#include "virtio/vring.h"

enum {
	TABLE_USUAL_BYTES = 3 * sizeof(struct vring_desc),
	TABLE_PLAIN_BYTES = 2 * sizeof(struct vring_desc),
};

/* Three descriptors of the usual request, as read: flags and lengths say so? */
static bool usual_lengths(const struct vring_desc *header, const struct vring_desc *data, const struct vring_desc *status)
{
	return header->flags == VRING_DESC_F_NEXT && header->len == 16 && data->len != 0 &&
	       (data->flags & ~VRING_DESC_F_WRITE) == VRING_DESC_F_NEXT && status->flags == VRING_DESC_F_WRITE && status->len == 1;
}

/* Where the second descriptor will be read: an indirect table, or the next in the ring's own. */
static const void *follow(struct virtio_ring *r, const struct vring_desc *first)
{
	if ((first->flags & ~VRING_DESC_F_WRITE) == VRING_DESC_F_INDIRECT && first->len == TABLE_USUAL_BYTES && r->indirect)
		return ring_host(r, first->addr, TABLE_USUAL_BYTES);
	if (first->flags == VRING_DESC_F_NEXT && first->next < r->size)
		return &r->descriptors[first->next];
	return NULL;
}

static bool recognise(struct virtio_ring *r, struct ring_chain *c, const struct vring_desc *second)
{
	struct vring_desc header = c->first, data, status;

	if ((c->first.flags & VRING_DESC_F_INDIRECT) != 0) {
		header = read_descriptor(second);
		data = read_descriptor(second + 1);
		status = read_descriptor(second + 2);
		if (header.next != 1 || data.next != 2)
			return false;
	} else {
		data = read_descriptor(second);
		if (data.next >= r->size)
			return false;
		status = read_descriptor(&r->descriptors[data.next]);
	}
	if (!usual_lengths(&header, &data, &status))
		return false;
	c->data_writable = (data.flags & VRING_DESC_F_WRITE) != 0;
	return ring_usual(r, c, header.addr, data.addr, data.len, status.addr);
}

/* How many chains are to be looked at. */
static inline unsigned available(struct virtio_ring *r, unsigned max)
{
	unsigned count;

	r->avail_seen = __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE);
	count = (uint16_t)(r->avail_seen - r->next_avail);
	/* 2.7.13.3: idx goes up by what is made available; more than the ring holds, with what is in flight, never can be. */
	if (__builtin_expect((uint16_t)(r->avail_seen - r->next_used) > r->size, 0)) {
		ring_break(r, "the available index jumped by more than the size of the ring");
		return 0;
	}
	return count < max ? count : max;
}

/* The heads of the next chains; their descriptors are fetched. Less than `count` when the ring breaks there. */
static inline unsigned read_heads(struct virtio_ring *r, struct ring_chain *chains, unsigned count)
{
	uint16_t mask = (uint16_t)(r->size - 1);

	for (unsigned i = 0; i < count; i++) {
		uint16_t head = read_once16(&r->avail->ring[(uint16_t)(r->next_avail + i) & mask]);

		if (__builtin_expect(head >= r->size, 0)) {
			ring_break(r, "a head in the available ring is beyond the descriptor table");
			return i;
		}
		chains[i].id = head;
		__builtin_prefetch(&r->descriptors[head]);
	}
	return count;
}

static inline void read_head(struct virtio_ring *r, struct ring_chain *c)
{
	c->slots = 1;
	c->taken = false;
	c->first = read_descriptor(&r->descriptors[c->id]);
}

unsigned ring_split_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max)
{
	const void *second[RING_BATCH_MAX];
	unsigned count = available(r, max);

	if (count > 0)
		ring_guess(r);
	count = read_heads(r, chains, count);
	for (unsigned i = 0; i < count; i++) {
		read_head(r, &chains[i]);
		second[i] = follow(r, &chains[i].first);
		if (second[i] == NULL)
			continue;
		__builtin_prefetch(second[i]);
		__builtin_prefetch((const uint8_t *)second[i] + TABLE_USUAL_BYTES - 1);
	}
	for (unsigned i = 0; i < count; i++) {
		chains[i].usual = second[i] != NULL && recognise(r, &chains[i], second[i]);
		if (chains[i].usual) {
			r->last_descriptor = second[i];
			r->last_header = chains[i].header;
		}
	}
	return count;
}

/* Where the second of two descriptors will be read. */
static const void *follow_plain(struct virtio_ring *r, const struct vring_desc *first, uint16_t write)
{
	if (first->flags == VRING_DESC_F_INDIRECT && first->len == TABLE_PLAIN_BYTES && r->indirect)
		return ring_host(r, first->addr, TABLE_PLAIN_BYTES);
	if (first->flags == (VRING_DESC_F_NEXT | write) && first->next < r->size)
		return &r->descriptors[first->next];
	return NULL;
}

static void recognise_plain(struct virtio_ring *r, struct ring_chain *c, const struct vring_desc *second, uint16_t write)
{
	struct vring_desc one = c->first, two;

	if ((c->first.flags & VRING_DESC_F_INDIRECT) != 0) {
		one = read_descriptor(second++);
		if (one.flags != (VRING_DESC_F_NEXT | write) || one.next != 1)
			return;
	}
	two = read_descriptor(second);
	if (two.flags == write)
		ring_plain_two(r, c, one.addr, one.len, two.addr, two.len, write != 0);
}

unsigned ring_split_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable)
{
	const void *second[RING_BATCH_MAX];
	uint16_t write = writable ? VRING_DESC_F_WRITE : 0;
	unsigned count = read_heads(r, chains, available(r, max));

	for (unsigned i = 0; i < count; i++) {
		struct ring_chain *c = &chains[i];

		read_head(r, c);
		if (c->first.flags == write) {
			second[i] = NULL;
			ring_plain_one(r, c, c->first.addr, c->first.len, writable);
		} else {
			second[i] = follow_plain(r, &c->first, write);
			__builtin_prefetch(second[i]);
			c->usual = false;
		}
	}
	for (unsigned i = 0; i < count; i++)
		if (second[i] != NULL)
			recognise_plain(r, &chains[i], second[i], write);
	return count;
}

bool ring_split_peek_entry(struct virtio_ring *r, uint16_t head, struct ring_chain *chain)
{
	*chain = (struct ring_chain){
		.id = head, .slots = 1, .entry = head, .taken = true, .first = read_descriptor(&r->descriptors[head])};
	return true;
}

/* 2.7.5.3: entries are linked by `next`, within the table. */
static bool expand_table(struct virtio_ring *r, const struct vring_desc *reference, struct ring_segments *out)
{
	unsigned entries = ring_table_entries(r, reference->len), next = 0;

	if (!r->indirect)
		return ring_break(r, "an indirect table though INDIRECT_DESC was not negotiated");
	if ((reference->flags & VRING_DESC_F_NEXT) != 0)
		return ring_break(r, "a descriptor with both NEXT and INDIRECT");
	for (unsigned i = 0; i < entries; i++) {
		struct vring_desc d;

		if (!ring_copy_in(r, &d, reference->addr + next * sizeof(d), sizeof(d)))
			return ring_break(r, "an indirect table outside the guest's memory");
		if ((d.flags & VRING_DESC_F_INDIRECT) != 0)
			return ring_break(r, "an indirect table within an indirect table");
		if (!ring_segment_add(r, out, d.addr, d.len, (d.flags & VRING_DESC_F_WRITE) != 0))
			return false;
		if ((d.flags & VRING_DESC_F_NEXT) == 0)
			return true;
		next = d.next;
		if (next >= entries)
			return ring_break(r, "an indirect descriptor that leads out of its table");
	}
	return entries != 0 && ring_break(r, "a loop in an indirect table");
}

bool ring_split_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out)
{
	struct vring_desc d = chain->first;

	out->count = 0;
	out->readable = 0;
	for (unsigned i = 0; i < r->size; i++) {
		/* 2.7.5.3.2: ordinary descriptors may come before the one that refers to a table. */
		if ((d.flags & VRING_DESC_F_INDIRECT) != 0)
			return expand_table(r, &d, out);
		if (!ring_segment_add(r, out, d.addr, d.len, (d.flags & VRING_DESC_F_WRITE) != 0))
			return false;
		if ((d.flags & VRING_DESC_F_NEXT) == 0)
			return true;
		if (d.next >= r->size)
			return ring_break(r, "a descriptor that leads out of the table");
		d = read_descriptor(&r->descriptors[d.next]);
	}
	return ring_break(r, "a chain longer than the ring, or a loop");
}

static inline void write_element(struct virtio_ring *r, uint16_t index, const struct ring_used *used)
{
	uint16_t mask = (uint16_t)(r->size - 1);

	*(volatile unaligned64 *)&r->used->ring[index & mask] = used->id | (uint64_t)used->length << 32;
}

void ring_split_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		write_element(r, (uint16_t)(r->next_used + i), &used[i]);
	r->next_used = (uint16_t)(r->next_used + count);
	r->slots_in_flight = (uint16_t)(r->slots_in_flight - count);
}

void ring_split_show_used(struct virtio_ring *r)
{
	__atomic_store_n(&r->used->idx, r->next_used, __ATOMIC_RELEASE);
}

void ring_split_use(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	struct inflight_queue *record = r->inflight;

	for (unsigned i = 0; i < count; i++) {
		write_element(r, (uint16_t)(r->next_used + i), &used[i]);
		if (record != NULL)
			inflight_split_link(record, used[i].entry);
	}
	if (record != NULL)
		inflight_split_batch(record);
	r->next_used = (uint16_t)(r->next_used + count);
	r->slots_in_flight = (uint16_t)(r->slots_in_flight - count);
	__atomic_store_n(&r->used->idx, r->next_used, __ATOMIC_RELEASE);
	if (record == NULL)
		return;
	record_order();
	for (unsigned i = 0; i < count; i++)
		inflight_split_drop(record, used[i].entry);
	inflight_split_commit(record, r->next_used);
}

bool ring_split_wants_call(struct virtio_ring *r)
{
	uint16_t old = r->signalled;
	bool valid = r->signalled_valid;

	if (!r->event_idx)
		return (read_once16(&r->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
	r->signalled = r->next_used;
	r->signalled_valid = true;
	return !valid || vring_need_event(read_once16(&r->avail->ring[r->size]), r->next_used, old);
}
