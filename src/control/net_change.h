/*
 * A change of the network: objects to be put and deleted, all or nothing.
 *
 *	net_change_open
 *	net_change_put, net_change_delete ...		any order
 *	store_begin
 *	net_change_resolve		names become ids, what is automatic is found, everything is checked
 *	store_rollback			nobody else waits for, or is part of, this transaction while the card thinks
 *	net_change_message -> the card
 *	store_begin, net_change_write, store_commit
 *	net_change_close
 *
 * The store itself is what a change is checked against: within the transaction, once old rows are gone, and names and claims of the
 * new ones are there, a query sees the network as it would be.
 */
#ifndef OUTBOARD_CONTROL_NET_CHANGE_H
#define OUTBOARD_CONTROL_NET_CHANGE_H

#include "control/store_net.h"

struct net_item {
	struct net_row row; /* as it is to be; of one that is deleted only id, kind and name count */
	json_t *object;	    /* whole and checked; NULL: it is deleted */
	bool created;
	struct uuid *references; /* whom it refers to */
	size_t reference_count;
	struct net_claim claims[NET_ADDRESSES_MAX + 1]; /* addresses and a MAC at most */
	unsigned claim_count;
	json_t *said; /* as the card is told */
};

/* Somebody that was looked up. */
struct net_known {
	struct uuid id, vpc;
	size_t seen_by; /* 1 + the item that looked it up last */
};

struct net_change {
	struct store *store;
	struct net_item **items; /* by kind once resolved */
	size_t count, capacity;
	json_t *index[NET_KIND_COUNT]; /* name -> place in `known` */
	struct net_known *known;
	size_t known_count, known_capacity;
	json_t *subnets;		  /* name -> object, of those that were needed */
	struct net_claim last_address[2]; /* IPv6, IPv4: that was found, behind which the next search begins */
};

void net_change_open(struct net_change *change, struct store *store);
void net_change_close(struct net_change *change);

/* `object` is taken. `old` NULL: it is new; otherwise the row that it replaces. NULL: out of memory. */
struct net_item *net_change_put(struct net_change *change, enum net_kind kind, json_t *object, const struct net_row *old);
int net_change_delete(struct net_change *change, const struct net_row *row);

/* In a transaction, which is to be rolled back then. 0, or -EINVAL with the failure, which names the object. */
int net_change_resolve(struct net_change *change, struct failure *failure);
int net_change_write(struct net_change *change); /* once resolved, in a transaction: 0 or -errno of the store */
/* Of objects that are in the store already: what the card is told of them, nothing else. */
int net_change_describe(struct net_change *change, struct failure *failure);
json_t *net_change_message(const struct net_change *change, bool reset); /* net_apply */

/* ---- of objects ---- */
/* The texts of the store, into row->body, items, item_count. 0 or -ENOMEM. */
int net_object_texts(enum net_kind kind, const json_t *object, struct net_row *row);
json_t *net_object_of(const struct net_row *row); /* whole, from the row's texts; NULL: damaged */

/* ---- net_allocate.c: what only one may have, and what is automatic ---- */
int net_claim_given(struct net_change *change, struct net_item *item, struct failure *failure);
int net_claim_automatic(struct net_change *change, struct net_item *item, struct failure *failure);
/* The subnet of that name, which exists: borrowed. */
const json_t *net_change_subnet(struct net_change *change, const char *name);

#endif
