#include "load/bench_blk.h"
#include "load/bench_net.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

/* For completion and the manual's test; the load clients parse them and explain them. */
static const struct cli_option blk_options[] = {
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

static const struct cli_option net_options[] = {
	{"size", 0, CLI_TEXT, "LIST", "bytes a frame, without FCS, or imix", false},
	{"protocol", 0, CLI_CHOICE, "udp|tcp", "of the packets", false},
	{"flows", 0, CLI_NUMBER, "N", "flows, in turn", false},
	{"spread", 0, CLI_CHOICE, "source|destination|port", "what varies when source ports are used up", false},
	{"new-flows", 0, CLI_NUMBER, "R", "flows begun a second", false},
	{"handshake", 0, CLI_FLAG, NULL, "data waits for the SYN+ACK", false},
	{"close", 0, CLI_CHOICE, "fin|rst", "how TCP flows end", false},
	{"tso", 0, CLI_SIZE, "BYTES", "frames to be segmented by the back end", false},
	{"mss", 0, CLI_NUMBER, "BYTES", "their segments", false},
	{"rate", 0, CLI_NUMBER, "PPS", "packets a second, whatever becomes of them", false},
	{"both-ways", 0, CLI_FLAG, NULL, "the second socket sends as well", false},
	{"receive-only", 0, CLI_FLAG, NULL, "send nothing", false},
	{"echo", 0, CLI_FLAG, NULL, "send back what comes", false},
	{"duration", 0, CLI_NUMBER, "S", "how long, in seconds", false},
	{"warmup", 0, CLI_NUMBER, "S", "seconds before anything counts", false},
	{"source-ip", 0, CLI_TEXT, "A", "address of the first end", false},
	{"destination-ip", 0, CLI_TEXT, "A", "address of the other end", false},
	{"destination-port", 0, CLI_NUMBER, "N", "port that is sent to", false},
	{"source-mac", 0, CLI_TEXT, "M", "MAC address of the first end", false},
	{"destination-mac", 0, CLI_TEXT, "M", "MAC address of the other end", false},
	{"gateway-mac", 0, CLI_TEXT, "M", "MAC address that is sent to", false},
	{"arp", 0, CLI_FLAG, NULL, "ask for the MAC address of the next hop", false},
	{"gateway", 0, CLI_TEXT, "A", "the next hop", false},
	{"dhcp", 0, CLI_FLAG, NULL, "take addresses from DHCP", false},
	{"vlan", 0, CLI_NUMBER, "N", "tag frames", false},
	{"queues", 0, CLI_NUMBER, "N", "queue pairs", false},
	{"ring-size", 0, CLI_NUMBER, "N", "slots of each ring", false},
	{"receive-buffer", 0, CLI_SIZE, "SIZE", "of each receive buffer", false},
	{"packed", 0, CLI_FLAG, NULL, "packed rings", false},
	{"indirect", 0, CLI_FLAG, NULL, "indirect descriptors", false},
	{"csum", 0, CLI_FLAG, NULL, "leave checksums to the back end", false},
	{"mtu", 0, CLI_NUMBER, "N", "tell the back end", false},
	{"cpu", 0, CLI_NUMBER, "N", "run on that processor", false},
	{"core", 0, CLI_NUMBER, "N", "the same", false},
	{"latency", 0, CLI_FLAG, NULL, "time stamps in the packets", false},
	{"verify", 0, CLI_FLAG, NULL, "check all checksums that arrive", false},
	{0},
};

/* --json may have stood before the command; the load client looks for it among its own. */
static int bench(struct cli *cli, int (*run)(int argc, char **argv))
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
	status = run(argc, argv);
	free(argv);
	return status;
}

static int bench_blk(struct cli *cli)
{
	return bench(cli, bench_blk_main);
}

static int bench_net(struct cli *cli)
{
	return bench(cli, bench_net_main);
}

const struct cli_command command_bench_blk = {
	.name = "bench blk",
	.summary = "Measure any vhost-user-blk back end: ours, qemu-storage-daemon's, SPDK's",
	.options = blk_options,
	.run = bench_blk,
	.own_options = true,
};

const struct cli_command command_bench_net = {
	.name = "bench net",
	.summary = "Measure any vhost-user-net back end: ours, Open vSwitch's, testpmd's",
	.arguments = {{"SOCKET", CLI_FILE}, {"SOCKET2", CLI_FILE}},
	.options = net_options,
	.run = bench_net,
	.own_options = true,
};
