/* A version's place among the others: whom it refers to, and what nobody else may have. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vpc/model_private.h"

void version_free(struct version *version)
{
	if (version == NULL)
		return;
	net_spec_free(&version->spec);
	free(version->targets);
	free(version);
}

static unsigned keys_max(const struct net_spec *s)
{
	return s->kind == NET_ENI ? s->eni.address_count + 2u : 2;
}

static uint32_t target_count(const struct net_spec *s)
{
	switch (s->kind) {
	case NET_GROUP:
		return s->rules.count;
	case NET_ROUTE_TABLE:
		return s->route_table.count;
	case NET_ENI:
		return s->eni.group_count;
	default:
		return 0;
	}
}

int version_new(struct net_spec *spec, struct object *object, struct version **out)
{
	uint32_t targets = target_count(spec);
	struct version *v = calloc(1, sizeof(*v) + keys_max(spec) * sizeof(v->keys[0]));

	if (v == NULL)
		return -ENOMEM;
	if (targets > 0) {
		v->targets = calloc(targets, sizeof(struct object *));
		if (v->targets == NULL) {
			free(v);
			return -ENOMEM;
		}
	}
	v->spec = *spec;
	v->object = object;
	list_init(&v->eip_link);
	if (spec->kind == NET_GROUP || spec->kind == NET_ACL)
		spec->rules.rules = NULL;
	else if (spec->kind == NET_ROUTE_TABLE)
		spec->route_table.routes = NULL;
	*out = v;
	return 0;
}

const struct net_address *version_addresses(const struct version *v, unsigned *count)
{
	*count = v->spec.kind == NET_ENI ? v->spec.eni.address_count : 1;
	return v->spec.kind == NET_ENI ? v->spec.eni.addresses : &v->spec.nat.address;
}

struct net_address version_eip_private(const struct version *v)
{
	static const struct net_address zero;
	const struct net_spec *eni = &v->target->now->spec;

	if (!net_address_equal(&v->spec.eip.private_address, &zero))
		return v->spec.eip.private_address;
	for (unsigned i = 0; i < eni->eni.address_count; i++)
		if (net_address_is_v4(&eni->eni.addresses[i]) == net_address_is_v4(&v->spec.eip.address))
			return eni->eni.addresses[i];
	return zero;
}

/* ---- references ---- */

static int refer(struct model_change *change, struct version *v, const char *field, enum net_kind kind, const struct uuid *id,
		 struct object **out)
{
	struct object *o = model_object(change->model, kind, id);
	char text[UUID_TEXT_SIZE];

	if (o != NULL && o->now != NULL) {
		*out = o;
		return 0;
	}
	uuid_format(id, text);
	return model_fail(change, &v->spec, -ENOENT, "%s: there is no %s %s; create it first, or in the same change", field,
			  net_kind_name(kind), text);
}

static int resolve_rules(struct model_change *change, struct version *v)
{
	const struct net_spec *s = &v->spec;
	int rc = refer(change, v, "vpc", NET_VPC, &s->rules.vpc, &v->vpc);
	char field[32];

	for (uint32_t i = 0; rc == 0 && i < s->rules.count; i++) {
		if (!s->rules.rules[i].by_group)
			continue;
		snprintf(field, sizeof(field), "rules[%u].group", i);
		rc = refer(change, v, field, NET_GROUP, &s->rules.rules[i].group, &v->targets[i]);
	}
	return rc;
}

static int resolve_routes(struct model_change *change, struct version *v)
{
	static const enum net_kind kinds[] = {
		[ROUTE_NAT] = NET_NAT,
		[ROUTE_PEERING] = NET_PEERING,
		[ROUTE_ENI] = NET_ENI,
	};
	int rc = refer(change, v, "vpc", NET_VPC, &v->spec.route_table.vpc, &v->vpc);
	char field[32];

	for (uint32_t i = 0; rc == 0 && i < v->spec.route_table.count; i++) {
		const struct route_spec *route = &v->spec.route_table.routes[i];

		if (route->target < ROUTE_NAT)
			continue;
		snprintf(field, sizeof(field), "routes[%u].target", i);
		rc = refer(change, v, field, kinds[route->target], &route->id, &v->targets[i]);
	}
	return rc;
}

