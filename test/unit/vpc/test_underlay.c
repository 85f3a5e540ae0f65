/* The card on its wire: ARP, discovery, pings; who is asked for, when, and what is believed. */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>

#include "pipeline_rig.h"
#include "vpc/parse.h"
#include "vpc/tunnel.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

struct arp {
	uint8_t operation;
	struct mac sender_mac;
	uint8_t sender[4], target[4];
};

static enum drop_reason arp_in(struct pipeline_rig *rig, const struct arp *a)
{
	uint8_t frame[60] = {[0 ... 5] = 0xff, [12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, a->operation};

	memcpy(frame + 6, a->sender_mac.bytes, 6);
	memcpy(frame + 22, a->sender_mac.bytes, 6);
	memcpy(frame + 28, a->sender, 4);
	memcpy(frame + 38, a->target, 4);
	return rig_wire_raw(rig, frame, sizeof(frame));
}

static unsigned count_arp(struct pipeline_rig *rig, uint8_t operation, const uint8_t target[4], bool broadcast)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rig->wire->frame_count; i++) {
		const uint8_t *f = rig->wire->frames[i].bytes;

		count += get_be16(f + 12) == 0x0806 && f[21] == operation && memcmp(f + 38, target, 4) == 0 &&
			 (f[0] == 0xff) == broadcast;
	}
	return count;
}

static const uint8_t own[4] = {192, 0, 2, 1}, other[4] = {192, 0, 2, 2}, eip_a[4] = {198, 51, 100, 10},
		     stranger[4] = {192, 0, 2, 77};
static const struct mac stranger_mac = {{2, 0, 0, 0, 9, 9}};

static void test_answers_arp(void **state)
{
	struct pipeline_rig *rig = *state;
	struct arp a = {.operation = 1, .sender_mac = stranger_mac, .sender = {192, 0, 2, 77}, .target = {192, 0, 2, 1}};
	const uint8_t *f;

	assert_int_equal(arp_in(rig, &a), DROP_ANSWERED);
	f = rig_wire_last(rig)->bytes;
	assert_memory_equal(f, stranger_mac.bytes, 6);
	assert_int_equal(f[21], 2);
	assert_memory_equal(f + 22, rig->wire->wire.mac.bytes, 6);
	assert_memory_equal(f + 28, own, 4);
	assert_memory_equal(f + 38, stranger, 4);
	/* For public addresses too; for others not. */
	memcpy(a.target, eip_a, 4);
	arp_in(rig, &a);
	assert_memory_equal(rig_wire_last(rig)->bytes + 28, eip_a, 4);
	rig_clear(rig);
	a.target[3] = 99;
	arp_in(rig, &a);
	assert_int_equal(rig->wire->frame_count, 0);
	/* An announcement is nobody's question; an unknown operation is none. */
	memcpy(a.target, a.sender, 4);
	arp_in(rig, &a);
	memcpy(a.target, own, 4);
	a.operation = 9;
	arp_in(rig, &a);
	assert_int_equal(rig->wire->frame_count, 0);
}

static void test_announces(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec eip = spec_eip("eip-c", "198.51.100.12", NET_ENI, "c", "10.0.2.12");

	rig_begin(&rig->model);
	rig_put(&rig->model, &eip);
	rig_apply(rig);
	rig_advance(rig, 10);
	assert_int_equal(count_arp(rig, 1, (uint8_t[]){198, 51, 100, 12}, true), 1);
	assert_int_equal(count_arp(rig, 1, eip_a, true), 0); /* was said before */
}

/* Hosts are asked for when the policy comes, again and ever slower while they do not answer, and before their time runs out. */
static void test_asks_for_hosts(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec host = spec_host("third", "192.0.2.3");
	const uint8_t third[4] = {192, 0, 2, 3};
	struct arp answer = {
		.operation = 2, .sender_mac = {{2, 0, 0, 0, 3, 3}}, .sender = {192, 0, 2, 3}, .target = {192, 0, 2, 1}};
	unsigned asked;

	rig_begin(&rig->model);
	rig_put(&rig->model, &host);
	rig_apply(rig);
	rig_advance(rig, 1);
	assert_int_equal(count_arp(rig, 1, third, true), 1);
	rig_advance(rig, 20000);
	asked = count_arp(rig, 1, third, true);
	assert_in_range(asked, 4, 6); /* at 0, 1, 3, 7, 15 s */
	arp_in(rig, &answer);
	rig_clear(rig);
	rig_advance(rig, 28000);
	assert_int_equal(count_arp(rig, 1, third, false), 0);
	rig_advance(rig, 2500);
	assert_in_range(count_arp(rig, 1, third, false), 1, 2); /* by unicast */
	arp_in(rig, &answer);
	rig_clear(rig);
	rig_advance(rig, 40000); /* silence: three questions, and then everybody */
	assert_int_equal(count_arp(rig, 1, third, false), 3);
	assert_in_range(count_arp(rig, 1, third, true), 1, 4);
}

