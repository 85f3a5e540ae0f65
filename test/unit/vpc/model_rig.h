/* A model that tests fill with a few words. Objects are known by name; their ids are made of kind and name. */
#ifndef OUTBOARD_TEST_VPC_MODEL_RIG_H
#define OUTBOARD_TEST_VPC_MODEL_RIG_H

#include "vpc/model.h"

struct model_rig {
	struct model *model;
	struct model_change *change;
	const struct policy *policy; /* present; rig_commit() releases the one before */
	struct uuid culprit;
	char error[512];
};

void rig_create(struct model_rig *rig, const struct model_limits *limits);
void rig_destroy(struct model_rig *rig);
void rig_begin(struct model_rig *rig);
int rig_finish(struct model_rig *rig, const struct policy **next); /* the old root stays */
int rig_try(struct model_rig *rig);				   /* finishes; the old root is released if it was changed */
void rig_commit(struct model_rig *rig);				   /* must work */

struct uuid rig_id(enum net_kind kind, const char *name);
void rig_delete(struct model_rig *rig, enum net_kind kind, const char *name);
void rig_put(struct model_rig *rig, struct net_spec *spec);

/* Specs to alter and put. Texts: addresses and prefixes as parsers have them; NULL: none. */
struct net_spec spec_host(const char *name, const char *address);
struct net_spec spec_vpc(const char *name, uint32_t vni, const char *cidr, const char *cidr_more);
struct net_spec spec_subnet(const char *name, const char *vpc, const char *cidr4, const char *cidr6);
struct net_spec spec_peering(const char *name, const char *vpc, const char *peer);
struct net_spec spec_eni(const char *name, const char *subnet, uint8_t mac_last, const char *address, const char *address_more);
struct net_spec spec_nat(const char *name, const char *subnet, uint8_t mac_last, const char *address);
struct net_spec spec_eip(const char *name, const char *address, uint8_t target, const char *target_name,
			 const char *private_address);
struct net_spec spec_group(const char *name, const char *vpc);
struct net_spec spec_acl(const char *name, const char *vpc);
struct net_spec spec_route_table(const char *name, const char *vpc);

void spec_eni_group(struct net_spec *eni, const char *group);
void spec_eni_remote(struct net_spec *eni, const char *host);
struct rule_spec *spec_rule(struct net_spec *rules, bool egress, uint16_t protocol, uint16_t first, uint16_t last,
			    const char *cidr);
void spec_rule_group(struct net_spec *rules, bool egress, uint16_t protocol, uint16_t first, uint16_t last, const char *group);
void spec_route(struct net_spec *table, const char *destination, enum route_target target, const char *target_name);

struct net_address rig_address(const char *text);
struct net_prefix rig_prefix(const char *text);

const struct policy_endpoint *rig_endpoint(const struct model_rig *rig, enum net_kind kind, const char *name); /* NULL: none here */
uint32_t rig_vpc_slot(const struct model_rig *rig, const char *name);

#endif
