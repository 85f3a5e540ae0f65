#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "card/device.h"

enum { LISTEN_BACKLOG = 4 };

/* A socket file that nobody listens on is what a killed process left: it may go. Anything else stays. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, rc;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED ? -EADDRINUSE : 0;
	close(fd);
	return rc == 0 && unlink(address->sun_path) != 0 ? -errno : rc;
}

void listen_tidy(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
		return;
	strcpy(address.sun_path, path);
	(void)remove_stale(&address); /* there is none, or it is somebody's */
}

int listen_open(const struct device_socket *s, char *error, size_t error_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd = -1, rc;

	memcpy(address.sun_path, s->path, sizeof(address.sun_path));
	rc = remove_stale(&address);
	if (rc < 0)
		goto fail;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		rc = -errno;
		goto fail;
	}
	/* Its folder may belong to somebody who puts a link to another file in its place: so it is born with its mode, and is
	 * given away without following. */
	mask = umask(~s->mode & 0777);
	rc = bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ? -errno : 0;
	umask(mask);
	if (rc < 0)
		goto fail;
	if ((s->uid != (uid_t)-1 || s->gid != (gid_t)-1) && fchownat(AT_FDCWD, s->path, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) != 0)
		rc = -errno;
	else if (listen(fd, LISTEN_BACKLOG) != 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	unlink(s->path);
fail:
	if (fd >= 0)
		close(fd);
	snprintf(error, error_size, "cannot listen on %s: %s%s", s->path, strerror(-rc),
		 rc == -EADDRINUSE ? "; another process serves that socket"
		 : rc == -EEXIST   ? "; a file that is not a socket is in the way"
				   : "");
	return rc;
}
