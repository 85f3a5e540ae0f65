/* What a change compiles to, and how roots, slots and memory come and go. */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "model_rig.h"

static void put_vpc(struct model_rig *r, const char *name, uint32_t vni, const char *cidr)
{
	struct net_spec s = spec_vpc(name, vni, cidr, NULL);

	rig_put(r, &s);
}

static void put_subnet(struct model_rig *r, const char *name, const char *vpc, const char *cidr4, const char *cidr6)
{
	struct net_spec s = spec_subnet(name, vpc, cidr4, cidr6);

	rig_put(r, &s);
}

static void put_eni(struct model_rig *r, const char *name, const char *subnet, uint8_t mac, const char *address, const char *more)
{
	struct net_spec s = spec_eni(name, subnet, mac, address, more);

	rig_put(r, &s);
}

static void put_remote(struct model_rig *r, const char *name, const char *subnet, uint8_t mac, const char *address,
		       const char *host)
{
	struct net_spec s = spec_eni(name, subnet, mac, address, NULL);

	spec_eni_remote(&s, host);
	rig_put(r, &s);
}

static void put_host(struct model_rig *r, const char *name, const char *address)
{
	struct net_spec s = spec_host(name, address);

	rig_put(r, &s);
}

static const struct policy_mapping *mapping(const struct model_rig *r, const char *vpc, const char *address)
{
	struct net_address a = rig_address(address);

	return policy_mapping_find(r->policy, rig_vpc_slot(r, vpc), &a);
}

/* A VPC with a subnet and an ENI in it. */
static void open_small(struct model_rig *r)
{
	rig_create(r, NULL);
	rig_begin(r);
	put_vpc(r, "a", 100, "10.0.0.0/16");
	put_subnet(r, "s1", "a", "10.0.1.0/24", NULL);
	put_eni(r, "one", "s1", 1, "10.0.1.5", NULL);
	rig_commit(r);
}

static void empty_model_has_a_root(void **state)
{
	struct net_address a = rig_address("10.0.0.1"), private_address;
	struct mac mac = {{2}};
	struct model_rig r;

	(void)state;
	rig_create(&r, NULL);
	assert_non_null(r.policy);
	assert_int_equal(r.policy->version, 0);
	assert_null(policy_endpoint_at(r.policy, 0));
	assert_null(policy_mapping_find(r.policy, 0, &a));
	assert_null(policy_name_find(r.policy, 0, "one", 4));
	assert_null(policy_port_find(r.policy, 1, &mac));
	assert_null(policy_public_find(r.policy, &a, &private_address));
	assert_null(policy_host_find(r.policy, &a));
	assert_null(rig_endpoint(&r, NET_ENI, "one"));
	rig_destroy(&r);
}

