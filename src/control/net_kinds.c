#include "control/net_kinds.h"

#include <errno.h>
#include <string.h>

#include "base/net_address.h"
#include "control/net_values.h"

#define BITS_MAX      1000000000000 /* a second: 1 Tbit/s */
#define PACKETS_MAX   1000000000
#define TIMEOUT_MAX_S 432000 /* five days, as AWS */

static const char *const encapsulations[] = {"vxlan", "geneve", NULL};
static const char *const traffics[] = {"all", "accept", "reject", NULL};
static const char *const directions[] = {"ingress", "egress", NULL};
static const char *const actions[] = {"allow", "deny", NULL};

/* ---- rules ---- */

static bool is_text(const json_t *object, const char *field, const char *text)
{
	const char *value = json_string_value(json_object_get(object, field));

	return value != NULL && strcmp(value, text) == 0;
}

static bool has(const json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);

	return value != NULL && !json_is_null(value);
}

static bool is_of_other_family(const json_t *rule)
{
	const char *cidr = json_string_value(json_object_get(rule, "cidr"));
	bool v6 = cidr != NULL && strchr(cidr, ':') != NULL;

	return cidr != NULL && (v6 ? is_text(rule, "protocol", "icmp") : is_text(rule, "protocol", "icmpv6"));
}

/* What both kinds of rules have in common: ports and ICMP types belong to the protocols that have them. */
static int check_rule(const json_t *rule, const struct net_where *where, struct failure *failure)
{
	bool ports = is_text(rule, "protocol", "tcp") || is_text(rule, "protocol", "udp");
	bool icmp = is_text(rule, "protocol", "icmp") || is_text(rule, "protocol", "icmpv6");

	if (has(rule, "ports") && !ports)
		return net_refuse(where, failure, "has \"ports\", which only \"tcp\" and \"udp\" have");
	if ((has(rule, "icmp_type") || has(rule, "icmp_code")) && !icmp)
		return net_refuse(where, failure, "has \"icmp_type\" or \"icmp_code\", which only \"icmp\" and \"icmpv6\" have");
	if (has(rule, "icmp_code") && !has(rule, "icmp_type"))
		return net_refuse(where, failure, "has \"icmp_code\" without \"icmp_type\"");
	if (is_of_other_family(rule))
		return net_refuse(where, failure, "can match nothing: \"icmp\" is IPv4's, and IPv6 has \"icmpv6\"");
	return 0;
}

static int check_group_rule(const json_t *rule, const struct net_where *where, struct failure *failure)
{
	if (has(rule, "cidr") == has(rule, "group"))
		return net_refuse(where, failure, "must have either \"cidr\" or \"group\": who the other side is");
	return check_rule(rule, where, failure);
}

/* Shared by rules of security groups and of ACLs. */
#define RULE_MATCH(key)                                                                                                            \
	{.name = "protocol", .type = NET_PROTOCOL, .flags = NET_REQUIRED | (key)},                                                 \
		{.name = "ports", .type = NET_PORTS, .flags = NET_OMIT | (key)},                                                   \
		{.name = "icmp_type", .type = NET_INTEGER, .flags = NET_OMIT | (key), .max = 255},                                 \
	{                                                                                                                          \
		.name = "icmp_code", .type = NET_INTEGER, .flags = NET_OMIT | (key), .max = 255                                    \
	}

static const struct net_field group_rule_fields[] = {
	{.name = "direction", .type = NET_CHOICE, .flags = NET_REQUIRED | NET_KEY, .choices = directions},
	RULE_MATCH(NET_KEY),
	{.name = "cidr", .type = NET_CIDR, .flags = NET_OMIT | NET_KEY},
	{.name = "group", .type = NET_REFERENCE, .flags = NET_OMIT | NET_KEY, .kind = NET_GROUP},
	{.name = "description", .type = NET_TEXT, .flags = NET_OMIT | NET_PRIVATE, .max = 255},
	{0},
};

static const struct net_field acl_rule_fields[] = {
	{.name = "number", .type = NET_INTEGER, .flags = NET_REQUIRED | NET_KEY, .min = 1, .max = 32766},
	{.name = "direction", .type = NET_CHOICE, .flags = NET_REQUIRED | NET_KEY, .choices = directions},
	{.name = "action", .type = NET_CHOICE, .flags = NET_REQUIRED, .choices = actions},
	RULE_MATCH(0),
	{.name = "cidr", .type = NET_CIDR, .flags = NET_REQUIRED},
	{0},
};

