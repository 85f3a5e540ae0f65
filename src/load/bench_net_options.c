#include "load/bench_net_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "load/bench_net_help.h"

enum {
	TSO_BYTES_MAX = 65536,
	MSS_MIN = 64,
	FRAME_OVERHEAD_BYTES = 14, /* of an untagged frame beyond its MTU */
	VLAN_BYTES = 4,
	FRAME_BYTES_DEFAULT = 64,
	RING_SIZE_MIN = 16,
	RING_SIZE_DEFAULT = 256,
	PORT_DEFAULT = 9, /* discard, RFC 863 */
};

static struct bench_voice voice; /* one command line a process */

enum {
	OPT_SIZE = 1,
	OPT_PROTOCOL,
	OPT_FLOWS,
	OPT_SPREAD,
	OPT_NEW_FLOWS,
	OPT_CLOSE,
	OPT_TSO,
	OPT_MSS,
	OPT_RATE,
	OPT_DURATION,
	OPT_WARMUP,
	OPT_SOURCE_IP,
	OPT_DESTINATION_IP,
	OPT_DESTINATION_PORT,
	OPT_SOURCE_MAC,
	OPT_DESTINATION_MAC,
	OPT_GATEWAY_MAC,
	OPT_GATEWAY,
	OPT_VLAN,
	OPT_QUEUES,
	OPT_RING_SIZE,
	OPT_RECEIVE_BUFFER,
	OPT_MTU,
	OPT_CPU,
	OPT_HELP,
	OPT_FLAGS = 1000, /* and one of these */
};

enum {
	FLAG_HANDSHAKE,
	FLAG_LATENCY,
	FLAG_BOTH_WAYS,
	FLAG_RECEIVE_ONLY,
	FLAG_ECHO,
	FLAG_ARP,
	FLAG_DHCP,
	FLAG_PACKED,
	FLAG_INDIRECT,
	FLAG_CSUM,
	FLAG_VERIFY,
	FLAG_JSON,
};

/* 7 : 4 : 1, mixed. */
static const uint32_t imix[] = {64, 590, 64, 64, 590, 64, 1514, 64, 590, 64, 64, 590};

static bool parse_sizes(struct bench_net_options *o, const char *text)
{
	const char *at = text;

	if (strcmp(text, "imix") == 0) {
		memcpy(o->sizes, imix, sizeof(imix));
		o->size_count = sizeof(imix) / sizeof(imix[0]);
		return true;
	}
	for (o->size_count = 0; o->size_count < NET_LOAD_SIZES_MAX; at++) {
		char *end;
		unsigned long bytes = strtoul(at, &end, 10);

		if (end == at || *at == '-' || *at == '+' || bytes == 0 || bytes > FRAME_BYTES_MAX)
			break;
		o->sizes[o->size_count++] = (uint32_t)bytes;
		at = end;
		if (*at == '\0')
			return true;
		if (*at != ',')
			break;
	}
	bench_wrong(&voice, "--size %s: give bytes a frame, up to %d of them separated by commas, or imix", text,
		    NET_LOAD_SIZES_MAX);
	return false;
}

/* The index of `text` among the words of a list; -1 and a sentence. */
static int parse_word(const char *name, const char *text, const char *const *words, const char *list)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	bench_wrong(&voice, "--%s %s: give %s", name, text, list);
	return -1;
}

static bool parse_address(const char *name, const char *text, struct net_address *out, bool *given)
{
	*given = net_address_parse(text, out) == 0;
	if (!*given)
		bench_wrong(&voice, "--%s %s: give an IPv4 or IPv6 address", name, text);
	return *given;
}

static bool parse_gateways(struct bench_net_addresses *a, const char *text)
{
	char first[NET_ADDRESS_TEXT_SIZE];
	const char *comma = strchr(text, ',');

	if (comma == NULL)
		return parse_address("gateway", text, &a->gateway[0], &a->gateway_given[0]);
	snprintf(first, sizeof(first), "%.*s", (int)(comma - text), text);
	return parse_address("gateway", first, &a->gateway[0], &a->gateway_given[0]) &&
	       parse_address("gateway", comma + 1, &a->gateway[1], &a->gateway_given[1]);
}

