/* What is refused of objects together: each with the object it names, the field, and nothing changed. */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refusal_rig.h"

/* ---- references ---- */

static void eni_without_subnet(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "nowhere", 9, "10.0.1.9", NULL));
}

static void eni_without_group(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	spec_eni_group(&s, "none");
	rig_put(r, &s);
}

static void eni_without_host(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	spec_eni_remote(&s, "none");
	rig_put(r, &s);
}

static void eni_whose_subnet_goes(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s2", 9, "10.0.2.9", NULL));
	rig_delete(r, NET_SUBNET, "s2");
}

static void group_without_vpc(struct model_rig *r)
{
	refusal_put(r, spec_group("g", "none"));
}

static void acl_without_vpc(struct model_rig *r)
{
	refusal_put(r, spec_acl("l", "none"));
}

static void rule_without_group(struct model_rig *r)
{
	struct net_spec s = spec_group("web", "a");

	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0");
	spec_rule_group(&s, false, IPPROTO_TCP, 80, 80, "none");
	rig_put(r, &s);
}

static void table_without_vpc(struct model_rig *r)
{
	refusal_put(r, spec_route_table("t", "none"));
}

static void route_without_nat(struct model_rig *r)
{
	struct net_spec s = refusal_table();

	spec_route(&s, "1.0.0.0/8", ROUTE_NAT, "none");
	rig_put(r, &s);
}

static void subnet_without_vpc(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "none", "10.0.3.0/24", NULL));
}

static void subnet_without_acl(struct model_rig *r)
{
	struct net_spec s = refusal_subnet();

	s.subnet.acl = rig_id(NET_ACL, "none");
	rig_put(r, &s);
}

static void subnet_without_table(struct model_rig *r)
{
	struct net_spec s = refusal_subnet();

	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, "none");
	rig_put(r, &s);
}

static void peering_without_vpc(struct model_rig *r)
{
	refusal_put(r, spec_peering("p", "none", "a"));
}

static void peering_without_peer(struct model_rig *r)
{
	refusal_put(r, spec_peering("p", "a", "none"));
}

static void nat_without_host(struct model_rig *r)
{
	struct net_spec s = spec_nat("nat", "s2", 4, "10.0.2.7");

	s.nat.remote = true;
	s.nat.host = rig_id(NET_HOST, "none");
	rig_put(r, &s);
}

static void eip_without_target(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.2", NET_NAT, "none", NULL));
}

/* ---- still referred to ---- */

static void delete_vpc(struct model_rig *r)
{
	rig_delete(r, NET_VPC, "a");
}

static void delete_group(struct model_rig *r)
{
	rig_delete(r, NET_GROUP, "web");
}

static void delete_acl(struct model_rig *r)
{
	rig_delete(r, NET_ACL, "acl");
}

static void delete_nat(struct model_rig *r)
{
	rig_delete(r, NET_NAT, "nat");
}

static void delete_peering(struct model_rig *r)
{
	rig_delete(r, NET_PEERING, "ab");
}

static void delete_eni(struct model_rig *r)
{
	refusal_put(r, spec_route_table("rt", "a")); /* leaves the elastic IP */
	rig_delete(r, NET_ENI, "one");
}

static void delete_host(struct model_rig *r)
{
	struct net_spec s = spec_eni("new", "s2", 9, "10.0.2.9", NULL);

	spec_eni_remote(&s, "h1");
	rig_put(r, &s);
	rig_commit(r);
	rig_begin(r);
	rig_delete(r, NET_HOST, "h1");
}

/* ---- of the same VPC ---- */

static void eni_group_of_another_vpc(struct model_rig *r)
{
	struct net_spec s = spec_eni("one", "s1", 1, "10.0.1.5", "fd00:1::5");

	spec_eni_group(&s, "gb");
	rig_put(r, &s);
}

static void rule_group_of_another_vpc(struct model_rig *r)
{
	struct net_spec s = spec_group("web", "a");

	spec_rule_group(&s, false, IPPROTO_TCP, 80, 80, "gb");
	rig_put(r, &s);
}

static void subnet_acl_of_another_vpc(struct model_rig *r)
{
	struct net_spec s = refusal_subnet();

	s.subnet.acl = rig_id(NET_ACL, "acl-b");
	rig_put(r, &s);
}

