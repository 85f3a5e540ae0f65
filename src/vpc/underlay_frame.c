/* The card's own frames on its wires: ARP (RFC 826, 5227), IPv6 neighbour discovery (RFC 4861), and pings. */
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "base/codec.h"
#include "vpc/checksum.h"
#include "vpc/parse.h"
#include "vpc/pipeline.h"
#include "vpc/rewrite.h"

enum {
	FRAME_BYTES_MIN = 60,
	ARP_BYTES = 28,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	ND_MESSAGE_BYTES = 24, /* solicitation and advertisement alike */
	ND_OPTION_BYTES = 8,
	ND_OPTION_SOURCE = 1,
	ND_OPTION_TARGET = 2,
	ND_HOPS = 255, /* RFC 4861 7.1: never came through a router */
	ND_FLAG_ROUTER = 0x80,
	ND_FLAG_SOLICITED = 0x40,
	ND_FLAG_OVERRIDE = 0x20,
	ND_FRAME_BYTES = ETHER_BYTES + IPV6_BYTES + ND_MESSAGE_BYTES + ND_OPTION_BYTES,
};

static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct own_frame {
	uint8_t buffer[PACKET_HEAD_BYTES];
	struct packet packet;
};

static uint8_t *frame_begin(struct own_frame *f, const struct mac *to, const struct mac *from, uint16_t ethertype, uint16_t bytes)
{
	memset(f->buffer, 0, sizeof(f->buffer));
	f->packet = (struct packet){.head = f->buffer + PACKET_HEADROOM_BYTES,
				    .headroom_bytes = PACKET_HEADROOM_BYTES,
				    .head_bytes = bytes < FRAME_BYTES_MIN ? FRAME_BYTES_MIN : bytes,
				    .flags = PACKET_CSUM_VALID};
	memcpy(f->packet.head, to->bytes, 6);
	memcpy(f->packet.head + 6, from->bytes, 6);
	put_be16(f->packet.head + 12, ethertype);
	return f->packet.head + ETHER_BYTES;
}

/* ---- ARP ---- */

static void arp_send(struct vpc *vpc, struct wire *wire, uint8_t operation, const struct mac *to, const struct net_address *sender,
		     const struct mac *target_mac, const struct net_address *target)
{
	static const uint8_t fixed[] = {0, 1, 0x08, 0x00, 6, 4, 0};
	struct own_frame f;
	uint8_t *arp = frame_begin(&f, to, &wire->mac, ETHERTYPE_ARP, ETHER_BYTES + ARP_BYTES);

	memcpy(arp, fixed, sizeof(fixed));
	arp[7] = operation;
	memcpy(arp + 8, wire->mac.bytes, 6);
	memcpy(arp + 14, &sender->word[3], 4);
	if (target_mac != NULL)
		memcpy(arp + 18, target_mac->bytes, 6);
	memcpy(arp + 24, &target->word[3], 4);
	sink_put(vpc, &wire->sink, &f.packet);
}

/* ---- neighbour discovery ---- */

static struct net_address solicited_node(const struct net_address *a)
{
	return (struct net_address){
		.bytes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a->bytes[13], a->bytes[14], a->bytes[15]}};
}

static void nd_send(struct vpc *vpc, struct wire *wire, uint8_t type, uint8_t flags, const struct mac *to,
		    const struct net_address *source, const struct net_address *destination, const struct net_address *target)
{
	struct own_frame f;
	uint8_t *ip = frame_begin(&f, to, &wire->mac, ETHERTYPE_IPV6, ND_FRAME_BYTES), *nd = ip + IPV6_BYTES;
	uint64_t sum;

	ip[0] = 0x60;
	put_be16(ip + 4, ND_MESSAGE_BYTES + ND_OPTION_BYTES);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = ND_HOPS;
	memcpy(ip + 8, source->bytes, 16);
	memcpy(ip + 24, destination->bytes, 16);
	nd[0] = type;
	nd[4] = flags;
	memcpy(nd + 8, target->bytes, 16);
	nd[24] = type == ND_NEIGHBOR_SOLICIT ? ND_OPTION_SOURCE : ND_OPTION_TARGET;
	nd[25] = 1;
	memcpy(nd + 26, wire->mac.bytes, 6);
	sum = checksum_of(nd, ND_MESSAGE_BYTES + ND_OPTION_BYTES);
	sum += checksum_pseudo(source, destination, IPPROTO_ICMPV6, ND_MESSAGE_BYTES + ND_OPTION_BYTES);
	checksum_store(nd + 2, (uint16_t)~checksum_fold(sum));
	sink_put(vpc, &wire->sink, &f.packet);
}