static bool parse_mac(const char *name, const char *text, struct mac *out, bool *given)
{
	*given = mac_parse(text, out) == 0;
	if (!*given)
		bench_wrong(&voice, "--%s %s: give the MAC address of one NIC, such as 02:00:00:00:00:01", name, text);
	return *given;
}

static bool parse_tso(struct bench_net_options *o, const char *text)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) != 0 || bytes < FRAME_BYTES_DEFAULT || bytes > TSO_BYTES_MAX) {
		bench_wrong(&voice, "--tso %s: give a frame of 64 bytes up to 64K", text);
		return false;
	}
	o->tso_bytes = (uint32_t)bytes;
	return true;
}

static bool parse_who(struct bench_net_options *o, int option, const char *text)
{
	struct bench_net_addresses *a = &o->addresses;
	uint64_t v = 0;
	bool good;

	switch (option) {
	case OPT_SOURCE_IP:
		return parse_address("source-ip", text, &a->source, &a->source_given);
	case OPT_DESTINATION_IP:
		return parse_address("destination-ip", text, &a->destination, &a->destination_given);
	case OPT_DESTINATION_PORT:
		good = bench_parse_number(&voice, "destination-port", text, 1, UINT16_MAX, &v);
		a->destination_port = (uint16_t)v;
		return good;
	case OPT_SOURCE_MAC:
		return parse_mac("source-mac", text, &a->source_mac, &a->source_mac_given);
	case OPT_DESTINATION_MAC:
		return parse_mac("destination-mac", text, &a->destination_mac, &a->destination_mac_given);
	case OPT_GATEWAY_MAC:
		return parse_mac("gateway-mac", text, &a->gateway_mac, &a->gateway_mac_given);
	case OPT_GATEWAY:
		return parse_gateways(a, text);
	default:
		good = bench_parse_number(&voice, "vlan", text, 1, 4094, &v);
		a->vlan = (int)v;
		return good;
	}
}

static bool parse_ring(struct bench_net_options *o, const char *text)
{
	uint64_t v = 0;

	if (!bench_parse_number(&voice, "ring-size", text, RING_SIZE_MIN, DRIVER_RING_SIZE_MAX, &v))
		return false;
	if ((v & (v - 1)) != 0) {
		bench_wrong(&voice, "--ring-size %s: give a power of two", text);
		return false;
	}
	o->ring_size = (uint16_t)v;
	return true;
}

static bool parse_receive_buffer(struct bench_net_options *o, const char *text)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) != 0 || bytes < NET_RECEIVE_BYTES_MIN || bytes > NET_RECEIVE_BYTES_TSO) {
		bench_wrong(&voice, "--receive-buffer %s: give %d bytes up to 64K", text, NET_RECEIVE_BYTES_MIN);
		return false;
	}
	o->receive_bytes = (uint32_t)bytes;
	return true;
}

static bool parse_how(struct bench_net_options *o, int option, const char *text)
{
	uint64_t v = 0;
	bool good;

	switch (option) {
	case OPT_QUEUES:
		good = bench_parse_number(&voice, "queues", text, 1, NET_QUEUES_MAX, &v);
		o->queue_count = (uint16_t)v;
		return good;
	case OPT_RING_SIZE:
		return parse_ring(o, text);
	case OPT_RECEIVE_BUFFER:
		return parse_receive_buffer(o, text);
	case OPT_MTU:
		good = bench_parse_number(&voice, "mtu", text, 68, NET_MTU_MAX, &v);
		o->mtu = (uint16_t)v;
		return good;
	default:
		good = bench_parse_number(&voice, "cpu", text, 0, BENCH_CPU_MAX, &v);
		o->cpu = (int)v;
		return good;
	}
}

