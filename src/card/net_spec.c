#include "card/net_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "card/net_spec_values.h"
#include "vpc/tunnel.h"

enum { TIMEOUT_S_MAX = INT32_MAX };

int net_kind_parse(const char *word, enum net_kind *out)
{
	for (int kind = 0; word != NULL && kind < NET_KIND_COUNT; kind++)
		if (strcmp(word, net_kind_name(kind)) == 0) {
			*out = kind;
			return 0;
		}
	return -EINVAL;
}

static int parse_host(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "address", NULL};
	int rc = fields_only(f, known);

	return rc < 0 ? rc : value_address(f, "address", &out->host.address);
}

static int parse_flow_log(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"traffic", "interval_s", NULL};
	static const char *const traffics[] = {"all", "accept", "reject", NULL};
	static const enum flow_log_traffic values[] = {FLOW_LOG_ALL, FLOW_LOG_ACCEPT, FLOW_LOG_REJECT};
	struct fields log = value_inside(f, json_object_get(f->object, "flow_log"));
	int rc;

	if (!fields_has(f, "flow_log"))
		return 0;
	if (!json_is_object(log.object))
		return fields_refuse(f, "flow_log", "must be an object");
	rc = fields_only(&log, known);
	if (rc == 0)
		rc = value_choice(&log, "traffic", traffics);
	if (rc < 0)
		return rc;
	out->vpc.log_traffic = (uint8_t)values[rc];
	out->vpc.log_interval_s = 600;
	return value_uint32(&log, "interval_s", false, 1, 86400, &out->vpc.log_interval_s);
}

static int parse_cidrs(const struct fields *f, struct net_spec *out)
{
	const json_t *list, *item;
	size_t i;
	int rc = fields_list(f, "cidrs", NET_CIDRS_MAX, &list);

	if (rc < 0)
		return rc;
	json_array_foreach (list, i, item)
		if (!json_is_string(item) || net_prefix_parse(json_string_value(item), &out->vpc.cidrs[i]) != 0)
			return fields_refuse(f, "cidrs", "must be CIDR blocks, such as 10.0.0.0/16");
	out->vpc.cidr_count = (uint8_t)json_array_size(list);
	return 0;
}

static int parse_vpc(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "cidrs", "vni", "encapsulation", "mtu", "domain", "flow_log", NULL};
	static const char *const tunnels[] = {"vxlan", "geneve", NULL};
	uint32_t mtu = 0;
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = parse_cidrs(f, out);
	if (rc == 0)
		rc = value_uint32(f, "vni", true, 1, (1 << 24) - 1, &out->vpc.vni);
	if (rc == 0)
		rc = value_uint32(f, "mtu", false, 0, UINT16_MAX, &mtu);
	if (rc == 0 && fields_has(f, "domain"))
		rc = fields_text(f, "domain", out->vpc.domain, sizeof(out->vpc.domain));
	if (rc == 0)
		rc = parse_flow_log(f, out);
	if (rc < 0)
		return rc;
	out->vpc.mtu = (uint16_t)mtu;
	rc = fields_has(f, "encapsulation") ? value_choice(f, "encapsulation", tunnels) : 0;
	out->vpc.tunnel = rc == 1 ? TUNNEL_GENEVE : TUNNEL_VXLAN;
	return rc < 0 ? rc : 0;
}

static int parse_subnet(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "vpc", "cidr", "cidr6", "route_table", "acl", NULL};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_uuid(f, "vpc", &out->subnet.vpc);
	if (rc == 0 && fields_has(f, "cidr"))
		rc = value_prefix(f, "cidr", &out->subnet.cidr4);
	if (rc == 0 && fields_has(f, "cidr6"))
		rc = value_prefix(f, "cidr6", &out->subnet.cidr6);
	if (rc == 0)
		rc = value_optional_uuid(f, "acl", &out->subnet.has_acl, &out->subnet.acl);
	return rc < 0 ? rc : value_optional_uuid(f, "route_table", &out->subnet.has_route_table, &out->subnet.route_table);
}

static int parse_peering(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "vpc", "peer_vpc", NULL};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_uuid(f, "vpc", &out->peering.vpc);
	return rc < 0 ? rc : fields_uuid(f, "peer_vpc", &out->peering.peer);
}

static int parse_allowances(const struct fields *f, struct net_spec *out)
{
	struct eni_allowances *a = &out->eni.allowances;
	struct eni_timeouts *t = &out->eni.timeouts;
	const struct {
		const char *field;
		uint64_t *value;
	} rates[] = {{"bandwidth_in", &a->bandwidth_in_bits},
		     {"bandwidth_out", &a->bandwidth_out_bits},
		     {"packets_per_s", &a->packets_per_s},
		     {"flows_max", &a->flows_max},
		     {"new_flows_per_s", &a->new_flows_per_s}};
	const struct {
		const char *field;
		uint32_t *value;
	} times[] = {{"tcp_established_s", &t->tcp_established_s},
		     {"udp_s", &t->udp_s},
		     {"udp_stream_s", &t->udp_stream_s},
		     {"other_s", &t->other_s}};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(rates) / sizeof(rates[0]); i++)
		rc = value_amount(f, rates[i].field, rates[i].value);
	for (size_t i = 0; rc == 0 && i < sizeof(times) / sizeof(times[0]); i++)
		rc = value_uint32(f, times[i].field, false, 0, TIMEOUT_S_MAX, times[i].value);
	return rc;
}

