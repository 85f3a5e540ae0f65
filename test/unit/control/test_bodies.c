/* Request bodies: defaults, what null means, every kind of refusal with its field's name; routes. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "control/bodies.h"
#include "control/control.h"

static json_t *parse(const char *text)
{
	json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(body);
	return body;
}

static void refused(const char *text, enum api_error code, const char *part)
{
	struct failure failure = {0};
	struct volume_create out;
	json_t *body = parse(text);

	assert_int_equal(body_volume_create(body, &out, &failure), -EINVAL);
	assert_int_equal(failure.code, code);
	if (strstr(failure.message, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", failure.message, part);
	json_decref(body);
}

static void test_defaults(void **state)
{
	struct failure failure = {0};
	struct volume_create volume;
	struct attachment_create attachment;
	json_t *body = parse(
		"{\"name\": \"v\", \"size_bytes\": 8192, \"backend\": \"file\", \"path\": null, \"iops\": null, \"kek\": null}");

	(void)state;
	assert_int_equal(body_volume_create(body, &volume, &failure), 0);
	assert_string_equal(volume.name, "v");
	assert_int_equal(volume.block_size_bytes, 4096);
	assert_int_equal(volume.backend, BACKEND_FILE);
	assert_string_equal(volume.path, "");
	assert_int_equal(volume.iops, 0);
	assert_false(volume.encrypted || volume.read_only || volume.burst);
	assert_null(volume.tags);
	json_decref(body);
	body = parse("{\"volume\": \"v\"}");
	assert_int_equal(body_attachment_create(body, &attachment, &failure), 0);
	assert_int_equal(attachment.kind, ATTACHMENT_VHOST_USER_BLK);
	assert_int_equal(attachment.queues, 16);
	assert_true(attachment.packed);
	assert_int_equal(attachment.uid, -1);
	assert_int_equal(attachment.mode, 0600);
	json_decref(body);
}

static void test_refusals(void **state)
{
	(void)state;
	refused("{}", ERROR_MISSING_FIELD, "\"name\"");
	refused("{\"name\": \"v\", \"backend\": \"null\"}", ERROR_MISSING_FIELD, "\"size_bytes\"");
	refused("{\"nmae\": \"v\"}", ERROR_UNKNOWN_FIELD, "\"nmae\" is not known; known are: name, ");
	refused("{\"name\": \"v\", \"size_bytes\": 9223372036854775807}", ERROR_INVALID_FIELD, "from 512 to 1125899906842624");
	refused("{\"backend\": \"tape\"}", ERROR_INVALID_FIELD, "one of \"memory\", \"null\", \"file\"");
	refused("{\"block_size_bytes\": 1024}", ERROR_INVALID_FIELD, "512 or 4096");
	refused("{\"name\": \"v\", \"size_bytes\": 512, \"backend\": \"null\"}", ERROR_INVALID_FIELD, "multiple of the block size");
	refused("{\"name\": \"v\", \"size_bytes\": 4096, \"backend\": \"null\", \"kek\": \"k\"}", ERROR_INVALID_FIELD, "\"kek\"");
	refused("{\"name\": \"v\", \"size_bytes\": 4096, \"backend\": \"memory\", \"path\": \"/a\"}", ERROR_INVALID_FIELD,
		"\"path\"");
}

/* A change says what is in it: null is a value (no limit), nothing is none. */
static void test_change(void **state)
{
	struct failure failure = {0};
	struct volume_change change;
	json_t *body = parse("{\"iops\": null, \"tags\": {\"a\": \"b\"}}");

	(void)state;
	assert_int_equal(body_volume_change(body, &change, &failure), 0);
	assert_true(change.has.iops && change.has.tags);
	assert_false(change.has.size || change.has.throughput || change.has.burst);
	assert_int_equal(change.iops, 0);
	assert_ptr_equal(change.tags, json_object_get(body, "tags"));
	json_decref(body);
}

