/* Elastic IPs, VPCs, and the root with its arrays and maps: what did not change is the old root's. */
#include <errno.h>
#include <stdlib.h>

#include "vpc/model_private.h"

struct policy_root *model_root_new(const struct model *model)
{
	struct policy_root *root = calloc(1, sizeof(*root));

	if (root == NULL)
		return NULL;
	memcpy(root->seed, model->index.seed, sizeof(root->seed));
	list_init(&root->link);
	list_init(&root->retired);
	list_init(&root->leases);
	return root;
}

void model_root_free(struct policy_root *root)
{
	pieces_free(&root->retired);
	list_for_each_safe (node, after, &root->leases)
		model_slot_return(list_entry(node, struct model_lease, link));
	free(root);
}

/* ---- elastic IPs ---- */

static int entrance_remove(struct model_change *change, struct object *o)
{
	struct object_state *next = object_work(change, o);
	const struct policy_entrance *e = next->compiled;
	int rc;

	if (e == NULL)
		return 0;
	rc = map_batch_add(&change->publics, policy_map_key_address(&e->address.public_address), NULL);
	change_retire(change, e);
	next->compiled = NULL;
	return rc;
}

/* Only of endpoints of this card: other cards answer for theirs. */
static int entrance_make(struct model_change *change, struct object *o)
{
	const struct object *target = o->now == NULL ? NULL : o->now->target;
	struct policy_entrance *e;

	if (target == NULL || object_slot(target) == POLICY_SLOT_NONE)
		return 0;
	e = piece_new(&change->fresh, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	e->address.public_address = o->now->spec.eip.address;
	if (target->kind == NET_ENI)
		e->address.private_address = version_eip_private(o->now);
	e->slot = object_slot(target);
	o->next.compiled = e;
	return map_batch_add(&change->publics, policy_map_key_address(&e->address.public_address), e);
}

static bool entrance_is_stale(const struct object *o)
{
	return o->touched || (o->now->target != NULL && o->now->target->touched);
}

static int compile_entrances(struct model_change *change)
{
	struct list *eips = &change->model->objects[NET_EIP];
	int rc = 0;

	list_for_each_safe (node, after, eips) {
		if (entrance_is_stale(object_of(node)))
			rc = entrance_remove(change, object_of(node));
		if (rc < 0)
			return rc;
	}
	list_for_each_safe (node, after, eips) {
		if (entrance_is_stale(object_of(node)))
			rc = entrance_make(change, object_of(node));
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- VPCs ---- */

static int vpc_make(struct model_change *change, struct object *o)
{
	const struct net_spec *s = &o->now->spec;
	struct policy_vpc *v = piece_new(&change->fresh, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	v->id = o->id;
	memcpy(v->name, s->name, sizeof(v->name));
	v->slot = object_slot(o);
	v->vni = s->vpc.vni;
	v->tunnel = s->vpc.tunnel;
	v->mtu = s->vpc.mtu;
	v->cidr_count = s->vpc.cidr_count;
	memcpy(v->cidrs, s->vpc.cidrs, sizeof(v->cidrs));
	memcpy(v->domain, s->vpc.domain, sizeof(v->domain));
	v->log_traffic = s->vpc.log_traffic;
	v->log_interval_s = s->vpc.log_interval_s;
	v->mappings = o->next.mappings;
	v->names = o->next.names;
	o->next.compiled = v;
	return 0;
}

static int map_update(struct model_change *change, const struct policy_map **map, const struct map_batch *batch)
{
	return policy_map_update(map, *map, change->model->index.seed, batch->list, batch->count, &change->fresh, &change->retired);
}

static int compile_vpc(struct model_change *change, struct object *o)
{
	int rc = map_update(change, &o->next.mappings, &o->network->mappings);

	if (rc == 0)
		rc = map_update(change, &o->next.names, &o->network->names);
	if (rc < 0)
		return rc;
	change_retire(change, o->next.compiled);
	o->next.compiled = NULL;
	return o->now == NULL ? 0 : vpc_make(change, o);
}

/* Those in work: touched, or somebody in them is. */
static int compile_vpcs(struct model_change *change)
{
	list_for_each_safe (node, after, &change->work) {
		struct object *o = list_entry(node, struct object, work_link);
		int rc = 0;

		if (o->kind == NET_VPC && (o->touched || o->network->mappings.count > 0))
			rc = compile_vpc(change, o);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- the root ---- */

static bool of_array(const struct object *o, enum net_kind kind)
{
	return o->kind == kind || (kind == NET_ENI && o->kind == NET_NAT);
}

static bool anything_new(const struct model_change *change, enum net_kind kind)
{
	list_for_each_safe (node, after, &change->work) {
		const struct object *o = list_entry(node, struct object, work_link);

		if (of_array(o, kind) && (o->state.lease != o->next.lease || o->state.compiled != o->next.compiled))
			return true;
	}
	return false;
}

/* In: the old root's array. Slots that are left are cleared before those that are taken are filled; none is in both. */
static int array_update(struct model_change *change, enum net_kind kind, const void *const **array, uint32_t *count)
{
	uint32_t top = change->model->slots[kind].top;
	const void **list;

	if (!anything_new(change, kind))
		return 0;
	list = piece_new(&change->fresh, ((size_t)top + 1) * sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	if (*array != NULL)
		memcpy(list, *array, *count * sizeof(*list));
	list_for_each_safe (node, after, &change->work) {
		const struct object *o = list_entry(node, struct object, work_link);

		if (!of_array(o, kind))
			continue;
		if (o->state.lease != NULL && o->state.lease != o->next.lease)
			list[o->state.lease->slot] = NULL;
		if (o->next.lease != NULL)
			list[o->next.lease->slot] = o->next.compiled;
	}
	change_retire(change, *array);
	*array = list;
	*count = top;
	return 0;
}

/* Doors that were made, after all that were removed. */
static int doors_add(struct model_change *change)
{
	list_for_each_safe (node, after, &change->work) {
		const struct object *o = list_entry(node, struct object, work_link);
		const struct policy_door *door = o->next.door;
		int rc;

		if (door == NULL || door == o->state.door)
			continue;
		rc = map_batch_add(&change->ports, policy_key_port(door->port.vni, &door->port.mac), door);
		if (rc == 0)
			rc = map_batch_add(&change->endpoint_ids, policy_key_uuid(&door->id), door);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int root_maps(struct model_change *change, struct policy_root *root)
{
	int rc = doors_add(change);

	if (rc == 0)
		rc = map_update(change, &root->ports, &change->ports);
	if (rc == 0)
		rc = map_update(change, &root->endpoint_ids, &change->endpoint_ids);
	if (rc == 0)
		rc = map_update(change, &root->publics, &change->publics);
	if (rc == 0)
		rc = map_update(change, &root->host_addresses, &change->host_addresses);
	return rc;
}

static int root_arrays(struct model_change *change, struct policy *p)
{
	int rc = array_update(change, NET_ENI, (const void *const **)&p->endpoints, &p->endpoint_max);

	if (rc == 0)
		rc = array_update(change, NET_VPC, (const void *const **)&p->vpcs, &p->vpc_max);
	if (rc == 0)
		rc = array_update(change, NET_HOST, (const void *const **)&p->hosts, &p->host_max);
	if (rc == 0)
		rc = array_update(change, NET_GROUP, (const void *const **)&p->groups, &p->group_max);
	return rc;
}

int model_compile_root(struct model_change *change)
{
	const struct policy_root *old = model_root(change->model);
	int rc = compile_entrances(change);

	if (rc == 0)
		rc = compile_vpcs(change);
	if (rc < 0)
		return rc;
	change->root = model_root_new(change->model);
	if (change->root == NULL)
		return -ENOMEM;
	change->root->policy = old->policy;
	change->root->policy.version++;
	change->root->ports = old->ports;
	change->root->endpoint_ids = old->endpoint_ids;
	change->root->publics = old->publics;
	change->root->host_addresses = old->host_addresses;
	rc = root_maps(change, change->root);
	return rc < 0 ? rc : root_arrays(change, &change->root->policy);
}
