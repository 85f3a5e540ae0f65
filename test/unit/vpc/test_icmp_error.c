#include "../cmocka_all.h"

#include <netinet/in.h>

#include "golden/packets.inc"
#include "packet_rig.h"
#include "vpc/icmp_error.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"

/* Room as the contract has it, and nothing behind it. */
struct answer {
	uint8_t *buffer;
	struct packet p;
};

static void answer_make(struct answer *a, uint16_t headroom_bytes)
{
	a->buffer = malloc(PACKET_HEAD_BYTES);
	assert_non_null(a->buffer);
	memset(a->buffer, 0xa5, PACKET_HEAD_BYTES);
	a->p = (struct packet){.head = a->buffer + headroom_bytes, .headroom_bytes = headroom_bytes};
}

static bool build(struct answer *a, const struct packet *about, enum icmp_error_kind kind, const char *from, uint32_t mtu)
{
	struct net_address address;

	assert_int_equal(net_address_parse(from, &address), 0);
	return icmp_error_build(&a->p, about, kind, &address, mtu);
}

static void make_parsed(struct rig_packet *r, const uint8_t *frame, uint32_t size)
{
	rig_packet_make(r, frame, size, PACKET_HEAD_MIN_BYTES, 0);
	r->p.flags = PACKET_CSUM_VALID;
	assert_int_equal(packet_parse(&r->p), DROP_NONE);
}

static void assert_error(const uint8_t *about, uint32_t about_size, enum icmp_error_kind kind, const char *from,
			 const uint8_t *expected, uint32_t expected_size)
{
	struct rig_packet r;
	struct answer a;

	make_parsed(&r, about, about_size);
	answer_make(&a, PACKET_HEADROOM_BYTES);
	assert_true(build(&a, &r.p, kind, from, 1400));
	assert_int_equal(packet_bytes(&a.p), expected_size);
	assert_memory_equal(a.p.head, expected, expected_size);
	assert_true(a.p.layers.icmp_error);
	assert_int_equal(a.p.flags, PACKET_CSUM_VALID);
	free(a.buffer);
	rig_packet_free(&r);
}

#define GOLDEN(name) golden_##name, sizeof(golden_##name)

static void test_as_scapy(void **state)
{
	(void)state;
	assert_error(GOLDEN(udp4), ICMP_ERROR_TOO_BIG, "10.0.0.1", GOLDEN(too_big4));
	assert_error(GOLDEN(tcp6), ICMP_ERROR_TOO_BIG, "fd00::1", GOLDEN(too_big6));
	assert_error(GOLDEN(tcp6), ICMP_ERROR_TTL, "fd00::1", GOLDEN(ttl6));
}

/* Quoted as its first segment, whose length and checksum scapy made. The transport checksum is not complete yet: as it is. */
static void test_gso_quoted_as_first_segment(void **state)
{
	uint8_t expected[sizeof(golden_too_big4_tso)];
	struct rig_packet r;
	struct answer a;

	(void)state;
	rig_packet_make(&r, golden_tso4, sizeof(golden_tso4), 256, 0);
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.gso = PACKET_GSO_TCP4;
	r.p.gso_size = 1001;
	r.p.csum_start = 34;
	r.p.csum_offset = TCP_CHECKSUM_AT;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	answer_make(&a, PACKET_HEADROOM_BYTES);
	assert_true(build(&a, &r.p, ICMP_ERROR_TOO_BIG, "10.0.0.1", 1400));
	assert_int_equal(a.p.head_bytes, PACKET_HEAD_MIN_BYTES);
	memcpy(expected, golden_too_big4_tso, sizeof(expected));
	assert_int_equal(a.p.head_bytes, sizeof(expected));
	memcpy(expected + 42 + 20 + TCP_CHECKSUM_AT, golden_tso4 + 34 + TCP_CHECKSUM_AT, 2);
	memcpy(expected + 36, a.p.head + 36, 2); /* and with it the error's own checksum, which is judged by itself */
	assert_memory_equal(a.p.head, expected, sizeof(expected));
	assert_int_equal(rig_sum(0, a.p.head + 34, a.p.head_bytes - 34u), 0xffff);
	free(a.buffer);
	rig_packet_free(&r);
}

