/*
 * Whose flows are decided anew: endpoints whose generation changes, one kind of change after the other. The world:
 *
 *	VPC a	s1 (table rt, ACL acl): one (group web), far (remote, group web)	rt: 0/0 -> nat, b's block -> peering ab,
 *		s2: two (group db), router, nat						172.16/12 -> router
 *	VPC b	sb: bee (group gb)		peered with a
 *	VPC c	sc: cee				the same blocks as a, and nothing to do with it
 */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <string.h>

#include "model_rig.h"

enum { ONE = 1, TWO = 2, ROUTER = 4, NAT = 8, BEE = 16, CEE = 32, OF_A = ONE | TWO | ROUTER | NAT, NOBODY = 0 };

static const struct {
	unsigned bit;
	enum net_kind kind;
	const char *name;
} endpoints[] = {
	{ONE, NET_ENI, "one"}, {TWO, NET_ENI, "two"}, {ROUTER, NET_ENI, "router"},
	{NAT, NET_NAT, "nat"}, {BEE, NET_ENI, "bee"}, {CEE, NET_ENI, "cee"},
};
enum { ENDPOINTS = sizeof(endpoints) / sizeof(endpoints[0]) };

static void put(struct model_rig *r, struct net_spec s)
{
	rig_put(r, &s);
}

static struct net_spec in_group(struct net_spec eni, const char *group)
{
	spec_eni_group(&eni, group);
	return eni;
}

static struct net_spec on_host(struct net_spec eni, const char *host)
{
	spec_eni_remote(&eni, host);
	return eni;
}

static struct net_spec group(const char *name, const char *vpc, uint16_t port)
{
	struct net_spec s = spec_group(name, vpc);

	spec_rule(&s, false, IPPROTO_TCP, port, port, "0.0.0.0/0");
	return s;
}

static struct net_spec acl(uint16_t port)
{
	struct net_spec s = spec_acl("acl", "a");

	spec_rule(&s, false, IPPROTO_TCP, port, port, "0.0.0.0/0");
	return s;
}

static struct net_spec route_table(const char *outside)
{
	struct net_spec s = spec_route_table("rt", "a");

	spec_route(&s, outside, ROUTE_NAT, "nat");
	spec_route(&s, "10.1.0.0/16", ROUTE_PEERING, "ab");
	spec_route(&s, "172.16.0.0/12", ROUTE_ENI, "router");
	return s;
}

static struct net_spec subnet_1(void)
{
	struct net_spec s = spec_subnet("s1", "a", "10.0.1.0/24", NULL);

	s.subnet.has_route_table = s.subnet.has_acl = true;
	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, "rt");
	s.subnet.acl = rig_id(NET_ACL, "acl");
	return s;
}

static struct net_spec far_eni(void)
{
	return in_group(on_host(spec_eni("far", "s1", 7, "10.0.1.77", NULL), "h1"), "web");
}

static void put_world(struct model_rig *r)
{
	put(r, spec_host("h1", "192.0.2.1"));
	put(r, spec_host("h2", "192.0.2.2"));
	put(r, spec_vpc("a", 100, "10.0.0.0/16", NULL));
	put(r, spec_vpc("b", 101, "10.1.0.0/16", NULL));
	put(r, spec_vpc("c", 102, "10.0.0.0/16", NULL));
	put(r, spec_peering("ab", "a", "b"));
	put(r, group("web", "a", 80));
	put(r, group("db", "a", 5432));
	put(r, group("gb", "b", 80));
	put(r, acl(80));
	put(r, route_table("0.0.0.0/0"));
	put(r, subnet_1());
	put(r, spec_subnet("s2", "a", "10.0.2.0/24", NULL));
	put(r, spec_subnet("sb", "b", "10.1.1.0/24", NULL));
	put(r, spec_subnet("sc", "c", "10.0.1.0/24", NULL));
	put(r, in_group(spec_eni("one", "s1", 1, "10.0.1.5", NULL), "web"));
	put(r, in_group(spec_eni("two", "s2", 2, "10.0.2.5", NULL), "db"));
	put(r, spec_eni("router", "s2", 3, "10.0.2.6", NULL));
	put(r, far_eni());
	put(r, in_group(spec_eni("bee", "sb", 1, "10.1.1.5", NULL), "gb"));
	put(r, spec_eni("cee", "sc", 1, "10.0.1.5", NULL));
	put(r, spec_nat("nat", "s2", 4, "10.0.2.7"));
	put(r, spec_eip("ip-one", "203.0.113.1", NET_ENI, "one", NULL));
	put(r, spec_eip("ip-nat", "203.0.113.2", NET_NAT, "nat", NULL));
}