static int resolve_subnet(struct model_change *change, struct version *v)
{
	int rc = refer(change, v, "vpc", NET_VPC, &v->spec.subnet.vpc, &v->vpc);

	if (rc == 0 && v->spec.subnet.has_acl)
		rc = refer(change, v, "acl", NET_ACL, &v->spec.subnet.acl, &v->acl);
	if (rc == 0 && v->spec.subnet.has_route_table)
		rc = refer(change, v, "route_table", NET_ROUTE_TABLE, &v->spec.subnet.route_table, &v->route_table);
	return rc;
}

static int resolve_port(struct model_change *change, struct version *v, const struct uuid *subnet, bool remote,
			const struct uuid *host)
{
	int rc = refer(change, v, "subnet", NET_SUBNET, subnet, &v->subnet);

	if (rc == 0)
		v->vpc = v->subnet->now->vpc;
	if (rc == 0 && remote)
		rc = refer(change, v, "host", NET_HOST, host, &v->host);
	return rc;
}

static int resolve_eni(struct model_change *change, struct version *v)
{
	const struct net_spec *s = &v->spec;
	int rc = resolve_port(change, v, &s->eni.subnet, s->eni.remote, &s->eni.host);
	char field[32];

	for (unsigned i = 0; rc == 0 && i < s->eni.group_count; i++) {
		snprintf(field, sizeof(field), "security_groups[%u]", i);
		rc = refer(change, v, field, NET_GROUP, &s->eni.groups[i], &v->targets[i]);
	}
	return rc;
}

static int resolve_peering(struct model_change *change, struct version *v)
{
	int rc = refer(change, v, "vpc", NET_VPC, &v->spec.peering.vpc, &v->vpc);

	return rc < 0 ? rc : refer(change, v, "peer_vpc", NET_VPC, &v->spec.peering.peer, &v->peer);
}

static int resolve_references(struct model_change *change, struct version *v)
{
	const struct net_spec *s = &v->spec;

	switch (s->kind) {
	case NET_GROUP:
		return resolve_rules(change, v);
	case NET_ACL:
		return refer(change, v, "vpc", NET_VPC, &s->rules.vpc, &v->vpc);
	case NET_ROUTE_TABLE:
		return resolve_routes(change, v);
	case NET_SUBNET:
		return resolve_subnet(change, v);
	case NET_PEERING:
		return resolve_peering(change, v);
	case NET_ENI:
		return resolve_eni(change, v);
	case NET_NAT:
		return resolve_port(change, v, &s->nat.subnet, s->nat.remote, &s->nat.host);
	case NET_EIP:
		return s->eip.target == 0 ? 0
					  : refer(change, v, net_kind_name(s->eip.target), s->eip.target, &s->eip.id, &v->target);
	default:
		return 0;
	}
}

/* `delta` 1: its references count; -1: they do not any more. */
static void references_count(const struct version *v, int delta)
{
	struct object *const all[] = {v->spec.kind == NET_ENI || v->spec.kind == NET_NAT ? NULL : v->vpc,
				      v->peer,
				      v->subnet,
				      v->host,
				      v->acl,
				      v->route_table,
				      v->target};
	uint32_t targets = target_count(&v->spec);

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] != NULL)
			all[i]->referrers += (uint32_t)delta;
	for (uint32_t i = 0; i < targets; i++)
		if (v->targets[i] != NULL)
			v->targets[i]->referrers += (uint32_t)delta;
}

/* ---- keys ---- */

static void key_add(struct version *v, enum model_key_type type, const struct object *scope, const void *value, size_t size)
{
	struct model_key *k = &v->keys[v->key_count++];

	*k = (struct model_key){.object = v->object, .type = type, .scope = (uintptr_t)scope};
	assert(size <= sizeof(k->half));
	memcpy(k->half, value, size);
}

