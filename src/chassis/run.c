/*
 * Theory of operation. One thread, one loop over two descriptors: signals (a signalfd) and the notify socket. What they bring
 * becomes an event of the supervisor (supervisor.h); the actions that it returns are carried out here. Nothing else decides.
 *
 * A message that a child sent just before it died counts: the notify socket is drained before dead children are reaped, so that
 * what a card gave us to keep with its last breath reaches its successor.
 */
#include "chassis/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/inherited.h"
#include "base/log.h"
#include "chassis/children.h"
#include "chassis/notify_socket.h"
#include "chassis/state_dir.h"

struct chassis {
	struct chassis_config config;
	struct children children;
	struct supervisor supervisor;
	pid_t pid[SUPERVISED_COUNT]; /* 0: not running */
	int dir;
	int lock;
	int signals;
	int notify;
	bool finished;
};

enum { EXIT_REFUSED = 2 }; /* of our children: their options, or what these name, make no sense */

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

static void step(struct chassis *c, enum supervisor_event_kind kind, enum supervised child);

static void spawn(struct chassis *c, enum supervised which)
{
	pid_t pid = children_spawn(&c->children, which);

	if (pid > 0) {
		c->pid[which] = pid;
		if (c->supervisor.child[which].failures > 0)
			log_info("%s is started again, pid %d", supervised_name(which), (int)pid);
		return;
	}
	log_error("cannot start %s: %s", supervised_name(which), strerror(-pid));
	step(c, EVENT_EXITED, which);
}

static void announce(const struct chassis *c)
{
	printf("outboard: ready, api %s\n", c->children.api_socket);
	fflush(stdout);
	notify_send("READY=1\nSTATUS=vault, card and control are ready");
}

static void say_why(const struct chassis *c, enum supervised child)
{
	if (c->supervisor.child[child].failures >= SUPERVISOR_START_ATTEMPTS)
		log_error("%s has failed %d times without being ready once; mend what it says above and start again",
			  supervised_name(child), SUPERVISOR_START_ATTEMPTS);
	else
		log_error("%s does not run as it was told to; mend what it says above and start again", supervised_name(child));
}

static void act(struct chassis *c, struct supervisor_action action)
{
	switch (action.kind) {
	case ACTION_SPAWN:
		spawn(c, action.child);
		break;
	case ACTION_TERMINATE:
		if (c->pid[action.child] > 0)
			kill(c->pid[action.child], SIGTERM);
		break;
	case ACTION_KILL:
		log_warning("%s does not %s in time, killed", supervised_name(action.child),
			    c->supervisor.stopping ? "stop" : "become ready");
		if (c->pid[action.child] > 0)
			kill(c->pid[action.child], SIGKILL);
		break;
	case ACTION_ANNOUNCE:
		announce(c);
		break;
	case ACTION_GIVE_UP:
		say_why(c, action.child);
		break;
	case ACTION_FINISH:
		c->finished = true;
		break;
	}
}

/* spawn() comes back here when a fork fails; the supervisor's backoff bounds the depth. */
static void step(struct chassis *c, enum supervisor_event_kind kind, enum supervised child)
{
	struct supervisor_actions actions;

	supervisor_step(&c->supervisor, (struct supervisor_event){.kind = kind, .child = child}, now_ms(), &actions);
	for (unsigned i = 0; i < actions.count; i++)
		act(c, actions.item[i]);
}

static int find_child(const struct chassis *c, pid_t pid)
{
	for (int i = 0; i < SUPERVISED_COUNT; i++)
		if (c->pid[i] == pid && pid > 0)
			return i;
	return -1;
}

static void keep_fds(struct chassis *c, enum supervised child, struct notify_message *m)
{
	for (unsigned i = 0; i < m->fd_count; i++) {
		int rc = fd_store_add(&c->children.store[child], m->fd_name, m->fds[i]);

		if (rc != 0)
			log_error("cannot keep descriptor \"%s\" of %s: %s; it will not survive a restart", m->fd_name,
				  supervised_name(child), strerror(-rc));
	}
	m->fd_count = 0;
}

static void message_handle(struct chassis *c, struct notify_message *m)
{
	int child = find_child(c, m->sender);

	if (child < 0) {
		log_warning("a process that is not ours (pid %d) wrote to the notify socket; ignored", (int)m->sender);
	} else {
		if (m->fd_store)
			keep_fds(c, child, m);
		else if (m->fd_store_remove)
			fd_store_remove(&c->children.store[child], m->fd_name);
		if (m->status != NULL)
			log_debug("%s: %s", supervised_name(child), m->status);
		if (m->ready)
			step(c, EVENT_READY, child);
	}
	for (unsigned i = 0; i < m->fd_count; i++)
		close(m->fds[i]); /* of strangers, and BARRIER=1's, which waits for just this */
}

static void messages_drain(struct chassis *c)
{
	struct notify_message message;

	for (;;) {
		int rc = notify_socket_receive(c->notify, &message);

		if (rc == -EMSGSIZE) {
			log_warning("dropped a malformed message on the notify socket");
			continue;
		}
		if (rc != 0)
			return;
		message_handle(c, &message);
	}
}

