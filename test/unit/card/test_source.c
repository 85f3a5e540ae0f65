/* A poller and sources of every kind: which are visited, when they sleep, what wakes them, and how they leave. */
#include "../cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "card/poller.h"

enum { PATIENCE_MS = 30000 };

/* A source that does as it is told. */
struct fake {
	struct source source;
	_Atomic int work; /* requests that a visit finds */
	_Atomic int visits, arms, disarms, stops;
	_Atomic bool refuses_to_sleep;
	_Atomic bool in_flight;	  /* keeps it from being stopped */
	_Atomic uint64_t wait_ns; /* not 0: a fruitless visit asks to be visited again then */
	_Atomic uint64_t visited_tsc;
	struct fake *breaks;  /* a visit finds that one at fault */
	struct fake *hurries; /* a visit has work for that one */
	bool breaks_itself;
	bool left, told_broken;
};

static struct poller poller;
static struct mailbox control;

static struct fake *fake_of(const struct source *source)
{
	return container_of(source, struct fake, source);
}

static struct visit fake_visit(struct source *source, uint64_t now_tsc)
{
	struct fake *f = fake_of(source);
	struct visit v = {.started = (unsigned)atomic_exchange(&f->work, 0)};

	f->visited_tsc = now_tsc;
	if (f->breaks != NULL)
		source_broken(&f->breaks->source, "found by another");
	if (f->breaks_itself)
		source_broken(source, "found by itself");
	if (f->hurries != NULL && v.started > 0)
		source_hurry(&f->hurries->source, now_tsc);
	if (v.started == 0 && f->wait_ns > 0)
		v.again_tsc = now_tsc + clock_ns_to_tsc(f->wait_ns);
	f->visits++;
	return v;
}

static bool fake_arm(struct source *source)
{
	fake_of(source)->arms++;
	return !fake_of(source)->refuses_to_sleep;
}

static void fake_disarm(struct source *source)
{
	fake_of(source)->disarms++;
}

static void fake_stop(struct source *source)
{
	fake_of(source)->stops++;
}

static bool fake_stopped(const struct source *source)
{
	return !fake_of(source)->in_flight;
}

static const struct source_ops all_ops = {fake_visit, fake_arm, fake_disarm, fake_stop, fake_stopped};
static const struct source_ops least_ops = {.visit = fake_visit};
static const struct source_ops passive_ops = {.stop = fake_stop};

static void left(struct message *message)
{
	container_of(message, struct fake, source.stopped)->left = true;
}

static void broken(struct message *message)
{
	container_of(message, struct fake, source.broken)->told_broken = true;
}

static struct fake *fake_new(const struct source_ops *ops, bool kicks)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->source.ops = ops;
	f->source.kick_fd = kicks ? eventfd(0, EFD_NONBLOCK) : -1;
	f->source.call_fd = f->source.err_fd = -1;
	f->source.stopped.run = left;
	f->source.broken.run = broken;
	return f;
}

/* The control thread, until `done` or patience ends. */
static bool control_until(const bool *done)
{
	while (!*done) {
		struct pollfd p = {.fd = control.event_fd, .events = POLLIN};

		if (mailbox_sleep(&control)) {
			int ready = poll(&p, 1, PATIENCE_MS);

			mailbox_wake(&control);
			if (ready != 1)
				return false;
		}
		mailbox_run(&control);
	}
	return true;
}

/* Waits for what the poller does; false: it did not. */
#define EVENTUALLY(condition)                                                                                                      \
	({                                                                                                                         \
		uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);                                     \
		while (!(condition) && clock_monotonic_ns() < deadline_ns)                                                         \
			usleep(100);                                                                                               \
		(condition);                                                                                                       \
	})

static bool asleep(struct fake *f)
{
	return __atomic_load_n(&f->source.place, __ATOMIC_RELAXED) == SOURCE_ASLEEP;
}

