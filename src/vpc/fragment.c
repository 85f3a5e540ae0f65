/*
 * Entries live equally long, so the order in which they came is the order in which they go: one list of all, one of each zone, both
 * oldest first. A zone is known as long as it has entries. Both tables are chained and keyed: who sends chooses identifications.
 */
#include "vpc/fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyed_hash.h"
#include "base/list.h"

/* As six words for the hash; padding is zero. */
struct fragment_key {
	struct net_address source, destination;
	uint32_t id, zone;
	uint8_t protocol, inbound, reserved[6];
};
static_assert(sizeof(struct fragment_key) == 48, "hashed as three pairs of words");

struct fragment_zone {
	struct list chain; /* of its hash; of the free ones */
	struct list entries;
	uint32_t zone, count;
};

struct fragment_entry {
	struct list chain; /* of its hash; of the free ones */
	struct list in_zone, in_all;
	struct fragment_zone *zone;
	struct fragment_key key;
	uint32_t since_ms;
	uint16_t source_port, destination_port;
};

struct fragment_table {
	struct keyed_hash hash;
	struct fragment_entry *entries;
	struct fragment_zone *zones; /* as many: each has an entry */
	struct list *entry_heads, *zone_heads;
	struct list all, free_entries, free_zones;
	uint32_t mask, per_zone_max;
};

static struct list *entry_head(const struct fragment_table *t, const struct fragment_key *key)
{
	return &t->entry_heads[keyed_hash_words(&t->hash, (const uint64_t *)key, sizeof(*key) / 16) & t->mask];
}

static struct list *zone_head(const struct fragment_table *t, uint32_t zone)
{
	uint64_t words[2] = {zone, 0};

	return &t->zone_heads[keyed_hash_words(&t->hash, words, 1) & t->mask];
}

static struct fragment_entry *entry_find(const struct fragment_table *t, const struct fragment_key *key)
{
	list_for_each_safe (it, after, entry_head(t, key)) {
		struct fragment_entry *e = list_entry(it, struct fragment_entry, chain);

		if (memcmp(&e->key, key, sizeof(*key)) == 0)
			return e;
	}
	return NULL;
}

static struct fragment_zone *zone_find(const struct fragment_table *t, uint32_t zone)
{
	list_for_each_safe (it, after, zone_head(t, zone)) {
		struct fragment_zone *z = list_entry(it, struct fragment_zone, chain);

		if (z->zone == zone)
			return z;
	}
	return NULL;
}

static void entry_free(struct fragment_table *t, struct fragment_entry *e)
{
	struct fragment_zone *z = e->zone;

	list_del(&e->chain);
	list_del(&e->in_zone);
	list_del(&e->in_all);
	list_add_tail(&t->free_entries, &e->chain);
	if (--z->count > 0)
		return;
	list_del(&z->chain);
	list_add_tail(&t->free_zones, &z->chain);
}

static void entries_expire(struct fragment_table *t, uint32_t now_ms)
{
	while (!list_empty(&t->all)) {
		struct fragment_entry *oldest = list_entry(t->all.next, struct fragment_entry, in_all);

		if (now_ms - oldest->since_ms < FRAGMENT_LIFE_MS)
			break;
		entry_free(t, oldest);
	}
}

/* Makes room where the zone has used up its own share, or the table is full and the zone has something to give. */
static struct fragment_entry *entry_take(struct fragment_table *t, const struct fragment_key *key)
{
	struct fragment_zone *z = zone_find(t, key->zone);
	struct fragment_entry *e;

	if (z != NULL && (z->count >= t->per_zone_max || list_empty(&t->free_entries))) {
		entry_free(t, list_entry(z->entries.next, struct fragment_entry, in_zone));
		z = zone_find(t, key->zone); /* it went with its last entry */
	}
	if (list_empty(&t->free_entries))
		return NULL;
	if (z == NULL) {
		z = list_entry(t->free_zones.next, struct fragment_zone, chain);
		list_del(&z->chain);
		z->zone = key->zone;
		z->count = 0;
		list_add_tail(zone_head(t, key->zone), &z->chain);
	}
	e = list_entry(t->free_entries.next, struct fragment_entry, chain);
	list_del(&e->chain);
	e->zone = z;
	e->key = *key;
	z->count++;
	list_add_tail(&z->entries, &e->in_zone);
	list_add_tail(&t->all, &e->in_all);
	list_add_tail(entry_head(t, key), &e->chain);
	return e;
}

