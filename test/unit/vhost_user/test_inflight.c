/* The in-flight region: shown to the VMM, given back by it after a reconnect, or made where nobody asks. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vhost_user_inflight_area get_area(struct rig *r, uint16_t queue_count, uint16_t queue_size, uint32_t size, int *fd)
{
	struct vhost_user_inflight_area area = {.queue_count = queue_count, .queue_size = queue_size};

	rig_do(r, VHOST_USER_GET_INFLIGHT_FD, &area, size, -1);
	rig_reply(r, VHOST_USER_GET_INFLIGHT_FD, &area, size, fd);
	assert_int_equal(area.queue_count, queue_count);
	assert_int_equal(area.queue_size, queue_size);
	assert_int_equal(area.mmap_size, inflight_size_bytes(queue_count, queue_size, false));
	return area;
}

static void made_where_nobody_asks(void **state)
{
	struct rig *r = *state;
	const struct device_state *s = vhost_user_state(r->v);

	rig_reach(r, RIG_NEW, RIG_RINGS);
	assert_int_equal(vhost_user_fds(r->v)->inflight, -1);
	rig_do_state(r, VHOST_USER_SET_VRING_NUM, 3, 256);
	rig_reach(r, RIG_RINGS, RIG_SERVED);
	assert_true(vhost_user_fds(r->v)->inflight >= 0);
	assert_int_equal(s->inflight_queue_count, RIG_QUEUES);
	assert_int_equal(s->inflight_queue_size, 256); /* the largest ring */
	assert_int_equal(s->inflight_size_bytes, inflight_size_bytes(RIG_QUEUES, 256, false));
	assert_null(vhost_user_inflight(r->v, RIG_QUEUES));
}

/* Without protocol features the first ring is served before the size of the next is known. */
static void made_anew_when_a_ring_outgrows_it(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 1, .regions = {rig_region()}};
	struct vhost_user_vring_state num = {1, 512};

	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES & ~RIG_PACKED);
	rig_do(r, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, r->memory);
	rig_ring(r, 0, RIG_RING_SIZE, 0);
	assert_int_equal(r->device.running, 1);
	r->device.stops_later = true;
	rig_send(r, VHOST_USER_SET_VRING_NUM, VHOST_USER_VERSION, &num, sizeof(num), NULL, 0);
	assert_int_equal(rig_run(r), 1); /* the queue that is served stops for it */
	assert_int_equal(rig_stopped(r, 0), 0);
	rig_ring(r, 1, 512, 0);
	assert_int_equal(r->device.running, 3);
	assert_int_equal(vhost_user_state(r->v)->inflight_queue_size, 512);
}

static void shown_to_the_vmm(void **state)
{
	struct rig *r = *state;
	struct stat shown, ours;
	int fd;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	get_area(r, RIG_QUEUES, RIG_RING_SIZE, 24, &fd);
	assert_int_equal(fstat(fd, &shown), 0);
	assert_int_equal(fstat(vhost_user_fds(r->v)->inflight, &ours), 0);
	assert_int_equal(shown.st_ino, ours.st_ino);
	close(fd);
	/* Asked again it is a new one; the structure may come without its padding. */
	get_area(r, 2, 64, 20, &fd);
	assert_int_equal(fstat(fd, &shown), 0);
	assert_int_not_equal(shown.st_ino, ours.st_ino);
	close(fd);
}

/* What is in the region when the connection is lost is there for the next one. */
static void given_back_after_a_reconnect(void **state)
{
	struct rig *r = *state, next;
	struct vhost_user_inflight_area area;
	uint8_t *content;
	int fd;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	area = get_area(r, RIG_QUEUES, RIG_RING_SIZE, 24, &fd);
	rig_reach(r, RIG_FEATURES_SET, RIG_SERVED);
	content = mmap(NULL, area.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(content, MAP_FAILED);
	memset(content, 0xa5, area.mmap_size);
	munmap(content, area.mmap_size);
	close(r->vmm);
	r->vmm = -1;
	assert_int_equal(rig_run(r), -ECONNRESET);

	rig_open(&next);
	rig_reach(&next, RIG_NEW, RIG_FEATURES_SET);
	rig_send(&next, VHOST_USER_SET_INFLIGHT_FD, RIG_NEED_REPLY, &area, sizeof(area), &fd, 1);
	assert_int_equal(rig_run(&next), 0);
	assert_int_equal(rig_reply_u64(&next, VHOST_USER_SET_INFLIGHT_FD), 0);
	rig_reach(&next, RIG_FEATURES_SET, RIG_SERVED);
	content = mmap(NULL, area.mmap_size, PROT_READ, MAP_SHARED, vhost_user_fds(next.v)->inflight, 0);
	assert_ptr_not_equal(content, MAP_FAILED);
	assert_int_equal(content[area.mmap_size - 1], 0xa5);
	munmap(content, area.mmap_size);
	rig_close(&next);
	close(fd);
}

static void must_fail(struct rig *r, struct vhost_user_inflight_area area, int fd, const char *why)
{
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_INFLIGHT_FD, RIG_NEED_REPLY, &area, sizeof(area), &fd, 1);
	assert_int_equal(rig_run(r), 0);
	rig_log_end(1, why);
	assert_int_not_equal(rig_reply_u64(r, VHOST_USER_SET_INFLIGHT_FD), 0);
}

