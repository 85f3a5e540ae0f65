/*
 * Objects of a VPC as control describes them in net_apply (command.h), checked and in C. Strict: a field that is not known is
 * refused, so that what control means and what the card does cannot drift apart. What can only be judged among all objects is
 * the model's (vpc/model.h).
 */
#ifndef OUTBOARD_CARD_NET_SPEC_H
#define OUTBOARD_CARD_NET_SPEC_H

#include <jansson.h>
#include <stddef.h>

#include "vpc/spec.h"

int net_kind_parse(const char *word, enum net_kind *out); /* as net_kind_name() says it; -EINVAL */

/* 0: *out is the caller's, and its lists (net_spec_free). -EINVAL with a sentence that names object and field; -ENOMEM. */
int net_spec_parse(enum net_kind kind, const struct uuid *id, const json_t *object, struct net_spec *out, char *error,
		   size_t error_size);

#endif
