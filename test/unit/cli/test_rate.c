#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "cli/rate.h"

static void rates_are_decimal(void **state)
{
	static const struct {
		const char *text;
		uint64_t bits_per_s;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"1000000", 1000000},
		{"10k", 10000},
		{"10K", 10000},
		{"500M", 500000000},
		{"500m", 500000000},
		{"1G", 1000000000},
		{"2.5G", 2500000000u},
		{"0.3G", 300000000},
		{"1.000001M", 1000001},
		{"1Gbit", 1000000000},
		{"1Gbit/s", 1000000000},
		{"1.0", 1},
		{"9T", UINT64_C(9000000000000)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t bits_per_s = 99;

		assert_int_equal(rate_parse(good[i].text, &bits_per_s), 0);
		assert_int_equal(bits_per_s, good[i].bits_per_s);
	}
}

static void what_is_no_rate_is_refused(void **state)
{
	static const char *const bad[] = {"",	  "-1",	    " 1",     "+1",	    "1 M",
					  "M",	  "1X",	    "1GiB",   "1.",	    "1.G",
					  ".5G",  "1.5",    "1.5.5G", "1.0000001k", "1.0000000000000G",
					  "0x10", "1Mbits", "1kk"};
	static const char *const large[] = {"99999999999999999999999", "9223372036854775808", "9999999999T",
					    "9223372.999999999999T"};
	uint64_t bits_per_s = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rate_parse(bad[i], &bits_per_s), -EINVAL);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		assert_int_equal(rate_parse(large[i], &bits_per_s), -ERANGE);
	assert_int_equal(bits_per_s, 99);
}

static void rates_are_written(void **state)
{
	static const struct {
		uint64_t bits_per_s;
		const char *text;
	} cases[] = {
		{0, "0 bit/s"},
		{999, "999 bit/s"},
		{1000, "1 kbit/s"},
		{1500000000, "1.5 Gbit/s"},
		{1234567, "1.235 Mbit/s"},
		{1001, "1.001 kbit/s"},
		{2500000000000, "2.5 Tbit/s"},
		{1000000001, "1.000 Gbit/s"},
	};
	char text[RATE_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rate_format(cases[i].bits_per_s, text);
		assert_string_equal(text, cases[i].text);
	}
	rate_format(UINT64_MAX, text); /* it fits */
}

static void three_digits(void **state)
{
	static const struct {
		double per_s;
		const char *text;
	} cases[] = {{0, "0"},	       {0.4, "0"},	{999.4, "999"},	    {999.6, "1.00k"},  {9994, "9.99k"},	  {9996, "10.0k"},
		     {12345, "12.3k"}, {99960, "100k"}, {3370000, "3.37M"}, {7.32e9, "7.32G"}, {1.5e12, "1.50T"}, {2e15, "2000T"}};
	char text[RATE_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rate_format_short(cases[i].per_s, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_decimal),
		cmocka_unit_test(what_is_no_rate_is_refused),
		cmocka_unit_test(rates_are_written),
		cmocka_unit_test(three_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
