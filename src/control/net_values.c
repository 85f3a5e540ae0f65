#include "control/net_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/net_address.h"

/* A value, and where the answer goes. */
struct spot {
	const struct net_field *field;
	const json_t *value;
	const char *text; /* "" when it is none */
	json_t **normal;
	const struct net_where *where;
	struct failure *failure;
};

static int refuse(const struct spot *s, const char *says)
{
	return net_refuse(s->where, s->failure, says);
}

/* Only what is spelled otherwise is replaced. */
static int accept(const struct spot *s, const char *text)
{
	if (strcmp(s->text, text) != 0)
		*s->normal = json_string(text);
	return 0;
}

/* ---- simple ones ---- */

static int check_bool(const struct spot *s)
{
	return json_is_boolean(s->value) ? 0 : refuse(s, "must be true or false");
}

static int check_integer(const struct spot *s)
{
	json_int_t value = json_integer_value(s->value);
	char says[96];

	if (json_is_integer(s->value) && value >= s->field->min && value <= s->field->max)
		return 0;
	snprintf(says, sizeof(says), "must be a whole number from %lld to %lld", (long long)s->field->min,
		 (long long)s->field->max);
	return refuse(s, says);
}

static int check_choice(const struct spot *s)
{
	char says[160] = "must be one of";

	for (int i = 0; s->field->choices[i] != NULL; i++) {
		if (json_is_string(s->value) && strcmp(s->text, s->field->choices[i]) == 0)
			return 0;
		snprintf(says + strlen(says), sizeof(says) - strlen(says), "%s \"%s\"", i == 0 ? "" : ",", s->field->choices[i]);
	}
	return refuse(s, says);
}

static int check_text(const struct spot *s)
{
	char says[96];
	int64_t characters = 0;
	bool good = json_is_string(s->value);

	for (const char *c = s->text; *c != '\0'; c++) {
		characters += ((unsigned char)*c & 0xc0) != 0x80;
		good = good && !iscntrl((unsigned char)*c);
	}
	if (good && characters <= s->field->max)
		return 0;
	snprintf(says, sizeof(says), "must be a text of at most %lld characters on one line", (long long)s->field->max);
	return refuse(s, says);
}

static int check_tags(const struct spot *s)
{
	return tags_valid(s->value)
		       ? 0
		       : refuse(s, "must be an object of at most 32 tags, whose names have 1 to 64 characters, and whose "
				   "values are texts of at most 256");
}

/* RFC 1035 2.3.1, as it is used: labels of letters, digits and hyphens. */
static int check_domain(const struct spot *s)
{
	size_t length = strlen(s->text), label = 0;
	bool good = length > 0 && length < NET_NAME_SIZE;

	for (size_t i = 0; i < length; i++) {
		char c = s->text[i], after = s->text[i + 1];

		if (c == '.') {
			good = good && label > 0 && after != '\0';
			label = 0;
		} else {
			bool edge = label == 0 || after == '.' || after == '\0';

			good = good && (isalnum((unsigned char)c) || (c == '-' && !edge));
			label++;
		}
	}
	return good ? 0 : refuse(s, "must be a domain such as \"prod.internal\", of at most 63 characters");
}

static int check_mac(const struct spot *s)
{
	char text[MAC_TEXT_SIZE];
	struct mac mac;

	if (mac_parse(s->text, &mac) < 0)
		return refuse(s, "must be the MAC address of one interface, as in \"02:00:00:00:00:01\"");
	mac_format(&mac, text);
	return accept(s, text);
}

/* ---- addresses ---- */

static bool is_unicast(const struct net_address *a)
{
	static const struct net_address none;

	if (net_address_is_v4(a))
		return a->bytes[12] != 0 && a->bytes[12] < 224 && a->bytes[12] != 127;
	return a->bytes[0] != 0xff && !net_address_equal(a, &none);
}