static const struct net_field route_fields[] = {
	{.name = "destination", .type = NET_CIDR, .flags = NET_REQUIRED | NET_KEY},
	{.name = "target", .type = NET_TARGET, .flags = NET_REQUIRED, .kind = NET_KIND_COUNT},
	{0},
};

/* ---- objects: the name first, which changes do not have ---- */

#define NAME                                                                                                                       \
	{                                                                                                                          \
		.name = "name", .type = NET_NAME, .flags = NET_REQUIRED | NET_FIXED | NET_KEY                                      \
	}

static const struct net_field flow_log_fields[] = {
	{.name = "traffic", .type = NET_CHOICE, .choices = traffics, .fallback = "\"all\""},
	{.name = "interval_s", .type = NET_INTEGER, .min = 10, .max = 3600, .fallback = "600"},
	{0},
};

static const struct net_field vpc_fields[] = {
	NAME,
	{.name = "cidrs", .type = NET_CIDRS, .flags = NET_REQUIRED, .min = 1, .max = NET_CIDRS_MAX},
	{.name = "vni", .type = NET_INTEGER, .flags = NET_AUTO | NET_FIXED, .min = 1, .max = NET_VNI_MAX},
	{.name = "encapsulation", .type = NET_CHOICE, .choices = encapsulations, .fallback = "\"vxlan\""},
	{.name = "mtu", .type = NET_INTEGER, .flags = NET_NULL, .min = 1280, .max = 9216},
	{.name = "domain", .type = NET_DOMAIN, .flags = NET_NULL},
	{.name = "flow_log", .type = NET_OBJECT, .flags = NET_NULL, .fields = flow_log_fields},
	{.name = "tags", .type = NET_TAGS, .flags = NET_PRIVATE, .fallback = "{}"},
	{0},
};

