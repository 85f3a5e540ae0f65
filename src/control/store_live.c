/* Attachments, what the card tells about them while it runs, and the card itself. */
#include "control/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- attachments: desired ---- */

int store_attachment_insert(struct store *store, const struct uuid *volume, const struct attachment_row *row)
{
	sqlite3_stmt *s = store_statement(
		store,
		"INSERT INTO attachments (volume_id, phase, kind, socket, queues, packed, read_only, uid, gid, mode, created_s) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, volume);
	sqlite3_bind_int64(s, 2, row->phase);
	sqlite3_bind_int64(s, 3, row->kind);
	sqlite3_bind_text(s, 4, row->socket, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 5, row->queues);
	sqlite3_bind_int64(s, 6, row->packed);
	sqlite3_bind_int64(s, 7, row->read_only);
	bind_or_null(s, 8, row->uid, -1);
	bind_or_null(s, 9, row->gid, -1);
	sqlite3_bind_int64(s, 10, row->mode);
	sqlite3_bind_int64(s, 11, row->created_s);
	return store_run(store, s, NULL);
}

int store_attachment_set_phase(struct store *store, const struct uuid *volume, enum attachment_phase phase)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE attachments SET phase = ?2 WHERE volume_id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, volume);
	sqlite3_bind_int64(s, 2, phase);
	return store_run_one(store, s);
}

int store_attachment_delete(struct store *store, const struct uuid *volume)
{
	sqlite3_stmt *s = store_statement(store, "DELETE FROM attachments WHERE volume_id = ?1");
	sqlite3_stmt *live = store_statement(store, "DELETE FROM live WHERE volume_id = ?1");
	int rc;

	if (s == NULL || live == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, volume);
	rc = store_run_one(store, s);
	if (rc < 0)
		return rc;
	bind_uuid(live, 1, volume);
	return store_run(store, live, NULL);
}

int store_attachment_count(struct store *store, int64_t *count)
{
	return store_count(store, "SELECT count(*) FROM attachments", count);
}

/* ---- live ---- */

int store_live_set(struct store *store, const struct uuid *volume, const char *state, const char *reason)
{
	sqlite3_stmt *s = store_statement(
		store, "INSERT INTO live (volume_id, state, reason) SELECT ?1, ?2, ?3 FROM attachments WHERE volume_id = ?1 "
		       "ON CONFLICT (volume_id) DO UPDATE SET state = excluded.state, reason = excluded.reason");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, volume);
	sqlite3_bind_text(s, 2, state, -1, SQLITE_STATIC);
	bind_text_or_null(s, 3, reason);
	return store_run(store, s, NULL);
}

int store_live_all_pending(struct store *store, const char *reason)
{
	sqlite3_stmt *s =
		store_statement(store, "INSERT INTO live (volume_id, state, reason) SELECT volume_id, 'pending', ?1 "
				       "FROM attachments WHERE true "
				       "ON CONFLICT (volume_id) DO UPDATE SET state = excluded.state, reason = excluded.reason");

	if (s == NULL)
		return -ENOMEM;
	bind_text_or_null(s, 1, reason);
	return store_run(store, s, NULL);
}

int store_health_add(struct store *store, const struct uuid *volume, const char *message)
{
	sqlite3_stmt *s = store_statement(
		store, "INSERT INTO new_errors (volume_id, errors, message) SELECT ?1, 1, ?2 FROM volumes WHERE id = ?1 "
		       "ON CONFLICT (volume_id) DO UPDATE SET errors = errors + 1, message = excluded.message");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, volume);
	sqlite3_bind_text(s, 2, message, -1, SQLITE_STATIC);
	return store_run(store, s, NULL);
}

int store_health_flush(struct store *store)
{
	int64_t waiting = 0;
	int rc = store_count(store, "SELECT count(*) FROM new_errors", &waiting);

	if (rc < 0 || waiting == 0)
		return rc;
	rc = store_begin(store);
	if (rc < 0)
		return rc;
	rc = store_run(store,
		       store_statement(store, "UPDATE volumes SET errors = volumes.errors + n.errors, error_message = n.message "
					      "FROM new_errors n WHERE n.volume_id = volumes.id"),
		       NULL);
	if (rc == 0)
		rc = store_run(store, store_statement(store, "DELETE FROM new_errors"), NULL);
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

int store_health_reset(struct store *store, const struct uuid *volume)
{
	sqlite3_stmt *fresh = store_statement(store, "DELETE FROM new_errors WHERE volume_id = ?1");
	sqlite3_stmt *s = store_statement(
		store,
		"UPDATE volumes SET errors = 0, error_message = NULL WHERE id = ?1 AND (errors > 0 OR error_message NOT NULL)");
	int rc;

	if (fresh == NULL || s == NULL)
		return -ENOMEM;
	bind_uuid(fresh, 1, volume);
	rc = store_run(store, fresh, NULL);
	if (rc < 0)
		return rc;
	bind_uuid(s, 1, volume);
	return store_run(store, s, NULL);
}

/* ---- work ---- */

int store_work_list(struct store *store, enum store_work which, struct uuid **out, size_t *count)
{
	static const char all[] = "SELECT v.id FROM volumes v LEFT JOIN attachments a ON a.volume_id = v.id "
				  "WHERE v.state <> 2 OR v.backend = 0 OR v.size_target_bytes NOT NULL OR a.phase NOT NULL "
				  "ORDER BY v.name";
	static const char pending[] = "SELECT v.id FROM volumes v LEFT JOIN attachments a ON a.volume_id = v.id "
				      "LEFT JOIN live l ON l.volume_id = v.id "
				      "WHERE v.state <> 2 OR v.size_target_bytes NOT NULL OR a.phase <> 2 OR "
				      "(a.phase = 2 AND coalesce(l.state, 'pending') = 'pending') ORDER BY v.name";
	sqlite3_stmt *s = store_statement(store, which == WORK_ALL ? all : pending);
	size_t capacity = 0;
	int rc;

	*out = NULL;
	*count = 0;
	while ((rc = store_step(s)) == 1) {
		if (*count == capacity) {
			struct uuid *more = realloc(*out, (capacity = 2 * capacity + 64) * sizeof(**out));

			if (more == NULL) {
				rc = -ENOMEM;
				break;
			}
			*out = more;
		}
		column_uuid(s, 0, &(*out)[(*count)++]);
	}
	sqlite3_reset(s);
	if (rc < 0) {
		free(*out);
		*out = NULL;
		*count = 0;
	}
	return rc;
}

/* ---- the card ---- */

int store_card_get(struct store *store, char incarnation[UUID_TEXT_SIZE], int64_t *restarts)
{
	sqlite3_stmt *s = store_statement(store, "SELECT incarnation, restarts FROM cards WHERE name = 'local'");
	int rc = store_step(s);

	incarnation[0] = '\0';
	*restarts = 0;
	if (rc == 1) {
		column_text(s, 0, incarnation, UUID_TEXT_SIZE);
		*restarts = sqlite3_column_int64(s, 1);
		rc = 0;
	}
	sqlite3_reset(s);
	return rc;
}

int store_card_set(struct store *store, const char *incarnation, int64_t restarts)
{
	sqlite3_stmt *s = store_statement(
		store, "INSERT INTO cards (name, incarnation, restarts) VALUES ('local', ?1, ?2) "
		       "ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, restarts = excluded.restarts");

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, incarnation, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, restarts);
	return store_run(store, s, NULL);
}
