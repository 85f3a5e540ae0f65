/* What can be said about a description alone, before anything it refers to is looked at. */
#ifndef OUTBOARD_VPC_SPEC_CHECK_H
#define OUTBOARD_VPC_SPEC_CHECK_H

#include <stddef.h>

#include "vpc/spec.h"

/* 0, or -EINVAL, -E2BIG (too many rules or routes) with a sentence that names the field and what to do. */
int net_spec_check(const struct net_spec *spec, char *error, size_t error_size);

#endif
