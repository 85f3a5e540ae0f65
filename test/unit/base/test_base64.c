#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"

/* RFC 4648, section 10. */
static void the_rfc(void **state)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	char text[32];
	uint8_t data[32];
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		base64_format(plain[i], strlen(plain[i]), text);
		assert_string_equal(text, coded[i]);
		assert_int_equal(base64_parse(coded[i], data, sizeof(data), &bytes), 0);
		assert_int_equal(bytes, strlen(plain[i]));
		assert_memory_equal(data, plain[i], bytes);
	}
}

static void there_and_back(void **state)
{
	uint8_t data[257], again[257];
	char text[BASE64_TEXT_SIZE(257)];
	size_t bytes;

	(void)state;
	srand(1);
	for (size_t size = 0; size <= sizeof(data); size++) {
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)rand();
		base64_format(data, size, text);
		assert_int_equal(strlen(text) + 1, BASE64_TEXT_SIZE(size));
		assert_int_equal(base64_parse(text, again, size, &bytes), 0);
		assert_int_equal(bytes, size);
		assert_memory_equal(again, data, size);
		if (size > 0)
			assert_int_equal(base64_parse(text, again, size - 1, &bytes), -ENOSPC);
	}
}

static void other_spellings_are_refused(void **state)
{
	static const char *const bad[] = {"Z",	  "Zg",	  "Zg=",  "=",	  "====",   "Z===", "Zg==Zm9v",
					  "Zh==", "Zm9=", "Zm 9", "Zm-_", "Zm9v\n", "Z=g=", "\303\244AA"};
	uint8_t data[32];
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_parse(bad[i], data, sizeof(data), &bytes), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfc),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(other_spellings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
