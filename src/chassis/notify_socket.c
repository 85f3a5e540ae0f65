#include "chassis/notify_socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_socket_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int on = 1;
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path); /* we hold the lock of the directory: it is nobody's */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void take_ancillary(struct msghdr *header, struct notify_message *out)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(header); h != NULL; h = CMSG_NXTHDR(header, h)) {
		size_t size = h->cmsg_len - CMSG_LEN(0);

		if (h->cmsg_level != SOL_SOCKET)
			continue;
		if (h->cmsg_type == SCM_CREDENTIALS && size == sizeof(struct ucred)) {
			struct ucred credentials;

			memcpy(&credentials, CMSG_DATA(h), sizeof(credentials));
			out->sender = credentials.pid;
		} else if (h->cmsg_type == SCM_RIGHTS && out->fd_count == 0) {
			/* The kernel cuts what does not fit the buffer, which has room for CHANNEL_FDS_MAX (and padding for one
			 * more). */
			for (size_t i = 0; i < size / sizeof(int); i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
				if (out->fd_count < CHANNEL_FDS_MAX)
					out->fds[out->fd_count++] = fd;
				else
					close(fd);
			}
		}
	}
}

int notify_socket_receive(int socket, struct notify_message *out)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = out->text, .iov_len = NOTIFY_TEXT_MAX_BYTES};
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t received;

	out->sender = 0;
	out->fd_count = 0;
	do
		received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	take_ancillary(&header, out);
	if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || out->sender <= 0) {
		for (unsigned i = 0; i < out->fd_count; i++)
			close(out->fds[i]);
		out->fd_count = 0;
		return -EMSGSIZE;
	}
	out->text[received] = '\0';
	notify_message_parse(out);
	return 0;
}

void notify_message_parse(struct notify_message *message)
{
	char *rest = message->text, *line;

	message->ready = false;
	message->fd_store = false;
	message->fd_store_remove = false;
	message->fd_name = "stored";
	message->status = NULL;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strcmp(line, "READY=1") == 0)
			message->ready = true;
		else if (strcmp(line, "FDSTORE=1") == 0)
			message->fd_store = true;
		else if (strcmp(line, "FDSTOREREMOVE=1") == 0)
			message->fd_store_remove = true;
		else if (strncmp(line, "FDNAME=", 7) == 0)
			message->fd_name = line + 7;
		else if (strncmp(line, "STATUS=", 7) == 0)
			message->status = line + 7;
	}
}
