/* Wires over devices that need nothing of the machine: null, ring, pcap files, a memif pair; and what is said when one cannot be. */
#include "../cmocka_all.h"

#include "base/list.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "vpc/eal_dpdk.h"
#include "vpc/offload.h"
#include "wire_rig.h"

static struct rig_input in;

static void test_environment(void **state)
{
	struct eal_config config = {.core = 0};
	char error[200], line[EAL_LINE_SIZE];
	cpu_set_t affinity, all;
	sigset_t mask;

	(void)state;
	assert_int_equal(eal_open(&config, error, sizeof(error)), -EALREADY);
	pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	CPU_ZERO(&all);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		CPU_SET(cpu, &all);
	assert_true(CPU_COUNT(&affinity) > 1 || CPU_COUNT(&all) == 1); /* the caller is where it was */
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
	eal_forget_line();
	assert_int_equal(rig_wire_error("net_af_packet0", error, sizeof(error)), -EINVAL);
	snprintf(line, sizeof(line), "%s", eal_last_line());
	assert_true(line[0] != '\0'); /* DPDK's own words came to us */
	eal_forget_line();
	assert_string_equal(eal_last_line(), "");
}

/* Each names the device, and says what is wrong with it or what to do. */
static void test_errors(void **state)
{
	static const struct {
		const char *device;
		int rc;
		const char *words[3];
	} cases[] = {
		{"net_wormhole0", -ENODEV, {"no driver net_wormhole", "net_af_packet, ", "net_null"}},
		{"eth1", -ENODEV, {"\"eth1\" is not a device", "net_af_packet0,iface=eth1", "0000:3b:00.0"}},
		{"net_af_packet0", -EINVAL, {"needs iface=", "", ""}},
		{"net_af_packet0,iface=nothere", -ENODEV, {"no network interface nothere", "", ""}},
		{"net_af_xdp0,iface=nothere", -ENODEV, {"no network interface nothere", "", ""}},
		{"net_pcap0,rx_pcap=/nonexistent/file", 0, {"wire net_pcap0,rx_pcap=/nonexistent/file: ", "", ""}},
		{"net_null0,nonsense=1", 0, {"wire net_null0,nonsense=1: ", "", ""}},
		{"0000:ff:1f.7", 0, {"wire 0000:ff:1f.7: ", "vfio-pci", ""}},
	};
	char error[400];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = rig_wire_error(cases[i].device, error, sizeof(error));

		if (cases[i].rc != 0)
			assert_int_equal(rc, cases[i].rc);
		for (unsigned word = 0; word < 3; word++)
			if (strstr(error, cases[i].words[word]) == NULL)
				fail_msg("%s: %s", cases[i].device, error);
		assert_non_null(strstr(error, cases[i].device));
	}
}

static void test_twice(void **state)
{
	struct wire *wire = rig_wire("net_null0,no-rx=1", 0);
	char error[300];

	(void)state;
	assert_int_equal(rig_wire_error("net_null0,no-rx=1", error, sizeof(error)), -EEXIST);
	assert_non_null(strstr(error, "one of its own"));
	wire->ops->close(wire);
	wire = rig_wire("net_null0,no-rx=1", 0); /* and it can be opened again */
	wire->ops->close(wire);
}

