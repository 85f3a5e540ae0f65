/*
 * What the pipeline costs, without rings and wires: frames of 64 bytes from memory into an ENI, out of it to a wire that only counts,
 * and the other way. Cycles are the pipeline's own (rdtsc around each batch); making the frames is not among them.
 *
 *	micro_vpc [seconds a case] [part of a case's name, as "out, group 100000"]
 *
 * Cases: one group that allows everything out (stateful), or none; 1, 1,024, 100,000 and 1,000,000 flows in random order; batches of
 * 32 and 1; VXLAN out, VXLAN in, between two ENIs of the card; new flows (SYN) as fast as they come, which then age.
 * Printed: the best and the median of batches, and the stages' shares.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "vpc/model.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"
#include "vpc/tunnel.h"
#include "vpc/vpc.h"

enum {
	FLOWS_MAX = 1 << 21,
	FRAME_BYTES = 60, /* 64 with its FCS */
	SAMPLES_MAX = 1 << 16,
	BATCHES_A_SAMPLE = 64,
	VNI = 4096,
};

enum mode { MODE_OUT, MODE_IN, MODE_LOCAL, MODE_SYN };

struct bench {
	struct model *model;
	struct vpc *vpc;
	struct wire wire;
	struct packet_sink guests[2];
	struct packet_input *inputs[2];
	uint32_t slots[2];
	uint64_t taken;
	uint8_t frames[PACKET_BATCH_MAX][512];
	struct packet packets[PACKET_BATCH_MAX];
	struct packet *pointers[PACKET_BATCH_MAX];
	uint64_t random;
	uint32_t serial;
	double seconds;
	const char *only; /* NULL: all */
};

static struct bench bench;

static bool count_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	(void)sink;
	(void)p;
	(void)now_tsc;
	bench.taken++;
	return true;
}

static void no_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	(void)sink;
	(void)now_tsc;
}

static const struct packet_sink_ops sink_ops = {count_put, no_flush};

static void die(const char *what)
{
	fprintf(stderr, "micro_vpc: %s\n", what);
	exit(EXIT_FAILURE);
}

/* ---- policy ---- */

static struct uuid id_of(uint8_t kind, uint8_t n)
{
	return (struct uuid){.bytes = {kind, n}};
}

static struct net_prefix prefix(const char *text)
{
	struct net_prefix p;

	if (net_prefix_parse(text, &p) != 0)
		die(text);
	return p;
}

static struct net_address address(const char *text)
{
	struct net_address a;

	if (net_address_parse(text, &a) != 0)
		die(text);
	return a;
}

static void put(struct model_change *change, struct net_spec *spec)
{
	if (model_change_put(change, spec) != 0)
		die("put");
}

static struct net_spec eni_spec(uint8_t n, bool remote)
{
	struct net_spec s = {.kind = NET_ENI, .id = id_of(NET_ENI, n)};

	snprintf(s.name, sizeof(s.name), "eni-%u", n);
	s.eni.subnet = id_of(NET_SUBNET, 0);
	s.eni.mac = (struct mac){{2, 0, 0, 0, 0, n}};
	s.eni.address_count = 1;
	s.eni.addresses[0] = net_address_v4(htonl(0x0a000100u + 10 + n));
	s.eni.group_count = 1;
	s.eni.groups[0] = id_of(NET_GROUP, 0);
	s.eni.remote = remote;
	s.eni.host = id_of(NET_HOST, 0);
	s.eni.source_dest_check = true;
	s.eni.allowances.flows_max = FLOWS_MAX;
	return s;
}

static void set_policy(struct bench *b)
{
	struct net_spec host = {.kind = NET_HOST, .id = id_of(NET_HOST, 0), .name = "other"};
	struct net_spec vpc = {.kind = NET_VPC, .id = id_of(NET_VPC, 0), .name = "v"};
	struct net_spec subnet = {.kind = NET_SUBNET, .id = id_of(NET_SUBNET, 0), .name = "s"};
	struct net_spec rules = {.kind = NET_GROUP, .id = id_of(NET_GROUP, 0), .name = "g"};
	const struct policy *old = model_policy(b->model), *next;
	struct model_change *change;
	struct uuid culprit;
	char error[256];

	host.host.address = address("192.0.2.2");
	vpc.vpc.vni = VNI;
	vpc.vpc.cidr_count = 1;
	vpc.vpc.cidrs[0] = prefix("10.0.0.0/16");
	subnet.subnet.vpc = rules.rules.vpc = vpc.id;
	subnet.subnet.cidr4 = prefix("10.0.1.0/24");
	rules.rules.count = 2;
	rules.rules.rules = calloc(2, sizeof(struct rule_spec));
	for (unsigned i = 0; i < 2; i++)
		rules.rules.rules[i] = (struct rule_spec){
			.egress = i == 0, .protocol = NET_PROTOCOL_ANY, .port_last = 65535, .cidr = prefix("0.0.0.0/0")};
	if (model_change_begin(b->model, &change) != 0 || model_change_reset(change) != 0)
		die("change");
	put(change, &host);
	put(change, &vpc);
	put(change, &rules);
	put(change, &subnet);
	for (uint8_t n = 0; n < 3; n++) {
		struct net_spec eni = eni_spec(n, n == 2);

		put(change, &eni);
	}
	if (model_change_finish(change, &next, &culprit, error, sizeof(error)) != 0)
		die(error);
	vpc_set_policy(b->vpc, next, clock_tsc());
	model_release(b->model, old);
	for (uint8_t n = 0; n < 2; n++) {
		struct uuid id = id_of(NET_ENI, n);

		b->slots[n] = policy_endpoint_find(next, &id)->slot;
		b->guests[n] = (struct packet_sink){.ops = &sink_ops, .frame_bytes_max = 1514};
		b->inputs[n] = vpc_attach(b->vpc, b->slots[n], &b->guests[n]);
	}
}

