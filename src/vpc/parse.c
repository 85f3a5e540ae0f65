/*
 * Theory of operation. Each layer is read by a function that knows how far it may read: `end` is the end of the head or of the IP
 * packet, whichever comes first. A packet embedded in an ICMP error is read by the same functions for IP; only its upper layer is
 * cut short as a rule and has a reader of its own.
 *
 * Beyond what is cut short, refused is what would show this card something else than the receiver sees:
 *
 *	fragments	a TCP header that a second fragment could overwrite (RFC 1858 3, RFC 3128), a first fragment without its ports
 *			(RFC 7112), an end beyond 65535 ("ping of death"), a length that is no multiple of 8 before the last one
 *	source routes	IPv4 LSRR and SSRR (RFC 7126 4.3, 4.4), an IPv6 routing header with segments left: the destination that the
 *			policy would judge is not the destination (DROP_UNSUPPORTED)
 *	addresses	IPv4-mapped ones in an IPv6 header: they are how this card writes IPv4 addresses (base/net_address.h)
 */
#include "vpc/parse.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>

#include "base/codec.h"
#include "vpc/checksum.h"

enum {
	ETHERTYPE_SERVICE_VLAN = 0x88a8,
	ARP_IPV4_BYTES = 28,
	IPV6_FRAGMENT_BYTES = 8,
	TRANSPORT_QUOTED_BYTES = 8, /* what an ICMP error shows at least (RFC 792) */
	FRAGMENT_IP_BYTES_MAX = 65535,
};

static uint16_t raw16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint32_t raw32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- IP ---- */

/* `bytes` is what this fragment adds; what it ends at counts the headers that the reassembled packet has. */
static bool fragment_sound(const struct packet_layers *l, uint32_t offset, bool more, uint32_t bytes, uint32_t header_bytes)
{
	if (bytes == 0 || (more && bytes % 8 != 0) || header_bytes + offset + bytes > FRAGMENT_IP_BYTES_MAX)
		return false;
	return l->protocol != IPPROTO_TCP || offset != 8;
}

static uint8_t fragment_kind(uint32_t offset, bool more)
{
	return offset > 0 ? FRAGMENT_LATER : more ? FRAGMENT_FIRST : FRAGMENT_NONE;
}

static enum drop_reason check_ipv4_options(const uint8_t *options, uint32_t bytes)
{
	uint32_t at = 0;

	while (at < bytes && options[at] != IPOPT_EOL) {
		if (options[at] == IPOPT_NOP) {
			at++;
			continue;
		}
		if (options[at] == IPOPT_LSRR || options[at] == IPOPT_SSRR)
			return DROP_UNSUPPORTED;
		if (bytes - at < 2 || options[at + 1] < 2 || options[at + 1] > bytes - at)
			return DROP_MALFORMED;
		at += options[at + 1];
	}
	return DROP_NONE;
}

__attribute__((always_inline)) static inline enum drop_reason read_ipv4(const uint8_t *frame, uint32_t end, struct packet_layers *l)
{
	const uint8_t *ip = frame + l->l3_offset;
	uint32_t header_bytes, fragment, offset;

	if (end < l->l3_offset + (uint32_t)IPV4_BYTES || ip[0] >> 4 != 4)
		return DROP_MALFORMED;
	header_bytes = (ip[0] & 15u) * 4;
	l->ip_bytes = get_be16(ip + 2);
	if (header_bytes < IPV4_BYTES || l->ip_bytes < header_bytes || end < l->l3_offset + header_bytes)
		return DROP_MALFORMED;
	l->family = 4;
	l->l4_offset = (uint16_t)(l->l3_offset + header_bytes);
	l->fragment_id = raw16(ip + 4);
	l->ttl = ip[8];
	l->protocol = ip[9];
	l->source = net_address_v4(raw32(ip + 12));
	l->destination = net_address_v4(raw32(ip + 16));
	fragment = get_be16(ip + 6);
	l->dont_fragment = (fragment & IP_DF) != 0;
	if (__builtin_expect((fragment & (IP_OFFMASK | IP_MF)) != 0, 0)) {
		offset = (fragment & IP_OFFMASK) * 8;
		l->fragment = fragment_kind(offset, (fragment & IP_MF) != 0);
		if (!fragment_sound(l, offset, (fragment & IP_MF) != 0, l->ip_bytes - header_bytes, header_bytes))
			return DROP_MALFORMED;
	}
	if (__builtin_expect(header_bytes > IPV4_BYTES, 0))
		return check_ipv4_options(ip + IPV4_BYTES, header_bytes - IPV4_BYTES);
	return DROP_NONE;
}

