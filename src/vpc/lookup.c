/*
 * From a batch of lanes to what is done with each. The flows of a batch are found together (flow_find_batch()), so that a table
 * that is larger than the caches costs one miss a batch and not one a packet.
 */
#include "vpc/pipeline.h"

static void count_packet(struct lane *lane)
{
	struct endpoint *e = lane->endpoint;
	struct flow *f = lane->flow;
	uint32_t packets = packet_count(lane->packet), bytes = packet_bytes(lane->packet);
	bool out = lane->direction == FLOW_OUT;
	struct flow_counters *of_flow = out ? &f->counters_out : &f->counters_in;
	struct flow_counters *of_endpoint = out ? &e->counters.out : &e->counters.in;

	of_flow->packets += packets;
	of_flow->bytes += lane->packet->layers.ip_bytes;
	counter_add(&of_endpoint->packets, packets);
	counter_add(&of_endpoint->bytes, bytes);
}

/* It belongs to the endpoint as it is now (a public address may be another NAT gateway's by now), and is not a connection that is over
 * and begun again. */
static bool flow_current(const struct flow *f, const struct lane *lane)
{
	return LIKELY(f->generation == lane->endpoint->generation) && LIKELY(f->incarnation == lane->endpoint->incarnation) &&
	       LIKELY(f->key.zone == lane->endpoint->slot) &&
	       (LIKELY(f->state != FLOW_CLOSED) || lane->packet->layers.icmp_error || !flow_is_reopened(f, lane->packet));
}

static enum drop_reason slow(struct vpc *vpc, struct lane *lane, const struct flow_key *key, uint32_t hash)
{
	uint64_t began = vpc->config.stage_cycles ? clock_tsc() : 0;
	enum drop_reason drop = lane_admit(vpc, lane, key, hash);

	counter_add(&lane->endpoint->counters.slow_path, 1);
	if (vpc->config.stage_cycles) {
		uint64_t ticks = clock_tsc() - began;

		counter_add(&vpc->counters.stage_ticks[STAGE_SLOW], ticks);
		counter_add(&vpc->counters.stage_packets[STAGE_SLOW], 1);
		vpc->stage_tsc += ticks;
	}
	return drop;
}

static enum drop_reason look_up(struct vpc *vpc, struct lane *lane, const struct flow_key *key, uint32_t hash, uint32_t index)
{
	struct flow *f = index != FLOW_NONE ? flow_at(vpc->flows, index) : NULL;
	enum drop_reason drop;

	lane->packet->hash = hash;
	if (UNLIKELY(f == NULL) || UNLIKELY(!flow_current(f, lane))) {
		drop = slow(vpc, lane, key, hash);
		if (drop != DROP_NONE)
			return drop;
		f = lane->flow;
	}
	lane->flow = f;
	lane->action = lane->direction == FLOW_OUT ? &f->out : &f->in;
	if (UNLIKELY(lane->action->verdict == FLOW_REFUSED)) {
		drop = lane_refused(vpc, lane, lane->action);
		if (drop != DROP_NONE)
			return drop;
	}
	/* Who claims from inside to be somebody outside, or the other way round, has an address that is not his. */
	if (lane->direction == FLOW_IN && UNLIKELY((lane->origin == ORIGIN_OUTSIDE) != ((f->flags & FLOW_TRANSLATED) != 0)))
		return DROP_SPOOFED_IP;
	if (UNLIKELY(lane->packet->layers.icmp_error))
		return DROP_NONE; /* about the flow, not of it */
	return flow_track(f, lane->packet, lane->direction, &lane->endpoint->timeouts, vpc->now_ms);
}

void batch_look_up(struct vpc *vpc, struct batch *b)
{
	flow_find_batch(vpc->flows, b->keys, b->count, b->hashes, b->indices);
	for (unsigned i = 0; i < b->count; i++) /* what goes out is there already; what comes in has a line of its own */
		if (b->lanes[i].direction == FLOW_IN && b->indices[i] != FLOW_NONE)
			flow_prefetch_in(flow_at(vpc->flows, b->indices[i]));
	for (unsigned i = 0; i < b->count; i++) {
		struct lane *lane = &b->lanes[i];
		enum drop_reason drop = look_up(vpc, lane, &b->keys[i], b->hashes[i], b->indices[i]);

		if (LIKELY(drop == DROP_NONE)) {
			count_packet(lane);
			continue;
		}
		if (UNLIKELY(lane->packet->layers.fragment == FRAGMENT_FIRST))
			fragment_forget(vpc->fragments, b->keys[i].zone, lane->direction == FLOW_IN, lane->packet);
		lane_drop(vpc, lane, drop);
	}
}

void lane_drop(struct vpc *vpc, struct lane *lane, enum drop_reason reason)
{
	packet_drop(vpc, lane->endpoint, lane->packet, lane->direction, reason);
	lane->packet = NULL;
}

/* Two batches take turns: what one finds to be for an endpoint of this card is the other's next round. */
void batch_run(struct vpc *vpc, struct batch *b)
{
	struct batch other, *next = &other;

	while (b->count > 0) {
		struct batch *done = b;

		next->count = 0;
		next->rounds = b->rounds + 1;
		batch_look_up(vpc, b);
		stage_end(vpc, STAGE_LOOKUP, b->count);
		batch_output(vpc, b, next);
		b = next;
		next = done;
	}
}
