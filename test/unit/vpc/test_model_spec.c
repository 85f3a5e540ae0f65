/* What is refused of an object alone: each with the field, and nothing changed. */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refusal_rig.h"

static void no_name(struct model_rig *r)
{
	struct net_spec s = spec_host("h9", "192.0.2.9");

	s.name[0] = '\0';
	rig_put(r, &s);
}

static void endless_name(struct model_rig *r)
{
	struct net_spec s = spec_host("h9", "192.0.2.9");

	memset(s.name, 'x', sizeof(s.name));
	rig_put(r, &s);
}

static void host_multicast(struct model_rig *r)
{
	refusal_put(r, spec_host("h9", "224.0.0.1"));
}

static void vpc_without_cidr(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.cidr_count = 0;
	rig_put(r, &s);
}

static void vpc_many_cidrs(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.cidr_count = NET_CIDRS_MAX + 1;
	rig_put(r, &s);
}

static void vpc_too_wide(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 9, "8.0.0.0/7", NULL));
}

static void vpc_too_wide_6(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 9, "10.9.0.0/16", "fc00::/7"));
}

static void vpc_unclean(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.cidrs[0].address.bytes[15] = 1;
	rig_put(r, &s);
}

static void vpc_overlong(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.cidrs[0].length = 200;
	rig_put(r, &s);
}

static void vpc_link_local(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 9, "169.254.0.0/16", NULL));
}

static void vpc_link_local_6(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 9, "fe80::/64", NULL));
}

static void vpc_overlaps_itself(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 9, "10.9.0.0/16", "10.9.1.0/24"));
}

static void vpc_vni_zero(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 0, "10.9.0.0/16", NULL));
}

static void vpc_vni_large(struct model_rig *r)
{
	refusal_put(r, spec_vpc("d", 1 << 24, "10.9.0.0/16", NULL));
}

static void vpc_tunnel(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.tunnel = 2;
	rig_put(r, &s);
}

static void vpc_mtu(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.mtu = 1279;
	rig_put(r, &s);
}

static void vpc_log_traffic(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.log_traffic = FLOW_LOG_REJECT + 1;
	rig_put(r, &s);
}

static void vpc_log_interval(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	s.vpc.log_traffic = FLOW_LOG_ALL;
	rig_put(r, &s);
}

static void vpc_domain(struct model_rig *r)
{
	struct net_spec s = spec_vpc("d", 9, "10.9.0.0/16", NULL);

	memset(s.vpc.domain, 'x', sizeof(s.vpc.domain));
	rig_put(r, &s);
}

static void rule_with(struct model_rig *r, uint16_t protocol, uint16_t first, uint16_t last)
{
	struct net_spec s = spec_group("web", "a");

	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0");
	spec_rule(&s, false, protocol, first, last, "0.0.0.0/0");
	rig_put(r, &s);
}

static void rule_protocol(struct model_rig *r)
{
	rule_with(r, 257, 0, 65535);
}

static void rule_ports_reversed(struct model_rig *r)
{
	rule_with(r, IPPROTO_TCP, 90, 80);
}

static void rule_ports_of_gre(struct model_rig *r)
{
	rule_with(r, IPPROTO_GRE, 80, 80);
}

static void rule_ports_of_all(struct model_rig *r)
{
	rule_with(r, NET_PROTOCOL_ANY, 80, 80);
}

static void rule_icmp_type(struct model_rig *r)
{
	rule_with(r, IPPROTO_ICMP, 256, 0xffff);
}

static void rule_icmp_code(struct model_rig *r)
{
	rule_with(r, IPPROTO_ICMPV6, 1, 256);
}

static void rule_icmp_code_alone(struct model_rig *r)
{
	rule_with(r, IPPROTO_ICMP, 0xffff, 1);
}

static void rule_cidr(struct model_rig *r)
{
	struct net_spec s = spec_group("web", "a");

	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0")->cidr.address.bytes[15] = 1;
	rig_put(r, &s);
}

static void rule_denies(struct model_rig *r)
{
	struct net_spec s = spec_group("web", "a");

	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0")->deny = true;
	rig_put(r, &s);
}

static void rules_too_many(struct model_rig *r)
{
	struct net_spec s = spec_group("web", "a");

	s.rules.rules = calloc(NET_RULES_MAX + 1, sizeof(*s.rules.rules));
	s.rules.count = NET_RULES_MAX + 1;
	rig_put(r, &s);
}

static void acl_rule_by_group(struct model_rig *r)
{
	struct net_spec s = spec_acl("acl", "a");

	spec_rule_group(&s, false, IPPROTO_TCP, 80, 80, "web");
	rig_put(r, &s);
}

