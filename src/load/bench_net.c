/*
 * One run: connect, find out who the ends are, start them, load, report. What the network tells (a MAC address of the device, DHCP,
 * ARP) is taken unless the command line says otherwise.
 */
#include "load/bench_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/bench_net_report.h"

enum { STALL_SECONDS_MAX = 30, TCP_IPV4_BYTES = 40, TCP_IPV6_BYTES = 60 };

static void complain(const struct bench_net *b, const char *text)
{
	fprintf(stderr, "bench net: %s: %s\n", b->options.sockets[b->culprit], text);
}

/* The end of the run; with --json the reason becomes part of the object. */
static int give_up(struct bench_net *b, unsigned end, const char *text)
{
	b->culprit = end;
	snprintf(b->failure, sizeof(b->failure), "%s", text);
	complain(b, text);
	return 1;
}

static uint16_t mtu_of(const struct bench_net *b)
{
	uint16_t mtu = b->options.mtu != 0 ? b->options.mtu : NET_MTU_DEFAULT;

	for (unsigned i = 0; i < b->options.socket_count; i++)
		if (b->drivers[i].facts.mtu != 0 && b->drivers[i].facts.mtu < mtu)
			mtu = b->drivers[i].facts.mtu;
	return mtu;
}

static uint32_t largest(const struct bench_net_options *o)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < o->size_count; i++)
		bytes = o->sizes[i] > bytes ? o->sizes[i] : bytes;
	return bytes;
}

static int check_against_device(struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	uint32_t max = mtu_of(b) + 14u + (o->addresses.vlan == FRAME_NO_VLAN ? 0 : 4);
	char text[200];

	for (unsigned i = 0; i < o->socket_count; i++)
		if (b->drivers[i].facts.link_known && !b->drivers[i].facts.link_up)
			return give_up(b, i, "the device says that its link is down");
	if (o->echo || o->receive_only || o->tso_bytes != 0 || largest(o) <= max)
		return 0;
	snprintf(text, sizeof(text), "the device has an MTU of %u; frames of %u bytes are too large, give --size up to %u",
		 mtu_of(b), largest(o), max);
	return give_up(b, 0, text);
}

static int start_driver(struct bench_net *b, unsigned i)
{
	const struct bench_net_options *o = &b->options;
	uint32_t mtu_frame = (o->mtu != 0 ? o->mtu : NET_MTU_DEFAULT) + 14u;
	struct net_driver_config config = {
		.queue_count = o->queue_count,
		.ring_size = o->ring_size,
		.frame_bytes_max = mtu_frame,
		.transmit_bytes_max = largest(o) > NET_LOAD_CONTROL_BYTES_MAX ? largest(o) : NET_LOAD_CONTROL_BYTES_MAX,
		.receive_bytes = o->receive_bytes,
		.mtu = o->mtu,
		.packed = o->packed,
		.indirect = o->indirect,
		.checksum = o->checksum || o->tso_bytes != 0,
		.segmentation = o->tso_bytes != 0,
	};

	if (o->echo) /* whatever comes goes out again */
		config.transmit_bytes_max = FRAME_BYTES_MAX;
	return net_driver_start(&b->drivers[i], &config);
}

static uint32_t spread_count(const struct bench_net_options *o, enum net_spread spread)
{
	if (o->spread != spread)
		return 1;
	return o->new_flows_per_s != 0 ? NET_FLOWS_SPREAD_MAX : (o->flow_count - 1) / NET_FLOWS_PORTS + 1;
}

static uint16_t mss_of(const struct bench_net *b)
{
	if (b->options.tso_bytes == 0)
		return 0;
	if (b->options.mss != 0)
		return (uint16_t)b->options.mss;
	return (uint16_t)(mtu_of(b) - (net_address_is_v4(&b->options.addresses.source) ? TCP_IPV4_BYTES : TCP_IPV6_BYTES));
}

/* Who end `i` is, and whom it sends to. */
static struct net_load_end_config end_config(struct bench_net *b, unsigned i)
{
	const struct bench_net_options *o = &b->options;
	const struct bench_net_addresses *a = &o->addresses;
	const struct net_address ip[] = {a->source, a->destination};
	const uint32_t counts[] = {spread_count(o, NET_SPREAD_SOURCE), spread_count(o, NET_SPREAD_DESTINATION)};
	const bool given[] = {a->source_mac_given, a->destination_mac_given};
	struct mac mac[] = {a->source_mac, a->destination_mac};

