/* The slow path: a packet without a flow, or with one that was decided by an older policy. */
#include <netinet/in.h>

#include "vpc/pipeline.h"

static void forget(struct vpc *vpc, uint32_t index)
{
	endpoint_forget_flow(vpc, flow_at(vpc->flows, index));
	flow_remove(vpc->flows, index);
	counter_set(&vpc->counters.flows, flow_table_count(vpc->flows));
}

static void decide_for(struct vpc *vpc, const struct endpoint *e, const struct decide_query *q, struct decision *d)
{
	if (e->policy->kind == ENDPOINT_NAT)
		decide_nat(vpc, q, d, NULL);
	else
		decide(vpc, q, d, NULL);
}

static void apply(struct flow *f, const struct endpoint *e, const struct decision *d)
{
	f->out = d->out;
	f->in = d->in;
	f->incarnation = e->incarnation;
	if (!d->group_denied) {
		f->allowed_group = d->allowed_group;
		f->flags = (uint8_t)((f->flags & ~FLOW_GRANDFATHERED) | (d->grandfather ? FLOW_GRANDFATHERED : 0));
	}
	if (e->policy->kind == ENDPOINT_ENI) {
		f->flags = (uint8_t)((f->flags & ~FLOW_TRANSLATED) | (d->translated ? FLOW_TRANSLATED : 0));
		f->public_address = d->public_address;
		f->public_port = f->key.local_port;
	}
	f->generation = e->generation;
}

/* The group that let it in or out keeps what it let in, as long as it is there and says so. */
static bool kept_by_group(const struct vpc *vpc, const struct flow *f)
{
	const struct policy *p = vpc->policy;

	return (f->flags & FLOW_GRANDFATHERED) != 0 && f->allowed_group < p->group_max && p->groups[f->allowed_group] != NULL &&
	       p->groups[f->allowed_group]->grandfather;
}

static enum drop_reason revalidate(struct vpc *vpc, struct endpoint *e, struct flow *f)
{
	struct decide_query q = {.endpoint = e->policy,
				 .network = e->network,
				 .key = &f->key,
				 .initiator = f->initiator,
				 .public_port = f->public_port,
				 .outside = f->initiator == FLOW_IN && (f->flags & FLOW_TRANSLATED) != 0};
	struct decision d;

	decide_for(vpc, e, &q, &d);
	if (d.drop != DROP_NONE && !(d.group_denied && kept_by_group(vpc, f)))
		return d.drop;
	if (e->policy->kind == ENDPOINT_NAT && !nat_binding_valid(e->policy, f))
		return DROP_NO_PUBLIC;
	apply(f, e, &d);
	return DROP_NONE;
}

static enum drop_reason may_begin(struct vpc *vpc, const struct lane *lane)
{
	const struct packet *p = lane->packet;
	struct endpoint *e = lane->endpoint;
	enum drop_reason drop;

	if (p->layers.icmp_error)
		return DROP_ICMP_UNRELATED;
	if (e->policy->kind == ENDPOINT_NAT && lane->direction == FLOW_IN)
		return DROP_NOT_OURS; /* nobody inside asked for it */
	drop = flow_may_begin(p);
	if (drop != DROP_NONE)
		return drop;
	if (p->layers.protocol == (p->layers.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
	    icmp_is_answer(p->layers.family, p->layers.icmp_type))
		return DROP_ICMP_UNRELATED;
	if (lane->direction == FLOW_IN && e->policy->source_dest_check && !endpoint_has_address(e->policy, &p->layers.destination))
		return DROP_NO_MAPPING;
	if (!meter_take(&e->new_flows, 1, vpc->now_tsc))
		return DROP_NEW_FLOW_RATE;
	return e->counters.flows < e->flows_max ? DROP_NONE : DROP_FLOW_QUOTA;
}

/* The answer's ACL is asked about the port that the outside sees, so that comes first. */
static enum drop_reason nat_begin(struct vpc *vpc, struct decide_query *q, const struct flow *f, uint32_t index, struct decision *d)
{
	enum drop_reason drop = nat_bind(vpc, q->endpoint, index);

	if (drop != DROP_NONE)
		return drop;
	q->public_port = f->public_port;
	decide_nat(vpc, q, d, NULL);
	return d->drop;
}

static enum drop_reason begin(struct vpc *vpc, struct lane *lane, const struct flow_key *key, uint32_t hash)
{
	struct endpoint *e = lane->endpoint;
	struct decide_query q = {.endpoint = e->policy,
				 .network = e->network,
				 .key = key,
				 .initiator = lane->direction,
				 .outside = lane->origin == ORIGIN_OUTSIDE};
	enum drop_reason drop = may_begin(vpc, lane);
	struct decision d;
	struct flow *f;
	uint32_t index;

	if (drop != DROP_NONE)
		return drop;
	if (e->policy->kind == ENDPOINT_ENI) {
		decide(vpc, &q, &d, NULL);
		if (d.drop != DROP_NONE)
			return d.drop;
	}
	index = flow_insert(vpc->flows, key, hash, vpc->now_ms);
	if (index == FLOW_NONE)
		return DROP_FLOW_TABLE_FULL;
	f = flow_at(vpc->flows, index);
	if (e->policy->kind == ENDPOINT_NAT) {
		drop = nat_begin(vpc, &q, f, index, &d);
		if (drop != DROP_NONE) {
			flow_remove(vpc->flows, index);
			return drop;
		}
	}
	f->initiator = lane->direction;
	apply(f, e, &d);
	lane->flow = f;
	counter_add(&e->counters.flows, 1);
	counter_add(&e->counters.flows_created, 1);
	counter_add(&vpc->counters.flows_created, 1);
	counter_set(&vpc->counters.flows, flow_table_count(vpc->flows));
	return DROP_NONE;
}

enum drop_reason lane_admit(struct vpc *vpc, struct lane *lane, const struct flow_key *key, uint32_t hash)
{
	/* Again: a packet before this one in the batch may have made it, or removed it. */
	uint32_t index = flow_find(vpc->flows, key, hash);
	struct endpoint *e = lane->endpoint;
	enum drop_reason drop;
	struct flow *f;

	if (index == FLOW_NONE)
		return begin(vpc, lane, key, hash);
	f = flow_at(vpc->flows, index);
	if (f->incarnation != e->incarnation || f->key.zone != e->slot ||
	    (f->state == FLOW_CLOSED && !lane->packet->layers.icmp_error && flow_is_reopened(f, lane->packet))) {
		forget(vpc, index);
		return begin(vpc, lane, key, hash);
	}
	lane->flow = f;
	if (f->generation == e->generation)
		return DROP_NONE;
	drop = revalidate(vpc, e, f);
	if (drop != DROP_NONE)
		forget(vpc, index);
	return drop;
}

/* Whom nobody had in the VPC when the flow was decided may have come since, which is no change of anybody's policy: it is looked for
 * again, at the price of a new flow. All other refusals stand until the policy changes. */
enum drop_reason lane_refused(struct vpc *vpc, struct lane *lane, const struct flow_action *action)
{
	struct endpoint *e = lane->endpoint;
	enum drop_reason reason = (enum drop_reason)action->target;

	if (reason != DROP_NO_MAPPING)
		return reason;
	if (!meter_take(&e->new_flows, 1, vpc->now_tsc))
		return DROP_NEW_FLOW_RATE;
	reason = revalidate(vpc, e, lane->flow);
	if (reason != DROP_NONE)
		return reason;
	return action->verdict == FLOW_REFUSED ? (enum drop_reason)action->target : DROP_NONE;
}
