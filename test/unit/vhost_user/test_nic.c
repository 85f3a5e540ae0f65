/* What is different for a network device. */
#include "rig.h"

#include <errno.h>
#include <unistd.h>

#define PROTOCOL(name) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)

static uint64_t offered(struct rig *r)
{
	rig_do(r, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, -1);
	return rig_reply_u64(r, VHOST_USER_GET_PROTOCOL_FEATURES);
}

/* No record, not even one that nobody asked for; and so a ring may grow without stopping others. */
static void keeps_no_record(void **state)
{
	struct rig *r = *state;

	assert_int_equal(offered(r) & (PROTOCOL(INFLIGHT_SHMFD) | PROTOCOL(MTU) | PROTOCOL(MQ)), PROTOCOL(MTU) | PROTOCOL(MQ));
	rig_reach(r, RIG_NEW, RIG_SERVED);
	assert_int_equal(vhost_user_fds(r->v)->inflight, -1);
	assert_null(vhost_user_inflight(r->v, 0));
	rig_do_state(r, VHOST_USER_SET_VRING_NUM, 1, 512);
	assert_int_equal(r->device.stops, 1);
	assert_int_equal(r->device.running, (1U << RIG_QUEUES) - 1);
}

static void record_asked_for(void **state)
{
	struct rig *r = *state;
	struct vhost_user_inflight_area area = {.queue_count = 1, .queue_size = 128};

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	rig_log_begin();
	rig_send(r, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_VERSION, &area, sizeof(area), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "GET_INFLIGHT_FD");
}

static uint64_t set_mtu(struct rig *r, uint64_t mtu)
{
	rig_send(r, VHOST_USER_NET_SET_MTU, RIG_NEED_REPLY, &mtu, sizeof(mtu), NULL, 0);
	assert_int_equal(rig_run(r), 0);
	return rig_reply_u64(r, VHOST_USER_NET_SET_MTU);
}

static void mtu_is_checked(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	assert_int_equal(set_mtu(r, RIG_MTU), 0);
	assert_int_equal(set_mtu(r, 68), 0);
	rig_log_begin();
	assert_int_not_equal(set_mtu(r, RIG_MTU + 1), 0);
	assert_int_not_equal(set_mtu(r, 67), 0);
	assert_int_not_equal(set_mtu(r, UINT64_C(1) << 32 | 1500), 0);
	rig_log_end(3, "NET_SET_MTU");
	rig_reach(r, RIG_FEATURES_SET, RIG_SERVED); /* it is whole without it */
	assert_int_equal(set_mtu(r, 1400), 0);
	assert_int_equal(r->device.stops, 0);
}

static void mtu_that_nobody_answers(void **state)
{
	struct rig *r = *state;
	uint64_t mtu = 9000;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	rig_log_begin();
	rig_send(r, VHOST_USER_NET_SET_MTU, VHOST_USER_VERSION, &mtu, sizeof(mtu), NULL, 0);
	assert_int_equal(rig_run(r), -EINVAL);
	rig_log_end(1, "MTU of 9000");
}

static void mtu_of_a_disk(void **state)
{
	struct rig *r = *state;
	uint64_t mtu = 1500;

	assert_int_equal(offered(r) & (PROTOCOL(INFLIGHT_SHMFD) | PROTOCOL(MTU)), PROTOCOL(INFLIGHT_SHMFD));
	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	rig_log_begin();
	rig_send(r, VHOST_USER_NET_SET_MTU, RIG_NEED_REPLY, &mtu, sizeof(mtu), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "not negotiated");
}

/* Migration is not offered, and so nobody has to announce a guest. */
static void rarp_is_not_spoken(void **state)
{
	struct rig *r = *state;
	uint64_t mac = 0;

	assert_int_equal(offered(r) & PROTOCOL(RARP), 0);
	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	rig_log_begin();
	rig_send(r, VHOST_USER_SEND_RARP, VHOST_USER_VERSION, &mac, sizeof(mac), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "19");
}

