/*
 * The control thread's side of the policy: all objects, what of them is compiled, and changes that are all or nothing.
 *
 *	model_change_begin()
 *	model_change_put(), model_change_delete()	in any order; the last word about an object counts
 *	model_change_finish()				everything is checked against everything; on failure nothing has happened, and
 *							the error names object and field
 *	(the poller takes the new root, and answers)
 *	model_release()					of the old root; in any order, if there are several
 *
 * A put replaces an object whole; one that says what is there already changes nothing. Only what depends on changed objects is
 * compiled again: a change of one rule set costs that rule set, a mapping its shard.
 *
 * Checks: references exist and are of the same VPC; subnets are inside the VPC and disjoint; ENI addresses are inside the subnet,
 * unique in the VPC, and not one of the five that are the card's own (network, +1 gateway, +2 resolver, +3 reserved, broadcast, as
 * AWS); MACs and, for the resolver, names of ENIs are unique in the VPC; VNIs and public addresses are unique; VPC blocks are
 * disjoint, of peered VPCs too; a deleted object is not referred to any more (unless that is deleted in the same change); nothing
 * goes to another VPC but ENIs and NATs.
 *
 * Slots are the lowest that are free, stay with an id as long as the object is there, and are used again only when no root that knew
 * them is left. Limits count those that rest.
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
/* The change starts from nothing: what is not put (again) after this is gone. Slots of equal ids are kept. */
int model_change_reset(struct model_change *change);
/* Takes the spec's lists (zeroed there; what is left when it fails is the caller's; cancel then). -ENOMEM, -EINVAL: no such kind, too
 * many addresses or groups. */
int model_change_put(struct model_change *change, struct net_spec *spec);
int model_change_delete(struct model_change *change, enum net_kind kind, const struct uuid *id); /* 0, also if there is none */
/* 0: the model has changed, *next is its root, and the old root stays valid until released. -EINVAL, -E2BIG, -EEXIST, -ENOENT (a
 * reference), -EBUSY (still referred to), -ENOSPC (limit), -ENOMEM: nothing has changed; `error` says why, `culprit` whose fault it
 * is (all zeroes for -ENOMEM). The change is gone either way. */
int model_change_finish(struct model_change *change, const struct policy **next, struct uuid *culprit, char *error,
			size_t error_size);
void model_change_cancel(struct model_change *change);
void model_release(struct model *model, const struct policy *old); /* nobody reads it any more */

const struct net_spec *model_find(const struct model *model, enum net_kind kind, const struct uuid *id);

#endif
