/* Rules of security groups and ACLs, routes of tables. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "card/net_spec_values.h"

enum { ICMP_ANY = 0xffff };

static int get_protocol(const struct fields *f, uint16_t *out)
{
	static const char *const names[] = {"all", "tcp", "udp", "icmp", "icmpv6", NULL};
	static const uint16_t numbers[] = {NET_PROTOCOL_ANY, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};
	const json_t *value = json_object_get(f->object, "protocol");
	json_int_t number = 0;
	int rc;

	if (json_is_integer(value)) {
		rc = fields_number(f, "protocol", true, 0, 255, &number);
		*out = (uint16_t)number;
		return rc;
	}
	rc = value_choice(f, "protocol", names);
	if (rc < 0)
		return rc;
	*out = numbers[rc];
	return 0;
}

/* "80" or "1000-2000"; 80 as a number as well. */
static int get_ports(const struct fields *f, uint16_t *first, uint16_t *last)
{
	const json_t *value = json_object_get(f->object, "ports");
	const char *text = json_string_value(value);
	char *end = NULL;
	long from = -1, to;

	if (json_is_integer(value))
		from = to = json_integer_value(value) <= UINT16_MAX ? (long)json_integer_value(value) : -1;
	else if (text != NULL && text[0] >= '0' && text[0] <= '9') {
		from = to = strtol(text, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			to = strtol(end + 1, &end, 10);
		if (*end != '\0')
			from = -1;
	}
	if (from < 0 || to > UINT16_MAX || from > to)
		return fields_refuse(f, "ports", "must be a port, such as \"80\", or a range, such as \"1000-2000\"");
	*first = (uint16_t)from;
	*last = (uint16_t)to;
	return 0;
}

static int get_icmp(const struct fields *f, struct rule_spec *rule)
{
	json_int_t type = ICMP_ANY, code = ICMP_ANY;
	int rc = fields_number(f, "icmp_type", false, 0, 255, &type);

	if (rc == 0)
		rc = fields_number(f, "icmp_code", false, 0, 255, &code);
	rule->port_first = (uint16_t)type;
	rule->port_last = (uint16_t)code;
	return rc;
}

/* What both kinds of rules have: direction, protocol, and ports or ICMP types. */
static int parse_match(const struct fields *f, struct rule_spec *rule)
{
	static const char *const directions[] = {"ingress", "egress", NULL};
	int rc = value_choice(f, "direction", directions);
	bool icmp;

	if (rc < 0)
		return rc;
	rule->egress = rc == 1;
	rule->port_last = UINT16_MAX;
	rc = get_protocol(f, &rule->protocol);
	if (rc < 0)
		return rc;
	icmp = rule->protocol == IPPROTO_ICMP || rule->protocol == IPPROTO_ICMPV6;
	if (icmp && fields_has(f, "ports"))
		return fields_refuse(f, "ports", "is not for ICMP, which has icmp_type and icmp_code");
	if (icmp)
		return get_icmp(f, rule);
	if (fields_has(f, "icmp_type") || fields_has(f, "icmp_code"))
		return fields_refuse(f, fields_has(f, "icmp_type") ? "icmp_type" : "icmp_code", "is for ICMP only");
	return fields_has(f, "ports") ? get_ports(f, &rule->port_first, &rule->port_last) : 0;
}

static int parse_group_rule(const struct fields *f, struct rule_spec *rule)
{
	static const char *const known[] = {"direction", "protocol", "ports",	    "icmp_type", "icmp_code",
					    "cidr",	 "group",    "description", NULL};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = parse_match(f, rule);
	if (rc < 0)
		return rc;
	if (fields_has(f, "cidr") == fields_has(f, "group"))
		return fields_refuse(f, "cidr", "or field \"group\" must be there, and not both");
	rule->by_group = fields_has(f, "group");
	return rule->by_group ? fields_uuid(f, "group", &rule->group) : value_prefix(f, "cidr", &rule->cidr);
}

static int parse_acl_rule(const struct fields *f, struct rule_spec *rule)
{
	static const char *const known[] = {"number",	 "direction", "action", "protocol",    "ports",
					    "icmp_type", "icmp_code", "cidr",	"description", NULL};
	static const char *const actions[] = {"allow", "deny", NULL};
	json_int_t number = 0;
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_number(f, "number", true, 1, 32766, &number);
	if (rc == 0)
		rc = parse_match(f, rule);
	if (rc == 0)
		rc = value_choice(f, "action", actions);
	if (rc < 0)
		return rc;
	rule->number = (uint16_t)number;
	rule->deny = rc == 1;
	return value_prefix(f, "cidr", &rule->cidr);
}

static int parse_rules(const struct fields *f, struct net_spec *out, int (*parse)(const struct fields *, struct rule_spec *))
{
	const json_t *list, *item;
	size_t i;
	int rc = fields_uuid(f, "vpc", &out->rules.vpc);

	if (rc == 0)
		rc = fields_list(f, "rules", NET_RULES_MAX, &list);
	if (rc < 0 || list == NULL)
		return rc;
	out->rules.rules = calloc(json_array_size(list) + 1, sizeof(*out->rules.rules));
	if (out->rules.rules == NULL)
		return -ENOMEM;
	json_array_foreach (list, i, item) {
		struct fields rule = value_inside(f, item);

		if (parse(&rule, &out->rules.rules[i]) < 0)
			return value_in_item(f, "rules", i);
		out->rules.count++;
	}
	return 0;
}

int net_spec_group(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "vpc", "grandfather", "rules", NULL};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_bool(f, "grandfather", &out->rules.grandfather);
	return rc < 0 ? rc : parse_rules(f, out, parse_group_rule);
}

int net_spec_acl(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "vpc", "rules", NULL};
	int rc = fields_only(f, known);

	return rc < 0 ? rc : parse_rules(f, out, parse_acl_rule);
}

/* ---- routes ---- */

static int parse_route(const struct fields *f, struct route_spec *route)
{
	static const char *const known[] = {"destination", "target", "id", NULL};
	static const char *const targets[] = {"internet", "blackhole", "nat", "peering", "eni", NULL};
	static const enum route_target values[] = {ROUTE_INTERNET, ROUTE_BLACKHOLE, ROUTE_NAT, ROUTE_PEERING, ROUTE_ENI};
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = value_prefix(f, "destination", &route->destination);
	if (rc == 0)
		rc = value_choice(f, "target", targets);
	if (rc < 0)
		return rc;
	route->target = values[rc];
	if (route->target == ROUTE_INTERNET || route->target == ROUTE_BLACKHOLE)
		return fields_has(f, "id") ? fields_refuse(f, "id", "is not for this target") : 0;
	return fields_uuid(f, "id", &route->id);
}

int net_spec_route_table(const struct fields *f, struct net_spec *out)
{
	static const char *const known[] = {"id", "name", "vpc", "routes", NULL};
	const json_t *list, *item;
	size_t i;
	int rc = fields_only(f, known);

	if (rc == 0)
		rc = fields_uuid(f, "vpc", &out->route_table.vpc);
	if (rc == 0)
		rc = fields_list(f, "routes", NET_ROUTES_MAX, &list);
	if (rc < 0 || list == NULL)
		return rc;
	out->route_table.routes = calloc(json_array_size(list) + 1, sizeof(*out->route_table.routes));
	if (out->route_table.routes == NULL)
		return -ENOMEM;
	json_array_foreach (list, i, item) {
		struct fields route = value_inside(f, item);

		if (parse_route(&route, &out->route_table.routes[i]) < 0)
			return value_in_item(f, "routes", i);
		out->route_table.count++;
	}
	return 0;
}