static const struct net_field subnet_fields[] = {
	NAME,
	{.name = "vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{.name = "cidr", .type = NET_CIDR4, .flags = NET_REQUIRED | NET_FIXED, .min = 8, .max = 29},
	{.name = "cidr6", .type = NET_CIDR6, .flags = NET_NULL, .min = 16, .max = 124},
	{.name = "route_table", .type = NET_REFERENCE, .flags = NET_NULL | NET_SAME_VPC, .kind = NET_ROUTE_TABLE},
	{.name = "acl", .type = NET_REFERENCE, .flags = NET_NULL | NET_SAME_VPC, .kind = NET_ACL},
	{0},
};

static const struct net_field group_fields[] = {
	NAME,
	{.name = "vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{.name = "grandfather", .type = NET_BOOL, .fallback = "false"},
	{.name = "rules",
	 .type = NET_ITEMS,
	 .max = NET_RULES_MAX,
	 .fields = group_rule_fields,
	 .check = check_group_rule,
	 .fallback = "[]"},
	{0},
};

static const struct net_field acl_fields[] = {
	NAME,
	{.name = "vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{.name = "rules",
	 .type = NET_ITEMS,
	 .max = NET_RULES_MAX,
	 .fields = acl_rule_fields,
	 .check = check_rule,
	 .fallback = "[]"},
	{0},
};

static const struct net_field route_table_fields[] = {
	NAME,
	{.name = "vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{.name = "routes", .type = NET_ITEMS, .max = NET_ROUTES_MAX, .fields = route_fields, .fallback = "[]"},
	{0},
};

static const struct net_field peering_fields[] = {
	NAME,
	{.name = "vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{.name = "peer_vpc", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_VPC},
	{0},
};

static const struct net_field eni_fields[] = {
	NAME,
	{.name = "subnet", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_SUBNET},
	{.name = "mac", .type = NET_MAC, .flags = NET_AUTO | NET_FIXED},
	{.name = "addresses", .type = NET_ADDRESSES, .flags = NET_AUTO, .min = 1, .max = NET_ADDRESSES_MAX},
	{.name = "security_groups",
	 .type = NET_REFERENCES,
	 .flags = NET_SAME_VPC,
	 .kind = NET_GROUP,
	 .max = NET_GROUPS_MAX,
	 .fallback = "[]"},
	{.name = "host", .type = NET_REFERENCE, .flags = NET_NULL, .kind = NET_HOST},
	{.name = "source_dest_check", .type = NET_BOOL, .fallback = "true"},
	{.name = "bandwidth_in", .type = NET_INTEGER, .flags = NET_NULL, .min = 1000, .max = BITS_MAX},
	{.name = "bandwidth_out", .type = NET_INTEGER, .flags = NET_NULL, .min = 1000, .max = BITS_MAX},
	{.name = "packets_per_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = PACKETS_MAX},
	{.name = "flows_max", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = PACKETS_MAX},
	{.name = "new_flows_per_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = PACKETS_MAX},
	{.name = "tcp_established_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = TIMEOUT_MAX_S},
	{.name = "udp_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = TIMEOUT_MAX_S},
	{.name = "udp_stream_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = TIMEOUT_MAX_S},
	{.name = "other_s", .type = NET_INTEGER, .flags = NET_NULL, .min = 1, .max = TIMEOUT_MAX_S},
	{.name = "tags", .type = NET_TAGS, .flags = NET_PRIVATE, .fallback = "{}"},
	{0},
};

static const struct net_field nat_fields[] = {
	NAME,
	{.name = "subnet", .type = NET_REFERENCE, .flags = NET_REQUIRED | NET_FIXED, .kind = NET_SUBNET},
	{.name = "address", .type = NET_ADDRESS, .flags = NET_AUTO | NET_FIXED},
	{.name = "mac", .type = NET_MAC, .flags = NET_AUTO | NET_FIXED},
	{.name = "host", .type = NET_REFERENCE, .flags = NET_NULL, .kind = NET_HOST},
	{0},
};

static const struct net_field eip_fields[] = {
	NAME,
	{.name = "address", .type = NET_ADDRESS, .flags = NET_REQUIRED | NET_FIXED},
	{.name = "eni", .type = NET_REFERENCE, .flags = NET_NULL, .kind = NET_ENI},
	{.name = "nat", .type = NET_REFERENCE, .flags = NET_NULL, .kind = NET_NAT},
	{.name = "private_address", .type = NET_ADDRESS, .flags = NET_NULL},
	{0},
};

static const struct net_field host_fields[] = {
	NAME,
	{.name = "address", .type = NET_ADDRESS, .flags = NET_REQUIRED},
	{0},
};

/* ---- fields against each other ---- */

static int check_vpc(const json_t *vpc, struct failure *failure)
{
	const json_t *cidrs = json_object_get(vpc, "cidrs");

	for (size_t i = 0; i < json_array_size(cidrs); i++)
		for (size_t j = 0; j < i; j++) {
			const char *a = json_string_value(json_array_get(cidrs, j)),
				   *b = json_string_value(json_array_get(cidrs, i));
			struct net_prefix p, q;

			net_prefix_parse(a, &p);
			net_prefix_parse(b, &q);
			if (net_prefix_contains(&p, &q.address) || net_prefix_contains(&q, &p.address))
				return failure_set(failure, ERROR_INVALID_FIELD, "Field \"cidrs\" has %s and %s, which overlap.", a,
						   b);
		}
	return 0;
}

static int check_peering(const json_t *peering, struct failure *failure)
{
	const char *vpc = json_string_value(json_object_get(peering, "vpc"));

	if (!is_text(peering, "peer_vpc", vpc))
		return 0;
	return failure_set(failure, ERROR_INVALID_FIELD, "Field \"peer_vpc\" must be another VPC than \"vpc\".");
}

static int check_nat(const json_t *nat, struct failure *failure)
{
	const char *text = json_string_value(json_object_get(nat, "address"));
	struct net_address address;

	if (text == NULL || (net_address_parse(text, &address) == 0 && net_address_is_v4(&address)))
		return 0;
	return failure_set(failure, ERROR_INVALID_FIELD,
			   "Field \"address\" must be an IPv4 address: a NAT gateway translates IPv4.");
}

static int check_eip(const json_t *eip, struct failure *failure)
{
	if (has(eip, "eni") && has(eip, "nat"))
		return failure_set(
			failure, ERROR_INVALID_FIELD,
			"Fields \"eni\" and \"nat\" exclude each other: an elastic IP points at one of them, or at none.");
	if (has(eip, "private_address") && !has(eip, "eni"))
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"private_address\" belongs to \"eni\": it is one of the addresses of that ENI.");
	return 0;
}

/* Like AWS: a new group lets everything out. */
static void allow_egress(json_t *group)
{
	static const char *const everywhere[] = {"0.0.0.0/0", "::/0"};
	json_t *rules = json_object_get(group, "rules"), *rule;
	size_t at;

	json_array_foreach (rules, at, rule)
		if (is_text(rule, "direction", "egress"))
			return;
	for (int i = 0; i < 2; i++)
		json_array_append_new(rules,
				      json_pack("{s:s,s:s,s:s}", "direction", "egress", "protocol", "all", "cidr", everywhere[i]));
}

const struct net_kind_description net_kinds[NET_KIND_COUNT] = {
	[NET_HOST] = {"host", "Host", "hosts", NULL, NULL, host_fields, NULL},
	[NET_VPC] = {"vpc", "VPC", "vpcs", NULL, NULL, vpc_fields, check_vpc},
	[NET_GROUP] = {"security-group", "Security group", "security_groups", "rules", "rule_count", group_fields, NULL},
	[NET_ACL] = {"acl", "ACL", "acls", "rules", "rule_count", acl_fields, NULL},
	[NET_ROUTE_TABLE] = {"route-table", "Route table", "route_tables", "routes", "route_count", route_table_fields, NULL},
	[NET_SUBNET] = {"subnet", "Subnet", "subnets", NULL, NULL, subnet_fields, NULL},
	[NET_PEERING] = {"peering", "Peering", "peerings", NULL, NULL, peering_fields, check_peering},
	[NET_ENI] = {"eni", "ENI", "enis", NULL, NULL, eni_fields, NULL},
	[NET_NAT] = {"nat", "NAT gateway", "nats", NULL, NULL, nat_fields, check_nat},
	[NET_EIP] = {"eip", "Elastic IP", "eips", NULL, NULL, eip_fields, check_eip},
};

/* ---- a file to be loaded: lists of whole objects ---- */

#define LIST(word, table)                                                                                                          \
	{                                                                                                                          \
		.name = word, .type = NET_ITEMS, .flags = NET_OMIT, .max = NET_OBJECTS_MAX, .fields = table                        \
	}

const struct net_field net_load_fields[] = {
	LIST("vpcs", vpc_fields),
	LIST("subnets", subnet_fields),
	LIST("security_groups", group_fields),
	LIST("acls", acl_fields),
	LIST("route_tables", route_table_fields),
	LIST("peerings", peering_fields),
	LIST("hosts", host_fields),
	LIST("enis", eni_fields),
	LIST("nats", nat_fields),
	LIST("eips", eip_fields),
	{.name = "replace", .type = NET_BOOL, .fallback = "false"},
	{0},
};

int net_kind_check_whole(enum net_kind kind, const json_t *object, struct failure *failure)
{
	return net_kinds[kind].check == NULL ? 0 : net_kinds[kind].check(object, failure);
}

int net_kind_complete(enum net_kind kind, json_t *object, struct failure *failure)
{
	if (kind == NET_GROUP)
		allow_egress(object);
	if (kind == NET_GROUP && json_array_size(json_object_get(object, "rules")) > NET_RULES_MAX)
		return failure_set(failure, ERROR_LIMIT_REACHED,
				   "Field \"rules\" must have room for two that let everything out, or for an egress rule of its "
				   "own: at most %d.",
				   NET_RULES_MAX);
	return net_kind_check_whole(kind, object, failure);
}

int net_kind_check(enum net_kind kind, json_t *object, enum net_how how, struct failure *failure)
{
	int rc = net_fields_check(net_kinds[kind].fields + (how == NET_PART), object, how, NULL, failure);

	return rc < 0 || how != NET_WHOLE ? rc : net_kind_complete(kind, object, failure);
}

const struct net_field *net_kind_items(enum net_kind kind)
{
	return net_kinds[kind].items == NULL ? NULL : net_field_find(net_kinds[kind].fields, net_kinds[kind].items);
}
