/*
 * Packed virtqueues (VIRTIO 1.2, 2.8). A descriptor is available when its AVAIL flag equals the driver's wrap counter and its USED
 * flag does not. The driver writes the flags of a chain's head last, so that the rest can be read once the head is seen; each
 * chain's descriptors are copied, and what follows goes by the copy.
 */
#include "virtio/vring.h"

enum {
	FLAG_AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	FLAG_USED = 1 << VRING_PACKED_DESC_F_USED,
	USUAL_SLOTS = 3,
	TABLE_USUAL_BYTES = USUAL_SLOTS * sizeof(struct vring_packed_desc),
	PLAIN_SLOTS = 2,
	TABLE_PLAIN_BYTES = PLAIN_SLOTS * sizeof(struct vring_packed_desc),
	PREFETCH_SLOTS = 16, /* four lines ahead of the one being read */
};

static uint16_t available_flags(bool wrap)
{
	return wrap ? FLAG_AVAIL : FLAG_USED;
}

static struct vring_packed_desc read_packed(const void *p)
{
	uint64_t word = read_once64((const uint8_t *)p + 8);

	return (struct vring_packed_desc){
		.addr = read_once64(p), .len = (uint32_t)word, .id = (uint16_t)(word >> 32), .flags = (uint16_t)(word >> 48)};
}

static bool slot_available(const struct virtio_ring *r, uint16_t slot, bool wrap)
{
	uint16_t flags = __atomic_load_n(&r->packed[slot].flags, __ATOMIC_ACQUIRE);

	return (flags & (FLAG_AVAIL | FLAG_USED)) == available_flags(wrap);
}

bool ring_packed_has_more(const struct virtio_ring *r)
{
	return slot_available(r, r->next_avail, r->avail_wrap);
}

/* Copies the chain that starts at `slot` and says how many slots it takes; 0: broken. */
static uint16_t copy_chain(struct virtio_ring *r, uint16_t slot, struct vring_packed_desc *copies, uint16_t slots_max)
{
	for (uint16_t i = 0; i < slots_max; i++) {
		copies[i] = read_packed(&r->packed[slot]);
		if ((copies[i].flags & VRING_DESC_F_NEXT) == 0)
			return (uint16_t)(i + 1);
		if (++slot == r->size)
			slot = 0;
	}
	ring_break(r, "a chain longer than the ring");
	return 0;
}

static bool usual(struct virtio_ring *r, struct ring_chain *c, const struct vring_packed_desc *d)
{
	if (d[0].len != 16 || d[1].len == 0 || d[2].len != 1 ||
	    ((d[0].flags | d[1].flags | d[2].flags) & VRING_DESC_F_INDIRECT) != 0 || (d[0].flags & VRING_DESC_F_WRITE) != 0 ||
	    (d[2].flags & VRING_DESC_F_WRITE) == 0)
		return false;
	c->data_writable = (d[1].flags & VRING_DESC_F_WRITE) != 0;
	return ring_usual(r, c, d[0].addr, d[1].addr, d[1].len, d[2].addr);
}

/* The table of that size, if the chain is one; it is fetched meanwhile. */
static inline const void *find_table(struct virtio_ring *r, const struct ring_chain *c, uint32_t length_bytes)
{
	const uint8_t *table;

	if (c->slots != 1 || (c->packed->flags & VRING_DESC_F_INDIRECT) == 0 || c->packed->len != length_bytes || !r->indirect)
		return NULL;
	table = ring_host(r, c->packed->addr, length_bytes);
	if (table != NULL) {
		__builtin_prefetch(table);
		__builtin_prefetch(table + length_bytes - 1);
	}
	return table;
}

static bool usual_table(struct virtio_ring *r, struct ring_chain *c, const struct vring_packed_desc *table)
{
	struct vring_packed_desc d[USUAL_SLOTS];

	for (unsigned i = 0; i < USUAL_SLOTS; i++) {
		d[i] = read_packed(&table[i]);
		d[i].flags &= VRING_DESC_F_WRITE; /* 2.8.7: no other flag means anything here */
	}
	return usual(r, c, d);
}