/* ---- changes ---- */

static void arrival_far(struct model_rig *r)
{
	put(r, on_host(spec_eni("new", "s1", 8, "10.0.1.78", NULL), "h2"));
}

static void arrival_here(struct model_rig *r)
{
	put(r, in_group(spec_eni("new", "s1", 8, "10.0.1.78", NULL), "web"));
}

static void removal(struct model_rig *r)
{
	rig_delete(r, NET_ENI, "far");
}

static void move(struct model_rig *r)
{
	put(r, in_group(on_host(spec_eni("far", "s1", 7, "10.0.1.77", NULL), "h2"), "web"));
}

static void other_mac(struct model_rig *r)
{
	put(r, in_group(on_host(spec_eni("far", "s1", 70, "10.0.1.77", NULL), "h1"), "web"));
}

static void other_groups(struct model_rig *r)
{
	put(r, in_group(on_host(spec_eni("far", "s1", 7, "10.0.1.77", NULL), "h1"), "db"));
}

static void one_address_more(struct model_rig *r)
{
	put(r, in_group(on_host(spec_eni("far", "s1", 7, "10.0.1.77", "10.0.1.79"), "h1"), "web"));
}

static void other_name(struct model_rig *r)
{
	struct net_spec s = far_eni();

	strcpy(s.name, "farther");
	rig_put(r, &s);
}

static void allowances(struct model_rig *r)
{
	struct net_spec s = in_group(spec_eni("one", "s1", 1, "10.0.1.5", NULL), "web");

	s.eni.allowances.flows_max = 10;
	rig_put(r, &s);
}

static void router_allowances(struct model_rig *r)
{
	struct net_spec s = spec_eni("router", "s2", 3, "10.0.2.6", NULL);

	s.eni.source_dest_check = false;
	rig_put(r, &s);
}

static void rules_of_web(struct model_rig *r)
{
	put(r, group("web", "a", 443));
}

static void rules_of_db(struct model_rig *r)
{
	put(r, group("db", "a", 5433));
}

static void rules_of_acl(struct model_rig *r)
{
	put(r, acl(81));
}

static void routes(struct model_rig *r)
{
	put(r, route_table("0.0.0.0/1"));
}

static void acl_for_s2(struct model_rig *r)
{
	struct net_spec s = spec_subnet("s2", "a", "10.0.2.0/24", NULL);

	s.subnet.has_acl = true;
	s.subnet.acl = rig_id(NET_ACL, "acl");
	rig_put(r, &s);
}

static void elastic_ip_goes(struct model_rig *r)
{
	rig_delete(r, NET_EIP, "ip-one");
}

static void elastic_ip_goes_over(struct model_rig *r)
{
	put(r, spec_eip("ip-one", "203.0.113.1", NET_ENI, "two", NULL));
}

static void another_for_nat(struct model_rig *r)
{
	put(r, spec_eip("ip-nat-2", "203.0.113.3", NET_NAT, "nat", NULL));
}

static void nat_moves(struct model_rig *r)
{
	put(r, spec_nat("nat", "s2", 4, "10.0.2.8"));
}

static void flow_log(struct model_rig *r)
{
	struct net_spec s = spec_vpc("a", 100, "10.0.0.0/16", NULL);

	s.vpc.log_traffic = FLOW_LOG_ALL;
	s.vpc.log_interval_s = 60;
	rig_put(r, &s);
}

static void vni(struct model_rig *r)
{
	put(r, spec_vpc("a", 200, "10.0.0.0/16", NULL));
}

static void mtu_of_peer(struct model_rig *r)
{
	struct net_spec s = spec_vpc("b", 101, "10.1.0.0/16", NULL);

	s.vpc.mtu = 1400;
	rig_put(r, &s);
}

static void peering_ends(struct model_rig *r)
{
	struct net_spec s = spec_route_table("rt", "a");

	spec_route(&s, "0.0.0.0/0", ROUTE_NAT, "nat");
	rig_put(r, &s);
	rig_delete(r, NET_PEERING, "ab");
}

static void host_address(struct model_rig *r)
{
	put(r, spec_host("h1", "192.0.2.99"));
}

static void the_same_again(struct model_rig *r)
{
	assert_int_equal(model_change_reset(r->change), 0);
	put_world(r);
}

