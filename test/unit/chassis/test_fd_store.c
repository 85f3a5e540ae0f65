#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "chassis/fd_store.h"

static struct fd_store store;

static int empty(void **state)
{
	(void)state;
	fd_store_clear(&store);
	return 0;
}

static int new_fd(void)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void keeps_and_removes(void **state)
{
	int a = new_fd(), b = new_fd(), c = new_fd();

	(void)state;
	assert_int_equal(fd_store_add(&store, "one", a), 0);
	assert_int_equal(fd_store_add(&store, "two", b), 0);
	assert_int_equal(fd_store_add(&store, "one", c), 0); /* another file of the same name: both are kept */
	assert_int_equal(store.count, 3);
	assert_int_equal(store.names_bytes, 12);
	assert_int_equal(fd_store_remove(&store, "one"), 2);
	assert_false(is_open(a));
	assert_true(is_open(b));
	assert_false(is_open(c));
	assert_int_equal(fd_store_remove(&store, "one"), 0);
	assert_string_equal(store.entries[0].name, "two");
	assert_int_equal(store.names_bytes, 4);
	fd_store_clear(&store);
	assert_false(is_open(b));
}

static void the_same_file_is_kept_once(void **state)
{
	int fd = new_fd(), copy = dup(fd);

	(void)state;
	assert_int_equal(fd_store_add(&store, "one", fd), 0);
	assert_int_equal(fd_store_add(&store, "one", copy), 0);
	assert_int_equal(store.count, 1);
	assert_false(is_open(copy));
}

static void refuses_names_and_closes(void **state)
{
	char long_name[FD_STORE_NAME_MAX_BYTES + 2];
	static const char *const bad[] = {"", "a:b", "a\nb", "a\x7f"};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = new_fd();

		assert_int_equal(fd_store_add(&store, bad[i], fd), -EINVAL);
		assert_false(is_open(fd));
	}
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(fd_store_add(&store, long_name, new_fd()), -EINVAL);
	long_name[FD_STORE_NAME_MAX_BYTES] = '\0';
	assert_int_equal(fd_store_add(&store, long_name, new_fd()), 0);
}

/* One environment string has to hold all names. */
static void is_bounded(void **state)
{
	char name[FD_STORE_NAME_MAX_BYTES + 1];
	int fd;

	(void)state;
	for (unsigned i = 0;; i++) {
		int rc;

		snprintf(name, sizeof(name), "%0*u", FD_STORE_NAME_MAX_BYTES, i);
		fd = new_fd();
		rc = fd_store_add(&store, name, fd);
		if (rc != 0) {
			assert_int_equal(rc, -ENOSPC);
			break;
		}
		assert_true(i < FD_STORE_NAMES_MAX_BYTES / FD_STORE_NAME_MAX_BYTES);
	}
	assert_false(is_open(fd));
	assert_true(store.names_bytes <= FD_STORE_NAMES_MAX_BYTES);
	snprintf(name, sizeof(name), "%0*u", FD_STORE_NAME_MAX_BYTES, 0);
	assert_int_equal(fd_store_remove(&store, name), 1);
	assert_int_equal(fd_store_add(&store, "room again", new_fd()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_and_removes, empty, empty),
		cmocka_unit_test_setup_teardown(the_same_file_is_kept_once, empty, empty),
		cmocka_unit_test_setup_teardown(refuses_names_and_closes, empty, empty),
		cmocka_unit_test_setup_teardown(is_bounded, empty, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
