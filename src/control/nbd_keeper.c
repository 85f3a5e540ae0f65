#include "control/nbd_keeper.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/events.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "base/uuid.h"
#include "card/command.h"
#include "control/nbd_server.h"
#include "sandbox/sandbox.h"

enum {
	CHANNEL_FD = 3,
	READY_TIMEOUT_MS = 6000,
	STOP_TIMEOUT_MS = 1000, /* nbdkit waits for its clients when it is asked to end: we do not */
	RESTART_MIN_MS = 100,
	RESTART_MAX_MS = 5000,
	BACKLOG = 16,
};

struct keeper {
	struct events events;
	struct event_watch channel;
	struct event_watch signals;
	struct list servers;
	bool stop;
};

enum server_state { SERVER_STARTING, SERVER_UP, SERVER_WAITING /* to be started again */, SERVER_STOPPING };

struct server {
	struct list node;
	struct keeper *keeper;
	char id[UUID_TEXT_SIZE];
	struct nbd_server_config config;
	enum server_state state;
	int listen_fd;
	pid_t pid; /* 0: none */
	struct event_watch ready;
	struct event_timer timer; /* what it is for depends on the state */
	json_t *request;	  /* whose answer waits: the id; NULL: nobody's */
	unsigned restart_ms;
};

/* ---- what is said ---- */

static void say(struct keeper *k, json_t *message)
{
	if (command_send(k->channel.fd, message) < 0)
		log_warning("the keeper of NBD servers could not answer");
	json_decref(message);
}

static void reply(struct keeper *k, const json_t *id)
{
	say(k, json_pack("{s:O,s:b}", "id", (json_t *)(size_t)id, "ok", 1));
}

static void refuse(struct keeper *k, const json_t *id, const char *code, const char *message)
{
	say(k, json_pack("{s:O,s:b,s:{s:s,s:s}}", "id", (json_t *)(size_t)id, "ok", 0, "error", "code", code, "message", message));
}

static void tell(struct server *s, const char *state, const char *message)
{
	say(s->keeper, json_pack("{s:s,s:s,s:s,s:s}", "event", "nbd", "volume_id", s->id, "state", state, "message", message));
}

/* ---- life of a server ---- */

static void server_free(struct server *s)
{
	events_remove(&s->keeper->events, &s->ready);
	event_timer_cancel(&s->timer);
	if (s->listen_fd >= 0) {
		close(s->listen_fd);
		unlink(s->config.socket);
	}
	list_del(&s->node);
	json_decref(s->request);
	free(s);
}

static void close_ready(struct server *s)
{
	int fd = s->ready.fd;

	events_remove(&s->keeper->events, &s->ready);
	if (fd >= 0)
		close(fd);
}

static void answer(struct server *s, const char *error)
{
	if (s->request == NULL)
		return;
	if (error == NULL)
		reply(s->keeper, s->request);
	else
		refuse(s->keeper, s->request, "unavailable", error);
	json_decref(s->request);
	s->request = NULL;
}

static int server_start(struct server *s)
{
	int ready_fd, rc = nbd_server_spawn(&s->config, s->listen_fd, &s->pid, &ready_fd);

	if (rc < 0) {
		s->pid = 0;
		return rc;
	}
	s->state = SERVER_STARTING;
	rc = events_add(&s->keeper->events, &s->ready, ready_fd, EPOLLIN);
	if (rc < 0)
		close(ready_fd);
	event_timer_set(&s->keeper->events, &s->timer, READY_TIMEOUT_MS);
	return rc;
}