static bool parse_load(struct bench_net_options *o, int option, const char *text)
{
	static const char *const protocols[] = {"udp", "tcp", NULL}, *const closes[] = {"fin", "rst", NULL};
	static const char *const spreads[] = {"source", "destination", "port", NULL};
	uint64_t v = 0;
	bool good = true;
	int word = 0;

	switch (option) {
	case OPT_SIZE:
		return parse_sizes(o, text);
	case OPT_PROTOCOL:
		word = parse_word("protocol", text, protocols, "udp or tcp");
		o->tcp = word == 1;
		break;
	case OPT_CLOSE:
		word = parse_word("close", text, closes, "fin or rst");
		o->reset = word == 1;
		break;
	case OPT_SPREAD:
		word = parse_word("spread", text, spreads, "source, destination or port");
		o->spread = word < 0 ? NET_SPREAD_SOURCE : (enum net_spread)word;
		break;
	case OPT_FLOWS:
		good = bench_parse_number(&voice, "flows", text, 1, NET_FLOWS_MAX, &v);
		o->flow_count = (uint32_t)v;
		break;
	case OPT_NEW_FLOWS:
		good = bench_parse_number(&voice, "new-flows", text, 1, 100000000, &o->new_flows_per_s);
		break;
	case OPT_TSO:
		return parse_tso(o, text);
	case OPT_MSS:
		good = bench_parse_number(&voice, "mss", text, MSS_MIN, UINT16_MAX, &v);
		o->mss = (uint32_t)v;
		break;
	case OPT_RATE:
		good = bench_parse_number(&voice, "rate", text, 1, 1000000000, &o->rate_pps);
		break;
	case OPT_DURATION:
		good = bench_parse_number(&voice, "duration", text, 1, BENCH_SECONDS_MAX, &v);
		o->seconds = (unsigned)v;
		break;
	default:
		good = bench_parse_number(&voice, "warmup", text, 0, BENCH_SECONDS_MAX, &v);
		o->warmup_seconds = (unsigned)v;
	}
	return good && word >= 0;
}

static bool parse_option(struct bench_net_options *o, int option, const char *text)
{
	if (option <= OPT_WARMUP)
		return parse_load(o, option, text);
	return option <= OPT_VLAN ? parse_who(o, option, text) : parse_how(o, option, text);
}

/* What goes with what; NULL, or the first sentence that is wrong. */
static const char *contradiction(const struct bench_net_options *o, bool udp_given)
{
	const struct bench_net_addresses *a = &o->addresses;

	if (o->tso_bytes != 0 && udp_given)
		return "--tso: only TCP is segmented; leave --protocol udp out";
	if (o->mss != 0 && o->tso_bytes == 0)
		return "--mss is of --tso; give both or neither";
	if (!o->tcp && (o->handshake || o->reset))
		return "--handshake and --close are about connections; give --protocol tcp";
	if (o->both_ways && o->socket_count < 2)
		return "--both-ways needs two sockets";
	if (o->echo && o->socket_count > 1)
		return "--echo answers on one socket; run two of them for two";
	if (o->echo && o->receive_only)
		return "--echo sends, --receive-only does not; give one of them";
	if ((o->echo || o->receive_only) && (o->latency || o->rate_pps != 0 || o->new_flows_per_s != 0 || o->tso_bytes != 0))
		return "--echo and --receive-only send no packets of their own; leave --latency, --rate, --new-flows and --tso to "
		       "the "
		       "sender";
	if (o->receive_only && (o->socket_count > 1 || o->both_ways))
		return "--receive-only listens on one socket";
	if (o->dhcp && (a->source_given || a->gateway_given[0]))
		return "--dhcp finds the source address and the router; leave --source-ip and --gateway out";
	if (o->dhcp && o->socket_count > 1 && a->destination_given)
		return "--dhcp finds the address of both ends; leave --destination-ip out";
	if (o->dhcp && a->destination_given && !net_address_is_v4(&a->destination))
		return "--dhcp is for IPv4; give --source-ip for IPv6";
	if (a->gateway_given[0] && !o->resolve)
		return "--gateway is what --arp asks for; give both, or --gateway-mac";
	if (a->gateway_mac_given && (o->resolve || o->dhcp))
		return "--gateway-mac needs no --arp and no --dhcp; give one of them";
	if (o->spread == NET_SPREAD_DESTINATION && o->echo)
		return "--spread is the sender's; leave it out";
	return NULL;
}

static bool same_family(const struct net_address *a, const struct net_address *b)
{
	return net_address_is_v4(a) == net_address_is_v4(b);
}

