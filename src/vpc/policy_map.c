/*
 * Theory of operation
 *
 * A directory of shards; a shard is a small open-addressed table (linear probing, at most two thirds full). The top bits of a key's
 * hash choose the shard, the low bits the place. An update copies the directory and those shards that it touches, all others are
 * shared: one change of 80,000 entries copies a few KiB.
 *
 * The number of shards follows the number of entries, so that a shard holds 16 to 256 of them and an empty VPC costs nothing: when
 * the average would leave that range all is built anew, at 64 a shard (growing, every second doubling).
 */
#include "vpc/policy_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vpc/key_mix.h"
#include "vpc/piece.h"

enum {
	PER_SHARD_MIN = 16,
	PER_SHARD = 64,
	PER_SHARD_MAX = 256,
	SHARD_BITS_MAX = 24,
};

struct entry {
	struct policy_map_key key;
	const void *value; /* NULL: free */
};

struct shard {
	uint32_t count, mask;
	struct entry entries[];
};

struct policy_map {
	uint64_t seed[2];
	uint32_t count;
	uint32_t shard_bits;
	struct shard *shards[]; /* NULL: empty */
};

static uint64_t hash_of(const uint64_t seed[2], struct policy_map_key key)
{
	return key_mix_pair(seed, key.half[0], key.half[1]);
}

static size_t shard_of(uint32_t bits, uint64_t hash)
{
	return bits == 0 ? 0 : (size_t)(hash >> (64 - bits));
}

static bool key_equal(struct policy_map_key a, struct policy_map_key b)
{
	return ((a.half[0] ^ b.half[0]) | (a.half[1] ^ b.half[1])) == 0;
}

const void *policy_map_find(const struct policy_map *map, struct policy_map_key key)
{
	const struct shard *s;
	uint64_t hash;

	if (map == NULL)
		return NULL;
	hash = hash_of(map->seed, key);
	s = map->shards[shard_of(map->shard_bits, hash)];
	if (s == NULL)
		return NULL;
	for (size_t i = hash & s->mask;; i = (i + 1) & s->mask) {
		const struct entry *e = &s->entries[i];

		if (e->value == NULL || key_equal(e->key, key))
			return e->value;
	}
}

uint32_t policy_map_count(const struct policy_map *map)
{
	return map == NULL ? 0 : map->count;
}

/* ---- one shard ---- */

static struct entry *shard_place(struct shard *s, uint64_t hash, struct policy_map_key key)
{
	size_t i = hash & s->mask;

	while (s->entries[i].value != NULL && !key_equal(s->entries[i].key, key))
		i = (i + 1) & s->mask;
	return &s->entries[i];
}

/* What follows moves up, unless it would come before the place its hash wants (Knuth 6.4, algorithm R). */
static void shard_remove(struct shard *s, struct entry *hole, const uint64_t seed[2])
{
	size_t free_at = (size_t)(hole - s->entries);

	for (size_t i = (free_at + 1) & s->mask; s->entries[i].value != NULL; i = (i + 1) & s->mask) {
		size_t wanted = hash_of(seed, s->entries[i].key) & s->mask;

		if (((i - wanted) & s->mask) < ((i - free_at) & s->mask))
			continue;
		s->entries[free_at] = s->entries[i];
		free_at = i;
	}
	s->entries[free_at].value = NULL;
	s->count--;
}

static void shard_apply(struct shard *s, const struct policy_map_change *change, const uint64_t seed[2])
{
	struct entry *e = shard_place(s, hash_of(seed, change->key), change->key);

	if (change->value == NULL) {
		if (e->value != NULL)
			shard_remove(s, e, seed);
		return;
	}
	s->count += e->value == NULL;
	e->key = change->key;
	e->value = change->value;
}

static struct shard *shard_new(struct list *owner, uint32_t entries_max)
{
	uint32_t size = 4;
	struct shard *s;

	while (size / 3 * 2 < entries_max)
		size *= 2;
	s = piece_new(owner, sizeof(*s) + size * sizeof(s->entries[0]));
	if (s != NULL)
		s->mask = size - 1;
	return s;
}

/* `order`: of the changes, those of this shard. NULL in *out: it became empty. */
static int shard_update(struct shard **out, const struct shard *old, const struct policy_map_change *changes, const uint32_t *order,
			uint32_t count, const uint64_t seed[2], struct list *fresh)
{
	uint32_t entries_max = old == NULL ? 0 : old->count;
	struct shard *s;

	for (uint32_t i = 0; i < count; i++)
		entries_max += changes[order[i]].value != NULL;
	s = shard_new(fresh, entries_max);
	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; old != NULL && i <= old->mask; i++) {
		if (old->entries[i].value == NULL)
			continue;
		*shard_place(s, hash_of(seed, old->entries[i].key), old->entries[i].key) = old->entries[i];
		s->count++;
	}
	for (uint32_t i = 0; i < count; i++)
		shard_apply(s, &changes[order[i]], seed);
	if (s->count == 0) {
		piece_free(s);
		s = NULL;
	}
	*out = s;
	return 0;
}

