#include "../cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "card/spec.h"

static json_t *good(void)
{
	return json_pack("{s:s,s:s,s:I,s:i,s:s,s:s,s:b,s:i,s:n,s:b,s:{s:i,s:s,s:i,s:s,s:s}}", "id",
			 "11223344-5566-4788-99aa-bbccddeeff00", "name", "db", "size_bytes", (json_int_t)1 << 30,
			 "block_size_bytes", 4096, "backend", "file", "path", "/var/lib/x.img", "read_only", 1, "iops", 3000,
			 "throughput_bytes", "burst", 0, "encryption", "dek_version", 1, "kek_id",
			 "00000000-0000-4000-8000-000000000001", "kek_version", 2, "wrapped_kek", "00ff10", "wrapped_dek",
			 "abcdef01");
}

static void test_a_good_volume(void **state)
{
	json_t *volume = good();
	struct volume_spec spec;
	char error[256];

	(void)state;
	assert_int_equal(spec_parse(volume, &spec, error, sizeof(error)), 0);
	assert_string_equal(spec.config.name, "db");
	assert_string_equal(spec.config.path, "/var/lib/x.img");
	assert_true(spec.config.size_bytes == 1u << 30);
	assert_true(spec.config.read_only);
	assert_true(spec.config.rate.iops == 3000 && spec.config.rate.throughput_bytes == 0);
	assert_true(spec.encrypted);
	assert_int_equal(spec.dek.kek_version, 2);
	assert_int_equal(spec.dek.wrapped_kek.size, 3);
	assert_memory_equal(spec.dek.wrapped_kek.bytes, "\x00\xff\x10", 3);
	assert_memory_equal(&spec.dek.volume, &spec.config.id, UUID_BYTES);
	json_decref(volume);
}

/* One field at a time made bad: each refused, in a sentence that names the field. */
static void test_each_bad_field_is_named(void **state)
{
	const struct {
		const char *path[2];
		const char *value; /* JSON; NULL: left out */
		const char *named;
	} cases[] = {
		{{"id"}, "\"nonsense\"", "id"},
		{{"id"}, NULL, "id"},
		{{"name"}, "\"\"", "name"},
		{{"name"}, "7", "name"},
		{{"size_bytes"}, "0", "size_bytes"},
		{{"size_bytes"}, "4097", "size_bytes"},
		{{"size_bytes"}, "-4096", "size_bytes"},
		{{"size_bytes"}, "1.5", "size_bytes"},
		{{"size_bytes"}, NULL, "size_bytes"},
		{{"block_size_bytes"}, "1024", "block_size_bytes"},
		{{"backend"}, "\"floppy\"", "backend"},
		{{"path"}, NULL, "path"},
		{{"iops"}, "\"many\"", "iops"},
		{{"throughput_bytes"}, "-1", "throughput_bytes"},
		{{"encryption", "kek_id"}, "\"x\"", "kek_id"},
		{{"encryption", "wrapped_kek"}, "\"abc\"", "wrapped_kek"},
		{{"encryption", "wrapped_kek"}, "\"zz\"", "wrapped_kek"},
		{{"encryption", "wrapped_dek"}, "\"\"", "wrapped_dek"},
		{{"encryption", "dek_version"}, "99999999999", "version"},
		{{"encryption"}, "7", "dek_version"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *volume = good(), *object = cases[i].path[1] == NULL ? volume : json_object_get(volume, cases[i].path[0]);
		const char *field = cases[i].path[1] == NULL ? cases[i].path[0] : cases[i].path[1];
		struct volume_spec spec;
		char error[256] = "";

		if (cases[i].value == NULL)
			json_object_del(object, field);
		else
			json_object_set_new(object, field, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		assert_int_equal(spec_parse(volume, &spec, error, sizeof(error)), -EINVAL);
		if (strstr(error, cases[i].named) == NULL)
			fail_msg("case %zu: \"%s\" does not name %s", i, error, cases[i].named);
		json_decref(volume);
	}
}

static void test_too_long_blob_is_refused(void **state)
{
	char hex[2 * VAULT_WRAPPED_MAX_BYTES + 3], error[256];
	json_t *volume = good();
	struct volume_spec spec;

	(void)state;
	memset(hex, 'a', sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	json_object_set_new(json_object_get(volume, "encryption"), "wrapped_dek", json_string(hex));
	assert_int_equal(spec_parse(volume, &spec, error, sizeof(error)), -EINVAL);
	json_decref(volume);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_volume),
		cmocka_unit_test(test_each_bad_field_is_named),
		cmocka_unit_test(test_too_long_blob_is_refused),
	};

	return cmocka_run_group_tests_name("card spec", tests, NULL, NULL);
}