static void kick(struct fake *f, int work)
{
	uint64_t one = 1;

	f->work = work;
	assert_int_equal(write(f->source.kick_fd, &one, sizeof(one)), sizeof(one));
}

static void remove_and_free(struct fake *f)
{
	poller_remove(&poller, &f->source);
	assert_true(control_until(&f->left));
	if (f->source.kick_fd >= 0)
		close(f->source.kick_fd);
	free(f);
}

/* A message that the poller has carried out tells that it went through its mailbox, whatever it was doing. */
struct errand {
	struct message message;
	bool done;
};

static void errand_done(struct message *message)
{
	container_of(message, struct errand, message)->done = true;
}

static void errand_back(struct message *message)
{
	message->run = errand_done;
	mailbox_post(&control, message);
}

static void poller_roundtrip(void)
{
	struct errand errand = {.message.run = errand_back};

	poller_post(&poller, &errand.message);
	assert_true(control_until(&errand.done));
}

/* Keeps the poller busy, so that what is posted meanwhile reaches it at once. */
struct obstacle {
	struct message message;
	_Atomic bool away;
};

static void wait_at_obstacle(struct message *message)
{
	while (!container_of(message, struct obstacle, message)->away)
		sched_yield();
}

static int start(void **state)
{
	struct poller_config config = {.core = sched_getcpu(), .buffer_bytes = 4 << 20, .control = &control};

	(void)state;
	clock_calibrate();
	assert_int_equal(mailbox_open(&control), 0);
	assert_int_equal(poller_start(&poller, &config), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	poller_stop(&poller);
	mailbox_close(&control);
	return 0;
}

/* ---- */

static void test_visited_asleep_and_woken_by_its_kick(void **state)
{
	struct fake *f = fake_new(&all_ops, true);
	int visits;

	(void)state;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(asleep(f)));
	assert_true(f->visits >= 1);
	assert_true(f->arms >= 1);
	visits = f->visits;
	kick(f, 3);
	assert_true(EVENTUALLY(f->work == 0 && f->visits > visits));
	assert_true(EVENTUALLY(asleep(f)));
	assert_int_equal(f->source.kicks, 1);
	assert_true(f->disarms >= 2); /* when it came, and when it was woken */
	remove_and_free(f);
}

static void test_nothing_but_a_visit_is_needed(void **state)
{
	struct fake *f = fake_new(&least_ops, true);

	(void)state;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(asleep(f)));
	kick(f, 1);
	assert_true(EVENTUALLY(f->work == 0));
	remove_and_free(f);
}

static void test_one_that_finds_work_when_it_is_armed_stays(void **state)
{
	struct fake *f = fake_new(&all_ops, true);

	(void)state;
	f->refuses_to_sleep = true;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(f->arms >= 3));
	assert_false(asleep(f));
	f->refuses_to_sleep = false;
	assert_true(EVENTUALLY(asleep(f)));
	remove_and_free(f);
}

static void test_without_a_kick_it_is_polled_for_ever(void **state)
{
	struct fake *f = fake_new(&all_ops, false);
	int visits;

	(void)state;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(f->visits > 1000));
	visits = f->visits;
	assert_true(EVENTUALLY(f->visits > visits + 1000));
	assert_int_equal(f->arms, 0);
	remove_and_free(f);
}

static void test_a_kick_that_cannot_be_waited_for_is_none(void **state)
{
	struct fake *f = fake_new(&all_ops, false);

	(void)state;
	f->source.kick_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* epoll does not take files */
	assert_true(f->source.kick_fd >= 0);
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(f->visits > 1000));
	remove_and_free(f);
}

static void test_held_until_it_said(void **state)
{
	struct fake *f = fake_new(&all_ops, true);
	uint64_t first_tsc;
	int visits;

	(void)state;
	f->wait_ns = 20 * 1000 * 1000;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(f->visits >= 1));
	first_tsc = f->visited_tsc;
	visits = f->visits;
	assert_true(EVENTUALLY(f->visits > visits));
	assert_true(f->visited_tsc - first_tsc >= clock_ns_to_tsc(f->wait_ns));
	assert_int_equal(f->arms, 0);
	remove_and_free(f);
}

