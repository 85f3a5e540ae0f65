/* Every message malformed in every field: the connection closes, with one log line that names the device and the message, and
 * nothing is leaked. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The sizes and descriptors of the specification, written down a second time on purpose. */
static const struct form {
	const char *name;
	uint32_t request, size_min, size_max;
	unsigned fds_min, fds_max;
} forms[] = {
	{"GET_FEATURES", 1, 0, 0, 0, 0},
	{"SET_FEATURES", 2, 8, 8, 0, 0},
	{"SET_OWNER", 3, 0, 0, 0, 0},
	{"RESET_OWNER", 4, 0, 0, 0, 0},
	{"SET_MEM_TABLE", 5, 8, 8 + 32 * 32, 0, 32},
	{"SET_VRING_NUM", 8, 8, 8, 0, 0},
	{"SET_VRING_ADDR", 9, 40, 40, 0, 0},
	{"SET_VRING_BASE", 10, 8, 8, 0, 0},
	{"GET_VRING_BASE", 11, 8, 8, 0, 0},
	{"SET_VRING_KICK", 12, 8, 8, 0, 1},
	{"SET_VRING_CALL", 13, 8, 8, 0, 1},
	{"SET_VRING_ERR", 14, 8, 8, 0, 1},
	{"GET_PROTOCOL_FEATURES", 15, 0, 0, 0, 0},
	{"SET_PROTOCOL_FEATURES", 16, 8, 8, 0, 0},
	{"GET_QUEUE_NUM", 17, 0, 0, 0, 0},
	{"SET_VRING_ENABLE", 18, 8, 8, 0, 0},
	{"NET_SET_MTU", 20, 8, 8, 0, 0},
	{"SET_BACKEND_REQ_FD", 21, 0, 0, 1, 1},
	{"GET_CONFIG", 24, 12, 12 + 256, 0, 0},
	{"SET_CONFIG", 25, 12, 12 + 256, 0, 0},
	{"GET_INFLIGHT_FD", 31, 20, 24, 0, 0},
	{"SET_INFLIGHT_FD", 32, 20, 24, 1, 1},
	{"RESET_DEVICE", 34, 0, 0, 0, 0},
	{"GET_MAX_MEM_SLOTS", 36, 0, 0, 0, 0},
	{"ADD_MEM_REG", 37, 40, 40, 1, 1},
	{"REM_MEM_REG", 38, 40, 40, 0, 1},
	{"SET_STATUS", 39, 8, 8, 0, 0},
	{"GET_STATUS", 40, 0, 0, 0, 0},
};

enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

/* Sends it to a device that was brought to `stage`; it must close the connection. */
static void must_close(enum rig_stage stage, const char *name, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		       const int *fds, unsigned fd_count)
{
	struct rig r;

	rig_open(&r);
	rig_reach(&r, RIG_NEW, stage);
	rig_log_begin();
	rig_send(&r, request, flags, payload, size, fds, fd_count);
	if (rig_run(&r) != -EPROTO)
		fail_msg("%s of %u bytes with %u descriptors, flags 0x%x was taken", name, size, fd_count, flags);
	assert_int_equal(vhost_user_readable(r.v), -ECONNRESET); /* and nothing is read any more */
	rig_log_end(1, name);
	rig_close(&r);
}

static void must_close_form(const struct form *f, uint32_t flags, uint32_t size, unsigned fd_count)
{
	static const uint8_t zeros[2048];
	int fds[40];
	int event = eventfd(0, EFD_CLOEXEC);

	for (unsigned i = 0; i < fd_count; i++)
		fds[i] = event;
	must_close(RIG_FEATURES_SET, f->name, f->request, flags, size > 0 && size < sizeof(zeros) ? zeros : NULL, size, fds,
		   fd_count);
	close(event);
}

static void payload_too_short(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FORMS; i++)
		for (uint32_t size = 0; size < forms[i].size_min; size++)
			must_close_form(&forms[i], VHOST_USER_VERSION, size, forms[i].fds_min);
}

static void payload_too_long(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FORMS; i++) {
		must_close_form(&forms[i], VHOST_USER_VERSION, forms[i].size_max + 1, forms[i].fds_min);
		must_close_form(&forms[i], VHOST_USER_VERSION, 0x7fffffff, forms[i].fds_min); /* of which none comes */
		must_close_form(&forms[i], VHOST_USER_VERSION, UINT32_MAX, forms[i].fds_min);
		must_close_form(&forms[i], VHOST_USER_VERSION, UINT32_MAX - 11, forms[i].fds_min); /* with the header: 2^32 */
	}
}

