#include "control/store_private.h"

#include <errno.h>
#include <string.h>

/* A volume with everything that hangs on it. Columns are read by number in read_volume(). */
#define SELECT_VOLUME                                                                                                              \
	"SELECT v.id, v.name, v.size_bytes, v.size_target_bytes, v.block_size_bytes, v.backend, v.path, v.read_only, v.iops,"      \
	" v.throughput_mib, v.burst, v.tags, v.state, v.errors + coalesce(n.errors, 0), coalesce(n.message, v.error_message),"     \
	" v.created_s, v.dek_version, v.wrapped_dek,"                                                                              \
	" k.id, k.name, k.version, k.wrapped, k.created_s,"                                                                        \
	" a.phase, a.kind, a.socket, a.queues, a.packed, a.read_only, a.uid, a.gid, a.mode, a.created_s, l.state, l.reason "       \
	"FROM volumes v LEFT JOIN keks k ON k.id = v.kek_id LEFT JOIN attachments a ON a.volume_id = v.id "                        \
	"LEFT JOIN live l ON l.volume_id = v.id LEFT JOIN new_errors n ON n.volume_id = v.id "

static int64_t column_or(sqlite3_stmt *s, int column, int64_t null_value)
{
	return sqlite3_column_type(s, column) == SQLITE_NULL ? null_value : sqlite3_column_int64(s, column);
}

static void read_key(sqlite3_stmt *s, struct volume_row *out)
{
	out->encrypted = sqlite3_column_type(s, 18) != SQLITE_NULL;
	if (!out->encrypted)
		return;
	out->dek_version = (uint32_t)sqlite3_column_int64(s, 16);
	column_blob(s, 17, &out->wrapped_dek);
	column_uuid(s, 18, &out->kek.id);
	column_text(s, 19, out->kek.name, sizeof(out->kek.name));
	out->kek.version = (uint32_t)sqlite3_column_int64(s, 20);
	column_blob(s, 21, &out->kek.wrapped);
	out->kek.created_s = sqlite3_column_int64(s, 22);
}

static void read_attachment(sqlite3_stmt *s, struct attachment_row *out)
{
	out->phase = (enum attachment_phase)column_or(s, 23, ATTACHMENT_NONE);
	if (out->phase == ATTACHMENT_NONE)
		return;
	out->kind = (enum attachment_kind)sqlite3_column_int(s, 24);
	column_text(s, 25, out->socket, sizeof(out->socket));
	out->queues = sqlite3_column_int64(s, 26);
	out->packed = sqlite3_column_int(s, 27) != 0;
	out->read_only = sqlite3_column_int(s, 28) != 0;
	out->uid = column_or(s, 29, -1);
	out->gid = column_or(s, 30, -1);
	out->mode = sqlite3_column_int64(s, 31);
	out->created_s = sqlite3_column_int64(s, 32);
	column_text(s, 33, out->state, sizeof(out->state));
	column_text(s, 34, out->reason, sizeof(out->reason));
	if (out->state[0] == '\0') {
		strcpy(out->state, "pending");
		strcpy(out->reason, "The card was not told yet.");
	}
}

static void read_volume(sqlite3_stmt *s, struct volume_row *out)
{
	memset(out, 0, sizeof(*out));
	column_uuid(s, 0, &out->id);
	column_text(s, 1, out->name, sizeof(out->name));
	out->size_bytes = sqlite3_column_int64(s, 2);
	out->size_target_bytes = sqlite3_column_int64(s, 3);
	out->block_size_bytes = sqlite3_column_int64(s, 4);
	out->backend = (enum volume_backend_kind)sqlite3_column_int(s, 5);
	column_text(s, 6, out->path, sizeof(out->path));
	out->read_only = sqlite3_column_int(s, 7) != 0;
	out->iops = sqlite3_column_int64(s, 8);
	out->throughput_mib = sqlite3_column_int64(s, 9);
	out->burst = sqlite3_column_int(s, 10) != 0;
	out->tags = json_loads((const char *)sqlite3_column_text(s, 11), 0, NULL);
	if (out->tags == NULL)
		out->tags = json_object();
	out->state = (enum volume_state)sqlite3_column_int(s, 12);
	out->errors = sqlite3_column_int64(s, 13);
	column_text(s, 14, out->error_message, sizeof(out->error_message));
	out->created_s = sqlite3_column_int64(s, 15);
	read_key(s, out);
	read_attachment(s, &out->attachment);
}

void volume_row_clear(struct volume_row *row)
{
	json_decref(row->tags);
	row->tags = NULL;
}

static int read_one(sqlite3_stmt *s, struct volume_row *out)
{
	int rc = store_step(s);

	if (rc == 1)
		read_volume(s, out);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int store_volume_get(struct store *store, const char *name, struct volume_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_VOLUME "WHERE v.name = ?1");

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	return read_one(s, out);
}

int store_volume_get_by_id(struct store *store, const struct uuid *id, struct volume_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_VOLUME "WHERE v.id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	return read_one(s, out);
}

