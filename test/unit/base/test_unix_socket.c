/* Listening on a path: mode, what is replaced and what is not. */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unix_socket.h"

static const struct unix_socket_owner owner = {.uid = (uid_t)-1, .gid = (gid_t)-1, .mode = 0640};
static char dir[32], path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/outboard-sock-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void test_mode(void **state)
{
	mode_t mask = umask(022), after;
	struct stat st;
	int fd = unix_socket_listen(path, &owner, 1);

	(void)state;
	after = umask(mask);
	assert_int_equal(after, 022); /* as it was */
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	close(fd);
}

static void test_replaces_only_what_is_dead(void **state)
{
	int fd = unix_socket_listen(path, &owner, 1);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unix_socket_listen(path, &owner, 1), -EADDRINUSE);
	close(fd);
	fd = unix_socket_listen(path, &owner, 1);
	assert_true(fd >= 0);
	close(fd);
}

static void test_something_else_in_the_way(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	close(fd);
	assert_int_equal(unix_socket_listen(path, &owner, 1), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_places_that_are_none(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(unix_socket_listen(longest, &owner, 1), -ENAMETOOLONG);
	assert_int_equal(unix_socket_listen("/nowhere/at/all", &owner, 1), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces_only_what_is_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_something_else_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places_that_are_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
