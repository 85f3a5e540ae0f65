/*
 * The inside of responder.h: who is asked, and how an answer is put together.
 *
 * An answer is made from the inside out: its payload is written where it will lie (answer_payload), then answer_udp(), answer_tcp(),
 * answer_icmp4(), answer_icmp6() put the headers before it and complete the checksums. It goes to the MAC that asked.
 */
#ifndef OUTBOARD_VPC_RESPONDER_INTERNAL_H
#define OUTBOARD_VPC_RESPONDER_INTERNAL_H

#include "vpc/parse.h"
#include "vpc/responder.h"

enum {
	ANSWER_FRAME_MAX_BYTES = 1514,
	ANSWER_HEADERS_MAX_BYTES = ETHER_BYTES + IPV6_BYTES + TCP_BYTES,
	ANSWER_PAYLOAD_MAX_BYTES = RESPONDER_BUFFER_BYTES - PACKET_HEADROOM_BYTES - ANSWER_HEADERS_MAX_BYTES,
	ANSWER_HOPS = 64,
	ND_HOPS = 255, /* RFC 4861, 7.1: never forwarded */
	LEASE_S = 3600,
};

/* The card's own addresses, as AWS has them. */
enum service { SERVICE_NONE, SERVICE_GATEWAY, SERVICE_RESOLVER, SERVICE_METADATA };

enum service responder_service(const struct responder_facts *facts, const struct net_address *address);
struct net_address responder_resolver(uint8_t family);		/* 169.254.169.253, fd00:ec2::253 */
struct net_address responder_link_local(const struct mac *mac); /* fe80:: and the EUI-64 of a MAC (RFC 4291, appendix A) */
const struct net_address *responder_own(const struct responder_facts *facts, uint8_t family); /* the first of that family; NULL */
bool responder_is_own(const struct responder_facts *facts, const struct net_address *address);

/* A request, whole and private: headers may lie in the head and the rest in the tail. */
struct asked {
	const struct responder_facts *facts;
	const struct packet *packet;
	const struct packet_layers *layers;
	const uint8_t *payload; /* of UDP, TCP or ICMP (behind its first four bytes) */
	uint32_t payload_bytes;
	uint64_t now_ns;
	uint8_t frame[ANSWER_FRAME_MAX_BYTES];
};

/* Where an answer goes: who asked, unless it says otherwise. */
struct answer_to {
	struct mac mac;
	struct net_address source, destination;
	uint16_t source_port, destination_port; /* network order */
	uint8_t hops;
};
struct answer_to answer_back(const struct asked *asked);

uint8_t *answer_payload(struct packet *out); /* ANSWER_PAYLOAD_MAX_BYTES of room */
void answer_udp(const struct asked *asked, const struct answer_to *to, struct packet *out, uint32_t payload_bytes);
struct answer_tcp {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t mss; /* 0: no option */
};
void answer_tcp(const struct asked *asked, const struct answer_to *to, struct packet *out, const struct answer_tcp *tcp,
		uint32_t payload_bytes);
/* payload: the ICMP message from its type on; its checksum field is filled in. */
void answer_icmp(const struct asked *asked, const struct answer_to *to, struct packet *out, uint32_t payload_bytes);

/* One protocol each. */
enum responder_result responder_arp(const struct asked *asked, struct packet *out);
enum responder_result responder_nd(const struct asked *asked, struct packet *out);
enum responder_result responder_dhcp4(const struct asked *asked, struct packet *out);
enum responder_result responder_dhcp6(const struct asked *asked, struct packet *out);
enum responder_result responder_dns(const struct asked *asked, struct packet *out);
enum responder_result responder_metadata(const struct asked *asked, struct packet *out);

/* SipHash-2-4 of two words (Aumasson, Bernstein 2012): cookies and tokens that nobody can make who does not know the key. */
uint64_t responder_hash(const uint64_t key[2], uint64_t a, uint64_t b);

#endif
