/*
 * An immutable map from 16 bytes to a pointer. A new one shares with the old all that did not change. Look-ups by anybody; updates by
 * the control thread. An empty map is NULL.
 */
#ifndef OUTBOARD_VPC_POLICY_MAP_H
#define OUTBOARD_VPC_POLICY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/net_address.h"

struct policy_map;

struct policy_map_key {
	uint64_t half[2];
};

struct policy_map_change {
	struct policy_map_key key;
	const void *value; /* NULL: remove (no error if it is not there). The map does not own it */
};

static inline struct policy_map_key policy_map_key_address(const struct net_address *a)
{
	return (struct policy_map_key){{a->pair[0], a->pair[1]}};
}

const void *policy_map_find(const struct policy_map *map, struct policy_map_key key); /* NULL: none */
uint32_t policy_map_count(const struct policy_map *map);

/* Changes are made in their order. New pieces go to `fresh`, replaced ones of `old` are moved to `retired`: also when it fails with
 * -ENOMEM, and the caller moves them back. `seed` is that of `old`. */
int policy_map_update(const struct policy_map **out, const struct policy_map *old, const uint64_t seed[2],
		      const struct policy_map_change *changes, uint32_t count, struct list *fresh, struct list *retired);

#endif
