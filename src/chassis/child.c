#include "chassis/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

enum { FIRST_FD = 3, EXIT_CANNOT_EXEC = 127 };

extern char **environ;

/*
 * Puts the descriptors at 3, 4, ...: first all out of the way, then down. Between fork and exec in a process without threads,
 * so anything goes.
 */
static int place_fds(const struct child_plan *plan)
{
	int *high = calloc(plan->fd_count + 1, sizeof(*high));

	if (high == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < plan->fd_count; i++) {
		high[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)plan->fd_count);
		if (high[i] < 0)
			return -errno;
	}
	for (unsigned i = 0; i < plan->fd_count; i++)
		if (dup2(high[i], FIRST_FD + (int)i) < 0) /* loses close-on-exec */
			return -errno;
	return 0;
}

static int set_environment(const struct child_plan *plan)
{
	size_t size = 1, used = 0;
	char number[16], *names;

	for (unsigned i = 0; i < plan->fd_count; i++)
		size += strlen(plan->fd_names[i]) + 1;
	names = malloc(size);
	if (names == NULL)
		return -ENOMEM;
	names[0] = '\0';
	for (unsigned i = 0; i < plan->fd_count; i++)
		used += (size_t)sprintf(names + used, "%s%s", i == 0 ? "" : ":", plan->fd_names[i]);
	snprintf(number, sizeof(number), "%u", plan->fd_count);
	if (setenv("LISTEN_FDS", number, 1) != 0 || setenv("LISTEN_FDNAMES", names, 1) != 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (setenv("LISTEN_PID", number, 1) != 0 || setenv("NOTIFY_SOCKET", plan->notify_path, 1) != 0)
		return -errno;
	unsetenv("WATCHDOG_PID"); /* systemd's with us, not with our children */
	unsetenv("WATCHDOG_USEC");
	return 0;
}

static int prepare(const struct child_plan *plan, pid_t parent)
{
	sigset_t none;
	int null, rc;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return -errno;
	if (getppid() != parent) /* it died before prctl() */
		_exit(EXIT_CANNOT_EXEC);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	rc = place_fds(plan);
	return rc != 0 ? rc : set_environment(plan);
}

pid_t child_spawn(const struct child_plan *plan)
{
	pid_t parent = getpid(), pid = fork();
	int rc;

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	rc = prepare(plan, parent);
	if (rc == 0) {
		execve(plan->path, (char *const *)(size_t)plan->argv, environ);
		rc = -errno;
	}
	log_error("cannot start %s: %s", plan->path, strerror(-rc));
	_exit(EXIT_CANNOT_EXEC);
}
