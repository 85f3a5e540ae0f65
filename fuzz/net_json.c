/*
 * Objects of VPCs as a client sends them: the first byte chooses kind and way, the rest is text. What is accepted must be accepted
 * again without a change (one spelling), must be what the store and the card can be told of, and what rules are changed by must
 * leave a list that is accepted. What is refused has a code and a sentence that can be sent.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/list.h"
#include "control/http.h"
#include "control/net_bodies.h"
#include "control/net_items.h"
#include "control/net_kinds.h"

enum { WAYS = NET_KIND_COUNT, LOAD = 3 * WAYS, ATTACH, TRACE, CAPTURE, CHOICES };

static int resolve(struct net_resolver *resolver, const struct net_field *field, enum net_kind kind, const char *name,
		   struct uuid *id)
{
	assert(field->name != NULL && kind < NET_KIND_COUNT && name_valid(name));
	if (name[0] == '0')
		return failure_set(resolver->failure, ERROR_OBJECT_NOT_FOUND, "Nobody.");
	*id = (struct uuid){{1}};
	return 0;
}

static int whole(enum net_kind kind, json_t *object, struct failure *failure)
{
	struct net_resolver resolver = {resolve, failure};
	int rc = net_kind_check(kind, object, NET_WHOLE, failure);
	json_t *again, *said;

	if (rc < 0)
		return rc;
	again = json_deep_copy(object);
	assert(net_kind_check(kind, again, NET_WHOLE, failure) == 0);
	assert(json_equal(again, object));
	json_decref(again);
	assert(name_valid(json_string_value(json_object_get(object, "name"))));
	said = net_fields_for_card(net_kinds[kind].fields, object, &resolver);
	assert(said != NULL || failure->code == ERROR_OBJECT_NOT_FOUND);
	json_decref(said);
	return 0;
}

static int part(enum net_kind kind, json_t *object, struct failure *failure)
{
	int rc = net_kind_check(kind, object, NET_PART, failure);
	json_t *again;

	if (rc < 0)
		return rc;
	again = json_deep_copy(object);
	assert(net_kind_check(kind, again, NET_PART, failure) == 0);
	assert(json_equal(again, object));
	json_decref(again);
	return 0;
}

static int items(enum net_kind kind, json_t *body, struct failure *failure)
{
	const struct net_field *field = net_kind_items(kind);
	json_t *none = json_array(), *list, *object;
	int rc = field == NULL ? -1 : net_items_check(field, body, failure);

	if (rc == 0) {
		list = net_items_change(field, none, body, failure);
		assert(list != NULL); /* to nothing anything can be added */
		object = json_pack("{s:s,s:s,s:o}", "name", "n", "vpc", "v", field->name, list);
		assert(net_kind_check(kind, object, NET_WHOLE, failure) == 0);
		json_decref(object);
	}
	json_decref(none);
	return field == NULL ? 0 : rc;
}

static int load(json_t *body, struct failure *failure)
{
	int rc = net_fields_check(net_load_fields, body, NET_WHOLE, NULL, failure);
	json_t *object;
	size_t at;

	for (int kind = 0; rc == 0 && kind < NET_KIND_COUNT; kind++)
		json_array_foreach (json_object_get(body, net_kinds[kind].list), at, object) {
			rc = net_kind_complete((enum net_kind)kind, object, failure);
			if (rc < 0)
				break;
			assert(net_kind_check((enum net_kind)kind, object, NET_WHOLE, failure) == 0);
		}
	return rc;
}

static int attach(const json_t *body, struct failure *failure)
{
	struct eni_attach_body out;
	int rc = body_eni_attach(body, &out, failure);

	assert(rc < 0 || (out.queues >= 1 && out.queues <= ENI_QUEUES_MAX && out.mode <= 0777));
	assert(rc < 0 || (out.kind == NET_ATTACHMENT_TAP) == (out.tap[0] != '\0'));
	assert(rc < 0 || out.tap[0] == '\0' || (strchr(out.tap, '/') == NULL && strchr(out.tap, '%') == NULL));
	assert(rc < 0 || strstr(out.netns, "..") == NULL || name_valid(out.netns) || path_valid(out.netns));
	return rc;
}

static int choose(unsigned which, json_t *body, struct failure *failure)
{
	struct eni_trace_body trace;
	struct eni_capture_body capture;

	switch (which) {
	case LOAD:
		return load(body, failure);
	case ATTACH:
		return attach(body, failure);
	case TRACE:
		return body_eni_trace(body, &trace, failure);
	case CAPTURE:
		return body_eni_capture(body, &capture, failure);
	default:
		break;
	}
	if (which < WAYS)
		return whole((enum net_kind)which, body, failure);
	if (which < 2 * WAYS)
		return part((enum net_kind)(which - WAYS), body, failure);
	return items((enum net_kind)(which - 2 * WAYS), body, failure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct failure failure = {0};
	json_t *body = NULL;
	int rc;

	if (size == 0)
		return 0;
	rc = http_parse_body((const char *)data + 1, size - 1, &body, &failure);
	if (rc == 0)
		rc = choose(data[0] % CHOICES, body, &failure);
	if (rc < 0) {
		assert(failure.code > ERROR_NONE && failure.code < ERROR_COUNT);
		assert(failure.message[0] != '\0' && strlen(failure.message) < FAILURE_MESSAGE_SIZE);
	}
	json_decref(body);
	return 0;
}
