/* Adding to and removing from rules and routes. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "control/net_items.h"
#include "control/net_kinds.h"

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(value);
	return value;
}

/* "a-b" is a route to 10.a.0.0/16 by eni:b. */
static json_t *routes(const char *text)
{
	json_t *list = json_array();
	char destination[32], target[32];

	for (; *text != '\0'; text += text[3] == ' ' ? 4 : 3) {
		snprintf(destination, sizeof(destination), "10.%c.0.0/16", text[0]);
		snprintf(target, sizeof(target), "eni:%c", text[2]);
		json_array_append_new(list, json_pack("{s:s,s:s}", "destination", destination, "target", target));
	}
	return list;
}

/* NULL `wanted`: refused. */
static void change(const char *old, const char *add, const char *remove, const char *wanted, enum api_error code)
{
	const struct net_field *field = net_kind_items(NET_ROUTE_TABLE);
	json_t *before = routes(old), *body = json_pack("{s:o,s:o}", "add", routes(add), "remove", routes(remove)), *after;
	struct failure failure = {0};

	assert_int_equal(net_items_check(field, body, &failure), 0);
	after = net_items_change(field, before, body, &failure);
	if (wanted == NULL) {
		assert_null(after);
		assert_int_equal(failure.code, code);
	} else {
		json_t *list = routes(wanted);

		assert_true(json_equal(after, list));
		json_decref(list);
	}
	json_decref(after);
	json_decref(body);
	json_decref(before);
}

static void test_changes(void **state)
{
	(void)state;
	change("", "", "", "", 0);
	change("1-a", "2-b", "", "1-a 2-b", 0);
	change("1-a 2-b", "", "1-a", "2-b", 0);
	change("1-a 2-b", "", "1-x", "2-b", 0); /* found by the destination */
	change("1-a", "", "2-b", "1-a", 0);	/* gone already */
	change("1-a", "1-a", "", "1-a", 0);	/* there already */
	change("1-a", "1-b", "", NULL, ERROR_CONFLICT);
	change("1-a 2-b", "1-b", "1-a", "2-b 1-b", 0); /* removed first */
}

static void test_too_many(void **state)
{
	const struct net_field *field = net_kind_items(NET_ACL);
	json_t *old = json_array(), *body, *after;
	struct failure failure = {0};

	(void)state;
	for (int i = 0; i < NET_RULES_MAX; i++)
		json_array_append_new(old, json_pack("{s:i,s:s,s:s,s:s,s:s}", "number", i + 1, "direction", "ingress", "action",
						     "deny", "protocol", "all", "cidr", "::/0"));
	body = parse("{\"add\": [{\"number\": 1, \"direction\": \"egress\", \"action\": \"deny\", \"protocol\": \"all\", \"cidr\": "
		     "\"::/0\"}]}");
	assert_int_equal(net_items_check(field, body, &failure), 0);
	assert_null(net_items_change(field, old, body, &failure));
	assert_int_equal(failure.code, ERROR_LIMIT_REACHED);
	json_object_set_new(body, "remove", json_loads("[{\"number\": 7, \"direction\": \"ingress\"}]", 0, NULL));
	assert_int_equal(net_items_check(field, body, &failure), 0);
	after = net_items_change(field, old, body, &failure);
	assert_int_equal(json_array_size(after), NET_RULES_MAX);
	json_decref(after);
	json_decref(body);
	json_decref(old);
}

static void refused(enum net_kind kind, const char *text, enum api_error code, const char *says)
{
	struct failure failure = {0};
	json_t *body = parse(text);

	assert_int_equal(net_items_check(net_kind_items(kind), body, &failure), -EINVAL);
	assert_int_equal(failure.code, code);
	if (strstr(failure.message, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", failure.message, says);
	json_decref(body);
}

static void test_refusals(void **state)
{
	(void)state;
	refused(NET_ACL, "{\"change\": []}", ERROR_UNKNOWN_FIELD, "\"change\" is not known; known are: add, remove");
	refused(NET_ACL, "{\"add\": {}}", ERROR_INVALID_FIELD, "\"add\" must be a list");
	refused(NET_ACL, "{\"remove\": 1}", ERROR_INVALID_FIELD, "\"remove\" must be a list");
	refused(NET_ACL, "{\"add\": [{\"number\": 1}]}", ERROR_MISSING_FIELD, "\"add[0].direction\" is missing");
	refused(NET_ACL, "{\"remove\": [{\"number\": 1}]}", ERROR_MISSING_FIELD, "\"remove[0].direction\" is missing");
	refused(NET_ACL, "{\"remove\": [{\"number\": \"1\", \"direction\": \"egress\"}]}", ERROR_INVALID_FIELD,
		"\"remove[0].number\"");
	refused(NET_ROUTE_TABLE, "{\"remove\": [{\"destination\": \"::/0\"}, {\"destination\": \"::/0\"}]}", ERROR_INVALID_FIELD,
		"\"remove[1]\" is the same as remove[0]");
	refused(NET_GROUP, "{\"add\": [{\"direction\": \"egress\", \"protocol\": \"tcp\"}]}", ERROR_INVALID_FIELD,
		"\"add[0]\" must have either");
	refused(NET_GROUP, "{\"remove\": [{\"direction\": \"egress\"}]}", ERROR_MISSING_FIELD, "\"remove[0].protocol\" is missing");
}

/* What is removed may be spelled in any way that is taken. */
static void test_spelling(void **state)
{
	const struct net_field *field = net_kind_items(NET_GROUP);
	json_t *old = parse("[{\"direction\": \"egress\", \"protocol\": \"tcp\", \"ports\": \"80\", \"cidr\": \"fd00::/8\", "
			    "\"description\": \"a\"}]");
	json_t *body = parse("{\"remove\": [{\"cidr\": \"FD00::/8\", \"ports\": 80, \"protocol\": 6, \"direction\": \"egress\", "
			     "\"icmp_type\": null}]}");
	struct failure failure = {0};
	json_t *after;

	(void)state;
	assert_int_equal(net_items_check(field, body, &failure), 0);
	after = net_items_change(field, old, body, &failure);
	assert_int_equal(json_array_size(after), 0);
	json_decref(after);
	json_decref(body);
	json_decref(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
