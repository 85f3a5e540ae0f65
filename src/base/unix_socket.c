#include "base/unix_socket.h"

#include <errno.h>
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

static int bind_closed(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0777); /* nobody may connect before owner and mode are set */
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
	rc = bind_closed(fd, &address);
	if (rc < 0)
		goto close_fd;
	if ((owner->uid != (uid_t)-1 || owner->gid != (gid_t)-1) && chown(path, owner->uid, owner->gid) != 0)
		rc = -errno;
	else if (chmod(path, owner->mode) != 0 || listen(fd, backlog) != 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	unlink(path);
close_fd:
	close(fd);
	return rc;
}