static void endpoint_has_all_of_it(void **state)
{
	struct model_rig r;
	struct net_spec s;
	const struct policy_endpoint *e;
	struct mac mac = {{0x02, 0, 0, 0, 0, 1}}, gateway = NET_GATEWAY_MAC;
	struct net_address a;

	(void)state;
	rig_create(&r, NULL);
	rig_begin(&r);
	s = spec_eni("one", "s1", 1, "10.0.1.5", "fd00:1::5"); /* before all that it refers to: order does not matter */
	spec_eni_group(&s, "web");
	spec_eni_group(&s, "ssh");
	s.eni.allowances.packets_per_s = 5000;
	s.eni.timeouts.udp_s = 7;
	s.eni.source_dest_check = false;
	rig_put(&r, &s);
	put_subnet(&r, "s1", "a", "10.0.1.0/24", "fd00:1::/80");
	s = spec_group("ssh", "a");
	spec_rule(&s, false, IPPROTO_TCP, 22, 22, "0.0.0.0/0");
	s.rules.grandfather = true;
	rig_put(&r, &s);
	s = spec_group("web", "a");
	spec_rule(&s, true, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	rig_put(&r, &s);
	s = spec_vpc("a", 100, "10.0.0.0/16", "fd00:1::/64");
	rig_put(&r, &s);
	rig_commit(&r);

	e = rig_endpoint(&r, NET_ENI, "one");
	assert_non_null(e);
	assert_ptr_equal(policy_endpoint_at(r.policy, e->slot), e);
	assert_ptr_equal(policy_port_find(r.policy, 100, &mac), e);
	assert_null(policy_port_find(r.policy, 101, &mac));
	assert_string_equal(e->name, "one");
	assert_int_equal(e->kind, ENDPOINT_ENI);
	assert_int_equal(e->address_count, 2);
	assert_false(e->source_dest_check);
	assert_int_equal(e->group_count, 2);
	assert_true(e->group_slots[0] < e->group_slots[1]);
	assert_int_equal(e->groups[0]->slot, e->group_slots[0]);
	assert_string_equal(e->groups[0]->name, "ssh");
	assert_true(e->groups[0]->grandfather);
	assert_non_null(e->groups[0]->ingress);
	assert_null(e->groups[0]->egress);
	assert_null(e->groups[1]->ingress);
	assert_int_equal(e->allowances.packets_per_s, 5000);
	assert_int_equal(e->allowances.link_local_per_s, 1024);
	assert_int_equal(e->timeouts.udp_s, 7);
	assert_int_equal(e->timeouts.tcp_established_s, 350);
	assert_int_equal(e->timeouts.udp_stream_s, 180);
	assert_int_equal(e->timeouts.other_s, 600);
	assert_string_equal(e->subnet->name, "s1");
	assert_true(mac_equal(&e->subnet->gateway_mac, &gateway));
	a = rig_address("10.0.1.1");
	assert_true(net_address_equal(&e->subnet->gateway4, &a));
	a = rig_address("fd00:1::1");
	assert_true(net_address_equal(&e->subnet->gateway6, &a));
	assert_null(e->subnet->acl);
	assert_string_equal(r.policy->vpcs[e->subnet->vpc_slot]->name, "a");
	rig_destroy(&r);
}

static void mappings_and_names(void **state)
{
	struct model_rig r;
	struct net_spec s;
	const struct policy_mapping *m;
	uint32_t vpc;

	(void)state;
	rig_create(&r, NULL);
	rig_begin(&r);
	s = spec_vpc("a", 100, "10.0.0.0/16", "fd00:1::/64");
	rig_put(&r, &s);
	put_vpc(&r, "b", 101, "10.0.0.0/16"); /* another tenant with the same addresses */
	put_subnet(&r, "s1", "a", "10.0.1.0/24", "fd00:1::/80");
	put_subnet(&r, "sb", "b", "10.0.1.0/24", NULL);
	put_host(&r, "h1", "192.0.2.1");
	put_eni(&r, "one", "s1", 1, "10.0.1.5", "fd00:1::5");
	put_remote(&r, "far", "s1", 2, "10.0.1.6", "h1");
	put_eni(&r, "one-b", "sb", 1, "10.0.1.5", NULL);
	s = spec_nat("nat", "s1", 3, "10.0.1.7");
	rig_put(&r, &s);
	rig_commit(&r);

	vpc = rig_vpc_slot(&r, "a");
	m = mapping(&r, "a", "10.0.1.5");
	assert_string_equal(m->name, "one");
	assert_true(m->local);
	assert_int_equal(m->slot, rig_endpoint(&r, NET_ENI, "one")->slot);
	assert_int_equal(m->subnet_slot, rig_endpoint(&r, NET_ENI, "one")->subnet->slot);
	assert_string_equal(mapping(&r, "b", "10.0.1.5")->name, "one-b");
	assert_string_equal(mapping(&r, "a", "fd00:1::5")->name, "one");
	assert_null(mapping(&r, "b", "fd00:1::5"));
	m = mapping(&r, "a", "10.0.1.6");
	assert_false(m->local);
	assert_string_equal(r.policy->hosts[m->slot]->name, "h1");
	assert_ptr_equal(policy_host_find(r.policy, &r.policy->hosts[m->slot]->address), r.policy->hosts[m->slot]);
	assert_null(rig_endpoint(&r, NET_ENI, "far"));
	assert_int_equal(mapping(&r, "a", "10.0.1.7")->slot, rig_endpoint(&r, NET_NAT, "nat")->slot);

	assert_ptr_equal(policy_name_find(r.policy, vpc, "one", 4), mapping(&r, "a", "10.0.1.5"));
	assert_ptr_equal(policy_name_find(r.policy, vpc, "ONE", 6), mapping(&r, "a", "fd00:1::5"));
	assert_null(policy_name_find(r.policy, vpc, "far", 6));
	assert_non_null(policy_name_find(r.policy, vpc, "far", 4));
	assert_null(policy_name_find(r.policy, vpc, "one-b", 4));
	assert_null(policy_name_find(r.policy, vpc + 99, "one", 4));

	rig_begin(&r);
	s = spec_eni("one", "s1", 1, "fd00:1::6", NULL);
	rig_put(&r, &s);
	rig_commit(&r);
	assert_null(mapping(&r, "a", "10.0.1.5"));
	assert_null(policy_name_find(r.policy, vpc, "one", 4));
	assert_ptr_equal(policy_name_find(r.policy, vpc, "one", 6), mapping(&r, "a", "fd00:1::6"));
	rig_destroy(&r);
}

/* Addresses, MACs and names may change hands within one change. */
static void exchanges_are_possible(void **state)
{
	struct model_rig r;
	struct mac mac = {{0x02, 0, 0, 0, 0, 2}};

	(void)state;
	open_small(&r);
	rig_begin(&r);
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	put_host(&r, "h1", "192.0.2.1");
	put_host(&r, "h2", "192.0.2.2");
	rig_commit(&r);
	rig_begin(&r);
	put_eni(&r, "one", "s1", 2, "10.0.1.6", NULL);
	put_eni(&r, "two", "s1", 1, "10.0.1.5", NULL);
	put_host(&r, "h1", "192.0.2.2");
	put_host(&r, "h2", "192.0.2.1");
	rig_commit(&r);
	assert_string_equal(mapping(&r, "a", "10.0.1.6")->name, "one");
	assert_string_equal(mapping(&r, "a", "10.0.1.5")->name, "two");
	assert_string_equal(policy_port_find(r.policy, 100, &mac)->name, "one");
	assert_string_equal(policy_host_find(r.policy, &(struct net_address){{.bytes = {[10] = 0xff, 0xff, 192, 0, 2, 1}}})->name,
			    "h2");
	rig_destroy(&r);
}

static bool route_of(const struct model_rig *r, const char *eni, const char *to, struct route_lookup *out)
{
	struct net_address a = rig_address(to);

	return routes_find(rig_endpoint(r, NET_ENI, eni)->subnet->routes, &a, out);
}

static void open_routed(struct model_rig *r)
{
	struct net_spec s;

	rig_create(r, NULL);
	rig_begin(r);
	put_vpc(r, "a", 100, "10.0.0.0/16");
	put_vpc(r, "b", 101, "10.1.0.0/16");
	s = spec_peering("ab", "a", "b");
	rig_put(r, &s);
	put_host(r, "h1", "192.0.2.1");
	s = spec_route_table("rt", "a");
	spec_route(&s, "0.0.0.0/0", ROUTE_NAT, "nat");
	spec_route(&s, "10.1.0.0/16", ROUTE_PEERING, "ab");
	spec_route(&s, "172.16.0.0/12", ROUTE_ENI, "router");
	spec_route(&s, "10.0.9.0/24", ROUTE_BLACKHOLE, NULL);
	spec_route(&s, "8.8.8.0/24", ROUTE_INTERNET, NULL);
	rig_put(r, &s);
	s = spec_subnet("s1", "a", "10.0.1.0/24", NULL);
	s.subnet.has_route_table = true;
	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, "rt");
	rig_put(r, &s);
	put_subnet(r, "s2", "a", "10.0.2.0/24", NULL);
	put_subnet(r, "sb", "b", "10.1.1.0/24", NULL);
	put_eni(r, "one", "s1", 1, "10.0.1.5", NULL);
	put_eni(r, "two", "s2", 2, "10.0.2.5", NULL);
	put_eni(r, "router", "s2", 3, "10.0.2.6", NULL);
	put_eni(r, "bee", "sb", 1, "10.1.1.5", NULL);
	s = spec_nat("nat", "s2", 4, "10.0.2.7");
	rig_put(r, &s);
	rig_commit(r);
}

