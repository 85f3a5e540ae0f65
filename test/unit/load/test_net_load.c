/*
 * The packet load against a network that does right, that loses, doubles, exchanges and damages frames, and against back ends that
 * break a rule, hang or die. Nothing is timed: counts must agree with what the network saw.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmocka_all.h"
#include "fake_backend.h"
#include "load/net_load.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { PACKETS = 3000 };

static const uint64_t QUIET_NS = 3000000000; /* a busy machine may not run the network for long */

static const uint64_t all_features = BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_F_RING_PACKED) |
				     BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) |
				     BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
				     BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6);

/* One or two ports of a network, each with a driver on it. */
struct rig {
	struct fake_net nets[2];
	struct fake_backend fakes[2];
	struct net_driver drivers[2];
	struct net_load_config load;
	struct net_load_result result;
	unsigned count;
};

static struct net_address address(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct frame_plan plan_of(unsigned end)
{
	struct frame_plan plan = {.source_mac = {{2, 0, 0, 0, 0, 1}},
				  .destination_mac = {{2, 0, 0, 0, 0, 2}},
				  .source = address("10.0.0.5"),
				  .destination = address("10.0.0.6"),
				  .vlan = FRAME_NO_VLAN,
				  .protocol = IPPROTO_UDP};
	struct frame_plan back = plan;

	back.source = plan.destination;
	back.destination = plan.source;
	back.source_mac = plan.destination_mac;
	back.destination_mac = plan.source_mac;
	return end == 0 ? plan : back;
}

/* `rig` is zero but for what the nets are to do. */
static void set_up(struct rig *rig, unsigned count, uint64_t features, const struct net_driver_config *driver)
{
	struct net_driver_config config = *driver;

	if (config.queue_count == 0)
		config.queue_count = 1;
	if (config.ring_size == 0)
		config.ring_size = 64;
	if (config.receive_bytes == 0)
		config.receive_bytes = NET_RECEIVE_BYTES_DEFAULT;
	if (config.transmit_bytes_max == 0)
		config.transmit_bytes_max = 2048;
	config.frame_bytes_max = 1514;
	rig->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct fake_backend_config fake = {.features = features, .protocol_features = ~UINT64_C(0), .net = &rig->nets[i]};

		fake_net_start(&rig->nets[i]);
		rig->nets[i].number = (uint8_t)i;
		rig->nets[i].peer = count > 1 ? &rig->nets[1 - i] : NULL;
		fake_backend_start(&rig->fakes[i], &fake);
		assert_int_equal(net_driver_connect(&rig->drivers[i], rig->fakes[i].path, 5000), 0);
		assert_int_equal(net_driver_start(&rig->drivers[i], &config), 0);
		rig->load.ends[i] = (struct net_load_end_config){.driver = &rig->drivers[i],
								 .plan = plan_of(i),
								 .address_count = 1,
								 .destination_port = 80,
								 .sends = i == 0};
	}
	rig->load.end_count = count;
	rig->load.sizes[0] = 64;
	rig->load.size_count = 1;
	rig->load.flow_count = 10;
	rig->load.packets_max = PACKETS;
	rig->load.quiet_ns = QUIET_NS;
	rig->load.stall_ns_max = 60000000000u;
}

static void stop(struct rig *rig)
{
	for (unsigned i = 0; i < rig->count; i++) {
		net_driver_close(&rig->drivers[i]);
		fake_backend_stop(&rig->fakes[i]);
	}
}

static void tear_down(struct rig *rig)
{
	for (unsigned i = 0; i < rig->count; i++)
		fake_net_stop(&rig->nets[i]);
	free(rig);
}

static struct rig *rig_new(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	return rig;
}

static void run_well(struct rig *rig)
{
	int error = net_load_run(&rig->load, &rig->result);

	if (error != 0)
		fail_msg("%d %s", error, rig->result.error);
	stop(rig);
}

/* What the network says happened is what the load says. */
static void check_counts(const struct rig *rig, unsigned from, unsigned to)
{
	const struct net_load_direction *d = &rig->result.directions[from];
	const struct fake_net *net = &rig->nets[from];

	assert_true(d->signed_sent > 0);
	assert_int_equal(net_load_lost(d), net->lost);
	assert_int_equal(d->damaged, 0);
	assert_in_range(d->sent, 1, 2 * PACKETS);
	assert_true(rig->result.ends[to].bad_checksums == 0);
}

