/*
 * What depends on what:
 *
 *	group, ACL			its own rules; groups it names by slot, which stays
 *	route table			its routes, the VPC's blocks, where NATs and ENIs that it leads to are
 *	subnet				itself, its ACL, its routes
 *	mappings (of an ENI or NAT)	itself, host, group and subnet slots
 *	endpoint			itself, its groups, its subnet, its elastic IPs; and its VPC's being disturbed
 *
 * A VPC is disturbed when somebody in it, or in a peer, went away or moved, it is encapsulated differently, or a peering ended:
 * flows of all its endpoints may have been decided by that. Rather than by following references backwards, dependents are found by
 * going over all objects of a kind and looking at flags of what they refer to: there are few subnets, tables and local endpoints,
 * and no lists to keep. Remote ENIs, of which there are many, are never gone over.
 */
#include <errno.h>
#include <stdlib.h>

#include "vpc/classifier.h"
#include "vpc/model_private.h"
#include "vpc/routes.h"

struct object_state *object_work(struct model_change *change, struct object *o)
{
	if (!o->working) {
		o->working = true;
		o->next = o->state;
		list_add_tail(&change->work, &o->work_link);
	}
	return &o->next;
}

void change_retire(struct model_change *change, const void *piece)
{
	if (piece != NULL)
		piece_move(piece, &change->retired);
}

/* ---- slots ---- */

static bool wants_slot(const struct object *o)
{
	if (o->now == NULL)
		return false;
	switch (o->kind) {
	case NET_VPC:
	case NET_HOST:
	case NET_GROUP:
	case NET_SUBNET:
		return true;
	case NET_ENI:
		return !o->now->spec.eni.remote;
	case NET_NAT:
		return !o->now->spec.nat.remote;
	default:
		return false;
	}
}

