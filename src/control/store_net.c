#include "control/store_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/store_private.h"

void net_row_clear(struct net_row *row)
{
	free(row->body);
	free(row->items);
	row->body = row->items = NULL;
}

static enum net_kind kind_of(const char *word)
{
	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		if (word != NULL && strcmp(net_kinds[kind].word, word) == 0)
			return (enum net_kind)kind;
	return NET_KIND_COUNT;
}

static void bind_kind(sqlite3_stmt *s, int index, enum net_kind kind)
{
	sqlite3_bind_text(s, index, net_kinds[kind].word, -1, SQLITE_STATIC);
}

static enum net_kind column_kind(sqlite3_stmt *s, int column)
{
	return kind_of((const char *)sqlite3_column_text(s, column));
}

/* ---- objects ---- */

static char *column_copy(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	return text == NULL ? NULL : strdup(text);
}

static int read_row(sqlite3_stmt *s, struct net_row *out)
{
	memset(out, 0, sizeof(*out));
	column_uuid(s, 0, &out->id);
	out->kind = column_kind(s, 1);
	column_text(s, 2, out->name, sizeof(out->name));
	column_uuid(s, 3, &out->vpc);
	out->item_count = sqlite3_column_int64(s, 4);
	out->created_s = sqlite3_column_int64(s, 5);
	out->body = column_copy(s, 6);
	out->items = column_copy(s, 7);
	if (out->kind == NET_KIND_COUNT) /* of a newer version, whose schema we would have refused */
		return -EUCLEAN;
	return out->body == NULL ? -ENOMEM : 0;
}

static int read_one(sqlite3_stmt *s, struct net_row *out)
{
	int rc = store_step(s);

	if (rc != 1)
		return rc == 0 ? -ENOENT : rc;
	rc = read_row(s, out);
	sqlite3_reset(s);
	if (rc < 0)
		net_row_clear(out);
	return rc;
}

#define SELECT_OBJECT "SELECT id, kind, name, vpc, item_count, created_s, body, items FROM net_objects "

int store_net_get(struct store *store, enum net_kind kind, const char *name, struct net_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_OBJECT "WHERE kind = ?1 AND name = ?2");

	if (s == NULL)
		return -ENOMEM;
	bind_kind(s, 1, kind);
	sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
	return read_one(s, out);
}

int store_net_get_by_id(struct store *store, const struct uuid *id, struct net_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_OBJECT "WHERE id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	return read_one(s, out);
}

int store_net_find(struct store *store, enum net_kind kind, const char *name, struct uuid *id, struct uuid *vpc)
{
	sqlite3_stmt *s = store_statement(store, "SELECT id, vpc FROM net_objects WHERE kind = ?1 AND name = ?2");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	bind_kind(s, 1, kind);
	sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
	rc = store_step(s);
	if (rc != 1)
		return rc == 0 ? -ENOENT : rc;
	column_uuid(s, 0, id);
	column_uuid(s, 1, vpc);
	sqlite3_reset(s);
	return 0;
}

/* The kind and name in a statement's first row. */
static int read_name(sqlite3_stmt *s, enum net_kind *kind, char name[NAME_SIZE])
{
	int rc = store_step(s);

	if (rc != 1)
		return rc == 0 ? -ENOENT : rc;
	*kind = column_kind(s, 0);
	column_text(s, 1, name, NAME_SIZE);
	return *kind == NET_KIND_COUNT ? -EUCLEAN : 0;
}

int store_net_name(struct store *store, const struct uuid *id, enum net_kind *kind, char name[NAME_SIZE])
{
	sqlite3_stmt *s = store_statement(store, "SELECT kind, name FROM net_objects WHERE id = ?1");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, id);
	rc = read_name(s, kind, name);
	sqlite3_reset(s);
	return rc;
}

int store_net_each(struct store *store, enum net_kind kind, bool items, int (*each)(void *context, struct net_row *row),
		   void *context)
{
	sqlite3_stmt *s = store_statement(
		store, "SELECT id, kind, name, vpc, item_count, created_s, body, iif(?2, items, NULL) FROM net_objects "
		       "WHERE ?1 IS NULL OR kind = ?1 ORDER BY kind, name");
	struct net_row row;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	if (kind != NET_KIND_COUNT)
		bind_kind(s, 1, kind);
	sqlite3_bind_int(s, 2, items);
	while ((rc = store_step(s)) == 1) {
		rc = read_row(s, &row);
		if (rc == 0)
			rc = each(context, &row);
		net_row_clear(&row);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc;
}

int store_net_count(struct store *store, int64_t *count)
{
	return store_count(store, "SELECT count(*) FROM net_objects", count);
}

int store_net_put(struct store *store, const struct net_row *row)
{
	static const struct uuid none;
	sqlite3_stmt *s =
		store_statement(store, "INSERT INTO net_objects (id, kind, name, vpc, body, items, item_count, created_s) "
				       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET vpc = excluded.vpc,"
				       " body = excluded.body, items = excluded.items, item_count = excluded.item_count");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, &row->id);
	bind_kind(s, 2, row->kind);
	sqlite3_bind_text(s, 3, row->name, -1, SQLITE_STATIC);
	if (memcmp(&row->vpc, &none, sizeof(none)) != 0)
		bind_uuid(s, 4, &row->vpc);
	sqlite3_bind_text(s, 5, row->body, -1, SQLITE_STATIC);
	bind_text_or_null(s, 6, row->items);
	sqlite3_bind_int64(s, 7, row->item_count);
	sqlite3_bind_int64(s, 8, row->created_s);
	return store_run(store, s, NULL);
}

