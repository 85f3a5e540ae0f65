#include "load/bench_blk_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "load/bench_common.h"
#include "load/blk_driver.h"

enum { REQUEST_BYTES_MAX = 16 << 20 };

static const char help[] = "Usage: outboard bench blk --socket SOCKET [options]\n"
			   "\n"
			   "Loads a vhost-user-blk device the way a guest's driver does, and says how fast it is.\n"
			   "Works against any back end: a volume attached with `outboard volume attach`,\n"
			   "qemu-storage-daemon, SPDK. The device must not be in use by a guest.\n"
			   "\n"
			   "  --socket SOCKET   the back end's vhost-user socket (what `volume attach` printed)\n"
			   "\n"
			   "What to do\n"
			   "  --rw KIND         randread (default), randwrite, read, write: at random or in\n"
			   "                    sequence; mixed: at random, 70 % reads.\n"
			   "                    WRITES DESTROY what is on the device.\n"
			   "  --bs SIZE         bytes a request, such as 512, 4K (default), 64K, 1M\n"
			   "  --qd N            requests in flight on each queue (default 128); 1 measures latency\n"
			   "  --queues N        queues, all driven from one thread (default 1)\n"
			   "  --seconds N       how long (default 5)\n"
			   "  --region SIZE     only the first SIZE bytes of the device (default: all; with\n"
			   "                    --verify at most 1G)\n"
			   "  --rate IOPS       start that many requests a second, whether or not earlier ones are\n"
			   "                    done (open loop): latency then counts from when a request was due,\n"
			   "                    so a stall shows in full. Default: replace each as it completes\n"
			   "\n"
			   "How to do it\n"
			   "  --packed          packed rings (default: split)\n"
			   "  --indirect        one ring slot a request, with an indirect table (default: chained\n"
			   "                    descriptors)\n"
			   "  --ring-size N     rings of at least N slots, as a guest's driver has (often 128 or\n"
			   "                    256). Default: as small as --qd allows, which at low queue depths\n"
			   "                    saves the two sides some cache misses\n"
			   "  --cpu N           run on that processor; give the back end another one\n"
			   "\n"
			   "Checking\n"
			   "  --verify          write self-describing blocks over the region first, run the load,\n"
			   "                    read everything back; each read is checked for lost, stale,\n"
			   "                    misdirected and damaged blocks. DESTROYS what is on the device.\n"
			   "  --reconnect N     when the back end goes away, try for N seconds to reach it again,\n"
			   "                    and go on where it was\n"
			   "\n"
			   "  --json            one JSON object on standard output instead of text\n"
			   "  --help            this text\n"
			   "\n"
			   "Exit status: 0 all requests succeeded; 1 some failed, blocks were wrong, or the back end\n"
			   "failed; 2 the options make no sense.\n"
			   "\n"
			   "Examples\n"
			   "  outboard bench blk --socket /run/outboard/vol1.sock --qd 1\n"
			   "      latency of a 4 KiB read\n"
			   "  outboard bench blk --socket /run/outboard/vol1.sock --bs 64K --rw read --qd 32\n"
			   "      throughput\n"
			   "  outboard bench blk --socket /run/outboard/vol1.sock --rw mixed --verify --reconnect 30\n"
			   "      is anything lost when the card is killed?\n";

enum {
	OPT_SOCKET = 1,
	OPT_RW,
	OPT_BS,
	OPT_QD,
	OPT_QUEUES,
	OPT_SECONDS,
	OPT_REGION,
	OPT_RATE,
	OPT_CPU,
	OPT_RECONNECT,
	OPT_RING_SIZE,
	OPT_HELP
};

static struct bench_voice voice; /* one command line a process */

static bool parse_size(const char *name, const char *text, uint64_t max, uint64_t *out)
{
	if (size_parse(text, out) == 0 && *out >= BLK_SECTOR_BYTES && *out <= max && *out % BLK_SECTOR_BYTES == 0)
		return true;
	bench_wrong(&voice, "--%s %s: give a multiple of 512 bytes, such as 4096, 64K or 1G%s", name, text,
		    max == REQUEST_BYTES_MAX ? ", up to 16M" : "");
	return false;
}

static bool parse_rw(struct bench_blk_options *o, const char *text)
{
	static const struct {
		const char *name;
		unsigned read_percent;
		bool random;
	} kinds[] = {
		{"randread", 100, true}, {"randwrite", 0, true}, {"read", 100, false}, {"write", 0, false}, {"mixed", 70, true}};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, kinds[i].name) != 0)
			continue;
		o->rw = kinds[i].name;
		o->read_percent = kinds[i].read_percent;
		o->random = kinds[i].random;
		return true;
	}
	bench_wrong(&voice, "--rw %s: give one of randread, randwrite, read, write, mixed", text);
	return false;
}