static int assign_slots(struct model_change *change)
{
	touched_for_each (change, o) {
		struct model_slots *slots = &change->model->slots[o->kind == NET_NAT ? NET_ENI : o->kind];
		struct object_state *next = object_work(change, o);
		int rc = 0;

		if (!wants_slot(o))
			next->lease = NULL;
		else if (next->lease == NULL)
			rc = model_slot_lease(slots, &next->lease);
		if (rc == -ENOSPC)
			return model_fail(change, &o->now->spec, rc,
					  "there can be %u of them on this card (those just deleted still count until the data "
					  "plane let go); delete one first",
					  slots->limit);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- hosts, groups, ACLs ---- */

static int compile_host(struct model_change *change, struct object *o)
{
	struct object_state *next = object_work(change, o);
	struct policy_host *h;
	int rc = 0;

	if (o->before != NULL)
		rc = map_batch_add(&change->host_addresses, policy_map_key_address(&o->before->spec.host.address), NULL);
	change_retire(change, next->compiled);
	next->compiled = NULL;
	if (rc < 0 || o->now == NULL)
		return rc;
	h = piece_new(&change->fresh, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->id = o->id;
	memcpy(h->name, o->now->spec.name, sizeof(h->name));
	h->slot = next->lease->slot;
	h->address = o->now->spec.host.address;
	next->compiled = h;
	return 0;
}

/* Hosts may exchange addresses: all removals come first. */
static int compile_hosts(struct model_change *change)
{
	int rc = 0;

	list_for_each_safe (node, after, &change->touched[NET_HOST]) {
		rc = compile_host(change, list_entry(node, struct object, touch_link));
		if (rc < 0)
			return rc;
	}
	list_for_each_safe (node, after, &change->touched[NET_HOST]) {
		const struct object *o = list_entry(node, struct object, touch_link);

		if (o->now != NULL)
			rc = map_batch_add(&change->host_addresses, policy_map_key_address(&o->now->spec.host.address),
					   o->next.compiled);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compile_both(struct list *owner, const struct net_spec *s, const uint32_t *group_slots,
			const struct classifier **ingress, const struct classifier **egress)
{
	int rc = classifier_build(ingress, owner, s->rules.rules, s->rules.count, false, group_slots);

	return rc < 0 ? rc : classifier_build(egress, owner, s->rules.rules, s->rules.count, true, group_slots);
}

static int compile_group(struct model_change *change, struct object *o)
{
	const struct net_spec *s = &o->now->spec;
	struct policy_group *g = piece_new(&change->fresh, sizeof(*g));
	uint32_t *slots = calloc((size_t)s->rules.count + 1, sizeof(*slots));
	int rc = -ENOMEM;

	if (g == NULL || slots == NULL)
		goto done;
	for (uint32_t i = 0; i < s->rules.count; i++)
		if (o->now->targets[i] != NULL)
			slots[i] = object_slot(o->now->targets[i]);
	g->id = o->id;
	memcpy(g->name, s->name, sizeof(g->name));
	g->slot = object_slot(o);
	g->grandfather = s->rules.grandfather;
	rc = compile_both(piece_parts(g), s, slots, &g->ingress, &g->egress);
	o->next.compiled = g;
done:
	free(slots);
	return rc;
}

static int compile_acl(struct model_change *change, struct object *o)
{
	struct policy_acl *a = piece_new(&change->fresh, sizeof(*a));
	const struct net_spec *s = &o->now->spec;
	uint16_t *numbers;

	if (a == NULL)
		return -ENOMEM;
	numbers = piece_new(piece_parts(a), ((size_t)s->rules.count + 1) * sizeof(*numbers));
	if (numbers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->rules.count; i++)
		numbers[i] = s->rules.rules[i].number;
	a->numbers = numbers;
	a->id = o->id;
	memcpy(a->name, s->name, sizeof(a->name));
	o->next.compiled = a;
	return compile_both(piece_parts(a), s, NULL, &a->ingress, &a->egress);
}

static int compile_touched(struct model_change *change, enum net_kind kind, int (*compile)(struct model_change *, struct object *))
{
	list_for_each_safe (node, after, &change->touched[kind]) {
		struct object *o = list_entry(node, struct object, touch_link);
		struct object_state *next = object_work(change, o);
		int rc;

		change_retire(change, next->compiled);
		next->compiled = NULL;
		o->dirty = true;
		rc = o->now == NULL ? 0 : compile(change, o);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- routes ---- */

static void route_resolve(const struct version *v, uint32_t i, struct route_lookup *out)
{
	const struct route_spec *route = &v->spec.route_table.routes[i];
	const struct object *target = v->targets[i];
	unsigned count;

	*out = (struct route_lookup){.target = route->target, .slot = POLICY_SLOT_NONE, .destination = route->destination};
	if (target == NULL)
		return;
	if (route->target == ROUTE_PEERING) {
		out->slot = object_slot(target->now->vpc == v->vpc ? target->now->peer : target->now->vpc);
		return;
	}
	out->slot = object_slot(target);
	out->next_hop = version_addresses(target->now, &count)[0];
}

/* `table`: NULL for the VPC's own blocks alone. */
static int compile_routes(struct model_change *change, const struct version *vpc, const struct version *table,
			  const struct routes **out)
{
	uint32_t local = vpc->spec.vpc.cidr_count, count = table == NULL ? 0 : table->spec.route_table.count;
	struct route_lookup *entries = calloc((size_t)local + count, sizeof(*entries));
	int rc;

	if (entries == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < local; i++)
		entries[i] = (struct route_lookup){
			.target = ROUTE_LOCAL, .slot = POLICY_SLOT_NONE, .destination = vpc->spec.vpc.cidrs[i]};
	for (uint32_t i = 0; i < count; i++)
		route_resolve(table, i, &entries[local + i]);
	rc = routes_build(out, &change->fresh, entries, local + count);
	free(entries);
	return rc;
}

static bool vpc_blocks_changed(const struct object *vpc)
{
	const struct net_spec *a, *b;

	if (!vpc->touched)
		return false;
	if (vpc->before == NULL || vpc->now == NULL)
		return true;
	a = &vpc->before->spec;
	b = &vpc->now->spec;
	if (a->vpc.cidr_count != b->vpc.cidr_count)
		return true;
	for (unsigned i = 0; i < a->vpc.cidr_count; i++)
		if (a->vpc.cidrs[i].length != b->vpc.cidrs[i].length ||
		    !net_address_equal(&a->vpc.cidrs[i].address, &b->vpc.cidrs[i].address))
			return true;
	return false;
}

static int compile_local_routes(struct model_change *change)
{
	list_for_each_safe (node, after, &change->touched[NET_VPC]) {
		struct object *o = list_entry(node, struct object, touch_link);
		struct object_state *next = object_work(change, o);
		int rc;

		if (!vpc_blocks_changed(o))
			continue;
		change_retire(change, next->local_routes);
		next->local_routes = NULL;
		rc = o->now == NULL ? 0 : compile_routes(change, o->now, NULL, &next->local_routes);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool leads_elsewhere(const struct object *table)
{
	for (uint32_t i = 0; i < table->now->spec.route_table.count; i++)
		if (table->now->targets[i] != NULL && table->now->targets[i]->rerouted)
			return true;
	return false;
}

static bool anything_rerouted(const struct model_change *change)
{
	static const enum net_kind kinds[] = {NET_ENI, NET_NAT};

	for (unsigned i = 0; i < 2; i++) {
		list_for_each_safe (node, after, &change->touched[kinds[i]]) {
			const struct object *o = list_entry(node, struct object, touch_link);

			if (o->rerouted && o->referrers > 0)
				return true;
		}
	}
	return false;
}

static int compile_route_tables(struct model_change *change)
{
	bool rerouted = anything_rerouted(change);

	list_for_each_safe (node, after, &change->model->objects[NET_ROUTE_TABLE]) {
		struct object *o = object_of(node);
		struct object_state *next;
		int rc;

		if (!o->touched && !vpc_blocks_changed(o->now->vpc) && !(rerouted && leads_elsewhere(o)))
			continue;
		next = object_work(change, o);
		change_retire(change, next->compiled);
		next->compiled = NULL;
		o->dirty = true;
		rc = o->now == NULL ? 0 : compile_routes(change, o->now->vpc->now, o->now, (const struct routes **)&next->compiled);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- subnets ---- */

static int compile_subnet(struct model_change *change, struct object *o)
{
	static const struct mac gateway_mac = NET_GATEWAY_MAC;
	const struct version *v = o->now;
	struct policy_subnet *s = piece_new(&change->fresh, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->id = o->id;
	memcpy(s->name, v->spec.name, sizeof(s->name));
	s->slot = object_slot(o);
	s->vpc_slot = object_slot(v->vpc);
	s->cidr4 = v->spec.subnet.cidr4;
	s->cidr6 = v->spec.subnet.cidr6;
	s->gateway4 = net_prefix_nth(&s->cidr4, 1);
	s->gateway6 = net_prefix_nth(&s->cidr6, 1);
	s->gateway_mac = gateway_mac;
	s->acl = v->acl == NULL ? NULL : object_state(v->acl)->compiled;
	s->routes = v->route_table == NULL ? object_state(v->vpc)->local_routes : object_state(v->route_table)->compiled;
	if (v->route_table != NULL)
		memcpy(s->route_table_name, v->route_table->now->spec.name, sizeof(s->route_table_name));
	o->next.compiled = s;
	return 0;
}

static bool subnet_is_stale(const struct object *o)
{
	const struct version *v = o->now;

	if (o->touched)
		return true;
	if (v->acl != NULL && v->acl->dirty)
		return true;
	return v->route_table != NULL ? v->route_table->dirty : vpc_blocks_changed(v->vpc);
}

static int compile_subnets(struct model_change *change)
{
	list_for_each_safe (node, after, &change->model->objects[NET_SUBNET]) {
		struct object *o = object_of(node);
		struct object_state *next;
		int rc;

		if (!subnet_is_stale(o))
			continue;
		next = object_work(change, o);
		change_retire(change, next->compiled);
		next->compiled = NULL;
		o->dirty = true;
		rc = o->now == NULL ? 0 : compile_subnet(change, o);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- endpoints ---- */

static void disturb(struct model_change *change, struct object *vpc)
{
	object_work(change, vpc);
	vpc->network->disturbed = true;
}

static void reach(struct model_change *change, struct object *vpc)
{
	object_work(change, vpc);
	vpc->network->reached = true;
}

/* A peer is reached by what disturbs the other; both by the end of their peering. */
static void disturb_vpcs(struct model_change *change)
{
	list_for_each_safe (node, after, &change->touched[NET_VPC]) {
		struct object *o = list_entry(node, struct object, touch_link);
		const struct net_spec *a, *b;

		if (o->before == NULL || o->now == NULL)
			continue;
		a = &o->before->spec;
		b = &o->now->spec;
		if (a->vpc.vni != b->vpc.vni || a->vpc.tunnel != b->vpc.tunnel || a->vpc.mtu != b->vpc.mtu || vpc_blocks_changed(o))
			disturb(change, o);
	}
	list_for_each_safe (peering_node, peering_after, &change->model->objects[NET_PEERING]) {
		const struct object *o = object_of(peering_node);
		const struct version *v = o->now != NULL ? o->now : o->before;

		if (v == NULL) /* put and deleted in one change */
			continue;
		if (o->now == NULL || v->vpc->network->disturbed || v->peer->network->disturbed) {
			reach(change, v->vpc);
			reach(change, v->peer);
		}
	}
}

static bool endpoint_is_stale(const struct object *o)
{
	const struct version *v = o->now;

	if (v->subnet->dirty || v->vpc->network->disturbed || v->vpc->network->reached)
		return true;
	for (unsigned i = 0; o->kind == NET_ENI && i < v->spec.eni.group_count; i++)
		if (v->targets[i]->dirty)
			return true;
	return false;
}

static void mark_eip_target(struct model_change *change, const struct version *v)
{
	if (v == NULL || v->target == NULL)
		return;
	object_work(change, v->target);
	v->target->dirty = true;
}

/* An elastic IP came, went or changed: whoever has it, and had it. */
static void mark_eip_targets(struct model_change *change)
{
	list_for_each_safe (node, after, &change->touched[NET_EIP]) {
		const struct object *o = list_entry(node, struct object, touch_link);

		mark_eip_target(change, o->before);
		mark_eip_target(change, o->now);
	}
}

static int compile_endpoints(struct model_change *change)
{
	static const enum net_kind kinds[] = {NET_ENI, NET_NAT};
	int rc = 0;

	disturb_vpcs(change);
	mark_eip_targets(change);
	for (unsigned i = 0; i < 2; i++) {
		list_for_each_safe (node, after, &change->touched[kinds[i]]) {
			rc = model_compile_endpoint(change, list_entry(node, struct object, touch_link));
			if (rc < 0)
				return rc;
		}
	}
	list_for_each_safe (local, local_after, &change->model->locals) {
		struct object *o = list_entry(local, struct object, local_link);

		if (!o->touched && (o->dirty || endpoint_is_stale(o)))
			rc = model_compile_endpoint(change, o);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int model_compile(struct model_change *change)
{
	int rc = assign_slots(change);

	if (rc == 0)
		rc = compile_hosts(change);
	if (rc == 0)
		rc = compile_touched(change, NET_GROUP, compile_group);
	if (rc == 0)
		rc = compile_touched(change, NET_ACL, compile_acl);
	if (rc == 0)
		rc = model_compile_mappings(change);
	if (rc == 0)
		rc = compile_local_routes(change);
	if (rc == 0)
		rc = compile_route_tables(change);
	if (rc == 0)
		rc = compile_subnets(change);
	change->generation = (uint32_t)(model_root(change->model)->policy.version + 1);
	if (rc == 0)
		rc = compile_endpoints(change);
	return rc < 0 ? rc : model_compile_root(change);
}
