#include "control/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

int store_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return code == SQLITE_CONSTRAINT_FOREIGNKEY ? -EBUSY : -EEXIST;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return -EACCES;
	default:
		return -EIO;
	}
}

/* ---- statements ---- */

sqlite3_stmt *store_statement(struct store *store, const char *sql)
{
	sqlite3_stmt *statement;

	for (unsigned i = 0; i < store->cached; i++)
		if (store->cache[i].sql == sql) {
			sqlite3_reset(store->cache[i].statement);
			sqlite3_clear_bindings(store->cache[i].statement);
			return store->cache[i].statement;
		}
	assert(store->cached < STORE_STATEMENTS_MAX);
	if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
		log_error("store: %s", sqlite3_errmsg(store->db));
		return NULL;
	}
	store->cache[store->cached].sql = sql;
	store->cache[store->cached++].statement = statement;
	return statement;
}

int store_step(sqlite3_stmt *statement)
{
	int code;

	if (statement == NULL)
		return -ENOMEM;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE && store_errno(code) != -EEXIST && store_errno(code) != -EBUSY)
		log_error("store: %s", sqlite3_errmsg(sqlite3_db_handle(statement)));
	sqlite3_reset(statement);
	return store_errno(code);
}

int store_run(struct store *store, sqlite3_stmt *statement, int *changed)
{
	int rc = store_step(statement);

	assert(rc <= 0);
	if (rc == 0 && changed != NULL)
		*changed = sqlite3_changes(store->db);
	return rc;
}

int store_run_one(struct store *store, sqlite3_stmt *statement)
{
	int changed = 0, rc = store_run(store, statement, &changed);

	return rc == 0 && changed == 0 ? -ENOENT : rc;
}

int store_run_on(struct store *store, const char *sql, const struct uuid *id)
{
	sqlite3_stmt *s = store_statement(store, sql);

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	return store_run(store, s, NULL);
}

int store_count(struct store *store, const char *sql, int64_t *count)
{
	sqlite3_stmt *s = store_statement(store, sql);
	int rc = store_step(s);

	if (rc == 1) {
		*count = sqlite3_column_int64(s, 0);
		rc = 0;
	}
	sqlite3_reset(s);
	return rc;
}

void bind_uuid(sqlite3_stmt *s, int index, const struct uuid *id)
{
	sqlite3_bind_blob(s, index, id->bytes, UUID_BYTES, SQLITE_STATIC);
}

void bind_blob(sqlite3_stmt *s, int index, const struct vault_blob *blob)
{
	sqlite3_bind_blob(s, index, blob->bytes, blob->size, SQLITE_STATIC);
}

void bind_text_or_null(sqlite3_stmt *s, int index, const char *text)
{
	if (text == NULL || text[0] == '\0')
		sqlite3_bind_null(s, index);
	else
		sqlite3_bind_text(s, index, text, -1, SQLITE_STATIC);
}

void bind_or_null(sqlite3_stmt *s, int index, int64_t value, int64_t null_value)
{
	if (value == null_value)
		sqlite3_bind_null(s, index);
	else
		sqlite3_bind_int64(s, index, value);
}

void column_uuid(sqlite3_stmt *s, int column, struct uuid *out)
{
	memset(out, 0, sizeof(*out));
	if (sqlite3_column_bytes(s, column) == UUID_BYTES)
		memcpy(out->bytes, sqlite3_column_blob(s, column), UUID_BYTES);
}

/* One that does not fit was not written by us: it reads as empty, and the vault will refuse it. */
void column_blob(sqlite3_stmt *s, int column, struct vault_blob *out)
{
	int size = sqlite3_column_bytes(s, column);

	memset(out, 0, sizeof(*out));
	if (size <= 0 || size > VAULT_WRAPPED_MAX_BYTES)
		return;
	memcpy(out->bytes, sqlite3_column_blob(s, column), (size_t)size);
	out->size = (uint16_t)size;
}

void column_text(sqlite3_stmt *s, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	snprintf(out, size, "%s", text == NULL ? "" : text);
}

/* ---- transactions ---- */

static int execute(struct store *store, const char *sql)
{
	int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		return 0;
	log_error("store: %s", sqlite3_errmsg(store->db));
	return store_errno(code);
}

int store_begin(struct store *store)
{
	return execute(store, "BEGIN IMMEDIATE");
}

int store_commit(struct store *store)
{
	int rc = execute(store, "COMMIT");

	if (rc < 0)
		store_rollback(store);
	return rc;
}

void store_rollback(struct store *store)
{
	if (sqlite3_get_autocommit(store->db) == 0) /* SQLite has not rolled back by itself (SQLITE_FULL, ...) */
		execute(store, "ROLLBACK");
}

int store_failure(struct failure *failure, int rc, const char *what)
{
	switch (rc) {
	case -ENOSPC:
		return failure_set(
			failure, ERROR_STATE_FULL,
			"Cannot %s: the file system of the state directory is full. Nothing was changed; make room and try again.",
			what);
	case -EUCLEAN:
		return failure_set(failure, ERROR_INTERNAL,
				   "Cannot %s: the state store is damaged. Stop Outboard and restore control.db from a backup.",
				   what);
	case -EIO:
	case -EACCES:
		return failure_set(failure, ERROR_INTERNAL,
				   "Cannot %s: the state store cannot be read or written; see the log of outboard-control.", what);
	default:
		return failure_set(failure, ERROR_INTERNAL, "Cannot %s: %s.", what, strerror(-rc));
	}
}

