/*
 * JSON objects from outside into C structs, by a table: one line a field says its name, type, bounds and place. What the table
 * does not allow is refused with the field's name; nothing is converted, nothing is ignored.
 */
#ifndef OUTBOARD_CONTROL_FIELDS_H
#define OUTBOARD_CONTROL_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"

enum { NAME_SIZE = 64, PATH_SIZE = 4096, SOCKET_PATH_SIZE = 108 };

enum {
	TAGS_MAX = 32,
	TAG_NAME_MAX_CHARACTERS = 64,
	TAG_VALUE_MAX_CHARACTERS = 256,
	FIELDS_MAX = 32, /* of one table: `present` has a bit each */
};

enum field_type {
	FIELD_NAME,	     /* char[NAME_SIZE]: [a-zA-Z0-9][a-zA-Z0-9._-]{0,62} */
	FIELD_PATH,	     /* char[max + 1]: absolute, no empty, "." or ".." component */
	FIELD_BOOL,	     /* bool */
	FIELD_INTEGER,	     /* int64_t, min to max */
	FIELD_CHOICE,	     /* int64_t: index into `choices` */
	FIELD_NUMBER_CHOICE, /* int64_t: min or max, nothing between */
	FIELD_MODE,	     /* int64_t: octal text */
	FIELD_HEX,	     /* char[2 * max + 1]: min to max bytes, kept as text */
	FIELD_TAGS,	     /* const json_t *, borrowed: object of strings */
	FIELD_TEXT,	     /* char[max + 1]: min to max printable ASCII characters */
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	bool required;
	bool nullable; /* null is as good as left out, but counts as present: the struct's default stays */
	int64_t min;
	int64_t max;
	const char *const *choices; /* ends with NULL */
};

#define FIELDS_COUNT(table) (sizeof(table) / sizeof((table)[0]))
/* A line of a table: `member` of struct `body` under its own name. */
#define FIELD(body, member, kind, ...)                                                                                             \
	{                                                                                                                          \
		.name = #member, .type = kind, .offset = offsetof(struct body, member), __VA_ARGS__                                \
	}

/* Fills `out` (whose defaults the caller has set) from `object`. *present: bit i for fields[i]. 0, or -EINVAL with the failure. */
int fields_parse(const struct field *fields, size_t count, const json_t *object, void *out, uint32_t *present,
		 struct failure *failure);

bool name_valid(const char *text);
bool path_valid(const char *text); /* absolute, in its only spelling */
bool tags_valid(const json_t *tags);

#endif
