/*
 * Blocks lie one after the other, each with a header of 16 bytes: its size, whether it is used, and the size of the block
 * before it. Both neighbours are thus found without a search, and free blocks form a list through their bodies.
 */
#include "vault/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/secret.h"

struct arena_block {
	uint32_t size_bytes;	    /* header included */
	uint32_t size_before_bytes; /* 0: the first */
	uint64_t used;
	/* of a free block */
	struct arena_block *next;
	struct arena_block *previous;
};

enum {
	HEADER_BYTES = offsetof(struct arena_block, next),
	BLOCK_MIN_BYTES = sizeof(struct arena_block),
	ALIGN_BYTES = 16,
	ARENA_MAX_BYTES = 1 << 30,
};
_Static_assert(HEADER_BYTES == ALIGN_BYTES && BLOCK_MIN_BYTES == 2 * ALIGN_BYTES, "blocks and bodies stay aligned");

static struct arena_block *block_at(struct arena_block *block, ptrdiff_t offset_bytes)
{
	return (struct arena_block *)(void *)((uint8_t *)block + offset_bytes);
}

static struct arena_block *block_after(struct arena_block *block)
{
	return block_at(block, block->size_bytes);
}

static void *body(struct arena_block *block)
{
	return (uint8_t *)block + HEADER_BYTES;
}

static struct arena_block *block_of(void *pointer)
{
	return (struct arena_block *)(void *)((uint8_t *)pointer - HEADER_BYTES);
}

static void list_insert(struct arena *arena, struct arena_block *block)
{
	block->used = 0;
	block->previous = NULL;
	block->next = arena->free;
	if (block->next != NULL)
		block->next->previous = block;
	arena->free = block;
}

static void list_remove(struct arena *arena, struct arena_block *block)
{
	if (block->previous != NULL)
		block->previous->next = block->next;
	else
		arena->free = block->next;
	if (block->next != NULL)
		block->next->previous = block->previous;
}

static void set_size(struct arena_block *block, uint32_t size_bytes)
{
	block->size_bytes = size_bytes;
	block_after(block)->size_before_bytes = size_bytes;
}

void arena_init(struct arena *arena, void *memory, size_t size)
{
	struct arena_block *first = memory;

	assert(size >= 2 * BLOCK_MIN_BYTES && size <= ARENA_MAX_BYTES && (uintptr_t)memory % ALIGN_BYTES == 0);
	size -= size % ALIGN_BYTES;
	*arena = (struct arena){.end = block_at(first, (ptrdiff_t)(size - HEADER_BYTES))};
	arena->end->used = 1;
	first->size_before_bytes = 0;
	set_size(first, (uint32_t)(size - HEADER_BYTES));
	list_insert(arena, first);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block;
	uint32_t wanted;

	if (size == 0 || size > ARENA_MAX_BYTES)
		return NULL;
	wanted = (uint32_t)((HEADER_BYTES + size + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES);
	for (block = arena->free; block != NULL && block->size_bytes < wanted; block = block->next)
		;
	if (block == NULL)
		return NULL;
	list_remove(arena, block);
	if (block->size_bytes - wanted >= BLOCK_MIN_BYTES) {
		uint32_t rest = block->size_bytes - wanted;

		set_size(block, wanted);
		set_size(block_after(block), rest);
		list_insert(arena, block_after(block));
	}
	block->used = 1;
	arena->used_bytes += block->size_bytes;
	return body(block);
}

void arena_free(struct arena *arena, void *pointer)
{
	struct arena_block *block, *neighbour;

	if (pointer == NULL)
		return;
	block = block_of(pointer);
	assert(block->used == 1 && block < arena->end);
	arena->used_bytes -= block->size_bytes;
	secret_wipe(pointer, block->size_bytes - HEADER_BYTES);
	neighbour = block_after(block);
	if (neighbour->used == 0) {
		list_remove(arena, neighbour);
		set_size(block, block->size_bytes + neighbour->size_bytes);
	}
	if (block->size_before_bytes > 0) {
		neighbour = block_at(block, -(ptrdiff_t)block->size_before_bytes);
		if (neighbour->used == 0) {
			list_remove(arena, neighbour);
			set_size(neighbour, neighbour->size_bytes + block->size_bytes);
			block->used = 0; /* a second free of the same pointer asserts */
			block = neighbour;
		}
	}
	list_insert(arena, block);
}

void *arena_realloc(struct arena *arena, void *pointer, size_t size)
{
	size_t old_bytes;
	void *fresh;

	if (pointer == NULL)
		return arena_alloc(arena, size);
	if (size == 0) {
		arena_free(arena, pointer);
		return NULL;
	}
	old_bytes = block_of(pointer)->size_bytes - HEADER_BYTES;
	if (size <= old_bytes)
		return pointer;
	fresh = arena_alloc(arena, size);
	if (fresh == NULL)
		return NULL;
	memcpy(fresh, pointer, old_bytes);
	arena_free(arena, pointer);
	return fresh;
}