static void test_packets_wait_for_nobody(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec host = spec_host("third", "192.0.2.3"), s = spec_eni("s", "near", 30, "10.0.1.30", NULL);
	struct arp answer = {
		.operation = 2, .sender_mac = {{2, 0, 0, 0, 3, 3}}, .sender = {192, 0, 2, 3}, .target = {192, 0, 2, 1}};
	struct words w = {.source = "10.0.1.10", .destination = "10.0.1.30", .protocol = IPPROTO_UDP};

	spec_eni_remote(&s, "third");
	rig_begin(&rig->model);
	rig_put(&rig->model, &host);
	rig_put(&rig->model, &s);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_HOST);
	arp_in(rig, &answer);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_memory_equal(rig_wire_last(rig)->bytes, answer.sender_mac.bytes, 6);
	/* The host has another card now, and says so. */
	answer.sender_mac.bytes[5] = 4;
	arp_in(rig, &answer);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_memory_equal(rig_wire_last(rig)->bytes, answer.sender_mac.bytes, 6);
}

static void test_believes_only_what_it_asked(void **state)
{
	struct pipeline_rig *rig = *state;
	struct arp a = {.operation = 2, .sender_mac = stranger_mac, .sender = {192, 0, 2, 77}, .target = {192, 0, 2, 1}};
	struct words w = {.source = "10.0.1.10", .destination = "192.0.2.77", .protocol = IPPROTO_UDP};

	arp_in(rig, &a);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_HOST); /* was not remembered */
	assert_int_equal(count_arp(rig, 1, stranger, true), 1);
	a.sender_mac.bytes[0] |= 1;
	arp_in(rig, &a);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_HOST); /* a group is nobody's address */
	a.sender_mac.bytes[0] &= 0xfe;
	arp_in(rig, &a);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_frame_addresses(rig_wire_last(rig)->bytes, "198.51.100.10", "192.0.2.77");
	assert_memory_equal(rig_wire_last(rig)->bytes, stranger_mac.bytes, 6);
}

/* A guest that scans the wire's network fills the table with unanswered questions, and does not push out who answered. Nor does it
 * have the card shout at all others as often as it likes; the card's own questions are not among those. */
static void test_scan(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.10", .destination = "10.0.1.20", .protocol = IPPROTO_UDP};
	struct net_spec host = spec_host("third", "192.0.2.251");
	const uint8_t third[4] = {192, 0, 2, 251};
	unsigned asked = 0;
	char text[32];

	for (unsigned i = 3; i < 250; i++) {
		struct words scan = {.source = "10.0.1.10", .destination = text, .protocol = IPPROTO_UDP};

		snprintf(text, sizeof(text), "192.0.2.%u", i);
		assert_int_equal(rig_send(rig, "a", &scan), DROP_NO_HOST);
		asked += rig->wire->frame_count;
		fake_wire_forget(rig->wire);
	}
	assert_true(asked > 0 && asked < 100);
	rig_begin(&rig->model);
	rig_put(&rig->model, &host);
	rig_apply(rig);
	rig_advance(rig, 1);
	assert_int_equal(count_arp(rig, 1, third, true), 1);
	fake_wire_forget(rig->wire);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	rig_advance(rig, 1);
	assert_int_equal(count_arp(rig, 1, other, true), 0);
}

