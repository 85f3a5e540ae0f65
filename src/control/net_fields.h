/*
 * Objects of a VPC as JSON, by a table: one line a field says its name, type, bounds, default, and whose name it holds. The
 * table drives everything that is done with a field: checking what came from outside, filling in defaults, bringing addresses and
 * numbers into one spelling, and replacing names by ids for the card. Pure; an object is checked and changed in place.
 */
#ifndef OUTBOARD_CONTROL_NET_FIELDS_H
#define OUTBOARD_CONTROL_NET_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "control/error.h"
#include "control/fields.h"
#include "vpc/spec.h"

enum net_type {
	NET_NAME, /* of the object itself */
	NET_BOOL,
	NET_INTEGER,   /* min to max */
	NET_CHOICE,    /* one of `choices` */
	NET_TEXT,      /* at most max characters, no control characters */
	NET_TAGS,      /* object of texts */
	NET_DOMAIN,    /* a DNS name */
	NET_MAC,       /* unicast */
	NET_ADDRESS,   /* unicast, IPv4 or IPv6 */
	NET_ADDRESSES, /* min to max of them, no two equal */
	NET_CIDR,      /* IPv4 or IPv6 */
	NET_CIDR4,     /* of min to max bits */
	NET_CIDR6,     /* likewise */
	NET_CIDRS,     /* min to max of them */
	NET_PROTOCOL,  /* a name of a few, or a number */
	NET_PORTS,     /* "80", "1000-2000" */
	NET_REFERENCE, /* the name of an object of `kind` */
	NET_REFERENCES,
	NET_TARGET, /* "internet", "blackhole", "nat:NAME", "peering:NAME", "eni:NAME" */
	NET_OBJECT, /* `fields` */
	NET_ITEMS,  /* at most max objects of `fields`, no two with the same key */
};

enum net_flag {
	NET_REQUIRED = 1,
	NET_NULL = 2,	   /* may be null, and is null when it is left out */
	NET_OMIT = 4,	   /* when left out or null it is not there: of items, of which there are many */
	NET_FIXED = 8,	   /* cannot be changed later */
	NET_AUTO = 16,	   /* found by control when it is left out or null; kept in an object that is given anew */
	NET_KEY = 32,	   /* which item it is */
	NET_PRIVATE = 64,  /* not for the card */
	NET_SAME_VPC = 128 /* what it names must be of the same VPC */
};

struct net_where;

struct net_field {
	const char *name;
	enum net_type type;
	unsigned flags;
	int64_t min, max;
	const char *const *choices; /* ends with NULL */
	enum net_kind kind;
	const char *fallback;									  /* default, as JSON */
	const struct net_field *fields;								  /* ends with a name of NULL */
	int (*check)(const json_t *item, const struct net_where *where, struct failure *failure); /* of an item as a whole */
};

/* Where in the object something is: a chain from the inside to the outside, for messages ("rules[3].cidr"). */
struct net_where {
	const struct net_where *up;
	const char *name; /* NULL: element `index` */
	size_t index;
};

enum net_how {
	NET_WHOLE, /* what is required must be there; defaults are filled in */
	NET_PART,  /* a change: what is there is checked */
	NET_NAMED, /* an item to be removed: what its key consists of must be there */
};

enum { NET_WHERE_SIZE = 96, NET_ITEM_KEY_SIZE = 320 };

/* 0, or -EINVAL with the failure; the object may be changed half then. `where` NULL: the object itself. */
int net_fields_check(const struct net_field *fields, json_t *object, enum net_how how, const struct net_where *where,
		     struct failure *failure);
const struct net_field *net_field_find(const struct net_field *fields, const char *name);
/* Always -EINVAL: `Field "rules[3].cidr" must be ...`, when `says` is "must be ...". */
int net_refuse(const struct net_where *where, struct failure *failure, const char *says);

/* What tells items apart, as text. */
void net_item_key(const struct net_field *fields, const json_t *item, char key[NET_ITEM_KEY_SIZE]);

/* Looks a name up. 0, or -EINVAL with the failure. */
struct net_resolver {
	int (*resolve)(struct net_resolver *resolver, const struct net_field *field, enum net_kind kind, const char *name,
		       struct uuid *id);
	struct failure *failure;
};
/* `object` (checked) with ids for names and without what is null or private: a new object, NULL with the resolver's failure. Items
 * that name nobody are shared, not copied. */
json_t *net_fields_for_card(const struct net_field *fields, const json_t *object, struct net_resolver *resolver);

#endif
