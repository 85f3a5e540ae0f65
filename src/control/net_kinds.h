/*
 * The ten kinds of objects of a VPC, one description each. Everything that is done with objects is written once and driven by
 * these: the API's handlers, the load of a file, the store, what the card is told. A new field is a line in a table; a new kind is
 * a table and its routes.
 */
#ifndef OUTBOARD_CONTROL_NET_KINDS_H
#define OUTBOARD_CONTROL_NET_KINDS_H

#include "control/net_fields.h"

struct net_kind_description {
	const char *word;					     /* "route-table": commands, the card */
	const char *title;					     /* "Route table": the beginning of a sentence */
	const char *list;					     /* "route_tables": in a file to be loaded */
	const char *items;					     /* "routes": the field that is the long list; NULL: none */
	const char *counts;					     /* "route_count" */
	const struct net_field *fields;				     /* the first is the name */
	int (*check)(const json_t *object, struct failure *failure); /* fields against each other, once each is well; may be NULL */
};

extern const struct net_kind_description net_kinds[NET_KIND_COUNT];

extern const struct net_field net_load_fields[]; /* of a file to be loaded */

enum {
	NET_OBJECTS_MAX = 262144,
	NET_VNI_FIRST = 4096,
	NET_VNI_MAX = (1 << 24) - 1,
};

/*
 * `object` as it came is checked and completed in place: whole, with its name; or a change (NET_PART), which has none. A whole
 * security group without egress rules is given those that allow everything out. 0, or -EINVAL with the failure.
 */
int net_kind_check(enum net_kind kind, json_t *object, enum net_how how, struct failure *failure);
/* The second half of it, for one whose fields were checked already. */
int net_kind_complete(enum net_kind kind, json_t *object, struct failure *failure);
/* The fields against each other, of an object that was put together of checked parts. */
int net_kind_check_whole(enum net_kind kind, const json_t *object, struct failure *failure);
const struct net_field *net_kind_items(enum net_kind kind); /* NULL: it has none */

#endif
