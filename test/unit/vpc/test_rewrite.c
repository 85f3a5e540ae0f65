#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "golden/packets.inc"
#include "packet_rig.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"

typedef void set_fn(struct packet *p, const struct net_address *address, uint16_t port);

static struct net_address address_of(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static void make_parsed(struct rig_packet *r, const uint8_t *frame, uint32_t size)
{
	rig_packet_make(r, frame, size, PACKET_HEAD_MIN_BYTES, 0);
	assert_int_equal(packet_parse(&r->p), DROP_NONE);
}

/* The change, as scapy makes it; and layers as a new parse finds them. */
static void assert_rewrite(const uint8_t *before, uint32_t before_size, const uint8_t *after, uint32_t after_size, set_fn *set,
			   const char *address, uint16_t port)
{
	struct net_address a = address_of(address);
	struct packet_layers layers;
	struct rig_packet r;

	assert_int_equal(before_size, after_size);
	make_parsed(&r, before, before_size);
	set(&r.p, &a, htons(port));
	assert_memory_equal(r.p.head, after, r.p.head_bytes);
	layers = r.p.layers;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	assert_memory_equal(&layers, &r.p.layers, sizeof(layers));
	rig_packet_free(&r);
}

#define ASSERT_REWRITE(before, after, set, address, port)                                                                          \
	assert_rewrite(golden_##before, sizeof(golden_##before), golden_##after, sizeof(golden_##after), set, address, port)

static void test_sums(void **state)
{
	uint8_t bytes[200];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (unsigned from = 0; from < 9; from++)
		for (unsigned size = 0; from + size <= sizeof(bytes); size++)
			assert_int_equal(ntohs(checksum_of(bytes + from, size)), rig_sum(0, bytes + from, size));
	memset(bytes, 0xff, sizeof(bytes)); /* every addition carries */
	assert_int_equal(checksum_of(bytes, sizeof(bytes)), 0xffff);
	assert_int_equal(checksum_of(bytes, 0), 0);
}

static void test_fold(void **state)
{
	(void)state;
	assert_int_equal(checksum_fold(0), 0);
	assert_int_equal(checksum_fold(0x10000), 1);
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(0x1fffeffff), 0xffff);
	assert_int_equal(checksum_fold(0xffff0001), 1);
	for (uint64_t sum = 1; sum != 0; sum <<= 1) /* a power of two lies in one place, 16 bits apart */
		assert_int_equal(checksum_fold(sum), 1 << (__builtin_ctzll(sum) % 16));
}

static void test_sum_over_parts(void **state)
{
	uint8_t frame[400];
	struct rig_packet r;

	(void)state;
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 101 + i / 256);
	for (unsigned part = 1; part < 70; part += 3) {
		rig_packet_make(&r, frame, sizeof(frame), 91, part);
		for (uint32_t offset = 0; offset < sizeof(frame); offset += 7)
			for (uint32_t size = 0; offset + size <= sizeof(frame); size += 13)
				assert_int_equal(ntohs(checksum_of_packet(&r.p, offset, size)), rig_sum(0, frame + offset, size));
		rig_packet_free(&r);
	}
}

static void test_nat(void **state)
{
	(void)state;
	ASSERT_REWRITE(tcp4, tcp4_source_nat, packet_set_source, "203.0.113.9", 61000);
	ASSERT_REWRITE(tcp4, tcp4_destination_nat, packet_set_destination, "203.0.113.9", 8080);
	ASSERT_REWRITE(tcp4_destination_nat, tcp4, packet_set_destination, "10.0.1.7", 80);
	ASSERT_REWRITE(udp4, udp4_source_nat, packet_set_source, "203.0.113.9", 61000);
	ASSERT_REWRITE(udp4_no_checksum, udp4_no_checksum_nat, packet_set_source, "203.0.113.9", 9);
	ASSERT_REWRITE(tcp6, tcp6_destination_nat, packet_set_destination, "2001:db8::9", 8443);
	ASSERT_REWRITE(udp6_extensions, udp6_extensions_source_nat, packet_set_source, "2001:db8::9", 61000);
	ASSERT_REWRITE(echo4, echo4_source_nat, packet_set_source, "203.0.113.9", 0xbeef);
	ASSERT_REWRITE(echo6, echo6_source_nat, packet_set_source, "2001:db8::9", 0xbeef);
}

