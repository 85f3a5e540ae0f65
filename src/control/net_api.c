/* The objects of VPCs: list, show, create, change, delete, and adding and removing rules and routes. Which kind is the route's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control.h"
#include "control/net_items.h"
#include "control/net_op.h"
#include "control/net_view.h"

static enum net_kind kind_of(const struct http_request *request)
{
	return (enum net_kind)http_argument(request);
}

/* ---- list and show ---- */

struct listing {
	struct store *store;
	json_t *list;
};

static int add_view(void *context, struct net_row *row)
{
	struct listing *l = context;

	return json_array_append_new(l->list, net_view(l->store, row)) == 0 ? 0 : -EUCLEAN;
}

void api_net_list(struct control *control, struct http_request *request)
{
	struct listing l = {&control->store, json_array()};
	int rc = store_net_each(&control->store, kind_of(request), false, add_view, &l);

	if (rc == 0) {
		http_reply(request, 200, l.list);
		return;
	}
	json_decref(l.list);
	fail_store(request, rc, "list what there is");
}

void api_net_show(struct control *control, struct http_request *request)
{
	const struct net_kind_description *kind = &net_kinds[kind_of(request)];
	const char *name = http_parameter(request);
	struct failure failure;
	struct net_row row;
	json_t *view;
	int rc = store_net_get(&control->store, kind_of(request), name, &row);

	if (rc == -ENOENT) {
		failure_set(&failure, ERROR_OBJECT_NOT_FOUND, "%s \"%s\" does not exist. `outboard %s list` shows those that do.",
			    kind->title, name, kind->word);
		http_fail(request, &failure);
		return;
	}
	view = rc == 0 ? net_view(&control->store, &row) : NULL;
	if (view != NULL)
		http_reply(request, 200, view);
	else
		fail_store(request, rc < 0 ? rc : -EUCLEAN, "read it");
	if (rc == 0)
		net_row_clear(&row);
}

/* ---- create ---- */

static int prepare_create(struct net_op *op)
{
	json_t *old;
	struct net_row row;
	bool equal;
	int rc = store_net_get(&op->job.control->store, op->kind, op->name, &row);

	op->status = 201;
	if (rc == -ENOENT)
		return net_change_put(&op->change, op->kind, json_incref(op->body), NULL) == NULL ? net_op_fail(op, -ENOMEM) : 0;
	if (rc < 0)
		return net_op_fail(op, rc);
	old = net_object_of(&row);
	net_row_clear(&row);
	net_object_keep(op->kind, op->body, old);
	equal = json_equal(op->body, old);
	json_decref(old);
	if (!equal)
		return failure_set(
			&op->failure, ERROR_OBJECT_EXISTS,
			"%s \"%s\" exists already, with other properties; `outboard %s show %s` shows them. Choose another "
			"name, or change it.",
			net_kinds[op->kind].title, op->name, net_kinds[op->kind].word, op->name);
	op->status = 200;
	return 0;
}

/* A body that is checked, or false: the request was answered. */
static bool take_body(struct http_request *request, enum net_how how, json_t **body)
{
	struct failure failure;

	*body = http_take_body(request);
	if (net_kind_check(kind_of(request), *body, how, &failure) == 0)
		return true;
	json_decref(*body);
	http_fail(request, &failure);
	return false;
}

void api_net_create(struct control *control, struct http_request *request)
{
	json_t *body;

	if (take_body(request, NET_WHOLE, &body))
		net_op_start(control, request, kind_of(request), "create", json_string_value(json_object_get(body, "name")), body,
			     prepare_create);
}

/* ---- change ---- */

/* `object` (taken) in place of the row's, unless it is the same. */
static int put_changed(struct net_op *op, const struct net_row *row, json_t *object, const json_t *old)
{
	if (net_object_check_fixed(op->kind, object, old, &op->failure) < 0 ||
	    net_kind_check_whole(op->kind, object, &op->failure) < 0) {
		json_decref(object);
		return -EINVAL;
	}
	if (json_equal(object, old)) {
		json_decref(object);
		return 0;
	}
	return net_change_put(&op->change, op->kind, object, row) == NULL ? net_op_fail(op, -ENOMEM) : 0;
}

static int prepare_change(struct net_op *op)
{
	struct net_row row;
	json_t *object, *old;
	int rc = net_op_find(op, &row);

	if (rc < 0)
		return rc;
	old = net_object_of(&row);
	object = json_copy(old);
	if (object == NULL) {
		rc = net_op_fail(op, -EUCLEAN);
	} else {
		json_object_update(object, op->body);
		rc = put_changed(op, &row, object, old);
	}
	json_decref(old);
	net_row_clear(&row);
	return rc;
}

void api_net_change(struct control *control, struct http_request *request)
{
	json_t *body;

	if (take_body(request, NET_PART, &body))
		net_op_start(control, request, kind_of(request), "change", http_parameter(request), body, prepare_change);
}

/* ---- rules and routes ---- */

static int prepare_items(struct net_op *op)
{
	const struct net_field *field = net_kind_items(op->kind);
	struct net_row row;
	json_t *object, *old;
	int rc = net_op_find(op, &row);

	if (rc < 0)
		return rc;
	old = net_object_of(&row);
	object = json_copy(old);
	if (object == NULL) {
		rc = net_op_fail(op, -EUCLEAN);
	} else {
		json_t *items = net_items_change(field, json_object_get(old, field->name), op->body, &op->failure);

		rc = items == NULL ? -EINVAL : json_object_set_new(object, field->name, items);
		if (rc == 0)
			rc = put_changed(op, &row, object, old);
		else
			json_decref(object);
	}
	json_decref(old);
	net_row_clear(&row);
	return rc;
}

void api_net_items(struct control *control, struct http_request *request)
{
	json_t *body = http_take_body(request);
	struct failure failure;

	if (net_items_check(net_kind_items(kind_of(request)), body, &failure) == 0) {
		net_op_start(control, request, kind_of(request), "change", http_parameter(request), body, prepare_items);
		return;
	}
	json_decref(body);
	http_fail(request, &failure);
}

/* ---- delete ---- */

static int prepare_delete(struct net_op *op)
{
	struct net_row row;
	int rc = net_op_find(op, &row);

	if (rc < 0)
		return rc;
	rc = net_change_delete(&op->change, &row);
	net_row_clear(&row);
	op->status = 204;
	return rc < 0 ? net_op_fail(op, rc) : 0;
}

void api_net_delete(struct control *control, struct http_request *request)
{
	net_op_start(control, request, kind_of(request), "delete", http_parameter(request), NULL, prepare_delete);
}
