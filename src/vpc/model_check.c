/*
 * What must hold between objects. Objects that a change touched are checked, and those others for which it can have broken
 * something: what is inside a VPC whose blocks changed or a subnet whose blocks did, routes to an ENI or NAT that went to another
 * VPC, elastic IPs of an ENI that lost an address.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vpc/model_private.h"

/* ---- of the same VPC ---- */

static int same_vpc(struct model_change *change, const struct version *v, const char *field, const struct object *other)
{
	if (other == NULL || other->now->vpc == v->vpc)
		return 0;
	return model_fail(change, &v->spec, -EINVAL, "%s: %s '%s' is of vpc '%s', and this is of '%s'; both must be of the same",
			  field, net_kind_name(other->kind), other->now->spec.name, other->now->vpc->now->spec.name,
			  v->vpc->now->spec.name);
}

/* Others of the VPC rely on it. */
static int keeps_vpc(struct model_change *change, const struct object *o)
{
	if (o->before == NULL || (o->before->vpc == o->now->vpc && o->before->peer == o->now->peer))
		return 0;
	return model_fail(change, &o->now->spec, -EINVAL, "%s cannot be changed; delete it, and create it anew under another id",
			  o->kind == NET_PEERING ? "vpc, peer_vpc" : "vpc");
}

/* ---- VPCs ---- */

static const struct net_prefix *blocks_overlap(const struct version *a, const struct version *b)
{
	for (unsigned i = 0; i < a->spec.vpc.cidr_count; i++)
		for (unsigned j = 0; j < b->spec.vpc.cidr_count; j++)
			if (net_prefix_overlaps(&a->spec.vpc.cidrs[i], &b->spec.vpc.cidrs[j]))
				return &a->spec.vpc.cidrs[i];
	return NULL;
}

static int check_peering(struct model_change *change, const struct object *o)
{
	const struct version *v = o->now;
	const struct net_prefix *p;
	char text[NET_PREFIX_TEXT_SIZE];

	if (v->vpc == v->peer)
		return model_fail(change, &v->spec, -EINVAL, "peer_vpc: a VPC cannot be peered with itself");
	p = blocks_overlap(v->vpc->now, v->peer->now);
	if (p == NULL)
		return keeps_vpc(change, o);
	net_prefix_format(p, text);
	return model_fail(change, &v->spec, -EINVAL, "vpc '%s' and vpc '%s' overlap at %s; peered VPCs need disjoint cidrs",
			  v->vpc->now->spec.name, v->peer->now->spec.name, text);
}

/* ---- rules and routes ---- */

static int check_rules(struct model_change *change, const struct object *o)
{
	const struct version *v = o->now;
	char field[32];
	int rc = keeps_vpc(change, o);

	for (uint32_t i = 0; rc == 0 && v->targets != NULL && i < v->spec.rules.count; i++) {
		if (v->targets[i] == NULL || v->targets[i]->now->vpc == v->vpc)
			continue;
		snprintf(field, sizeof(field), "rules[%u].group", i);
		rc = same_vpc(change, v, field, v->targets[i]);
	}
	return rc;
}

static int check_route(struct model_change *change, const struct version *v, uint32_t i)
{
	const struct route_spec *route = &v->spec.route_table.routes[i];
	const struct net_spec *vpc = &v->vpc->now->spec;
	const struct object *target = v->targets[i];
	char field[32];

	for (unsigned k = 0; k < vpc->vpc.cidr_count; k++)
		if (route->destination.length == vpc->vpc.cidrs[k].length &&
		    net_address_equal(&route->destination.address, &vpc->vpc.cidrs[k].address))
			return model_fail(change, &v->spec, -EEXIST,
					  "routes[%u].destination is a block of the VPC itself, whose route is implied; remove it",
					  i);
	snprintf(field, sizeof(field), "routes[%u].target", i);
	if (route->target == ROUTE_NAT || route->target == ROUTE_ENI)
		return same_vpc(change, v, field, target);
	if (route->target == ROUTE_PEERING && target->now->vpc != v->vpc && target->now->peer != v->vpc)
		return model_fail(change, &v->spec, -EINVAL, "%s: peering '%s' does not lead out of vpc '%s'; choose one that does",
				  field, target->now->spec.name, vpc->name);
	return 0;
}

static int by_destination(const void *left, const void *right)
{
	const struct route_spec *const *a = left, *const *b = right;
	int order =
		memcmp((*a)->destination.address.bytes, (*b)->destination.address.bytes, sizeof((*a)->destination.address.bytes));

	return order != 0 ? order : (int)(*a)->destination.length - (int)(*b)->destination.length;
}

