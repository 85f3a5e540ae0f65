/*
 * Wires over interfaces of the kernel, in a network namespace of this process: af_packet and af_xdp on the two ends of a veth pair,
 * and a tap. Needs the right to make them; without it, the tests are skipped.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "vpc/eal_dpdk.h"
#include "wire_rig.h"

static struct rig_input in;

static bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool run(const char *format, ...)
{
	char command[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command) == 0;
}

static int setup(void **state)
{
	if (unshare(CLONE_NEWNET) != 0)
		return 0; /* each test finds no namespace, and is skipped */
	*state = "";
	return rig_open(state);
}

static int teardown(void **state)
{
	return rig_close(state);
}

/* Two ends, up, with nothing of the kernel's own on them. */
static void pair(unsigned mtu)
{
	run("ip link delete left 2>/dev/null");
	if (!run("ip link add left mtu %u type veth peer name right mtu %u", mtu, mtu) ||
	    !run("sysctl -qw net.ipv6.conf.left.disable_ipv6=1 net.ipv6.conf.right.disable_ipv6=1") ||
	    !run("ip link set left up && ip link set right up"))
		fail_msg("the veth pair cannot be made");
}

static void exchange(struct wire *from, struct wire *to, uint32_t size_max)
{
	uint64_t full = from->counters.full;

	rig_input_init(&in);
	for (unsigned i = 0; i < 40; i++)
		assert_true(rig_put(from, 60 + (size_max - 60) * i / 39, i, i < 20 ? 1 : 2));
	rig_flush(from);
	rig_receive(to, &in, 40);
	assert_int_equal(in.count, 40);
	for (unsigned i = 0; i < 40; i++)
		assert_true(rig_frame_is(&in, i, 60 + (size_max - 60) * i / 39, i));
	rig_input_forget(&in);
	assert_int_equal(from->counters.full, full);
}

static struct mac interface_mac(const char *interface)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct mac mac;

	strcpy(request.ifr_name, interface);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	close(fd);
	memcpy(mac.bytes, request.ifr_hwaddr.sa_data, sizeof(mac.bytes));
	return mac;
}

static void skip_without_namespace(void **state)
{
	if (*state == NULL)
		skip();
}

static void test_af_packet(void **state)
{
	static const unsigned mtus[] = {1500, 1280, 9000};
	struct wire *left, *right;
	struct mac mac;

	skip_without_namespace(state);
	for (unsigned i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		pair(mtus[i]);
		mac = interface_mac("left");
		left = rig_wire("net_af_packet0,iface=left", 0);
		right = rig_wire("net_af_packet1,iface=right", 1);
		assert_int_equal(left->mtu, mtus[i]); /* the interface's */
		assert_int_equal(left->sink.frame_bytes_max, mtus[i] + 14);
		assert_int_equal(left->sink.offloads, 0);
		assert_memory_equal(left->mac.bytes, mac.bytes, sizeof(mac.bytes));
		assert_true(left->promiscuous);
		exchange(left, right, mtus[i] + 14);
		exchange(right, left, mtus[i] + 14);
		right->ops->close(right);
		left->ops->close(left);
	}
}

/* An unused wire: its descriptor tells of a frame, once it was armed, also edge-triggered as a poller watches it. */
static void sleeps(struct wire *wire, struct wire *other)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int fd = wire->ops->wait_fd(wire), epoll = epoll_create1(0);

	assert_true(fd >= 0 && epoll >= 0);
	rig_input_init(&in);
	while (wire->ops->receive(wire, &in.input, clock_tsc()) > 0)
		;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	epoll_wait(epoll, &event, 1, 0);
	for (unsigned round = 0; round < 5; round++) {
		assert_true(wire->ops->arm(wire));
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
		assert_true(rig_put(other, 100, round, 1));
		rig_flush(other);
		assert_int_equal(epoll_wait(epoll, &event, 1, 2000), 1);
		assert_false(wire->ops->arm(wire)); /* a frame is there */
		wire->ops->disarm(wire);
		rig_receive(wire, &in, 1);
		assert_true(rig_frame_is(&in, 0, 100, round));
		rig_input_forget(&in);
		while (wire->ops->receive(wire, &in.input, clock_tsc()) > 0)
			;
		rig_input_forget(&in);
	}
	close(epoll);
}

static void test_af_packet_sleeps(void **state)
{
	struct wire *left, *right;

	skip_without_namespace(state);
	pair(1500);
	left = rig_wire("net_af_packet0,iface=left", 0);
	right = rig_wire("net_af_packet1,iface=right", 1);
	sleeps(left, right);
	sleeps(right, left);
	assert_int_not_equal(left->ops->wait_fd(left), right->ops->wait_fd(right)); /* each its own */
	right->ops->close(right);
	left->ops->close(left);
}

