/* ARP, neighbour discovery and DHCP, byte by byte, from both sides. */
#include <arpa/inet.h>
#include <string.h>

#include "cmocka_all.h"
#include "load/net_dhcp.h"
#include "load/net_neighbour.h"

static struct net_address address(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct frame_plan plan_of(const char *source, uint8_t last_of_mac)
{
	return (struct frame_plan){.source_mac = {{2, 0, 0, 0, 0, last_of_mac}}, .source = address(source), .vlan = FRAME_NO_VLAN};
}

static struct net_packet parse(const uint8_t *frame, uint32_t bytes)
{
	struct net_packet p;

	net_packet_parse(&p, frame, bytes, bytes);
	return p;
}

static void test_arp(void **state)
{
	static const uint8_t question[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0, 1, 8, 6, 0, 1, 8, 0,  6, 4, 0,
					   1,	 2,    0,    0,	   0,	 0,    1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9};
	static const uint8_t answer[] = {2, 0, 0, 0, 0, 1, 2, 0,  0, 0, 0, 7, 8, 6, 0, 1, 8, 0,	 6, 4, 0,
					 2, 2, 0, 0, 0, 0, 7, 10, 0, 0, 9, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
	struct frame_plan asking = plan_of("10.0.0.1", 1), answering = plan_of("10.0.0.7", 7);
	struct net_address target = address("10.0.0.9"), other = address("10.0.0.10");
	uint8_t frame[NET_NEIGHBOUR_BYTES_MAX], back[NET_NEIGHBOUR_BYTES_MAX];
	struct net_packet p;
	struct mac mac;

	(void)state;
	assert_int_equal(net_neighbour_ask(&asking, &target, frame), sizeof(question));
	assert_memory_equal(frame, question, sizeof(question));
	p = parse(frame, sizeof(question));
	assert_false(net_neighbour_learn(&p, &target, &mac));
	assert_int_equal(net_neighbour_answer(&answering, 2, &p, back), 0); /* it has .7 and .8 */
	assert_int_equal(net_neighbour_answer(&answering, 3, &p, back), sizeof(answer));
	assert_memory_equal(back, answer, sizeof(answer));
	p = parse(back, sizeof(answer));
	assert_int_equal(net_neighbour_answer(&asking, 100, &p, frame), 0); /* an answer is no question */
	assert_false(net_neighbour_learn(&p, &other, &mac));
	assert_true(net_neighbour_learn(&p, &target, &mac));
	assert_memory_equal(mac.bytes, "\2\0\0\0\0\7", 6);
	for (uint32_t bytes = 0; bytes < sizeof(answer); bytes++) {
		p = parse(back, bytes);
		assert_false(net_neighbour_learn(&p, &target, &mac));
	}
}

static void test_arp_is_tagged(void **state)
{
	struct frame_plan asking = plan_of("10.0.0.1", 1);
	struct net_address target = address("10.0.0.9");
	uint8_t frame[NET_NEIGHBOUR_BYTES_MAX];
	struct net_packet p;

	(void)state;
	asking.vlan = 0x123;
	assert_int_equal(net_neighbour_ask(&asking, &target, frame), 46);
	assert_memory_equal(frame + 12, "\x81\0\1\x23\x08\6", 6);
	p = parse(frame, 46);
	assert_int_equal(p.kind, NET_PACKET_ARP);
	asking.source = target;
	assert_int_equal(net_neighbour_answer(&asking, 1, &p, frame), 46);
}

static void test_neighbour_discovery(void **state)
{
	static const uint8_t
		question[] =
			{
				0x33, 0x33, 0xff, 0,	0, 9, 2, 0, 0, 0, 0,	1, 0x86, 0xdd, 0x60, 0, 0,    0,
				0,    32,   58,	  255, /* to the IPv6 addresses */
				0x20, 1,    0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0,	0, 0,	 0,    0,    1, 0xff, 2,
				0,    0,    0,	  0,	0, 0, 0, 0, 0, 1, 0xff, 0, 0,	 9,    135,  0, /* and the checksum, then */
			};
	struct frame_plan asking = plan_of("2001:db8::1", 1), answering = plan_of("2001:db8::7", 7);
	struct net_address target = address("2001:db8::9"), other = address("2001:db8::7");
	uint8_t frame[NET_NEIGHBOUR_BYTES_MAX], back[NET_NEIGHBOUR_BYTES_MAX];
	struct net_address source, to;
	struct net_packet p;
	struct mac mac;
	uint32_t bytes;

	(void)state;
	bytes = net_neighbour_ask(&asking, &target, frame);
	assert_int_equal(bytes, 14 + 40 + 32);
	assert_memory_equal(frame, question, sizeof(question));
	assert_memory_equal(frame + 54 + 8, target.bytes, 16);
	assert_memory_equal(frame + 54 + 24, "\1\1\2\0\0\0\0\1", 8);
	p = parse(frame, bytes);
	source = net_packet_source(&p);
	to = net_packet_destination(&p);
	assert_int_equal(net_checksum_fold(net_checksum_add(frame_pseudo_sum(&source, &to, IPPROTO_ICMPV6, 32), frame + 54, 32)),
			 0xffff);
	assert_int_equal(net_neighbour_answer(&answering, 2, &p, back), 0);
	assert_int_equal(net_neighbour_answer(&answering, 3, &p, back), bytes);
	assert_memory_equal(back, "\2\0\0\0\0\1\2\0\0\0\0\7\x86\xdd", 14);
	assert_memory_equal(back + 54, "\x88\0", 2);
	assert_memory_equal(back + 54 + 4, "\x60\0\0\0", 4);
	assert_memory_equal(back + 54 + 24, "\2\1\2\0\0\0\0\7", 8);
	p = parse(back, bytes);
	assert_false(net_neighbour_learn(&p, &other, &mac));
	assert_true(net_neighbour_learn(&p, &target, &mac));
	assert_memory_equal(mac.bytes, "\2\0\0\0\0\7", 6);
	back[14 + 7] = 254; /* it came through a router: RFC 4861, 7.1.2 */
	assert_false(net_neighbour_learn(&p, &target, &mac));
	/* Somebody asks whether the address is free: everybody hears the answer. */
	memset(frame + 14 + 8, 0, 16);
	p = parse(frame, bytes);
	assert_int_equal(net_neighbour_answer(&answering, 3, &p, back), bytes);
	assert_memory_equal(back, "\x33\x33\0\0\0\1", 6);
	assert_memory_equal(back + 14 + 24, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	assert_int_equal(net_neighbour_answer(&asking, 1, &p, back), 0);
}

/* A server's message to the client of `request`, which is a frame of net_dhcp_build(). */
static uint32_t serve(const uint8_t *request, uint8_t type, const uint8_t *options, uint32_t option_bytes, uint8_t *frame)
{
	struct frame_plan plan = plan_of("10.0.0.254", 0xfe);
	uint32_t bytes = 8 + 240 + 3 + option_bytes + 1, at;
	uint8_t *m;

	plan.destination = address("255.255.255.255");
	plan.protocol = IPPROTO_UDP;
	at = frame_build_ip(frame, &plan, 64, bytes);
	memset(frame + at, 0, bytes);
	memcpy(frame + at, "\0\x43\0\x44", 4);
	frame_put16(frame + at + 4, htons((uint16_t)bytes));
	m = frame + at + 8;
	memcpy(m, request + 42, 240); /* transaction, hardware address, cookie */
	m[0] = 2;
	memcpy(m + 16, "\xa\0\0\5", 4);
	m[240] = 53;
	m[241] = 1;
	m[242] = type;
	memcpy(m + 243, options, option_bytes);
	m[243 + option_bytes] = 255;
	return at + bytes;
}

static const uint8_t told[] = {54, 4, 10, 0, 0, 254, 1, 4, 255, 255, 255, 0, 0, 3, 8, 10, 0, 0, 1, 10, 0, 0, 2, 26, 2, 0x22, 0xb0};

static void test_dhcp(void **state)
{
	const struct mac mac = {{2, 0, 0, 0, 0, 5}};
	uint8_t frame[NET_DHCP_BYTES_MAX], answer[600];
	struct net_dhcp dhcp;
	struct net_packet p;
	uint32_t bytes, request;

	(void)state;
	net_dhcp_start(&dhcp, &mac, FRAME_NO_VLAN, 0x04030201);
	request = net_dhcp_build(&dhcp, frame);
	p = parse(frame, request);
	assert_int_equal(p.kind, NET_PACKET_UDP);
	assert_true(net_packet_checksums_right(&p, frame, false));
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\5\x08\0", 14);
	assert_memory_equal(frame + 26, "\0\0\0\0\xff\xff\xff\xff\0\x44\0\x43", 12);
	assert_memory_equal(frame + 42, "\1\1\6\0\1\2\3\4", 8);
	assert_memory_equal(frame + 42 + 28, mac.bytes, 6);
	assert_memory_equal(frame + 42 + 236, "\x63\x82\x53\x63\x35\1\1\x37\3\1\3\x1a\xff", 13);
	assert_false(net_dhcp_take(&dhcp, &p)); /* its own */
	bytes = serve(frame, 5, told, sizeof(told), answer);
	p = parse(answer, bytes);
	assert_false(net_dhcp_take(&dhcp, &p)); /* an ACK of what was not asked */
	bytes = serve(frame, 2, told, sizeof(told), answer);
	p = parse(answer, bytes);
	assert_true(net_dhcp_take(&dhcp, &p));
	assert_int_equal(dhcp.state, DHCP_REQUESTING);
	request = net_dhcp_build(&dhcp, frame);
	assert_memory_equal(frame + 42 + 240, "\x35\1\3\x32\4\xa\0\0\5\x36\4\xa\0\0\xfe\x37\3\1\3\x1a\xff", 21);
	bytes = serve(frame, 5, told, sizeof(told), answer);
	p = parse(answer, bytes);
	assert_true(net_dhcp_take(&dhcp, &p));
	assert_int_equal(dhcp.state, DHCP_BOUND);
	assert_int_equal(ntohl(dhcp.address), 0x0a000005);
	assert_int_equal(ntohl(dhcp.mask), 0xffffff00);
	assert_int_equal(ntohl(dhcp.router), 0x0a000001);
	assert_int_equal(dhcp.mtu, 8880);
	assert_false(net_dhcp_take(&dhcp, &p));
}

static void test_dhcp_refuses(void **state)
{
	const struct mac mac = {{2, 0, 0, 0, 0, 5}};
	uint8_t frame[NET_DHCP_BYTES_MAX], answer[600];
	struct net_dhcp dhcp;
	struct net_packet p;
	uint32_t bytes;

	(void)state;
	net_dhcp_start(&dhcp, &mac, FRAME_NO_VLAN, 9);
	net_dhcp_build(&dhcp, frame);
	bytes = serve(frame, 2, told, sizeof(told), answer);
	for (uint32_t cut = 0; cut < bytes; cut++) { /* the head is shorter than the message */
		net_packet_parse(&p, answer, cut, bytes);
		assert_false(net_dhcp_take(&dhcp, &p));
	}
	for (unsigned i = 0; i < 3; i++) { /* another's transaction, another's MAC, no cookie */
		static const unsigned at[] = {42 + 4, 42 + 28, 42 + 236};

		answer[at[i]] ^= 1;
		p = parse(answer, bytes);
		assert_false(net_dhcp_take(&dhcp, &p));
		answer[at[i]] ^= 1;
	}
	bytes = serve(frame, 2, told + 6, sizeof(told) - 6, answer); /* no server identifier */
	p = parse(answer, bytes);
	assert_false(net_dhcp_take(&dhcp, &p));
	bytes = serve(frame, 2, (const uint8_t *)"\x36\xc8\1", 3, answer); /* an option beyond the end */
	p = parse(answer, bytes);
	assert_false(net_dhcp_take(&dhcp, &p));
	bytes = serve(frame, 2, told, sizeof(told), answer);
	p = parse(answer, bytes);
	assert_true(net_dhcp_take(&dhcp, &p));
	bytes = serve(frame, 6, told, sizeof(told), answer); /* a NAK: from the beginning */
	p = parse(answer, bytes);
	assert_true(net_dhcp_take(&dhcp, &p));
	assert_int_equal(dhcp.state, DHCP_DISCOVERING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp),  cmocka_unit_test(test_arp_is_tagged), cmocka_unit_test(test_neighbour_discovery),
		cmocka_unit_test(test_dhcp), cmocka_unit_test(test_dhcp_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
