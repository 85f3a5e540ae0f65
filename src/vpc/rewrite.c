#include "vpc/rewrite.h"

#include <assert.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "base/codec.h"
#include "vpc/parse.h"

/* A packet under change: the frame's own, or the one that an ICMP error quotes, of which not everything is there. */
struct rewrite {
	uint8_t *frame;
	uint32_t end;
	const struct packet_layers *layers;
	bool partial;	 /* its transport checksum is the pseudo header's sum (PACKET_NEEDS_CSUM) */
	uint64_t change; /* to the sum of all its bytes */
};

/* Offsets into the headers. */
struct endpoint_fields {
	uint8_t ipv4, ipv6, port;
};
static const struct endpoint_fields source_fields = {.ipv4 = 12, .ipv6 = 8, .port = 0};
static const struct endpoint_fields destination_fields = {.ipv4 = 16, .ipv6 = 24, .port = 2};
enum { ECHO_IDENTIFIER_AT = 4, IPV4_TTL_AT = 8, IPV6_HOP_LIMIT_AT = 7 };

/* Always inlined with a constant size: a few additions. */
static inline uint16_t sum_of_field(const uint8_t *at, uint32_t bytes)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < bytes; i += 2)
		sum += checksum_load(at + i);
	return checksum_fold(sum);
}

static inline uint32_t replace(struct rewrite *r, uint8_t *at, const void *data, uint32_t bytes)
{
	uint32_t change = checksum_change(sum_of_field(at, bytes), sum_of_field(data, bytes));

	memcpy(at, data, bytes);
	r->change += change;
	return change;
}

/* UDP has no checksum where it is zero, and must not come out as zero (RFC 768, RFC 8200 8.1). */
static void adjust(struct rewrite *r, uint8_t *field, uint32_t change, bool zero_is_none)
{
	uint16_t now = checksum_load(field);

	if (zero_is_none && now == 0)
		return;
	now = (uint16_t)~checksum_fold((uint64_t)(uint16_t)~now + change);
	if (zero_is_none && now == 0)
		now = UINT16_MAX;
	replace(r, field, &now, sizeof(now));
}

static bool is_echo(const struct packet_layers *l)
{
	if (l->family == 4)
		return l->icmp_type == ICMP_ECHO || l->icmp_type == ICMP_ECHOREPLY;
	return l->icmp_type == ICMP6_ECHO_REQUEST || l->icmp_type == ICMP6_ECHO_REPLY;
}

/* `pseudo`: what the addresses change in a checksum with a pseudo header; `own`: what the header's own bytes do. */
static void adjust_upper(struct rewrite *r, uint32_t at, uint32_t pseudo, uint32_t own, bool zero_is_none)
{
	uint8_t *field = r->frame + at;
	uint16_t sum;

	if (at + 2 > r->end)
		return;
	if (!r->partial) {
		adjust(r, field, pseudo + own, zero_is_none);
		return;
	}
	sum = checksum_fold((uint64_t)checksum_load(field) + pseudo);
	checksum_store(field, sum);
}

static void translate_upper(struct rewrite *r, uint32_t pseudo, uint32_t port_at, uint16_t port)
{
	const struct packet_layers *l = r->layers;
	uint8_t *upper = r->frame + l->l4_offset;
	uint32_t own = 0;

	if (l->fragment == FRAGMENT_LATER)
		return;
	switch (l->protocol) {
	case IPPROTO_TCP:
		own = replace(r, upper + port_at, &port, sizeof(port));
		adjust_upper(r, l->l4_offset + TCP_CHECKSUM_AT, pseudo, own, false);
		return;
	case IPPROTO_UDP:
		own = replace(r, upper + port_at, &port, sizeof(port));
		adjust_upper(r, l->l4_offset + UDP_CHECKSUM_AT, pseudo, own, true);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (l->l4_header_bytes == 0)
			return; /* of the other family: as any protocol without ports */
		if (is_echo(l))
			own = replace(r, upper + ECHO_IDENTIFIER_AT, &port, sizeof(port));
		adjust_upper(r, l->l4_offset + ICMP_CHECKSUM_AT, l->family == 6 ? pseudo : 0, own, false);
		return;
	default:
		return;
	}
}

static void translate(struct rewrite *r, const struct endpoint_fields *fields, const struct net_address *address, uint16_t port)
{
	const struct packet_layers *l = r->layers;
	uint8_t *ip = r->frame + l->l3_offset;
	uint32_t change;

	assert(net_address_is_v4(address) == (l->family == 4));
	if (l->family == 4) {
		change = replace(r, ip + fields->ipv4, &address->word[3], 4);
		adjust(r, ip + IPV4_CHECKSUM_AT, change, false);
	} else {
		change = replace(r, ip + fields->ipv6, address->bytes, 16);
	}
	translate_upper(r, change, fields->port, port);
}