/* The fragment header at `at` (RFC 8200 4.5). An "atomic" fragment (RFC 6946), first and last in one, is none. */
static bool read_ipv6_fragment(const uint8_t *frame, uint32_t at, struct packet_layers *l)
{
	uint32_t word = get_be16(frame + at + 2), offset = word & 0xfff8, after = at + IPV6_FRAGMENT_BYTES - l->l3_offset;
	bool more = (word & 1) != 0;

	if (l->fragment != FRAGMENT_NONE || l->ip_bytes < after)
		return false;
	l->protocol = frame[at];
	l->fragment = fragment_kind(offset, more);
	l->fragment_id = raw32(frame + at + 4);
	return l->fragment == FRAGMENT_NONE ||
	       fragment_sound(l, offset, more, l->ip_bytes - after, after - IPV6_BYTES - IPV6_FRAGMENT_BYTES);
}

/* Walks to the upper layer. A later fragment ends at its fragment header: what follows belongs to the first one's chain. */
static enum drop_reason read_ipv6_extensions(const uint8_t *frame, uint32_t end, uint32_t at, struct packet_layers *l)
{
	for (unsigned count = 0;; count++) {
		uint32_t bytes = IPV6_FRAGMENT_BYTES;
		uint8_t type = l->protocol;

		l->l4_offset = (uint16_t)at;
		if (type != IPPROTO_HOPOPTS && type != IPPROTO_ROUTING && type != IPPROTO_DSTOPTS && type != IPPROTO_FRAGMENT)
			return DROP_NONE;
		if (count == IPV6_EXTENSIONS_MAX || end < at + 8 || (type == IPPROTO_HOPOPTS && count > 0))
			return DROP_MALFORMED;
		l->protocol = frame[at];
		if (type == IPPROTO_FRAGMENT) {
			if (!read_ipv6_fragment(frame, at, l))
				return DROP_MALFORMED;
		} else {
			bytes = (frame[at + 1] + 1u) * 8;
		}
		if (end < at + bytes)
			return DROP_MALFORMED;
		if (type == IPPROTO_ROUTING && frame[at + 3] != 0)
			return DROP_UNSUPPORTED;
		at += bytes;
		if (l->fragment == FRAGMENT_LATER) {
			l->l4_offset = (uint16_t)at;
			return DROP_NONE;
		}
	}
}

static enum drop_reason read_ipv6(const uint8_t *frame, uint32_t end, struct packet_layers *l)
{
	const uint8_t *ip = frame + l->l3_offset;

	if (end < l->l3_offset + (uint32_t)IPV6_BYTES || ip[0] >> 4 != 6)
		return DROP_MALFORMED;
	l->family = 6;
	l->ip_bytes = IPV6_BYTES + get_be16(ip + 4);
	l->protocol = ip[6];
	l->ttl = ip[7];
	l->dont_fragment = true;
	memcpy(l->source.bytes, ip + 8, 16);
	memcpy(l->destination.bytes, ip + 24, 16);
	if (net_address_is_v4(&l->source) || net_address_is_v4(&l->destination))
		return DROP_MALFORMED;
	return read_ipv6_extensions(frame, lesser(end, l->l3_offset + l->ip_bytes), l->l3_offset + IPV6_BYTES, l);
}

/* ---- upper layers ---- */

static bool is_icmp(const struct packet_layers *l)
{
	return l->family == 4 ? l->protocol == IPPROTO_ICMP : l->protocol == IPPROTO_ICMPV6;
}

