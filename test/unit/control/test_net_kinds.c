/* Objects of VPCs, field by field: what is taken and in which spelling, what is refused and with which words; defaults; what the
 * card is told. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "control/net_kinds.h"

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

	if (value == NULL)
		fail_msg("not JSON: %s", text);
	return value;
}

/* The least that each kind takes. */
static const char *const least[NET_KIND_COUNT] = {
	[NET_HOST] = "{\"name\": \"n\", \"address\": \"192.0.2.1\"}",
	[NET_VPC] = "{\"name\": \"n\", \"cidrs\": [\"10.0.0.0/16\"]}",
	[NET_GROUP] = "{\"name\": \"n\", \"vpc\": \"v\"}",
	[NET_ACL] = "{\"name\": \"n\", \"vpc\": \"v\"}",
	[NET_ROUTE_TABLE] = "{\"name\": \"n\", \"vpc\": \"v\"}",
	[NET_SUBNET] = "{\"name\": \"n\", \"vpc\": \"v\", \"cidr\": \"10.0.1.0/24\"}",
	[NET_PEERING] = "{\"name\": \"n\", \"vpc\": \"v\", \"peer_vpc\": \"w\"}",
	[NET_ENI] = "{\"name\": \"n\", \"subnet\": \"s\"}",
	[NET_NAT] = "{\"name\": \"n\", \"subnet\": \"s\"}",
	[NET_EIP] = "{\"name\": \"n\", \"address\": \"198.51.100.1\"}",
};

struct value {
	enum net_kind kind;
	const char *field;
	const char *given; /* JSON */
	const char *taken; /* JSON; NULL: refused */
	const char *says;  /* a part of the refusal */
};

#define SAME(kind, field, text)                                                                                                    \
	{                                                                                                                          \
		kind, field, text, text, NULL                                                                                      \
	}
#define BECOMES(kind, field, text, taken)                                                                                          \
	{                                                                                                                          \
		kind, field, text, taken, NULL                                                                                     \
	}
#define REFUSED(kind, field, text, says)                                                                                           \
	{                                                                                                                          \
		kind, field, text, NULL, says                                                                                      \
	}

