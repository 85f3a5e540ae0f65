/* Attachments: list, show, create, delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/attach.h"
#include "control/settle.h"

static int add_attachment(void *context, struct volume_row *row)
{
	if (row->attachment.phase == ATTACHMENT_NONE || row->attachment.phase == ATTACHMENT_ATTACHING)
		return 0;
	return json_array_append_new(context, view_attachment(row)) == 0 ? 0 : -ENOMEM;
}

void api_attachment_list(struct control *control, struct http_request *request)
{
	json_t *list = json_array();
	int rc = store_volume_each(&control->store, add_attachment, list);

	if (rc == 0) {
		http_reply(request, 200, list);
		return;
	}
	json_decref(list);
	fail_store(request, rc, "list the attachments");
}

/* The volume of the "{name}" segment with its attachment; false: answered. */
static bool find_attachment(struct control *control, struct http_request *request, struct volume_row *row)
{
	const char *name = http_parameter(request);
	struct failure failure;

	if (!find_volume(control, request, name, row))
		return false;
	if (row->attachment.phase != ATTACHMENT_NONE)
		return true;
	failure_set(&failure, ERROR_ATTACHMENT_NOT_FOUND, "Volume \"%s\" is not attached. `outboard volume attach %s` attaches it.",
		    name, name);
	http_fail(request, &failure);
	volume_row_clear(row);
	return false;
}

void api_attachment_show(struct control *control, struct http_request *request)
{
	struct volume_row row;

	if (!find_attachment(control, request, &row))
		return;
	http_reply(request, 200, view_attachment(&row));
	volume_row_clear(&row);
}

/* ---- create and delete ---- */

struct attachment_op {
	struct attach_call call;
	struct busy busy;
	struct http_request *request;
};

static void op_end(struct attachment_op *op)
{
	busy_release(&op->busy);
	volume_row_clear(&op->call.volume);
	free(op);
}

/* `row` is taken. NULL: the request was answered. */
static struct attachment_op *op_begin(struct control *control, struct http_request *request, struct volume_row *row)
{
	struct attachment_op *op = calloc(1, sizeof(*op));
	struct failure failure;

	if (op == NULL) {
		fail_store(request, -ENOMEM, "attach or detach the volume");
		volume_row_clear(row);
		return NULL;
	}
	op->call.control = control;
	op->call.volume = *row;
	op->request = request;
	if (busy_take(control, &op->busy, row->name, &failure) == 0)
		return op;
	http_fail(request, &failure);
	volume_row_clear(row);
	free(op);
	return NULL;
}

/* Whatever the card did or will do: it is told to undo, and the row goes when it has. */
static void attach_taken_back(struct attach_call *call)
{
	struct attachment_op *op = container_of(call, struct attachment_op, call);

	if (call->failure.code != ERROR_NONE || store_attachment_delete(&call->control->store, &call->volume.id) < 0)
		settle_soon(call->control);
	op_end(op);
}

static void take_back(struct attachment_op *op)
{
	struct attach_call *call = &op->call;

	call->done = attach_taken_back;
	detach_start(call);
}

static void attach_succeeded(struct attachment_op *op)
{
	struct attach_call *call = &op->call;
	struct store *store = &call->control->store;
	struct volume_row now;
	int rc = store_attachment_set_phase(store, &call->volume.id, ATTACHMENT_ATTACHED);

	if (rc < 0) {
		fail_store(op->request, rc, "attach the volume");
		take_back(op);
		return;
	}
	if (store_health_reset(store, &call->volume.id) < 0)
		log_warning("the errors of volume \"%s\" could not be reset", call->volume.name);
	if (store_volume_get_by_id(store, &call->volume.id, &now) == 0) {
		if (strcmp(now.attachment.state, "connected") != 0) { /* a VMM may have been faster than we */
			store_live_set(store, &call->volume.id, "waiting", NULL);
			strcpy(now.attachment.state, "waiting");
			now.attachment.reason[0] = '\0';
		}
		http_reply(op->request, 201, view_attachment(&now));
		volume_row_clear(&now);
	} else {
		fail_store(op->request, -EIO, "read the attachment");
	}
	op_end(op);
}

static void attach_done(struct attach_call *call)
{
	struct attachment_op *op = container_of(call, struct attachment_op, call);

	if (call->failure.code == ERROR_NONE) {
		attach_succeeded(op);
		return;
	}
	http_fail(op->request, &call->failure);
	if (call->uncertain) {
		take_back(op);
		return;
	}
	if (store_attachment_delete(&call->control->store, &call->volume.id) < 0)
		settle_soon(call->control);
	op_end(op);
}

