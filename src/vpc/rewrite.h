/* Changing a frame's head in place, with checksums kept right incrementally (RFC 1624), also those that are not complete yet. */
#ifndef OUTBOARD_VPC_REWRITE_H
#define OUTBOARD_VPC_REWRITE_H

#include "base/packet.h"
#include "vpc/checksum.h"

/* Completes the transport checksum of a NEEDS_CSUM frame in its head (tail included in the sum), and clears the flag. Legal also
 * behind outer headers, as csum_start moves with them; the functions below are not. */
void packet_checksum_complete(struct packet *p);

void packet_set_macs(struct packet *p, const struct mac *destination, const struct mac *source);
bool packet_decrement_ttl(struct packet *p); /* false: it ran out; unchanged then */
/* NAT: new address and port (network order; the port of an ICMP echo is its identifier; for later fragments and protocols without
 * ports it is ignored). Layers are kept in step. */
void packet_set_source(struct packet *p, const struct net_address *address, uint16_t port);
void packet_set_destination(struct packet *p, const struct net_address *address, uint16_t port);
/* The same inside an ICMP error, for the embedded packet (its source is our packet's source), outer checksums included. */
void packet_set_embedded_source(struct packet *p, const struct net_address *address, uint16_t port);
void packet_set_embedded_destination(struct packet *p, const struct net_address *address, uint16_t port);

#endif
