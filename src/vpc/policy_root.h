/* What a policy's look-ups go by: the part of the root that policy.h does not show. Made by model_root.c, read by policy.c. */
#ifndef OUTBOARD_VPC_POLICY_ROOT_H
#define OUTBOARD_VPC_POLICY_ROOT_H

#include "vpc/key_mix.h"
#include "vpc/policy.h"
#include "vpc/policy_map.h"

/* An endpoint's struct is made anew with each generation; maps point at this, which says its slot and stays. */
struct policy_door {
	struct uuid id;
	struct policy_port_key port;
	uint32_t slot;
};

/* A public address. */
struct policy_entrance {
	struct policy_public address; /* NAT: public_address only */
	uint32_t slot;
};

struct policy_root {
	struct policy policy;
	uint64_t seed[2];			 /* of all maps */
	const struct policy_map *ports;		 /* VNI and MAC -> policy_door */
	const struct policy_map *endpoint_ids;	 /* -> policy_door */
	const struct policy_map *publics;	 /* -> policy_entrance */
	const struct policy_map *host_addresses; /* -> policy_host */
	/* model's */
	struct list link;    /* of roots, oldest first */
	struct list retired; /* pieces that this root was the last to have */
	struct list leases;  /* slots likewise */
};

static inline struct policy_map_key policy_key_uuid(const struct uuid *id)
{
	struct policy_map_key key;

	memcpy(&key, id->bytes, sizeof(key));
	return key;
}

static inline struct policy_map_key policy_key_port(uint32_t vni, const struct mac *mac)
{
	struct policy_map_key key = {{0, vni}};

	memcpy(&key.half[0], mac->bytes, sizeof(mac->bytes));
	return key;
}

static inline struct policy_map_key policy_key_name(const uint64_t seed[2], const char *name, uint8_t family)
{
	struct policy_map_key key;

	key_mix_name(seed, name, family, key.half);
	return key;
}

#endif