static void test_uso_quoted_as_first_segment(void **state)
{
	struct rig_packet r;
	struct answer a;

	(void)state;
	rig_packet_make(&r, golden_uso4, sizeof(golden_uso4), 256, 0);
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.gso = PACKET_GSO_UDP;
	r.p.gso_size = 300;
	r.p.csum_start = 34;
	r.p.csum_offset = UDP_CHECKSUM_AT;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	answer_make(&a, PACKET_HEADROOM_BYTES);
	assert_true(build(&a, &r.p, ICMP_ERROR_TOO_BIG, "10.0.0.1", 68));
	assert_int_equal(get_be16(a.p.head + 42 + 2), 328);
	assert_int_equal(get_be16(a.p.head + 62 + 4), 308);
	assert_true(rig_ipv4_right(a.p.head + 42));
	free(a.buffer);
	rig_packet_free(&r);
}

static void test_kinds(void **state)
{
	static const struct {
		enum icmp_error_kind kind;
		uint8_t four[2], six[2];
	} kinds[] = {
		{ICMP_ERROR_TOO_BIG, {3, 4}, {2, 0}},
		{ICMP_ERROR_TTL, {11, 0}, {3, 0}},
		{ICMP_ERROR_ADMIN, {3, 13}, {1, 1}},
		{ICMP_ERROR_NO_ROUTE, {3, 0}, {1, 0}},
	};
	struct rig_packet four, six;
	struct answer a;

	(void)state;
	make_parsed(&four, golden_tcp4, sizeof(golden_tcp4));
	make_parsed(&six, golden_tcp6, sizeof(golden_tcp6));
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		answer_make(&a, 0);
		assert_true(build(&a, &four.p, kinds[i].kind, "10.0.0.1", 70000));
		assert_memory_equal(a.p.head + 34, kinds[i].four, 2);
		assert_int_equal(get_be16(a.p.head + 38), 0);
		assert_int_equal(get_be16(a.p.head + 40), kinds[i].kind == ICMP_ERROR_TOO_BIG ? 65535 : 0);
		assert_true(rig_ipv4_right(a.p.head + 14));
		assert_int_equal(rig_sum(0, a.p.head + 34, a.p.head_bytes - 34u), 0xffff);
		free(a.buffer);
		answer_make(&a, 16);
		assert_true(build(&a, &six.p, kinds[i].kind, "fd00::1", 70000));
		assert_memory_equal(a.p.head + 54, kinds[i].six, 2);
		assert_int_equal(get_be32(a.p.head + 58), kinds[i].kind == ICMP_ERROR_TOO_BIG ? 70000 : 0);
		assert_true(rig_upper_right(a.p.head + 14, a.p.head_bytes - 14u, 40, IPPROTO_ICMPV6));
		free(a.buffer);
	}
	rig_packet_free(&four);
	rig_packet_free(&six);
}

/* Of a long packet as much as fits into the room; of a padded one nothing behind its end. */
static void test_quote_length(void **state)
{
	uint8_t padded[60];
	struct rig_packet r;
	struct answer a;

	(void)state;
	make_parsed(&r, golden_udp4_big, sizeof(golden_udp4_big));
	for (uint16_t headroom = 0; headroom <= PACKET_HEADROOM_BYTES; headroom += 64) {
		uint32_t room = PACKET_HEAD_BYTES - headroom, there = 42 + r.p.head_bytes - 14;

		answer_make(&a, headroom);
		assert_true(build(&a, &r.p, ICMP_ERROR_ADMIN, "10.0.0.1", 0));
		assert_int_equal(a.p.head_bytes, room < there ? room : there);
		assert_memory_equal(a.p.head + 42, golden_udp4_big + 14, a.p.head_bytes - 42u);
		free(a.buffer);
	}
	rig_packet_free(&r);
	memset(padded, 0xee, sizeof(padded));
	memcpy(padded, golden_udp4_no_checksum, sizeof(golden_udp4_no_checksum));
	make_parsed(&r, padded, sizeof(padded));
	answer_make(&a, PACKET_HEADROOM_BYTES);
	assert_true(build(&a, &r.p, ICMP_ERROR_ADMIN, "10.0.0.1", 0));
	assert_int_equal(a.p.head_bytes, 42 + 29);
	free(a.buffer);
	rig_packet_free(&r);
}

