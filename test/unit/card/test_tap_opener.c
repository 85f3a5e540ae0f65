/* The helper that makes taps, and the card's side of it: what is refused, and that nothing is left behind by what goes wrong. Making
 * interfaces is test/e2e/net_card.py's, which is root. */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/channel.h"
#include "card/tap_client.h"

static struct tap_request good_request(void)
{
	return (struct tap_request){.cookie = 7, .name = "eth0", .mac.bytes = {2, 0, 0, 0, 0, 1}, .mtu = 1500};
}

static void refused(const struct tap_request *r, const char *says)
{
	char error[TAP_ERROR_SIZE] = "";

	assert_int_equal(tap_request_check(r, error, sizeof(error)), -EINVAL);
	if (strstr(error, says) == NULL)
		fail_msg("said \"%s\", not \"%s\"", error, says);
}

static void test_requests_are_checked(void **state)
{
	static const char *const bad_names[] = {"", ".", "..", "a/b", "a b", "eth:1", "tap%d", "a\nb", "a\x80"};
	static const char *const bad_netns[] = {".", "..", "a/b", "../etc/passwd", "a\nb", "/run/\x01"};
	char error[TAP_ERROR_SIZE];
	struct tap_request r = good_request();

	(void)state;
	assert_int_equal(tap_request_check(&r, error, sizeof(error)), 0);
	strcpy(r.netns, "blue");
	assert_int_equal(tap_request_check(&r, error, sizeof(error)), 0);
	strcpy(r.netns, "/proc/1/ns/net");
	assert_int_equal(tap_request_check(&r, error, sizeof(error)), 0);
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		r = good_request();
		strcpy(r.name, bad_names[i]);
		refused(&r, "the tap must be named");
	}
	r = good_request();
	memset(r.name, 'a', sizeof(r.name)); /* not ended */
	refused(&r, "the tap must be named");
	for (size_t i = 0; i < sizeof(bad_netns) / sizeof(bad_netns[0]); i++) {
		r = good_request();
		strcpy(r.netns, bad_netns[i]);
		refused(&r, "namespace");
	}
	r = good_request();
	memset(r.netns, 'a', sizeof(r.netns));
	refused(&r, "namespace");
	r = good_request();
	r.mac.bytes[0] = 1;
	refused(&r, "MAC");
	memset(&r.mac, 0, sizeof(r.mac));
	refused(&r, "MAC");
	r = good_request();
	r.mtu = TAP_MTU_MIN - 1;
	refused(&r, "MTU");
	r.mtu = TAP_MTU_MAX + 1;
	refused(&r, "MTU");
}

/* ---- the helper ---- */

struct helper {
	int ours;
	pthread_t thread;
	int theirs;
};

static void *serve(void *argument)
{
	struct helper *h = argument;

	tap_opener_serve(h->theirs);
	close(h->theirs);
	return NULL;
}

static int start_helper(void **state)
{
	struct helper *h = calloc(1, sizeof(*h));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	h->ours = pair[0];
	h->theirs = pair[1];
	assert_int_equal(pthread_create(&h->thread, NULL, serve, h), 0);
	*state = h;
	return 0;
}

static int end_helper(void **state)
{
	struct helper *h = *state;

	close(h->ours);
	pthread_join(h->thread, NULL);
	free(h);
	return 0;
}

static struct tap_reply ask(struct helper *h, const struct tap_request *r)
{
	struct tap_reply reply;
	unsigned fd_count;
	int fd = -1;

	assert_int_equal(channel_send(h->ours, r, sizeof(*r), NULL, 0), 0);
	assert_int_equal(channel_receive(h->ours, &reply, sizeof(reply), &fd, 1, &fd_count), sizeof(reply));
	assert_int_equal(reply.cookie, r->cookie);
	assert_int_equal(fd_count, 0);
	return reply;
}