static int each_row(sqlite3_stmt *s, int (*each)(void *context, struct volume_row *row), void *context)
{
	struct volume_row row;
	int rc;

	while ((rc = store_step(s)) == 1) {
		read_volume(s, &row);
		rc = each(context, &row);
		volume_row_clear(&row);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc;
}

int store_volume_each(struct store *store, int (*each)(void *context, struct volume_row *row), void *context)
{
	return each_row(store_statement(store, SELECT_VOLUME "WHERE v.state <> 1 ORDER BY v.name"), each, context);
}

int store_volume_each_of_key(struct store *store, const struct uuid *kek, int (*each)(void *context, struct volume_row *row),
			     void *context)
{
	sqlite3_stmt *s = store_statement(store, SELECT_VOLUME "WHERE v.kek_id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, kek);
	return each_row(s, each, context);
}

int store_volume_insert(struct store *store, const struct volume_row *row)
{
	sqlite3_stmt *s = store_statement(
		store,
		"INSERT INTO volumes (id, name, size_bytes, block_size_bytes, backend, path, read_only, iops, throughput_mib,"
		" burst, tags, state, created_s, kek_id, dek_version, wrapped_dek) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)");
	char *tags;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	tags = json_dumps(row->tags, JSON_COMPACT);
	if (tags == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, &row->id);
	sqlite3_bind_text(s, 2, row->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3, row->size_bytes);
	sqlite3_bind_int64(s, 4, row->block_size_bytes);
	sqlite3_bind_int64(s, 5, row->backend);
	bind_text_or_null(s, 6, row->path);
	sqlite3_bind_int64(s, 7, row->read_only);
	bind_or_null(s, 8, row->iops, 0);
	bind_or_null(s, 9, row->throughput_mib, 0);
	sqlite3_bind_int64(s, 10, row->burst);
	sqlite3_bind_text(s, 11, tags, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 12, row->state);
	sqlite3_bind_int64(s, 13, row->created_s);
	if (row->encrypted) {
		bind_uuid(s, 14, &row->kek.id);
		sqlite3_bind_int64(s, 15, row->dek_version);
		bind_blob(s, 16, &row->wrapped_dek);
	}
	rc = store_run(store, s, NULL);
	free(tags);
	return rc;
}

int store_volume_set_state(struct store *store, const struct uuid *id, enum volume_state state)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE volumes SET state = ?2 WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	sqlite3_bind_int64(s, 2, state);
	return store_run_one(store, s);
}

int store_volume_begin_delete(struct store *store, const struct uuid *id)
{
	sqlite3_stmt *s = store_statement(
		store, "UPDATE volumes SET state = 3, kek_id = NULL, dek_version = NULL, wrapped_dek = NULL WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	return store_run_one(store, s);
}

int store_volume_delete(struct store *store, const struct uuid *id)
{
	sqlite3_stmt *s = store_statement(store, "DELETE FROM volumes WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	return store_run_one(store, s);
}

int store_volume_set_size(struct store *store, const struct uuid *id, int64_t size_bytes, int64_t size_target_bytes)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE volumes SET size_bytes = ?2, size_target_bytes = ?3 WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	sqlite3_bind_int64(s, 2, size_bytes);
	bind_or_null(s, 3, size_target_bytes, 0);
	return store_run_one(store, s);
}

int store_volume_set_rate(struct store *store, const struct uuid *id, int64_t iops, int64_t throughput_mib, bool burst)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE volumes SET iops = ?2, throughput_mib = ?3, burst = ?4 WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	bind_or_null(s, 2, iops, 0);
	bind_or_null(s, 3, throughput_mib, 0);
	sqlite3_bind_int64(s, 4, burst);
	return store_run_one(store, s);
}

int store_volume_set_tags(struct store *store, const struct uuid *id, const json_t *tags)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE volumes SET tags = ?2 WHERE id = ?1");
	char *text = json_dumps(tags, JSON_COMPACT);
	int rc;

	if (s == NULL || text == NULL) {
		free(text);
		return -ENOMEM;
	}
	bind_uuid(s, 1, id);
	sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC);
	rc = store_run_one(store, s);
	free(text);
	return rc;
}

int store_volume_set_key(struct store *store, const struct uuid *id, const struct uuid *from_kek, const struct uuid *kek,
			 const struct vault_blob *wrapped_dek)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE volumes SET kek_id = ?3, wrapped_dek = ?4 WHERE id = ?1 AND kek_id = ?2");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	bind_uuid(s, 2, from_kek);
	bind_uuid(s, 3, kek);
	bind_blob(s, 4, wrapped_dek);
	return store_run_one(store, s);
}

int store_volume_count(struct store *store, int64_t *count)
{
	return store_count(store, "SELECT count(*) FROM volumes", count);
}

static int owner(sqlite3_stmt *s, const char *path, char name[NAME_SIZE])
{
	int rc;

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
	rc = store_step(s);
	if (rc == 1)
		column_text(s, 0, name, NAME_SIZE);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int store_path_owner(struct store *store, const char *path, char name[NAME_SIZE])
{
	return owner(store_statement(store, "SELECT name FROM volumes WHERE path = ?1"), path, name);
}

int store_path_each(struct store *store, int (*each)(void *context, const char *name, const char *path), void *context)
{
	sqlite3_stmt *s = store_statement(store, "SELECT name, path FROM volumes WHERE path IS NOT NULL");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	while ((rc = store_step(s)) == 1) {
		char name[NAME_SIZE], path[PATH_SIZE];

		column_text(s, 0, name, sizeof(name));
		column_text(s, 1, path, sizeof(path));
		rc = each(context, name, path);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc;
}

int store_socket_owner(struct store *store, const char *socket, char name[NAME_SIZE])
{
	return owner(
		store_statement(store, "SELECT v.name FROM attachments a JOIN volumes v ON v.id = a.volume_id WHERE a.socket = ?1"),
		socket, name);
}
