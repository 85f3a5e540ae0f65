/* From a guest: what it may send at all, before any policy is asked. */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#include "vpc/parse.h"
#include "vpc/pipeline.h"

enum { DHCP4_CLIENT_PORT = 68, DHCP4_SERVER_PORT = 67, ARP_SENDER_MAC_AT = 8, ARP_SENDER_IP_AT = 14 };

void packet_trim(struct packet *p)
{
	uint32_t end = p->layers.l3_offset + p->layers.ip_bytes;

	if (LIKELY(p->layers.family == 0 || packet_bytes(p) == end))
		return;
	p->head_bytes = (uint16_t)end;
	p->tail_bytes = 0;
	p->tail_count = 0;
}

/* RFC 826; an unspecified sender is a probe (RFC 5227). */
static enum drop_reason check_arp(const struct endpoint *e, const struct packet *p)
{
	const uint8_t *arp = p->head + p->layers.l3_offset;
	struct net_address sender;
	uint32_t v4;

	if (memcmp(arp + ARP_SENDER_MAC_AT, e->mac.bytes, sizeof(e->mac.bytes)) != 0)
		return DROP_SPOOFED_MAC;
	memcpy(&v4, arp + ARP_SENDER_IP_AT, sizeof(v4));
	sender = net_address_v4(v4);
	return v4 == 0 || endpoint_has_address(e->policy, &sender) ? DROP_NONE : DROP_SPOOFED_IP;
}

/* An address that a guest has before it has one of its own: 0.0.0.0 to ask for a lease; :: and its link-local address for
 * discovery, DHCPv6 and reports of groups. Only the card itself hears of these. */
static bool sender_before_address(const struct packet_layers *l)
{
	const uint8_t *from = l->source.bytes;

	if (l->family == 4)
		return l->source.word[3] == 0 && l->protocol == IPPROTO_UDP && l->source_port == htons(DHCP4_CLIENT_PORT) &&
		       l->destination_port == htons(DHCP4_SERVER_PORT);
	if (from[0] == 0xfe && (from[1] & 0xc0) == 0x80)
		return true;
	return (l->source.pair[0] | l->source.pair[1]) == 0 && l->protocol == IPPROTO_ICMPV6;
}

enum drop_reason egress_check_sender(const struct endpoint *e, const struct packet *p, bool *card_only)
{
	const struct packet_layers *l = &p->layers;

	*card_only = false;
	if (UNLIKELY(memcmp(p->head + 6, e->mac.bytes, sizeof(e->mac.bytes)) != 0))
		return DROP_SPOOFED_MAC;
	if (UNLIKELY(l->l3_offset != ETHER_BYTES))
		return DROP_ETHERTYPE; /* a VLAN tag: there are none in a VPC */
	if (UNLIKELY(l->family == 0))
		return check_arp(e, p);
	if (LIKELY(endpoint_has_address(e->policy, &l->source)))
		return DROP_NONE;
	if (sender_before_address(l)) {
		*card_only = true;
		return DROP_NONE;
	}
	return e->policy->source_dest_check ? DROP_SPOOFED_IP : DROP_NONE;
}

static enum drop_reason take_allowances(struct endpoint *e, const struct packet *p)
{
	uint64_t now = e->vpc->now_tsc;

	if (!meter_take(&e->packets, packet_count(p), now))
		return DROP_PACKET_RATE;
	if (!meter_take(&e->bits_out, (uint64_t)packet_bytes(p) * 8, now))
		return DROP_BANDWIDTH_OUT;
	return DROP_NONE;
}

static void accept_frame(struct endpoint *e, struct packet *p, struct batch *b)
{
	enum drop_reason drop;
	bool card_only;

	p->drop = DROP_NONE;
	drop = packet_parse(p);
	if (UNLIKELY(!list_empty(&e->captures)))
		capture_frame(e, p, FLOW_OUT, DROP_NONE);
	if (UNLIKELY(drop != DROP_NONE))
		goto dropped;
	packet_trim(p);
	drop = egress_check_sender(e, p, &card_only);
	if (UNLIKELY(drop != DROP_NONE))
		goto dropped;
	if (UNLIKELY(card_only || local_wanted(e, p)) && local_answer(e, p, card_only))
		return;
	drop = take_allowances(e, p);
	if (UNLIKELY(drop != DROP_NONE))
		goto dropped;
	batch_add(b, e, p, FLOW_OUT, ORIGIN_GUEST);
	return;
dropped:
	packet_drop(e->vpc, e, p, FLOW_OUT, drop);
}

void egress_receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct endpoint *e = container_of(input, struct endpoint, input);
	struct vpc *vpc = e->vpc;
	struct batch batch;

	vpc_begin(vpc, now_tsc);
	vpc_count_batch(vpc, count);
	endpoint_refresh(e);
	batch.count = batch.rounds = 0;
	for (unsigned i = 0; i < count; i++) {
		if (LIKELY(e->policy != NULL))
			accept_frame(e, packets[i], &batch);
		else
			packet_drop(vpc, e, packets[i], FLOW_OUT, DROP_NOT_ATTACHED);
	}
	stage_end(vpc, STAGE_PARSE, count);
	batch_run(vpc, &batch);
	vpc_flush(vpc);
}
