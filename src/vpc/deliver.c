/* The end of a packet's way: does it fit, is it to be cut, and does the sink take it. */
#include "vpc/parse.h"
#include "vpc/pipeline.h"
#include "vpc/segment.h"

static void mark_dirty(struct vpc *vpc, struct packet_sink *sink)
{
	if (sink->dirty)
		return;
	sink->dirty = true;
	sink->dirty_next = vpc->dirty;
	vpc->dirty = sink;
}

bool sink_put(struct vpc *vpc, struct packet_sink *sink, const struct packet *p)
{
	mark_dirty(vpc, sink);
	return sink->ops->put(sink, p, vpc->now_tsc);
}

void guest_send(struct endpoint *e, const struct packet *p)
{
	if (e->sink == NULL)
		return;
	if (UNLIKELY(!list_empty(&e->captures)))
		capture_frame(e, p, FLOW_IN, DROP_NONE);
	if (packet_bytes(p) > e->sink->frame_bytes_max) {
		counter_add(&e->counters.drops[DROP_TOO_BIG], 1);
	} else if (sink_put(e->vpc, e->sink, p)) {
		counter_add(&e->counters.in.packets, 1);
		counter_add(&e->counters.in.bytes, packet_bytes(p));
		e->own_packets++;
	} else {
		counter_add(&e->counters.drops[DROP_NO_BUFFER], 1);
	}
}

/* ---- ICMP errors of the card ---- */

/* To who is beyond the endpoint: by the way that its flow has, as if the endpoint had sent it. From inside a NAT gateway it goes
 * back in. */
static void error_along_flow(struct vpc *vpc, struct lane *about, struct packet *error)
{
	struct lane back = *about;
	struct batch next = {.count = 0, .rounds = ROUNDS_MAX - 1};

	back.packet = error;
	back.direction = about->direction == FLOW_IN ? FLOW_OUT : FLOW_IN;
	back.action = back.direction == FLOW_OUT ? &about->flow->out : &about->flow->in;
	back.origin = ORIGIN_VPC;
	if (back.action->verdict == FLOW_REFUSED)
		return;
	lane_output(vpc, &back, &next);
	if (back.packet != NULL && back.sink != NULL)
		lane_put(vpc, &back);
	if (next.count > 0)
		batch_run(vpc, &next);
}

static struct net_address error_source(const struct lane *lane)
{
	const struct policy_endpoint *e = lane->endpoint->policy;
	bool v4 = lane->packet->layers.family == 4;

	if (e->kind == ENDPOINT_NAT && lane->direction == FLOW_IN)
		return lane->flow->public_address; /* to the outside, which knows nothing of the inside */
	if (e->kind == ENDPOINT_NAT)
		return e->addresses[0];
	if (lane->direction == FLOW_IN && (lane->flow->flags & FLOW_TRANSLATED) != 0)
		return lane->flow->key.local; /* becomes the public address on the way */
	return v4 ? e->subnet->gateway4 : e->subnet->gateway6;
}

void lane_error(struct vpc *vpc, struct lane *lane, enum icmp_error_kind kind, uint32_t mtu)
{
	uint8_t buffer[PACKET_HEAD_BYTES];
	struct packet error = {.head = buffer + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	struct net_address from = error_source(lane);

	if (!meter_take(&lane->endpoint->errors, 1, vpc->now_tsc) || !icmp_error_build(&error, lane->packet, kind, &from, mtu) ||
	    packet_parse(&error) != DROP_NONE)
		return;
	if (lane->endpoint->policy->kind == ENDPOINT_ENI && lane->direction == FLOW_OUT)
		guest_send(lane->endpoint, &error);
	else
		error_along_flow(vpc, lane, &error);
}

/* ---- sizes ---- */

enum drop_reason lane_check_size(struct vpc *vpc, struct lane *lane, uint32_t mtu)
{
	const struct packet *p = lane->packet;

	lane->fragment_mtu = 0;
	if (LIKELY((p->gso == PACKET_GSO_NONE ? p->layers.ip_bytes : packet_ip_bytes_max(p)) <= mtu))
		return DROP_NONE;
	if (!p->layers.dont_fragment && p->gso == PACKET_GSO_NONE) {
		lane->fragment_mtu = mtu;
		return DROP_NONE;
	}
	lane_error(vpc, lane, ICMP_ERROR_TOO_BIG, mtu);
	return DROP_TOO_BIG;
}

enum drop_reason lane_to_guest(struct vpc *vpc, struct lane *lane)
{
	struct packet_sink *sink = lane->endpoint->sink;

	if (UNLIKELY(sink == NULL))
		return DROP_NOT_ATTACHED;
	lane->sink = sink;
	return lane_check_size(vpc, lane, sink->frame_bytes_max - ETHER_BYTES);
}

void lane_put(struct vpc *vpc, struct lane *lane)
{
	struct packet *p = lane->packet;
	struct packet_sink *sink = lane->sink;
	bool to_guest = sink == lane->endpoint->sink;
	struct segment_result done;

	mark_dirty(vpc, sink);
	if (UNLIKELY(to_guest && !list_empty(&lane->endpoint->captures)))
		capture_frame(lane->endpoint, p, FLOW_IN, DROP_NONE);
	if (UNLIKELY(lane->fragment_mtu != 0)) {
		done = fragment_put(sink, p, lane->outer_bytes, lane->fragment_mtu, vpc->now_tsc);
	} else if (LIKELY(p->gso == PACKET_GSO_NONE && (p->flags & PACKET_NEEDS_CSUM) == 0)) {
		done.put = sink->ops->put(sink, p, vpc->now_tsc);
		done.refused = done.put == 0;
	} else {
		done = segment_put(sink, p, lane->outer_bytes, vpc->now_tsc);
	}
	if (UNLIKELY(done.refused != 0)) {
		enum drop_reason reason = to_guest ? DROP_NO_BUFFER : DROP_WIRE_FULL;

		counter_add(&lane->endpoint->counters.drops[reason], done.refused - 1);
		packet_drop(vpc, lane->endpoint, p, lane->direction, reason);
	}
}