static void routes_lead_where_they_should(void **state)
{
	struct model_rig r;
	struct route_lookup out;
	struct net_address hop;

	(void)state;
	open_routed(&r);
	assert_string_equal(rig_endpoint(&r, NET_ENI, "one")->subnet->route_table_name, "rt");
	assert_true(route_of(&r, "one", "1.1.1.1", &out));
	assert_int_equal(out.target, ROUTE_NAT);
	assert_int_equal(out.slot, rig_endpoint(&r, NET_NAT, "nat")->slot);
	hop = rig_address("10.0.2.7");
	assert_true(net_address_equal(&out.next_hop, &hop));
	assert_true(route_of(&r, "one", "10.1.200.1", &out));
	assert_int_equal(out.target, ROUTE_PEERING);
	assert_int_equal(out.slot, rig_vpc_slot(&r, "b"));
	assert_true(route_of(&r, "one", "172.20.0.1", &out));
	assert_int_equal(out.target, ROUTE_ENI);
	assert_int_equal(out.slot, rig_endpoint(&r, NET_ENI, "router")->slot);
	assert_true(route_of(&r, "one", "10.0.9.1", &out));
	assert_int_equal(out.target, ROUTE_BLACKHOLE);
	assert_true(route_of(&r, "one", "8.8.8.8", &out));
	assert_int_equal(out.target, ROUTE_INTERNET);
	assert_true(route_of(&r, "one", "10.0.250.1", &out));
	assert_int_equal(out.target, ROUTE_LOCAL);
	/* no table: the VPC alone; the peer has no route back of itself */
	assert_true(route_of(&r, "two", "10.0.1.5", &out));
	assert_false(route_of(&r, "two", "1.1.1.1", &out));
	assert_false(route_of(&r, "bee", "10.0.1.5", &out));
	rig_destroy(&r);
}