static void acl_number(struct model_rig *r)
{
	struct net_spec s = spec_acl("acl", "a");

	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0")->number = 32767;
	rig_put(r, &s);
}

static void acl_number_twice(struct model_rig *r)
{
	struct net_spec s = spec_acl("acl", "a");

	spec_rule(&s, true, IPPROTO_TCP, 80, 80, "0.0.0.0/0")->number = 7;
	spec_rule(&s, false, IPPROTO_TCP, 80, 80, "0.0.0.0/0")->number = 7;
	spec_rule(&s, false, IPPROTO_TCP, 81, 81, "0.0.0.0/0")->number = 7;
	rig_put(r, &s);
}

static void route_unclean(struct model_rig *r)
{
	struct net_spec s = refusal_table();

	s.route_table.routes[1].destination.address.bytes[15] = 1;
	rig_put(r, &s);
}

static void route_local(struct model_rig *r)
{
	struct net_spec s = refusal_table();

	s.route_table.routes[1].target = ROUTE_LOCAL;
	rig_put(r, &s);
}

static void routes_too_many(struct model_rig *r)
{
	struct net_spec s = spec_route_table("rt", "a");

	s.route_table.routes = calloc(NET_ROUTES_MAX + 1, sizeof(*s.route_table.routes));
	s.route_table.count = NET_ROUTES_MAX + 1;
	rig_put(r, &s);
}

static void subnet_without_block(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", NULL, NULL));
}

static void subnet_too_small(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.3.0/29", NULL));
}

static void subnet_families_mixed_up(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "fd00:1::/80", NULL));
}

static void subnet_6_too_small(struct model_rig *r)
{
	refusal_put(r, spec_subnet("s3", "a", "10.0.3.0/24", "fd00:1::/124"));
}

static void eni_with(struct model_rig *r, struct mac mac, const char *address)
{
	struct net_spec s = spec_eni("new", "s1", 9, address, NULL);

	s.eni.mac = mac;
	rig_put(r, &s);
}

static void eni_mac_multicast(struct model_rig *r)
{
	eni_with(r, (struct mac){{0x01, 0, 0, 0, 0, 9}}, "10.0.1.9");
}

static void eni_mac_zero(struct model_rig *r)
{
	eni_with(r, (struct mac){{0}}, "10.0.1.9");
}

static void eni_mac_gateway(struct model_rig *r)
{
	eni_with(r, (struct mac)NET_GATEWAY_MAC, "10.0.1.9");
}

static void eni_address_multicast(struct model_rig *r)
{
	eni_with(r, (struct mac){{2, 0, 0, 0, 0, 9}}, "ff02::1");
}

static void eni_no_address(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	s.eni.address_count = 0;
	rig_put(r, &s);
}

static void eni_bandwidth(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	s.eni.allowances.bandwidth_in_bits = UINT64_MAX;
	rig_put(r, &s);
}

static void eni_packets(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	s.eni.allowances.new_flows_per_s = UINT64_MAX;
	rig_put(r, &s);
}

static void eni_timeout(struct model_rig *r)
{
	struct net_spec s = refusal_eni();

	s.eni.timeouts.other_s = UINT32_MAX;
	rig_put(r, &s);
}

static void nat_mac(struct model_rig *r)
{
	struct net_spec s = spec_nat("nat", "s2", 4, "10.0.2.7");

	s.nat.mac.bytes[0] = 1;
	rig_put(r, &s);
}

static void nat_loopback(struct model_rig *r)
{
	refusal_put(r, spec_nat("nat", "s2", 4, "127.0.0.1"));
}

static void eip_kind(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "203.0.113.2", NET_VPC, "a", NULL));
}

static void eip_unspecified(struct model_rig *r)
{
	refusal_put(r, spec_eip("ip2", "0.0.0.0", 0, NULL, NULL));
}

