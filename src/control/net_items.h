/* Adding to and removing from the long list of an object: rules, routes. Pure. */
#ifndef OUTBOARD_CONTROL_NET_ITEMS_H
#define OUTBOARD_CONTROL_NET_ITEMS_H

#include "control/net_fields.h"

/* The request, {add: [...], remove: [...]}: checked in place. 0, or -EINVAL with the failure. */
int net_items_check(const struct net_field *items, json_t *body, struct failure *failure);

/*
 * A new list: `old` without those of "remove", then with those of "add". What is to be removed and is not there is gone already; what
 * is to be added and is there, equal, is there already. NULL with the failure: one with that key is there, with other contents; or
 * the list would be too long.
 */
json_t *net_items_change(const struct net_field *items, const json_t *old, const json_t *body, struct failure *failure);

#endif
