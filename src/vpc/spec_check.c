#include "vpc/spec_check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	VNI_MAX = (1 << 24) - 1,
	MTU_MIN = 1280, /* RFC 8200 section 5 */
	LOG_INTERVAL_S_MIN = 10,
	LOG_INTERVAL_S_MAX = 3600,
	TIMEOUT_S_MAX = 432000, /* five days, as AWS */
	ACL_NUMBER_MAX = 32766,
	ICMP_ANY = 0xffff,
	V4_BLOCK_LENGTH_MIN = 96 + 8,
	V4_SUBNET_LENGTH_MAX = 96 + 28, /* room for the five addresses that are the card's own */
	V6_BLOCK_LENGTH_MIN = 16,
	V6_SUBNET_LENGTH_MAX = 120,
};

#define RATE_MAX UINT64_C(1000000000000) /* a terabit a second */

struct report {
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct report *r, int rc, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(r->text, r->size, format, list);
	va_end(list);
	return rc;
}

/* ---- addresses ---- */

static bool prefix_is_clean(const struct net_prefix *p)
{
	struct net_address a = p->address;

	if (p->length > 128)
		return false;
	for (unsigned bit = p->length; bit < 128; bit++)
		if ((a.bytes[bit / 8] & (0x80 >> bit % 8)) != 0)
			return false;
	return true;
}

