/* A whole network in one request: everything that it lists is put, and with "replace" everything else is deleted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/net_op.h"

struct counts {
	json_int_t created, updated, deleted, unchanged;
};

/* ---- what is listed ---- */

static int put_new(struct net_op *op, enum net_kind kind, json_t *object, struct counts *counts)
{
	counts->created++;
	return net_change_put(&op->change, kind, json_incref(object), NULL) == NULL ? net_op_fail(op, -ENOMEM) : 0;
}

static bool same_text(const struct net_row *a, const struct net_row *b)
{
	return strcmp(a->body, b->body) == 0 &&
	       (a->items == NULL || b->items == NULL ? a->items == b->items : strcmp(a->items, b->items) == 0);
}

static int put_over(struct net_op *op, const struct net_row *row, json_t *object, struct counts *counts)
{
	struct net_row now = {0};
	json_t *old = json_loads(row->body, 0, NULL); /* without the long list, which is compared as text */
	int rc = old == NULL ? net_op_fail(op, -EUCLEAN) : 0;
	bool same = false;

	if (rc == 0) {
		net_object_keep(row->kind, object, old);
		rc = net_object_check_fixed(row->kind, object, old, &op->failure);
	}
	if (rc == 0 && net_object_texts(row->kind, object, &now) < 0)
		rc = net_op_fail(op, -ENOMEM);
	if (rc == 0)
		same = same_text(&now, row);
	net_row_clear(&now);
	json_decref(old);
	if (rc < 0)
		return rc;
	if (same) {
		counts->unchanged++;
		return 0;
	}
	counts->updated++;
	return net_change_put(&op->change, row->kind, json_incref(object), row) == NULL ? net_op_fail(op, -ENOMEM) : 0;
}

static int put_listed(struct net_op *op, enum net_kind kind, json_t *object, struct counts *counts)
{
	struct net_row row;
	int rc = store_net_get(&op->job.control->store, kind, json_string_value(json_object_get(object, "name")), &row);

	if (rc == -ENOENT)
		return put_new(op, kind, object, counts);
	if (rc < 0)
		return net_op_fail(op, rc);
	rc = put_over(op, &row, object, counts);
	net_row_clear(&row);
	return rc;
}

/* ---- what is not ---- */

struct sweep {
	struct net_op *op;
	struct counts *counts;
	json_t *listed[NET_KIND_COUNT]; /* by name */
};

static int delete_unlisted(void *context, struct net_row *row)
{
	struct sweep *sweep = context;

	if (json_object_get(sweep->listed[row->kind], row->name) != NULL)
		return 0;
	sweep->counts->deleted++;
	return net_change_delete(&sweep->op->change, row);
}

static int delete_rest(struct net_op *op, struct counts *counts)
{
	struct sweep sweep = {op, counts, {NULL}};
	json_t *object;
	size_t at;
	int rc;

	for (int kind = 0; kind < NET_KIND_COUNT; kind++) {
		sweep.listed[kind] = json_object();
		json_array_foreach (json_object_get(op->body, net_kinds[kind].list), at, object)
			json_object_set_new(sweep.listed[kind], json_string_value(json_object_get(object, "name")), json_true());
	}
	rc = store_net_each(&op->job.control->store, NET_KIND_COUNT, false, delete_unlisted, &sweep);
	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		json_decref(sweep.listed[kind]);
	return rc < 0 ? net_op_fail(op, rc) : 0;
}

static int prepare_load(struct net_op *op)
{
	struct counts counts = {0};
	json_t *object;
	size_t at;

	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		json_array_foreach (json_object_get(op->body, net_kinds[kind].list), at, object)
			if (put_listed(op, (enum net_kind)kind, object, &counts) < 0)
				return -EINVAL;
	if (json_is_true(json_object_get(op->body, "replace")) && delete_rest(op, &counts) < 0)
		return -EINVAL;
	op->reply = json_pack("{s:I,s:I,s:I,s:I}", "created", counts.created, "updated", counts.updated, "deleted", counts.deleted,
			      "unchanged", counts.unchanged);
	return 0;
}

/* ---- the request ---- */

static int complete(enum net_kind kind, json_t *list, struct failure *failure)
{
	char says[FAILURE_MESSAGE_SIZE];
	json_t *object;
	size_t at;

	json_array_foreach (list, at, object) {
		if (net_kind_complete(kind, object, failure) == 0)
			continue;
		snprintf(says, sizeof(says), "%s", failure->message);
		return failure_set(failure, failure->code, "%s \"%s\": %s", net_kinds[kind].title,
				   json_string_value(json_object_get(object, "name")), says);
	}
	return 0;
}

void api_net_load(struct control *control, struct http_request *request)
{
	json_t *body = http_take_body(request);
	struct failure failure;
	int rc = net_fields_check(net_load_fields, body, NET_WHOLE, NULL, &failure);

	for (int kind = 0; rc == 0 && kind < NET_KIND_COUNT; kind++)
		rc = complete((enum net_kind)kind, json_object_get(body, net_kinds[kind].list), &failure);
	if (rc == 0) {
		net_op_start(control, request, NET_KIND_COUNT, "load the network", NULL, body, prepare_load);
		return;
	}
	json_decref(body);
	http_fail(request, &failure);
}
