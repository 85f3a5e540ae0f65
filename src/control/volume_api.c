/* Volumes: list, show, change, delete. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/settle.h"

void fail_store(struct http_request *request, int rc, const char *what)
{
	struct failure failure;

	store_failure(&failure, rc, what);
	http_fail(request, &failure);
}

bool find_volume(struct control *control, struct http_request *request, const char *name, struct volume_row *row)
{
	struct failure failure;
	int rc = store_volume_get(&control->store, name, row);

	if (rc == 0 && row->state != VOLUME_CREATING)
		return true;
	if (rc == 0)
		volume_row_clear(row);
	if (rc == 0 || rc == -ENOENT)
		failure_set(&failure, ERROR_VOLUME_NOT_FOUND,
			    "Volume \"%s\" does not exist. `outboard volume list` shows those that do.", name);
	else
		store_failure(&failure, rc, "read the volume");
	http_fail(request, &failure);
	return false;
}

static int add_volume(void *context, struct volume_row *row)
{
	return json_array_append_new(context, view_volume(row)) == 0 ? 0 : -ENOMEM;
}

void api_volume_list(struct control *control, struct http_request *request)
{
	json_t *list = json_array();
	int rc = store_volume_each(&control->store, add_volume, list);

	if (rc == 0) {
		http_reply(request, 200, list);
		return;
	}
	json_decref(list);
	fail_store(request, rc, "list the volumes");
}

void api_volume_show(struct control *control, struct http_request *request)
{
	struct volume_row row;

	if (!find_volume(control, request, http_parameter(request), &row))
		return;
	http_reply(request, 200, view_volume(&row));
	volume_row_clear(&row);
}

/* ---- change ---- */

/*
 * The card first grows the storage (what can fail for good reasons), then takes the limits; then everything is written in one
 * transaction. The size that was asked for is written before, so that a crash between does not leave a file larger than its row.
 */
struct change {
	struct busy busy;
	struct control *control;
	struct http_request *request;
	struct volume_row row; /* as it was */
	struct volume_row now; /* as it is to be; tags owned when changed */
	bool rate_changed;
	bool attached;
	struct failure failure;
	char what[NAME_SIZE + 32];
};

static void change_end(struct change *c)
{
	busy_release(&c->busy);
	volume_row_clear(&c->row);
	volume_row_clear(&c->now);
	free(c);
}

static int change_write(struct change *c)
{
	struct store *store = &c->control->store;
	const struct volume_row *now = &c->now;
	int rc = store_begin(store);

	if (rc < 0)
		return rc;
	rc = store_volume_set_size(store, &now->id, now->size_bytes, 0);
	if (rc == 0)
		rc = store_volume_set_rate(store, &now->id, now->iops, now->throughput_mib, now->burst);
	if (rc == 0)
		rc = store_volume_set_tags(store, &now->id, now->tags);
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

/* Writes what has become true; `c->failure` may say that not all did. */
static void change_finish(struct change *c)
{
	struct volume_row row;
	int rc = change_write(c);

	if (rc < 0) {
		if (c->failure.code == ERROR_NONE)
			store_failure(&c->failure, rc, c->what);
		settle_soon(c->control);
	}
	if (c->failure.code != ERROR_NONE)
		http_fail(c->request, &c->failure);
	else if (find_volume(c->control, c->request, c->now.name, &row)) {
		http_reply(c->request, 200, view_volume(&row));
		volume_row_clear(&row);
	}
	change_end(c);
}

/* The limits, and everything after them, are as before. */
static void change_keep_rest(struct change *c)
{
	c->now.iops = c->row.iops;
	c->now.throughput_mib = c->row.throughput_mib;
	c->now.burst = c->row.burst;
	json_decref(c->now.tags);
	c->now.tags = json_incref(c->row.tags);
}

static void change_rate_set(void *context, const struct peer_answer *answer)
{
	struct change *c = context;

	card_failure(&c->failure, answer, c->what);
	if (answer->outcome != PEER_OK)
		change_keep_rest(c);
	change_finish(c);
}

static void change_rate(struct change *c)
{
	if (c->rate_changed && c->attached)
		card_request(c->control, card_rate(&c->now), CARD_TIMEOUT_MS, change_rate_set, c);
	else
		change_finish(c);
}

static void change_resized(void *context, const struct peer_answer *answer)
{
	struct change *c = context;

	if (answer->outcome == PEER_OK) {
		change_rate(c);
		return;
	}
	card_failure(&c->failure, answer, c->what);
	if (answer->outcome == PEER_REFUSED) {
		c->now.size_bytes = c->row.size_bytes;
		change_keep_rest(c);
		change_finish(c);
		return;
	}
	settle_soon(c->control); /* the size that was asked for is written down: it is done, or not, when the card answers again */
	http_fail(c->request, &c->failure);
	change_end(c);
}

static void change_size(struct change *c)
{
	json_t *command;
	int rc;

	if (c->now.size_bytes == c->row.size_bytes) {
		change_rate(c);
		return;
	}
	rc = store_volume_set_size(&c->control->store, &c->row.id, c->row.size_bytes, c->now.size_bytes);
	if (rc < 0) {
		fail_store(c->request, rc, c->what);
		change_end(c);
		return;
	}
	command = card_command("resize", &c->row.id);
	json_object_update_new(command,
			       json_pack("{s:I,s:o}", "size_bytes", (json_int_t)c->now.size_bytes, "volume", card_volume(&c->row)));
	card_request(c->control, command, CARD_TIMEOUT_MS, change_resized, c);
}

static int change_check(const struct volume_row *row, const struct volume_change *b, struct failure *failure)
{
	if (row->state == VOLUME_DELETING)
		return failure_set(failure, ERROR_VOLUME_BUSY, "Volume \"%s\" is being deleted.", row->name);
	if (b->has.size && b->size_bytes < row->size_bytes)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"size_bytes\" must be at least %" PRId64 ", the present size: a volume can only grow.",
				   row->size_bytes);
	if (b->has.size && b->size_bytes % row->block_size_bytes != 0)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"size_bytes\" must be a multiple of the block size, %" PRId64 " bytes.",
				   row->block_size_bytes);
	return 0;
}