void underlay_ask(struct vpc *vpc, struct wire *wire, const struct net_address *target, const struct mac *known)
{
	const struct net_address *own = &wire->config.address.address;

	if (net_address_is_v4(target)) {
		arp_send(vpc, wire, ARP_REQUEST, known != NULL ? known : &broadcast, own, NULL, target);
	} else {
		struct net_address group = solicited_node(target);
		struct mac mac = {{0x33, 0x33, 0xff, target->bytes[13], target->bytes[14], target->bytes[15]}};

		nd_send(vpc, wire, ND_NEIGHBOR_SOLICIT, 0, known != NULL ? known : &mac, own, known != NULL ? target : &group,
			target);
	}
}

void underlay_announce(struct vpc *vpc, struct wire *wire, const struct net_address *address)
{
	static const struct net_address all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};
	static const struct mac all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};

	if (net_address_is_v4(address) != net_address_is_v4(&wire->config.address.address))
		return;
	if (net_address_is_v4(address))
		arp_send(vpc, wire, ARP_REQUEST, &broadcast, address, NULL, address);
	else
		nd_send(vpc, wire, ND_NEIGHBOR_ADVERT, ND_FLAG_ROUTER | ND_FLAG_OVERRIDE, &all_nodes_mac, address, &all_nodes,
			address);
}

/* ---- what others ask ---- */

static bool answers_for(const struct vpc *vpc, const struct wire *wire, const struct net_address *address)
{
	struct net_address unused;

	return net_address_equal(address, &wire->config.address.address) ||
	       (vpc->policy != NULL && policy_public_find(vpc->policy, address, &unused) != NULL);
}

static void arp_input(struct vpc *vpc, struct wire *wire, const struct packet *p)
{
	static const uint8_t fixed[] = {0, 1, 0x08, 0x00, 6, 4, 0};
	const uint8_t *arp = p->head + p->layers.l3_offset;
	struct net_address sender, target;
	struct mac mac;
	uint32_t v4;

	if (memcmp(arp, fixed, sizeof(fixed)) != 0 || (arp[7] != ARP_REQUEST && arp[7] != ARP_REPLY))
		return;
	memcpy(mac.bytes, arp + 8, 6);
	memcpy(&v4, arp + 14, 4);
	sender = net_address_v4(v4);
	memcpy(&v4, arp + 24, 4);
	target = net_address_v4(v4);
	underlay_heard(vpc, wire, &sender, &mac);
	if (arp[7] == ARP_REQUEST && !net_address_equal(&sender, &target) && answers_for(vpc, wire, &target))
		arp_send(vpc, wire, ARP_REPLY, &mac, &target, &mac, &sender);
}

/* The link-layer address option of a kind; false: none. `at` .. `end`: the options. */
static bool nd_option(const uint8_t *at, const uint8_t *end, uint8_t kind, struct mac *out)
{
	while (end - at >= ND_OPTION_BYTES) {
		uint32_t bytes = at[1] * 8u;

		if (bytes == 0 || bytes > (uint32_t)(end - at))
			return false;
		if (at[0] == kind && bytes == ND_OPTION_BYTES) {
			memcpy(out->bytes, at + 2, 6);
			return true;
		}
		at += bytes;
	}
	return false;
}

static bool icmp_whole(const struct packet *p, uint32_t bytes)
{
	const struct packet_layers *l = &p->layers;
	uint64_t sum = checksum_of_packet(p, l->l4_offset, bytes);

	if (l->family == 6)
		sum += checksum_pseudo(&l->source, &l->destination, IPPROTO_ICMPV6, bytes);
	return checksum_fold(sum) == UINT16_MAX;
}

