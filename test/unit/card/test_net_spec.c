/* Objects of a VPC from JSON: each kind whole, each field at fault named. */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "card/net_spec.h"
#include "vpc/tunnel.h"

#define ID    "\"6f9619ff-8b86-4d01-b42d-00cf4fc964ff\""
#define OTHER "\"6f9619ff-8b86-4d01-b42d-00cf4fc964aa\""

static const struct uuid id = {{1, 2, 3}};

/* The text is JSON but for its quotes, which are '. */
static json_t *json(const char *text)
{
	char copy[4096];
	json_t *object;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *c = copy; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	object = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		fail_msg("not JSON: %s", copy);
	return object;
}

static void good(enum net_kind kind, const char *text, struct net_spec *out)
{
	char error[512] = "";
	json_t *object = json(text);

	if (net_spec_parse(kind, &id, object, out, error, sizeof(error)) != 0)
		fail_msg("%s: %s", text, error);
	assert_int_equal(out->kind, kind);
	assert_memory_equal(&out->id, &id, sizeof(id));
	json_decref(object);
}

static void bad(enum net_kind kind, const char *text, const char *says)
{
	char error[512] = "";
	json_t *object = json(text);
	struct net_spec out;

	if (net_spec_parse(kind, &id, object, &out, error, sizeof(error)) == 0)
		fail_msg("accepted: %s", text);
	if (strstr(error, says) == NULL)
		fail_msg("%s: said \"%s\", not \"%s\"", text, error, says);
	json_decref(object);
}

static bool is_prefix(const struct net_prefix *p, const char *text)
{
	char formatted[NET_PREFIX_TEXT_SIZE];

	net_prefix_format(p, formatted);
	return strcmp(formatted, text) == 0;
}

static bool is_address(const struct net_address *a, const char *text)
{
	char formatted[NET_ADDRESS_TEXT_SIZE];

	net_address_format(a, formatted);
	return strcmp(formatted, text) == 0;
}

