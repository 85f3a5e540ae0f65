/* What a well-behaved VMM does, in QEMU's order and in others. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void serves_after_the_sequence_of_qemu(void **state)
{
	struct rig *r = *state;
	struct vhost_user_inflight_area area = {.queue_count = RIG_QUEUES, .queue_size = RIG_RING_SIZE};
	int fd;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	assert_int_equal(r->device.features_changes, 1);
	rig_do(r, VHOST_USER_GET_INFLIGHT_FD, &area, sizeof(area), -1);
	rig_reply(r, VHOST_USER_GET_INFLIGHT_FD, &area, sizeof(area), &fd);
	rig_do(r, VHOST_USER_SET_INFLIGHT_FD, &area, sizeof(area), fd);
	close(fd);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, (RIG_FEATURES | RIG_F_PROTOCOL) & ~RIG_PACKED);
	assert_int_equal(r->device.features_changes, 1); /* the same as before */
	rig_reach(r, RIG_FEATURES_SET, RIG_SERVED);
	assert_int_equal(r->device.starts, RIG_QUEUES);
	rig_do_u64(r, VHOST_USER_SET_STATUS, 0xf);
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		vhost_user_state(r->v)->queues[i].next_avail = (uint16_t)(100 + i);
	rig_do_u64(r, VHOST_USER_SET_STATUS, 0);
	assert_int_equal(r->device.running, 0);
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, i, 0);
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		rig_do_state(r, VHOST_USER_GET_VRING_BASE, i, 0);
		assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_VRING_BASE), (uint64_t)(100 + i) << 32 | i);
		assert_int_equal(vhost_user_fds(r->v)->kick[i], -1);
		assert_true(vhost_user_call_fd(r->v, i) >= 0);
	}
	/* And again, as after a reboot of the guest. */
	rig_reach(r, RIG_MEMORY, RIG_SERVED);
	assert_int_equal(r->device.starts, 2 * RIG_QUEUES);
}

static void keeps_what_it_was_told(void **state)
{
	struct rig *r = *state;
	const struct device_state *s = vhost_user_state(r->v);
	struct vhost_user_vring_addr addr = rig_addr(2);

	rig_reach(r, RIG_NEW, RIG_MEMORY);
	rig_ring(r, 2, 64, 0x1234);
	assert_int_equal(s->version, DEVICE_STATE_VERSION);
	assert_int_equal(s->features, (RIG_FEATURES | RIG_F_PROTOCOL) & ~RIG_PACKED);
	assert_int_equal(s->region_count, 1);
	assert_int_equal(s->regions[0].size_bytes, RIG_MEMORY_BYTES);
	assert_int_equal(s->queues[2].size, 64);
	assert_int_equal(s->queues[2].next_avail, 0x1234);
	assert_int_equal(s->queues[2].next_used, 0x1234);
	assert_int_equal(s->queues[2].descriptor_user_addr, addr.descriptor_user_addr);
	assert_int_equal(s->queues[2].driver_user_addr, addr.avail_user_addr);
	assert_int_equal(s->queues[2].device_user_addr, addr.used_user_addr);
	assert_int_equal(s->queues[2].started, 1);
	assert_true(vhost_user_fds(r->v)->kick[2] >= 0);
	assert_true(vhost_user_fds(r->v)->region[0] >= 0);
	assert_ptr_equal(vhost_user_memory(r->v)->regions[0].host, guest_memory_user_at(vhost_user_memory(r->v), RIG_USER_ADDR, 1));
}

static void serves_at_once_without_protocol_features(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 1, .regions = {rig_region()}};

	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES & ~RIG_PACKED);
	rig_do(r, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, r->memory);
	rig_ring(r, 0, RIG_RING_SIZE, 0);
	assert_int_equal(r->device.running, 1);
	assert_int_equal(vhost_user_call_fd(r->v, 0), -1);
}

static void takes_any_order(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 1, .regions = {rig_region()}};

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 1, 1);
	rig_ring(r, 1, RIG_RING_SIZE, 0);
	rig_do(r, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, r->memory);
	assert_int_equal(r->device.running, 0);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, (RIG_FEATURES | RIG_F_PROTOCOL) & ~RIG_PACKED);
	assert_int_equal(r->device.running, 2);
}

