/*
 * Theory of operation
 *
 * n prefixes cut the address space into at most 2n + 1 intervals, within each of which the longest match is the same. A set is the
 * sorted list of the intervals' first addresses, laid out as a static B-tree: a node is 16 IPv4 keys (one cache line) or 8 IPv6
 * keys (two), a look-up counts the keys of a node that are not above the address (no branch to mispredict; the compiler makes
 * vector compares of it) and goes to that child. Children are found by arithmetic, there are no pointers. 160,000 routes are five
 * nodes deep, 1,000 rules three.
 *
 * Why not a trie: its depth, and the memory of a multibit one, depend on the keys, which tenants choose. Here memory is linear
 * (below 24 bytes an IPv4 prefix, 48 an IPv6 prefix) and depth logarithmic whatever they are, and IPv4 look-ups touch 32 bits. The
 * interval a prefix begins in tells which next shorter one contains it, for free: a classifier follows these (at most 32 or 128)
 * to see all prefixes that match.
 *
 * Why not DPDK's rte_lpm, rte_rib or rte_fib: 64 MiB a table for the first, a memzone or mempool and so an EAL for all of them. We
 * need thousands of small immutable tables, made anew at every change, on a card that may have no EAL.
 */
#include "vpc/prefix_set.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "vpc/piece.h"

typedef unsigned __int128 uint128;

enum {
	KEYS_V4 = 16,
	KEYS_V6 = 8,
	NESTED_MAX = 130, /* prefixes of one address: lengths 0 .. 128, and nothing */
};

struct tree {
	uint32_t node_count; /* 0: no prefix of the family */
	void *keys;	     /* v4: int32_t, the address with its top bit flipped, as vector units compare signed; v6: uint128 */
	uint32_t *members;   /* of the interval that begins with the key beside it */
};

struct prefix_set {
	struct tree v4, v6;
	uint32_t *wider;
};

struct interval {
	uint128 first;
	uint32_t member;
};

struct intervals {
	struct interval *list;
	uint32_t count;
};

int net_prefix_compare(const struct net_prefix *a, const struct net_prefix *b)
{
	bool a4 = net_prefix_is_v4(a), b4 = net_prefix_is_v4(b);
	int order;

	if (a4 != b4)
		return a4 ? -1 : 1;
	order = memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));
	return order != 0 ? order : (int)a->length - (int)b->length;
}

static uint128 key_of(const struct net_address *a)
{
	return (uint128)be64toh(a->pair[0]) << 64 | be64toh(a->pair[1]);
}

static uint128 last_of(const struct net_prefix *p)
{
	return p->length == 0 ? ~(uint128)0 : key_of(&p->address) | (((uint128)1 << (128 - p->length)) - 1);
}

/* ---- the intervals ---- */

static void interval_begin(struct intervals *in, uint128 first, uint32_t member)
{
	struct interval *last = in->list + in->count - 1;

	if (last->first == first) {
		last->member = member;
	} else if (last->member != member) {
		in->list[in->count].first = first;
		in->list[in->count].member = member;
		in->count++;
	}
}

/* Prefixes [from, to) of one family, whose addresses are first .. last. Fills `wider` too. */
static void intervals_cut(struct intervals *in, const struct net_prefix *sorted, uint32_t from, uint32_t to, uint128 first,
			  uint128 last, uint32_t *wider)
{
	uint32_t open[NESTED_MAX], depth = 0;

	open[depth++] = PREFIX_NONE;
	in->list[0].first = first;
	in->list[0].member = PREFIX_NONE;
	in->count = 1;
	for (uint32_t i = from; i < to; i++) {
		uint128 begin = key_of(&sorted[i].address);

		while (depth > 1 && last_of(&sorted[open[depth - 1]]) < begin) {
			depth--;
			interval_begin(in, last_of(&sorted[open[depth]]) + 1, open[depth - 1]);
		}
		wider[i] = open[depth - 1];
		interval_begin(in, begin, i);
		assert(depth < NESTED_MAX);
		open[depth++] = i;
	}
	for (; depth > 1 && last_of(&sorted[open[depth - 1]]) < last; depth--)
		interval_begin(in, last_of(&sorted[open[depth - 1]]) + 1, open[depth - 2]);
}

/* ---- the tree ---- */

/* In order: the keys of node `node` and of all below it take the next places. */
static void places_fill(uint32_t *places, uint32_t *next, uint64_t node, uint32_t node_count, unsigned keys)
{
	if (node >= node_count)
		return;
	for (unsigned i = 0; i < keys; i++) {
		places_fill(places, next, node * (keys + 1) + 1 + i, node_count, keys);
		places[(*next)++] = (uint32_t)node * keys + i;
	}
	places_fill(places, next, node * (keys + 1) + 1 + keys, node_count, keys);
}

