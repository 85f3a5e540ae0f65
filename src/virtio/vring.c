#include "virtio/vring.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

bool ring_copy_in(const struct virtio_ring *r, void *to, uint64_t addr, uint64_t length)
{
	uint8_t *out = to;

	while (length > 0) {
		uint64_t part = length;
		const void *from = guest_memory_at(r->memory, addr, &part);

		if (from == NULL)
			return false;
		memcpy(out, from, part);
		out += part;
		addr += part;
		length -= part;
	}
	/* The copy is what counts from here on: the compiler may not go back to the guest's memory for it. */
	__asm__ volatile("" : : "r"(to) : "memory");
	return true;
}

bool ring_segment_add(struct virtio_ring *r, struct ring_segments *s, uint64_t addr, uint32_t length, bool writable)
{
	if (s->count == r->chain_max)
		return ring_break(r, "a chain longer than the ring, or a loop");
	/* 2.7.4.2, 2.8.17: what the device writes comes after all that it reads. */
	if (!writable && s->readable != s->count)
		return ring_break(r, "a readable descriptor after a writable one");
	s->segment[s->count++] = (struct ring_segment){.addr = addr, .length = length};
	if (!writable)
		s->readable++;
	return true;
}

unsigned ring_table_entries(struct virtio_ring *r, uint32_t length_bytes)
{
	unsigned entries = length_bytes / sizeof(struct vring_desc);

	if (length_bytes % sizeof(struct vring_desc) != 0 || entries == 0 || entries > r->chain_max) {
		ring_break(r, "an indirect table that is empty, too long, or not a whole number of descriptors");
		return 0;
	}
	return entries;
}

unsigned ring_peek(struct virtio_ring *r, struct ring_chain *chains, unsigned max)
{
	if (r->broken_why != NULL)
		return 0;
	return r->is_packed ? ring_packed_peek(r, chains, max) : ring_split_peek(r, chains, max);
}

unsigned ring_peek_plain(struct virtio_ring *r, struct ring_chain *chains, unsigned max, bool writable)
{
	if (r->broken_why != NULL)
		return 0;
	return r->is_packed ? ring_packed_peek_plain(r, chains, max, writable) : ring_split_peek_plain(r, chains, max, writable);
}

bool ring_peek_entry(struct virtio_ring *r, uint16_t entry, struct ring_chain *chain)
{
	return r->is_packed ? ring_packed_peek_entry(r, entry, chain) : ring_split_peek_entry(r, entry, chain);
}

bool ring_expand(struct virtio_ring *r, const struct ring_chain *chain, struct ring_segments *out)
{
	return r->is_packed ? ring_packed_expand(r, chain, out) : ring_split_expand(r, chain, out);
}

static bool take_split(struct virtio_ring *r, struct ring_chain *chain)
{
	chain->entry = chain->id;
	if (r->inflight != NULL && !inflight_split_take(r->inflight, chain->id))
		return ring_break(r, "a head was made available while it was in flight");
	ring_advance(r, 1);
	return true;
}

static bool take_packed(struct virtio_ring *r, struct ring_chain *chain)
{
	if (r->inflight != NULL)
		chain->entry = inflight_packed_take(r->inflight, chain->packed, chain->slots);
	ring_advance(r, chain->slots);
	return true;
}

bool ring_take(struct virtio_ring *r, struct ring_chain *chain)
{
	if (chain->taken)
		return true;
	return r->is_packed ? take_packed(r, chain) : take_split(r, chain);
}

void ring_use(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	if (r->is_packed)
		ring_packed_use(r, used, count);
	else
		ring_split_use(r, used, count);
}

void ring_write_used(struct virtio_ring *r, const struct ring_used *used, unsigned count)
{
	if (r->is_packed)
		ring_packed_write_used(r, used, count);
	else
		ring_split_write_used(r, used, count);
}

void ring_show_used(struct virtio_ring *r)
{
	if (r->is_packed)
		ring_packed_show_used(r);
	else
		ring_split_show_used(r);
}

bool ring_knows_more(const struct virtio_ring *r)
{
	if (r->broken_why != NULL)
		return false;
	return r->is_packed ? ring_packed_has_more(r) : r->avail_seen != r->next_avail;
}

bool ring_has_more(struct virtio_ring *r)
{
	if (r->broken_why != NULL)
		return false;
	if (r->is_packed)
		return ring_packed_has_more(r);
	return __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) != r->next_avail;
}

