/* Allowances, quotas, fragments, GSO, and what a full table does. */
#include "../cmocka_all.h"

#include <netinet/in.h>

#include "pipeline_rig.h"
#include "vpc/parse.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int open_small_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 64);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

static const struct words ab = {.source = "10.0.1.10",
				.destination = "10.0.1.11",
				.protocol = IPPROTO_UDP,
				.source_port = 1000,
				.destination_port = 53,
				.payload_bytes = 100};

static void set_allowances(struct pipeline_rig *rig, const char *eni, const struct eni_allowances *a)
{
	struct net_spec e = eni[0] == 'a' ? spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10")
					  : spec_eni("b", "near", 11, "10.0.1.11", "fd00:1::1:11");

	spec_eni_group(&e, "open");
	e.eni.allowances = *a;
	rig_begin(&rig->model);
	rig_put(&rig->model, &e);
	rig_apply(rig);
}

static unsigned flood(struct pipeline_rig *rig, const struct words *w, unsigned count, bool new_flows, enum drop_reason expected)
{
	struct words each = *w;
	unsigned passed = 0;

	for (unsigned i = 0; i < count; i++) {
		enum drop_reason drop;

		if (new_flows)
			each.source_port = (uint16_t)(2000 + i);
		drop = rig_send(rig, "a", &each);
		if (drop == DROP_NONE)
			passed++;
		else
			assert_int_equal(drop, expected);
	}
	return passed;
}

static void test_packet_rate(void **state)
{
	struct pipeline_rig *rig = *state;
	unsigned passed;

	set_allowances(rig, "a", &(struct eni_allowances){.packets_per_s = 1000});
	passed = flood(rig, &ab, 300, false, DROP_PACKET_RATE);
	assert_int_equal(passed, 100); /* what a tenth of a second brings */
	assert_int_equal(rig_drops(rig, "a", DROP_PACKET_RATE), 200);
	rig_advance(rig, 100);
	assert_in_range(flood(rig, &ab, 300, false, DROP_PACKET_RATE), 99, 100);
	/* Both directions together, as AWS counts. */
	rig_advance(rig, 100);
	rig_clear(rig);
	for (unsigned i = 0; i < 60; i++) {
		struct words ba = {.source = "10.0.1.11",
				   .destination = "10.0.1.10",
				   .protocol = IPPROTO_UDP,
				   .source_port = 53,
				   .destination_port = 1000};

		rig_send(rig, "b", &ba);
	}
	assert_int_equal(rig_got(rig, "a"), 60);
	assert_in_range(flood(rig, &ab, 100, false, DROP_PACKET_RATE), 39, 40);
}

static void test_bandwidth(void **state)
{
	struct pipeline_rig *rig = *state;
	unsigned out, in;

	set_allowances(rig, "a", &(struct eni_allowances){.bandwidth_out_bits = 20000000});
	out = flood(rig, &ab, 4000, false, DROP_BANDWIDTH_OUT);
	assert_int_equal(out, 2000000 / ((100 + 42) * 8)); /* a tenth of a second's */
	set_allowances(rig, "a", &(struct eni_allowances){0});
	set_allowances(rig, "b", &(struct eni_allowances){.bandwidth_in_bits = 20000000});
	rig_clear(rig);
	in = flood(rig, &ab, 4000, false, DROP_BANDWIDTH_IN);
	assert_int_equal(in, out);
	assert_int_equal(rig_drops(rig, "b", DROP_BANDWIDTH_IN), 4000 - in);
}

static void test_new_flow_rate(void **state)
{
	struct pipeline_rig *rig = *state;

	assert_int_equal(rig_send(rig, "a", &ab), DROP_NONE);
	set_allowances(rig, "a", &(struct eni_allowances){.new_flows_per_s = 500});
	assert_int_equal(flood(rig, &ab, 200, true, DROP_NEW_FLOW_RATE), 50);
	/* The established one is not harmed. */
	assert_int_equal(flood(rig, &ab, 200, false, DROP_NEW_FLOW_RATE), 200);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 51);
}

static void test_flow_quota(void **state)
{
	struct pipeline_rig *rig = *state;

	set_allowances(rig, "a", &(struct eni_allowances){.flows_max = 10});
	assert_int_equal(flood(rig, &ab, 50, true, DROP_FLOW_QUOTA), 10);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 10);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_max, 10);
	/* What ends makes room. */
	rig_advance(rig, 33000);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0);
	assert_int_equal(vpc_counters(rig->vpc)->flows, 0);
	assert_int_equal(vpc_counters(rig->vpc)->flows_expired, 20);
	assert_int_equal(flood(rig, &ab, 50, true, DROP_FLOW_QUOTA), 10);
}