static void subnet_table_of_another_vpc(struct model_rig *r)
{
	struct net_spec s = refusal_subnet();

	s.subnet.route_table = rig_id(NET_ROUTE_TABLE, "rt-b");
	rig_put(r, &s);
}

static void route_nat_of_another_vpc(struct model_rig *r)
{
	struct net_spec s = spec_route_table("rt-b", "b");

	spec_route(&s, "0.0.0.0/0", ROUTE_NAT, "nat");
	rig_put(r, &s);
}

static void route_peering_of_others(struct model_rig *r)
{
	struct net_spec s = spec_route_table("rt-c", "c");

	spec_route(&s, "10.1.0.0/16", ROUTE_PEERING, "ab");
	rig_put(r, &s);
}

static void next_hop_leaves_the_vpc(struct model_rig *r)
{
	refusal_put(r, spec_nat("nat", "sb", 4, "10.1.1.7"));
}

static void subnet_changes_vpc(struct model_rig *r)
{
	refusal_put(r, spec_subnet("sb", "c", "10.0.9.0/24", NULL));
}

static void group_changes_vpc(struct model_rig *r)
{
	refusal_put(r, spec_group("gb", "a"));
}

static void acl_changes_vpc(struct model_rig *r)
{
	refusal_put(r, spec_acl("acl-b", "a"));
}

static void table_changes_vpc(struct model_rig *r)
{
	refusal_put(r, spec_route_table("rt-b", "a"));
}

static void peering_changes_vpc(struct model_rig *r)
{
	refusal_put(r, spec_peering("ab", "c", "b"));
}

/* ---- blocks ---- */

static void subnet_outside(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.5.0.0/24", NULL));
}

static void subnet_outside_6(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.3.0/24", "fd00:2::/80"));
}

static void subnet_wider_than_vpc(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.0.0/15", NULL));
}

static void subnets_overlap(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.0.0/22", NULL));
}

static void subnets_overlap_6(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.3.0/24", "fd00:1::/96"));
}

static void vpc_leaves_subnet(struct model_rig *r)
{
	refusal_put(r, spec_vpc("a", 100, "10.0.0.0/24", "fd00:1::/64"));
}

static void vpc_grows_into_peer(struct model_rig *r)
{
	refusal_put(r, spec_vpc("a", 100, "10.0.0.0/15", "fd00:1::/64"));
}

static void vpc_takes_a_routes_block(struct model_rig *r)
{
	struct net_spec s = spec_vpc("a", 100, "10.0.0.0/16", "fd00:1::/64");

	s.vpc.cidrs[s.vpc.cidr_count++] = rig_prefix("172.16.0.0/12");
	rig_put(r, &s);
}

static void peers_overlap(struct model_rig *r)
{
	refusal_put(r, spec_peering("ac", "a", "c"));
}

static void peer_of_itself(struct model_rig *r)
{
	refusal_put(r, spec_peering("aa", "a", "a"));
}

static void route_to_own_block(struct model_rig *r)
{
	struct net_spec s = refusal_table();

	spec_route(&s, "10.0.0.0/16", ROUTE_INTERNET, NULL);
	rig_put(r, &s);
}

static void route_twice(struct model_rig *r)
{
	struct net_spec s = refusal_table();

	spec_route(&s, "10.1.0.0/16", ROUTE_INTERNET, NULL);
	rig_put(r, &s);
}

static void eni_outside_subnet(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.2.9", NULL));
}

static void eni_6_in_subnet_without(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s2", 9, "fd00:1::9", NULL));
}

static void subnet_leaves_eni(struct model_rig *r)
{
	struct net_spec s = refusal_subnet();

	s.subnet.cidr4 = rig_prefix("10.0.1.128/25");
	rig_put(r, &s);
}

static void subnet_leaves_nat(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s2", "a", "10.0.2.128/25", NULL));
}

static void eni_network_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.0", NULL));
}

static void eni_gateway_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.1", NULL));
}

static void eni_resolver_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.2", NULL));
}

static void eni_reserved_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.3", NULL));
}

static void eni_broadcast_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.255", NULL));
}

static void nat_gateway_address_6(struct model_rig *r)
{
	refusal_put(r, spec_nat("new", "s1", 9, "fd00:1::1"));
}

/* ---- unique ---- */

static void same_vni(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 100, "10.9.0.0/16", NULL));
}

