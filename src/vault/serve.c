/*
 * A channel is either read (POLLIN) or has an answer that waits for room (POLLOUT), never both: a client that does not read its
 * answers stops itself, not the other one, and no more than one answer a channel is ever held.
 */
#include "vault/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

enum { LINE_MAX_BYTES = VAULT_PASSPHRASE_MAX_BYTES + 1 };

/* Up to a newline or the end; -EMSGSIZE when it is longer than a passphrase may be. */
static ssize_t read_line(int fd, uint8_t line[LINE_MAX_BYTES])
{
	size_t size = 0;

	while (size < LINE_MAX_BYTES) {
		ssize_t got = read(fd, line + size, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0 || line[size] == '\n')
			return (ssize_t)size;
		size++;
	}
	return -EMSGSIZE;
}

int serve_passphrase(struct vault *vault, int fd)
{
	uint8_t line[LINE_MAX_BYTES];
	enum vault_error error;
	ssize_t size;

	(void)lseek(fd, 0, SEEK_SET); /* a file that our predecessor has read; a pipe is read once */
	size = read_line(fd, line);
	close(fd);
	if (size > 0) {
		error = root_unlock(&vault->root, line, (size_t)size, clock_monotonic_ns());
		if (error != VAULT_OK)
			log_error("the passphrase that I was started with: %s", vault_error_text(error));
	} else if (size < 0) {
		log_error("cannot read the passphrase that I was started with: %s", strerror((int)-size));
	}
	secret_wipe(line, sizeof(line));
	return 0;
}

static void drop_answer(struct vault_answer *answer)
{
	if (answer->fd >= 0)
		close(answer->fd);
	secret_wipe(answer, sizeof(*answer));
	answer->fd = -1;
}

/* 0: sent, or the channel takes no more for now; -errno. */
static int send_answer(int channel, struct vault_answer *answer)
{
	int rc = channel_send(channel, answer->bytes, answer->size, &answer->fd, answer->fd >= 0);

	if (rc == -EAGAIN)
		return 0;
	drop_answer(answer);
	return rc;
}

/* An empty packet and the end of a channel read the same; only the end stays. */
static bool is_closed(int channel)
{
	struct pollfd poller = {.fd = channel};

	return poll(&poller, 1, 0) == 1 && (poller.revents & POLLHUP) != 0;
}

/* 1: served; 0: the channel is closed; -errno. */
static int serve_one(struct vault *vault, enum vault_role role, int channel, struct vault_answer *answer)
{
	uint8_t message[VAULT_MESSAGE_MAX_BYTES];
	ssize_t size = channel_receive(channel, message, sizeof(message), NULL, 0, NULL);

	if (size == 0 && is_closed(channel))
		return 0;
	if (size < 0)
		return size == -EAGAIN || size == -EMSGSIZE ? 1 : (int)size;
	vault_handle(vault, role, message, (size_t)size, clock_monotonic_ns(), answer);
	return 1;
}

static int serve_channel(struct vault *vault, enum vault_role role, const struct pollfd *poller, struct vault_answer *answer)
{
	int rc;

	if ((poller->revents & (POLLHUP | POLLERR)) != 0 && (poller->revents & POLLIN) == 0)
		return 0;
	if ((poller->revents & POLLIN) != 0) {
		rc = serve_one(vault, role, poller->fd, answer);
		if (rc <= 0)
			return rc;
	}
	if (answer->size > 0) {
		rc = send_answer(poller->fd, answer);
		if (rc != 0)
			return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
	}
	return 1;
}

int serve(struct vault *vault, const int channels[VAULT_CHANNELS])
{
	struct vault_answer answers[VAULT_CHANNELS] = {{.fd = -1}, {.fd = -1}};
	struct pollfd pollers[VAULT_CHANNELS];
	int rc = 1;

	while (rc > 0) {
		for (int i = 0; i < VAULT_CHANNELS; i++)
			pollers[i] = (struct pollfd){.fd = channels[i], .events = answers[i].size > 0 ? POLLOUT : POLLIN};
		if (poll(pollers, VAULT_CHANNELS, -1) < 0) {
			rc = errno == EINTR ? 1 : -errno;
			continue;
		}
		for (int i = 0; rc > 0 && i < VAULT_CHANNELS; i++)
			if (pollers[i].revents != 0)
				rc = serve_channel(vault, (enum vault_role)i, &pollers[i], &answers[i]);
	}
	for (int i = 0; i < VAULT_CHANNELS; i++)
		drop_answer(&answers[i]);
	if (rc == 0)
		log_info("a channel was closed: whoever started me is gone, and so am I");
	else
		log_error("a channel failed: %s", strerror(-rc));
	return rc;
}
