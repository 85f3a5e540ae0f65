#include "load/net_flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

enum {
	STATE_NEW = 0,
	STATE_OPEN = 1,
	STATE_OPENING = 0x80, /* and the epoch of its SYN */
	EPOCH_MASK = 0x3f,
};

static uint64_t space(const struct net_flows *flows)
{
	return (uint64_t)NET_FLOWS_PORTS * (flows->spread_mask + 1ull);
}

/* As many as there are, but a power of two. */
static uint32_t spread_mask(const struct net_flows_config *config)
{
	uint32_t ports = UINT16_MAX + 1u - ntohs(config->base.destination_port), mask = NET_FLOWS_SPREAD_MAX - 1;

	while (config->spread == NET_SPREAD_PORT && mask >= ports)
		mask /= 2;
	return mask;
}

int net_flows_create(struct net_flows *flows, const struct net_flows_config *config, uint64_t now_tsc)
{
	memset(flows, 0, sizeof(*flows));
	flows->config = *config;
	flows->spread_mask = spread_mask(config);
	if (config->flow_count == 0 || config->flow_count > NET_FLOWS_MAX ||
	    config->first + (uint64_t)config->flow_count * config->stride > space(flows))
		return -EINVAL;
	flows->start_tsc = now_tsc;
	flows->epoch_end_tsc = now_tsc + clock_ns_to_tsc(NET_FLOWS_RETRY_NS);
	if (config->new_flows_per_s != 0) {
		flows->interval_tsc_q16 = (uint64_t)(((unsigned __int128)clock_tsc_hz() << 16) / config->new_flows_per_s);
		flows->next_new_tsc_q16 = flows->interval_tsc_q16;
	}
	flows->sequences = calloc(config->flow_count, sizeof(*flows->sequences));
	flows->states = config->tcp ? calloc(config->flow_count, 1) : NULL;
	if (flows->sequences != NULL && (flows->states != NULL || !config->tcp))
		return 0;
	net_flows_free(flows);
	return -ENOMEM;
}

void net_flows_free(struct net_flows *flows)
{
	free(flows->sequences);
	free(flows->states);
	flows->sequences = NULL;
	flows->states = NULL;
}

static uint32_t next_slot(const struct net_flows *flows, uint32_t slot)
{
	return slot + 1 == flows->config.flow_count ? 0 : slot + 1;
}

static void name(const struct net_flows *flows, struct net_flow_turn *turn, enum net_flow_what what, uint64_t position,
		 uint32_t slot)
{
	const struct net_flows_config *c = &flows->config;
	uint64_t number = c->first + position * c->stride;
	uint32_t more = (uint32_t)(number / NET_FLOWS_PORTS) & flows->spread_mask;

	turn->what = what;
	turn->flow = slot * c->stride + c->first;
	turn->sequence = what == NET_FLOW_DATA ? ++flows->sequences[slot] : 0;
	turn->tuple = c->base;
	turn->tuple.source_port = htons((uint16_t)(NET_FLOWS_PORT_FIRST + number % NET_FLOWS_PORTS));
	if (more == 0)
		return;
	if (c->spread == NET_SPREAD_SOURCE)
		turn->tuple.source_low = htonl(ntohl(c->base.source_low) + more);
	else if (c->spread == NET_SPREAD_DESTINATION)
		turn->tuple.destination_low = htonl(ntohl(c->base.destination_low) + more);
	else
		turn->tuple.destination_port = htons((uint16_t)(ntohs(c->base.destination_port) + more));
}

static bool new_flow_due(const struct net_flows *flows, uint64_t now_tsc)
{
	return flows->interval_tsc_q16 != 0 && (flows->next_new_tsc_q16 >> 16) <= now_tsc - flows->start_tsc;
}

static void opening(struct net_flows *flows, uint32_t slot)
{
	flows->states[slot] = flows->config.handshake ? (uint8_t)(STATE_OPENING | flows->epoch) : STATE_OPEN;
}