/* What was not given follows what was. */
static const char *settle_addresses(struct bench_net_addresses *a)
{
	bool v4 = !((a->source_given && !net_address_is_v4(&a->source)) ||
		    (a->destination_given && !net_address_is_v4(&a->destination)));

	/* The networks for benchmarks: RFC 2544 C.2.2, RFC 5180 8. */
	if (!a->source_given)
		net_address_parse(v4 ? "198.18.0.1" : "2001:2::1", &a->source);
	if (!a->destination_given)
		net_address_parse(v4 ? "198.19.0.1" : "2001:2:0:1::1", &a->destination);
	if (!a->source_mac_given)
		a->source_mac = (struct mac){{2, 0, 0, 0, 0, 1}};
	if (!a->destination_mac_given)
		a->destination_mac = (struct mac){{2, 0, 0, 0, 0, 2}};
	for (unsigned i = 0; i < NET_LOAD_ENDS_MAX; i++)
		if (a->gateway_given[i] && !same_family(&a->gateway[i], &a->source))
			return "--gateway and --source-ip must both be IPv4, or both IPv6";
	return same_family(&a->source, &a->destination) ? NULL : "--source-ip and --destination-ip must both be IPv4, or both IPv6";
}

/* Frames must hold what they are known by, and the device must be able to take them. */
static bool check_sizes(struct bench_net_options *o)
{
	const struct frame_plan plan = {.source = o->addresses.source,
					.destination = o->addresses.destination,
					.vlan = o->addresses.vlan,
					.protocol = o->tcp ? IPPROTO_TCP : IPPROTO_UDP,
					.stamped = o->latency};
	uint32_t min = frame_bytes_min(&plan), mtu = o->mtu != 0 ? o->mtu : NET_MTU_DEFAULT;
	uint32_t max = mtu + FRAME_OVERHEAD_BYTES + (o->addresses.vlan == FRAME_NO_VLAN ? 0 : VLAN_BYTES);

	if (o->tso_bytes != 0) {
		o->sizes[0] = o->tso_bytes;
		o->size_count = 1;
		max = TSO_BYTES_MAX;
	} else if (o->size_count == 0) {
		o->sizes[0] = min > FRAME_BYTES_DEFAULT ? min : FRAME_BYTES_DEFAULT;
		o->size_count = 1;
	}
	for (unsigned i = 0; i < o->size_count; i++) {
		if (o->sizes[i] >= min && o->sizes[i] <= max)
			continue;
		bench_wrong(
			&voice,
			"--size %u: from %u bytes on a frame has room for headers and the signature it is known by%s, and up to %u "
			"the MTU allows; --mtu allows more",
			o->sizes[i], min, o->latency ? " and timed with" : "", max);
		return false;
	}
	return true;
}

static bool check(struct bench_net_options *o, bool udp_given, int argc, char **argv)
{
	const char *wrong;

	for (; optind < argc && o->socket_count < NET_LOAD_ENDS_MAX; optind++)
		o->sockets[o->socket_count++] = argv[optind];
	if (optind < argc) {
		bench_wrong(&voice, "'%s': at most two sockets; see --help", argv[optind]);
		return false;
	}
	if (o->socket_count == 0) {
		bench_wrong(&voice,
			    "SOCKET is missing: the path that `outboard eni attach` printed, or another back end's; see --help");
		return false;
	}
	o->tcp |= o->tso_bytes != 0;
	if (o->receive_bytes == 0)
		o->receive_bytes = o->tso_bytes != 0 ? NET_RECEIVE_BYTES_TSO : NET_RECEIVE_BYTES_DEFAULT;
	wrong = contradiction(o, udp_given);
	if (wrong == NULL)
		wrong = settle_addresses(&o->addresses);
	if (wrong == NULL && o->flow_count < o->queue_count)
		wrong = "--flows: each queue needs a flow of its own; give at least as many as --queues";
	if (wrong != NULL) {
		bench_wrong(&voice, "%s", wrong);
		return false;
	}
	if (o->seconds == 0 && !o->echo && !o->receive_only)
		o->seconds = 5;
	return check_sizes(o);
}