static void test_there_and_back(void **state)
{
	static const struct {
		uint64_t without; /* features */
		struct net_driver_config config;
	} kinds[] = {
		{0, {0}},
		{BIT(VIRTIO_RING_F_EVENT_IDX), {0}},
		{0, {.packed = true}},
		{BIT(VIRTIO_RING_F_EVENT_IDX), {.packed = true, .indirect = true}},
		{0, {.indirect = true, .ring_size = 16}},
		{BIT(VIRTIO_NET_F_MRG_RXBUF), {.ring_size = 1024}},
		{0, {.checksum = true, .receive_bytes = 128}},
		{0, {.queue_count = 2}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig *rig = rig_new();

		set_up(rig, 1, all_features & ~kinds[i].without, &kinds[i].config);
		rig->load.sizes[1] = 590;
		rig->load.sizes[2] = 1514;
		rig->load.size_count = 3;
		rig->load.verify = true;
		rig->load.ends[0].plan.checksum_offload = kinds[i].config.checksum;
		run_well(rig);
		check_counts(rig, 0, 0);
		assert_int_equal(rig->result.ends[0].others, 0);
		if (kinds[i].config.queue_count < 2) /* the network has one way back for two queues */
			assert_int_equal(rig->result.directions[0].reordered, 0);
		tear_down(rig);
	}
}

static void test_two_ends_both_ways(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 2, all_features, &(struct net_driver_config){0});
	rig->load.ends[1].sends = true;
	for (unsigned i = 0; i < 2; i++)
		rig->load.ends[i].plan.stamped = true;
	rig->load.rate_pps = 20000;
	run_well(rig);
	for (unsigned i = 0; i < 2; i++) {
		const struct net_load_direction *d = &rig->result.directions[i];

		check_counts(rig, i, 1 - i);
		assert_int_equal(histogram_total(&d->latency), d->arrived);
		assert_true(d->latency_max_ticks * d->arrived >= d->latency_sum_ticks);
		assert_true(d->sent <= 20000 * (rig->result.elapsed_ns + 1000000) / 1000000000 + 1); /* never ahead of time */
	}
	tear_down(rig);
}

/* What was sent in warm-up is not counted, wherever it arrives. */
static void test_warm_up(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 2, all_features, &(struct net_driver_config){0});
	rig->load.warmup_ns = 20000000;
	rig->nets[0].fault = FAKE_NET_LOSE;
	rig->nets[0].fault_every = UINT32_MAX; /* none is lost, all are counted */
	run_well(rig);
	assert_true(rig->nets[0].carried > rig->result.directions[0].sent);
	assert_int_equal(rig->result.directions[0].arrived, rig->result.directions[0].signed_sent);
	tear_down(rig);
}

static void test_what_becomes_of_frames(void **state)
{
	(void)state;
	for (enum fake_net_fault fault = FAKE_NET_LOSE; fault <= FAKE_NET_RENAME; fault++) {
		struct rig *rig = rig_new();
		const struct net_load_direction *d = &rig->result.directions[0];
		const struct fake_net *net = &rig->nets[0];

		set_up(rig, 2, all_features, &(struct net_driver_config){0});
		rig->nets[0].fault = fault;
		rig->nets[0].fault_every = 7;
		rig->load.flow_count = 1;
		rig->load.verify = true;
		rig->load.rate_pps = 30000;
		run_well(rig);
		assert_true(net->carried >= 7);
		assert_int_equal(net_load_lost(d),
				 net->lost + (fault == FAKE_NET_RENAME ? net->damaged : 0) + (net->held_bytes > 0));
		assert_int_equal(d->duplicates, net->doubled);
		assert_int_equal(d->reordered, net->exchanged - (net->held_bytes > 0));
		assert_int_equal(d->damaged, fault == FAKE_NET_RENAME ? net->damaged : 0);
		assert_int_equal(rig->result.ends[1].bad_checksums, net->damaged);
		tear_down(rig);
	}
}

