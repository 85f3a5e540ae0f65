/* The split virtqueue, driver's side (VIRTIO 1.2, section 2.7). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load/driver_ring_kinds.h"

enum {
	AREA_ALIGN_BYTES = 128
}; /* keeps the two sides' writes in different lines (and their neighbours, which prefetch together) */

static uint16_t *used_event(const struct driver_ring *ring)
{
	return &ring->split.avail->ring[ring->size];
}

static const uint16_t *avail_event(const struct driver_ring *ring)
{
	return (const uint16_t *)&ring->split.used->ring[ring->size];
}

static uint16_t head_of(const struct driver_ring *ring, uint16_t chain)
{
	return ring->config.indirect ? chain : (uint16_t)(chain * ring->config.segments_max);
}

int split_ring_create(struct driver_ring *ring, struct shared_memory *memory)
{
	uint64_t size = ring->size;

	ring->split.desc = shared_memory_take(memory, size * sizeof(struct vring_desc), AREA_ALIGN_BYTES);
	ring->split.avail =
		shared_memory_take(memory, sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t), AREA_ALIGN_BYTES);
	ring->split.used = shared_memory_take(
		memory, sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + sizeof(uint16_t), AREA_ALIGN_BYTES);
	ring->chain_of = malloc(size * sizeof(*ring->chain_of));
	if (ring->split.desc == NULL || ring->split.avail == NULL || ring->split.used == NULL || ring->chain_of == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < ring->size; i++)
		ring->chain_of[i] = CHAIN_NONE;
	for (uint16_t chain = 0; chain < ring->config.chain_count; chain++)
		ring->chain_of[head_of(ring, chain)] = chain;
	split_ring_restart(ring);
	return 0;
}

void split_ring_restart(struct driver_ring *ring)
{
	ring->split.next_avail = 0;
	ring->split.next_used = 0;
	ring->split.kicked_avail = 0;
	memset(ring->split.avail, 0, sizeof(struct vring_avail) + (ring->size + 1u) * sizeof(uint16_t));
	memset(ring->split.used, 0, sizeof(struct vring_used) + ring->size * sizeof(struct vring_used_elem) + sizeof(uint16_t));
	split_ring_calls(ring, false);
}

void split_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count)
{
	uint16_t head = head_of(ring, chain);

	for (unsigned i = 0; i < count; i++) {
		struct vring_desc *d = &ring->split.desc[head + i];
		unsigned flags = segments[i].device_writes ? VRING_DESC_F_WRITE : 0u;

		if (ring->config.indirect)
			flags |= VRING_DESC_F_INDIRECT;
		if (i + 1 < count)
			flags |= VRING_DESC_F_NEXT;
		d->addr = shared_memory_guest_address(ring->memory, segments[i].data);
		d->len = segments[i].length_bytes;
		d->flags = (uint16_t)flags;
		d->next = i + 1 < count ? (uint16_t)(head + i + 1) : 0;
	}
}

void split_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count)
{
	uint16_t mask = (uint16_t)(ring->size - 1), next = ring->split.next_avail;

	for (unsigned i = 0; i < count; i++) {
		ring->split.avail->ring[next++ & mask] = head_of(ring, chains[i]);
		ring->posted[chains[i]] = 1;
	}
	ring->split.next_avail = next;
	__atomic_store_n(&ring->split.avail->idx, next, __ATOMIC_RELEASE);
}

bool split_ring_kick_wanted(struct driver_ring *ring)
{
	uint16_t before = ring->split.kicked_avail, now = ring->split.next_avail;

	ring->split.kicked_avail = now;
	if (ring->config.event_idx)
		return vring_need_event(__atomic_load_n(avail_event(ring), __ATOMIC_RELAXED), now, before);
	return (__atomic_load_n(&ring->split.used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) == 0;
}

bool split_ring_completed(const struct driver_ring *ring)
{
	return __atomic_load_n(&ring->split.used->idx, __ATOMIC_ACQUIRE) != ring->split.next_used;
}

unsigned split_ring_reap(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max)
{
	uint16_t mask = (uint16_t)(ring->size - 1), next = ring->split.next_used;
	unsigned count = (uint16_t)(__atomic_load_n(&ring->split.used->idx, __ATOMIC_ACQUIRE) - next);

	if (count == 0)
		return 0;
	if (count > ring->in_flight) {
		ring->broken = "its used index ran ahead of what is in flight";
		return 0;
	}
	if (count > max)
		count = max;
	for (unsigned i = 0; i < count; i++) {
		uint32_t id = __atomic_load_n(&ring->split.used->ring[next & mask].id, __ATOMIC_RELAXED);
		uint16_t chain = id < ring->size ? ring->chain_of[id] : CHAIN_NONE;

		if (chain == CHAIN_NONE || !ring->posted[chain]) {
			ring->broken = chain == CHAIN_NONE ? "its used ring names a chain that does not exist"
							   : "its used ring names a chain that is not in flight";
			count = i;
			break;
		}
		if (lengths != NULL) {
			lengths[i] = __atomic_load_n(&ring->split.used->ring[next & mask].len, __ATOMIC_RELAXED);
			if (!driver_ring_length_fits(ring, chain, lengths[i])) {
				count = i;
				break;
			}
		}
		ring->posted[chain] = 0;
		chains[i] = chain;
		next++;
	}
	ring->split.next_used = next;
	return count;
}

/* Without calls the event index is left where it is not reached for 65,535 completions; each such call is harmless. */
void split_ring_calls(struct driver_ring *ring, bool wanted)
{
	uint16_t event = (uint16_t)(ring->split.next_used - (wanted ? 0 : 1));

	if (ring->config.event_idx)
		__atomic_store_n(used_event(ring), event, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->split.avail->flags, wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}
