#include "card/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/channel.h"

static const char stub[] = "{\"body\":\"memfd\"}";

static int send_as_memfd(int channel, const char *text, size_t length)
{
	int fd = memfd_create("outboard-command", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 0;
	size_t written = 0;

	if (fd < 0)
		return -errno;
	while (written < length) {
		ssize_t n = write(fd, text + written, length - written);

		if (n < 0) {
			rc = -errno;
			goto out;
		}
		written += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		rc = -errno;
		goto out;
	}
	rc = channel_send(channel, stub, sizeof(stub) - 1, &fd, 1);
out:
	close(fd);
	return rc;
}

int command_send(int channel, const json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t length;
	int rc;

	if (text == NULL)
		return -ENOMEM;
	length = strlen(text);
	if (length > COMMAND_BODY_MAX_BYTES)
		rc = -EMSGSIZE;
	else if (length > COMMAND_INLINE_MAX_BYTES)
		rc = send_as_memfd(channel, text, length);
	else
		rc = channel_send(channel, text, length, NULL, 0);
	free(text);
	return rc;
}

static int parse(const char *text, size_t length, json_t **out)
{
	*out = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	if (*out == NULL)
		return -EBADMSG;
	if (!json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return -EBADMSG;
	}
	return 0;
}

static int receive_memfd(int fd, json_t **out)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK;
	struct stat st;
	void *text;
	int rc;

	if ((fcntl(fd, F_GET_SEALS) & seals) != seals) /* it could change, or shrink, while it is read */
		return -EBADMSG;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size > COMMAND_BODY_MAX_BYTES)
		return -EBADMSG;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	rc = parse(text, (size_t)st.st_size, out);
	munmap(text, (size_t)st.st_size);
	return rc;
}

int command_receive(int channel, json_t **out)
{
	static _Thread_local char buffer[COMMAND_INLINE_MAX_BYTES];
	unsigned fd_count = 0;
	int fd = -1, rc;
	ssize_t received;

	received = channel_receive(channel, buffer, sizeof(buffer), &fd, 1, &fd_count);
	if (received == 0)
		return -ECONNRESET;
	if (received < 0)
		return (int)received;
	if (fd_count == 0)
		return parse(buffer, (size_t)received, out);
	rc = receive_memfd(fd, out);
	close(fd);
	return rc;
}
