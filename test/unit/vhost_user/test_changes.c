/* Messages that disturb served queues: they wait until those stand still, and what can be served is served again. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static void send_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state s = {index, num};

	rig_send(r, request, VHOST_USER_VERSION, &s, sizeof(s), NULL, 0);
}

static void get_vring_base_waits_for_the_queue(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	r->device.stops_later = true;
	send_state(r, VHOST_USER_GET_VRING_BASE, 2, 0);
	rig_send(r, VHOST_USER_GET_QUEUE_NUM, VHOST_USER_VERSION, NULL, 0, NULL, 0); /* not to be read meanwhile */
	assert_int_equal(rig_run(r), 1);
	assert_int_equal(r->device.stopping, 4); /* this one only */
	assert_int_equal(rig_run(r), 1);
	assert_int_equal(r->device.stops, 1);
	assert_true(rig_nothing_to_read(r));
	assert_true(vhost_user_queue_served(r->v, 2));
	vhost_user_state(r->v)->queues[2].next_avail = 0xfffe;
	assert_int_equal(rig_stopped(r, 2), 0);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_VRING_BASE), UINT64_C(0xfffe) << 32 | 2);
	assert_int_equal(r->device.running, 0xb);
	assert_int_equal(rig_run(r), 0);
	rig_reply_u64(r, VHOST_USER_GET_QUEUE_NUM);
}

/* Every message that disturbs all queues: sent while all are served, it waits for each of them. */
static void waits_for_all(struct rig *r, uint32_t request, const void *payload, uint32_t size, int fd)
{
	unsigned starts = r->device.starts;

	r->device.stops_later = true;
	rig_send(r, request, RIG_NEED_REPLY, payload, size, &fd, fd >= 0);
	assert_int_equal(rig_run(r), 1);
	assert_int_equal(r->device.stopping, 0xf);
	assert_int_equal(rig_stopped(r, 3), 1);
	assert_int_equal(rig_stopped(r, 0), 1);
	assert_int_equal(rig_stopped(r, 2), 1);
	assert_true(rig_nothing_to_read(r));
	assert_int_equal(r->device.starts, starts); /* those that stopped first are not started meanwhile */
	assert_int_equal(rig_stopped(r, 1), 0);
}

static void memory_changes_while_queues_are_served(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 1, .regions = {rig_region()}};
	struct vhost_user_single_region more = {.region = {0x10000000, 0x2000, 0x10000000, 0x1000}};
	int fd = rig_memfd(0x3000);

	rig_reach(r, RIG_NEW, RIG_SERVED);
	waits_for_all(r, VHOST_USER_ADD_MEM_REG, &more, sizeof(more), fd);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_ADD_MEM_REG), 0);
	assert_int_equal(r->device.running, 0xf);
	assert_int_equal(vhost_user_memory(r->v)->count, 2);
	waits_for_all(r, VHOST_USER_REM_MEM_REG, &more, sizeof(more), -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_REM_MEM_REG), 0);
	assert_int_equal(r->device.running, 0xf);
	waits_for_all(r, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, r->memory);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_MEM_TABLE), 0);
	assert_int_equal(r->device.running, 0xf);
	assert_int_equal(r->device.starts, 4 * RIG_QUEUES);
	close(fd);
}

static void features_change_while_queues_are_served(void **state)
{
	struct rig *r = *state;
	uint64_t features = RIG_F_PROTOCOL | UINT64_C(1) << 32;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	vhost_user_state(r->v)->write_cache = 2;
	waits_for_all(r, VHOST_USER_SET_FEATURES, &features, sizeof(features), -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_FEATURES), 0);
	assert_int_equal(r->device.running, 0xf);
	assert_int_equal(r->device.features_changes, 2);
	assert_int_equal(vhost_user_state(r->v)->write_cache, 0); /* another driver */
	/* The same features again disturb nobody: a VM that goes on after a pause. */
	vhost_user_state(r->v)->write_cache = 2;
	rig_do_u64(r, VHOST_USER_SET_FEATURES, features);
	assert_int_equal(vhost_user_state(r->v)->write_cache, 2);
	assert_int_equal(r->device.stops, RIG_QUEUES);
}

