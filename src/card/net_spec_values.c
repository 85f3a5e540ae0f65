#include "card/net_spec_values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ALLOWANCE_MAX = INT64_C(1) << 50 };

static int bad_address(const struct fields *f, const char *field)
{
	return fields_refuse(f, field, "must be an IPv4 or IPv6 address");
}

int value_address(const struct fields *f, const char *field, struct net_address *out)
{
	const char *text = json_string_value(json_object_get(f->object, field));

	return text != NULL && net_address_parse(text, out) == 0 ? 0 : bad_address(f, field);
}

int value_prefix(const struct fields *f, const char *field, struct net_prefix *out)
{
	const char *text = json_string_value(json_object_get(f->object, field));

	if (text == NULL || net_prefix_parse(text, out) != 0)
		return fields_refuse(f, field, "must be a CIDR block, such as 10.0.0.0/16");
	return 0;
}

int value_mac(const struct fields *f, struct mac *out)
{
	const char *text = json_string_value(json_object_get(f->object, "mac"));

	return text != NULL && mac_parse(text, out) == 0 ? 0 : fields_refuse(f, "mac", "must be a unicast MAC address");
}

int value_optional_uuid(const struct fields *f, const char *field, bool *has, struct uuid *out)
{
	*has = fields_has(f, field);
	return *has ? fields_uuid(f, field, out) : 0;
}

int value_choice(const struct fields *f, const char *field, const char *const *choices)
{
	const char *text = json_string_value(json_object_get(f->object, field));
	char what[128] = "must be one of";
	int index;

	for (index = 0; text != NULL && choices[index] != NULL; index++)
		if (strcmp(text, choices[index]) == 0)
			return index;
	for (index = 0; choices[index] != NULL; index++) {
		size_t used = strlen(what);

		snprintf(what + used, sizeof(what) - used, "%s %s", index == 0 ? "" : ",", choices[index]);
	}
	return fields_refuse(f, field, what);
}

int value_uint32(const struct fields *f, const char *field, bool required, json_int_t min, json_int_t max, uint32_t *out)
{
	json_int_t value = *out;
	int rc = fields_number(f, field, required, min, max, &value);

	*out = (uint32_t)value;
	return rc;
}

int value_amount(const struct fields *f, const char *field, uint64_t *out)
{
	json_int_t value = 0;
	int rc = fields_number(f, field, false, 0, ALLOWANCE_MAX, &value);

	*out = (uint64_t)value;
	return rc;
}

struct fields value_inside(const struct fields *f, const json_t *object)
{
	return (struct fields){.object = object, .error = f->error, .error_size = f->error_size};
}

int value_in_item(const struct fields *f, const char *list, size_t index)
{
	char said[256];

	snprintf(said, sizeof(said), "%s", f->error);
	snprintf(f->error, f->error_size, "%s[%zu]: %s", list, index, said);
	return -EINVAL;
}
