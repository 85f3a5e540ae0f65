#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/inherited.h"

static void set_pid(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv("LISTEN_PID", text, 1);
}

static void test_found_by_name(void **state)
{
	(void)state;
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "control:vault:volume-1", 1);
	set_pid(getpid());
	assert_int_equal(inherited_fd("control"), 3);
	assert_int_equal(inherited_fd("vault"), 4);
	assert_int_equal(inherited_fd("volume-1"), 5);
	assert_int_equal(inherited_fd("volume"), -ENOENT); /* not by prefix */
	assert_int_equal(inherited_fd("nobody"), -ENOENT);
}

static void test_not_ours_when_meant_for_another_process(void **state)
{
	(void)state;
	set_pid(getpid() + 1);
	assert_int_equal(inherited_fd("control"), -ENOENT);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	assert_int_equal(inherited_fd("control"), -ENOENT);
}

static void test_fewer_names_than_descriptors(void **state)
{
	(void)state;
	setenv("LISTEN_FDS", "1000000", 1);
	setenv("LISTEN_FDNAMES", "control", 1);
	assert_int_equal(inherited_fd("control"), 3);
	assert_int_equal(inherited_fd("x"), -ENOENT);
}

static void test_notify(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), got;
	char data[128];
	unsigned count;
	ssize_t n;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/outboard-notify-%d", (int)getpid());
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0); /* nobody asked: nothing happens */
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	assert_int_equal(notify_send("READY=1"), 0);
	n = channel_receive(fd, data, sizeof(data), NULL, 0, NULL);
	assert_int_equal(n, 7);
	assert_memory_equal(data, "READY=1", 7);
	assert_int_equal(notify_store_fd("volume-1", 0), 0);
	n = channel_receive(fd, data, sizeof(data), &got, 1, &count);
	assert_int_equal(count, 1);
	assert_memory_equal(data, "FDSTORE=1\nFDNAME=volume-1", (size_t)n);
	close(got);
	unlink(address.sun_path);
	assert_int_equal(notify_send("READY=1"), -ENOENT);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_name),
		cmocka_unit_test(test_not_ours_when_meant_for_another_process),
		cmocka_unit_test(test_fewer_names_than_descriptors),
		cmocka_unit_test(test_notify),
	};

	return cmocka_run_group_tests_name("base inherited", tests, NULL, NULL);
}