static void too_few_descriptors(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FORMS; i++)
		if (forms[i].fds_min > 0)
			must_close_form(&forms[i], VHOST_USER_VERSION, forms[i].size_min, forms[i].fds_min - 1);
}

static void too_many_descriptors(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FORMS; i++) {
		must_close_form(&forms[i], VHOST_USER_VERSION, forms[i].size_min, forms[i].fds_max + 1);
		must_close_form(&forms[i], VHOST_USER_VERSION, forms[i].size_min, 40); /* more than there is room for */
	}
}

static void wrong_flags(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FORMS; i++) {
		must_close_form(&forms[i], 0, forms[i].size_min, forms[i].fds_min);
		must_close_form(&forms[i], 2, forms[i].size_min, forms[i].fds_min);
		must_close_form(&forms[i], 3, forms[i].size_min, forms[i].fds_min);
		must_close_form(&forms[i], VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, forms[i].size_min, forms[i].fds_min);
		must_close_form(&forms[i], VHOST_USER_VERSION | 0x10, forms[i].size_min, forms[i].fds_min);
		must_close_form(&forms[i], VHOST_USER_VERSION | 0x80000000, forms[i].size_min, forms[i].fds_min);
	}
}

static void messages_that_are_not_spoken(void **state)
{
	static const uint32_t others[] = {0, 6, 7, 19, 22, 23, 26, 27, 28, 29, 30, 33, 35, 41, 42, 255, 0x10001, UINT32_MAX};
	const struct form *f = forms;

	(void)state;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		must_close(RIG_SERVED, "request refused", others[i], VHOST_USER_VERSION, NULL, 0, NULL, 0);
	/* Every number is either a form above or one of the others. */
	for (uint32_t request = 0; request < VHOST_USER_REQUEST_LIMIT; request++) {
		bool known = f < forms + FORMS && f->request == request, other = false;

		f += known;
		for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			other |= others[i] == request;
		assert_true(known != other);
	}
}

static void protocol_features_that_were_not_negotiated(void **state)
{
	static const uint32_t gated[] = {18, 20, 21, 24, 25, 31, 32, 34, 36, 37, 38, 39, 40};

	(void)state;
	for (unsigned i = 0; i < FORMS; i++)
		for (unsigned g = 0; g < sizeof(gated) / sizeof(gated[0]); g++) {
			static const uint8_t zeros[64];
			int fd = eventfd(0, EFD_CLOEXEC);

			if (forms[i].request == gated[g])
				must_close(RIG_NEW, forms[i].name, gated[g], VHOST_USER_VERSION, zeros, forms[i].size_min, &fd,
					   forms[i].fds_min);
			close(fd);
		}
}

static void state_must_close(enum rig_stage stage, const char *name, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state s = {index, num};

	must_close(stage, name, request, VHOST_USER_VERSION, &s, sizeof(s), NULL, 0);
}

static void u64_must_close(const char *name, uint32_t request, uint64_t value)
{
	must_close(RIG_SERVED, name, request, VHOST_USER_VERSION, &value, sizeof(value), NULL, 0);
}

static void queues_that_are_not_there(void **state)
{
	static const uint32_t indices[] = {RIG_QUEUES, 31, 32, 33, 64, 255, 256, 0x80000000, UINT32_MAX};
	struct vhost_user_vring_addr addr = rig_addr(0);

	(void)state;
	for (unsigned i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		state_must_close(RIG_SERVED, "SET_VRING_NUM", VHOST_USER_SET_VRING_NUM, indices[i], 128);
		state_must_close(RIG_SERVED, "SET_VRING_BASE", VHOST_USER_SET_VRING_BASE, indices[i], 0);
		state_must_close(RIG_SERVED, "GET_VRING_BASE", VHOST_USER_GET_VRING_BASE, indices[i], 0);
		state_must_close(RIG_SERVED, "SET_VRING_ENABLE", VHOST_USER_SET_VRING_ENABLE, indices[i], 1);
		addr.index = indices[i];
		must_close(RIG_SERVED, "SET_VRING_ADDR", VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), NULL,
			   0);
		if (indices[i] > 255)
			continue;
		u64_must_close("SET_VRING_KICK", VHOST_USER_SET_VRING_KICK, indices[i] | VHOST_USER_VRING_NOFD);
		u64_must_close("SET_VRING_CALL", VHOST_USER_SET_VRING_CALL, indices[i] | VHOST_USER_VRING_NOFD);
		u64_must_close("SET_VRING_ERR", VHOST_USER_SET_VRING_ERR, indices[i] | VHOST_USER_VRING_NOFD);
	}
}

