/* Do two descriptions say the same? Field by field: padding, and what a field makes meaningless, say nothing. */
#include "vpc/spec.h"

#include <string.h>

static bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool prefix_equal(const struct net_prefix *a, const struct net_prefix *b)
{
	return a->length == b->length && net_address_equal(&a->address, &b->address);
}

static bool vpc_equal(const struct net_spec *a, const struct net_spec *b)
{
	if (a->vpc.vni != b->vpc.vni || a->vpc.tunnel != b->vpc.tunnel || a->vpc.mtu != b->vpc.mtu ||
	    a->vpc.cidr_count != b->vpc.cidr_count || a->vpc.log_traffic != b->vpc.log_traffic ||
	    a->vpc.log_interval_s != b->vpc.log_interval_s || strcmp(a->vpc.domain, b->vpc.domain) != 0)
		return false;
	for (unsigned i = 0; i < a->vpc.cidr_count; i++)
		if (!prefix_equal(&a->vpc.cidrs[i], &b->vpc.cidrs[i]))
			return false;
	return true;
}

static bool rule_equal(const struct rule_spec *a, const struct rule_spec *b)
{
	if (a->number != b->number || a->egress != b->egress || a->deny != b->deny || a->protocol != b->protocol ||
	    a->port_first != b->port_first || a->port_last != b->port_last || a->by_group != b->by_group)
		return false;
	return a->by_group ? uuid_equal(&a->group, &b->group) : prefix_equal(&a->cidr, &b->cidr);
}

static bool rules_equal(const struct net_spec *a, const struct net_spec *b)
{
	if (!uuid_equal(&a->rules.vpc, &b->rules.vpc) || a->rules.grandfather != b->rules.grandfather ||
	    a->rules.count != b->rules.count)
		return false;
	for (uint32_t i = 0; i < a->rules.count; i++)
		if (!rule_equal(&a->rules.rules[i], &b->rules.rules[i]))
			return false;
	return true;
}

static bool route_has_id(const struct route_spec *r)
{
	return r->target == ROUTE_NAT || r->target == ROUTE_PEERING || r->target == ROUTE_ENI;
}

static bool route_table_equal(const struct net_spec *a, const struct net_spec *b)
{
	if (!uuid_equal(&a->route_table.vpc, &b->route_table.vpc) || a->route_table.count != b->route_table.count)
		return false;
	for (uint32_t i = 0; i < a->route_table.count; i++) {
		const struct route_spec *r = &a->route_table.routes[i], *s = &b->route_table.routes[i];

		if (r->target != s->target || !prefix_equal(&r->destination, &s->destination) ||
		    (route_has_id(r) && !uuid_equal(&r->id, &s->id)))
			return false;
	}
	return true;
}

static bool subnet_equal(const struct net_spec *a, const struct net_spec *b)
{
	return uuid_equal(&a->subnet.vpc, &b->subnet.vpc) && prefix_equal(&a->subnet.cidr4, &b->subnet.cidr4) &&
	       prefix_equal(&a->subnet.cidr6, &b->subnet.cidr6) && a->subnet.has_acl == b->subnet.has_acl &&
	       a->subnet.has_route_table == b->subnet.has_route_table &&
	       (!a->subnet.has_acl || uuid_equal(&a->subnet.acl, &b->subnet.acl)) &&
	       (!a->subnet.has_route_table || uuid_equal(&a->subnet.route_table, &b->subnet.route_table));
}

static bool eni_equal(const struct net_spec *a, const struct net_spec *b)
{
	const struct eni_allowances *p = &a->eni.allowances, *q = &b->eni.allowances;
	const struct eni_timeouts *s = &a->eni.timeouts, *t = &b->eni.timeouts;

	if (!uuid_equal(&a->eni.subnet, &b->eni.subnet) || !mac_equal(&a->eni.mac, &b->eni.mac) ||
	    a->eni.address_count != b->eni.address_count || a->eni.group_count != b->eni.group_count ||
	    a->eni.remote != b->eni.remote || (a->eni.remote && !uuid_equal(&a->eni.host, &b->eni.host)) ||
	    a->eni.source_dest_check != b->eni.source_dest_check)
		return false;
	if (p->bandwidth_in_bits != q->bandwidth_in_bits || p->bandwidth_out_bits != q->bandwidth_out_bits ||
	    p->packets_per_s != q->packets_per_s || p->flows_max != q->flows_max || p->new_flows_per_s != q->new_flows_per_s ||
	    p->link_local_per_s != q->link_local_per_s)
		return false;
	if (s->tcp_established_s != t->tcp_established_s || s->udp_s != t->udp_s || s->udp_stream_s != t->udp_stream_s ||
	    s->other_s != t->other_s)
		return false;
	return memcmp(a->eni.addresses, b->eni.addresses, a->eni.address_count * sizeof(a->eni.addresses[0])) == 0 &&
	       memcmp(a->eni.groups, b->eni.groups, a->eni.group_count * sizeof(a->eni.groups[0])) == 0;
}

static bool nat_equal(const struct net_spec *a, const struct net_spec *b)
{
	return uuid_equal(&a->nat.subnet, &b->nat.subnet) && mac_equal(&a->nat.mac, &b->nat.mac) &&
	       net_address_equal(&a->nat.address, &b->nat.address) && a->nat.remote == b->nat.remote &&
	       (!a->nat.remote || uuid_equal(&a->nat.host, &b->nat.host));
}

static bool eip_equal(const struct net_spec *a, const struct net_spec *b)
{
	return net_address_equal(&a->eip.address, &b->eip.address) && a->eip.target == b->eip.target &&
	       (a->eip.target == 0 || uuid_equal(&a->eip.id, &b->eip.id)) &&
	       (a->eip.target != NET_ENI || net_address_equal(&a->eip.private_address, &b->eip.private_address));
}

bool net_spec_equal(const struct net_spec *a, const struct net_spec *b)
{
	if (a->kind != b->kind || !uuid_equal(&a->id, &b->id) || strcmp(a->name, b->name) != 0)
		return false;
	switch (a->kind) {
	case NET_HOST:
		return net_address_equal(&a->host.address, &b->host.address);
	case NET_VPC:
		return vpc_equal(a, b);
	case NET_GROUP:
	case NET_ACL:
		return rules_equal(a, b);
	case NET_ROUTE_TABLE:
		return route_table_equal(a, b);
	case NET_SUBNET:
		return subnet_equal(a, b);
	case NET_PEERING:
		return uuid_equal(&a->peering.vpc, &b->peering.vpc) && uuid_equal(&a->peering.peer, &b->peering.peer);
	case NET_ENI:
		return eni_equal(a, b);
	case NET_NAT:
		return nat_equal(a, b);
	case NET_EIP:
		return eip_equal(a, b);
	case NET_KIND_COUNT:
		break;
	}
	return false;
}
