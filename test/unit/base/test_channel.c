#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"

static int ends[2];

static int open_channel(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends);
}

static int close_channel(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void test_bytes_and_descriptors(void **state)
{
	int pipe_ends[2], got[2];
	char byte, data[16];
	unsigned count;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(channel_send(ends[0], "hello", 5, pipe_ends, 2), 0);
	assert_int_equal(channel_receive(ends[1], data, sizeof(data), got, 2, &count), 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(count, 2);
	assert_int_equal(fcntl(got[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(pipe_ends[1], "!", 1), 1); /* the other end of what was received */
	assert_int_equal(read(got[0], &byte, 1), 1);
	assert_int_equal(byte, '!');
	for (int i = 0; i < 2; i++) {
		close(got[i]);
		close(pipe_ends[i]);
	}
}

static void test_too_large_is_refused_at_both_ends(void **state)
{
	static char large[CHANNEL_MESSAGE_MAX_BYTES + 1];
	char data[4];

	(void)state;
	assert_int_equal(channel_send(ends[0], large, sizeof(large), NULL, 0), -EMSGSIZE);
	assert_int_equal(channel_send(ends[0], "hello", 5, NULL, 0), 0);
	assert_int_equal(channel_receive(ends[1], data, sizeof(data), NULL, 0, NULL), -EMSGSIZE);
	assert_int_equal(channel_receive(ends[1], data, sizeof(data), NULL, 0, NULL), -EAGAIN);
}

static void test_unwanted_descriptors_are_closed(void **state)
{
	int fd = dup(0), next, got[1];
	char data[4];
	unsigned count;

	(void)state;
	assert_int_equal(channel_send(ends[0], "x", 1, &fd, 1), 0);
	close(fd);
	assert_int_equal(channel_receive(ends[1], data, sizeof(data), got, 0, &count), -EMSGSIZE);
	next = dup(0);
	assert_int_equal(next, fd);
	close(next);
}

static void test_end_of_the_peer(void **state)
{
	char data[4];

	(void)state;
	shutdown(ends[0], SHUT_RDWR);
	assert_int_equal(channel_receive(ends[1], data, sizeof(data), NULL, 0, NULL), 0);
	assert_int_equal(channel_send(ends[1], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes_and_descriptors, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_too_large_is_refused_at_both_ends, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_unwanted_descriptors_are_closed, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_end_of_the_peer, open_channel, close_channel),
	};

	return cmocka_run_group_tests_name("base channel", tests, NULL, NULL);
}
