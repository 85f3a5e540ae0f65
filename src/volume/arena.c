/*
 * The engine's memory for I/O buffers, taken at start and registered with the ring: a run of zeroes, then buffers of two sizes, so
 * that small requests neither waste memory nor all fall on the same cache sets. Free buffers are a stack: what was used last is in
 * the cache.
 */
#include "volume/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/secret.h"

enum { HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

static uint8_t *arena_map(size_t bytes, bool huge)
{
	void *memory = MAP_FAILED;

	if (huge)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		(void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
	}
	/* Unencrypted volumes' data: not for core dumps. */
	if (madvise(memory, bytes, MADV_DONTDUMP) != 0 || madvise(memory, bytes, MADV_DONTFORK) != 0) {
		munmap(memory, bytes);
		return NULL;
	}
	return memory;
}

static int pool_create(struct buffer_pool *pool, uint8_t *first, unsigned count, size_t each_bytes)
{
	pool->free = calloc(count, sizeof(*pool->free));
	if (pool->free == NULL)
		return -ENOMEM;
	pool->first = first;
	pool->each_bytes = each_bytes;
	pool->count = count;
	for (unsigned i = count; i-- > 0;)
		pool->free[pool->free_count++] = first + i * each_bytes;
	return 0;
}

int engine_arena_create(struct volume_engine *engine, uint64_t bytes, bool huge)
{
	uint64_t least = (1 + ENGINE_BUFFERS_LARGE_MIN) * ENGINE_BUFFER_LARGE_BYTES;
	unsigned large, small;

	if (bytes > SIZE_MAX / 2)
		return -EINVAL;
	if (bytes < least)
		bytes = least;
	bytes = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
	/* Three quarters for large ones: a request of any size takes what there is. */
	large = (unsigned)((bytes - ENGINE_BUFFER_LARGE_BYTES) / 4 * 3 / ENGINE_BUFFER_LARGE_BYTES);
	small = (unsigned)((bytes - (1 + (uint64_t)large) * ENGINE_BUFFER_LARGE_BYTES) / ENGINE_BUFFER_SMALL_BYTES);
	engine->arena_bytes = bytes;
	engine->arena = arena_map(bytes, huge);
	engine->bounce = secret_alloc(ENGINE_BOUNCE_BYTES);
	if (engine->arena == NULL || engine->bounce == NULL)
		goto fail;
	engine->zeroes = engine->arena;
	if (pool_create(&engine->large, engine->arena + ENGINE_BUFFER_LARGE_BYTES, large, ENGINE_BUFFER_LARGE_BYTES) != 0)
		goto fail;
	if (pool_create(&engine->small, engine->large.first + (size_t)large * ENGINE_BUFFER_LARGE_BYTES, small,
			ENGINE_BUFFER_SMALL_BYTES) != 0)
		goto fail;
	return 0;
fail:
	engine_arena_free(engine);
	return -ENOMEM;
}

void engine_arena_free(struct volume_engine *engine)
{
	free(engine->small.free);
	free(engine->large.free);
	secret_free(engine->bounce, ENGINE_BOUNCE_BYTES);
	if (engine->arena != NULL)
		munmap(engine->arena, engine->arena_bytes);
}

static uint8_t *pool_take(struct buffer_pool *pool, uint64_t *bytes)
{
	if (*bytes > pool->each_bytes)
		*bytes = pool->each_bytes;
	return pool->free[--pool->free_count];
}

uint8_t *engine_buffer_take(struct volume *volume, uint64_t *bytes)
{
	struct volume_engine *engine = volume->engine;

	if (volume->buffers >= engine->small.free_count + engine->large.free_count)
		return NULL;
	volume->buffers++;
	if (engine->small.free_count > 0 && (*bytes <= ENGINE_BUFFER_SMALL_BYTES || engine->large.free_count == 0))
		return pool_take(&engine->small, bytes);
	return pool_take(&engine->large, bytes);
}

void engine_buffer_give(struct volume *volume, uint8_t *buffer)
{
	struct volume_engine *engine = volume->engine;
	struct buffer_pool *pool = buffer >= engine->small.first ? &engine->small : &engine->large;

	pool->free[pool->free_count++] = buffer;
	volume->buffers--;
}
