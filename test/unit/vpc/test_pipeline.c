/* The ways through the pipeline: guest to guest, to another card and back, and what may not begin any of them. */
#include "../cmocka_all.h"

#include <errno.h>
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

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

static const struct words udp_ab = {.source = "10.0.1.10",
				    .destination = "10.0.1.11",
				    .protocol = IPPROTO_UDP,
				    .source_port = 1000,
				    .destination_port = 53,
				    .payload_bytes = 20};

static struct words to_mac(struct words w, uint8_t last)
{
	w.to = rig_mac(last);
	return w;
}

static void test_neighbours(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = to_mac(udp_ab, 11);
	const uint8_t *f;

	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "b"), 1);
	f = rig_last(rig, "b");
	assert_memory_equal(f, rig_mac(11).bytes, 6);
	assert_memory_equal(f + 6, rig_mac(10).bytes, 6);
	assert_int_equal(f[22], 64); /* within the VPC the card is no hop */
	assert_true(frame_right(f));
	/* Through the gateway's MAC it is the same neighbour. */
	assert_int_equal(rig_send(rig, "a", &udp_ab), DROP_NONE);
	assert_memory_equal(rig_last(rig, "b"), rig_mac(11).bytes, 6);
	assert_memory_equal(rig_last(rig, "b") + 6, rig_mac(10).bytes, 6);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->out.packets, 2);
	assert_int_equal(rig_counters(rig, NET_ENI, "b")->in.packets, 2);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 1);
	assert_int_equal(rig_counters(rig, NET_ENI, "b")->flows, 1);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->slow_path, 1);
}

static void test_other_subnet(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = udp_ab;

	w.destination = "10.0.2.12";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "c"), 1);
	assert_memory_equal(rig_last(rig, "c"), rig_mac(12).bytes, 6);
	assert_memory_equal(rig_last(rig, "c") + 6, rig_gateway_mac().bytes, 6);
	/* Its MAC is none that a guest of this subnet can know. */
	w.to = rig_mac(12);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NOT_FOR_ROUTER);
	w.to = rig_mac(99);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NOT_FOR_ROUTER);
	w = to_mac(udp_ab, 12);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NOT_FOR_ROUTER);
}

static void test_ipv6(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "fd00:1::1:10",
			  .destination = "fd00:1::1:11",
			  .protocol = IPPROTO_TCP,
			  .source_port = 1,
			  .destination_port = 2,
			  .tcp_flags = SYN};

	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_frame_addresses(rig_last(rig, "b"), "fd00:1::1:10", "fd00:1::1:11");
	assert_true(frame_right(rig_last(rig, "b")));
}

static void test_overlay(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words there = udp_ab, back;
	const struct fake_frame *f;

	there.destination = "10.0.1.20";
	assert_int_equal(rig_send(rig, "a", &there), DROP_NONE);
	f = rig_wire_last(rig);
	assert_memory_equal(f->bytes + 26, ((uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}), 8);
	assert_int_equal(get_be32(f->bytes + 46) >> 8, RIG_VNI);
	assert_memory_equal(rig_inner(f), rig_mac(20).bytes, 6);
	assert_memory_equal(rig_inner(f) + 6, rig_mac(10).bytes, 6);
	assert_true(frame_right(rig_inner(f)));
	back = (struct words){.source = "10.0.1.20",
			      .destination = "10.0.1.10",
			      .protocol = IPPROTO_UDP,
			      .source_port = 53,
			      .destination_port = 1000};
	assert_int_equal(rig_overlay(rig, RIG_VNI, 10, &back), DROP_NONE);
	assert_int_equal(rig_got(rig, "a"), 1);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 1); /* both ways are one flow */
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->slow_path, 1);
}

static void test_overlay_refused(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.20",
			  .destination = "10.0.1.10",
			  .protocol = IPPROTO_UDP,
			  .source_port = 53,
			  .destination_port = 1000};
	uint8_t frame[256] = {0};

	assert_int_equal(rig_overlay(rig, RIG_VNI + 1, 10, &w), DROP_UNKNOWN_VNI);
	assert_int_equal(rig_overlay(rig, RIG_VNI, 20, &w), DROP_UNKNOWN_VNI); /* an ENI of another card */
	w.destination = "10.0.1.11";
	assert_int_equal(rig_overlay(rig, RIG_VNI, 10, &w), DROP_NO_MAPPING); /* a's MAC, and b's address */
	assert_int_equal(rig_drops(rig, "", DROP_UNKNOWN_VNI), 2);
	assert_int_equal(rig_drops(rig, "a", DROP_NO_MAPPING), 1);
	/* A host that nobody told us of. */
	w.destination = "10.0.1.10";
	rig_begin(&rig->model);
	rig_delete(&rig->model, NET_ENI, "r");
	rig_delete(&rig->model, NET_HOST, "other");
	rig_apply(rig);
	assert_int_equal(rig_overlay(rig, RIG_VNI, 10, &w), DROP_OVERLAY_SOURCE);
	assert_int_equal(rig_wire_raw(rig, frame, 13), DROP_MALFORMED);
	assert_int_equal(rig_wire_raw(rig, frame, sizeof(frame)), DROP_NOT_OURS);
	assert_int_equal(rig_got(rig, "a"), 0);
}

