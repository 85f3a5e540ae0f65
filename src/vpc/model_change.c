#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vpc/model_private.h"
#include "vpc/spec_check.h"

int model_fail(struct model_change *change, const struct net_spec *culprit, int rc, const char *format, ...)
{
	int used = snprintf(change->error, sizeof(change->error), "%s '%.*s': ", net_kind_name(culprit->kind), NET_NAME_SIZE - 1,
			    culprit->name);
	va_list list;

	change->culprit = culprit->id;
	va_start(list, format);
	vsnprintf(change->error + used, sizeof(change->error) - (size_t)used, format, list);
	va_end(list);
	return rc;
}

/* ---- collecting ---- */

int model_change_begin(struct model *model, struct model_change **out)
{
	struct model_change *c = calloc(1, sizeof(*c));

	assert(model->change == NULL);
	if (c == NULL)
		return -ENOMEM;
	c->model = model;
	for (unsigned i = 0; i < NET_KIND_COUNT; i++)
		list_init(&c->touched[i]);
	list_init(&c->work);
	list_init(&c->fresh);
	list_init(&c->retired);
	model->change = c;
	*out = c;
	return 0;
}

static void touch(struct model_change *change, struct object *o)
{
	if (o->touched)
		return;
	o->touched = true;
	list_add_tail(&change->touched[o->kind], &o->touch_link);
}

static void want(struct object *o, struct version *v)
{
	version_free(o->wanted);
	o->wanted = v;
}

int model_change_reset(struct model_change *change)
{
	for (unsigned kind = 0; kind < NET_KIND_COUNT; kind++) {
		list_for_each_safe (node, after, &change->model->objects[kind]) {
			touch(change, object_of(node));
			want(object_of(node), NULL);
		}
	}
	return 0;
}

int model_change_put(struct model_change *change, struct net_spec *spec)
{
	struct object *o;
	struct version *v;
	int rc = 0;

	if ((unsigned)spec->kind >= NET_KIND_COUNT || (spec->kind == NET_ENI && spec->eni.address_count > NET_ADDRESSES_MAX) ||
	    (spec->kind == NET_ENI && spec->eni.group_count > NET_GROUPS_MAX))
		return -EINVAL;
	o = model_object(change->model, spec->kind, &spec->id);
	if (o == NULL)
		rc = model_object_add(change->model, spec->kind, &spec->id, &o);
	if (rc < 0)
		return rc;
	touch(change, o);
	rc = version_new(spec, o, &v);
	if (rc == 0)
		want(o, v);
	return rc;
}

int model_change_delete(struct model_change *change, enum net_kind kind, const struct uuid *id)
{
	struct object *o = (unsigned)kind < NET_KIND_COUNT ? model_object(change->model, kind, id) : NULL;

	if (o != NULL) {
		touch(change, o);
		want(o, NULL);
	}
	return 0;
}

/* ---- carrying out ---- */

static int check_alone(struct model_change *change)
{
	char error[256];

	touched_for_each (change, o) {
		int rc = o->wanted == NULL ? 0 : net_spec_check(&o->wanted->spec, error, sizeof(error));

		if (rc < 0)
			return model_fail(change, &o->wanted->spec, rc, "%s", error);
	}
	return 0;
}

static void untouch(struct object *o)
{
	list_del(&o->touch_link);
	o->touched = false;
}

/* What is put again as it is was not changed: control may push everything, and no flow is decided anew. */
static void drop_equal(struct model_change *change)
{
	touched_for_each (change, o) {
		if (o->now == NULL || o->wanted == NULL || !net_spec_equal(&o->now->spec, &o->wanted->spec))
			continue;
		want(o, NULL);
		untouch(o);
	}
}

static int install_all(struct model_change *change)
{
	touched_for_each (change, old) {
		old->before = old->now;
		old->now = old->wanted;
		old->wanted = NULL;
		if (old->before != NULL)
			version_uninstall(change->model, old->before);
	}
	touched_for_each (change, o) {
		int rc = o->now == NULL ? 0 : version_resolve(change, o->now);

		if (rc == 0 && o->now != NULL)
			rc = version_install(change, o->now);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* In two rounds: keys of the new are gone before those of the old come again. */
static void put_back(struct model_change *change)
{
	list_for_each_safe (node, after, &change->work) {
		struct object *o = list_entry(node, struct object, work_link);

		if (o->next.lease != o->state.lease)
			model_slot_return(o->next.lease);
	}
	pieces_move(&change->retired, &change->model->live);
	pieces_free(&change->fresh);
	touched_for_each (change, o) {
		if (o->now != NULL && o->now->installed)
			version_uninstall(change->model, o->now);
	}
	touched_for_each (change, o) {
		o->wanted = o->now;
		o->now = o->before;
		o->before = NULL;
		if (o->now != NULL)
			version_install_again(change->model, o->now);
	}
}

static void commit(struct model_change *change)
{
	struct model *model = change->model;
	struct policy_root *old = model_root(model);

	list_for_each_safe (node, after, &change->work) {
		struct object *o = list_entry(node, struct object, work_link);

		if (o->state.lease != NULL && o->state.lease != o->next.lease)
			list_add_tail(&old->leases, &o->state.lease->link);
		o->state = o->next;
		list_del(&o->local_link);
		if ((o->kind == NET_ENI || o->kind == NET_NAT) && o->state.lease != NULL)
			list_add_tail(&model->locals, &o->local_link);
	}
	pieces_move(&change->retired, &old->retired);
	pieces_move(&change->fresh, &model->live);
	list_add_tail(&model->roots, &change->root->link);
	change->root = NULL;
	touched_for_each (change, o) {
		version_free(o->before);
		o->before = NULL;
	}
}

static void batch_free(struct map_batch *batch)
{
	free(batch->list);
	*batch = (struct map_batch){0};
}

/* Nothing is left of it; objects that are not there are forgotten. */
static void change_end(struct model_change *change)
{
	list_for_each_safe (node, after, &change->work) {
		struct object *o = list_entry(node, struct object, work_link);

		list_del(&o->work_link);
		o->working = o->dirty = o->rerouted = false;
		if (o->network != NULL) {
			batch_free(&o->network->mappings);
			batch_free(&o->network->names);
			o->network->disturbed = o->network->reached = false;
		}
	}
	touched_for_each (change, o) {
		want(o, NULL);
		untouch(o);
		if (o->now == NULL)
			model_object_remove(change->model, o);
	}
	batch_free(&change->ports);
	batch_free(&change->endpoint_ids);
	batch_free(&change->publics);
	batch_free(&change->host_addresses);
	free(change->root);
	change->model->change = NULL;
	free(change);
}

static int carry_out(struct model_change *change)
{
	int rc;

	drop_equal(change);
	rc = install_all(change);
	if (rc == 0)
		rc = model_check(change);
	if (rc == 0)
		rc = model_compile(change);
	if (rc < 0)
		put_back(change);
	else
		commit(change);
	return rc;
}

int model_change_finish(struct model_change *change, const struct policy **next, struct uuid *culprit, char *error,
			size_t error_size)
{
	struct model *model = change->model;
	int rc = check_alone(change);

	if (rc == 0)
		rc = carry_out(change);
	if (rc == 0) {
		*next = model_policy(model);
	} else {
		*culprit = change->culprit;
		snprintf(error, error_size, "%s", change->error[0] != '\0' ? change->error : "out of memory; nothing has changed");
	}
	change_end(change);
	return rc;
}

void model_change_cancel(struct model_change *change)
{
	change_end(change);
}