/* What is left of the last nodes repeats the last interval. */
static int tree_build(struct tree *t, struct list *owner, const struct intervals *in, unsigned keys, size_t key_bytes)
{
	uint32_t node_count = (in->count + keys - 1) / keys, next = 0;
	uint32_t *places = calloc(node_count, keys * sizeof(*places));

	t->keys = piece_new(owner, (size_t)node_count * keys * key_bytes);
	t->members = piece_new(owner, (size_t)node_count * keys * sizeof(*t->members));
	if (places == NULL || t->keys == NULL || t->members == NULL) {
		free(places);
		return -ENOMEM;
	}
	places_fill(places, &next, 0, node_count, keys);
	for (uint32_t i = 0; i < next; i++) {
		const struct interval *source = in->list + (i < in->count ? i : in->count - 1);

		if (keys == KEYS_V4)
			((int32_t *)t->keys)[places[i]] = (int32_t)((uint32_t)source->first ^ UINT32_C(0x80000000));
		else
			((uint128 *)t->keys)[places[i]] = source->first;
		t->members[places[i]] = source->member;
	}
	t->node_count = node_count;
	free(places);
	return 0;
}

int prefix_set_build(const struct prefix_set **out, struct list *owner, const struct net_prefix *sorted, uint32_t count)
{
	static const uint128 v4_first = (uint128)0xffff << 32, v4_last = v4_first | UINT32_MAX;
	struct prefix_set *set = piece_new(owner, sizeof(*set));
	struct intervals in = {.list = malloc((2 * (size_t)count + 1) * sizeof(*in.list))};
	uint32_t v4_count = 0;
	int rc = -ENOMEM;

	if (set == NULL || in.list == NULL)
		goto failed;
	set->wider = piece_new(piece_parts(set), count * sizeof(*set->wider));
	if (set->wider == NULL)
		goto failed;
	while (v4_count < count && net_prefix_is_v4(&sorted[v4_count]))
		v4_count++;
	rc = 0;
	if (v4_count > 0) {
		intervals_cut(&in, sorted, 0, v4_count, v4_first, v4_last, set->wider);
		rc = tree_build(&set->v4, piece_parts(set), &in, KEYS_V4, sizeof(int32_t));
	}
	if (rc == 0 && v4_count < count) {
		intervals_cut(&in, sorted, v4_count, count, 0, ~(uint128)0, set->wider);
		rc = tree_build(&set->v6, piece_parts(set), &in, KEYS_V6, sizeof(uint128));
	}
	if (rc < 0)
		goto failed;
	free(in.list);
	*out = set;
	return 0;
failed:
	free(in.list);
	piece_free(set);
	return rc;
}

/* ---- look-up: the last key that is not above the address ---- */

static uint32_t find_v4(const struct tree *t, uint32_t address)
{
	int32_t wanted = (int32_t)(address ^ UINT32_C(0x80000000));
	size_t place = 0;

	for (size_t node = 0; node < t->node_count;) {
		const int32_t *keys = (const int32_t *)t->keys + node * KEYS_V4;
		int below = 0;

		for (unsigned i = 0; i < KEYS_V4; i++)
			below += keys[i] <= wanted;
		place = below > 0 ? node * KEYS_V4 + (unsigned)below - 1 : place;
		node = node * (KEYS_V4 + 1) + 1 + (unsigned)below;
	}
	return t->members[place];
}

static uint32_t find_v6(const struct tree *t, uint128 wanted)
{
	size_t place = 0;

	for (size_t node = 0; node < t->node_count;) {
		const uint128 *keys = (const uint128 *)t->keys + node * KEYS_V6;
		unsigned below = 0;

		for (unsigned i = 0; i < KEYS_V6; i++)
			below += keys[i] <= wanted;
		place = below > 0 ? node * KEYS_V6 + below - 1 : place;
		node = node * (KEYS_V6 + 1) + 1 + below;
	}
	return t->members[place];
}

uint32_t prefix_set_find(const struct prefix_set *set, const struct net_address *address)
{
	if (net_address_is_v4(address))
		return set->v4.node_count > 0 ? find_v4(&set->v4, be32toh(address->word[3])) : PREFIX_NONE;
	return set->v6.node_count > 0 ? find_v6(&set->v6, key_of(address)) : PREFIX_NONE;
}

uint32_t prefix_set_wider(const struct prefix_set *set, uint32_t index)
{
	return set->wider[index];
}
