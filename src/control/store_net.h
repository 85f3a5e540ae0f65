/*
 * The objects of VPCs in the store: documents (JSON), of whom the store knows only what it must: kind and name, which VPC they
 * belong to, whom they refer to, and what they claim for themselves alone (an address, a MAC, a VNI). The long list of an object
 * (rules, routes) is kept apart from the rest, so that a list of objects need not read it.
 *
 * A change is written in any order within one transaction: references are checked at its commit.
 */
#ifndef OUTBOARD_CONTROL_STORE_NET_H
#define OUTBOARD_CONTROL_STORE_NET_H

#include "control/net_kinds.h"
#include "control/store.h"

enum net_claim_scope { CLAIM_VNI = 1, CLAIM_MAC = 2, CLAIM_ADDRESS = 3, CLAIM_PUBLIC = 4, CLAIM_HOST = 5 };

enum { NET_CLAIM_BYTES = 16 };

/* Values of one scope have one size, and are in network order: they sort as they count. */
struct net_claim {
	enum net_claim_scope scope;
	struct uuid vpc; /* zero: unique in the whole */
	uint8_t size;
	uint8_t value[NET_CLAIM_BYTES];
};

struct net_row {
	struct uuid id;
	enum net_kind kind;
	char name[NAME_SIZE];
	struct uuid vpc; /* zero: it belongs to none */
	char *body;	 /* owned: net_row_clear() */
	char *items;	 /* likewise; NULL: the kind has none, or it was not asked for */
	int64_t item_count;
	int64_t created_s;
};
void net_row_clear(struct net_row *row);

int store_net_get(struct store *store, enum net_kind kind, const char *name, struct net_row *out);
int store_net_get_by_id(struct store *store, const struct uuid *id, struct net_row *out);
int store_net_find(struct store *store, enum net_kind kind, const char *name, struct uuid *id, struct uuid *vpc);
int store_net_name(struct store *store, const struct uuid *id, enum net_kind *kind, char name[NAME_SIZE]);
/* By name; kind NET_KIND_COUNT: of all kinds. `row` is cleared after each call, but for what the callee has taken out of it. A
 * result other than 0 ends it. */
int store_net_each(struct store *store, enum net_kind kind, bool items, int (*each)(void *context, struct net_row *row),
		   void *context);
int store_net_count(struct store *store, int64_t *count);

int store_net_put(struct store *store, const struct net_row *row); /* new, or in place of the one with that id */
int store_net_delete(struct store *store, const struct uuid *id);  /* after its references and claims */
int store_net_unlink(struct store *store, const struct uuid *id);  /* its references and claims go */
int store_net_refer(struct store *store, const struct uuid *from, const struct uuid *to); /* twice is once */
/* Somebody who refers to `to`, and how many do. -ENOENT: nobody. */
int store_net_referrer(struct store *store, const struct uuid *to, enum net_kind *kind, char name[NAME_SIZE], int64_t *count);
int store_net_claim(struct store *store, const struct net_claim *claim, const struct uuid *owner); /* -EEXIST: it is taken */
int store_net_claim_owner(struct store *store, const struct net_claim *claim, enum net_kind *kind, char name[NAME_SIZE]);
/* The first value that nobody has, from the claim's own up to `last`, written into the claim. -ENOENT: all are taken. */
int store_net_claim_free(struct store *store, struct net_claim *claim, const uint8_t last[NET_CLAIM_BYTES]);

/* ---- attachments of ENIs ---- */
enum net_attachment_kind { NET_ATTACHMENT_VHOST_USER, NET_ATTACHMENT_TAP };
enum { NET_TAP_SIZE = 16, NET_NETNS_SIZE = 256 };

struct net_attachment_row {
	struct uuid eni;
	char name[NAME_SIZE]; /* of the ENI; read only */
	enum attachment_phase phase;
	enum net_attachment_kind kind;
	char socket[SOCKET_PATH_SIZE]; /* "": a tap */
	char tap[NET_TAP_SIZE];	       /* "": a socket */
	char netns[NET_NETNS_SIZE];    /* "": the card's own */
	int64_t queues;
	bool packed;
	int64_t uid; /* -1: not given */
	int64_t gid;
	int64_t mode;
	int64_t created_s;
	/* read only, from what the card tells */
	char state[16];
	char reason[STORE_MESSAGE_SIZE];
};
int store_net_attachment_get(struct store *store, const struct uuid *eni, struct net_attachment_row *out);
int store_net_attachment_each(struct store *store, int (*each)(void *context, const struct net_attachment_row *row), void *context);
int store_net_attachment_insert(struct store *store, const struct net_attachment_row *row);
int store_net_attachment_set_phase(struct store *store, const struct uuid *eni, enum attachment_phase phase);
int store_net_attachment_delete(struct store *store, const struct uuid *eni);
/* Whose ENI's? -ENOENT: nobody's. */
int store_net_socket_owner(struct store *store, const char *socket, char name[NAME_SIZE]);
int store_net_tap_owner(struct store *store, const char *tap, const char *netns, char name[NAME_SIZE]);

int store_net_live_set(struct store *store, const struct uuid *eni, const char *state, const char *reason /* NULL: none */);
int store_net_live_all_pending(struct store *store, const char *reason);

#endif
