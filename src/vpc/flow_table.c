/*
 * Look-up, insertion, removal and ageing. Two choices of a bucket: the low bits of the hash, and the high bits of the hash times an
 * odd constant. There are two slots a flow, so that the first choice has room almost always, and NAT's second keys fit as well. A
 * full pair makes room by moving entries to their other bucket: a breadth-first search of at most DISPLACE_STEPS_MAX buckets.
 *
 * Records go through a queue when they are freed (FLOW_REUSE_DISTANCE): a batch may hold indices that it looked up before one of
 * its own packets removed the flow.
 */
#include "vpc/flow_arena.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

enum {
	DISPLACE_STEPS_MAX = 128,
	FIND_AHEAD = 8,	 /* buckets, and */
	SWEEP_AHEAD = 8, /* records, that are fetched before they are looked at */
};

static uint32_t bucket_first(const struct flow_table *t, uint32_t hash)
{
	return hash & t->bucket_mask;
}

static uint32_t bucket_second(const struct flow_table *t, uint32_t hash)
{
	uint32_t second = (uint32_t)(hash * 0x9e3779b1u) >> t->bucket_shift;

	return second != bucket_first(t, hash) ? second : second ^ 1;
}

/* Bit a slot whose tag is `tag`; 0: of the free ones. */
static unsigned bucket_match(const struct flow_bucket *b, uint32_t tag)
{
#ifdef __SSE2__
	__m128i want = _mm_set1_epi32((int)tag);
	__m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)&b->tags[0]), want);
	__m128i high = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)&b->tags[4]), want);

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128()));
#else
	unsigned mask = 0;

	for (unsigned slot = 0; slot < FLOW_BUCKET_SLOTS; slot++)
		mask |= (unsigned)(b->tags[slot] == tag) << slot;
	return mask;
#endif
}

static bool key_equal(const struct flow_key *a, const struct flow_key *b)
{
	const uint64_t *x = (const uint64_t *)a, *y = (const uint64_t *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]) | (x[5] ^ y[5])) == 0;
}

struct flow_key flow_alias_key(const struct flow *f)
{
	struct flow_key key = f->key;

	key.local = f->public_address;
	key.local_port = f->public_port;
	key.zone = FLOW_ZONE_OUTSIDE;
	return key;
}

static bool flow_is(const struct flow *f, const struct flow_key *key)
{
	struct flow_key alias;

	if (key->zone != FLOW_ZONE_OUTSIDE)
		return key_equal(&f->key, key);
	if (!(f->flags & FLOW_HAS_ALIAS))
		return false;
	alias = flow_alias_key(f);
	return key_equal(&alias, key);
}

static uint32_t bucket_find(const struct flow_table *t, uint32_t bucket, const struct flow_key *key, uint32_t hash)
{
	const struct flow_bucket *b = &t->buckets[bucket];

	for (unsigned mask = bucket_match(b, hash); mask != 0; mask &= mask - 1) {
		uint32_t index = b->indices[__builtin_ctz(mask)];

		if (flow_is(&t->flows[index], key))
			return index;
	}
	return FLOW_NONE;
}

uint32_t flow_hash(const struct flow_table *t, const struct flow_key *key)
{
	uint32_t hash = (uint32_t)keyed_hash_words(&t->hash, (const uint64_t *)key, sizeof(*key) / 16);

	return hash + (hash == 0);
}

void flow_prefetch(const struct flow_table *t, uint32_t hash)
{
	__builtin_prefetch(&t->buckets[bucket_first(t, hash)]);
}

uint32_t flow_find(const struct flow_table *t, const struct flow_key *key, uint32_t hash)
{
	uint32_t index = bucket_find(t, bucket_first(t, hash), key, hash);

	return index != FLOW_NONE ? index : bucket_find(t, bucket_second(t, hash), key, hash);
}

/* The record that the first bucket has under this hash, on its way into the cache; 0: none, and the second bucket is. */
static uint32_t bucket_candidate(const struct flow_table *t, uint32_t hash)
{
	const struct flow_bucket *b = &t->buckets[bucket_first(t, hash)];
	unsigned mask = bucket_match(b, hash);
	uint32_t index;

	if (mask == 0) {
		__builtin_prefetch(&t->buckets[bucket_second(t, hash)]);
		return 0;
	}
	index = b->indices[__builtin_ctz(mask)];
	__builtin_prefetch(&t->flows[index].key, 1);
	__builtin_prefetch(&t->flows[index].out, 1);
	return index;
}

