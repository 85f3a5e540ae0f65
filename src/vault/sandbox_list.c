#include "vault/sandbox_list.h"

#include <sys/syscall.h>

static const int calls[] = {
#ifdef SYS_poll /* glibc's poll(3); newer architectures have only ppoll */
	SYS_poll,
#else
	SYS_ppoll,
#endif
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_getrandom,
	SYS_write, /* the log */
	SYS_close, /* a descriptor that a message brought; key pages */
	SYS_memfd_secret,
	SYS_ftruncate,
	SYS_mmap,
	SYS_munmap,
	SYS_clock_gettime, /* where the vDSO has no clock */
	SYS_restart_syscall,
	SYS_exit_group,
	/* a passphrase root only */
	SYS_pwrite64,
	SYS_fdatasync,
};

enum { PASSPHRASE_ONLY = 2 };

const int *vault_sandbox_list(bool passphrase, size_t *count)
{
	*count = sizeof(calls) / sizeof(calls[0]) - (passphrase ? 0 : PASSPHRASE_ONLY);
	return calls;
}
