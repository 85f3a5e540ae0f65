/* Reads a frame's layers out of its head (base/packet.h). Hostile input: never reads outside the head, never believes a length. */
#ifndef OUTBOARD_VPC_PARSE_H
#define OUTBOARD_VPC_PARSE_H

#include "base/packet.h"
#include "vpc/drop.h"

enum {
	ETHER_BYTES = 14,
	VLAN_BYTES = 4,
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	UDP_BYTES = 8,
	TCP_BYTES = 20,
	ICMP_HEADER_BYTES = 8,
	IPV6_EXTENSIONS_MAX = 8,

	/* checksum fields: offsets into their headers */
	IPV4_CHECKSUM_AT = 10,
	TCP_CHECKSUM_AT = 16,
	UDP_CHECKSUM_AT = 6,
	ICMP_CHECKSUM_AT = 2,
};

/* Fills p->layers. DROP_NONE, DROP_MALFORMED, DROP_ETHERTYPE, DROP_UNSUPPORTED (source routes). Checked:
 *
 *	lengths		against what is there. A frame longer than its IP packet (padding of a short one) is cut by the caller:
 *			packet_cut(p, l3_offset + ip_bytes); an excess that begins behind the head is malformed
 *	headers		lengths, the IPv4 checksum (unless it is known good), extension headers bounded
 *	fragments	a first one holds its ports (RFC 1858, 7112), none ends beyond 64 KiB, none overwrites TCP flags (RFC 3128)
 *	offloads	a checksum to complete is the transport's; GSO fits the headers (TSO needs TCP) and the frame's length,
 *			gso_size > 0, at most PACKET_SEGMENTS_MAX segments, with NEEDS_CSUM (VIRTIO 1.2, 5.1.6.2.1)
 *
 * An ARP frame: family 0, ethertype 0x0806, its 28 bytes are there. A VLAN tag: l3_offset is not ETHER_BYTES. */
enum drop_reason packet_parse(struct packet *p);
/* The packet embedded in an ICMP error (layers.icmp_error): its layers as far as they are there, offsets from the first byte of the
 * frame; of TCP: ports and sequence number. False: less of it than an error must quote (RFC 792: the IP header and 8 bytes). */
bool packet_parse_embedded(const struct packet *p, struct packet_layers *out);

#endif
