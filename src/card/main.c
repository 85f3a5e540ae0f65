/* outboard-card: the data plane. Options and start; the rest is card.c. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/inherited.h"
#include "base/log.h"
#include "base/size.h"
#include "card/card.h"
#include "card/sandbox_card.h"
#include "card/tap_opener.h"
#include "card/wires.h"
#include "sandbox/sandbox.h"
#include "virtio/guest_memory.h"

enum { BUFFER_BYTES_DEFAULT = 64 << 20, BUFFER_BYTES_MIN = 4 << 20 };

static const char usage[] =
	"Usage: outboard-card [--cores LIST] [--huge-pages auto|on|off] [--buffer-bytes SIZE] [--wire WIRE]... [--flows N]\n"
	"The data plane of Outboard: one poller on each core of LIST. Started by `outboard run`, which gives it the channels to\n"
	"control and to the vault; it does not run alone.\n"
	"\n"
	"  --cores LIST          cores for pollers, such as 1,3 (default: the last core)\n"
	"  --huge-pages MODE     auto (default): where there are any; on: or do not start; off\n"
	"  --buffer-bytes SIZE   I/O buffers of each poller, such as 128M (default 64M)\n"
	"  --wire WIRE           a network port, up to 4 times, such as\n"
	"                        address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=eth1\n"
	"  --flows N             how many flows the card tracks (default 1048576; without a wire 131072)\n"
	"  --state-dir DIR       ignored: the card keeps nothing on disk\n"
	"  -h, --help            this text\n"
	"      --version\n";

static int parse_cores(const char *text, struct card_config *config)
{
	config->core_count = 0;
	while (*text != '\0') {
		char *end;
		long core = strtol(text, &end, 10);

		if (end == text || core < 0 || core >= CPU_SETSIZE || config->core_count == POLLERS_MAX ||
		    (*end != ',' && *end != '\0'))
			return -EINVAL;
		for (unsigned i = 0; i < config->core_count; i++)
			if (config->cores[i] == core)
				return -EINVAL;
		config->cores[config->core_count++] = (int)core;
		text = *end == ',' ? end + 1 : end;
	}
	return config->core_count > 0 ? 0 : -EINVAL;
}

static int last_core(void)
{
	cpu_set_t set;
	int core = 0;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET((size_t)i, &set))
				core = i;
	return core;
}

static bool huge_pages_there(void)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "re");
	long count = 0;

	if (f == NULL)
		return false;
	if (fscanf(f, "%ld", &count) != 1)
		count = 0;
	fclose(f);
	return count > 0;
}

static int parse_huge(const char *text, struct card_config *config)
{
	bool there = huge_pages_there();

	if (strcmp(text, "auto") == 0)
		config->huge = there;
	else if (strcmp(text, "off") == 0)
		config->huge = false;
	else if (strcmp(text, "on") == 0 && there)
		config->huge = true;
	else if (strcmp(text, "on") == 0)
		return -ENOENT;
	else
		return -EINVAL;
	return 0;
}

enum { OPTION_CORES = 1000, OPTION_HUGE, OPTION_BUFFERS, OPTION_WIRE, OPTION_FLOWS, OPTION_STATE, OPTION_VERSION };

static const struct option options[] = {
	{"cores", required_argument, NULL, OPTION_CORES},
	{"huge-pages", required_argument, NULL, OPTION_HUGE},
	{"buffer-bytes", required_argument, NULL, OPTION_BUFFERS},
	{"wire", required_argument, NULL, OPTION_WIRE},
	{"flows", required_argument, NULL, OPTION_FLOWS},
	{"state-dir", required_argument, NULL, OPTION_STATE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static int refuse(const char *what, const char *value)
{
	fprintf(stderr, "outboard-card: %s: \"%s\". See outboard-card --help.\n", what, value);
	exit(2);
}

static void parse_wire(const char *text, struct wires_config *wires)
{
	char error[512];

	if (wires->count == WIRES_MAX)
		refuse("--wire can be given 4 times", text);
	if (wire_config_parse(text, &wires->wires[wires->count], error, sizeof(error)) < 0) {
		fprintf(stderr, "outboard-card: --wire: %s.\n", error);
		exit(2);
	}
	for (unsigned i = 0; i < wires->count; i++)
		if (net_address_equal(&wires->wires[i].address.address, &wires->wires[wires->count].address.address))
			refuse("--wire: each wire has an address of its own", text);
	wires->count++;
}

static int parse_flows(const char *text, uint32_t *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < NETWORK_FLOWS_MIN || value > NETWORK_FLOWS_MAX)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

static void parse_options(int argc, char **argv, struct card_config *config, struct wires_config *wires)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CORES:
			if (parse_cores(optarg, config) < 0)
				refuse("--cores takes different core numbers, such as 1,3", optarg);
			break;
		case OPTION_HUGE:
			if (parse_huge(optarg, config) < 0)
				refuse("--huge-pages takes auto, off, or on (which needs /proc/sys/vm/nr_hugepages above 0)",
				       optarg);
			break;
		case OPTION_BUFFERS:
			if (size_parse(optarg, &config->buffer_bytes) < 0 || config->buffer_bytes < BUFFER_BYTES_MIN)
				refuse("--buffer-bytes takes a size of at least 4M", optarg);
			break;
		case OPTION_WIRE:
			parse_wire(optarg, wires);
			break;
		case OPTION_FLOWS:
			if (parse_flows(optarg, &config->network.flows_max) < 0)
				refuse("--flows takes a number from 1024 to 67108864", optarg);
			break;
		case OPTION_STATE:
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case OPTION_VERSION:
			puts("outboard-card " OUTBOARD_VERSION);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc)
		refuse("takes no such argument", argv[optind]);
}

int main(int argc, char **argv)
{
	static struct card card; /* the one global of this process */
	struct wires_config wires = {0};
	struct card_config config = {.buffer_bytes = BUFFER_BYTES_DEFAULT};
	int rc;

	log_open("outboard-card", getenv("OUTBOARD_DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	parse_huge("auto", &config);
	parse_options(argc, argv, &config, &wires);
	if (config.core_count == 0) {
		config.cores[0] = last_core();
		config.core_count = 1;
	}
	wires.core = config.cores[0];
	wires.huge = config.huge;
	config.control_channel = inherited_fd("control");
	config.vault_channel = inherited_fd("vault");
	if (config.control_channel < 0) {
		fputs("outboard-card: no channel to control was inherited: it is started by `outboard run`.\n", stderr);
		return 2;
	}
	clock_calibrate();
	rc = tap_opener_start(&config.network.tap_channel);
	card_block_signals();
	if (rc == 0)
		rc = sandbox_undumpable();
	if (rc == 0 && wires_open(&wires, sandbox_card_capabilities, &config.network) < 0)
		return 2; /* it has said why; the next start would be told the same */
	if (rc == 0)
		rc = sandbox_card_privileges();
	if (rc == 0)
		rc = guest_memory_catch_sigbus();
	if (rc == 0)
		rc = card_run(&card, &config);
	if (rc < 0)
		log_error("stopped: %s", strerror(-rc));
	return rc < 0 ? 1 : 0;
}
