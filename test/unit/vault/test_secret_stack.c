#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/secret_stack.h"

struct seen {
	uintptr_t local;
	char flags[512];
};

/* The kernel's own words about the mapping that holds `address`. */
static void find_mapping(uintptr_t address, struct seen *seen)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned long start, end;
	bool inside = false;

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = address >= start && address < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			memcpy(seen->flags, line, sizeof(seen->flags));
	}
	fclose(smaps);
}

static void look_around(void *context)
{
	struct seen *seen = context;
	volatile int local = 0;

	seen->local = (uintptr_t)&local;
	find_mapping(seen->local, seen);
}

static void test_runs_on_locked_memory(void **state)
{
	struct seen seen = {0};
	int here = 0;

	(void)state;
	assert_int_equal(secret_stack_run(look_around, &seen, 256 << 10), 0);
	assert_int_not_equal(seen.local, 0);
	assert_true(seen.local > (uintptr_t)&here || seen.local < (uintptr_t)&here - (1 << 20));
	assert_non_null(strstr(seen.flags, " lo"));
	assert_non_null(strstr(seen.flags, " dd"));
}

static unsigned deep(unsigned level)
{
	volatile uint8_t room[1024];

	memset((void *)(uintptr_t)room, (int)level, sizeof(room));
	return level == 0 ? room[0] : deep(level - 1) + room[1]; /* not a tail call */
}

static void too_deep(void *context)
{
	*(unsigned *)context = deep(1000);
}

/* What runs over the end hits the guard, and not whatever lies there. */
static void test_overflow_is_a_crash(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		unsigned result;

		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		secret_stack_run(too_deep, &result, 64 << 10);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_on_locked_memory),
		cmocka_unit_test(test_overflow_is_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
