/* Mapping what a VMM shares, and surviving that it takes it back. */
#include "../cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/guest_memory.h"
#include "virtio/inflight.h"
#include "virtio/mapping_guard.h"

enum { PAGE = 4096, MIB = 1 << 20 };

static struct guest_memory m;

static int memory_file(off_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static int add(int fd, uint64_t guest_addr, uint64_t size_bytes, uint64_t user_addr, uint64_t mmap_offset)
{
	struct region_state r = {guest_addr, size_bytes, user_addr, mmap_offset};

	return guest_memory_add(&m, &r, fd);
}

static void test_add_and_translate(void **state)
{
	int fd = memory_file(MIB);
	uint64_t length = 100;

	(void)state;
	guest_memory_init(&m);
	assert_int_equal(add(fd, 0x200000, 0x10000, 0x7000000, 0x20000), 0);
	assert_int_equal(add(fd, 0x100000, 0x10000, 0x6000000, 0), 0);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.regions[0].guest_addr, 0x100000); /* sorted */
	assert_int_equal(pwrite(fd, "hello", 5, 0x20000), 5);
	assert_memory_equal(guest_memory_at(&m, 0x200000, &length), "hello", 5);
	assert_int_equal(length, 100);
	assert_non_null(guest_memory_at(&m, 0x20fff0, &length));
	assert_int_equal(length, 16);
	assert_null(guest_memory_at(&m, 0x210000, &length));
	assert_null(guest_memory_at(&m, 0xfffff, &length));
	assert_null(guest_memory_at(&m, UINT64_MAX, &length));
	assert_non_null(guest_memory_user_at(&m, 0x7000000, 0x10000));
	assert_null(guest_memory_user_at(&m, 0x7000000, 0x10001));
	assert_null(guest_memory_user_at(&m, 0x700ffff, 2));
	assert_null(guest_memory_user_at(&m, 0x7000001, UINT64_MAX));
	guest_memory_clear(&m);
	assert_int_equal(m.count, 0);
	close(fd);
}

static void test_bad_regions_are_refused(void **state)
{
	int fd = memory_file(MIB), pipes[2];

	(void)state;
	guest_memory_init(&m);
	assert_int_equal(add(fd, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 1, PAGE, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0, PAGE + 1, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0, PAGE, 0, 7), -EINVAL);
	assert_int_equal(add(fd, 0, MIB + PAGE, 0, 0), -EINVAL); /* beyond the file */
	assert_int_equal(add(fd, 0, PAGE, 0, MIB), -EINVAL);
	assert_int_equal(add(fd, UINT64_MAX - PAGE + 1, 2 * PAGE, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0, 2 * PAGE, UINT64_MAX - PAGE, 0), -EINVAL);
	assert_int_equal(add(fd, 0, PAGE, 0, UINT64_MAX - PAGE + 1), -EINVAL);
	assert_int_equal(add(fd, 0, PAGE, 0, (uint64_t)INT64_MAX + 1), -EINVAL);
	assert_int_equal(add(-1, 0, PAGE, 0, 0), -EBADF);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(add(pipes[0], 0, PAGE, 0, 0), -EINVAL);
	assert_int_equal(m.count, 0);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

static void test_overlaps_are_refused(void **state)
{
	int fd = memory_file(MIB);

	(void)state;
	guest_memory_init(&m);
	assert_int_equal(add(fd, 0x10000, 0x10000, 0, 0), 0);
	assert_int_equal(add(fd, 0x10000, 0x10000, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0x1f000, PAGE, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0xf000, 2 * PAGE, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0, 0x40000, 0, 0), -EINVAL);
	assert_int_equal(add(fd, 0x20000, PAGE, 0, 0), 0); /* neighbours */
	assert_int_equal(add(fd, 0xf000, PAGE, 0, 0), 0);
	guest_memory_clear(&m);
	close(fd);
}

static void test_regions_are_bounded(void **state)
{
	int fd = memory_file(MIB);

	(void)state;
	guest_memory_init(&m);
	for (unsigned i = 0; i < DEVICE_REGIONS_MAX; i++)
		assert_int_equal(add(fd, i * UINT64_C(2) * PAGE, PAGE, 0, 0), 0);
	assert_int_equal(add(fd, MIB, PAGE, 0, 0), -ENOSPC);
	guest_memory_clear(&m);
	close(fd);
}

/* The addresses of the process are everybody's. */
static void test_more_than_the_host_could_ever_give_is_refused(void **state)
{
	const uint64_t each = UINT64_C(1) << 44;
	int fd = memory_file((off_t)each);
	unsigned count = 0;

	(void)state;
	guest_memory_init(&m);
	while (count < DEVICE_REGIONS_MAX && add(fd, count * each, each, count * each, 0) == 0)
		count++;
	assert_in_range(count, 0, DEVICE_REGIONS_MAX / 8);
	assert_int_equal(add(fd, count * each, each, count * each, 0), -ENOSPC);
	assert_int_equal(add(fd, count * each, MIB, count * each, 0), 0);
	guest_memory_clear(&m);
	close(fd);
}

static void test_remove(void **state)
{
	int fd = memory_file(MIB);
	struct region_state r = {0x10000, PAGE, 0x99000, 0};
	uint64_t length = 1;

	(void)state;
	guest_memory_init(&m);
	assert_int_equal(add(fd, 0, PAGE, 0, 0), 0);
	assert_int_equal(guest_memory_add(&m, &r, fd), 0);
	assert_int_equal(add(fd, 0x20000, PAGE, 0, 0), 0);
	r.user_addr++;
	assert_int_equal(guest_memory_remove(&m, &r), -ENOENT);
	r.user_addr--;
	assert_int_equal(guest_memory_remove(&m, &r), 0);
	assert_int_equal(guest_memory_remove(&m, &r), -ENOENT);
	assert_int_equal(m.count, 2);
	assert_null(guest_memory_at(&m, 0x10000, &length));
	assert_non_null(guest_memory_at(&m, 0x20000, &length));
	guest_memory_clear(&m);
	close(fd);
}

/* ---- in children: what they do ends with their status ---- */

static int in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* The sanitizers' own handler is not what is tested. */
		signal(SIGBUS, SIG_DFL);
		if (guest_memory_catch_sigbus() != 0)
			_exit(99);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void truncate_under_us(void)
{
	int fd = memfd_create("test", 0);
	volatile uint8_t *p;

	guest_memory_init(&m);
	if (ftruncate(fd, MIB) != 0 || add(fd, 0, MIB / 2, 0, 0) != 0 || add(fd, MIB, MIB / 2, 0, MIB / 2) != 0)
		_exit(1);
	p = m.regions[1].host;
	p[5] = 7;
	if (ftruncate(fd, 0) != 0 || mapping_lost(&m.lost))
		_exit(2);
	if (p[5] != 0 || !mapping_lost(&m.lost)) /* zeroes in its place, and it is said so */
		_exit(3);
	p[6] = 1;
	p = m.regions[0].host;
	if (p[0] != 0) /* the other region is lost as well, by its own fault */
		_exit(4);
	guest_memory_clear(&m);
	if (mapping_lost(&m.lost))
		_exit(5);
}

static void test_truncated_memory_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(in_child(truncate_under_us), 0);
}

