#include "base/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"

enum { FIRST_FD = 3, NAME_MAX_BYTES = 256 };

void inherited_each(const char *prefix, void (*each)(void *context, const char *name, int fd), void *context)
{
	const char *count_text = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES"), *pid = getenv("LISTEN_PID");
	int count = count_text == NULL ? 0 : atoi(count_text);

	if (names == NULL || (pid != NULL && atoi(pid) != (int)getpid()))
		return;
	for (int i = 0; i < count; i++) {
		size_t length = strcspn(names, ":");
		char name[NAME_MAX_BYTES];

		if (length < sizeof(name) && strncmp(names, prefix, strlen(prefix)) == 0) {
			memcpy(name, names, length);
			name[length] = '\0';
			fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
			each(context, name, FIRST_FD + i);
		}
		names += length;
		if (*names == ':')
			names++;
	}
}

struct search {
	const char *name;
	int fd;
};

static void take_exact(void *context, const char *name, int fd)
{
	struct search *s = context;

	if (strcmp(s->name, name) == 0)
		s->fd = fd;
}

int inherited_fd(const char *name)
{
	struct search s = {.name = name, .fd = -ENOENT};

	inherited_each(name, take_exact, &s);
	return s.fd;
}

static int notify(const char *text, const int *fds, unsigned fd_count)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length;
	int fd, rc;

	if (path == NULL || *path == '\0')
		return 0;
	length = strlen(path);
	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (*path == '@')
		address.sun_path[0] = '\0'; /* abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0)
		rc = -errno;
	else
		rc = channel_send(fd, text, strlen(text), fds, fd_count);
	close(fd);
	return rc;
}

int notify_send(const char *text)
{
	return notify(text, NULL, 0);
}

int notify_store_fd(const char *name, int fd)
{
	char text[NAME_MAX_BYTES + 32];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	return notify(text, &fd, 1);
}

int notify_remove_fd(const char *name)
{
	char text[NAME_MAX_BYTES + 32];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify(text, NULL, 0);
}
