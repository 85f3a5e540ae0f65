/*
 * outboard-vault: the process that knows the root key.
 *
 * It is started by the chassis (or systemd) with its descriptors: "control" and "card" (channels), "root" (the key file, or the
 * header of the passphrase root), perhaps "passphrase" (whose first line is one). It opens nothing itself, listens nowhere, and
 * once it serves it could not: see sandbox_list.c. Everything of it that touches a key runs on a stack of secret memory, and
 * libcrypto allocates from an arena of it.
 *
 * The channels outlive it, for the chassis holds both ends: what is queued while it is down is answered by its successor. Their
 * end means that the chassis is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/inherited.h"
#include "base/log.h"
#include "base/secret.h"
#include "sandbox/sandbox.h"
#include "vault/arena.h"
#include "vault/sandbox_list.h"
#include "vault/secret_stack.h"
#include "vault/serve.h"
#include "vault/vault.h"

enum {
	ARENA_BYTES = 2 << 20,
	STACK_BYTES = 256 << 10,
	MEMLOCK_SPARE_BYTES = 1 << 20, /* key pages on their way */
};

struct options {
	enum root_kind root;
	bool export_allowed;
};

/* What main() hands to the stack of secret memory, and the exit status that comes back. */
struct start {
	struct options options;
	int root_fd;
	int passphrase_fd;
	int channels[VAULT_CHANNELS];
	int status;
};

static void usage(FILE *to)
{
	fputs("usage: outboard-vault --root file|passphrase [--no-export]\n"
	      "\n"
	      "Keeps the keys of a card. Started by `outboard run`, which gives it its descriptors (sd_listen_fds(3)):\n"
	      "  control, card  channels   root  key file or header of the passphrase root   passphrase  (optional) one to read\n"
	      "\n"
	      "  --root KIND   where the root key comes from: a file of 32 bytes, or a passphrase\n"
	      "  --no-export   never give a data key out, not even to who asks with `outboard key export`\n"
	      "  --help        this text\n"
	      "  --version     the version\n",
	      to);
}

/* 0: go on; otherwise 1 + the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {{"root", required_argument, NULL, 'r'},
					      {"no-export", no_argument, NULL, 'n'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'v'},
					      {NULL, 0, NULL, 0}};
	bool have_root = false;
	int option;

	options->export_allowed = true;
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'r':
			have_root = strcmp(optarg, "file") == 0 || strcmp(optarg, "passphrase") == 0;
			options->root = strcmp(optarg, "file") == 0 ? ROOT_FILE : ROOT_PASSPHRASE;
			break;
		case 'n':
			options->export_allowed = false;
			break;
		case 'h':
			usage(stdout);
			return 1 + EXIT_SUCCESS;
		case 'v':
			puts("outboard-vault " OUTBOARD_VERSION);
			return 1 + EXIT_SUCCESS;
		default:
			usage(stderr);
			return 1 + 2;
		}
	}
	if (have_root && optind == argc)
		return 0;
	usage(stderr);
	return 1 + 2;
}

static int take_descriptor(const char *name)
{
	int fd = inherited_fd(name);

	if (fd < 0)
		log_error("no descriptor named \"%s\": start me with `outboard run`", name);
	return fd;
}

static int take_channel(const char *name)
{
	int fd = take_descriptor(name);

	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
		log_error("descriptor \"%s\" is no channel: %s", name, strerror(errno));
		return -errno;
	}
	return fd;
}

/* As much as can be had: what is really missing shows when it is to be locked, with a sentence of its own. */
static void raise_memlock(void)
{
	rlim_t wanted = ARENA_BYTES + STACK_BYTES + MEMLOCK_SPARE_BYTES + (rlim_t)ROOT_MEMORY_MAX_KIB * 1024;
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted}) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* The vault opened and stripped of all it no longer needs. 0 or -errno, logged. */
static int open_vault(struct vault *vault, const struct start *start)
{
	bool passphrase = start->options.root == ROOT_PASSPHRASE;
	const int *calls;
	size_t count;
	int rc;

	if (passphrase)
		rc = root_from_header(&vault->root, start->root_fd, &root_cost_recommended);
	else
		rc = root_from_file(&vault->root, start->root_fd);
	if (rc == 0)
		rc = vault_open(vault, start->options.export_allowed);
	if (rc == 0 && start->passphrase_fd >= 0)
		rc = serve_passphrase(vault, start->passphrase_fd);
	if (rc == 0)
		rc = sandbox_drop_capabilities(NULL, 0);
	if (rc != 0)
		return rc;
	log_info("%s, keys in %s memory", vault->root.state == ROOT_UNLOCKED ? "ready" : "locked: waiting for the passphrase",
		 secret_kind());
	(void)notify_send("READY=1"); /* who started us without listening does not want to know */
	calls = vault_sandbox_list(passphrase && vault->root.state != ROOT_UNLOCKED, &count);
	return sandbox_seccomp("outboard-vault", calls, count, sandbox_action_from_environment());
}

static void run(void *context)
{
	struct start *start = context;
	struct vault vault = {0};

	if (open_vault(&vault, start) == 0)
		start->status = serve(&vault, start->channels) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	secret_wipe(&vault, sizeof(vault));
	_exit(start->status); /* here: leaving the stack takes calls that the filter does not allow */
}

int main(int argc, char **argv)
{
	struct start start = {.status = EXIT_FAILURE};
	int rc = parse(argc, argv, &start.options);

	if (rc != 0)
		return rc - 1;
	log_open("outboard-vault", LOG_LEVEL_INFO);
	tzset();		  /* the log's calendar reads a file the first time */
	signal(SIGPIPE, SIG_IGN); /* a log that nobody reads is no reason to die */
	if (sandbox_undumpable() != 0)
		return EXIT_FAILURE;
	start.channels[VAULT_ROLE_CONTROL] = take_channel("control");
	start.channels[VAULT_ROLE_CARD] = take_channel("card");
	start.root_fd = take_descriptor("root");
	start.passphrase_fd = inherited_fd("passphrase");
	if (start.channels[VAULT_ROLE_CONTROL] < 0 || start.channels[VAULT_ROLE_CARD] < 0 || start.root_fd < 0)
		return EXIT_FAILURE;
	raise_memlock();
	rc = arena_serve_libcrypto(ARENA_BYTES);
	if (rc == 0)
		rc = secret_stack_run(run, &start, STACK_BYTES);
	log_error("cannot lock %d KiB of memory for keys: %s; raise the limit (LimitMEMLOCK=, ulimit -l)",
		  (ARENA_BYTES + STACK_BYTES) / 1024, strerror(-rc));
	return EXIT_FAILURE;
}
