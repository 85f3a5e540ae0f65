/* What must be found or be unique, in one hash table: ids, and (VPC, address), (VPC, MAC), VNIs, ... Keys belong to their objects. */
#ifndef OUTBOARD_VPC_MODEL_INDEX_H
#define OUTBOARD_VPC_MODEL_INDEX_H

#include <stdint.h>

struct object;

enum model_key_type {
	KEY_ID,	      /* kind; uuid */
	KEY_VNI,      /* VNI */
	KEY_UNDERLAY, /* host: its address */
	KEY_PAIR,     /* peering: the VPC with the lower address in memory; the other */
	KEY_ADDRESS,  /* VPC; address of an ENI or NAT */
	KEY_MAC,      /* VPC; MAC of an ENI or NAT */
	KEY_NAME,     /* VPC; name of an ENI, as the resolver has it */
	KEY_PUBLIC,   /* public address of an elastic IP */
};

struct model_key {
	struct model_key *next;
	struct object *object;
	uint64_t hash;
	uint64_t scope; /* a pointer's value, or a number */
	uint64_t half[2];
	enum model_key_type type;
};

struct model_index {
	struct model_key **buckets;
	uint32_t bucket_count, key_count;
	uint64_t seed[2];
};

int model_index_create(struct model_index *index); /* -ENOMEM, -errno of getrandom */
void model_index_destroy(struct model_index *index);
struct model_key *model_index_find(const struct model_index *index, const struct model_key *like); /* type, scope, half */
void model_index_insert(struct model_index *index, struct model_key *key);			   /* not there yet; cannot fail */
void model_index_remove(struct model_index *index, struct model_key *key);

#endif
