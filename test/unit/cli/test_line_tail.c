#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cli/line_tail.h"

/* A letter a line. */
static json_t *lines(const char *letters)
{
	json_t *list = json_array();

	for (; *letters != '\0'; letters++)
		json_array_append_new(list, json_stringn(letters, 1));
	return list;
}

static void what_is_new(void **state)
{
	static const struct {
		const char *older, *newer;
		size_t from;
	} cases[] = {
		{"", "", 0},	   {"", "ab", 0},	  {"ab", "ab", 2},	 {"ab", "abc", 2}, {"abc", "bcd", 2},
		{"abc", "cde", 1}, {"abc", "xyz", 0},	  {"abc", "", 0},	 {"abc", "c", 1},  {"aab", "abb", 2},
		{"aaa", "aaa", 3}, {"abab", "ababab", 4}, {"abcabc", "abcx", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *older = lines(cases[i].older), *newer = lines(cases[i].newer);

		assert_int_equal(line_tail_new(older, newer), cases[i].from);
		json_decref(older);
		json_decref(newer);
	}
}

/* A log of lines that all differ, of which the last `window` are seen at any moment: nothing is printed twice, or left out. */
static void nothing_is_lost_or_repeated(void **state)
{
	enum { WINDOW = 16, STEPS = 500 };
	json_t *older = json_array();
	json_int_t written = 0, printed = 0;

	(void)state;
	srand(1);
	for (int step = 0; step < STEPS; step++) {
		json_t *newer = json_array();

		written += rand() % WINDOW;
		for (json_int_t i = written > WINDOW ? written - WINDOW : 0; i < written; i++)
			json_array_append_new(newer, json_integer(i));
		for (size_t i = line_tail_new(older, newer); i < json_array_size(newer); i++)
			assert_int_equal(json_integer_value(json_array_get(newer, i)), printed++);
		assert_int_equal(printed, written);
		json_decref(older);
		older = newer;
	}
	json_decref(older);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_new),
		cmocka_unit_test(nothing_is_lost_or_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
