#include "control/net_change.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"

/* ---- what it consists of ---- */

void net_change_open(struct net_change *change, struct store *store)
{
	*change = (struct net_change){.store = store, .subnets = json_object()};
	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		change->index[kind] = json_object();
}

static void item_free(struct net_item *item)
{
	net_row_clear(&item->row);
	json_decref(item->object);
	json_decref(item->said);
	free(item->references);
	free(item);
}

void net_change_close(struct net_change *change)
{
	for (size_t i = 0; i < change->count; i++)
		item_free(change->items[i]);
	for (int kind = 0; kind < NET_KIND_COUNT; kind++)
		json_decref(change->index[kind]);
	json_decref(change->subnets);
	free(change->items);
	free(change->known);
	*change = (struct net_change){0};
}

static struct net_item *add_item(struct net_change *change)
{
	struct net_item *item;

	if (change->count == change->capacity) {
		size_t capacity = 2 * change->capacity + 16;
		struct net_item **items = realloc(change->items, capacity * sizeof(struct net_item *));

		if (items == NULL)
			return NULL;
		change->items = items;
		change->capacity = capacity;
	}
	item = calloc(1, sizeof(*item));
	if (item != NULL)
		change->items[change->count++] = item;
	return item;
}

struct net_item *net_change_put(struct net_change *change, enum net_kind kind, json_t *object, const struct net_row *old)
{
	struct net_item *item = add_item(change);

	if (item == NULL) {
		json_decref(object);
		return NULL;
	}
	item->object = object;
	item->created = old == NULL;
	item->row.kind = kind;
	snprintf(item->row.name, NAME_SIZE, "%s", json_string_value(json_object_get(object, "name")));
	if (old != NULL) {
		item->row.id = old->id;
		item->row.vpc = old->vpc;
		item->row.created_s = old->created_s;
	} else {
		item->row.created_s = (int64_t)time(NULL);
		if (uuid_generate(&item->row.id) < 0)
			return NULL;
	}
	return item;
}

int net_change_delete(struct net_change *change, const struct net_row *row)
{
	struct net_item *item = add_item(change);

	if (item == NULL)
		return -ENOMEM;
	item->row.id = row->id;
	item->row.kind = row->kind;
	memcpy(item->row.name, row->name, NAME_SIZE);
	return 0;
}

int net_object_texts(enum net_kind kind, const json_t *object, struct net_row *row)
{
	const char *items = net_kinds[kind].items;
	json_t *body = json_copy((json_t *)(size_t)object);
	const json_t *list = items == NULL ? NULL : json_object_get(object, items);

	net_row_clear(row);
	if (list != NULL) {
		row->items = json_dumps(list, JSON_COMPACT);
		row->item_count = (int64_t)json_array_size(list);
		json_object_del(body, items);
	}
	row->body = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return row->body == NULL || (list != NULL && row->items == NULL) ? -ENOMEM : 0;
}

json_t *net_object_of(const struct net_row *row)
{
	json_t *object = json_loads(row->body, 0, NULL), *items;

	if (object == NULL || row->items == NULL)
		return object;
	items = json_loads(row->items, 0, NULL);
	if (items == NULL) {
		json_decref(object);
		return NULL;
	}
	json_object_set_new(object, net_kinds[row->kind].items, items);
	return object;
}

/* ---- failures ---- */

/* What is wrong with an item names it. Always -EINVAL. */
static int blame(const struct net_item *item, struct failure *failure)
{
	char says[FAILURE_MESSAGE_SIZE];

	snprintf(says, sizeof(says), "%s", failure->message);
	return failure_set(failure, failure->code, "%s \"%s\": %s", net_kinds[item->row.kind].title, item->row.name, says);
}

static int fail(const struct net_item *item, int rc, struct failure *failure)
{
	char what[NAME_SIZE + 48];

	snprintf(what, sizeof(what), "change %s \"%s\"", net_kinds[item->row.kind].word, item->row.name);
	return store_failure(failure, rc, what);
}

/* ---- looking up ---- */