static void same_host_address(struct model_rig *r)
{
	refusal_put(r, spec_host("h2", "192.0.2.1"));
}

static void same_address(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.5", NULL));
}

static void same_address_as_nat(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s2", 9, "10.0.2.7", NULL));
}

static void address_twice(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 9, "10.0.1.9", "10.0.1.9"));
}

static void same_mac(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s1", 4, "10.0.1.9", NULL));
}

static void same_name(struct model_rig *r)
{
	struct net_spec s = spec_eni("new", "s1", 9, "10.0.1.9", NULL);

	strcpy(s.name, "ONE");
	rig_put(r, &s);
}

static void same_public(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.1", 0, NULL, NULL));
}

static void same_peering(struct model_rig *r)
{
	refusal_put(r, spec_peering("ba", "b", "a"));
}

static void group_twice(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	spec_eni_group(&s, "web");
	rig_put(r, &s);
}

/* ---- elastic IPs ---- */

static void eip_of_a_stranger(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.2", NET_ENI, "one", "10.0.1.6"));
}

static void eip_of_no_such_family(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "2001:db8::1", NET_ENI, "bee", NULL));
}

static void eip_mixed_families(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.2", NET_ENI, "one", "fd00:1::5"));
}

static void eip_private_twice(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.2", NET_ENI, "one", NULL));
}

static void eni_drops_eips_address(struct model_rig *r)
{
	struct net_spec s = spec_eni("one", "s1", 1, "10.0.1.6", "fd00:1::5");

	spec_eni_group(&s, "web");
	rig_put(r, &s);
}

static void nat_too_many_eips(struct model_rig *r)
{
	char name[8], address[16];

	for (unsigned i = 0; i <= NET_NAT_ADDRESSES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		snprintf(address, sizeof(address), "203.0.113.1%u", i);
		refusal_put(r, spec_eip(name, address, NET_NAT, "nat", NULL));
	}
}