static void test_the_earliest_of_the_held_goes_first(void **state)
{
	struct fake *late = fake_new(&all_ops, true), *early = fake_new(&all_ops, true);
	int visits;

	(void)state;
	late->wait_ns = UINT64_C(3600) * 1000000000;
	early->wait_ns = 1000 * 1000;
	poller_add(&poller, &late->source);
	poller_add(&poller, &early->source);
	assert_true(EVENTUALLY(late->visits == 1 && early->visits > 20));
	visits = early->visits;
	assert_true(EVENTUALLY(early->visits > visits + 20));
	assert_int_equal(late->visits, 1);
	remove_and_free(early);
	remove_and_free(late);
}

static void test_a_held_one_is_hurried_by_another(void **state)
{
	struct fake *held = fake_new(&all_ops, true), *other = fake_new(&all_ops, true);

	(void)state;
	held->wait_ns = UINT64_C(3600) * 1000000000;
	other->hurries = held;
	poller_add(&poller, &held->source);
	assert_true(EVENTUALLY(held->visits == 1));
	poller_add(&poller, &other->source);
	assert_true(EVENTUALLY(asleep(other)));
	assert_int_equal(held->visits, 1);
	kick(other, 1);
	assert_true(EVENTUALLY(held->visits == 2));
	remove_and_free(other);
	remove_and_free(held);
}

static void test_a_passive_one_is_owned_and_never_visited(void **state)
{
	struct fake *f = fake_new(&passive_ops, true);
	int fd = f->source.kick_fd;
	uint64_t one = 1;

	(void)state;
	poller_add(&poller, &f->source);
	poller_roundtrip();
	assert_int_equal(poller.account.sources, 1);
	assert_int_equal(f->source.kick_fd, -1); /* nobody would act on it */
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	poller_roundtrip();
	assert_int_equal(f->visits, 0);
	remove_and_free(f);
	assert_int_equal(poller.account.sources, 0);
	close(fd);
}

static void test_who_breaks_a_rule_is_told_once_and_not_visited_again(void **state)
{
	struct fake *f = fake_new(&all_ops, true);
	uint64_t signalled = 0;
	int visits;

	(void)state;
	f->breaks_itself = true;
	f->source.err_fd = eventfd(0, EFD_NONBLOCK);
	poller_add(&poller, &f->source);
	assert_true(control_until(&f->told_broken));
	assert_string_equal(f->source.broken_why, "found by itself");
	assert_int_equal(read(f->source.err_fd, &signalled, sizeof(signalled)), sizeof(signalled));
	assert_int_equal(signalled, 1);
	visits = f->visits;
	assert_int_equal(visits, 1);
	kick(f, 1);
	poller_roundtrip();
	poller_roundtrip();
	assert_int_equal(f->visits, visits);
	close(f->source.err_fd);
	f->source.err_fd = -1;
	remove_and_free(f);
}

/* A receive queue's ring is found broken while another's frame is put into it. */
static void test_a_passive_one_is_broken_by_what_another_finds(void **state)
{
	struct fake *passive = fake_new(&passive_ops, false), *finder = fake_new(&all_ops, true);

	(void)state;
	finder->breaks = passive;
	poller_add(&poller, &passive->source);
	poller_roundtrip();
	poller_add(&poller, &finder->source);
	assert_true(control_until(&passive->told_broken));
	assert_string_equal(passive->source.broken_why, "found by another");
	assert_true(EVENTUALLY(asleep(finder)));
	assert_false(finder->told_broken);
	remove_and_free(finder);
	remove_and_free(passive);
}