static void test_overlay_multicast(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.20", .destination = "10.0.1.10", .protocol = IPPROTO_UDP};

	w.to = (struct mac){{1, 0, 0x5e, 0, 0, 1}};
	assert_int_equal(rig_overlay(rig, RIG_VNI, 10, &w), DROP_MULTICAST);
	assert_int_equal(rig_wire(rig, &w), DROP_NOT_OURS); /* plain, to a private address */
	assert_int_equal(rig_got(rig, "a"), 0);
}

static void test_spoofing(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = udp_ab;

	w.source = "10.0.1.99";
	w.from = rig_mac(10);
	assert_int_equal(rig_send(rig, "a", &w), DROP_SPOOFED_IP);
	w.source = "10.0.1.10";
	w.from = rig_mac(11);
	assert_int_equal(rig_send(rig, "a", &w), DROP_SPOOFED_MAC);
	w.from = rig_mac(10);
	w.source = "0.0.0.0";
	assert_int_equal(rig_send(rig, "a", &w), DROP_SPOOFED_IP);
	w = (struct words){.source = "::", .destination = "fd00:1::1:11", .from = rig_mac(10), .protocol = IPPROTO_UDP};
	assert_int_equal(rig_send(rig, "a", &w), DROP_SPOOFED_IP);
	w.source = "fe80::1";
	assert_int_equal(rig_send(rig, "a", &w), DROP_SPOOFED_IP);
	assert_int_equal(rig_drops(rig, "a", DROP_SPOOFED_IP), 4);
	assert_int_equal(rig_got(rig, "b"), 0);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_created, 0);
}

static void test_forwarding_appliance(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec eni = spec_eni("b", "near", 11, "10.0.1.11", "fd00:1::1:11");
	struct words w = {.source = "172.16.0.1",
			  .destination = "10.0.1.10",
			  .from = rig_mac(11),
			  .protocol = IPPROTO_UDP,
			  .source_port = 1,
			  .destination_port = 2};
	struct words to = {.source = "10.0.1.10",
			   .destination = "172.16.0.1",
			   .protocol = IPPROTO_UDP,
			   .source_port = 2,
			   .destination_port = 1};
	struct net_spec table = spec_route_table("public", "v");

	assert_int_equal(rig_send(rig, "b", &w), DROP_SPOOFED_IP);
	spec_eni_group(&eni, "open");
	eni.eni.source_dest_check = false;
	spec_route(&table, "0.0.0.0/0", ROUTE_INTERNET, NULL);
	spec_route(&table, "172.16.0.0/16", ROUTE_ENI, "b");
	rig_begin(&rig->model);
	rig_put(&rig->model, &eni);
	rig_put(&rig->model, &table);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "b", &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "a"), 1);
	assert_int_equal(rig_send(rig, "a", &to), DROP_NONE); /* the answer goes back by the route */
	assert_int_equal(rig_got(rig, "b"), 1);
	assert_memory_equal(rig_last(rig, "b"), rig_mac(11).bytes, 6);
	assert_memory_equal(rig_last(rig, "b") + 6, rig_gateway_mac().bytes, 6);
}

static void test_malformed(void **state)
{
	struct pipeline_rig *rig = *state;
	uint8_t frame[128];
	uint32_t bytes = words_frame(&udp_ab, frame);

	for (uint32_t size = 0; size < bytes; size++)
		assert_int_not_equal(rig_send_raw(rig, "a", frame, size), DROP_NONE);
	assert_int_equal(rig_got(rig, "b"), 0);
	/* Short frames are padded: the padding does not go on. */
	memset(frame + bytes, 0xee, 10);
	assert_int_equal(rig_send_raw(rig, "a", frame, bytes + 10), DROP_NONE);
	assert_int_equal(rig_guest(rig, "b")->sink->frames[0].size, bytes);
	/* A VLAN tag. */
	memmove(frame + 16, frame + 12, bytes - 12);
	put_be16(frame + 12, 0x8100);
	put_be16(frame + 14, 7);
	assert_int_equal(rig_send_raw(rig, "a", frame, bytes + 4), DROP_ETHERTYPE);
	put_be16(frame + 12, 0x88cc);
	assert_int_equal(rig_send_raw(rig, "a", frame, bytes), DROP_ETHERTYPE);
}

