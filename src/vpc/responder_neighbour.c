/* ARP (RFC 826, 5227) and IPv6 neighbour and router discovery (RFC 4861, 4862). */
#include <netinet/in.h>
#include <string.h>

#include "vpc/responder_internal.h"

/* The MAC that stands for an address in the ENI's subnet. */
static bool mac_of(const struct responder_facts *f, const struct net_address *address, struct mac *out)
{
	const struct net_prefix *subnet = net_address_is_v4(address) ? &f->subnet4 : &f->subnet6;

	if (responder_owns(f, address)) {
		*out = f->gateway_mac;
		return true;
	}
	return subnet->length != 0 && net_prefix_contains(subnet, address) && f->neighbour(f->context, address, out);
}

enum { ARP_BYTES = 28, ARP_REQUEST = 1, ARP_REPLY = 2 };

enum responder_result responder_arp(const struct asked *a, struct packet *out)
{
	static const uint8_t fixed[] = {0, 1, 0x08, 0, 6, 4, 0};
	const uint8_t *arp = a->payload;
	struct net_address sender, target;
	struct mac mac;
	uint8_t *reply;
	uint32_t v4;

	if (a->payload_bytes < ARP_BYTES || memcmp(arp, fixed, sizeof(fixed)) != 0)
		return RESPONDER_MALFORMED;
	if (arp[7] != ARP_REQUEST)
		return RESPONDER_SILENT;
	memcpy(&v4, arp + 14, 4);
	sender = net_address_v4(v4);
	memcpy(&v4, arp + 24, 4);
	target = net_address_v4(v4);
	if (net_address_equal(&sender, &target) || responder_is_own(a->facts, &target) || !mac_of(a->facts, &target, &mac))
		return RESPONDER_SILENT;
	reply = out->head;
	memcpy(reply, a->frame + 6, 6);
	memcpy(reply + 6, mac.bytes, 6);
	reply[12] = 0x08;
	reply[13] = 0x06;
	reply += ETHER_BYTES;
	memcpy(reply, fixed, sizeof(fixed));
	reply[7] = ARP_REPLY;
	memcpy(reply + 8, mac.bytes, 6);
	memcpy(reply + 14, arp + 24, 4);
	memcpy(reply + 18, arp + 8, 10); /* to whom asked: MAC and address */
	out->head_bytes = ETHER_BYTES + ARP_BYTES;
	out->tail_bytes = 0;
	out->tail_count = 0;
	out->flags = 0;
	out->gso = PACKET_GSO_NONE;
	return RESPONDER_ANSWER;
}

/* ---- neighbour discovery ---- */

enum {
	ND_ROUTER_SOLICIT = 133,
	ND_ROUTER_ADVERT = 134,
	ND_NEIGHBOUR_SOLICIT = 135,
	ND_NEIGHBOUR_ADVERT = 136,
	ND_NEIGHBOUR_BYTES = 24,
	ND_ROUTER_SOLICIT_BYTES = 8,
	ND_ROUTER_ADVERT_BYTES = 16,
	OPTION_SOURCE_MAC = 1,
	OPTION_TARGET_MAC = 2,
	OPTION_PREFIX = 3,
	OPTION_MTU = 5,
	FLAG_ROUTER = 0x80,
	FLAG_SOLICITED = 0x40,
	FLAG_OVERRIDE = 0x20,
	FLAG_MANAGED_AND_OTHER = 0xc0,
	FLAG_ON_LINK = 0x80,
	ROUTER_LIFETIME_S = 1800,
};

static const struct net_address unspecified;
static const struct net_address all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};

static uint8_t *put_mac_option(uint8_t *to, uint8_t kind, const struct mac *mac)
{
	to[0] = kind;
	to[1] = 1;
	memcpy(to + 2, mac->bytes, 6);
	return to + 8;
}

/* An answer to somebody without an address goes to all nodes of a link that has only this one. */
static struct answer_to nd_back(const struct asked *a, const struct net_address *source)
{
	struct answer_to to = answer_back(a);

	to.source = *source;
	to.hops = ND_HOPS;
	if (net_address_equal(&to.destination, &unspecified))
		to.destination = all_nodes;
	return to;
}

