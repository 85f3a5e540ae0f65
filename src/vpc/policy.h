/*
 * What the pipeline decides by: an immutable tree. The control thread makes a new root (sharing all that did not change) and hands
 * the poller one pointer, so that a change is atomic whatever its size, costs the poller nothing, and no lock is needed. The old
 * root is released by the control thread once the poller answered. Everything here is read only for the poller, and is found by
 * slot (small stable index) or through a `policy_map`.
 *
 * `generation` of an endpoint changes when anything changed that its live flows were decided by (its own fields, groups, subnet,
 * ACL, routes, NAT or elastic IPs, and removal or move of anybody in a VPC it reaches); flows of an older generation are decided
 * anew at their next packet. Arrival of a new neighbour changes nobody's generation.
 */
#ifndef OUTBOARD_VPC_POLICY_H
#define OUTBOARD_VPC_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_address.h"
#include "base/packet.h"
#include "base/uuid.h"
#include "vpc/drop.h"
#include "vpc/spec.h"

enum { POLICY_SLOT_NONE = UINT32_MAX };

/* ---- classifier.c: the rules of one group or ACL for one direction, compiled ---- */
struct classifier;

/* What a rule is matched with: the other side's address, the destination port, and the groups of the other side (sorted slots). */
struct classifier_query {
	struct net_address address;
	uint8_t protocol;
	uint16_t port;	  /* host order: destination port; ICMP: type << 8 | code */
	bool ports_known; /* false: a protocol without */
	const uint32_t *groups;
	uint8_t group_count;
};

enum { CLASSIFIER_NO_MATCH = UINT32_MAX };
/* Index (in the spec's list) of the first rule by number that matches, or CLASSIFIER_NO_MATCH. *deny: what it says. NULL
 * classifier: no match. */
uint32_t classifier_match(const struct classifier *c, const struct classifier_query *query, bool *deny);

/* ---- routes.c: longest prefix match ---- */
struct route_lookup {
	enum route_target target;
	uint32_t slot;		     /* endpoint (NAT, ENI; NONE: not on this card) or VPC (peering: the other one) */
	struct net_address next_hop; /* NAT, ENI: an address of it in this VPC; its mapping says on which card it is, and its MAC */
	struct net_prefix destination; /* the route that matched, for traces */
};
struct routes;
bool routes_find(const struct routes *routes, const struct net_address *address, struct route_lookup *out); /* false: none */

/* ---- policy_map.c: immutable sharded maps ---- */
struct policy_map;

/* ---- the tree ---- */
struct policy_group {
	struct uuid id;
	char name[NET_NAME_SIZE];
	uint32_t slot;
	bool grandfather;
	const struct classifier *ingress, *egress;
};

struct policy_acl {
	struct uuid id;
	char name[NET_NAME_SIZE];
	const struct classifier *ingress, *egress;
	const uint16_t *numbers; /* of the rules, by their index in the spec's list: for traces */
};

struct policy_host {
	struct uuid id;
	char name[NET_NAME_SIZE];
	uint32_t slot;
	struct net_address address;
};

struct policy_vpc {
	struct uuid id;
	char name[NET_NAME_SIZE];
	uint32_t slot, vni;
	uint8_t tunnel;
	uint16_t mtu; /* 0: the wire's */
	uint8_t cidr_count;
	struct net_prefix cidrs[NET_CIDRS_MAX];
	char domain[NET_NAME_SIZE];
	uint8_t log_traffic;
	uint32_t log_interval_s;
	const struct policy_map *mappings; /* address -> struct policy_mapping */
	const struct policy_map *names;	   /* ENI name -> struct policy_mapping; see policy_resolve */
};

/* Who has an address of a VPC. */
struct policy_mapping {
	struct net_address address;
	struct mac mac;
	bool local; /* `slot`: endpoint of this card; else host */
	uint32_t slot;
	uint32_t subnet_slot;
	uint8_t group_count;
	uint32_t groups[NET_GROUPS_MAX]; /* slots, sorted */
	char name[NET_NAME_SIZE];
};

struct policy_subnet {
	struct uuid id;
	char name[NET_NAME_SIZE];
	uint32_t slot, vpc_slot;
	struct net_prefix cidr4, cidr6;
	struct net_address gateway4, gateway6;
	struct mac gateway_mac;	      /* the same in all subnets: 0e:00:00:00:00:01 */
	const struct policy_acl *acl; /* NULL: everything is allowed */
	const struct routes *routes;  /* always has the VPC's own blocks as local */
	char route_table_name[NET_NAME_SIZE];
};

enum policy_endpoint_kind { ENDPOINT_ENI, ENDPOINT_NAT };

struct policy_public {
	struct net_address private_address, public_address;
};

struct policy_endpoint {
	enum policy_endpoint_kind kind;
	struct uuid id;
	char name[NET_NAME_SIZE];
	uint32_t slot, generation;
	struct mac mac;
	uint8_t address_count, group_count, public_count;
	bool source_dest_check;
	struct net_address addresses[NET_ADDRESSES_MAX];
	const struct policy_group *groups[NET_GROUPS_MAX];
	uint32_t group_slots[NET_GROUPS_MAX];		 /* sorted */
	struct policy_public publics[NET_ADDRESSES_MAX]; /* ENI: its elastic IPs; NAT: public_address only */
	const struct policy_subnet *subnet;
	struct eni_allowances allowances;
	struct eni_timeouts timeouts;
};

struct policy_port_key {
	uint32_t vni;
	struct mac mac;
};

struct policy {
	uint64_t version;				     /* counts changes */
	uint32_t endpoint_max, vpc_max, host_max, group_max; /* slots in use are below */
	const struct policy_endpoint *const *endpoints;	     /* [endpoint_max], NULL: free. Only those of this card */
	const struct policy_vpc *const *vpcs;
	const struct policy_host *const *hosts;
	const struct policy_group *const *groups;
};

static inline const struct policy_endpoint *policy_endpoint_at(const struct policy *p, uint32_t slot)
{
	return slot < p->endpoint_max ? p->endpoints[slot] : NULL;
}

/* All NULL or POLICY_SLOT_NONE when there is none. */
const struct policy_mapping *policy_mapping_find(const struct policy *p, uint32_t vpc_slot, const struct net_address *address);
const struct policy_mapping *policy_name_find(const struct policy *p, uint32_t vpc_slot, const char *name,
					      uint8_t family); /* 4, 6; upper and lower case are the same */
const struct policy_endpoint *policy_port_find(const struct policy *p, uint32_t vni,
					       const struct mac *mac); /* where an overlay frame goes */
const struct policy_endpoint *policy_public_find(const struct policy *p, const struct net_address *address,
						 struct net_address *private_address); /* ENI: private_address set; NAT: not */
const struct policy_host *policy_host_find(const struct policy *p, const struct net_address *address); /* by underlay address */
const struct policy_endpoint *policy_endpoint_find(const struct policy *p, const struct uuid *id);

#endif
