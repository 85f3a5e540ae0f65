/*
 * The state that outlives everything: DIR/control.db, SQLite with a write-ahead log, synced at every commit. Open to one process
 * at a time (an exclusive lock, which also spares the shared-memory file), on one thread.
 *
 * Valid if and only if: application_id is STORE_APPLICATION_ID and user_version is 1 to STORE_SCHEMA_VERSION. An older schema is
 * brought up by the migrations (store_schema.c), each in its transaction; a newer one is refused.
 *
 * What is in it: volumes with their wrapped data keys, key-encryption keys (wrapped too), attachments, the card's last incarnation,
 * and the objects of VPCs (store_net.h).
 * What the card tells while it runs (is a VMM there, why does an attachment wait) is in a table of SQLite's temporary database,
 * in memory, so that one query sees both and a restart forgets it.
 *
 * Functions return 0 or -errno: -ENOENT no such row, -EEXIST a name, path or socket is taken, -EBUSY a row is still referred to,
 * -ENOSPC the file system is full, -EUCLEAN damaged, -EIO, -ENOMEM.
 */
#ifndef OUTBOARD_CONTROL_STORE_H
#define OUTBOARD_CONTROL_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "control/bodies.h"
#include "control/error.h"
#include "vault/vault_client.h"

enum {
	STORE_APPLICATION_ID = 0x4f757462, /* "Outb" */
	STORE_VOLUMES_MAX = 65536,
	STORE_KEYS_MAX = 4096,
	STORE_MESSAGE_SIZE = 256,
};

struct sqlite3;
struct sqlite3_stmt;

enum { STORE_STATEMENTS_MAX = 96 };

struct store {
	struct sqlite3 *db;
	struct {
		const char *sql; /* by address: every statement is one literal */
		struct sqlite3_stmt *statement;
	} cache[STORE_STATEMENTS_MAX];
	unsigned cached;
};

/* On failure `error` says what is wrong with which file and what to do. */
int store_open(struct store *store, const char *path, char *error, size_t error_size);
void store_close(struct store *store);

/* Several changes as one. Nothing nests. */
int store_begin(struct store *store);
int store_commit(struct store *store); /* on failure everything is rolled back */
void store_rollback(struct store *store);
void store_release_memory(struct store *store); /* after a change that was large */
/* After a key was deleted: it must not live on in the write-ahead log. Best effort: the log goes at the next checkpoint anyway. */
void store_forget_deleted(struct store *store);

/* For what has no error of its own to give: full disk, damage, out of memory. `what` was to be done ("create volume \"x\""). */
int store_failure(struct failure *failure, int rc, const char *what);

/* ---- key-encryption keys ---- */
struct key_row {
	struct uuid id;
	char name[NAME_SIZE];
	uint32_t version;
	struct vault_blob wrapped;
	int64_t created_s;
	int64_t volumes; /* read only: how many use it */
};
int store_key_get(struct store *store, const char *name, struct key_row *out);
int store_key_insert(struct store *store, const struct key_row *row);
int store_key_delete(struct store *store, const char *name);
/* A new version in place of `from_version`; -ENOENT when it is not that any more. */
int store_key_replace(struct store *store, const struct key_row *row, uint32_t from_version);
int store_key_each(struct store *store, int (*each)(void *context, const struct key_row *row), void *context);
int store_key_count(struct store *store, int64_t *count);

/* ---- volumes ---- */
enum volume_state {
	VOLUME_CREATING = 1, /* its storage may or may not be there; undone unless the creation is under way */
	VOLUME_AVAILABLE = 2,
	VOLUME_DELETING = 3, /* its key is gone, its storage is to go */
};

enum attachment_phase {
	ATTACHMENT_NONE,
	ATTACHMENT_ATTACHING = 1, /* asked for, not confirmed: undone unless under way */
	ATTACHMENT_ATTACHED = 2,
	ATTACHMENT_DETACHING = 3,
};

struct attachment_row {
	enum attachment_phase phase;
	enum attachment_kind kind;
	char socket[SOCKET_PATH_SIZE];
	int64_t queues;
	bool packed;
	bool read_only;
	int64_t uid; /* -1: not given */
	int64_t gid;
	int64_t mode;
	int64_t created_s;
	/* read only, from what the card tells */
	char state[16];			 /* "waiting", "connected", "pending" */
	char reason[STORE_MESSAGE_SIZE]; /* "": none */
};

