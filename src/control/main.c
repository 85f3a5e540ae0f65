/*
 * outboard-control: see control.h. Started by the chassis with its channels ("card", "vault"); opens its store and its API's
 * socket, forks the keeper of NBD servers, then gives up the right to do any of that again.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inherited.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "control/control.h"
#include "control/nbd_keeper.h"
#include "control/sandbox_list.h"
#include "control/settle.h"
#include "sandbox/sandbox.h"

enum { API_BACKLOG = 128 };

struct options {
	const char *state_dir;
	const char *api; /* NULL: DIR/api.sock */
	const char *mode;
	const char *group;
};

struct process {
	struct control control;
	struct event_watch signals;
	char state_dir[PATH_MAX];
	char api_socket[SOCKET_PATH_SIZE];
	int api_fd;
};

static void usage(FILE *to)
{
	fputs("usage: outboard-control --state-dir DIR [--api SOCKET] [--api-mode MODE] [--api-group GROUP]\n"
	      "\n"
	      "Serves the API of a card and keeps its desired state. Started by `outboard run`, which gives it its descriptors\n"
	      "(sd_listen_fds(3)): card, vault.\n"
	      "\n"
	      "  --state-dir DIR    where control.db is, volumes/, sockets/ and flow-logs/\n"
	      "  --api SOCKET       unix socket of the API (DIR/api.sock)\n"
	      "  --api-mode MODE    its permissions, octal (0660): who may open it may do everything\n"
	      "  --api-group GROUP  its group\n"
	      "  --help, --version\n",
	      to);
}

/* 0: go on; otherwise 1 + the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"state-dir", required_argument, NULL, 's'},
					      {"api", required_argument, NULL, 'a'},
					      {"api-mode", required_argument, NULL, 'm'},
					      {"api-group", required_argument, NULL, 'g'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'v'},
					      {NULL, 0, NULL, 0}};
	int option;

	*o = (struct options){.mode = "0660"};
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 's':
			o->state_dir = optarg;
			break;
		case 'a':
			o->api = optarg;
			break;
		case 'm':
			o->mode = optarg;
			break;
		case 'g':
			o->group = optarg;
			break;
		case 'h':
			usage(stdout);
			return 1 + EXIT_SUCCESS;
		case 'v':
			puts("outboard-control " OUTBOARD_VERSION);
			return 1 + EXIT_SUCCESS;
		default:
			usage(stderr);
			return 1 + 2;
		}
	}
	if (o->state_dir != NULL && optind == argc)
		return 0;
	usage(stderr);
	return 1 + 2;
}

/* ---- places ---- */

static int make_dir(const char *parent, const char *name, mode_t mode)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", parent, name);
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	log_error("cannot make %s: %s", path, strerror(errno));
	return -errno;
}

/* Paths in it are told to the card, whose working directory may be another. */
static int open_state_dir(struct process *p, const struct options *o)
{
	if (realpath(o->state_dir, p->state_dir) == NULL) {
		log_error("cannot use the state directory %s: %s", o->state_dir, strerror(errno));
		return -errno;
	}
	p->control.state_dir = p->state_dir;
	if (make_dir(p->state_dir, "volumes", 0700) < 0 || make_dir(p->state_dir, "sockets", 0755) < 0 ||
	    make_dir(p->state_dir, "sockets/enis", 0755) < 0 || make_dir(p->state_dir, "flow-logs", 0750) < 0)
		return -EIO;
	return 0;
}

static int parse_owner(const struct options *o, struct unix_socket_owner *owner)
{
	char *end;
	unsigned long mode = strtoul(o->mode, &end, 8);

	if (*o->mode == '\0' || *end != '\0' || mode > 0777) {
		log_error("--api-mode %s is not octal permissions, as in 0660", o->mode);
		return -EINVAL;
	}
	*owner = (struct unix_socket_owner){.uid = (uid_t)-1, .gid = (gid_t)-1, .mode = (mode_t)mode};
	if (o->group != NULL) {
		const struct group *group = getgrnam(o->group);

		if (group == NULL) {
			log_error("--api-group %s: there is no such group; make it with `groupadd --system %s`", o->group,
				  o->group);
			return -EINVAL;
		}
		owner->gid = group->gr_gid;
	}
	return 0;
}

static int open_api(struct process *p, const struct options *o)
{
	struct unix_socket_owner owner;
	int rc = parse_owner(o, &owner), length;

	if (rc < 0)
		return rc;
	length = o->api != NULL ? snprintf(p->api_socket, sizeof(p->api_socket), "%s", o->api)
				: snprintf(p->api_socket, sizeof(p->api_socket), "%s/api.sock", p->state_dir);
	p->api_fd = length >= (int)sizeof(p->api_socket) ? -ENAMETOOLONG : unix_socket_listen(p->api_socket, &owner, API_BACKLOG);
	if (p->api_fd < 0)
		log_error("cannot listen on %s: %s%s", p->api_socket, strerror(-p->api_fd),
			  p->api_fd == -EADDRINUSE ? "; another Outboard serves it" : "");
	p->control.api_socket = p->api_socket;
	return p->api_fd < 0 ? p->api_fd : 0;
}

