#include "control/net_fields.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/net_values.h"

/* ---- messages ---- */

static void print_where(const struct net_where *where, char text[NET_WHERE_SIZE])
{
	size_t used;

	if (where == NULL) {
		text[0] = '\0';
		return;
	}
	print_where(where->up, text);
	used = strlen(text);
	if (where->name == NULL)
		snprintf(text + used, NET_WHERE_SIZE - used, "[%zu]", where->index);
	else
		snprintf(text + used, NET_WHERE_SIZE - used, "%s%s", used == 0 ? "" : ".", where->name);
}

int net_refuse(const struct net_where *where, struct failure *failure, const char *says)
{
	char text[NET_WHERE_SIZE];

	print_where(where, text);
	return failure_set(failure, ERROR_INVALID_FIELD, "Field \"%s\" %s.", text, says);
}

static int refuse_missing(const struct net_where *where, struct failure *failure)
{
	char text[NET_WHERE_SIZE];

	print_where(where, text);
	return failure_set(failure, ERROR_MISSING_FIELD, "Field \"%s\" is missing.", text);
}

static int refuse_unknown(const struct net_field *fields, const char *name, const struct net_where *up, struct failure *failure)
{
	char known[512] = "", text[NET_WHERE_SIZE];
	char cut[64];

	for (const struct net_field *f = fields; f->name != NULL; f++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", f == fields ? "" : ", ", f->name);
	snprintf(cut, sizeof(cut), "%s", name);
	print_where(&(struct net_where){up, cut, 0}, text);
	return failure_set(failure, ERROR_UNKNOWN_FIELD, "Field \"%s\" is not known; known are: %s.", text, known);
}

/* ---- items ---- */

void net_item_key(const struct net_field *fields, const json_t *item, char key[NET_ITEM_KEY_SIZE])
{
	size_t used = 0;

	key[0] = '\0';
	for (const struct net_field *f = fields; f->name != NULL; f++) {
		const json_t *value = json_object_get(item, f->name);

		if ((f->flags & NET_KEY) == 0)
			continue;
		if (json_is_string(value))
			used += (size_t)snprintf(key + used, NET_ITEM_KEY_SIZE - used, "%s|", json_string_value(value));
		else if (json_is_integer(value))
			used += (size_t)snprintf(key + used, NET_ITEM_KEY_SIZE - used, "#%lld|",
						 (long long)json_integer_value(value));
		else
			used += (size_t)snprintf(key + used, NET_ITEM_KEY_SIZE - used, "|");
		assert(used < NET_ITEM_KEY_SIZE); /* names and prefixes are short, once checked */
	}
}

static int check_unique(const struct net_field *fields, json_t *seen, const json_t *item, const struct net_where *where,
			struct failure *failure)
{
	char key[NET_ITEM_KEY_SIZE], says[128];
	const json_t *first;

	net_item_key(fields, item, key);
	first = json_object_get(seen, key);
	if (first == NULL) {
		json_object_set_new(seen, key, json_integer((json_int_t)where->index));
		return 0;
	}
	snprintf(says, sizeof(says), "is the same as %s[%lld]; each may be there once", where->up->name,
		 (long long)json_integer_value(first));
	return net_refuse(where, failure, says);
}

static int check_items(const struct net_field *field, json_t *list, enum net_how how, const struct net_where *where,
		       struct failure *failure)
{
	char says[96];
	json_t *seen, *item;
	size_t at;
	int rc = 0;

	if (!json_is_array(list) || json_array_size(list) > (size_t)field->max) {
		snprintf(says, sizeof(says), "must be a list of at most %lld objects", (long long)field->max);
		return net_refuse(where, failure, says);
	}
	seen = json_object();
	json_array_foreach (list, at, item) {
		struct net_where here = {where, NULL, at};

		rc = json_is_object(item) ? net_fields_check(field->fields, item, how, &here, failure)
					  : net_refuse(&here, failure, "must be an object");
		if (rc == 0 && field->check != NULL && how == NET_WHOLE)
			rc = field->check(item, &here, failure);
		if (rc == 0)
			rc = check_unique(field->fields, seen, item, &here, failure);
		if (rc < 0)
			break;
	}
	json_decref(seen);
	return rc;
}

/* ---- objects ---- */

static int check_value(const struct net_field *field, json_t *value, enum net_how how, json_t **normal,
		       const struct net_where *where, struct failure *failure)
{
	switch (field->type) {
	case NET_ITEMS:
		return check_items(field, value, how == NET_NAMED ? NET_NAMED : NET_WHOLE, where, failure);
	case NET_OBJECT:
		if (!json_is_object(value))
			return net_refuse(where, failure, "must be an object");
		return net_fields_check(field->fields, value, NET_WHOLE, where, failure);
	default:
		return net_value_check(field, value, normal, where, failure);
	}
}

static int check_present(const struct net_field *fields, json_t *object, enum net_how how, const struct net_where *up,
			 struct failure *failure)
{
	for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it)) {
		const char *name = json_object_iter_key(it);
		json_t *value = json_object_iter_value(it), *normal = NULL;
		const struct net_field *field = net_field_find(fields, name);
		struct net_where where = {up, name, 0};
		int rc;

		if (field == NULL)
			return refuse_unknown(fields, name, up, failure);
		if (json_is_null(value) && (field->flags & (NET_NULL | NET_OMIT | NET_AUTO)) != 0)
			continue;
		rc = check_value(field, value, how, &normal, &where, failure);
		if (rc < 0)
			return rc;
		if (normal != NULL)
			json_object_iter_set_new(object, it, normal);
	}
	return 0;
}

