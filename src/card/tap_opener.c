#include "card/tap_opener.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/log.h"
#include "sandbox/sandbox.h"

static const int capabilities[] = {
	CAP_NET_ADMIN,	/* making and configuring interfaces */
	CAP_SYS_ADMIN,	/* setns */
	CAP_SYS_PTRACE, /* /proc/PID/ns/net of a process that may do more than we may */
};

/* in groups, not a column */
/* clang-format off */
static const int calls[] = {
	SYS_recvmsg, SYS_sendmsg, SYS_close, SYS_write, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_clock_gettime, SYS_brk,
	/* an interface: the namespace, /dev/net/tun, TUNSETIFF and its like, SIOCSIF... */
	SYS_openat, SYS_fstatfs, SYS_setns, SYS_ioctl, SYS_socket,
};
/* clang-format on */

static bool answer(int channel, const struct tap_request *request)
{
	struct tap_reply reply = {.cookie = request->cookie};
	int fd = tap_request_open(request, &reply.offloads, reply.message, sizeof(reply.message)), rc;

	reply.error = fd < 0 ? fd : 0;
	rc = channel_send(channel, &reply, sizeof(reply), &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return rc == 0;
}

void tap_opener_serve(int channel)
{
	struct tap_request request;
	unsigned fd_count;
	ssize_t received;

	do
		received = channel_receive(channel, &request, sizeof(request), NULL, 0, &fd_count);
	while (received == sizeof(request) && answer(channel, &request));
	if (received != 0)
		log_error("the tap helper stops: %s",
			  received < 0 ? strerror((int)-received) : "a request has the wrong size, or its answer cannot be sent");
}

/* Nothing of what the card holds: no channel to control or to the vault. */
static int keep_only(int channel)
{
	const int kept = STDERR_FILENO + 1;

	if (channel != kept && dup2(channel, kept) < 0)
		return -errno;
	return close_range(kept + 1, ~0u, 0) != 0 ? -errno : kept;
}

static void run(int channel)
{
	signal(SIGINT, SIG_IGN); /* meant for the card: it ends, and then we do */
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, "outboard-tap");
	channel = keep_only(channel);
	if (channel < 0 || sandbox_undumpable() < 0 ||
	    sandbox_drop_capabilities(capabilities, sizeof(capabilities) / sizeof(capabilities[0])) < 0 ||
	    sandbox_seccomp("outboard-card (tap helper)", calls, sizeof(calls) / sizeof(calls[0]),
			    sandbox_action_from_environment()) < 0)
		_exit(1);
	tap_opener_serve(channel);
	_exit(0);
}

int tap_opener_start(int *channel)
{
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	signal(SIGCHLD, SIG_IGN); /* it is our only child, and nobody waits for it */
	pid = fork();
	if (pid == 0)
		run(pair[1]);
	rc = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (rc < 0)
		close(pair[0]);
	else
		*channel = pair[0];
	return rc;
}
