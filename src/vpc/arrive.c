/* A packet becomes a lane: its fragments follow the first one, and its flow has a key. */
#include <assert.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "vpc/parse.h"
#include "vpc/pipeline.h"

/* Questions that have an answer of another type are one flow: the type of the question stands for both. */
static uint8_t icmp_question(uint8_t family, uint8_t type)
{
	if (family == 6)
		return type == ICMP6_ECHO_REPLY ? ICMP6_ECHO_REQUEST : type;
	switch (type) {
	case ICMP_ECHOREPLY:
		return ICMP_ECHO;
	case ICMP_TIMESTAMPREPLY:
		return ICMP_TIMESTAMP;
	case ICMP_INFO_REPLY:
		return ICMP_INFO_REQUEST;
	case ICMP_ADDRESSREPLY:
		return ICMP_ADDRESS;
	default:
		return type;
	}
}

bool icmp_is_answer(uint8_t family, uint8_t type)
{
	return icmp_question(family, type) != type;
}

/* Ports of a flow, the local one first. ICMP: the identifier of an echo and 0; else 0 and the type and code of the question. */
static void set_ports(struct flow_key *key, const struct packet_layers *l, bool source_is_local)
{
	key->local_port = source_is_local ? l->source_port : l->destination_port;
	key->remote_port = source_is_local ? l->destination_port : l->source_port;
	if (LIKELY(l->protocol == IPPROTO_TCP || l->protocol == IPPROTO_UDP))
		return;
	if (l->protocol == (l->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		uint8_t question = icmp_question(l->family, l->icmp_type), echo = l->family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;

		/* Later fragments show no type; what they follow was an echo, or they find nothing. */
		if (question == echo || l->fragment == FRAGMENT_LATER)
			key->remote_port = 0;
		else
			key->remote_port = htons((uint16_t)(question << 8 | l->icmp_code));
	}
}

static void fill_key(struct flow_key *key, const struct packet_layers *l, uint32_t zone, bool source_is_local)
{
	key->local = source_is_local ? l->source : l->destination;
	key->remote = source_is_local ? l->destination : l->source;
	key->zone = zone;
	key->protocol = l->protocol;
	memset(key->reserved, 0, sizeof(key->reserved));
	set_ports(key, l, source_is_local);
}

bool flow_key_of(struct flow_key *key, const struct packet *p, uint32_t zone, enum flow_direction direction)
{
	struct packet_layers embedded;

	if (LIKELY(!p->layers.icmp_error)) {
		fill_key(key, &p->layers, zone, direction == FLOW_OUT);
		return true;
	}
	/* What it is about went the other way, and it goes to who sent that (RFC 792, RFC 4443 2.2): to another it would be a way past
	 * the policy, as only the flow was asked about. */
	if (!packet_parse_embedded(p, &embedded) || embedded.fragment == FRAGMENT_LATER || embedded.icmp_error ||
	    !net_address_equal(&embedded.source, &p->layers.destination))
		return false;
	fill_key(key, &embedded, zone, direction != FLOW_OUT);
	return true;
}

static void add_lane(struct batch *b, struct endpoint *e, struct packet *p, enum flow_direction direction, enum origin origin,
		     uint32_t zone)
{
	enum drop_reason drop = DROP_NONE;

	assert(b->count < PACKET_BATCH_MAX);
	if (UNLIKELY(p->layers.fragment != FRAGMENT_NONE))
		drop = fragment_follow(e->vpc->fragments, zone, direction == FLOW_IN, p, e->vpc->now_ms);
	if (UNLIKELY(p->layers.icmp_error && p->layers.family == 4 && p->layers.icmp_type == ICMP_REDIRECT))
		drop = DROP_UNSUPPORTED; /* nobody but its gateway tells a guest where to send, and the card has no need to */
	if (LIKELY(drop == DROP_NONE) && !flow_key_of(&b->keys[b->count], p, zone, direction))
		drop = DROP_ICMP_UNRELATED;
	if (UNLIKELY(drop != DROP_NONE)) {
		packet_drop(e->vpc, e, p, direction, drop);
		return;
	}
	b->lanes[b->count++] =
		(struct lane){.packet = p, .endpoint = e, .direction = (uint8_t)direction, .origin = (uint8_t)origin};
}

void batch_add(struct batch *b, struct endpoint *e, struct packet *p, enum flow_direction direction, enum origin origin)
{
	add_lane(b, e, p, direction, origin, e->slot);
}

static enum drop_reason take_allowances(struct endpoint *e, const struct packet *p)
{
	uint64_t now = e->vpc->now_tsc;

	if (!meter_take(&e->packets, packet_count(p), now))
		return DROP_PACKET_RATE;
	if (!meter_take(&e->bits_in, (uint64_t)packet_bytes(p) * 8, now))
		return DROP_BANDWIDTH_IN;
	return DROP_NONE;
}

/* An ENI is where a packet ends. A NAT gateway has an inside, from which everything goes out, and an outside, where its flows are
 * known by their other name. */
void batch_arrive(struct batch *b, struct endpoint *e, struct packet *p, enum origin origin)
{
	enum drop_reason drop = take_allowances(e, p);

	if (UNLIKELY(drop != DROP_NONE))
		packet_drop(e->vpc, e, p, FLOW_IN, drop);
	else if (LIKELY(e->policy->kind == ENDPOINT_ENI))
		add_lane(b, e, p, FLOW_IN, origin, e->slot);
	else if (origin == ORIGIN_OUTSIDE)
		add_lane(b, e, p, FLOW_IN, origin, FLOW_ZONE_OUTSIDE);
	else
		add_lane(b, e, p, FLOW_OUT, origin, e->slot);
}