/* ---- frames ---- */

static uint32_t next_random(struct bench *b)
{
	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(b->random >> 33);
}

/* Flow n: 10.0.1.10 -> 10.0.1.12 (another host) or .11 (this card). */
static void make_frame(uint8_t *f, uint32_t n, enum mode mode, uint8_t from, uint8_t to)
{
	static const uint8_t macs[6] = {2, 0, 0, 0, 0, 0};
	uint16_t source = (uint16_t)(n & 0xffff), destination = (uint16_t)(1000 + (n >> 16));

	memset(f, 0, FRAME_BYTES);
	memcpy(f, macs, 6);
	f[5] = to;
	memcpy(f + 6, macs, 6);
	f[11] = from;
	put_be16(f + 12, 0x0800);
	f[14] = 0x45;
	put_be16(f + 16, FRAME_BYTES - 14);
	f[22] = 64;
	f[23] = mode == MODE_SYN ? IPPROTO_TCP : IPPROTO_UDP;
	put_be32(f + 26, 0x0a000100u + 10 + from);
	put_be32(f + 30, 0x0a000100u + 10 + to);
	put_be16(f + 34, mode == MODE_IN ? destination : source);
	put_be16(f + 36, mode == MODE_IN ? source : destination);
	if (mode == MODE_SYN) {
		f[46] = 0x50;
		f[47] = 2;
	} else {
		put_be16(f + 38, FRAME_BYTES - 34);
	}
	put_be16(f + 24, (uint16_t)~__builtin_bswap16(checksum_of(f + 14, 20)));
}

static void fill_batch(struct bench *b, unsigned count, uint32_t flows, enum mode mode)
{
	static const struct mac ours = {{2, 0, 0, 0, 0, 0x51}}, theirs = {{2, 0, 0, 0, 0, 0x52}};
	struct tunnel_template outer;
	struct net_address from = address("192.0.2.2"), to = address("192.0.2.1");

	if (mode == MODE_IN)
		tunnel_template_make(&outer, TUNNEL_VXLAN, &theirs, &ours, &from, &to);
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = mode == MODE_SYN ? b->serial++ : next_random(b) % flows;
		struct packet *p = &b->packets[i];

		*p = (struct packet){.head = b->frames[i] + PACKET_HEADROOM_BYTES,
				     .headroom_bytes = PACKET_HEADROOM_BYTES,
				     .head_bytes = FRAME_BYTES,
				     .hash = n};
		make_frame(p->head, n, mode, mode == MODE_IN ? 2 : 0, mode == MODE_IN ? 0 : mode == MODE_LOCAL ? 1 : 2);
		if (mode == MODE_IN)
			tunnel_encapsulate(&outer, VNI, p);
		b->pointers[i] = p;
	}
}