struct volume_row {
	struct uuid id;
	char name[NAME_SIZE];
	int64_t size_bytes;
	int64_t size_target_bytes; /* 0: none; else the card was told to grow to it, and has not confirmed */
	int64_t block_size_bytes;
	enum volume_backend_kind backend;
	char path[PATH_SIZE]; /* "": none */
	bool read_only;
	int64_t iops;
	int64_t throughput_mib;
	bool burst;
	json_t *tags; /* owned: volume_row_clear() */
	enum volume_state state;
	int64_t errors;
	char error_message[STORE_MESSAGE_SIZE]; /* "": none */
	int64_t created_s;
	bool encrypted;
	uint32_t dek_version;
	struct vault_blob wrapped_dek;
	struct key_row kek;		  /* of an encrypted one; only its id is written */
	struct attachment_row attachment; /* read only here; phase ATTACHMENT_NONE: none */
};
void volume_row_clear(struct volume_row *row);

int store_volume_get(struct store *store, const char *name, struct volume_row *out);
int store_volume_get_by_id(struct store *store, const struct uuid *id, struct volume_row *out);
int store_volume_insert(struct store *store, const struct volume_row *row);
int store_volume_set_state(struct store *store, const struct uuid *id, enum volume_state state);
int store_volume_begin_delete(struct store *store, const struct uuid *id); /* DELETING, and no key any more */
int store_volume_delete(struct store *store, const struct uuid *id);
int store_volume_set_size(struct store *store, const struct uuid *id, int64_t size_bytes, int64_t size_target_bytes);
int store_volume_set_rate(struct store *store, const struct uuid *id, int64_t iops, int64_t throughput_mib, bool burst);
int store_volume_set_tags(struct store *store, const struct uuid *id, const json_t *tags);
/* -ENOENT when the volume is not encrypted under `from_kek` any more. */
int store_volume_set_key(struct store *store, const struct uuid *id, const struct uuid *from_kek, const struct uuid *kek,
			 const struct vault_blob *wrapped_dek);
/* All but those being created, by name; `row` is cleared after each call. A result other than 0 ends it. */
int store_volume_each(struct store *store, int (*each)(void *context, struct volume_row *row), void *context);
int store_volume_each_of_key(struct store *store, const struct uuid *kek, int (*each)(void *context, struct volume_row *row),
			     void *context);
int store_volume_count(struct store *store, int64_t *count);
/* Whose backing file is that? -ENOENT: nobody's. */
int store_path_owner(struct store *store, const char *path, char name[NAME_SIZE]);
/* All paths that volumes lie at, also those of volumes being made, until `each` returns another value than 0, which is returned. */
int store_path_each(struct store *store, int (*each)(void *context, const char *name, const char *path), void *context);
int store_socket_owner(struct store *store, const char *socket, char name[NAME_SIZE]);

/* ---- attachments ---- */
int store_attachment_insert(struct store *store, const struct uuid *volume, const struct attachment_row *row);
int store_attachment_set_phase(struct store *store, const struct uuid *volume, enum attachment_phase phase);
int store_attachment_delete(struct store *store, const struct uuid *volume);
int store_attachment_count(struct store *store, int64_t *count);

/* ---- what the card tells (in memory) ---- */
int store_live_set(struct store *store, const struct uuid *volume, const char *state, const char *reason /* NULL: none */);
int store_live_all_pending(struct store *store, const char *reason);
int store_health_add(struct store *store, const struct uuid *volume, const char *message); /* one error; kept in memory */
int store_health_flush(struct store *store); /* what was added, into the volumes' rows: one commit however many */
int store_health_reset(struct store *store, const struct uuid *volume);

/* ---- work to be done once a card is there ---- */
enum store_work {
	WORK_ALL,     /* unfinished volumes, memory volumes, every attachment */
	WORK_PENDING, /* attachments that wait, unfinished volumes */
};
/* Ids into *out, of malloc(). */
int store_work_list(struct store *store, enum store_work which, struct uuid **out, size_t *count);

/* ---- the card ---- */
int store_card_get(struct store *store, char incarnation[UUID_TEXT_SIZE], int64_t *restarts); /* "" when never seen */
int store_card_set(struct store *store, const char *incarnation, int64_t restarts);

#endif
