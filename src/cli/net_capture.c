/*
 * `outboard eni capture`: the card writes pcapng into a buffer of its own; this command reads that through the API, a piece at a
 * time, as long as pieces come and else every POLL_MS. When it ends, however it ends, the capture is stopped: by the command, or
 * by the card, after half a minute in which nobody read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"
#include "cli/pcapng.h"

enum { POLL_MS = 100, PIECE_MAX_BYTES = 1 << 20, SNAP_MIN_BYTES = 64, SNAP_MAX_BYTES = 65535, DURATION_MAX_S = 30 * 86400 };

static const struct cli_option options[] = {
	{"write", 'w', CLI_FILE, "FILE", "where the packets go, as pcapng; - is standard output", true},
	{"drops", 0, CLI_FLAG, NULL, "packets that are dropped as well, each with the reason as its comment", false},
	{"snap", 's', CLI_NUMBER, "BYTES", "only the first so many bytes of a packet, 64 to 65535 (default: all)", false},
	{"count", 'c', CLI_NUMBER, "N", "end after so many packets", false},
	{"duration", 0, CLI_NUMBER, "SECONDS", "end after so long", false},
	{0},
};

/* Set by the signal handler alone. */
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

struct capturing {
	const struct cli *cli;
	const char *eni, *path;
	json_int_t id;
	int fd;
	bool broken; /* who reads our standard output has gone: no error */
	uint64_t bytes, lost;
	struct pcapng stream;
	struct pcapng_out out;
	uint8_t piece[PIECE_MAX_BYTES];
};

static int write_all(void *context, const void *data, size_t size)
{
	struct capturing *c = context;
	const uint8_t *at = data;

	while (size > 0) {
		ssize_t written = write(c->fd, at, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		at += written;
		size -= (size_t)written;
		c->bytes += (uint64_t)written;
	}
	return 0;
}

/* ---- the capture on the card ---- */

static int start(struct capturing *c)
{
	json_t *reply;
	int status = api_call(c->cli, "POST",
			      json_pack("{s:s,s:I,s:b}", "action", "start", "snap_bytes",
					(json_int_t)cli_number(c->cli, "snap", SNAP_MAX_BYTES), "drops", cli_flag(c->cli, "drops")),
			      &reply, "/v1/enis/%s/capture", c->eni);

	if (status != 0)
		return status;
	c->id = (json_int_t)field_number(reply, "capture");
	json_decref(reply);
	return 0;
}

/* What this leaves running, the card ends by itself: no reason to fail. */
static void stop(const struct capturing *c)
{
	struct api_error error;
	char path[128];
	json_t *body = json_pack("{s:s,s:I}", "action", "stop", "capture", c->id);

	snprintf(path, sizeof(path), "/v1/enis/%s/capture", c->eni);
	api_request(c->cli->api_socket, c->cli->api_patience_s, "POST", path, body, NULL, &error);
	json_decref(body);
}

/* One piece. 0 or the exit status; *size: what it had. */
static int read_piece(struct capturing *c, size_t *size)
{
	json_t *reply;
	int rc, status = api_call(c->cli, "POST", json_pack("{s:s,s:I}", "action", "read", "capture", c->id), &reply,
				  "/v1/enis/%s/capture", c->eni);

	if (status != 0)
		return status;
	rc = base64_parse(field_text(reply, "data"), c->piece, sizeof(c->piece), size);
	c->lost += field_number(reply, "lost");
	json_decref(reply);
	if (rc == 0)
		rc = pcapng_feed(&c->stream, c->piece, *size, &c->out);
	if (rc == -EPIPE) {
		c->broken = true;
		return 0;
	}
	if (rc == -EINVAL)
		return cli_fail(c->cli, "protocol", "what the card captured is not in a form that this command knows");
	return rc == 0 ? 0 : cli_fail(c->cli, "file", "cannot write %s: %s", c->path, strerror(-rc));
}

static bool done(const struct capturing *c)
{
	return c->broken || (c->out.packets_max > 0 && c->out.packets >= c->out.packets_max);
}

static int run(struct capturing *c)
{
	uint64_t duration_s = cli_number(c->cli, "duration", DURATION_MAX_S);
	uint64_t deadline_ns = clock_monotonic_ns() + duration_s * UINT64_C(1000000000);
	struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	bool last = false;
	size_t size = 0;
	int status = 0;

	while (status == 0 && !done(c)) {
		status = read_piece(c, &size);
		if (status != 0 || size > 0)
			continue;
		if (last)
			break; /* what was captured until the end is read as well */
		nanosleep(&pause, NULL);
		last = ended || clock_monotonic_ns() >= deadline_ns;
	}
	return status;
}

/* ---- the command ---- */

static int check(const struct cli *cli)
{
	uint64_t snap = cli_number(cli, "snap", SNAP_MAX_BYTES), duration = cli_number(cli, "duration", 1);

	if (snap < SNAP_MIN_BYTES || snap > SNAP_MAX_BYTES)
		return cli_usage(cli, "--snap must be %d to %d bytes", SNAP_MIN_BYTES, SNAP_MAX_BYTES);
	if (duration < 1 || duration > DURATION_MAX_S)
		return cli_usage(cli, "--duration must be 1 to %d seconds", DURATION_MAX_S);
	if (cli_number(cli, "count", 1) < 1)
		return cli_usage(cli, "--count must be at least 1");
	if (strcmp(cli_text(cli, "write", ""), "-") != 0)
		return -1;
	if (cli->json)
		return cli_usage(cli, "--json and the packets cannot both go to standard output: give --write a file");
	if (isatty(STDOUT_FILENO))
		return cli_usage(cli, "packets are nothing for a terminal: \"... --write - | tcpdump -nr -\" shows them");
	return -1;
}

static int open_output(struct capturing *c)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	c->fd = strcmp(c->path, "-") == 0 ? STDOUT_FILENO : open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return c->fd >= 0 ? 0 : cli_fail(c->cli, "file", "cannot make %s: %s", c->path, strerror(errno));
}

