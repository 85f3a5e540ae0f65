#include "model_rig.h"

#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rig_create(struct model_rig *rig, const struct model_limits *limits)
{
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(model_create(&rig->model, limits), 0);
	rig->policy = model_policy(rig->model);
}

void rig_destroy(struct model_rig *rig)
{
	model_free(rig->model);
}

void rig_begin(struct model_rig *rig)
{
	assert_int_equal(model_change_begin(rig->model, &rig->change), 0);
}

int rig_finish(struct model_rig *rig, const struct policy **next)
{
	rig->error[0] = '\0';
	return model_change_finish(rig->change, next, &rig->culprit, rig->error, sizeof(rig->error));
}

int rig_try(struct model_rig *rig)
{
	const struct policy *next, *old = rig->policy;
	int rc = rig_finish(rig, &next);

	if (rc < 0) {
		assert_ptr_equal(model_policy(rig->model), old);
		return rc;
	}
	rig->policy = next;
	model_release(rig->model, old);
	return 0;
}

void rig_commit(struct model_rig *rig)
{
	if (rig_try(rig) < 0)
		fail_msg("%s", rig->error);
}

struct uuid rig_id(enum net_kind kind, const char *name)
{
	struct uuid id = {{(uint8_t)kind}};

	assert_true(strlen(name) < sizeof(id.bytes));
	memcpy(id.bytes + 1, name, strlen(name));
	return id;
}

void rig_delete(struct model_rig *rig, enum net_kind kind, const char *name)
{
	struct uuid id = rig_id(kind, name);

	assert_int_equal(model_change_delete(rig->change, kind, &id), 0);
}

void rig_put(struct model_rig *rig, struct net_spec *spec)
{
	assert_int_equal(model_change_put(rig->change, spec), 0);
	net_spec_free(spec); /* what it had was taken */
}

