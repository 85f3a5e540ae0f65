#include <stdio.h>
#include <time.h>

#include "control/control.h"

json_t *view_time(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32];
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_string("1970-01-01T00:00:00Z");
	return json_string(text);
}

json_t *view_uuid(const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	uuid_format(id, text);
	return json_string(text);
}

/* Text that is cut at a buffer's end, in the middle of a character perhaps, is not JSON: better nothing than no answer. */
json_t *view_text(const char *text)
{
	json_t *value = text[0] == '\0' ? NULL : json_string(text);

	return value == NULL ? json_null() : value;
}

static json_t *limit_view(int64_t value)
{
	return value == 0 ? json_null() : json_integer(value);
}

static json_t *health_view(const struct volume_row *row)
{
	bool deleting = row->state == VOLUME_DELETING;
	char message[2 * STORE_MESSAGE_SIZE];

	snprintf(message, sizeof(message), "%s%s", deleting ? "It is being deleted; its storage could not be removed yet. " : "",
		 row->error_message);
	return json_pack("{s:s,s:I,s:o}", "state", row->errors > 0 || deleting ? "degraded" : "ok", "errors",
			 (json_int_t)row->errors, "message", view_text(message));
}

json_t *view_volume(const struct volume_row *row)
{
	const struct attachment_row *a = &row->attachment;
	const char *state = row->state == VOLUME_DELETING ? "error" : a->phase == ATTACHMENT_NONE ? "available" : "attached";
	json_t *attachment = a->phase == ATTACHMENT_NONE ? json_null()
							 : json_pack("{s:s,s:s,s:s,s:I,s:o}", "kind", attachment_names[a->kind],
								     "socket", a->socket, "state", a->state, "queues",
								     (json_int_t)a->queues, "reason", view_text(a->reason));
	json_t *view =
		json_pack("{s:s,s:o,s:I,s:I,s:s,s:o,s:b,s:o,s:o,s:b}", "name", row->name, "id", view_uuid(&row->id), "size_bytes",
			  (json_int_t)row->size_bytes, "block_size_bytes", (json_int_t)row->block_size_bytes, "backend",
			  backend_names[row->backend], "path", view_text(row->path), "read_only", (int)row->read_only, "iops",
			  limit_view(row->iops), "throughput_mib", limit_view(row->throughput_mib), "burst", (int)row->burst);

	json_object_update_new(view, json_pack("{s:b,s:o,s:O,s:s,s:o,s:o,s:o}", "encrypted", (int)row->encrypted, "kek",
					       row->encrypted ? json_string(row->kek.name) : json_null(), "tags", row->tags,
					       "state", state, "health", health_view(row), "attachment", attachment, "created_at",
					       view_time(row->created_s)));
	return view;
}

json_t *view_attachment(const struct volume_row *row)
{
	const struct attachment_row *a = &row->attachment;

	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:b,s:b,s:o,s:o}", "volume", row->name, "kind", attachment_names[a->kind], "socket",
			 a->socket, "state", a->state, "queues", (json_int_t)a->queues, "packed", (int)a->packed, "read_only",
			 (int)(a->read_only || row->read_only), "created_at", view_time(a->created_s), "reason",
			 view_text(a->reason));
}

json_t *view_key(const struct key_row *row)
{
	return json_pack("{s:s,s:o,s:I,s:o,s:I}", "name", row->name, "id", view_uuid(&row->id), "version", (json_int_t)row->version,
			 "created_at", view_time(row->created_s), "volumes", (json_int_t)row->volumes);
}
