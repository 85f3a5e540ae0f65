/* Memory tables: what is refused, what stays, and rings in memory that comes and goes. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Sends it with need_reply: the VMM learns that it failed, and may go on. */
static void must_fail(struct rig *r, uint32_t request, const void *payload, uint32_t size, int fd, const char *why)
{
	rig_log_begin();
	rig_send(r, request, RIG_NEED_REPLY, payload, size, &fd, fd >= 0);
	assert_int_equal(rig_run(r), 0);
	rig_log_end(1, why);
	assert_int_not_equal(rig_reply_u64(r, request), 0);
}

static void add(struct rig *r, uint64_t guest_addr, uint64_t size_bytes, uint64_t user_addr, uint64_t offset)
{
	struct vhost_user_single_region region = {.region = {guest_addr, size_bytes, user_addr, offset}};

	rig_do(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), r->memory);
}

static void add_must_fail(struct rig *r, uint64_t guest_addr, uint64_t size_bytes, uint64_t user_addr, uint64_t offset)
{
	struct vhost_user_single_region region = {.region = {guest_addr, size_bytes, user_addr, offset}};
	uint32_t before = vhost_user_state(r->v)->region_count;

	must_fail(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), r->memory, "ADD_MEM_REG");
	assert_int_equal(vhost_user_state(r->v)->region_count, before);
	assert_int_equal(vhost_user_memory(r->v)->count, before);
}

static void regions_that_cannot_be(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	add(r, 0x100000, 0x4000, 0x100000, 0);
	add_must_fail(r, 0x200000, 0, 0x200000, 0);
	add_must_fail(r, 0x200000, RIG_MEMORY_BYTES + 4096, 0x200000, 0);
	add_must_fail(r, 0x200000, 0x1000, 0x200000, RIG_MEMORY_BYTES);
	add_must_fail(r, 0x200000, 0x2000, 0x200000, UINT64_MAX - 0xfff);
	add_must_fail(r, UINT64_MAX - 0xfff, 0x2000, 0x200000, 0);
	add_must_fail(r, 0x200000, 0x2000, UINT64_MAX - 0xfff, 0);
	add_must_fail(r, 0x200000, UINT64_MAX & ~UINT64_C(0xfff), 0x200000, 0);
	add_must_fail(r, 0x100000, 0x4000, 0x900000, 0); /* the same guest address */
	add_must_fail(r, 0x103000, 0x1000, 0x900000, 0); /* within it */
	add_must_fail(r, 0xff000, 0x10000, 0x900000, 0); /* around it */
	add(r, 0x104000, 0x1000, 0x104000, 0);		 /* beside it */
}

static void more_regions_than_there_may_be(void **state)
{
	struct rig *r = *state;

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	for (unsigned i = 0; i < DEVICE_REGIONS_MAX; i++)
		add(r, i * 0x10000, 0x1000, i * 0x10000, i * 0x1000);
	add_must_fail(r, DEVICE_REGIONS_MAX * 0x10000, 0x1000, 0, 0);
}

static void a_table_of_33_regions(void **state)
{
	struct rig *r = *state;
	struct {
		uint32_t count, padding;
		struct vhost_user_region regions[33];
	} table = {.count = 33};
	int fds[33];

	for (unsigned i = 0; i < 33; i++) {
		table.regions[i] = (struct vhost_user_region){i * 0x1000, 0x1000, i * 0x1000, i * 0x1000};
		fds[i] = r->memory;
	}
	table.count = 32;
	rig_send(r, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &table, 8 + 32 * 32, fds, 32);
	assert_int_equal(rig_run(r), 0);
	assert_int_equal(vhost_user_memory(r->v)->count, 32);
	table.count = 33;
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &table, sizeof(table), fds, 33);
	assert_int_equal(rig_run(r), -EPROTO);
	rig_log_end(1, "SET_MEM_TABLE");
}