/* ---- a case ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static uint64_t run_batch(struct bench *b, struct packet_input *input, unsigned count)
{
	uint64_t began = clock_tsc();

	input->receive(input, b->pointers, count, began);
	return clock_tsc() - began;
}

static void warm_up(struct bench *b, struct packet_input *input, uint32_t flows, enum mode mode)
{
	for (uint32_t n = 0; n < flows && mode != MODE_SYN; n++) {
		fill_batch(b, 1, 1, mode);
		make_frame(b->packets[0].head + (mode == MODE_IN ? TUNNEL_OUTER_V4_BYTES : 0), n, mode, mode == MODE_IN ? 2 : 0,
			   mode == MODE_IN	? 0
			   : mode == MODE_LOCAL ? 1
						: 2);
		run_batch(b, input, 1);
	}
}

static void print_stages(struct bench *b, const struct vpc_counters *before)
{
	static const char *const names[STAGE_COUNT] = {"parse", "lookup", "slow", "rewrite", "output"};
	const struct vpc_counters *after = vpc_counters(b->vpc);
	uint64_t packets = after->packets - before->packets;

	for (unsigned i = 0; i < STAGE_COUNT; i++)
		printf(" %s %.0f", names[i], (double)(after->stage_ticks[i] - before->stage_ticks[i]) / (double)packets);
}

static void run_case(struct bench *b, const char *name, enum mode mode, uint32_t flows, unsigned batch)
{
	static double samples[SAMPLES_MAX];
	struct packet_input *input;
	struct vpc_counters before;
	uint64_t end, next, put_before;
	unsigned count = 0;
	char title[128];

	snprintf(title, sizeof(title), "%s %u batch %u", name, flows, batch);
	if (b->only != NULL && strstr(title, b->only) == NULL)
		return;
	input = mode == MODE_IN ? vpc_wire_input(b->vpc, 0) : b->inputs[0];
	warm_up(b, input, flows, mode);
	before = *vpc_counters(b->vpc);
	put_before = b->taken;
	end = clock_tsc() + (uint64_t)(b->seconds * (double)clock_tsc_hz());
	while (clock_tsc() < end && count < SAMPLES_MAX) {
		uint64_t ticks = 0;

		for (unsigned i = 0; i < BATCHES_A_SAMPLE; i++) {
			fill_batch(b, batch, flows, mode);
			ticks += run_batch(b, input, batch);
		}
		if (mode == MODE_SYN)
			vpc_tick(b->vpc, clock_tsc(), &next);
		samples[count++] = (double)ticks / (BATCHES_A_SAMPLE * batch);
	}
	qsort(samples, count, sizeof(samples[0]), by_value);
	printf("%-28s %8u flows, batch %2u: best %4.0f, median %4.0f cycles a packet;", name, flows, batch, samples[0],
	       samples[count / 2]);
	print_stages(b, &before);
	printf("%s\n", b->taken - put_before == vpc_counters(b->vpc)->packets - before.packets ? "" : "  (some were dropped)");
}

static void learn_host(struct bench *b)
{
	static const uint8_t answer[60] = {2, 0, 0, 0, 0, 0x51, 2,    0,   0, 0, 0, 0x52, 8, 6, 0, 1, 8,    0,	 6, 4, 0,
					   2, 2, 0, 0, 0, 0,	0x52, 192, 0, 2, 2, 2,	  0, 0, 0, 0, 0x51, 192, 0, 2, 1};
	uint64_t next;

	vpc_tick(b->vpc, clock_tsc(), &next);
	memcpy(b->frames[0] + PACKET_HEADROOM_BYTES, answer, sizeof(answer));
	b->packets[0] = (struct packet){.head = b->frames[0] + PACKET_HEADROOM_BYTES,
					.headroom_bytes = PACKET_HEADROOM_BYTES,
					.head_bytes = sizeof(answer)};
	b->pointers[0] = &b->packets[0];
	run_batch(b, vpc_wire_input(b->vpc, 0), 1);
}

int main(int argc, char **argv)
{
	struct bench *b = &bench;
	struct vpc_config config = {.flows_max = FLOWS_MAX, .flow_arena_fd = -1, .huge = true, .cookie_key = {1, 2}};
	static const uint32_t flows[] = {1, 1024, 100000, 1000000};

	b->only = argc > 2 ? argv[2] : NULL;
	b->seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
	clock_calibrate();
	config.ticks_per_second = clock_tsc_hz();
	config.stage_cycles = true;
	b->wire.sink = (struct packet_sink){.ops = &sink_ops, .frame_bytes_max = 1514};
	b->wire.mtu = 1500;
	b->wire.mac = (struct mac){{2, 0, 0, 0, 0, 0x51}};
	b->wire.config.address = (struct net_prefix){address("192.0.2.1"), 96 + 24};
	if (model_create(&b->model, NULL) != 0 || vpc_create(&b->vpc, &config) != 0 || vpc_add_wire(b->vpc, &b->wire) != 0)
		die("no memory");
	set_policy(b);
	learn_host(b);
	for (unsigned i = 0; i < 4; i++)
		run_case(b, "out, group", MODE_OUT, flows[i], 32);
	run_case(b, "out, group", MODE_OUT, 1024, 1);
	run_case(b, "in, group", MODE_IN, 1024, 32);
	run_case(b, "in, group", MODE_IN, 100000, 32);
	run_case(b, "between two ENIs, group", MODE_LOCAL, 1024, 32);
	run_case(b, "between two ENIs, group", MODE_LOCAL, 100000, 32);
	run_case(b, "new flows (SYN), group", MODE_SYN, 0, 32);
	vpc_free(b->vpc);
	model_free(b->model);
	return EXIT_SUCCESS;
}