static void test_a_path_that_leads_to_no_network_namespace(void **state)
{
	static const struct {
		const char *path, *says;
		int error;
	} cases[] = {
		{"/etc/passwd", "is no network namespace", -EINVAL},
		{"/", "is no network namespace", -EINVAL},
		{"/dev/null", "is no network namespace", -EINVAL},
		{"/proc/self/ns/uts", "is a namespace, but not of a network", -EINVAL},
		{"/proc/0/ns/net", "cannot be opened", -ENOENT},
		{"not-there-at-all", "/run/netns/not-there-at-all cannot be opened", -ENOENT},
	};
	struct tap_request r = good_request();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tap_reply reply;

		r.cookie = i + 100;
		strcpy(r.netns, cases[i].path);
		reply = ask(*state, &r);
		assert_int_equal(reply.error, cases[i].error);
		if (strstr(reply.message, cases[i].says) == NULL)
			fail_msg("%s: said \"%s\"", cases[i].path, reply.message);
	}
}

/* Opening a pipe that nobody writes to would hang, and opening some devices does things. */
static void test_what_is_no_namespace_is_not_even_opened(void **state)
{
	struct tap_request r = good_request();
	char folder[] = "/tmp/outboard-tap-XXXXXX";

	assert_non_null(mkdtemp(folder));
	snprintf(r.netns, sizeof(r.netns), "%s/pipe", folder);
	assert_int_equal(mkfifo(r.netns, 0600), 0);
	assert_int_equal(ask(*state, &r).error, -EINVAL);
	unlink(r.netns);
	rmdir(folder);
}

static void test_a_bad_request_is_answered_and_the_next_one_too(void **state)
{
	struct tap_request r = good_request();

	r.mtu = 1;
	assert_int_equal(ask(*state, &r).error, -EINVAL);
	strcpy(r.name, "..");
	r.cookie++;
	assert_int_equal(ask(*state, &r).error, -EINVAL);
}

static void test_a_message_of_another_size_ends_it(void **state)
{
	struct helper *h = *state;
	struct tap_reply reply;
	unsigned fd_count;

	assert_int_equal(channel_send(h->ours, "hello", 5, NULL, 0), 0);
	assert_int_equal(channel_receive(h->ours, &reply, sizeof(reply), NULL, 0, &fd_count), 0);
}

/* ---- the card's side, with a helper that does as it is told ---- */

struct client_rig {
	struct loop loop;
	struct tap_client client;
	int far;
};

struct asked {
	struct tap_opening opening;
	bool done;
	int fd;
	char message[TAP_ERROR_SIZE];
};

static void done(struct tap_opening *opening, int fd, const struct tap_reply *reply)
{
	struct asked *a = container_of(opening, struct asked, opening);

	a->done = true;
	a->fd = fd;
	snprintf(a->message, sizeof(a->message), "%s", reply->message);
}

static int client_setup(void **state)
{
	struct client_rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(loop_open(&rig->loop), 0);
	assert_int_equal(tap_client_open(&rig->client, &rig->loop, pair[0]), 0);
	rig->far = pair[1];
	*state = rig;
	return 0;
}

static int client_teardown(void **state)
{
	struct client_rig *rig = *state;

	tap_client_close(&rig->client);
	loop_close(&rig->loop);
	close(rig->far);
	free(rig);
	return 0;
}

static uint64_t ask_for(struct client_rig *rig, struct asked *a)
{
	struct tap_request r = good_request(), seen;
	unsigned fd_count;

	*a = (struct asked){.opening.done = done, .fd = -1};
	list_init(&a->opening.link);
	assert_int_equal(tap_client_ask(&rig->client, &a->opening, &r), 0);
	assert_int_equal(channel_receive(rig->far, &seen, sizeof(seen), NULL, 0, &fd_count), sizeof(seen));
	assert_string_equal(seen.name, "eth0");
	return seen.cookie;
}

static void reply_with(struct client_rig *rig, const struct tap_reply *reply, int fd)
{
	assert_int_equal(channel_send(rig->far, reply, sizeof(*reply), &fd, fd >= 0), 0);
}

/* Lets the loop take what has come. */
static void turn(struct client_rig *rig)
{
	struct pollfd p = {.fd = rig->client.watch.fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 30000), 1);
	rig->client.watch.ready(&rig->client.watch, 0);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += is_open(fd);
	return count;
}