static void truncate_record(void)
{
	struct inflight record;
	int fd;

	if (inflight_create(&record, 1, 64, false, &fd) != 0 || ftruncate(fd, 0) != 0)
		_exit(1);
	if (*(volatile uint8_t *)record.mapping != 0 || !mapping_lost(&record.lost))
		_exit(2);
	inflight_unmap(&record);
}

static void test_truncated_record_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(in_child(truncate_record), 0);
}

static void fault_elsewhere(void)
{
	int fd = memfd_create("test", 0);
	volatile uint8_t *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	(void)*p;
}

static void fault_after_removal(void)
{
	int fd = memfd_create("test", 0);
	volatile uint8_t *p;

	guest_memory_init(&m);
	if (ftruncate(fd, PAGE) != 0 || add(fd, 0, PAGE, 0, 0) != 0)
		_exit(1);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0); /* the same file, not guarded */
	guest_memory_clear(&m);
	if (ftruncate(fd, 0) != 0)
		_exit(2);
	(void)*p;
}

static void sent_by_a_process(void)
{
	kill(getpid(), SIGBUS);
}

static void test_other_faults_kill(void **state)
{
	void (*const bodies[])(void) = {fault_elsewhere, fault_after_removal, sent_by_a_process};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int status = in_child(bodies[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);
	}
}

static void test_guards_are_bounded_and_reused(void **state)
{
	static uint32_t handles[MAPPING_GUARDS_MAX];
	static uint8_t somewhere[1];
	bool lost = false;
	uint32_t extra;

	(void)state;
	for (unsigned i = 0; i < MAPPING_GUARDS_MAX; i += 64) /* filling it one by one is quadratic; a part will do for reuse */
		assert_int_equal(mapping_guard_add(somewhere, 1, &lost, &handles[i]), 0);
	extra = handles[64];
	mapping_guard_remove(handles[64]);
	assert_int_equal(mapping_guard_add(somewhere, 1, &lost, &handles[64]), 0);
	assert_int_equal(handles[64], extra);
	for (unsigned i = 0; i < MAPPING_GUARDS_MAX; i += 64)
		mapping_guard_remove(handles[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_translate),
		cmocka_unit_test(test_bad_regions_are_refused),
		cmocka_unit_test(test_overlaps_are_refused),
		cmocka_unit_test(test_regions_are_bounded),
		cmocka_unit_test(test_more_than_the_host_could_ever_give_is_refused),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_truncated_memory_is_replaced),
		cmocka_unit_test(test_truncated_record_is_replaced),
		cmocka_unit_test(test_other_faults_kill),
		cmocka_unit_test(test_guards_are_bounded_and_reused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