static void read_icmp(const uint8_t *icmp, struct packet_layers *l)
{
	uint8_t type = icmp[0];
	bool echo;

	l->icmp_type = type;
	l->icmp_code = icmp[1];
	l->l4_header_bytes = ICMP_HEADER_BYTES;
	if (l->family == 4) {
		echo = type == ICMP_ECHO || type == ICMP_ECHOREPLY;
		l->icmp_error = type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
				type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
	} else {
		echo = type == ICMP6_ECHO_REQUEST || type == ICMP6_ECHO_REPLY;
		l->icmp_error = (type & ICMP6_INFOMSG_MASK) == 0;
	}
	if (echo)
		l->source_port = l->destination_port = raw16(icmp + 4);
}

static bool read_tcp(const uint8_t *tcp, uint32_t room, struct packet_layers *l)
{
	if (room < TCP_BYTES)
		return false;
	l->l4_header_bytes = (uint16_t)((tcp[12] >> 4) * 4);
	l->source_port = raw16(tcp);
	l->destination_port = raw16(tcp + 2);
	l->tcp_seq = get_be32(tcp + 4);
	l->tcp_ack = get_be32(tcp + 8);
	l->tcp_flags = tcp[13];
	l->tcp_window = get_be16(tcp + 14);
	return l->l4_header_bytes >= TCP_BYTES && l->l4_header_bytes <= room;
}

static bool read_udp(const uint8_t *udp, uint32_t room, struct packet_layers *l)
{
	uint32_t bytes, there = l->l3_offset + l->ip_bytes - l->l4_offset;

	if (room < UDP_BYTES)
		return false;
	bytes = get_be16(udp + 4);
	l->l4_header_bytes = UDP_BYTES;
	l->source_port = raw16(udp);
	l->destination_port = raw16(udp + 2);
	return bytes >= UDP_BYTES && (bytes <= there || l->fragment == FRAGMENT_FIRST);
}

static bool read_upper(const uint8_t *frame, uint32_t end, struct packet_layers *l)
{
	uint32_t room = end - l->l4_offset;

	if (l->fragment == FRAGMENT_LATER)
		return true;
	if (l->protocol == IPPROTO_TCP)
		return read_tcp(frame + l->l4_offset, room, l);
	if (l->protocol == IPPROTO_UDP)
		return read_udp(frame + l->l4_offset, room, l);
	if (!is_icmp(l))
		return true;
	if (room < ICMP_HEADER_BYTES)
		return false;
	read_icmp(frame + l->l4_offset, l);
	return true;
}

/* ---- the frame ---- */

/* A frame may be longer than its IP packet, as short ones are; what is too much must be where it can be cut off (packet_cut()). */
static bool length_fits(const struct packet *p)
{
	uint32_t end = p->layers.l3_offset + p->layers.ip_bytes, there = packet_bytes(p);

	return end == there || (end < there && end <= p->head_bytes);
}

static bool ipv4_checksum_right(const uint8_t *ip, uint32_t bytes)
{
	uint64_t sum = 0;

	if (__builtin_expect(bytes > IPV4_BYTES, 0))
		return checksum_of(ip, bytes) == UINT16_MAX;
	for (unsigned i = 0; i < IPV4_BYTES; i += 4)
		sum += raw32(ip + i);
	return checksum_fold(sum) == UINT16_MAX;
}

static bool gso_fits(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	uint32_t payload_bytes = l->l3_offset + l->ip_bytes - l->l4_offset - l->l4_header_bytes;

	/* VIRTIO 1.2 5.1.6.2.1: gso_type other than none: NEEDS_CSUM, and gso_size is the segment's. */
	if ((p->flags & PACKET_NEEDS_CSUM) == 0 || p->gso_size == 0 || l->l3_offset + l->ip_bytes != packet_bytes(p) ||
	    payload_bytes > (uint32_t)p->gso_size * PACKET_SEGMENTS_MAX)
		return false;
	switch (p->gso) {
	case PACKET_GSO_TCP4:
		return l->family == 4 && l->protocol == IPPROTO_TCP;
	case PACKET_GSO_TCP6:
		return l->family == 6 && l->protocol == IPPROTO_TCP;
	case PACKET_GSO_UDP:
		return l->protocol == IPPROTO_UDP && get_be16(p->head + l->l4_offset + 4) == payload_bytes + UDP_BYTES;
	default:
		return false;
	}
}

static bool has_offloads(const struct packet *p)
{
	return (p->flags & PACKET_NEEDS_CSUM) != 0 || p->gso != PACKET_GSO_NONE;
}