static const struct refusal refusals[] = {
	{eni_without_subnet, -ENOENT, NET_ENI, "new", "subnet: there is no subnet"},
	{eni_without_group, -ENOENT, NET_ENI, "one", "security_groups[1]: there is no security-group"},
	{eni_without_host, -ENOENT, NET_ENI, "one", "host: there is no host"},
	{eni_whose_subnet_goes, -ENOENT, NET_ENI, "new", "subnet: there is no subnet"},
	{group_without_vpc, -ENOENT, NET_GROUP, "g", "vpc: there is no vpc"},
	{acl_without_vpc, -ENOENT, NET_ACL, "l", "vpc: there is no vpc"},
	{rule_without_group, -ENOENT, NET_GROUP, "web", "rules[1].group: there is no security-group"},
	{table_without_vpc, -ENOENT, NET_ROUTE_TABLE, "t", "vpc: there is no vpc"},
	{route_without_nat, -ENOENT, NET_ROUTE_TABLE, "rt", "routes[3].target: there is no nat"},
	{subnet_without_vpc, -ENOENT, NET_SUBNET, "s3", "vpc: there is no vpc"},
	{subnet_without_acl, -ENOENT, NET_SUBNET, "s1", "acl: there is no acl"},
	{subnet_without_table, -ENOENT, NET_SUBNET, "s1", "route_table: there is no route-table"},
	{peering_without_vpc, -ENOENT, NET_PEERING, "p", "vpc: there is no vpc"},
	{peering_without_peer, -ENOENT, NET_PEERING, "p", "peer_vpc: there is no vpc"},
	{nat_without_host, -ENOENT, NET_NAT, "nat", "host: there is no host"},
	{eip_without_target, -ENOENT, NET_EIP, "ip2", "nat: there is no nat"},
	{delete_vpc, -EBUSY, NET_VPC, "a", "security-group 'web' refers to it"},
	{delete_group, -EBUSY, NET_GROUP, "web", "eni 'one' refers to it"},
	{delete_acl, -EBUSY, NET_ACL, "acl", "subnet 's1' refers to it"},
	{delete_nat, -EBUSY, NET_NAT, "nat", "route-table 'rt' refers to it"},
	{delete_peering, -EBUSY, NET_PEERING, "ab", "route-table 'rt' refers to it"},
	{delete_eni, -EBUSY, NET_ENI, "one", "eip 'ip' refers to it"},
	{delete_host, -EBUSY, NET_HOST, "h1", "eni 'new' refers to it"},
	{eni_group_of_another_vpc, -EINVAL, NET_ENI, "one", "security_groups[0]: security-group 'gb' is of vpc 'b'"},
	{rule_group_of_another_vpc, -EINVAL, NET_GROUP, "web", "rules[0].group: security-group 'gb' is of vpc 'b'"},
	{subnet_acl_of_another_vpc, -EINVAL, NET_SUBNET, "s1", "acl: acl 'acl-b' is of vpc 'b'"},
	{subnet_table_of_another_vpc, -EINVAL, NET_SUBNET, "s1", "route_table: route-table 'rt-b' is of vpc 'b'"},
	{route_nat_of_another_vpc, -EINVAL, NET_ROUTE_TABLE, "rt-b", "routes[0].target: nat 'nat' is of vpc 'a'"},
	{route_peering_of_others, -EINVAL, NET_ROUTE_TABLE, "rt-c", "routes[0].target: peering 'ab' does not lead out of vpc 'c'"},
	{next_hop_leaves_the_vpc, -EINVAL, NET_ROUTE_TABLE, "rt", "routes[0].target: nat 'nat' is of vpc 'b'"},
	{subnet_changes_vpc, -EINVAL, NET_SUBNET, "sb", "vpc cannot be changed"},
	{group_changes_vpc, -EINVAL, NET_GROUP, "gb", "vpc cannot be changed"},
	{acl_changes_vpc, -EINVAL, NET_ACL, "acl-b", "vpc cannot be changed"},
	{table_changes_vpc, -EINVAL, NET_ROUTE_TABLE, "rt-b", "vpc cannot be changed"},
	{peering_changes_vpc, -EINVAL, NET_PEERING, "ab", "vpc, peer_vpc cannot be changed"},
	{subnet_outside, -EINVAL, NET_SUBNET, "s3", "cidr is not inside"},
	{subnet_outside_6, -EINVAL, NET_SUBNET, "s3", "cidr6 is not inside"},
	{subnet_wider_than_vpc, -EINVAL, NET_SUBNET, "s3", "cidr is not inside"},
	{subnets_overlap, -EINVAL, NET_SUBNET, "s3", "cidr overlaps 10.0.1.0/24 of subnet 's1'"},
	{subnets_overlap_6, -EINVAL, NET_SUBNET, "s3", "cidr6 overlaps fd00:1::/80 of subnet 's1'"},
	{vpc_leaves_subnet, -EINVAL, NET_SUBNET, "s1", "cidr is not inside a block of vpc 'a'"},
	{vpc_grows_into_peer, -EINVAL, NET_PEERING, "ab", "vpc 'a' and vpc 'b' overlap at 10.0.0.0/15"},
	{vpc_takes_a_routes_block, -EEXIST, NET_ROUTE_TABLE, "rt", "routes[2].destination"},
	{peers_overlap, -EINVAL, NET_PEERING, "ac", "overlap at 10.0.0.0/16"},
	{peer_of_itself, -EINVAL, NET_PEERING, "aa", "peer_vpc"},
	{route_to_own_block, -EEXIST, NET_ROUTE_TABLE, "rt", "routes[3].destination"},
	{route_twice, -EEXIST, NET_ROUTE_TABLE, "rt", "routes: destination 10.1.0.0/16"},
	{eni_outside_subnet, -EINVAL, NET_ENI, "new", "address 10.0.2.9 is not inside subnet 's1'"},
	{eni_6_in_subnet_without, -EINVAL, NET_ENI, "new", "address fd00:1::9 is not inside subnet 's2'"},
	{subnet_leaves_eni, -EINVAL, NET_ENI, "one", "address 10.0.1.5 is not inside subnet 's1'"},
	{subnet_leaves_nat, -EINVAL, NET_NAT, "nat", "address 10.0.2.7 is not inside subnet 's2'"},
	{eni_network_address, -EINVAL, NET_ENI, "new", "10.0.1.0 is the network's own"},
	{eni_gateway_address, -EINVAL, NET_ENI, "new", "10.0.1.1 is the gateway"},
	{eni_resolver_address, -EINVAL, NET_ENI, "new", "10.0.1.2 is the DNS resolver"},
	{eni_reserved_address, -EINVAL, NET_ENI, "new", "10.0.1.3 is reserved"},
	{eni_broadcast_address, -EINVAL, NET_ENI, "new", "10.0.1.255 is the broadcast address"},
	{nat_gateway_address_6, -EINVAL, NET_NAT, "new", "fd00:1::1 is the gateway"},
	{same_vni, -EEXIST, NET_VPC, "d", "vni: vpc 'a' has 100 already"},
	{same_host_address, -EEXIST, NET_HOST, "h2", "address: host 'h1' has 192.0.2.1 already"},
	{same_address, -EEXIST, NET_ENI, "new", "address: eni 'one' has 10.0.1.5 already"},
	{same_address_as_nat, -EEXIST, NET_ENI, "new", "address: nat 'nat' has 10.0.2.7 already"},
	{address_twice, -EEXIST, NET_ENI, "new", "addresses: 10.0.1.9 is listed twice"},
	{same_mac, -EEXIST, NET_ENI, "new", "mac: nat 'nat' has 02:00:00:00:00:04 already"},
	{same_name, -EEXIST, NET_ENI, "new", "name: eni 'one'"},
	{same_public, -EEXIST, NET_EIP, "ip2", "address: eip 'ip' has 203.0.113.1 already"},
	{same_peering, -EEXIST, NET_PEERING, "ba", "by peering 'ab'"},
	{group_twice, -EINVAL, NET_ENI, "one", "security_groups[1]: 'web' is listed twice"},
	{eip_of_a_stranger, -EINVAL, NET_EIP, "ip2", "private_address must be an address of eni 'one'"},
	{eip_of_no_such_family, -EINVAL, NET_EIP, "ip2", "private_address must be an address of eni 'bee'"},
	{eip_mixed_families, -EINVAL, NET_EIP, "ip2", "of the same family"},
	{eip_private_twice, -EEXIST, NET_EIP, "ip2", "private_address: 10.0.1.5 of eni 'one' has elastic IP 'ip'"},
	{eni_drops_eips_address, -EINVAL, NET_EIP, "ip", "private_address must be an address of eni 'one'"},
	{nat_too_many_eips, -ENOSPC, NET_EIP, "n8", "nat 'nat' has 8 elastic IPs already"},
};