static const struct refusal refusals[] = {
	{no_name, -EINVAL, NET_HOST, "h9", "name"},
	{endless_name, -EINVAL, NET_HOST, "h9", "name"},
	{host_multicast, -EINVAL, NET_HOST, "h9", "address 224.0.0.1"},
	{vpc_without_cidr, -EINVAL, NET_VPC, "d", "cidrs"},
	{vpc_many_cidrs, -EINVAL, NET_VPC, "d", "cidrs"},
	{vpc_too_wide, -EINVAL, NET_VPC, "d", "cidrs[0]: its length must be 8 to 28"},
	{vpc_too_wide_6, -EINVAL, NET_VPC, "d", "cidrs[1]: its length must be 16 to 120"},
	{vpc_unclean, -EINVAL, NET_VPC, "d", "cidrs[0] has bits set"},
	{vpc_overlong, -EINVAL, NET_VPC, "d", "cidrs[0]"},
	{vpc_link_local, -EINVAL, NET_VPC, "d", "cidrs[0] is reserved"},
	{vpc_link_local_6, -EINVAL, NET_VPC, "d", "cidrs[0] is reserved"},
	{vpc_overlaps_itself, -EINVAL, NET_VPC, "d", "cidrs[1] overlaps cidrs[0]"},
	{vpc_vni_zero, -EINVAL, NET_VPC, "d", "vni"},
	{vpc_vni_large, -EINVAL, NET_VPC, "d", "vni"},
	{vpc_tunnel, -EINVAL, NET_VPC, "d", "encapsulation"},
	{vpc_mtu, -EINVAL, NET_VPC, "d", "mtu"},
	{vpc_log_traffic, -EINVAL, NET_VPC, "d", "flow_log.traffic"},
	{vpc_log_interval, -EINVAL, NET_VPC, "d", "flow_log.interval_s"},
	{vpc_domain, -EINVAL, NET_VPC, "d", "domain"},
	{rule_protocol, -EINVAL, NET_GROUP, "web", "rules[1].protocol"},
	{rule_ports_reversed, -EINVAL, NET_GROUP, "web", "rules[1].ports"},
	{rule_ports_of_gre, -EINVAL, NET_GROUP, "web", "rules[1].ports"},
	{rule_ports_of_all, -EINVAL, NET_GROUP, "web", "rules[1].ports"},
	{rule_icmp_type, -EINVAL, NET_GROUP, "web", "rules[1].icmp_type"},
	{rule_icmp_code, -EINVAL, NET_GROUP, "web", "rules[1].icmp_code"},
	{rule_icmp_code_alone, -EINVAL, NET_GROUP, "web", "rules[1].icmp_code needs"},
	{rule_cidr, -EINVAL, NET_GROUP, "web", "rules[0].cidr"},
	{rule_denies, -EINVAL, NET_GROUP, "web", "rules[0].action"},
	{rules_too_many, -E2BIG, NET_GROUP, "web", "rules: at most 20000"},
	{acl_rule_by_group, -EINVAL, NET_ACL, "acl", "rules[0].group"},
	{acl_number, -EINVAL, NET_ACL, "acl", "rules[0].number"},
	{acl_number_twice, -EINVAL, NET_ACL, "acl", "rules[2].number 7 is there twice for ingress"},
	{route_unclean, -EINVAL, NET_ROUTE_TABLE, "rt", "routes[1].destination"},
	{route_local, -EINVAL, NET_ROUTE_TABLE, "rt", "routes[1].target"},
	{routes_too_many, -E2BIG, NET_ROUTE_TABLE, "rt", "routes: at most 200000"},
	{subnet_without_block, -EINVAL, NET_SUBNET, "s3", "cidr: a subnet needs"},
	{subnet_too_small, -EINVAL, NET_SUBNET, "s3", "cidr: its length must be 8 to 28"},
	{subnet_families_mixed_up, -EINVAL, NET_SUBNET, "s3", "cidr must be IPv4"},
	{subnet_6_too_small, -EINVAL, NET_SUBNET, "s3", "cidr6: its length"},
	{eni_mac_multicast, -EINVAL, NET_ENI, "new", "mac must be a unicast"},
	{eni_mac_zero, -EINVAL, NET_ENI, "new", "mac must be a unicast"},
	{eni_mac_gateway, -EINVAL, NET_ENI, "new", "mac is that of every subnet's gateway"},
	{eni_address_multicast, -EINVAL, NET_ENI, "new", "ff02::1 is not an address"},
	{eni_no_address, -EINVAL, NET_ENI, "one", "addresses: give 1 to 16"},
	{eni_bandwidth, -EINVAL, NET_ENI, "one", "bandwidth"},
	{eni_packets, -EINVAL, NET_ENI, "one", "new_flows_per_s"},
	{eni_timeout, -EINVAL, NET_ENI, "one", "timeouts"},
	{nat_mac, -EINVAL, NET_NAT, "nat", "mac"},
	{nat_loopback, -EINVAL, NET_NAT, "nat", "127.0.0.1"},
	{eip_kind, -EINVAL, NET_EIP, "ip2", "target"},
	{eip_unspecified, -EINVAL, NET_EIP, "ip2", "address 0.0.0.0"},
};

static void refusals_name_object_and_field(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		refusal_check(&refusals[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refusals_name_object_and_field)};

	return cmocka_run_group_tests_name("model specs", tests, NULL, NULL);
}