static bool parse_option(struct bench_blk_options *o, int option, const char *text)
{
	uint64_t v = 0;
	bool good = true;

	switch (option) {
	case OPT_SOCKET:
		o->socket_path = text;
		break;
	case OPT_RW:
		good = parse_rw(o, text);
		break;
	case OPT_BS:
		good = parse_size("bs", text, REQUEST_BYTES_MAX, &v);
		o->request_bytes = (uint32_t)v;
		break;
	case OPT_QD:
		good = bench_parse_number(&voice, "qd", text, 1, DRIVER_RING_SIZE_MAX, &v);
		o->depth = (uint16_t)v;
		break;
	case OPT_QUEUES:
		good = bench_parse_number(&voice, "queues", text, 1, BLK_QUEUES_MAX, &v);
		o->queue_count = (uint16_t)v;
		break;
	case OPT_RING_SIZE:
		good = bench_parse_number(&voice, "ring-size", text, 1, DRIVER_RING_SIZE_MAX, &v);
		o->ring_size = (uint16_t)v;
		break;
	case OPT_SECONDS:
		good = bench_parse_number(&voice, "seconds", text, 1, BENCH_SECONDS_MAX, &v);
		o->seconds = (unsigned)v;
		break;
	case OPT_REGION:
		good = parse_size("region", text, INT64_MAX, &o->region_bytes);
		break;
	case OPT_RATE:
		good = bench_parse_number(&voice, "rate", text, 1, 100000000, &o->rate_iops);
		break;
	case OPT_CPU:
		good = bench_parse_number(&voice, "cpu", text, 0, BENCH_CPU_MAX, &v);
		o->cpu = (int)v;
		break;
	case OPT_RECONNECT:
		good = bench_parse_number(&voice, "reconnect", text, 1, 3600, &v);
		o->reconnect_seconds = (unsigned)v;
		break;
	default:
		good = false;
	}
	return good;
}

static bool check(const struct bench_blk_options *o, int argc, char **argv)
{
	if (optind < argc) {
		bench_wrong(&voice, "'%s': every option has a name; see --help", argv[optind]);
		return false;
	}
	if (o->socket_path == NULL) {
		bench_wrong(&voice, "--socket is missing: the path that `outboard volume attach` printed; see --help");
		return false;
	}
	if (o->region_bytes != 0 && o->region_bytes < o->request_bytes) {
		bench_wrong(&voice, "--region is smaller than one request (--bs)");
		return false;
	}
	return true;
}

enum bench_blk_parsed bench_blk_options_parse(struct bench_blk_options *o, int argc, char **argv)
{
	int packed = 0, indirect = 0, verify = 0, json = 0, option;
	const struct option known[] = {
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"rw", required_argument, NULL, OPT_RW},
		{"bs", required_argument, NULL, OPT_BS},
		{"qd", required_argument, NULL, OPT_QD},
		{"queues", required_argument, NULL, OPT_QUEUES},
		{"seconds", required_argument, NULL, OPT_SECONDS},
		{"region", required_argument, NULL, OPT_REGION},
		{"rate", required_argument, NULL, OPT_RATE},
		{"cpu", required_argument, NULL, OPT_CPU},
		{"ring-size", required_argument, NULL, OPT_RING_SIZE},
		{"reconnect", required_argument, NULL, OPT_RECONNECT},
		{"packed", no_argument, &packed, 1},
		{"indirect", no_argument, &indirect, 1},
		{"verify", no_argument, &verify, 1},
		{"json", no_argument, &json, 1},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};

	*o = (struct bench_blk_options){.rw = "randread",
					.read_percent = 100,
					.random = true,
					.depth = 128,
					.queue_count = 1,
					.request_bytes = 4096,
					.seconds = 5,
					.cpu = -1};
	voice = bench_voice_of("bench blk", argc, argv);
	opterr = 0;
	optind = 0; /* glibc: start over, somebody may have used getopt before us */
	while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		if (option == '?' || option == ':') {
			bench_wrong(&voice, "%s: %s; see --help", argv[optind - 1],
				    option == ':' ? "a value is missing" : "no such option");
			return BENCH_BLK_WRONG;
		}
		if (option == OPT_HELP || option == 'h') {
			fputs(help, stdout);
			return BENCH_BLK_HELP;
		}
		if (option != 0 && !parse_option(o, option, optarg))
			return BENCH_BLK_WRONG;
	}
	o->packed = packed;
	o->indirect = indirect;
	o->verify = verify;
	o->json = json;
	return check(o, argc, argv) ? BENCH_BLK_RUN : BENCH_BLK_WRONG;
}
