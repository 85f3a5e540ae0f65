/* Attachments of ENIs, and what the card tells about them while it runs. */
#include "control/store_net.h"

#include <errno.h>
#include <string.h>

#include "control/store_private.h"

#define SELECT_ATTACHMENT                                                                                                          \
	"SELECT a.eni_id, o.name, a.phase, a.kind, a.socket, a.tap, a.netns, a.queues, a.packed, a.uid, a.gid, a.mode,"            \
	" a.created_s, l.state, l.reason FROM net_attachments a JOIN net_objects o ON o.id = a.eni_id "                            \
	"LEFT JOIN net_live l ON l.eni_id = a.eni_id "

static void read_attachment(sqlite3_stmt *s, struct net_attachment_row *out)
{
	memset(out, 0, sizeof(*out));
	column_uuid(s, 0, &out->eni);
	column_text(s, 1, out->name, sizeof(out->name));
	out->phase = (enum attachment_phase)sqlite3_column_int(s, 2);
	out->kind = (enum net_attachment_kind)sqlite3_column_int(s, 3);
	column_text(s, 4, out->socket, sizeof(out->socket));
	column_text(s, 5, out->tap, sizeof(out->tap));
	column_text(s, 6, out->netns, sizeof(out->netns));
	out->queues = sqlite3_column_int64(s, 7);
	out->packed = sqlite3_column_int(s, 8) != 0;
	out->uid = sqlite3_column_type(s, 9) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, 9);
	out->gid = sqlite3_column_type(s, 10) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, 10);
	out->mode = sqlite3_column_int64(s, 11);
	out->created_s = sqlite3_column_int64(s, 12);
	column_text(s, 13, out->state, sizeof(out->state));
	column_text(s, 14, out->reason, sizeof(out->reason));
	if (out->state[0] == '\0') {
		strcpy(out->state, "pending");
		strcpy(out->reason, "The card was not told yet.");
	}
}

int store_net_attachment_get(struct store *store, const struct uuid *eni, struct net_attachment_row *out)
{
	sqlite3_stmt *s = store_statement(store, SELECT_ATTACHMENT "WHERE a.eni_id = ?1");
	int rc;

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, eni);
	rc = store_step(s);
	if (rc == 1)
		read_attachment(s, out);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int store_net_attachment_each(struct store *store, int (*each)(void *context, const struct net_attachment_row *row), void *context)
{
	sqlite3_stmt *s = store_statement(store, SELECT_ATTACHMENT "ORDER BY o.name");
	struct net_attachment_row row;
	int rc;

	while ((rc = store_step(s)) == 1) {
		read_attachment(s, &row);
		rc = each(context, &row);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc;
}

int store_net_attachment_insert(struct store *store, const struct net_attachment_row *row)
{
	sqlite3_stmt *s = store_statement(
		store,
		"INSERT INTO net_attachments (eni_id, phase, kind, socket, tap, netns, queues, packed, uid, gid, mode, created_s) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, &row->eni);
	sqlite3_bind_int64(s, 2, row->phase);
	sqlite3_bind_int64(s, 3, row->kind);
	bind_text_or_null(s, 4, row->socket);
	bind_text_or_null(s, 5, row->tap);
	sqlite3_bind_text(s, 6, row->netns, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 7, row->queues);
	sqlite3_bind_int64(s, 8, row->packed);
	bind_or_null(s, 9, row->uid, -1);
	bind_or_null(s, 10, row->gid, -1);
	sqlite3_bind_int64(s, 11, row->mode);
	sqlite3_bind_int64(s, 12, row->created_s);
	return store_run(store, s, NULL);
}

int store_net_attachment_set_phase(struct store *store, const struct uuid *eni, enum attachment_phase phase)
{
	sqlite3_stmt *s = store_statement(store, "UPDATE net_attachments SET phase = ?2 WHERE eni_id = ?1");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, eni);
	sqlite3_bind_int64(s, 2, phase);
	return store_run_one(store, s);
}

int store_net_attachment_delete(struct store *store, const struct uuid *eni)
{
	int rc = store_run_on(store, "DELETE FROM net_attachments WHERE eni_id = ?1", eni);

	return rc < 0 ? rc : store_run_on(store, "DELETE FROM net_live WHERE eni_id = ?1", eni);
}

static int owner(sqlite3_stmt *s, char name[NAME_SIZE])
{
	int rc = store_step(s);

	if (rc == 1)
		column_text(s, 0, name, NAME_SIZE);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

int store_net_socket_owner(struct store *store, const char *socket, char name[NAME_SIZE])
{
	sqlite3_stmt *s = store_statement(
		store, "SELECT o.name FROM net_attachments a JOIN net_objects o ON o.id = a.eni_id WHERE a.socket = ?1");

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, socket, -1, SQLITE_STATIC);
	return owner(s, name);
}

int store_net_tap_owner(struct store *store, const char *tap, const char *netns, char name[NAME_SIZE])
{
	sqlite3_stmt *s = store_statement(store, "SELECT o.name FROM net_attachments a JOIN net_objects o ON o.id = a.eni_id "
						 "WHERE a.tap = ?1 AND a.netns = ?2");

	if (s == NULL)
		return -ENOMEM;
	sqlite3_bind_text(s, 1, tap, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, netns, -1, SQLITE_STATIC);
	return owner(s, name);
}

int store_net_live_set(struct store *store, const struct uuid *eni, const char *state, const char *reason)
{
	sqlite3_stmt *s = store_statement(
		store, "INSERT INTO net_live (eni_id, state, reason) SELECT ?1, ?2, ?3 FROM net_attachments WHERE eni_id = ?1 "
		       "ON CONFLICT (eni_id) DO UPDATE SET state = excluded.state, reason = excluded.reason");

	if (s == NULL)
		return -ENOMEM;
	bind_uuid(s, 1, eni);
	sqlite3_bind_text(s, 2, state, -1, SQLITE_STATIC);
	bind_text_or_null(s, 3, reason);
	return store_run(store, s, NULL);
}

int store_net_live_all_pending(struct store *store, const char *reason)
{
	sqlite3_stmt *s =
		store_statement(store, "INSERT INTO net_live (eni_id, state, reason) SELECT eni_id, 'pending', ?1 "
				       "FROM net_attachments WHERE true "
				       "ON CONFLICT (eni_id) DO UPDATE SET state = excluded.state, reason = excluded.reason");

	if (s == NULL)
		return -ENOMEM;
	bind_text_or_null(s, 1, reason);
	return store_run(store, s, NULL);
}
