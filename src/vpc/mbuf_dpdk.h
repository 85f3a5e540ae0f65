/* Between struct packet and DPDK's buffers. */
#ifndef OUTBOARD_VPC_MBUF_DPDK_H
#define OUTBOARD_VPC_MBUF_DPDK_H

#include <rte_mbuf.h>

#include "base/packet.h"

enum { MBUF_SEGMENTS_MAX = 8 }; /* of a received frame */

/* The packet is the buffer: its head the first segment with the room before it, its tail the others (described in `tail`). False: a
 * frame with a wrong IP checksum, in too many parts, or with less of it in front than a head must have. */
bool mbuf_to_packet(struct rte_mbuf *m, struct packet *p, struct iovec tail[MBUF_SEGMENTS_MAX]);
/* Copies into `m`, which is empty, or when it does not fit into a chain that begins with it. False: there are no buffers left; what
 * there is of the chain is to be freed. */
bool mbuf_fill(struct rte_mempool *pool, struct rte_mbuf *m, const struct packet *p);
/* What the device is to do with it: flags and header lengths, from the packet's layers; outer headers are those before them. */
void mbuf_set_offloads(struct rte_mbuf *m, const struct packet *p);

#endif
