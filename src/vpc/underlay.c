/* The neighbour table of underlay.h. */
#include "vpc/underlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vpc/pipeline.h"

enum { NOBODY = UINT32_MAX, SECOND_MS = 1000, SCAN_MAX = 32 };

int underlay_open(struct underlay *u)
{
	u->neighbours = calloc(NEIGHBOURS_MAX, sizeof(u->neighbours[0]));
	u->buckets = malloc(NEIGHBOUR_BUCKETS * sizeof(u->buckets[0]));
	if (u->neighbours == NULL || u->buckets == NULL)
		return -ENOMEM; /* underlay_close() is the caller's */
	memset(u->buckets, 0xff, NEIGHBOUR_BUCKETS * sizeof(u->buckets[0]));
	u->free = NOBODY;
	return 0;
}

void underlay_close(struct underlay *u)
{
	free(u->neighbours);
	free(u->buckets);
}

/* ---- the table ---- */

static uint32_t *bucket_of(struct underlay *u, const struct net_address *a, unsigned wire)
{
	uint32_t h = (a->word[0] ^ a->word[1] * 0x9e3779b1u ^ a->word[2] * 0x85ebca6bu ^ a->word[3]) * 0xc2b2ae35u + wire;

	return &u->buckets[(h ^ h >> 15) % NEIGHBOUR_BUCKETS];
}

static struct neighbour *find(struct underlay *u, const struct net_address *a, unsigned wire)
{
	for (uint32_t i = *bucket_of(u, a, wire); i != NOBODY; i = u->neighbours[i].next)
		if (u->neighbours[i].wire == wire && net_address_equal(&u->neighbours[i].address, a))
			return &u->neighbours[i];
	return NULL;
}

static void forget(struct underlay *u, uint32_t index)
{
	struct neighbour *n = &u->neighbours[index];
	uint32_t *link = bucket_of(u, &n->address, n->wire);

	while (*link != index)
		link = &u->neighbours[*link].next;
	*link = n->next;
	n->state = NEIGHBOUR_FREE;
	n->next = u->free;
	u->free = index;
}

/* The table is full: of the next few, one that does not answer makes room. Guests that scan a network on the wire only push out each
 * other's unanswered questions. */
static void make_room(struct underlay *u)
{
	for (unsigned i = 0; i < SCAN_MAX && u->free == NOBODY; i++) {
		u->cursor = (u->cursor + 1) % NEIGHBOURS_MAX;
		if (u->neighbours[u->cursor].state == NEIGHBOUR_PROBING)
			forget(u, u->cursor);
	}
}

static struct neighbour *make(struct underlay *u, const struct net_address *a, unsigned wire, uint32_t now_ms)
{
	uint32_t index, *bucket = bucket_of(u, a, wire);
	struct neighbour *n;

	if (u->free == NOBODY && u->used == NEIGHBOURS_MAX)
		make_room(u);
	if (u->free != NOBODY) {
		index = u->free;
		u->free = u->neighbours[index].next;
	} else if (u->used < NEIGHBOURS_MAX) {
		index = u->used++;
	} else {
		return NULL;
	}
	n = &u->neighbours[index];
	*n = (struct neighbour){.address = *a,
				.state = NEIGHBOUR_PROBING,
				.wire = (uint8_t)wire,
				.due_ms = now_ms,
				.wanted_ms = now_ms,
				.next = *bucket};
	*bucket = index;
	return n;
}

/* ---- what is asked of it ---- */

struct wire *underlay_route(struct vpc *vpc, const struct net_address *address, struct net_address *next_hop)
{
	struct wire *best = NULL, *by_gateway = NULL;

	for (unsigned i = 0; i < vpc->wire_count; i++) {
		struct wire *w = vpc->wires[i].wire;

		if (net_address_is_v4(&w->config.address.address) != net_address_is_v4(address))
			continue;
		if (by_gateway == NULL && w->config.has_gateway)
			by_gateway = w;
		if ((best == NULL || w->config.address.length > best->config.address.length) &&
		    net_prefix_contains(&w->config.address, address))
			best = w;
	}
	if (best != NULL) {
		*next_hop = *address;
		return best;
	}
	if (by_gateway != NULL)
		*next_hop = by_gateway->config.gateway;
	return by_gateway;
}

static void probe(struct vpc *vpc, struct neighbour *n)
{
	bool known = n->state == NEIGHBOUR_KNOWN;
	unsigned backoff = known ? 0 : n->probes < NEIGHBOUR_BACKOFF_MAX ? n->probes : NEIGHBOUR_BACKOFF_MAX;

	underlay_ask(vpc, vpc->wires[n->wire].wire, &n->address, known ? &n->mac : NULL);
	n->due_ms = vpc->now_ms + ((uint32_t)SECOND_MS << backoff);
	if (n->probes < UINT8_MAX)
		n->probes++;
}

const struct mac *underlay_resolve(struct vpc *vpc, struct wire *wire, const struct net_address *next_hop, struct meter *questions)
{
	struct neighbour *n;

	if (wire->config.has_gateway_mac && net_address_equal(next_hop, &wire->config.gateway))
		return &wire->config.gateway_mac;
	n = find(&vpc->underlay, next_hop, wire->index);
	if (n == NULL) {
		if (questions != NULL && !meter_take(questions, 1, vpc->now_tsc))
			return NULL;
		n = make(&vpc->underlay, next_hop, wire->index, vpc->now_ms);
		if (n == NULL)
			return NULL;
		probe(vpc, n);
	}
	n->wanted_ms = vpc->now_ms;
	return n->state == NEIGHBOUR_KNOWN ? &n->mac : NULL;
}

void underlay_heard(struct vpc *vpc, const struct wire *wire, const struct net_address *address, const struct mac *mac)
{
	struct neighbour *n = find(&vpc->underlay, address, wire->index);

	if (n == NULL || (mac->bytes[0] & 1) != 0)
		return;
	if (n->state != NEIGHBOUR_KNOWN || !mac_equal(&n->mac, mac))
		vpc->path_stamp++; /* outer headers are made anew */
	n->mac = *mac;
	n->state = NEIGHBOUR_KNOWN;
	n->probes = 0;
	n->due_ms = vpc->now_ms + NEIGHBOUR_FRESH_MS;
}

static void look_after(struct vpc *vpc, uint32_t index)
{
	struct neighbour *n = &vpc->underlay.neighbours[index];

	if (n->state == NEIGHBOUR_FREE || (int32_t)(vpc->now_ms - n->due_ms) < 0)
		return;
	if (vpc->now_ms - n->wanted_ms > NEIGHBOUR_IDLE_MS) {
		if (n->state == NEIGHBOUR_KNOWN)
			vpc->path_stamp++;
		forget(&vpc->underlay, index);
		return;
	}
	if (n->state == NEIGHBOUR_KNOWN && n->probes >= NEIGHBOUR_PROBES) {
		n->state = NEIGHBOUR_PROBING;
		n->probes = 0;
		vpc->path_stamp++;
	}
	probe(vpc, n);
}

bool underlay_tick(struct vpc *vpc)
{
	struct underlay *u = &vpc->underlay;

	if (!u->in_round) {
		if (u->used == 0 || vpc->now_ms - u->round_ms < NEIGHBOUR_ROUND_MS)
			return false;
		u->in_round = true;
		u->round_ms = vpc->now_ms;
		u->cursor = 0;
	}
	for (unsigned i = 0; i < NEIGHBOUR_TICK_MAX && u->cursor < u->used; i++)
		look_after(vpc, u->cursor++);
	u->in_round = u->cursor < u->used;
	return u->in_round;
}
