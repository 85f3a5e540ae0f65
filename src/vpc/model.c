#include "vpc/model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vpc/model_private.h"

static const struct model_limits limits_default = {
	.endpoints_max = 1 << 14,
	.vpcs_max = 1 << 14,
	.hosts_max = 1 << 16,
	.groups_max = 1 << 16,
	.mappings_max = 1 << 20,
};

int model_create(struct model **out, const struct model_limits *limits)
{
	struct model *m = calloc(1, sizeof(*m));
	struct policy_root *root;
	int rc;

	if (m == NULL)
		return -ENOMEM;
	m->limits = limits == NULL ? limits_default : *limits;
	rc = model_index_create(&m->index);
	if (rc < 0)
		goto failed;
	list_init(&m->locals);
	list_init(&m->live);
	list_init(&m->roots);
	for (unsigned i = 0; i < NET_KIND_COUNT; i++)
		list_init(&m->objects[i]);
	m->slots[NET_ENI].limit = m->limits.endpoints_max;
	m->slots[NET_VPC].limit = m->limits.vpcs_max;
	m->slots[NET_HOST].limit = m->limits.hosts_max;
	m->slots[NET_GROUP].limit = m->limits.groups_max;
	m->slots[NET_SUBNET].limit = m->limits.mappings_max; /* none is of use without an address in it */
	root = model_root_new(m);
	if (root == NULL) {
		rc = -ENOMEM;
		goto failed;
	}
	list_add_tail(&m->roots, &root->link);
	*out = m;
	return 0;
failed:
	model_index_destroy(&m->index);
	free(m);
	return rc;
}

static void objects_free(struct model *model)
{
	for (unsigned kind = 0; kind < NET_KIND_COUNT; kind++)
		list_for_each_safe (node, after, &model->objects[kind])
			version_uninstall(model, object_of(node)->now);
	for (unsigned kind = 0; kind < NET_KIND_COUNT; kind++) {
		list_for_each_safe (node, after, &model->objects[kind]) {
			model_slot_return(object_of(node)->state.lease);
			version_free(object_of(node)->now);
			model_object_remove(model, object_of(node));
		}
	}
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	if (model->change != NULL)
		model_change_cancel(model->change);
	objects_free(model);
	list_for_each_safe (node, after, &model->roots) {
		list_del(node);
		model_root_free(list_entry(node, struct policy_root, link));
	}
	pieces_free(&model->live);
	for (unsigned kind = 0; kind < NET_KIND_COUNT; kind++)
		free(model->slots[kind].taken);
	model_index_destroy(&model->index);
	free(model);
}

const struct policy *model_policy(const struct model *model)
{
	return &model_root(model)->policy;
}

/* What the root was the last to have may still be read through an older one. */
void model_release(struct model *model, const struct policy *old)
{
	struct policy_root *root = list_entry(old, struct policy_root, policy);
	struct list *older = root->link.prev;

	assert(root != model_root(model));
	list_del(&root->link);
	if (older != &model->roots) {
		struct policy_root *heir = list_entry(older, struct policy_root, link);

		pieces_move(&root->retired, &heir->retired);
		pieces_move(&root->leases, &heir->leases);
	}
	model_root_free(root);
}

struct object *model_object(const struct model *model, enum net_kind kind, const struct uuid *id)
{
	struct policy_map_key key = policy_key_uuid(id);
	struct model_key like = {.type = KEY_ID, .scope = kind, .half = {key.half[0], key.half[1]}};
	struct model_key *found = model_index_find(&model->index, &like);

	return found == NULL ? NULL : found->object;
}

int model_object_add(struct model *model, enum net_kind kind, const struct uuid *id, struct object **out)
{
	struct policy_map_key key = policy_key_uuid(id);
	struct object *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -ENOMEM;
	if (kind == NET_VPC) {
		o->network = calloc(1, sizeof(*o->network));
		if (o->network == NULL) {
			free(o);
			return -ENOMEM;
		}
	}
	o->kind = kind;
	o->id = *id;
	list_init(&o->local_link);
	list_init(&o->eips);
	list_init(&o->touch_link);
	list_init(&o->work_link);
	o->key = (struct model_key){.object = o, .type = KEY_ID, .scope = kind, .half = {key.half[0], key.half[1]}};
	model_index_insert(&model->index, &o->key);
	list_add_tail(&model->objects[kind], &o->link);
	*out = o;
	return 0;
}

void model_object_remove(struct model *model, struct object *object)
{
	model_index_remove(&model->index, &object->key);
	list_del(&object->link);
	list_del(&object->local_link);
	list_del(&object->touch_link);
	list_del(&object->work_link);
	if (object->network != NULL) {
		free(object->network->mappings.list);
		free(object->network->names.list);
		free(object->network);
	}
	free(object);
}

const struct net_spec *model_find(const struct model *model, enum net_kind kind, const struct uuid *id)
{
	struct object *o = model_object(model, kind, id);

	return o == NULL || o->now == NULL ? NULL : &o->now->spec;
}
