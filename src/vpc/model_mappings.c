/* Who has an address of a VPC, as all cards know it: of ENIs and NATs, here and elsewhere. */
#include <errno.h>
#include <stdlib.h>

#include "vpc/model_private.h"

enum { BATCH_MIN = 8 };

int map_batch_add(struct map_batch *batch, struct policy_map_key key, const void *value)
{
	if (batch->count == batch->size) {
		uint32_t size = batch->size == 0 ? BATCH_MIN : batch->size * 2;
		struct policy_map_change *list = realloc(batch->list, size * sizeof(*list));

		if (list == NULL)
			return -ENOMEM;
		batch->list = list;
		batch->size = size;
	}
	batch->list[batch->count++] = (struct policy_map_change){.key = key, .value = value};
	return 0;
}

static int by_number(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static void mapping_fill(struct policy_mapping *m, const struct object *o)
{
	const struct version *v = o->now;
	const struct net_spec *s = &v->spec;

	m->mac = s->kind == NET_ENI ? s->eni.mac : s->nat.mac;
	m->local = v->host == NULL;
	m->slot = m->local ? object_slot(o) : object_slot(v->host);
	m->subnet_slot = object_slot(v->subnet);
	memcpy(m->name, s->name, sizeof(m->name));
	if (s->kind != NET_ENI)
		return;
	m->group_count = s->eni.group_count;
	for (unsigned i = 0; i < m->group_count; i++)
		m->groups[i] = object_slot(v->targets[i]);
	qsort(m->groups, m->group_count, sizeof(m->groups[0]), by_number);
}

static int mappings_make(struct model_change *change, const struct object *o, struct policy_mapping **out, uint32_t *count)
{
	unsigned n;
	const struct net_address *addresses = version_addresses(o->now, &n);
	struct policy_mapping *m = piece_new(&change->fresh, n * sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		mapping_fill(&m[i], o);
		m[i].address = addresses[i];
	}
	*out = m;
	*count = n;
	return 0;
}

/* A packet to `old` would now go elsewhere, or be judged differently. */
static bool mapping_moved(const struct policy_mapping *old, const struct policy_mapping *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct policy_mapping *m = &list[i];

		if (net_address_equal(&m->address, &old->address))
			return !mac_equal(&m->mac, &old->mac) || m->local != old->local || m->slot != old->slot ||
			       m->group_count != old->group_count || memcmp(m->groups, old->groups, sizeof(m->groups)) != 0;
	}
	return true;
}

/* The first of each family is what the name of an ENI means. */
static int names_add(struct model_change *change, struct map_batch *batch, const struct policy_mapping *list, uint32_t count,
		     bool remove)
{
	bool seen[2] = {false, false};
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		bool v4 = net_address_is_v4(&list[i].address);

		if (!seen[v4])
			rc = map_batch_add(batch, policy_key_name(change->model->index.seed, list[i].name, v4 ? 4 : 6),
					   remove ? NULL : &list[i]);
		seen[v4] = true;
	}
	return rc;
}

static int mappings_add(struct model_change *change, struct object *vpc, enum net_kind kind, const struct policy_mapping *list,
			uint32_t count, bool remove)
{
	int rc = 0;

	object_work(change, vpc);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = map_batch_add(&vpc->network->mappings, policy_map_key_address(&list[i].address), remove ? NULL : &list[i]);
	return rc < 0 || kind != NET_ENI ? rc : names_add(change, &vpc->network->names, list, count, remove);
}

/* Makes what `o` will have in next.addresses; takes away what it had, unless that is the same. */
static int mappings_remove(struct model_change *change, struct object *o)
{
	struct object_state *next = object_work(change, o);
	struct policy_mapping *list = NULL;
	uint32_t count = 0;
	bool same_vpc = o->before != NULL && o->now != NULL && o->before->vpc == o->now->vpc, moved = false;
	int rc = o->now == NULL ? 0 : mappings_make(change, o, &list, &count);

	if (rc < 0)
		return rc;
	o->rerouted = o->before != NULL && (!same_vpc || next->lease != o->state.lease ||
					    !net_address_equal(&list[0].address, &o->state.addresses[0].address));
	if (same_vpc && count == o->state.address_count && memcmp(list, o->state.addresses, count * sizeof(*list)) == 0) {
		piece_free(list);
		return 0;
	}
	for (uint32_t i = 0; i < o->state.address_count; i++)
		moved = moved || !same_vpc || mapping_moved(&o->state.addresses[i], list, count);
	next->addresses = list;
	next->address_count = count;
	if (o->before == NULL)
		return 0;
	rc = mappings_add(change, o->before->vpc, o->kind, o->state.addresses, o->state.address_count, true);
	o->before->vpc->network->disturbed |= moved;
	change_retire(change, o->state.addresses);
	return rc;
}

int model_compile_mappings(struct model_change *change)
{
	static const enum net_kind kinds[] = {NET_ENI, NET_NAT};

	for (unsigned i = 0; i < 2; i++) {
		list_for_each_safe (node, after, &change->touched[kinds[i]]) {
			int rc = mappings_remove(change, list_entry(node, struct object, touch_link));

			if (rc < 0)
				return rc;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		list_for_each_safe (node, after, &change->touched[kinds[i]]) {
			struct object *o = list_entry(node, struct object, touch_link);
			int rc = 0;

			if (o->now != NULL && o->next.addresses != o->state.addresses)
				rc = mappings_add(change, o->now->vpc, o->kind, o->next.addresses, o->next.address_count, false);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}
