#include "base/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

void unix_socket_tidy(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return;
	strcpy(address.sun_path, path);
	(void)remove_stale(&address); /* there is none, or it is somebody's */
}

/* Its folder may belong to somebody who puts a link to another file in its place: so it is born with its mode, and is given away
 * without following. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	mode_t mask = umask(~mode & 0777);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ? -errno : 0;

	umask(mask);
	return rc;
}

int unix_socket_listen(const char *path, const struct unix_socket_owner *owner, int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	rc = remove_stale(&address);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = bind_with_mode(fd, &address, owner->mode);
	if (rc < 0)
		goto close_fd;
	if ((owner->uid != (uid_t)-1 || owner->gid != (gid_t)-1) &&
	    fchownat(AT_FDCWD, path, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) != 0)
		rc = -errno;
	else if (listen(fd, backlog) != 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	unlink(path);
close_fd:
	close(fd);
	return rc;
}
