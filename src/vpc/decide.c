/*
 * The policy's verdict on a flow: a pure function of the policy, the ENI and the 5-tuple. The slow path makes flows of it; traces
 * print it while it is made, and get the same because it is the same.
 *
 * Network ACLs are stateless, as AWS has them: each direction is judged for itself, with its own destination port, and both
 * verdicts are kept with the flow. They guard the border of a subnet: nothing that stays inside is shown to them. Security groups
 * judge who begins; what answers passes. Nothing passes an ENI that is in no group.
 */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

#include "vpc/pipeline.h"

/* ---- what classifiers are asked ---- */

static bool is_icmp(const struct flow_key *key)
{
	return key->protocol == (net_address_is_v4(&key->local) ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Type and code of the question that the key stands for (arrive.c), or of its answer. */
static uint16_t icmp_type_code(const struct flow_key *key, bool answer)
{
	bool v4 = net_address_is_v4(&key->local);
	uint16_t type_code = ntohs(key->remote_port);

	if (type_code == 0)
		return (uint16_t)((v4 ? (answer ? ICMP_ECHOREPLY : ICMP_ECHO) : (answer ? ICMP6_ECHO_REPLY : ICMP6_ECHO_REQUEST))
				  << 8);
	if (!answer || !v4)
		return type_code;
	switch (type_code >> 8) {
	case ICMP_TIMESTAMP:
	case ICMP_INFO_REQUEST:
	case ICMP_ADDRESS:
		return (uint16_t)(type_code + (1 << 8)); /* 13 -> 14, 15 -> 16, 17 -> 18 */
	default:
		return type_code;
	}
}

struct classifier_query query_of_flow(const struct decide_query *q, enum flow_direction direction)
{
	const struct flow_key *key = q->key;
	struct classifier_query out = {.address = key->remote, .protocol = key->protocol};

	if (is_icmp(key)) {
		out.ports_known = true;
		out.port = icmp_type_code(key, direction != q->initiator);
	} else if (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP) {
		out.ports_known = true;
		out.port = ntohs(direction == FLOW_OUT ? key->remote_port : key->local_port);
	}
	return out;
}

static const struct net_prefix *subnet_prefix(const struct policy_subnet *subnet, const struct net_address *address)
{
	return net_address_is_v4(address) ? &subnet->cidr4 : &subnet->cidr6;
}

bool same_subnet(const struct policy_subnet *subnet, const struct net_address *address)
{
	const struct net_prefix *prefix = subnet_prefix(subnet, address);

	return prefix->length != 0 && net_prefix_contains(prefix, address);
}

bool acl_permits(const struct policy_acl *acl, enum flow_direction direction, const struct classifier_query *query,
		 const char *what, struct trace *trace)
{
	const char *way = direction == FLOW_OUT ? "out" : "in";
	uint32_t rule;
	bool deny;

	if (acl == NULL) {
		if (trace != NULL)
			trace_add(trace, "acl", "pass", "%s%s: the subnet has none", way, what);
		return true;
	}
	rule = classifier_match(direction == FLOW_OUT ? acl->egress : acl->ingress, query, &deny);
	if (rule == CLASSIFIER_NO_MATCH)
		deny = true;
	if (trace != NULL && rule == CLASSIFIER_NO_MATCH)
		trace_add(trace, "acl", "deny", "%s%s: %s, no rule matches", way, what, acl->name);
	else if (trace != NULL)
		trace_add(trace, "acl", deny ? "deny" : "allow", "%s%s: %s, rule %u", way, what, acl->name, acl->numbers[rule]);
	return !deny;
}

static bool acl_allows(const struct decide_query *q, enum flow_direction direction, struct trace *trace)
{
	const struct policy_subnet *subnet = q->endpoint->subnet;
	struct classifier_query query;

	if (subnet->acl != NULL && same_subnet(subnet, &q->key->remote)) {
		if (trace != NULL)
			trace_add(trace, "acl", "pass", "%s: it stays in %s", direction == FLOW_OUT ? "out" : "in", subnet->name);
		return true;
	}
	query = query_of_flow(q, direction);
	return acl_permits(subnet->acl, direction, &query, direction != q->initiator ? " (the answer)" : "", trace);
}

static void trace_groups_deny(struct trace *trace, const struct policy_endpoint *e, const char *which)
{
	char names[128] = "";
	size_t used = 0;

	for (unsigned i = 0; i < e->group_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "", e->groups[i]->name);
	if (e->group_count == 0)
		trace_add(trace, "security-group", "deny", "%s is in none, so nothing may pass", e->name);
	else
		trace_add(trace, "security-group", "deny", "no %s rule of %s%s allows it", which, names,
			  used < sizeof(names) ? "" : "...");
}

/* The first group, in the ENI's order, that allows it. */
static bool groups_allow(const struct decide_query *q, const struct policy_mapping *other, struct decision *d, struct trace *trace)
{
	const struct policy_endpoint *e = q->endpoint;
	struct classifier_query query = query_of_flow(q, q->initiator);
	const char *which = q->initiator == FLOW_OUT ? "egress" : "ingress";
	bool deny;

	d->allowed_group = UINT32_MAX;
	if (other != NULL) {
		query.groups = other->groups;
		query.group_count = other->group_count;
	}
	for (unsigned i = 0; i < e->group_count; i++) {
		const struct policy_group *g = e->groups[i];
		uint32_t rule = classifier_match(q->initiator == FLOW_OUT ? g->egress : g->ingress, &query, &deny);

		if (rule == CLASSIFIER_NO_MATCH)
			continue;
		d->allowed_group = g->slot;
		d->grandfather = g->grandfather;
		if (trace != NULL)
			trace_add(trace, "security-group", "allow", "%s: %s, rule %u of its list", which, g->name, rule + 1);
		return true;
	}
	if (trace != NULL)
		trace_groups_deny(trace, e, which);
	return false;
}

/* ---- where it goes ---- */

/* No router forwards these, whatever its routes say: groups and broadcast (RFC 1112 7.1, RFC 1812 5.3.5), "this network", loopback
 * and link-local addresses (RFC 1122 3.2.1.3, RFC 3927 2.7, RFC 4291 2.5). */
static enum drop_reason check_forwarded(const struct net_address *to)
{
	static const struct net_address none, loopback = {.bytes = {[15] = 1}};
	const uint8_t *b = to->bytes;

	if (net_address_is_v4(to)) {
		if (b[12] >= 224)
			return DROP_MULTICAST;
		return b[12] == 0 || b[12] == 127 || (b[12] == 169 && b[13] == 254) ? DROP_NO_ROUTE : DROP_NONE;
	}
	if (b[0] == 0xff)
		return DROP_MULTICAST;
	return (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || net_address_equal(to, &none) || net_address_equal(to, &loopback)
		       ? DROP_NO_ROUTE
		       : DROP_NONE;
}

enum drop_reason locate(struct vpc *vpc, const struct policy_endpoint *from, const struct policy_vpc *network,
			const struct net_address *address, struct location *out)
{
	const struct policy *p = vpc->policy;
	enum drop_reason drop = check_forwarded(address);

	*out = (struct location){.network = network};
	if (drop != DROP_NONE)
		return drop;
	out->routed = routes_find(from->subnet->routes, address, &out->route);
	if (!out->routed)
		return DROP_NO_ROUTE;
	switch (out->route.target) {
	case ROUTE_LOCAL:
		out->owner = policy_mapping_find(p, network->slot, address);
		break;
	case ROUTE_PEERING:
		out->network = out->route.slot < p->vpc_max ? p->vpcs[out->route.slot] : NULL;
		if (out->network == NULL)
			return DROP_NO_ROUTE;
		out->owner = policy_mapping_find(p, out->network->slot, address);
		break;
	case ROUTE_NAT:
	case ROUTE_ENI:
		out->owner = policy_mapping_find(p, network->slot, &out->route.next_hop);
		break;
	case ROUTE_INTERNET:
		return DROP_NONE;
	case ROUTE_BLACKHOLE:
		return DROP_NO_ROUTE;
	}
	/* Its own address comes back to nobody. */
	return out->owner == NULL || (out->owner->local && out->owner->slot == from->slot) ? DROP_NO_MAPPING : DROP_NONE;
}

void action_to_mapping(struct vpc *vpc, const struct policy_endpoint *from, const struct location *where, struct flow_action *out)
{
	const struct policy_mapping *owner = where->owner;

	out->verdict = owner->local ? FLOW_TO_LOCAL : FLOW_TO_HOST;
	out->target = owner->slot;
	out->tunnel = where->network->tunnel;
	out->vni = where->network->vni;
	out->destination_mac = owner->mac;
	out->routed =
		owner->subnet_slot != from->subnet->slot || where->route.target == ROUTE_NAT || where->route.target == ROUTE_ENI;
	out->mtu = where->network->mtu != 0 ? where->network->mtu : UINT16_MAX;
	if (out->verdict == FLOW_TO_HOST) {
		const struct host_path *path = vpc_path(vpc, owner->slot);

		if (path != NULL && path->mtu < out->mtu)
			out->mtu = path->mtu;
	}
}

static enum drop_reason action_to_outside(struct vpc *vpc, const struct decide_query *q, struct decision *d)
{
	const struct policy_endpoint *e = q->endpoint;
	enum drop_reason drop = outside_check(vpc, &q->key->remote);

	if (drop != DROP_NONE)
		return drop;
	for (unsigned i = 0; i < e->public_count; i++) {
		if (!net_address_equal(&e->publics[i].private_address, &q->key->local))
			continue;
		d->translated = true;
		d->public_address = e->publics[i].public_address;
		d->out = (struct flow_action){.verdict = FLOW_TO_OUTSIDE, .mtu = UINT16_MAX, .routed = true};
		return DROP_NONE;
	}
	return DROP_NO_PUBLIC;
}

/* Fills d->out; the reason why it cannot go there. */
static enum drop_reason find_way(struct vpc *vpc, const struct decide_query *q, const struct location *where,
				 enum drop_reason found, struct decision *d)
{
	if (found != DROP_NONE)
		return found;
	if (where->route.target == ROUTE_INTERNET)
		return action_to_outside(vpc, q, d);
	action_to_mapping(vpc, q->endpoint, where, &d->out);
	return DROP_NONE;
}

/* What comes from outside must be answered there: a source that the ENI's routes find elsewhere is not the sender's own. */
static enum drop_reason check_outside(const struct location *where)
{
	if (!where->routed || where->route.target == ROUTE_BLACKHOLE)
		return DROP_NO_ROUTE;
	return where->route.target == ROUTE_INTERNET ? DROP_NONE : DROP_SPOOFED_IP;
}

static void decide_outbound(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace)
{
	struct location where;
	enum drop_reason found = locate(vpc, q->endpoint, q->network, &q->key->remote, &where), way;
	const struct policy_mapping *other = where.owner;

	if (where.routed && where.route.target == ROUTE_ENI) /* the appliance's groups are not those of who is behind it */
		other = policy_mapping_find(vpc->policy, q->network->slot, &q->key->remote);
	if (where.routed && where.route.target == ROUTE_NAT)
		other = NULL;
	if (!acl_allows(q, FLOW_OUT, trace)) {
		d->drop = DROP_ACL_OUT;
		return;
	}
	d->group_denied = !groups_allow(q, other, d, trace);
	if (d->group_denied) {
		d->drop = DROP_GROUP_OUT;
		if (trace != NULL)
			return;
	}
	way = find_way(vpc, q, &where, found, d);
	if (trace != NULL)
		trace_way(trace, vpc, &where, way, d);
	if (way != DROP_NONE) {
		d->drop = d->group_denied ? d->drop : way;
		d->group_denied = false; /* grandfathered or not */
		return;
	}
	d->in = (struct flow_action){.verdict = FLOW_TO_ENDPOINT};
	if (!acl_allows(q, FLOW_IN, trace))
		action_refuse(&d->in, DROP_ACL_IN);
}

static void decide_inbound(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace)
{
	struct location where;
	enum drop_reason found = locate(vpc, q->endpoint, q->network, &q->key->remote, &where), way;
	const struct policy_mapping *other = where.owner;

	if (where.routed && where.route.target != ROUTE_LOCAL && where.route.target != ROUTE_PEERING)
		other = policy_mapping_find(vpc->policy, q->network->slot, &q->key->remote);
	if (q->outside) {
		other = NULL;
		d->drop = check_outside(&where);
		if (d->drop != DROP_NONE)
			return;
	}
	if (!acl_allows(q, FLOW_IN, trace)) {
		d->drop = DROP_ACL_IN;
		return;
	}
	d->group_denied = !groups_allow(q, other, d, trace);
	if (d->group_denied) {
		d->drop = DROP_GROUP_IN;
		if (trace != NULL)
			return;
	}
	d->in = (struct flow_action){.verdict = FLOW_TO_ENDPOINT};
	way = find_way(vpc, q, &where, found, d);
	if (way == DROP_NONE && !acl_allows(q, FLOW_OUT, trace))
		way = DROP_ACL_OUT;
	if (way != DROP_NONE)
		action_refuse(&d->out, way); /* it arrives, and cannot be answered */
	/* Who was reached by a public address is answered with it, or not at all; who was not, is not. */
	if (way == DROP_NONE && d->translated != q->outside)
		action_refuse(&d->out, DROP_NO_ROUTE);
	d->translated = q->outside;
}

void decide(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace)
{
	memset(d, 0, sizeof(*d));
	d->allowed_group = UINT32_MAX;
	/* Who may send in the name of others (a router) is nobody's metadata service or resolver for that (RFC 1812 5.3.7). */
	if (check_forwarded(q->initiator == FLOW_OUT ? &q->key->local : &q->key->remote) != DROP_NONE) {
		d->drop = DROP_SPOOFED_IP;
		if (trace != NULL)
			trace_add(trace, "anti-spoof", "drop", "%s", drop_sentence(d->drop));
		return;
	}
	if (q->initiator == FLOW_OUT)
		decide_outbound(vpc, q, d, trace);
	else
		decide_inbound(vpc, q, d, trace);
}
