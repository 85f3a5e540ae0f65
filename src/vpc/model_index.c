#include "vpc/model_index.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vpc/key_mix.h"

enum { BUCKETS_MIN = 256 };

int model_index_create(struct model_index *index)
{
	if (getrandom(index->seed, sizeof(index->seed), 0) != sizeof(index->seed))
		return -errno;
	index->buckets = calloc(BUCKETS_MIN, sizeof(struct model_key *));
	if (index->buckets == NULL)
		return -ENOMEM;
	index->bucket_count = BUCKETS_MIN;
	index->key_count = 0;
	return 0;
}

void model_index_destroy(struct model_index *index)
{
	free(index->buckets);
}

static uint64_t hash_of(const struct model_index *index, const struct model_key *key)
{
	return key_mix_pair(index->seed, key_mix_pair(index->seed, key->half[0], key->half[1]), key->scope * 16 + key->type);
}

static bool equal(const struct model_key *a, const struct model_key *b)
{
	return a->type == b->type && a->scope == b->scope && a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

struct model_key *model_index_find(const struct model_index *index, const struct model_key *like)
{
	uint64_t hash = hash_of(index, like);

	for (struct model_key *k = index->buckets[hash & (index->bucket_count - 1)]; k != NULL; k = k->next)
		if (k->hash == hash && equal(k, like))
			return k;
	return NULL;
}

/* Without memory the chains get longer, nothing else. */
static void grow(struct model_index *index)
{
	uint32_t count = index->bucket_count * 2;
	struct model_key **buckets = calloc(count, sizeof(struct model_key *));

	if (buckets == NULL)
		return;
	for (uint32_t i = 0; i < index->bucket_count; i++) {
		struct model_key *next;

		for (struct model_key *k = index->buckets[i]; k != NULL; k = next) {
			next = k->next;
			k->next = buckets[k->hash & (count - 1)];
			buckets[k->hash & (count - 1)] = k;
		}
	}
	free(index->buckets);
	index->buckets = buckets;
	index->bucket_count = count;
}

void model_index_insert(struct model_index *index, struct model_key *key)
{
	struct model_key **bucket;

	if (index->key_count >= index->bucket_count)
		grow(index);
	key->hash = hash_of(index, key);
	bucket = &index->buckets[key->hash & (index->bucket_count - 1)];
	key->next = *bucket;
	*bucket = key;
	index->key_count++;
}

void model_index_remove(struct model_index *index, struct model_key *key)
{
	struct model_key **at = &index->buckets[key->hash & (index->bucket_count - 1)];

	while (*at != key) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = key->next;
	index->key_count--;
}
