#include "load/net_neighbour.h"

#include <arpa/inet.h>
#include <net/ethernet.h>

enum {
	ARP_BYTES = 28,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	SOLICITATION = 135,
	ADVERTISEMENT = 136,
	MESSAGE_BYTES = 24, /* ICMPv6 header, flags and target */
	OPTION_BYTES = 8,   /* a link-layer address */
	OPTION_SOURCE = 1,
	OPTION_TARGET = 2,
	FLAG_SOLICITED_OVERRIDE = 0x60,
	HOP_LIMIT = 255, /* RFC 4861, 7.1: proof that it comes from this link */
};

static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static uint32_t low(const struct net_address *a)
{
	return ntohl(a->word[3]);
}

static bool is_ours(const struct frame_plan *own, uint32_t count, const struct net_address *a)
{
	return memcmp(own->source.bytes, a->bytes, 12) == 0 && low(a) - low(&own->source) < count;
}

/* sender and target as protocol and hardware addresses */
static uint32_t build_arp(const struct frame_plan *own, uint16_t operation, const struct mac *to, uint32_t sender, uint32_t target,
			  uint8_t *frame)
{
	static const uint8_t fixed[] = {0, 1, 0x08, 0, 6, 4}; /* Ethernet, IPv4, and the sizes of their addresses */
	struct frame_plan plan = *own;
	uint8_t *arp;
	uint32_t at;

	plan.destination_mac = *to;
	at = frame_build_ethernet(frame, &plan, ETHERTYPE_ARP);
	arp = frame + at;
	memset(arp, 0, ARP_BYTES);
	memcpy(arp, fixed, sizeof(fixed));
	frame_put16(arp + 6, htons(operation));
	memcpy(arp + 8, own->source_mac.bytes, 6);
	frame_put32(arp + 14, sender);
	if (operation == ARP_REPLY)
		memcpy(arp + 18, to->bytes, 6);
	frame_put32(arp + 24, target);
	return at + ARP_BYTES;
}

/* The plan says from where to where; `about` and the own MAC are its contents. */
static uint32_t build_nd(const struct frame_plan *plan, uint8_t type, const struct net_address *about, uint8_t *frame)
{
	uint32_t at = frame_build_ip(frame, plan, HOP_LIMIT, MESSAGE_BYTES + OPTION_BYTES);
	uint8_t *icmp = frame + at;
	uint64_t sum;

	memset(icmp, 0, MESSAGE_BYTES + OPTION_BYTES);
	icmp[0] = type;
	if (type == ADVERTISEMENT)
		icmp[4] = FLAG_SOLICITED_OVERRIDE;
	memcpy(icmp + 8, about->bytes, 16);
	icmp[24] = type == ADVERTISEMENT ? OPTION_TARGET : OPTION_SOURCE;
	icmp[25] = OPTION_BYTES / 8;
	memcpy(icmp + 26, plan->source_mac.bytes, 6);
	sum = frame_pseudo_sum(&plan->source, &plan->destination, IPPROTO_ICMPV6, MESSAGE_BYTES + OPTION_BYTES);
	frame_put16(icmp + 2, (uint16_t)~net_checksum_fold(net_checksum_add(sum, icmp, MESSAGE_BYTES + OPTION_BYTES)));
	return at + MESSAGE_BYTES + OPTION_BYTES;
}

uint32_t net_neighbour_ask(const struct frame_plan *own, const struct net_address *target, uint8_t *frame)
{
	struct frame_plan plan = *own;

	if (net_address_is_v4(target))
		return build_arp(own, ARP_REQUEST, &broadcast, own->source.word[3], target->word[3], frame);
	plan.protocol = IPPROTO_ICMPV6;
	/* The solicited-node address, RFC 4291 2.7.1, and its group on Ethernet, RFC 2464 7. */
	plan.destination = (struct net_address){.bytes = {0xff, 2, [11] = 1, [12] = 0xff}};
	memcpy(plan.destination.bytes + 13, target->bytes + 13, 3);
	plan.destination_mac = (struct mac){{0x33, 0x33, 0xff, target->bytes[13], target->bytes[14], target->bytes[15]}};
	return build_nd(&plan, SOLICITATION, target, frame);
}

