#include "control/net_op.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/net_view.h"

/* ---- the end ---- */

/* A load takes some hundred bytes of memory for every rule: not to be kept for the next one. */
static void give_memory_back(struct net_op *op)
{
	store_release_memory(&op->job.control->store);
	malloc_trim(0);
}

static void end(struct net_op *op)
{
	struct net_job *job = &op->job;
	bool large = op->kind == NET_KIND_COUNT;

	net_change_close(&op->change);
	json_decref(op->body);
	json_decref(op->reply);
	if (large)
		give_memory_back(op);
	net_job_done(job);
	free(op);
}

static void refuse(struct net_op *op)
{
	http_fail(op->request, &op->failure);
	end(op);
}

static void answer_object(struct net_op *op)
{
	struct net_row row;
	json_t *view;
	int rc = store_net_get(&op->job.control->store, op->kind, op->name, &row);

	view = rc == 0 ? net_view(&op->job.control->store, &row) : NULL;
	if (view != NULL)
		http_reply(op->request, op->status, view);
	else
		fail_store(op->request, rc < 0 ? rc : -EUCLEAN, "read what was changed");
	if (rc == 0)
		net_row_clear(&row);
}

static void answer(struct net_op *op)
{
	if (op->status == 204)
		http_reply_nothing(op->request);
	else if (op->reply != NULL)
		http_reply(op->request, op->status, json_incref(op->reply));
	else
		answer_object(op);
	end(op);
}

/* ---- with the card ---- */

static int commit_resolved(struct net_op *op)
{
	struct store *store = &op->job.control->store;
	int rc = store_begin(store);

	if (rc < 0)
		return rc;
	rc = net_change_write(&op->change);
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

static void applied(void *context, const struct peer_answer *said)
{
	struct net_op *op = context;
	struct control *control = op->job.control;
	int rc;

	if (said->outcome == PEER_OK) {
		rc = commit_resolved(op);
		if (rc == 0) {
			answer(op);
			return;
		}
		net_op_fail(op, rc);
	} else {
		net_failure(control, &op->failure, said, op->what);
	}
	if (said->outcome != PEER_REFUSED) /* it may have what the store has not */
		net_push_soon(control);
	refuse(op);
}

/* ---- without ---- */

static void commit_alone(struct net_op *op)
{
	struct control *control = op->job.control;
	int rc = commit_resolved(op);

	if (rc < 0) {
		net_op_fail(op, rc);
		refuse(op);
		return;
	}
	if (control->card.up)
		net_push_soon(control);
	answer(op);
}

static void start(struct net_job *job)
{
	struct net_op *op = container_of(job, struct net_op, job);
	struct control *control = job->control;
	int rc = store_begin(&control->store);

	if (rc < 0) {
		net_op_fail(op, rc);
		refuse(op);
		return;
	}
	net_change_open(&op->change, &control->store);
	rc = op->prepare(op);
	if (rc == 0 && op->change.count > 0)
		rc = net_change_resolve(&op->change, &op->failure);
	store_rollback(&control->store);
	if (rc < 0)
		refuse(op);
	else if (op->change.count == 0)
		answer(op);
	else if (!control->net.in_sync)
		commit_alone(op);
	else
		net_request(control, net_change_message(&op->change, false), NET_APPLY_TIMEOUT_MS, applied, op);
}

void net_op_start(struct control *control, struct http_request *request, enum net_kind kind, const char *verb, const char *name,
		  json_t *body, int (*prepare)(struct net_op *op))
{
	struct net_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		json_decref(body);
		fail_store(request, -ENOMEM, "change the network");
		return;
	}
	op->job.start = start;
	op->request = request;
	op->kind = kind;
	op->body = body;
	op->prepare = prepare;
	op->status = 200;
	if (name == NULL)
		snprintf(op->what, sizeof(op->what), "%s", verb);
	else
		snprintf(op->what, sizeof(op->what), "%s %s \"%s\"", verb, net_kinds[kind].word, name);
	if (name != NULL)
		snprintf(op->name, sizeof(op->name), "%s", name);
	if (net_job_add(control, &op->job, &op->failure) == 0)
		return;
	http_fail(request, &op->failure);
	json_decref(body);
	free(op);
}

/* ---- for those who prepare ---- */

int net_op_fail(struct net_op *op, int rc)
{
	return store_failure(&op->failure, rc, op->what);
}

int net_op_find(struct net_op *op, struct net_row *row)
{
	const struct net_kind_description *kind = &net_kinds[op->kind];
	int rc = store_net_get(&op->job.control->store, op->kind, op->name, row);

	if (rc == -ENOENT)
		return failure_set(&op->failure, ERROR_OBJECT_NOT_FOUND,
				   "%s \"%s\" does not exist. `outboard %s list` shows those that do.", kind->title, op->name,
				   kind->word);
	return rc < 0 ? net_op_fail(op, rc) : 0;
}

void net_object_keep(enum net_kind kind, json_t *object, const json_t *old)
{
	for (const struct net_field *f = net_kinds[kind].fields; f->name != NULL; f++)
		if ((f->flags & NET_AUTO) != 0 && json_is_null(json_object_get(object, f->name)))
			json_object_set(object, f->name, json_object_get(old, f->name));
}

int net_object_check_fixed(enum net_kind kind, const json_t *object, const json_t *old, struct failure *failure)
{
	for (const struct net_field *f = net_kinds[kind].fields; f->name != NULL; f++)
		if ((f->flags & NET_FIXED) != 0 && !json_equal(json_object_get(object, f->name), json_object_get(old, f->name)))
			return failure_set(failure, ERROR_FIELD_FIXED,
					   "%s \"%s\": field \"%s\" cannot be changed; delete the %s and create it anew.",
					   net_kinds[kind].title, json_string_value(json_object_get(old, "name")), f->name,
					   net_kinds[kind].word);
	return 0;
}
