/* An ENI or NAT gateway of this card, as the pipeline has it. */
#include <errno.h>
#include <stdlib.h>

#include "vpc/model_private.h"

static const struct eni_timeouts timeouts_default = {.tcp_established_s = 350, .udp_s = 30, .udp_stream_s = 180, .other_s = 600};

enum { LINK_LOCAL_PER_S = 1024 };

static int by_slot(const void *left, const void *right)
{
	const struct policy_group *const *a = left, *const *b = right;

	return (*a)->slot < (*b)->slot ? -1 : (*a)->slot > (*b)->slot;
}

static uint32_t value_or(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static void fill_eni(struct policy_endpoint *e, const struct version *v)
{
	const struct net_spec *s = &v->spec;

	e->kind = ENDPOINT_ENI;
	e->mac = s->eni.mac;
	e->source_dest_check = s->eni.source_dest_check;
	e->group_count = s->eni.group_count;
	for (unsigned i = 0; i < e->group_count; i++)
		e->groups[i] = object_state(v->targets[i])->compiled;
	qsort(e->groups, e->group_count, sizeof(e->groups[0]), by_slot);
	for (unsigned i = 0; i < e->group_count; i++)
		e->group_slots[i] = e->groups[i]->slot;
	e->allowances = s->eni.allowances;
	if (e->allowances.link_local_per_s == 0)
		e->allowances.link_local_per_s = LINK_LOCAL_PER_S;
	e->timeouts.tcp_established_s = value_or(s->eni.timeouts.tcp_established_s, timeouts_default.tcp_established_s);
	e->timeouts.udp_s = value_or(s->eni.timeouts.udp_s, timeouts_default.udp_s);
	e->timeouts.udp_stream_s = value_or(s->eni.timeouts.udp_stream_s, timeouts_default.udp_stream_s);
	e->timeouts.other_s = value_or(s->eni.timeouts.other_s, timeouts_default.other_s);
}

/* What a NAT gateway forwards is limited where it comes from. */
static void fill_nat(struct policy_endpoint *e, const struct version *v)
{
	e->kind = ENDPOINT_NAT;
	e->mac = v->spec.nat.mac;
	e->timeouts = timeouts_default;
	e->allowances.link_local_per_s = LINK_LOCAL_PER_S;
}

static int by_public_address(const void *left, const void *right)
{
	const struct policy_public *a = left, *b = right;

	return memcmp(a->public_address.bytes, b->public_address.bytes, sizeof(a->public_address.bytes));
}

/* By address, so that their order does not depend on that of changes. */
static void fill_publics(struct policy_endpoint *e, const struct object *o)
{
	list_for_each_safe (node, after, &o->eips) {
		const struct version *v = list_entry(node, struct version, eip_link);
		struct policy_public *p = &e->publics[e->public_count++];

		p->public_address = v->spec.eip.address;
		if (o->kind == NET_ENI)
			p->private_address = version_eip_private(v);
	}
	qsort(e->publics, e->public_count, sizeof(e->publics[0]), by_public_address);
}

static int endpoint_make(struct model_change *change, const struct object *o, const struct policy_endpoint **out)
{
	struct policy_endpoint *e = piece_new(&change->fresh, sizeof(*e));
	unsigned count;
	const struct net_address *addresses = version_addresses(o->now, &count);

	if (e == NULL)
		return -ENOMEM;
	e->id = o->id;
	memcpy(e->name, o->now->spec.name, sizeof(e->name));
	e->slot = object_slot(o);
	e->generation = change->generation;
	e->address_count = (uint8_t)count;
	memcpy(e->addresses, addresses, count * sizeof(addresses[0]));
	e->subnet = object_state(o->now->subnet)->compiled;
	if (o->kind == NET_ENI)
		fill_eni(e, o->now);
	else
		fill_nat(e, o->now);
	fill_publics(e, o);
	*out = e;
	return 0;
}

/* ---- how it is found ---- */

static int door_remove(struct model_change *change, const struct policy_door *door)
{
	int rc = map_batch_add(&change->ports, policy_key_port(door->port.vni, &door->port.mac), NULL);

	if (rc == 0)
		rc = map_batch_add(&change->endpoint_ids, policy_key_uuid(&door->id), NULL);
	change_retire(change, door);
	return rc;
}

static int door_make(struct model_change *change, struct object *o, const struct policy_door *like)
{
	struct policy_door *door = piece_new(&change->fresh, sizeof(*door));

	if (door == NULL)
		return -ENOMEM;
	*door = *like;
	o->next.door = door;
	return 0;
}

/* Stays while it says the same. It enters the maps in model_root.c, when all that go have gone. */
static int compile_door(struct model_change *change, struct object *o)
{
	const struct policy_door *old = o->state.door;
	struct policy_door door = {.id = o->id};
	bool wanted = o->next.lease != NULL;
	int rc = 0;

	if (wanted) {
		door.port.vni = o->now->vpc->now->spec.vpc.vni;
		door.port.mac = o->kind == NET_ENI ? o->now->spec.eni.mac : o->now->spec.nat.mac;
		door.slot = o->next.lease->slot;
	}
	if (old != NULL && wanted && old->port.vni == door.port.vni && mac_equal(&old->port.mac, &door.port.mac) &&
	    old->slot == door.slot)
		return 0;
	o->next.door = NULL;
	if (old != NULL)
		rc = door_remove(change, old);
	return rc < 0 || !wanted ? rc : door_make(change, o, &door);
}

int model_compile_endpoint(struct model_change *change, struct object *o)
{
	struct object_state *next = object_work(change, o);
	const struct policy_endpoint *e = NULL;
	int rc = 0;

	change_retire(change, next->compiled);
	next->compiled = NULL;
	o->dirty = true;
	if (next->lease != NULL)
		rc = endpoint_make(change, o, &e);
	next->compiled = e;
	return rc < 0 ? rc : compile_door(change, o);
}