/* Connections: each begins with a SYN, data comes after it, each ends with a FIN or RST, also at the end of the run. */
static void test_connections(void **state)
{
	(void)state;
	for (unsigned reset = 0; reset < 2; reset++) {
		struct rig *rig = rig_new();
		const struct net_load_direction *d = &rig->result.directions[0];

		set_up(rig, 2, all_features, &(struct net_driver_config){.ring_size = 256});
		for (unsigned i = 0; i < 2; i++)
			rig->load.ends[i].plan.protocol = IPPROTO_TCP;
		rig->load.sizes[0] = 80;
		rig->load.new_flows_per_s = 2000;
		rig->load.close_with_reset = reset != 0;
		rig->load.rate_pps = 20000;
		run_well(rig);
		assert_true(d->opened >= 10);
		assert_int_equal(rig->nets[0].syn, d->opened);
		assert_int_equal(reset ? rig->nets[0].rst : rig->nets[0].fin, d->opened);
		assert_int_equal(reset ? rig->nets[0].fin : rig->nets[0].rst, 0);
		assert_int_equal(rig->nets[0].data_before_syn, 0);
		assert_int_equal(rig->nets[0].data_after_fin, 0);
		assert_int_equal(rig->result.ends[0].others + rig->result.ends[1].others, 0);
		assert_int_equal(rig->result.ends[1].answered + rig->result.ends[1].unanswered,
				 d->opened + (reset ? 0 : rig->nets[0].fin));
		assert_in_range(d->established, d->opened - rig->result.ends[1].unanswered, d->opened);
		tear_down(rig);
	}
}

/* Nobody answers the SYNs of a loop: no data is sent, SYNs are repeated. */
static void test_handshake_waits(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 1, all_features, &(struct net_driver_config){0});
	rig->load.ends[0].plan.protocol = IPPROTO_TCP;
	rig->load.sizes[0] = 80;
	rig->load.handshake = true;
	rig->load.packets_max = 20;
	rig->load.quiet_ns = 0; /* nothing is to come */
	run_well(rig);
	assert_int_equal(rig->result.directions[0].signed_sent, 0);
	assert_true(rig->result.directions[0].opened >= 20);
	assert_int_equal(rig->result.directions[0].opened, rig->nets[0].syn);
	tear_down(rig);
}

static void test_handshake_goes_on(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 2, all_features, &(struct net_driver_config){.ring_size = 128});
	for (unsigned i = 0; i < 2; i++)
		rig->load.ends[i].plan.protocol = IPPROTO_TCP;
	rig->load.sizes[0] = 80;
	rig->load.handshake = true;
	run_well(rig);
	assert_true(rig->result.directions[0].signed_sent > 0);
	assert_true(rig->result.directions[0].established > 0);
	assert_int_equal(rig->nets[0].data_before_syn, 0);
	check_counts(rig, 0, 1);
	tear_down(rig);
}

/* A TSO frame stays one, through buffers that hold it in a piece and through small ones. */
static void test_segmentation_offload(void **state)
{
	(void)state;
	for (unsigned small = 0; small < 2; small++) {
		struct rig *rig = rig_new();

		set_up(rig, 2, all_features,
		       &(struct net_driver_config){.segmentation = true,
						   .transmit_bytes_max = 65536,
						   .receive_bytes = small ? 2048 : NET_RECEIVE_BYTES_TSO,
						   .ring_size = 128});
		for (unsigned i = 0; i < 2; i++) {
			rig->load.ends[i].plan.protocol = IPPROTO_TCP;
			rig->load.ends[i].plan.checksum_offload = true;
			rig->load.ends[i].plan.segment_bytes = 1448;
		}
		rig->load.sizes[0] = 65536;
		rig->load.rate_pps = 20000;
		rig->load.verify = true;
		run_well(rig);
		check_counts(rig, 0, 1);
		tear_down(rig);
	}
}