/* A null device: takes everything, offers endless frames, refuses flows, does not tell of frames. */
static void test_null(void **state)
{
	struct wire *wire = rig_wire("net_null0,size=64", 1);
	const struct flow_key key = {.protocol = 17, .local = net_address_v4(1), .remote = net_address_v4(2)};
	const struct flow_action out = {.verdict = FLOW_TO_HOST};
	const struct tunnel_template outer = {.bytes = 50, .family = 4};
	struct wire_offload_flow flow = {.key = &key, .out = &out, .outer = &outer};
	uint64_t handle = 7;

	(void)state;
	assert_int_equal(wire->mtu, 1500);
	assert_int_equal(wire->sink.frame_bytes_max, 1514);
	assert_int_equal(wire->sink.offloads, 0);
	assert_true(wire->ops->link_up(wire));
	assert_int_equal(wire->ops->wait_fd(wire), -1);
	assert_false(wire->ops->arm(wire));
	wire->ops->disarm(wire);
	assert_int_equal(wire->offload->offer(wire, &flow, &handle), -ENOTSUP);
	assert_int_equal(handle, 7);
	for (unsigned i = 0; i < 100; i++)
		assert_true(rig_put(wire, 60 + i, i, 1));
	assert_int_equal(wire->counters.packets_out, 96); /* three bursts; the rest is sent by the flush */
	assert_int_equal(wire->counters.transmit.arrivals - wire->counters.transmit.departures, 4);
	rig_flush(wire);
	assert_int_equal(wire->counters.packets_out, 100);
	assert_int_equal(wire->counters.bytes_out, 100 * 60 + 99 * 100 / 2);
	assert_int_equal(wire->counters.transmit.arrivals, wire->counters.transmit.departures);
	rig_flush(wire); /* nothing to do */
	rig_input_init(&in);
	assert_int_equal(wire->ops->receive(wire, &in.input, clock_tsc()), 32);
	assert_int_equal(in.batches, 1);
	assert_int_equal(wire->counters.packets_in, 32);
	rig_input_forget(&in);
	assert_false(rig_put(wire, 1515, 0, 1)); /* larger than the wire */
	assert_int_equal(wire->counters.full, 1);
	rig_put(wire, 60, 0, 1); /* put and never sent: closing frees it */
	wire->ops->close(wire);
}

/* What is sent comes back, whole, in order, however it was cut. */
static void test_ring(void **state)
{
	struct wire *wire = rig_wire("net_ring0", 0);

	(void)state;
	rig_input_init(&in);
	for (unsigned i = 0; i < 40; i++)
		assert_true(rig_put(wire, i < 20 ? 60 + i : 300 + 10 * i, i, i < 20 ? 1 : 2 + i % 6));
	rig_flush(wire);
	rig_receive(wire, &in, 40);
	assert_int_equal(in.count, 40);
	for (unsigned i = 0; i < 40; i++)
		assert_true(rig_frame_is(&in, i, i < 20 ? 60 + i : 300 + 10 * i, i));
	assert_int_equal(in.batches, 2);
	assert_int_equal(wire->counters.packets_in, 40);
	assert_int_equal(wire->counters.bytes_in, wire->counters.bytes_out);
	assert_int_equal(wire->counters.full, 0);
	rig_input_forget(&in);
	wire->ops->close(wire);
}

/* A ring of 1024 that nobody empties: what it does not take is dropped and counted, and nothing waits. */
static void test_full(void **state)
{
	struct wire *wire = rig_wire("net_ring0", 0);
	unsigned put = 0;

	(void)state;
	rig_input_init(&in);
	for (unsigned i = 0; i < 2000; i++)
		put += rig_put(wire, 60, i, 1);
	rig_flush(wire);
	assert_int_equal(put, 2000);
	assert_true(wire->counters.full > 0);
	assert_int_equal(wire->counters.packets_out + wire->counters.full, 2000);
	assert_int_equal(wire->counters.transmit.arrivals, wire->counters.transmit.departures);
	rig_receive(wire, &in, 500);
	for (unsigned i = 0; i < 500; i++)
		assert_true(rig_frame_is(&in, i, 60, i)); /* the oldest are there */
	rig_input_forget(&in);
	while (wire->ops->receive(wire, &in.input, clock_tsc()) > 0)
		rig_input_forget(&in);
	assert_true(rig_put(wire, 60, 7, 1)); /* and it goes on */
	rig_flush(wire);
	rig_receive(wire, &in, 1);
	assert_true(rig_frame_is(&in, 0, 60, 7));
	rig_input_forget(&in);
	wire->ops->close(wire);
}

static void pcap_write(const char *path, unsigned frames)
{
	static const uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	FILE *f = fopen(path, "w");
	uint8_t bytes[1000];

	assert_non_null(f);
	assert_int_equal(fwrite(header, sizeof(header), 1, f), 1);
	for (unsigned i = 0; i < frames; i++) {
		uint32_t record[4] = {i, 0, 100 + i, 100 + i};

		rig_frame_make(bytes, 100 + i, i);
		assert_int_equal(fwrite(record, sizeof(record), 1, f), 1);
		assert_int_equal(fwrite(bytes, 100 + i, 1, f), 1);
	}
	assert_int_equal(fclose(f), 0);
}