/* A guest changes the number of its queues: pairs are switched off and on while the others are served. */
static void pairs_on_and_off(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 2, 0);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 3, 0);
	assert_int_equal(r->device.running, 3);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 0, 1); /* is already */
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 2, 1);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 3, 1);
	assert_int_equal(r->device.running, 15);
	assert_int_equal(r->device.stops, 2);
	assert_int_equal(r->device.starts, RIG_QUEUES + 2);
}

static uint64_t region_message(struct rig *r, uint32_t request, const struct vhost_user_single_region *region)
{
	rig_send(r, request, RIG_NEED_REPLY, region, sizeof(*region), &r->memory, request == VHOST_USER_ADD_MEM_REG);
	assert_int_equal(rig_run(r), 0);
	return rig_reply_u64(r, request);
}

/* QEMU 7.2 tells a region once for each queue pair. */
static void regions_told_again(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region same = {.region = rig_region()}, other = same;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	assert_int_equal(region_message(r, VHOST_USER_ADD_MEM_REG, &same), 0);
	assert_int_equal(r->device.stops, 0);
	assert_int_equal(vhost_user_memory(r->v)->count, 1);
	/* Another in its place is refused as ever, and all is served on. */
	other.region.user_addr += 4096;
	rig_log_begin();
	assert_int_not_equal(region_message(r, VHOST_USER_ADD_MEM_REG, &other), 0);
	rig_log_end(1, "ADD_MEM_REG");
	assert_int_equal(r->device.running, (1U << RIG_QUEUES) - 1);
	/* What is not there is gone already. */
	r->device.stops = 0;
	assert_int_equal(region_message(r, VHOST_USER_REM_MEM_REG, &other), 0);
	assert_int_equal(r->device.stops, 0);
	assert_int_equal(region_message(r, VHOST_USER_REM_MEM_REG, &same), 0);
	assert_int_equal(r->device.stops, RIG_QUEUES);
	assert_int_equal(r->device.running, 0);
	assert_int_equal(region_message(r, VHOST_USER_REM_MEM_REG, &same), 0);
	assert_int_equal(region_message(r, VHOST_USER_ADD_MEM_REG, &same), 0);
	assert_int_equal(region_message(r, VHOST_USER_ADD_MEM_REG, &same), 0);
	assert_int_equal(r->device.running, (1U << RIG_QUEUES) - 1);
}

/* A disk has one VMM, which knows what it said. */
static void regions_of_a_disk(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region same = {.region = rig_region()}, other = same;

	rig_reach(r, RIG_NEW, RIG_MEMORY);
	other.region.user_addr += 4096;
	rig_log_begin();
	assert_int_not_equal(region_message(r, VHOST_USER_ADD_MEM_REG, &same), 0);
	assert_int_not_equal(region_message(r, VHOST_USER_REM_MEM_REG, &other), 0);
	rig_log_end(2, "MEM_REG");
}

static void link_is_told(void **state)
{
	struct rig *r = *state;
	struct vhost_user_header h;

	rig_reach(r, RIG_NEW, RIG_SERVED);
	assert_int_equal(vhost_user_config_changed(r->v), 0);
	assert_int_equal(read(r->backend[0], &h, sizeof(h)), sizeof(h));
	assert_int_equal(h.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
}

#define NIC(test)  cmocka_unit_test_setup_teardown(test, rig_setup_nic, rig_teardown)
#define DISK(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NIC(keeps_no_record),	 NIC(record_asked_for),	  NIC(mtu_is_checked),	 NIC(mtu_that_nobody_answers),
		DISK(mtu_of_a_disk),	 NIC(rarp_is_not_spoken), NIC(pairs_on_and_off), NIC(link_is_told),
		NIC(regions_told_again), DISK(regions_of_a_disk),
	};

	return cmocka_run_group_tests_name("vhost-user NIC", tests, NULL, NULL);
}
