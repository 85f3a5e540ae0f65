/* What is asked of one ENI: defaults, what belongs to which kind of attachment, names that would reach the kernel. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "control/net_bodies.h"

static json_t *parse(const char *text)
{
	json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(body);
	return body;
}

static void test_defaults(void **state)
{
	struct failure failure = {0};
	struct eni_attach_body attach;
	struct eni_capture_body capture;
	json_t *body = json_object();

	(void)state;
	assert_int_equal(body_eni_attach(body, &attach, &failure), 0);
	assert_int_equal(attach.kind, NET_ATTACHMENT_VHOST_USER);
	assert_int_equal(attach.queues, 4);
	assert_int_equal(attach.mode, 0600);
	assert_int_equal(attach.uid, -1);
	assert_true(attach.packed);
	assert_string_equal(attach.socket, "");
	json_decref(body);
	body = parse("{\"action\": \"start\"}");
	assert_int_equal(body_eni_capture(body, &capture, &failure), 0);
	assert_int_equal(capture.snap_bytes, 65535);
	assert_false(capture.drops);
	json_decref(body);
}

static void test_taken(void **state)
{
	static const char *const good[] = {
		"{\"kind\": \"tap\", \"tap\": \"eth0.5\"}",
		"{\"kind\": \"tap\", \"tap\": \"a23456789012345\", \"netns\": \"blue\"}",
		"{\"kind\": \"tap\", \"tap\": \"t\", \"netns\": \"/proc/7/ns/net\", \"socket\": null}",
		"{\"socket\": \"/run/e.sock\", \"tap\": null, \"netns\": null, \"queues\": 16, \"uid\": 0, \"mode\": \"660\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct failure failure = {0};
		struct eni_attach_body out;
		json_t *body = parse(good[i]);

		if (body_eni_attach(body, &out, &failure) != 0)
			fail_msg("%s: %s", good[i], failure.message);
		json_decref(body);
	}
}

static void refused(int (*check)(const json_t *body, struct failure *failure), const char *text, const char *says)
{
	struct failure failure = {0};
	json_t *body = parse(text);

	if (check(body, &failure) != -EINVAL || strstr(failure.message, says) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, failure.message, says);
	json_decref(body);
}

static int attach(const json_t *body, struct failure *failure)
{
	struct eni_attach_body out;

	return body_eni_attach(body, &out, failure);
}

static int trace(const json_t *body, struct failure *failure)
{
	struct eni_trace_body out;

	return body_eni_trace(body, &out, failure);
}

static int capture(const json_t *body, struct failure *failure)
{
	struct eni_capture_body out;

	return body_eni_capture(body, &out, failure);
}

static void test_refusals(void **state)
{
	(void)state;
	refused(attach, "{\"kind\": \"nbd\"}", "one of \"vhost-user\", \"tap\"");
	refused(attach, "{\"kind\": \"tap\"}", "\"tap\" is missing");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"\"}", "1 to 15");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"a234567890123456\"}", "1 to 15");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"a/b\"}", "name of an interface");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"..\"}", "name of an interface");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"t%d\"}", "name of an interface");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"a b\"}", "name of an interface");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"t\", \"netns\": \"../x\"}", "\"netns\" must be");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"t\", \"netns\": \"/run/../x\"}", "\"netns\" must be");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"t\", \"netns\": \"\"}", "1 to 255");
	refused(attach, "{\"kind\": \"tap\", \"tap\": \"t\", \"socket\": \"/s\"}", "\"socket\" belongs");
	refused(attach, "{\"tap\": \"t\"}", "belong to attachments of kind \"tap\"");
	refused(attach, "{\"netns\": \"n\"}", "belong to attachments of kind \"tap\"");
	refused(attach, "{\"queues\": 0}", "from 1 to 16");
	refused(attach, "{\"queues\": 17}", "from 1 to 16");
	refused(attach, "{\"packed\": 1}", "true or false");
	refused(attach, "{\"socket\": \"s\"}", "absolute path");
	refused(attach, "{\"mode\": \"999\"}", "octal");
	refused(attach, "{\"uid\": -1}", "from 0 to");
	refused(attach, "{\"gid\": 4294967295}", "from 0 to");
	refused(attach, "{\"volume\": \"v\"}", "\"volume\" is not known");
	refused(trace, "{}", "\"packet\" is missing");
	refused(trace, "{\"packet\": \"\"}", "1 to 255");
	refused(trace, "{\"packet\": \"tcp\\n\"}", "printable");
	refused(trace, "{\"packet\": 5}", "printable");
	refused(capture, "{}", "\"action\" is missing");
	refused(capture, "{\"action\": \"go\"}", "one of \"start\", \"read\", \"stop\"");
	refused(capture, "{\"action\": \"read\"}", "\"capture\" is missing");
	refused(capture, "{\"action\": \"stop\", \"capture\": 0}", "from 1");
	refused(capture, "{\"action\": \"start\", \"capture\": 1}", "answered by \"start\"");
	refused(capture, "{\"action\": \"start\", \"snap_bytes\": 63}", "from 64 to 65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