static const struct value values[] = {
	/* names */
	SAME(NET_VPC, "name", "\"a.b_c-D9\""),
	REFUSED(NET_VPC, "name", "\"\"", "must be a name"),
	REFUSED(NET_VPC, "name", "\"-a\"", "must be a name"),
	REFUSED(NET_VPC, "name", "\"a b\"", "must be a name"),
	REFUSED(NET_VPC, "name", "1", "must be a name"),
	REFUSED(NET_VPC, "name", "null", "must be a name"),
	/* vpc */
	SAME(NET_VPC, "cidrs", "[\"10.0.0.0/16\", \"fd00::/48\"]"),
	BECOMES(NET_VPC, "cidrs", "[\"FD00:0:0::/48\"]", "[\"fd00::/48\"]"),
	REFUSED(NET_VPC, "cidrs", "[]", "list of 1 to 8"),
	REFUSED(NET_VPC, "cidrs", "\"10.0.0.0/16\"", "list of 1 to 8"),
	REFUSED(NET_VPC, "cidrs", "[\"10.0.0.1/16\"]", "\"cidrs[0]\" must be a block"),
	REFUSED(NET_VPC, "cidrs", "[\"10.0.0.0/33\"]", "must be a block"),
	REFUSED(NET_VPC, "cidrs", "[\"10.0.0.0\"]", "must be a block"),
	REFUSED(NET_VPC, "cidrs", "[null]", "must be a block"),
	REFUSED(NET_VPC, "cidrs", "[\"10.0.0.0/16\", \"10.0.0.0/16\"]", "\"cidrs[1]\" is there twice"),
	REFUSED(NET_VPC, "cidrs", "[\"fd00::/48\", \"FD00::/48\"]", "\"cidrs[1]\" is there twice"),
	REFUSED(NET_VPC, "cidrs", "[\"10.0.0.0/8\", \"10.1.0.0/16\"]", "10.0.0.0/8 and 10.1.0.0/16, which overlap"),
	SAME(NET_VPC, "vni", "1"),
	SAME(NET_VPC, "vni", "16777215"),
	SAME(NET_VPC, "vni", "null"),
	REFUSED(NET_VPC, "vni", "0", "from 1 to 16777215"),
	REFUSED(NET_VPC, "vni", "16777216", "from 1 to 16777215"),
	REFUSED(NET_VPC, "vni", "\"5\"", "whole number"),
	REFUSED(NET_VPC, "vni", "5.5", "whole number"),
	SAME(NET_VPC, "encapsulation", "\"geneve\""),
	REFUSED(NET_VPC, "encapsulation", "\"gre\"", "one of \"vxlan\", \"geneve\""),
	REFUSED(NET_VPC, "encapsulation", "null", "one of \"vxlan\", \"geneve\""),
	SAME(NET_VPC, "mtu", "1280"),
	SAME(NET_VPC, "mtu", "null"),
	REFUSED(NET_VPC, "mtu", "1279", "from 1280 to 9216"),
	REFUSED(NET_VPC, "mtu", "9217", "from 1280 to 9216"),
	SAME(NET_VPC, "domain", "\"prod.example-1.internal\""),
	REFUSED(NET_VPC, "domain", "\"\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"a..b\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\".a\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"a.\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"a-.b\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"a.-b\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"a_b\"", "must be a domain"),
	REFUSED(NET_VPC, "domain", "\"0123456789012345678901234567890123456789012345678901234567890123\"", "at most 63"),
	BECOMES(NET_VPC, "flow_log", "{}", "{\"traffic\": \"all\", \"interval_s\": 600}"),
	SAME(NET_VPC, "flow_log", "{\"traffic\": \"reject\", \"interval_s\": 60}"),
	SAME(NET_VPC, "flow_log", "null"),
	REFUSED(NET_VPC, "flow_log", "true", "must be an object"),
	REFUSED(NET_VPC, "flow_log", "{\"traffic\": \"some\"}", "\"flow_log.traffic\" must be one of"),
	REFUSED(NET_VPC, "flow_log", "{\"interval_s\": 9}", "\"flow_log.interval_s\" must be a whole number from 10 to 3600"),
	REFUSED(NET_VPC, "flow_log", "{\"to\": \"s3\"}", "\"flow_log.to\" is not known; known are: traffic, interval_s"),
	SAME(NET_VPC, "tags", "{\"team\": \"net\"}"),
	REFUSED(NET_VPC, "tags", "{\"\": \"net\"}", "at most 32 tags"),
	REFUSED(NET_VPC, "tags", "{\"a\": 1}", "at most 32 tags"),
	/* subnet */
	BECOMES(NET_SUBNET, "cidr", "\"10.0.0.0/08\"", "\"10.0.0.0/8\""),
	SAME(NET_SUBNET, "cidr", "\"10.0.0.248/29\""),
	REFUSED(NET_SUBNET, "cidr", "\"10.0.0.252/30\"", "of /8 to /29"),
	REFUSED(NET_SUBNET, "cidr", "\"8.0.0.0/7\"", "of /8 to /29"),
	REFUSED(NET_SUBNET, "cidr", "\"fd00::/24\"", "of /8 to /29"),
	REFUSED(NET_SUBNET, "cidr", "null", "of /8 to /29"),
	SAME(NET_SUBNET, "cidr6", "\"fd00:1::/64\""),
	REFUSED(NET_SUBNET, "cidr6", "\"fd00:1::/125\"", "of /16 to /124"),
	REFUSED(NET_SUBNET, "cidr6", "\"10.0.0.0/24\"", "of /16 to /124"),
	SAME(NET_SUBNET, "cidr6", "null"),
	SAME(NET_SUBNET, "acl", "\"a\""),
	SAME(NET_SUBNET, "acl", "null"),
	REFUSED(NET_SUBNET, "acl", "\"a b\"", "must be a name"),
	SAME(NET_SUBNET, "route_table", "\"r\""),
	REFUSED(NET_SUBNET, "route_table", "[]", "must be a name"),
	REFUSED(NET_SUBNET, "vpc", "null", "must be a name"),
	/* security group */
	SAME(NET_GROUP, "grandfather", "true"),
	REFUSED(NET_GROUP, "grandfather", "\"yes\"", "true or false"),
	REFUSED(NET_GROUP, "grandfather", "null", "true or false"),
	REFUSED(NET_GROUP, "rules", "null", "list of at most 20000"),
	REFUSED(NET_GROUP, "rules", "[1]", "\"rules[0]\" must be an object"),
	/* eni */
	BECOMES(NET_ENI, "mac", "\"02:AB:cd:00:00:01\"", "\"02:ab:cd:00:00:01\""),
	SAME(NET_ENI, "mac", "null"),
	REFUSED(NET_ENI, "mac", "\"03:00:00:00:00:01\"", "MAC address of one"),
	REFUSED(NET_ENI, "mac", "\"00:00:00:00:00:00\"", "MAC address of one"),
	REFUSED(NET_ENI, "mac", "\"02-00-00-00-00-01\"", "MAC address of one"),
	REFUSED(NET_ENI, "mac", "7", "MAC address of one"),
	BECOMES(NET_ENI, "addresses", "[\"10.0.0.5\", \"FD00::5\"]", "[\"10.0.0.5\", \"fd00::5\"]"),
	SAME(NET_ENI, "addresses", "null"),
	REFUSED(NET_ENI, "addresses", "[]", "list of 1 to 16"),
	REFUSED(NET_ENI, "addresses", "[\"10.0.0.5/24\"]", "\"addresses[0]\" must be the address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"0.0.0.0\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"224.0.0.1\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"127.0.0.1\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"255.255.255.255\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"::\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"ff02::1\"]", "address of one machine"),
	REFUSED(NET_ENI, "addresses", "[\"10.0.0.5\", \"10.0.0.5\"]", "\"addresses[1]\" is there twice"),
	SAME(NET_ENI, "security_groups", "[\"a\", \"b\"]"),
	SAME(NET_ENI, "security_groups", "[]"),
	REFUSED(NET_ENI, "security_groups", "[\"a\", \"a\"]", "is there twice"),
	REFUSED(NET_ENI, "security_groups", "[\"a b\"]", "\"security_groups[0]\" must be a name"),
	REFUSED(NET_ENI, "security_groups",
		"[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\"]",
		"list of 0 to 16"),
	SAME(NET_ENI, "host", "\"h\""),
	SAME(NET_ENI, "source_dest_check", "false"),
	SAME(NET_ENI, "bandwidth_in", "1000"),
	REFUSED(NET_ENI, "bandwidth_in", "999", "from 1000 to 1000000000000"),
	SAME(NET_ENI, "bandwidth_out", "1000000000000"),
	REFUSED(NET_ENI, "bandwidth_out", "1000000000001", "from 1000 to 1000000000000"),
	SAME(NET_ENI, "packets_per_s", "1"),
	REFUSED(NET_ENI, "packets_per_s", "0", "from 1 to 1000000000"),
	SAME(NET_ENI, "flows_max", "1"),
	REFUSED(NET_ENI, "flows_max", "-1", "from 1 to"),
	SAME(NET_ENI, "new_flows_per_s", "1"),
	REFUSED(NET_ENI, "new_flows_per_s", "0", "from 1 to"),
	SAME(NET_ENI, "tcp_established_s", "432000"),
	REFUSED(NET_ENI, "tcp_established_s", "432001", "from 1 to 432000"),
	SAME(NET_ENI, "udp_s", "30"),
	REFUSED(NET_ENI, "udp_s", "0", "from 1 to 432000"),
	SAME(NET_ENI, "udp_stream_s", "180"),
	REFUSED(NET_ENI, "udp_stream_s", "0", "from 1 to 432000"),
	SAME(NET_ENI, "other_s", "600"),
	REFUSED(NET_ENI, "other_s", "0", "from 1 to 432000"),
	SAME(NET_ENI, "tags", "{}"),
	/* nat */
	SAME(NET_NAT, "address", "\"10.0.0.9\""),
	REFUSED(NET_NAT, "address", "\"fd00::9\"", "must be an IPv4 address"),
	SAME(NET_NAT, "mac", "\"02:00:00:00:00:01\""),
	REFUSED(NET_NAT, "mac", "\"01:00:00:00:00:01\"", "MAC address of one"),
	SAME(NET_NAT, "host", "\"h\""),
	/* eip */
	SAME(NET_EIP, "address", "\"2001:db8::1\""),
	REFUSED(NET_EIP, "address", "null", "address of one machine"),
	SAME(NET_EIP, "eni", "\"e\""),
	SAME(NET_EIP, "nat", "\"n\""),
	REFUSED(NET_EIP, "private_address", "\"10.0.0.5\"", "belongs to \"eni\""),
	/* host */
	SAME(NET_HOST, "address", "\"fd00::1\""),
	REFUSED(NET_HOST, "address", "\"h1.example\"", "address of one machine"),
	/* peering */
	REFUSED(NET_PEERING, "peer_vpc", "\"v\"", "another VPC"),
};

