#include "load/vhost_user_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { FDS_MAX = 8 };

static int wait_for(int socket, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = socket, .events = events};
	uint64_t now_ns = clock_monotonic_ns();
	int n;

	n = poll(&p, 1, now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / 1000000) + 1 : 0);
	if (n == 0)
		return -ETIMEDOUT;
	return n < 0 && errno != EINTR ? -errno : 0;
}

static uint64_t deadline_after(int timeout_ms)
{
	return clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
}

int vhost_user_wire_send(int socket, const struct vhost_user_message *message, int fd, int timeout_ms)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	uint8_t bytes[sizeof(message->header) + sizeof(message->payload)];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(message->header) + message->header.size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	uint64_t deadline_ns = deadline_after(timeout_ms);

	/* On the wire the payload follows the header without the padding that the struct has. */
	memcpy(bytes, &message->header, sizeof(message->header));
	memcpy(bytes + sizeof(message->header), &message->payload, message->header.size);
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		int error;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			error = wait_for(socket, POLLOUT, deadline_ns);
			if (error != 0)
				return error;
			continue;
		}
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		m.msg_control = NULL; /* the descriptor went with the first byte */
		m.msg_controllen = 0;
	}
	return 0;
}

/* Keeps the first descriptor that comes when the caller wants one and has none; closes all others. */
static void take_fds(struct msghdr *m, int *fd)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[FDS_MAX];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		for (size_t i = 0; i < count; i++) {
			if (fd != NULL && *fd < 0)
				*fd = fds[i];
			else
				close(fds[i]);
		}
	}
}

static int receive_bytes(int socket, void *data, size_t size, int *fd, uint64_t deadline_ns)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	size_t done = 0;

	while (done < size) {
		struct iovec iov = {.iov_base = (char *)data + done, .iov_len = size - done};
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int error;

		if (n == 0)
			return done == 0 ? -ECONNRESET : -EPROTO;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			error = wait_for(socket, POLLIN, deadline_ns);
			if (error != 0)
				return error;
			continue;
		}
		take_fds(&m, fd);
		done += (size_t)n;
	}
	return 0;
}

int vhost_user_wire_receive(int socket, struct vhost_user_message *message, int *fd, int timeout_ms)
{
	uint64_t deadline_ns = deadline_after(timeout_ms);
	int error;

	if (fd != NULL)
		*fd = -1;
	error = receive_bytes(socket, &message->header, sizeof(message->header), fd, deadline_ns);
	if (error == 0 && message->header.size > sizeof(message->payload))
		error = -EPROTO;
	if (error == 0) {
		error = receive_bytes(socket, &message->payload, message->header.size, fd, deadline_ns);
		if (error == -ECONNRESET)
			error = -EPROTO;
	}
	if (error != 0 && fd != NULL && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return error;
}
