#include "control/net_items.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int net_items_check(const struct net_field *items, json_t *body, struct failure *failure)
{
	struct net_field add = *items, remove = *items;
	struct net_field fields[] = {add, remove, {0}};
	json_t *removed = json_incref(json_object_get(body, "remove"));
	int rc;

	fields[0].name = "add";
	fields[1].name = "remove";
	/* What is removed need not be described whole. */
	json_object_del(body, "remove");
	rc = net_fields_check(fields, body, NET_WHOLE, NULL, failure);
	if (removed == NULL)
		return rc;
	json_object_set_new(body, "remove", removed);
	if (rc == 0) {
		json_t *named = json_pack("{s:O}", "remove", removed);

		rc = net_fields_check(fields, named, NET_NAMED, NULL, failure);
		json_decref(named);
	}
	return rc;
}

/* Item by key. */
static json_t *index_of(const struct net_field *items, const json_t *list)
{
	json_t *index = json_object(), *item;
	char key[NET_ITEM_KEY_SIZE];
	size_t at;

	json_array_foreach (list, at, item) {
		net_item_key(items->fields, item, key);
		json_object_set(index, key, item);
	}
	return index;
}

static int add_all(const struct net_field *items, json_t *index, const json_t *added, struct failure *failure)
{
	char key[NET_ITEM_KEY_SIZE];
	const json_t *there;
	json_t *item;
	size_t at;

	json_array_foreach (added, at, item) {
		net_item_key(items->fields, item, key);
		there = json_object_get(index, key);
		if (there != NULL && !json_equal(there, item))
			return failure_set(failure, ERROR_CONFLICT,
					   "Field \"add[%zu]\": there is one like that already, with other contents. Remove that "
					   "one in the same "
					   "request, or leave it.",
					   at);
		if (there == NULL)
			json_object_set(index, key, item);
	}
	return 0;
}

json_t *net_items_change(const struct net_field *items, const json_t *old, const json_t *body, struct failure *failure)
{
	json_t *index = index_of(items, old), *list = NULL, *item;
	char key[NET_ITEM_KEY_SIZE];
	const char *unused;
	size_t at;

	json_array_foreach (json_object_get(body, "remove"), at, item) {
		net_item_key(items->fields, item, key);
		json_object_del(index, key);
	}
	if (add_all(items, index, json_object_get(body, "add"), failure) < 0)
		goto out;
	if (json_object_size(index) > (size_t)items->max) {
		failure_set(failure, ERROR_LIMIT_REACHED, "There would be %zu %s; at most %lld are possible.",
			    json_object_size(index), items->name, (long long)items->max);
		goto out;
	}
	list = json_array();
	json_object_foreach (index, unused, item)
		json_array_append(list, item);
out:
	json_decref(index);
	return list;
}