static void resets_while_queues_are_served(void **state)
{
	struct rig *r = *state;
	uint64_t zero = 0;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	waits_for_all(r, VHOST_USER_RESET_DEVICE, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_RESET_DEVICE), 0);
	assert_int_equal(r->device.running, 0);
	assert_int_equal(vhost_user_state(r->v)->queues[1].size, 0);
	assert_int_equal(vhost_user_state(r->v)->features, 0);
	assert_int_equal(vhost_user_state(r->v)->region_count, 1); /* the VMM tells only changes of memory */
	assert_int_equal(vhost_user_fds(r->v)->kick[1], -1);
	assert_int_equal(vhost_user_fds(r->v)->inflight, -1);
	r->device.stops_later = false;
	rig_reach(r, RIG_PROTOCOL, RIG_FEATURES_SET);
	rig_reach(r, RIG_MEMORY, RIG_SERVED);
	waits_for_all(r, VHOST_USER_SET_STATUS, &zero, sizeof(zero), -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_STATUS), 0);
	assert_int_equal(r->device.running, 0);
	assert_int_equal(vhost_user_state(r->v)->queues[1].size, RIG_RING_SIZE);
	r->device.stops_later = false;
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		rig_ring(r, i, RIG_RING_SIZE, 0);
	assert_int_equal(r->device.running, 0xf); /* they were enabled all the time */
	waits_for_all(r, VHOST_USER_RESET_OWNER, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_RESET_OWNER), 0);
	assert_int_equal(r->device.running, 0); /* disabled, all else as it was */
	assert_int_equal(vhost_user_state(r->v)->queues[1].size, RIG_RING_SIZE);
	rig_reach(r, RIG_RINGS, RIG_SERVED);
}

/* One that disturbs its ring only; the others are served on. */
static void waits_for_one(struct rig *r, uint32_t request, const void *payload, uint32_t size, int fd, bool served_after)
{
	r->device.stops_later = true;
	rig_send(r, request, VHOST_USER_VERSION, payload, size, &fd, fd >= 0);
	assert_int_equal(rig_run(r), 1);
	assert_int_equal(r->device.stopping, 2);
	assert_int_equal(rig_stopped(r, 1), 0);
	assert_int_equal(r->device.running, served_after ? 0xf : 0xd);
}

static void ring_changes_while_it_is_served(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_state size = {1, 64}, base = {1, 7}, off = {1, 0};
	struct vhost_user_vring_addr addr = rig_addr(1);
	uint64_t queue = 1, polled = 1 | VHOST_USER_VRING_NOFD;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	waits_for_one(r, VHOST_USER_SET_VRING_NUM, &size, sizeof(size), -1, true);
	assert_int_equal(vhost_user_state(r->v)->queues[1].size, 64);
	waits_for_one(r, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), -1, true);
	addr.used_user_addr += 64;
	waits_for_one(r, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1, true);
	assert_int_equal(vhost_user_state(r->v)->queues[1].device_user_addr, addr.used_user_addr);
	waits_for_one(r, VHOST_USER_SET_VRING_KICK, &queue, sizeof(queue), r->call[3], true);
	waits_for_one(r, VHOST_USER_SET_VRING_KICK, &polled, sizeof(polled), -1, true);
	assert_int_equal(vhost_user_fds(r->v)->kick[1], -1);
	waits_for_one(r, VHOST_USER_SET_VRING_CALL, &polled, sizeof(polled), -1, true);
	assert_int_equal(vhost_user_call_fd(r->v, 1), -1);
	waits_for_one(r, VHOST_USER_SET_VRING_CALL, &queue, sizeof(queue), r->call[1], true);
	waits_for_one(r, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off), -1, false);
	assert_int_equal(r->device.features_changes, 1);
}

static uint64_t count_of(int fd)
{
	eventfd_t count = 0;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return eventfd_read(fd, &count) == 0 ? count : 0;
}