static void nd_input(struct vpc *vpc, struct wire *wire, const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	uint32_t bytes = l->l3_offset + l->ip_bytes - l->l4_offset;
	const uint8_t *nd = p->head + l->l4_offset, *end = nd + bytes;
	struct net_address target;
	struct mac mac;

	if (l->ttl != ND_HOPS || l->fragment != FRAGMENT_NONE || p->tail_bytes != 0 || bytes < ND_MESSAGE_BYTES ||
	    !icmp_whole(p, bytes))
		return;
	memcpy(target.bytes, nd + 8, 16);
	if (l->icmp_type == ND_NEIGHBOR_ADVERT) {
		if (nd_option(nd + ND_MESSAGE_BYTES, end, ND_OPTION_TARGET, &mac))
			underlay_heard(vpc, wire, &target, &mac);
		return;
	}
	if (!nd_option(nd + ND_MESSAGE_BYTES, end, ND_OPTION_SOURCE, &mac))
		memcpy(mac.bytes, p->head + 6, 6);
	else
		underlay_heard(vpc, wire, &l->source, &mac);
	if ((l->source.pair[0] | l->source.pair[1]) != 0 && answers_for(vpc, wire, &target))
		nd_send(vpc, wire, ND_NEIGHBOR_ADVERT, ND_FLAG_ROUTER | ND_FLAG_SOLICITED | ND_FLAG_OVERRIDE, &mac, &target,
			&l->source, &target);
}

/* A ping of the card itself, or of a NAT gateway's public address: turned round where it lies. */
static void echo_input(struct vpc *vpc, struct wire *wire, struct packet *p)
{
	struct packet_layers *l = &p->layers;
	uint32_t bytes = l->l3_offset + l->ip_bytes - l->l4_offset;
	uint8_t *icmp = p->head + l->l4_offset, *ip = p->head + l->l3_offset;
	struct net_address from = l->source;
	struct mac mac;

	if (l->fragment != FRAGMENT_NONE || !icmp_whole(p, bytes) || !meter_take(&vpc->echoes, 1, vpc->now_tsc))
		return;
	checksum_adjust(icmp + 2, checksum_change(l->family == 4 ? htons(ICMP_ECHO << 8) : htons(ICMP6_ECHO_REQUEST << 8),
						  l->family == 4 ? htons(ICMP_ECHOREPLY << 8) : htons(ICMP6_ECHO_REPLY << 8)));
	icmp[0] = l->family == 4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	/* The two addresses change places: no sum over both changes. */
	if (l->family == 4) {
		memcpy(ip + 12, &l->destination.word[3], 4);
		memcpy(ip + 16, &from.word[3], 4);
	} else {
		memcpy(ip + 8, l->destination.bytes, 16);
		memcpy(ip + 24, from.bytes, 16);
	}
	memcpy(mac.bytes, p->head + 6, 6);
	packet_set_macs(p, &mac, &wire->mac);
	if (packet_bytes(p) <= wire->sink.frame_bytes_max)
		sink_put(vpc, &wire->sink, p);
}

static bool is_echo_for_card(const struct vpc *vpc, const struct wire *wire, const struct packet_layers *l)
{
	const struct policy_endpoint *at;
	struct net_address unused;

	if (l->icmp_type != (l->family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST) || l->fragment == FRAGMENT_LATER)
		return false;
	if (net_address_equal(&l->destination, &wire->config.address.address))
		return true;
	at = vpc->policy != NULL ? policy_public_find(vpc->policy, &l->destination, &unused) : NULL;
	return at != NULL && at->kind == ENDPOINT_NAT;
}

bool underlay_input(struct vpc *vpc, struct wire *wire, struct packet *p)
{
	const struct packet_layers *l = &p->layers;

	if (l->family == 0) {
		arp_input(vpc, wire, p);
		return true;
	}
	if (l->protocol != (l->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return false;
	if (l->family == 6 && (l->icmp_type == ND_NEIGHBOR_SOLICIT || l->icmp_type == ND_NEIGHBOR_ADVERT)) {
		nd_input(vpc, wire, p);
		return true;
	}
	if (!is_echo_for_card(vpc, wire, l))
		return false;
	echo_input(vpc, wire, p);
	return true;
}
