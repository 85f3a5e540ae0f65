#include "../cmocka_all.h"

#include <netinet/in.h>

#include "golden/packets.inc"
#include "packet_rig.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"
#include "vpc/segment.h"
#include "vpc/tunnel.h"

enum { FRAME_MAX = 70000, SINK_ALL = SINK_CSUM | SINK_TSO4 | SINK_TSO6 | SINK_USO, NO_LIMIT = 65535 + 14 };

static struct rig_sink sink;

struct gso {
	const uint8_t *frame;
	uint32_t size;
	uint8_t kind;
	uint16_t gso_size, l4_offset, csum_offset;
};

static const struct gso tso4 = {golden_tso4, sizeof(golden_tso4), PACKET_GSO_TCP4, 1001, 34, TCP_CHECKSUM_AT};
static const struct gso tso6 = {golden_tso6, sizeof(golden_tso6), PACKET_GSO_TCP6, 1200, 54, TCP_CHECKSUM_AT};
static const struct gso uso4 = {golden_uso4, sizeof(golden_uso4), PACKET_GSO_UDP, 300, 34, UDP_CHECKSUM_AT};

/* As a guest sends it: the checksum is the pseudo header's sum. */
static void make_gso(struct rig_packet *r, const struct gso *g, uint32_t head_bytes, uint32_t part_bytes)
{
	rig_packet_make(r, g->frame, g->size, head_bytes, part_bytes);
	assert_int_equal(packet_parse(&r->p), DROP_NONE);
	checksum_store(r->p.head + g->l4_offset + g->csum_offset, checksum_pseudo(&r->p.layers.source, &r->p.layers.destination,
										  r->p.layers.protocol, g->size - g->l4_offset));
	r->p.flags = PACKET_NEEDS_CSUM;
	r->p.gso = g->kind;
	r->p.gso_size = g->gso_size;
	r->p.csum_start = g->l4_offset;
	r->p.csum_offset = g->csum_offset;
	assert_int_equal(packet_parse(&r->p), DROP_NONE);
}

static void encapsulate(struct packet *p, enum tunnel_kind kind, const char *from, const char *to)
{
	static const struct mac host_mac = {{2, 0, 0, 0, 0x0a, 1}}, next_hop = {{2, 0, 0, 0, 0x0a, 2}};
	struct net_address source, destination;
	struct tunnel_template t;

	assert_int_equal(net_address_parse(from, &source), 0);
	assert_int_equal(net_address_parse(to, &destination), 0);
	tunnel_template_make(&t, kind, &host_mac, &next_hop, &source, &destination);
	p->hash = GOLDEN_HASH;
	tunnel_encapsulate(&t, GOLDEN_VNI, p);
}

/* A golden sequence: each frame behind its length. */
static unsigned assert_sequence(const uint8_t *sequence, uint32_t size)
{
	unsigned count = 0;

	for (uint32_t at = 0; at < size; count++) {
		uint32_t bytes = get_be16(sequence + at);

		assert_true(count < sink.count);
		assert_int_equal(sink.frames[count].size, bytes);
		assert_memory_equal(sink.frames[count].bytes, sequence + at + 2, bytes);
		at += 2 + bytes;
	}
	assert_int_equal(sink.count, count);
	return count;
}

/* Byte by byte the segments that scapy makes, in whatever parts the payload lies. */
static void assert_segments(const struct gso *g, const uint8_t *sequence, uint32_t size)
{
	static const uint32_t heads[] = {256, 257, 100, UINT16_MAX};

	for (unsigned i = 0; i < 4; i++) {
		struct segment_result result;
		struct rig_packet r;

		make_gso(&r, g, heads[i], 477);
		rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
		result = segment_put(&sink.sink, &r.p, 0, 0);
		assert_int_equal(result.put, assert_sequence(sequence, size));
		assert_int_equal(result.refused, 0);
		assert_int_equal(sink.frames[0].meta.gso, PACKET_GSO_NONE);
		assert_int_equal(sink.frames[0].meta.flags, 0);
		rig_packet_free(&r);
	}
}

