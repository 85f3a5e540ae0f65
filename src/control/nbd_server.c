#include "control/nbd_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/sandbox.h"

enum { LISTEN_FD = 3, READY_FD = 4, SAFE_FD = 10 };

static int copy_text(const json_t *request, const char *field, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(request, field));

	if (text == NULL || strlen(text) >= size)
		return -EINVAL;
	strcpy(out, text);
	return 0;
}

int nbd_server_config(const json_t *request, struct nbd_server_config *out)
{
	const json_t *uid = json_object_get(request, "uid"), *gid = json_object_get(request, "gid");
	const json_t *mode = json_object_get(request, "mode");

	if (copy_text(request, "name", out->name, sizeof(out->name)) < 0 ||
	    copy_text(request, "socket", out->socket, sizeof(out->socket)) < 0 ||
	    copy_text(request, "vhost", out->vhost, sizeof(out->vhost)) < 0)
		return -EINVAL;
	if (!json_is_integer(uid) || !json_is_integer(gid) || !json_is_integer(mode))
		return -EINVAL;
	out->owner = (struct unix_socket_owner){.uid = (uid_t)json_integer_value(uid),
						.gid = (gid_t)json_integer_value(gid),
						.mode = (mode_t)json_integer_value(mode) & 0777};
	out->read_only = json_is_true(json_object_get(request, "read_only"));
	return 0;
}

/* Beside us in a build folder; else nbdkit looks where plugins are installed. */
static void find_plugin(char *plugin, size_t size)
{
	static const char file[] = "nbdkit-outboard-plugin.so";
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length > 0) {
		self[length] = '\0';
		*strrchr(self, '/') = '\0';
		if (snprintf(plugin, size, "%s/%s", self, file) < (int)size && access(plugin, R_OK) == 0)
			return;
	}
	snprintf(plugin, size, "outboard");
}

static int prepare(int listen_fd, int ready_fd, pid_t parent)
{
	char pid[16];
	sigset_t none;
	int null, listen_copy, ready_copy;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		return -ESRCH;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDWR);
	listen_copy = fcntl(listen_fd, F_DUPFD, SAFE_FD);
	ready_copy = fcntl(ready_fd, F_DUPFD, SAFE_FD);
	if (null < 0 || listen_copy < 0 || ready_copy < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(listen_copy, LISTEN_FD) < 0 || dup2(ready_copy, READY_FD) < 0)
		return -errno;
	closefrom(READY_FD + 1);
	/* nbdkit waits for connections with accept(2) and expects it to block. The flag belongs to the open socket: ours never
	 * accept. */
	if (fcntl(LISTEN_FD, F_SETFL, 0) != 0)
		return -errno;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	unsetenv("LISTEN_FDNAMES");
	unsetenv("NOTIFY_SOCKET");
	if (setenv("LISTEN_FDS", "1", 1) != 0 || setenv("LISTEN_PID", pid, 1) != 0)
		return -errno;
	return sandbox_drop_capabilities(NULL, 0);
}

/* nbdkit writes its process id to --pidfile once it serves: into our pipe. */
static void run_nbdkit(const struct nbd_server_config *c)
{
	char plugin[PATH_MAX + 32], vhost[SOCKET_PATH_SIZE + 8];
	const char *argv[8] = {"nbdkit", "--pidfile", "/proc/self/fd/4"};
	unsigned argc = 3;

	find_plugin(plugin, sizeof(plugin));
	snprintf(vhost, sizeof(vhost), "vhost=%s", c->vhost);
	if (c->read_only)
		argv[argc++] = "--readonly";
	argv[argc++] = plugin;
	argv[argc++] = vhost;
	execvp(argv[0], (char *const *)(size_t)argv);
	log_error("cannot start nbdkit: %s; install the package nbdkit", strerror(errno));
}

int nbd_server_spawn(const struct nbd_server_config *config, int listen_fd, pid_t *pid, int *ready_fd)
{
	pid_t parent = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) != 0)
		return -errno;
	*pid = fork();
	if (*pid == 0) {
		if (prepare(listen_fd, pair[1], parent) == 0)
			run_nbdkit(config);
		_exit(NBD_SERVER_EXIT_NO_EXEC);
	}
	close(pair[1]);
	if (*pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	*ready_fd = pair[0];
	return 0;
}
