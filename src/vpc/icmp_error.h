/*
 * ICMP errors that the card sends to a guest or to the outside (RFC 792, 1191, 1812 4.3.2; RFC 4443, 8201): they quote the IP
 * header and as much as fits into 576 (IPv4) or 1280 (IPv6) bytes of the head, never more than is in it. None is made about an ICMP
 * error, a later fragment, a multicast or an unspecified source (1812 4.3.2.7, 4443 2.4 e).
 */
#ifndef OUTBOARD_VPC_ICMP_ERROR_H
#define OUTBOARD_VPC_ICMP_ERROR_H

#include "base/packet.h"

enum icmp_error_kind { ICMP_ERROR_TOO_BIG, ICMP_ERROR_TTL, ICMP_ERROR_ADMIN, ICMP_ERROR_NO_ROUTE };

/* Builds the answer to `about`, which was parsed, in `out`: its head and headroom are the caller's, PACKET_HEAD_BYTES together.
 * Swapped MACs, from `from` (the gateway's address). `mtu` for TOO_BIG. A GSO frame is quoted as its first segment would be. `out`
 * is parsed. False: none is to be sent. */
bool icmp_error_build(struct packet *out, const struct packet *about, enum icmp_error_kind kind, const struct net_address *from,
		      uint32_t mtu);

#endif