static void test_tags_count_characters(void **state)
{
	struct failure failure = {0};
	struct volume_change change;
	char value[1024] = "";
	json_t *body;

	(void)state;
	for (int i = 0; i < 256; i++)
		strcat(value, "\u00e4"); /* two bytes each */
	body = json_pack("{s:{s:s}}", "tags", "a", value);
	assert_int_equal(body_volume_change(body, &change, &failure), 0);
	json_decref(body);
	strcat(value, "b");
	body = json_pack("{s:{s:s}}", "tags", "a", value);
	assert_int_equal(body_volume_change(body, &change, &failure), -EINVAL);
	json_decref(body);
}

static void test_longest(void **state)
{
	char name[NAME_SIZE], socket[SOCKET_PATH_SIZE];
	struct attachment_create out;
	struct failure failure = {0};
	json_t *body;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memset(socket, 'b', sizeof(socket));
	socket[0] = '/';
	socket[sizeof(socket) - 1] = '\0';
	body = json_pack("{s:s,s:s}", "volume", name, "socket", socket);
	assert_int_equal(body_attachment_create(body, &out, &failure), 0);
	assert_string_equal(out.volume, name);
	assert_string_equal(out.socket, socket);
	json_decref(body);
}

static void test_body_text(void **state)
{
	struct failure failure = {0};
	json_t *body;

	(void)state;
	assert_int_equal(http_parse_body("", 0, &body, &failure), 0);
	assert_int_equal(json_object_size(body), 0);
	json_decref(body);
	assert_int_equal(http_parse_body("{\"a\": 1, \"a\": 2}", 16, &body, &failure), -EINVAL);
	assert_null(body);
	assert_int_equal(http_parse_body("[1]", 3, &body, &failure), -EINVAL);
	assert_int_equal(failure.code, ERROR_BAD_JSON);
	assert_int_equal(http_parse_body("{} {}", 5, &body, &failure), -EINVAL);
}

static void test_match(void **state)
{
	char parameter[HTTP_PARAMETER_SIZE], path[512] = "/v1/volumes/";

	(void)state;
	assert_int_equal(http_match("/v1/volumes", "/v1/volumes", parameter), 0);
	assert_string_equal(parameter, "");
	assert_int_equal(http_match("/v1/volumes", "/v1/volumes/", parameter), -ENOENT);
	assert_int_equal(http_match("/v1/volumes/{name}", "/v1/volumes/a", parameter), 0);
	assert_string_equal(parameter, "a");
	assert_int_equal(http_match("/v1/volumes/{name}", "/v1/volumes/", parameter), -ENOENT);
	assert_int_equal(http_match("/v1/volumes/{name}", "/v1/volumes/a/", parameter), -ENOENT);
	assert_int_equal(http_match("/v1/volumes/{name}/rewrap", "/v1/volumes/a/rewrap", parameter), 0);
	assert_int_equal(http_match("/v1/volumes/{name}/rewrap", "/v1/volumes/a/b/rewrap", parameter), -ENOENT);
	memset(path + strlen(path), 'a', 400); /* cut, and longer than any name still */
	assert_int_equal(http_match("/v1/volumes/{name}", path, parameter), 0);
	assert_true(strlen(parameter) >= NAME_SIZE);
}

/* Every error has its status and its name; statuses are those that the interface promises. */
static void test_errors(void **state)
{
	(void)state;
	for (int i = ERROR_NONE + 1; i < ERROR_COUNT; i++) {
		unsigned status = api_error_status((enum api_error)i);

		assert_non_null(api_error_name((enum api_error)i));
		assert_true(status == 400 || status == 403 || status == 404 || status == 405 || status == 409 || status == 413 ||
			    status == 422 || status == 500 || status == 503 || status == 507);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_change),	 cmocka_unit_test(test_tags_count_characters),
		cmocka_unit_test(test_longest),	 cmocka_unit_test(test_body_text),
		cmocka_unit_test(test_match),	 cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
