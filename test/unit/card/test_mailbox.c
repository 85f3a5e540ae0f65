#include "../cmocka_all.h"

#include <poll.h>
#include <pthread.h>

#include "card/mailbox.h"

enum { SENDERS = 3, PER_SENDER = 20000 };

struct numbered {
	struct message message;
	unsigned sender, number;
};

static unsigned expected[SENDERS];
static unsigned received;

static void take(struct message *message)
{
	struct numbered *n = (struct numbered *)(void *)message;

	assert_int_equal(n->number, expected[n->sender]);
	expected[n->sender]++;
	received++;
}

static struct mailbox box;
static struct numbered messages[SENDERS][PER_SENDER];

static void *send_all(void *argument)
{
	unsigned sender = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < PER_SENDER; i++) {
		messages[sender][i] = (struct numbered){.message.run = take, .sender = sender, .number = i};
		mailbox_post(&box, &messages[sender][i].message);
	}
	return NULL;
}

/* The owner sleeps whenever it may: if a post to a sleeper were ever lost, this would hang. */
static void test_every_sender_in_order_and_no_wakeup_lost(void **state)
{
	pthread_t threads[SENDERS];

	(void)state;
	assert_int_equal(mailbox_open(&box), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_create(&threads[i], NULL, send_all, (void *)(uintptr_t)i);
	while (received < SENDERS * PER_SENDER) {
		struct pollfd p = {.fd = box.event_fd, .events = POLLIN};

		if (mailbox_sleep(&box)) {
			assert_int_equal(poll(&p, 1, 30000), 1);
			mailbox_wake(&box);
		}
		mailbox_run(&box);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(mailbox_empty(&box));
	mailbox_close(&box);
}

static void post_again(struct message *message)
{
	static unsigned times;

	if (++times < 3)
		mailbox_post(&box, message);
}

static void test_a_message_may_be_posted_again_while_it_runs(void **state)
{
	struct message message = {.run = post_again};

	(void)state;
	assert_int_equal(mailbox_open(&box), 0);
	mailbox_post(&box, &message);
	assert_int_equal(mailbox_run(&box), 1);
	assert_int_equal(mailbox_run(&box), 1);
	assert_int_equal(mailbox_run(&box), 1);
	assert_int_equal(mailbox_run(&box), 0);
	mailbox_close(&box);
}

static void test_an_owner_with_mail_does_not_sleep(void **state)
{
	struct message message = {.run = post_again};

	(void)state;
	assert_int_equal(mailbox_open(&box), 0);
	mailbox_post(&box, &message);
	assert_false(mailbox_sleep(&box));
	mailbox_run(&box);
	assert_true(mailbox_sleep(&box));
	mailbox_wake(&box);
	mailbox_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sender_in_order_and_no_wakeup_lost),
		cmocka_unit_test(test_a_message_may_be_posted_again_while_it_runs),
		cmocka_unit_test(test_an_owner_with_mail_does_not_sleep),
	};

	return cmocka_run_group_tests_name("card mailbox", tests, NULL, NULL);
}
