/* What was decided is done: rewrite every packet of the batch, then hand each to its sink. */
#include "vpc/pipeline.h"
#include "vpc/rewrite.h"

/* The destination's MAC, and a sender that it can have in its subnet. */
static void write_macs(struct lane *lane)
{
	const struct endpoint *e = lane->endpoint;

	packet_set_macs(lane->packet, &lane->action->destination_mac, lane->action->routed ? &e->gateway_mac : &e->mac);
}

/* A guest speaks to its gateway, or to a neighbour by its own MAC. */
static bool addressed_well(const struct lane *lane)
{
	const struct mac *to = (const struct mac *)(const void *)lane->packet->head;

	return lane->origin != ORIGIN_GUEST || mac_equal(to, &lane->endpoint->gateway_mac) ||
	       (mac_equal(to, &lane->action->destination_mac) && !lane->action->routed);
}

static enum drop_reason to_local(struct vpc *vpc, struct lane *lane, struct batch *next)
{
	struct endpoint *to = vpc_endpoint(vpc, lane->action->target);

	if (to == NULL)
		return DROP_NOT_ATTACHED;
	endpoint_refresh(to);
	if (to->policy == NULL)
		return DROP_NOT_ATTACHED;
	if (UNLIKELY(lane->direction == FLOW_IN))
		translate_inbound(lane);
	write_macs(lane);
	batch_arrive(next, to, lane->packet, ORIGIN_VPC);
	return DROP_NONE;
}

static enum drop_reason to_host(struct vpc *vpc, struct lane *lane)
{
	const struct flow_action *action = lane->action;
	const struct host_path *path = vpc_path(vpc, action->target);
	const struct tunnel_template *outer;
	enum drop_reason drop;

	if (UNLIKELY(path == NULL || path->wire == NULL))
		return DROP_NO_WIRE;
	outer = &path->templates[action->tunnel];
	if (UNLIKELY(outer->bytes == 0))
		return DROP_NO_HOST;
	drop = lane_check_size(vpc, lane, action->mtu < path->mtu ? action->mtu : path->mtu);
	if (UNLIKELY(drop != DROP_NONE))
		return drop;
	if (UNLIKELY(lane->direction == FLOW_IN))
		translate_inbound(lane);
	write_macs(lane);
	tunnel_encapsulate(outer, action->vni, lane->packet);
	lane->outer_bytes = outer->bytes;
	lane->sink = &path->wire->sink;
	return DROP_NONE;
}

static enum drop_reason output(struct vpc *vpc, struct lane *lane, struct batch *next)
{
	if (UNLIKELY(!addressed_well(lane)))
		return DROP_NOT_FOR_ROUTER;
	switch ((enum flow_verdict)lane->action->verdict) {
	case FLOW_TO_LOCAL:
		return to_local(vpc, lane, next);
	case FLOW_TO_HOST:
		return to_host(vpc, lane);
	case FLOW_TO_OUTSIDE:
		return outside_output(vpc, lane, next);
	case FLOW_TO_ENDPOINT:
		return lane_to_guest(vpc, lane);
	case FLOW_REFUSED:
		break;
	}
	return (enum drop_reason)lane->action->target;
}

void lane_output(struct vpc *vpc, struct lane *lane, struct batch *next)
{
	enum drop_reason drop;

	lane->sink = NULL;
	lane->outer_bytes = 0;
	lane->fragment_mtu = 0;
	drop = output(vpc, lane, next);
	if (UNLIKELY(drop != DROP_NONE)) {
		lane_drop(vpc, lane, drop);
		lane->sink = NULL;
	}
}

void batch_output(struct vpc *vpc, struct batch *b, struct batch *next)
{
	for (unsigned i = 0; i < b->count; i++)
		if (LIKELY(b->lanes[i].packet != NULL))
			lane_output(vpc, &b->lanes[i], next);
	stage_end(vpc, STAGE_REWRITE, b->count);
	for (unsigned i = 0; i < b->count; i++)
		if (LIKELY(b->lanes[i].packet != NULL && b->lanes[i].sink != NULL))
			lane_put(vpc, &b->lanes[i]);
	stage_end(vpc, STAGE_OUTPUT, b->count);
}