/* Buckets are asked for some packets ahead, records a whole batch ahead, so that misses overlap. What the first bucket does not have,
 * or has under another key with the same hash, is looked for in the ordinary way. */
void flow_find_batch(const struct flow_table *t, const struct flow_key *keys, unsigned count, uint32_t *hashes, uint32_t *indices)
{
	for (unsigned i = 0; i < count + FIND_AHEAD; i++) {
		if (i < count) {
			hashes[i] = flow_hash(t, &keys[i]);
			flow_prefetch(t, hashes[i]);
		}
		if (i >= FIND_AHEAD)
			indices[i - FIND_AHEAD] = bucket_candidate(t, hashes[i - FIND_AHEAD]);
	}
	for (unsigned i = 0; i < count; i++)
		if (indices[i] == 0 || !flow_is(&t->flows[indices[i]], &keys[i]))
			indices[i] = flow_find(t, &keys[i], hashes[i]);
}

struct flow *flow_at(const struct flow_table *t, uint32_t index)
{
	return &t->flows[index];
}

uint32_t flow_table_count(const struct flow_table *t)
{
	return t->count;
}

uint32_t flow_table_max(const struct flow_table *t)
{
	return t->flows_max;
}

static void bucket_put(struct flow_table *t, uint32_t bucket, unsigned slot, uint32_t index, uint32_t hash)
{
	t->buckets[bucket].indices[slot] = index;
	t->buckets[bucket].tags[slot] = hash;
}

/* One bucket of the search, and which slot of its parent's bucket has an entry that could move into it. */
struct displace_step {
	uint32_t bucket;
	uint8_t parent, slot;
};

/* Moves one entry on from each bucket of the path that ends in `from`, the last one first; what is vacated at the start of it is
 * put. */
static void displace_along(struct flow_table *t, const struct displace_step *steps, unsigned at, unsigned slot, uint32_t to,
			   unsigned to_slot, uint32_t index, uint32_t hash)
{
	for (;;) {
		const struct flow_bucket *b = &t->buckets[steps[at].bucket];

		bucket_put(t, to, to_slot, b->indices[slot], b->tags[slot]);
		to = steps[at].bucket;
		to_slot = slot;
		if (at < 2)
			break;
		slot = steps[at].slot;
		at = steps[at].parent;
	}
	bucket_put(t, to, to_slot, index, hash);
}

bool flow_place(struct flow_table *t, uint32_t index, uint32_t hash)
{
	struct displace_step steps[DISPLACE_STEPS_MAX] = {{.bucket = bucket_first(t, hash)}, {.bucket = bucket_second(t, hash)}};
	unsigned count = 2;

	for (unsigned i = 0; i < 2; i++) {
		unsigned room = bucket_match(&t->buckets[steps[i].bucket], 0);

		if (room != 0) {
			bucket_put(t, steps[i].bucket, (unsigned)__builtin_ctz(room), index, hash);
			return true;
		}
	}
	for (unsigned at = 0; at < count; at++) {
		for (unsigned slot = 0; slot < FLOW_BUCKET_SLOTS; slot++) {
			uint32_t tag = t->buckets[steps[at].bucket].tags[slot], to = bucket_first(t, tag);
			unsigned room;

			if (to == steps[at].bucket)
				to = bucket_second(t, tag);
			room = bucket_match(&t->buckets[to], 0);
			if (room != 0) {
				displace_along(t, steps, at, slot, to, (unsigned)__builtin_ctz(room), index, hash);
				return true;
			}
			if (count < DISPLACE_STEPS_MAX)
				steps[count++] = (struct displace_step){to, (uint8_t)at, (uint8_t)slot};
		}
	}
	return false;
}

void flow_displace(struct flow_table *t, uint32_t index, uint32_t hash)
{
	uint32_t buckets[2] = {bucket_first(t, hash), bucket_second(t, hash)};

	for (unsigned i = 0; i < 2; i++) {
		struct flow_bucket *b = &t->buckets[buckets[i]];

		for (unsigned mask = bucket_match(b, hash); mask != 0; mask &= mask - 1) {
			unsigned slot = (unsigned)__builtin_ctz(mask);

			if (b->indices[slot] == index) {
				b->tags[slot] = 0;
				return;
			}
		}
	}
	assert(false); /* a record is in the buckets as long as it is live */
}