	for (unsigned k = 0; k < o->socket_count; k++)
		if (!given[k] && b->drivers[k].facts.mac_known)
			mac[k] = b->drivers[k].facts.mac;
	return (struct net_load_end_config){
		.driver = &b->drivers[i],
		.plan = {.source_mac = mac[i],
			 .destination_mac = a->gateway_mac_given ? a->gateway_mac : mac[1 - i],
			 .source = ip[i],
			 .destination = ip[1 - i],
			 .vlan = a->vlan,
			 .segment_bytes = mss_of(b),
			 .protocol = o->tcp ? IPPROTO_TCP : IPPROTO_UDP,
			 .stamped = o->latency,
			 .checksum_offload = net_driver_has(&b->drivers[i], VIRTIO_NET_F_CSUM)},
		.address_count = counts[i],
		.next_hop = a->gateway_given[i] ? a->gateway[i] : ip[1 - i],
		.destination_port = a->destination_port,
		.resolve = (o->resolve || o->dhcp) && !o->echo && !o->receive_only && (i == 0 || o->both_ways),
		.dhcp = o->dhcp,
		.sends = !o->echo && !o->receive_only && (i == 0 || o->both_ways),
	};
}

static void show_progress(void *context, uint64_t sent, uint64_t received, uint64_t elapsed_ns)
{
	const struct bench_net *b = context;
	double seconds = (double)elapsed_ns / 1e9;

	(void)b;
	fprintf(stderr, "\r\033[K%.0f s  sent %.3f Mpps  received %.3f Mpps", seconds, (double)sent / seconds / 1e6,
		(double)received / seconds / 1e6);
}

static void show_note(void *context, const char *text)
{
	const struct bench_net *b = context;

	if (!b->options.json) {
		printf("learnt  %s\n", text);
		fflush(stdout);
	}
}

static int load(struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	struct net_load_config config = {
		.end_count = o->socket_count,
		.size_count = o->size_count,
		.flow_count = o->flow_count,
		.new_flows_per_s = o->new_flows_per_s,
		.spread = o->spread,
		.handshake = o->handshake,
		.close_with_reset = o->reset,
		.echo = o->echo,
		.verify = o->verify,
		.rate_pps = o->rate_pps,
		.warmup_ns = o->warmup_seconds * UINT64_C(1000000000),
		.duration_ns = o->seconds * UINT64_C(1000000000),
		.stall_ns_max = STALL_SECONDS_MAX * UINT64_C(1000000000),
		.progress = b->tty ? show_progress : NULL,
		.note = show_note,
		.context = b,
		.interrupted = b->interrupted,
	};
	int error;

	memcpy(config.sizes, o->sizes, sizeof(config.sizes));
	for (unsigned i = 0; i < o->socket_count; i++)
		config.ends[i] = end_config(b, i);
	error = net_load_run(&config, &b->result);
	if (b->tty)
		fprintf(stderr, "\r\033[K");
	return error != 0 ? give_up(b, 0, b->result.error) : 0;
}

/* Losses are figures. What fails is a back end that delivers nothing at all, or wrongly. */
static int judge(struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	const struct net_load_result *r = &b->result;
	bool endless = o->seconds == 0;

	if (*b->interrupted && !endless)
		return 1;
	if (o->socket_count > 1 && r->directions[0].signed_sent > 0 && r->directions[0].arrived == 0)
		return give_up(
			b, 1,
			"nothing arrived here of what was sent into the first socket: are the two connected, do the MAC and IP "
			"addresses fit, does a security group allow it?");
	for (unsigned i = 0; i < o->socket_count; i++)
		if (r->ends[i].bad_checksums > 0)
			return give_up(b, i, "frames arrived with wrong checksums");
	return 0;
}

static int run(struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	int failed;

	for (unsigned i = 0; i < o->socket_count; i++)
		if (net_driver_connect(&b->drivers[i], o->sockets[i], VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS) != 0)
			return give_up(b, i, b->drivers[i].client.error);
	failed = check_against_device(b);
	if (failed)
		return failed;
	for (unsigned i = 0; i < o->socket_count; i++)
		if (start_driver(b, i) != 0)
			return give_up(b, i, b->drivers[i].client.error);
	if (!o->json)
		bench_net_print_header(b);
	failed = load(b);
	if (failed)
		return failed;
	if (!o->json)
		bench_net_report_text(b);
	return judge(b);
}

int bench_net_main(int argc, char **argv)
{
	static struct bench_net bench; /* large; one run a process */
	int status;

	switch (bench_net_options_parse(&bench.options, argc, argv)) {
	case BENCH_NET_HELP:
		return 0;
	case BENCH_NET_WRONG:
		return 2;
	case BENCH_NET_RUN:
		break;
	}
	bench.tty = isatty(STDERR_FILENO);
	bench.interrupted = bench_catch_interrupts();
	clock_calibrate();
	status = bench_pin(&bench.options.voice, bench.options.cpu);
	if (status != 0)
		return status;
	for (unsigned i = 0; i < NET_LOAD_ENDS_MAX; i++)
		net_driver_init(&bench.drivers[i]);
	status = run(&bench);
	if (bench.options.json)
		bench_net_report_json(&bench);
	for (unsigned i = 0; i < NET_LOAD_ENDS_MAX; i++)
		net_driver_close(&bench.drivers[i]);
	return status;
}
