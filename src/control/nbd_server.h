/* Starting one nbdkit for one volume. */
#ifndef OUTBOARD_CONTROL_NBD_SERVER_H
#define OUTBOARD_CONTROL_NBD_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/unix_socket.h"
#include "control/fields.h"

enum { NBD_SERVER_EXIT_NO_EXEC = 127 };

struct nbd_server_config {
	char name[NAME_SIZE];
	char socket[SOCKET_PATH_SIZE]; /* NBD, for clients */
	char vhost[SOCKET_PATH_SIZE];  /* the card's */
	bool read_only;
	struct unix_socket_owner owner;
};

int nbd_server_config(const json_t *request, struct nbd_server_config *out); /* 0 or -EINVAL */

/*
 * nbdkit serves what connects to `listen_fd`. *ready_fd becomes readable when it does, and at end of file when it ended; it is the
 * caller's. 0 or -errno.
 */
int nbd_server_spawn(const struct nbd_server_config *config, int listen_fd, pid_t *pid, int *ready_fd);

#endif