/* Addresses that no host has: 0/8, 127/8, 169.254/16, 224/3; ::/8 and what is not unicast or is of the link (RFC 6890). */
static bool address_is_special(const struct net_address *a)
{
	const uint8_t *b = a->bytes;

	if (net_address_is_v4(a))
		return b[12] == 0 || b[12] == 127 || (b[12] == 169 && b[13] == 254) || b[12] >= 224;
	return b[0] == 0 || b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static int block_check(struct report *r, const char *field, const struct net_prefix *p, bool v4, uint8_t longest4, uint8_t longest6)
{
	uint8_t shortest = v4 ? V4_BLOCK_LENGTH_MIN : V6_BLOCK_LENGTH_MIN, longest = v4 ? longest4 : longest6;
	uint8_t family_bits = v4 ? 96 : 0;

	if (!prefix_is_clean(p))
		return fail(r, -EINVAL, "%s has bits set beyond its length; clear them", field);
	if (net_prefix_is_v4(p) != v4)
		return fail(r, -EINVAL, "%s must be %s", field, v4 ? "IPv4" : "IPv6");
	if (p->length < shortest || p->length > longest)
		return fail(r, -EINVAL, "%s: its length must be %u to %u", field, shortest - family_bits, longest - family_bits);
	if (address_is_special(&p->address))
		return fail(r, -EINVAL,
			    "%s is reserved for other uses (loopback, link-local, multicast); choose a private or public block",
			    field);
	return 0;
}

static int mac_check(struct report *r, const struct mac *mac)
{
	static const struct mac zero, gateway = NET_GATEWAY_MAC;

	if (mac_equal(mac, &zero) || (mac->bytes[0] & 1) != 0)
		return fail(r, -EINVAL, "mac must be a unicast address");
	if (mac_equal(mac, &gateway))
		return fail(r, -EINVAL, "mac is that of every subnet's gateway; choose another");
	return 0;
}

static int unicast_check(struct report *r, const char *field, const struct net_address *address)
{
	char text[NET_ADDRESS_TEXT_SIZE];

	if (!address_is_special(address))
		return 0;
	net_address_format(address, text);
	return fail(r, -EINVAL, "%s %s is not an address that a host can have", field, text);
}

/* ---- kinds ---- */

static int vpc_check(struct report *r, const struct net_spec *s)
{
	char field[32];

	if (s->vpc.cidr_count == 0 || s->vpc.cidr_count > NET_CIDRS_MAX)
		return fail(r, -EINVAL, "cidrs: give 1 to %d blocks", NET_CIDRS_MAX);
	for (unsigned i = 0; i < s->vpc.cidr_count; i++) {
		const struct net_prefix *p = &s->vpc.cidrs[i];
		int rc;

		snprintf(field, sizeof(field), "cidrs[%u]", i);
		rc = block_check(r, field, p, net_prefix_is_v4(p), V4_SUBNET_LENGTH_MAX, V6_SUBNET_LENGTH_MAX);
		if (rc < 0)
			return rc;
		for (unsigned j = 0; j < i; j++)
			if (net_prefix_overlaps(p, &s->vpc.cidrs[j]))
				return fail(r, -EINVAL, "cidrs[%u] overlaps cidrs[%u]; blocks of a VPC must be disjoint", i, j);
	}
	if (s->vpc.vni == 0 || s->vpc.vni > VNI_MAX)
		return fail(r, -EINVAL, "vni must be 1 to %d", VNI_MAX);
	if (s->vpc.tunnel > 1)
		return fail(r, -EINVAL, "encapsulation must be vxlan or geneve");
	if (s->vpc.mtu != 0 && s->vpc.mtu < MTU_MIN)
		return fail(r, -EINVAL, "mtu must be %d or more (or absent: what the wire allows)", MTU_MIN);
	if (s->vpc.log_traffic > FLOW_LOG_REJECT)
		return fail(r, -EINVAL, "flow_log.traffic must be all, accept or reject");
	if (s->vpc.log_traffic != FLOW_LOG_OFF &&
	    (s->vpc.log_interval_s < LOG_INTERVAL_S_MIN || s->vpc.log_interval_s > LOG_INTERVAL_S_MAX))
		return fail(r, -EINVAL, "flow_log.interval_s must be %d to %d", LOG_INTERVAL_S_MIN, LOG_INTERVAL_S_MAX);
	if (memchr(s->vpc.domain, '\0', sizeof(s->vpc.domain)) == NULL)
		return fail(r, -EINVAL, "domain is too long");
	return 0;
}

/* Whose ports the pipeline reads: a rule about others' would never match. */
static bool protocol_has_ports(uint16_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static int rule_ports_check(struct report *r, uint32_t i, const struct rule_spec *rule)
{
	if (rule->protocol > NET_PROTOCOL_ANY)
		return fail(r, -EINVAL, "rules[%u].protocol must be 0 to 255, or all", i);
	if (rule->protocol == IPPROTO_ICMP || rule->protocol == IPPROTO_ICMPV6) {
		if (rule->port_first != ICMP_ANY && rule->port_first > 255)
			return fail(r, -EINVAL, "rules[%u].icmp_type must be 0 to 255", i);
		if (rule->port_last != ICMP_ANY && rule->port_last > 255)
			return fail(r, -EINVAL, "rules[%u].icmp_code must be 0 to 255", i);
		if (rule->port_first == ICMP_ANY && rule->port_last != ICMP_ANY)
			return fail(r, -EINVAL, "rules[%u].icmp_code needs an icmp_type", i);
		return 0;
	}
	if (rule->port_first > rule->port_last)
		return fail(r, -EINVAL, "rules[%u].ports: the first is above the last", i);
	if (!protocol_has_ports(rule->protocol) && (rule->port_first != 0 || rule->port_last != UINT16_MAX))
		return fail(r, -EINVAL, "rules[%u].ports: rules know ports of TCP and UDP only; name one of them or drop the ports",
			    i);
	return 0;
}

/* An ACL decides by number, one rule a number and direction. */
static int acl_numbers_check(struct report *r, const struct net_spec *s)
{
	uint8_t seen[2][(ACL_NUMBER_MAX + 8) / 8] = {{0}};

	for (uint32_t i = 0; i < s->rules.count; i++) {
		const struct rule_spec *rule = &s->rules.rules[i];

		if (rule->number == 0 || rule->number > ACL_NUMBER_MAX)
			return fail(r, -EINVAL, "rules[%u].number must be 1 to %d", i, ACL_NUMBER_MAX);
		if ((seen[rule->egress][rule->number / 8] & 1 << rule->number % 8) != 0)
			return fail(r, -EINVAL, "rules[%u].number %u is there twice for %s; give each rule a number of its own", i,
				    rule->number, rule->egress ? "egress" : "ingress");
		seen[rule->egress][rule->number / 8] |= (uint8_t)(1 << rule->number % 8);
	}
	return 0;
}

static int rules_check(struct report *r, const struct net_spec *s)
{
	if (s->rules.count > NET_RULES_MAX)
		return fail(r, -E2BIG, "rules: at most %d", NET_RULES_MAX);
	for (uint32_t i = 0; i < s->rules.count; i++) {
		const struct rule_spec *rule = &s->rules.rules[i];
		int rc = rule_ports_check(r, i, rule);

		if (rc < 0)
			return rc;
		if (!rule->by_group && !prefix_is_clean(&rule->cidr))
			return fail(r, -EINVAL, "rules[%u].cidr has bits set beyond its length; clear them", i);
		if (s->kind == NET_ACL && rule->by_group)
			return fail(r, -EINVAL, "rules[%u].group: an ACL knows addresses only; give a cidr", i);
		if (s->kind == NET_GROUP && rule->deny)
			return fail(r, -EINVAL, "rules[%u].action: a security group only allows; deny in an ACL", i);
	}
	return s->kind == NET_ACL ? acl_numbers_check(r, s) : 0;
}

static int routes_check(struct report *r, const struct net_spec *s)
{
	if (s->route_table.count > NET_ROUTES_MAX)
		return fail(r, -E2BIG, "routes: at most %d", NET_ROUTES_MAX);
	for (uint32_t i = 0; i < s->route_table.count; i++) {
		const struct route_spec *route = &s->route_table.routes[i];

		if (!prefix_is_clean(&route->destination))
			return fail(r, -EINVAL, "routes[%u].destination has bits set beyond its length; clear them", i);
		if (route->target <= ROUTE_LOCAL || route->target > ROUTE_ENI)
			return fail(r, -EINVAL,
				    "routes[%u].target must be internet, blackhole, nat, peering or eni (local routes are implied)",
				    i);
	}
	return 0;
}

static int subnet_check(struct report *r, const struct net_spec *s)
{
	int rc = 0;

	if (s->subnet.cidr4.length == 0 && s->subnet.cidr6.length == 0)
		return fail(r, -EINVAL, "cidr: a subnet needs an IPv4 or an IPv6 block");
	if (s->subnet.cidr4.length != 0)
		rc = block_check(r, "cidr", &s->subnet.cidr4, true, V4_SUBNET_LENGTH_MAX, 0);
	if (rc == 0 && s->subnet.cidr6.length != 0)
		rc = block_check(r, "cidr6", &s->subnet.cidr6, false, 0, V6_SUBNET_LENGTH_MAX);
	return rc;
}

static int allowances_check(struct report *r, const struct net_spec *s)
{
	const struct eni_allowances *a = &s->eni.allowances;
	const struct eni_timeouts *t = &s->eni.timeouts;

	if (a->bandwidth_in_bits > RATE_MAX || a->bandwidth_out_bits > RATE_MAX)
		return fail(r, -EINVAL, "bandwidth: at most 1 Tbit/s; 0 does not limit");
	if (a->packets_per_s > RATE_MAX || a->new_flows_per_s > RATE_MAX || a->link_local_per_s > RATE_MAX)
		return fail(r, -EINVAL, "packets_per_s, new_flows_per_s: at most %llu; 0 does not limit",
			    (unsigned long long)RATE_MAX);
	if (t->tcp_established_s > TIMEOUT_S_MAX || t->udp_s > TIMEOUT_S_MAX || t->udp_stream_s > TIMEOUT_S_MAX ||
	    t->other_s > TIMEOUT_S_MAX)
		return fail(r, -EINVAL, "timeouts: at most %d seconds", TIMEOUT_S_MAX);
	return 0;
}

static int eni_check(struct report *r, const struct net_spec *s)
{
	int rc = mac_check(r, &s->eni.mac);

	if (rc < 0)
		return rc;
	if (s->eni.address_count == 0 || s->eni.address_count > NET_ADDRESSES_MAX)
		return fail(r, -EINVAL, "addresses: give 1 to %d", NET_ADDRESSES_MAX);
	if (s->eni.group_count > NET_GROUPS_MAX)
		return fail(r, -EINVAL, "security_groups: at most %d", NET_GROUPS_MAX);
	for (unsigned i = 0; i < s->eni.address_count; i++) {
		rc = unicast_check(r, "addresses:", &s->eni.addresses[i]);
		if (rc < 0)
			return rc;
	}
	return allowances_check(r, s);
}

static int nat_check(struct report *r, const struct net_spec *s)
{
	int rc = mac_check(r, &s->nat.mac);

	return rc < 0 ? rc : unicast_check(r, "address", &s->nat.address);
}

static int eip_check(struct report *r, const struct net_spec *s)
{
	if (s->eip.target != 0 && s->eip.target != NET_ENI && s->eip.target != NET_NAT)
		return fail(r, -EINVAL, "target must be an eni or a nat, or absent");
	return unicast_check(r, "address", &s->eip.address);
}

int net_spec_check(const struct net_spec *s, char *error, size_t error_size)
{
	struct report r = {.text = error, .size = error_size};

	if ((unsigned)s->kind >= NET_KIND_COUNT)
		return fail(&r, -EINVAL, "there is no such kind of object");
	if (s->name[0] == '\0' || memchr(s->name, '\0', sizeof(s->name)) == NULL)
		return fail(&r, -EINVAL, "name must have 1 to %d characters", NET_NAME_SIZE - 1);
	switch (s->kind) {
	case NET_HOST:
		return unicast_check(&r, "address", &s->host.address);
	case NET_VPC:
		return vpc_check(&r, s);
	case NET_GROUP:
	case NET_ACL:
		return rules_check(&r, s);
	case NET_ROUTE_TABLE:
		return routes_check(&r, s);
	case NET_SUBNET:
		return subnet_check(&r, s);
	case NET_ENI:
		return eni_check(&r, s);
	case NET_NAT:
		return nat_check(&r, s);
	case NET_EIP:
		return eip_check(&r, s);
	case NET_PEERING:
	case NET_KIND_COUNT:
		break;
	}
	return 0;
}