static int check_address(const struct spot *s)
{
	char text[NET_ADDRESS_TEXT_SIZE];
	struct net_address address;

	if (net_address_parse(s->text, &address) < 0 || !is_unicast(&address))
		return refuse(s, "must be the address of one machine, as in \"10.0.0.10\" or \"fd00::10\"");
	net_address_format(&address, text);
	return accept(s, text);
}

static int check_cidr(const struct spot *s)
{
	char text[NET_PREFIX_TEXT_SIZE];
	struct net_prefix prefix;

	if (net_prefix_parse(s->text, &prefix) < 0)
		return refuse(s, "must be a block such as \"10.0.0.0/16\" or \"fd00::/64\", without bits beyond its length");
	net_prefix_format(&prefix, text);
	return accept(s, text);
}

static int check_block(const struct spot *s, const char *example, bool v4)
{
	char text[NET_PREFIX_TEXT_SIZE], says[160];
	struct net_prefix prefix;
	int64_t length;

	if (net_prefix_parse(s->text, &prefix) == 0) {
		bool is_v4 = prefix.length >= 96 && net_address_is_v4(&prefix.address);

		length = is_v4 ? prefix.length - 96 : prefix.length;
		if (is_v4 == v4 && length >= s->field->min && length <= s->field->max) {
			net_prefix_format(&prefix, text);
			return accept(s, text);
		}
	}
	snprintf(says, sizeof(says), "must be a block such as \"%s\", of /%lld to /%lld, without bits beyond its length", example,
		 (long long)s->field->min, (long long)s->field->max);
	return refuse(s, says);
}

static int check_cidr4(const struct spot *s)
{
	return check_block(s, "10.0.1.0/24", true);
}

static int check_cidr6(const struct spot *s)
{
	return check_block(s, "fd00:1::/64", false);
}

/* ---- protocols and ports ---- */

static const struct {
	const char *name;
	int number;
} protocols[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}};

enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]) };

static bool parse_number(const char *text, unsigned max, unsigned *out)
{
	size_t length = strlen(text);
	unsigned long value;

	if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
		return false;
	value = strtoul(text, NULL, 10);
	*out = (unsigned)value;
	return value <= max;
}

static int check_protocol(const struct spot *s)
{
	unsigned number;

	if (strcmp(s->text, "all") == 0)
		return 0;
	for (int i = 0; i < PROTOCOLS; i++)
		if (strcmp(s->text, protocols[i].name) == 0)
			return 0;
	if (json_is_integer(s->value) && json_integer_value(s->value) >= 0 && json_integer_value(s->value) <= 255)
		number = (unsigned)json_integer_value(s->value);
	else if (!json_is_string(s->value) || !parse_number(s->text, 255, &number))
		return refuse(s, "must be \"tcp\", \"udp\", \"icmp\", \"icmpv6\", \"all\", or the number of a protocol, 0 to 255");
	for (int i = 0; i < PROTOCOLS; i++)
		if ((int)number == protocols[i].number)
			return accept(s, protocols[i].name);
	if (json_is_string(s->value))
		*s->normal = json_integer(number);
	return 0;
}

bool net_ports_parse(const char *text, unsigned *first, unsigned *last)
{
	const char *dash = strchr(text, '-');
	char left[8];

	if (dash == NULL) {
		if (!parse_number(text, UINT16_MAX, first))
			return false;
		*last = *first;
		return true;
	}
	if ((size_t)(dash - text) >= sizeof(left))
		return false;
	memcpy(left, text, (size_t)(dash - text));
	left[dash - text] = '\0';
	return parse_number(left, UINT16_MAX, first) && parse_number(dash + 1, UINT16_MAX, last) && *first <= *last;
}

static int check_ports(const struct spot *s)
{
	unsigned first, last;
	char text[16];

	if (json_is_integer(s->value) && json_integer_value(s->value) >= 0 && json_integer_value(s->value) <= UINT16_MAX)
		first = last = (unsigned)json_integer_value(s->value);
	else if (!net_ports_parse(s->text, &first, &last))
		return refuse(s, "must be a port or a range of ports, as in \"80\" or \"1000-2000\"");
	if (first == last)
		snprintf(text, sizeof(text), "%u", first);
	else
		snprintf(text, sizeof(text), "%u-%u", first, last);
	return accept(s, text);
}