int store_net_delete(struct store *store, const struct uuid *id)
{
	return store_run_on(store, "DELETE FROM net_objects WHERE id = ?1", id);
}

int store_net_unlink(struct store *store, const struct uuid *id)
{
	int rc = store_run_on(store, "DELETE FROM net_references WHERE from_id = ?1", id);

	return rc < 0 ? rc : store_run_on(store, "DELETE FROM net_claims WHERE owner = ?1", id);
}

int store_net_refer(struct store *store, const struct uuid *from, const struct uuid *to)
{
	sqlite3_stmt *s = store_statement(store, "INSERT OR IGNORE INTO net_references (from_id, to_id) VALUES (?1, ?2)");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, from);
	bind_uuid(s, 2, to);
	return store_run(store, s, NULL);
}

int store_net_referrer(struct store *store, const struct uuid *to, enum net_kind *kind, char name[NAME_SIZE], int64_t *count)
{
	sqlite3_stmt *s =
		store_statement(store, "SELECT o.kind, o.name, count(*) OVER () FROM net_references r "
				       "JOIN net_objects o ON o.id = r.from_id WHERE r.to_id = ?1 ORDER BY o.kind, o.name");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, to);
	rc = read_name(s, kind, name);
	if (rc == 0)
		*count = sqlite3_column_int64(s, 2);
	sqlite3_reset(s);
	return rc;
}

/* ---- claims ---- */

static void bind_claim(sqlite3_stmt *s, const struct net_claim *claim)
{
	sqlite3_bind_int(s, 1, claim->scope);
	bind_uuid(s, 2, &claim->vpc);
	sqlite3_bind_blob(s, 3, claim->value, claim->size, SQLITE_STATIC);
}

int store_net_claim(struct store *store, const struct net_claim *claim, const struct uuid *owner)
{
	sqlite3_stmt *s = store_statement(store, "INSERT INTO net_claims (scope, vpc, value, owner) VALUES (?1, ?2, ?3, ?4)");

	if (s == NULL)
		return -ENOMEM;
	bind_claim(s, claim);
	bind_uuid(s, 4, owner);
	return store_run(store, s, NULL);
}

int store_net_claim_owner(struct store *store, const struct net_claim *claim, enum net_kind *kind, char name[NAME_SIZE])
{
	sqlite3_stmt *s = store_statement(store, "SELECT o.kind, o.name FROM net_claims c JOIN net_objects o ON o.id = c.owner "
						 "WHERE c.scope = ?1 AND c.vpc = ?2 AND c.value = ?3");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	bind_claim(s, claim);
	rc = read_name(s, kind, name);
	sqlite3_reset(s);
	return rc;
}

/* False: that was the last number there is. */
static bool increment(uint8_t *value, unsigned size)
{
	while (size > 0)
		if (++value[--size] != 0)
			return true;
	return false;
}

int store_net_claim_free(struct store *store, struct net_claim *claim, const uint8_t last[NET_CLAIM_BYTES])
{
	sqlite3_stmt *s = store_statement(
		store, "SELECT value FROM net_claims WHERE scope = ?1 AND vpc = ?2 AND value >= ?3 AND value <= ?4 ORDER BY value");
	uint8_t next[NET_CLAIM_BYTES];
	bool more = true;
	int rc;

	if (s == NULL)
		return -ENOMEM;
	memcpy(next, claim->value, sizeof(next)); /* the statement reads the claim's value while it runs */
	bind_claim(s, claim);
	sqlite3_bind_blob(s, 4, last, claim->size, SQLITE_STATIC);
	while (more && (rc = store_step(s)) == 1 && memcmp(sqlite3_column_blob(s, 0), next, claim->size) == 0)
		more = increment(next, claim->size);
	sqlite3_reset(s);
	if (rc < 0)
		return rc;
	if (!more || memcmp(next, last, claim->size) > 0)
		return -ENOENT;
	memcpy(claim->value, next, sizeof(next));
	return 0;
}
