#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card/device.h"

static char folder[] = "/tmp/outboard-listen-XXXXXX";

static struct device_socket at(const char *name)
{
	struct device_socket s = {.owner = {.uid = (uid_t)-1, .gid = (gid_t)-1, .mode = 0600}};

	snprintf(s.path, sizeof(s.path), "%s/%s", folder, name);
	return s;
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* fails when something was left behind */
}

static void test_mode_is_as_asked(void **state)
{
	struct device_socket s = at("mode");
	char error[256];
	struct stat st;
	int fd;

	(void)state;
	s.owner.mode = 0660;
	fd = listen_open(&s, error, sizeof(error));
	assert_true(fd >= 0);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	close(fd);
	unlink(s.path);
}

static void test_a_dead_socket_is_replaced(void **state)
{
	struct device_socket s = at("dead");
	char error[256];
	int fd;

	(void)state;
	close(listen_open(&s, error, sizeof(error))); /* the file stays, nobody listens: as after SIGKILL */
	fd = listen_open(&s, error, sizeof(error));
	assert_true(fd >= 0);
	close(fd);
	unlink(s.path);
}

static void test_a_live_socket_is_not(void **state)
{
	struct device_socket s = at("live");
	char error[256];
	int fd = listen_open(&s, error, sizeof(error));

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(listen_open(&s, error, sizeof(error)), -EADDRINUSE);
	assert_non_null(strstr(error, s.path));
	close(fd);
	unlink(s.path);
}

static void test_a_file_in_the_way_stays(void **state)
{
	struct device_socket s = at("file");
	char error[256];

	(void)state;
	close(open(s.path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(listen_open(&s, error, sizeof(error)), -EEXIST);
	assert_int_equal(access(s.path, F_OK), 0);
	unlink(s.path);
}

static void test_a_missing_folder_is_told(void **state)
{
	struct device_socket s = at("no/such/folder");
	char error[256];

	(void)state;
	assert_int_equal(listen_open(&s, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, s.path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode_is_as_asked),	 cmocka_unit_test(test_a_dead_socket_is_replaced),
		cmocka_unit_test(test_a_live_socket_is_not),	 cmocka_unit_test(test_a_file_in_the_way_stays),
		cmocka_unit_test(test_a_missing_folder_is_told),
	};

	return cmocka_run_group_tests_name("card listen", tests, make_folder, remove_folder);
}