/* A next hop that moves to another card has no slot here; its address tells where it is. */
static void remote_next_hop(void **state)
{
	struct model_rig r;
	struct net_spec s;
	struct route_lookup out;

	(void)state;
	open_routed(&r);
	rig_begin(&r);
	put_remote(&r, "router", "s2", 3, "10.0.2.66", "h1");
	s = spec_nat("nat", "s2", 4, "10.0.2.7");
	s.nat.remote = true;
	s.nat.host = rig_id(NET_HOST, "h1");
	rig_put(&r, &s);
	rig_commit(&r);
	assert_true(route_of(&r, "one", "172.20.0.1", &out));
	assert_int_equal(out.slot, POLICY_SLOT_NONE);
	assert_false(policy_mapping_find(r.policy, rig_vpc_slot(&r, "a"), &out.next_hop)->local);
	assert_string_equal(policy_mapping_find(r.policy, rig_vpc_slot(&r, "a"), &out.next_hop)->name, "router");
	assert_true(route_of(&r, "one", "1.1.1.1", &out));
	assert_int_equal(out.slot, POLICY_SLOT_NONE);
	assert_null(rig_endpoint(&r, NET_NAT, "nat"));
	rig_destroy(&r);
}

static void new_vpc_block_is_local(void **state)
{
	struct model_rig r;
	struct net_spec s;
	struct route_lookup out;

	(void)state;
	open_routed(&r);
	rig_begin(&r);
	s = spec_vpc("a", 100, "10.0.0.0/16", "10.2.0.0/16");
	rig_put(&r, &s);
	rig_commit(&r);
	assert_true(route_of(&r, "one", "10.2.0.9", &out));
	assert_int_equal(out.target, ROUTE_LOCAL);
	assert_true(route_of(&r, "two", "10.2.0.9", &out));
	assert_int_equal(out.target, ROUTE_LOCAL);
	rig_destroy(&r);
}

