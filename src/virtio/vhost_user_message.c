/*
 * Messages on the stream. A header is read by itself and then exactly its payload, so that a read never reaches into the next
 * message: descriptors, which the kernel delivers with the first byte of the sender's write (unix(7)), belong to the message being
 * read, also when the VMM cut it into pieces. What is incomplete stays in v->message until more comes. Nothing here trusts a
 * length: the header is checked before the payload is read.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "virtio/vhost_user_internal.h"

enum { SCM_MAX_FD = 253 }; /* of one sendmsg, by the kernel: with room for all of them none gets lost */

int vhost_user_refuse(const struct vhost_user *v, uint32_t request, int error, const char *format, ...)
{
	char reason[160];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	log_warning("device %s: vhost-user: %s refused: %s", v->name, vhost_user_request_name(request), reason);
	return error;
}

static struct vhost_user_message *message_new(void)
{
	struct vhost_user_message *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	for (unsigned i = 0; i < VHOST_USER_REGIONS_MAX; i++)
		m->fds[i] = -1;
	return m;
}

void vhost_user_message_free(struct vhost_user *v)
{
	if (v->message == NULL)
		return;
	for (unsigned i = 0; i < VHOST_USER_REGIONS_MAX; i++)
		vhost_user_fd_close(&v->message->fds[i]);
	free(v->message);
	v->message = NULL;
}

int vhost_user_message_take_fd(struct vhost_user_message *m, unsigned index)
{
	int fd = m->fds[index];

	m->fds[index] = -1;
	return fd;
}

static void keep_fds(struct vhost_user_message *m, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->fd_count < VHOST_USER_REGIONS_MAX)
				m->fds[m->fd_count] = fd;
			else
				discard(fd);
			m->fd_count++;
		}
	}
}

/* Reads up to `size` bytes. 1: something came; 0: would block; -ECONNRESET. */
static int read_some(struct vhost_user *v, struct vhost_user_message *m, void *data, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SCM_MAX_FD * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n;

	do
		n = recvmsg(v->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -ECONNRESET;
	keep_fds(m, &msg);
	if (n == 0)
		return -ECONNRESET;
	m->received_bytes += (uint32_t)n;
	return 1;
}

int vhost_user_receive(struct vhost_user *v)
{
	struct vhost_user_message *m = v->message;
	int rc;

	if (m == NULL)
		m = v->message = message_new();
	if (m == NULL)
		return -ENOMEM;
	while (m->received_bytes < sizeof(m->header)) {
		rc = read_some(v, m, (uint8_t *)&m->header + m->received_bytes, sizeof(m->header) - m->received_bytes);
		if (rc == 0 && m->received_bytes == 0)
			vhost_user_message_free(v);
		if (rc <= 0)
			return rc;
		if (m->received_bytes < sizeof(m->header))
			continue;
		rc = vhost_user_check_header(v, m);
		if (rc < 0)
			return rc;
	}
	while (m->received_bytes < sizeof(m->header) + m->header.size) {
		uint32_t have_bytes = m->received_bytes - (uint32_t)sizeof(m->header);

		rc = read_some(v, m, (uint8_t *)&m->payload + have_bytes, m->header.size - have_bytes);
		if (rc <= 0)
			return rc;
	}
	rc = vhost_user_check(v, m);
	return rc < 0 ? rc : 1;
}

/* A message that does not fit the socket's buffer is a peer that does not read: not worth waiting for. */
static int send_all(int socket, const struct vhost_user_header *header, const void *payload, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov[2] = {
		{.iov_base = (void *)header, .iov_len = sizeof(*header)},
		{.iov_base = (void *)payload, .iov_len = header->size},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	do
		n = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*header) + header->size ? 0 : -EAGAIN;
}

int vhost_user_reply(struct vhost_user *v, const struct vhost_user_message *request, const void *payload, uint32_t size, int fd)
{
	struct vhost_user_header header = {
		.request = request->header.request, .flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, .size = size};
	int rc = send_all(v->socket, &header, payload, fd);

	if (rc == -EAGAIN)
		return vhost_user_refuse(v, request->header.request, -EPROTO, "the VMM does not read its replies");
	return rc < 0 ? -ECONNRESET : VHOST_USER_REPLIED;
}

int vhost_user_reply_u64(struct vhost_user *v, const struct vhost_user_message *request, uint64_t value)
{
	return vhost_user_reply(v, request, &value, sizeof(value), -1);
}

int vhost_user_backend_send(struct vhost_user *v, uint32_t request)
{
	struct vhost_user_header header = {.request = request, .flags = VHOST_USER_VERSION};

	return send_all(v->fds.backend, &header, NULL, -1);
}

bool vhost_user_wants_ack(const struct vhost_user *v, const struct vhost_user_message *m)
{
	return (m->header.flags & VHOST_USER_FLAG_NEED_REPLY) != 0 &&
	       (v->state.protocol_features >> VHOST_USER_PROTOCOL_F_REPLY_ACK & 1) != 0;
}