/* Guest to guest over a switch: each asks for the other, and answers. */
static void test_neighbours_are_found(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct rig *rig = rig_new();

		set_up(rig, 2, all_features, &(struct net_driver_config){0});
		for (unsigned i = 0; i < 2; i++) {
			struct net_load_end_config *end = &rig->load.ends[i];

			if (v6) {
				end->plan.source = address(i == 0 ? "2001:db8::5" : "2001:db8::6");
				end->plan.destination = address(i == 0 ? "2001:db8::6" : "2001:db8::5");
			}
			memset(end->plan.destination_mac.bytes, 0x22, 6);
			end->next_hop = end->plan.destination;
			end->resolve = true;
			end->sends = true;
		}
		rig->load.sizes[0] = 80;
		run_well(rig);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(rig->result.ends[i].answered, 1);
			assert_memory_equal(rig->result.ends[i].next_hop_mac.bytes, rig->result.ends[1 - i].mac.bytes, 6);
			check_counts(rig, i, 1 - i);
		}
		tear_down(rig);
	}
}

/* Addresses from the router; the other end is in the same subnet, a third party behind the router. */
static void test_dhcp(void **state)
{
	(void)state;
	for (unsigned ends = 1; ends <= 2; ends++) {
		struct rig *rig = rig_new();

		rig->nets[0].router = rig->nets[1].router = true;
		set_up(rig, ends, all_features, &(struct net_driver_config){0});
		for (unsigned i = 0; i < ends; i++) {
			rig->load.ends[i].dhcp = true;
			rig->load.ends[i].resolve = i == 0;
			rig->load.ends[i].plan.source_mac = rig->drivers[i].facts.mac;
			rig->load.ends[i].plan.destination = address("192.0.2.9");
		}
		run_well(rig);
		for (unsigned i = 0; i < ends; i++)
			assert_int_equal(ntohl(rig->result.ends[i].address.word[3]), 0x0a000064 + i);
		if (ends == 1)
			assert_memory_equal(rig->result.ends[0].next_hop_mac.bytes, "\2\0\0\0\0\xfe", 6);
		else
			assert_memory_equal(rig->result.ends[0].next_hop_mac.bytes, "\2\0\0\0\1\1", 6);
		check_counts(rig, 0, ends - 1);
		tear_down(rig);
	}
}

static void test_nobody_answers(void **state)
{
	(void)state;
	for (unsigned dhcp = 0; dhcp < 2; dhcp++) {
		struct rig *rig = rig_new();

		set_up(rig, 1, all_features, &(struct net_driver_config){0});
		rig->load.ends[0].resolve = true;
		rig->load.ends[0].dhcp = dhcp != 0;
		rig->load.ends[0].next_hop = address("10.0.0.77");
		assert_int_equal(net_load_run(&rig->load, &rig->result), -EHOSTUNREACH);
		assert_non_null(strstr(rig->result.error, dhcp ? "no DHCP server answers" : "nobody answers for 10.0.0.77"));
		stop(rig);
		tear_down(rig);
	}
}

struct echo {
	struct net_load_config config;
	struct net_load_result result;
	int error;
};

static void *run_echo(void *context)
{
	struct echo *echo = context;

	echo->error = net_load_run(&echo->config, &echo->result);
	return NULL;
}

/* A sender and an echo that knows nothing of it: round trips. */
static void test_echo(void **state)
{
	(void)state;
	for (unsigned tcp = 0; tcp < 2; tcp++) {
		struct rig *rig = rig_new();
		const struct net_load_direction *d = &rig->result.directions[0];
		struct echo echo = {0};
		volatile int enough = 0;
		pthread_t thread;

		set_up(rig, 2, all_features, &(struct net_driver_config){.ring_size = 256});
		for (unsigned i = 0; i < 2; i++) {
			rig->load.ends[i].plan.protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
			rig->load.ends[i].plan.stamped = i == 0;
		}
		rig->load.sizes[0] = 100;
		rig->load.rate_pps = 5000;
		rig->load.packets_max = 500;
		rig->load.handshake = tcp != 0;
		rig->load.verify = true;
		echo.config = rig->load;
		echo.config.ends[0] = rig->load.ends[1];
		echo.config.end_count = rig->load.end_count = 1;
		echo.config.echo = true;
		echo.config.rate_pps = 0;
		echo.config.packets_max = 0;
		echo.config.interrupted = &enough;
		assert_int_equal(pthread_create(&thread, NULL, run_echo, &echo), 0);
		assert_int_equal(net_load_run(&rig->load, &rig->result), 0);
		enough = 1;
		pthread_join(thread, NULL);
		stop(rig);
		assert_int_equal(echo.error, 0);
		assert_true(d->arrived > 0);
		assert_int_equal(histogram_total(&d->latency), d->arrived);
		assert_int_equal(rig->result.ends[0].bad_checksums + echo.result.ends[0].bad_checksums, 0);
		assert_int_equal(net_load_lost(d), echo.result.ends[0].echo_no_room);
		if (tcp)
			assert_true(d->established > 0);
		tear_down(rig);
	}
}