static int remember(struct net_change *change, enum net_kind kind, const char *name, const struct net_known *known)
{
	if (change->known_count == change->known_capacity) {
		size_t capacity = 2 * change->known_capacity + 64;
		struct net_known *more = realloc(change->known, capacity * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		change->known = more;
		change->known_capacity = capacity;
	}
	change->known[change->known_count] = *known;
	return json_object_set_new(change->index[kind], name, json_integer((json_int_t)change->known_count++)) == 0 ? 0 : -ENOMEM;
}

/* NULL with the failure. Good until the next one is looked up. */
static struct net_known *look_up(struct net_change *change, const struct net_field *field, enum net_kind kind, const char *name,
				 struct failure *failure)
{
	const json_t *place = json_object_get(change->index[kind], name);
	struct net_known known = {0};
	int rc;

	if (place != NULL)
		return &change->known[json_integer_value(place)];
	rc = store_net_find(change->store, kind, name, &known.id, &known.vpc);
	if (rc == 0)
		rc = remember(change, kind, name, &known);
	if (rc == 0)
		return &change->known[change->known_count - 1];
	if (rc == -ENOENT)
		failure_set(failure, ERROR_OBJECT_NOT_FOUND,
			    "Field \"%s\" names %s \"%s\", which does not exist; `outboard %s list` shows those that do.",
			    field->name, net_kinds[kind].word, name, net_kinds[kind].word);
	else
		store_failure(failure, rc, "look up a name");
	return NULL;
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

/* Which VPC an object belongs to: it says so itself, or its subnet does. */
static int find_vpc(struct net_change *change, struct net_item *item, struct failure *failure)
{
	const struct net_field *fields = net_kinds[item->row.kind].fields;
	const char *vpc = text_of(item->object, "vpc"), *subnet = text_of(item->object, "subnet");
	const struct net_known *known;

	if (item->row.kind == NET_VPC) {
		item->row.vpc = item->row.id;
		return 0;
	}
	if (vpc == NULL && subnet == NULL)
		return 0;
	known = vpc != NULL ? look_up(change, net_field_find(fields, "vpc"), NET_VPC, vpc, failure)
			    : look_up(change, net_field_find(fields, "subnet"), NET_SUBNET, subnet, failure);
	if (known == NULL)
		return -EINVAL;
	item->row.vpc = vpc != NULL ? known->id : known->vpc;
	return 0;
}

const json_t *net_change_subnet(struct net_change *change, const char *name)
{
	const json_t *subnet = json_object_get(change->subnets, name);
	struct net_row row;

	if (subnet != NULL || store_net_get(change->store, NET_SUBNET, name, &row) < 0)
		return subnet;
	json_object_set_new(change->subnets, name, net_object_of(&row));
	net_row_clear(&row);
	return json_object_get(change->subnets, name);
}

/* ---- names to ids ---- */

struct resolving {
	struct net_resolver resolver;
	struct net_change *change;
	struct net_item *item;
	size_t number; /* 1 + its place */
};

static int refer(struct net_item *item, const struct uuid *id)
{
	/* Capacity is the next power of two: it grows when the count is one. */
	if ((item->reference_count & (item->reference_count - 1)) == 0) {
		size_t capacity = item->reference_count == 0 ? 1 : 2 * item->reference_count;
		struct uuid *more = realloc(item->references, capacity * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		item->references = more;
	}
	item->references[item->reference_count++] = *id;
	return 0;
}

static int resolve_name(struct net_resolver *resolver, const struct net_field *field, enum net_kind kind, const char *name,
			struct uuid *id)
{
	struct resolving *r = container_of(resolver, struct resolving, resolver);
	struct net_known *known = look_up(r->change, field, kind, name, resolver->failure);

	if (known == NULL)
		return -EINVAL;
	if ((field->flags & NET_SAME_VPC) != 0 && memcmp(&known->vpc, &r->item->row.vpc, sizeof(known->vpc)) != 0)
		return failure_set(resolver->failure, ERROR_INVALID_FIELD, "Field \"%s\" names %s \"%s\", which is of another VPC.",
				   field->name, net_kinds[kind].word, name);
	*id = known->id;
	if (known->seen_by == r->number)
		return 0;
	known->seen_by = r->number;
	return refer(r->item, id) == 0 ? 0 : store_failure(resolver->failure, -ENOMEM, "note a reference");
}

static int describe(struct net_change *change, size_t at, struct failure *failure)
{
	struct net_item *item = change->items[at];
	struct resolving r = {{resolve_name, failure}, change, item, at + 1};
	char id[UUID_TEXT_SIZE];

	item->said = net_fields_for_card(net_kinds[item->row.kind].fields, item->object, &r.resolver);
	if (item->said == NULL)
		return blame(item, failure);
	uuid_format(&item->row.id, id);
	json_object_set_new(item->said, "id", json_string(id));
	return 0;
}

int net_change_describe(struct net_change *change, struct failure *failure)
{
	for (size_t i = 0; i < change->count; i++) {
		int rc = describe(change, i, failure);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- resolving ---- */

static int by_kind(const void *a, const void *b)
{
	const struct net_item *x = *(struct net_item *const *)a, *y = *(struct net_item *const *)b;
	int order = (x->row.kind > y->row.kind) - (x->row.kind < y->row.kind);

	return order != 0 ? order : strcmp(x->row.name, y->row.name);
}

static int unlink_all(struct net_change *change)
{
	for (size_t i = 0; i < change->count; i++) {
		int rc = change->items[i]->created ? 0 : store_net_unlink(change->store, &change->items[i]->row.id);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int refuse_deletion(struct net_change *change, const struct net_item *item, struct failure *failure)
{
	struct net_attachment_row attachment;
	char name[NAME_SIZE], others[48] = "";
	enum net_kind kind;
	int64_t count = 0;
	int rc;

	if (item->row.kind == NET_ENI && store_net_attachment_get(change->store, &item->row.id, &attachment) == 0)
		return failure_set(failure, ERROR_ENI_ATTACHED, "ENI \"%s\" is attached. `outboard eni detach %s` first.",
				   item->row.name, item->row.name);
	rc = store_net_referrer(change->store, &item->row.id, &kind, name, &count);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return fail(item, rc, failure);
	if (count > 1)
		snprintf(others, sizeof(others), ", and by %lld more", (long long)count - 1);
	return failure_set(failure, ERROR_OBJECT_IN_USE, "%s \"%s\" is used by %s \"%s\"%s. Delete or change what uses it first.",
			   net_kinds[item->row.kind].title, item->row.name, net_kinds[kind].word, name, others);
}

static int delete_all(struct net_change *change, struct failure *failure)
{
	for (size_t i = 0; i < change->count; i++) {
		const struct net_item *item = change->items[i];
		int rc;

		if (item->object != NULL)
			continue;
		if (refuse_deletion(change, item, failure) < 0)
			return -EINVAL;
		rc = store_net_delete(change->store, &item->row.id);
		if (rc < 0)
			return fail(item, rc, failure);
	}
	return 0;
}

/* What a guest of this card is attached to stays on this card. */
static int refuse_move(struct net_change *change, const struct net_item *item, struct failure *failure)
{
	struct net_attachment_row attachment;

	if (item->row.kind != NET_ENI || item->created || text_of(item->object, "host") == NULL ||
	    store_net_attachment_get(change->store, &item->row.id, &attachment) < 0)
		return 0;
	return failure_set(failure, ERROR_ENI_ATTACHED,
			   "It is attached here, and cannot be on another host. `outboard eni detach %s` first.", item->row.name);
}

/* The rows without their contents, so that every name can be looked up. */
static int announce(struct net_change *change, struct net_item *item, struct failure *failure)
{
	struct net_row row;
	int rc = find_vpc(change, item, failure);

	if (rc == 0)
		rc = refuse_move(change, item, failure);
	if (rc < 0)
		return blame(item, failure);
	row = item->row;
	row.body = "";
	row.items = NULL;
	rc = store_net_put(change->store, &row);
	if (rc < 0)
		return fail(item, rc, failure);
	if (row.kind == NET_SUBNET)
		json_object_set(change->subnets, row.name, item->object);
	return 0;
}

static int claim_given(struct net_change *change, struct net_item *item, struct failure *failure)
{
	return net_claim_given(change, item, failure) < 0 ? blame(item, failure) : 0;
}

static int claim_automatic(struct net_change *change, struct net_item *item, struct failure *failure)
{
	return net_claim_automatic(change, item, failure) < 0 ? blame(item, failure) : 0;
}

static int each_put(struct net_change *change, struct failure *failure,
		    int (*step)(struct net_change *change, struct net_item *item, struct failure *failure))
{
	for (size_t i = 0; i < change->count; i++)
		if (change->items[i]->object != NULL && step(change, change->items[i], failure) < 0)
			return -EINVAL;
	return 0;
}

static int finish(struct net_change *change, size_t at, struct failure *failure)
{
	struct net_item *item = change->items[at];
	int rc;

	if (item->object == NULL)
		return 0;
	if (describe(change, at, failure) < 0)
		return -EINVAL;
	rc = net_object_texts(item->row.kind, item->object, &item->row);
	return rc < 0 ? fail(item, rc, failure) : 0;
}

static int check_count(struct net_change *change, struct failure *failure)
{
	int64_t count;
	int rc = store_net_count(change->store, &count);

	if (rc < 0)
		return store_failure(failure, rc, "count what there is");
	if (count > NET_OBJECTS_MAX)
		return failure_set(failure, ERROR_LIMIT_REACHED, "There would be %lld objects; at most %d are possible.",
				   (long long)count, NET_OBJECTS_MAX);
	return 0;
}

int net_change_resolve(struct net_change *change, struct failure *failure)
{
	int rc;

	if (change->count > 0)
		qsort(change->items, change->count, sizeof(change->items[0]), by_kind);
	rc = unlink_all(change);
	if (rc < 0)
		return store_failure(failure, rc, "change the network");
	/* What is given is claimed before anything is found automatically, so that nothing is found that is given further down. */
	if (delete_all(change, failure) < 0 || each_put(change, failure, announce) < 0 || check_count(change, failure) < 0 ||
	    each_put(change, failure, claim_given) < 0 || each_put(change, failure, claim_automatic) < 0)
		return -EINVAL;
	for (size_t i = 0; i < change->count; i++)
		if (finish(change, i, failure) < 0)
			return -EINVAL;
	return 0;
}

/* ---- writing ---- */

static int write_references(struct net_change *change, const struct net_item *item)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < item->reference_count; i++)
		rc = store_net_refer(change->store, &item->row.id, &item->references[i]);
	return rc;
}

int net_change_write(struct net_change *change)
{
	int rc = unlink_all(change);

	for (size_t i = 0; rc == 0 && i < change->count; i++) {
		const struct net_item *item = change->items[i];

		if (item->object == NULL)
			rc = store_net_delete(change->store, &item->row.id);
		else
			rc = store_net_put(change->store, &item->row);
		for (unsigned j = 0; rc == 0 && j < item->claim_count; j++)
			rc = store_net_claim(change->store, &item->claims[j], &item->row.id);
		if (rc == 0)
			rc = write_references(change, item);
	}
	return rc;
}

json_t *net_change_message(const struct net_change *change, bool reset)
{
	json_t *changes = json_array();

	for (size_t i = 0; i < change->count; i++) {
		const struct net_item *item = change->items[i];
		char id[UUID_TEXT_SIZE];

		uuid_format(&item->row.id, id);
		json_array_append_new(changes, json_pack("{s:s,s:s,s:o}", "kind", net_kinds[item->row.kind].word, "id", id,
							 "object", item->said == NULL ? json_null() : json_incref(item->said)));
	}
	return json_pack("{s:s,s:b,s:o}", "op", "net_apply", "reset", (int)reset, "changes", changes);
}