static void table_must_close(uint32_t count, uint32_t payload_bytes, unsigned fd_count)
{
	struct vhost_user_memory_table table = {.count = count};
	struct rig r;
	int fds[4];

	rig_open(&r);
	for (unsigned i = 0; i < 4; i++) {
		table.regions[i] = (struct vhost_user_region){i * 0x1000, 0x1000, i * 0x1000, i * 0x1000};
		fds[i] = r.memory;
	}
	rig_log_begin();
	rig_send(&r, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &table, payload_bytes, fds, fd_count);
	assert_int_equal(rig_run(&r), -EPROTO);
	rig_log_end(1, "SET_MEM_TABLE");
	rig_close(&r);
}

static void tables_that_contradict_themselves(void **state)
{
	(void)state;
	table_must_close(2, 8 + 32, 1);
	table_must_close(1, 8 + 2 * 32, 2);
	table_must_close(1, 8 + 31, 1);
	table_must_close(2, 8 + 2 * 32, 1);
	table_must_close(2, 8 + 2 * 32, 3);
	table_must_close(2, 8 + 2 * 32, 0);
	table_must_close(UINT32_MAX, 8 + 2 * 32, 2);
	table_must_close(0x08000001, 8 + 32, 1); /* times 32: 2^32 + 32 */
	table_must_close(0, 8, 1);
}

static void half_a_table_is_none(void **state)
{
	struct rig *r = *state;
	struct vhost_user_memory_table table = {.count = 2, .regions = {rig_region(), rig_region()}};
	int fds[2] = {r->memory, r->memory};

	rig_reach(r, RIG_NEW, RIG_SERVED);
	rig_log_begin();
	rig_send(r, VHOST_USER_SET_MEM_TABLE, RIG_NEED_REPLY, &table, 8 + 2 * 32, fds, 2);
	assert_int_equal(rig_run(r), 0);
	rig_log_end(1, "SET_MEM_TABLE");
	assert_int_not_equal(rig_reply_u64(r, VHOST_USER_SET_MEM_TABLE), 0);
	assert_int_equal(vhost_user_memory(r->v)->count, 0);
	assert_int_equal(vhost_user_fds(r->v)->region[0], -1);
	assert_int_equal(r->device.running, 0);
	/* A good table, and all goes on. */
	rig_do(r, VHOST_USER_SET_MEM_TABLE, &(struct vhost_user_memory_table){.count = 1, .regions = {rig_region()}}, 8 + 32,
	       r->memory);
	assert_int_equal(r->device.running, 0xf);
}

/* Without REPLY_ACK nobody would know. */
static void failure_closes_where_no_answer_was_asked(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region region = {.region = rig_region()};

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	region.region.size_bytes = 2 * RIG_MEMORY_BYTES;
	rig_log_begin();
	rig_send(r, VHOST_USER_ADD_MEM_REG, VHOST_USER_VERSION, &region, sizeof(region), &r->memory, 1);
	assert_int_equal(rig_run(r), -EINVAL);
	rig_log_end(1, "ADD_MEM_REG");
}

/* A page of another file system may come from a server that answers when it likes. */
static void only_files_in_memory_are_mapped(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region region = {.region = rig_region()};
	int event = eventfd(0, EFD_CLOEXEC), proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	assert_true(proc >= 0);
	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	region.region.size_bytes = 4096;
	must_fail(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), event, "is no memfd");
	must_fail(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), r->vmm, "is no memfd");
	must_fail(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), proc, "is no memfd");
	close(event);
	close(proc);
}

static void removes_what_it_is_told(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region b = {.region = {0x20000, 0x1000, 0x20000, 0x1000}};
	const struct device_state *s = vhost_user_state(r->v);
	const struct device_fds *fds = vhost_user_fds(r->v);
	int c_fd;

	rig_reach(r, RIG_NEW, RIG_PROTOCOL);
	add(r, 0x10000, 0x1000, 0x10000, 0);
	add(r, 0x20000, 0x1000, 0x20000, 0x1000);
	add(r, 0x30000, 0x1000, 0x30000, 0x2000);
	c_fd = fds->region[2];
	for (unsigned i = 0; i < 3; i++) {
		struct vhost_user_single_region other = b;

		*(i == 0 ? &other.region.guest_addr : i == 1 ? &other.region.user_addr : &other.region.size_bytes) += 0x1000;
		must_fail(r, VHOST_USER_REM_MEM_REG, &other, sizeof(other), -1, "REM_MEM_REG");
	}
	b.region.mmap_offset = 0x123;				     /* "is ignored" */
	rig_do(r, VHOST_USER_REM_MEM_REG, &b, sizeof(b), r->memory); /* "the back-end MAY accept [and] MUST close" a descriptor */
	assert_int_equal(s->region_count, 2);
	assert_int_equal(s->regions[1].guest_addr, 0x30000);
	assert_int_equal(fds->region[1], c_fd);
	assert_int_equal(fds->region[2], -1);
	must_fail(r, VHOST_USER_REM_MEM_REG, &b, sizeof(b), -1, "REM_MEM_REG");
	assert_null(guest_memory_user_at(vhost_user_memory(r->v), 0x20000, 1));
	assert_non_null(guest_memory_user_at(vhost_user_memory(r->v), 0x30000, 0x1000));
}

