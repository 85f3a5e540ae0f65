/* The attachment of an ENI: show, create, delete. Jobs of the network's queue, so that an ENI is not deleted while it is attached. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/attach.h"
#include "control/net_attach.h"
#include "control/net_bodies.h"
#include "control/net_op.h"
#include "control/net_view.h"

struct attach_job {
	struct net_job job;
	struct http_request *request;
	struct eni_attach_body body;
	char name[HTTP_PARAMETER_SIZE]; /* of the ENI */
	struct net_attach_call call;
	struct failure failure;
};

static void end(struct attach_job *a)
{
	struct net_job *job = &a->job;

	net_job_done(job);
	free(a);
}

static void refuse(struct attach_job *a)
{
	http_fail(a->request, &a->failure);
	end(a);
}

static void refuse_store(struct attach_job *a, int rc, const char *what)
{
	store_failure(&a->failure, rc, what);
	refuse(a);
}

/* ---- finding ---- */

/* 0, or -EINVAL with the failure. The caller clears the row. */
static int find_eni(struct store *store, const char *name, struct net_row *row, struct failure *failure)
{
	int rc = store_net_get(store, NET_ENI, name, row);

	if (rc == 0)
		return 0;
	if (rc != -ENOENT)
		return store_failure(failure, rc, "read the ENI");
	return failure_set(failure, ERROR_OBJECT_NOT_FOUND, "ENI \"%s\" does not exist. `outboard eni list` shows those that do.",
			   name);
}

static int find_attachment(struct store *store, const char *name, struct net_attachment_row *out, struct failure *failure)
{
	struct net_row eni;
	int rc;

	if (find_eni(store, name, &eni, failure) < 0)
		return -EINVAL;
	rc = store_net_attachment_get(store, &eni.id, out);
	net_row_clear(&eni);
	if (rc == 0)
		return 0;
	if (rc != -ENOENT)
		return store_failure(failure, rc, "read the attachment");
	return failure_set(failure, ERROR_ATTACHMENT_NOT_FOUND, "ENI \"%s\" is not attached. `outboard eni attach %s` attaches it.",
			   name, name);
}

void api_net_attachment_show(struct control *control, struct http_request *request)
{
	struct net_attachment_row row;
	struct failure failure;

	if (find_attachment(&control->store, http_parameter(request), &row, &failure) == 0)
		http_reply(request, 200, net_attachment_view(&row));
	else
		http_fail(request, &failure);
}

/* ---- attach ---- */

static void taken_back(struct net_attach_call *call)
{
	struct attach_job *a = container_of(call, struct attach_job, call);

	if (call->failure.code != ERROR_NONE || store_net_attachment_delete(&call->control->store, &call->row.eni) < 0)
		net_attach_soon(call->control);
	end(a);
}

/* Whatever the card did or will do: it is told to undo, and the row goes when it has. */
static void take_back(struct attach_job *a)
{
	a->call.done = taken_back;
	net_detach_start(&a->call);
}

static void attached(struct net_attach_call *call)
{
	struct attach_job *a = container_of(call, struct attach_job, call);
	struct store *store = &call->control->store;
	struct net_attachment_row now;
	int rc;

	if (call->failure.code != ERROR_NONE) {
		http_fail(a->request, &call->failure);
		if (!call->uncertain && store_net_attachment_delete(store, &call->row.eni) == 0)
			end(a);
		else
			take_back(a);
		return;
	}
	rc = store_net_attachment_set_phase(store, &call->row.eni, ATTACHMENT_ATTACHED);
	if (rc == 0)
		rc = store_net_attachment_get(store, &call->row.eni, &now);
	if (rc < 0) {
		fail_store(a->request, rc, "attach the ENI");
		take_back(a);
		return;
	}
	if (strcmp(now.state, "connected") != 0) { /* a VMM may have been faster than we */
		store_net_live_set(store, &call->row.eni, "waiting", NULL);
		strcpy(now.state, "waiting");
		now.reason[0] = '\0';
	}
	http_reply(a->request, 201, net_attachment_view(&now));
	end(a);
}

static int fill_row(const struct control *control, const struct attach_job *a, struct net_attachment_row *out,
		    struct failure *failure)
{
	const struct eni_attach_body *b = &a->body;

	out->kind = (enum net_attachment_kind)b->kind;
	out->phase = ATTACHMENT_ATTACHING;
	out->queues = b->queues;
	out->packed = b->packed;
	out->uid = b->uid;
	out->gid = b->gid;
	out->mode = b->mode;
	out->created_s = now_s();
	strcpy(out->name, a->name);
	strcpy(out->tap, b->tap);
	strcpy(out->netns, b->netns);
	if (b->socket[0] != '\0')
		strcpy(out->socket, b->socket);
	else if (b->kind == NET_ATTACHMENT_VHOST_USER && snprintf(out->socket, sizeof(out->socket), "%s/sockets/enis/%s.sock",
								  control->state_dir, a->name) >= SOCKET_PATH_SIZE)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "The default socket's path is longer than %d bytes; give a shorter one in field \"socket\".",
				   SOCKET_PATH_SIZE - 1);
	return 0;
}

static bool same(const struct net_attachment_row *a, const struct net_attachment_row *b)
{
	return a->kind == b->kind && strcmp(a->socket, b->socket) == 0 && strcmp(a->tap, b->tap) == 0 &&
	       strcmp(a->netns, b->netns) == 0 && a->queues == b->queues && a->packed == b->packed && a->uid == b->uid &&
	       a->gid == b->gid && a->mode == b->mode;
}