static int check_destinations(struct model_change *change, const struct version *v)
{
	uint32_t count = v->spec.route_table.count;
	const struct route_spec **sorted = malloc(((size_t)count + 1) * sizeof(*sorted));
	char text[NET_PREFIX_TEXT_SIZE];
	int rc = 0;

	if (sorted == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = &v->spec.route_table.routes[i];
	qsort(sorted, count, sizeof(*sorted), by_destination);
	for (uint32_t i = 1; rc == 0 && i < count; i++) {
		if (by_destination(&sorted[i - 1], &sorted[i]) != 0)
			continue;
		net_prefix_format(&sorted[i]->destination, text);
		rc = model_fail(change, &v->spec, -EEXIST, "routes: destination %s is there twice; remove one", text);
	}
	free(sorted);
	return rc;
}

static int check_route_table(struct model_change *change, const struct object *o)
{
	int rc = keeps_vpc(change, o);

	for (uint32_t i = 0; rc == 0 && i < o->now->spec.route_table.count; i++)
		rc = check_route(change, o->now, i);
	return rc < 0 || !o->touched ? rc : check_destinations(change, o->now);
}

/* ---- subnets ---- */

static bool inside_vpc(const struct version *v, const struct net_prefix *p)
{
	const struct net_spec *vpc = &v->vpc->now->spec;

	for (unsigned i = 0; i < vpc->vpc.cidr_count; i++)
		if (p->length >= vpc->vpc.cidrs[i].length && net_prefix_overlaps(&vpc->vpc.cidrs[i], p))
			return true;
	return false;
}

static int check_subnet(struct model_change *change, const struct object *o)
{
	const struct version *v = o->now;
	const struct net_prefix *blocks[] = {&v->spec.subnet.cidr4, &v->spec.subnet.cidr6};
	int rc = keeps_vpc(change, o);

	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		if (blocks[i]->length != 0 && !inside_vpc(v, blocks[i]))
			rc = model_fail(change, &v->spec, -EINVAL,
					"%s is not inside a block of vpc '%s'; choose one that is, or add a block to the VPC",
					i == 0 ? "cidr" : "cidr6", v->vpc->now->spec.name);
	}
	if (rc == 0)
		rc = same_vpc(change, v, "acl", v->acl);
	return rc < 0 ? rc : same_vpc(change, v, "route_table", v->route_table);
}

struct subnet_block {
	const struct object *vpc, *subnet;
	const struct net_prefix *block;
};

static int by_block(const void *left, const void *right)
{
	const struct subnet_block *a = left, *b = right;
	int order;

	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	order = memcmp(a->block->address.bytes, b->block->address.bytes, sizeof(a->block->address.bytes));
	return order != 0 ? order : (int)a->block->length - (int)b->block->length;
}

static int subnets_overlap(struct model_change *change, const struct subnet_block *a, const struct subnet_block *b)
{
	const struct subnet_block *culprit = b->subnet->touched ? b : a, *other = culprit == b ? a : b;
	char text[NET_PREFIX_TEXT_SIZE];

	net_prefix_format(other->block, text);
	return model_fail(change, &culprit->subnet->now->spec, -EINVAL, "%s overlaps %s of subnet '%s'; subnets must be disjoint",
			  net_prefix_is_v4(culprit->block) ? "cidr" : "cidr6", text, other->subnet->now->spec.name);
}

/* Sorted, whoever overlaps anybody overlaps the next one. */
static int check_subnets_disjoint(struct model_change *change)
{
	struct list *subnets = &change->model->objects[NET_SUBNET];
	struct subnet_block *blocks;
	size_t count = 0;
	int rc = 0;

	list_for_each_safe (node, after, subnets)
		count += 2;
	blocks = malloc((count + 1) * sizeof(*blocks));
	if (blocks == NULL)
		return -ENOMEM;
	count = 0;
	list_for_each_safe (node, after, subnets) {
		const struct version *v = object_of(node)->now;

		if (v != NULL && v->spec.subnet.cidr4.length != 0)
			blocks[count++] = (struct subnet_block){v->vpc, object_of(node), &v->spec.subnet.cidr4};
		if (v != NULL && v->spec.subnet.cidr6.length != 0)
			blocks[count++] = (struct subnet_block){v->vpc, object_of(node), &v->spec.subnet.cidr6};
	}
	qsort(blocks, count, sizeof(*blocks), by_block);
	for (size_t i = 1; rc == 0 && i < count; i++)
		if (blocks[i].vpc == blocks[i - 1].vpc && net_prefix_overlaps(blocks[i].block, blocks[i - 1].block))
			rc = subnets_overlap(change, &blocks[i - 1], &blocks[i]);
	free(blocks);
	return rc;
}

/* ---- ENIs and NAT gateways ---- */

