/* Inside net_spec.h: values of fields, and what its files share. All return 0, or -EINVAL with a sentence. */
#ifndef OUTBOARD_CARD_NET_SPEC_VALUES_H
#define OUTBOARD_CARD_NET_SPEC_VALUES_H

#include "card/fields.h"
#include "vpc/spec.h"

int value_address(const struct fields *f, const char *field, struct net_address *out);
int value_prefix(const struct fields *f, const char *field, struct net_prefix *out);
int value_mac(const struct fields *f, struct mac *out); /* of field "mac" */
int value_optional_uuid(const struct fields *f, const char *field, bool *has, struct uuid *out);
int value_choice(const struct fields *f, const char *field, const char *const *choices); /* index in `choices` (NULL at the end) */
int value_uint32(const struct fields *f, const char *field, bool required, json_int_t min, json_int_t max, uint32_t *out);
int value_amount(const struct fields *f, const char *field, uint64_t *out); /* 0 when it is missing */

struct fields value_inside(const struct fields *f, const json_t *object); /* an object in the object */
/* "rules[3]: field ..." of what an item's own parser said. Always -EINVAL. */
int value_in_item(const struct fields *f, const char *list, size_t index);

/* net_spec_rules.c */
int net_spec_group(const struct fields *f, struct net_spec *out);
int net_spec_acl(const struct fields *f, struct net_spec *out);
int net_spec_route_table(const struct fields *f, struct net_spec *out);

#endif
