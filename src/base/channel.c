#include "base/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control_buffer {
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
	struct cmsghdr align;
};

int channel_send(int fd, const void *data, size_t size, const int *fds, unsigned fd_count)
{
	struct iovec iov = {.iov_base = (void *)(size_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control_buffer control;
	ssize_t sent;

	if (size > CHANNEL_MESSAGE_MAX_BYTES || fd_count > CHANNEL_FDS_MAX)
		return -EMSGSIZE;
	if (fd_count > 0) {
		struct cmsghdr *header;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static unsigned take_fds(struct msghdr *message, int *fds, unsigned fd_max, unsigned *dropped)
{
	unsigned taken = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
		unsigned count;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		count = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < count; i++) {
			int received;

			memcpy(&received, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (taken < fd_max) {
				fds[taken++] = received;
			} else {
				close(received);
				(*dropped)++;
			}
		}
	}
	return taken;
}

ssize_t channel_receive(int fd, void *data, size_t size, int *fds, unsigned fd_max, unsigned *fd_count)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};
	union control_buffer control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	unsigned dropped = 0, taken;
	ssize_t received;

	if (fd_count != NULL)
		*fd_count = 0;
	do
		received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	taken = take_fds(&message, fds, fd_max, &dropped);
	if (dropped > 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		for (unsigned i = 0; i < taken; i++)
			close(fds[i]);
		return -EMSGSIZE;
	}
	if (fd_count != NULL)
		*fd_count = taken;
	return received;
}
