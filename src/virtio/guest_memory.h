/*
 * The guest's memory as the VMM shares it: regions of file descriptors, mapped here. Addresses come from the guest: every
 * access goes through guest_memory_at(). Changed only while no queue of the device is served (the caller has stopped them).
 *
 * A VMM can truncate a file it gave us; the access then raises SIGBUS. guest_memory_catch_sigbus() installs the handler that puts
 * anonymous zero pages in place of the region and marks its memory `lost`: the device is stopped, the process lives on.
 */
#ifndef OUTBOARD_VIRTIO_GUEST_MEMORY_H
#define OUTBOARD_VIRTIO_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/device_state.h"

struct guest_region {
	uint64_t guest_addr;
	uint64_t size_bytes;
	uint64_t user_addr;
	uint8_t *host; /* of guest_addr */
	uint8_t *mapping;
	uint64_t mapping_bytes;
	uint32_t guard; /* of mapping_guard.h */
};

struct guest_memory {
	uint32_t count;
	bool lost;		      /* a region was truncated under us; stays set until guest_memory_clear() */
	struct guest_region *regions; /* [count], sorted by guest_addr, never overlapping */
};

void guest_memory_init(struct guest_memory *m);

/* Maps `fd` (which stays the caller's). 0, or -EINVAL (size 0, wraps, unaligned, offset beyond the file, overlaps another region),
 * -ENOSPC (too many, or more in all than makes sense on this host), or mmap's error. */
int guest_memory_add(struct guest_memory *m, const struct region_state *region, int fd);
int guest_memory_remove(struct guest_memory *m, const struct region_state *region); /* -ENOENT */
void guest_memory_clear(struct guest_memory *m);

/* Host address of `guest_addr`, and in *length_bytes (in: wanted, > 0; out: how much of it is contiguous here). NULL when the
 * address is in no region. */
static inline void *guest_memory_at(const struct guest_memory *m, uint64_t guest_addr, uint64_t *length_bytes)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->regions[i];
		uint64_t offset = guest_addr - r->guest_addr;

		if (offset < r->size_bytes) {
			if (*length_bytes > r->size_bytes - offset)
				*length_bytes = r->size_bytes - offset;
			return r->host + offset;
		}
	}
	return NULL;
}

/* The same for an address of the VMM, all of it in one region; NULL otherwise. For ring addresses, at set-up. */
void *guest_memory_user_at(const struct guest_memory *m, uint64_t user_addr, uint64_t length_bytes);

int guest_memory_catch_sigbus(void); /* once in main() */

#endif
