/*
 * What src/vpc does to the bytes of a packet, one step at a time, with everything in the first-level cache: the floor of what the
 * pipeline can cost. A batch of packets goes through a step, rounds of that are timed, and the best round counts: what the others
 * add is the machine's other work.
 *
 *	micro_packet
 *
 * Printed: ticks of the processor's counter (its frequency is told) a packet. A frame cut into segments goes into a sink that
 * takes everything and copies nothing: what is seen is headers, slices and checksums.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"
#include "vpc/segment.h"
#include "vpc/tunnel.h"

enum {
	BATCH = PACKET_BATCH_MAX,
	ROUNDS = 20000,
	SMALL_BYTES = 64,
	LARGE_BYTES = 14 + 65535,
	LARGE_ROUNDS = 2000,
	MSS = 1448,
	PORT = 80
};

struct rig {
	struct packet packets[BATCH], saved[BATCH];
	uint8_t buffers[BATCH][PACKET_HEAD_BYTES] __attribute__((aligned(64)));
	struct tunnel_template template;
	struct net_address address;
	struct packet_sink sink;
	struct iovec tail[17]; /* a Linux guest's frame: 16 pages of payload and a bit */
	uint8_t large[LARGE_BYTES];
};
static struct rig rig;

static const struct mac mac_a = {{2, 0, 0, 0, 0, 1}}, mac_b = {{2, 0, 0, 0, 0, 2}};

static struct net_address address_of(const char *text)
{
	struct net_address a;
	int error = net_address_parse(text, &a);

	assert(error == 0);
	return a;
}

/* ---- frames ---- */

static void fill_ipv4(uint8_t *frame, uint32_t bytes, uint8_t protocol)
{
	uint8_t *ip = frame + ETHER_BYTES;

	put_be16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(bytes - ETHER_BYTES));
	ip[8] = 64;
	ip[9] = protocol;
	put_be32(ip + 12, 0x0a000005);
	put_be32(ip + 16, 0x0a000107);
	checksum_store(ip + IPV4_CHECKSUM_AT, (uint16_t)~checksum_of(ip, IPV4_BYTES));
}

static void fill_ipv6(uint8_t *frame, uint32_t bytes, uint8_t protocol)
{
	struct net_address source = address_of("fd00::5"), destination = address_of("fd00:1::7");
	uint8_t *ip = frame + ETHER_BYTES;

	put_be16(frame + 12, 0x86dd);
	ip[0] = 0x60;
	put_be16(ip + 4, (uint16_t)(bytes - ETHER_BYTES - IPV6_BYTES));
	ip[6] = protocol;
	ip[7] = 64;
	memcpy(ip + 8, source.bytes, 16);
	memcpy(ip + 24, destination.bytes, 16);
}

static void fill_upper(uint8_t *upper, uint32_t bytes, uint8_t protocol)
{
	put_be16(upper, 40000);
	put_be16(upper + 2, PORT);
	if (protocol == IPPROTO_TCP) {
		upper[12] = TCP_BYTES / 4 << 4;
		upper[13] = 0x10;
	} else {
		put_be16(upper + 4, (uint16_t)bytes);
	}
}

static void fill(bool v4, uint8_t protocol, uint32_t bytes)
{
	uint32_t upper_at = ETHER_BYTES + (v4 ? IPV4_BYTES : IPV6_BYTES);

	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *frame = rig.buffers[i] + PACKET_HEADROOM_BYTES;

		memset(rig.buffers[i], 0, sizeof(rig.buffers[i]));
		rig.packets[i] =
			(struct packet){.head = frame, .headroom_bytes = PACKET_HEADROOM_BYTES, .head_bytes = (uint16_t)bytes};
		if (v4)
			fill_ipv4(frame, bytes, protocol);
		else
			fill_ipv6(frame, bytes, protocol);
		fill_upper(frame + upper_at, bytes - upper_at, protocol);
		rig.packets[i].hash = i * 0x9e3779b1u;
	}
}

static void fill_large(void)
{
	uint32_t left = LARGE_BYTES - PACKET_HEAD_MIN_BYTES, done = 0;
	struct packet *p = &rig.packets[0];
	uint8_t count = 0;

	for (uint32_t i = 0; i < LARGE_BYTES; i++)
		rig.large[i] = (uint8_t)(i * 31);
	memset(rig.large, 0, 54);
	fill_ipv4(rig.large, LARGE_BYTES, IPPROTO_TCP);
	fill_upper(rig.large + 34, 0, IPPROTO_TCP);
	fill(true, IPPROTO_TCP, SMALL_BYTES);
	memcpy(p->head, rig.large, PACKET_HEAD_MIN_BYTES);
	p->head_bytes = PACKET_HEAD_MIN_BYTES;
	while (left > 0) {
		uint32_t part = left < 4096 ? left : 4096;

		rig.tail[count++] = (struct iovec){rig.large + PACKET_HEAD_MIN_BYTES + done, part};
		done += part;
		left -= part;
	}
	p->tail = rig.tail;
	p->tail_count = count;
	p->tail_bytes = done;
	p->flags = PACKET_NEEDS_CSUM;
	p->gso = PACKET_GSO_TCP4;
	p->gso_size = MSS;
	p->csum_start = 34;
	p->csum_offset = TCP_CHECKSUM_AT;
}