/* An answer is for what can fail, not for what may not be said. */
static void violations_close_also_where_an_answer_was_asked(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_state odd = {0, 3};

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_VRING_NUM, RIG_NEED_REPLY, &odd, sizeof(odd), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "SET_VRING_NUM");
	assert_true(rig_nothing_to_read(r));
}

static void sizes_that_rings_cannot_have(void **state)
{
	static const uint32_t sizes[] = {0, 3, 100, 1023, 2048, 32768, 65536, 65536 + 128, UINT32_MAX};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		state_must_close(RIG_SERVED, "SET_VRING_NUM", VHOST_USER_SET_VRING_NUM, 0, sizes[i]);
}

/* A packed ring may have 100 entries; when the features then say split, it cannot. */
static void a_ring_size_that_later_features_forbid(void **state)
{
	struct rig *r = *state;
	uint64_t split = (RIG_FEATURES | RIG_F_PROTOCOL) & ~RIG_PACKED;

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES | RIG_F_PROTOCOL);
	rig_reach(r, RIG_FEATURES_SET, RIG_MEMORY);
	rig_ring(r, 0, 100, 0);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, &split, sizeof(split), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "not a power of two");
	assert_int_equal(r->device.running, 0);
}

static void a_packed_ring_that_starts_beyond_its_end(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_state enable = {0, 1};

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES | RIG_F_PROTOCOL);
	rig_reach(r, RIG_FEATURES_SET, RIG_MEMORY);
	rig_ring(r, 0, 100, 100 | UINT32_C(0x8000) << 16);
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_VRING_ENABLE, VHOST_USER_VERSION, &enable, sizeof(enable), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "starts beyond its 100 entries");
}

static void addresses_that_rings_cannot_have(void **state)
{
	static const struct {
		uint64_t descriptor, used, avail;
		uint32_t flags;
	} deltas[] = {{8, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}, {0, 0, 0, 2}, {-RIG_USER_ADDR, 0, 0, 0}};

	(void)state;
	for (unsigned i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
		struct vhost_user_vring_addr addr = rig_addr(0);

		addr.descriptor_user_addr += deltas[i].descriptor;
		addr.used_user_addr += deltas[i].used;
		addr.avail_user_addr += deltas[i].avail;
		addr.flags = deltas[i].flags;
		must_close(RIG_SERVED, "SET_VRING_ADDR", VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), NULL,
			   0);
	}
}

static void values_out_of_range(void **state)
{
	(void)state;
	state_must_close(RIG_SERVED, "SET_VRING_BASE", VHOST_USER_SET_VRING_BASE, 0, 65536);
	state_must_close(RIG_SERVED, "SET_VRING_ENABLE", VHOST_USER_SET_VRING_ENABLE, 0, 2);
	u64_must_close("SET_FEATURES", VHOST_USER_SET_FEATURES, RIG_FEATURES | UINT64_C(1) << 26); /* VHOST_F_LOG_ALL */
	u64_must_close("SET_FEATURES", VHOST_USER_SET_FEATURES, UINT64_MAX);
	u64_must_close("SET_PROTOCOL_FEATURES", VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_C(1) << VHOST_USER_PROTOCOL_F_LOG_SHMFD);
	u64_must_close("SET_PROTOCOL_FEATURES", VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_MAX);
	u64_must_close("SET_STATUS", VHOST_USER_SET_STATUS, 256);
	u64_must_close("SET_VRING_KICK", VHOST_USER_SET_VRING_KICK, UINT64_C(1) << 32 | VHOST_USER_VRING_NOFD);
	u64_must_close("SET_VRING_CALL", VHOST_USER_SET_VRING_CALL, UINT64_C(1) << 9 | VHOST_USER_VRING_NOFD);
}