static void test_ping(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "203.0.113.7",
			  .destination = "192.0.2.1",
			  .protocol = IPPROTO_ICMP,
			  .icmp_type = 8,
			  .source_port = 3,
			  .payload_bytes = 33};
	unsigned answered = 0;
	uint8_t frame[256];
	uint32_t bytes;

	assert_int_equal(rig_wire(rig, &w), DROP_ANSWERED);
	assert_frame_addresses(rig_wire_last(rig)->bytes, "192.0.2.1", "203.0.113.7");
	assert_int_equal(rig_wire_last(rig)->bytes[34], 0);
	assert_true(frame_right(rig_wire_last(rig)->bytes));
	/* A broken one is not answered. */
	rig_clear(rig);
	w.to = rig->wire->wire.mac;
	w.from = stranger_mac;
	bytes = words_frame(&w, frame);
	frame[50] ^= 1;
	rig_wire_raw(rig, frame, bytes);
	assert_int_equal(rig->wire->frame_count, 0);
	/* UDP and TCP to the card itself: nobody is there. */
	w.protocol = IPPROTO_UDP;
	assert_int_equal(rig_wire(rig, &w), DROP_NOT_OURS);
	/* A flood is answered in part. */
	w.protocol = IPPROTO_ICMP;
	for (unsigned i = 0; i < 500; i++) {
		rig_wire(rig, &w);
		answered += rig->wire->frame_count;
		fake_wire_forget(rig->wire);
	}
	assert_in_range(answered, 64, 200);
	/* To somebody else's MAC. */
	w.to = stranger_mac;
	bytes = words_frame(&w, frame);
	assert_int_equal(rig_wire_raw(rig, frame, bytes), DROP_NOT_OURS);
}

/* ---- a wire of IPv6 ---- */

struct v6_rig {
	struct vpc *vpc;
	struct fake_wire *wire;
};

static enum drop_reason v6_in(struct v6_rig *rig, const struct words *w, const uint8_t *to)
{
	struct packet *p;
	struct rig_packet r;
	uint8_t frame[256];
	uint32_t bytes = words_frame(w, frame);

	memcpy(frame, to, 6);
	rig_packet_make(&r, frame, bytes, 256, 0);
	p = &r.p;
	vpc_wire_input(rig->vpc, 0)->receive(vpc_wire_input(rig->vpc, 0), &p, 1, RIG_HZ);
	rig_packet_free(&r);
	return (enum drop_reason)r.p.drop;
}

static void test_discovery(void **state)
{
	struct vpc_config config = {.flows_max = 64, .flow_arena_fd = -1, .ticks_per_second = RIG_HZ};
	struct v6_rig rig;
	struct net_address target = rig_address("2001:db8::1");
	uint8_t body[28] = {0}, solicited[6] = {0x33, 0x33, 0xff, 0, 0, 1};
	struct words w = {.source = "2001:db8::2",
			  .destination = "ff02::1:ff00:1",
			  .from = stranger_mac,
			  .protocol = IPPROTO_ICMPV6,
			  .icmp_type = 135,
			  .ttl = 255,
			  .payload = body,
			  .payload_bytes = 24};
	const uint8_t *f;

	(void)state;
	assert_int_equal(vpc_create(&rig.vpc, &config), 0);
	rig.wire = fake_wire_open("address=2001:db8::1/64;device=fake", 0);
	assert_int_equal(vpc_add_wire(rig.vpc, &rig.wire->wire), 0);
	assert_int_equal(rig.wire->frames[0].bytes[54], 136); /* announced */
	fake_wire_forget(rig.wire);
	memcpy(body, target.bytes, 16);
	body[16] = 1;
	body[17] = 1;
	memcpy(body + 18, stranger_mac.bytes, 6);
	assert_int_equal(v6_in(&rig, &w, solicited), DROP_ANSWERED);
	assert_int_equal(rig.wire->frame_count, 1);
	f = rig.wire->frames[0].bytes;
	assert_memory_equal(f, stranger_mac.bytes, 6);
	assert_frame_addresses(f, "2001:db8::1", "2001:db8::2");
	assert_int_equal(f[54], 136);
	assert_int_equal(f[21], 255);
	assert_memory_equal(f + 62, target.bytes, 16);
	assert_memory_equal(f + 80, rig.wire->wire.mac.bytes, 6);
	assert_true(frame_right(f));
	fake_wire_forget(rig.wire);
	/* Through a router, with a broken option, for somebody else: silence. */
	w.ttl = 254;
	v6_in(&rig, &w, solicited);
	w.ttl = 255;
	body[0] ^= 1;
	v6_in(&rig, &w, solicited);
	body[0] ^= 1;
	body[17] = 0;
	w.source = "::";
	v6_in(&rig, &w, solicited);
	assert_int_equal(rig.wire->frame_count, 0);
	vpc_free(rig.vpc);
	fake_wire_close(rig.wire);
}