static void test_share_of_the_table(void **state)
{
	struct pipeline_rig *rig = *state;
	uint32_t share = (uint32_t)(vpc_counters(rig->vpc)->flows_max + 3) / 4;

	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_max, share);
	assert_int_equal(flood(rig, &ab, 2 * share, true, DROP_FLOW_QUOTA), share);
}

static void test_table_full(void **state)
{
	struct pipeline_rig *rig = *state;
	uint64_t max = vpc_counters(rig->vpc)->flows_max;
	struct words w = ab;

	set_allowances(rig, "a", &(struct eni_allowances){.flows_max = 100000});
	w.destination = "10.0.1.20"; /* one flow each */
	assert_int_equal(flood(rig, &w, (unsigned)max + 50, true, DROP_FLOW_TABLE_FULL), max);
	assert_int_equal(rig_drops(rig, "a", DROP_FLOW_TABLE_FULL), 50);
	/* Those that are there go on. */
	w.source_port = 2000;
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
}

static void test_link_local_rate(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words ping = {.source = "10.0.1.10", .destination = "10.0.1.1", .protocol = IPPROTO_ICMP, .icmp_type = 8};
	unsigned answered = 0;

	for (unsigned i = 0; i < 500; i++)
		answered += rig_send(rig, "a", &ping) == DROP_ANSWERED;
	assert_int_equal(answered, 102); /* a tenth of a second of 1,024 */
	assert_int_equal(rig_drops(rig, "a", DROP_LINK_LOCAL_RATE), 500 - answered);
	assert_int_equal(rig_send(rig, "a", &ab), DROP_NONE);
}

/* ---- fragments ---- */

static struct words fragment(uint16_t id, uint16_t field, uint32_t bytes)
{
	struct words w = ab;

	w.id = id;
	w.fragment = field;
	w.payload_bytes = bytes;
	if ((field & 0x1fff) != 0)
		w.protocol = IPPROTO_UDP;
	return w;
}

