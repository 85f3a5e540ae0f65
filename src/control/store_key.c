#include "control/store_private.h"

#include <errno.h>

#define SELECT_KEY                                                                                                                 \
	"SELECT k.id, k.name, k.version, k.wrapped, k.created_s, (SELECT count(*) FROM volumes v WHERE v.kek_id = k.id) FROM "     \
	"keks k "

static void read_key(sqlite3_stmt *s, struct key_row *out)
{
	column_uuid(s, 0, &out->id);
	column_text(s, 1, out->name, sizeof(out->name));
	out->version = (uint32_t)sqlite3_column_int64(s, 2);
	column_blob(s, 3, &out->wrapped);
	out->created_s = sqlite3_column_int64(s, 4);
	out->volumes = sqlite3_column_int64(s, 5);
}

int store_key_get(struct store *store, const char *name, struct key_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_KEY "WHERE k.name = ?1");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	rc = store_step(s);
	if (rc == 1)
		read_key(s, out);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int store_key_insert(struct store *store, const struct key_row *row)
{
	sqlite3_stmt *s =
		store_statement(store, "INSERT INTO keks (id, name, version, wrapped, created_s) VALUES (?1, ?2, ?3, ?4, ?5)");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, &row->id);
	sqlite3_bind_text(s, 2, row->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3, row->version);
	bind_blob(s, 4, &row->wrapped);
	sqlite3_bind_int64(s, 5, row->created_s);
	return store_run(store, s, NULL);
}

int store_key_delete(struct store *store, const char *name)
{
	sqlite3_stmt *s = store_statement(store, "DELETE FROM keks WHERE name = ?1");

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	return store_run_one(store, s);
}

int store_key_replace(struct store *store, const struct key_row *row, uint32_t from_version)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE keks SET version = ?2, wrapped = ?3 WHERE id = ?1 AND version = ?4");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, &row->id);
	sqlite3_bind_int64(s, 2, row->version);
	bind_blob(s, 3, &row->wrapped);
	sqlite3_bind_int64(s, 4, from_version);
	return store_run_one(store, s);
}

int store_key_each(struct store *store, int (*each)(void *context, const struct key_row *row), void *context)
{
	sqlite3_stmt *s = store_statement(store, SELECT_KEY "ORDER BY k.name");
	struct key_row row;
	int rc;

	while ((rc = store_step(s)) == 1) {
		read_key(s, &row);
		rc = each(context, &row);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc;
}

int store_key_count(struct store *store, int64_t *count)
{
	return store_count(store, "SELECT count(*) FROM keks", count);
}
