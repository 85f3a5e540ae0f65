/*
 * A small allocator over one piece of secret memory, for everything that libcrypto allocates in the vault: key schedules and
 * contexts are then where keys belong, whatever libcrypto's version puts where. First fit, neighbours joined when freed,
 * wiped when freed, one thread. It never grows.
 */
#ifndef OUTBOARD_VAULT_ARENA_H
#define OUTBOARD_VAULT_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *free; /* sorted by nothing: joined by looking at neighbours */
	struct arena_block *end;  /* a sentinel that is always used */
	size_t used_bytes;	  /* with headers */
};

void arena_init(struct arena *arena, void *memory, size_t size);      /* memory: 16-aligned, size >= 64; stays the caller's */
void *arena_alloc(struct arena *arena, size_t size);		      /* 16-aligned, NULL when there is no room; size 0: NULL */
void *arena_realloc(struct arena *arena, void *pointer, size_t size); /* as realloc(3): on NULL the old one still stands */
void arena_free(struct arena *arena, void *pointer);

/* Gives libcrypto an arena of that many bytes of secret memory, for good. Before any other call of libcrypto; 0 or -errno. */
int arena_serve_libcrypto(size_t size);

#endif