/* Spoiled at one place (the IPv4 checksum is not looked at), is it answered? */
static bool answered(const uint8_t *frame, uint32_t size, unsigned at, const void *bytes, unsigned count)
{
	bool v4 = frame[14] >> 4 == 4, is;
	uint8_t spoiled[2048];
	struct rig_packet r;
	struct answer a;

	memcpy(spoiled, frame, size);
	memcpy(spoiled + at, bytes, count);
	make_parsed(&r, spoiled, size);
	answer_make(&a, PACKET_HEADROOM_BYTES);
	is = build(&a, &r.p, ICMP_ERROR_TTL, v4 ? "10.0.0.1" : "fd00::1", 0);
	free(a.buffer);
	rig_packet_free(&r);
	return is;
}

#define ANSWERED(name, at, ...) answered(GOLDEN(name), at, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_silence(void **state)
{
	(void)state;
	assert_true(ANSWERED(tcp4, 0, 2));
	assert_false(ANSWERED(tcp4, 0, 3));	      /* to a group of stations */
	assert_false(ANSWERED(tcp4, 26, 0, 0, 0, 0)); /* sources that are no host */
	assert_false(ANSWERED(tcp4, 26, 127, 0, 0, 1));
	assert_false(ANSWERED(tcp4, 26, 224, 0, 0, 1));
	assert_false(ANSWERED(tcp4, 26, 255, 255, 255, 255));
	assert_false(ANSWERED(tcp4, 30, 224, 0, 0, 1)); /* destinations that are many */
	assert_false(ANSWERED(tcp4, 30, 255, 255, 255, 255));
	assert_true(ANSWERED(echo4, 34, 8));
	assert_false(ANSWERED(error4_udp, 34, 3)); /* errors about errors */
	assert_false(ANSWERED(error4_udp, 34, 5));
	assert_false(ANSWERED(error4_udp, 34, 11));
	assert_false(ANSWERED(error6_tcp, 54, 1));
	assert_false(ANSWERED(echo6, 54, 137)); /* RFC 4443 2.4 e.2: redirects */
	assert_true(ANSWERED(echo6, 54, 135));
	assert_true(ANSWERED(fragment6_first, 0, 2));
	assert_false(ANSWERED(fragment6_later, 0, 2));
	assert_true(ANSWERED(tcp6, 0, 2));
	assert_false(ANSWERED(tcp6, 22, 0xff));
	assert_false(ANSWERED(tcp6, 38, 0xff));
	assert_false(ANSWERED(tcp6, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_false(ANSWERED(tcp6, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
	assert_false(ANSWERED(arp, 0, 2));
}

static void test_families(void **state)
{
	struct rig_packet r;
	struct answer a;

	(void)state;
	make_parsed(&r, golden_tcp4, sizeof(golden_tcp4));
	answer_make(&a, PACKET_HEADROOM_BYTES);
	assert_false(build(&a, &r.p, ICMP_ERROR_TTL, "fd00::1", 0));
	free(a.buffer);
	rig_packet_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_scapy),
		cmocka_unit_test(test_gso_quoted_as_first_segment),
		cmocka_unit_test(test_uso_quoted_as_first_segment),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_quote_length),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