static void descriptors_against_what_the_payload_says(void **state)
{
	static const struct form *f = forms;
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t with = 0, without = VHOST_USER_VRING_NOFD;

	(void)state;
	for (unsigned i = 0; i < FORMS; i++)
		if (f[i].request >= VHOST_USER_SET_VRING_KICK && f[i].request <= VHOST_USER_SET_VRING_ERR) {
			must_close(RIG_SERVED, f[i].name, f[i].request, VHOST_USER_VERSION, &with, sizeof(with), NULL, 0);
			must_close(RIG_SERVED, f[i].name, f[i].request, VHOST_USER_VERSION, &without, sizeof(without), &fd, 1);
		}
	close(fd);
}

/* A poller would block on a full pipe or a socket. */
static void descriptors_that_could_block(void **state)
{
	int pipes[2], sockets[2], others[5];
	uint64_t queue = 0;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	others[0] = pipes[0];
	others[1] = pipes[1];
	others[2] = sockets[0];
	others[3] = rig_memfd(4096);
	others[4] = timerfd_create(CLOCK_MONOTONIC, 0);
	for (unsigned i = 0; i < 5; i++) {
		must_close(RIG_SERVED, "SET_VRING_KICK", VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &queue, 8, &others[i], 1);
		must_close(RIG_SERVED, "SET_VRING_CALL", VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &queue, 8, &others[i], 1);
		must_close(RIG_SERVED, "SET_VRING_ERR", VHOST_USER_SET_VRING_ERR, VHOST_USER_VERSION, &queue, 8, &others[i], 1);
		if (i != 2)
			must_close(RIG_SERVED, "SET_BACKEND_REQ_FD", VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_VERSION, NULL, 0,
				   &others[i], 1);
	}
	for (unsigned i = 0; i < 5; i++)
		close(others[i]);
	close(sockets[1]);
}

static void datagram_socket_as_channel(void **state)
{
	int sockets[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	must_close(RIG_SERVED, "SET_BACKEND_REQ_FD", VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_VERSION, NULL, 0, sockets, 1);
	close(sockets[0]);
	close(sockets[1]);
}

static void config_must_close(uint32_t request, const char *name, uint32_t offset, uint32_t size, uint32_t flags,
			      uint32_t payload_bytes)
{
	struct vhost_user_config_space c = {.offset = offset, .size = size, .flags = flags};

	must_close(RIG_PROTOCOL, name, request, VHOST_USER_VERSION, &c, payload_bytes, NULL, 0);
}

static void config_ranges(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t request = i == 0 ? VHOST_USER_GET_CONFIG : VHOST_USER_SET_CONFIG;
		const char *name = i == 0 ? "GET_CONFIG" : "SET_CONFIG";

		config_must_close(request, name, 0, 257, 0, 12 + 256);
		config_must_close(request, name, 256, 1, 0, 12 + 1);
		config_must_close(request, name, UINT32_MAX, 8, 0, 12 + 8);
		config_must_close(request, name, UINT32_MAX - 7, 8, 0, 12 + 8);
		config_must_close(request, name, 0, UINT32_MAX, 0, 12 + 8);
		config_must_close(request, name, 0, 8, 0, 12 + 7);
		config_must_close(request, name, 0, 8, 0, 12 + 9);
		config_must_close(request, name, 0, 8, 0, 12);
	}
	config_must_close(VHOST_USER_SET_CONFIG, "SET_CONFIG", 0, 8, 2, 12 + 8);
}

static void inflight_areas(void **state)
{
	static const struct vhost_user_inflight_area areas[] = {
		{.queue_count = 0, .queue_size = 128},
		{.queue_count = RIG_QUEUES + 1, .queue_size = 128},
		{.queue_count = 65535, .queue_size = 128},
		{.queue_count = RIG_QUEUES, .queue_size = 0},
		{.queue_count = 1, .queue_size = VIRTQUEUE_SIZE_MAX + 1},
		{.queue_count = 1, .queue_size = 65535},
	};
	int fd = rig_memfd(1 << 20);

	(void)state;
	for (unsigned i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
		struct vhost_user_inflight_area area = areas[i];

		must_close(RIG_FEATURES_SET, "GET_INFLIGHT_FD", VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_VERSION, &area, sizeof(area),
			   NULL, 0);
		area.mmap_size = 1 << 20;
		must_close(RIG_FEATURES_SET, "SET_INFLIGHT_FD", VHOST_USER_SET_INFLIGHT_FD, VHOST_USER_VERSION, &area, sizeof(area),
			   &fd, 1);
	}
	/* Its layout depends on the features. */
	must_close(RIG_PROTOCOL, "only legal after SET_FEATURES", VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_VERSION, &areas[0],
		   sizeof(areas[0]), NULL, 0);
	close(fd);
}

