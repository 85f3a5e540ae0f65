/*
 * Volumes: what a block target is made of, and the engine that a poller drives for all of its volumes.
 *
 *	submit -> throttle -> crypt -> back end (memory | null | file)
 *
 * A layer that a volume does not use is left out when it is opened, not bypassed at run time.
 *
 * What reads as what. Of an unencrypted volume, a range that was discarded, or never written, reads as zeroes; of an encrypted
 * one as noise (a hole, deciphered), as with dm-crypt. After WRITE_ZEROES both read as zeroes: an encrypted volume writes them,
 * enciphered, and gives no space back. SECURE_ERASE overwrites the blocks and syncs; old versions that a file system or a drive
 * keeps are out of its reach, and only the destruction of the volume's key makes them useless.
 *
 * Threads. (control): may block on the file system, runs on the control thread. (poller): on the poller that the volume is bound
 * to; never blocks. A volume belongs to one poller from volume_bind() to volume_unbind().
 */
#ifndef OUTBOARD_VOLUME_VOLUME_H
#define OUTBOARD_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/blockio.h"
#include "base/uuid.h"

enum volume_backend { VOLUME_MEMORY, VOLUME_NULL, VOLUME_FILE };

enum {
	VOLUME_NAME_MAX_BYTES = 128,
	VOLUME_KEY_BYTES = 64,		   /* AES-256-XTS: data key, tweak key */
	VOLUME_IO_UNIT_BYTES = 256 * 1024, /* what one I/O of a provisioned rate may carry (gp3) */
};

struct volume_rate {
	uint64_t iops;		   /* 0: no limit */
	uint64_t throughput_bytes; /* a second; 0: no limit */
	bool burst;		   /* gp2's credit bucket instead of a provisioned rate */
};

struct volume_config {
	struct uuid id;
	const char *name;
	uint64_t size_bytes; /* multiple of block_size_bytes, > 0 */
	uint32_t block_size_bytes;
	enum volume_backend backend;
	const char *path; /* VOLUME_FILE */
	int memory_fd;	  /* VOLUME_MEMORY: the memfd that holds it; dup'ed */
	bool read_only;
	struct volume_rate rate;
	const uint8_t *key; /* VOLUME_KEY_BYTES in secret memory, or NULL: not encrypted. Copied. */
};

struct volume;
struct volume_engine;

/* --- back ends' storage (control) ---
 * All return 0 or -errno and a sentence for a person in `error`. */
/* A new file of size_bytes (sparse), which must not exist; a block device that has as many; or a memfd (huge pages when `huge`), returned in *memory_fd. */
int volume_storage_create(const struct volume_config *config, bool huge, int *memory_fd, char *error, size_t error_size);
int volume_storage_delete(const struct volume_config *config, char *error, size_t error_size);

/* --- life (control) --- */
int volume_open(struct volume **out, const struct volume_config *config, char *error, size_t error_size);
void volume_close(struct volume *volume); /* unbound */
struct blk_target *volume_target(struct volume *volume);
/* Storage first, then the capacity that the target shows. Growing only; -EINVAL otherwise. Legal while bound and busy. */
int volume_resize(struct volume *volume, uint64_t size_bytes, char *error, size_t error_size);

/* Takes up to `step_bytes` of a memory volume's pages ahead of the guest. 1: call again, 0: all are there (or the back end has
 * none), or -errno: -ENOMEM when the host has no more; those pages then come when they are touched, or not at all. */
int volume_populate(struct volume *volume, uint64_t step_bytes);

/* Before volume_set_rate() gives a volume a limit that may have had none so far: takes the memory for it. 0 or -ENOMEM. */
int volume_prepare_rate(struct volume *volume);

/* --- on the poller --- */
int volume_bind(struct volume *volume, struct volume_engine *engine);
void volume_unbind(struct volume *volume); /* nothing in flight */
void volume_set_rate(struct volume *volume, const struct volume_rate *rate, uint64_t now_tsc);

struct volume_engine_config {
	uint64_t buffer_bytes; /* memory for I/O buffers, taken at start; requests wait when it runs out */
	unsigned ring_entries;
	bool huge;
};
/* (poller: io_uring's single issuer is the thread that made the ring.) */
int volume_engine_create(struct volume_engine **out, const struct volume_engine_config *config);
void volume_engine_free(struct volume_engine *engine);
/* Submits what the pass has gathered (one system call) and completes what is done, within a budget. Returns completions handled;
 * only after a 0 may the poller sleep on the descriptor below. */
unsigned volume_engine_poll(struct volume_engine *engine, uint64_t now_tsc);
unsigned volume_engine_in_flight(const struct volume_engine *engine);
int volume_engine_wait_fd(const struct volume_engine *engine); /* readable when a completion is there; for epoll */

/* --- read by anyone --- */
struct volume_health {
	uint64_t errors; /* requests that the back end failed */
	int last_error;	 /* -errno of the last one, 0 */
	uint64_t last_error_offset_bytes;
	uint8_t last_error_op;
};
struct volume_stats {
	const struct account *backend; /* requests inside a back end that queues; NULL for memory and null */
	const struct account *held;    /* waited for their allowance; NULL without a rate */
	struct volume_health health;
	uint64_t crypt_bytes;
	uint64_t crypt_ticks;
};
void volume_stats(const struct volume *volume, struct volume_stats *out);
const char *volume_crypt_kernel(void); /* "vaes-avx512", "libgcrypt", "openssl": chosen at start */

#endif