static void test_nat_in_errors(void **state)
{
	(void)state;
	ASSERT_REWRITE(error4_udp, error4_udp_source_nat, packet_set_embedded_source, "203.0.113.9", 61000);
	ASSERT_REWRITE(error4_udp, error4_udp_destination_nat, packet_set_embedded_destination, "203.0.113.9", 5300);
	ASSERT_REWRITE(error4_tcp_short, error4_tcp_short_source_nat, packet_set_embedded_source, "203.0.113.9", 61000);
	ASSERT_REWRITE(error4_echo, error4_echo_source_nat, packet_set_embedded_source, "203.0.113.9", 0xbeef);
	ASSERT_REWRITE(error6_tcp, error6_tcp_destination_nat, packet_set_embedded_destination, "2001:db8::9", 8443);
	ASSERT_REWRITE(error6_extensions, error6_extensions_source_nat, packet_set_embedded_source, "2001:db8::9", 61000);
}

/* An error that quotes too little stays as it is. */
static void test_nat_in_errors_without_quote(void **state)
{
	struct net_address a = address_of("203.0.113.9");
	uint8_t frame[sizeof(golden_error4_tcp_short)], before[sizeof(frame)];
	struct rig_packet r;

	(void)state;
	memcpy(frame, golden_error4_tcp_short, sizeof(frame));
	put_be16(frame + 16, 28 + 27);
	rig_packet_make(&r, frame, 14 + 28 + 27, PACKET_HEAD_MIN_BYTES, 0);
	r.p.flags = PACKET_CSUM_VALID;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	memcpy(before, r.p.head, r.p.head_bytes);
	packet_set_embedded_source(&r.p, &a, 1);
	assert_memory_equal(before, r.p.head, r.p.head_bytes);
	rig_packet_free(&r);
}

/* Only the addresses of a later fragment, and of protocols without ports, change. */
static void test_nat_without_ports(void **state)
{
	struct net_address a = address_of("203.0.113.9");
	uint8_t frame[sizeof(golden_udp4)];
	struct rig_packet r;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		memcpy(frame, golden_udp4, sizeof(frame));
		if (round == 0)
			put_be16(frame + 14 + 6, 16);
		else
			frame[14 + 9] = IPPROTO_ESP;
		put_be16(frame + 14 + IPV4_CHECKSUM_AT, 0);
		put_be16(frame + 14 + IPV4_CHECKSUM_AT, (uint16_t)~rig_sum(0, frame + 14, 20));
		make_parsed(&r, frame, sizeof(frame));
		packet_set_source(&r.p, &a, htons(9));
		packet_set_destination(&r.p, &a, htons(9));
		assert_true(rig_ipv4_right(r.p.head + 14));
		assert_int_equal(r.p.layers.source_port, 0);
		assert_memory_equal(r.p.head + 26, r.p.head + 30, 4);
		assert_memory_equal(r.p.head + 34, frame + 34, r.p.head_bytes - 34);
		rig_packet_free(&r);
	}
}

/* A partial checksum holds the pseudo header's sum: after NAT it holds the new one's, and is right once completed. */
static void assert_partial_nat(const uint8_t *frame, uint32_t size, const char *address, uint16_t csum_start, uint16_t csum_offset)
{
	struct net_address a = address_of(address);
	uint8_t flat[2048];
	struct rig_packet r;

	for (unsigned head = 96; head < 99; head++) { /* the tail begins at odd and even offsets */
		rig_packet_make(&r, frame, size, head, 5);
		assert_int_equal(packet_parse(&r.p), DROP_NONE);
		checksum_store(r.p.head + csum_start + csum_offset, checksum_pseudo(&r.p.layers.source, &r.p.layers.destination,
										    r.p.layers.protocol, size - csum_start));
		r.p.flags = PACKET_NEEDS_CSUM;
		r.p.csum_start = csum_start;
		r.p.csum_offset = csum_offset;
		packet_set_source(&r.p, &a, htons(4444));
		packet_set_destination(&r.p, &a, htons(5555));
		assert_int_equal(r.p.flags, PACKET_NEEDS_CSUM);
		packet_checksum_complete(&r.p);
		assert_int_equal(r.p.flags, 0);
		rig_packet_flatten(&r.p, flat);
		assert_true(rig_upper_right(flat + 14, size - 14, csum_start - 14u, r.p.layers.protocol));
		packet_checksum_complete(&r.p); /* once is enough */
		assert_memory_equal(flat, r.p.head, r.p.head_bytes);
		rig_packet_free(&r);
	}
}