static void check_value(const struct value *v)
{
	json_t *object = parse(least[v->kind]), *taken;
	struct failure failure = {0};
	int rc;

	json_object_set_new(object, v->field, parse(v->given));
	rc = net_kind_check(v->kind, object, NET_WHOLE, &failure);
	if (v->taken == NULL) {
		if (rc != -EINVAL || strstr(failure.message, v->says) == NULL)
			fail_msg("%s %s = %s: \"%s\" does not say \"%s\"", net_kinds[v->kind].word, v->field, v->given,
				 failure.message, v->says);
	} else {
		taken = parse(v->taken);
		if (rc != 0 || !json_equal(json_object_get(object, v->field), taken))
			fail_msg("%s %s = %s: %s", net_kinds[v->kind].word, v->field, v->given, failure.message);
		json_decref(taken);
	}
	json_decref(object);
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		check_value(&values[i]);
}

/* No field of any kind is without a value above that is taken, and one that is refused (but for those that only hold names). */
static void test_values_are_complete(void **state)
{
	(void)state;
	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		for (const struct net_field *f = net_kinds[kind].fields; f->name != NULL; f++) {
			bool seen = strcmp(f->name, "name") == 0 || f->type == NET_ITEMS || (f->flags & NET_REQUIRED) != 0;

			for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
				seen |= values[i].kind == (enum net_kind)kind && strcmp(values[i].field, f->name) == 0;
			if (!seen)
				fail_msg("field %s of %s is not tested", f->name, net_kinds[kind].word);
		}
}