static void serves_a_ring_that_is_polled(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_addr addr = rig_addr(0);

	rig_reach(r, RIG_NEW, RIG_MEMORY);
	rig_do_state(r, VHOST_USER_SET_VRING_NUM, 0, 256);
	rig_do(r, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(r->device.running, 0);
	rig_do_u64(r, VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NOFD);
	rig_do_u64(r, VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NOFD);
	assert_int_equal(r->device.running, 1);
	assert_int_equal(vhost_user_fds(r->v)->kick[0], -1);
	assert_int_equal(vhost_user_call_fd(r->v, 0), -1);
}

static void packed_ring(struct rig *r, uint32_t base)
{
	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES | RIG_F_PROTOCOL);
	rig_reach(r, RIG_FEATURES_SET, RIG_MEMORY);
	rig_ring(r, 0, 100, base); /* a packed ring may have any size */
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(r->device.running, 1);
}

static void tells_both_indices_of_a_packed_ring(void **state)
{
	struct rig *r = *state;
	const struct virtqueue_state *q = &vhost_user_state(r->v)->queues[0];

	packed_ring(r, 0x000b8011);
	assert_int_equal(q->next_avail, 0x8011);
	assert_int_equal(q->next_used, 0x000b);
	rig_do_state(r, VHOST_USER_GET_VRING_BASE, 0, 0);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_VRING_BASE), UINT64_C(0x000b8011) << 32);
}

/* DPDK's virtio-user tells the lower half only. */
static void takes_half_a_base_of_a_packed_ring(void **state)
{
	struct rig *r = *state;

	packed_ring(r, 0x8000);
	assert_int_equal(vhost_user_state(r->v)->queues[0].next_used, 0x8000);
}

static void shows_the_config_space(void **state)
{
	struct rig *r = *state;
	struct vhost_user_config_space ask = {.offset = 0, .size = RIG_CONFIG_BYTES}, answer;

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do(r, VHOST_USER_GET_CONFIG, &ask, 12 + ask.size, -1);
	rig_reply(r, VHOST_USER_GET_CONFIG, &answer, 12 + ask.size, NULL);
	assert_memory_equal(answer.data, r->device.config, RIG_CONFIG_BYTES);
	ask = (struct vhost_user_config_space){.offset = 16, .size = 4};
	rig_do(r, VHOST_USER_GET_CONFIG, &ask, 12 + ask.size, -1);
	rig_reply(r, VHOST_USER_GET_CONFIG, &answer, 12 + ask.size, NULL);
	assert_memory_equal(answer.data, r->device.config + 16, 4);
	assert_int_equal(r->device.config_read_bytes, 4);
	/* Past its end there is nothing, which reads as 0. */
	ask = (struct vhost_user_config_space){.offset = RIG_CONFIG_BYTES - 2, .size = 10};
	rig_do(r, VHOST_USER_GET_CONFIG, &ask, 12 + ask.size, -1);
	rig_reply(r, VHOST_USER_GET_CONFIG, &answer, 12 + ask.size, NULL);
	assert_memory_equal(answer.data, ((uint8_t[]){59, 60, 0, 0, 0, 0, 0, 0, 0, 0}), 10);
	ask = (struct vhost_user_config_space){.offset = 200, .size = 56};
	rig_do(r, VHOST_USER_GET_CONFIG, &ask, 12 + ask.size, -1);
	rig_reply(r, VHOST_USER_GET_CONFIG, &answer, 12 + ask.size, NULL);
	assert_int_equal(answer.data[0], 0);
	/* An error of the device is an empty answer. */
	r->device.config_error = -EIO;
	ask = (struct vhost_user_config_space){.offset = 0, .size = 8};
	rig_log_begin();
	rig_do(r, VHOST_USER_GET_CONFIG, &ask, 12 + ask.size, -1);
	rig_log_end(1, "GET_CONFIG");
	rig_reply(r, VHOST_USER_GET_CONFIG, NULL, 0, NULL);
}

static void writes_the_config_space(void **state)
{
	struct rig *r = *state;
	struct vhost_user_config_space c = {.offset = 32, .size = 1, .data = {77}};

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do(r, VHOST_USER_SET_CONFIG, &c, 13, -1);
	assert_int_equal(r->device.config[32], 77);
	assert_true(rig_nothing_to_read(r));
	c.flags = VHOST_USER_CONFIG_FLAG_MIGRATION;
	c.data[0] = 78;
	rig_send(r, VHOST_USER_SET_CONFIG, RIG_NEED_REPLY, &c, 13, NULL, 0);
	assert_int_equal(rig_run(r), 0);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_CONFIG), 0);
	assert_int_equal(r->device.config[32], 78);
}

