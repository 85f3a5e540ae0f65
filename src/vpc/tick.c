/*
 * What time does: flows age, logs are written, neighbours are kept. Each call is a bounded step, so that traffic never waits for
 * more than one; what is left comes at the next call.
 *
 *	sweep		the whole flow table once a second, in parts that are spread over it: a part a millisecond at most, so that a
 *			card with a million idle flows wakes a thousand times a second, and one without flows once
 *	round		every ROUND_MS: endpoints look at a new policy and close the intervals of their logs; hosts' neighbours are wanted
 *	neighbours	underlay.c
 */
#include "vpc/pipeline.h"

enum {
	ROUND_MS = 250,
	ROUND_ENDPOINTS_MAX = 32, /* a call */
	ROUND_HOSTS_MAX = 32,
	PARTS_PER_S = 1000,
};

static uint64_t ticks_of_ms(const struct vpc *vpc, uint64_t ms)
{
	return vpc->config.ticks_per_second * ms / 1000;
}

/* ---- flows ---- */

static struct endpoint *owner_of(struct vpc *vpc, const struct flow *f)
{
	struct endpoint *e = f->key.zone < vpc->endpoint_count ? vpc->endpoints[f->key.zone] : NULL;

	if (e == NULL)
		return NULL;
	endpoint_refresh(e);
	return e->policy != NULL && e->incarnation == f->incarnation ? e : NULL;
}

static void flow_expired(void *context, struct flow *f, uint32_t index)
{
	struct vpc *vpc = context;

	(void)index;
	(void)owner_of(vpc, f); /* its log goes by the present policy */
	endpoint_forget_flow(vpc, f);
	counter_add(&vpc->counters.flows_expired, 1);
}

static void flow_lives(void *context, struct flow *f, uint32_t index)
{
	struct vpc *vpc = context;
	struct endpoint *e = owner_of(vpc, f);

	if (e == NULL) { /* its endpoint has gone */
		endpoint_forget_flow(vpc, f);
		flow_remove(vpc->flows, index);
		return;
	}
	if (UNLIKELY(vpc->offload.flows != NULL))
		offload_consider(vpc, e, f, index);
	if (UNLIKELY(e->log != NULL))
		flow_log_flow(e, f, false);
}

/* True: another sweep is due at once. */
static bool sweep(struct vpc *vpc)
{
	uint64_t now = vpc->now_tsc, end, left;

	if (now < vpc->tick.sweep_tsc)
		return false;
	flow_table_sweep(vpc->flows, vpc->now_ms, flow_lives, flow_expired, vpc);
	counter_set(&vpc->counters.flows, flow_table_count(vpc->flows));
	left = (flow_table_sweep_left(vpc->flows) + FLOW_SWEEP_MAX - 1) / FLOW_SWEEP_MAX;
	end = vpc->tick.sweep_round_tsc + vpc->config.ticks_per_second;
	if (left == 0) {
		vpc->tick.sweep_round_tsc = vpc->tick.sweep_tsc = end > now ? end : now;
		vpc->tick.sweeps_owed = 0;
		return false;
	}
	if (vpc->tick.sweeps_owed > 1) {
		vpc->tick.sweeps_owed--;
		return true;
	}
	vpc->tick.sweeps_owed = (uint32_t)((left + PARTS_PER_S - 1) / PARTS_PER_S);
	vpc->tick.sweep_tsc = end > now ? now + (end - now) / (left / vpc->tick.sweeps_owed + 1) : now;
	return vpc->tick.sweep_tsc == now;
}

/* ---- endpoints and hosts ---- */

static void keep_gateways(struct vpc *vpc)
{
	for (unsigned i = 0; i < vpc->wire_count; i++)
		if (vpc->wires[i].wire->config.has_gateway)
			underlay_resolve(vpc, vpc->wires[i].wire, &vpc->wires[i].wire->config.gateway, NULL);
}

static void look_at_endpoint(struct vpc *vpc, uint32_t slot)
{
	struct endpoint *e = slot < vpc->endpoint_count ? vpc->endpoints[slot] : NULL;

	if (e == NULL && policy_endpoint_at(vpc->policy, slot) != NULL)
		e = vpc_endpoint(vpc, slot);
	if (e == NULL)
		return;
	endpoint_refresh(e);
	if (e->log != NULL)
		flow_log_tick(e);
}

/* A new policy begins a round at once. */
static bool go_round(struct vpc *vpc)
{
	const struct policy *policy = vpc->policy;
	uint32_t slots;

	if (vpc->tick.endpoints_stamp != vpc->policy_stamp) {
		vpc->tick.endpoints_stamp = vpc->policy_stamp;
		vpc->tick.endpoints_new = true;
		vpc->tick.endpoint_cursor = vpc->tick.host_cursor = 0;
		vpc->tick.round_tsc = vpc->now_tsc;
	}
	if (vpc->now_tsc < vpc->tick.round_tsc)
		return false;
	if (vpc->tick.endpoint_cursor == 0)
		keep_gateways(vpc);
	if (policy == NULL)
		goto done;
	slots = policy->endpoint_max > vpc->endpoint_count ? policy->endpoint_max : vpc->endpoint_count;
	if (!vpc->tick.endpoints_new && vpc->logs == 0)
		slots = 0; /* they have nothing to do */
	for (unsigned i = 0; i < ROUND_ENDPOINTS_MAX && vpc->tick.endpoint_cursor < slots; i++)
		look_at_endpoint(vpc, vpc->tick.endpoint_cursor++);
	for (unsigned i = 0; i < ROUND_HOSTS_MAX && vpc->tick.host_cursor < policy->host_max; i++)
		vpc_path_keep(vpc, vpc->tick.host_cursor++);
	if (vpc->tick.endpoint_cursor < slots || vpc->tick.host_cursor < policy->host_max)
		return true;
	vpc->tick.endpoints_new = false;
done:
	vpc->tick.endpoint_cursor = vpc->tick.host_cursor = 0;
	vpc->tick.round_tsc = vpc->now_tsc + ticks_of_ms(vpc, ROUND_MS);
	return false;
}

bool vpc_tick(struct vpc *vpc, uint64_t now_tsc, uint64_t *next_tsc)
{
	bool more;

	vpc_begin(vpc, now_tsc);
	more = sweep(vpc);
	more |= go_round(vpc);
	more |= underlay_tick(vpc);
	more |= vpc->offload.count > 0 && offload_tick(vpc);
	vpc_flush(vpc);
	*next_tsc = vpc->tick.sweep_tsc < vpc->tick.round_tsc ? vpc->tick.sweep_tsc : vpc->tick.round_tsc;
	return more;
}