static void elastic_ips(void **state)
{
	struct model_rig r;
	struct net_spec s;
	struct net_address public_address = rig_address("203.0.113.1"), private_address = rig_address("0.0.0.0"), expected;
	const struct policy_endpoint *e;

	(void)state;
	open_routed(&r);
	rig_begin(&r);
	s = spec_eip("e3", "203.0.113.3", NET_NAT, "nat", NULL);
	rig_put(&r, &s);
	s = spec_eip("e2", "203.0.113.2", NET_NAT, "nat", NULL);
	rig_put(&r, &s);
	s = spec_eip("e1", "203.0.113.1", NET_ENI, "one", NULL); /* the first of its family */
	rig_put(&r, &s);
	s = spec_eip("e4", "203.0.113.4", 0, NULL, NULL);
	rig_put(&r, &s);
	rig_commit(&r);
	e = policy_public_find(r.policy, &public_address, &private_address);
	assert_ptr_equal(e, rig_endpoint(&r, NET_ENI, "one"));
	expected = rig_address("10.0.1.5");
	assert_true(net_address_equal(&private_address, &expected));
	assert_int_equal(e->public_count, 1);
	assert_true(net_address_equal(&e->publics[0].private_address, &expected));
	assert_true(net_address_equal(&e->publics[0].public_address, &public_address));
	e = rig_endpoint(&r, NET_NAT, "nat");
	assert_int_equal(e->kind, ENDPOINT_NAT);
	assert_int_equal(e->public_count, 2);
	expected = rig_address("203.0.113.2"); /* by address */
	assert_true(net_address_equal(&e->publics[0].public_address, &expected));
	assert_ptr_equal(policy_public_find(r.policy, &expected, &private_address), e);
	public_address = rig_address("203.0.113.4");
	assert_null(policy_public_find(r.policy, &public_address, &private_address));

	rig_begin(&r); /* to another ENI, and off this card */
	s = spec_eip("e1", "203.0.113.1", NET_ENI, "two", "10.0.2.5");
	rig_put(&r, &s);
	s = spec_nat("nat", "s2", 4, "10.0.2.7");
	s.nat.remote = true;
	s.nat.host = rig_id(NET_HOST, "h1");
	rig_put(&r, &s);
	rig_commit(&r);
	public_address = rig_address("203.0.113.1");
	assert_ptr_equal(policy_public_find(r.policy, &public_address, &private_address), rig_endpoint(&r, NET_ENI, "two"));
	assert_int_equal(rig_endpoint(&r, NET_ENI, "one")->public_count, 0);
	assert_null(policy_public_find(r.policy, &expected, &private_address));

	rig_begin(&r); /* an ENI's address changes under an elastic IP that names none */
	s = spec_eip("e1", "203.0.113.1", NET_ENI, "two", NULL);
	rig_put(&r, &s);
	rig_commit(&r);
	rig_begin(&r);
	put_eni(&r, "two", "s2", 2, "10.0.2.55", NULL);
	rig_commit(&r);
	policy_public_find(r.policy, &public_address, &private_address);
	expected = rig_address("10.0.2.55");
	assert_true(net_address_equal(&private_address, &expected));
	rig_destroy(&r);
}

static void rules_by_group(void **state)
{
	struct model_rig r;
	struct net_spec s;
	struct classifier_query q = {.protocol = IPPROTO_TCP, .port = 5432, .ports_known = true};
	const struct policy_mapping *m;
	bool deny;

	(void)state;
	open_small(&r);
	rig_begin(&r);
	s = spec_group("web", "a");
	rig_put(&r, &s);
	s = spec_group("db", "a");
	spec_rule_group(&s, false, IPPROTO_TCP, 5432, 5432, "web");
	spec_rule_group(&s, false, IPPROTO_TCP, 7000, 7000, "db");
	rig_put(&r, &s);
	s = spec_eni("one", "s1", 1, "10.0.1.5", NULL);
	spec_eni_group(&s, "db");
	rig_put(&r, &s);
	s = spec_eni("two", "s1", 2, "10.0.1.6", NULL);
	spec_eni_group(&s, "web");
	rig_put(&r, &s);
	rig_commit(&r);
	m = mapping(&r, "a", "10.0.1.6");
	q.address = m->address;
	q.groups = m->groups;
	q.group_count = m->group_count;
	assert_int_equal(classifier_match(rig_endpoint(&r, NET_ENI, "one")->groups[0]->ingress, &q, &deny), 0);
	m = mapping(&r, "a", "10.0.1.5"); /* its own group is not let in on that port */
	q.groups = m->groups;
	assert_int_equal(classifier_match(rig_endpoint(&r, NET_ENI, "one")->groups[0]->ingress, &q, &deny), CLASSIFIER_NO_MATCH);
	q.port = 7000;
	assert_int_equal(classifier_match(rig_endpoint(&r, NET_ENI, "one")->groups[0]->ingress, &q, &deny), 1);
	rig_begin(&r); /* a group that only itself refers to can go */
	put_eni(&r, "one", "s1", 1, "10.0.1.5", NULL);
	rig_delete(&r, NET_GROUP, "db");
	rig_commit(&r);
	rig_destroy(&r);
}

