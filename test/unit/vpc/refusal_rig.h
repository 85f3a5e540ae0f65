/* Changes that must be refused: a world, and for each change the error, whose fault it is said to be, and what the error says. */
#ifndef OUTBOARD_TEST_VPC_REFUSAL_RIG_H
#define OUTBOARD_TEST_VPC_REFUSAL_RIG_H

#include "model_rig.h"

struct refusal {
	void (*make)(struct model_rig *);
	int rc;
	enum net_kind kind;
	const char *culprit, *says;
};

/*
 * VPC a (VNI 100): s1 (table rt, acl) with eni one (group web, elastic IP ip); s2 with nat. VPC b (101), peering ab: sb with eni bee;
 * group gb, acl-b, rt-b. VPC c (102), with the blocks of a: sc. Host h1.
 */
void refusal_world(struct model_rig *r);
void refusal_put(struct model_rig *r, struct net_spec s);

/* Of that world, to be spoiled. */
struct net_spec refusal_eni(void);
struct net_spec refusal_subnet(void);
struct net_spec refusal_table(void);

/* Makes the world and the change. The change is refused as it should be, and afterwards all is as it was. */
void refusal_check(const struct refusal *c);

#endif