static void test_multicast(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = udp_ab;

	w.to = (struct mac){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	w.destination = "255.255.255.255";
	assert_int_equal(rig_send(rig, "a", &w), DROP_MULTICAST);
	w.to = (struct mac){{1, 0, 0x5e, 0, 0, 0xfb}};
	w.destination = "224.0.0.251";
	assert_int_equal(rig_send(rig, "a", &w), DROP_MULTICAST);
	assert_int_equal(rig_got(rig, "b"), 0);
	assert_int_equal(rig->wire->frame_count, 0);
}

static void test_own_services(void **state)
{
	struct pipeline_rig *rig = *state;
	uint8_t arp[60] = {[0 ... 5] = 0xff, 2, 0, 0, 0, 0, 10, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 10, 10, 0, 1, 10,
			   [38] = 10,	     0, 1, 11};
	struct words ping = {.source = "10.0.1.10", .destination = "10.0.1.1", .protocol = IPPROTO_ICMP, .icmp_type = 8};

	assert_int_equal(rig_send_raw(rig, "a", arp, sizeof(arp)), DROP_ANSWERED);
	assert_int_equal(rig_got(rig, "a"), 1);
	assert_memory_equal(rig_last(rig, "a") + 22, rig_mac(11).bytes, 6); /* b's own */
	assert_int_equal(rig_got(rig, "b"), 0);
	arp[41] = 20;
	rig_send_raw(rig, "a", arp, sizeof(arp));
	assert_memory_equal(rig_last(rig, "a") + 22, rig_mac(20).bytes, 6);
	arp[41] = 77; /* nobody */
	assert_int_equal(rig_send_raw(rig, "a", arp, sizeof(arp)), DROP_ANSWERED);
	assert_int_equal(rig_got(rig, "a"), 2);
	arp[31] = 11; /* says that it is b */
	assert_int_equal(rig_send_raw(rig, "a", arp, sizeof(arp)), DROP_SPOOFED_IP);
	arp[31] = 10;
	arp[27] = 9;
	assert_int_equal(rig_send_raw(rig, "a", arp, sizeof(arp)), DROP_SPOOFED_MAC);
	assert_int_equal(rig_send(rig, "a", &ping), DROP_ANSWERED);
	assert_frame_addresses(rig_last(rig, "a"), "10.0.1.1", "10.0.1.10");
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_created, 0);
}

/* A guest that takes only small frames is not given an answer that is too large for it. */
static void test_answer_too_large(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words ping = {
		.source = "10.0.1.10", .destination = "10.0.1.1", .protocol = IPPROTO_ICMP, .icmp_type = 8, .payload_bytes = 600};

	rig_guest(rig, "a")->sink->sink.frame_bytes_max = 576 + ETHER_BYTES;
	assert_int_equal(rig_send(rig, "a", &ping), DROP_ANSWERED);
	assert_int_equal(rig_got(rig, "a"), 0);
	assert_int_equal(rig_drops(rig, "a", DROP_TOO_BIG), 1);
	rig_guest(rig, "a")->sink->sink.frame_bytes_max = 1500 + ETHER_BYTES;
	rig_guest(rig, "a")->sink->room = 0;
	assert_int_equal(rig_send(rig, "a", &ping), DROP_ANSWERED);
	assert_int_equal(rig_drops(rig, "a", DROP_NO_BUFFER), 1);
}

/* Neighbour advertisements go to the card, whoever they name: nothing of discovery reaches another guest. */
static void test_discovery_stays(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "fd00:1::1:10",
			  .destination = "fd00:1::1:11",
			  .protocol = IPPROTO_ICMPV6,
			  .icmp_type = 136,
			  .ttl = 255,
			  .payload_bytes = 16};

	w.to = rig_mac(11);
	assert_int_equal(rig_send(rig, "a", &w), DROP_ANSWERED);
	assert_int_equal(rig_got(rig, "b"), 0);
}

static void test_no_way(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = udp_ab;

	w.destination = "10.0.1.77";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_MAPPING);
	w.destination = "10.0.1.10";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_MAPPING); /* itself */
	w = (struct words){.source = "fd00:1::1:10", .destination = "2001:db8::1", .protocol = IPPROTO_UDP};
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_ROUTE);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows_created, 0);
}