/* ---- references ---- */

#define MUST_BE_NAME "must be a name: 1 to 63 letters, digits, \".\", \"_\" or \"-\", of which the first is a letter or a digit"

static int check_reference(const struct spot *s)
{
	return name_valid(s->text) ? 0 : refuse(s, MUST_BE_NAME);
}

const char *net_target_name(const char *target, enum net_kind *kind)
{
	static const struct {
		const char *prefix;
		enum net_kind kind;
	} objects[] = {{"nat:", NET_NAT}, {"peering:", NET_PEERING}, {"eni:", NET_ENI}};

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		size_t length = strlen(objects[i].prefix);

		if (strncmp(target, objects[i].prefix, length) == 0) {
			*kind = objects[i].kind;
			return target + length;
		}
	}
	return NULL;
}

static int check_target(const struct spot *s)
{
	enum net_kind kind;
	const char *name = net_target_name(s->text, &kind);

	if (name != NULL ? name_valid(name) : strcmp(s->text, "internet") == 0 || strcmp(s->text, "blackhole") == 0)
		return 0;
	return refuse(s, "must be \"internet\", \"blackhole\", \"nat:NAME\", \"peering:NAME\" or \"eni:NAME\"");
}

/* ---- lists of them ---- */

static int check_element(const struct spot *s)
{
	switch (s->field->type) {
	case NET_ADDRESSES:
		return check_address(s);
	case NET_CIDRS:
		return check_cidr(s);
	default:
		return check_reference(s);
	}
}

static int check_list(const struct spot *s)
{
	json_t *list = (json_t *)(size_t)s->value, *value;
	size_t count = json_array_size(s->value), at;
	char says[96];

	if (!json_is_array(s->value) || count < (size_t)s->field->min || count > (size_t)s->field->max) {
		snprintf(says, sizeof(says), "must be a list of %lld to %lld", (long long)s->field->min, (long long)s->field->max);
		return refuse(s, says);
	}
	json_array_foreach (list, at, value) {
		struct net_where where = {s->where, NULL, at};
		json_t *normal = NULL;
		struct spot element = *s;

		element.value = value;
		element.text = json_is_string(value) ? json_string_value(value) : "";
		element.normal = &normal;
		element.where = &where;
		if (check_element(&element) < 0)
			return -EINVAL;
		if (normal != NULL)
			json_array_set_new(list, at, normal);
		for (size_t before = 0; before < at; before++)
			if (json_equal(json_array_get(list, before), json_array_get(list, at)))
				return refuse(&element, "is there twice");
	}
	return 0;
}

int net_value_check(const struct net_field *field, const json_t *value, json_t **normal, const struct net_where *where,
		    struct failure *failure)
{
	static int (*const checks[])(const struct spot *s) = {
		[NET_NAME] = check_reference,	   [NET_BOOL] = check_bool,
		[NET_INTEGER] = check_integer,	   [NET_CHOICE] = check_choice,
		[NET_TEXT] = check_text,	   [NET_TAGS] = check_tags,
		[NET_DOMAIN] = check_domain,	   [NET_MAC] = check_mac,
		[NET_ADDRESS] = check_address,	   [NET_ADDRESSES] = check_list,
		[NET_CIDR] = check_cidr,	   [NET_CIDR4] = check_cidr4,
		[NET_CIDR6] = check_cidr6,	   [NET_CIDRS] = check_list,
		[NET_PROTOCOL] = check_protocol,   [NET_PORTS] = check_ports,
		[NET_REFERENCE] = check_reference, [NET_REFERENCES] = check_list,
		[NET_TARGET] = check_target,
	};
	struct spot s = {field, value, json_is_string(value) ? json_string_value(value) : "", normal, where, failure};

	*normal = NULL;
	return checks[field->type](&s);
}
