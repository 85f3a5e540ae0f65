/*
 * VXLAN (RFC 7348) and Geneve (RFC 8926). The outer headers of a host are a template, filled in once; a packet costs a copy, its
 * lengths, source port and VNI. Outer UDP source port: 49152 + the low 14 bits of the inner flow's hash (RFC 7348 section 5: ECMP);
 * outer IPv4: DF set, checksum made incrementally from the template's; outer UDP checksum 0 over IPv4, and over IPv6 (RFC 6935,
 * 6936). DSCP/ECN: the inner ECN is copied to the outer and combined at decapsulation (RFC 6040).
 */
#ifndef OUTBOARD_VPC_TUNNEL_H
#define OUTBOARD_VPC_TUNNEL_H

#include "base/packet.h"
#include "vpc/drop.h"

enum tunnel_kind { TUNNEL_VXLAN, TUNNEL_GENEVE };

enum {
	TUNNEL_VXLAN_PORT = 4789,
	TUNNEL_GENEVE_PORT = 6081,
	TUNNEL_OUTER_V4_BYTES = 14 + 20 + 8 + 8,
	TUNNEL_OUTER_V6_BYTES = 14 + 40 + 8 + 8,
	TUNNEL_TEMPLATE_BYTES = 72,
	TUNNEL_SOURCE_PORT_FIRST = 49152,
	TUNNEL_SOURCE_PORT_MASK = 0x3fff,
};

static inline uint16_t tunnel_source_port(uint32_t flow_hash)
{
	return (uint16_t)(TUNNEL_SOURCE_PORT_FIRST | (flow_hash & TUNNEL_SOURCE_PORT_MASK));
}

/* [0, bytes): Ethernet, IP, UDP, VXLAN or Geneve base header. */
struct tunnel_template {
	uint8_t header[TUNNEL_TEMPLATE_BYTES];
	uint8_t bytes; /* 0: not resolved yet */
	uint8_t family;
	uint16_t ip_checksum; /* of the IPv4 header with total length and TOS 0, not inverted */
};

void tunnel_template_make(struct tunnel_template *t, enum tunnel_kind kind, const struct mac *source_mac,
			  const struct mac *next_hop, const struct net_address *source, const struct net_address *destination);
/* Pushes the outer headers. For a GSO frame the lengths are those of the whole: segment_put() makes them right per segment. */
void tunnel_encapsulate(const struct tunnel_template *t, uint32_t vni, struct packet *p);

struct tunnel_inner {
	uint32_t vni;
	struct net_address outer_source;
	uint8_t kind;
};
/* A parsed frame whose layers are UDP to a tunnel port: pulls the outer headers (and cuts what lies behind the UDP datagram) and
 * parses the inner frame into p->layers. What was known of checksums is forgotten: it was said of the outer ones. The parser's
 * reasons, and DROP_MALFORMED for: VXLAN flags without I; a Geneve version, control messages (O), critical options (C), an inner
 * protocol that is not Ethernet; outer fragments; a wrong outer UDP checksum that is not 0; congestion experienced outside around
 * what cannot say so inside (RFC 6040 4.2). */
enum drop_reason tunnel_decapsulate(struct packet *p, struct tunnel_inner *out);

#endif
