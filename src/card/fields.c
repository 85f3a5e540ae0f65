#include "card/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int fields_refuse(const struct fields *f, const char *field, const char *what)
{
	snprintf(f->error, f->error_size, "field \"%s\" %s", field, what);
	return -EINVAL;
}

bool fields_has(const struct fields *f, const char *field)
{
	const json_t *value = json_object_get(f->object, field);

	return value != NULL && !json_is_null(value);
}

int fields_text(const struct fields *f, const char *field, char *out, size_t size)
{
	const json_t *value = json_object_get(f->object, field);
	size_t length = json_string_length(value);

	if (!json_is_string(value) || length == 0 || length >= size || strlen(json_string_value(value)) != length)
		return fields_refuse(f, field, "is missing, empty or too long");
	memcpy(out, json_string_value(value), length + 1);
	return 0;
}

int fields_count(const struct fields *f, const char *field, bool required, uint64_t *out)
{
	const json_t *value = json_object_get(f->object, field);

	*out = 0;
	if (!required && !fields_has(f, field))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fields_refuse(f, field, "must be a whole number, not negative");
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

int fields_number(const struct fields *f, const char *field, bool required, json_int_t min, json_int_t max, json_int_t *out)
{
	const json_t *value = json_object_get(f->object, field);
	char what[96];

	if (!required && !fields_has(f, field))
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= min && json_integer_value(value) <= max) {
		*out = json_integer_value(value);
		return 0;
	}
	snprintf(what, sizeof(what), "must be a whole number from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, min, max);
	return fields_refuse(f, field, what);
}

int fields_uuid(const struct fields *f, const char *field, struct uuid *out)
{
	const json_t *value = json_object_get(f->object, field);

	if (!json_is_string(value) || uuid_parse(json_string_value(value), out) != 0)
		return fields_refuse(f, field, "must be a UUID");
	return 0;
}

int fields_bool(const struct fields *f, const char *field, bool *out)
{
	const json_t *value = json_object_get(f->object, field);

	if (!fields_has(f, field))
		return 0;
	if (!json_is_boolean(value))
		return fields_refuse(f, field, "must be true or false");
	*out = json_is_true(value);
	return 0;
}

int fields_list(const struct fields *f, const char *field, size_t max, const json_t **out)
{
	const json_t *value = json_object_get(f->object, field);
	char what[64];

	*out = NULL;
	if (!fields_has(f, field))
		return 0;
	if (!json_is_array(value) || json_array_size(value) > max) {
		snprintf(what, sizeof(what), "must be a list of at most %zu", max);
		return fields_refuse(f, field, what);
	}
	*out = value;
	return 0;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

int fields_only(const struct fields *f, const char *const *names)
{
	json_t *object = (json_t *)(uintptr_t)f->object; /* jansson iterates over const objects by no const pointer */

	for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i))
		if (!is_among(json_object_iter_key(i), names))
			return fields_refuse(f, json_object_iter_key(i), "is not known");
	return 0;
}
