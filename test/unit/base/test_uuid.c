#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/uuid.h"

static void test_round_trip(void **state)
{
	struct uuid a, b;
	char text[UUID_TEXT_SIZE];

	(void)state;
	assert_int_equal(uuid_generate(&a), 0);
	assert_int_equal(a.bytes[6] >> 4, 4);
	assert_int_equal(a.bytes[8] >> 6, 2);
	uuid_format(&a, text);
	assert_int_equal(uuid_parse(text, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(uuid_generate(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void test_upper_case_is_read(void **state)
{
	struct uuid id;
	char text[UUID_TEXT_SIZE];

	(void)state;
	assert_int_equal(uuid_parse("ABCDEF01-2345-4789-ABCD-EF0123456789", &id), 0);
	uuid_format(&id, text);
	assert_string_equal(text, "abcdef01-2345-4789-abcd-ef0123456789");
}

static void test_nonsense_is_refused(void **state)
{
	const char *bad[] = {"",
			     "abc",
			     "abcdef01-2345-4789-abcd-ef012345678",
			     "abcdef01-2345-4789-abcd-ef01234567890",
			     "abcdef0102345-4789-abcd-ef0123456789",
			     "abcdef01-2345-4789-abcd-ef012345678g",
			     "-bcdef01-2345-4789-abcd-ef0123456789"};
	struct uuid id;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuid_parse(bad[i], &id), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_upper_case_is_read),
					   cmocka_unit_test(test_nonsense_is_refused)};

	return cmocka_run_group_tests_name("base uuid", tests, NULL, NULL);
}