/* A driver can cause it: no reason to take its disk away, nor to fill the log. */
static void refused_config_writes_keep_the_connection(void **state)
{
	struct rig *r = *state;
	struct vhost_user_config_space c = {.offset = 0, .size = 8};

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_log_begin();
	r->device.config_error = -EINVAL;
	rig_do(r, VHOST_USER_SET_CONFIG, &c, 20, -1);
	assert_true(rig_nothing_to_read(r));
	rig_send(r, VHOST_USER_SET_CONFIG, RIG_NEED_REPLY, &c, 20, NULL, 0);
	assert_int_equal(rig_run(r), 0);
	assert_int_not_equal(rig_reply_u64(r, VHOST_USER_SET_CONFIG), 0);
	c.offset = RIG_CONFIG_BYTES; /* beyond the device's, not beyond the protocol's */
	r->device.config_error = 0;
	rig_send(r, VHOST_USER_SET_CONFIG, RIG_NEED_REPLY, &c, 20, NULL, 0);
	assert_int_equal(rig_run(r), 0);
	assert_int_not_equal(rig_reply_u64(r, VHOST_USER_SET_CONFIG), 0);
	rig_log_end(0, NULL);
}

static void tells_of_config_changes_on_the_channel(void **state)
{
	struct rig *r = *state;
	struct vhost_user_header header;

	assert_int_equal(vhost_user_config_changed(r->v), -ENOTCONN);
	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	assert_int_equal(vhost_user_config_changed(r->v), 0);
	assert_int_equal(recv(r->backend[0], &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	assert_int_equal(header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(header.flags, VHOST_USER_VERSION);
	assert_int_equal(header.size, 0);
	shutdown(r->backend[0], SHUT_RDWR);
	assert_int_equal(vhost_user_config_changed(r->v), -EPIPE);
	/* Giving the feature up closes the channel. */
	rig_do_u64(r, VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG);
	assert_int_equal(vhost_user_fds(r->v)->backend, -1);
	assert_int_equal(vhost_user_config_changed(r->v), -ENOTCONN);
}

static void acknowledges_only_what_was_negotiated_and_asked(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_state num = {0, 128};

	rig_send(r, VHOST_USER_SET_OWNER, RIG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_run(r), 0);
	assert_true(rig_nothing_to_read(r)); /* asked, not negotiated */
	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	rig_do(r, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), -1);
	assert_true(rig_nothing_to_read(r)); /* negotiated, not asked */
	rig_send(r, VHOST_USER_SET_VRING_NUM, RIG_NEED_REPLY, &num, sizeof(num), NULL, 0);
	assert_int_equal(rig_run(r), 0);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_VRING_NUM), 0);
	/* What has an answer of its own gets only that. */
	rig_send(r, VHOST_USER_GET_FEATURES, RIG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_run(r), 0);
	rig_reply_u64(r, VHOST_USER_GET_FEATURES);
	assert_true(rig_nothing_to_read(r));
}

static void shows_and_resets_the_status(void **state)
{
	struct rig *r = *state;
	struct vhost_user_header header;
	int err = eventfd(0, EFD_CLOEXEC);
	uint64_t queue = 0, count;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	rig_do(r, VHOST_USER_SET_VRING_ERR, &queue, sizeof(queue), err);
	rig_do_u64(r, VHOST_USER_SET_STATUS, 0x4f); /* NEEDS_RESET is not the driver's to set */
	rig_do(r, VHOST_USER_GET_STATUS, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_STATUS), 0x0f);
	assert_int_equal(eventfd_write(vhost_user_fds(r->v)->err[0], 1), 0);
	assert_int_equal(eventfd_read(err, &count), 0); /* it is there for the poller */
	vhost_user_queue_broken(r->v, 0);
	assert_int_equal(recv(r->backend[0], &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	rig_do(r, VHOST_USER_GET_STATUS, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_STATUS), 0x4f);
	rig_do_u64(r, VHOST_USER_SET_STATUS, 0);
	assert_int_equal(r->device.running, 0);
	rig_do(r, VHOST_USER_GET_STATUS, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_STATUS), 0);
	rig_ring(r, 0, RIG_RING_SIZE, 0);
	assert_int_equal(r->device.running, 1); /* the one that was broken */
	close(err);
}