/* ---- opening ---- */

struct opening {
	struct store *store;
	const char *path;
	char *error;
	size_t error_size;
};

static int refuse(const struct opening *o, int rc)
{
	switch (rc) {
	case -EUCLEAN:
		snprintf(o->error, o->error_size,
			 "the state store %s is damaged (%s): move it and %s-wal aside and put a backup in place, or start without "
			 "one. The "
			 "volumes' files are not touched, but the keys of encrypted volumes are only in that store",
			 o->path, sqlite3_errmsg(o->store->db), o->path);
		break;
	case -EAGAIN:
		snprintf(o->error, o->error_size, "the state store %s is in use by another process: one outboard-control at a time",
			 o->path);
		break;
	case -ENOSPC:
		snprintf(o->error, o->error_size, "the state store %s cannot be opened: its file system is full; make room",
			 o->path);
		break;
	default:
		snprintf(o->error, o->error_size,
			 "the state store %s cannot be opened: %s; check the directory's owner and permissions", o->path,
			 sqlite3_errmsg(o->store->db));
	}
	return rc;
}

static int pragma_number(struct store *store, const char *sql, int *out)
{
	sqlite3_stmt *s;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &s, NULL);

	if (code == SQLITE_OK) {
		code = sqlite3_step(s);
		*out = code == SQLITE_ROW ? sqlite3_column_int(s, 0) : 0;
		sqlite3_finalize(s);
	}
	return store_errno(code);
}

static int check_pages(const struct opening *o)
{
	sqlite3_stmt *s;
	int code = sqlite3_prepare_v2(o->store->db, "PRAGMA quick_check(1)", -1, &s, NULL), rc;

	if (code != SQLITE_OK)
		return refuse(o, store_errno(code));
	code = sqlite3_step(s);
	rc = store_errno(code);
	if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
		rc = -EUCLEAN;
	sqlite3_finalize(s);
	return rc < 0 ? refuse(o, rc) : 0;
}

static int migrate_one(struct store *store, int from)
{
	char version[48];
	int rc = store_begin(store);

	if (rc < 0)
		return rc;
	snprintf(version, sizeof(version), "PRAGMA user_version = %d", from + 1);
	rc = execute(store, store_migrations[from]);
	if (rc == 0)
		rc = execute(store, version);
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

static int migrate(const struct opening *o)
{
	int version = 0, application = 0, newest = store_schema_version();
	int rc = pragma_number(o->store, "PRAGMA user_version", &version);
	char mark[64];

	if (rc == 0)
		rc = pragma_number(o->store, "PRAGMA application_id", &application);
	if (rc < 0)
		return refuse(o, rc);
	if (version > newest || version < 0) {
		snprintf(o->error, o->error_size,
			 "the state store %s was written by a newer Outboard (schema %d, this one knows %d): install that version "
			 "again, or put "
			 "a backup of the store in place",
			 o->path, version, newest);
		return -EPROTO;
	}
	if (version > 0 && application != STORE_APPLICATION_ID) {
		snprintf(o->error, o->error_size, "%s is a database of another program: name another state directory", o->path);
		return -EPROTO;
	}
	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d", STORE_APPLICATION_ID);
	if (version == 0)
		rc = execute(o->store, mark);
	for (; rc == 0 && version < newest; version++)
		rc = migrate_one(o->store, version);
	return rc < 0 ? refuse(o, rc) : 0;
}

int store_open(struct store *store, const char *path, char *error, size_t error_size)
{
	static const char settings[] =
		"PRAGMA locking_mode = EXCLUSIVE;" /* before journal_mode: no shared-memory file then */
		"PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = FULL;"
		"PRAGMA foreign_keys = ON;"
		"PRAGMA secure_delete = ON;" /* a wrapped key that is deleted is overwritten */
		"PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -262144;" /* KiB, as needed: a load of a whole network without spilling */
		"PRAGMA trusted_schema = OFF;";
	struct opening o = {store, path, error, error_size};
	mode_t mask = umask(0077);
	int rc;

	memset(store, 0, sizeof(*store));
	rc = store_errno(sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	if (rc == 0) {
		sqlite3_extended_result_codes(store->db, 1);
		rc = store_errno(sqlite3_exec(store->db, settings, NULL, NULL, NULL));
	}
	rc = rc < 0 ? refuse(&o, rc) : check_pages(&o);
	if (rc == 0)
		rc = migrate(&o);
	if (rc == 0 && store_errno(sqlite3_exec(store->db, store_temporary, NULL, NULL, NULL)) < 0)
		rc = refuse(&o, -EIO);
	umask(mask);
	if (rc < 0)
		store_close(store);
	return rc;
}

void store_release_memory(struct store *store)
{
	sqlite3_db_release_memory(store->db);
}

void store_forget_deleted(struct store *store)
{
	execute(store, "PRAGMA wal_checkpoint(TRUNCATE)");
}

void store_close(struct store *store)
{
	for (unsigned i = 0; i < store->cached; i++)
		sqlite3_finalize(store->cache[i].statement);
	store->cached = 0;
	sqlite3_close(store->db);
	store->db = NULL;
}
