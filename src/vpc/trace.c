/*
 * "What would be done with this packet": the pipeline's stages one by one, with the very functions that decide (decide.c, nat.c,
 * egress.c), and a line for what each says. No flow is made, no allowance taken, nothing is sent to anybody; what the packet would
 * wait for, a neighbour's MAC say, is looked for and told.
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vpc/parse.h"
#include "vpc/pipeline.h"
#include "vpc/segment.h"

void trace_add(struct trace *t, const char *stage, const char *verdict, const char *format, ...)
{
	struct trace_line *line;
	va_list arguments;

	if (t->count == TRACE_LINES_MAX)
		return;
	line = &t->lines[t->count++];
	snprintf(line->stage, sizeof(line->stage), "%s", stage);
	snprintf(line->verdict, sizeof(line->verdict), "%s", verdict);
	va_start(arguments, format);
	vsnprintf(line->detail, sizeof(line->detail), format, arguments);
	va_end(arguments);
}

static bool fail(struct trace *t, const char *stage, enum drop_reason reason)
{
	t->drop = reason;
	trace_add(t, stage, "drop", "%s", drop_sentence(reason));
	return false;
}

static const char *protocol_name(uint8_t protocol, char text[16])
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	default:
		snprintf(text, 16, "protocol %u", protocol);
		return text;
	}
}

static const char *target_name(enum route_target target)
{
	static const char *const names[] = {
		[ROUTE_LOCAL] = "local",     [ROUTE_BLACKHOLE] = "blackhole", [ROUTE_INTERNET] = "internet",
		[ROUTE_NAT] = "NAT gateway", [ROUTE_PEERING] = "peering",     [ROUTE_ENI] = "ENI",
	};

	return names[target];
}

/* Called by decide(): how the route and the mapping came out. */
void trace_way(struct trace *t, struct vpc *vpc, const struct location *where, enum drop_reason way, const struct decision *d)
{
	char text[NET_PREFIX_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	const struct policy_mapping *owner = where->owner;
	const struct policy_host *host;

	if (!where->routed) {
		trace_add(t, "route", "drop", "%s", drop_sentence(way));
		return;
	}
	net_prefix_format(&where->route.destination, text);
	trace_add(t, "route", way == DROP_NO_ROUTE ? "drop" : "pass", "%s -> %s", text, target_name(where->route.target));
	if (way == DROP_NO_ROUTE)
		return;
	if (where->route.target == ROUTE_INTERNET) {
		if (way == DROP_NONE)
			net_address_format(&d->public_address, text);
		trace_add(t, "mapping", way == DROP_NONE ? "pass" : "drop", "%s%s",
			  way == DROP_NONE ? "elastic IP " : drop_sentence(way), way == DROP_NONE ? text : "");
		return;
	}
	if (owner == NULL || way != DROP_NONE) {
		trace_add(t, "mapping", "drop", "%s", drop_sentence(way));
		return;
	}
	mac_format(&owner->mac, mac);
	host = !owner->local && owner->slot < vpc->policy->host_max ? vpc->policy->hosts[owner->slot] : NULL;
	trace_add(t, "mapping", "pass", "%s (%s) in VPC %s, on %s%s", owner->name, mac, where->network->name,
		  owner->local ? "this card" : "host ",
		  owner->local	 ? ""
		  : host != NULL ? host->name
				 : "?");
}

/* ---- the ends of the way ---- */

static bool fits(struct trace *t, const struct packet *p, uint32_t mtu)
{
	uint32_t bytes = packet_ip_bytes_max(p);

	if (bytes <= mtu || (!p->layers.dont_fragment && p->gso == PACKET_GSO_NONE)) {
		trace_add(t, "mtu", "pass", "%u of %u bytes%s", bytes, mtu, bytes > mtu ? ": fragmented" : "");
		return true;
	}
	trace_add(t, "mtu", "drop", "%u of %u bytes: the sender is told", bytes, mtu);
	t->drop = DROP_TOO_BIG;
	return false;
}

static bool to_guest(struct trace *t, const struct endpoint *e, const struct packet *p)
{
	if (e->sink == NULL)
		return fail(t, "deliver", DROP_NOT_ATTACHED);
	if (!fits(t, p, e->sink->frame_bytes_max - ETHER_BYTES))
		return false;
	trace_add(t, "deliver", "pass", "to ENI %s", e->policy->name);
	return true;
}

static bool to_host(struct vpc *vpc, struct trace *t, const struct flow_action *action, const struct packet *p)
{
	const struct host_path *path = vpc_path(vpc, action->target);
	char address[NET_ADDRESS_TEXT_SIZE];

	if (path == NULL || path->wire == NULL)
		return fail(t, "encapsulate", DROP_NO_WIRE);
	if (path->templates[action->tunnel].bytes == 0)
		return fail(t, "encapsulate", DROP_NO_HOST);
	if (!fits(t, p, action->mtu < path->mtu ? action->mtu : path->mtu))
		return false;
	net_address_format(&vpc->policy->hosts[action->target]->address, address);
	trace_add(t, "encapsulate", "pass", "%s, VNI %u", action->tunnel == TUNNEL_GENEVE ? "Geneve" : "VXLAN", action->vni);
	trace_add(t, "deliver", "pass", "to host %s (%s) on wire %u", vpc->policy->hosts[action->target]->name, address,
		  path->wire->index);
	t->end = "the packet leaves for that host, where its own policy decides";
	return true;
}

static bool to_outside(struct vpc *vpc, struct trace *t, const struct packet *p)
{
	struct net_address next_hop, unused;
	char text[NET_ADDRESS_TEXT_SIZE];
	struct wire *wire;

	if (p->layers.ttl <= 1)
		return fail(t, "deliver", DROP_TTL);
	if (policy_public_find(vpc->policy, &p->layers.destination, &unused) != NULL) {
		trace_add(t, "deliver", "pass", "to a public address of this card: it turns round here");
		return true;
	}
	wire = underlay_route(vpc, &p->layers.destination, &next_hop);
	if (wire == NULL)
		return fail(t, "deliver", DROP_NO_WIRE);
	if (!fits(t, p, wire->mtu))
		return false;
	net_address_format(&next_hop, text);
	trace_add(t, "deliver", "pass", "to the outside, by %s on wire %u", text, wire->index);
	t->end = "the packet leaves for the outside";
	return true;
}

/* ---- an endpoint ---- */

/* What is done in that direction at `e`: by the flow that is there, or as it would be decided. */
static bool at_endpoint(struct vpc *vpc, struct trace *t, struct endpoint *e, struct packet *p, enum flow_direction direction,
			struct flow_action *out)
{
	static const char *const states[] = {[FLOW_NEW] = "new",
					     [FLOW_REPLIED] = "replied",
					     [FLOW_ESTABLISHED] = "established",
					     [FLOW_CLOSING] = "closing",
					     [FLOW_CLOSED] = "closed"};
	struct decide_query q = {.endpoint = e->policy, .network = e->network, .initiator = direction};
	struct flow_key key;
	struct decision d;
	struct flow *f;
	uint32_t index;

	if (!flow_key_of(&key, p, e->slot, direction))
		return fail(t, "flow", DROP_ICMP_UNRELATED);
	index = flow_find(vpc->flows, &key, flow_hash(vpc->flows, &key));
	f = index != FLOW_NONE ? flow_at(vpc->flows, index) : NULL;
	if (f != NULL && f->incarnation == e->incarnation && !(f->state == FLOW_CLOSED && flow_is_reopened(f, p))) {
		bool current = f->generation == e->generation;

		trace_add(t, "flow", "hit", "%s at %s, begun %s%s", states[f->state], e->policy->name,
			  f->initiator == FLOW_OUT ? "by it" : "from outside of it", current ? "" : "; policy has changed since");
		*out = direction == FLOW_OUT ? f->out : f->in;
		if (current)
			return out->verdict != FLOW_REFUSED || fail(t, "flow", (enum drop_reason)out->target);
		q.initiator = f->initiator;
	} else {
		enum drop_reason drop = flow_may_begin(p);

		trace_add(t, "flow", "miss", "at %s", e->policy->name);
		if (drop != DROP_NONE)
			return fail(t, "flow", drop);
	}
	q.key = &key;
	if (e->policy->kind == ENDPOINT_NAT)
		decide_nat(vpc, &q, &d, t);
	else
		decide(vpc, &q, &d, t);
	*out = direction == FLOW_OUT ? d.out : d.in;
	t->drop = d.drop;
	if (d.drop == DROP_NONE && out->verdict == FLOW_REFUSED)
		t->drop = (enum drop_reason)out->target;
	return t->drop == DROP_NONE;
}

static bool to_local(struct vpc *vpc, struct trace *t, struct packet *p, uint32_t slot)
{
	struct endpoint *e = vpc_endpoint(vpc, slot);
	struct flow_action action;

	if (e != NULL)
		endpoint_refresh(e);
	if (e == NULL || e->policy == NULL)
		return fail(t, "deliver", DROP_NOT_ATTACHED);
	if (e->policy->kind == ENDPOINT_ENI)
		return at_endpoint(vpc, t, e, p, FLOW_IN, &action) && to_guest(t, e, p);
	if (!at_endpoint(vpc, t, e, p, FLOW_OUT, &action))
		return false;
	if (e->policy->public_count == 0)
		return fail(t, "nat", DROP_NO_PUBLIC);
	trace_add(t, "nat", "pass", "by NAT gateway %s", e->policy->name);
	return to_outside(vpc, t, p);
}

static bool check_sender(struct trace *t, struct endpoint *e, struct packet *p)
{
	uint8_t buffer[RESPONDER_BUFFER_BYTES];
	struct packet answer = {.head = buffer + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	enum drop_reason drop = packet_parse(p);
	bool card_only;
	char text[16];

	if (drop != DROP_NONE)
		return fail(t, "parse", drop);
	trace_add(t, "parse", "pass", "IPv%u, %s, %u bytes", p->layers.family, protocol_name(p->layers.protocol, text),
		  p->layers.ip_bytes);
	packet_trim(p);
	drop = egress_check_sender(e, p, &card_only);
	if (drop != DROP_NONE)
		return fail(t, "anti-spoof", drop);
	trace_add(t, "anti-spoof", "pass", "MAC and address are %s's", e->policy->name);
	if (!local_wanted(e, p))
		return true;
	if (responder_answer(&e->facts, p, vpc_now_ns(e->vpc), &answer) != RESPONDER_NOT_MINE) {
		trace_add(t, "card", "pass", "one of the card's own services: answered here");
		t->end = "the card answers it itself";
		return false;
	}
	return (p->head[0] & 1) != 0 ? fail(t, "deliver", DROP_MULTICAST) : !card_only || fail(t, "anti-spoof", DROP_SPOOFED_IP);
}

void vpc_trace(struct vpc *vpc, uint32_t slot, struct packet *p, struct trace *out, uint64_t now_tsc)
{
	struct endpoint *e = vpc_endpoint(vpc, slot);
	struct flow_action action;

	out->count = 0;
	out->drop = DROP_NONE;
	out->end = "the packet arrives";
	vpc_begin(vpc, now_tsc);
	if (e != NULL)
		endpoint_refresh(e);
	if (e == NULL || e->policy == NULL || e->policy->kind != ENDPOINT_ENI)
		fail(out, "parse", DROP_NOT_ATTACHED);
	else if (check_sender(out, e, p) && at_endpoint(vpc, out, e, p, FLOW_OUT, &action)) {
		if (action.verdict == FLOW_TO_LOCAL)
			to_local(vpc, out, p, action.target);
		else if (action.verdict == FLOW_TO_HOST)
			to_host(vpc, out, &action, p);
		else
			to_outside(vpc, out, p);
	}
	vpc_flush(vpc);
}
