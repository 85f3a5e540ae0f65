/*
 * What the card answers itself, in the place of the subnet's router and services; nothing of it ever crosses the overlay.
 *
 *	ARP		any address of the subnet, the gateway, link-local services: the gateway's MAC, or the neighbour's own MAC
 *where `neighbour` knows it (RFC 826); probes and announcements for the ENI's own addresses are not answered (RFC 5227) IPv6 ND
 *neighbour solicitations likewise, DAD for own addresses not answered (RFC 4861, 4862); router solicitations -> advertisement:
 *prefix on-link with A = 0, M = 1 O = 1 (addresses by DHCPv6), MTU option, lifetime 1800; source fe80::1-like gateway link-local
 *	DHCPv4		DISCOVER/REQUEST/INFORM/RELEASE/DECLINE (RFC 2131/2132): address, mask, router, DNS, domain, MTU (26), lease
 *3600 s, T1/T2, server id = gateway, classless routes (121, RFC 3442) with 169.254.169.254 on-link; a REQUEST for another address:
 *NAK
 *	DHCPv6		SOLICIT (rapid commit), REQUEST, RENEW, REBIND, CONFIRM, INFORMATION-REQUEST, RELEASE (RFC 8415): IA_NA with
 *the ENI's address, DNS ICMP echo	to the gateway, 169.254.169.253/254, fd00:ec2::253/254
 *	DNS		UDP port 53 of 169.254.169.253, fd00:ec2::253 and VPC base + 2: A, AAAA and PTR of the VPC's own names
 *(`resolve`), NXDOMAIN inside the VPC's domain, REFUSED outside metadata	TCP port 80 of 169.254.169.254 and fd00:ec2::254: a
 *stateless one-segment HTTP responder (SYN cookies; GET/PUT token; IMDS paths: instance-id, mac, local-ipv4, ipv6, hostname,
 *local-hostname, network/interfaces/macs/...); other TCP ports: RST; other UDP ports: ICMP port unreachable
 *
 * Pure: a request and the ENI's facts in, an answer out. Stateless.
 */
#ifndef OUTBOARD_VPC_RESPONDER_H
#define OUTBOARD_VPC_RESPONDER_H

#include "base/packet.h"

enum responder_result {
	RESPONDER_NOT_MINE, /* an ordinary packet: goes on through the pipeline */
	RESPONDER_ANSWER,   /* `out` is to be sent to the ENI */
	RESPONDER_SILENT,   /* was for the card, and has no answer: dropped as answered */
	RESPONDER_MALFORMED,
};

/* The ENI as its answers need it. Pointers are the policy's. */
struct responder_facts {
	struct mac mac, gateway_mac;
	const struct net_address *addresses;
	uint8_t address_count;
	struct net_prefix subnet4, subnet6;    /* length 0: none */
	struct net_address gateway4, gateway6; /* subnet + 1 */
	struct net_prefix vpc4;		       /* first IPv4 block of the VPC: base + 2 is the resolver as well */
	uint16_t mtu;
	const char *name;	 /* of the ENI */
	const char *instance_id; /* uuid text */
	const char *domain;	 /* of the VPC: "internal" when it has none */
	/* MAC of a neighbour in the subnet; false: nobody has that address. */
	bool (*neighbour)(void *context, const struct net_address *address, struct mac *mac);
	/* Forward (name without domain -> address of `family`) and reverse; false: no such name. */
	bool (*resolve)(void *context, const char *name, uint8_t family, struct net_address *out);
	bool (*reverse)(void *context, const struct net_address *address, char name[64]);
	void *context;
	uint64_t cookie_key[2]; /* secret, of this card */
};

/* `p` was parsed and is not spoofed. `out`: head points at PACKET_HEADROOM_BYTES into a buffer of RESPONDER_BUFFER_BYTES; on ANSWER
 * it is a complete frame. */
enum { RESPONDER_BUFFER_BYTES = PACKET_HEADROOM_BYTES + 1514 };
enum responder_result responder_answer(const struct responder_facts *facts, const struct packet *p, uint64_t now_ns,
				       struct packet *out);
/* Is the address one of the card's own (link-local services, resolver)? Such packets count against the link-local allowance. */
bool responder_owns(const struct responder_facts *facts, const struct net_address *address);

#endif