static void test_partial_checksums(void **state)
{
	(void)state;
	assert_partial_nat(golden_tcp4, sizeof(golden_tcp4), "203.0.113.9", 34, TCP_CHECKSUM_AT);
	assert_partial_nat(golden_udp4_big, sizeof(golden_udp4_big), "203.0.113.9", 34, UDP_CHECKSUM_AT);
	assert_partial_nat(golden_tcp6, sizeof(golden_tcp6), "2001:db8::9", 54, TCP_CHECKSUM_AT);
}

/* UDP: a sum of zero is written as ffff, for zero says that there is none (RFC 768). */
static void test_udp_zero(void **state)
{
	uint8_t frame[sizeof(golden_udp4)];
	struct net_address source;
	struct rig_packet r;

	(void)state;
	memcpy(frame, golden_udp4, sizeof(frame));
	make_parsed(&r, frame, sizeof(frame));
	source = r.p.layers.source;
	/* The port that takes the checksum itself to nothing: HC' = ~(~HC + ~m + m'). */
	packet_set_source(
		&r.p, &source,
		(uint16_t)~checksum_fold((uint64_t)(uint16_t)~checksum_load(frame + 40) + (uint16_t)~r.p.layers.source_port));
	assert_int_equal(checksum_load(r.p.head + 40), 0xffff);
	assert_true(rig_upper_right(r.p.head + 14, sizeof(frame) - 14, 20, IPPROTO_UDP));
	rig_packet_free(&r);

	make_parsed(&r, frame, sizeof(frame)); /* the same where it is completed */
	checksum_store(r.p.head + 40, 0);
	checksum_store(r.p.head + 40, (uint16_t)~checksum_of(r.p.head + 34, sizeof(frame) - 34));
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.csum_start = 34;
	r.p.csum_offset = 6;
	packet_checksum_complete(&r.p);
	assert_int_equal(checksum_load(r.p.head + 40), 0xffff);
	rig_packet_free(&r);
}

static void test_ttl(void **state)
{
	struct rig_packet r;

	(void)state;
	make_parsed(&r, golden_tcp4, sizeof(golden_tcp4));
	for (unsigned ttl = 17; ttl > 1; ttl--) {
		assert_true(packet_decrement_ttl(&r.p));
		assert_int_equal(r.p.head[14 + 8], ttl - 1);
		assert_int_equal(r.p.layers.ttl, ttl - 1);
		assert_true(rig_ipv4_right(r.p.head + 14));
	}
	assert_false(packet_decrement_ttl(&r.p));
	assert_int_equal(r.p.head[14 + 8], 1);
	rig_packet_free(&r);
	make_parsed(&r, golden_tcp6, sizeof(golden_tcp6));
	assert_true(packet_decrement_ttl(&r.p));
	assert_int_equal(r.p.head[14 + 7], 8);
	rig_packet_free(&r);
}

/* Every value that the checksum field can have: the carry is right in all of them. */
static void test_ttl_carry(void **state)
{
	struct rig_packet r;

	(void)state;
	make_parsed(&r, golden_tcp4, sizeof(golden_tcp4));
	for (unsigned id = 0; id <= UINT16_MAX; id++) {
		uint8_t *ip = r.p.head + 14;

		put_be16(ip + 4, (uint16_t)id);
		ip[8] = r.p.layers.ttl = 64;
		put_be16(ip + IPV4_CHECKSUM_AT, 0);
		put_be16(ip + IPV4_CHECKSUM_AT, (uint16_t)~rig_sum(0, ip, 20));
		assert_true(packet_decrement_ttl(&r.p));
		assert_true(rig_ipv4_right(ip));
	}
	rig_packet_free(&r);
}

static void test_macs(void **state)
{
	const struct mac a = {{2, 1, 1, 1, 1, 1}}, b = {{2, 2, 2, 2, 2, 2}};
	struct rig_packet r;

	(void)state;
	make_parsed(&r, golden_tcp4, sizeof(golden_tcp4));
	packet_set_macs(&r.p, &a, &b);
	assert_memory_equal(r.p.head, a.bytes, 6);
	assert_memory_equal(r.p.head + 6, b.bytes, 6);
	assert_memory_equal(r.p.head + 12, golden_tcp4 + 12, r.p.head_bytes - 12);
	rig_packet_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_sum_over_parts),
		cmocka_unit_test(test_nat),
		cmocka_unit_test(test_nat_in_errors),
		cmocka_unit_test(test_nat_in_errors_without_quote),
		cmocka_unit_test(test_nat_without_ports),
		cmocka_unit_test(test_partial_checksums),
		cmocka_unit_test(test_udp_zero),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_ttl_carry),
		cmocka_unit_test(test_macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