static void test_an_active_one_is_broken_by_what_another_finds(void **state)
{
	struct fake *victim = fake_new(&all_ops, false), *finder = fake_new(&all_ops, true);

	(void)state;
	finder->breaks = victim;
	poller_add(&poller, &finder->source); /* visited first: the victim comes after it in the same pass */
	poller_add(&poller, &victim->source);
	assert_true(control_until(&victim->told_broken));
	assert_true(EVENTUALLY(asleep(finder)));
	remove_and_free(finder);
	remove_and_free(victim);
}

/* Its ring may be found broken before the poller was given it as a source. */
static void test_broken_before_it_was_added(void **state)
{
	struct fake *passive = fake_new(&passive_ops, false), *active = fake_new(&all_ops, true);

	(void)state;
	source_broken(&passive->source, "early");
	source_broken(&active->source, "early");
	poller_add(&poller, &passive->source);
	poller_add(&poller, &active->source);
	assert_true(control_until(&passive->told_broken));
	assert_true(control_until(&active->told_broken));
	assert_int_equal(active->visits, 0);
	remove_and_free(passive);
	remove_and_free(active);
}

static void test_leaves_when_nothing_is_in_flight(void **state)
{
	struct fake *f = fake_new(&all_ops, true);

	(void)state;
	f->in_flight = true;
	poller_add(&poller, &f->source);
	assert_true(EVENTUALLY(asleep(f)));
	poller_remove(&poller, &f->source);
	assert_true(EVENTUALLY(f->stops == 1));
	poller_roundtrip();
	assert_false(f->left);
	f->in_flight = false;
	poller_roundtrip(); /* what ends is a completion, which wakes it: here a message does */
	assert_true(control_until(&f->left));
	close(f->source.kick_fd);
	free(f);
}

static void test_removed_before_it_was_taken_in(void **state)
{
	struct obstacle obstacle = {.message.run = wait_at_obstacle};
	struct fake *f = fake_new(&all_ops, true);

	(void)state;
	poller_post(&poller, &obstacle.message);
	poller_add(&poller, &f->source);
	poller_remove(&poller, &f->source);
	obstacle.away = true;
	assert_true(control_until(&f->left));
	assert_int_equal(f->visits, 0);
	close(f->source.kick_fd);
	free(f);
}

static void test_guests_are_called_when_added_and_when_asked(void **state)
{
	struct fake *f = fake_new(&all_ops, true);
	uint64_t calls = 0;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	f->source.call_fd = fd;
	poller_add(&poller, &f->source);
	poller_roundtrip();
	assert_int_equal(read(fd, &calls, sizeof(calls)), sizeof(calls));
	assert_int_equal(calls, 1);
	poller_call(&poller, &f->source);
	poller_roundtrip();
	assert_int_equal(read(fd, &calls, sizeof(calls)), sizeof(calls));
	assert_int_equal(calls, 1);
	remove_and_free(f);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_visited_asleep_and_woken_by_its_kick),
		TEST(test_nothing_but_a_visit_is_needed),
		TEST(test_one_that_finds_work_when_it_is_armed_stays),
		TEST(test_without_a_kick_it_is_polled_for_ever),
		TEST(test_a_kick_that_cannot_be_waited_for_is_none),
		TEST(test_held_until_it_said),
		TEST(test_the_earliest_of_the_held_goes_first),
		TEST(test_a_held_one_is_hurried_by_another),
		TEST(test_a_passive_one_is_owned_and_never_visited),
		TEST(test_who_breaks_a_rule_is_told_once_and_not_visited_again),
		TEST(test_a_passive_one_is_broken_by_what_another_finds),
		TEST(test_an_active_one_is_broken_by_what_another_finds),
		TEST(test_broken_before_it_was_added),
		TEST(test_leaves_when_nothing_is_in_flight),
		TEST(test_removed_before_it_was_taken_in),
		TEST(test_guests_are_called_when_added_and_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