static enum drop_reason first_note(struct fragment_table *t, const struct fragment_key *key, const struct packet_layers *l,
				   uint32_t now_ms)
{
	struct fragment_entry *e = entry_find(t, key);

	if (e != NULL) /* an identification is used again, or the fragment came twice: the last one counts, and lives anew */
		entry_free(t, e);
	e = entry_take(t, key);
	if (e == NULL)
		return DROP_FRAGMENT_TABLE_FULL;
	e->since_ms = now_ms;
	e->source_port = l->source_port;
	e->destination_port = l->destination_port;
	return DROP_NONE;
}

static struct fragment_key key_of(const struct packet_layers *l, uint32_t zone, bool inbound)
{
	return (struct fragment_key){.source = l->source,
				     .destination = l->destination,
				     .id = l->fragment_id,
				     .zone = zone,
				     .protocol = l->protocol,
				     .inbound = inbound};
}

void fragment_forget(struct fragment_table *t, uint32_t zone, bool inbound, const struct packet *p)
{
	struct fragment_key key = key_of(&p->layers, zone, inbound);
	struct fragment_entry *e = p->layers.fragment == FRAGMENT_FIRST ? entry_find(t, &key) : NULL;

	if (e != NULL)
		entry_free(t, e);
}

enum drop_reason fragment_follow(struct fragment_table *t, uint32_t zone, bool inbound, struct packet *p, uint32_t now_ms)
{
	struct packet_layers *l = &p->layers;
	struct fragment_key key = key_of(l, zone, inbound);
	struct fragment_entry *e;

	if (l->fragment == FRAGMENT_NONE)
		return DROP_NONE;
	entries_expire(t, now_ms);
	if (l->fragment == FRAGMENT_FIRST)
		return first_note(t, &key, l, now_ms);
	e = entry_find(t, &key);
	if (e == NULL)
		return DROP_FRAGMENT_FIRST_MISSING;
	l->source_port = e->source_port;
	l->destination_port = e->destination_port;
	return DROP_NONE;
}

int fragment_table_open(struct fragment_table **out, uint32_t entries_max, uint32_t per_zone_max)
{
	struct fragment_table *t;
	uint32_t heads = 1;

	if (entries_max == 0 || entries_max > FRAGMENT_ENTRIES_LIMIT || per_zone_max == 0)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	while (heads < entries_max)
		heads *= 2;
	t->mask = heads - 1;
	t->per_zone_max = per_zone_max;
	t->entries = calloc(entries_max, sizeof(*t->entries));
	t->zones = calloc(entries_max, sizeof(*t->zones));
	t->entry_heads = calloc(heads, sizeof(*t->entry_heads));
	t->zone_heads = calloc(heads, sizeof(*t->zone_heads));
	if (t->entries == NULL || t->zones == NULL || t->entry_heads == NULL || t->zone_heads == NULL ||
	    keyed_hash_seed(&t->hash) != 0) {
		fragment_table_close(t);
		return -ENOMEM;
	}
	list_init(&t->all);
	list_init(&t->free_entries);
	list_init(&t->free_zones);
	for (uint32_t i = 0; i < heads; i++) {
		list_init(&t->entry_heads[i]);
		list_init(&t->zone_heads[i]);
	}
	for (uint32_t i = 0; i < entries_max; i++) {
		list_init(&t->zones[i].entries);
		list_add_tail(&t->free_entries, &t->entries[i].chain);
		list_add_tail(&t->free_zones, &t->zones[i].chain);
	}
	*out = t;
	return 0;
}

void fragment_table_close(struct fragment_table *t)
{
	if (t == NULL)
		return;
	free(t->entries);
	free(t->zones);
	free(t->entry_heads);
	free(t->zone_heads);
	free(t);
}