static void test_pcap(void **state)
{
	char folder[] = "/tmp/outboard-wire-XXXXXX", from[64], to[64], device[200];
	struct wire *wire;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(from, sizeof(from), "%s/in.pcap", folder);
	snprintf(to, sizeof(to), "%s/out.pcap", folder);
	snprintf(device, sizeof(device), "net_pcap0,rx_pcap=%s,tx_pcap=%s", from, to);
	pcap_write(from, 50);
	wire = rig_wire(device, 0);
	rig_input_init(&in);
	rig_receive(wire, &in, 50);
	assert_int_equal(in.count, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_true(rig_frame_is(&in, i, 100 + i, i));
	for (unsigned i = 0; i < 50; i++)
		assert_true(rig_put(wire, 100 + i, i, 1));
	rig_flush(wire);
	rig_input_forget(&in);
	wire->ops->close(wire);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_size, 24 + 50 * (16 + 100) + 49 * 50 / 2);
	snprintf(device, sizeof(device), "net_pcap0,rx_pcap=%s", to); /* what was written can be read */
	wire = rig_wire(device, 0);
	rig_receive(wire, &in, 50);
	assert_int_equal(in.count, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_true(rig_frame_is(&in, i, 100 + i, i));
	rig_input_forget(&in);
	wire->ops->close(wire);
	unlink(from);
	unlink(to);
	rmdir(folder);
}

/* Shared memory between two processes (here: two ends in one), connected over a socket by DPDK's interrupt thread. */
static void test_memif(void **state)
{
	char path[64], device[2][160];
	struct wire *server, *client;
	uint64_t end;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/outboard-memif-%d.sock", (int)getpid());
	snprintf(device[0], sizeof(device[0]), "net_memif0,role=server,id=1,socket=%s,socket-abstract=no", path);
	snprintf(device[1], sizeof(device[1]), "net_memif1,role=client,id=1,socket=%s,socket-abstract=no", path);
	server = rig_wire(device[0], 0);
	client = rig_wire(device[1], 1);
	end = clock_monotonic_ns() + 10000000000;
	while (!(server->ops->link_up(server) && client->ops->link_up(client)) && clock_monotonic_ns() < end)
		usleep(1000);
	assert_true(server->ops->link_up(server) && client->ops->link_up(client));
	rig_input_init(&in);
	for (unsigned i = 0; i < 64; i++)
		assert_true(rig_put(client, 60 + 20 * i, i, i < 20 ? 1 : 3));
	rig_flush(client);
	rig_receive(server, &in, 64);
	assert_int_equal(in.count, 64);
	for (unsigned i = 0; i < 64; i++)
		assert_true(rig_frame_is(&in, i, 60 + 20 * i, i));
	rig_input_forget(&in);
	client->ops->receive(client, &in.input, clock_tsc()); /* the client's looks are what gives the server buffers */
	assert_true(rig_put(server, 200, 9, 1));
	rig_flush(server);
	rig_receive(client, &in, 1);
	assert_true(rig_frame_is(&in, 0, 200, 9));
	rig_input_forget(&in);
	client->ops->close(client);
	server->ops->close(server);
	unlink(path);
}

/* A thread that is not EAL's may serve a wire, and close comes from another. */
static void *serve(void *context)
{
	struct wire *wire = context;

	for (unsigned i = 0; i < 100; i++) {
		rig_put(wire, 60, i, 1);
		rig_flush(wire);
		wire->ops->receive(wire, &in.input, clock_tsc());
	}
	return NULL;
}

static void test_other_thread(void **state)
{
	struct wire *wire = rig_wire("net_ring0", 0);
	pthread_t thread;

	(void)state;
	rig_input_init(&in);
	assert_int_equal(pthread_create(&thread, NULL, serve, wire), 0);
	pthread_join(thread, NULL);
	assert_int_equal(in.count, 100);
	rig_input_forget(&in);
	wire->ops->close(wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment), cmocka_unit_test(test_errors), cmocka_unit_test(test_twice),
		cmocka_unit_test(test_null),	    cmocka_unit_test(test_ring),   cmocka_unit_test(test_full),
		cmocka_unit_test(test_pcap),	    cmocka_unit_test(test_memif),  cmocka_unit_test(test_other_thread),
	};

	return cmocka_run_group_tests_name("vpc wire_dpdk", tests, rig_open, rig_close);
}