static void translate_own(struct packet *p, const struct endpoint_fields *fields, const struct net_address *address, uint16_t port)
{
	struct rewrite r = {
		.frame = p->head, .end = p->head_bytes, .layers = &p->layers, .partial = (p->flags & PACKET_NEEDS_CSUM) != 0};

	translate(&r, fields, address, port);
}

/* Which port fields of the layers a new port belongs in. */
static bool has_ports(const struct packet_layers *l)
{
	return l->fragment != FRAGMENT_LATER && (l->protocol == IPPROTO_TCP || l->protocol == IPPROTO_UDP);
}

static bool has_identifier(const struct packet_layers *l)
{
	return l->fragment != FRAGMENT_LATER && l->l4_header_bytes == ICMP_HEADER_BYTES &&
	       l->protocol == (l->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && is_echo(l);
}

void packet_set_source(struct packet *p, const struct net_address *address, uint16_t port)
{
	struct packet_layers *l = &p->layers;

	translate_own(p, &source_fields, address, port);
	l->source = *address;
	if (has_ports(l))
		l->source_port = port;
	else if (has_identifier(l))
		l->source_port = l->destination_port = port;
}

void packet_set_destination(struct packet *p, const struct net_address *address, uint16_t port)
{
	struct packet_layers *l = &p->layers;

	translate_own(p, &destination_fields, address, port);
	l->destination = *address;
	if (has_ports(l))
		l->destination_port = port;
	else if (has_identifier(l))
		l->source_port = l->destination_port = port;
}

/* RFC 5508 4.2: the quoted packet is translated, its checksums with it as far as they are there, and the error's own follows. */
static void translate_embedded(struct packet *p, const struct endpoint_fields *fields, const struct net_address *address,
			       uint16_t port)
{
	const struct packet_layers *outer = &p->layers;
	uint32_t ip_end = outer->l3_offset + outer->ip_bytes;
	struct packet_layers inner;
	struct rewrite r = {.frame = p->head, .end = ip_end < p->head_bytes ? ip_end : p->head_bytes, .layers = &inner};

	if (!packet_parse_embedded(p, &inner))
		return;
	translate(&r, fields, address, port);
	checksum_adjust(p->head + outer->l4_offset + ICMP_CHECKSUM_AT, r.change);
}

void packet_set_embedded_source(struct packet *p, const struct net_address *address, uint16_t port)
{
	translate_embedded(p, &source_fields, address, port);
}

void packet_set_embedded_destination(struct packet *p, const struct net_address *address, uint16_t port)
{
	translate_embedded(p, &destination_fields, address, port);
}

void packet_set_macs(struct packet *p, const struct mac *destination, const struct mac *source)
{
	assert(p->head_bytes >= ETHER_BYTES);
	memcpy(p->head, destination->bytes, sizeof(destination->bytes));
	memcpy(p->head + 6, source->bytes, sizeof(source->bytes));
}

bool packet_decrement_ttl(struct packet *p)
{
	struct packet_layers *l = &p->layers;
	uint8_t *ip = p->head + l->l3_offset;
	uint32_t sum;

	if (l->ttl <= 1)
		return false;
	l->ttl--;
	if (l->family == 6) {
		ip[IPV6_HOP_LIMIT_AT] = l->ttl;
		return true;
	}
	ip[IPV4_TTL_AT] = l->ttl;
	sum = get_be16(ip + IPV4_CHECKSUM_AT) + 0x0100u; /* one less in the upper byte, so one more in the complement */
	put_be16(ip + IPV4_CHECKSUM_AT, (uint16_t)(sum + (sum >> 16)));
	return true;
}

void packet_checksum_complete(struct packet *p)
{
	uint8_t *field = p->head + p->csum_start + p->csum_offset;
	uint16_t sum;

	if ((p->flags & PACKET_NEEDS_CSUM) == 0)
		return;
	assert(p->csum_start + p->csum_offset + 2u <= p->head_bytes);
	sum = (uint16_t)~checksum_of_packet(p, p->csum_start, packet_bytes(p) - p->csum_start);
	checksum_store(field, sum != 0 ? sum : UINT16_MAX); /* zero is "none" in UDP, and the same number */
	p->flags = (uint8_t)(p->flags & ~PACKET_NEEDS_CSUM);
}