/* NULL: it is free to use. */
static const char *reserved_as(const struct net_prefix *block, const struct net_address *address)
{
	static const char *const uses[] = {"the network's own", "the gateway", "the DNS resolver", "reserved for future use"};
	struct net_address last = block->address;

	for (unsigned i = 0; i < 4; i++) {
		struct net_address nth = net_prefix_nth(block, i);

		if (net_address_equal(&nth, address))
			return uses[i];
	}
	for (unsigned bit = block->length; bit < 128; bit++)
		last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return net_address_equal(&last, address) ? "the broadcast address" : NULL;
}

static int check_addresses(struct model_change *change, const struct version *v)
{
	const struct net_spec *subnet = &v->subnet->now->spec;
	char text[NET_ADDRESS_TEXT_SIZE];
	unsigned count;
	const struct net_address *addresses = version_addresses(v, &count);

	for (unsigned i = 0; i < count; i++) {
		bool v4 = net_address_is_v4(&addresses[i]);
		const struct net_prefix *block = v4 ? &subnet->subnet.cidr4 : &subnet->subnet.cidr6;
		const char *use;

		net_address_format(&addresses[i], text);
		if (block->length == 0 || !net_prefix_contains(block, &addresses[i]))
			return model_fail(change, &v->spec, -EINVAL, "address %s is not inside subnet '%s'; choose one that is",
					  text, subnet->name);
		use = reserved_as(block, &addresses[i]);
		if (use != NULL)
			return model_fail(
				change, &v->spec, -EINVAL,
				"address %s is %s in subnet '%s'; the first four and the last are the card's own: choose another",
				text, use, subnet->name);
	}
	return 0;
}

static int check_eni(struct model_change *change, const struct object *o)
{
	const struct version *v = o->now;
	int rc = check_addresses(change, v);
	char field[32];

	for (unsigned i = 0; rc == 0 && i < v->spec.eni.group_count; i++) {
		snprintf(field, sizeof(field), "security_groups[%u]", i);
		rc = same_vpc(change, v, field, v->targets[i]);
		for (unsigned j = 0; rc == 0 && j < i; j++)
			if (v->targets[i] == v->targets[j])
				rc = model_fail(change, &v->spec, -EINVAL, "%s: '%s' is listed twice; remove one", field,
						v->targets[i]->now->spec.name);
	}
	return rc;
}

/* ---- elastic IPs ---- */

static int check_eip_of_eni(struct model_change *change, const struct object *eni, const struct version *v)
{
	struct net_address mine = version_eip_private(v);
	bool has = false;
	char text[NET_ADDRESS_TEXT_SIZE];

	for (unsigned i = 0; i < eni->now->spec.eni.address_count; i++)
		has |= net_address_equal(&mine, &eni->now->spec.eni.addresses[i]);
	if (!has || net_address_is_v4(&mine) != net_address_is_v4(&v->spec.eip.address))
		return model_fail(change, &v->spec, -EINVAL,
				  "private_address must be an address of eni '%s', and of the same family as the public one",
				  eni->now->spec.name);
	for (const struct list *node = eni->eips.next; node != &v->eip_link; node = node->next) { /* those before it had it first */
		const struct version *other = list_entry(node, struct version, eip_link);
		struct net_address its = version_eip_private(other);

		if (!net_address_equal(&mine, &its))
			continue;
		net_address_format(&its, text);
		return model_fail(change, &v->spec, -EEXIST,
				  "private_address: %s of eni '%s' has elastic IP '%s' already; choose another address", text,
				  eni->now->spec.name, other->spec.name);
	}
	return 0;
}

