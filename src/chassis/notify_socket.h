/*
 * Our end of NOTIFY_SOCKET: a datagram socket in the state directory (which only we and our children can enter) on which children
 * speak the sd_notify(3) protocol. The kernel says who sent a message (SCM_CREDENTIALS): a child cannot speak for another.
 */
#ifndef OUTBOARD_CHASSIS_NOTIFY_SOCKET_H
#define OUTBOARD_CHASSIS_NOTIFY_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/channel.h"

enum { NOTIFY_TEXT_MAX_BYTES = 4096 };

struct notify_message {
	pid_t sender;
	bool ready;
	bool fd_store;
	bool fd_store_remove;
	const char *fd_name;	  /* "stored" when the message gives none, as systemd does */
	const char *status;	  /* NULL: none */
	int fds[CHANNEL_FDS_MAX]; /* the receiver's to close */
	unsigned fd_count;
	char text[NOTIFY_TEXT_MAX_BYTES + 1];
};

/* A listening socket at `path`, replacing what a killed predecessor left there; -errno. */
int notify_socket_open(const char *path);
/* One message. 0; -EAGAIN: none; -EMSGSIZE: too long, or no or false credentials: dropped, nothing leaks. */
int notify_socket_receive(int socket, struct notify_message *out);
/* Cuts out->text into the fields above; unknown assignments are ignored, as the protocol wants it. */
void notify_message_parse(struct notify_message *message);

#endif