static void log_exit(const struct chassis *c, enum supervised child, int status)
{
	bool stopping = c->supervisor.stopping,
	     asked = stopping && (WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM : status == 0);
	enum log_level level = asked ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;

	if (WIFSIGNALED(status))
		log_write(level, "%s (pid %d) was killed by signal %d (%s)", supervised_name(child), (int)c->pid[child],
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_write(level, "%s (pid %d) ended with status %d", supervised_name(child), (int)c->pid[child],
			  WEXITSTATUS(status));
}

static void children_reap(struct chassis *c)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		int child = find_child(c, pid);

		if (child < 0)
			continue; /* a grandchild that was left to us as a subreaper's, or a pid 1's, lot */
		log_exit(c, child, status);
		c->pid[child] = 0;
		step(c, WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED ? EVENT_REFUSED : EVENT_EXITED, child);
	}
}

static void signals_handle(struct chassis *c)
{
	struct signalfd_siginfo info;

	while (read(c->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			messages_drain(c);
			children_reap(c);
			continue;
		}
		if (!c->supervisor.stopping) {
			log_info("stopping");
			notify_send("STOPPING=1");
		}
		step(c, EVENT_STOP, SUPERVISED_VAULT);
	}
}

static void loop(struct chassis *c)
{
	struct pollfd fds[] = {{.fd = c->notify, .events = POLLIN}, {.fd = c->signals, .events = POLLIN}};

	step(c, EVENT_START, SUPERVISED_VAULT);
	while (!c->finished) {
		uint64_t deadline_ms = supervisor_deadline(&c->supervisor), now = now_ms();
		int timeout_ms = -1;

		if (deadline_ms != UINT64_MAX)
			timeout_ms = deadline_ms <= now ? 0 : (int)(deadline_ms - now);
		if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			step(c, EVENT_STOP, SUPERVISED_VAULT);
		}
		messages_drain(c);
		signals_handle(c);
		step(c, EVENT_TIME, SUPERVISED_VAULT);
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP); /* the terminal has gone: so do we */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Descriptors kept for a successor count against our limit, and so do those of the children. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int read_config(struct chassis_config *config, const char *path)
{
	char error[CONFIG_ERROR_SIZE];
	FILE *file;
	int rc;

	config_default(config);
	if (path == NULL)
		return 0;
	file = fopen(path, "re");
	if (file == NULL) {
		log_error("cannot read the configuration file %s: %s", path, strerror(errno));
		return -1;
	}
	errno = 0;
	rc = config_read(config, file, error);
	if (ferror(file)) { /* a directory opens, and then reads as if it were empty */
		log_error("cannot read the configuration file %s: %s", path, strerror(errno));
		rc = -1;
	} else if (rc != 0) {
		log_error("%s:%s", path, error);
	}
	fclose(file);
	return rc;
}

/* What is said on the command line counts, whatever the file says. */
static int take_options(struct chassis_config *config, const struct chassis_options *options)
{
	const char *wanted = NULL;

	if (options->wire_count > 0)
		config->wire_count = 0;
	for (unsigned i = 0; wanted == NULL && i < options->wire_count; i++) {
		wanted = config_add_wire(config, options->wires[i]);
		if (wanted != NULL)
			log_error("--wire must be %s, not \"%s\"", wanted, options->wires[i]);
	}
	if (wanted == NULL && options->flows != NULL) {
		wanted = config_set_flows(config, options->flows);
		if (wanted != NULL)
			log_error("--flows must be %s, not \"%s\"", wanted, options->flows);
	}
	return wanted == NULL ? 0 : -1;
}

static int take_state_dir(struct chassis *c, const char *path)
{
	pid_t holder = 0;

	c->dir = state_dir_open(path);
	if (c->dir < 0)
		return c->dir;
	c->lock = state_dir_lock(c->dir, path, &holder);
	if (c->lock == -EBUSY && holder > 0)
		log_error("%s is in use by another outboard (pid %d); stop that one, or choose another directory", path,
			  (int)holder);
	else if (c->lock == -EBUSY)
		log_error("%s is in use by another outboard, in a container or on another host", path);
	if (c->lock < 0)
		close(c->dir);
	return c->lock < 0 ? c->lock : 0;
}

int chassis_run(const struct chassis_options *options)
{
	struct chassis *c = calloc(1, sizeof(*c));
	int exit_status = 1;

	log_open("outboard", getenv("OUTBOARD_DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (c == NULL || read_config(&c->config, options->config_path) != 0 || take_options(&c->config, options) != 0 ||
	    take_state_dir(c, options->state_dir) != 0)
		goto free;
	raise_limits();
	c->signals = open_signals();
	if (c->signals < 0)
		goto unlock;
	if (children_prepare(&c->children, options->state_dir, &c->config) != 0)
		goto release;
	c->notify = notify_socket_open(c->children.notify_path);
	if (c->notify < 0) {
		log_error("cannot listen on %s: %s", c->children.notify_path, strerror(-c->notify));
		goto release;
	}
	loop(c);
	exit_status = c->supervisor.gave_up ? 1 : 0;
	unlink(c->children.notify_path);
	close(c->notify);
release:
	children_release(&c->children);
	close(c->signals);
unlock:
	state_dir_unlock(c->dir, c->lock);
	close(c->dir);
free:
	free(c);
	return exit_status;
}