/* What is left out: required fields are missed, others have their defaults, which are taken when they are given. */
static void test_least(void **state)
{
	(void)state;
	for (int kind = 0; kind < NET_KIND_COUNT; kind++) {
		json_t *object = parse(least[kind]), *again, *bare = parse(least[kind]);
		struct failure failure = {0};
		const char *name;
		json_t *value;

		assert_int_equal(net_kind_check((enum net_kind)kind, object, NET_WHOLE, &failure), 0);
		for (const struct net_field *f = net_kinds[kind].fields; f->name != NULL; f++)
			assert_non_null(json_object_get(object, f->name));
		again = json_deep_copy(object);
		assert_int_equal(net_kind_check((enum net_kind)kind, again, NET_WHOLE, &failure), 0);
		assert_true(json_equal(object, again));
		json_object_foreach (bare, name, value) {
			json_t *without = parse(least[kind]);
			char says[64];

			json_object_del(without, name);
			assert_int_equal(net_kind_check((enum net_kind)kind, without, NET_WHOLE, &failure), -EINVAL);
			assert_int_equal(failure.code, ERROR_MISSING_FIELD);
			snprintf(says, sizeof(says), "Field \"%s\" is missing.", name);
			assert_string_equal(failure.message, says);
			json_decref(without);
		}
		json_object_set_new(bare, "no-such", json_true());
		assert_int_equal(net_kind_check((enum net_kind)kind, bare, NET_WHOLE, &failure), -EINVAL);
		assert_int_equal(failure.code, ERROR_UNKNOWN_FIELD);
		json_decref(again);
		json_decref(object);
		json_decref(bare);
	}
}

/* ---- rules and routes ---- */

struct item {
	enum net_kind kind;
	const char *given, *taken, *says;
};

