/*
 * How a process gives up what it does not need: three named stages, each called once by main(), in this order, before any thread
 * is started (capabilities and filters belong to a thread; only what exists before is inherited by all).
 *
 *	sandbox_undumpable()		at the very start, before the first secret is read
 *	sandbox_drop_capabilities()	once limits are raised and privileged things are opened
 *	sandbox_seccomp()		last, before the first byte from outside is read
 *
 * Every stage logs a sentence that says what to do when it fails, and returns 0 or -errno: a process that cannot shed a
 * privilege must not go on as if it had. The list of system calls stands beside the calls: in the folder of the process.
 */
#ifndef OUTBOARD_SANDBOX_SANDBOX_H
#define OUTBOARD_SANDBOX_SANDBOX_H

#include <stddef.h>

/* No core dump, no ptrace and no /proc/PID/mem for anyone but root with CAP_SYS_PTRACE, no privileges gained by execve. */
int sandbox_undumpable(void);

/* Keeps only `keep` (CAP_... of <linux/capability.h>), in every set; those that we do not have are not gained. */
int sandbox_drop_capabilities(const int *keep, size_t count);

enum sandbox_action {
	SANDBOX_KILL,  /* any other call ends the process with SIGSYS: what production runs */
	SANDBOX_ERRNO, /* any other call fails with EPERM */
	SANDBOX_LOG,   /* any other call goes through and stands in the kernel's audit log: to write a list with */
	SANDBOX_OFF,   /* no filter; a warning */
};

/* OUTBOARD_SECCOMP=kill|errno|log|off in the environment; without it SANDBOX_KILL. Anything else is SANDBOX_KILL too. */
enum sandbox_action sandbox_action_from_environment(void);

/*
 * From now on only these system calls (numbers of <sys/syscall.h>); mmap, mprotect and pkey_mprotect, where listed, only without
 * PROT_EXEC: no new code. All threads. `process` is named in messages.
 */
int sandbox_seccomp(const char *process, const int *allowed, size_t count, enum sandbox_action action);

#endif
