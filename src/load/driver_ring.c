#include "load/driver_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "load/driver_ring_kinds.h"

enum { SIZE_MIN = 2, TABLE_ALIGN_BYTES = 64, AREA_SLACK_BYTES = 4 * 128 };

uint16_t driver_ring_size(const struct driver_ring_config *config)
{
	uint32_t slots = (uint32_t)config->chain_count * (config->indirect ? 1u : config->segments_max), size = SIZE_MIN;

	if (slots != 0 && slots < config->size_min)
		slots = config->size_min;
	if (slots == 0 || slots > DRIVER_RING_SIZE_MAX || config->segments_max > DRIVER_CHAIN_SEGMENTS_MAX)
		return 0;
	while (size < slots)
		size *= 2;
	return (uint16_t)size;
}

uint64_t driver_ring_memory_bytes(const struct driver_ring_config *config)
{
	uint64_t size = driver_ring_size(config), bytes = AREA_SLACK_BYTES;

	bytes += size * sizeof(struct vring_desc);
	bytes += sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t);
	bytes += sizeof(struct vring_used) + (size + 1) * sizeof(struct vring_used_elem);
	if (config->indirect)
		bytes += (uint64_t)config->chain_count * config->segments_max * sizeof(struct vring_desc);
	return bytes;
}

int driver_ring_create(struct driver_ring *ring, const struct driver_ring_config *config, struct shared_memory *memory)
{
	memset(ring, 0, sizeof(*ring));
	ring->kick_fd = -1;
	ring->call_fd = -1;
	ring->config = *config;
	ring->memory = memory;
	ring->size = driver_ring_size(config);
	if (ring->size == 0)
		return -EINVAL;
	ring->posted = calloc(config->chain_count, sizeof(*ring->posted));
	ring->writable_bytes = calloc(config->chain_count, sizeof(*ring->writable_bytes));
	if (ring->posted == NULL || ring->writable_bytes == NULL)
		return -ENOMEM;
	if (config->indirect) {
		uint64_t bytes = (uint64_t)config->chain_count * config->segments_max * sizeof(struct vring_desc);

		ring->tables = shared_memory_take(memory, bytes, TABLE_ALIGN_BYTES);
		if (ring->tables == NULL)
			return -ENOMEM;
	}
	ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->kick_fd < 0 || ring->call_fd < 0)
		return -errno;
	return config->packed ? packed_ring_create(ring, memory) : split_ring_create(ring, memory);
}

void driver_ring_free(struct driver_ring *ring)
{
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	if (ring->config.packed)
		free(ring->packed.templates);
	free(ring->posted);
	free(ring->writable_bytes);
	free(ring->chain_of);
	free(ring->slots_of);
	memset(ring, 0, sizeof(*ring));
	ring->kick_fd = -1;
	ring->call_fd = -1;
}

/* In a packed ring the length of a table says where it ends (2.8.7), and the descriptors have another layout. */
static void lay_table(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count)
{
	struct vring_desc *split = driver_ring_table(ring, chain);
	struct vring_packed_desc *packed = (struct vring_packed_desc *)split;

	for (unsigned i = 0; i < count; i++) {
		uint64_t address = shared_memory_guest_address(ring->memory, segments[i].data);
		uint16_t flags = segments[i].device_writes ? VRING_DESC_F_WRITE : 0;
		bool last = i + 1 == count;

		if (ring->config.packed)
			packed[i] = (struct vring_packed_desc){.addr = address, .len = segments[i].length_bytes, .flags = flags};
		else
			split[i] = (struct vring_desc){.addr = address,
						       .len = segments[i].length_bytes,
						       .flags = (uint16_t)(flags | (last ? 0 : VRING_DESC_F_NEXT)),
						       .next = last ? 0 : (uint16_t)(i + 1)};
	}
}

void driver_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count)
{
	struct driver_segment table;

	ring->writable_bytes[chain] = 0;
	for (unsigned i = 0; i < count; i++)
		ring->writable_bytes[chain] += segments[i].device_writes ? segments[i].length_bytes : 0;
	if (ring->config.indirect) {
		lay_table(ring, chain, segments, count);
		table.data = driver_ring_table(ring, chain);
		table.length_bytes = (uint32_t)(count * sizeof(struct vring_desc));
		table.device_writes = false;
		segments = &table;
		count = 1;
	}
	if (ring->config.packed)
		packed_ring_lay(ring, chain, segments, count);
	else
		split_ring_lay(ring, chain, segments, count);
}

void driver_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count)
{
	if (count == 0)
		return;
	if (ring->config.packed)
		packed_ring_post(ring, chains, count);
	else
		split_ring_post(ring, chains, count);
	ring->in_flight = (uint16_t)(ring->in_flight + count);
}

void driver_ring_kick_always(struct driver_ring *ring)
{
	ssize_t written;

	/* The counter cannot overflow in practice, and a full one is a pending kick anyway. */
	written = write(ring->kick_fd, &(uint64_t){1}, sizeof(uint64_t));
	(void)written;
	ring->kicks++;
}

bool driver_ring_kick(struct driver_ring *ring)
{
	/* The publication must be visible before we read whether a kick is wanted (2.7.13.4.1, 2.8.21.3.1). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(ring->config.packed ? packed_ring_kick_wanted(ring) : split_ring_kick_wanted(ring)))
		return false;
	driver_ring_kick_always(ring);
	return true;
}

unsigned driver_ring_reap(struct driver_ring *ring, uint16_t *chains, unsigned max)
{
	return driver_ring_reap_lengths(ring, chains, NULL, max);
}

unsigned driver_ring_reap_lengths(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max)
{
	unsigned count;

	if (__builtin_expect(ring->broken != NULL, 0))
		return 0;
	count = ring->config.packed ? packed_ring_reap(ring, chains, lengths, max) : split_ring_reap(ring, chains, lengths, max);
	ring->in_flight = (uint16_t)(ring->in_flight - count);
	return count;
}

bool driver_ring_completed(const struct driver_ring *ring)
{
	return ring->config.packed ? packed_ring_completed(ring) : split_ring_completed(ring);
}

bool driver_ring_arm(struct driver_ring *ring)
{
	if (ring->config.packed)
		packed_ring_calls(ring, true);
	else
		split_ring_calls(ring, true);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* ask first, then look: or a completion between the two is missed */
	return !driver_ring_completed(ring);
}

void driver_ring_disarm(struct driver_ring *ring)
{
	if (ring->config.packed)
		packed_ring_calls(ring, false);
	else
		split_ring_calls(ring, false);
}

struct driver_ring_layout driver_ring_layout(const struct driver_ring *ring)
{
	if (ring->config.packed)
		return (struct driver_ring_layout){ring->packed.desc, ring->packed.driver_event, ring->packed.device_event};
	return (struct driver_ring_layout){ring->split.desc, ring->split.avail, ring->split.used};
}

uint32_t driver_ring_base(const struct driver_ring *ring)
{
	uint32_t next;

	if (!ring->config.packed)
		return ring->split.next_used;
	next = ring->packed.next_used | (uint32_t)ring->packed.used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
	return next | next << 16;
}

unsigned driver_ring_restart(struct driver_ring *ring, uint16_t *chains)
{
	unsigned count = 0;

	for (uint16_t chain = 0; chain < ring->config.chain_count; chain++) {
		if (ring->posted[chain])
			chains[count++] = chain;
		ring->posted[chain] = 0;
	}
	ring->in_flight = 0;
	ring->broken = NULL;
	if (ring->config.packed)
		packed_ring_restart(ring);
	else
		split_ring_restart(ring);
	return count;
}