static void a_vmm_that_does_not_read(void **state)
{
	struct rig *r = *state;
	int small_bytes = 1, rc = 0;

	assert_int_equal(setsockopt(r->vmm, SOL_SOCKET, SO_RCVBUF, &small_bytes, sizeof(small_bytes)), 0);
	rig_log_begin();
	for (unsigned i = 0; i < 100000 && rc == 0; i++) { /* more replies than any socket buffer holds */
		rig_send(r, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);
		rc = vhost_user_readable(r->v);
	}
	rig_log_end(1, "does not read its replies");
	assert_int_equal(rc, -EPROTO);
}

static void a_queue_that_the_device_will_not_serve(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_state enable = {1, 1};

	rig_reach(r, RIG_NEW, RIG_RINGS);
	r->device.start_error = -EFAULT;
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_VRING_ENABLE, RIG_NEED_REPLY, &enable, sizeof(enable), NULL, 0);
	assert_int_equal(rig_run(r), -EFAULT);
	rig_log_end(1, "queue 1 cannot be served");
	assert_false(vhost_user_queue_served(r->v, 1));
}

static void hang_up(void **state)
{
	static const struct vhost_user_header header = {VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8};

	(void)state;
	for (unsigned bytes = 0; bytes < sizeof(header) + 8; bytes++) {
		static const uint8_t zeros[8];
		unsigned head = bytes < sizeof(header) ? bytes : sizeof(header);
		struct rig r;

		rig_open(&r);
		rig_log_begin();
		assert_int_equal(send(r.vmm, &header, head, 0), head);
		assert_int_equal(send(r.vmm, zeros, bytes - head, 0), bytes - head);
		assert_int_equal(rig_run(&r), 0);
		close(r.vmm);
		r.vmm = -1;
		assert_int_equal(rig_run(&r), -ECONNRESET);
		rig_log_end(0, NULL);
		rig_close(&r);
	}
}

/* The descriptors of a message that never becomes whole. */
static void hang_up_with_descriptors_under_way(void **state)
{
	struct rig *r = *state;
	struct vhost_user_header header = {VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 8 + 32};
	int fds[3] = {r->memory, r->kick[0], r->vmm};

	rig_send(r, header.request, header.flags, NULL, header.size, fds, 3);
	assert_int_equal(rig_run(r), 0);
	close(r->vmm);
	r->vmm = -1; /* its own end is among the descriptors: the back end does not see the hang-up, and is freed */
	assert_int_equal(rig_run(r), 0);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payload_too_short),
		cmocka_unit_test(payload_too_long),
		cmocka_unit_test(too_few_descriptors),
		cmocka_unit_test(too_many_descriptors),
		cmocka_unit_test(wrong_flags),
		cmocka_unit_test(messages_that_are_not_spoken),
		cmocka_unit_test(protocol_features_that_were_not_negotiated),
		cmocka_unit_test(queues_that_are_not_there),
		RIG_TEST(violations_close_also_where_an_answer_was_asked),
		cmocka_unit_test(sizes_that_rings_cannot_have),
		RIG_TEST(a_ring_size_that_later_features_forbid),
		RIG_TEST(a_packed_ring_that_starts_beyond_its_end),
		cmocka_unit_test(addresses_that_rings_cannot_have),
		cmocka_unit_test(values_out_of_range),
		cmocka_unit_test(descriptors_against_what_the_payload_says),
		cmocka_unit_test(descriptors_that_could_block),
		cmocka_unit_test(datagram_socket_as_channel),
		cmocka_unit_test(config_ranges),
		cmocka_unit_test(inflight_areas),
		RIG_TEST(a_vmm_that_does_not_read),
		RIG_TEST(a_queue_that_the_device_will_not_serve),
		cmocka_unit_test(hang_up),
		RIG_TEST(hang_up_with_descriptors_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