static int open_store(struct process *p)
{
	char path[PATH_MAX + 16], error[1024];
	int rc;

	snprintf(path, sizeof(path), "%s/control.db", p->state_dir);
	rc = store_open(&p->control.store, path, error, sizeof(error));
	if (rc < 0)
		log_error("%s", error);
	return rc;
}

static int take_channel(const char *name)
{
	int fd = inherited_fd(name);

	if (fd < 0)
		log_error("no descriptor named \"%s\": start me with `outboard run`", name);
	return fd;
}

/* ---- running ---- */

static void signals_readable(struct event_watch *watch, uint32_t epoll_events)
{
	struct process *p = container_of(watch, struct process, signals);
	struct signalfd_siginfo info;

	(void)epoll_events;
	if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
		p->control.stop = true;
}

static int watch_signals(struct process *p)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	p->signals.ready = signals_readable;
	return events_add(&p->control.events, &p->signals, fd, EPOLLIN);
}

static void health_flush_due(struct event_timer *timer)
{
	struct control *control = container_of(timer, struct control, health_flush);

	if (store_health_flush(&control->store) < 0)
		log_warning("errors of volumes could not be written down yet");
	event_timer_set(&control->events, timer, HEALTH_FLUSH_MS);
}

static void nbd_event(struct peer *peer, const char *name, const json_t *event)
{
	struct control *control = container_of(peer, struct control, nbd);
	const char *id_text = json_string_value(json_object_get(event, "volume_id"));
	const char *state = json_string_value(json_object_get(event, "state"));
	const char *message = json_string_value(json_object_get(event, "message"));
	struct uuid id;

	if (strcmp(name, "nbd") != 0 || id_text == NULL || state == NULL || uuid_parse(id_text, &id) < 0)
		return;
	if (strcmp(state, "up") == 0)
		store_live_set(&control->store, &id, "connected", NULL);
	else
		store_live_set(&control->store, &id, "waiting", message);
}

static void nbd_gone(struct peer *peer)
{
	struct control *control = container_of(peer, struct control, nbd);

	log_error("the keeper of NBD servers is gone; starting anew to have another");
	control->stop = true;
}

/* Everything that needs privileges. */
static int open_all(struct process *p, const struct options *o)
{
	struct control *c = &p->control;
	int keeper, card, rc;

	list_init(&c->busy);
	settle_open(c);
	net_open(c);
	keeper = nbd_keeper_fork(); /* first: it inherits nothing else */
	if (keeper < 0)
		return keeper;
	c->nbd.event = nbd_event;
	c->nbd.gone = nbd_gone;
	card = take_channel("card");
	vault_view_open(c, take_channel("vault"));
	if (card < 0 || c->vault_channel < 0)
		return -ENOENT;
	rc = open_state_dir(p, o);
	if (rc == 0)
		rc = open_store(p);
	if (rc == 0)
		rc = open_api(p, o);
	if (rc == 0)
		rc = events_open(&c->events);
	if (rc == 0)
		rc = watch_signals(p);
	if (rc == 0)
		rc = peer_open(&c->nbd, keeper, &c->events);
	return rc < 0 ? rc : card_open(c, card);
}

static int shed(void)
{
	size_t count;
	const int *calls = control_sandbox_list(&count);

	return sandbox_seccomp("outboard-control", calls, count, sandbox_action_from_environment());
}

static int serve(struct process *p)
{
	struct control *c = &p->control;
	int rc = sandbox_drop_capabilities(NULL, 0);

	if (rc == 0)
		rc = worker_open(&c->worker, &c->events);
	if (rc == 0)
		rc = http_open(&c->http, p->api_fd, &c->events, control_routes, c);
	if (rc < 0)
		return rc;
	event_timer_init(&c->health_flush, health_flush_due);
	event_timer_set(&c->events, &c->health_flush, HEALTH_FLUSH_MS);
	notify_send("READY=1");
	log_info("serving at %s", p->api_socket);
	rc = shed();
	while (rc == 0 && !c->stop)
		rc = events_wait(&c->events, http_turn(c->http));
	http_close(c->http); /* answers who waits; also closes the socket */
	unlink(p->api_socket);
	worker_close(&c->worker);
	store_health_flush(&c->store);
	return rc;
}

int main(int argc, char **argv)
{
	static struct process process;
	struct options options;
	int rc;

	log_open("outboard-control", LOG_LEVEL_INFO);
	rc = parse(argc, argv, &options);
	if (rc != 0)
		return rc - 1;
	if (sandbox_undumpable() < 0)
		return EXIT_FAILURE;
	rc = open_all(&process, &options);
	if (rc == 0)
		rc = serve(&process);
	if (rc < 0)
		log_error("stopped: %s", strerror(-rc));
	if (process.control.card.peer.events != NULL)
		card_close(&process.control);
	if (process.control.nbd.events != NULL)
		peer_close(&process.control.nbd);
	settle_close(&process.control);
	net_close(&process.control);
	if (process.control.store.db != NULL)
		store_close(&process.control.store);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
