#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "base/size.h"

static void parses(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"4096", 4096},
		{"1K", 1024},
		{"1k", 1024},
		{"512M", 512ull << 20},
		{"10G", 10ull << 30},
		{"10GiB", 10ull << 30},
		{"1T", 1ull << 40},
		{"1P", 1ull << 50},
		{"7E", 7ull << 60},
		{"9223372036854775807", INT64_MAX},
		{"007G", 7ull << 30},
	};
	uint64_t bytes;

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(size_parse(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void refuses(void **state)
{
	static const char *const bad[] = {"",	   "G",	  "-1",	  "+1",	 " 1",	"1 ",  "1.5G", "1GB", "1Gi",
					  "1GiBx", "1 G", "0x10", "ten", "1G1", "1KM", "\n",   "1iB"};
	static const char *const large[] = {"8E", "9223372036854775808", "99999999999999999999", "9007199254740992K"};
	uint64_t bytes = 42;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(size_parse(bad[i], &bytes), -EINVAL);
	for (unsigned i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		assert_int_equal(size_parse(large[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 42);
}

static void formats(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{(1 << 20) - 1, "1023.9 KiB"},
		{10ull << 30, "10 GiB"},
		{(10ull << 30) - 1, "9.9 GiB"}, /* never more than there is */
		{1ull << 40, "1 TiB"},
		{UINT64_MAX, "15.9 EiB"},
	};
	char text[SIZE_TEXT_SIZE];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_format(cases[i].bytes, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses),
		cmocka_unit_test(formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