void flow_free_append(struct flow_table *t, uint32_t index)
{
	t->flows[index].free_next = 0;
	if (t->free_count++ == 0)
		t->free_head = index;
	else
		t->flows[t->free_tail].free_next = index;
	t->free_tail = index;
}

static uint32_t record_take(struct flow_table *t)
{
	uint32_t index = t->free_head;

	if (t->free_count <= FLOW_REUSE_DISTANCE)
		return ++t->header->used;
	t->free_head = t->flows[index].free_next;
	t->free_count--;
	return index;
}

/* What a flow's line says must be there before, and gone after, it is marked live: the process may end between any two stores. */
static void record_mark(struct flow *f, enum flow_state state)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	f->state = (uint8_t)state;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

uint32_t flow_insert(struct flow_table *t, const struct flow_key *key, uint32_t hash, uint32_t now_ms)
{
	uint32_t index;
	struct flow *f;

	assert(key->zone != FLOW_ZONE_OUTSIDE);
	if (t->count == t->flows_max)
		return FLOW_NONE;
	index = record_take(t);
	if (!flow_place(t, index, hash)) {
		flow_free_append(t, index);
		return FLOW_NONE;
	}
	f = &t->flows[index];
	memset(f, 0, sizeof(*f));
	f->key = *key;
	f->hash = hash;
	f->created_ms = f->seen_ms = f->logged_ms = now_ms;
	record_mark(f, FLOW_NEW);
	t->count++;
	return index;
}

int flow_alias_insert(struct flow_table *t, uint32_t index, const struct flow_key *alias)
{
	struct flow *f = &t->flows[index];
	uint32_t hash = flow_hash(t, alias);

	assert(f->state != FLOW_FREE && !(f->flags & FLOW_HAS_ALIAS));
	assert(alias->zone == FLOW_ZONE_OUTSIDE && alias->protocol == f->key.protocol);
	assert(net_address_equal(&alias->remote, &f->key.remote) && alias->remote_port == f->key.remote_port);
	if (flow_find(t, alias, hash) != FLOW_NONE)
		return -EEXIST;
	if (!flow_place(t, index, hash))
		return -ENOSPC;
	f->public_address = alias->local;
	f->public_port = alias->local_port;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	f->flags |= FLOW_HAS_ALIAS;
	return 0;
}

void flow_remove(struct flow_table *t, uint32_t index)
{
	struct flow *f = &t->flows[index];

	assert(f->state != FLOW_FREE);
	record_mark(f, FLOW_FREE);
	flow_displace(t, index, f->hash);
	if (f->flags & FLOW_HAS_ALIAS) {
		struct flow_key alias = flow_alias_key(f);

		flow_displace(t, index, flow_hash(t, &alias));
	}
	flow_free_append(t, index);
	t->count--;
}

/* A flow may have been seen by a packet with a later time than the sweep's. */
static bool flow_is_over(const struct flow *f, uint32_t now_ms)
{
	uint32_t idle_ms = now_ms - f->seen_ms;

	return idle_ms <= INT32_MAX && idle_ms >= f->timeout_ms;
}

unsigned flow_table_sweep(struct flow_table *t, uint32_t now_ms, void (*each)(void *context, struct flow *flow, uint32_t index),
			  void (*expired)(void *context, struct flow *flow, uint32_t index), void *context)
{
	unsigned removed = 0;

	if (t->sweep_left == 0) {
		t->sweep_next = 1;
		t->sweep_left = t->header->used;
	}
	for (unsigned i = 0; i < FLOW_SWEEP_MAX && t->sweep_left > 0; i++) {
		uint32_t index = t->sweep_next++;
		struct flow *f = &t->flows[index];

		t->sweep_left--;
		__builtin_prefetch(&f[t->sweep_left >= SWEEP_AHEAD ? SWEEP_AHEAD : 0]);
		if (f->state == FLOW_FREE)
			continue;
		if (flow_is_over(f, now_ms)) {
			expired(context, f, index);
			if (f->state != FLOW_FREE)
				flow_remove(t, index);
			removed++;
		} else if (each != NULL) {
			each(context, f, index);
		}
	}
	return removed;
}

uint32_t flow_table_sweep_left(const struct flow_table *t)
{
	return t->sweep_left;
}
