/* Every stage in a child: what it gave up it cannot have again. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sandbox.h"
#include "vault/sandbox_list.h"

/* Runs it in a child; how that ended, as waitpid(2) has it. */
static int in_child(int (*run)(const void *context), const void *context)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		_exit(run(context));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void assert_exit(int status, int code)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_sigsys(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int be_undumpable(const void *context)
{
	struct rlimit core;

	(void)context;
	if (sandbox_undumpable() != 0 || getrlimit(RLIMIT_CORE, &core) != 0)
		return 1;
	return prctl(PR_GET_DUMPABLE) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 &&
			       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
		       ? 0
		       : 2;
}

static void test_undumpable(void **state)
{
	(void)state;
	assert_exit(in_child(be_undumpable, NULL), 0);
}

/* The kernel's own words about one of our sets: "CapEff:\t0000000000000400". */
static unsigned long long capability_set(const char *name)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long long set = ~0ull;
	char line[256];

	while (status != NULL && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			set = strtoull(line + strlen(name) + 1, NULL, 16);
	if (status != NULL)
		fclose(status);
	return set;
}

static int drop_all_but(const void *context)
{
	const int *keep = context;
	unsigned long long expected = keep == NULL ? 0 : 1ull << *keep;

	if (sandbox_drop_capabilities(keep, keep != NULL) != 0)
		return 1;
	if (capability_set("CapEff") != expected || capability_set("CapPrm") != expected || capability_set("CapBnd") != expected)
		return 2;
	return capability_set("CapInh") == 0 && capability_set("CapAmb") == 0 ? 0 : 3;
}

static int drop_without_having(const void *context)
{
	(void)context;
	if (setuid(65534) != 0)
		return 1;
	return sandbox_drop_capabilities((const int[]){CAP_NET_ADMIN}, 1) == 0 && capability_set("CapPrm") == 0 ? 0 : 2;
}

static void test_capabilities(void **state)
{
	static const int keep = CAP_CHOWN;

	(void)state;
	if (rig_needs_root())
		return;
	assert_exit(in_child(drop_all_but, NULL), 0);
	assert_exit(in_child(drop_all_but, &keep), 0);
	assert_exit(in_child(drop_without_having, NULL), 0);
}

static const int basics[] = {SYS_exit_group, SYS_write, SYS_mmap, SYS_munmap};

static int filtered_getppid(const void *context)
{
	const enum sandbox_action *action = context;

	if (sandbox_seccomp("test", basics, sizeof(basics) / sizeof(basics[0]), *action) != 0)
		return 1;
	errno = 0;
	if (syscall(SYS_getppid) > 0)
		return 2;
	return errno == EPERM ? 3 : 4;
}

static void test_actions(void **state)
{
	static const enum sandbox_action all[] = {SANDBOX_KILL, SANDBOX_ERRNO, SANDBOX_LOG, SANDBOX_OFF};

	(void)state;
	assert_sigsys(in_child(filtered_getppid, &all[0]));
	assert_exit(in_child(filtered_getppid, &all[1]), 3);
	assert_exit(in_child(filtered_getppid, &all[2]), 2);
	assert_exit(in_child(filtered_getppid, &all[3]), 2);
}

static int filtered_map(const void *context)
{
	const int *protection = context;

	if (sandbox_seccomp("test", basics, sizeof(basics) / sizeof(basics[0]), SANDBOX_KILL) != 0)
		return 1;
	return mmap(NULL, 4096, *protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 2 : 0;
}

static void test_no_new_code(void **state)
{
	static const int data = PROT_READ | PROT_WRITE, code = PROT_READ | PROT_EXEC, both = PROT_READ | PROT_WRITE | PROT_EXEC;
	int code_status = in_child(filtered_map, &code), both_status = in_child(filtered_map, &both);

	(void)state;
	assert_exit(in_child(filtered_map, &data), 0);
	if (WIFEXITED(code_status) && WEXITSTATUS(code_status) == 0) {
		rig_not_shown("this is a sanitizer's build, which maps what it likes");
		return;
	}
	assert_sigsys(code_status);
	assert_sigsys(both_status);
}

/* Where seccomp cannot be had: an error, not a process without its filter. */
static int filtered_twice(const void *context)
{
	(void)context;
	if (sandbox_seccomp("test", basics, sizeof(basics) / sizeof(basics[0]), SANDBOX_ERRNO) != 0)
		return 1;
	return sandbox_seccomp("test", basics, sizeof(basics) / sizeof(basics[0]), SANDBOX_KILL) < 0 ? 0 : 2;
}

static void test_refusal_is_an_error(void **state)
{
	(void)state;
	assert_exit(in_child(filtered_twice, NULL), 0);
}

static void test_environment(void **state)
{
	static const struct {
		const char *text;
		enum sandbox_action action;
	} cases[] = {{"kill", SANDBOX_KILL}, {"errno", SANDBOX_ERRNO}, {"log", SANDBOX_LOG},
		     {"off", SANDBOX_OFF},   {"", SANDBOX_KILL},       {"OFF", SANDBOX_KILL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("OUTBOARD_SECCOMP", cases[i].text, 1);
		assert_int_equal(sandbox_action_from_environment(), cases[i].action);
	}
	unsetenv("OUTBOARD_SECCOMP");
	assert_int_equal(sandbox_action_from_environment(), SANDBOX_KILL);
}

/* The vault's own list: what an intruder would want first is not on it. */
static int under_the_vaults_list(const void *context)
{
	const long *call = context;
	size_t count;
	const int *calls = vault_sandbox_list(true, &count);

	if (sandbox_seccomp("test", calls, count, SANDBOX_KILL) != 0)
		return 1;
	syscall(*call, 0, 0, 0, 0, 0, 0);
	return 0;
}

static void test_the_vaults_list_is_tight(void **state)
{
	static const long wanted[] = {
		SYS_execve,	  SYS_openat2, SYS_socket,  SYS_connect, SYS_bind,	     SYS_clone,
		SYS_ptrace,	  SYS_kill,    SYS_unshare, SYS_bpf,	 SYS_io_uring_setup, SYS_setuid,
		SYS_memfd_create, SYS_dup,     SYS_ioctl,   SYS_chmod,	 SYS_renameat2,	     SYS_process_vm_writev};
	size_t with, without;

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_sigsys(in_child(under_the_vaults_list, &wanted[i]));
	vault_sandbox_list(true, &with);
	vault_sandbox_list(false, &without);
	assert_true(without < with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undumpable),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_no_new_code),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_refusal_is_an_error),
		cmocka_unit_test(test_the_vaults_list_is_tight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
