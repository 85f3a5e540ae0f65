/*
 * The card on its own wires: who the neighbours are (ARP, RFC 826; IPv6 ND, RFC 4861), and answers to those who ask for the card's own
 * addresses and for the public ones it keeps.
 *
 * A neighbour is asked for by whoever wants to send to it: PROBING by broadcast (1 s, 2 s, 4 s ... 32 s), KNOWN once it answered,
 * confirmed by unicast probes when its time runs out, and forgotten when nobody has wanted it for NEIGHBOUR_IDLE_S. Nothing is
 * queued meanwhile. Hosts of the policy and gateways are wanted as long as they are there (tick.c), so that the first packet of a
 * flow finds its way. What a neighbour says of itself is believed only for addresses that were asked for.
 */
#ifndef OUTBOARD_VPC_UNDERLAY_H
#define OUTBOARD_VPC_UNDERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_address.h"
#include "base/packet.h"

enum {
	NEIGHBOURS_MAX = 16384,
	NEIGHBOUR_BUCKETS = 4096,
	NEIGHBOUR_TICK_MAX = 64, /* looked at a call of underlay_tick() */
	NEIGHBOUR_ROUND_MS = 250,
	NEIGHBOUR_FRESH_MS = 30000,
	NEIGHBOUR_PROBES = 3,	   /* unicast, a second apart, before it is PROBING again */
	NEIGHBOUR_BACKOFF_MAX = 5, /* 2^5 s */
	NEIGHBOUR_IDLE_MS = 300000,
};

enum neighbour_state { NEIGHBOUR_FREE, NEIGHBOUR_PROBING, NEIGHBOUR_KNOWN };

struct neighbour {
	struct net_address address;
	struct mac mac;
	uint8_t state; /* enum neighbour_state */
	uint8_t wire;
	uint8_t probes; /* sent since it was last heard */
	uint32_t due_ms, wanted_ms;
	uint32_t next; /* in its bucket; in the free list */
};

struct underlay {
	struct neighbour *neighbours;
	uint32_t *buckets;
	uint32_t used; /* entries that ever were: [0, used) */
	uint32_t free, cursor;
	uint32_t round_ms;
	bool in_round;
};

struct meter;
struct vpc;
struct wire;

/* underlay_frame.c: the card's own frames */
void underlay_ask(struct vpc *vpc, struct wire *wire, const struct net_address *target, const struct mac *known /* NULL: all */);

int underlay_open(struct underlay *u); /* 0, -ENOMEM */
void underlay_close(struct underlay *u);

/* Which wire leads to an address, and by whom. NULL: none. */
struct wire *underlay_route(struct vpc *vpc, const struct net_address *address, struct net_address *next_hop);
/* NULL: not known yet; it is being asked for. `questions`: what whoever wants to know may have asked, everybody hears it; NULL: the
 * card itself. */
const struct mac *underlay_resolve(struct vpc *vpc, struct wire *wire, const struct net_address *next_hop, struct meter *questions);
/* A parsed frame from a wire: ARP, ND and pings for the card. True: it was one of these. */
bool underlay_input(struct vpc *vpc, struct wire *wire, struct packet *p);
/* Tells everybody on the wire that the address is here. */
void underlay_announce(struct vpc *vpc, struct wire *wire, const struct net_address *address);
void underlay_heard(struct vpc *vpc, const struct wire *wire, const struct net_address *address, const struct mac *mac);
bool underlay_tick(struct vpc *vpc); /* probes that are due, a bounded number; true: more are */

#endif