static int parse_eni_lists(const struct fields *f, struct net_spec *out)
{
	const json_t *addresses, *groups, *item;
	size_t i;
	int rc = fields_list(f, "addresses", NET_ADDRESSES_MAX, &addresses);

	if (rc == 0)
		rc = fields_list(f, "security_groups", NET_GROUPS_MAX, &groups);
	if (rc < 0)
		return rc;
	json_array_foreach (addresses, i, item)
		if (!json_is_string(item) || net_address_parse(json_string_value(item), &out->eni.addresses[i]) != 0)
			return fields_refuse(f, "addresses", "must be IPv4 or IPv6 addresses");
	json_array_foreach (groups, i, item)
		if (!json_is_string(item) || uuid_parse(json_string_value(item), &out->eni.groups[i]) != 0)
			return fields_refuse(f, "security_groups", "must be UUIDs");
	out->eni.address_count = (uint8_t)json_array_size(addresses);
	out->eni.group_count = (uint8_t)json_array_size(groups);
	return 0;
}

static int parse_eni(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id",
					    "name",
					    "subnet",
					    "mac",
					    "addresses",
					    "security_groups",
					    "host",
					    "source_dest_check",
					    "bandwidth_in",
					    "bandwidth_out",
					    "packets_per_s",
					    "flows_max",
					    "new_flows_per_s",
					    "tcp_established_s",
					    "udp_s",
					    "udp_stream_s",
					    "other_s",
					    NULL};
	int rc = fields_only(f, known);

	out->eni.source_dest_check = true;
	if (rc == 0)
		rc = fields_uuid(f, "subnet", &out->eni.subnet);
	if (rc == 0)
		rc = value_mac(f, &out->eni.mac);
	if (rc == 0)
		rc = value_optional_uuid(f, "host", &out->eni.remote, &out->eni.host);
	if (rc == 0)
		rc = fields_bool(f, "source_dest_check", &out->eni.source_dest_check);
	if (rc == 0)
		rc = parse_eni_lists(f, out);
	return rc < 0 ? rc : parse_allowances(f, out);
}

static int parse_nat(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "subnet", "address", "mac", "host", NULL};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_uuid(f, "subnet", &out->nat.subnet);
	if (rc == 0)
		rc = value_mac(f, &out->nat.mac);
	if (rc == 0)
		rc = value_address(f, "address", &out->nat.address);
	return rc < 0 ? rc : value_optional_uuid(f, "host", &out->nat.remote, &out->nat.host);
}

static int parse_eip(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "address", "eni", "nat", "private_address", NULL};
	bool eni, nat;
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = value_address(f, "address", &out->eip.address);
	if (rc == 0)
		rc = value_optional_uuid(f, "eni", &eni, &out->eip.id);
	if (rc < 0)
		return rc;
	nat = fields_has(f, "nat");
	if (eni && nat)
		return fields_refuse(f, "nat", "and field \"eni\" exclude each other");
	if (nat && (rc = fields_uuid(f, "nat", &out->eip.id)) < 0)
		return rc;
	out->eip.target = eni ? NET_ENI : nat ? NET_NAT : 0;
	if (!fields_has(f, "private_address"))
		return 0;
	return eni ? value_address(f, "private_address", &out->eip.private_address)
		   : fields_refuse(f, "private_address", "belongs to field \"eni\"");
}

/* ---- all ---- */

static int (*const parsers[NET_KIND_COUNT])(const struct fields *f, struct net_spec *out) = {
	[NET_HOST] = parse_host,
	[NET_VPC] = parse_vpc,
	[NET_GROUP] = net_spec_group,
	[NET_ACL] = net_spec_acl,
	[NET_ROUTE_TABLE] = net_spec_route_table,
	[NET_SUBNET] = parse_subnet,
	[NET_PEERING] = parse_peering,
	[NET_ENI] = parse_eni,
	[NET_NAT] = parse_nat,
	[NET_EIP] = parse_eip,
};

int net_spec_parse(enum net_kind kind, const struct uuid *id, const json_t *object, struct net_spec *out, char *error,
		   size_t error_size)
{
	char said[320] = "must be an object";
	struct fields f = {.object = object, .error = said, .error_size = sizeof(said)};
	int rc = -EINVAL;

	memset(out, 0, sizeof(*out));
	out->kind = kind;
	out->id = *id;
	if (json_is_object(object))
		rc = fields_text(&f, "name", out->name, sizeof(out->name));
	if (rc == 0)
		rc = parsers[kind](&f, out);
	if (rc == 0)
		return 0;
	net_spec_free(out);
	if (rc == -ENOMEM)
		snprintf(said, sizeof(said), "out of memory");
	snprintf(error, error_size, "%s \"%s\": %s", net_kind_name(kind), out->name, said);
	return rc;
}
