#include "control/fields.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct target {
	const struct field *field;
	const json_t *value;
	void *place;
	struct failure *failure;
};

static int refuse(const struct target *t, const char *must_be)
{
	return failure_set(t->failure, ERROR_INVALID_FIELD, "Field \"%s\" must be %s.", t->field->name, must_be);
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool name_valid(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length >= NAME_SIZE || !is_letter_or_digit(text[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!is_letter_or_digit(text[i]) && strchr("._-", text[i]) == NULL)
			return false;
	return true;
}

static int parse_name(const struct target *t)
{
	const char *text = json_string_value(t->value);

	if (text == NULL || !name_valid(text))
		return refuse(t,
			      "a name: 1 to 63 letters, digits, \".\", \"_\" or \"-\", of which the first is a letter or a digit");
	strcpy(t->place, text);
	return 0;
}

/* Only one spelling of a path: two volumes must not share a file under two names. */
bool path_valid(const char *text)
{
	if (text[0] != '/' || text[1] == '\0')
		return false;
	while (*text == '/') {
		size_t length = strcspn(++text, "/");

		if (length == 0 || (length == 1 && text[0] == '.') || (length == 2 && text[0] == '.' && text[1] == '.'))
			return false;
		text += length;
	}
	return true;
}

static int parse_path(const struct target *t)
{
	const char *text = json_string_value(t->value);
	char what[96];

	if (text == NULL || strlen(text) > (size_t)t->field->max || !path_valid(text)) {
		snprintf(what, sizeof(what), "an absolute path of at most %" PRId64 " bytes, without \"//\", \".\" and \"..\"",
			 t->field->max);
		return refuse(t, what);
	}
	strcpy(t->place, text);
	return 0;
}

static int parse_bool(const struct target *t)
{
	if (!json_is_boolean(t->value))
		return refuse(t, "true or false");
	*(bool *)t->place = json_is_true(t->value);
	return 0;
}

static int parse_integer(const struct target *t)
{
	json_int_t value = json_integer_value(t->value);
	char what[96];

	if (!json_is_integer(t->value) || value < t->field->min || value > t->field->max) {
		snprintf(what, sizeof(what), "a whole number from %" PRId64 " to %" PRId64, t->field->min, t->field->max);
		return refuse(t, what);
	}
	*(int64_t *)t->place = value;
	return 0;
}

static int parse_number_choice(const struct target *t)
{
	json_int_t value = json_integer_value(t->value);
	char what[64];

	if (!json_is_integer(t->value) || (value != t->field->min && value != t->field->max)) {
		snprintf(what, sizeof(what), "%" PRId64 " or %" PRId64, t->field->min, t->field->max);
		return refuse(t, what);
	}
	*(int64_t *)t->place = value;
	return 0;
}

static int parse_choice(const struct target *t)
{
	const char *text = json_string_value(t->value);
	char what[128] = "one of";

	for (int i = 0; t->field->choices[i] != NULL; i++) {
		size_t used = strlen(what);

		if (text != NULL && strcmp(text, t->field->choices[i]) == 0) {
			*(int64_t *)t->place = i;
			return 0;
		}
		snprintf(what + used, sizeof(what) - used, "%s \"%s\"", i == 0 ? "" : ",", t->field->choices[i]);
	}
	return refuse(t, what);
}

static int parse_mode(const struct target *t)
{
	const char *text = json_string_value(t->value);
	size_t length = json_string_length(t->value);
	int64_t mode = 0;

	if (text == NULL || !(length == 3 || (length == 4 && text[0] == '0')) || strspn(text, "01234567") != length)
		return refuse(t, "octal permissions, as in \"0660\"");
	for (; *text != '\0'; text++)
		mode = mode * 8 + (*text - '0');
	*(int64_t *)t->place = mode;
	return 0;
}

static int parse_hex(const struct target *t)
{
	const char *text = json_string_value(t->value);
	size_t length = json_string_length(t->value);
	char what[96];

	if (text == NULL || length % 2 != 0 || length < 2 * (size_t)t->field->min || length > 2 * (size_t)t->field->max ||
	    strspn(text, "0123456789abcdefABCDEF") != length) {
		snprintf(what, sizeof(what), "%" PRId64 " to %" PRId64 " bytes in hexadecimal", t->field->min, t->field->max);
		return refuse(t, what);
	}
	strcpy(t->place, text);
	return 0;
}

static size_t characters(const json_t *string)
{
	size_t count = 0;

	for (const char *c = json_string_value(string); *c != '\0'; c++)
		count += ((unsigned char)*c & 0xc0) != 0x80; /* UTF-8: every byte that does not continue a character */
	return count;
}

bool tags_valid(const json_t *tags)
{
	const char *name;
	json_t *value;

	if (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX)
		return false;
	json_object_foreach ((json_t *)(size_t)tags, name, value) {
		json_t *name_text = json_string(name);
		bool good = name_text != NULL && name[0] != '\0' && characters(name_text) <= TAG_NAME_MAX_CHARACTERS &&
			    json_is_string(value) && characters(value) <= TAG_VALUE_MAX_CHARACTERS;

		json_decref(name_text);
		if (!good)
			return false;
	}
	return true;
}

static int parse_tags(const struct target *t)
{
	if (!tags_valid(t->value))
		return refuse(t,
			      "an object of at most 32 tags, whose names have 1 to 64 characters, and whose values are texts of at "
			      "most 256");
	*(const json_t **)t->place = t->value;
	return 0;
}

static int parse_text(const struct target *t)
{
	const char *text = json_string_value(t->value);
	size_t length = json_string_length(t->value);
	bool good = text != NULL && length >= (size_t)t->field->min && length <= (size_t)t->field->max;
	char what[96];

	for (size_t i = 0; good && i < length; i++)
		good = text[i] >= ' ' && text[i] <= '~';
	if (!good) {
		snprintf(what, sizeof(what), "a text of %" PRId64 " to %" PRId64 " printable characters", t->field->min,
			 t->field->max);
		return refuse(t, what);
	}
	strcpy(t->place, text);
	return 0;
}

static int parse_one(const struct target *t)
{
	static int (*const parsers[])(const struct target *) = {
		[FIELD_NAME] = parse_name,	 [FIELD_PATH] = parse_path,	[FIELD_BOOL] = parse_bool,
		[FIELD_INTEGER] = parse_integer, [FIELD_CHOICE] = parse_choice, [FIELD_NUMBER_CHOICE] = parse_number_choice,
		[FIELD_MODE] = parse_mode,	 [FIELD_HEX] = parse_hex,	[FIELD_TAGS] = parse_tags,
		[FIELD_TEXT] = parse_text,
	};

	if (json_is_null(t->value) && t->field->nullable)
		return 0;
	return parsers[t->field->type](t);
}

static const struct field *find(const struct field *fields, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static int refuse_unknown(const struct field *fields, size_t count, const char *name, struct failure *failure)
{
	char known[512] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i == 0 ? "" : ", ", fields[i].name);
	if (count == 0)
		return failure_set(failure, ERROR_UNKNOWN_FIELD, "Field \"%.100s\" is not known; no fields are expected here.",
				   name);
	return failure_set(failure, ERROR_UNKNOWN_FIELD, "Field \"%.100s\" is not known; known are: %s.", name, known);
}

int fields_parse(const struct field *fields, size_t count, const json_t *object, void *out, uint32_t *present,
		 struct failure *failure)
{
	const char *name;
	json_t *value;

	assert(count <= FIELDS_MAX);
	*present = 0;
	json_object_foreach ((json_t *)(size_t)object, name, value) {
		const struct field *field = find(fields, count, name);
		struct target t = {field, value, NULL, failure};
		int rc;

		if (field == NULL)
			return refuse_unknown(fields, count, name, failure);
		t.place = (char *)out + field->offset;
		rc = parse_one(&t);
		if (rc < 0)
			return rc;
		*present |= 1u << (field - fields);
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && (*present & 1u << i) == 0)
			return failure_set(failure, ERROR_MISSING_FIELD, "Field \"%s\" is missing.", fields[i].name);
	return 0;
}