static void print_counts(const struct capturing *c)
{
	if (c->cli->json) {
		json_t *object = json_pack("{s:s,s:s,s:I,s:I,s:I}", "eni", c->eni, "file", c->path, "packets",
					   (json_int_t)c->out.packets, "bytes", (json_int_t)c->bytes, "lost", (json_int_t)c->lost);

		print_json(object);
		json_decref(object);
		return;
	}
	fprintf(stderr, "%llu packet%s captured, %llu lost%s\n", (unsigned long long)c->out.packets, c->out.packets == 1 ? "" : "s",
		(unsigned long long)c->lost, c->lost > 0 ? ": more than could be written; --snap 128 makes them smaller" : "");
}

static int capture(struct cli *cli)
{
	struct capturing *c;
	int status = check(cli);

	if (status >= 0)
		return status;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return cli_fail(cli, "out_of_memory", "out of memory");
	c->cli = cli;
	c->eni = cli->argument[0];
	c->path = cli_text(cli, "write", NULL);
	c->out = (struct pcapng_out){.packets_max = cli_number(cli, "count", 0), .write = write_all, .context = c};
	status = open_output(c);
	if (status == 0)
		status = start(c);
	if (status == 0) {
		if (!cli->json && isatty(STDERR_FILENO))
			fprintf(stderr, "capturing what %s sends and receives; Ctrl-C ends\n", c->eni);
		status = run(c);
		stop(c);
		if (status == 0)
			print_counts(c);
	}
	if (c->fd > STDOUT_FILENO && close(c->fd) != 0 && status == 0)
		status = cli_fail(cli, "file", "cannot write %s: %s", c->path, strerror(errno));
	free(c);
	return status;
}

const struct cli_command command_eni_capture = {
	.name = "eni capture",
	.summary = "Write packets of a network interface to a file, for tcpdump and Wireshark",
	.arguments = {{"NAME", CLI_ENI}},
	.options = options,
	.details = "What the guest sends and what it is given, as pcapng, until Ctrl-C, --count or --duration. The\n"
		   "file is overwritten. With --drops, what is dropped stands in it as well, on an interface of its\n"
		   "own. Counts are printed at the end; \"lost\" are packets that came faster than they were read.",
	.examples = "  outboard eni capture web1 -w web1.pcapng\n"
		    "  outboard eni capture web1 -w - | tcpdump -nr -\n"
		    "      live\n"
		    "  outboard eni capture web1 -w drops.pcapng --drops --snap 128 --duration 60",
	.run = capture,
};