/* QEMU removes and adds a region that grows, while rings in it are started. */
static void a_ring_waits_for_its_memory(void **state)
{
	struct rig *r = *state;
	struct vhost_user_single_region region = {.region = rig_region()};

	rig_reach(r, RIG_NEW, RIG_SERVED);
	add(r, 0x10000000, 0x1000, 0x10000000, 0);
	rig_log_begin();
	rig_do(r, VHOST_USER_REM_MEM_REG, &region, sizeof(region), -1);
	rig_do(r, VHOST_USER_SET_OWNER, NULL, 0, -1); /* told once, not at every message */
	rig_log_end(RIG_QUEUES, "lies outside the memory");
	assert_int_equal(r->device.running, 0);
	rig_do(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), r->memory);
	assert_int_equal(r->device.running, 0xf);
}

static void a_ring_outside_memory_is_not_served(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint64_t descriptor, avail, used;
	} last_bytes_off[] = {
		{RIG_MEMORY_BYTES - 16 * RIG_RING_SIZE + 16, 0x4000, 0x8000},
		{0, RIG_MEMORY_BYTES - (6 + 2 * RIG_RING_SIZE) + 2, 0x8000},
		{0, 0x4000, RIG_MEMORY_BYTES - (4 + 8 * RIG_RING_SIZE) + 4},
		{RIG_MEMORY_BYTES, 0x4000, 0x8000},
		{-UINT64_C(16), 0x4000, 0x8000},
		{UINT64_C(1) << 60, UINT64_C(1) << 60, UINT64_C(1) << 60},
	};

	rig_reach(r, RIG_NEW, RIG_SERVED);
	for (unsigned i = 0; i < sizeof(last_bytes_off) / sizeof(last_bytes_off[0]); i++) {
		struct vhost_user_vring_addr addr = rig_addr(0);

		addr.descriptor_user_addr = RIG_USER_ADDR + last_bytes_off[i].descriptor;
		addr.avail_user_addr = RIG_USER_ADDR + last_bytes_off[i].avail;
		addr.used_user_addr = RIG_USER_ADDR + last_bytes_off[i].used;
		rig_log_begin();
		rig_do(r, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
		rig_log_end(1, "lies outside the memory");
		assert_int_equal(r->device.running, 0xe);
	}
	rig_do(r, VHOST_USER_SET_VRING_ADDR,
	       &(struct vhost_user_vring_addr){.index = 0,
					       .descriptor_user_addr = RIG_USER_ADDR + RIG_MEMORY_BYTES - 16 * RIG_RING_SIZE,
					       .avail_user_addr = RIG_USER_ADDR,
					       .used_user_addr = RIG_USER_ADDR},
	       sizeof(struct vhost_user_vring_addr), -1);
	assert_int_equal(r->device.running, 0xf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(regions_that_cannot_be),
		TEST(more_regions_than_there_may_be),
		TEST(a_table_of_33_regions),
		cmocka_unit_test(tables_that_contradict_themselves),
		TEST(half_a_table_is_none),
		TEST(failure_closes_where_no_answer_was_asked),
		TEST(only_files_in_memory_are_mapped),
		TEST(removes_what_it_is_told),
		TEST(a_ring_waits_for_its_memory),
		TEST(a_ring_outside_memory_is_not_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
