#include "load/net_packet.h"

#include <arpa/inet.h>
#include <net/ethernet.h>

enum { IPV4_BYTES = 20, IPV6_BYTES = 40, UDP_BYTES = 8, TCP_BYTES = 20 };

static uint16_t get16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static bool has(const struct net_packet *p, uint32_t offset, uint32_t bytes)
{
	return offset + bytes <= p->head_bytes;
}

static void parse_transport(struct net_packet *p, uint8_t protocol)
{
	uint32_t at = p->transport_offset, header_bytes;

	if (protocol == IPPROTO_ICMPV6 && !p->v4) {
		p->kind = NET_PACKET_ICMPV6;
		return;
	}
	if (!(protocol == IPPROTO_UDP && has(p, at, UDP_BYTES)) && !(protocol == IPPROTO_TCP && has(p, at, TCP_BYTES)))
		return;
	p->tuple.source_port = get16(p->head + at);
	p->tuple.destination_port = get16(p->head + at + 2);
	if (protocol == IPPROTO_UDP) {
		p->kind = NET_PACKET_UDP;
		p->payload_offset = at + UDP_BYTES;
		return;
	}
	header_bytes = (uint32_t)(p->head[at + 12] >> 4) * 4;
	if (header_bytes < TCP_BYTES || header_bytes > p->transport_bytes)
		return;
	p->kind = NET_PACKET_TCP;
	p->payload_offset = at + header_bytes;
	p->tcp_sequence = ntohl(get32(p->head + at + 4));
	p->acked = ntohl(get32(p->head + at + 8));
	p->tcp_flags = p->head[at + 13];
}

static void parse_ipv4(struct net_packet *p)
{
	const uint8_t *ip = p->head + p->ip_offset;
	uint32_t header_bytes, total_bytes;
	uint16_t fragment;

	if (!has(p, p->ip_offset, IPV4_BYTES))
		return;
	header_bytes = (ip[0] & 0xfu) * 4;
	total_bytes = ntohs(get16(ip + 2));
	if (header_bytes < IPV4_BYTES || total_bytes < header_bytes || total_bytes > p->bytes - p->ip_offset)
		return;
	p->v4 = true;
	p->transport_offset = p->ip_offset + header_bytes;
	p->transport_bytes = total_bytes - header_bytes;
	p->tuple.source_low = get32(ip + 12);
	p->tuple.destination_low = get32(ip + 16);
	fragment = ntohs(get16(ip + 6));
	p->first_fragment_only = (fragment & 0x2000) != 0;
	if ((fragment & 0x1fff) == 0)
		parse_transport(p, ip[9]);
}

static void parse_ipv6(struct net_packet *p)
{
	const uint8_t *ip = p->head + p->ip_offset;

	if (!has(p, p->ip_offset, IPV6_BYTES))
		return;
	p->transport_offset = p->ip_offset + IPV6_BYTES;
	p->transport_bytes = ntohs(get16(ip + 4));
	if (p->transport_bytes > p->bytes - p->transport_offset)
		return;
	p->tuple.source_low = get32(ip + 8 + 12);
	p->tuple.destination_low = get32(ip + 24 + 12);
	parse_transport(p, ip[6]);
}

void net_packet_parse(struct net_packet *p, const uint8_t *head, uint32_t head_bytes, uint32_t bytes)
{
	uint16_t type;

	memset(p, 0, sizeof(*p));
	p->head = head;
	p->head_bytes = head_bytes < bytes ? head_bytes : bytes;
	p->bytes = bytes;
	p->ip_offset = FRAME_ETHERNET_BYTES;
	if (!has(p, 0, FRAME_ETHERNET_BYTES))
		return;
	type = ntohs(get16(head + 12));
	if (type == ETHERTYPE_VLAN && has(p, 14, 4)) {
		type = ntohs(get16(head + 16));
		p->ip_offset += 4;
	}
	if (type == ETHERTYPE_ARP)
		p->kind = NET_PACKET_ARP;
	else if (type == ETHERTYPE_IP)
		parse_ipv4(p);
	else if (type == ETHERTYPE_IPV6)
		parse_ipv6(p);
}

bool net_packet_signature(const struct net_packet *p, bool stamped, struct frame_signature *s)
{
	uint32_t bytes = FRAME_SIGNATURE_BYTES + (stamped ? FRAME_STAMP_BYTES : 0u);
	const uint8_t *at = p->head + p->payload_offset;

	if (p->kind != NET_PACKET_UDP && p->kind != NET_PACKET_TCP)
		return false;
	if (!has(p, p->payload_offset, bytes) || p->payload_offset - p->transport_offset + bytes > p->transport_bytes)
		return false;
	s->tag = get32(at);
	s->flow = get32(at + 4);
	s->sequence = get32(at + 8);
	s->stamp_tsc = 0;
	if (stamped)
		memcpy(&s->stamp_tsc, at + FRAME_SIGNATURE_BYTES, FRAME_STAMP_BYTES);
	return true;
}

static struct net_address address_at(const struct net_packet *p, uint32_t v4_offset, uint32_t v6_offset)
{
	struct net_address a;

	if (p->v4)
		return net_address_v4(get32(p->head + p->ip_offset + v4_offset));
	memcpy(a.bytes, p->head + p->ip_offset + v6_offset, sizeof(a.bytes));
	return a;
}

struct net_address net_packet_source(const struct net_packet *p)
{
	return address_at(p, 12, 8);
}

struct net_address net_packet_destination(const struct net_packet *p)
{
	return address_at(p, 16, 24);
}

bool net_packet_checksums_right(const struct net_packet *p, const uint8_t *frame, bool partial)
{
	bool udp = p->kind == NET_PACKET_UDP;
	struct net_address source, destination;
	const uint8_t *checksum;
	uint64_t sum;

	if (p->v4 && net_checksum_fold(net_checksum_add(0, frame + p->ip_offset, p->transport_offset - p->ip_offset)) != UINT16_MAX)
		return false;
	if ((!udp && p->kind != NET_PACKET_TCP) || p->first_fragment_only)
		return true;
	checksum = frame + p->transport_offset + (udp ? 6 : 16);
	if (udp && get16(checksum) == 0)
		return p->v4; /* RFC 8200, 8.1: over IPv6 it must be there */
	source = net_packet_source(p);
	destination = net_packet_destination(p);
	sum = frame_pseudo_sum(&source, &destination, udp ? IPPROTO_UDP : IPPROTO_TCP, p->transport_bytes);
	if (partial)
		return net_checksum_fold(sum) == get16(checksum);
	return net_checksum_fold(net_checksum_add(sum, frame + p->transport_offset, p->transport_bytes)) == UINT16_MAX;
}
