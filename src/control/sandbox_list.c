#include "control/sandbox_list.h"

#include <sys/syscall.h>

/* No execve, no fork, no connect, no ptrace: what would start, reach or look into another process. */
static const int calls[] = {
	/* the loop, its peers, the API */
	SYS_epoll_wait,
	SYS_epoll_pwait,
	SYS_epoll_ctl,
	SYS_accept4,
	SYS_accept,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_recvfrom,
	SYS_sendto,
	SYS_writev,
	SYS_shutdown,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_sendfile,
	SYS_poll,
	SYS_ppoll,
	SYS_memfd_create, /* a large message travels as one */
	SYS_ftruncate,
	/* SQLite on its files; creating those that a commit needs */
	SYS_openat,
	SYS_read,
	SYS_write,
	SYS_pread64,
	SYS_pwrite64,
	SYS_lseek,
	SYS_fcntl,
	SYS_fdatasync,
	SYS_fsync,
	SYS_fstat,
	SYS_newfstatat,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_faccessat,
	SYS_unlink,
	SYS_unlinkat,
	SYS_rename, /* of a flow log that is full */
	SYS_renameat,
	SYS_renameat2,
	SYS_getcwd,
	SYS_fchmod,
	SYS_fchown,
	SYS_geteuid,
	SYS_getpid,
	SYS_utimensat,
	SYS_readlink,
	SYS_readlinkat,
	SYS_statx,
	SYS_fallocate,
	/* memory, threads, time, random ids */
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_brk,
	SYS_madvise,
	SYS_mprotect,
	SYS_futex,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_getrandom,
	SYS_close,
	SYS_rt_sigprocmask,
	SYS_rt_sigaction,
	SYS_rt_sigreturn,
	SYS_restart_syscall,
	SYS_gettid,
	SYS_sched_yield,
	SYS_rseq,
	SYS_set_robust_list,
	SYS_sysinfo, /* qsort(3) of many */
	/* the end; abort(3) */
	SYS_exit,
	SYS_exit_group,
	SYS_tgkill,
};

const int *control_sandbox_list(size_t *count)
{
	*count = sizeof(calls) / sizeof(calls[0]);
	return calls;
}
