/* An endpoint at work: what it keeps of its policy, and what it counts. */
#include <netinet/in.h>
#include <string.h>

#include "vpc/pipeline.h"

enum {
	BITS_BURST_MIN = 65536 * 8 * 2, /* two of the largest frames */
	PACKETS_BURST_MIN = 64,
	FLOWS_BURST_MIN = 32,
	OUTER_V4_MTU_BYTES = TUNNEL_OUTER_V4_BYTES, /* outer IP, UDP, VXLAN; and the inner Ethernet header in the place of ours */
	OUTER_V6_MTU_BYTES = TUNNEL_OUTER_V6_BYTES,
};

static void nat_receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct endpoint *e = container_of(input, struct endpoint, input);

	vpc_begin(e->vpc, now_tsc);
	for (unsigned i = 0; i < count; i++)
		packet_drop(e->vpc, e, packets[i], FLOW_OUT, DROP_UNSUPPORTED); /* nobody plugs into a NAT gateway */
}

void endpoint_init(struct endpoint *e, struct vpc *vpc, uint32_t slot)
{
	e->input.receive = egress_receive;
	e->vpc = vpc;
	e->slot = slot;
	/* An arena that is taken over has the flows of this slot only when the one who takes it over has the same secret. */
	e->incarnation = (uint16_t)(vpc->config.cookie_key[0] >> 16);
	list_init(&e->captures);
}

uint16_t network_mtu(const struct vpc *vpc, const struct policy_vpc *network)
{
	uint32_t least = vpc->wire_count == 0 ? MTU_DEFAULT : UINT16_MAX;

	if (network->mtu != 0)
		return network->mtu;
	for (unsigned i = 0; i < vpc->wire_count; i++) {
		const struct wire *w = vpc->wires[i].wire;
		uint32_t outer = net_address_is_v4(&w->config.address.address) ? OUTER_V4_MTU_BYTES : OUTER_V6_MTU_BYTES;
		uint32_t mtu = w->mtu > outer ? w->mtu - outer : 0;

		least = mtu < least ? mtu : least;
	}
	return (uint16_t)least;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static void set_allowances(struct endpoint *e)
{
	const struct eni_allowances *a = &e->policy->allowances;
	uint64_t hz = e->vpc->config.ticks_per_second, now = e->vpc->now_tsc;

	meter_set(&e->bits_in, a->bandwidth_in_bits, BITS_BURST_MIN, hz, now);
	meter_set(&e->bits_out, a->bandwidth_out_bits, BITS_BURST_MIN, hz, now);
	meter_set(&e->packets, a->packets_per_s, PACKETS_BURST_MIN, hz, now);
	meter_set(&e->new_flows, a->new_flows_per_s, FLOWS_BURST_MIN, hz, now);
	meter_set(&e->link_local, or_default(a->link_local_per_s, LINK_LOCAL_DEFAULT_PER_S), PACKETS_BURST_MIN, hz, now);
	meter_set(&e->errors, ERRORS_PER_S, PACKETS_BURST_MIN, hz, now);
	meter_set(&e->questions, QUESTIONS_PER_S, PACKETS_BURST_MIN, hz, now);
	e->flows_max = or_default(a->flows_max, (e->vpc->counters.flows_max + FLOW_SHARE - 1) / FLOW_SHARE);
	counter_set(&e->counters.flows_max, e->flows_max);
	e->allowances = *a;
}

static void announce_publics(struct endpoint *e)
{
	const struct policy_endpoint *p = e->policy;

	for (unsigned i = 0; i < p->public_count; i++) {
		bool known = false;

		for (unsigned k = 0; k < e->announced_count && !known; k++)
			known = net_address_equal(&e->announced[k], &p->publics[i].public_address);
		for (unsigned w = 0; w < e->vpc->wire_count && !known; w++)
			underlay_announce(e->vpc, e->vpc->wires[w].wire, &p->publics[i].public_address);
	}
	e->announced_count = p->public_count;
	for (unsigned i = 0; i < p->public_count; i++)
		e->announced[i] = p->publics[i].public_address;
}

/* Another one has the slot now: nothing of the old one is its own. */
static void begin_anew(struct endpoint *e)
{
	e->id = e->policy->id;
	uuid_format(&e->id, e->id_text);
	e->incarnation++;
	memset(&e->counters, 0, sizeof(e->counters));
	e->own_packets = 0;
	memset(&e->allowances, 0xff, sizeof(e->allowances)); /* none is like this: they will be set */
	e->announced_count = 0;
	flow_log_free(e);
}

void endpoint_renew(struct endpoint *e)
{
	const struct policy *policy = e->vpc->policy;
	const struct policy_endpoint *p = policy != NULL ? policy_endpoint_at(policy, e->slot) : NULL;

	e->stamp = e->vpc->policy_stamp;
	e->policy = p;
	if (p == NULL) {
		e->network = NULL;
		return;
	}
	e->network = policy->vpcs[p->subnet->vpc_slot];
	e->generation = p->generation;
	e->mac = p->mac;
	e->gateway_mac = p->subnet->gateway_mac;
	e->timeouts = (struct flow_timeouts){.tcp_established_s = p->timeouts.tcp_established_s,
					     .udp_s = p->timeouts.udp_s,
					     .udp_stream_s = p->timeouts.udp_stream_s,
					     .other_s = p->timeouts.other_s};
	if (memcmp(&e->id, &p->id, sizeof(e->id)) != 0)
		begin_anew(e);
	e->input.receive = p->kind == ENDPOINT_NAT ? nat_receive : egress_receive;
	if (memcmp(&e->allowances, &p->allowances, sizeof(e->allowances)) != 0)
		set_allowances(e);
	if (p->kind == ENDPOINT_ENI)
		local_facts(e);
	flow_log_renew(e);
	announce_publics(e);
}

bool endpoint_has_address(const struct policy_endpoint *p, const struct net_address *address)
{
	for (unsigned i = 0; i < p->address_count; i++)
		if (LIKELY(net_address_equal(&p->addresses[i], address)))
			return true;
	return false;
}

void packet_drop(struct vpc *vpc, struct endpoint *e, struct packet *p, enum flow_direction direction, enum drop_reason reason)
{
	p->drop = (uint8_t)reason;
	if (e == NULL) {
		counter_add(&vpc->counters.drops[reason], 1);
		return;
	}
	counter_add(&e->counters.drops[reason], 1);
	if (reason == DROP_ANSWERED)
		return;
	if (UNLIKELY(e->log != NULL))
		flow_log_reject(e, p, reason);
	if (UNLIKELY(!list_empty(&e->captures)))
		capture_frame(e, p, direction, reason);
}

void endpoint_forget_flow(struct vpc *vpc, struct flow *f)
{
	struct endpoint *e = f->key.zone < vpc->endpoint_count ? vpc->endpoints[f->key.zone] : NULL;

	if (e == NULL)
		return;
	endpoint_refresh(e); /* not always the one whose packet it is */
	if (UNLIKELY(f->offload_wire != 0))
		offload_forget(vpc, f);
	if (e->incarnation != f->incarnation)
		return;
	if (e->log != NULL)
		flow_log_flow(e, f, true);
	if (e->counters.flows > 0) /* flows of an arena that was taken over were never counted here */
		counter_set(&e->counters.flows, e->counters.flows - 1);
}
