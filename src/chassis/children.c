#include "chassis/children.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "chassis/child.h"
#include "chassis/state_dir.h"

static int find_executable(struct child_line *line, enum supervised which)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int rc;

	if (length < 0)
		return -errno;
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	if (snprintf(line->path, sizeof(line->path), "%s/outboard-%s", self, supervised_name(which)) >= (int)sizeof(line->path))
		return -ENAMETOOLONG;
	if (access(line->path, X_OK) == 0)
		return 0;
	rc = -errno;
	log_error("cannot run %s: %s; it belongs beside the outboard command", line->path, strerror(-rc));
	return rc;
}

/* "auto" is the last core that we may use: the first ones take the host's interrupts. */
static int choose_cores(char cores[CONFIG_VALUE_SIZE], const char *wanted)
{
	int last = -1;
	cpu_set_t set;

	if (strcmp(wanted, "auto") != 0) {
		memcpy(cores, wanted, CONFIG_VALUE_SIZE);
		return 0;
	}
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	for (int core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, &set))
			last = core;
	snprintf(cores, CONFIG_VALUE_SIZE, "%d", last);
	return 0;
}

static void give_fd(struct child_line *line, const char *name, int fd)
{
	line->fd_names[line->fd_count] = name;
	line->fds[line->fd_count++] = fd;
}

static int connect_pair(struct children *children, enum supervised a, enum supervised b)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	give_fd(&children->line[a], supervised_name(b), pair[0]);
	give_fd(&children->line[b], supervised_name(a), pair[1]);
	return 0;
}

/* The vault's "root": a key file to read, or the header of a passphrase root (src/vault/root_header.h), which the vault writes. */
static int open_root(const char *state_dir, const struct chassis_config *config)
{
	char path[PATH_MAX];

	if (config->root_passphrase) {
		snprintf(path, sizeof(path), "%s/vault.root", state_dir);
		return root_header_open(path);
	}
	if (config->root_path[0] != '\0')
		return root_key_open(config->root_path, false);
	snprintf(path, sizeof(path), "%s/vault.key", state_dir);
	return root_key_open(path, true);
}

static int give_root(struct children *children, const char *state_dir, const struct chassis_config *config)
{
	struct child_line *vault = &children->line[SUPERVISED_VAULT];
	int passphrase = -1, root, rc;

	if (config->passphrase_path[0] != '\0') {
		passphrase = open(config->passphrase_path, O_RDONLY | O_CLOEXEC);
		if (passphrase < 0) {
			rc = -errno;
			log_error("cannot read the passphrase file %s: %s", config->passphrase_path, strerror(-rc));
			return rc;
		}
		give_fd(vault, "passphrase", passphrase);
	}
	root = open_root(state_dir, config);
	if (root < 0)
		return root;
	give_fd(vault, "root", root);
	return 0;
}

/* Pointers into `state_dir`, `config` and `children`, which all outlive the lines. */
static void write_lines(struct children *c, const char *state_dir, const struct chassis_config *config)
{
	const char **vault = c->line[SUPERVISED_VAULT].argv, **card = c->line[SUPERVISED_CARD].argv;
	const char **control = c->line[SUPERVISED_CONTROL].argv;

	*vault++ = "outboard-vault";
	*vault++ = "--root";
	*vault++ = config->root_passphrase ? "passphrase" : "file";
	if (!config->export_allowed)
		*vault++ = "--no-export";

	*card++ = "outboard-card";
	*card++ = "--state-dir";
	*card++ = state_dir;
	*card++ = "--cores";
	*card++ = c->cores;
	*card++ = "--huge-pages";
	*card++ = config->huge_pages;
	*card++ = "--buffer-bytes";
	*card++ = c->buffer_bytes;
	for (unsigned i = 0; i < config->wire_count; i++) {
		*card++ = "--wire";
		*card++ = config->wires[i];
	}
	if (config->flows_max != 0) {
		*card++ = "--flows";
		*card++ = c->flows_max;
	}

	*control++ = "outboard-control";
	*control++ = "--state-dir";
	*control++ = state_dir;
	*control++ = "--api";
	*control++ = c->api_socket;
	*control++ = "--api-mode";
	*control++ = config->api_mode;
	if (config->api_group[0] != '\0') {
		*control++ = "--api-group";
		*control++ = config->api_group;
	}
}

static int name_sockets(struct children *c, const char *state_dir, const struct chassis_config *config)
{
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	snprintf(c->notify_path, sizeof(c->notify_path), "%s/notify.sock", state_dir);
	if (config->api_socket[0] != '\0')
		snprintf(c->api_socket, sizeof(c->api_socket), "%s", config->api_socket);
	else
		snprintf(c->api_socket, sizeof(c->api_socket), "%s/api.sock", state_dir);
	if (strlen(c->notify_path) <= longest && strlen(c->api_socket) <= longest)
		return 0;
	log_error("the path of a unix socket has at most %zu characters; %s is too long: choose a shorter directory", longest,
		  strlen(c->api_socket) > longest ? c->api_socket : c->notify_path);
	return -ENAMETOOLONG;
}

int children_prepare(struct children *children, const char *state_dir, const struct chassis_config *config)
{
	int rc = name_sockets(children, state_dir, config);

	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++) {
		rc = find_executable(&children->line[i], i);
		if (rc != 0)
			return rc;
	}
	rc = choose_cores(children->cores, config->cores);
	if (rc == 0)
		rc = connect_pair(children, SUPERVISED_CONTROL, SUPERVISED_CARD);
	if (rc == 0)
		rc = connect_pair(children, SUPERVISED_CARD, SUPERVISED_VAULT);
	if (rc == 0)
		rc = connect_pair(children, SUPERVISED_CONTROL, SUPERVISED_VAULT);
	if (rc != 0) {
		log_error("cannot prepare the processes: %s", strerror(-rc));
		return rc;
	}
	snprintf(children->buffer_bytes, sizeof(children->buffer_bytes), "%llu", (unsigned long long)config->buffer_bytes);
	snprintf(children->flows_max, sizeof(children->flows_max), "%u", config->flows_max);
	write_lines(children, state_dir, config);
	return give_root(children, state_dir, config);
}

pid_t children_spawn(struct children *children, enum supervised which)
{
	const struct child_line *line = &children->line[which];
	const struct fd_store *store = &children->store[which];
	unsigned count = line->fd_count + store->count;
	struct child_plan plan = {.path = line->path, .argv = line->argv, .notify_path = children->notify_path, .fd_count = count};
	const char **names = calloc(count, sizeof(*names));
	int *fds = calloc(count, sizeof(*fds));
	pid_t pid = -ENOMEM;

	if (names == NULL || fds == NULL)
		goto out;
	for (unsigned i = 0; i < line->fd_count; i++) {
		lseek(line->fds[i], 0, SEEK_SET); /* a key file is read from its start each time; a socket does not mind */
		fds[i] = line->fds[i];
		names[i] = line->fd_names[i];
	}
	for (unsigned i = 0; i < store->count; i++) {
		fds[line->fd_count + i] = store->entries[i].fd;
		names[line->fd_count + i] = store->entries[i].name;
	}
	plan.fds = fds;
	plan.fd_names = names;
	pid = child_spawn(&plan);
out:
	free(names);
	free(fds);
	return pid;
}

void children_release(struct children *children)
{
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++) {
		for (unsigned j = 0; j < children->line[i].fd_count; j++)
			close(children->line[i].fds[j]);
		fd_store_clear(&children->store[i]);
	}
}
