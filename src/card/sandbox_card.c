#include "card/sandbox_card.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "sandbox/sandbox.h"

/* A device takes about six descriptors: sockets, memory, kicks, calls, in-flight. */
enum { DESCRIPTORS_WANTED = 200000 };

static const int capabilities[] = {
	CAP_CHOWN,	  /* the socket of a device belongs to whom its owner says */
	CAP_DAC_OVERRIDE, /* images, and sockets given away before, may belong to the VMM's user */
	CAP_IPC_LOCK,	  /* keys are locked in memory */
};

/* in groups, not a column */
/* clang-format off */
static const int calls[] = {
	/* pollers */
	SYS_epoll_pwait, SYS_epoll_pwait2, SYS_epoll_wait, SYS_epoll_ctl, SYS_write, SYS_read, SYS_preadv2, SYS_io_uring_enter, SYS_fallocate,
	/* volumes: storage, huge pages, keys */
	SYS_openat, SYS_close, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_lseek, SYS_ftruncate, SYS_unlink, SYS_unlinkat, SYS_fsync,
	SYS_fdatasync, SYS_ioctl, SYS_fcntl, SYS_pread64, SYS_pwrite64, SYS_io_uring_register, SYS_memfd_create, SYS_memfd_secret,
	SYS_mlock, SYS_munlock, SYS_madvise, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_brk, SYS_fstatfs, SYS_statfs, SYS_sysinfo,
	SYS_readlink,
	/* taps */
	SYS_readv, SYS_writev,
	/* vhost-user */
	SYS_socket, SYS_bind, SYS_listen, SYS_accept4, SYS_connect, SYS_recvmsg, SYS_sendmsg, SYS_recvfrom, SYS_sendto, SYS_shutdown,
	SYS_eventfd2, SYS_dup, SYS_dup3, SYS_poll, SYS_ppoll, SYS_fchownat, SYS_umask, SYS_getsockopt, SYS_setsockopt,
	/* the process */
	SYS_futex, SYS_clock_gettime, SYS_getrandom, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_gettid, SYS_getpid, SYS_tgkill,
	SYS_exit, SYS_exit_group, SYS_restart_syscall, SYS_sched_yield, SYS_rseq, SYS_set_robust_list, SYS_nanosleep, SYS_clock_nanosleep,
};

/* What DPDK does on behalf of a wire, where there is one; the devices themselves are open by now. */
static const int wire_calls[] = {
	SYS_sched_getaffinity, SYS_access, /* a poller registers itself when it first touches a wire: its core, its NUMA node */
	SYS_epoll_create,      /* its interrupt thread makes its set anew when a descriptor comes or goes */
	SYS_timerfd_settime,   /* its alarms: a memif client tries again, a link is looked at */
	SYS_accept,	       /* a memif server's peer comes */
};
/* clang-format on */

static int raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -errno;
	if (limit.rlim_max < DESCRIPTORS_WANTED) {
		struct rlimit more = {DESCRIPTORS_WANTED, DESCRIPTORS_WANTED};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0) /* needs CAP_SYS_RESOURCE */
			return 0;
		log_warning("at most %llu file descriptors: about %llu devices; raise LimitNOFILE for more",
			    (unsigned long long)limit.rlim_max, (unsigned long long)limit.rlim_max / 8);
	}
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) != 0 ? -errno : 0;
}

int sandbox_card_capabilities(void)
{
	return sandbox_drop_capabilities(capabilities, sizeof(capabilities) / sizeof(capabilities[0]));
}

int sandbox_card_privileges(void)
{
	int rc = raise_descriptors();

	return rc == 0 ? sandbox_card_capabilities() : rc;
}

int sandbox_card(bool wires)
{
	enum { COUNT = sizeof(calls) / sizeof(calls[0]), WIRE_COUNT = sizeof(wire_calls) / sizeof(wire_calls[0]) };
	int all[COUNT + WIRE_COUNT];

	memcpy(all, calls, sizeof(calls));
	memcpy(all + COUNT, wire_calls, sizeof(wire_calls));
	return sandbox_seccomp("outboard-card", all, wires ? COUNT + WIRE_COUNT : COUNT, sandbox_action_from_environment());
}