static void test_kinds_by_their_words(void **state)
{
	enum net_kind kind;

	(void)state;
	for (int i = 0; i < NET_KIND_COUNT; i++) {
		assert_int_equal(net_kind_parse(net_kind_name(i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_int_not_equal(net_kind_parse("vpcs", &kind), 0);
	assert_int_not_equal(net_kind_parse("", &kind), 0);
	assert_int_not_equal(net_kind_parse(NULL, &kind), 0);
}

static void test_vpc(void **state)
{
	struct net_spec s;

	(void)state;
	good(NET_VPC,
	     "{'id': " ID
	     ", 'name': 'v', 'cidrs': ['10.0.0.0/16', 'fd00:1::/64'], 'vni': 4096, 'encapsulation': 'geneve', 'mtu': 9000,"
	     " 'domain': 'corp.example', 'flow_log': {'traffic': 'reject', 'interval_s': 60}}",
	     &s);
	assert_string_equal(s.name, "v");
	assert_int_equal(s.vpc.cidr_count, 2);
	assert_true(is_prefix(&s.vpc.cidrs[0], "10.0.0.0/16"));
	assert_true(is_prefix(&s.vpc.cidrs[1], "fd00:1::/64"));
	assert_int_equal(s.vpc.vni, 4096);
	assert_int_equal(s.vpc.tunnel, TUNNEL_GENEVE);
	assert_int_equal(s.vpc.mtu, 9000);
	assert_string_equal(s.vpc.domain, "corp.example");
	assert_int_equal(s.vpc.log_traffic, FLOW_LOG_REJECT);
	assert_int_equal(s.vpc.log_interval_s, 60);
	good(NET_VPC, "{'name': 'v', 'cidrs': ['10.0.0.0/16'], 'vni': 1, 'flow_log': {'traffic': 'all'}, 'mtu': null}", &s);
	assert_int_equal(s.vpc.tunnel, TUNNEL_VXLAN);
	assert_int_equal(s.vpc.mtu, 0);
	assert_string_equal(s.vpc.domain, "");
	assert_int_equal(s.vpc.log_traffic, FLOW_LOG_ALL);
	assert_int_equal(s.vpc.log_interval_s, 600);
	good(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1}", &s);
	assert_int_equal(s.vpc.log_traffic, FLOW_LOG_OFF);
	bad(NET_VPC, "{'name': 'v', 'cidrs': ['10.0.0.0/16'], 'vni': 0}", "vpc \"v\": field \"vni\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': ['10.0.0.0/16'], 'vni': 16777216}", "\"vni\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': ['10.0.0.0/16']}", "\"vni\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': ['10.0.0.1/16'], 'vni': 1}", "\"cidrs\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [1], 'vni': 1}", "\"cidrs\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': '10.0.0.0/16', 'vni': 1}", "\"cidrs\"");
	bad(NET_VPC,
	    "{'name': 'v', 'cidrs': ['1.0.0.0/8','2.0.0.0/8','3.0.0.0/8','4.0.0.0/8','5.0.0.0/8','6.0.0.0/8','7.0.0.0/8',"
	    "'8.0.0.0/8','9.0.0.0/8'], 'vni': 1}",
	    "at most 8");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'encapsulation': 'gre'}", "one of vxlan, geneve");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'mtu': 65536}", "\"mtu\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'domain': 7}", "\"domain\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'flow_log': 'all'}", "\"flow_log\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'flow_log': {'traffic': 'some'}}", "\"traffic\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'flow_log': {'traffic': 'all', 'interval_s': 0}}", "\"interval_s\"");
	bad(NET_VPC, "{'name': 'v', 'cidrs': [], 'vni': 1, 'flow_log': {'traffic': 'all', 'format': 3}}",
	    "\"format\" is not known");
}

static void test_subnet_peering_host(void **state)
{
	struct net_spec s;

	(void)state;
	good(NET_SUBNET,
	     "{'name': 's', 'vpc': " ID ", 'cidr': '10.0.1.0/24', 'cidr6': 'fd00::/64', 'route_table': " OTHER ", 'acl': " ID "}",
	     &s);
	assert_true(is_prefix(&s.subnet.cidr4, "10.0.1.0/24"));
	assert_true(is_prefix(&s.subnet.cidr6, "fd00::/64"));
	assert_true(s.subnet.has_acl && s.subnet.has_route_table);
	assert_int_equal(s.subnet.route_table.bytes[15], 0xaa);
	good(NET_SUBNET, "{'name': 's', 'vpc': " ID ", 'cidr': '10.0.1.0/24', 'acl': null}", &s);
	assert_false(s.subnet.has_acl || s.subnet.has_route_table);
	assert_int_equal(s.subnet.cidr6.length, 0);
	bad(NET_SUBNET, "{'name': 's', 'cidr': '10.0.1.0/24'}", "\"vpc\" must be a UUID");
	bad(NET_SUBNET, "{'name': 's', 'vpc': " ID ", 'cidr': '10.0.1.0'}", "\"cidr\"");
	bad(NET_SUBNET, "{'name': 's', 'vpc': " ID ", 'cidr6': 6}", "\"cidr6\"");
	bad(NET_SUBNET, "{'name': 's', 'vpc': " ID ", 'acl': 'a'}", "\"acl\"");
	bad(NET_SUBNET, "{'name': 's', 'vpc': " ID ", 'route_table': true}", "\"route_table\"");
	good(NET_PEERING, "{'name': 'p', 'vpc': " ID ", 'peer_vpc': " OTHER "}", &s);
	assert_int_equal(s.peering.peer.bytes[15], 0xaa);
	bad(NET_PEERING, "{'name': 'p', 'vpc': " ID "}", "\"peer_vpc\"");
	good(NET_HOST, "{'name': 'h', 'address': '192.0.2.7'}", &s);
	assert_true(is_address(&s.host.address, "192.0.2.7"));
	bad(NET_HOST, "{'name': 'h', 'address': '192.0.2'}", "host \"h\": field \"address\"");
	bad(NET_HOST, "{'name': 'h', 'address': null}", "\"address\"");
}

static void test_security_group(void **state)
{
	const struct rule_spec *r;
	struct net_spec s;

	(void)state;
	good(NET_GROUP,
	     "{'name': 'g', 'vpc': " ID ", 'grandfather': true, 'rules': ["
	     "{'direction': 'ingress', 'protocol': 'tcp', 'ports': '80-90', 'cidr': '0.0.0.0/0', 'description': 'web'},"
	     "{'direction': 'egress', 'protocol': 'all', 'group': " OTHER "},"
	     "{'direction': 'ingress', 'protocol': 'icmp', 'icmp_type': 8, 'cidr': '10.0.0.0/8'},"
	     "{'direction': 'ingress', 'protocol': 'icmpv6', 'cidr': '::/0'},"
	     "{'direction': 'ingress', 'protocol': 47, 'cidr': '::/0'},"
	     "{'direction': 'ingress', 'protocol': 'udp', 'ports': 53, 'cidr': '::/0'}]}",
	     &s);
	assert_true(s.rules.grandfather);
	assert_int_equal(s.rules.count, 6);
	r = s.rules.rules;
	assert_int_equal(r[0].protocol, IPPROTO_TCP);
	assert_int_equal(r[0].port_first, 80);
	assert_int_equal(r[0].port_last, 90);
	assert_false(r[0].egress || r[0].by_group || r[0].deny);
	assert_true(is_prefix(&r[0].cidr, "0.0.0.0/0"));
	assert_true(r[1].egress && r[1].by_group);
	assert_int_equal(r[1].protocol, NET_PROTOCOL_ANY);
	assert_int_equal(r[1].port_first, 0);
	assert_int_equal(r[1].port_last, 65535);
	assert_int_equal(r[1].group.bytes[15], 0xaa);
	assert_int_equal(r[2].port_first, 8);
	assert_int_equal(r[2].port_last, 0xffff);
	assert_int_equal(r[3].protocol, IPPROTO_ICMPV6);
	assert_int_equal(r[3].port_first, 0xffff);
	assert_int_equal(r[4].protocol, 47);
	assert_int_equal(r[5].port_first, 53);
	assert_int_equal(r[5].port_last, 53);
	net_spec_free(&s);
	good(NET_GROUP, "{'name': 'g', 'vpc': " ID "}", &s);
	assert_int_equal(s.rules.count, 0);
	net_spec_free(&s);
}

/* A rule of a security group with one thing wrong. */
static void bad_rule(const char *rule, const char *says)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{'name': 'web', 'vpc': " ID ", 'rules': [{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0'}, %s]}",
		 rule);
	bad(NET_GROUP, text, says);
	bad(NET_GROUP, text, "security-group \"web\": rules[1]: ");
}

static void test_each_bad_rule_is_named(void **state)
{
	(void)state;
	bad_rule("{'protocol': 'tcp', 'cidr': '::/0'}", "\"direction\" must be one of ingress, egress");
	bad_rule("{'direction': 'in', 'protocol': 'tcp', 'cidr': '::/0'}", "\"direction\"");
	bad_rule("{'direction': 'ingress', 'cidr': '::/0'}", "\"protocol\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'sctp', 'cidr': '::/0'}", "\"protocol\" must be one of all, tcp");
	bad_rule("{'direction': 'ingress', 'protocol': 256, 'cidr': '::/0'}", "\"protocol\"");
	bad_rule("{'direction': 'ingress', 'protocol': -1, 'cidr': '::/0'}", "\"protocol\"");
	for (const char *const *ports =
		     (const char *const[]){"'80-'", "'-80'", "'80-70'", "'65536'", "65536", "-1", "''", "'a'", "'80,90'", "'1-2-3'",
					   "'99999999999999999999'", "'80 '", "4294967376", NULL};
	     *ports != NULL; ports++) {
		char rule[256];

		snprintf(rule, sizeof(rule), "{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0', 'ports': %s}", *ports);
		bad_rule(rule, "\"ports\"");
	}
	bad_rule("{'direction': 'ingress', 'protocol': 'icmp', 'cidr': '::/0', 'ports': '1'}", "\"ports\" is not for ICMP");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0', 'icmp_type': 1}", "\"icmp_type\" is for ICMP only");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0', 'icmp_code': 1}", "\"icmp_code\" is for ICMP only");
	bad_rule("{'direction': 'ingress', 'protocol': 'icmp', 'cidr': '::/0', 'icmp_type': 256}", "\"icmp_type\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'icmp', 'cidr': '::/0', 'icmp_type': 3, 'icmp_code': 'x'}", "\"icmp_code\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp'}", "\"cidr\" or field \"group\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0', 'group': " ID "}", "\"cidr\" or field \"group\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/129'}", "\"cidr\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'group': 'web'}", "\"group\"");
	bad_rule("{'direction': 'ingress', 'protocol': 'tcp', 'cidr': '::/0', 'action': 'deny'}", "\"action\" is not known");
	bad_rule("7", "\"direction\"");
	bad(NET_GROUP, "{'name': 'g', 'vpc': " ID ", 'rules': 7}", "\"rules\"");
	bad(NET_GROUP, "{'name': 'g', 'vpc': " ID ", 'grandfather': 1}", "\"grandfather\"");
}

static void test_too_many_rules(void **state)
{
	json_t *rules = json_array(), *group = json_object(),
	       *rule = json("{'direction': 'ingress', 'protocol': 'all', 'cidr': '::/0'}");
	char error[512] = "";
	struct net_spec out;

	(void)state;
	for (int i = 0; i < NET_RULES_MAX; i++)
		json_array_append(rules, rule);
	json_object_set_new(group, "name", json_string("g"));
	json_object_set_new(group, "vpc", json_string("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"));
	json_object_set(group, "rules", rules);
	assert_int_equal(net_spec_parse(NET_GROUP, &id, group, &out, error, sizeof(error)), 0);
	assert_int_equal(out.rules.count, NET_RULES_MAX);
	net_spec_free(&out);
	json_array_append(rules, rule);
	assert_int_not_equal(net_spec_parse(NET_GROUP, &id, group, &out, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "\"rules\" must be a list of at most 20000"));
	json_decref(rule);
	json_decref(rules);
	json_decref(group);
}

static void test_acl(void **state)
{
	struct net_spec s;

	(void)state;
	good(NET_ACL,
	     "{'name': 'a', 'vpc': " ID ", 'rules': ["
	     "{'number': 100, 'direction': 'ingress', 'action': 'allow', 'protocol': 'all', 'cidr': '0.0.0.0/0'},"
	     "{'number': 32766, 'direction': 'egress', 'action': 'deny', 'protocol': 'tcp', 'ports': '22', 'cidr': '10.0.0.0/8'}]}",
	     &s);
	assert_int_equal(s.rules.count, 2);
	assert_int_equal(s.rules.rules[0].number, 100);
	assert_false(s.rules.rules[0].deny);
	assert_true(s.rules.rules[1].deny && s.rules.rules[1].egress);
	net_spec_free(&s);
	bad(NET_ACL,
	    "{'name': 'a', 'vpc': " ID ", 'rules': [{'number': 0, 'direction': 'ingress', 'action': 'allow', 'protocol': 'all', "
	    "'cidr': '::/0'}]}",
	    "acl \"a\": rules[0]: field \"number\"");
	bad(NET_ACL,
	    "{'name': 'a', 'vpc': " ID ", 'rules': [{'number': 1, 'direction': 'ingress', 'action': 'drop', 'protocol': 'all', "
	    "'cidr': '::/0'}]}",
	    "\"action\" must be one of allow, deny");
	bad(NET_ACL,
	    "{'name': 'a', 'vpc': " ID ", 'rules': [{'number': 1, 'direction': 'ingress', 'action': 'allow', 'protocol': 'all', "
	    "'group': " ID "}]}",
	    "\"group\" is not known");
	bad(NET_ACL, "{'name': 'a', 'vpc': " ID ", 'grandfather': true}", "\"grandfather\" is not known");
}

static void test_route_table(void **state)
{
	const struct route_spec *r;
	struct net_spec s;

	(void)state;
	good(NET_ROUTE_TABLE,
	     "{'name': 't', 'vpc': " ID ", 'routes': [{'destination': '0.0.0.0/0', 'target': 'internet'},"
	     "{'destination': '10.9.0.0/16', 'target': 'blackhole'}, {'destination': '10.8.0.0/16', 'target': 'nat', 'id': " OTHER
	     "},"
	     "{'destination': '10.7.0.0/16', 'target': 'peering', 'id': " ID "}, {'destination': '::/0', 'target': 'eni', 'id': " ID
	     "}]}",
	     &s);
	r = s.route_table.routes;
	assert_int_equal(s.route_table.count, 5);
	assert_int_equal(r[0].target, ROUTE_INTERNET);
	assert_int_equal(r[1].target, ROUTE_BLACKHOLE);
	assert_int_equal(r[2].target, ROUTE_NAT);
	assert_int_equal(r[2].id.bytes[15], 0xaa);
	assert_int_equal(r[3].target, ROUTE_PEERING);
	assert_int_equal(r[4].target, ROUTE_ENI);
	assert_true(is_prefix(&r[4].destination, "::/0"));
	net_spec_free(&s);
	bad(NET_ROUTE_TABLE, "{'name': 't', 'vpc': " ID ", 'routes': [{'destination': '0.0.0.0/0', 'target': 'nat'}]}",
	    "route-table \"t\": routes[0]: field \"id\"");
	bad(NET_ROUTE_TABLE,
	    "{'name': 't', 'vpc': " ID ", 'routes': [{'destination': '0.0.0.0/0', 'target': 'internet', 'id': " ID "}]}",
	    "\"id\" is not for this target");
	bad(NET_ROUTE_TABLE, "{'name': 't', 'vpc': " ID ", 'routes': [{'destination': '0.0.0.0/0', 'target': 'local'}]}",
	    "\"target\"");
	bad(NET_ROUTE_TABLE, "{'name': 't', 'vpc': " ID ", 'routes': [{'target': 'internet'}]}", "\"destination\"");
	bad(NET_ROUTE_TABLE, "{'name': 't', 'routes': []}", "\"vpc\"");
}

#define ENI "'name': 'e', 'subnet': " ID ", 'mac': '02:00:00:00:00:01'"

static void test_eni(void **state)
{
	struct net_spec s;

	(void)state;
	good(NET_ENI,
	     "{" ENI ", 'addresses': ['10.0.1.10', 'fd00::10'], 'security_groups': [" ID ", " OTHER "], 'host': " OTHER ","
	     " 'source_dest_check': false, 'bandwidth_in': 1000000000, 'bandwidth_out': 2, 'packets_per_s': 3, 'flows_max': 4,"
	     " 'new_flows_per_s': 5, 'tcp_established_s': 6, 'udp_s': 7, 'udp_stream_s': 8, 'other_s': 9}",
	     &s);
	assert_int_equal(s.eni.mac.bytes[5], 1);
	assert_int_equal(s.eni.address_count, 2);
	assert_true(is_address(&s.eni.addresses[0], "10.0.1.10"));
	assert_true(is_address(&s.eni.addresses[1], "fd00::10"));
	assert_int_equal(s.eni.group_count, 2);
	assert_int_equal(s.eni.groups[1].bytes[15], 0xaa);
	assert_true(s.eni.remote);
	assert_int_equal(s.eni.host.bytes[15], 0xaa);
	assert_false(s.eni.source_dest_check);
	assert_int_equal(s.eni.allowances.bandwidth_in_bits, 1000000000);
	assert_int_equal(s.eni.allowances.bandwidth_out_bits, 2);
	assert_int_equal(s.eni.allowances.packets_per_s, 3);
	assert_int_equal(s.eni.allowances.flows_max, 4);
	assert_int_equal(s.eni.allowances.new_flows_per_s, 5);
	assert_int_equal(s.eni.timeouts.tcp_established_s, 6);
	assert_int_equal(s.eni.timeouts.udp_s, 7);
	assert_int_equal(s.eni.timeouts.udp_stream_s, 8);
	assert_int_equal(s.eni.timeouts.other_s, 9);
	good(NET_ENI, "{" ENI "}", &s);
	assert_false(s.eni.remote);
	assert_true(s.eni.source_dest_check);
	bad(NET_ENI, "{'name': 'e', 'mac': '02:00:00:00:00:01'}", "eni \"e\": field \"subnet\"");
	bad(NET_ENI, "{'name': 'e', 'subnet': " ID "}", "\"mac\"");
	bad(NET_ENI, "{'name': 'e', 'subnet': " ID ", 'mac': '01:00:00:00:00:01'}", "\"mac\"");
	bad(NET_ENI, "{" ENI ", 'addresses': ['10.0.1']}", "\"addresses\"");
	bad(NET_ENI, "{" ENI ", 'addresses': [7]}", "\"addresses\"");
	bad(NET_ENI, "{" ENI ", 'security_groups': ['web']}", "\"security_groups\"");
	bad(NET_ENI, "{" ENI ", 'host': 'h'}", "\"host\"");
	bad(NET_ENI, "{" ENI ", 'source_dest_check': 'no'}", "\"source_dest_check\"");
	for (const char *const *field =
		     (const char *const[]){"bandwidth_in", "bandwidth_out", "packets_per_s", "flows_max", "new_flows_per_s",
					   "tcp_established_s", "udp_s", "udp_stream_s", "other_s", NULL};
	     *field != NULL; field++) {
		char text[256], says[64];

		snprintf(says, sizeof(says), "\"%s\"", *field);
		snprintf(text, sizeof(text), "{" ENI ", '%s': -1}", *field);
		bad(NET_ENI, text, says);
		snprintf(text, sizeof(text), "{" ENI ", '%s': 1.5}", *field);
		bad(NET_ENI, text, says);
	}
	bad(NET_ENI, "{" ENI ", 'tags': {}}", "\"tags\" is not known");
}

static void test_nat_and_elastic_ip(void **state)
{
	struct net_spec s;

	(void)state;
	good(NET_NAT, "{'name': 'n', 'subnet': " ID ", 'mac': '02:00:00:00:00:09', 'address': '10.0.1.9', 'host': " OTHER "}", &s);
	assert_true(is_address(&s.nat.address, "10.0.1.9"));
	assert_true(s.nat.remote);
	bad(NET_NAT, "{'name': 'n', 'subnet': " ID ", 'mac': '02:00:00:00:00:09'}", "nat \"n\": field \"address\"");
	bad(NET_NAT, "{'name': 'n', 'subnet': " ID ", 'address': '10.0.1.9'}", "\"mac\"");
	good(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'eni': " OTHER ", 'private_address': '10.0.1.10'}", &s);
	assert_int_equal(s.eip.target, NET_ENI);
	assert_int_equal(s.eip.id.bytes[15], 0xaa);
	assert_true(is_address(&s.eip.private_address, "10.0.1.10"));
	good(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'nat': " OTHER "}", &s);
	assert_int_equal(s.eip.target, NET_NAT);
	assert_int_equal(s.eip.id.bytes[15], 0xaa);
	good(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'nat': null}", &s);
	assert_int_equal(s.eip.target, 0);
	bad(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'eni': " ID ", 'nat': " ID "}", "exclude each other");
	bad(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'nat': " ID ", 'private_address': '10.0.1.1'}",
	    "belongs to field \"eni\"");
	bad(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'eni': 'e'}", "\"eni\"");
	bad(NET_EIP, "{'name': 'i', 'address': '203.0.113.5', 'nat': 'n'}", "\"nat\"");
	bad(NET_EIP, "{'name': 'i', 'eni': " ID "}", "\"address\"");
}

static void test_names_and_unknown_fields(void **state)
{
	(void)state;
	for (int kind = 0; kind < NET_KIND_COUNT; kind++) {
		bad(kind, "{'name': 'x', 'colour': 'blue'}", "field \"colour\" is not known");
		bad(kind, "{'colour': 'blue'}", "field \"name\"");
		bad(kind, "{'name': ''}", "field \"name\"");
		bad(kind, "{'name': '0123456789012345678901234567890123456789012345678901234567890123'}", "field \"name\"");
		bad(kind, "[]", "must be an object");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_by_their_words),
		cmocka_unit_test(test_vpc),
		cmocka_unit_test(test_subnet_peering_host),
		cmocka_unit_test(test_security_group),
		cmocka_unit_test(test_each_bad_rule_is_named),
		cmocka_unit_test(test_too_many_rules),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_route_table),
		cmocka_unit_test(test_eni),
		cmocka_unit_test(test_nat_and_elastic_ip),
		cmocka_unit_test(test_names_and_unknown_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