unsigned ring_packed_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max)
{
	const void *tables[RING_BATCH_MAX];
	struct vring_packed_desc *copies = r->copies;
	uint16_t slot = r->next_avail, room = (uint16_t)(r->size - r->slots_in_flight);
	bool wrap = r->avail_wrap;
	unsigned count = 0;

	if (!slot_available(r, slot, wrap))
		return 0;
	ring_guess(r);
	for (; count < max && slot_available(r, slot, wrap); count++) {
		struct ring_chain *c = &chains[count];

		if (slot + PREFETCH_SLOTS < r->size)
			__builtin_prefetch(&r->packed[slot + PREFETCH_SLOTS]);
		c->packed = copies;
		c->slots = copy_chain(r, slot, copies, room);
		if (c->slots == 0)
			break;
		c->id = copies[c->slots - 1].id;
		c->taken = false;
		c->usual = c->slots == USUAL_SLOTS && usual(r, c, copies);
		tables[count] = find_table(r, c, TABLE_USUAL_BYTES);
		copies += c->slots;
		room = (uint16_t)(room - c->slots);
		slot = (uint16_t)(slot + c->slots);
		if (slot >= r->size) {
			slot = (uint16_t)(slot - r->size);
			wrap = !wrap;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (tables[i] != NULL)
			chains[i].usual = usual_table(r, &chains[i], tables[i]);
		if (chains[i].usual) {
			r->last_descriptor = tables[i];
			r->last_header = chains[i].header;
		}
	}
	return count;
}

static uint16_t plain_flags(const struct vring_packed_desc *d)
{
	return d->flags & (uint16_t) ~(FLAG_AVAIL | FLAG_USED);
}

/* Recognises what needs no table. */
static inline void plain(struct virtio_ring *r, struct ring_chain *c, uint16_t write)
{
	const struct vring_packed_desc *d = c->packed;

	c->usual = false;
	if (c->slots == 1 && plain_flags(d) == write)
		ring_plain_one(r, c, d[0].addr, d[0].len, write != 0);
	else if (c->slots == PLAIN_SLOTS && plain_flags(d) == (VRING_DESC_F_NEXT | write) && plain_flags(d + 1) == write)
		ring_plain_two(r, c, d[0].addr, d[0].len, d[1].addr, d[1].len, write != 0);
}

static inline void plain_table(struct virtio_ring *r, struct ring_chain *c, const struct vring_packed_desc *table, uint16_t write)
{
	struct vring_packed_desc one = read_packed(table), two = read_packed(table + 1);

	/* 2.8.7: no other flag means anything here. */
	if (r->reads_only || ((one.flags & VRING_DESC_F_WRITE) == write && (two.flags & VRING_DESC_F_WRITE) == write))
		ring_plain_two(r, c, one.addr, one.len, two.addr, two.len, write != 0);
}

unsigned ring_packed_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable)
{
	const void *tables[RING_BATCH_MAX];
	struct vring_packed_desc *copies = r->copies;
	uint16_t slot = r->next_avail, room = (uint16_t)(r->size - r->slots_in_flight), write = writable ? VRING_DESC_F_WRITE : 0;
	bool wrap = r->avail_wrap;
	unsigned count = 0;

	for (; count < max && slot_available(r, slot, wrap); count++) {
		struct ring_chain *c = &chains[count];

		if (slot + PREFETCH_SLOTS < r->size)
			__builtin_prefetch(&r->packed[slot + PREFETCH_SLOTS]);
		c->packed = copies;
		c->slots = copy_chain(r, slot, copies, room);
		if (c->slots == 0)
			break;
		c->id = copies[c->slots - 1].id;
		c->taken = false;
		plain(r, c, write);
		tables[count] = find_table(r, c, TABLE_PLAIN_BYTES);
		copies += c->slots;
		room = (uint16_t)(room - c->slots);
		slot = (uint16_t)(slot + c->slots);
		if (slot >= r->size) {
			slot = (uint16_t)(slot - r->size);
			wrap = !wrap;
		}
	}
	for (unsigned i = 0; i < count; i++)
		if (tables[i] != NULL)
			plain_table(r, &chains[i], tables[i], write);
	return count;
}

/* A predecessor had taken it: its slots may hold other things by now, its descriptors are those of the record. */
bool ring_packed_peek_entry(struct virtio_ring *r, uint16_t entry, struct ring_chain *chain)
{
	const struct inflight_packed_entry *records = r->inflight->packed->desc;
	uint16_t at = entry, slots = 0;

	for (;;) {
		const struct inflight_packed_entry *e = &records[at];

		if (slots == r->size)
			return ring_break(r, "the in-flight record changed under us");
		r->copies[slots++] = (struct vring_packed_desc){.addr = read_once64(&e->addr),
								.len = read_once32(&e->len),
								.id = read_once16(&e->id),
								.flags = read_once16(&e->flags)};
		if (at == r->inflight->last[entry])
			break;
		at = r->inflight->next[at];
	}
	*chain = (struct ring_chain){
		.id = r->copies[slots - 1].id, .slots = slots, .entry = entry, .taken = true, .packed = r->copies};
	return true;
}

/* 2.8.7: entries follow each other; WRITE is the only flag that means something in them. */
static bool expand_table(struct virtio_ring *r, const struct vring_packed_desc *reference, struct ring_segments *out)
{
	unsigned entries = ring_table_entries(r, reference->len);

	if (!r->indirect)
		return ring_break(r, "an indirect table though INDIRECT_DESC was not negotiated");
	for (unsigned i = 0; i < entries; i++) {
		struct vring_packed_desc d;

		if (!ring_copy_in(r, &d, reference->addr + i * sizeof(d), sizeof(d)))
			return ring_break(r, "an indirect table outside the guest's memory");
		if (!ring_segment_add(r, out, d.addr, d.len, !r->reads_only && (d.flags & VRING_DESC_F_WRITE) != 0))
			return false;
	}
	return entries != 0;
}