static void test_fragments(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words first = fragment(9, 0x2000, 1000), later = fragment(9, 126, 992);

	assert_int_equal(rig_send(rig, "a", &later), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(rig_send(rig, "a", &first), DROP_NONE);
	assert_int_equal(rig_send(rig, "a", &later), DROP_NONE);
	assert_int_equal(rig_got(rig, "b"), 2);
	assert_int_equal(rig_counters(rig, NET_ENI, "b")->flows, 1);
	/* Through NAT: both with the same public address. */
	first.source = later.source = "10.0.3.13";
	first.destination = later.destination = "203.0.113.7";
	assert_int_equal(rig_send(rig, "p", &first), DROP_NONE);
	assert_int_equal(rig_send(rig, "p", &later), DROP_NONE);
	assert_int_equal(rig->wire->frame_count, 2);
	assert_frame_addresses(rig->wire->frames[0].bytes, "198.51.100.5", "203.0.113.7");
	assert_frame_addresses(rig->wire->frames[1].bytes, "198.51.100.5", "203.0.113.7");
	assert_true(rig_ipv4_right(rig->wire->frames[1].bytes + 14));
}

/* ---- GSO ---- */

static enum drop_reason send_tso(struct pipeline_rig *rig, const char *destination, uint32_t payload_bytes, uint16_t mss)
{
	static uint8_t frame[RIG_FRAME_MAX];
	struct words syn = {.source = "10.0.1.10",
			    .destination = destination,
			    .protocol = IPPROTO_TCP,
			    .source_port = 1,
			    .destination_port = 2,
			    .tcp_flags = SYN,
			    .seq = 99};
	struct words answer = {.source = destination,
			       .destination = "10.0.1.10",
			       .protocol = IPPROTO_TCP,
			       .source_port = 2,
			       .destination_port = 1,
			       .tcp_flags = SYN | ACK,
			       .seq = 499,
			       .ack = 100};
	struct words data = syn;
	struct rig_packet r;
	struct packet *p = &r.p;

	rig_send(rig, "a", &syn);
	if (destination[7] == '2')
		rig_overlay(rig, RIG_VNI, 10, &answer);
	else
		rig_send(rig, "b", &answer);
	rig_clear(rig);
	data.tcp_flags = ACK;
	data.seq = 100;
	data.ack = 500;
	data.payload_bytes = payload_bytes;
	data.dont_fragment = true;
	rig_packet_make(&r, frame, words_frame(&data, frame), PACKET_HEAD_MIN_BYTES, 8192 + 1024);
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.gso = PACKET_GSO_TCP4;
	r.p.gso_size = mss;
	r.p.csum_start = 34;
	r.p.csum_offset = 16;
	put_be16(r.p.head + 50, (uint16_t)rig_sum(6 + 20 + payload_bytes, r.p.head + 26, 8));
	rig_guest(rig, "a")->input->receive(rig_guest(rig, "a")->input, &p, 1, rig->now);
	rig_packet_free(&r);
	return (enum drop_reason)p->drop;
}

static void test_tso_between_guests(void **state)
{
	struct pipeline_rig *rig = *state;
	struct rig_sink *b = rig_guest(rig, "b")->sink;

	b->sink.offloads = SINK_CSUM | SINK_TSO4;
	assert_int_equal(send_tso(rig, "10.0.1.11", 60000, 1400), DROP_NONE);
	assert_int_equal(b->count, 1); /* in one piece */
	assert_int_equal(b->frames[0].meta.gso, PACKET_GSO_TCP4);
	assert_int_equal(b->frames[0].size, 60054);
	/* Judged by its segments, never by its length. */
	assert_int_equal(send_tso(rig, "10.0.1.11", 60000, 1411), DROP_TOO_BIG);
	assert_int_equal(rig_got(rig, "a"), 1);
	assert_int_equal(rig_last(rig, "a")[35], 4);
	/* A guest that cannot take it is given segments. */
	b->sink.offloads = 0;
	assert_int_equal(send_tso(rig, "10.0.1.11", 4200, 1400), DROP_NONE);
	assert_int_equal(b->count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(frame_right(b->frames[i].bytes));
	/* A packet of a GSO frame counts as many as it stands for. */
	assert_int_equal(rig_counters(rig, NET_ENI, "b")->out.packets, 3); /* SYN/ACKs */
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->out.packets, 3 + 43 + 43 + 3);
}

static void test_tso_to_the_wire(void **state)
{
	struct pipeline_rig *rig = *state;

	assert_int_equal(send_tso(rig, "10.0.1.20", 14100, 1410), DROP_NONE);
	assert_int_equal(rig->wire->frame_count, 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(frame_right(rig_inner(&rig->wire->frames[i])));
		assert_int_equal(rig->wire->frames[i].size, 1514);
	}
	assert_int_equal(send_tso(rig, "10.0.1.20", 14100, 1411), DROP_TOO_BIG);
	assert_int_equal(get_be16(rig_last(rig, "a") + 40), 1450);
	/* Part of it finds no room: counted by segments. */
	rig->wire->room = 4;
	assert_int_equal(send_tso(rig, "10.0.1.20", 14100, 1410), DROP_WIRE_FULL);
	assert_int_equal(rig_drops(rig, "a", DROP_WIRE_FULL), 7); /* a SYN took a place */
}

/* ---- the sweep ---- */

static void test_ageing_in_steps(void **state)
{
	struct pipeline_rig *rig = *state;
	uint64_t next;
	unsigned calls = 0;

	set_allowances(rig, "a", &(struct eni_allowances){.flows_max = 4000});
	set_allowances(rig, "b", &(struct eni_allowances){.flows_max = 4000});
	assert_int_equal(flood(rig, &ab, 2000, true, DROP_NONE), 2000);
	assert_int_equal(vpc_counters(rig->vpc)->flows, 4000);
	/* Two seconds of ticks see all 4,000 once or twice, FLOW_SWEEP_MAX at a time. */
	for (uint64_t end = rig->now + 2 * RIG_HZ; rig->now < end; calls++) {
		vpc_tick(rig->vpc, rig->now, &next);
		rig->now = next > rig->now ? next : rig->now + RIG_HZ / 1000;
	}
	assert_in_range(calls, 4000 / FLOW_SWEEP_MAX, 100);
	rig_advance(rig, 32000);
	assert_int_equal(vpc_counters(rig->vpc)->flows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packet_rate, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_bandwidth, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_new_flow_rate, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_flow_quota, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_share_of_the_table, open_small_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_table_full, open_small_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_link_local_rate, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_fragments, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_tso_between_guests, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_tso_to_the_wire, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_ageing_in_steps, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