static void test_gso(void **state)
{
	(void)state;
	assert_segments(&tso4, golden_tso4_segments, sizeof(golden_tso4_segments));
	assert_segments(&tso6, golden_tso6_segments, sizeof(golden_tso6_segments));
	assert_segments(&uso4, golden_uso4_segments, sizeof(golden_uso4_segments));
}

static void test_gso_in_tunnels(void **state)
{
	struct rig_packet r;

	(void)state;
	make_gso(&r, &tso4, 256, 1000);
	encapsulate(&r.p, TUNNEL_VXLAN, "192.0.2.1", "192.0.2.2");
	rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
	segment_put(&sink.sink, &r.p, TUNNEL_OUTER_V4_BYTES, 0);
	for (unsigned i = 0; i < sink.count; i++) { /* scapy wrote 0 in each: one more each is what differs */
		uint8_t *ip = (uint8_t *)sink.frames[i].bytes + 14;

		assert_int_equal(get_be16(ip + 4), i);
		assert_true(rig_ipv4_right(ip));
		put_be16(ip + 4, 0);
		put_be16(ip + 10, 0);
		put_be16(ip + 10, (uint16_t)~rig_sum(0, ip, 20));
	}
	assert_sequence(golden_tso4_vxlan_segments, sizeof(golden_tso4_vxlan_segments));
	rig_packet_free(&r);

	make_gso(&r, &tso4, 256, 1000);
	encapsulate(&r.p, TUNNEL_GENEVE, "2001:db8:a::1", "2001:db8:a::2");
	rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
	segment_put(&sink.sink, &r.p, TUNNEL_OUTER_V6_BYTES, 0);
	assert_sequence(golden_tso4_geneve6_segments, sizeof(golden_tso4_geneve6_segments));
	rig_packet_free(&r);
}

/* The sink completes checksums: each segment says where, and holds its own pseudo header's sum. */
static void test_gso_with_checksum_offload(void **state)
{
	const struct gso *kinds[] = {&tso4, &tso6, &uso4};

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		const struct gso *g = kinds[k];
		struct rig_packet r;

		make_gso(&r, g, 256, 1000);
		encapsulate(&r.p, TUNNEL_VXLAN, "192.0.2.1", "192.0.2.2");
		rig_sink_reset(&sink, SINK_CSUM, 1514, RIG_SINK_FRAMES);
		segment_put(&sink.sink, &r.p, TUNNEL_OUTER_V4_BYTES, 0);
		assert_true(sink.count > 1);
		for (unsigned i = 0; i < sink.count; i++) {
			const struct rig_frame *f = &sink.frames[i];
			uint8_t frame[2048], *ip = frame + TUNNEL_OUTER_V4_BYTES + 14;
			uint32_t ip_bytes = f->size - TUNNEL_OUTER_V4_BYTES - 14, upper_at = f->meta.csum_start - 64u;

			assert_int_equal(f->meta.flags, PACKET_NEEDS_CSUM);
			assert_int_equal(f->meta.csum_start, TUNNEL_OUTER_V4_BYTES + g->l4_offset);
			memcpy(frame, f->bytes, f->size);
			put_be16(ip + upper_at + f->meta.csum_offset, (uint16_t)~rig_sum(0, ip + upper_at, ip_bytes - upper_at));
			assert_true(rig_upper_right(ip, ip_bytes, upper_at, f->meta.layers.protocol));
		}
		rig_packet_free(&r);
	}
}

static void test_offloads_of_the_sink(void **state)
{
	const struct gso *kinds[] = {&tso4, &tso6, &uso4};
	static const uint32_t needed[] = {SINK_TSO4, SINK_TSO6, SINK_USO};

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		struct rig_packet r;

		make_gso(&r, kinds[k], 256, 1000);
		rig_sink_reset(&sink, SINK_CSUM | needed[k], 1514, RIG_SINK_FRAMES);
		assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).put, 1);
		assert_int_equal(sink.frames[0].size, kinds[k]->size);
		assert_int_equal(sink.frames[0].meta.gso, kinds[k]->kind);
		assert_int_equal(sink.frames[0].meta.flags, PACKET_NEEDS_CSUM);
		rig_sink_reset(&sink, SINK_ALL & ~needed[k], 1514, RIG_SINK_FRAMES);
		assert_true(segment_put(&sink.sink, &r.p, 0, 0).put > 1);
		rig_sink_reset(&sink, SINK_ALL & ~SINK_CSUM, 1514, RIG_SINK_FRAMES); /* TSO without checksums is none */
		assert_true(segment_put(&sink.sink, &r.p, 0, 0).put > 1);
		rig_packet_free(&r);
	}
}

