#include "vpc/icmp_error.h"

#include <assert.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

#include "base/codec.h"
#include "vpc/checksum.h"
#include "vpc/parse.h"
#include "vpc/segment.h"

enum {
	ERROR_BYTES_MAX_V4 = 576,  /* of IP: RFC 1812 4.3.2.3 */
	ERROR_BYTES_MAX_V6 = 1280, /* RFC 4443 2.4 c */
	ERROR_TTL = 64,
	TOS_INTERNETWORK_CONTROL = 0xc0, /* RFC 1812 4.3.2.5: precedence 6 */
	WORD_AT = 4,			 /* the header's second word: IPv6 MTU; its lower half: IPv4 MTU (RFC 1191 4) */
	HALF_WORD_AT = 6,
};

struct icmp_kind {
	uint8_t type, code;
};
static const struct icmp_kind kinds_v4[] = {
	[ICMP_ERROR_TOO_BIG] = {ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED},
	[ICMP_ERROR_TTL] = {ICMP_TIME_EXCEEDED, ICMP_EXC_TTL},
	[ICMP_ERROR_ADMIN] = {ICMP_DEST_UNREACH, ICMP_PKT_FILTERED},
	[ICMP_ERROR_NO_ROUTE] = {ICMP_DEST_UNREACH, ICMP_NET_UNREACH},
};
static const struct icmp_kind kinds_v6[] = {
	[ICMP_ERROR_TOO_BIG] = {ICMP6_PACKET_TOO_BIG, 0},
	[ICMP_ERROR_TTL] = {ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT},
	[ICMP_ERROR_ADMIN] = {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN},
	[ICMP_ERROR_NO_ROUTE] = {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
};

/* Names one host that can be answered: RFC 1812 4.3.2.7, RFC 4443 2.4 e. */
static bool is_single_host(const struct net_address *a)
{
	static const struct net_address none, loopback = {.bytes = {[15] = 1}};

	if (net_address_is_v4(a))
		return a->bytes[12] != 0 && a->bytes[12] != IN_LOOPBACKNET && a->bytes[12] < 224;
	return a->bytes[0] != 0xff && !net_address_equal(a, &none) && !net_address_equal(a, &loopback);
}

static bool is_multicast(const struct net_address *a)
{
	return net_address_is_v4(a) ? a->bytes[12] >= 224 : a->bytes[0] == 0xff;
}

static bool may_be_answered(const struct packet *about, const struct net_address *from)
{
	const struct packet_layers *l = &about->layers;

	if (l->family == 0 || net_address_is_v4(from) != (l->family == 4))
		return false;
	if (l->icmp_error || (l->family == 6 && l->protocol == IPPROTO_ICMPV6 && l->icmp_type == ND_REDIRECT))
		return false;
	return l->fragment != FRAGMENT_LATER && is_single_host(&l->source) && !is_multicast(&l->destination) &&
	       (about->head[0] & 1) == 0;
}

/* A guest knows nothing of the GSO frame that it sent: what it hears of is its first segment. */
static void quote_first_segment(uint8_t *quote, uint32_t quote_bytes, const struct packet *about)
{
	const struct packet_layers *l = &about->layers;
	uint32_t ip_bytes = packet_ip_bytes_max(about), header_bytes = (uint32_t)l->l4_offset - l->l3_offset;

	if (about->gso == PACKET_GSO_NONE)
		return;
	if (l->family == 4) {
		put_be16(quote + 2, (uint16_t)ip_bytes);
		checksum_store(quote + IPV4_CHECKSUM_AT, 0);
		checksum_store(quote + IPV4_CHECKSUM_AT, (uint16_t)~checksum_of(quote, header_bytes));
	} else {
		put_be16(quote + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
	}
	if (about->gso == PACKET_GSO_UDP && quote_bytes >= header_bytes + UDP_BYTES)
		put_be16(quote + header_bytes + 4, (uint16_t)(ip_bytes - header_bytes));
}

static void fill_ether(uint8_t *frame, const struct packet *about, uint16_t ethertype)
{
	memcpy(frame, about->head + 6, 6);
	memcpy(frame + 6, about->head, 6);
	put_be16(frame + 12, ethertype);
}

static void fill_ipv4(uint8_t *ip, uint32_t ip_bytes, const struct net_address *from, const struct net_address *to)
{
	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	ip[1] = TOS_INTERNETWORK_CONTROL;
	put_be16(ip + 2, (uint16_t)ip_bytes);
	put_be16(ip + 6, IP_DF); /* small, and needs no identification (RFC 6864 4.1) */
	ip[8] = ERROR_TTL;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, &from->word[3], 4);
	memcpy(ip + 16, &to->word[3], 4);
	checksum_store(ip + IPV4_CHECKSUM_AT, (uint16_t)~checksum_of(ip, IPV4_BYTES));
}

static void fill_ipv6(uint8_t *ip, uint32_t ip_bytes, const struct net_address *from, const struct net_address *to)
{
	put_be32(ip, 0x60000000);
	put_be16(ip + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = ERROR_TTL;
	memcpy(ip + 8, from->bytes, 16);
	memcpy(ip + 24, to->bytes, 16);
}

/* Header and checksum, around a quote that is there. */
static void fill_icmp(uint8_t *icmp, uint32_t bytes, uint8_t family, enum icmp_error_kind kind, uint32_t mtu, uint16_t pseudo_sum)
{
	const struct icmp_kind *k = family == 4 ? &kinds_v4[kind] : &kinds_v6[kind];

	memset(icmp, 0, ICMP_HEADER_BYTES);
	icmp[0] = k->type;
	icmp[1] = k->code;
	if (kind == ICMP_ERROR_TOO_BIG && family == 4)
		put_be16(icmp + HALF_WORD_AT, (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX));
	else if (kind == ICMP_ERROR_TOO_BIG)
		put_be32(icmp + WORD_AT, mtu);
	checksum_store(icmp + ICMP_CHECKSUM_AT, (uint16_t)~checksum_fold((uint32_t)pseudo_sum + checksum_of(icmp, bytes)));
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

bool icmp_error_build(struct packet *out, const struct packet *about, enum icmp_error_kind kind, const struct net_address *from,
		      uint32_t mtu)
{
	const struct packet_layers *l = &about->layers;
	bool v4 = l->family == 4;
	uint32_t ip_header_bytes = v4 ? IPV4_BYTES : IPV6_BYTES, quote_at = ETHER_BYTES + ip_header_bytes + ICMP_HEADER_BYTES;
	uint32_t quote_bytes, ip_bytes;
	uint8_t *ip, *icmp;

	assert(out->headroom_bytes + quote_at + IPV6_BYTES + ICMP_HEADER_BYTES <= PACKET_HEAD_BYTES);
	if (!may_be_answered(about, from))
		return false;
	quote_bytes = lesser(lesser(about->head_bytes - l->l3_offset, packet_ip_bytes_max(about)),
			     lesser((v4 ? ERROR_BYTES_MAX_V4 : ERROR_BYTES_MAX_V6) - ip_header_bytes - ICMP_HEADER_BYTES,
				    PACKET_HEAD_BYTES - out->headroom_bytes - quote_at));
	ip_bytes = ip_header_bytes + ICMP_HEADER_BYTES + quote_bytes;
	memcpy(out->head + quote_at, about->head + l->l3_offset, quote_bytes);
	quote_first_segment(out->head + quote_at, quote_bytes, about);
	fill_ether(out->head, about, v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	ip = out->head + ETHER_BYTES;
	icmp = ip + ip_header_bytes;
	if (v4)
		fill_ipv4(ip, ip_bytes, from, &l->source);
	else
		fill_ipv6(ip, ip_bytes, from, &l->source);
	fill_icmp(icmp, ICMP_HEADER_BYTES + quote_bytes, l->family, kind, mtu,
		  v4 ? 0 : checksum_pseudo(from, &l->source, IPPROTO_ICMPV6, ICMP_HEADER_BYTES + quote_bytes));
	*out = (struct packet){.head = out->head,
			       .headroom_bytes = out->headroom_bytes,
			       .head_bytes = (uint16_t)(ETHER_BYTES + ip_bytes),
			       .flags = PACKET_CSUM_VALID};
	return packet_parse(out) == DROP_NONE;
}