struct net_address rig_address(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

struct net_prefix rig_prefix(const char *text)
{
	struct net_prefix p;

	assert_int_equal(net_prefix_parse(text, &p), 0);
	return p;
}

static struct net_spec spec_of(enum net_kind kind, const char *name)
{
	struct net_spec s = {.kind = kind, .id = rig_id(kind, name)};

	snprintf(s.name, sizeof(s.name), "%s", name);
	return s;
}

struct net_spec spec_host(const char *name, const char *address)
{
	struct net_spec s = spec_of(NET_HOST, name);

	s.host.address = rig_address(address);
	return s;
}

struct net_spec spec_vpc(const char *name, uint32_t vni, const char *cidr, const char *cidr_more)
{
	struct net_spec s = spec_of(NET_VPC, name);

	s.vpc.vni = vni;
	s.vpc.cidrs[s.vpc.cidr_count++] = rig_prefix(cidr);
	if (cidr_more != NULL)
		s.vpc.cidrs[s.vpc.cidr_count++] = rig_prefix(cidr_more);
	return s;
}

struct net_spec spec_subnet(const char *name, const char *vpc, const char *cidr4, const char *cidr6)
{
	struct net_spec s = spec_of(NET_SUBNET, name);

	s.subnet.vpc = rig_id(NET_VPC, vpc);
	if (cidr4 != NULL)
		s.subnet.cidr4 = rig_prefix(cidr4);
	if (cidr6 != NULL)
		s.subnet.cidr6 = rig_prefix(cidr6);
	return s;
}

struct net_spec spec_peering(const char *name, const char *vpc, const char *peer)
{
	struct net_spec s = spec_of(NET_PEERING, name);

	s.peering.vpc = rig_id(NET_VPC, vpc);
	s.peering.peer = rig_id(NET_VPC, peer);
	return s;
}

struct net_spec spec_eni(const char *name, const char *subnet, uint8_t mac_last, const char *address, const char *address_more)
{
	struct net_spec s = spec_of(NET_ENI, name);

	s.eni.subnet = rig_id(NET_SUBNET, subnet);
	s.eni.mac = (struct mac){{0x02, 0, 0, 0, 0, mac_last}};
	s.eni.addresses[s.eni.address_count++] = rig_address(address);
	if (address_more != NULL)
		s.eni.addresses[s.eni.address_count++] = rig_address(address_more);
	s.eni.source_dest_check = true;
	return s;
}

struct net_spec spec_nat(const char *name, const char *subnet, uint8_t mac_last, const char *address)
{
	struct net_spec s = spec_of(NET_NAT, name);

	s.nat.subnet = rig_id(NET_SUBNET, subnet);
	s.nat.mac = (struct mac){{0x02, 0, 0, 0, 0, mac_last}};
	s.nat.address = rig_address(address);
	return s;
}

struct net_spec spec_eip(const char *name, const char *address, uint8_t target, const char *target_name,
			 const char *private_address)
{
	struct net_spec s = spec_of(NET_EIP, name);

	s.eip.address = rig_address(address);
	s.eip.target = target;
	if (target != 0)
		s.eip.id = rig_id(target, target_name);
	if (private_address != NULL)
		s.eip.private_address = rig_address(private_address);
	return s;
}

struct net_spec spec_group(const char *name, const char *vpc)
{
	struct net_spec s = spec_of(NET_GROUP, name);

	s.rules.vpc = rig_id(NET_VPC, vpc);
	return s;
}

struct net_spec spec_acl(const char *name, const char *vpc)
{
	struct net_spec s = spec_of(NET_ACL, name);

	s.rules.vpc = rig_id(NET_VPC, vpc);
	return s;
}

struct net_spec spec_route_table(const char *name, const char *vpc)
{
	struct net_spec s = spec_of(NET_ROUTE_TABLE, name);

	s.route_table.vpc = rig_id(NET_VPC, vpc);
	return s;
}

void spec_eni_group(struct net_spec *eni, const char *group)
{
	eni->eni.groups[eni->eni.group_count++] = rig_id(NET_GROUP, group);
}

void spec_eni_remote(struct net_spec *eni, const char *host)
{
	eni->eni.remote = true;
	eni->eni.host = rig_id(NET_HOST, host);
}

/* Numbers are 100, 200, ... as people give them. */
struct rule_spec *spec_rule(struct net_spec *rules, bool egress, uint16_t protocol, uint16_t first, uint16_t last, const char *cidr)
{
	uint32_t n = rules->rules.count++;
	struct rule_spec *r;

	rules->rules.rules = realloc(rules->rules.rules, rules->rules.count * sizeof(*r));
	assert_non_null(rules->rules.rules);
	r = &rules->rules.rules[n];
	memset(r, 0, sizeof(*r));
	r->number = (uint16_t)((n + 1) * 100);
	r->egress = egress;
	r->protocol = protocol;
	r->port_first = first;
	r->port_last = last;
	if (cidr != NULL)
		r->cidr = rig_prefix(cidr);
	return r;
}

void spec_rule_group(struct net_spec *rules, bool egress, uint16_t protocol, uint16_t first, uint16_t last, const char *group)
{
	struct rule_spec *r = spec_rule(rules, egress, protocol, first, last, NULL);

	r->by_group = true;
	r->group = rig_id(NET_GROUP, group);
}

void spec_route(struct net_spec *table, const char *destination, enum route_target target, const char *target_name)
{
	static const enum net_kind kinds[] = {[ROUTE_NAT] = NET_NAT, [ROUTE_PEERING] = NET_PEERING, [ROUTE_ENI] = NET_ENI};
	uint32_t n = table->route_table.count++;
	struct route_spec *r;

	table->route_table.routes = realloc(table->route_table.routes, table->route_table.count * sizeof(*r));
	assert_non_null(table->route_table.routes);
	r = &table->route_table.routes[n];
	memset(r, 0, sizeof(*r));
	r->destination = rig_prefix(destination);
	r->target = target;
	if (target_name != NULL)
		r->id = rig_id(kinds[target], target_name);
}

const struct policy_endpoint *rig_endpoint(const struct model_rig *rig, enum net_kind kind, const char *name)
{
	struct uuid id = rig_id(kind, name);

	return policy_endpoint_find(rig->policy, &id);
}

uint32_t rig_vpc_slot(const struct model_rig *rig, const char *name)
{
	for (uint32_t i = 0; i < rig->policy->vpc_max; i++)
		if (rig->policy->vpcs[i] != NULL && strcmp(rig->policy->vpcs[i]->name, name) == 0)
			return i;
	return POLICY_SLOT_NONE;
}