static void test_broken_back_ends_are_named(void **state)
{
	static const struct {
		enum fake_net_fault fault;
		int error;
		const char *says;
	} faults[] = {
		{FAKE_NET_NO_BUFFERS, -EPROTO, "receive queue of pair 0: a received frame has num_buffers 0"},
		{FAKE_NET_SHORT, -EPROTO, "shorter than its virtio header"},
		{FAKE_NET_LONG, -EPROTO, "wrote more bytes than the buffers"},
		{FAKE_NET_UNFINISHED, -EPROTO, "the end of a received frame never came"},
		{FAKE_NET_CSUM, -EPROTO, "GUEST_CSUM was not negotiated"},
		{FAKE_NET_BAD_TRANSMIT_ID, -EPROTO, "transmit queue of pair 0: its used ring names a chain"},
		{FAKE_NET_HANG, -ETIMEDOUT, "the back end hangs, or does not poll"},
		{FAKE_NET_DIE, -ECONNRESET, "closed the connection"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct rig *rig = rig_new();

		set_up(rig, 1, all_features, &(struct net_driver_config){0});
		rig->nets[0].fault = faults[i].fault;
		if (faults[i].fault != FAKE_NET_UNFINISHED) /* that shows at the end, the others end the run */
			rig->load.packets_max = 0;
		if (faults[i].fault == FAKE_NET_HANG)
			rig->load.stall_ns_max = 50000000;
		assert_int_equal(net_load_run(&rig->load, &rig->result), faults[i].error);
		if (strstr(rig->result.error, faults[i].says) == NULL)
			fail_msg("'%s' instead of '%s'", rig->result.error, faults[i].says);
		stop(rig);
		tear_down(rig);
	}
}

/* Which of two sockets it is about is said. */
static void test_the_culprit_is_named(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 2, all_features, &(struct net_driver_config){0});
	rig->nets[1].fault = FAKE_NET_SHORT;
	rig->load.packets_max = 0;
	assert_int_equal(net_load_run(&rig->load, &rig->result), -EPROTO);
	assert_non_null(strstr(rig->result.error, "the second socket: "));
	stop(rig);
	tear_down(rig);
}

static void refused(uint64_t features, const struct net_driver_config *config, int error, const char *says)
{
	struct fake_net *net = calloc(1, sizeof(*net));
	struct fake_backend_config fake_config = {.features = features, .protocol_features = ~UINT64_C(0), .net = net};
	struct fake_backend fake;
	struct net_driver driver;

	fake_net_start(net);
	fake_backend_start(&fake, &fake_config);
	assert_int_equal(net_driver_connect(&driver, fake.path, 5000), 0);
	assert_int_equal(net_driver_start(&driver, config), error);
	if (strstr(driver.client.error, says) == NULL)
		fail_msg("'%s' instead of '%s'", driver.client.error, says);
	net_driver_close(&driver);
	fake_backend_stop(&fake);
	fake_net_stop(net);
	free(net);
}

static void test_what_is_not_offered(void **state)
{
	const struct net_driver_config plain = {
		.queue_count = 1, .ring_size = 64, .frame_bytes_max = 1514, .transmit_bytes_max = 2048, .receive_bytes = 2048};
	struct net_driver_config config = plain;

	(void)state;
	config.packed = true;
	refused(0, &config, -EOPNOTSUPP, "leave --packed out");
	config = plain;
	config.indirect = true;
	refused(0, &config, -EOPNOTSUPP, "leave --indirect out");
	config = plain;
	config.checksum = true;
	refused(0, &config, -EOPNOTSUPP, "leave --csum and --tso out");
	config.segmentation = true;
	refused(BIT(VIRTIO_NET_F_CSUM), &config, -EOPNOTSUPP, "does not offer TSO");
	config = plain;
	config.queue_count = 2;
	refused(0, &config, -EOPNOTSUPP, "1 queue pair, not 2");
	config.queue_count = 3;
	refused(BIT(VIRTIO_NET_F_MQ), &config, -EOPNOTSUPP, "2 queue pairs, not 3");
}