/* The caller's frame is as it was: a second sink gets the same. */
static void test_frame_unharmed(void **state)
{
	static uint8_t before[FRAME_MAX], after[FRAME_MAX];
	struct rig_packet r;
	struct packet p;

	(void)state;
	make_gso(&r, &tso4, 256, 1000);
	p = r.p;
	rig_packet_flatten(&r.p, before);
	for (unsigned i = 0; i < 2; i++) {
		rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
		segment_put(&sink.sink, &r.p, 0, 0);
		assert_sequence(golden_tso4_segments, sizeof(golden_tso4_segments));
	}
	rig_packet_flatten(&r.p, after);
	assert_memory_equal(before, after, tso4.size);
	assert_memory_equal(&p, &r.p, sizeof(p));
	rig_packet_free(&r);
}

static void test_no_room(void **state)
{
	struct segment_result result;
	struct rig_packet r;

	(void)state;
	for (unsigned room = 0; room < 3; room++) {
		make_gso(&r, &tso4, 256, 1000); /* three segments */
		rig_sink_reset(&sink, 0, 1514, room);
		result = segment_put(&sink.sink, &r.p, 0, 0);
		assert_int_equal(result.put, room);
		assert_int_equal(result.refused, 3 - room);
		assert_int_equal(sink.asked, room + 1);
		rig_packet_free(&r);
	}
	rig_packet_make(&r, golden_tcp4, sizeof(golden_tcp4), 256, 0);
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	rig_sink_reset(&sink, 0, 1514, 0);
	result = segment_put(&sink.sink, &r.p, 0, 0);
	assert_int_equal(result.put, 0);
	assert_int_equal(result.refused, 1);
	rig_packet_free(&r);
}

/* A frame of few bytes, or of none, behind its headers is one segment. */
static void test_gso_of_one(void **state)
{
	struct gso small = tso4;
	struct rig_packet r;
	uint8_t frame[55];

	(void)state;
	for (uint32_t size = 54; size <= 55; size++) {
		memcpy(frame, golden_tso4, sizeof(frame));
		put_be16(frame + 16, (uint16_t)(size - 14));
		put_be16(frame + 24, 0);
		put_be16(frame + 24, (uint16_t)~rig_sum(0, frame + 14, 20));
		small.frame = frame;
		small.size = size;
		make_gso(&r, &small, 256, 0);
		rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
		assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).put, 1);
		assert_int_equal(sink.frames[0].size, size);
		assert_int_equal(sink.frames[0].bytes[47], frame[47]); /* first and last: all flags */
		assert_true(rig_upper_right(sink.frames[0].bytes + 14, size - 14, 20, IPPROTO_TCP));
		rig_packet_free(&r);
	}
}

/* The largest frame there is, in the smallest parts, against the judge. */
static void test_whole_64k(void **state)
{
	static uint8_t frame[FRAME_MAX];
	uint32_t size = 14 + 65535, seen = 0;
	struct gso g = {frame, size, PACKET_GSO_TCP4, 1447, 34, TCP_CHECKSUM_AT};
	struct rig_packet r;

	(void)state;
	memcpy(frame, golden_tso4, 54);
	for (uint32_t i = 54; i < size; i++)
		frame[i] = (uint8_t)(i * i >> 3);
	put_be16(frame + 16, 65535);
	put_be16(frame + 24, 0);
	put_be16(frame + 24, (uint16_t)~rig_sum(0, frame + 14, 20));
	make_gso(&r, &g, 301, 9001);
	rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
	assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).put, (65535 - 40 + 1446) / 1447);
	for (unsigned i = 0; i < sink.count; i++) {
		const struct rig_frame *f = &sink.frames[i];

		assert_true(f->size <= 54 + 1447);
		assert_true(rig_ipv4_right(f->bytes + 14));
		assert_true(rig_upper_right(f->bytes + 14, f->size - 14, 20, IPPROTO_TCP));
		assert_int_equal(get_be32(f->bytes + 38), 0xffffff00 + seen);
		assert_memory_equal(f->bytes + 54, frame + 54 + seen, f->size - 54);
		seen += f->size - 54;
	}
	assert_int_equal(seen, 65535 - 40);
	rig_packet_free(&r);
}

