/*
 * What the files of this folder know of each other: the volume, the request in the making, the two tables of functions that a
 * volume is put together from when it is opened.
 */
#ifndef OUTBOARD_VOLUME_INTERNAL_H
#define OUTBOARD_VOLUME_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/blockio.h"
#include "base/list.h"
#include "volume/crypt_kernel.h"
#include "volume/iov.h"
#include "volume/throttle.h"
#include "volume/volume.h"

enum {
	/* Work on memory that is done at once, on the spot; longer requests go through the engine in steps (engine.h). */
	VOLUME_INLINE_BYTES_MAX = 256 * 1024,
	/* Growth doubles a reservation of addresses: 48 doublings are more than a processor has addresses. */
	VOLUME_RETIRED_MAX = 48,
};

struct piece; /* engine.h */

/* How data moves between a guest's scatter list and the back end's form of it: a copy, or the cipher. */
struct mover {
	void (*to_guest)(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from, size_t bytes);
	void (*from_guest)(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes);
	void (*zeroes)(struct volume *volume, uint64_t offset_bytes, uint8_t *to, size_t bytes);
	bool is_copy; /* both forms are the same: the back end may use guest memory itself */
};

extern const struct mover mover_copy;
extern const struct mover mover_crypt;

struct backend {
	void (*submit)(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc);
	/* Fills the next piece of `io`, whose request state says how far it is; false: no buffer is free, ask again later. */
	bool (*piece_start)(struct volume *volume, struct blk_io *io, struct piece *piece);
	/* The piece is done without an error: moves its data. */
	void (*piece_done)(struct volume *volume, struct piece *piece);
	/* All pieces of the stage are done. True: goes on in another stage. *error (in, out) is what the request will end with. */
	bool (*stage_next)(struct volume *volume, struct blk_io *io, int *error);
	bool queues; /* has a queue of its own worth accounting */
};

extern const struct backend backend_memory;
extern const struct backend backend_memory_crypt;
extern const struct backend backend_null;
extern const struct backend backend_file;

enum stage {
	STAGE_DATA,	  /* reads or writes, in pieces */
	STAGE_PUNCH,	  /* fallocate(PUNCH_HOLE) */
	STAGE_ZERO_RANGE, /* fallocate(ZERO_RANGE) */
	STAGE_ZEROES,	  /* writes zeroes, in pieces */
	STAGE_SYNC,	  /* fdatasync */
};

/* A request under way in the engine: lives in blk_io.scratch, so that no limit of ours can refuse one. */
struct request {
	union {
		uint64_t started_bytes;	  /* of the stage: what pieces have been made for */
		uint64_t failed_at_bytes; /* once there is an error: where, in the volume */
	};
	uint64_t arrived_tsc;
	uint32_t iov_offset_bytes;
	uint16_t iov_index;
	uint16_t pieces; /* in flight */
	int32_t error;
	uint8_t stage;
	bool queued; /* in its volume's queue */
	bool bounce; /* its guest memory cannot be used for direct I/O */
	uint8_t unused;
};
_Static_assert(sizeof(struct request) <= sizeof(((struct blk_io *)0)->scratch), "fits");

static inline struct request *request_of(struct blk_io *io)
{
	return (struct request *)io->scratch;
}

struct memory_map {
	uint8_t *base; /* relaxed atomic: resize replaces it, old mappings stay until close */
	uint64_t mapped_bytes, reserved_bytes;
	uint64_t populated_bytes; /* of `base`: pages there, and in the page table */
	bool huge;
	unsigned retired_count;
	struct {
		void *base;
		size_t bytes;
	} retired[VOLUME_RETIRED_MAX];
};

struct file_limits {
	uint32_t memory_align_bytes; /* of guest memory used for I/O: 1 when the page cache is between */
	uint32_t offset_align_bytes;
	bool is_block_device;
	bool no_punch, no_zero_range; /* the file system has refused it before */
};

struct cipher {
	const struct crypt_kernel *kernel;
	struct crypt_key *key; /* NULL: not encrypted */
	uint64_t bytes, ticks; /* relaxed atomics */
};

struct volume {
	struct blk_target target; /* first: ops of the target see the volume */
	struct blk_target_ops ops;
	const struct backend *backend;
	const struct mover *mover;
	struct volume_engine *engine; /* while bound */
	int fd;			      /* the file or the memfd, -1 */
	int slot;		      /* in the engine's table of registered files, or -1 */
	/* Requests that can start a piece, the volume's place among the volumes that have some, pieces in flight. */
	struct list ready;
	struct blk_io *queue_head, *queue_tail;
	unsigned pieces, buffers;

	union {
		struct memory_map *memory;
		struct file_limits file;
	};
	struct cipher cipher;
	struct volume_rate rate;
	uint64_t rate_size_bytes;  /* what gp2's baseline was last computed for */
	struct throttle *throttle; /* NULL: never had a rate */
	struct account queue;
	struct volume_health health;
	char name[VOLUME_NAME_MAX_BYTES + 1];
};

/* memory_map.c; 0 or -errno. */
int memory_open(struct volume *volume, int memory_fd);
void memory_close(struct volume *volume);
int memory_grow(struct volume *volume, uint64_t size_bytes);
int memory_populate(struct volume *volume, uint64_t step_bytes); /* 1: there is more */
uint64_t memory_room_bytes(void);				 /* what the host can still give without being in need itself */

/* file_open.c; on an error a sentence. */
int file_open(struct volume *volume, const char *path, char *error, size_t error_size);
int file_grow(struct volume *volume, uint64_t size_bytes, char *error, size_t error_size);
int file_size(int fd, bool *is_block_device, uint64_t *size_bytes);

void file_close(struct volume *volume);

/* cipher.c */
int cipher_open(struct volume *volume, const uint8_t *key);
void cipher_close(struct volume *volume);

/* volume.c: one request has failed at `offset_bytes`. */
void volume_note_error(struct volume *volume, const struct blk_io *io, uint64_t offset_bytes, int error);

#endif