static const struct item items[] = {
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"80\", \"cidr\": \"0.0.0.0/0\"}", NULL, NULL},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": 6, \"ports\": 80, \"cidr\": \"::/0\"}",
	 "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"80\", \"cidr\": \"::/0\"}", NULL},
	{NET_GROUP,
	 "{\"direction\": \"egress\", \"protocol\": \"17\", \"ports\": \"080-80\", \"group\": \"g\", \"icmp_type\": null}",
	 "{\"direction\": \"egress\", \"protocol\": \"udp\", \"ports\": \"80\", \"group\": \"g\"}", NULL},
	{NET_GROUP, "{\"direction\": \"egress\", \"protocol\": \"47\", \"cidr\": \"10.0.0.0/8\", \"description\": \"gre\"}",
	 "{\"direction\": \"egress\", \"protocol\": 47, \"cidr\": \"10.0.0.0/8\", \"description\": \"gre\"}", NULL},
	{NET_GROUP,
	 "{\"direction\": \"ingress\", \"protocol\": \"icmp\", \"icmp_type\": 8, \"icmp_code\": 0, \"cidr\": \"10.0.0.0/8\"}", NULL,
	 NULL},
	{NET_GROUP, "{\"direction\": \"both\", \"protocol\": \"tcp\", \"cidr\": \"::/0\"}", NULL,
	 "\"rules[0].direction\" must be one of \"ingress\", \"egress\""},
	{NET_GROUP, "{\"protocol\": \"tcp\", \"cidr\": \"::/0\"}", NULL, "\"rules[0].direction\" is missing"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"cidr\": \"::/0\"}", NULL, "\"rules[0].protocol\" is missing"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"gre\", \"cidr\": \"::/0\"}", NULL,
	 "\"rules[0].protocol\" must be"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": 256, \"cidr\": \"::/0\"}", NULL, "0 to 255"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"256\", \"cidr\": \"::/0\"}", NULL, "0 to 255"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"65536\", \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"90-80\", \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"80-\", \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"\", \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": \"8 0\", \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"ports\": -1, \"cidr\": \"::/0\"}", NULL,
	 "must be a port"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"all\", \"ports\": \"80\", \"cidr\": \"::/0\"}", NULL,
	 "\"rules[0]\" has \"ports\", which only"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"icmp_type\": 8, \"cidr\": \"::/0\"}", NULL,
	 "which only \"icmp\""},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"icmp\", \"cidr\": \"::/0\"}", NULL, "IPv6 has \"icmpv6\""},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"icmpv6\", \"cidr\": \"0.0.0.0/0\"}", NULL, "\"icmp\" is IPv4's"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"icmp\", \"icmp_code\": 0, \"cidr\": \"::/0\"}", NULL,
	 "without \"icmp_type\""},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"icmp\", \"icmp_type\": 256, \"cidr\": \"::/0\"}", NULL,
	 "from 0 to 255"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\"}", NULL, "either \"cidr\" or \"group\""},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"cidr\": \"::/0\", \"group\": \"g\"}", NULL,
	 "either \"cidr\" or \"group\""},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"cidr\": \"::1/0\"}", NULL,
	 "\"rules[0].cidr\" must be a block"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"group\": \"\"}", NULL,
	 "\"rules[0].group\" must be a name"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"cidr\": \"::/0\", \"description\": \"a\\nb\"}", NULL,
	 "on one line"},
	{NET_GROUP, "{\"direction\": \"ingress\", \"protocol\": \"tcp\", \"cidr\": \"::/0\", \"number\": 5}", NULL,
	 "\"rules[0].number\" is not known"},
	{NET_ACL,
	 "{\"number\": 100, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": \"all\", \"cidr\": \"0.0.0.0/0\"}",
	 NULL, NULL},
	{NET_ACL,
	 "{\"number\": 0, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": \"all\", \"cidr\": \"0.0.0.0/0\"}", NULL,
	 "from 1 to 32766"},
	{NET_ACL,
	 "{\"number\": 32767, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": \"all\", \"cidr\": \"0.0.0.0/0\"}",
	 NULL, "from 1 to 32766"},
	{NET_ACL,
	 "{\"number\": 1, \"direction\": \"ingress\", \"action\": \"drop\", \"protocol\": \"all\", \"cidr\": \"0.0.0.0/0\"}", NULL,
	 "one of \"allow\", \"deny\""},
	{NET_ACL, "{\"number\": 1, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": \"all\"}", NULL,
	 "\"rules[0].cidr\" is missing"},
	{NET_ACL, "{\"number\": 1, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": \"all\", \"group\": \"g\"}",
	 NULL, "\"rules[0].group\" is not known"},
	{NET_ACL,
	 "{\"number\": 1, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": 58, \"ports\": 1, \"cidr\": \"::/0\"}",
	 NULL, "which only"},
	{NET_ROUTE_TABLE, "{\"destination\": \"0.0.0.0/0\", \"target\": \"internet\"}", NULL, NULL},
	{NET_ROUTE_TABLE, "{\"destination\": \"FD00::/8\", \"target\": \"nat:n\"}",
	 "{\"destination\": \"fd00::/8\", \"target\": \"nat:n\"}", NULL},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"peering:p\"}", NULL, NULL},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"eni:e\"}", NULL, NULL},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"blackhole\"}", NULL, NULL},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"local\"}", NULL,
	 "\"routes[0].target\" must be \"internet\""},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"nat:\"}", NULL, "\"routes[0].target\" must be"},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": \"vpc:v\"}", NULL, "\"routes[0].target\" must be"},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.0/8\", \"target\": 1}", NULL, "\"routes[0].target\" must be"},
	{NET_ROUTE_TABLE, "{\"destination\": \"10.0.0.1/8\", \"target\": \"internet\"}", NULL, "must be a block"},
	{NET_ROUTE_TABLE, "{\"target\": \"internet\"}", NULL, "\"routes[0].destination\" is missing"},
};

