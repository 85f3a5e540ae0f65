/*
 * Which flows are offered to a wire's device, and when they are taken back (offload.h says what a device does with them).
 *
 * Offered are those worth it that need nothing of us any more: established, to another host, OFFLOAD_PACKETS_MIN packets out since
 * their last log record, of an ENI without allowances to meter and without a capture that would miss them, whose MAC no other endpoint
 * of the card has. The sweep of the flow table finds them.
 *
 * All that devices carry are in one list. It is gone through once a second, and at once when the policy, a neighbour or a wire has
 * changed: what was decided by an older policy, or has another way now, is taken back, and offered again when it comes by; what
 * the device counted becomes the flow's own, and keeps it from ageing.
 */
#include "vpc/offload.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "vpc/pipeline.h"

enum { OFFLOAD_TICK_MAX = 32 };

int offload_open(struct vpc *vpc)
{
	if (vpc->offload.flows == NULL)
		vpc->offload.flows = malloc(OFFLOADED_MAX * sizeof(vpc->offload.flows[0]));
	return vpc->offload.flows != NULL ? 0 : -ENOMEM;
}

/* Tenants may have the same MACs: a device would not tell their frames apart. Found out once a policy. */
static bool mac_shared(struct vpc *vpc, struct endpoint *e)
{
	const struct policy *p = vpc->policy;

	if (e->offload.stamp == vpc->policy_stamp)
		return e->offload.mac_shared;
	e->offload.stamp = vpc->policy_stamp;
	e->offload.mac_shared = false;
	for (uint32_t slot = 0; slot < p->endpoint_max && !e->offload.mac_shared; slot++)
		e->offload.mac_shared =
			slot != e->slot && p->endpoints[slot] != NULL && mac_equal(&p->endpoints[slot]->mac, &e->mac);
	return e->offload.mac_shared;
}

static bool endpoint_allows(struct vpc *vpc, struct endpoint *e)
{
	const struct eni_allowances *a = &e->allowances;

	return e->policy != NULL && e->policy->kind == ENDPOINT_ENI && a->bandwidth_out_bits == 0 && a->packets_per_s == 0 &&
	       list_empty(&e->captures) && !mac_shared(vpc, e);
}

static bool worth_it(const struct flow *f)
{
	return f->state == FLOW_ESTABLISHED && f->out.verdict == FLOW_TO_HOST && f->counters_out.packets >= OFFLOAD_PACKETS_MIN &&
	       (f->key.protocol == IPPROTO_TCP || f->key.protocol == IPPROTO_UDP);
}

void offload_consider(struct vpc *vpc, struct endpoint *e, struct flow *f, uint32_t index)
{
	const struct host_path *path;
	struct wire_offload_flow offer;
	struct wire_port *port;
	int rc;

	if (f->offload_wire != 0 || f->generation != e->generation || !worth_it(f) || !endpoint_allows(vpc, e) ||
	    vpc->offload.count == OFFLOADED_MAX)
		return;
	path = vpc_path(vpc, f->out.target);
	if (path == NULL || path->wire == NULL || path->wire->offload == NULL || path->templates[f->out.tunnel].bytes == 0)
		return;
	port = &vpc->wires[path->wire->index];
	if (vpc->now_tsc < port->paused_until_tsc)
		return;
	offer = (struct wire_offload_flow){.key = &f->key,
					   .out = &f->out,
					   .outer = &path->templates[f->out.tunnel],
					   .endpoint_mac = e->mac,
					   .sender_mac = f->out.routed ? e->gateway_mac : e->mac,
					   .hash = f->hash,
					   .flow_index = index};
	rc = path->wire->offload->offer(path->wire, &offer, &f->offload_handle);
	counter_add(&vpc->counters.offload_offered, 1);
	if (rc != 0) {
		if (++port->refusals >= OFFLOAD_REFUSALS_MAX) {
			port->refusals = 0;
			port->paused_until_tsc = vpc->now_tsc + OFFLOAD_PAUSE_S * vpc->config.ticks_per_second;
		}
		return;
	}
	counter_add(&vpc->counters.offload_accepted, 1);
	port->refusals = 0;
	f->offload_wire = (uint8_t)(path->wire->index + 1);
	f->offload_counted = (struct flow_counters){0};
	f->offload_stamp = path->version;
	f->offload_place = vpc->offload.count;
	vpc->offload.flows[vpc->offload.count++] = index;
}

/* What the device carried since the last time is the flow's. */
static void take_counters(struct vpc *vpc, struct endpoint *e, struct flow *f)
{
	struct wire *wire = vpc->wires[f->offload_wire - 1].wire;
	struct flow_counters total, fresh;

	if (wire->offload->count(wire, f->offload_handle, &total) != 0)
		return;
	fresh.packets = total.packets - f->offload_counted.packets;
	fresh.bytes = total.bytes - f->offload_counted.bytes;
	if (fresh.packets == 0)
		return;
	f->offload_counted = total;
	if (f->incarnation != e->incarnation)
		return; /* its endpoint has gone, and another has the slot */
	f->counters_out.packets += fresh.packets;
	f->counters_out.bytes += fresh.bytes;
	f->seen_ms = vpc->now_ms;
	counter_add(&e->counters.out.packets, fresh.packets);
	counter_add(&e->counters.out.bytes, fresh.bytes);
}

static void withdraw(struct vpc *vpc, struct flow *f)
{
	struct wire *wire = vpc->wires[f->offload_wire - 1].wire;
	uint32_t last = vpc->offload.flows[--vpc->offload.count];

	wire->offload->withdraw(wire, f->offload_handle);
	f->offload_wire = 0;
	vpc->offload.flows[f->offload_place] = last;
	flow_at(vpc->flows, last)->offload_place = f->offload_place;
}

static struct endpoint *owner_of(struct vpc *vpc, const struct flow *f)
{
	struct endpoint *e = vpc_endpoint(vpc, f->key.zone);

	endpoint_refresh(e); /* it was there when the flow was offered */
	return e;
}

void offload_forget(struct vpc *vpc, struct flow *f)
{
	take_counters(vpc, owner_of(vpc, f), f);
	withdraw(vpc, f);
}

/* True: it is the device's still. */
static bool look_at(struct vpc *vpc, struct flow *f)
{
	struct endpoint *e = owner_of(vpc, f);
	const struct host_path *path;

	take_counters(vpc, e, f);
	path = e->policy != NULL ? vpc_path(vpc, f->out.target) : NULL;
	if (path != NULL && f->generation == e->generation && f->incarnation == e->incarnation && f->state == FLOW_ESTABLISHED &&
	    f->offload_stamp == path->version && endpoint_allows(vpc, e))
		return true;
	withdraw(vpc, f);
	return false;
}

bool offload_tick(struct vpc *vpc)
{
	if (vpc->offload.stamp != vpc->path_stamp) {
		vpc->offload.stamp = vpc->path_stamp;
		vpc->offload.cursor = 0;
		vpc->offload.round_tsc = vpc->now_tsc;
	}
	if (vpc->now_tsc < vpc->offload.round_tsc)
		return false;
	for (unsigned i = 0; i < OFFLOAD_TICK_MAX && vpc->offload.cursor < vpc->offload.count; i++)
		if (look_at(vpc, flow_at(vpc->flows, vpc->offload.flows[vpc->offload.cursor])))
			vpc->offload.cursor++; /* else the last one of the list has its place */
	if (vpc->offload.cursor < vpc->offload.count)
		return true;
	vpc->offload.cursor = 0;
	vpc->offload.round_tsc = vpc->now_tsc + vpc->config.ticks_per_second;
	return false;
}