static const struct option known[] = {
	{"size", required_argument, NULL, OPT_SIZE},
	{"protocol", required_argument, NULL, OPT_PROTOCOL},
	{"flows", required_argument, NULL, OPT_FLOWS},
	{"spread", required_argument, NULL, OPT_SPREAD},
	{"new-flows", required_argument, NULL, OPT_NEW_FLOWS},
	{"close", required_argument, NULL, OPT_CLOSE},
	{"tso", required_argument, NULL, OPT_TSO},
	{"mss", required_argument, NULL, OPT_MSS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{"source-ip", required_argument, NULL, OPT_SOURCE_IP},
	{"destination-ip", required_argument, NULL, OPT_DESTINATION_IP},
	{"destination-port", required_argument, NULL, OPT_DESTINATION_PORT},
	{"source-mac", required_argument, NULL, OPT_SOURCE_MAC},
	{"destination-mac", required_argument, NULL, OPT_DESTINATION_MAC},
	{"gateway-mac", required_argument, NULL, OPT_GATEWAY_MAC},
	{"gateway", required_argument, NULL, OPT_GATEWAY},
	{"vlan", required_argument, NULL, OPT_VLAN},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"ring-size", required_argument, NULL, OPT_RING_SIZE},
	{"receive-buffer", required_argument, NULL, OPT_RECEIVE_BUFFER},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"cpu", required_argument, NULL, OPT_CPU},
	{"core", required_argument, NULL, OPT_CPU},
	{"handshake", no_argument, NULL, OPT_FLAGS + FLAG_HANDSHAKE},
	{"latency", no_argument, NULL, OPT_FLAGS + FLAG_LATENCY},
	{"both-ways", no_argument, NULL, OPT_FLAGS + FLAG_BOTH_WAYS},
	{"receive-only", no_argument, NULL, OPT_FLAGS + FLAG_RECEIVE_ONLY},
	{"echo", no_argument, NULL, OPT_FLAGS + FLAG_ECHO},
	{"arp", no_argument, NULL, OPT_FLAGS + FLAG_ARP},
	{"dhcp", no_argument, NULL, OPT_FLAGS + FLAG_DHCP},
	{"packed", no_argument, NULL, OPT_FLAGS + FLAG_PACKED},
	{"indirect", no_argument, NULL, OPT_FLAGS + FLAG_INDIRECT},
	{"csum", no_argument, NULL, OPT_FLAGS + FLAG_CSUM},
	{"verify", no_argument, NULL, OPT_FLAGS + FLAG_VERIFY},
	{"json", no_argument, NULL, OPT_FLAGS + FLAG_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static void set_flag(struct bench_net_options *o, int flag)
{
	bool *const flags[] = {
		[FLAG_HANDSHAKE] = &o->handshake, [FLAG_LATENCY] = &o->latency,
		[FLAG_BOTH_WAYS] = &o->both_ways, [FLAG_RECEIVE_ONLY] = &o->receive_only,
		[FLAG_ECHO] = &o->echo,		  [FLAG_ARP] = &o->resolve,
		[FLAG_DHCP] = &o->dhcp,		  [FLAG_PACKED] = &o->packed,
		[FLAG_INDIRECT] = &o->indirect,	  [FLAG_CSUM] = &o->checksum,
		[FLAG_VERIFY] = &o->verify,	  [FLAG_JSON] = &o->json,
	};

	*flags[flag] = true;
}

enum bench_net_parsed bench_net_options_parse(struct bench_net_options *o, int argc, char **argv)
{
	bool udp_given = false;
	int option;

	*o = (struct bench_net_options){.flow_count = 1, .queue_count = 1, .ring_size = RING_SIZE_DEFAULT, .cpu = -1};
	o->addresses.vlan = FRAME_NO_VLAN;
	o->addresses.destination_port = PORT_DEFAULT;
	voice = bench_voice_of("bench net", argc, argv);
	o->voice = voice;
	opterr = 0;
	optind = 0; /* glibc: start over, somebody may have used getopt before us */
	while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		if (option == '?' || option == ':') {
			bench_wrong(&voice, "%s: %s; see --help", argv[optind - 1],
				    option == ':' ? "a value is missing" : "no such option");
			return BENCH_NET_WRONG;
		}
		if (option == OPT_HELP || option == 'h') {
			fputs(bench_net_help, stdout);
			return BENCH_NET_HELP;
		}
		if (option >= OPT_FLAGS)
			set_flag(o, option - OPT_FLAGS);
		else if (!parse_option(o, option, optarg))
			return BENCH_NET_WRONG;
		udp_given |= option == OPT_PROTOCOL && !o->tcp;
	}
	return check(o, udp_given, argc, argv) ? BENCH_NET_RUN : BENCH_NET_WRONG;
}
