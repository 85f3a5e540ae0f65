/*
 * The system call filter. A list names calls, not arguments, with one exception that every process wants: memory is never made
 * executable. Sanitizers call more than we do; a build with them allows that much more, and is not for production.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif

enum sandbox_action sandbox_action_from_environment(void)
{
	static const char *const names[] = {
		[SANDBOX_KILL] = "kill", [SANDBOX_ERRNO] = "errno", [SANDBOX_LOG] = "log", [SANDBOX_OFF] = "off"};
	const char *text = getenv("OUTBOARD_SECCOMP");

	for (unsigned i = 0; text != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0)
			return (enum sandbox_action)i;
	return SANDBOX_KILL;
}

static uint32_t filter_action(enum sandbox_action action)
{
	switch (action) {
	case SANDBOX_ERRNO:
		return SCMP_ACT_ERRNO(EPERM);
	case SANDBOX_LOG:
	case SANDBOX_OFF:
		return SCMP_ACT_LOG;
	case SANDBOX_KILL:
		break;
	}
	return SCMP_ACT_KILL_PROCESS;
}

static int allow(scmp_filter_ctx filter, int call)
{
	if (call == SYS_mmap || call == SYS_mprotect || call == SYS_pkey_mprotect)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}

static int allow_sanitizers(scmp_filter_ctx filter)
{
#ifdef SANITIZED
	static const int calls[] = {
		SYS_mmap,      SYS_munmap,    SYS_mremap,      SYS_madvise, SYS_mprotect,	  SYS_sigaltstack,
		SYS_futex,     SYS_getpid,    SYS_gettid,      SYS_openat,  SYS_readlink,	  SYS_read,
		SYS_close,     SYS_fstat,     SYS_newfstatat,  SYS_prctl,   SYS_rt_sigaction,	  SYS_rt_sigprocmask,
		SYS_getrlimit, SYS_prlimit64, SYS_sched_yield, SYS_lseek,   SYS_process_vm_readv, SYS_pipe2};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);

		if (rc != 0 && rc != -EEXIST)
			return rc;
	}
#else
	(void)filter;
#endif
	return 0;
}

static int build(scmp_filter_ctx filter, const int *allowed, size_t count, uint32_t otherwise)
{
	int rc;

	/* A call of another architecture (i386, x32) has other numbers: never let it through under ours. */
	rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, otherwise);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = allow(filter, allowed[i]);
	if (rc == 0)
		rc = allow_sanitizers(filter);
	return rc != 0 ? rc : seccomp_load(filter);
}

int sandbox_seccomp(const char *process, const int *allowed, size_t count, enum sandbox_action action)
{
	scmp_filter_ctx filter;
	int rc;

	if (action == SANDBOX_OFF) {
		log_warning("%s runs without its system call filter, because OUTBOARD_SECCOMP=off", process);
		return 0;
	}
	filter = seccomp_init(filter_action(action));
	if (filter == NULL)
		return -ENOMEM;
	rc = build(filter, allowed, count, filter_action(action));
	seccomp_release(filter);
	if (rc != 0)
		log_error("cannot filter the system calls of %s: %s; where the kernel or the container has no seccomp, set "
			  "OUTBOARD_SECCOMP=off to run without this protection",
			  process, strerror(-rc));
	return rc;
}