static void ready_readable(struct event_watch *watch, uint32_t epoll_events)
{
	struct server *s = container_of(watch, struct server, ready);
	char text[32];
	ssize_t got = read(watch->fd, text, sizeof(text));

	(void)epoll_events;
	close_ready(s);
	if (got <= 0 || s->state != SERVER_STARTING)
		return; /* it ends: its exit is what counts */
	s->state = SERVER_UP;
	s->restart_ms = RESTART_MIN_MS;
	event_timer_cancel(&s->timer);
	log_info("volume %s: NBD server %d is ready at %s", s->config.name, (int)s->pid, s->config.socket);
	if (s->request != NULL)
		answer(s, NULL);
	else
		tell(s, "up", "");
}

static void restart_later(struct server *s)
{
	s->state = SERVER_WAITING;
	event_timer_set(&s->keeper->events, &s->timer, s->restart_ms);
	s->restart_ms = 2 * s->restart_ms < RESTART_MAX_MS ? 2 * s->restart_ms : RESTART_MAX_MS;
}

static void timer_due(struct event_timer *timer)
{
	struct server *s = container_of(timer, struct server, timer);

	switch (s->state) {
	case SERVER_STARTING:
	case SERVER_STOPPING:
		kill(s->pid, SIGKILL); /* the rest when it is reaped */
		break;
	case SERVER_WAITING:
		if (server_start(s) < 0)
			restart_later(s);
		break;
	case SERVER_UP:
		break;
	}
}

static const char *exit_text(int status, char *text, size_t size)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == NBD_SERVER_EXIT_NO_EXEC)
		snprintf(text, size, "nbdkit could not be started: install the package nbdkit");
	else if (WIFEXITED(status))
		snprintf(text, size, "nbdkit ended with status %d; its last words are in the log", WEXITSTATUS(status));
	else
		snprintf(text, size, "nbdkit was killed by signal %d", WTERMSIG(status));
	return text;
}

static void server_exited(struct server *s, int status)
{
	enum server_state state = s->state;
	char text[128];

	s->pid = 0;
	close_ready(s);
	event_timer_cancel(&s->timer);
	if (state == SERVER_STOPPING) {
		answer(s, NULL);
		server_free(s);
		return;
	}
	exit_text(status, text, sizeof(text));
	log_warning("volume %s: %s", s->config.name, text);
	if (s->request != NULL) { /* it never served */
		answer(s, text);
		server_free(s);
		return;
	}
	if (state == SERVER_UP)
		tell(s, "down", text);
	restart_later(s);
}

static void signals_readable(struct event_watch *watch, uint32_t epoll_events)
{
	struct keeper *k = container_of(watch, struct keeper, signals);
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)epoll_events;
	if (read(watch->fd, &info, sizeof(info)) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		list_for_each_safe (node, after, &k->servers) {
			struct server *s = list_entry(node, struct server, node);

			if (s->pid == pid) {
				server_exited(s, status);
				break;
			}
		}
}

/* ---- what is asked ---- */

static struct server *find(struct keeper *k, const char *id)
{
	list_for_each_safe (node, after, &k->servers)
		if (strcmp(list_entry(node, struct server, node)->id, id) == 0)
			return list_entry(node, struct server, node);
	return NULL;
}

/* Without a word to whoever asked for it: it is replaced at once. */
static void server_drop(struct server *s)
{
	if (s->pid > 0)
		kill(s->pid, SIGKILL);
	close_ready(s);
	answer(s, "it was replaced by a later request");
	server_free(s);
}

static void do_start(struct keeper *k, const json_t *id, const char *volume_id, const json_t *request)
{
	struct server *s = find(k, volume_id);
	char text[256];
	int rc;

	if (s != NULL)
		server_drop(s);
	s = calloc(1, sizeof(*s));
	if (s == NULL || nbd_server_config(request, &s->config) < 0) {
		refuse(k, id, "bad_request", "a field is missing, of another type or too long");
		free(s);
		return;
	}
	s->keeper = k;
	s->ready = (struct event_watch){.fd = -1, .ready = ready_readable};
	s->restart_ms = RESTART_MIN_MS;
	event_timer_init(&s->timer, timer_due);
	snprintf(s->id, sizeof(s->id), "%s", volume_id);
	list_add_tail(&k->servers, &s->node);
	s->listen_fd = unix_socket_listen(s->config.socket, &s->config.owner, BACKLOG);
	rc = s->listen_fd < 0 ? s->listen_fd : server_start(s);
	if (rc == 0) {
		s->request = json_incref((json_t *)(size_t)id);
		return;
	}
	snprintf(text, sizeof(text), "cannot listen on %s: %s", s->config.socket, strerror(-rc));
	refuse(k, id, "unavailable", text);
	server_drop(s);
}

