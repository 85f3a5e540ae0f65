/*
 * Frames byte by byte. Checksums are worked out here again, in the plainest way (RFC 1071, big endian, one pair of bytes at a time),
 * so that two mistakes would have to agree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "load/net_packet.h"

enum { FRAME_ROOM = FRAME_BYTES_MAX + 64 };

static uint32_t plain_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t plain_pseudo(const uint8_t *ip, bool v4, uint8_t protocol, uint32_t bytes)
{
	uint8_t pseudo[8] = {0, (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes, 0, 0, 0, protocol};

	return plain_sum(plain_sum(0, ip + (v4 ? 12 : 8), v4 ? 8 : 32), pseudo, sizeof(pseudo));
}

static struct net_address address(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct frame_plan plan_of(bool v4, uint8_t protocol)
{
	return (struct frame_plan){.source_mac = {{2, 0, 0, 0, 0, 1}},
				   .destination_mac = {{2, 0, 0, 0, 0, 2}},
				   .source = address(v4 ? "10.0.1.5" : "2001:db8::5"),
				   .destination = address(v4 ? "10.0.2.7" : "2001:db8:1::7"),
				   .vlan = FRAME_NO_VLAN,
				   .protocol = protocol};
}

static struct frame_tuple tuple_of(const struct frame_plan *plan, uint16_t source_port, uint16_t destination_port)
{
	return (struct frame_tuple){plan->source.word[3], plan->destination.word[3], __builtin_bswap16(source_port),
				    __builtin_bswap16(destination_port)};
}

static void test_udp4_byte_by_byte(void **state)
{
	static const uint8_t expected[] = {
		2,    0,    0,	  0,	0, 2,  2,    0, 0,  0,	0,    1,    0x08, 0x00,			   /* Ethernet */
		0x45, 0,    0,	  50,	0, 0,  0x40, 0, 64, 17, 0x23, 0xb0, 10,	  0,	1, 5, 10, 0, 2, 7, /* IPv4 */
		0x12, 0x34, 0x00, 0x50, 0, 30, /* UDP up to its checksum */
	};
	struct frame_plan plan = plan_of(true, IPPROTO_UDP);
	struct frame_tuple tuple = tuple_of(&plan, 0x1234, 80);
	struct frame_signature s = {0xaabbccdd, 7, 9, 0}, read;
	struct frame_template t;
	struct net_packet p;
	uint8_t frame[64];

	(void)state;
	assert_int_equal(frame_template_make(&t, &plan, sizeof(frame)), 0);
	frame_template_lay(&t, frame);
	frame_patch(&t, frame, &tuple, &s);
	assert_int_equal(plain_sum(0, frame + 14, 20), 0xffff);
	assert_memory_equal(frame, expected, sizeof(expected));
	assert_int_equal(plain_sum(plain_pseudo(frame + 14, true, 17, 30), frame + 34, 30), 0xffff);
	assert_memory_equal(frame + 42, &s.tag, 4);
	assert_memory_equal(frame + 46, &s.flow, 4);
	assert_memory_equal(frame + 50, &s.sequence, 4);
	net_packet_parse(&p, frame, sizeof(frame), sizeof(frame));
	assert_int_equal(p.kind, NET_PACKET_UDP);
	assert_true(net_packet_signature(&p, false, &read));
	assert_int_equal(read.tag, s.tag);
	assert_int_equal(read.flow, 7);
	assert_int_equal(read.sequence, 9);
	assert_memory_equal(&p.tuple, &tuple, sizeof(tuple));
}