/* ---- steps: each leaves the packet as it found it ---- */

static void step_parse(void)
{
	for (unsigned i = 0; i < BATCH; i++)
		if (packet_parse(&rig.packets[i]) != DROP_NONE)
			abort();
}

static void step_encapsulate(void)
{
	for (unsigned i = 0; i < BATCH; i++) {
		tunnel_encapsulate(&rig.template, 4096 + i, &rig.packets[i]);
		packet_pull(&rig.packets[i], rig.template.bytes);
	}
}

static void step_restore(void)
{
	for (unsigned i = 0; i < BATCH; i++) {
		rig.packets[i] = rig.saved[i];
		__asm__ volatile("" : : "r"(&rig.packets[i]) : "memory");
	}
}

static void step_decapsulate(void)
{
	struct tunnel_inner inner;

	for (unsigned i = 0; i < BATCH; i++) {
		rig.packets[i] = rig.saved[i];
		if (tunnel_decapsulate(&rig.packets[i], &inner) != DROP_NONE || inner.vni != 4096)
			abort();
	}
}

static void step_translate(void)
{
	for (unsigned i = 0; i < BATCH; i++)
		packet_set_source(&rig.packets[i], &rig.address, (uint16_t)i);
}

static void step_cut(void)
{
	if (segment_put(&rig.sink, &rig.packets[0], 0, 0).refused > 0)
		abort();
}

static void step_sum(void)
{
	uint16_t sum = checksum_of(rig.large, LARGE_BYTES);

	__asm__ volatile("" : : "r"(sum));
}

static double best_of(void (*step)(void), unsigned rounds, unsigned packets)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t start = clock_tsc(), ticks;

		step();
		ticks = clock_tsc() - start;
		best = ticks < best ? ticks : best;
	}
	return (double)best / packets;
}

static void show(const char *what, double ticks)
{
	printf("%-58s %9.1f\n", what, ticks);
}

static void measure_parse(void)
{
	fill(true, IPPROTO_TCP, SMALL_BYTES);
	show("parse, IPv4 TCP", best_of(step_parse, ROUNDS, BATCH));
	fill(true, IPPROTO_UDP, SMALL_BYTES);
	show("parse, IPv4 UDP", best_of(step_parse, ROUNDS, BATCH));
	fill(false, IPPROTO_TCP, 74);
	show("parse, IPv6 TCP", best_of(step_parse, ROUNDS, BATCH));
}

static void measure_tunnel(enum tunnel_kind kind, const char *from, const char *to, const char *name)
{
	struct net_address source = address_of(from), destination = address_of(to);
	char text[64];

	tunnel_template_make(&rig.template, kind, &mac_a, &mac_b, &source, &destination);
	fill(true, IPPROTO_TCP, SMALL_BYTES);
	step_parse();
	snprintf(text, sizeof(text), "encapsulate, %s", name);
	show(text, best_of(step_encapsulate, ROUNDS, BATCH));
	for (unsigned i = 0; i < BATCH; i++) {
		tunnel_encapsulate(&rig.template, 4096, &rig.packets[i]);
		packet_parse(&rig.packets[i]);
	}
	memcpy(rig.saved, rig.packets, sizeof(rig.saved));
	snprintf(text, sizeof(text), "decapsulate with the inner parse, %s", name);
	show(text, best_of(step_decapsulate, ROUNDS, BATCH) - best_of(step_restore, ROUNDS, BATCH));
}

static bool sink_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	(void)sink;
	(void)now_tsc;
	return p->head_bytes > 0;
}

static void sink_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	(void)sink;
	(void)now_tsc;
}

static void measure_cut(void)
{
	static const struct packet_sink_ops ops = {.put = sink_put, .flush = sink_flush};

	fill_large();
	if (packet_parse(&rig.packets[0]) != DROP_NONE)
		abort();
	rig.sink = (struct packet_sink){.ops = &ops, .frame_bytes_max = 1514};
	show("64 KiB TSO frame into 46 segments, with checksums", best_of(step_cut, LARGE_ROUNDS, 1));
	rig.sink.offloads = SINK_CSUM;
	show("64 KiB TSO frame into 46 segments, the sink's checksums", best_of(step_cut, LARGE_ROUNDS, 1));
	show("sum over 64 KiB, a byte", best_of(step_sum, LARGE_ROUNDS, LARGE_BYTES));
}

int main(void)
{
	clock_calibrate();
	printf("%-58s %9s  (%.2f GHz)\n", "", "ticks", (double)clock_tsc_hz() / 1e9);
	measure_parse();
	measure_tunnel(TUNNEL_VXLAN, "192.0.2.1", "192.0.2.2", "VXLAN over IPv4");
	measure_tunnel(TUNNEL_GENEVE, "2001:db8::1", "2001:db8::2", "Geneve over IPv6");
	rig.address = address_of("203.0.113.9");
	fill(true, IPPROTO_TCP, SMALL_BYTES);
	step_parse();
	show("translate address and port, IPv4 TCP", best_of(step_translate, ROUNDS, BATCH));
	measure_cut();
	return 0;
}