static void test_detached(void **state)
{
	struct pipeline_rig *rig = *state;
	uint32_t slot = rig_endpoint(&rig->model, NET_ENI, "b")->slot;

	vpc_detach(rig->vpc, slot);
	assert_int_equal(rig_send(rig, "a", &udp_ab), DROP_NOT_ATTACHED);
	assert_int_equal(rig_drops(rig, "b", DROP_NOT_ATTACHED), 1);
	assert_ptr_equal(vpc_attach(rig->vpc, slot, &rig_guest(rig, "b")->sink->sink), rig_guest(rig, "b")->input);
	assert_int_equal(rig_send(rig, "a", &udp_ab), DROP_NONE);
	vpc_detach(rig->vpc, 60000); /* nobody */
	assert_null(vpc_attach(rig->vpc, UINT32_MAX, NULL));
	assert_null(vpc_endpoint_counters(rig->vpc, UINT32_MAX));
	assert_null(vpc_endpoint_counters(rig->vpc, 60000));
}

static void test_no_policy(void **state)
{
	struct pipeline_rig *rig = *state;
	struct vpc_config config = {.flows_max = 64, .flow_arena_fd = -1, .ticks_per_second = RIG_HZ};
	struct words w = udp_ab;
	struct packet_input *input;
	struct rig_packet r;
	struct packet *p = &r.p;
	uint8_t frame[128];
	struct vpc *vpc;
	uint64_t next;

	(void)rig;
	assert_int_equal(vpc_create(&vpc, &config), 0);
	input = vpc_attach(vpc, 3, NULL);
	rig_packet_make(&r, frame, words_frame(&w, frame), 256, 0);
	input->receive(input, &p, 1, RIG_HZ);
	assert_int_equal(p->drop, DROP_NOT_ATTACHED);
	assert_false(vpc_tick(vpc, RIG_HZ, &next));
	assert_false(vpc_tick(vpc, RIG_HZ, &next)); /* the first one found time to have passed */
	assert_true(next > RIG_HZ);
	rig_packet_free(&r);
	vpc_free(vpc);
	config.flows_max = 0;
	assert_int_equal(vpc_create(&vpc, &config), -EINVAL);
}

static void test_buffers_and_wire_full(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = udp_ab;

	rig_guest(rig, "b")->sink->room = 0;
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_BUFFER);
	assert_int_equal(rig_drops(rig, "b", DROP_NO_BUFFER), 1);
	w.destination = "10.0.1.20";
	rig->wire->room = 0;
	assert_int_equal(rig_send(rig, "a", &w), DROP_WIRE_FULL);
	assert_int_equal(rig_drops(rig, "a", DROP_WIRE_FULL), 1);
}

/* A batch to many places: order is kept, one flush a sink. */
static void test_batch(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w[PACKET_BATCH_MAX];
	unsigned flushes = rig->wire->flushes;

	for (unsigned i = 0; i < PACKET_BATCH_MAX; i++) {
		w[i] = udp_ab;
		w[i].source_port = (uint16_t)(1 + i / 4);
		w[i].id = (uint16_t)i;
		w[i].destination = i % 4 == 0 ? "10.0.1.11" : i % 4 == 1 ? "10.0.2.12" : i % 4 == 2 ? "10.0.1.20" : "10.0.1.77";
	}
	rig_send_batch(rig, "a", w, PACKET_BATCH_MAX);
	assert_int_equal(rig_got(rig, "b"), 8);
	assert_int_equal(rig_got(rig, "c"), 8);
	assert_int_equal(rig->wire->frame_count, 8);
	assert_int_equal(rig->wire->flushes, flushes + 1);
	assert_int_equal(rig_drops(rig, "a", DROP_NO_MAPPING), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(get_be16(rig_guest(rig, "b")->sink->frames[i].bytes + 18), 4 * i);
	/* 32 packets of one new flow make one flow. */
	for (unsigned i = 0; i < PACKET_BATCH_MAX; i++)
		w[i] = udp_ab;
	rig_send_batch(rig, "a", w, PACKET_BATCH_MAX);
	assert_int_equal(rig_got(rig, "b"), 40);
	assert_int_equal(rig_counters(rig, NET_ENI, "b")->flows_created, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_neighbours, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_other_subnet, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_ipv6, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_overlay, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_overlay_refused, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_overlay_multicast, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_spoofing, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_forwarding_appliance, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_malformed, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_multicast, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_own_services, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_answer_too_large, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_discovery_stays, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_no_way, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_detached, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_no_policy, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_buffers_and_wire_full, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_batch, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
