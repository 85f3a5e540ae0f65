/* Fields of JSON objects that control sends, checked one by one: what is wrong is said in a sentence that names the field. */
#ifndef OUTBOARD_CARD_FIELDS_H
#define OUTBOARD_CARD_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

struct fields {
	const json_t *object;
	char *error;
	size_t error_size;
};

/* All: 0, or -EINVAL with a sentence. Numbers and texts that are not required are left as they are when missing or null. */
int fields_refuse(const struct fields *f, const char *field, const char *what);
bool fields_has(const struct fields *f, const char *field); /* there, and not null */
int fields_text(const struct fields *f, const char *field, char *out, size_t size);
int fields_count(const struct fields *f, const char *field, bool required, uint64_t *out);
int fields_number(const struct fields *f, const char *field, bool required, json_int_t min, json_int_t max, json_int_t *out);
int fields_uuid(const struct fields *f, const char *field, struct uuid *out);
int fields_bool(const struct fields *f, const char *field, bool *out);
/* A list of at most `max`; NULL in *out where it is missing or null. */
int fields_list(const struct fields *f, const char *field, size_t max, const json_t **out);
/* Refuses fields that are not among `names` (NULL at the end). */
int fields_only(const struct fields *f, const char *const *names);

#endif
