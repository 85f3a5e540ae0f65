/*
 * The packed virtqueue, driver's side (VIRTIO 1.2, section 2.8). A batch is published by the flags of its first descriptor,
 * written last: until then the back end stops at that slot, so the order of the other stores does not matter.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load/driver_ring_kinds.h"

enum {
	AREA_ALIGN_BYTES = 128,
	FLAG_AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	FLAG_USED = 1 << VRING_PACKED_DESC_F_USED,
};

int packed_ring_create(struct driver_ring *ring, struct shared_memory *memory)
{
	uint64_t size = ring->size;
	size_t segments_max = ring->config.indirect ? 1 : ring->config.segments_max;

	ring->packed.desc = shared_memory_take(memory, size * sizeof(struct vring_packed_desc), AREA_ALIGN_BYTES);
	ring->packed.driver_event = shared_memory_take(memory, sizeof(struct vring_packed_desc_event), AREA_ALIGN_BYTES);
	ring->packed.device_event = shared_memory_take(memory, sizeof(struct vring_packed_desc_event), AREA_ALIGN_BYTES);
	ring->packed.templates = calloc(ring->config.chain_count * segments_max, sizeof(struct vring_packed_desc));
	ring->slots_of = calloc(ring->config.chain_count, sizeof(*ring->slots_of));
	if (ring->packed.desc == NULL || ring->packed.driver_event == NULL || ring->packed.device_event == NULL ||
	    ring->packed.templates == NULL || ring->slots_of == NULL)
		return -ENOMEM;
	packed_ring_restart(ring);
	return 0;
}

void packed_ring_restart(struct driver_ring *ring)
{
	ring->packed.next_avail = 0;
	ring->packed.next_used = 0;
	ring->packed.posted_slots = 0;
	ring->packed.avail_wrap = true; /* 2.8.1: both counters start at 1 */
	ring->packed.used_wrap = true;
	memset(ring->packed.desc, 0, ring->size * sizeof(struct vring_packed_desc));
	memset(ring->packed.device_event, 0, sizeof(struct vring_packed_desc_event));
	packed_ring_calls(ring, false);
}

static struct vring_packed_desc *template_of(const struct driver_ring *ring, uint16_t chain)
{
	return ring->packed.templates + (uint32_t)chain * (ring->config.indirect ? 1u : ring->config.segments_max);
}

void packed_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count)
{
	struct vring_packed_desc *t = template_of(ring, chain);

	for (unsigned i = 0; i < count; i++) {
		unsigned flags = segments[i].device_writes ? VRING_DESC_F_WRITE : 0u;

		if (ring->config.indirect)
			flags |= VRING_DESC_F_INDIRECT;
		if (i + 1 < count)
			flags |= VRING_DESC_F_NEXT;
		t[i].addr = shared_memory_guest_address(ring->memory, segments[i].data);
		t[i].len = segments[i].length_bytes;
		t[i].id = chain;
		t[i].flags = (uint16_t)flags;
	}
	ring->slots_of[chain] = (uint16_t)count;
}

void packed_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count)
{
	struct vring_packed_desc *first = &ring->packed.desc[ring->packed.next_avail];
	uint16_t next = ring->packed.next_avail, slots = 0, first_flags = 0;
	uint16_t wrap_flags = ring->packed.avail_wrap ? FLAG_AVAIL : FLAG_USED;

	for (unsigned i = 0; i < count; i++) {
		const struct vring_packed_desc *t = template_of(ring, chains[i]);

		for (unsigned k = 0; k < ring->slots_of[chains[i]]; k++) {
			struct vring_packed_desc *d = &ring->packed.desc[next];
			uint16_t flags = (uint16_t)(t[k].flags | wrap_flags);

			d->addr = t[k].addr;
			d->len = t[k].len;
			d->id = t[k].id;
			if (d == first)
				first_flags = flags;
			else
				d->flags = flags;
			slots++;
			if (++next == ring->size) {
				next = 0;
				ring->packed.avail_wrap = !ring->packed.avail_wrap;
				wrap_flags = ring->packed.avail_wrap ? FLAG_AVAIL : FLAG_USED;
			}
		}
		ring->posted[chains[i]] = 1;
	}
	ring->packed.next_avail = next;
	ring->packed.posted_slots = (uint16_t)(ring->packed.posted_slots + slots);
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

bool packed_ring_kick_wanted(struct driver_ring *ring)
{
	uint16_t flags = __atomic_load_n(&ring->packed.device_event->flags, __ATOMIC_RELAXED);
	uint16_t off_wrap = __atomic_load_n(&ring->packed.device_event->off_wrap, __ATOMIC_RELAXED);
	uint16_t now = ring->packed.next_avail, before = (uint16_t)(now - ring->packed.posted_slots);
	uint16_t event = off_wrap & (uint16_t)((1 << VRING_PACKED_EVENT_F_WRAP_CTR) - 1);

	ring->packed.posted_slots = 0;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if ((off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR) != ring->packed.avail_wrap)
		event = (uint16_t)(event - ring->size); /* a slot of the lap before this one */
	return vring_need_event(event, now, before);
}

static bool slot_used(const struct driver_ring *ring)
{
	uint16_t flags = __atomic_load_n(&ring->packed.desc[ring->packed.next_used].flags, __ATOMIC_ACQUIRE);
	bool avail = (flags & FLAG_AVAIL) != 0, used = (flags & FLAG_USED) != 0;

	return avail == used && used == ring->packed.used_wrap;
}

bool packed_ring_completed(const struct driver_ring *ring)
{
	return slot_used(ring);
}

unsigned packed_ring_reap(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max)
{
	unsigned count = 0;

	while (count < max && count < ring->in_flight && slot_used(ring)) {
		uint16_t chain = __atomic_load_n(&ring->packed.desc[ring->packed.next_used].id, __ATOMIC_RELAXED);

		if (chain >= ring->config.chain_count || !ring->posted[chain]) {
			ring->broken = chain >= ring->config.chain_count ? "it completed a buffer id that does not exist"
									 : "it completed a buffer id that is not in flight";
			break;
		}
		if (lengths != NULL) {
			lengths[count] = __atomic_load_n(&ring->packed.desc[ring->packed.next_used].len, __ATOMIC_RELAXED);
			if (!driver_ring_length_fits(ring, chain, lengths[count]))
				break;
		}
		ring->posted[chain] = 0;
		chains[count++] = chain;
		ring->packed.next_used = (uint16_t)(ring->packed.next_used + ring->slots_of[chain]);
		if (ring->packed.next_used >= ring->size) {
			ring->packed.next_used = (uint16_t)(ring->packed.next_used - ring->size);
			ring->packed.used_wrap = !ring->packed.used_wrap;
		}
	}
	return count;
}

void packed_ring_calls(struct driver_ring *ring, bool wanted)
{
	uint16_t off_wrap = (uint16_t)(ring->packed.next_used | ring->packed.used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
	uint16_t enable = ring->config.event_idx ? VRING_PACKED_EVENT_FLAG_DESC : VRING_PACKED_EVENT_FLAG_ENABLE;

	__atomic_store_n(&ring->packed.driver_event->off_wrap, off_wrap, __ATOMIC_RELAXED);
	__atomic_store_n(&ring->packed.driver_event->flags, wanted ? enable : VRING_PACKED_EVENT_FLAG_DISABLE, __ATOMIC_RELEASE);
}