static void the_call_descriptor_changes_under_its_number(void **state)
{
	struct rig *r = *state;
	int other = eventfd(0, EFD_CLOEXEC), number;
	uint64_t queue = 1;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	number = vhost_user_call_fd(r->v, 1);
	assert_int_equal(eventfd_write(number, 5), 0);
	assert_int_equal(count_of(r->call[1]), 5);
	rig_do(r, VHOST_USER_SET_VRING_CALL, &queue, sizeof(queue), other);
	assert_int_equal(r->device.stops, 0); /* served all the time */
	assert_int_equal(vhost_user_call_fd(r->v, 1), number);
	assert_int_equal(fcntl(number, F_GETFD), FD_CLOEXEC);
	assert_int_equal(r->device.calls, 1); /* one that went to the old descriptor is not lost */
	assert_int_equal(count_of(other), 0); /* and is the poller's to make: the write may block */
	assert_int_equal(eventfd_write(number, 3), 0);
	assert_int_equal(count_of(other), 3);
	assert_int_equal(count_of(r->call[1]), 0);
	close(other);
}

static void the_error_descriptor_changes_while_its_queue_stands(void **state)
{
	struct rig *r = *state;
	uint64_t queue = 1;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	rig_do(r, VHOST_USER_SET_VRING_ERR, &queue, sizeof(queue), r->call[0]);
	rig_do(r, VHOST_USER_SET_VRING_ERR, &queue, sizeof(queue), r->call[1]);
	assert_true(vhost_user_fds(r->v)->err[1] >= 0);
	rig_do_u64(r, VHOST_USER_SET_VRING_ERR, 1 | VHOST_USER_VRING_NOFD);
	assert_int_equal(vhost_user_fds(r->v)->err[1], -1);
	assert_int_equal(r->device.stops, 3); /* a poller may be writing to it */
	assert_int_equal(r->device.running, 0xf);
}

static void hang_up_while_waiting(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	r->device.stops_later = true;
	send_state(r, VHOST_USER_GET_VRING_BASE, 0, 0);
	assert_int_equal(rig_run(r), 1);
	close(r->vmm);
	r->vmm = -1;
	assert_int_equal(rig_run(r), 1);		  /* still waiting */
	assert_int_equal(rig_stopped(r, 0), -ECONNRESET); /* the answer found nobody */
	assert_int_equal(vhost_user_readable(r->v), -ECONNRESET);
	/* The owner stops the others; nothing of it starts anything. */
	for (unsigned i = 1; i < RIG_QUEUES; i++) {
		r->device.stopping |= 1U << i;
		assert_int_equal(rig_stopped(r, i), -ECONNRESET);
	}
	assert_int_equal(vhost_user_queues_served(r->v), 0);
	assert_int_equal(r->device.starts, RIG_QUEUES);
}

/* The owner detaches the device while a message with descriptors waits. */
static void freed_while_waiting(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 1, .regions = {rig_region()}};

	rig_reach(r, RIG_NEW, RIG_SERVED);
	r->device.stops_later = true;
	rig_send(r, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &table, 8 + 32, &r->memory, 1);
	assert_int_equal(rig_run(r), 1);
}

static void an_illegal_message_behind_one_that_waited(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	r->device.stops_later = true;
	send_state(r, VHOST_USER_GET_VRING_BASE, 0, 0);
	send_state(r, VHOST_USER_SET_VRING_NUM, 0, 3);
	assert_int_equal(rig_run(r), 1);
	assert_int_equal(rig_stopped(r, 0), 0);
	rig_log_begin();
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "SET_VRING_NUM");
}

/* A queue that its poller gave up by itself, without a message. */
static void a_queue_may_stop_by_itself(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	vhost_user_queue_broken(r->v, 3);
	r->device.stopping |= 8;
	assert_int_equal(rig_stopped(r, 3), 0);
	assert_false(vhost_user_queue_served(r->v, 3));
	send_state(r, VHOST_USER_GET_VRING_BASE, 3, 0);
	assert_int_equal(rig_run(r), 0); /* nothing to wait for */
	rig_reply_u64(r, VHOST_USER_GET_VRING_BASE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(get_vring_base_waits_for_the_queue),
		TEST(memory_changes_while_queues_are_served),
		TEST(features_change_while_queues_are_served),
		TEST(resets_while_queues_are_served),
		TEST(ring_changes_while_it_is_served),
		TEST(the_call_descriptor_changes_under_its_number),
		TEST(the_error_descriptor_changes_while_its_queue_stands),
		TEST(hang_up_while_waiting),
		TEST(freed_while_waiting),
		TEST(an_illegal_message_behind_one_that_waited),
		TEST(a_queue_may_stop_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