static bool same(const struct attachment_row *a, const struct attachment_row *b)
{
	return a->kind == b->kind && strcmp(a->socket, b->socket) == 0 && a->queues == b->queues && a->packed == b->packed &&
	       a->read_only == b->read_only && a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

static int fill_row(const struct control *control, const struct attachment_create *b, struct attachment_row *out,
		    struct failure *failure)
{
	char private[SOCKET_PATH_SIZE];

	*out = (struct attachment_row){.phase = ATTACHMENT_ATTACHING,
				       .kind = (enum attachment_kind)b->kind,
				       .queues = b->queues,
				       .packed = b->packed,
				       .read_only = b->read_only,
				       .uid = b->uid,
				       .gid = b->gid,
				       .mode = b->mode,
				       .created_s = now_s()};
	if (b->kind == ATTACHMENT_NBD && attach_private_socket(control, b->volume, private) < 0)
		return failure_set(
			failure, ERROR_INVALID_FIELD,
			"The path of the state directory and the volume's name are too long for a socket: at most %d bytes in all.",
			SOCKET_PATH_SIZE - 1);
	if (b->socket[0] != '\0')
		strcpy(out->socket, b->socket);
	else if (snprintf(out->socket, sizeof(out->socket), "%s/sockets/%s.sock", control->state_dir, b->volume) >=
		 SOCKET_PATH_SIZE)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "The default socket's path is longer than %d bytes; give a shorter one in field \"socket\".",
				   SOCKET_PATH_SIZE - 1);
	return 0;
}

/* True: there is one already, and the request was answered. */
static bool answer_existing(struct http_request *request, const struct volume_row *row, const struct attachment_row *wanted)
{
	const struct attachment_row *a = &row->attachment;
	struct failure failure;

	if (a->phase == ATTACHMENT_NONE)
		return false;
	if (a->phase == ATTACHMENT_ATTACHED && same(a, wanted)) {
		http_reply(request, 200, view_attachment(row));
		return true;
	}
	if (a->phase == ATTACHMENT_ATTACHED)
		failure_set(
			&failure, ERROR_ATTACHMENT_EXISTS,
			"Volume \"%s\" is attached already, as %s at %s with other properties. `outboard volume detach %s` first.",
			row->name, attachment_names[a->kind], a->socket, row->name);
	else
		failure_set(&failure, ERROR_VOLUME_BUSY, "Volume \"%s\" is being attached or detached; try again.", row->name);
	http_fail(request, &failure);
	return true;
}

static int check(struct control *control, const struct volume_row *row, const struct attachment_row *wanted,
		 struct failure *failure)
{
	if (row->state == VOLUME_DELETING)
		return failure_set(failure, ERROR_VOLUME_BUSY, "Volume \"%s\" is being deleted.", row->name);
	if (attach_check_socket(control, wanted->socket, failure) < 0)
		return -EINVAL;
	return card_ready(control, failure) ? 0 : -EINVAL;
}

/* `row` is taken. */
static void attach(struct control *control, struct http_request *request, struct volume_row *row,
		   const struct attachment_row *wanted)
{
	struct attachment_op *op = op_begin(control, request, row);
	int rc;

	if (op == NULL)
		return;
	op->call.volume.attachment = *wanted;
	op->call.done = attach_done;
	rc = store_attachment_insert(&control->store, &op->call.volume.id, wanted);
	if (rc < 0) {
		fail_store(request, rc, "attach the volume");
		op_end(op);
		return;
	}
	attach_start(&op->call);
}

void api_attachment_create(struct control *control, struct http_request *request)
{
	struct attachment_create b;
	struct attachment_row wanted;
	struct volume_row row;
	struct failure failure;

	if (body_attachment_create(http_body(request), &b, &failure) < 0 || fill_row(control, &b, &wanted, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	if (!find_volume(control, request, b.volume, &row))
		return;
	if (answer_existing(request, &row, &wanted)) {
		volume_row_clear(&row);
		return;
	}
	if (check(control, &row, &wanted, &failure) < 0) {
		http_fail(request, &failure);
		volume_row_clear(&row);
		return;
	}
	attach(control, request, &row, &wanted);
}

static void detach_done(struct attach_call *call)
{
	struct attachment_op *op = container_of(call, struct attachment_op, call);
	int rc;

	if (call->failure.code != ERROR_NONE) {
		http_fail(op->request, &call->failure);
		settle_soon(call->control);
	} else if ((rc = store_attachment_delete(&call->control->store, &call->volume.id)) < 0) {
		fail_store(op->request, rc, "detach the volume");
		settle_soon(call->control);
	} else {
		http_reply_nothing(op->request);
	}
	op_end(op);
}

void api_attachment_delete(struct control *control, struct http_request *request)
{
	struct attachment_op *op;
	struct volume_row row;
	struct failure failure;
	int rc;

	if (!find_attachment(control, request, &row))
		return;
	if (!card_ready(control, &failure)) {
		http_fail(request, &failure);
		volume_row_clear(&row);
		return;
	}
	op = op_begin(control, request, &row);
	if (op == NULL)
		return;
	rc = store_attachment_set_phase(&control->store, &op->call.volume.id, ATTACHMENT_DETACHING);
	if (rc < 0) {
		fail_store(request, rc, "detach the volume");
		op_end(op);
		return;
	}
	store_live_set(&control->store, &op->call.volume.id, "pending", "It is being detached.");
	op->call.done = detach_done;
	detach_start(&op->call);
}
