/*
 * The control thread's side of the policy: all objects, what of them is compiled, and changes that are all or nothing.
 *
 *	change = model_change_begin(model)
 *	model_change_put / model_change_delete ...		any order
 *	model_change_finish(change, ...) -> struct policy *	everything is checked against everything (references, overlaps,
 *limits); on failure nothing has happened, and the error names object and field (the poller takes the new root, answers)
 *	model_release(model, old root)
 *
 * A put replaces an object whole. Only what depends on changed objects is compiled again: a change of one rule set costs that rule
 *set, a mapping its shard. Checks: references exist and are of the same VPC; subnets inside the VPC and disjoint; ENI addresses
 *inside the subnet, unique in the VPC, not one of the five that are the card's own (network, +1 gateway, +2 resolver, +3 reserved,
 *broadcast, as AWS); MACs unique in the VPC; VNIs unique; public addresses unique; VPC blocks disjoint, of peered VPCs too; a
 * deleted object is not referred to any more (unless deleted in the same change).
 */
#ifndef OUTBOARD_VPC_MODEL_H
#define OUTBOARD_VPC_MODEL_H

#include <stddef.h>

#include "vpc/policy.h"

struct model;
struct model_change;

struct model_limits {
	uint32_t endpoints_max, vpcs_max, hosts_max, groups_max, mappings_max;
};

int model_create(struct model **out, const struct model_limits *limits /* NULL: defaults */);
void model_free(struct model *model);
const struct policy *model_policy(const struct model *model); /* the present root; never NULL (empty at first) */

int model_change_begin(struct model *model, struct model_change **out); /* -ENOMEM. One at a time. */
int model_change_reset(struct model_change *change); /* the change starts from nothing: what is not put again is gone. Slots of
							equal ids are kept */
int model_change_put(struct model_change *change, struct net_spec *spec); /* takes spec's lists (zeroed there) */
int model_change_delete(struct model_change *change, enum net_kind kind,
			const struct uuid *id); /* -ENOENT is no error: idempotent, returns 0 */
/* 0: the model has changed, *next is its root, and the old root stays valid until released. -EINVAL, -EEXIST, -ENOENT (a
 * reference), -EBUSY (still referred to), -ENOSPC (limit), -ENOMEM: nothing changed; `error` says why, `culprit` whose fault it
 * was. The change is gone either way. */
int model_change_finish(struct model_change *change, const struct policy **next, struct uuid *culprit, char *error,
			size_t error_size);
void model_change_cancel(struct model_change *change);
void model_release(struct model *model, const struct policy *old); /* nobody reads it any more */

const struct net_spec *model_find(const struct model *model, enum net_kind kind, const struct uuid *id);

#endif