static int check_free(struct control *control, const struct net_attachment_row *wanted, struct failure *failure)
{
	char owner[NAME_SIZE];
	int rc;

	if (wanted->kind == NET_ATTACHMENT_TAP) {
		rc = store_net_tap_owner(&control->store, wanted->tap, wanted->netns, owner);
		if (rc == 0)
			return failure_set(failure, ERROR_TAP_IN_USE,
					   "ENI \"%s\" is attached to interface %s there. Choose another name.", owner,
					   wanted->tap);
		return rc == -ENOENT ? 0 : store_failure(failure, rc, "attach the ENI");
	}
	return attach_check_socket(control, wanted->socket, failure);
}

static int check(struct control *control, const struct net_row *eni, const struct net_attachment_row *wanted,
		 struct failure *failure)
{
	json_t *object = json_loads(eni->body, 0, NULL);
	const char *host = json_string_value(json_object_get(object, "host"));
	int rc = 0;

	if (host != NULL)
		rc = failure_set(failure, ERROR_CONFLICT, "ENI \"%s\" is on host \"%s\", not on this card.", eni->name, host);
	json_decref(object);
	if (rc < 0 || !card_ready(control, failure))
		return -EINVAL;
	if (!control->net.in_sync)
		return failure_set(failure, ERROR_CARD_UNAVAILABLE, "The card has not taken the network: %s",
				   control->net.refused[0] == '\0' ? "it did not answer yet; try again." : control->net.refused);
	return check_free(control, wanted, failure);
}

/* True: there is one already, and the request was answered. */
static bool answer_existing(struct attach_job *a, const struct net_attachment_row *wanted)
{
	struct net_attachment_row there;

	if (store_net_attachment_get(&a->job.control->store, &wanted->eni, &there) < 0)
		return false;
	if (there.phase == ATTACHMENT_ATTACHED && same(&there, wanted)) {
		http_reply(a->request, 200, net_attachment_view(&there));
		end(a);
		return true;
	}
	failure_set(&a->failure, ERROR_ATTACHMENT_EXISTS,
		    there.phase == ATTACHMENT_ATTACHED
			    ? "ENI \"%s\" is attached already, as %s at %s with other properties. `outboard eni detach %s` first."
			    : "ENI \"%s\" (%s at %s) is not yet detached; try again in a moment, or `outboard eni detach %s`.",
		    a->name, net_attachment_names[there.kind], there.kind == NET_ATTACHMENT_TAP ? there.tap : there.socket,
		    a->name);
	refuse(a);
	return true;
}

static void start_attach(struct net_job *job)
{
	struct attach_job *a = container_of(job, struct attach_job, job);
	struct control *control = job->control;
	struct net_row eni;
	int rc = find_eni(&control->store, a->name, &eni, &a->failure);

	a->call.control = control;
	a->call.done = attached;
	if (rc == 0) {
		a->call.row.eni = eni.id;
		rc = fill_row(control, a, &a->call.row, &a->failure);
		if (rc == 0 && answer_existing(a, &a->call.row)) {
			net_row_clear(&eni);
			return;
		}
		if (rc == 0)
			rc = check(control, &eni, &a->call.row, &a->failure);
		net_row_clear(&eni);
	}
	if (rc < 0) {
		refuse(a);
		return;
	}
	rc = store_net_attachment_insert(&control->store, &a->call.row);
	if (rc < 0)
		refuse_store(a, rc, "attach the ENI");
	else
		net_attach_start(&a->call);
}

/* ---- detach ---- */

static void detached(struct net_attach_call *call)
{
	struct attach_job *a = container_of(call, struct attach_job, call);
	int rc;

	if (call->failure.code != ERROR_NONE) {
		http_fail(a->request, &call->failure);
		net_attach_soon(call->control);
	} else if ((rc = store_net_attachment_delete(&call->control->store, &call->row.eni)) < 0) {
		fail_store(a->request, rc, "detach the ENI");
		net_attach_soon(call->control);
	} else {
		http_reply_nothing(a->request);
	}
	end(a);
}

static void start_detach(struct net_job *job)
{
	struct attach_job *a = container_of(job, struct attach_job, job);
	struct control *control = job->control;
	int rc;

	if (find_attachment(&control->store, a->name, &a->call.row, &a->failure) < 0 || !card_ready(control, &a->failure)) {
		refuse(a);
		return;
	}
	rc = store_net_attachment_set_phase(&control->store, &a->call.row.eni, ATTACHMENT_DETACHING);
	if (rc < 0) {
		refuse_store(a, rc, "detach the ENI");
		return;
	}
	store_net_live_set(&control->store, &a->call.row.eni, "pending", "It is being detached.");
	a->call.control = control;
	a->call.done = detached;
	net_detach_start(&a->call);
}

/* ---- requests ---- */

static void queue(struct control *control, struct http_request *request, const struct eni_attach_body *body,
		  void (*start)(struct net_job *job))
{
	struct attach_job *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		fail_store(request, -ENOMEM, "attach or detach the ENI");
		return;
	}
	a->job.start = start;
	a->request = request;
	if (body != NULL)
		a->body = *body;
	strcpy(a->name, http_parameter(request));
	if (net_job_add(control, &a->job, &a->failure) == 0)
		return;
	http_fail(request, &a->failure);
	free(a);
}

void api_net_attachment_create(struct control *control, struct http_request *request)
{
	struct eni_attach_body body;
	struct failure failure;

	if (body_eni_attach(http_body(request), &body, &failure) < 0)
		http_fail(request, &failure);
	else
		queue(control, request, &body, start_attach);
}

void api_net_attachment_delete(struct control *control, struct http_request *request)
{
	queue(control, request, NULL, start_detach);
}
