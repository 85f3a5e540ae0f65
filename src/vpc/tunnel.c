/*
 *	VXLAN (RFC 7348 5)				Geneve (RFC 8926 3.4)
 *	0  flags: 0x08 the VNI is valid			0  version (2 bits), option length in words (6)
 *	1  reserved, ignored				1  O 0x80 control message, C 0x40 critical options
 *							2  protocol type: 0x6558 Ethernet
 *	4  VNI (24 bits)				4  VNI (24 bits)
 *	7  reserved, ignored				7  reserved, ignored
 *							8  options
 *
 * A template ends where the inner frame begins. What a packet adds to it: lengths, ECN, source port, VNI and, over IPv4, the
 * header's checksum.
 */
#include "vpc/tunnel.h"

#include <assert.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>

#include "base/codec.h"
#include "vpc/checksum.h"
#include "vpc/parse.h"

enum {
	OUTER_TTL = 64,
	SHIM_BYTES = 8, /* VXLAN, or Geneve without options */
	VNI_AT = 4,
	VXLAN_FLAG_VNI = 0x08,
	GENEVE_VERSION_MASK = 0xc0,
	GENEVE_LENGTH_MASK = 0x3f,
	GENEVE_CONTROL = 0x80,
	GENEVE_CRITICAL = 0x40,
	ETHERTYPE_BRIDGING = 0x6558, /* Transparent Ethernet Bridging */
	ECN_MASK = 3,
};

/* RFC 6040 4.2, figure 4, [inner][outer] by codepoint (0 not ECT, 1 ECT(1), 2 ECT(0), 3 CE). */
enum { ECN_DROP = 0xff };
static const uint8_t ecn_combined[4][4] = {
	{0, 0, 0, ECN_DROP},
	{1, 1, 1, 3},
	{2, 1, 2, 3},
	{3, 3, 3, 3},
};

static void template_ip(struct tunnel_template *t, const struct net_address *source, const struct net_address *destination)
{
	uint8_t *ip = t->header + ETHER_BYTES;

	if (t->family == 4) {
		put_be16(t->header + 12, ETHERTYPE_IP);
		ip[0] = 0x45;
		put_be16(ip + 6, IP_DF); /* so that its identification says nothing (RFC 6864 4.1) */
		ip[8] = OUTER_TTL;
		ip[9] = IPPROTO_UDP;
		memcpy(ip + 12, &source->word[3], 4);
		memcpy(ip + 16, &destination->word[3], 4);
		t->ip_checksum = checksum_of(ip, IPV4_BYTES);
		return;
	}
	put_be16(t->header + 12, ETHERTYPE_IPV6);
	ip[0] = 0x60;
	ip[6] = IPPROTO_UDP;
	ip[7] = OUTER_TTL;
	memcpy(ip + 8, source->bytes, 16);
	memcpy(ip + 24, destination->bytes, 16);
}

void tunnel_template_make(struct tunnel_template *t, enum tunnel_kind kind, const struct mac *source_mac,
			  const struct mac *next_hop, const struct net_address *source, const struct net_address *destination)
{
	uint8_t *udp, *shim;

	assert(net_address_is_v4(source) == net_address_is_v4(destination));
	memset(t, 0, sizeof(*t));
	t->family = net_address_is_v4(source) ? 4 : 6;
	t->bytes = t->family == 4 ? TUNNEL_OUTER_V4_BYTES : TUNNEL_OUTER_V6_BYTES;
	memcpy(t->header, next_hop->bytes, sizeof(next_hop->bytes));
	memcpy(t->header + 6, source_mac->bytes, sizeof(source_mac->bytes));
	template_ip(t, source, destination);
	shim = t->header + t->bytes - SHIM_BYTES;
	udp = shim - UDP_BYTES;
	put_be16(udp + 2, kind == TUNNEL_VXLAN ? TUNNEL_VXLAN_PORT : TUNNEL_GENEVE_PORT);
	if (kind == TUNNEL_VXLAN)
		shim[0] = VXLAN_FLAG_VNI;
	else
		put_be16(shim + 2, ETHERTYPE_BRIDGING);
}

static uint8_t traffic_class(const uint8_t *ip, uint8_t family)
{
	return family == 4 ? ip[1] : (uint8_t)(get_be16(ip) >> 4);
}

/* RFC 6040 4.1, normal mode. What is not IP says nothing about congestion. */
static uint8_t inner_ecn(const struct packet *p)
{
	if (p->layers.family == 0)
		return 0;
	return traffic_class(p->head + p->layers.l3_offset, p->layers.family) & ECN_MASK;
}

