/* The engine's life: the ring, and what is registered with it; all memory is taken here. */
#include "volume/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int ring_create(struct io_uring *ring, unsigned entries)
{
	/* Not DEFER_TASKRUN: its completions do not wake a poller that sleeps on the ring's descriptor. */
	static const unsigned tries[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, /* Linux 6.0 */
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,				    /* 5.19 */
		0,
	};
	int error = -ENOSYS;

	for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct io_uring_params params = {.flags = tries[i]};

		error = io_uring_queue_init_params(entries, ring, &params);
		if (error != -EINVAL)
			break;
	}
	return error;
}

static void engine_register_files(struct volume_engine *engine)
{
	for (unsigned count = ENGINE_FILES_MAX; count >= 64; count /= 2) { /* bounded by RLIMIT_NOFILE */
		if (io_uring_register_files_sparse(&engine->ring, count) != 0)
			continue;
		engine->slots_count = count;
		for (unsigned i = count; i-- > 0;)
			engine->slots_free[engine->slots_free_count++] = (uint16_t)i;
		return;
	}
}

int engine_slot_take(struct volume_engine *engine, int fd)
{
	int slot;

	if (engine->slots_free_count == 0)
		return -1;
	slot = engine->slots_free[engine->slots_free_count - 1];
	if (io_uring_register_files_update(&engine->ring, (unsigned)slot, &fd, 1) != 1)
		return -1;
	engine->slots_free_count--;
	return slot;
}

void engine_slot_give(struct volume_engine *engine, int slot)
{
	int none = -1;

	if (slot < 0)
		return;
	(void)io_uring_register_files_update(&engine->ring, (unsigned)slot, &none, 1);
	engine->slots_free[engine->slots_free_count++] = (uint16_t)slot;
}

static int engine_pieces_create(struct volume_engine *engine, unsigned count)
{
	engine->pieces = calloc(count, sizeof(*engine->pieces));
	engine->pieces_free = calloc(count, sizeof(struct piece *));
	if (engine->pieces == NULL || engine->pieces_free == NULL)
		return -ENOMEM;
	for (unsigned i = count; i-- > 0;)
		engine->pieces_free[engine->pieces_free_count++] = &engine->pieces[i];
	engine->pieces_count = count;
	return 0;
}

int volume_engine_create(struct volume_engine **out, const struct volume_engine_config *config)
{
	struct volume_engine *engine;
	int error;

	if (config->ring_entries < ENGINE_RING_ENTRIES_MIN || config->ring_entries > ENGINE_RING_ENTRIES_MAX)
		return -EINVAL;
	engine = calloc(1, sizeof(*engine));
	if (engine == NULL)
		return -ENOMEM;
	list_init(&engine->ready);
	error = engine_arena_create(engine, config->buffer_bytes, config->huge);
	if (error != 0)
		goto free_engine;
	error = engine_pieces_create(engine, config->ring_entries);
	if (error != 0)
		goto free_pieces;
	error = ring_create(&engine->ring, config->ring_entries);
	if (error != 0)
		goto free_pieces;
	engine_register_files(engine);
	engine->arena_registered =
		io_uring_register_buffers(&engine->ring, &(struct iovec){engine->arena, engine->arena_bytes}, 1) == 0;
	*out = engine;
	return 0;
free_pieces:
	free(engine->pieces);
	free(engine->pieces_free);
	engine_arena_free(engine);
free_engine:
	free(engine);
	return error;
}

void volume_engine_free(struct volume_engine *engine)
{
	assert(engine->requests == 0 && engine->pieces_free_count == engine->pieces_count);
	io_uring_queue_exit(&engine->ring);
	free(engine->pieces);
	free(engine->pieces_free);
	engine_arena_free(engine);
	free(engine);
}
