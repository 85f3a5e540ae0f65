/*
 * Many small secrets in few pages: a heap over secret_alloc() for expanded keys, and for crypto libraries that take an allocator.
 * Zeroed when given, wiped when taken back, 64-byte aligned, up to SECRET_HEAP_SIZE_MAX bytes each. Locks: for control paths.
 */
#ifndef OUTBOARD_BASE_SECRET_HEAP_H
#define OUTBOARD_BASE_SECRET_HEAP_H

#include <stdbool.h>
#include <stddef.h>

enum {
	SECRET_HEAP_SIZE_MAX = 4096,
	SECRET_HEAP_PAGES_BYTES = 64 * 1024, /* taken from secret_alloc() at a time */
};

void *secret_heap_alloc(size_t size);	     /* NULL: too large, or no memory can be locked */
void secret_heap_free(void *memory);	     /* NULL is fine; anything else must be owned */
bool secret_heap_owns(const void *memory);   /* inside a live or a free slot of this heap */
size_t secret_heap_size(const void *memory); /* usable bytes at an owned address */
size_t secret_heap_pages_bytes(void);	     /* locked right now, for accounting and tests */

#endif
