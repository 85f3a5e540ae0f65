#include "load/net_frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/ethernet.h>

enum {
	VLAN_BYTES = 4,
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	UDP_BYTES = 8,
	TCP_BYTES = 20,
	HOP_LIMIT = 64,
	IP_BYTES_MAX = 65535,
	UDP_CHECKSUM_OFFSET = 6,
	TCP_CHECKSUM_OFFSET = 16,
};

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

static void fill(uint8_t *payload, uint32_t from, uint32_t bytes)
{
	for (uint32_t i = from; i < bytes; i++)
		payload[i] = pattern(i);
}

static uint64_t pattern_sum(uint32_t from, uint32_t bytes)
{
	uint64_t sum = 0;

	for (uint32_t i = from; i < bytes; i += 2) { /* `from` is even */
		uint8_t pair[2] = {pattern(i), i + 1 < bytes ? pattern(i + 1) : 0};

		sum = net_checksum_add(sum, pair, sizeof(pair));
	}
	return sum;
}

static uint32_t link_bytes(const struct frame_plan *plan)
{
	return FRAME_ETHERNET_BYTES + (plan->vlan == FRAME_NO_VLAN ? 0 : VLAN_BYTES);
}

static uint32_t transport_bytes(const struct frame_plan *plan)
{
	return plan->protocol == IPPROTO_TCP ? TCP_BYTES : UDP_BYTES;
}

static uint32_t headers_bytes(const struct frame_plan *plan)
{
	return link_bytes(plan) + (net_address_is_v4(&plan->source) ? IPV4_BYTES : IPV6_BYTES) + transport_bytes(plan);
}

static uint32_t signature_bytes(const struct frame_plan *plan)
{
	return FRAME_SIGNATURE_BYTES + (plan->stamped ? FRAME_STAMP_BYTES : 0);
}

uint32_t frame_bytes_min(const struct frame_plan *plan)
{
	return headers_bytes(plan) + signature_bytes(plan);
}

uint32_t frame_build_ethernet(uint8_t *frame, const struct frame_plan *plan, uint16_t type)
{
	uint8_t *at = frame;

	memcpy(at, plan->destination_mac.bytes, sizeof(plan->destination_mac.bytes));
	memcpy(at + 6, plan->source_mac.bytes, sizeof(plan->source_mac.bytes));
	at += 12;
	if (plan->vlan != FRAME_NO_VLAN) {
		frame_put16(at, htons(ETHERTYPE_VLAN));
		frame_put16(at + 2, htons((uint16_t)plan->vlan));
		at += VLAN_BYTES;
	}
	frame_put16(at, htons(type));
	return (uint32_t)(at - frame) + 2;
}

static void build_ipv4(uint8_t *ip, const struct frame_plan *plan, uint8_t hop_limit, uint32_t payload_bytes)
{
	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	frame_put16(ip + 2, htons((uint16_t)(IPV4_BYTES + payload_bytes)));
	frame_put16(ip + 6, htons(0x4000)); /* do not fragment */
	ip[8] = hop_limit;
	ip[9] = plan->protocol;
	frame_put32(ip + 12, plan->source.word[3]);
	frame_put32(ip + 16, plan->destination.word[3]);
	frame_put16(ip + 10, (uint16_t)~net_checksum_fold(net_checksum_add(0, ip, IPV4_BYTES)));
}

static void build_ipv6(uint8_t *ip, const struct frame_plan *plan, uint8_t hop_limit, uint32_t payload_bytes)
{
	memset(ip, 0, 8);
	ip[0] = 0x60;
	frame_put16(ip + 4, htons((uint16_t)payload_bytes));
	ip[6] = plan->protocol;
	ip[7] = hop_limit;
	memcpy(ip + 8, plan->source.bytes, 16);
	memcpy(ip + 24, plan->destination.bytes, 16);
}

uint32_t frame_build_ip(uint8_t *frame, const struct frame_plan *plan, uint8_t hop_limit, uint32_t payload_bytes)
{
	bool v4 = net_address_is_v4(&plan->source);
	uint32_t at = frame_build_ethernet(frame, plan, v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);

	if (v4) {
		build_ipv4(frame + at, plan, hop_limit, payload_bytes);
		return at + IPV4_BYTES;
	}
	build_ipv6(frame + at, plan, hop_limit, payload_bytes);
	return at + IPV6_BYTES;
}

