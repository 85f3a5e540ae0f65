/*
 * What a received frame is: as much of it as the load client has to know. Only the bytes in `head` are looked at, each once, and no
 * offset comes from the frame without being checked: a back end may write while we read.
 */
#ifndef OUTBOARD_LOAD_NET_PACKET_H
#define OUTBOARD_LOAD_NET_PACKET_H

#include "load/net_frame.h"

enum net_packet_kind { NET_PACKET_OTHER, NET_PACKET_ARP, NET_PACKET_ICMPV6, NET_PACKET_UDP, NET_PACKET_TCP };

struct net_packet {
	enum net_packet_kind kind;
	const uint8_t *head;
	uint32_t head_bytes;	      /* in one piece */
	uint32_t bytes;		      /* of the frame */
	uint32_t ip_offset;	      /* of what follows the Ethernet header */
	uint32_t transport_offset;    /* UDP, TCP, ICMPv6 */
	uint32_t payload_offset;      /* UDP, TCP */
	uint32_t transport_bytes;     /* header and payload, as the IP header says */
	struct frame_tuple tuple;     /* UDP, TCP */
	uint32_t tcp_sequence, acked; /* host order */
	uint8_t tcp_flags;
	bool v4, first_fragment_only; /* a fragment's checksum cannot be checked alone */
};

/* Fills all of `packet`. */
void net_packet_parse(struct net_packet *packet, const uint8_t *head, uint32_t head_bytes, uint32_t bytes);

/* Its signature; false: it has none that is in the head. `stamped`: with a time stamp. */
bool net_packet_signature(const struct net_packet *packet, bool stamped, struct frame_signature *signature);

/* Are the IPv4 header's and the transport's checksums right? `frame` is all of it in one piece; `partial`: NEEDS_CSUM, the transport
 * checksum is the pseudo header's only. Frames that have no checksum are right. */
bool net_packet_checksums_right(const struct net_packet *packet, const uint8_t *frame, bool partial);

struct net_address net_packet_source(const struct net_packet *packet); /* of a frame that has an IP header */
struct net_address net_packet_destination(const struct net_packet *packet);

#endif
