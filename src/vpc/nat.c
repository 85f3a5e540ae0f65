/*
 * NAT gateways. A flow is keyed as the inside has it: local the ENI's address, remote the other side's. Its second name is what the
 * outside sees (flow_alias_insert()): a public address and a port that no other flow to the same remote address and port has, so
 * that a public address carries 64,512 flows to each remote port (RFC 4787, 4.1: endpoint-dependent mapping, as AWS). All flows of
 * an ENI prefer one public address (4.1, "paired"). Who is behind it is not reached by its address, from inside as from outside.
 *
 * Its subnet's ACL sees what passes the subnet's border: from the ENI, to the outside, and both ways back. It has no groups.
 */
#include <netinet/in.h>
#include <string.h>

#include "vpc/pipeline.h"

enum {
	NAT_PORT_FIRST = 1024,
	NAT_PORTS = 65536 - NAT_PORT_FIRST,
	NAT_PROBES_MAX = 32, /* of an address: the time of a slow path is bounded; full is what 32 of 64,512 say */
};

static bool has_port(const struct flow_key *key)
{
	if (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP)
		return true;
	return key->protocol == (net_address_is_v4(&key->local) ? IPPROTO_ICMP : IPPROTO_ICMPV6) && key->remote_port == 0;
}

static uint32_t mix(uint32_t v)
{
	v ^= v >> 16;
	v *= 0x7feb352du;
	v ^= v >> 15;
	v *= 0x846ca68bu;
	return v ^ v >> 16;
}

static bool bind_to(struct vpc *vpc, const struct net_address *public_address, const struct flow *f, uint32_t index)
{
	struct flow_key alias = f->key;
	uint32_t start = mix(f->hash);

	alias.local = *public_address;
	alias.zone = FLOW_ZONE_OUTSIDE;
	for (uint32_t i = 0; i < NAT_PROBES_MAX; i++) {
		if (has_port(&f->key))
			alias.local_port = htons((uint16_t)(NAT_PORT_FIRST + (start + i) % NAT_PORTS));
		if (flow_alias_insert(vpc->flows, index, &alias) == 0)
			return true;
		if (!has_port(&f->key))
			return false;
	}
	return false;
}

enum drop_reason nat_bind(struct vpc *vpc, const struct policy_endpoint *nat, uint32_t index)
{
	struct flow *f = flow_at(vpc->flows, index);
	uint32_t first = mix(f->key.local.word[0] ^ f->key.local.word[1] ^ f->key.local.word[2] ^ f->key.local.word[3]);
	bool any = false;

	for (uint32_t i = 0; i < nat->public_count; i++) {
		const struct net_address *a = &nat->publics[(first + i) % nat->public_count].public_address;

		if (net_address_is_v4(a) != net_address_is_v4(&f->key.local))
			continue;
		any = true;
		if (bind_to(vpc, a, f, index)) {
			f->flags |= FLOW_TRANSLATED;
			return DROP_NONE;
		}
	}
	return any ? DROP_NAT_PORTS : DROP_NO_PUBLIC;
}

bool nat_binding_valid(const struct policy_endpoint *nat, const struct flow *f)
{
	for (unsigned i = 0; i < nat->public_count; i++)
		if (net_address_equal(&nat->publics[i].public_address, &f->public_address))
			return true;
	return false;
}

/* The leg between the ENI and the gateway, for the ACL of the gateway's subnet: seen from there, the ENI is the other side. */
static bool inside_permits(const struct decide_query *q, enum flow_direction direction, struct trace *trace)
{
	const struct policy_subnet *subnet = q->endpoint->subnet;
	/* In is what goes out in the end: the question of the flow. */
	struct classifier_query query = query_of_flow(q, direction == FLOW_IN ? FLOW_OUT : FLOW_IN);

	if (same_subnet(subnet, &q->key->local))
		return true;
	query.address = q->key->local;
	return acl_permits(subnet->acl, direction, &query, direction == FLOW_IN ? " (from inside)" : " (answer to inside)", trace);
}

static bool outside_permits(const struct decide_query *q, enum flow_direction direction, struct trace *trace)
{
	struct classifier_query query = query_of_flow(q, direction);

	if (direction == FLOW_IN && (q->key->protocol == IPPROTO_TCP || q->key->protocol == IPPROTO_UDP))
		query.port = ntohs(q->public_port);
	return acl_permits(q->endpoint->subnet->acl, direction, &query,
			   direction == FLOW_IN ? " (answer from outside)" : " (to outside)", trace);
}

void decide_nat(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace)
{
	struct location out, back = {.network = q->network, .route.target = ROUTE_LOCAL};

	memset(d, 0, sizeof(*d));
	d->allowed_group = UINT32_MAX;
	d->translated = true;
	d->drop = locate(vpc, q->endpoint, q->network, &q->key->remote, &out);
	if (d->drop == DROP_NONE && out.route.target != ROUTE_INTERNET)
		d->drop = DROP_NO_ROUTE; /* a NAT gateway leads to the outside, and nowhere else */
	if (d->drop == DROP_NONE)
		d->drop = outside_check(vpc, &q->key->remote);
	back.owner = policy_mapping_find(vpc->policy, q->network->slot, &q->key->local);
	if (d->drop == DROP_NONE && (back.owner == NULL || (back.owner->local && back.owner->slot == q->endpoint->slot)))
		d->drop = DROP_NO_MAPPING;
	if (d->drop == DROP_NONE && !inside_permits(q, FLOW_IN, trace))
		d->drop = DROP_ACL_IN;
	if (d->drop == DROP_NONE && !outside_permits(q, FLOW_OUT, trace))
		d->drop = DROP_ACL_OUT;
	if (d->drop != DROP_NONE)
		return;
	d->out = (struct flow_action){.verdict = FLOW_TO_OUTSIDE, .mtu = UINT16_MAX, .routed = true};
	action_to_mapping(vpc, q->endpoint, &back, &d->in);
	d->in.routed = true;
	if (!outside_permits(q, FLOW_IN, trace))
		action_refuse(&d->in, DROP_ACL_IN);
	else if (!inside_permits(q, FLOW_OUT, trace))
		action_refuse(&d->in, DROP_ACL_OUT);
}
