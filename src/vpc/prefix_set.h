/*
 * An immutable set of prefixes: which is the longest that contains an address, and which next shorter one contains that. Serves
 * routes and classifiers. IPv4 and IPv6 are apart: ::/0 does not contain IPv4 addresses, though they are kept as mapped ones.
 */
#ifndef OUTBOARD_VPC_PREFIX_SET_H
#define OUTBOARD_VPC_PREFIX_SET_H

#include "base/list.h"
#include "base/net_address.h"

struct prefix_set;

enum { PREFIX_NONE = UINT32_MAX };

/* IPv4 first, by address, a shorter one before those inside it. */
int net_prefix_compare(const struct net_prefix *a, const struct net_prefix *b);

/* `sorted` by net_prefix_compare(), distinct; it is copied. Members are known by their index in it. -ENOMEM. */
int prefix_set_build(const struct prefix_set **out, struct list *owner, const struct net_prefix *sorted, uint32_t count);

uint32_t prefix_set_find(const struct prefix_set *set, const struct net_address *address); /* PREFIX_NONE: in none */
uint32_t prefix_set_wider(const struct prefix_set *set, uint32_t index);		   /* PREFIX_NONE: it is the widest */

#endif
