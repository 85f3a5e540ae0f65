#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/inherited.h"
#include "chassis/notify_socket.h"

/* Listens where base/inherited.c sends. */
struct fixture {
	char folder[32];
	char path[64];
	int socket;
	struct notify_message message;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/outboard-notify-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
	f->socket = notify_socket_open(f->path);
	assert_true(f->socket >= 0);
	setenv("NOTIFY_SOCKET", f->path, 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->socket);
	unlink(f->path);
	rmdir(f->folder);
	free(f);
	return 0;
}

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void ready_and_status(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(notify_socket_receive(f->socket, &f->message), -EAGAIN);
	assert_int_equal(notify_send("STATUS=all is well\nREADY=1\nMAINPID=7\nnonsense"), 0);
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	assert_int_equal(f->message.sender, getpid());
	assert_true(f->message.ready);
	assert_false(f->message.fd_store);
	assert_string_equal(f->message.status, "all is well");
	assert_string_equal(f->message.fd_name, "stored");

	assert_int_equal(notify_send(""), 0); /* the next message knows nothing of the last */
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	assert_false(f->message.ready);
	assert_null(f->message.status);
	notify_send("READY=12");
	notify_socket_receive(f->socket, &f->message);
	assert_false(f->message.ready);
}

static void descriptors(void **state)
{
	struct fixture *f = *state;
	unsigned before = open_fds();
	int fd = memfd_create("kept", MFD_CLOEXEC);

	assert_int_equal(notify_store_fd("volume-1", fd), 0);
	close(fd);
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	assert_true(f->message.fd_store);
	assert_string_equal(f->message.fd_name, "volume-1");
	assert_int_equal(f->message.fd_count, 1);
	assert_true(f->message.fds[0] >= 0);
	close(f->message.fds[0]);
	assert_int_equal(notify_remove_fd("volume-1"), 0);
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	assert_true(f->message.fd_store_remove);
	assert_int_equal(f->message.fd_count, 0);
	assert_int_equal(open_fds(), before);
}

static void too_long_is_dropped_without_a_leak(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, NOTIFY_TEXT_MAX_BYTES + 2), name[300];
	unsigned before;
	int fd = memfd_create("kept", MFD_CLOEXEC);

	before = open_fds();
	memset(text, 'x', NOTIFY_TEXT_MAX_BYTES + 1);
	assert_int_equal(notify_send(text), 0);
	assert_int_equal(notify_socket_receive(f->socket, &f->message), -EMSGSIZE);
	text[NOTIFY_TEXT_MAX_BYTES] = '\0';
	assert_int_equal(notify_send(text), 0);
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(notify_store_fd(name, fd), 0); /* cut by the sender's buffer: whoever stores it decides */
	assert_int_equal(notify_socket_receive(f->socket, &f->message), 0);
	assert_int_equal(f->message.fd_count, 1);
	close(f->message.fds[0]);
	assert_int_equal(open_fds(), before);
	close(fd);
	free(text);
}

static void a_path_too_long(void **state)
{
	char path[200];

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(notify_socket_open(path), -ENAMETOOLONG);
	assert_int_equal(notify_socket_open("/nonexistent/s"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ready_and_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_long_is_dropped_without_a_leak, set_up, tear_down),
		cmocka_unit_test(a_path_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
