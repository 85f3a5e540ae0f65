/*
 * A scratch poller for tests: an engine, volumes on it, and requests that are submitted and waited for. The guest's memory is plain
 * memory here, cut into scatter lists as a test likes.
 */
#ifndef OUTBOARD_TEST_VOLUME_RIG_H
#define OUTBOARD_TEST_VOLUME_RIG_H

#include <stdbool.h>

#include "../cmocka_all.h"
#include "volume/engine.h"
#include "volume/volume.h"

enum { RIG_IOV_MAX = 2048 };

struct rig {
	struct volume_engine *engine;
	struct volume *volume;
	char path[64]; /* of the file, when there is one */
	int memory_fd;
};

struct rig_io {
	struct blk_io io; /* first */
	struct iovec iov[RIG_IOV_MAX];
	unsigned completions;
};

struct rig_volume {
	enum volume_backend backend;
	uint64_t size_bytes;
	uint32_t block_size_bytes;
	bool encrypted;
	bool huge;
	const char *folder; /* of a file; NULL: one on a disk */
	struct volume_rate rate;
};

extern const uint8_t rig_key[VOLUME_KEY_BYTES];

void rig_engine(struct rig *rig, uint64_t buffer_bytes, unsigned ring_entries);
void rig_open(struct rig *rig, const struct rig_volume *what); /* creates, opens, binds */
void rig_share(struct rig *rig, const struct rig *other);      /* the same engine */
void rig_close(struct rig *rig);			       /* and removes */
void rig_engine_free(struct rig *rig);

/* A request over one piece of memory. */
void rig_io_init(struct rig_io *r, enum blk_op op, uint64_t offset_bytes, void *memory, uint64_t length_bytes);
/* Cuts its memory into elements of 0 to `cut_bytes_max` bytes; aligned_bytes: of lengths. */
void rig_io_cut(struct rig_io *r, uint32_t cut_bytes_max, uint32_t aligned_bytes);
void rig_submit(struct rig *rig, struct rig_io *r);
void rig_wait(struct rig *rig, struct rig_io *r); /* until it is complete; asserts that it completes once */
int rig_do(struct rig *rig, struct rig_io *r);	  /* submit and wait; its error */
int rig_run(struct rig *rig, enum blk_op op, uint8_t flags, uint64_t offset_bytes, void *memory, uint64_t length_bytes);
void rig_idle(struct rig *rig); /* until nothing is in flight */

uint64_t rig_random(void);		   /* a fixed sequence: a failure can be had again */
void rig_fill(void *memory, size_t bytes); /* with random bytes */

#endif