static void check_item(const struct item *i)
{
	json_t *object = parse(least[i->kind]), *taken = parse(i->taken != NULL ? i->taken : i->given);
	struct failure failure = {0};
	int rc;

	json_object_set_new(object, net_kinds[i->kind].items, json_pack("[o]", parse(i->given)));
	rc = net_kind_check(i->kind, object, NET_WHOLE, &failure);
	if (i->says != NULL && (rc != -EINVAL || strstr(failure.message, i->says) == NULL))
		fail_msg("%s: \"%s\" does not say \"%s\"", i->given, failure.message, i->says);
	if (i->says == NULL &&
	    (rc != 0 || !json_equal(json_array_get(json_object_get(object, net_kinds[i->kind].items), 0), taken)))
		fail_msg("%s: %s", i->given, failure.message);
	json_decref(taken);
	json_decref(object);
}

static void test_items(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		check_item(&items[i]);
}

static void refused_list(enum net_kind kind, const char *list, const char *says)
{
	json_t *object = parse(least[kind]);
	struct failure failure = {0};

	json_object_set_new(object, net_kinds[kind].items, parse(list));
	assert_int_equal(net_kind_check(kind, object, NET_WHOLE, &failure), -EINVAL);
	if (strstr(failure.message, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", failure.message, says);
	json_decref(object);
}

static void test_twice(void **state)
{
	(void)state;
	refused_list(NET_GROUP,
		     "[{\"direction\": \"ingress\", \"protocol\": 6, \"cidr\": \"::/0\", \"description\": \"a\"},"
		     " {\"direction\": \"egress\", \"protocol\": 6, \"cidr\": \"::/0\"},"
		     " {\"direction\": \"ingress\", \"protocol\": \"tcp\", \"cidr\": \"::/0\", \"description\": \"b\"}]",
		     "\"rules[2]\" is the same as rules[0]");
	refused_list(
		NET_ACL,
		"[{\"number\": 1, \"direction\": \"ingress\", \"action\": \"allow\", \"protocol\": \"all\", \"cidr\": \"::/0\"},"
		" {\"number\": 1, \"direction\": \"ingress\", \"action\": \"deny\", \"protocol\": 7, \"cidr\": \"0.0.0.0/0\"}]",
		"\"rules[1]\" is the same as rules[0]");
	refused_list(
		NET_ROUTE_TABLE,
		"[{\"destination\": \"::/0\", \"target\": \"internet\"}, {\"destination\": \"::/0\", \"target\": \"blackhole\"}]",
		"\"routes[1]\" is the same as routes[0]");
}

/* A group without egress rules lets everything out, also when it is full. */
static void test_egress(void **state)
{
	json_t *group = parse(least[NET_GROUP]), *rules = json_array(), *without = parse(least[NET_GROUP]);
	struct failure failure = {0};
	char cidr[32];

	(void)state;
	assert_int_equal(net_kind_check(NET_GROUP, group, NET_WHOLE, &failure), 0);
	assert_int_equal(json_array_size(json_object_get(group, "rules")), 2);
	json_decref(group);
	for (int i = 0; i < NET_RULES_MAX - 1; i++) {
		snprintf(cidr, sizeof(cidr), "10.%d.%d.0/24", i / 256, i % 256);
		json_array_append_new(rules, json_pack("{s:s,s:s,s:s}", "direction", "ingress", "protocol", "all", "cidr", cidr));
	}
	json_object_set(without, "rules", rules);
	assert_int_equal(net_kind_check(NET_GROUP, without, NET_WHOLE, &failure), -EINVAL);
	assert_int_equal(failure.code, ERROR_LIMIT_REACHED);
	json_decref(without);
	while (json_array_size(rules) >= NET_RULES_MAX)
		json_array_remove(rules, NET_RULES_MAX - 1);
	json_array_append_new(rules, json_pack("{s:s,s:s,s:s}", "direction", "egress", "protocol", "all", "cidr", "::/0"));
	group = json_pack("{s:s,s:s,s:O}", "name", "g", "vpc", "v", "rules", rules);
	assert_int_equal(net_kind_check(NET_GROUP, group, NET_WHOLE, &failure), 0);
	assert_int_equal(json_array_size(rules), NET_RULES_MAX);
	json_array_append_new(rules, json_pack("{s:s,s:s,s:s}", "direction", "egress", "protocol", "all", "cidr", "0.0.0.0/0"));
	assert_int_equal(net_kind_check(NET_GROUP, group, NET_WHOLE, &failure), -EINVAL);
	json_decref(group);
	json_decref(rules);
}

/* ---- changes ---- */

static void test_part(void **state)
{
	json_t *body = parse("{\"mtu\": null, \"flow_log\": {}}");
	struct failure failure = {0};

	(void)state;
	assert_int_equal(net_kind_check(NET_VPC, body, NET_PART, &failure), 0);
	assert_int_equal(json_object_size(body), 2); /* no defaults */
	assert_int_equal(json_integer_value(json_object_get(json_object_get(body, "flow_log"), "interval_s")), 600);
	json_decref(body);
	body = parse("{\"name\": \"w\"}");
	assert_int_equal(net_kind_check(NET_VPC, body, NET_PART, &failure), -EINVAL);
	assert_int_equal(failure.code, ERROR_UNKNOWN_FIELD);
	json_decref(body);
	body = parse("{\"cidrs\": null}");
	assert_int_equal(net_kind_check(NET_VPC, body, NET_PART, &failure), -EINVAL);
	json_decref(body);
}

static void test_eip_points_at_one(void **state)
{
	json_t *eip = parse("{\"name\": \"n\", \"address\": \"198.51.100.1\", \"eni\": \"e\", \"nat\": \"n\"}");
	struct failure failure = {0};

	(void)state;
	assert_int_equal(net_kind_check(NET_EIP, eip, NET_WHOLE, &failure), -EINVAL);
	assert_non_null(strstr(failure.message, "exclude each other"));
	json_decref(eip);
	eip = parse("{\"name\": \"n\", \"address\": \"198.51.100.1\", \"eni\": \"e\", \"private_address\": \"10.0.0.5\"}");
	assert_int_equal(net_kind_check(NET_EIP, eip, NET_WHOLE, &failure), 0);
	json_decref(eip);
}

/* A file's objects are told by their lists. */
static void test_load(void **state)
{
	json_t *body = parse("{\"vpcs\": [{\"name\": \"v\", \"cidrs\": [\"10.0.0.0/16\"]}], \"enis\": []}");
	struct failure failure = {0};

	(void)state;
	assert_int_equal(net_fields_check(net_load_fields, body, NET_WHOLE, NULL, &failure), 0);
	assert_true(json_is_false(json_object_get(body, "replace")));
	json_decref(body);
	body = parse(
		"{\"vpcs\": [{\"name\": \"v\", \"cidrs\": [\"10.0.0.0/16\"]}, {\"name\": \"v\", \"cidrs\": [\"10.0.0.0/16\"]}]}");
	assert_int_equal(net_fields_check(net_load_fields, body, NET_WHOLE, NULL, &failure), -EINVAL);
	assert_non_null(strstr(failure.message, "\"vpcs[1]\" is the same as vpcs[0]"));
	json_decref(body);
	body = parse("{\"security_groups\": [{\"name\": \"g\", \"vpc\": \"v\", \"rules\": [{\"direction\": \"in\"}]}]}");
	assert_int_equal(net_fields_check(net_load_fields, body, NET_WHOLE, NULL, &failure), -EINVAL);
	assert_non_null(strstr(failure.message, "\"security_groups[0].rules[0].direction\" must be one of"));
	json_decref(body);
	for (int kind = 0; kind < NET_KIND_COUNT; kind++) {
		const struct net_field *list = net_field_find(net_load_fields, net_kinds[kind].list);

		assert_non_null(list);
		assert_ptr_equal(list->fields, net_kinds[kind].fields);
	}
}

/* ---- for the card ---- */

struct names {
	struct net_resolver resolver;
	char last[64];
};

static int resolve(struct net_resolver *resolver, const struct net_field *field, enum net_kind kind, const char *name,
		   struct uuid *id)
{
	struct names *names = container_of(resolver, struct names, resolver);

	(void)field;
	if (strcmp(name, "nobody") == 0)
		return failure_set(resolver->failure, ERROR_OBJECT_NOT_FOUND, "no");
	snprintf(names->last, sizeof(names->last), "%s %s", net_kinds[kind].word, name);
	*id = (struct uuid){{(uint8_t)kind, (uint8_t)name[0]}};
	return 0;
}

static void for_card(enum net_kind kind, const char *given, const char *said)
{
	struct failure failure = {0};
	struct names names = {{resolve, &failure}, ""};
	json_t *object = parse(given), *out, *wanted = parse(said);

	assert_int_equal(net_kind_check(kind, object, NET_WHOLE, &failure), 0);
	out = net_fields_for_card(net_kinds[kind].fields, object, &names.resolver);
	if (!json_equal(out, wanted))
		fail_msg("%s", json_dumps(out, 0));
	json_decref(out);
	json_decref(object);
	json_decref(wanted);
}

static void test_for_card(void **state)
{
	(void)state;
	for_card(NET_VPC, "{\"name\": \"v\", \"cidrs\": [\"10.0.0.0/8\"], \"tags\": {\"a\": \"b\"}}",
		 "{\"name\": \"v\", \"cidrs\": [\"10.0.0.0/8\"], \"encapsulation\": \"vxlan\"}");
	for_card(NET_ENI, "{\"name\": \"e\", \"subnet\": \"s\", \"security_groups\": [\"a\", \"b\"], \"bandwidth_in\": 5000}",
		 "{\"name\": \"e\", \"subnet\": \"05730000-0000-0000-0000-000000000000\", \"security_groups\":"
		 " [\"02610000-0000-0000-0000-000000000000\", \"02620000-0000-0000-0000-000000000000\"], \"source_dest_check\": "
		 "true,"
		 " \"bandwidth_in\": 5000}");
	for_card(
		NET_ROUTE_TABLE,
		"{\"name\": \"r\", \"vpc\": \"v\", \"routes\": [{\"destination\": \"0.0.0.0/0\", \"target\": \"nat:n\"},"
		" {\"destination\": \"::/0\", \"target\": \"internet\"}]}",
		"{\"name\": \"r\", \"vpc\": \"01760000-0000-0000-0000-000000000000\", \"routes\": [{\"destination\": \"0.0.0.0/0\","
		" \"target\": \"nat\", \"id\": \"086e0000-0000-0000-0000-000000000000\"}, {\"destination\": \"::/0\", \"target\":"
		" \"internet\"}]}");
	for_card(
		NET_GROUP,
		"{\"name\": \"g\", \"vpc\": \"v\", \"rules\": [{\"direction\": \"egress\", \"protocol\": \"all\", \"group\": \"h\","
		" \"description\": \"x\"}]}",
		"{\"name\": \"g\", \"vpc\": \"01760000-0000-0000-0000-000000000000\", \"grandfather\": false, \"rules\": "
		"[{\"direction\":"
		" \"egress\", \"protocol\": \"all\", \"group\": \"02680000-0000-0000-0000-000000000000\"}]}");
}

static void test_nobody(void **state)
{
	static const struct {
		enum net_kind kind;
		const char *text;
	} objects[] = {
		{NET_SUBNET, "{\"name\": \"n\", \"vpc\": \"nobody\", \"cidr\": \"10.0.0.0/24\"}"},
		{NET_ENI, "{\"name\": \"n\", \"subnet\": \"s\", \"security_groups\": [\"a\", \"nobody\"]}"},
		{NET_GROUP,
		 "{\"name\": \"n\", \"vpc\": \"v\", \"rules\": [{\"direction\": \"egress\", \"protocol\": \"all\", \"group\": "
		 "\"nobody\"}]}"},
		{NET_ROUTE_TABLE,
		 "{\"name\": \"n\", \"vpc\": \"v\", \"routes\": [{\"destination\": \"::/0\", \"target\": \"eni:nobody\"}]}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		struct failure failure = {0};
		struct names names = {{resolve, &failure}, ""};
		json_t *object = parse(objects[i].text);

		assert_int_equal(net_kind_check(objects[i].kind, object, NET_WHOLE, &failure), 0);
		assert_null(net_fields_for_card(net_kinds[objects[i].kind].fields, object, &names.resolver));
		assert_int_equal(failure.code, ERROR_OBJECT_NOT_FOUND);
		json_decref(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_values_are_complete),
		cmocka_unit_test(test_least),  cmocka_unit_test(test_items),
		cmocka_unit_test(test_twice),  cmocka_unit_test(test_egress),
		cmocka_unit_test(test_part),   cmocka_unit_test(test_eip_points_at_one),
		cmocka_unit_test(test_load),   cmocka_unit_test(test_for_card),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
