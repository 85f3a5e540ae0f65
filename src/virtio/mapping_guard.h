/*
 * Mappings of files that somebody else may truncate. Touching a page beyond the end of such a file raises SIGBUS; for an address in
 * a guarded mapping the handler puts anonymous zero pages over the whole mapping, sets the owner's `lost` and lets the access be
 * repeated. A SIGBUS anywhere else takes its default action.
 *
 * Any thread may fault at any time. Guarding and unguarding is for the control thread: it takes a lock.
 */
#ifndef OUTBOARD_VIRTIO_MAPPING_GUARD_H
#define OUTBOARD_VIRTIO_MAPPING_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum { MAPPING_GUARDS_MAX = 65536 }; /* 16,384 devices with three regions and an in-flight record each */

/* `lost` outlives the guard. 0 and a handle, or -ENOSPC. */
int mapping_guard_add(void *mapping, uint64_t mapping_bytes, bool *lost, uint32_t *handle);
void mapping_guard_remove(uint32_t handle); /* before munmap() */

int mapping_guard_catch_sigbus(void); /* once in main(); 0 or -errno */

static inline bool mapping_lost(const bool *lost)
{
	return __atomic_load_n(lost, __ATOMIC_ACQUIRE);
}

#endif