static void nothing(struct model_rig *r)
{
	(void)r;
}

static const struct {
	const char *name;
	void (*make)(struct model_rig *);
	unsigned bumped;
} changes[] = {
	{"nothing", nothing, NOBODY},
	{"the same again", the_same_again, NOBODY},
	{"a neighbour arrives elsewhere", arrival_far, NOBODY},
	{"a neighbour arrives here", arrival_here, NOBODY},
	{"a neighbour has one address more", one_address_more, NOBODY},
	{"a neighbour has another name", other_name, NOBODY},
	{"a host has another address", host_address, NOBODY},
	{"flow log", flow_log, NOBODY},
	{"a neighbour goes", removal, OF_A | BEE},
	{"a neighbour moves to another host", move, OF_A | BEE},
	{"a neighbour has another MAC", other_mac, OF_A | BEE},
	{"a neighbour is in other groups", other_groups, OF_A | BEE},
	{"the NAT has another address", nat_moves, OF_A | BEE},
	{"VNI", vni, OF_A | BEE},
	{"MTU of the peer", mtu_of_peer, OF_A | BEE},
	{"the peering ends", peering_ends, OF_A | BEE},
	{"its own fields", allowances, ONE},
	{"fields of a next hop", router_allowances, ROUTER},
	{"rules of its group", rules_of_web, ONE},
	{"rules of another group", rules_of_db, TWO},
	{"rules of its ACL", rules_of_acl, ONE},
	{"routes", routes, ONE},
	{"its subnet", acl_for_s2, TWO | ROUTER | NAT},
	{"its elastic IP goes", elastic_ip_goes, ONE},
	{"an elastic IP goes over", elastic_ip_goes_over, ONE | TWO},
	{"public addresses of a NAT", another_for_nat, NAT},
};

static void generations(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		uint32_t before[ENDPOINTS];
		unsigned bumped = 0;
		struct model_rig r;

		rig_create(&r, NULL);
		rig_begin(&r);
		put_world(&r);
		rig_commit(&r);
		for (unsigned e = 0; e < ENDPOINTS; e++)
			before[e] = rig_endpoint(&r, endpoints[e].kind, endpoints[e].name)->generation;
		rig_begin(&r);
		changes[i].make(&r);
		rig_commit(&r);
		for (unsigned e = 0; e < ENDPOINTS; e++)
			if (rig_endpoint(&r, endpoints[e].kind, endpoints[e].name)->generation != before[e])
				bumped |= endpoints[e].bit;
		if (bumped != changes[i].bumped)
			fail_msg("%s: 0x%x were bumped, not 0x%x", changes[i].name, bumped, changes[i].bumped);
		rig_destroy(&r);
	}
}

/* What a change did not concern is the very same object in both roots. */
static void the_rest_is_shared(void **state)
{
	const struct policy_endpoint *one, *two, *cee;
	const struct policy *old, *next;
	struct model_rig r;

	(void)state;
	rig_create(&r, NULL);
	rig_begin(&r);
	put_world(&r);
	rig_commit(&r);
	old = r.policy;
	one = rig_endpoint(&r, NET_ENI, "one");
	two = rig_endpoint(&r, NET_ENI, "two");
	cee = rig_endpoint(&r, NET_ENI, "cee");
	rig_begin(&r);
	rules_of_web(&r);
	assert_int_equal(rig_finish(&r, &next), 0);
	r.policy = next;
	assert_int_equal(next->version, old->version + 1);
	assert_ptr_not_equal(rig_endpoint(&r, NET_ENI, "one"), one);
	assert_ptr_equal(rig_endpoint(&r, NET_ENI, "two"), two);
	assert_ptr_equal(rig_endpoint(&r, NET_ENI, "cee"), cee);
	assert_ptr_equal(next->vpcs, old->vpcs);
	assert_ptr_equal(rig_endpoint(&r, NET_ENI, "one")->subnet, one->subnet);
	assert_ptr_not_equal(rig_endpoint(&r, NET_ENI, "one")->groups[0], one->groups[0]);
	assert_int_equal(one->groups[0]->slot, rig_endpoint(&r, NET_ENI, "one")->groups[0]->slot); /* the old one can be read */
	model_release(r.model, old);
	rig_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(generations), cmocka_unit_test(the_rest_is_shared)};

	return cmocka_run_group_tests_name("model generations", tests, NULL, NULL);
}