static void do_stop(struct keeper *k, const json_t *id, const char *volume_id)
{
	struct server *s = find(k, volume_id);

	if (s == NULL) {
		reply(k, id);
		return;
	}
	if (s->pid == 0) {
		server_free(s);
		reply(k, id);
		return;
	}
	answer(s, "it was stopped");
	s->request = json_incref((json_t *)(size_t)id);
	s->state = SERVER_STOPPING;
	close(s->listen_fd);
	unlink(s->config.socket);
	s->listen_fd = -1;
	kill(s->pid, SIGTERM);
	event_timer_set(&k->events, &s->timer, STOP_TIMEOUT_MS);
}

static void channel_readable(struct event_watch *watch, uint32_t epoll_events)
{
	struct keeper *k = container_of(watch, struct keeper, channel);
	const char *op, *volume_id;
	json_t *request;
	int rc = command_receive(watch->fd, &request);

	(void)epoll_events;
	if (rc == -ECONNRESET) {
		k->stop = true;
		return;
	}
	if (rc < 0)
		return;
	op = json_string_value(json_object_get(request, "op"));
	volume_id = json_string_value(json_object_get(request, "volume_id"));
	if (op != NULL && volume_id != NULL && strcmp(op, "start") == 0)
		do_start(k, json_object_get(request, "id"), volume_id, request);
	else if (op != NULL && volume_id != NULL && strcmp(op, "stop") == 0)
		do_stop(k, json_object_get(request, "id"), volume_id);
	else
		refuse(k, json_object_get(request, "id"), "bad_request", "start or stop, and a volume_id, are expected");
	json_decref(request);
}

/* ---- the process ---- */

static int run(struct keeper *k)
{
	sigset_t child;
	int signal_fd, rc;

	list_init(&k->servers);
	k->channel.ready = channel_readable;
	k->signals.ready = signals_readable;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal_fd = signalfd(-1, &child, SFD_CLOEXEC);
	if (signal_fd < 0)
		return -errno;
	rc = events_open(&k->events);
	if (rc == 0)
		rc = events_add(&k->events, &k->signals, signal_fd, EPOLLIN);
	if (rc == 0)
		rc = events_add(&k->events, &k->channel, CHANNEL_FD, EPOLLIN);
	while (rc == 0 && !k->stop)
		rc = events_wait(&k->events, -1);
	list_for_each_safe (node, after, &k->servers)
		server_drop(list_entry(node, struct server, node));
	return rc;
}

static void keeper_main(int channel)
{
	static const int keep[] = {CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE}; /* sockets for whom the API names, where it names */
	struct keeper keeper = {0};

	/* Nothing of control's stays open here. */
	if (channel != CHANNEL_FD && dup2(channel, CHANNEL_FD) < 0)
		_exit(1);
	closefrom(CHANNEL_FD + 1);
	prctl(PR_SET_NAME, "outboard-nbd");
	log_open("outboard-nbd", LOG_LEVEL_INFO);
	setpgid(0, 0); /* a terminal's Ctrl-C is for others: we end when control does */
	if (sandbox_undumpable() < 0 || sandbox_drop_capabilities(keep, sizeof(keep) / sizeof(keep[0])) < 0)
		_exit(1);
	_exit(run(&keeper) < 0);
}

int nbd_keeper_fork(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		keeper_main(pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	return pair[0];
}