static void acl_of_a_subnet(void **state)
{
	struct model_rig r;
	struct net_spec s;
	struct classifier_query q = {.address = rig_address("10.0.1.9"), .protocol = IPPROTO_TCP, .port = 22, .ports_known = true};
	const struct policy_acl *acl;
	bool deny = false;

	(void)state;
	open_small(&r);
	rig_begin(&r);
	s = spec_acl("acl", "a");
	spec_rule(&s, false, IPPROTO_TCP, 0, 65535, "0.0.0.0/0")->number = 200;
	spec_rule(&s, false, IPPROTO_TCP, 22, 22, "0.0.0.0/0")->number = 100;
	s.rules.rules[1].deny = true;
	rig_put(&r, &s);
	s = spec_subnet("s1", "a", "10.0.1.0/24", NULL);
	s.subnet.has_acl = true;
	s.subnet.acl = rig_id(NET_ACL, "acl");
	rig_put(&r, &s);
	rig_commit(&r);
	acl = rig_endpoint(&r, NET_ENI, "one")->subnet->acl;
	assert_string_equal(acl->name, "acl");
	assert_int_equal(classifier_match(acl->ingress, &q, &deny), 1);
	assert_true(deny);
	q.port = 23;
	assert_int_equal(classifier_match(acl->ingress, &q, &deny), 0);
	assert_false(deny);
	assert_int_equal(classifier_match(acl->egress, &q, &deny), CLASSIFIER_NO_MATCH);
	rig_destroy(&r);
}

/* ---- slots, roots ---- */

static void slots_are_stable_and_rest_before_reuse(void **state)
{
	struct model_rig r;
	const struct policy *first, *second, *third, *fourth;
	uint32_t slot;

	(void)state;
	open_small(&r);
	first = r.policy;
	slot = rig_endpoint(&r, NET_ENI, "one")->slot;
	rig_begin(&r);
	rig_delete(&r, NET_ENI, "one");
	assert_int_equal(rig_finish(&r, &second), 0);
	rig_begin(&r); /* the first root is still read: it knows the slot */
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	put_subnet(&r, "s1", "a", "10.0.1.0/25", NULL); /* the first and the second have another one, the same */
	assert_int_equal(rig_finish(&r, &third), 0);
	r.policy = third;
	assert_int_not_equal(rig_endpoint(&r, NET_ENI, "two")->slot, slot);
	assert_string_equal(policy_endpoint_at(first, slot)->name, "one");
	assert_null(policy_endpoint_at(second, slot));
	model_release(r.model, second); /* out of order: the first one's memory and slot must stay */
	assert_string_equal(policy_endpoint_at(first, slot)->name, "one");
	assert_int_equal(policy_endpoint_at(first, slot)->subnet->cidr4.length, 96 + 24);
	rig_begin(&r);
	put_eni(&r, "three", "s1", 3, "10.0.1.7", NULL);
	assert_int_equal(rig_finish(&r, &fourth), 0);
	r.policy = fourth;
	assert_int_not_equal(rig_endpoint(&r, NET_ENI, "three")->slot, slot);
	model_release(r.model, first);
	model_release(r.model, third);
	rig_begin(&r);
	put_eni(&r, "four", "s1", 4, "10.0.1.8", NULL);
	rig_commit(&r);
	assert_int_equal(rig_endpoint(&r, NET_ENI, "four")->slot, slot);
	assert_int_equal(rig_endpoint(&r, NET_ENI, "four")->generation,
			 r.policy->version); /* no flow of the slot's last owner fits */
	rig_destroy(&r);
}

static void unreleased_roots_are_freed_with_the_model(void **state)
{
	struct model_rig r;
	const struct policy *next;

	(void)state;
	open_small(&r);
	for (uint8_t i = 0; i < 5; i++) {
		rig_begin(&r);
		put_eni(&r, "one", "s1", 1, i % 2 == 0 ? "10.0.1.9" : "10.0.1.8", NULL);
		assert_int_equal(rig_finish(&r, &next), 0);
	}
	rig_begin(&r); /* and so is a change that nobody finished */
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	rig_destroy(&r);
}

static void reset_keeps_what_is_put_again(void **state)
{
	struct model_rig r;
	uint32_t slot, generation;

	(void)state;
	open_small(&r);
	rig_begin(&r);
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	rig_commit(&r);
	slot = rig_endpoint(&r, NET_ENI, "two")->slot;
	generation = rig_endpoint(&r, NET_ENI, "two")->generation;
	rig_begin(&r);
	put_eni(&r, "never", "s1", 9, "10.0.1.99", NULL); /* before the reset: forgotten */
	assert_int_equal(model_change_reset(r.change), 0);
	put_vpc(&r, "a", 100, "10.0.0.0/16");
	put_subnet(&r, "s1", "a", "10.0.1.0/24", NULL);
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	rig_commit(&r);
	assert_null(rig_endpoint(&r, NET_ENI, "never"));
	assert_null(rig_endpoint(&r, NET_ENI, "one"));
	assert_null(mapping(&r, "a", "10.0.1.5"));
	assert_int_equal(rig_endpoint(&r, NET_ENI, "two")->slot, slot);
	assert_int_not_equal(rig_endpoint(&r, NET_ENI, "two")->generation, generation); /* a neighbour went */
	rig_begin(&r);
	assert_int_equal(model_change_reset(r.change), 0);
	rig_commit(&r);
	assert_null(rig_endpoint(&r, NET_ENI, "two"));
	assert_int_equal(rig_vpc_slot(&r, "a"), POLICY_SLOT_NONE);
	rig_destroy(&r);
}