static void test_answers_find_who_asked_in_any_order(void **state)
{
	struct client_rig *rig = *state;
	struct asked one, two;
	uint64_t cookie_one = ask_for(rig, &one), cookie_two = ask_for(rig, &two);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(cookie_one != cookie_two);
	reply_with(rig, &(struct tap_reply){.cookie = cookie_two, .error = -EBUSY, .message = "it is there"}, -1);
	turn(rig);
	assert_true(two.done && !one.done);
	assert_int_equal(two.fd, -EBUSY);
	assert_string_equal(two.message, "it is there");
	reply_with(rig, &(struct tap_reply){.cookie = cookie_one}, null);
	turn(rig);
	assert_true(one.done && is_open(one.fd) && one.fd != null);
	close(one.fd);
	close(null);
}

static void test_what_nobody_waits_for_any_more_is_closed(void **state)
{
	struct client_rig *rig = *state;
	struct asked a;
	uint64_t cookie = ask_for(rig, &a);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before = open_descriptors();

	tap_client_cancel(&a.opening);
	tap_client_cancel(&a.opening);
	reply_with(rig, &(struct tap_reply){.cookie = cookie}, null);
	turn(rig);
	assert_false(a.done);
	assert_int_equal(open_descriptors(), before);
	close(null);
}

static void expect_gone(struct client_rig *rig, struct asked *a)
{
	struct tap_request r = good_request();

	turn(rig);
	assert_true(a->done);
	assert_int_equal(a->fd, -ECONNRESET);
	assert_non_null(strstr(a->message, "gone"));
	assert_int_equal(rig->client.watch.fd, -1);
	assert_int_equal(tap_client_ask(&rig->client, &a->opening, &r), -ECONNRESET);
}

static void test_a_helper_that_dies_fails_who_waits(void **state)
{
	struct client_rig *rig = *state;
	struct asked a;

	ask_for(rig, &a);
	shutdown(rig->far, SHUT_RDWR);
	expect_gone(rig, &a);
}

static void test_a_helper_that_talks_nonsense_is_not_listened_to(void **state)
{
	struct client_rig *rig = *state;
	struct asked a;
	uint64_t cookie = ask_for(rig, &a);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before = open_descriptors();

	reply_with(rig, &(struct tap_reply){.cookie = cookie, .error = -EPERM}, null); /* refused, and a descriptor */
	expect_gone(rig, &a);
	assert_int_equal(open_descriptors(), before - 1); /* the channel's */
	close(null);
}

static void test_success_without_a_descriptor_is_nonsense(void **state)
{
	struct client_rig *rig = *state;
	struct asked a;
	uint64_t cookie = ask_for(rig, &a);

	reply_with(rig, &(struct tap_reply){.cookie = cookie}, -1);
	expect_gone(rig, &a);
}

static void test_a_short_answer_is_nonsense(void **state)
{
	struct client_rig *rig = *state;
	struct asked a;

	ask_for(rig, &a);
	assert_int_equal(channel_send(rig->far, "no", 2, NULL, 0), 0);
	expect_gone(rig, &a);
}

#define HELPER(name) cmocka_unit_test_setup_teardown(name, start_helper, end_helper)
#define CLIENT(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_checked),
		HELPER(test_a_path_that_leads_to_no_network_namespace),
		HELPER(test_what_is_no_namespace_is_not_even_opened),
		HELPER(test_a_bad_request_is_answered_and_the_next_one_too),
		HELPER(test_a_message_of_another_size_ends_it),
		CLIENT(test_answers_find_who_asked_in_any_order),
		CLIENT(test_what_nobody_waits_for_any_more_is_closed),
		CLIENT(test_a_helper_that_dies_fails_who_waits),
		CLIENT(test_a_helper_that_talks_nonsense_is_not_listened_to),
		CLIENT(test_success_without_a_descriptor_is_nonsense),
		CLIENT(test_a_short_answer_is_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
