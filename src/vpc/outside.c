/*
 * The border between the VPC and the outside. Out: an elastic IP or a NAT gateway's binding stands for the private address, the hop
 * limit is less by one, and the frame goes plain to the next hop. In: the other way round. An ICMP error is translated with what it is
 * about: its embedded packet is the flow's, seen from the other end (RFC 5508, REQ-4, REQ-5).
 *
 * The outside is not the underlay: a guest does not reach the cards themselves.
 *
 * What is sent to a public address of this very card turns round here, as the router outside would have it. A NAT gateway takes
 * from there what it takes from outside: answers to its flows.
 */
#include "vpc/parse.h"
#include "vpc/pipeline.h"
#include "vpc/rewrite.h"

static void translate_outbound(struct packet *p, const struct flow *f)
{
	if (UNLIKELY(p->layers.icmp_error))
		packet_set_embedded_destination(p, &f->public_address, f->public_port);
	packet_set_source(p, &f->public_address, f->public_port);
}

void translate_inbound(struct lane *lane)
{
	struct packet *p = lane->packet;
	const struct flow *f = lane->flow;

	/* What the card says to the inside about a packet of the inside was never outside. */
	if (lane->endpoint->policy->kind != ENDPOINT_NAT || lane->origin != ORIGIN_OUTSIDE)
		return;
	if (UNLIKELY(p->layers.icmp_error))
		packet_set_embedded_source(p, &f->key.local, f->key.local_port);
	packet_set_destination(p, &f->key.local, f->key.local_port);
}

enum drop_reason outside_check(struct vpc *vpc, const struct net_address *address)
{
	if (policy_host_find(vpc->policy, address) != NULL)
		return DROP_NO_ROUTE;
	for (unsigned i = 0; i < vpc->wire_count; i++)
		if (net_address_equal(&vpc->wires[i].wire->config.address.address, address))
			return DROP_NO_ROUTE;
	return DROP_NONE;
}

enum drop_reason outside_next_hop(struct vpc *vpc, struct packet *p, struct meter *questions, struct packet_sink **sink)
{
	struct net_address next_hop;
	struct wire *wire = underlay_route(vpc, &p->layers.destination, &next_hop);
	const struct mac *mac;

	if (wire == NULL)
		return DROP_NO_WIRE;
	mac = underlay_resolve(vpc, wire, &next_hop, questions);
	if (mac == NULL)
		return DROP_NO_HOST;
	packet_set_macs(p, mac, &wire->mac);
	*sink = &wire->sink;
	return DROP_NONE;
}

/* Joins `b` at the endpoint that has the public address. */
static enum drop_reason arrive(struct vpc *vpc, struct batch *b, struct packet *p, const struct policy_endpoint *at,
			       const struct net_address *private_address)
{
	struct endpoint *e = vpc_endpoint(vpc, at->slot);
	struct packet_layers embedded;

	if (e == NULL)
		return DROP_NOT_ATTACHED;
	endpoint_refresh(e);
	if (e->policy == NULL)
		return DROP_NOT_OURS;
	if (at->kind == ENDPOINT_ENI) {
		if (UNLIKELY(p->layers.icmp_error)) {
			if (!packet_parse_embedded(p, &embedded))
				return DROP_ICMP_UNRELATED;
			packet_set_embedded_source(p, private_address, embedded.source_port);
		}
		packet_set_destination(p, private_address, p->layers.destination_port);
		packet_set_macs(p, &e->mac, &e->gateway_mac);
	}
	batch_arrive(b, e, p, ORIGIN_OUTSIDE);
	return DROP_NONE;
}

/* To an address of this card, from inside: `p` is translated already. */
static enum drop_reason turn_round(struct vpc *vpc, struct packet *p, const struct policy_endpoint *at,
				   const struct net_address *private_address, struct batch *next)
{
	if (next->rounds >= ROUNDS_MAX)
		return DROP_NO_ROUTE;
	return arrive(vpc, next, p, at, private_address);
}

enum drop_reason outside_output(struct vpc *vpc, struct lane *lane, struct batch *next)
{
	struct net_address next_hop, private_address;
	struct packet *p = lane->packet;
	const struct policy_endpoint *own = policy_public_find(vpc->policy, &p->layers.destination, &private_address);
	struct wire *wire;
	enum drop_reason drop;

	if (p->layers.ttl <= 1) {
		lane_error(vpc, lane, ICMP_ERROR_TTL, 0);
		return DROP_TTL;
	}
	if (own == NULL) {
		wire = underlay_route(vpc, &p->layers.destination, &next_hop);
		if (wire == NULL)
			return DROP_NO_WIRE;
		drop = lane_check_size(vpc, lane, lane->action->mtu < wire->mtu ? lane->action->mtu : wire->mtu);
		if (drop != DROP_NONE)
			return drop;
	}
	packet_decrement_ttl(p);
	translate_outbound(p, lane->flow);
	if (own != NULL)
		return turn_round(vpc, p, own, &private_address, next);
	return outside_next_hop(vpc, p, &lane->endpoint->questions, &lane->sink);
}

/* About a packet that has no flow yet: from the wire's own address, back to where the frame came from. */
static void ttl_error(struct vpc *vpc, struct packet *p, struct wire *wire)
{
	uint8_t buffer[PACKET_HEAD_BYTES];
	struct packet error = {.head = buffer + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};

	if (net_address_is_v4(&wire->config.address.address) == (p->layers.family == 4) &&
	    meter_take(&vpc->echoes, 1, vpc->now_tsc) &&
	    icmp_error_build(&error, p, ICMP_ERROR_TTL, &wire->config.address.address, 0))
		sink_put(vpc, &wire->sink, &error);
}

enum drop_reason outside_input(struct vpc *vpc, struct batch *b, struct packet *p, struct wire *wire)
{
	struct net_address private_address;
	const struct policy_endpoint *at = policy_public_find(vpc->policy, &p->layers.destination, &private_address);

	if (at == NULL)
		return DROP_NOT_OURS;
	if (!packet_decrement_ttl(p)) {
		ttl_error(vpc, p, wire);
		return DROP_TTL;
	}
	return arrive(vpc, b, p, at, &private_address);
}
