/* Which flows go to a device, and when they come back. */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>

#include "pipeline_rig.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open_device(*state);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

/* A UDP stream between `eni` and r, `packets` each way. */
static void stream(struct pipeline_rig *rig, const char *eni, const char *address, uint8_t last, uint16_t port, unsigned packets)
{
	struct words out = {
		.source = address, .destination = "10.0.1.20", .protocol = IPPROTO_UDP, .source_port = port, .destination_port = 9};
	struct words in = {
		.source = "10.0.1.20", .destination = address, .protocol = IPPROTO_UDP, .source_port = 9, .destination_port = port};

	for (unsigned i = 0; i < packets; i++) {
		assert_int_equal(rig_send(rig, eni, &out), DROP_NONE);
		assert_int_equal(rig_overlay(rig, RIG_VNI, last, &in), DROP_NONE);
		rig_clear(rig);
	}
}

static unsigned carried(const struct pipeline_rig *rig)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_WIRE_FLOWS_MAX; i++)
		count += rig->wire->offloaded[i].used;
	return count;
}

static void test_offered(void **state)
{
	struct pipeline_rig *rig = *state;
	const struct fake_offload *o = &rig->wire->offloaded[0];

	stream(rig, "a", "10.0.1.10", 10, 1, OFFLOAD_PACKETS_MIN - 1);
	stream(rig, "b", "10.0.1.11", 11, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 1); /* a's is not worth it */
	assert_memory_equal(o->key.local.bytes, rig_address("10.0.1.11").bytes, 16);
	assert_int_equal(o->out.vni, RIG_VNI);
	assert_memory_equal(o->outer.header, ((uint8_t[]){2, 0, 0, 0, 2, 2}), 6);
	assert_int_equal(vpc_counters(rig->vpc)->offload_offered, 1);
	assert_int_equal(vpc_counters(rig->vpc)->offload_accepted, 1);
}

/* What the device counts keeps the flow, and is the ENI's. */
static void test_counted(void **state)
{
	struct pipeline_rig *rig = *state;
	uint64_t before;

	stream(rig, "a", "10.0.1.10", 10, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 1);
	before = rig_counters(rig, NET_ENI, "a")->out.packets;
	for (unsigned s = 0; s < 400; s += 100) {
		rig->wire->offloaded[0].counters.packets += 10;
		rig->wire->offloaded[0].counters.bytes += 1000;
		for (unsigned i = 0; i < 4; i++) {
			rig_advance(rig, 25000);
			rig_neighbours(rig);
		}
		rig_clear(rig);
	}
	assert_int_equal(carried(rig), 1); /* longer than a stream lives */
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->out.packets, before + 40);
	rig_advance(rig, 200000);
	assert_int_equal(carried(rig), 0);
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 0);
}

static void test_policy_takes_back(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec a = spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10");

	for (uint16_t port = 1; port <= 20; port++)
		stream(rig, "a", "10.0.1.10", 10, port, OFFLOAD_PACKETS_MIN);
	stream(rig, "b", "10.0.1.11", 11, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 21);
	spec_eni_group(&a, "open");
	a.eni.timeouts.udp_s = 40;
	rig_begin(&rig->model);
	rig_put(&rig->model, &a);
	rig_apply(rig);
	rig_advance(rig, 1); /* at once, not when the next round comes */
	assert_int_equal(carried(rig), 1);
	/* A packet decides anew, and then it may go again. */
	stream(rig, "a", "10.0.1.10", 10, 1, 1);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 2);
}

static void test_new_way_takes_back(void **state)
{
	struct pipeline_rig *rig = *state;
	uint8_t arp[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 2, 9, 192, 0, 2, 2};

	stream(rig, "a", "10.0.1.10", 10, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 1);
	rig_wire_raw(rig, arp, sizeof(arp)); /* another MAC */
	rig_advance(rig, 1);
	assert_int_equal(carried(rig), 0);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 1);
	assert_int_equal(rig->wire->offloaded[0].outer.header[5], 9);
}

static void test_what_is_not_offered(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec a = spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10");
	struct net_spec vpc = spec_vpc("w", 5000, "10.0.0.0/16", NULL), subnet = spec_subnet("ws", "w", "10.0.1.0/24", NULL);
	struct net_spec twin = spec_eni("x", "ws", 11, "10.0.1.11", NULL);
	struct capture_config config = {.slot = rig_endpoint(&rig->model, NET_ENI, "p")->slot};
	struct capture *capture;

	/* One whose bandwidth we meter; one whose MAC another tenant has as well; one that somebody looks at. */
	spec_eni_group(&a, "open");
	a.eni.allowances.bandwidth_out_bits = 1000000000;
	rig_begin(&rig->model);
	rig_put(&rig->model, &a);
	rig_put(&rig->model, &vpc);
	rig_put(&rig->model, &subnet);
	rig_put(&rig->model, &twin);
	rig_apply(rig);
	assert_int_equal(vpc_capture_start(rig->vpc, &config, &capture), 0);
	stream(rig, "a", "10.0.1.10", 10, 1, OFFLOAD_PACKETS_MIN);
	stream(rig, "b", "10.0.1.11", 11, 1, OFFLOAD_PACKETS_MIN);
	stream(rig, "p", "10.0.3.13", 13, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 0);
	vpc_capture_stop(rig->vpc, capture);
	rig_advance(rig, 1100);
	assert_int_equal(carried(rig), 1);
	/* A capture that begins has the flow back. */
	assert_int_equal(vpc_capture_start(rig->vpc, &config, &capture), 0);
	rig_advance(rig, 1);
	assert_int_equal(carried(rig), 0);
	vpc_capture_stop(rig->vpc, capture);
}

static void test_refused(void **state)
{
	struct pipeline_rig *rig = *state;

	rig->wire->offload_error = -ENOTSUP;
	for (uint16_t port = 1; port <= 20; port++)
		stream(rig, "a", "10.0.1.10", 10, port, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 3000);
	assert_int_equal(rig->wire->offers, OFFLOAD_REFUSALS_MAX); /* then it is left alone */
	rig->wire->offload_error = 0;
	rig_advance(rig, (OFFLOAD_PAUSE_S - 3) * 1000);
	assert_int_equal(carried(rig), 0);
	rig_advance(rig, 3000);
	assert_int_equal(carried(rig), 20);
}

static void test_endpoint_goes(void **state)
{
	struct pipeline_rig *rig = *state;

	stream(rig, "b", "10.0.1.11", 11, 1, OFFLOAD_PACKETS_MIN);
	rig_advance(rig, 1100);
	rig_begin(&rig->model);
	rig_delete(&rig->model, NET_EIP, "eip-b");
	rig_delete(&rig->model, NET_ENI, "b");
	rig_apply(rig);
	rig_advance(rig, 1);
	assert_int_equal(carried(rig), 0);
	assert_int_equal(rig->wire->withdrawals, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_offered, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_counted, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_policy_takes_back, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_new_way_takes_back, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_what_is_not_offered, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_refused, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_endpoint_goes, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