static bool offloads_fit(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;

	if (l->fragment != FRAGMENT_NONE)
		return false; /* a fragment's checksum is not over the fragment */
	if ((p->flags & PACKET_NEEDS_CSUM) != 0 &&
	    (p->csum_start != l->l4_offset || !((l->protocol == IPPROTO_TCP && p->csum_offset == TCP_CHECKSUM_AT) ||
						(l->protocol == IPPROTO_UDP && p->csum_offset == UDP_CHECKSUM_AT))))
		return false;
	return p->gso == PACKET_GSO_NONE || gso_fits(p);
}

static enum drop_reason parse_ip(struct packet *p)
{
	struct packet_layers *l = &p->layers;
	enum drop_reason drop;

	if (l->ethertype == ETHERTYPE_IP)
		drop = read_ipv4(p->head, p->head_bytes, l);
	else
		drop = read_ipv6(p->head, p->head_bytes, l);
	if (drop != DROP_NONE)
		return drop;
	if (l->family == 4 && (p->flags & PACKET_CSUM_VALID) == 0 &&
	    !ipv4_checksum_right(p->head + l->l3_offset, (uint32_t)l->l4_offset - l->l3_offset))
		return DROP_MALFORMED;
	if (!length_fits(p) || !read_upper(p->head, lesser(p->head_bytes, l->l3_offset + l->ip_bytes), l))
		return DROP_MALFORMED;
	return has_offloads(p) && !offloads_fit(p) ? DROP_MALFORMED : DROP_NONE;
}

enum drop_reason packet_parse(struct packet *p)
{
	struct packet_layers *l = &p->layers;

	memset(l, 0, sizeof(*l));
	if (p->head_bytes < ETHER_BYTES)
		return DROP_MALFORMED;
	l->l3_offset = ETHER_BYTES;
	l->ethertype = get_be16(p->head + 12);
	if (__builtin_expect(l->ethertype == ETHERTYPE_VLAN || l->ethertype == ETHERTYPE_SERVICE_VLAN, 0)) {
		if (p->head_bytes < ETHER_BYTES + VLAN_BYTES)
			return DROP_MALFORMED;
		l->l3_offset = ETHER_BYTES + VLAN_BYTES;
		l->ethertype = get_be16(p->head + 16);
	}
	if (__builtin_expect(l->ethertype == ETHERTYPE_IP || l->ethertype == ETHERTYPE_IPV6, 1))
		return parse_ip(p);
	if (l->ethertype != ETHERTYPE_ARP)
		return DROP_ETHERTYPE;
	if (p->head_bytes < l->l3_offset + (uint32_t)ARP_IPV4_BYTES || has_offloads(p))
		return DROP_MALFORMED;
	return DROP_NONE;
}

bool packet_parse_embedded(const struct packet *p, struct packet_layers *out)
{
	const struct packet_layers *outer = &p->layers;
	uint32_t end = lesser(p->head_bytes, outer->l3_offset + outer->ip_bytes);
	const uint8_t *upper;
	enum drop_reason drop;

	memset(out, 0, sizeof(*out));
	out->ethertype = outer->ethertype;
	out->l3_offset = (uint16_t)(outer->l4_offset + ICMP_HEADER_BYTES);
	drop = outer->family == 4 ? read_ipv4(p->head, end, out) : read_ipv6(p->head, end, out);
	if (drop != DROP_NONE)
		return false;
	if (out->fragment == FRAGMENT_LATER || (out->protocol != IPPROTO_TCP && out->protocol != IPPROTO_UDP && !is_icmp(out)))
		return true;
	if (lesser(end, out->l3_offset + out->ip_bytes) < out->l4_offset + (uint32_t)TRANSPORT_QUOTED_BYTES)
		return false;
	upper = p->head + out->l4_offset;
	if (is_icmp(out)) {
		read_icmp(upper, out);
		return true;
	}
	out->source_port = raw16(upper);
	out->destination_port = raw16(upper + 2);
	if (out->protocol == IPPROTO_TCP)
		out->tcp_seq = get_be32(upper + 4);
	else
		out->l4_header_bytes = UDP_BYTES;
	return true;
}
