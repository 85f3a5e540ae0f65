/* Which flow is next, and what became of its packets. Time is given, none passes. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cmocka_all.h"
#include "load/net_flows.h"
#include "load/net_track.h"

static const struct frame_tuple base = {0x0100000a, 0x0200000a, 0, 0x5000}; /* 10.0.0.1 to 10.0.0.2, port 80 */

static void create(struct net_flows *flows, struct net_flows_config config)
{
	config.base = base;
	if (config.stride == 0)
		config.stride = 1;
	assert_int_equal(net_flows_create(flows, &config, 0), 0);
}

static struct net_flow_turn next(struct net_flows *flows, uint64_t now_tsc)
{
	struct net_flow_turn turn;

	net_flows_next(flows, now_tsc, &turn);
	return turn;
}

static void test_flows_go_in_turn(void **state)
{
	struct net_flows flows;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 3});
	for (uint32_t i = 0; i < 12; i++) {
		struct net_flow_turn turn = next(&flows, 0);

		assert_int_equal(turn.what, NET_FLOW_DATA);
		assert_int_equal(turn.flow, i % 3);
		assert_int_equal(turn.sequence, i / 3 + 1);
		assert_int_equal(ntohs(turn.tuple.source_port), 1024 + i % 3);
		assert_int_equal(turn.tuple.source_low, base.source_low);
		assert_int_equal(turn.tuple.destination_low, base.destination_low);
		assert_int_equal(turn.tuple.destination_port, base.destination_port);
	}
	net_flows_free(&flows);
}

/* When the source ports are used up, what `spread` says goes on. */
static void test_spread(void **state)
{
	(void)state;
	for (unsigned spread = NET_SPREAD_SOURCE; spread <= NET_SPREAD_PORT; spread++) {
		struct net_flows flows;
		struct net_flow_turn turn;

		create(&flows, (struct net_flows_config){.flow_count = NET_FLOWS_PORTS + 2, .spread = (enum net_spread)spread});
		for (unsigned i = 0; i < NET_FLOWS_PORTS; i++)
			turn = next(&flows, 0);
		assert_int_equal(ntohs(turn.tuple.source_port), 65535);
		assert_int_equal(turn.tuple.source_low, base.source_low);
		turn = next(&flows, 0);
		assert_int_equal(turn.flow, NET_FLOWS_PORTS);
		assert_int_equal(ntohs(turn.tuple.source_port), 1024);
		assert_int_equal(ntohl(turn.tuple.source_low) - ntohl(base.source_low), spread == NET_SPREAD_SOURCE);
		assert_int_equal(ntohl(turn.tuple.destination_low) - ntohl(base.destination_low), spread == NET_SPREAD_DESTINATION);
		assert_int_equal(ntohs(turn.tuple.destination_port) - 80, spread == NET_SPREAD_PORT);
		net_flows_free(&flows);
	}
}

/* Queues share the flows: none twice, none left out. */
static void test_queues_share(void **state)
{
	bool seen[9] = {false};

	(void)state;
	for (uint32_t q = 0; q < 3; q++) {
		struct net_flows flows;

		create(&flows, (struct net_flows_config){.flow_count = 3, .first = q, .stride = 3});
		for (unsigned i = 0; i < 3; i++) {
			struct net_flow_turn turn = next(&flows, 0);

			assert_in_range(turn.flow, 0, 8);
			assert_false(seen[turn.flow]);
			seen[turn.flow] = true;
			assert_int_equal(ntohs(turn.tuple.source_port), 1024 + turn.flow);
		}
		net_flows_free(&flows);
	}
}

static void test_new_flows_take_the_place_of_the_oldest(void **state)
{
	const uint64_t ms = clock_ns_to_tsc(1000000);
	struct net_flows flows;
	struct net_flow_turn turn;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 2, .new_flows_per_s = 1000});
	assert_int_equal(ntohs(next(&flows, 0).tuple.source_port), 1024);
	turn = next(&flows, ms + 1000); /* one is due: it speaks at once, in the place of 1024 */
	assert_int_equal(ntohs(turn.tuple.source_port), 1026);
	assert_int_equal(turn.flow, 0);
	assert_int_equal(turn.sequence, 2); /* numbers go on in a place */
	assert_int_equal(flows.opened, 1);
	assert_int_equal(ntohs(next(&flows, ms + 1000).tuple.source_port), 1025);
	assert_int_equal(ntohs(next(&flows, ms + 1000).tuple.source_port), 1026);
	assert_int_equal(ntohs(next(&flows, ms + 1000).tuple.source_port), 1025);
	assert_int_equal(ntohs(next(&flows, 4 * ms + 1000).tuple.source_port), 1027); /* three are due */
	assert_int_equal(ntohs(next(&flows, 4 * ms + 1000).tuple.source_port), 1028);
	assert_int_equal(ntohs(next(&flows, 4 * ms + 1000).tuple.source_port), 1029);
	assert_int_equal(flows.opened, 4);
	turn = next(&flows, 4 * ms + 1000);
	assert_in_range(ntohs(turn.tuple.source_port), 1028, 1029);
	net_flows_free(&flows);
}

