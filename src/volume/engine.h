/*
 * The engine: what the volumes of one poller share. Theory of operation in engine.c.
 */
#ifndef OUTBOARD_VOLUME_ENGINE_H
#define OUTBOARD_VOLUME_ENGINE_H

#include <liburing.h>

#include "volume/internal.h"

enum {
	ENGINE_BUFFER_SMALL_BYTES = 8 * 1024,
	ENGINE_BUFFER_LARGE_BYTES = 128 * 1024, /* also the most that one piece moves */
	ENGINE_BUFFERS_LARGE_MIN = 2,
	ENGINE_BOUNCE_BYTES = 4096, /* one data unit */
	ENGINE_PIECE_IOV_MAX = 34,  /* 128 KiB in 4 KiB pages, both ends cut */
	ENGINE_REQUEST_PIECES_MAX = 4,
	ENGINE_PASS_BYTES_MAX = 1 << 20, /* copied or enciphered in one poll, and one piece more */
	ENGINE_RETRIES_MAX = 16,	 /* of EINTR and EAGAIN */
	ENGINE_FILES_MAX = 1024,	 /* registered; volumes beyond go without */
	ENGINE_RING_ENTRIES_MIN = 2,
	ENGINE_RING_ENTRIES_MAX = 16384,
};

enum piece_op {
	PIECE_READ,
	PIECE_WRITE,
	PIECE_SYNC,
	PIECE_PUNCH,
	PIECE_ZERO_RANGE,
	PIECE_STEP, /* nothing: its completion is the turn to work on memory */
};

/* One operation in the ring. */
struct piece {
	struct volume *volume;
	struct blk_io *io;
	uint64_t offset_bytes; /* in the volume */
	uint64_t length_bytes;
	uint64_t done_bytes; /* short transfers go on from here */
	uint8_t op;
	uint8_t retries;
	bool durable;
	uint8_t *data;		 /* in the arena; NULL: iov */
	uint8_t *buffer;	 /* to be given back, or NULL */
	struct iov_cursor guest; /* the guest's memory for it */
	unsigned iov_first, iov_count;
	struct iovec iov[ENGINE_PIECE_IOV_MAX];
};

struct buffer_pool {
	uint8_t **free;
	unsigned free_count, count;
	uint8_t *first;
	size_t each_bytes;
};

struct volume_engine {
	struct io_uring ring;
	struct list ready; /* volumes that have requests to start */
	unsigned ready_count;
	unsigned requests; /* in flight: handed to the engine, not completed */
	unsigned pieces_count, pieces_free_count;
	struct piece *pieces;
	struct piece **pieces_free;
	uint64_t now_tsc;
	unsigned handled;     /* in this pass */
	uint64_t moved_bytes; /* by the processor in this pass */

	uint8_t *arena; /* zeroes, then large buffers, then small ones */
	size_t arena_bytes;
	const uint8_t *zeroes; /* ENGINE_BUFFER_LARGE_BYTES of them */
	struct buffer_pool small, large;
	uint8_t *bounce; /* secret: plaintext of a data unit that a cut of guest memory splits */
	bool arena_registered;

	unsigned slots_count, slots_free_count;
	uint16_t slots_free[ENGINE_FILES_MAX];

	/* Tests put failures into completions here; NULL otherwise. */
	int (*fault)(void *context, const struct piece *piece, int result);
	void *fault_context;
};

/* Takes `io` over, in `stage`. */
void engine_request_begin(struct volume *volume, struct blk_io *io, enum stage stage, uint64_t now_tsc);

/* From piece_start: where the request's next piece begins in guest memory, and that `bytes` more of the stage are in pieces. */
struct iov_cursor engine_request_cursor(const struct blk_io *io);
void engine_request_advance(struct blk_io *io, uint64_t bytes);
/* From stage_next: begins another stage. */
void engine_request_stage(struct blk_io *io, enum stage stage);

/* A buffer of at most *bytes (in: wanted; out: had) for a piece of that volume, or NULL, also when it has its share. */
uint8_t *engine_buffer_take(struct volume *volume, uint64_t *bytes);

int engine_slot_take(struct volume_engine *engine, int fd); /* -1: none */
void engine_slot_give(struct volume_engine *engine, int slot);

/* arena.c */
int engine_arena_create(struct volume_engine *engine, uint64_t bytes, bool huge);
void engine_arena_free(struct volume_engine *engine);
void engine_buffer_give(struct volume *volume, uint8_t *buffer);

#endif
