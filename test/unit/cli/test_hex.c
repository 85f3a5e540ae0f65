#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "cli/hex.h"

static void there_and_back(void **state)
{
	uint8_t data[256], back[256];
	char text[513];
	size_t size;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	hex_encode(data, sizeof(data), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_int_equal(hex_decode(text, back, sizeof(back), &size), 0);
	assert_int_equal(size, sizeof(data));
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(hex_decode("aBcD", back, sizeof(back), &size), 0);
	assert_int_equal(back[0], 0xab);
}

static void refuses(void **state)
{
	static const char *const bad[] = {"", "1", "123", "0g", "g0", "0x", " 00", "00 "};
	uint8_t data[4];
	size_t size;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hex_decode(bad[i], data, sizeof(data), &size), -EINVAL);
	assert_int_equal(hex_decode("0011223344", data, sizeof(data), &size), -EINVAL);
	assert_int_equal(hex_decode("00112233", data, sizeof(data), &size), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