bool ring_wants_call(struct virtio_ring *r)
{
	/* 2.7.7.2: the used index must be visible before the driver's wish is looked at. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return r->is_packed ? ring_packed_wants_call(r) : ring_split_wants_call(r);
}

/* The 16-bit word behind the used ring (2.7.8): the index at whose passing the driver is to kick. */
static void set_avail_event(struct virtio_ring *r, uint16_t index)
{
	__atomic_store_n((uint16_t *)(void *)&r->used->ring[r->size], index, __ATOMIC_RELAXED);
}

void ring_ask_for_kick(struct virtio_ring *r)
{
	if (r->is_packed && r->event_idx) {
		uint16_t off_wrap = (uint16_t)(r->next_avail | r->avail_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);

		__atomic_store_n(&r->device_event->off_wrap, off_wrap, __ATOMIC_RELAXED);
		__atomic_store_n(&r->device_event->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_RELEASE);
	} else if (r->is_packed) {
		__atomic_store_n(&r->device_event->flags, VRING_PACKED_EVENT_FLAG_ENABLE, __ATOMIC_RELAXED);
	} else if (r->event_idx) {
		set_avail_event(r, r->next_avail);
	} else {
		__atomic_store_n(&r->used->flags, 0, __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_ask_for_no_kick(struct virtio_ring *r)
{
	if (r->is_packed)
		__atomic_store_n(&r->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE, __ATOMIC_RELAXED);
	else if (r->event_idx)
		set_avail_event(r, (uint16_t)(r->next_avail - 1)); /* as far away as can be */
	else
		__atomic_store_n(&r->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

static int open_split(struct virtio_ring *r, const struct virtqueue_state *state, struct inflight_recovery *recovery)
{
	uint64_t avail_bytes = sizeof(*r->avail) + (r->size + UINT64_C(1)) * sizeof(r->avail->ring[0]);
	uint64_t used_bytes = sizeof(*r->used) + r->size * sizeof(r->used->ring[0]) + sizeof(uint16_t);
	int err = 0;

	if ((r->size & (r->size - 1)) != 0 || state->descriptor_user_addr % VRING_DESC_ALIGN_SIZE != 0 ||
	    state->driver_user_addr % VRING_AVAIL_ALIGN_SIZE != 0 || state->device_user_addr % VRING_USED_ALIGN_SIZE != 0)
		return -EINVAL;
	r->descriptors = guest_memory_user_at(r->memory, state->descriptor_user_addr, r->size * sizeof(*r->descriptors));
	r->avail = guest_memory_user_at(r->memory, state->driver_user_addr, avail_bytes);
	r->used = guest_memory_user_at(r->memory, state->device_user_addr, used_bytes);
	if (r->descriptors == NULL || r->avail == NULL || r->used == NULL)
		return -EFAULT;
	/* The ring itself says what was used; what the VMM says (SET_VRING_BASE) is the same after an orderly stop, and after a
	 * crash older. Whatever the driver had made available since and stands in no record, nobody has begun. */
	r->next_used = read_once16(&r->used->idx);
	if (r->inflight != NULL)
		err = inflight_recover_split(r->inflight, r->size, r->next_used, recovery);
	r->slots_in_flight = recovery->in_flight_slots;
	r->next_avail = (uint16_t)(r->next_used + recovery->in_flight_slots);
	r->avail_seen = r->next_avail;
	return err;
}

static int open_packed(struct virtio_ring *r, const struct virtqueue_state *state, struct inflight_recovery *recovery)
{
	uint16_t slots;
	int err = 0;

	if (state->descriptor_user_addr % VRING_DESC_ALIGN_SIZE != 0 ||
	    (state->driver_user_addr | state->device_user_addr) % 4 != 0)
		return -EINVAL;
	r->packed = guest_memory_user_at(r->memory, state->descriptor_user_addr, r->size * sizeof(*r->packed));
	r->driver_event = guest_memory_user_at(r->memory, state->driver_user_addr, sizeof(*r->driver_event));
	r->device_event = guest_memory_user_at(r->memory, state->device_user_addr, sizeof(*r->device_event));
	if (r->packed == NULL || r->driver_event == NULL || r->device_event == NULL)
		return -EFAULT;
	r->next_used = state->next_used & 0x7fff;
	r->used_wrap = state->next_used >> VRING_PACKED_EVENT_F_WRAP_CTR;
	if (r->next_used >= r->size)
		return -EINVAL;
	if (r->inflight != NULL)
		err = inflight_recover_packed(r->inflight, r->packed, r->size, r->next_used, r->used_wrap, recovery);
	if (err < 0)
		return err;
	if (recovery->valid) {
		r->next_used = recovery->next_used;
		r->used_wrap = recovery->used_wrap;
	}
	slots = recovery->in_flight_slots;
	r->slots_in_flight = slots;
	r->next_avail = (uint16_t)(r->next_used + slots);
	r->avail_wrap = r->used_wrap;
	if (r->next_avail >= r->size) {
		r->next_avail = (uint16_t)(r->next_avail - r->size);
		r->avail_wrap = !r->avail_wrap;
	}
	ring_packed_unpublish(r, slots);
	return 0;
}

int ring_open(struct virtio_ring *r, const struct virtqueue_state *state, uint64_t features, const struct guest_memory *memory,
	      struct inflight_queue *inflight, struct inflight_recovery *recovery)
{
	memset(r, 0, sizeof(*r));
	recovery->valid = false;
	recovery->count = 0;
	recovery->in_flight_slots = 0;
	if (state->size == 0 || state->size > VIRTQUEUE_SIZE_MAX)
		return -EINVAL;
	r->memory = memory;
	r->inflight = inflight;
	if (inflight != NULL)
		inflight->drained = false;
	r->size = (uint16_t)state->size;
	r->chain_max = r->size > RING_CHAIN_MIN ? r->size : RING_CHAIN_MIN;
	r->event_idx = (features >> VIRTIO_RING_F_EVENT_IDX) & 1;
	r->indirect = (features >> VIRTIO_RING_F_INDIRECT_DESC) & 1;
	r->is_packed = (features >> VIRTIO_F_RING_PACKED) & 1;
	return r->is_packed ? open_packed(r, state, recovery) : open_split(r, state, recovery);
}

void ring_close(struct virtio_ring *r, struct virtqueue_state *state, bool empty)
{
	state->next_avail = r->next_avail;
	state->next_used = r->next_used;
	if (r->is_packed) {
		state->next_avail = (uint16_t)(r->next_avail | r->avail_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
		state->next_used = (uint16_t)(r->next_used | r->used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
	}
	if (r->inflight != NULL)
		r->inflight->drained = empty;
}
