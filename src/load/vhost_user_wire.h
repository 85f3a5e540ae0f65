/*
 * Messages of the vhost-user protocol as a front end sends and receives them: whole messages over a unix stream socket, with
 * descriptors, each wait bounded. Private to the client.
 */
#ifndef OUTBOARD_LOAD_VHOST_USER_WIRE_H
#define OUTBOARD_LOAD_VHOST_USER_WIRE_H

#include <stdint.h>

#include "virtio/vhost_user_proto.h"

struct vhost_user_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
};

/* 0 or -errno: -ETIMEDOUT, -ECONNRESET, -EPIPE. `fd` is -1 or a descriptor to go along. */
int vhost_user_wire_send(int socket, const struct vhost_user_message *message, int fd, int timeout_ms);
/* 0 or -errno: -ETIMEDOUT, -ECONNRESET, -EPROTO (larger than any message, or the end came in the middle of one). *fd is the first
 * descriptor that came along, or -1; others are closed. NULL: all are closed. */
int vhost_user_wire_receive(int socket, struct vhost_user_message *message, int *fd, int timeout_ms);

#endif