static void test_tcp_opens_and_closes(void **state)
{
	const uint64_t ms = clock_ns_to_tsc(1000000);
	struct net_flows flows;
	struct net_flow_turn turn;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 2, .new_flows_per_s = 1000, .tcp = true});
	for (unsigned i = 0; i < 2; i++) {
		turn = next(&flows, 0);
		assert_int_equal(turn.what, NET_FLOW_OPEN);
		assert_int_equal(ntohs(turn.tuple.source_port), 1024 + i);
	}
	for (unsigned i = 0; i < 4; i++) {
		turn = next(&flows, 0);
		assert_int_equal(turn.what, NET_FLOW_DATA);
		assert_int_equal(turn.sequence, i / 2 + 1);
	}
	turn = next(&flows, ms + 1000);
	assert_int_equal(turn.what, NET_FLOW_CLOSE);
	assert_int_equal(ntohs(turn.tuple.source_port), 1024);
	turn = next(&flows, ms + 1000);
	assert_int_equal(turn.what, NET_FLOW_OPEN);
	assert_int_equal(ntohs(turn.tuple.source_port), 1026);
	for (unsigned i = 0; i < 6; i++) {
		turn = next(&flows, ms + 1000);
		assert_int_equal(turn.what, NET_FLOW_DATA);
		assert_in_range(ntohs(turn.tuple.source_port), 1025, 1026);
	}
	for (unsigned i = 0; i < 2; i++) {
		net_flows_end(&flows, &turn);
		assert_int_equal(turn.what, NET_FLOW_CLOSE);
		assert_in_range(ntohs(turn.tuple.source_port), 1025, 1026);
	}
	net_flows_end(&flows, &turn);
	assert_int_equal(turn.what, NET_FLOW_NOTHING);
	net_flows_free(&flows);
}

/* The run ends between the good-bye of one flow and the beginning of the next. */
static void test_no_flow_is_closed_twice(void **state)
{
	const uint64_t ms = clock_ns_to_tsc(1000000);
	struct net_flows flows;
	struct net_flow_turn turn;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 2, .new_flows_per_s = 1000, .tcp = true});
	next(&flows, 0);
	next(&flows, 0);
	assert_int_equal(next(&flows, ms + 1000).what, NET_FLOW_CLOSE);
	net_flows_end(&flows, &turn);
	assert_int_equal(turn.what, NET_FLOW_CLOSE);
	assert_int_equal(ntohs(turn.tuple.source_port), 1025);
	net_flows_end(&flows, &turn);
	assert_int_equal(turn.what, NET_FLOW_NOTHING);
	net_flows_free(&flows);
}

/* A flow that never spoke is not closed; UDP flows end by themselves. */
static void test_nothing_to_close(void **state)
{
	const uint64_t ms = clock_ns_to_tsc(1000000);
	struct net_flows flows;
	struct net_flow_turn turn;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 2, .new_flows_per_s = 1000, .tcp = true});
	assert_int_equal(next(&flows, ms + 1000).what, NET_FLOW_OPEN); /* in the place of 1024, which never was */
	net_flows_free(&flows);
	create(&flows, (struct net_flows_config){.flow_count = 2});
	next(&flows, 0);
	net_flows_end(&flows, &turn);
	assert_int_equal(turn.what, NET_FLOW_NOTHING);
	net_flows_free(&flows);
}

static void test_handshake(void **state)
{
	const uint64_t retry = clock_ns_to_tsc(NET_FLOWS_RETRY_NS);
	struct net_flows flows;
	struct net_flow_turn first, second;

	(void)state;
	create(&flows, (struct net_flows_config){.flow_count = 2, .tcp = true, .handshake = true});
	first = next(&flows, 0);
	second = next(&flows, 0);
	assert_int_equal(second.what, NET_FLOW_OPEN);
	assert_int_equal(next(&flows, 0).what, NET_FLOW_NOTHING);
	net_flows_established(&flows, &second.tuple);
	for (unsigned i = 0; i < 3; i++) {
		struct net_flow_turn turn = next(&flows, 0);

		assert_int_equal(turn.what, NET_FLOW_DATA);
		assert_int_equal(turn.flow, second.flow);
	}
	/* The other one is repeated, once per retry, and not before a whole one has passed. */
	assert_int_equal(next(&flows, retry).flow, second.flow);
	assert_int_equal(next(&flows, retry).flow, second.flow);
	for (unsigned i = 0, again = 0; i < 4; i++) {
		struct net_flow_turn turn = next(&flows, 2 * retry + 1);

		again += turn.what == NET_FLOW_OPEN;
		assert_true(turn.what == NET_FLOW_DATA || turn.flow == first.flow);
		if (i == 3)
			assert_int_equal(again, 1);
	}
	net_flows_free(&flows);
}

