#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/progress.h"

static void parses_what_qemu_img_writes(void **state)
{
	double percent = -1;

	(void)state;
	assert_true(progress_parse("    (0.00/100%)\r", &percent));
	assert_true(percent == 0);
	assert_true(progress_parse("    (12.50/100%)\r    (25.00/100%)\r    (26.", &percent)); /* the last whole one */
	assert_true(percent == 25);
	percent = 7;
	assert_false(progress_parse("", &percent));
	assert_false(progress_parse("(/100%)", &percent));
	assert_false(progress_parse("(abc/100%) (50/100", &percent));
	assert_true(percent == 7);
}

/* Runs a bar to its end; what it wrote is the caller's to free. */
static char *run(bool terminal, const double *percents, unsigned count)
{
	struct progress p;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	progress_start(&p, out, terminal, "importing d", 8 << 20);
	for (unsigned i = 0; i < count; i++)
		progress_update(&p, percents[i], p.start_ns + (i + 1) * 1000000000ull);
	progress_end(&p);
	fclose(out);
	return text;
}

static void lines_where_there_is_no_terminal(void **state)
{
	static const double percents[] = {3, 9.99, 10, 15, 5, 55, 100, 200};
	char *text = run(false, percents, 8);

	(void)state;
	assert_string_equal(text, "importing d: 0 %\nimporting d: 10 %\nimporting d: 50 %\nimporting d: 100 %\n");
	free(text);
}

static void a_bar_on_a_terminal(void **state)
{
	static const double percents[] = {50, 100};
	char *text = run(true, percents, 2);

	(void)state;
	assert_non_null(strstr(text, "\rimporting d [..............................]   0 %  0 B of 8 MiB\033[K"));
	assert_non_null(
		strstr(text, "\rimporting d [###############...............]  50 %  4 MiB of 8 MiB, 4 MiB/s, 1 s left\033[K"));
	assert_non_null(
		strstr(text, "\rimporting d [##############################] 100 %  8 MiB of 8 MiB, 4 MiB/s, 0 s left\033[K\n"));
	free(text);
}

static void nothing_when_not_wanted(void **state)
{
	struct progress p;

	(void)state;
	progress_start(&p, NULL, true, "x", 1);
	progress_update(&p, 50, 1);
	progress_end(&p);
	assert_int_equal(p.shown, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_what_qemu_img_writes),
		cmocka_unit_test(lines_where_there_is_no_terminal),
		cmocka_unit_test(a_bar_on_a_terminal),
		cmocka_unit_test(nothing_when_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
