#include "virtio/net_steer.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/codec.h"

enum {
	ETHERNET_BYTES = 14,
	ETHERTYPE_AT = 12,
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	IPV4_BYTES = 20,
	IPV4_FRAGMENT_MASK = 0x3fff, /* MF and the offset */
	IPV6_BYTES = 40,
};

static uint64_t word64(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static uint32_t word32(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Sum and difference tell two ends apart from two others, and not from each other. */
static uint64_t both_ways(uint64_t a, uint64_t b)
{
	return (a + b) * UINT64_C(0x9e3779b97f4a7c15) ^ (a ^ b) * UINT64_C(0xc2b2ae3d27d4eb4f);
}

static uint32_t finish(uint64_t addresses, uint8_t protocol, const uint8_t *ports, const uint8_t *end)
{
	uint64_t mix = addresses + protocol;

	if (has_ports(protocol) && ports + 4 <= end)
		mix ^= both_ways(get_be16(ports), get_be16(ports + 2));
	mix *= UINT64_C(0xff51afd7ed558ccd);
	mix ^= mix >> 32;
	return (uint32_t)mix != 0 ? (uint32_t)mix : 1;
}

uint32_t net_steer_key(const uint8_t *frame, unsigned bytes)
{
	const uint8_t *ip = frame + ETHERNET_BYTES, *end = frame + bytes;
	uint16_t type;

	if (bytes < ETHERNET_BYTES + IPV4_BYTES)
		return 0;
	type = get_be16(frame + ETHERTYPE_AT);
	if (type == ETHERTYPE_IPV4) {
		bool fragment = (get_be16(ip + 6) & IPV4_FRAGMENT_MASK) != 0;

		/* All fragments of a datagram go one way, those without ports as well. */
		return finish(both_ways(word32(ip + 12), word32(ip + 16)), ip[9], fragment ? end : ip + (ip[0] & 15) * 4, end);
	}
	if (type == ETHERTYPE_IPV6 && bytes >= ETHERNET_BYTES + IPV6_BYTES)
		return finish(both_ways(word64(ip + 8), word64(ip + 24)) + both_ways(word64(ip + 16), word64(ip + 32)), ip[6],
			      ip + IPV6_BYTES, end);
	return 0;
}
