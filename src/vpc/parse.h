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
	IPV6_EXTENSIONS_MAX = 8,
};

/* Fills p->layers; DROP_NONE, DROP_MALFORMED or DROP_ETHERTYPE. Checked: lengths against what is there (trailing padding of short
 * frames is cut off by the caller with layers.ip_bytes), the IPv4 header checksum (unless it is known good), header lengths, GSO
 * fields that fit the headers (TSO needs TCP, gso_size > 0), csum offsets that point at the transport checksum, first fragments
 * that hold their ports (RFC 1858), extension headers bounded. An ARP frame: family 0, ethertype 0x0806. */
enum drop_reason packet_parse(struct packet *p);
/* The packet embedded in an ICMP error (layers.icmp_error): its layers as far as they are there. False: not enough of it. */
bool packet_parse_embedded(const struct packet *p, struct packet_layers *out);

#endif
