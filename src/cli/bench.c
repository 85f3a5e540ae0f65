#include "load/bench_blk.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

/* For completion and the manual's test; bench_blk.c parses them and explains them. */
static const struct cli_option options[] = {
	{"socket", 0, CLI_FILE, "SOCKET", "of the vhost-user-blk back end", true},
	{"qd", 0, CLI_NUMBER, "N", "requests in flight a queue", false},
	{"bs", 0, CLI_SIZE, "SIZE", "size of a request", false},
	{"rw", 0, CLI_CHOICE, "randread|randwrite|read|write|mixed", "the pattern", false},
	{"queues", 0, CLI_NUMBER, "N", "queues", false},
	{"seconds", 0, CLI_NUMBER, "N", "how long", false},
	{"region", 0, CLI_SIZE, "SIZE", "only the first SIZE bytes of the device", false},
	{"rate", 0, CLI_NUMBER, "IOPS", "start so many requests a second, whatever becomes of them", false},
	{"packed", 0, CLI_FLAG, NULL, "packed rings", false},
	{"indirect", 0, CLI_FLAG, NULL, "indirect descriptors", false},
	{"ring-size", 0, CLI_NUMBER, "N", "rings of at least N slots", false},
	{"cpu", 0, CLI_NUMBER, "N", "run on that processor", false},
	{"reconnect", 0, CLI_NUMBER, "N", "try for N seconds to reach a back end that went away", false},
	{"verify", 0, CLI_FLAG, NULL, "write self-describing blocks and check every read", false},
	{0},
};

/* --json may have stood before the command; the load client looks for it among its own. */
static int bench_blk(struct cli *cli)
{
	char **argv = calloc((size_t)cli->argc + 2, sizeof(*argv));
	bool given = false;
	int argc = cli->argc, status;

	if (argv == NULL)
		return cli_fail(cli, "out_of_memory", "out of memory");
	for (int i = 0; i < argc; i++) {
		argv[i] = cli->argv[i];
		given |= strcmp(argv[i], "--json") == 0;
	}
	if (cli->json && !given)
		argv[argc++] = (char *)(size_t) "--json";
	status = bench_blk_main(argc, argv);
	free(argv);
	return status;
}

const struct cli_command command_bench_blk = {
	.name = "bench blk",
	.summary = "Measure any vhost-user-blk back end: ours, qemu-storage-daemon's, SPDK's",
	.options = options,
	.run = bench_blk,
	.own_options = true,
};
