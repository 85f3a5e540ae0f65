/*
 * Addresses of packets. An IPv4 address is kept as its IPv4-mapped IPv6 address (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that every
 * table has one kind of key. All bytes are in network order.
 */
#ifndef OUTBOARD_BASE_NET_ADDRESS_H
#define OUTBOARD_BASE_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	NET_ADDRESS_TEXT_SIZE = 46, /* INET6_ADDRSTRLEN */
	NET_PREFIX_TEXT_SIZE = 50,
	MAC_TEXT_SIZE = 18,
};

struct net_address {
	union {
		uint8_t bytes[16];
		uint16_t half[8];
		uint32_t word[4]; /* word[3]: the IPv4 address, network order */
		uint64_t pair[2];
	};
};

/* length: of the 128 bits; an IPv4 prefix of n bits is n + 96. Bits beyond it are zero. */
struct net_prefix {
	struct net_address address;
	uint8_t length;
};

struct mac {
	uint8_t bytes[6];
};

static inline bool net_address_is_v4(const struct net_address *a)
{
	return a->word[0] == 0 && a->word[1] == 0 && a->half[4] == 0 && a->half[5] == 0xffff;
}

/* 0.0.0.0/0 is ::ffff:0:0/96; ::/0 holds IPv6 only. */
static inline bool net_prefix_is_v4(const struct net_prefix *p)
{
	return p->length >= 96 && net_address_is_v4(&p->address);
}

static inline struct net_address net_address_v4(uint32_t network_order)
{
	struct net_address a = {.word = {0, 0, 0, network_order}};

	a.half[5] = 0xffff;
	return a;
}

static inline bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->pair[0] == b->pair[0] && a->pair[1] == b->pair[1];
}

static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool net_prefix_contains(const struct net_prefix *p, const struct net_address *a);
bool net_prefix_overlaps(const struct net_prefix *p, const struct net_prefix *q); /* IPv4 and IPv6 never do */
struct net_address net_prefix_nth(const struct net_prefix *p, uint32_t n);	  /* the n-th address of it, 0: the network's own */

/* Text as inet_ntop has it; v4-mapped shows as IPv4. Parsers: 0, or -EINVAL. A prefix must not have bits set beyond its length. */
void net_address_format(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE]);
int net_address_parse(const char *text, struct net_address *out);
void net_prefix_format(const struct net_prefix *p, char text[NET_PREFIX_TEXT_SIZE]);
int net_prefix_parse(const char *text, struct net_prefix *out);
void mac_format(const struct mac *m, char text[MAC_TEXT_SIZE]);
int mac_parse(const char *text, struct mac *out); /* -EINVAL also for multicast and all zeroes */

#endif
