#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"

static void test_there_and_back(void **state)
{
	const uint8_t bytes[] = {0x00, 0x01, 0x9a, 0xff};
	uint8_t out[4];
	char text[9];
	size_t size;

	(void)state;
	hex_format(bytes, sizeof(bytes), text);
	assert_string_equal(text, "00019aff");
	assert_int_equal(hex_parse("00019AfF", out, sizeof(out), &size), 0);
	assert_int_equal(size, 4);
	assert_memory_equal(out, bytes, 4);
	assert_int_equal(hex_parse("", out, sizeof(out), &size), 0);
	assert_int_equal(size, 0);
}

static void test_refusals(void **state)
{
	uint8_t out[2] = {0};
	size_t size;

	(void)state;
	assert_int_equal(hex_parse("0", out, sizeof(out), &size), -EINVAL);
	assert_int_equal(hex_parse("0g", out, sizeof(out), &size), -EINVAL);
	assert_int_equal(hex_parse(" 0", out, sizeof(out), &size), -EINVAL);
	assert_int_equal(hex_parse("\xff\xff", out, sizeof(out), &size), -EINVAL);
	assert_int_equal(hex_parse("000000", out, sizeof(out), &size), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_refusals)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