bool ring_packed_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out)
{
	out->count = 0;
	out->readable = 0;
	for (unsigned i = 0; i < chain->slots; i++) {
		const struct vring_packed_desc *d = &chain->packed[i];

		if ((d->flags & VRING_DESC_F_INDIRECT) != 0) {
			/* 2.8.19: not in a list that is linked by NEXT. */
			if (chain->slots != 1)
				return ring_break(r, "a descriptor with both NEXT and INDIRECT");
			return expand_table(r, d, out);
		}
		if (!ring_segment_add(r, out, d->addr, d->len, (d->flags & VRING_DESC_F_WRITE) != 0))
			return false;
	}
	return true;
}

/* One word, so that flags are never seen before length and id of the same descriptor. */
static void write_used(struct vring_packed_desc *slot, const struct ring_used *used, bool wrap)
{
	uint16_t flags = (uint16_t)((wrap ? FLAG_AVAIL | FLAG_USED : 0) | (used->length != 0 ? VRING_DESC_F_WRITE : 0));
	uint64_t word = used->length | (uint64_t)used->id << 32 | (uint64_t)flags << 48;

	__atomic_store_n((uint64_t *)(void *)&slot->len, word, __ATOMIC_RELEASE);
}

/* The first is kept back: the driver looks at that slot, and goes on from there. */
void ring_packed_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (r->hides) {
			write_used(&r->packed[r->next_used], &used[i], r->used_wrap);
		} else {
			r->hidden = used[i];
			r->hidden_slot = r->next_used;
			r->hidden_wrap = r->used_wrap;
			r->hides = true;
		}
		r->slots_in_flight = (uint16_t)(r->slots_in_flight - used[i].slots);
		r->next_used = (uint16_t)(r->next_used + used[i].slots);
		if (r->next_used >= r->size) {
			r->next_used = (uint16_t)(r->next_used - r->size);
			r->used_wrap = !r->used_wrap;
		}
	}
}

void ring_packed_show_used(struct virtio_ring *r)
{
	write_used(&r->packed[r->hidden_slot], &r->hidden, r->hidden_wrap);
	r->hides = false;
}

/* 2.8.9: what belongs together becomes visible with its first descriptor, which is written last. */
void ring_packed_use(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	struct inflight_queue *record = r->inflight;
	struct vring_packed_desc *first = &r->packed[r->next_used];
	bool first_wrap = r->used_wrap;

	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			write_used(&r->packed[r->next_used], &used[i], r->used_wrap);
		if (record != NULL)
			inflight_packed_free(record, used[i].entry);
		r->slots_in_flight = (uint16_t)(r->slots_in_flight - used[i].slots);
		r->next_used = (uint16_t)(r->next_used + used[i].slots);
		if (r->next_used >= r->size) {
			r->next_used = (uint16_t)(r->next_used - r->size);
			r->used_wrap = !r->used_wrap;
		}
	}
	if (record != NULL)
		inflight_packed_batch(record, r->next_used, r->used_wrap);
	write_used(first, &used[0], first_wrap);
	if (record == NULL)
		return;
	record_order();
	for (unsigned i = 0; i < count; i++)
		inflight_packed_drop(record, used[i].entry);
	inflight_packed_commit(record, r->next_used, r->used_wrap);
}

void ring_packed_unpublish(struct virtio_ring *r, uint16_t slots)
{
	uint16_t slot = r->next_used, mask = FLAG_AVAIL | FLAG_USED;
	bool wrap = r->used_wrap;

	for (; slots > 0; slots--) {
		uint16_t flags = read_once16(&r->packed[slot].flags);

		if ((flags & mask) == (wrap ? mask : 0))
			__atomic_store_n(&r->packed[slot].flags, (uint16_t)((flags & ~mask) | available_flags(wrap)),
					 __ATOMIC_RELAXED);
		if (++slot == r->size) {
			slot = 0;
			wrap = !wrap;
		}
	}
}

/* 2.8.10 and 2.7.10: has the slot that the driver waits for been passed since it was last looked at? */
bool ring_packed_wants_call(struct virtio_ring *r)
{
	uint16_t flags = read_once16(&r->driver_event->flags) & 3, event = read_once16(&r->driver_event->off_wrap);
	uint16_t slot = event & 0x7fff, old = r->signalled, now = r->next_used;
	bool valid = r->signalled_valid, event_wrap = event >> VRING_PACKED_EVENT_F_WRAP_CTR;

	r->signalled = now;
	r->signalled_valid = true;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !r->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (now <= old)
		old = (uint16_t)(old - r->size);
	if (event_wrap != r->used_wrap)
		slot = (uint16_t)(slot - r->size);
	return !valid || vring_need_event(slot, now, old);
}