static void check_frame(const struct frame_plan *plan, const struct frame_template *t, uint8_t *frame)
{
	bool v4 = net_address_is_v4(&plan->source);
	uint32_t link = plan->vlan == FRAME_NO_VLAN ? 14 : 18, l4 = link + (v4 ? 20 : 40), bytes = t->frame_bytes - l4;
	struct frame_signature read;
	struct net_packet p;

	net_packet_parse(&p, frame, t->frame_bytes, t->frame_bytes);
	assert_int_equal(p.kind, plan->protocol == IPPROTO_TCP ? NET_PACKET_TCP : NET_PACKET_UDP);
	assert_int_equal(p.transport_offset, l4);
	assert_int_equal(p.transport_bytes, bytes);
	assert_true(net_packet_signature(&p, plan->stamped, &read));
	if (v4)
		assert_int_equal(plain_sum(0, frame + link, 20), 0xffff);
	if (plan->checksum_offload) {
		uint32_t offset = plan->protocol == IPPROTO_TCP ? 16 : 6,
			 pseudo = plain_pseudo(frame + link, v4, plan->protocol, bytes);

		assert_int_equal(t->header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(t->header.csum_start, l4);
		assert_int_equal(t->header.csum_offset, offset);
		assert_int_equal(frame[l4 + offset] << 8 | frame[l4 + offset + 1], pseudo);
	} else {
		assert_int_equal(t->header.flags, 0);
		assert_int_equal(plain_sum(plain_pseudo(frame + link, v4, plan->protocol, bytes), frame + l4, bytes), 0xffff);
	}
	assert_true(net_packet_checksums_right(&p, frame, plan->checksum_offload));
	if (!plan->checksum_offload) {
		frame[t->frame_bytes - 1] ^= 1;
		assert_false(net_packet_checksums_right(&p, frame, false));
		frame[t->frame_bytes - 1] ^= 1;
	}
	if (v4) {
		frame[link + 8]--;
		assert_false(net_packet_checksums_right(&p, frame, plan->checksum_offload));
		frame[link + 8]++;
	}
}

/* Every kind of frame, with every size near its limits, many signatures: the sums always come out. */
static void test_all_kinds(void **state)
{
	uint8_t *frame = malloc(FRAME_ROOM);

	(void)state;
	for (unsigned kind = 0; kind < 32; kind++) {
		struct frame_plan plan = plan_of((kind & 1) != 0, (kind & 2) != 0 ? IPPROTO_TCP : IPPROTO_UDP);
		struct frame_template t;
		uint32_t min;

		plan.vlan = (kind & 4) != 0 ? 100 : FRAME_NO_VLAN;
		plan.stamped = (kind & 8) != 0;
		plan.checksum_offload = (kind & 16) != 0;
		min = frame_bytes_min(&plan);
		assert_int_equal(frame_template_make(&t, &plan, min - 1), -EINVAL);
		for (uint32_t bytes = min; bytes < min + 40; bytes += 1 + bytes / 3) {
			assert_int_equal(frame_template_make(&t, &plan, bytes), 0);
			frame_template_lay(&t, frame);
			for (unsigned i = 0; i < 50; i++) {
				struct frame_tuple tuple = {(uint32_t)random(), (uint32_t)random(), (uint16_t)random(),
							    (uint16_t)random()};
				struct frame_signature s = {(uint32_t)random(), (uint32_t)random(), i == 0 ? UINT32_MAX : i,
							    (uint64_t)random() << 33 | (uint64_t)random()};

				frame_patch(&t, frame, &tuple, &s);
				check_frame(&plan, &t, frame);
			}
		}
	}
	free(frame);
}

static void test_sizes(void **state)
{
	struct frame_plan udp4 = plan_of(true, IPPROTO_UDP), tcp6 = plan_of(false, IPPROTO_TCP);
	struct frame_template t;

	(void)state;
	assert_int_equal(frame_bytes_min(&udp4), 54);
	udp4.stamped = true;
	assert_int_equal(frame_bytes_min(&udp4), 62);
	assert_int_equal(frame_bytes_min(&tcp6), 86);
	assert_int_equal(frame_template_make(&t, &udp4, 65535 + 14), 0);
	assert_int_equal(frame_template_make(&t, &udp4, 65535 + 15), -EINVAL);
	assert_int_equal(frame_template_make(&t, &tcp6, 65536), 0);
}

/* The header of a TSO frame: 5.1.6.2. */
static void test_segmentation(void **state)
{
	uint8_t *frame = malloc(FRAME_ROOM);

	(void)state;
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct frame_plan plan = plan_of(v4 != 0, IPPROTO_TCP);
		struct frame_tuple tuple = tuple_of(&plan, 1, 2);
		struct frame_signature s = {1, 2, 3, 4};
		struct frame_template t;

		plan.checksum_offload = true;
		plan.segment_bytes = 1448;
		assert_int_equal(frame_template_make(&t, &plan, 65536), 0);
		assert_int_equal(t.header.gso_type, v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(t.header.gso_size, 1448);
		assert_int_equal(t.header.hdr_len, v4 ? 54 : 74);
		assert_int_equal(t.header.num_buffers, 0);
		frame_template_lay(&t, frame);
		frame_patch(&t, frame, &tuple, &s);
		check_frame(&plan, &t, frame);
	}
	free(frame);
}

/* In UDP a checksum that comes out as zero is sent as all ones. */
static void test_udp_zero_checksum(void **state)
{
	struct frame_plan plan = plan_of(true, IPPROTO_UDP);
	struct frame_tuple tuple = tuple_of(&plan, 1000, 2000);
	struct frame_template t;
	uint8_t frame[64];
	bool found = false;

	(void)state;
	assert_int_equal(frame_template_make(&t, &plan, sizeof(frame)), 0);
	frame_template_lay(&t, frame);
	for (uint32_t i = 0; i < 70000; i++) {
		struct frame_signature s = {5, 0, i, 0};

		frame_patch(&t, frame, &tuple, &s);
		assert_false(frame[40] == 0 && frame[41] == 0);
		found |= frame[40] == 0xff && frame[41] == 0xff;
	}
	assert_true(found);
}

static void test_control_segments(void **state)
{
	(void)state;
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct frame_plan plan = plan_of(v4 != 0, IPPROTO_UDP);
		struct frame_tuple tuple = tuple_of(&plan, 4000, 80);
		uint32_t l4 = v4 ? 34 : 54, bytes;
		struct net_packet p;
		uint8_t frame[FRAME_CONTROL_BYTES_MAX];

		bytes = frame_build_control(frame, &plan, &tuple, FRAME_SYN, 0x01020304, 0);
		assert_int_equal(bytes, l4 + 20);
		assert_int_equal(plain_sum(plain_pseudo(frame + 14, v4 != 0, 6, 20), frame + l4, 20), 0xffff);
		assert_int_equal(frame[l4 + 12], 0x50);
		assert_int_equal(frame[l4 + 13], 0x02);
		assert_memory_equal(frame + l4 + 4, "\1\2\3\4\0\0\0\0", 8);
		net_packet_parse(&p, frame, bytes, bytes);
		assert_int_equal(p.kind, NET_PACKET_TCP);
		assert_int_equal(p.tcp_flags, FRAME_SYN);
		assert_int_equal(p.tcp_sequence, 0x01020304);
		assert_memory_equal(&p.tuple, &tuple, sizeof(tuple));
		assert_true(net_packet_checksums_right(&p, frame, false));
	}
}