/* Cards that reach each other over IPv6, with Geneve: asked for by ND, believed when it answers. */
static void test_ipv6_underlay(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec host = spec_host("six", "2001:db8::2"), v = spec_vpc("g", 7000, "10.7.0.0/16", NULL);
	struct net_spec subnet = spec_subnet("gs", "g", "10.7.0.0/24", NULL), open = rig_open_group("wide", "g");
	struct net_spec x = spec_eni("x", "gs", 50, "10.7.0.50", NULL), y = spec_eni("y", "gs", 51, "10.7.0.51", NULL);
	struct words w = {.source = "10.7.0.50",
			  .destination = "10.7.0.51",
			  .protocol = IPPROTO_UDP,
			  .payload_bytes = 1402,
			  .dont_fragment = true};
	struct fake_wire *wire = fake_wire_open("address=2001:db8::1/64;device=fake", 1);
	struct net_address target = rig_address("2001:db8::2");
	uint8_t body[24] = {[16] = 2, 1}, frame[128], *end = frame;
	struct words answer = {.source = "2001:db8::2",
			       .destination = "2001:db8::1",
			       .from = stranger_mac,
			       .to = wire->wire.mac,
			       .protocol = IPPROTO_ICMPV6,
			       .icmp_type = 136,
			       .ttl = 255,
			       .payload = body,
			       .payload_bytes = sizeof(body)};
	struct packet *p;
	struct rig_packet r;
	const uint8_t *f;

	v.vpc.tunnel = TUNNEL_GENEVE;
	spec_eni_group(&x, "wide");
	spec_eni_remote(&y, "six");
	assert_int_equal(vpc_add_wire(rig->vpc, &wire->wire), 0);
	fake_wire_forget(wire);
	rig_begin(&rig->model);
	rig_put(&rig->model, &host);
	rig_put(&rig->model, &v);
	rig_put(&rig->model, &open);
	rig_put(&rig->model, &subnet);
	rig_put(&rig->model, &x);
	rig_put(&rig->model, &y);
	rig_apply(rig);
	rig_advance(rig, 1);
	assert_int_equal(wire->frame_count, 1);
	f = wire->frames[0].bytes;
	assert_int_equal(f[54], 135);
	assert_memory_equal(f, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 2}), 6);
	assert_frame_addresses(f, "2001:db8::1", "ff02::1:ff00:2");
	assert_true(frame_right(f));
	rig_guest(rig, "x");
	assert_int_equal(rig_send(rig, "x", &w), DROP_NO_HOST);
	memcpy(body, target.bytes, 16);
	memcpy(body + 18, stranger_mac.bytes, 6);
	end += words_frame(&answer, frame);
	rig_packet_make(&r, frame, (uint32_t)(end - frame), PACKET_HEAD_MIN_BYTES, 0);
	p = &r.p;
	vpc_wire_input(rig->vpc, 1)->receive(vpc_wire_input(rig->vpc, 1), &p, 1, rig->now);
	rig_packet_free(&r);
	fake_wire_forget(wire);
	assert_int_equal(rig_send(rig, "x", &w), DROP_NONE); /* 1430 of IP: 1500 - 70 */
	f = wire->frames[0].bytes;
	assert_memory_equal(f, stranger_mac.bytes, 6);
	assert_frame_addresses(f, "2001:db8::1", "2001:db8::2");
	assert_int_equal(get_be16(f + 56), 6081);
	assert_int_equal(get_be32(f + 66) >> 8, 7000);
	w.payload_bytes++;
	assert_int_equal(rig_send(rig, "x", &w), DROP_TOO_BIG);
	vpc_free(rig->vpc);
	fake_wire_close(wire);
	rig->vpc = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_arp, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_announces, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_asks_for_hosts, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_packets_wait_for_nobody, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_believes_only_what_it_asked, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_scan, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_ping, open_rig, close_rig),
		cmocka_unit_test(test_discovery),
		cmocka_unit_test_setup_teardown(test_ipv6_underlay, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
