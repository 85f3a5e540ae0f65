/*
 * Messages with file descriptors over a connected SOCK_SEQPACKET socket: what the processes speak among themselves. One packet
 * is one message. Works on blocking and non-blocking sockets; never raises SIGPIPE.
 */
#ifndef OUTBOARD_BASE_CHANNEL_H
#define OUTBOARD_BASE_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>

enum { CHANNEL_FDS_MAX = 16, CHANNEL_MESSAGE_MAX_BYTES = 160 * 1024 };

/* 0 or -errno (-EMSGSIZE over CHANNEL_MESSAGE_MAX_BYTES, -EAGAIN). Descriptors stay the caller's. */
int channel_send(int fd, const void *data, size_t size, const int *fds, unsigned fd_count);

/* Bytes received (0: the peer is gone), or -errno: -EAGAIN, -EMSGSIZE for a message larger than `size` or with more than
 * `fd_max` descriptors (nothing is leaked then). Received descriptors are close-on-exec and belong to the caller; *fd_count says
 * how many. */
ssize_t channel_receive(int fd, void *data, size_t size, int *fds, unsigned fd_max, unsigned *fd_count);

#endif
