/*
 * What the card answers itself, in the place of the subnet's router and of its services; nothing of it ever crosses the overlay.
 *
 *	ARP		for the gateway and the services: the gateway's MAC; for a neighbour in the subnet: its own (RFC 826). Probes and
 *			announcements of the ENI's own addresses are not answered (RFC 5227)
 *	IPv6 ND		solicitations likewise, DAD of own addresses is not answered (RFC 4861, 4862). Router solicitation: an
 *			advertisement with M and O (addresses come by DHCPv6), the prefix on-link and not autonomous, the MTU
 *	DHCPv4		DISCOVER, REQUEST, INFORM; RELEASE and DECLINE are taken note of by doing nothing (RFC 2131, 2132): address, mask,
 *			router, DNS, name, domain, MTU, lease; classless routes where asked for (RFC 3442); another's address: NAK
 *	DHCPv6		SOLICIT (rapid commit), REQUEST, RENEW, REBIND, CONFIRM, RELEASE, DECLINE, INFORMATION-REQUEST (RFC 8415)
 *	ICMP echo	to the gateway and the services
 *	DNS		at 169.254.169.253, fd00:ec2::253 and the VPC's base + 2: A, AAAA and PTR of the VPC's own names; NXDOMAIN inside
 *			its domain, REFUSED outside
 *	metadata	at 169.254.169.254 and fd00:ec2::254, TCP port 80: HTTP, stateless, a request and an answer of one segment each;
 *			other ports: RST, or ICMP port unreachable
 *
 * Pure and stateless: a request and the ENI's facts in, an answer out.
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
enum { RESPONDER_BUFFER_BYTES = PACKET_HEADROOM_BYTES + 1600 };
enum responder_result responder_answer(const struct responder_facts *facts, const struct packet *p, uint64_t now_ns,
				       struct packet *out);
/* Is the address one of the card's own (link-local services, resolver)? Such packets count against the link-local allowance. */
bool responder_owns(const struct responder_facts *facts, const struct net_address *address);

#endif
