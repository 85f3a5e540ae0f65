/*
 * The frames that the load client sends, laid out once and patched for each packet.
 *
 * A *template* holds a frame's headers with everything that never changes, and the sums of those parts. Sending one more packet then
 * costs some stores into one cache line and the folding of a sum: addresses and ports of its flow (struct frame_tuple), and the
 * signature that the receiver knows it by. Frames are Ethernet, at most one VLAN tag, IPv4 or IPv6 without options, UDP or TCP.
 *
 * Every data frame begins its payload with a signature, in the sender's byte order:
 *
 *	offset	size
 *	0	4	tag: a random number of this run; its lowest bits are told apart by the receiver
 *	4	4	flow
 *	8	4	sequence number in that flow, from 1
 *	12	8	time stamp, in ticks of the sender's counter (only with `stamped`)
 *
 * The rest is a fixed pattern. TCP data carries the same sequence number each time, as a retransmission would: that keeps it within
 * any window, so that connection tracking lets it pass however much of it there is.
 */
#ifndef OUTBOARD_LOAD_NET_FRAME_H
#define OUTBOARD_LOAD_NET_FRAME_H

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/net_address.h"
#include "load/net_checksum.h"

enum {
	FRAME_HEADERS_BYTES_MAX = 14 + 4 + 40 + 20,
	FRAME_ETHERNET_BYTES = 14,
	FRAME_BYTES_MAX = 65535 + FRAME_ETHERNET_BYTES + 4, /* 64 KiB of IP */
	FRAME_SIGNATURE_BYTES = 12,
	FRAME_STAMP_BYTES = 8,
	FRAME_CONTROL_BYTES_MAX = FRAME_HEADERS_BYTES_MAX, /* a TCP segment without data */
	FRAME_NO_VLAN = -1,
};

enum frame_tcp_flag { FRAME_FIN = 0x01, FRAME_SYN = 0x02, FRAME_RST = 0x04, FRAME_PSH = 0x08, FRAME_ACK = 0x10 };

/* TCP sequence numbers are the same in every connection. */
enum { FRAME_CLIENT_SEQUENCE = 0x10000000, FRAME_SERVER_SEQUENCE = 0x20000000, FRAME_TCP_WINDOW = 65535 };

/* What all frames of one direction have in common. */
struct frame_plan {
	struct mac source_mac, destination_mac;
	struct net_address source, destination; /* of one family; their last 32 bits come from the tuple */
	int vlan;				/* 1 to 4094, or FRAME_NO_VLAN */
	uint16_t segment_bytes;			/* a TSO frame: payload of one segment; 0: it is not one */
	uint8_t protocol;			/* IPPROTO_UDP or IPPROTO_TCP */
	bool stamped;
	bool checksum_offload; /* the transport checksum is the device's to complete */
};

/* The flow's part, in network order. */
struct frame_tuple {
	uint32_t source_low, destination_low; /* last 32 bits of the addresses: all of an IPv4 one */
	uint16_t source_port, destination_port;
};

struct frame_signature {
	uint32_t tag, flow, sequence;
	uint64_t stamp_tsc;
};

struct frame_template {
	struct virtio_net_hdr_v1 header; /* num_buffers 0 */
	uint8_t headers[FRAME_HEADERS_BYTES_MAX];
	uint32_t frame_bytes;
	uint64_t ip_sum, transport_sum; /* of what is fixed, what is patched counted as zero */
	uint8_t ip_offset, source_offset, destination_offset, transport_offset, checksum_offset, payload_offset;
	bool v4, udp, stamped, partial;
};

/* The smallest frame that holds a signature. */
uint32_t frame_bytes_min(const struct frame_plan *plan);

/* 0, or -EINVAL: smaller than frame_bytes_min(), or more than IP can say. */
int frame_template_make(struct frame_template *t, const struct frame_plan *plan, uint32_t frame_bytes);
/* Writes all of the frame; what is patched is zero. */
void frame_template_lay(const struct frame_template *t, uint8_t *frame);

/* A TCP segment without data: SYN, FIN, RST, ACK. Its checksum is complete. Returns its size, at most FRAME_CONTROL_BYTES_MAX. */
uint32_t frame_build_control(uint8_t *frame, const struct frame_plan *plan, const struct frame_tuple *tuple, uint8_t flags,
			     uint32_t sequence, uint32_t acknowledged);

/* For frames built by hand: the Ethernet header, and that with an IP header before `payload_bytes` of plan->protocol. They return the
 * offset of what follows. */
uint32_t frame_build_ethernet(uint8_t *frame, const struct frame_plan *plan, uint16_t type);
uint32_t frame_build_ip(uint8_t *frame, const struct frame_plan *plan, uint8_t hop_limit, uint32_t payload_bytes);
/* The sum of the pseudo header of a datagram between the plan's addresses (RFC 768, RFC 8200 8.1), not inverted. */
uint64_t frame_pseudo_sum(const struct net_address *source, const struct net_address *destination, uint8_t protocol,
			  uint32_t payload_bytes);

static inline void frame_put16(uint8_t *at, uint16_t network_order)
{
	memcpy(at, &network_order, sizeof(network_order));
}

static inline void frame_put32(uint8_t *at, uint32_t network_order)
{
	memcpy(at, &network_order, sizeof(network_order));
}

/* Makes a laid-out frame the packet of that flow with that signature. */
static inline void frame_patch(const struct frame_template *t, uint8_t *frame, const struct frame_tuple *tuple,
			       const struct frame_signature *signature)
{
	uint64_t addresses = (uint64_t)tuple->source_low + tuple->destination_low, sum = t->transport_sum + addresses;
	uint8_t *payload = frame + t->payload_offset;
	uint16_t checksum;

	frame_put32(frame + t->source_offset, tuple->source_low);
	frame_put32(frame + t->destination_offset, tuple->destination_low);
	frame_put16(frame + t->transport_offset, tuple->source_port);
	frame_put16(frame + t->transport_offset + 2, tuple->destination_port);
	frame_put32(payload, signature->tag);
	frame_put32(payload + 4, signature->flow);
	frame_put32(payload + 8, signature->sequence);
	if (t->stamped)
		memcpy(payload + FRAME_SIGNATURE_BYTES, &signature->stamp_tsc, FRAME_STAMP_BYTES);
	if (t->v4)
		frame_put16(frame + t->ip_offset + 10, (uint16_t)~net_checksum_fold(t->ip_sum + addresses));
	if (t->partial) { /* of the pseudo header alone: 5.1.6.2 */
		frame_put16(frame + t->checksum_offset, net_checksum_fold(sum));
		return;
	}
	sum += (uint64_t)tuple->source_port + tuple->destination_port + signature->tag + signature->flow + signature->sequence;
	if (t->stamped)
		sum += (signature->stamp_tsc & UINT32_MAX) + (signature->stamp_tsc >> 32);
	checksum = (uint16_t)~net_checksum_fold(sum);
	/* In UDP zero means that there is none (RFC 768). */
	frame_put16(frame + t->checksum_offset, t->udp && checksum == 0 ? UINT16_MAX : checksum);
}

#endif