static int fill_in(const struct net_field *fields, json_t *object, const struct net_where *up, struct failure *failure)
{
	for (const struct net_field *f = fields; f->name != NULL; f++) {
		json_t *value = json_object_get(object, f->name);

		if (f->flags & NET_OMIT) {
			if (json_is_null(value))
				json_object_del(object, f->name);
			continue;
		}
		if (value != NULL)
			continue;
		if (f->flags & NET_REQUIRED)
			return refuse_missing(&(struct net_where){up, f->name, 0}, failure);
		value = f->fallback != NULL ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : json_null();
		assert(value != NULL);
		json_object_set_new(object, f->name, value);
	}
	return 0;
}

static int check_key(const struct net_field *fields, const json_t *item, const struct net_where *up, struct failure *failure)
{
	for (const struct net_field *f = fields; f->name != NULL; f++)
		if ((f->flags & NET_KEY) != 0 && (f->flags & NET_REQUIRED) != 0 && json_object_get(item, f->name) == NULL)
			return refuse_missing(&(struct net_where){up, f->name, 0}, failure);
	return 0;
}

int net_fields_check(const struct net_field *fields, json_t *object, enum net_how how, const struct net_where *where,
		     struct failure *failure)
{
	int rc = check_present(fields, object, how, where, failure);

	if (rc < 0)
		return rc;
	switch (how) {
	case NET_WHOLE:
		return fill_in(fields, object, where, failure);
	case NET_NAMED:
		return check_key(fields, object, where, failure);
	case NET_PART:
		break;
	}
	return 0;
}

const struct net_field *net_field_find(const struct net_field *fields, const char *name)
{
	for (const struct net_field *f = fields; f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* ---- for the card ---- */

static json_t *id_of(const struct net_field *field, enum net_kind kind, const char *name, struct net_resolver *resolver)
{
	char text[UUID_TEXT_SIZE];
	struct uuid id;

	if (resolver->resolve(resolver, field, kind, name, &id) < 0)
		return NULL;
	uuid_format(&id, text);
	return json_string(text);
}

static json_t *ids_of(const struct net_field *field, const json_t *names, struct net_resolver *resolver)
{
	json_t *list = json_array(), *name;
	size_t at;

	json_array_foreach (names, at, name) {
		json_t *id = id_of(field, field->kind, json_string_value(name), resolver);

		if (id == NULL) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, id);
	}
	return list;
}

static bool names_somebody(const struct net_field *fields, const json_t *item)
{
	for (const struct net_field *f = fields; f->name != NULL; f++)
		if ((f->type == NET_REFERENCE || f->type == NET_TARGET) && json_object_get(item, f->name) != NULL)
			return true;
	return false;
}

static json_t *items_for_card(const struct net_field *field, const json_t *items, struct net_resolver *resolver)
{
	json_t *list = json_array(), *item;
	size_t at;

	json_array_foreach (items, at, item) {
		json_t *said = names_somebody(field->fields, item) ? net_fields_for_card(field->fields, item, resolver)
								   : json_incref(item);

		if (said == NULL) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, said);
	}
	return list;
}

/* "nat:NAME" is told as a target and an id. False: nobody has that name. */
static bool set_target(json_t *out, const struct net_field *field, const char *text, struct net_resolver *resolver)
{
	const char *name;
	enum net_kind kind;
	json_t *id;

	name = net_target_name(text, &kind);
	if (name == NULL) {
		json_object_set_new(out, field->name, json_string(text));
		return true;
	}
	id = id_of(field, kind, name, resolver);
	json_object_set_new(out, field->name, json_stringn(text, (size_t)(name - text) - 1));
	return id != NULL && json_object_set_new(out, "id", id) == 0;
}

json_t *net_fields_for_card(const struct net_field *fields, const json_t *object, struct net_resolver *resolver)
{
	json_t *out = json_object();

	for (const struct net_field *f = fields; f->name != NULL; f++) {
		json_t *value = json_object_get(object, f->name), *said = NULL;

		if (value == NULL || json_is_null(value) || (f->flags & NET_PRIVATE) != 0)
			continue;
		if (f->type == NET_TARGET) {
			if (set_target(out, f, json_string_value(value), resolver))
				continue;
		} else if (f->type == NET_REFERENCE) {
			said = id_of(f, f->kind, json_string_value(value), resolver);
		} else if (f->type == NET_REFERENCES) {
			said = ids_of(f, value, resolver);
		} else if (f->type == NET_ITEMS) {
			said = items_for_card(f, value, resolver);
		} else {
			said = json_incref(value);
		}
		if (said == NULL) {
			json_decref(out);
			return NULL;
		}
		json_object_set_new(out, f->name, said);
	}
	return out;
}
