/*
 * The memory that a driver shares with its back end: one memfd (huge pages when the machine has some to spare), mapped at an
 * address aligned to 2 MiB and handed out from the front. To the back end it is "guest memory" from SHARED_MEMORY_GUEST_ADDRESS
 * on: an address that is not our own, so that mixing up the two kinds of address shows at once.
 *
 * Taking memory is for set-up only; nothing is ever given back before shared_memory_free().
 */
#ifndef OUTBOARD_LOAD_SHARED_MEMORY_H
#define OUTBOARD_LOAD_SHARED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARED_MEMORY_GUEST_ADDRESS 0x100000000ull
#define SHARED_MEMORY_ALIGN_BYTES   (2u << 20)

struct shared_memory {
	int fd;
	uint8_t *base;
	uint64_t size_bytes; /* a multiple of SHARED_MEMORY_ALIGN_BYTES */
	uint64_t taken_bytes;
	bool huge_pages;
};

int shared_memory_create(struct shared_memory *memory, uint64_t size_bytes); /* 0 or -errno; zeroed and faulted in */
void shared_memory_free(struct shared_memory *memory);			     /* also after a failed create */

/* `align_bytes` is a power of two. NULL when the memory that create was asked for is used up. */
void *shared_memory_take(struct shared_memory *memory, uint64_t size_bytes, uint64_t align_bytes);

static inline uint64_t shared_memory_guest_address(const struct shared_memory *memory, const void *pointer)
{
	return SHARED_MEMORY_GUEST_ADDRESS + (uint64_t)((const uint8_t *)pointer - memory->base);
}

#endif