static void test_checksum_completed(void **state)
{
	struct rig_packet r;

	(void)state;
	for (unsigned offloads = 0; offloads <= SINK_CSUM; offloads++) {
		rig_packet_make(&r, golden_udp4_big, sizeof(golden_udp4_big), 256, 99);
		assert_int_equal(packet_parse(&r.p), DROP_NONE);
		checksum_store(r.p.head + 40, checksum_pseudo(&r.p.layers.source, &r.p.layers.destination, IPPROTO_UDP,
							      sizeof(golden_udp4_big) - 34));
		r.p.flags = PACKET_NEEDS_CSUM;
		r.p.csum_start = 34;
		r.p.csum_offset = 6;
		rig_sink_reset(&sink, offloads, 1514, RIG_SINK_FRAMES);
		assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).put, 1);
		if (offloads == 0)
			assert_memory_equal(sink.frames[0].bytes, golden_udp4_big, sizeof(golden_udp4_big));
		assert_int_equal(sink.frames[0].meta.flags, offloads == 0 ? 0 : PACKET_NEEDS_CSUM);
		rig_packet_free(&r);
	}
}

static void make_plain(struct rig_packet *r, const uint8_t *frame, uint32_t size)
{
	rig_packet_make(r, frame, size, 256, 130);
	assert_int_equal(packet_parse(&r->p), DROP_NONE);
}

static void test_fragments(void **state)
{
	struct rig_packet r;

	(void)state;
	make_plain(&r, golden_udp4_big, sizeof(golden_udp4_big));
	rig_sink_reset(&sink, SINK_ALL, NO_LIMIT, RIG_SINK_FRAMES);
	assert_int_equal(fragment_put(&sink.sink, &r.p, 0, 20 + 392 + 7, 0).put, 3);
	assert_sequence(golden_udp4_big_fragments, sizeof(golden_udp4_big_fragments));
	assert_int_equal(sink.frames[0].meta.layers.fragment, FRAGMENT_FIRST);
	assert_int_equal(sink.frames[1].meta.layers.fragment, FRAGMENT_LATER);
	rig_packet_free(&r);

	make_plain(&r, golden_udp4_big, sizeof(golden_udp4_big)); /* the same where the sink's limit says so, in a tunnel */
	encapsulate(&r.p, TUNNEL_VXLAN, "192.0.2.1", "192.0.2.2");
	rig_sink_reset(&sink, SINK_ALL, 50 + 14 + 20 + 392, RIG_SINK_FRAMES);
	assert_int_equal(segment_put(&sink.sink, &r.p, TUNNEL_OUTER_V4_BYTES, 0).put, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(rig_ipv4_right(sink.frames[i].bytes + 14));
		assert_int_equal(get_be16(sink.frames[i].bytes + 16), sink.frames[i].size - 14);
		assert_int_equal(get_be16(sink.frames[i].bytes + 38), sink.frames[i].size - 34);
		assert_true(rig_ipv4_right(sink.frames[i].bytes + 64));
	}
	rig_packet_free(&r);
}

