/* Requests over a channel: replies in any order, events between them, time, a full socket, the end of the other side. */
#include "../cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "card/command.h"
#include "control/peer.h"

struct rig {
	struct events events;
	struct peer peer;
	int other;
	char log[512]; /* what happened, in order */
	unsigned done;
};

static struct rig *the_rig; /* events carry no context of their own */

static void note(const char *what)
{
	strncat(the_rig->log, what, sizeof(the_rig->log) - strlen(the_rig->log) - 1);
}

static void done(void *context, const struct peer_answer *answer)
{
	static const char *const names[] = {"ok ", "refused ", "timeout ", "gone "};

	note(context);
	note(names[answer->outcome]);
	if (answer->outcome == PEER_REFUSED) {
		note(answer->code);
		note(" ");
	}
	the_rig->done++;
}

static void event(struct peer *peer, const char *name, const json_t *message)
{
	(void)peer;
	(void)message;
	note(name);
	note(" ");
}

static void gone(struct peer *peer)
{
	(void)peer;
	note("gone ");
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(events_open(&rig->events), 0);
	rig->peer.event = event;
	rig->peer.gone = gone;
	assert_int_equal(peer_open(&rig->peer, pair[0], &rig->events), 0);
	rig->other = pair[1];
	*state = the_rig = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	peer_close(&rig->peer);
	events_close(&rig->events);
	if (rig->other >= 0)
		close(rig->other);
	free(rig);
	return 0;
}

static void run_until(struct rig *rig, unsigned count)
{
	while (rig->done < count)
		assert_int_equal(events_wait(&rig->events, -1), 0);
}

static void ask(struct rig *rig, const char *name, unsigned timeout_ms)
{
	peer_request(&rig->peer, json_pack("{s:s}", "op", name), timeout_ms, done, (void *)(size_t)name);
}

static json_int_t take(struct rig *rig)
{
	json_int_t id;
	json_t *request;

	assert_int_equal(command_receive(rig->other, &request), 0);
	id = json_integer_value(json_object_get(request, "id"));
	json_decref(request);
	return id;
}

static void send_new(struct rig *rig, json_t *message)
{
	assert_int_equal(command_send(rig->other, message), 0);
	json_decref(message);
}

static void test_any_order(void **state)
{
	struct rig *rig = *state;
	json_int_t a, b;

	ask(rig, "a", 60000);
	ask(rig, "b", 60000);
	a = take(rig);
	b = take(rig);
	assert_true(b == a + 1);
	send_new(rig, json_pack("{s:s}", "event", "hello"));
	send_new(rig, json_pack("{s:I,s:b,s:{s:s}}", "id", b, "ok", 0, "error", "code", "limit"));
	send_new(rig, json_pack("{s:I,s:b}", "id", b, "ok", 1));	     /* a second answer is none */
	send_new(rig, json_pack("{s:I,s:b}", "id", (json_int_t)1, "ok", 1)); /* one to a predecessor likewise */
	send_new(rig, json_pack("{s:s,s:b}", "id", "x", "ok", 1));
	send_new(rig, json_pack("{s:I,s:b}", "id", a, "ok", 1));
	run_until(rig, 2);
	assert_string_equal(rig->log, "hello brefused limit aok ");
}

static void test_time(void **state)
{
	struct rig *rig = *state;
	json_int_t late;

	ask(rig, "slow", 60000);
	ask(rig, "a", 1);
	take(rig);
	late = take(rig);
	run_until(rig, 1);
	assert_string_equal(rig->log, "atimeout ");
	send_new(rig, json_pack("{s:I,s:b}", "id", late, "ok", 1));
	send_new(rig, json_pack("{s:s}", "event", "after"));
	while (strstr(rig->log, "after") == NULL)
		assert_int_equal(events_wait(&rig->events, -1), 0);
	assert_string_equal(rig->log, "atimeout after ");
}

static void test_garbage_is_dropped(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(send(rig->other, "{", 1, 0), 1);
	assert_int_equal(send(rig->other, "[1]", 3, 0), 3);
	send_new(rig, json_pack("{s:s}", "event", "after"));
	while (rig->log[0] == '\0')
		assert_int_equal(events_wait(&rig->events, -1), 0);
	assert_string_equal(rig->log, "after ");
}

static void test_end(void **state)
{
	struct rig *rig = *state;

	ask(rig, "a", 60000);
	close(rig->other);
	rig->other = -1;
	run_until(rig, 1);
	assert_string_equal(rig->log, "gone agone ");
	ask(rig, "b", 60000); /* never from within the request */
	assert_int_equal(rig->done, 1);
	run_until(rig, 2);
}

/* More than the socket takes: nothing is lost, nothing overtakes. */
static void test_full_socket(void **state)
{
	struct rig *rig = *state;
	enum { COUNT = 2000 };
	json_int_t first = 0;

	for (int i = 0; i < COUNT; i++)
		ask(rig, "", 60000);
	assert_true(rig->peer.output_full);
	for (int i = 0; i < COUNT; i++) {
		json_int_t id = take(rig);

		if (i == 0)
			first = id;
		assert_int_equal(id, first + i);
		send_new(rig, json_pack("{s:I,s:b}", "id", id, "ok", 1));
		while (rig->done <= (unsigned)i)
			assert_int_equal(events_wait(&rig->events, -1), 0);
	}
	assert_int_equal(rig->done, COUNT);
	assert_false(rig->peer.output_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_socket, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
