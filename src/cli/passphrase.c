#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* No stdio: its buffers would keep a copy. */
static ssize_t read_all(int fd, char *to, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, to + used, size - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		used += (size_t)got;
		if (got == 0 || isatty(fd)) /* a terminal gives a line at a time */
			break;
	}
	return (ssize_t)used;
}

/* With the signals that would end us held back until the echo is on again. */
static ssize_t ask(int terminal, char *to, size_t size)
{
	static const char prompt[] = "Passphrase: ";
	struct termios saved, silent;
	sigset_t ending, before;
	ssize_t got;

	if (tcgetattr(terminal, &saved) != 0)
		return -1;
	sigemptyset(&ending);
	sigaddset(&ending, SIGTSTP);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, &before);
	silent = saved;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG); /* Ctrl-C comes as a character, and ends the line as one that is refused */
	silent.c_cc[VEOL] = 3;
	tcsetattr(terminal, TCSAFLUSH, &silent);
	(void)!write(terminal, prompt, sizeof(prompt) - 1);
	got = read_all(terminal, to, size);
	tcsetattr(terminal, TCSAFLUSH, &saved);
	(void)!write(terminal, "\n", 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return got;
}

static ssize_t read_source(const char *path, char *to, size_t size)
{
	bool file = path != NULL && strcmp(path, "-") != 0, ask_person = false;
	int fd = STDIN_FILENO;
	ssize_t got;

	if (file) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	} else if (path == NULL && isatty(STDIN_FILENO)) {
		fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
		ask_person = true;
	}
	if (fd < 0)
		return -1;
	got = ask_person ? ask(fd, to, size) : read_all(fd, to, size);
	if (fd != STDIN_FILENO)
		close(fd);
	return got;
}

int passphrase_read(const char *path, char passphrase[PASSPHRASE_SIZE], size_t *size, char error[PASSPHRASE_ERROR_SIZE])
{
	ssize_t got = read_source(path, passphrase, PASSPHRASE_SIZE);

	if (got < 0) {
		snprintf(error, PASSPHRASE_ERROR_SIZE, "cannot read the passphrase from %s: %s",
			 path == NULL ? "the terminal" : path, strerror(errno));
		return -1;
	}
	if (got > 0 && passphrase[got - 1] == '\n')
		got--;
	if (memchr(passphrase, 3, (size_t)got) != NULL || got == 0) {
		snprintf(error, PASSPHRASE_ERROR_SIZE, "no passphrase was given");
		return -1;
	}
	if (got > VAULT_PASSPHRASE_MAX_BYTES) {
		snprintf(error, PASSPHRASE_ERROR_SIZE, "a passphrase has at most %d bytes", VAULT_PASSPHRASE_MAX_BYTES);
		return -1;
	}
	*size = (size_t)got;
	return 0;
}