/* A fragment cut again: what the pieces say adds up to what the whole did. */
static void test_fragments_of_fragments(void **state)
{
	uint32_t at = 0, expected = 0;

	(void)state;
	for (unsigned round = 0; at < sizeof(golden_udp4_big_fragments); round++) {
		uint32_t bytes = get_be16(golden_udp4_big_fragments + at);
		struct rig_packet r;

		make_plain(&r, golden_udp4_big_fragments + at + 2, bytes);
		rig_sink_reset(&sink, SINK_ALL, NO_LIMIT, RIG_SINK_FRAMES);
		fragment_put(&sink.sink, &r.p, 0, 100, 0);
		assert_true(sink.count > 1);
		for (unsigned i = 0; i < sink.count; i++) {
			const uint8_t *frame = sink.frames[i].bytes;
			bool last = round == 2 && i + 1 == sink.count;

			assert_true(rig_ipv4_right(frame + 14));
			assert_int_equal(get_be16(frame + 20) & 0x1fff, expected / 8);
			assert_int_equal((get_be16(frame + 20) & 0x2000) != 0, !last);
			assert_memory_equal(frame + 34, golden_udp4_big + 34 + expected, sink.frames[i].size - 34);
			expected += sink.frames[i].size - 34;
		}
		rig_packet_free(&r);
		at += 2 + bytes;
	}
	assert_int_equal(expected, sizeof(golden_udp4_big) - 34);
}

/* RFC 791 3.1: record route stands in the first fragment only, security in all. */
static void test_fragments_with_options(void **state)
{
	const uint8_t *whole = golden_udp4_big_options;
	uint32_t header_bytes = (whole[14] & 15u) * 4;
	struct rig_packet r;

	(void)state;
	make_plain(&r, whole, sizeof(golden_udp4_big_options));
	rig_sink_reset(&sink, 0, NO_LIMIT, RIG_SINK_FRAMES);
	fragment_put(&sink.sink, &r.p, 0, 200, 0);
	assert_true(sink.count > 2);
	assert_memory_equal(sink.frames[0].bytes + 34, whole + 34, header_bytes - 20);
	for (unsigned i = 1; i < sink.count; i++) {
		const uint8_t *options = sink.frames[i].bytes + 34;
		uint32_t route_bytes = whole[35];

		assert_int_equal(whole[34], 7);
		assert_true(rig_ipv4_right(sink.frames[i].bytes + 14));
		for (uint32_t at = 0; at < route_bytes; at++)
			assert_int_equal(options[at], 1);
		assert_memory_equal(options + route_bytes, whole + 34 + route_bytes, header_bytes - 20 - route_bytes);
	}
	rig_packet_free(&r);
}

static void test_fragment_checksum_completed(void **state)
{
	struct rig_packet r;

	(void)state;
	make_plain(&r, golden_udp4_big, sizeof(golden_udp4_big));
	checksum_store(r.p.head + 40,
		       checksum_pseudo(&r.p.layers.source, &r.p.layers.destination, IPPROTO_UDP, sizeof(golden_udp4_big) - 34));
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.csum_start = 34;
	r.p.csum_offset = 6;
	rig_sink_reset(&sink, SINK_ALL, NO_LIMIT, RIG_SINK_FRAMES);
	fragment_put(&sink.sink, &r.p, 0, 412, 0);
	assert_sequence(golden_udp4_big_fragments, sizeof(golden_udp4_big_fragments));
	assert_int_equal(sink.frames[0].meta.flags, 0);
	rig_packet_free(&r);
}

static void assert_refused(struct packet *p, uint32_t mtu)
{
	struct segment_result result;

	rig_sink_reset(&sink, SINK_ALL, NO_LIMIT, RIG_SINK_FRAMES);
	result = fragment_put(&sink.sink, p, 0, mtu, 0);
	assert_int_equal(result.put, 0);
	assert_int_equal(result.refused, 1);
	assert_int_equal(sink.asked, 0);
}

