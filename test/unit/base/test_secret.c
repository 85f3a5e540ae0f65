#include "../cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

static void test_zeroed_and_writable(void **state)
{
	uint8_t *memory = secret_alloc(100);

	(void)state;
	assert_non_null(memory);
	for (int i = 0; i < 100; i++)
		assert_int_equal(memory[i], 0);
	memset(memory, 0xa5, 100);
	secret_wipe(memory, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(memory[i], 0);
	secret_free(memory, 100);
	secret_free(NULL, 100);
}

/* The mapping's own words: locked, not in a core, not in a child. */
static void test_the_kernel_says_so(void **state)
{
	uint8_t *memory = secret_alloc(100);
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], flags[512] = "";
	unsigned long start;
	int inside = 0;

	(void)state;
	while (fgets(line, sizeof(line), smaps) != NULL) {
		if (sscanf(line, "%lx-%*x ", &start) == 1 && strchr(line, '-') != NULL && strncmp(line, "VmFlags", 7) != 0)
			inside = start == (unsigned long)(uintptr_t)memory;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			memcpy(flags, line, sizeof(flags));
	}
	fclose(smaps);
	assert_non_null(strstr(flags, " lo"));
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " dc"));
	secret_free(memory, 100);
}

static void test_a_child_does_not_have_it(void **state)
{
	uint8_t *memory = secret_alloc(100);
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);	 /* not cmocka's */
		*(volatile uint8_t *)memory = 1; /* must fault */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	secret_free(memory, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_writable),
		cmocka_unit_test(test_the_kernel_says_so),
		cmocka_unit_test(test_a_child_does_not_have_it),
	};

	return cmocka_run_group_tests_name("base secret", tests, NULL, NULL);
}
