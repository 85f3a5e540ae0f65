/* Compiles the rules of a security group or ACL; what it is asked is in policy.h. Control thread. */
#ifndef OUTBOARD_VPC_CLASSIFIER_H
#define OUTBOARD_VPC_CLASSIFIER_H

#include "base/list.h"
#include "vpc/policy.h"

/* The rules of one direction, of a list of both (at most NET_RULES_MAX: -E2BIG). `group_slots`: beside the rules, of those by group;
 * may be NULL when there are none. *out is NULL when no rule is of that direction. -ENOMEM. */
int classifier_build(const struct classifier **out, struct list *owner, const struct rule_spec *rules, uint32_t count, bool egress,
		     const uint32_t *group_slots);

/* As the classifier sees a rule's ports (all of them where the protocol has none): ICMP type << 8 | code, or destination ports. */
void rule_port_range(const struct rule_spec *rule, uint16_t *first, uint16_t *last);

#endif
