#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "card/command.h"

static int ends[2];

static int open_channel(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

static int close_channel(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void check_round_trip(size_t text_bytes)
{
	char *text = malloc(text_bytes + 1);
	json_t *sent, *got = NULL;

	memset(text, 'x', text_bytes);
	text[text_bytes] = '\0';
	sent = json_pack("{s:i,s:s}", "id", 7, "text", text);
	assert_int_equal(command_send(ends[0], sent), 0);
	assert_int_equal(command_receive(ends[1], &got), 0);
	assert_true(json_equal(sent, got));
	json_decref(sent);
	json_decref(got);
	free(text);
}

static void test_small_and_large(void **state)
{
	(void)state;
	check_round_trip(1);
	check_round_trip(COMMAND_INLINE_MAX_BYTES - 20); /* about the edge */
	check_round_trip(COMMAND_INLINE_MAX_BYTES);
	check_round_trip(5 << 20);
}

static void test_nothing_there(void **state)
{
	json_t *got;

	(void)state;
	assert_int_equal(command_receive(ends[1], &got), -EAGAIN);
}

static void test_not_json_is_dropped_and_the_next_is_read(void **state)
{
	const char *bad[] = {"{", "[1]", "null", "{\"a\":1,\"a\":2}", "\xff\xfe"};
	json_t *got;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(channel_send(ends[0], bad[i], strlen(bad[i]), NULL, 0), 0);
		assert_int_equal(command_receive(ends[1], &got), -EBADMSG);
	}
	check_round_trip(3);
}

static void test_a_body_that_could_change_is_refused(void **state)
{
	int fd = memfd_create("body", MFD_ALLOW_SEALING);
	json_t *got;

	(void)state;
	assert_int_equal(write(fd, "{}", 2), 2);
	assert_int_equal(channel_send(ends[0], "x", 1, &fd, 1), 0);
	assert_int_equal(command_receive(ends[1], &got), -EBADMSG);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	assert_int_equal(channel_send(ends[0], "x", 1, &fd, 1), 0);
	assert_int_equal(command_receive(ends[1], &got), 0);
	json_decref(got);
	close(fd);
}

static void test_descriptors_are_not_leaked(void **state)
{
	int fds[3], before, after, probe;
	json_t *got;

	(void)state;
	probe = dup(0);
	before = probe;
	close(probe);
	for (int i = 0; i < 3; i++)
		fds[i] = dup(0);
	assert_int_equal(channel_send(ends[0], "{}", 2, fds, 3), 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(command_receive(ends[1], &got), -EMSGSIZE);
	after = dup(0);
	assert_int_equal(after, before);
	close(after);
}

static void test_peer_gone(void **state)
{
	json_t *got;

	(void)state;
	shutdown(ends[0], SHUT_RDWR);
	assert_int_equal(command_receive(ends[1], &got), -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_and_large, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_nothing_there, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_not_json_is_dropped_and_the_next_is_read, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_a_body_that_could_change_is_refused, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_descriptors_are_not_leaked, open_channel, close_channel),
		cmocka_unit_test_setup_teardown(test_peer_gone, open_channel, close_channel),
	};

	return cmocka_run_group_tests_name("card command", tests, NULL, NULL);
}
