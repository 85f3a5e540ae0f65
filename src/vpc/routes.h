/* Compiles a route table; what it is asked is in policy.h. Control thread. */
#ifndef OUTBOARD_VPC_ROUTES_H
#define OUTBOARD_VPC_ROUTES_H

#include "base/list.h"
#include "vpc/policy.h"

/* Of equal destinations the first one given counts. -ENOMEM. */
int routes_build(const struct routes **out, struct list *owner, const struct route_lookup *entries, uint32_t count);

#endif
