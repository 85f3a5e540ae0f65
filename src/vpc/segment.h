/*
 * Handing a frame to a sink that may not take it as it is: GSO frames are cut (TSO v4/v6, USO), checksums completed, IPv4 packets
 * that may be fragmented are fragmented, each only where the sink cannot. Headers are copied per segment, payload is not: segments
 * point into the frame's own head and tail. A segment's head holds its headers and nothing else.
 */
#ifndef OUTBOARD_VPC_SEGMENT_H
#define OUTBOARD_VPC_SEGMENT_H

#include "base/packet.h"
#include "vpc/drop.h"

struct segment_result {
	uint32_t put;	  /* frames that the sink took */
	uint32_t refused; /* frames it had no room for */
};

/* `p` has been parsed (layers of the innermost frame); `encapsulation_bytes` of outer headers precede that frame in the head (0:
 * none): the outer IP length, IP checksum, UDP length and IPv4 identification are made right per segment. A sink that refuses one
 * is not asked for the rest of the frame. `p` itself stays as it is, but for a checksum that had to be completed. */
struct segment_result segment_put(struct packet_sink *sink, struct packet *p, uint16_t encapsulation_bytes, uint64_t now_tsc);

/* IPv4 without DF larger than `mtu` (of IP): cut into fragments and put each (RFC 791). Anything else, a GSO frame and an mtu below
 * 68 are refused. */
struct segment_result fragment_put(struct packet_sink *sink, struct packet *p, uint16_t encapsulation_bytes, uint32_t mtu,
				   uint64_t now_tsc);

/* Bytes of the largest IP packet that this frame stands for: a GSO frame's headers + gso_size; else ip_bytes. */
uint32_t packet_ip_bytes_max(const struct packet *p);

#endif