uint64_t frame_pseudo_sum(const struct net_address *source, const struct net_address *destination, uint8_t protocol,
			  uint32_t payload_bytes)
{
	bool v4 = net_address_is_v4(source);
	uint64_t sum = (uint64_t)htonl(payload_bytes) + htons(protocol);

	sum = net_checksum_add(sum, source->bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
	return net_checksum_add(sum, destination->bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
}

/* Ports and checksum zero. */
static void build_transport(uint8_t *at, const struct frame_plan *plan, uint8_t flags, uint32_t sequence, uint32_t acknowledged,
			    uint32_t transport_and_payload_bytes)
{
	memset(at, 0, transport_bytes(plan));
	if (plan->protocol == IPPROTO_UDP) {
		frame_put16(at + 4, htons((uint16_t)transport_and_payload_bytes));
		return;
	}
	frame_put32(at + 4, htonl(sequence));
	frame_put32(at + 8, htonl(acknowledged));
	at[12] = TCP_BYTES / 4 << 4;
	at[13] = flags;
	frame_put16(at + 14, htons(FRAME_TCP_WINDOW));
}

static void make_header(struct frame_template *t, const struct frame_plan *plan)
{
	if (plan->checksum_offload) {
		t->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		t->header.csum_start = t->transport_offset;
		t->header.csum_offset = (uint16_t)(t->checksum_offset - t->transport_offset);
	}
	if (plan->segment_bytes == 0)
		return;
	t->header.gso_type = t->v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	t->header.gso_size = plan->segment_bytes;
	t->header.hdr_len = t->payload_offset;
}

static void make_sums(struct frame_template *t, const struct frame_plan *plan)
{
	struct frame_plan zero = *plan;
	uint32_t datagram_bytes = t->frame_bytes - t->transport_offset;

	zero.source.word[3] = 0;
	zero.destination.word[3] = 0;
	memset(t->headers + t->source_offset, 0, 4);
	memset(t->headers + t->destination_offset, 0, 4);
	if (t->v4) {
		frame_put16(t->headers + t->ip_offset + 10, 0);
		t->ip_sum = net_checksum_add(0, t->headers + t->ip_offset, IPV4_BYTES);
		zero.source = net_address_v4(0);
		zero.destination = net_address_v4(0);
	}
	t->transport_sum = frame_pseudo_sum(&zero.source, &zero.destination, plan->protocol, datagram_bytes);
	if (t->partial)
		return;
	t->transport_sum = net_checksum_add(t->transport_sum, t->headers + t->transport_offset, transport_bytes(plan));
	t->transport_sum += pattern_sum(signature_bytes(plan), t->frame_bytes - t->payload_offset);
}

int frame_template_make(struct frame_template *t, const struct frame_plan *plan, uint32_t frame_bytes)
{
	bool v4 = net_address_is_v4(&plan->source), udp = plan->protocol == IPPROTO_UDP;
	uint32_t ip_payload_bytes = frame_bytes - link_bytes(plan) - (v4 ? IPV4_BYTES : IPV6_BYTES);

	assert(plan->segment_bytes == 0 || (plan->checksum_offload && !udp));
	/* An IPv6 header says how much follows it, an IPv4 header how much there is. */
	if (frame_bytes < frame_bytes_min(plan) || frame_bytes - link_bytes(plan) > (v4 ? IP_BYTES_MAX : IP_BYTES_MAX + IPV6_BYTES))
		return -EINVAL;
	if (frame_bytes > FRAME_BYTES_MAX)
		return -EINVAL;
	memset(t, 0, sizeof(*t));
	t->frame_bytes = frame_bytes;
	t->v4 = v4;
	t->udp = udp;
	t->stamped = plan->stamped;
	t->partial = plan->checksum_offload;
	t->ip_offset = (uint8_t)link_bytes(plan);
	t->transport_offset = (uint8_t)frame_build_ip(t->headers, plan, HOP_LIMIT, ip_payload_bytes);
	t->source_offset = (uint8_t)(t->ip_offset + (v4 ? 12 : 8 + 12));
	t->destination_offset = (uint8_t)(t->ip_offset + (v4 ? 16 : 24 + 12));
	t->checksum_offset = (uint8_t)(t->transport_offset + (udp ? UDP_CHECKSUM_OFFSET : TCP_CHECKSUM_OFFSET));
	t->payload_offset = (uint8_t)headers_bytes(plan);
	build_transport(t->headers + t->transport_offset, plan, FRAME_ACK | FRAME_PSH, FRAME_CLIENT_SEQUENCE + 1,
			FRAME_SERVER_SEQUENCE + 1, ip_payload_bytes);
	make_header(t, plan);
	make_sums(t, plan);
	return 0;
}

void frame_template_lay(const struct frame_template *t, uint8_t *frame)
{
	uint32_t signature = FRAME_SIGNATURE_BYTES + (t->stamped ? FRAME_STAMP_BYTES : 0u);

	memcpy(frame, t->headers, t->payload_offset);
	memset(frame + t->payload_offset, 0, signature);
	fill(frame + t->payload_offset, signature, t->frame_bytes - t->payload_offset);
}

uint32_t frame_build_control(uint8_t *frame, const struct frame_plan *plan, const struct frame_tuple *tuple, uint8_t flags,
			     uint32_t sequence, uint32_t acknowledged)
{
	struct frame_plan own = *plan;
	uint32_t transport;
	uint64_t sum;

	own.protocol = IPPROTO_TCP;
	own.source.word[3] = tuple->source_low;
	own.destination.word[3] = tuple->destination_low;
	transport = frame_build_ip(frame, &own, HOP_LIMIT, TCP_BYTES);
	build_transport(frame + transport, &own, flags, sequence, acknowledged, TCP_BYTES);
	frame_put16(frame + transport, tuple->source_port);
	frame_put16(frame + transport + 2, tuple->destination_port);
	sum = frame_pseudo_sum(&own.source, &own.destination, IPPROTO_TCP, TCP_BYTES);
	sum = net_checksum_add(sum, frame + transport, TCP_BYTES);
	frame_put16(frame + transport + TCP_CHECKSUM_OFFSET, (uint16_t)~net_checksum_fold(sum));
	return transport + TCP_BYTES;
}