/* `row` is taken. */
static void change_start(struct control *control, struct http_request *request, struct volume_row *row,
			 const struct volume_change *b)
{
	struct change *c = calloc(1, sizeof(*c));
	struct failure failure;

	if (c == NULL) {
		volume_row_clear(row);
		fail_store(request, -ENOMEM, "change the volume");
		return;
	}
	c->control = control;
	c->request = request;
	c->row = c->now = *row;
	c->now.tags = b->has.tags && b->tags != NULL ? json_deep_copy(b->tags) : json_incref(row->tags);
	c->now.size_bytes = b->has.size ? b->size_bytes : row->size_bytes;
	c->now.iops = b->has.iops ? b->iops : row->iops;
	c->now.throughput_mib = b->has.throughput ? b->throughput_mib : row->throughput_mib;
	c->now.burst = b->has.burst ? b->burst : row->burst;
	c->rate_changed = c->now.iops != row->iops || c->now.throughput_mib != row->throughput_mib || c->now.burst != row->burst;
	c->attached = row->attachment.phase != ATTACHMENT_NONE;
	snprintf(c->what, sizeof(c->what), "change volume \"%s\"", row->name);
	list_init(&c->busy.node);
	if (busy_take(control, &c->busy, row->name, &failure) < 0 ||
	    ((c->now.size_bytes != row->size_bytes || (c->rate_changed && c->attached)) && !card_ready(control, &failure))) {
		http_fail(request, &failure);
		change_end(c);
		return;
	}
	change_size(c);
}

void api_volume_change(struct control *control, struct http_request *request)
{
	struct volume_change b;
	struct volume_row row;
	struct failure failure;

	if (body_volume_change(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	if (!find_volume(control, request, http_parameter(request), &row))
		return;
	if (change_check(&row, &b, &failure) < 0) {
		http_fail(request, &failure);
		volume_row_clear(&row);
		return;
	}
	change_start(control, request, &row, &b);
}

/* ---- delete ---- */

struct deletion {
	struct busy busy;
	struct control *control;
	struct http_request *request;
	struct volume_row row;
};

static void deletion_end(struct deletion *d)
{
	busy_release(&d->busy);
	volume_row_clear(&d->row);
	free(d);
}

static void deletion_storage_gone(void *context, const struct peer_answer *answer)
{
	struct deletion *d = context;
	struct control *control = d->control;
	char what[NAME_SIZE + 32];
	struct failure failure;
	int rc;

	snprintf(what, sizeof(what), "delete volume \"%s\"", d->row.name);
	card_failure(&failure, answer, what);
	if (answer->outcome != PEER_OK) {
		store_health_add(&control->store, &d->row.id, failure.message);
		http_fail(d->request, &failure);
	} else if ((rc = store_volume_delete(&control->store, &d->row.id)) < 0) {
		fail_store(d->request, rc, what); /* its row is finished off by settling */
	} else {
		http_reply_nothing(d->request);
	}
	deletion_end(d);
}

static int deletion_check(struct control *control, const struct volume_row *row, struct failure *failure)
{
	if (row->attachment.phase != ATTACHMENT_NONE)
		return failure_set(failure, ERROR_VOLUME_ATTACHED, "Volume \"%s\" is attached. `outboard volume detach %s` first.",
				   row->name, row->name);
	return card_ready(control, failure) ? 0 : -EINVAL;
}

void api_volume_delete(struct control *control, struct http_request *request)
{
	struct deletion *d = calloc(1, sizeof(*d));
	struct failure failure;
	int rc;

	if (d == NULL) {
		fail_store(request, -ENOMEM, "delete the volume");
		return;
	}
	list_init(&d->busy.node);
	d->control = control;
	d->request = request;
	if (!find_volume(control, request, http_parameter(request), &d->row)) {
		free(d);
		return;
	}
	if (deletion_check(control, &d->row, &failure) < 0 || busy_take(control, &d->busy, d->row.name, &failure) < 0) {
		http_fail(request, &failure);
		deletion_end(d);
		return;
	}
	rc = store_volume_begin_delete(&control->store, &d->row.id);
	if (rc < 0) {
		fail_store(request, rc, "delete the volume");
		deletion_end(d);
		return;
	}
	if (d->row.encrypted)
		store_forget_deleted(&control->store);
	d->row.encrypted = false; /* its key is gone from now on, whatever becomes of its storage */
	card_request(control, json_pack("{s:s,s:o}", "op", "storage_delete", "volume", card_volume(&d->row)), CARD_TIMEOUT_MS,
		     deletion_storage_gone, d);
}