/* Operation, sender; false: it is no ARP for IPv4 over Ethernet. */
static bool read_arp(const struct net_packet *packet, uint8_t arp[ARP_BYTES])
{
	if (packet->kind != NET_PACKET_ARP || packet->ip_offset + ARP_BYTES > packet->head_bytes)
		return false;
	memcpy(arp, packet->head + packet->ip_offset, ARP_BYTES);
	return memcmp(arp, "\0\1\x08\0\6\4", 6) == 0;
}

static bool read_nd(const struct net_packet *packet, uint8_t type, uint8_t message[MESSAGE_BYTES])
{
	if (packet->kind != NET_PACKET_ICMPV6 || packet->transport_offset + MESSAGE_BYTES > packet->head_bytes ||
	    packet->transport_bytes < MESSAGE_BYTES || packet->head[packet->ip_offset + 7] != HOP_LIMIT)
		return false;
	memcpy(message, packet->head + packet->transport_offset, MESSAGE_BYTES);
	return message[0] == type && message[1] == 0;
}

bool net_neighbour_learn(const struct net_packet *packet, const struct net_address *target, struct mac *mac)
{
	uint8_t message[ARP_BYTES];
	const uint8_t *option;
	uint32_t at;

	if (net_address_is_v4(target)) {
		if (!read_arp(packet, message) || message[7] != ARP_REPLY || memcmp(message + 14, target->bytes + 12, 4) != 0)
			return false;
		memcpy(mac->bytes, message + 8, 6);
		return true;
	}
	if (!read_nd(packet, ADVERTISEMENT, message) || memcmp(message + 8, target->bytes, 16) != 0)
		return false;
	memcpy(mac->bytes, packet->head + 6, 6); /* without an option: who sent it */
	at = packet->transport_offset + MESSAGE_BYTES;
	option = packet->head + at;
	if (packet->transport_bytes >= MESSAGE_BYTES + OPTION_BYTES && at + OPTION_BYTES <= packet->head_bytes &&
	    option[0] == OPTION_TARGET && option[1] == OPTION_BYTES / 8)
		memcpy(mac->bytes, option + 2, 6);
	return true;
}

static uint32_t answer_nd(const struct frame_plan *own, uint32_t count, const struct net_packet *packet, uint8_t *frame)
{
	static const struct net_address nobody = {0}, all_nodes = {.bytes = {0xff, 2, [15] = 1}};
	struct frame_plan plan = *own;
	uint8_t message[MESSAGE_BYTES];

	if (!read_nd(packet, SOLICITATION, message))
		return 0;
	memcpy(plan.source.bytes, message + 8, 16);
	if (!is_ours(own, count, &plan.source))
		return 0;
	plan.protocol = IPPROTO_ICMPV6;
	plan.destination = net_packet_source(packet);
	memcpy(plan.destination_mac.bytes, packet->head + 6, 6);
	if (net_address_equal(&plan.destination, &nobody)) { /* it asks whether it may have the address: 7.2.4 */
		plan.destination = all_nodes;
		plan.destination_mac = (struct mac){{0x33, 0x33, 0, 0, 0, 1}};
	}
	return build_nd(&plan, ADVERTISEMENT, &plan.source, frame);
}

uint32_t net_neighbour_answer(const struct frame_plan *own, uint32_t count, const struct net_packet *packet, uint8_t *frame)
{
	uint8_t arp[ARP_BYTES];
	struct net_address asked;
	struct mac who;
	uint32_t address;

	if (!net_address_is_v4(&own->source))
		return answer_nd(own, count, packet, frame);
	if (!read_arp(packet, arp) || arp[7] != ARP_REQUEST)
		return 0;
	memcpy(&address, arp + 24, sizeof(address));
	asked = net_address_v4(address);
	if (!is_ours(own, count, &asked))
		return 0;
	memcpy(who.bytes, arp + 8, 6);
	memcpy(&address, arp + 14, sizeof(address));
	return build_arp(own, ARP_REPLY, &who, asked.word[3], address, frame);
}