/* ---- the map ---- */

static uint32_t bits_for(uint64_t count)
{
	uint32_t bits = 0;

	while (bits < SHARD_BITS_MAX && count > (uint64_t)PER_SHARD << bits)
		bits++;
	return bits;
}

/* Stable: changes of one shard stay in their order. starts[s] .. starts[s + 1]: its part of `order`. */
static void sort_by_shard(const struct policy_map *map, const struct policy_map_change *changes, uint32_t count, uint32_t *starts,
			  uint32_t *order)
{
	size_t shard_count = (size_t)1 << map->shard_bits;

	for (uint32_t i = 0; i < count; i++)
		starts[shard_of(map->shard_bits, hash_of(map->seed, changes[i].key)) + 2]++;
	for (size_t s = 2; s < shard_count + 2; s++)
		starts[s] += starts[s - 1];
	for (uint32_t i = 0; i < count; i++)
		order[starts[shard_of(map->shard_bits, hash_of(map->seed, changes[i].key)) + 1]++] = i;
}

/* `map` is the new directory: a copy of the old one, or empty. */
static int apply(struct policy_map *map, const struct policy_map_change *changes, uint32_t count, struct list *fresh,
		 struct list *retired)
{
	size_t shard_count = (size_t)1 << map->shard_bits;
	uint32_t *starts = calloc(shard_count + 2, sizeof(*starts));
	uint32_t *order = malloc(((size_t)count + 1) * sizeof(*order));
	int rc = starts == NULL || order == NULL ? -ENOMEM : 0;

	if (rc == 0)
		sort_by_shard(map, changes, count, starts, order);
	for (size_t s = 0; rc == 0 && s < shard_count; s++) {
		struct shard *old = map->shards[s];
		uint32_t n = starts[s + 1] - starts[s];

		if (n == 0)
			continue;
		rc = shard_update(&map->shards[s], old, changes, order + starts[s], n, map->seed, fresh);
		if (rc < 0)
			break;
		map->count += map->shards[s] == NULL ? 0 : map->shards[s]->count;
		if (old != NULL) {
			map->count -= old->count;
			piece_move(old, retired);
		}
	}
	free(order);
	free(starts);
	return rc;
}

/* With another number of shards: what there is comes first, as changes. */
static int rebuild(struct policy_map *map, const struct policy_map *old, const struct policy_map_change *changes, uint32_t count,
		   struct list *fresh, struct list *retired)
{
	struct policy_map_change *all = malloc(((size_t)old->count + count) * sizeof(*all));
	uint32_t n = 0;
	int rc;

	if (all == NULL)
		return -ENOMEM;
	for (size_t s = 0; s < (size_t)1 << old->shard_bits; s++) {
		for (size_t i = 0; old->shards[s] != NULL && i <= old->shards[s]->mask; i++)
			if (old->shards[s]->entries[i].value != NULL)
				all[n++] = (struct policy_map_change){old->shards[s]->entries[i].key,
								      old->shards[s]->entries[i].value};
		if (old->shards[s] != NULL)
			piece_move(old->shards[s], retired);
	}
	memcpy(all + n, changes, count * sizeof(*all));
	rc = apply(map, all, n + count, fresh, retired);
	free(all);
	return rc;
}

static int make(struct policy_map **out, const struct policy_map *old, const uint64_t seed[2],
		const struct policy_map_change *changes, uint32_t count, struct list *fresh, struct list *retired)
{
	uint64_t entries_max = policy_map_count(old);
	uint32_t bits = old == NULL ? 0 : old->shard_bits;
	bool same;
	struct policy_map *map;

	for (uint32_t i = 0; i < count; i++)
		entries_max += changes[i].value != NULL;
	if (old == NULL || entries_max > (uint64_t)PER_SHARD_MAX << bits || entries_max < (uint64_t)PER_SHARD_MIN << bits)
		bits = bits_for(entries_max);
	same = old != NULL && bits == old->shard_bits;
	map = piece_new(fresh, sizeof(*map) + (sizeof(map->shards[0]) << bits));
	if (map == NULL)
		return -ENOMEM;
	*out = map;
	memcpy(map->seed, seed, sizeof(map->seed));
	map->shard_bits = bits;
	if (!same && old != NULL)
		return rebuild(map, old, changes, count, fresh, retired);
	if (same) {
		memcpy(map->shards, old->shards, sizeof(map->shards[0]) << bits);
		map->count = old->count;
	}
	return apply(map, changes, count, fresh, retired);
}

int policy_map_update(const struct policy_map **out, const struct policy_map *old, const uint64_t seed[2],
		      const struct policy_map_change *changes, uint32_t count, struct list *fresh, struct list *retired)
{
	struct policy_map *map;
	int rc;

	if (count == 0) {
		*out = old;
		return 0;
	}
	rc = make(&map, old, seed, changes, count, fresh, retired);
	if (rc < 0)
		return rc;
	if (old != NULL)
		piece_move(old, retired);
	if (map->count == 0) {
		piece_free(map);
		map = NULL;
	}
	*out = map;
	return 0;
}
