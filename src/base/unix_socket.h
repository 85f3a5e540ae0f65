/* Listening on a path of the file system, the same way in every process. */
#ifndef OUTBOARD_BASE_UNIX_SOCKET_H
#define OUTBOARD_BASE_UNIX_SOCKET_H

#include <sys/types.h>

struct unix_socket_owner {
	uid_t uid; /* (uid_t)-1: whoever we are */
	gid_t gid; /* (gid_t)-1: likewise */
	mode_t mode;
};

/*
 * A stream socket that listens at `path` (non-blocking, close-on-exec) with that mode from its first moment on, and then that
 * owner: at no time is it open to more. A socket file that nobody listens on is what a killed process left, and is replaced.
 * -errno: -EADDRINUSE when somebody listens there, -EEXIST when something that is no socket is in the way, -ENAMETOOLONG.
 */
int unix_socket_listen(const char *path, const struct unix_socket_owner *owner, int backlog);

/* Removes a socket file that nobody listens on, and nothing else. */
void unix_socket_tidy(const char *path);

#endif