static int check_eips(struct model_change *change, const struct object *target)
{
	unsigned count = 0, max = target->kind == NET_ENI ? NET_ADDRESSES_MAX : NET_NAT_ADDRESSES_MAX;

	list_for_each_safe (node, after, &target->eips) {
		const struct version *v = list_entry(node, struct version, eip_link);
		int rc = 0;

		if (++count > max)
			return model_fail(change, &v->spec, -ENOSPC, "%s '%s' has %u elastic IPs already; that is the limit",
					  net_kind_name(target->kind), target->now->spec.name, max);
		if (target->kind == NET_ENI)
			rc = check_eip_of_eni(change, target, v);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- all ---- */

static int check_one(struct model_change *change, const struct object *o)
{
	int rc;

	switch (o->kind) {
	case NET_GROUP:
		return check_rules(change, o);
	case NET_ACL:
		return keeps_vpc(change, o);
	case NET_ROUTE_TABLE:
		return check_route_table(change, o);
	case NET_SUBNET:
		return check_subnet(change, o);
	case NET_PEERING:
		return check_peering(change, o);
	case NET_ENI:
		rc = check_eni(change, o);
		return rc < 0 ? rc : check_eips(change, o);
	case NET_NAT:
		rc = check_addresses(change, o->now);
		return rc < 0 ? rc : check_eips(change, o);
	case NET_EIP:
		return o->now->target == NULL ? 0 : check_eips(change, o->now->target);
	default:
		return 0;
	}
}

/* What else is there of a kind, that a change of others concerns. */
static int check_others(struct model_change *change, enum net_kind kind, bool (*concerned)(const struct object *))
{
	list_for_each_safe (node, after, &change->model->objects[kind]) {
		struct object *o = object_of(node);
		int rc = o->now == NULL || o->touched || !concerned(o) ? 0 : check_one(change, o);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool vpc_touched(const struct object *o)
{
	return o->now->vpc->touched || (o->now->peer != NULL && o->now->peer->touched);
}

static bool subnet_touched(const struct object *o)
{
	return o->now->subnet->touched;
}

static bool target_moved(const struct object *o)
{
	for (uint32_t i = 0; o->now->targets != NULL && i < o->now->spec.route_table.count; i++) {
		const struct object *t = o->now->targets[i];

		if (t != NULL && t->touched && t->before != NULL && t->before->vpc != t->now->vpc)
			return true;
	}
	return false;
}

static bool anybody_left(const struct list *touched, bool (*how)(const struct object *))
{
	list_for_each_safe (node, after, touched)
		if (how(list_entry(node, struct object, touch_link)))
			return true;
	return false;
}

static bool was_there(const struct object *o)
{
	return o->before != NULL && o->now != NULL;
}

static bool went_to_another_vpc(const struct object *o)
{
	return was_there(o) && o->before->vpc != o->now->vpc && o->referrers > 0;
}

static int check_dependents(struct model_change *change)
{
	const struct list *touched = change->touched;
	int rc = 0;

	if (anybody_left(&touched[NET_VPC], was_there)) {
		rc = check_others(change, NET_SUBNET, vpc_touched);
		if (rc == 0)
			rc = check_others(change, NET_ROUTE_TABLE, vpc_touched);
		if (rc == 0)
			rc = check_others(change, NET_PEERING, vpc_touched);
	}
	if (rc == 0 && anybody_left(&touched[NET_SUBNET], was_there)) {
		rc = check_others(change, NET_ENI, subnet_touched);
		if (rc == 0)
			rc = check_others(change, NET_NAT, subnet_touched);
	}
	if (rc == 0 &&
	    (anybody_left(&touched[NET_ENI], went_to_another_vpc) || anybody_left(&touched[NET_NAT], went_to_another_vpc)))
		rc = check_others(change, NET_ROUTE_TABLE, target_moved);
	return rc;
}

static bool refers(const struct object *o, const struct object *to)
{
	const struct version *v = o->now;
	uint32_t count = v->spec.kind == NET_ENI	   ? v->spec.eni.group_count
			 : v->spec.kind == NET_ROUTE_TABLE ? v->spec.route_table.count
			 : v->spec.kind == NET_GROUP	   ? v->spec.rules.count
							   : 0;

	if (v->vpc == to || v->peer == to || v->subnet == to || v->host == to || v->acl == to || v->route_table == to ||
	    v->target == to)
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (v->targets[i] == to)
			return true;
	return false;
}

static int still_referred_to(struct model_change *change, const struct object *o)
{
	for (unsigned kind = 0; kind < NET_KIND_COUNT; kind++) {
		list_for_each_safe (node, after, &change->model->objects[kind]) {
			const struct object *other = object_of(node);

			if (other->now != NULL && refers(other, o))
				return model_fail(change, &o->before->spec, -EBUSY,
						  "%s '%s' refers to it; change or delete that first", net_kind_name(other->kind),
						  other->now->spec.name);
		}
	}
	return -EBUSY;
}

static int check_limits(struct model_change *change)
{
	const struct model *m = change->model;

	if (m->mapping_count <= m->limits.mappings_max)
		return 0;
	touched_for_each (change, o) {
		if (o->now != NULL && (o->kind == NET_ENI || o->kind == NET_NAT))
			return model_fail(change, &o->now->spec, -ENOSPC,
					  "addresses: there would be %llu addresses in all VPCs, and the limit is %u",
					  (unsigned long long)m->mapping_count, m->limits.mappings_max);
	}
	return -ENOSPC;
}

int model_check(struct model_change *change)
{
	int rc = 0;

	touched_for_each (change, gone) {
		if (gone->now == NULL && gone->referrers > 0)
			return still_referred_to(change, gone);
	}
	touched_for_each (change, o) {
		rc = o->now == NULL ? 0 : check_one(change, o);
		if (rc < 0)
			return rc;
	}
	rc = check_dependents(change);
	if (rc == 0 && !list_empty(&change->touched[NET_SUBNET]))
		rc = check_subnets_disjoint(change);
	return rc < 0 ? rc : check_limits(change);
}