static void keys_make(struct model *model, struct version *v)
{
	const struct net_spec *s = &v->spec;
	struct object *pair[2] = {v->vpc, v->peer};
	struct policy_map_key name;

	v->key_count = 0;
	switch (s->kind) {
	case NET_HOST:
		key_add(v, KEY_UNDERLAY, NULL, &s->host.address, sizeof(s->host.address));
		break;
	case NET_VPC:
		key_add(v, KEY_VNI, NULL, &s->vpc.vni, sizeof(s->vpc.vni));
		break;
	case NET_PEERING:
		if (v->peer < v->vpc) {
			pair[0] = v->peer;
			pair[1] = v->vpc;
		}
		key_add(v, KEY_PAIR, pair[0], &pair[1], sizeof(pair[1]));
		break;
	case NET_ENI:
		for (unsigned i = 0; i < s->eni.address_count; i++)
			key_add(v, KEY_ADDRESS, v->vpc, &s->eni.addresses[i], sizeof(s->eni.addresses[i]));
		key_add(v, KEY_MAC, v->vpc, &s->eni.mac, sizeof(s->eni.mac));
		name = policy_key_name(model->index.seed, s->name, 0);
		key_add(v, KEY_NAME, v->vpc, &name, sizeof(name));
		break;
	case NET_NAT:
		key_add(v, KEY_ADDRESS, v->vpc, &s->nat.address, sizeof(s->nat.address));
		key_add(v, KEY_MAC, v->vpc, &s->nat.mac, sizeof(s->nat.mac));
		break;
	case NET_EIP:
		key_add(v, KEY_PUBLIC, NULL, &s->eip.address, sizeof(s->eip.address));
		break;
	default:
		break;
	}
}

int version_resolve(struct model_change *change, struct version *v)
{
	int rc = resolve_references(change, v);

	if (rc == 0)
		keys_make(change->model, v);
	return rc;
}

static void key_value_format(const struct model_key *k, char text[NET_ADDRESS_TEXT_SIZE])
{
	struct net_address address;
	struct mac mac;

	memcpy(&address, k->half, sizeof(address));
	memcpy(&mac, k->half, sizeof(mac));
	if (k->type == KEY_MAC)
		mac_format(&mac, text);
	else if (k->type == KEY_VNI)
		snprintf(text, NET_ADDRESS_TEXT_SIZE, "%u", address.word[0]);
	else
		net_address_format(&address, text);
}

static int key_taken(struct model_change *change, struct version *v, const struct model_key *k, const struct object *owner)
{
	const struct net_spec *other = &owner->now->spec;
	char text[NET_ADDRESS_TEXT_SIZE];

	key_value_format(k, text);
	if (owner == v->object)
		return model_fail(change, &v->spec, -EEXIST, "addresses: %s is listed twice", text);
	switch (k->type) {
	case KEY_PAIR:
		return model_fail(change, &v->spec, -EEXIST, "the two VPCs are peered already, by peering '%s'; delete one of them",
				  other->name);
	case KEY_NAME:
		return model_fail(change, &v->spec, -EEXIST,
				  "name: eni '%s' of the same VPC has it, and the VPC's resolver must tell them apart; rename one",
				  other->name);
	default:
		return model_fail(change, &v->spec, -EEXIST, "%s: %s '%s' has %s already; choose another",
				  k->type == KEY_VNI   ? "vni"
				  : k->type == KEY_MAC ? "mac"
						       : "address",
				  net_kind_name(owner->kind), other->name, text);
	}
}

/* ---- install ---- */

static void finish(struct model *model, struct version *v)
{
	unsigned count;

	references_count(v, 1);
	if (v->spec.kind == NET_ENI || v->spec.kind == NET_NAT) {
		version_addresses(v, &count);
		model->mapping_count += count;
	}
	if (v->target != NULL)
		list_add_tail(&v->target->eips, &v->eip_link);
	v->installed = true;
}

int version_install(struct model_change *change, struct version *v)
{
	struct model_index *index = &change->model->index;

	for (unsigned i = 0; i < v->key_count; i++) {
		struct model_key *taken = model_index_find(index, &v->keys[i]);

		if (taken == NULL) {
			model_index_insert(index, &v->keys[i]);
			continue;
		}
		key_taken(change, v, &v->keys[i], taken->object);
		while (i-- > 0)
			model_index_remove(index, &v->keys[i]);
		return -EEXIST;
	}
	finish(change->model, v);
	return 0;
}

void version_install_again(struct model *model, struct version *v)
{
	for (unsigned i = 0; i < v->key_count; i++)
		model_index_insert(&model->index, &v->keys[i]);
	finish(model, v);
}

void version_uninstall(struct model *model, struct version *v)
{
	unsigned count;

	for (unsigned i = 0; i < v->key_count; i++)
		model_index_remove(&model->index, &v->keys[i]);
	references_count(v, -1);
	if (v->spec.kind == NET_ENI || v->spec.kind == NET_NAT) {
		version_addresses(v, &count);
		model->mapping_count -= count;
	}
	list_del(&v->eip_link);
	v->installed = false;
}