static void test_what_the_device_tells(void **state)
{
	const struct net_driver_config config = {.queue_count = 1,
						 .ring_size = 64,
						 .frame_bytes_max = 1514,
						 .transmit_bytes_max = 2048,
						 .receive_bytes = 2048,
						 .mtu = 1400};
	struct fake_net *net = calloc(1, sizeof(*net));
	struct fake_backend_config fake_config = {.features =
							  BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS),
						  .protocol_features = ~UINT64_C(0),
						  .net = net};
	struct fake_backend fake;
	struct net_driver driver;

	(void)state;
	net->number = 9;
	net->mtu = 8000;
	net->link_down = true;
	fake_net_start(net);
	fake_backend_start(&fake, &fake_config);
	assert_int_equal(net_driver_connect(&driver, fake.path, 5000), 0);
	assert_true(driver.facts.mac_known);
	assert_memory_equal(driver.facts.mac.bytes, "\2\0\0\0\1\11", 6);
	assert_int_equal(driver.facts.mtu, 8000);
	assert_true(driver.facts.link_known);
	assert_false(driver.facts.link_up);
	assert_int_equal(driver.facts.queues_max, 1);
	assert_int_equal(net_driver_start(&driver, &config), 0);
	net_driver_close(&driver);
	fake_backend_stop(&fake);
	assert_int_equal(net->mtu_set, 1400);
	fake_net_stop(net);
	free(net);
}

static void test_no_config_space(void **state)
{
	struct fake_net *net = calloc(1, sizeof(*net));
	struct fake_backend_config fake_config = {
		.features = all_features | BIT(VIRTIO_NET_F_MAC), .protocol_features = BIT(VHOST_USER_PROTOCOL_F_MQ), .net = net};
	const struct net_driver_config config = {.queue_count = 1, .ring_size = 64, .frame_bytes_max = 1514, .mtu = 1400};
	struct fake_backend fake;
	struct net_driver driver;

	(void)state;
	fake_net_start(net);
	fake_backend_start(&fake, &fake_config);
	assert_int_equal(net_driver_connect(&driver, fake.path, 5000), 0);
	assert_false(driver.facts.mac_known || driver.facts.link_known);
	assert_int_equal(driver.facts.queues_max, 2);
	assert_int_equal(net_driver_start(&driver, &config), -EOPNOTSUPP);
	assert_non_null(strstr(driver.client.error, "leave --mtu out"));
	net_driver_close(&driver);
	fake_backend_stop(&fake);
	fake_net_stop(net);
	free(net);
}

static void test_what_cannot_be_sent(void **state)
{
	struct rig *rig = rig_new();

	(void)state;
	set_up(rig, 1, all_features, &(struct net_driver_config){0});
	rig->load.sizes[0] = 53;
	assert_int_equal(net_load_run(&rig->load, &rig->result), -EINVAL);
	assert_non_null(strstr(rig->result.error, "from 54 on"));
	rig->load.sizes[0] = 64;
	rig->load.flow_count = NET_FLOWS_MAX + 1;
	assert_int_equal(net_load_run(&rig->load, &rig->result), -EINVAL);
	assert_non_null(strstr(rig->result.error, "fewer --flows"));
	stop(rig);
	tear_down(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_two_ends_both_ways),
		cmocka_unit_test(test_warm_up),
		cmocka_unit_test(test_what_becomes_of_frames),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_handshake_waits),
		cmocka_unit_test(test_handshake_goes_on),
		cmocka_unit_test(test_segmentation_offload),
		cmocka_unit_test(test_neighbours_are_found),
		cmocka_unit_test(test_dhcp),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_broken_back_ends_are_named),
		cmocka_unit_test(test_the_culprit_is_named),
		cmocka_unit_test(test_what_is_not_offered),
		cmocka_unit_test(test_what_the_device_tells),
		cmocka_unit_test(test_no_config_space),
		cmocka_unit_test(test_what_cannot_be_sent),
	};

	clock_calibrate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