void tunnel_encapsulate(const struct tunnel_template *t, uint32_t vni, struct packet *p)
{
	uint16_t source_port = tunnel_source_port(p->hash), udp_bytes;
	uint8_t ecn = inner_ecn(p), *frame;

	udp_bytes = (uint16_t)(packet_bytes(p) + SHIM_BYTES + UDP_BYTES);
	if (t->family == 4) {
		uint16_t ip_bytes = (uint16_t)(udp_bytes + IPV4_BYTES);

		frame = packet_push(p, TUNNEL_OUTER_V4_BYTES);
		memcpy(frame, t->header, TUNNEL_OUTER_V4_BYTES);
		frame[ETHER_BYTES + 1] = ecn;
		put_be16(frame + ETHER_BYTES + 2, ip_bytes);
		/* ECN lies in the lower byte of its half word, and the template counted both as zero. */
		checksum_store(frame + ETHER_BYTES + IPV4_CHECKSUM_AT,
			       (uint16_t)~checksum_fold((uint32_t)t->ip_checksum + htons(ip_bytes) + htons(ecn)));
		frame += ETHER_BYTES + IPV4_BYTES;
	} else {
		assert(t->family == 6); /* resolved: the caller looked at t->bytes */
		frame = packet_push(p, TUNNEL_OUTER_V6_BYTES);
		memcpy(frame, t->header, TUNNEL_OUTER_V6_BYTES);
		frame[ETHER_BYTES + 1] = (uint8_t)(ecn << 4);
		put_be16(frame + ETHER_BYTES + 4, udp_bytes);
		frame += ETHER_BYTES + IPV6_BYTES;
	}
	put_be16(frame, source_port);
	put_be16(frame + 4, udp_bytes);
	put_be32(frame + UDP_BYTES + VNI_AT, vni << 8);
}

static bool udp_checksum_right(const struct packet *p, uint32_t udp_bytes)
{
	const struct packet_layers *l = &p->layers;
	uint32_t sum;

	if (checksum_load(p->head + l->l4_offset + UDP_CHECKSUM_AT) == 0)
		return true; /* RFC 6935 5: over IPv6 as well */
	if ((p->flags & (PACKET_CSUM_VALID | PACKET_NEEDS_CSUM)) != 0)
		return true; /* checked, or of a frame that never was on a wire */
	sum = checksum_of_packet(p, l->l4_offset, udp_bytes);
	sum += checksum_pseudo(&l->source, &l->destination, IPPROTO_UDP, udp_bytes);
	return checksum_fold(sum) == UINT16_MAX;
}

/* Bytes of the shim with its options; 0: it is not one whose payload is ours. */
static uint32_t read_shim(const uint8_t *shim, uint8_t kind)
{
	if (kind == TUNNEL_VXLAN)
		return (shim[0] & VXLAN_FLAG_VNI) != 0 ? SHIM_BYTES : 0;
	if ((shim[0] & GENEVE_VERSION_MASK) != 0 || (shim[1] & (GENEVE_CONTROL | GENEVE_CRITICAL)) != 0 ||
	    get_be16(shim + 2) != ETHERTYPE_BRIDGING)
		return 0;
	return SHIM_BYTES + (shim[0] & GENEVE_LENGTH_MASK) * 4u;
}

static void set_ecn(uint8_t *ip, uint8_t family, uint8_t ecn)
{
	uint16_t before = checksum_load(ip);

	if (family == 6) {
		ip[1] = (uint8_t)((ip[1] & ~(ECN_MASK << 4)) | ecn << 4);
		return;
	}
	ip[1] = (uint8_t)((ip[1] & ~ECN_MASK) | ecn);
	checksum_adjust(ip + IPV4_CHECKSUM_AT, checksum_change(before, checksum_load(ip)));
}

static enum drop_reason combine_ecn(struct packet *p, uint8_t outer)
{
	const struct packet_layers *l = &p->layers;
	uint8_t inner, combined;

	if (l->family == 0)
		return DROP_NONE;
	inner = inner_ecn(p);
	combined = ecn_combined[inner][outer];
	if (combined == ECN_DROP)
		return DROP_MALFORMED;
	if (combined != inner)
		set_ecn(p->head + l->l3_offset, l->family, combined);
	return DROP_NONE;
}

enum drop_reason tunnel_decapsulate(struct packet *p, struct tunnel_inner *out)
{
	const struct packet_layers *l = &p->layers;
	uint32_t shim_at = l->l4_offset + UDP_BYTES, udp_bytes, shim_bytes;
	enum drop_reason drop;
	uint8_t outer_ecn;

	if (l->fragment != FRAGMENT_NONE || p->gso != PACKET_GSO_NONE || p->head_bytes < shim_at + SHIM_BYTES)
		return DROP_MALFORMED; /* RFC 7348 4.3: no fragments */
	out->kind = l->destination_port == htons(TUNNEL_VXLAN_PORT) ? TUNNEL_VXLAN : TUNNEL_GENEVE;
	out->outer_source = l->source;
	out->vni = get_be32(p->head + shim_at + VNI_AT) >> 8;
	outer_ecn = traffic_class(p->head + l->l3_offset, l->family) & ECN_MASK;
	udp_bytes = get_be16(p->head + l->l4_offset + 4);
	shim_bytes = read_shim(p->head + shim_at, out->kind);
	if (shim_bytes == 0 || udp_bytes < UDP_BYTES + shim_bytes || p->head_bytes < shim_at + shim_bytes ||
	    !udp_checksum_right(p, udp_bytes) || !packet_cut(p, l->l4_offset + udp_bytes))
		return DROP_MALFORMED;
	/* What was said about checksums was said about the outer ones. */
	p->flags = (uint8_t)(p->flags & ~(PACKET_NEEDS_CSUM | PACKET_CSUM_VALID));
	packet_pull(p, (uint16_t)(shim_at + shim_bytes));
	drop = packet_parse(p);
	return drop != DROP_NONE ? drop : combine_ecn(p, outer_ecn);
}
