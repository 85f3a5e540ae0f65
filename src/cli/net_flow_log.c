/* `outboard eni flow-log`: the end of an interface's flow log, and what is added to it. */
#include <signal.h>
#include <time.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/line_tail.h"
#include "cli/output.h"

enum { LINES_MAX = 10000, LINES_DEFAULT = 100, POLL_S = 1 };

static const struct cli_option options[] = {
	{"lines", 'n', CLI_NUMBER, "N", "the last so many lines, 1 to 10000 (default: 100)", false},
	{"follow", 'f', CLI_FLAG, NULL, "print lines as they are added, until Ctrl-C", false},
	{0},
};

/* Set by the signal handler alone. */
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int fetch(const struct cli *cli, uint64_t lines, json_t **list)
{
	json_t *reply;
	int status =
		api_call(cli, "GET", NULL, &reply, "/v1/enis/%s/flow-log?lines=%llu", cli->argument[0], (unsigned long long)lines);

	if (status != 0)
		return status;
	*list = json_incref(json_object_get(reply, "lines"));
	json_decref(reply);
	return json_is_array(*list) ? 0 : cli_fail(cli, "protocol", "the API's answer has no lines");
}

static void print_lines(const json_t *lines, size_t from)
{
	for (size_t i = from; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));

		for (; line != NULL && *line != '\0'; line++)
			putchar((unsigned char)*line < ' ' || *line == 127 ? '?' : *line);
		putchar('\n');
	}
	fflush(stdout);
}

static int follow(const struct cli *cli, json_t *older)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct timespec pause = {.tv_sec = POLL_S};
	int status = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (status == 0 && (nanosleep(&pause, NULL), !ended)) {
		json_t *newer;

		status = fetch(cli, LINES_MAX, &newer);
		if (status != 0)
			break;
		print_lines(newer, line_tail_new(older, newer));
		json_decref(older);
		older = newer;
	}
	json_decref(older);
	return status;
}

static int flow_log(struct cli *cli)
{
	uint64_t wanted = cli_number(cli, "lines", LINES_DEFAULT);
	bool following = cli_flag(cli, "follow");
	json_t *lines;
	size_t size;
	int status;

	if (wanted < 1 || wanted > LINES_MAX)
		return cli_usage(cli, "--lines must be 1 to %d", LINES_MAX);
	if (following && cli->json)
		return cli_usage(cli, "--follow has no end, and --json prints one object: leave one of them out");
	status = fetch(cli, following ? LINES_MAX : wanted, &lines);
	if (status != 0)
		return status;
	if (cli->json)
		return print_list("lines", lines);
	size = json_array_size(lines);
	print_lines(lines, size > wanted ? size - wanted : 0);
	if (following)
		return follow(cli, lines);
	if (size == 0)
		fprintf(stderr,
			"No lines yet: there is one a flow and interval where the VPC has a flow log (\"outboard vpc change VPC "
			"--flow-log all\").\n");
	json_decref(lines);
	return 0;
}

const struct cli_command command_eni_flow_log = {
	.name = "eni flow-log",
	.summary = "Who spoke with a network interface, and what was refused",
	.arguments = {{"NAME", CLI_ENI}},
	.options = options,
	.details = "One line a flow and interval, with the fields of AWS's version 2: version, account-id,\n"
		   "interface-id, srcaddr, dstaddr, srcport, dstport, protocol, packets, bytes, start, end, action,\n"
		   "log-status. The VPC says whether there is a log: \"vpc change VPC --flow-log all|accept|reject\".",
	.examples = "  outboard eni flow-log web1 --lines 20\n"
		    "  outboard eni flow-log web1 --follow | grep REJECT",
	.run = flow_log,
};
