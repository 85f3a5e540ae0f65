#include "cli/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { EXIT_NOT_FOUND = 127, POLL_MS = 200 };

/* Set by the signal handler alone: which signal asked for an end. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

void convert_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: poll() returns */

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool convert_interrupted(void)
{
	return interrupted != 0;
}

static void run_child(const char *const *arguments, int out, int errors)
{
	const char *argv[32] = {"qemu-img"};
	unsigned count = 1;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0); /* a terminal's Ctrl-C is for us */
	while (arguments[count - 1] != NULL && count < 31) {
		argv[count] = arguments[count - 1];
		count++;
	}
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		_exit(1);
	execvp("qemu-img", (char *const *)(size_t)argv);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : 1);
}

/* Until qemu-img closes its output: that is, ends. */
static void follow(int out, pid_t pid, struct progress *progress)
{
	struct pollfd poller = {.fd = out, .events = POLLIN};
	char text[512];
	bool told = false;

	for (;;) {
		ssize_t got;
		double percent;

		if (interrupted && !told) {
			kill(pid, SIGTERM);
			told = true;
		}
		if (poll(&poller, 1, POLL_MS) <= 0)
			continue;
		got = read(out, text, sizeof(text) - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		text[got] = '\0';
		if (progress_parse(text, &percent))
			progress_update(progress, percent, clock_monotonic_ns());
	}
}

/* The first line that it wrote to standard error says most. */
static void explain(int errors, int status, char error[CONVERT_ERROR_SIZE])
{
	ssize_t got;

	if (interrupted) {
		snprintf(error, CONVERT_ERROR_SIZE, "interrupted");
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_FOUND) {
		snprintf(error, CONVERT_ERROR_SIZE, "qemu-img is not installed: apt install qemu-utils");
		return;
	}
	got = pread(errors, error, CONVERT_ERROR_SIZE - 1, 0);
	error[got > 0 ? got : 0] = '\0';
	error[strcspn(error, "\n")] = '\0';
	if (error[0] == '\0' && WIFSIGNALED(status))
		snprintf(error, CONVERT_ERROR_SIZE, "qemu-img was killed by signal %d", WTERMSIG(status));
	else if (error[0] == '\0')
		snprintf(error, CONVERT_ERROR_SIZE, "qemu-img ended with status %d", WEXITSTATUS(status));
}

int convert_run(const char *const *arguments, struct progress *progress, char error[CONVERT_ERROR_SIZE])
{
	int out[2] = {-1, -1}, errors = memfd_create("qemu-img-errors", MFD_CLOEXEC), status, rc = -1;
	pid_t pid;

	if (errors < 0 || pipe2(out, O_CLOEXEC) != 0)
		goto failed;
	pid = fork();
	if (pid < 0)
		goto failed;
	if (pid == 0)
		run_child(arguments, out[1], errors);
	close(out[1]);
	out[1] = -1;
	follow(out[0], pid, progress);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !interrupted)
		rc = 0;
	else
		explain(errors, status, error);
	goto close;
failed:
	snprintf(error, CONVERT_ERROR_SIZE, "cannot run qemu-img: %s", strerror(errno));
close:
	if (out[0] >= 0)
		close(out[0]);
	if (out[1] >= 0)
		close(out[1]);
	if (errors >= 0)
		close(errors);
	return rc;
}