/* The window moves: TCP says good-bye first, in a packet of its own. */
static void renew(struct net_flows *flows, struct net_flow_turn *turn)
{
	uint32_t slot = flows->oldest_slot;
	uint64_t position = flows->oldest + flows->config.flow_count;

	if (flows->config.tcp && !flows->closing && flows->states[slot] != STATE_NEW) {
		flows->closing = true;
		flows->states[slot] = STATE_NEW; /* it is not closed again, should the run end here */
		name(flows, turn, NET_FLOW_CLOSE, flows->oldest, slot);
		return;
	}
	flows->closing = false;
	if (flows->cursor == flows->oldest) {
		flows->cursor++;
		flows->cursor_slot = next_slot(flows, slot);
	}
	flows->oldest++;
	flows->oldest_slot = next_slot(flows, slot);
	flows->next_new_tsc_q16 += flows->interval_tsc_q16;
	flows->opened++;
	name(flows, turn, flows->config.tcp ? NET_FLOW_OPEN : NET_FLOW_DATA, position, slot);
	if (flows->config.tcp)
		opening(flows, slot);
}

static void advance(struct net_flows *flows)
{
	flows->cursor++;
	flows->cursor_slot = next_slot(flows, flows->cursor_slot);
	if (flows->cursor == flows->oldest + flows->config.flow_count) {
		flows->cursor = flows->oldest;
		flows->cursor_slot = flows->oldest_slot;
	}
}

static enum net_flow_what due(const struct net_flows *flows, uint8_t state)
{
	if (state == STATE_OPEN)
		return NET_FLOW_DATA;
	if (state == STATE_NEW)
		return NET_FLOW_OPEN;
	return ((flows->epoch - state) & EPOCH_MASK) >= 2 ? NET_FLOW_OPEN : NET_FLOW_NOTHING;
}

void net_flows_next(struct net_flows *flows, uint64_t now_tsc, struct net_flow_turn *turn)
{
	if (__builtin_expect(now_tsc >= flows->epoch_end_tsc, 0)) {
		flows->epoch = (flows->epoch + 1) & EPOCH_MASK;
		flows->epoch_end_tsc = now_tsc + clock_ns_to_tsc(NET_FLOWS_RETRY_NS);
	}
	if (flows->closing || new_flow_due(flows, now_tsc)) {
		renew(flows, turn);
		return;
	}
	if (!flows->config.tcp) {
		name(flows, turn, NET_FLOW_DATA, flows->cursor, flows->cursor_slot);
		advance(flows);
		return;
	}
	for (unsigned looks = 0; looks < NET_FLOWS_LOOKS_MAX; looks++) {
		enum net_flow_what what = due(flows, flows->states[flows->cursor_slot]);
		uint32_t slot = flows->cursor_slot;
		uint64_t position = flows->cursor;

		advance(flows);
		if (what == NET_FLOW_NOTHING)
			continue;
		name(flows, turn, what, position, slot);
		if (what == NET_FLOW_OPEN)
			opening(flows, slot);
		return;
	}
	turn->what = NET_FLOW_NOTHING;
}

/* The number of a tuple, and from there back into the window. */
void net_flows_established(struct net_flows *flows, const struct frame_tuple *tuple)
{
	const struct net_flows_config *c = &flows->config;
	uint16_t port = ntohs(tuple->source_port);
	uint64_t number, ahead;
	uint32_t more, slot;

	if (!c->tcp || port < NET_FLOWS_PORT_FIRST)
		return;
	if (c->spread == NET_SPREAD_SOURCE)
		more = ntohl(tuple->source_low) - ntohl(c->base.source_low);
	else if (c->spread == NET_SPREAD_DESTINATION)
		more = ntohl(tuple->destination_low) - ntohl(c->base.destination_low);
	else
		more = (uint32_t)ntohs(tuple->destination_port) - ntohs(c->base.destination_port);
	if (more > flows->spread_mask)
		return;
	number = (uint64_t)more * NET_FLOWS_PORTS + port - NET_FLOWS_PORT_FIRST;
	ahead = (number + space(flows) - (c->first + flows->oldest * c->stride) % space(flows)) % space(flows);
	if (ahead % c->stride != 0 || ahead / c->stride >= c->flow_count)
		return;
	slot = (uint32_t)((flows->oldest + ahead / c->stride) % c->flow_count);
	if ((flows->states[slot] & STATE_OPENING) != 0)
		flows->states[slot] = STATE_OPEN;
}

void net_flows_end(struct net_flows *flows, struct net_flow_turn *turn)
{
	turn->what = NET_FLOW_NOTHING;
	if (!flows->config.tcp)
		return;
	for (uint32_t looks = 0; looks < flows->config.flow_count; looks++) {
		uint32_t slot = flows->cursor_slot;
		uint64_t position = flows->cursor;

		advance(flows);
		if (flows->states[slot] == STATE_NEW)
			continue;
		flows->states[slot] = STATE_NEW;
		name(flows, turn, NET_FLOW_CLOSE, position, slot);
		return;
	}
}