/* A SYN+ACK finds its flow however far the window has moved and however the tuples are spread; others find nothing. */
static void test_established_finds_its_flow(void **state)
{
	const uint64_t second = clock_ns_to_tsc(1000000000);

	(void)state;
	for (unsigned spread = NET_SPREAD_SOURCE; spread <= NET_SPREAD_PORT; spread++) {
		struct net_flows flows;
		struct frame_tuple other;
		uint64_t now_tsc = second * 2;
		unsigned opened = 0;

		create(&flows, (struct net_flows_config){.flow_count = 5,
							 .first = 1,
							 .stride = 3,
							 .spread = (enum net_spread)spread,
							 .new_flows_per_s = 50000,
							 .tcp = true,
							 .handshake = true});
		while (opened < 60000) {
			struct net_flow_turn turn = next(&flows, now_tsc);

			if (turn.what == NET_FLOW_CLOSE)
				continue;
			assert_int_equal(turn.what, NET_FLOW_OPEN);
			opened++;
			other = turn.tuple;
			other.source_port = htons((uint16_t)(ntohs(other.source_port) + 1)); /* of another queue */
			net_flows_established(&flows, &other);
			assert_true(flows.states[turn.flow / 3] >= 0x80);
			net_flows_established(&flows, &turn.tuple);
			assert_int_equal(flows.states[turn.flow / 3], 1);
		}
		other.source_low ^= htonl(0x10000000);
		other.destination_low ^= htonl(0x10000000);
		other.destination_port = htons(79);
		net_flows_established(&flows, &other);
		other.source_port = htons(80);
		net_flows_established(&flows, &other);
		net_flows_free(&flows);
	}
}

static void test_limits(void **state)
{
	struct net_flows_config config = {.base = base, .stride = 1};
	struct net_flows flows;

	(void)state;
	assert_int_equal(net_flows_create(&flows, &config, 0), -EINVAL);
	config.flow_count = NET_FLOWS_MAX + 1;
	assert_int_equal(net_flows_create(&flows, &config, 0), -EINVAL);
	config.flow_count = NET_FLOWS_MAX;
	assert_int_equal(net_flows_create(&flows, &config, 0), 0);
	net_flows_free(&flows);
	config.spread = NET_SPREAD_PORT; /* ports above the last one do not exist */
	config.base.destination_port = htons(65535);
	config.flow_count = NET_FLOWS_PORTS + 1;
	assert_int_equal(net_flows_create(&flows, &config, 0), -EINVAL);
	config.flow_count = NET_FLOWS_PORTS;
	assert_int_equal(net_flows_create(&flows, &config, 0), 0);
	net_flows_free(&flows);
}

static void test_track(void **state)
{
	struct net_track track;

	(void)state;
	assert_int_equal(net_track_create(&track, 2), 0);
	assert_int_equal(net_track_see(&track, 0, 1), NET_TRACK_NEW);
	assert_int_equal(net_track_see(&track, 1, 1), NET_TRACK_NEW);
	assert_int_equal(net_track_see(&track, 0, 1), NET_TRACK_DUPLICATE);
	assert_int_equal(net_track_see(&track, 0, 5), NET_TRACK_NEW);
	assert_int_equal(net_track_see(&track, 0, 3), NET_TRACK_REORDERED);
	assert_int_equal(net_track_see(&track, 0, 3), NET_TRACK_DUPLICATE);
	assert_int_equal(net_track_see(&track, 0, 5), NET_TRACK_DUPLICATE);
	assert_int_equal(net_track_see(&track, 0, 1), NET_TRACK_DUPLICATE);
	assert_int_equal(net_track_see(&track, 0, 37), NET_TRACK_NEW); /* 32 further: all of the window is new */
	assert_int_equal(net_track_see(&track, 0, 36), NET_TRACK_REORDERED);
	assert_int_equal(net_track_see(&track, 0, 6), NET_TRACK_REORDERED);
	assert_int_equal(net_track_see(&track, 0, 6), NET_TRACK_DUPLICATE);
	assert_int_equal(net_track_see(&track, 0, 5), NET_TRACK_REORDERED); /* too late to tell */
	assert_int_equal(net_track_see(&track, 0, UINT32_MAX), NET_TRACK_REORDERED);
	assert_int_equal(net_track_see(&track, 2, 1), NET_TRACK_UNKNOWN);
	assert_int_equal(net_track_see(&track, 0, 0), NET_TRACK_UNKNOWN);
	net_track_free(&track);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows_go_in_turn),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_queues_share),
		cmocka_unit_test(test_new_flows_take_the_place_of_the_oldest),
		cmocka_unit_test(test_tcp_opens_and_closes),
		cmocka_unit_test(test_nothing_to_close),
		cmocka_unit_test(test_no_flow_is_closed_twice),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_established_finds_its_flow),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_track),
	};

	clock_calibrate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