static void test_not_to_be_fragmented(void **state)
{
	struct rig_packet r;

	(void)state;
	make_plain(&r, golden_tcp4, sizeof(golden_tcp4)); /* DF */
	assert_refused(&r.p, 100);
	rig_sink_reset(&sink, SINK_ALL, 100, RIG_SINK_FRAMES);
	assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).refused, 1);
	rig_sink_reset(&sink, SINK_ALL, 10, RIG_SINK_FRAMES);
	assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).refused, 1);
	rig_packet_free(&r);
	make_plain(&r, golden_tcp6, sizeof(golden_tcp6));
	assert_refused(&r.p, 100);
	rig_packet_free(&r);
	make_plain(&r, golden_udp4_big, sizeof(golden_udp4_big));
	assert_refused(&r.p, 67);
	rig_packet_free(&r);
	make_gso(&r, &uso4, 256, 0);
	assert_refused(&r.p, 500);
	rig_packet_free(&r);
}

/* A last fragment keeps the padding of its frame for itself. */
static void test_padding_is_no_payload(void **state)
{
	uint8_t frame[sizeof(golden_udp4) + 50];
	struct rig_packet r;

	(void)state;
	memcpy(frame, golden_udp4, sizeof(golden_udp4));
	memset(frame + sizeof(golden_udp4), 0xee, 50);
	make_plain(&r, frame, sizeof(frame));
	rig_sink_reset(&sink, SINK_ALL, NO_LIMIT, RIG_SINK_FRAMES);
	assert_int_equal(fragment_put(&sink.sink, &r.p, 0, 68, 0).put, 2);
	assert_int_equal(sink.frames[0].size + sink.frames[1].size, sizeof(golden_udp4) + 34);
	rig_packet_free(&r);
}

/* More parts, or headers, than a segment can have. */
static void test_too_many_parts(void **state)
{
	static struct iovec parts[PACKET_TAIL_MAX];
	struct segment_result result;
	struct rig_packet r;

	(void)state;
	make_gso(&r, &tso4, 256, 0);
	parts[0] = r.tail[0];
	r.p.tail = parts; /* the others are empty */
	for (unsigned count = PACKET_TAIL_MAX - 1; count <= PACKET_TAIL_MAX; count++) {
		r.p.tail_count = (uint8_t)count;
		rig_sink_reset(&sink, 0, 1514, RIG_SINK_FRAMES);
		result = segment_put(&sink.sink, &r.p, 0, 0);
		assert_int_equal(result.put, count < PACKET_TAIL_MAX ? 3 : 0);
		assert_int_equal(result.refused, count < PACKET_TAIL_MAX ? 0 : 1);
	}
	r.p.tail_count = 1;
	r.p.head_bytes = 60; /* the headers end beyond the head: nothing that was parsed */
	r.p.layers.l4_header_bytes = 60;
	assert_int_equal(segment_put(&sink.sink, &r.p, 0, 0).refused, 1);
	rig_packet_free(&r);
}

static void test_ip_bytes_max(void **state)
{
	struct rig_packet r;

	(void)state;
	make_gso(&r, &tso4, 256, 0);
	assert_int_equal(packet_ip_bytes_max(&r.p), 40 + 1001);
	r.p.gso_size = 5000; /* more than there is */
	assert_int_equal(packet_ip_bytes_max(&r.p), sizeof(golden_tso4) - 14);
	rig_packet_free(&r);
	make_gso(&r, &tso6, 256, 0);
	assert_int_equal(packet_ip_bytes_max(&r.p), 60 + 1200);
	rig_packet_free(&r);
	make_plain(&r, golden_tcp4, sizeof(golden_tcp4));
	assert_int_equal(packet_ip_bytes_max(&r.p), sizeof(golden_tcp4) - 14);
	rig_packet_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gso),
		cmocka_unit_test(test_gso_in_tunnels),
		cmocka_unit_test(test_gso_with_checksum_offload),
		cmocka_unit_test(test_offloads_of_the_sink),
		cmocka_unit_test(test_frame_unharmed),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_gso_of_one),
		cmocka_unit_test(test_whole_64k),
		cmocka_unit_test(test_checksum_completed),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragments_of_fragments),
		cmocka_unit_test(test_fragments_with_options),
		cmocka_unit_test(test_fragment_checksum_completed),
		cmocka_unit_test(test_not_to_be_fragmented),
		cmocka_unit_test(test_padding_is_no_payload),
		cmocka_unit_test(test_too_many_parts),
		cmocka_unit_test(test_ip_bytes_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