static void regions_that_do_not_fit(void **state)
{
	struct rig *r = *state;
	uint64_t size_bytes = inflight_size_bytes(RIG_QUEUES, RIG_RING_SIZE, false);
	struct vhost_user_inflight_area good = {.mmap_size = size_bytes, .queue_count = RIG_QUEUES, .queue_size = RIG_RING_SIZE},
					area;
	int fd = rig_memfd(size_bytes), event = eventfd(0, EFD_CLOEXEC);

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	area = good;
	area.mmap_size = size_bytes - 1;
	must_fail(r, area, fd, "SET_INFLIGHT_FD refused: in-flight region of");
	area.mmap_size = size_bytes + 1; /* beyond the file */
	must_fail(r, area, fd, "SET_INFLIGHT_FD refused: in-flight region of");
	area.mmap_size = UINT64_MAX;
	must_fail(r, area, fd, "SET_INFLIGHT_FD refused: in-flight region of");
	area = good;
	area.mmap_offset = 64;
	must_fail(r, area, fd, "SET_INFLIGHT_FD refused: in-flight region of");
	area.mmap_offset = UINT64_MAX - 63;
	must_fail(r, area, fd, "SET_INFLIGHT_FD refused: in-flight region of");
	must_fail(r, good, event, "is no memfd");
	must_fail(r, good, r->vmm, "is no memfd");
	assert_int_equal(vhost_user_fds(r->v)->inflight, -1);
	rig_do(r, VHOST_USER_SET_INFLIGHT_FD, &good, sizeof(good), fd);
	close(fd);
	close(event);
}

static void a_ring_must_fit_the_region_of_the_vmm(struct rig *r, uint16_t queue_count, uint16_t queue_size)
{
	struct vhost_user_vring_state enable = {2, 1};
	int fd;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	get_area(r, queue_count, queue_size, 24, &fd);
	close(fd);
	rig_reach(r, RIG_FEATURES_SET, RIG_RINGS);
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_VRING_ENABLE, VHOST_USER_VERSION, &enable, sizeof(enable), NULL, 0);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "does not fit the in-flight region");
	assert_int_equal(r->device.running, 0);
}

static void a_ring_larger_than_the_region_of_the_vmm(void **state)
{
	a_ring_must_fit_the_region_of_the_vmm(*state, RIG_QUEUES, RIG_RING_SIZE / 2);
}

static void a_queue_that_the_region_of_the_vmm_lacks(void **state)
{
	a_ring_must_fit_the_region_of_the_vmm(*state, 2, RIG_RING_SIZE);
}

static void dropped_when_rings_change_their_kind(void **state)
{
	struct rig *r = *state;
	int fd;

	rig_reach(r, RIG_NEW, RIG_FEATURES_SET);
	get_area(r, RIG_QUEUES, RIG_RING_SIZE, 24, &fd);
	close(fd);
	rig_do_u64(r, VHOST_USER_SET_FEATURES, RIG_FEATURES | RIG_F_PROTOCOL);
	assert_int_equal(vhost_user_fds(r->v)->inflight, -1);
	rig_reach(r, RIG_FEATURES_SET, RIG_MEMORY);
	rig_ring(r, 0, RIG_RING_SIZE, 0x80008000);
	rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(r->device.running, 1);
	assert_int_equal(vhost_user_state(r->v)->inflight_size_bytes, inflight_size_bytes(RIG_QUEUES, RIG_RING_SIZE, true));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_where_nobody_asks),
		TEST(made_anew_when_a_ring_outgrows_it),
		TEST(shown_to_the_vmm),
		TEST(given_back_after_a_reconnect),
		TEST(regions_that_do_not_fit),
		TEST(a_ring_larger_than_the_region_of_the_vmm),
		TEST(a_queue_that_the_region_of_the_vmm_lacks),
		TEST(dropped_when_rings_change_their_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