static void last_word_in_a_change_counts(void **state)
{
	struct model_rig r;
	struct net_spec s;

	(void)state;
	open_small(&r);
	rig_begin(&r);
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	put_eni(&r, "two", "s1", 2, "10.0.1.7", NULL);
	put_eni(&r, "three", "s1", 3, "10.0.1.8", NULL);
	rig_delete(&r, NET_ENI, "three");
	put_vpc(&r, "b", 101, "10.1.0.0/16");
	s = spec_peering("ab", "a", "b");
	rig_put(&r, &s);
	rig_delete(&r, NET_PEERING, "ab");
	rig_delete(&r, NET_ENI, "one");
	put_eni(&r, "one", "s1", 1, "10.0.1.5", NULL);
	rig_delete(&r, NET_ENI, "nobody");
	rig_commit(&r);
	assert_null(mapping(&r, "a", "10.0.1.6"));
	assert_non_null(mapping(&r, "a", "10.0.1.7"));
	assert_null(mapping(&r, "a", "10.0.1.8"));
	assert_non_null(mapping(&r, "a", "10.0.1.5"));
	rig_destroy(&r);
}

static void cancelled_change_leaves_no_trace(void **state)
{
	struct model_rig r;
	struct uuid two = rig_id(NET_ENI, "two"), one = rig_id(NET_ENI, "one");
	const struct policy *before;

	(void)state;
	open_small(&r);
	before = model_policy(r.model);
	rig_begin(&r);
	put_eni(&r, "two", "s1", 2, "10.0.1.6", NULL);
	rig_delete(&r, NET_ENI, "one");
	model_change_cancel(r.change);
	assert_ptr_equal(model_policy(r.model), before);
	assert_null(model_find(r.model, NET_ENI, &two));
	assert_string_equal(model_find(r.model, NET_ENI, &one)->name, "one");
	rig_destroy(&r);
}

static void kinds_that_are_none_are_refused(void **state)
{
	struct net_spec s = {.kind = NET_KIND_COUNT};
	struct model_rig r;

	(void)state;
	open_small(&r);
	rig_begin(&r);
	assert_int_equal(model_change_put(r.change, &s), -EINVAL);
	s = spec_eni("one", "s1", 1, "10.0.1.5", NULL);
	s.eni.address_count = NET_ADDRESSES_MAX + 1;
	assert_int_equal(model_change_put(r.change, &s), -EINVAL);
	s.eni.address_count = 1;
	s.eni.group_count = NET_GROUPS_MAX + 1;
	assert_int_equal(model_change_put(r.change, &s), -EINVAL);
	assert_int_equal(model_change_delete(r.change, NET_KIND_COUNT, &s.id), 0);
	rig_commit(&r);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_model_has_a_root),
		cmocka_unit_test(endpoint_has_all_of_it),
		cmocka_unit_test(mappings_and_names),
		cmocka_unit_test(exchanges_are_possible),
		cmocka_unit_test(routes_lead_where_they_should),
		cmocka_unit_test(remote_next_hop),
		cmocka_unit_test(new_vpc_block_is_local),
		cmocka_unit_test(elastic_ips),
		cmocka_unit_test(rules_by_group),
		cmocka_unit_test(acl_of_a_subnet),
		cmocka_unit_test(slots_are_stable_and_rest_before_reuse),
		cmocka_unit_test(unreleased_roots_are_freed_with_the_model),
		cmocka_unit_test(reset_keeps_what_is_put_again),
		cmocka_unit_test(last_word_in_a_change_counts),
		cmocka_unit_test(cancelled_change_leaves_no_trace),
		cmocka_unit_test(kinds_that_are_none_are_refused),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