static enum responder_result neighbour_advert(const struct asked *a, struct packet *out)
{
	bool asked_by_nobody = net_address_equal(&a->layers->source, &unspecified);
	struct net_address target;
	struct answer_to to;
	struct mac mac;
	uint8_t *na = answer_payload(out), *end;

	if (a->payload_bytes < ND_NEIGHBOUR_BYTES)
		return RESPONDER_MALFORMED;
	memcpy(target.bytes, a->payload + 8, 16);
	if (net_address_is_v4(&target)) /* mapped (RFC 4291, 2.5.5.2): on no wire, and another's key in our tables */
		return RESPONDER_MALFORMED;
	if (responder_is_own(a->facts, &target) || !mac_of(a->facts, &target, &mac))
		return RESPONDER_SILENT;
	to = nd_back(a, &target);
	memset(na, 0, ND_NEIGHBOUR_BYTES);
	na[0] = ND_NEIGHBOUR_ADVERT;
	na[4] = (uint8_t)((mac_equal(&mac, &a->facts->gateway_mac) ? FLAG_ROUTER : 0) | (asked_by_nobody ? 0 : FLAG_SOLICITED) |
			  FLAG_OVERRIDE);
	memcpy(na + 8, target.bytes, 16);
	end = put_mac_option(na + ND_NEIGHBOUR_BYTES, OPTION_TARGET_MAC, &mac);
	answer_icmp(a, &to, out, (uint32_t)(end - na));
	memcpy(out->head + 6, mac.bytes, 6); /* from whom it is about */
	return RESPONDER_ANSWER;
}

static uint8_t *put_prefix_option(uint8_t *to, const struct net_prefix *prefix)
{
	memset(to, 0, 32);
	to[0] = OPTION_PREFIX;
	to[1] = 4;
	to[2] = prefix->length;
	to[3] = FLAG_ON_LINK;
	memset(to + 4, 0xff, 8); /* valid and preferred for ever */
	memcpy(to + 16, prefix->address.bytes, 16);
	return to + 32;
}

static enum responder_result router_advert(const struct asked *a, struct packet *out)
{
	struct net_address source = responder_link_local(&a->facts->gateway_mac);
	struct answer_to to = nd_back(a, &source);
	uint8_t *ra = answer_payload(out), *end = ra + ND_ROUTER_ADVERT_BYTES;

	if (a->payload_bytes < ND_ROUTER_SOLICIT_BYTES)
		return RESPONDER_MALFORMED;
	if (a->facts->subnet6.length == 0)
		return RESPONDER_SILENT; /* no IPv6 here: no router */
	memset(ra, 0, ND_ROUTER_ADVERT_BYTES);
	ra[0] = ND_ROUTER_ADVERT;
	ra[4] = ANSWER_HOPS;
	ra[5] = FLAG_MANAGED_AND_OTHER;
	ra[6] = ROUTER_LIFETIME_S >> 8;
	ra[7] = ROUTER_LIFETIME_S & 0xff;
	end = put_mac_option(end, OPTION_SOURCE_MAC, &a->facts->gateway_mac);
	memset(end, 0, 8);
	end[0] = OPTION_MTU;
	end[1] = 1;
	end[6] = (uint8_t)(a->facts->mtu >> 8);
	end[7] = (uint8_t)a->facts->mtu;
	end = put_prefix_option(end + 8, &a->facts->subnet6);
	answer_icmp(a, &to, out, (uint32_t)(end - ra));
	return RESPONDER_ANSWER;
}

enum responder_result responder_nd(const struct asked *a, struct packet *out)
{
	/* 7.1.1, 7.1.2, 6.1.1: only from this link, and code 0. */
	if (a->layers->ttl != ND_HOPS || a->layers->icmp_code != 0)
		return RESPONDER_MALFORMED;
	switch (a->layers->icmp_type) {
	case ND_ROUTER_SOLICIT:
		return router_advert(a, out);
	case ND_NEIGHBOUR_SOLICIT:
		return neighbour_advert(a, out);
	default: /* advertisements and redirects of guests concern nobody */
		return RESPONDER_SILENT;
	}
}