static void a_broken_queue_is_served_again_after_it_was_set_up_anew(void **state)
{
	struct rig *r = *state;
	struct vhost_user_vring_addr addr = rig_addr(1);

	rig_reach(r, RIG_NEW, RIG_SERVED);
	vhost_user_queue_broken(r->v, 1);
	rig_do(r, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	assert_false(vhost_user_queue_served(r->v, 1)); /* stopped by a message, not started again */
	assert_int_equal(r->device.running, 0xd);
	rig_do_state(r, VHOST_USER_GET_VRING_BASE, 1, 0);
	rig_reply_u64(r, VHOST_USER_GET_VRING_BASE);
	assert_int_equal(vhost_user_state(r->v)->needs_reset, 0);
	rig_ring(r, 1, RIG_RING_SIZE, 0);
	assert_int_equal(r->device.running, 0xf);
}

static void takes_a_message_in_pieces(void **state)
{
	struct rig *r = *state;
	struct {
		struct vhost_user_header header;
		uint32_t padding[2];
		struct vhost_user_region region;
	} message = {{VHOST_USER_ADD_MEM_REG, RIG_NEED_REPLY, 40}, {0}, rig_region()};
	const char *bytes = (const char *)&message;

	_Static_assert(sizeof(message) == 56, "8-byte alignment puts 4 bytes behind the header");
	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	/* One byte a write; the descriptor comes with one in the middle. */
	for (unsigned i = 0; i < 12 + 40; i++) {
		char control[CMSG_SPACE(sizeof(int))] = {0};
		char byte = i < 20 ? i < 12 ? bytes[i] : 0 : bytes[i + 4];
		struct iovec iov = {&byte, 1};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		struct cmsghdr *c = (struct cmsghdr *)control;

		if (i == 17) {
			msg.msg_control = control;
			msg.msg_controllen = sizeof(control);
			*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
			memcpy(CMSG_DATA(c), &r->memory, sizeof(int));
		}
		assert_true(rig_nothing_to_read(r));
		assert_int_equal(sendmsg(r->vmm, &msg, 0), 1);
		assert_int_equal(rig_run(r), 0);
	}
	assert_int_equal(rig_reply_u64(r, VHOST_USER_ADD_MEM_REG), 0);
	assert_int_equal(vhost_user_memory(r->v)->count, 1);
}

static void takes_many_messages_but_bounded_in_one_call(void **state)
{
	struct rig *r = *state;
	unsigned sent = 2 * VHOST_USER_MESSAGES_PER_CALL + 1;

	for (unsigned i = 0; i < sent; i++)
		rig_send(r, VHOST_USER_GET_QUEUE_NUM, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	assert_int_equal(vhost_user_readable(r->v), 0);
	for (unsigned i = 0; i < VHOST_USER_MESSAGES_PER_CALL; i++)
		rig_reply_u64(r, VHOST_USER_GET_QUEUE_NUM);
	assert_true(rig_nothing_to_read(r));
	assert_int_equal(rig_run(r), 0);
	for (unsigned i = VHOST_USER_MESSAGES_PER_CALL; i < sent; i++)
		rig_reply_u64(r, VHOST_USER_GET_QUEUE_NUM);
}

static void refuses_a_device_that_is_too_large(void **state)
{
	struct vhost_user *v = NULL;
	struct vhost_user_ops ops = {0};
	struct vhost_user_config config = {.name = "", .socket = -1, .ops = &ops};

	(void)state;
	assert_int_equal(vhost_user_create(&v, &config), -EINVAL);
	config.queues_max = DEVICE_QUEUES_MAX + 1;
	assert_int_equal(vhost_user_create(&v, &config), -EINVAL);
	config.queues_max = DEVICE_QUEUES_MAX;
	config.config_size = VHOST_USER_CONFIG_SPACE_MAX_BYTES + 1;
	assert_int_equal(vhost_user_create(&v, &config), -EINVAL);
	config.config_size = VHOST_USER_CONFIG_SPACE_MAX_BYTES;
	assert_int_equal(vhost_user_create(&v, &config), 0);
	vhost_user_free(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serves_after_the_sequence_of_qemu),
		TEST(keeps_what_it_was_told),
		TEST(serves_at_once_without_protocol_features),
		TEST(takes_any_order),
		TEST(serves_a_ring_that_is_polled),
		TEST(tells_both_indices_of_a_packed_ring),
		TEST(takes_half_a_base_of_a_packed_ring),
		TEST(shows_the_config_space),
		TEST(writes_the_config_space),
		TEST(refused_config_writes_keep_the_connection),
		TEST(tells_of_config_changes_on_the_channel),
		TEST(acknowledges_only_what_was_negotiated_and_asked),
		TEST(shows_and_resets_the_status),
		TEST(a_broken_queue_is_served_again_after_it_was_set_up_anew),
		TEST(takes_a_message_in_pieces),
		TEST(takes_many_messages_but_bounded_in_one_call),
		cmocka_unit_test(refuses_a_device_that_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