/* The kernel tells a device of its peer a little later, and sends then what was left in its ring. */
static void settle(struct wire *from, struct wire *to)
{
	bool arrived = false;

	rig_input_init(&in);
	for (unsigned i = 0; i < 2000 && !arrived; i++) {
		rig_put(from, 200, 5000, 1);
		rig_flush(from);
		to->ops->receive(to, &in.input, clock_tsc());
		arrived = in.count > 0 && rig_frame_is(&in, in.count - 1, 200, 5000);
		rig_input_forget(&in);
		usleep(1000);
	}
	assert_true(arrived);
	usleep(20000);
	while (to->ops->receive(to, &in.input, clock_tsc()) > 0)
		rig_input_forget(&in);
	rig_input_forget(&in);
}

/* The other end goes down while frames are sent: dropped, and the wire works again after. */
static void test_af_packet_down(void **state)
{
	struct wire *left, *right;

	skip_without_namespace(state);
	pair(1500);
	left = rig_wire("net_af_packet0,iface=left", 0);
	right = rig_wire("net_af_packet1,iface=right", 1);
	assert_true(run("ip link set right down"));
	for (unsigned i = 0; i < 2000; i++)
		rig_put(left, 100, i, 1);
	rig_flush(left);
	assert_true(left->counters.full > 0); /* it did not wait, and says so */
	assert_int_equal(left->counters.packets_out + left->counters.full, 2000);
	assert_int_equal(left->counters.transmit.arrivals, left->counters.transmit.departures);
	assert_true(run("ip link set right up"));
	settle(left, right);
	exchange(left, right, 1514);
	right->ops->close(right);
	left->ops->close(left);
}

/* The kernel is told of a peer by another thread of its own. */
static bool link_becomes(struct wire *wire, bool up)
{
	for (unsigned i = 0; i < 2000 && wire->ops->link_up(wire) != up; i++)
		usleep(1000);
	return wire->ops->link_up(wire) == up;
}

static void test_link(void **state)
{
	struct wire *left;

	skip_without_namespace(state);
	pair(1500);
	left = rig_wire("net_af_packet0,iface=left", 0);
	assert_true(link_becomes(left, true));
	assert_true(run("ip link set right down")); /* no carrier */
	assert_true(link_becomes(left, false));
	assert_true(run("ip link set right up"));
	assert_true(link_becomes(left, true));
	assert_true(run("ip link set left down"));
	assert_true(link_becomes(left, false));
	assert_true(run("ip link delete left"));
	assert_true(link_becomes(left, false));
	left->ops->close(left);
}

static void test_mtu(void **state)
{
	struct wire_config config = {
		.address = {net_address_v4(0x010200c0), 120}, .device = "net_af_packet0,iface=left", .mtu = 1400};
	struct wire *wire;
	char error[400];

	skip_without_namespace(state);
	pair(1500);
	assert_int_equal(wire_dpdk_open(&wire, &config, 0, error, sizeof(error)), 0);
	assert_int_equal(wire->mtu, 1400);
	assert_false(rig_put(wire, 1415, 0, 1));
	wire->ops->close(wire);
	config.mtu = 9000;
	assert_int_equal(wire_dpdk_open(&wire, &config, 0, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "ip link set left mtu 9000"));
	strcpy(config.device, "net_null0,no-rx=1");
	config.mtu = 0;
	assert_int_equal(wire_dpdk_open(&wire, &config, 0, error, sizeof(error)), 0);
	wire->ops->close(wire);
}

static void test_af_xdp(void **state)
{
	struct wire *left, *right;
	struct wire_config config = {.address = {net_address_v4(0x010200c0), 120}, .device = "net_af_xdp0,iface=left"};
	char error[400];

	skip_without_namespace(state);
	pair(1500);
	if (wire_dpdk_open(&left, &config, 0, error, sizeof(error)) != 0) {
		print_message("# %s\n", error);
		skip(); /* a kernel without XDP sockets, or without the right to load programs */
	}
	right = rig_wire("net_af_packet1,iface=right", 1);
	assert_true(left->ops->wait_fd(left) >= 0);
	exchange(right, left, 1514);
	exchange(left, right, 1514);
	sleeps(left, right);
	right->ops->close(right);
	left->ops->close(left);
}

/* A tap: the kernel has the other end as an interface, of which a packet socket of ours reads and writes. */
static void test_tap(void **state)
{
	struct wire *tap, *other;

	skip_without_namespace(state);
	tap = rig_wire("net_tap0,iface=outboard0", 0);
	assert_true(if_nametoindex("outboard0") != 0);
	assert_true(run("sysctl -qw net.ipv6.conf.outboard0.disable_ipv6=1 && ip link set outboard0 up"));
	other = rig_wire("net_af_packet1,iface=outboard0", 1);
	assert_int_equal(tap->mtu, 1500);
	exchange(tap, other, 1514);
	exchange(other, tap, 1514);
	assert_true(tap->ops->wait_fd(tap) >= 0);
	sleeps(tap, other);
	other->ops->close(other);
	tap->ops->close(tap);
	assert_true(if_nametoindex("outboard0") == 0); /* it goes with the wire */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_af_packet),
		cmocka_unit_test(test_af_packet_sleeps),
		cmocka_unit_test(test_af_packet_down),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_af_xdp),
		cmocka_unit_test(test_tap),
	};

	return cmocka_run_group_tests_name("vpc wire_interface_dpdk", tests, setup, teardown);
}
