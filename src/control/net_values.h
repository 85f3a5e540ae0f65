/* Single values of the network's objects: what may stand in a field of each type, in one spelling. Pure. */
#ifndef OUTBOARD_CONTROL_NET_VALUES_H
#define OUTBOARD_CONTROL_NET_VALUES_H

#include "control/net_fields.h"

/* 0, and *normal is what to put in its place (NULL: it is as it should be); or -EINVAL with the failure. Not for NET_OBJECT and
 * NET_ITEMS. */
int net_value_check(const struct net_field *field, const json_t *value, json_t **normal, const struct net_where *where,
		    struct failure *failure);

/* The NAME in "nat:NAME" and its kind; NULL: the target is no object. */
const char *net_target_name(const char *target, enum net_kind *kind);
/* The ends of "80" or "1000-2000"; false: neither. */
bool net_ports_parse(const char *text, unsigned *first, unsigned *last);

#endif