static void refusals_name_object_and_field(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		refusal_check(&refusals[i]);
}

/* ---- limits ---- */

static int try_limit(const struct model_limits *limits, void (*make)(struct model_rig *), char *error)
{
	struct model_rig r;
	int rc;

	rig_create(&r, limits);
	rig_begin(&r);
	refusal_world(&r);
	rig_commit(&r);
	rig_begin(&r);
	make(&r);
	rc = rig_try(&r);
	strcpy(error, r.error);
	rig_destroy(&r);
	return rc;
}

static void one_eni_more(struct model_rig *r)
{
	refusal_put(r, spec_eni("new", "s2", 9, "10.0.2.9", NULL));
}

static void one_vpc_more(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 103, "10.9.0.0/16", NULL));
}

static void one_host_more(struct model_rig *r)
{
	refusal_put(r, spec_host("h2", "192.0.2.2"));
}

static void one_group_more(struct model_rig *r)
{
	refusal_put(r, spec_group("new", "a"));
}

static void limits_hold(void **state)
{
	const struct model_limits just = {.endpoints_max = 3, .vpcs_max = 3, .hosts_max = 1, .groups_max = 2, .mappings_max = 100};
	static void (*const more[])(struct model_rig *) = {one_eni_more, one_vpc_more, one_host_more, one_group_more};
	struct model_limits wide = {.endpoints_max = 4, .vpcs_max = 4, .hosts_max = 2, .groups_max = 3, .mappings_max = 5};
	char error[512];

	(void)state;
	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		assert_int_equal(try_limit(&just, more[i], error), -ENOSPC);
		assert_non_null(strstr(error, "there can be"));
		assert_int_equal(try_limit(&wide, more[i], error), 0);
	}
	wide.mappings_max = 4; /* one with two addresses, bee, nat */
	assert_int_equal(try_limit(&wide, one_eni_more, error), -ENOSPC);
	assert_non_null(strstr(error, "the limit is 4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refusals_name_object_and_field), cmocka_unit_test(limits_hold)};

	return cmocka_run_group_tests_name("model checks", tests, NULL, NULL);
}