/* Nothing is read behind the head, whatever the frame says: each frame ends at the end of its own memory (ASan watches). */
static void test_hostile_frames(void **state)
{
	struct frame_plan plan = plan_of(true, IPPROTO_TCP);
	struct frame_tuple tuple = tuple_of(&plan, 1, 2);
	struct frame_signature s = {1, 2, 3, 4};
	struct frame_template t;
	uint8_t good[128];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t bytes = 100;
		struct net_packet p;
		uint8_t *copy;

		plan = plan_of(round % 2 == 0, round % 3 == 0 ? IPPROTO_UDP : IPPROTO_TCP);
		plan.vlan = round % 5 == 0 ? 9 : FRAME_NO_VLAN;
		assert_int_equal(frame_template_make(&t, &plan, bytes), 0);
		frame_template_lay(&t, good);
		frame_patch(&t, good, &tuple, &s);
		for (unsigned i = 0; i < round % 4; i++)
			good[random() % 70] = (uint8_t)random();
		bytes = (uint32_t)random() % (bytes + 1);
		copy = malloc(bytes + 1); /* malloc(0) may be NULL */
		memcpy(copy, good, bytes);
		copy = realloc(copy, bytes > 0 ? bytes : 1);
		net_packet_parse(&p, copy, bytes, round % 7 == 0 ? bytes + 1000 : bytes);
		if (net_packet_signature(&p, true, &s))
			assert_true(p.payload_offset + 20 <= bytes);
		if (p.bytes == bytes && (p.kind == NET_PACKET_TCP || p.kind == NET_PACKET_UDP))
			net_packet_checksums_right(&p, copy, round % 11 == 0);
		free(copy);
	}
}

static void test_parse_says_what_it_is(void **state)
{
	struct frame_plan plan = plan_of(true, IPPROTO_UDP);
	struct frame_tuple tuple = tuple_of(&plan, 1, 2);
	struct frame_signature s = {1, 2, 3, 4};
	struct frame_template t;
	struct net_packet p;
	uint8_t frame[64];

	(void)state;
	assert_int_equal(frame_template_make(&t, &plan, sizeof(frame)), 0);
	frame_template_lay(&t, frame);
	frame_patch(&t, frame, &tuple, &s);
	frame[20] = 0x20; /* a first fragment: its checksum is of more than this */
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_UDP);
	assert_true(p.first_fragment_only);
	frame[21] = 1; /* a later fragment has no ports */
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_OTHER);
	frame[20] = frame[21] = 0;
	frame[14] = 0x44; /* a header of 16 bytes */
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_OTHER);
	frame[14] = 0x45;
	frame[17] = 51; /* more than there is */
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_OTHER);
	frame[17] = 50;
	frame[12] = 0x08;
	frame[13] = 0x06;
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_ARP);
	frame[13] = 0x99;
	net_packet_parse(&p, frame, 64, 64);
	assert_int_equal(p.kind, NET_PACKET_OTHER);
}

/* UDP over IPv4 may have no checksum, over IPv6 it must (RFC 8200, 8.1). */
static void test_no_udp_checksum(void **state)
{
	(void)state;
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct frame_plan plan = plan_of(v4 != 0, IPPROTO_UDP);
		struct frame_tuple tuple = tuple_of(&plan, 1, 2);
		struct frame_signature s = {1, 2, 3, 4};
		struct frame_template t;
		struct net_packet p;
		uint8_t frame[80];

		assert_int_equal(frame_template_make(&t, &plan, sizeof(frame)), 0);
		frame_template_lay(&t, frame);
		frame_patch(&t, frame, &tuple, &s);
		memset(frame + t.checksum_offset, 0, 2);
		net_packet_parse(&p, frame, sizeof(frame), sizeof(frame));
		assert_int_equal(net_packet_checksums_right(&p, frame, false), v4 != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp4_byte_by_byte),
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_segmentation),
		cmocka_unit_test(test_udp_zero_checksum),
		cmocka_unit_test(test_control_segments),
		cmocka_unit_test(test_hostile_frames),
		cmocka_unit_test(test_parse_says_what_it_is),
		cmocka_unit_test(test_no_udp_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
