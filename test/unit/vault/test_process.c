/* The process: what it does when it, or its neighbours, die or misbehave. What it hides is in test_hiding.c. */
#include "process_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"

static void open_file_vault(struct chassis *chassis)
{
	chassis_open(chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
}

static void test_everything_once(void **state)
{
	uint8_t private_key[32], public_key[32], sealed[VAULT_SEALED_MAX_BYTES], key[VAULT_KEY_BYTES],
		again[VAULT_SEALED_MAX_BYTES];
	struct vault_dek_ref ref, other;
	struct vault_status status;
	struct chassis chassis;
	size_t size;

	(void)state;
	open_file_vault(&chassis);
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	assert_true(status.unlocked && status.root_kind == 0 && status.export_allowed);
	chassis_new_volume(&chassis, &ref);
	chassis_new_volume(&chassis, &other);
	chassis_unwrap(&chassis, &ref, key);
	/* exported, opened by a person */
	assert_int_equal(vault_seal_keypair(private_key, public_key), 0);
	assert_int_equal(vault_dek_export(chassis.control[0], &ref, public_key, sealed, &size, PATIENCE_MS), VAULT_OK);
	assert_int_equal(vault_open_sealed(private_key, sealed, size, again, &size), 0);
	assert_int_equal(size, VAULT_KEY_BYTES);
	assert_memory_equal(again, key, VAULT_KEY_BYTES);
	/* under another KEK, still the same key */
	assert_int_equal(vault_dek_rewrap(chassis.control[0], &ref, &other.kek, 1, &other.wrapped_kek, PATIENCE_MS), VAULT_OK);
	assert_memory_equal(&ref.kek, &other.kek, UUID_BYTES);
	chassis_unwrap(&chassis, &ref, again);
	assert_memory_equal(again, key, VAULT_KEY_BYTES);
	/* another volume's key in this one's place */
	ref.wrapped_dek = other.wrapped_dek;
	assert_int_equal(vault_unwrap_send(chassis.card[0], 8, &ref), 0);
	assert_int_equal(chassis_unwrapped(&chassis, 8, key), VAULT_TAMPERED);
	chassis_close(&chassis);
}

static void test_no_export(void **state)
{
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_dek_ref ref;
	struct vault_status status;
	struct chassis chassis;
	size_t size;

	(void)state;
	open_file_vault(&chassis);
	chassis.option = "--no-export";
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	assert_false(status.export_allowed);
	rig_golden_ref(&ref);
	assert_int_equal(vault_dek_export(chassis.control[0], &ref, golden_recipient, sealed, &size, PATIENCE_MS), VAULT_FORBIDDEN);
	chassis_close(&chassis);
}

/* Requests that came while there was no vault, or a dead one, are answered by the next. */
static void test_queued_while_it_was_dead(void **state)
{
	uint8_t key[VAULT_KEY_BYTES];
	struct vault_dek_ref ref;
	struct chassis chassis;

	(void)state;
	open_file_vault(&chassis);
	rig_golden_ref(&ref);
	assert_int_equal(vault_unwrap_send(chassis.card[0], 1, &ref), 0); /* before the first */
	chassis_start(&chassis);
	assert_int_equal(chassis_unwrapped(&chassis, 1, key), VAULT_OK);
	assert_memory_equal(key, golden_dek, sizeof(key));
	assert_int_equal(kill(chassis.vault, SIGSTOP), 0);
	assert_int_equal(vault_unwrap_send(chassis.card[0], 2, &ref), 0);
	chassis_kill(&chassis);
	chassis_start(&chassis);
	assert_int_equal(chassis_unwrapped(&chassis, 2, key), VAULT_OK);
	assert_memory_equal(key, golden_dek, sizeof(key));
	chassis_close(&chassis);
}

struct caller {
	struct chassis *chassis;
	unsigned calls;
	enum vault_error error;
};

static void *call(void *context)
{
	struct caller *caller = context;

	caller->error = VAULT_OK;
	for (unsigned i = 0; caller->error == VAULT_OK && i < caller->calls; i++) {
		struct vault_blob blob;
		struct uuid kek;

		rig_golden_kek_id(&kek);
		caller->error = vault_kek_create(caller->chassis->control[0], &kek, i, &blob, PATIENCE_MS / 3);
	}
	return NULL;
}

/* The vault has taken the request and dies with it (this test takes it in its place): the client asks again. */
static void test_killed_with_the_request(void **state)
{
	uint8_t taken[VAULT_MESSAGE_MAX_BYTES];
	struct chassis chassis;
	struct caller caller = {.chassis = &chassis, .calls = 1};
	pthread_t thread;

	(void)state;
	open_file_vault(&chassis);
	assert_int_equal(pthread_create(&thread, NULL, call, &caller), 0);
	assert_true(channel_receive(chassis.control[1], taken, sizeof(taken), NULL, 0, NULL) > VAULT_HEADER_BYTES);
	chassis_start(&chassis);
	pthread_join(thread, NULL);
	assert_int_equal(caller.error, VAULT_OK);
	chassis_close(&chassis);
}

/* Killed and started over and over, with calls one after the other: none fails. */
static void test_killed_again_and_again(void **state)
{
	struct chassis chassis;
	struct caller caller = {.chassis = &chassis, .calls = 300};
	pthread_t thread;

	(void)state;
	open_file_vault(&chassis);
	chassis_start(&chassis);
	assert_int_equal(pthread_create(&thread, NULL, call, &caller), 0);
	for (int i = 0; i < 5; i++) {
		usleep(5000);
		chassis_kill(&chassis);
		chassis_start(&chassis);
	}
	pthread_join(thread, NULL);
	assert_int_equal(caller.error, VAULT_OK);
	chassis_close(&chassis);
}

static void test_ends_with_its_chassis(void **state)
{
	struct chassis chassis;
	struct vault_status status;

	(void)state;
	for (int which = 0; which < 2; which++) {
		open_file_vault(&chassis);
		chassis_start(&chassis);
		assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
		shutdown(which == 0 ? chassis.control[0] : chassis.card[0], SHUT_RDWR);
		assert_int_equal(chassis_wait(&chassis), 0);
		chassis_close(&chassis);
	}
}

/* None of these ends it, and none is answered. */
static void test_packets_that_are_no_messages(void **state)
{
	static uint8_t big[64 * 1024];
	int fds[CHANNEL_FDS_MAX];
	struct chassis chassis;
	struct vault_status status;

	(void)state;
	open_file_vault(&chassis);
	chassis_start(&chassis);
	for (int i = 0; i < CHANNEL_FDS_MAX; i++)
		fds[i] = 0;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(send(chassis.control[0], "", 0, MSG_NOSIGNAL), 0);
		assert_int_equal(send(chassis.card[0], "", 0, MSG_NOSIGNAL), 0);
		assert_int_equal(channel_send(chassis.control[0], big, sizeof(big), NULL, 0), 0);
		assert_int_equal(channel_send(chassis.control[0], "x", 1, fds, CHANNEL_FDS_MAX), 0);
	}
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	chassis_close(&chassis);
}

/* A control that asks and asks and never reads does not keep the card waiting. */
static void test_who_does_not_read_stops_only_itself(void **state)
{
	uint8_t request[VAULT_HEADER_BYTES], key[VAULT_KEY_BYTES];
	struct vault_header header = {.op = VAULT_OP_STATUS};
	struct vault_dek_ref ref;
	struct chassis chassis;

	(void)state;
	open_file_vault(&chassis);
	chassis_start(&chassis);
	rig_golden_ref(&ref);
	chassis_unwrap(&chassis, &ref, key);
	vault_header_put(request, &header);
	assert_int_equal(fcntl(chassis.control[0], F_SETFL, O_NONBLOCK), 0);
	for (int full = 0; full < 100;) { /* its answers fill one way, then its requests the other */
		if (channel_send(chassis.control[0], request, sizeof(request), NULL, 0) == 0)
			continue;
		chassis_unwrap(&chassis, &ref, key);
		full++;
	}
	assert_memory_equal(key, golden_dek, sizeof(key));
	chassis_close(&chassis);
}

static void test_passphrase(void **state)
{
	int header = rig_file("", 0, 0600);
	struct vault_dek_ref ref;
	struct chassis chassis;
	struct vault_status status;
	uint8_t key[VAULT_KEY_BYTES], again[VAULT_KEY_BYTES];

	(void)state;
	chassis_open(&chassis, "passphrase", header);
	chassis_start(&chassis);
	assert_int_equal(chassis_unlock(&chassis, "open sesame"), VAULT_OK);
	chassis_new_volume(&chassis, &ref);
	chassis_unwrap(&chassis, &ref, key);
	chassis_kill(&chassis);
	chassis_start(&chassis); /* it has forgotten */
	assert_int_equal(vault_unwrap_send(chassis.card[0], 3, &ref), 0);
	assert_int_equal(chassis_unwrapped(&chassis, 3, again), VAULT_LOCKED);
	assert_int_equal(chassis_unlock(&chassis, "open simsim"), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(chassis_unlock(&chassis, "open sesame"), VAULT_OK);
	chassis_unwrap(&chassis, &ref, again);
	assert_memory_equal(again, key, sizeof(key));
	chassis_kill(&chassis);
	/* from a descriptor, also a second time */
	chassis.passphrase_fd = rig_file("open sesame\nnot this", 20, 0400);
	for (int i = 0; i < 2; i++) {
		chassis_start(&chassis);
		chassis_unwrap(&chassis, &ref, again);
		assert_memory_equal(again, key, sizeof(key));
		chassis_kill(&chassis);
	}
	close(chassis.passphrase_fd);
	chassis.passphrase_fd = rig_file("open simsim", 11, 0400); /* a wrong one: locked, and there */
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	assert_false(status.unlocked);
	chassis_close(&chassis);
}

static void test_damaged_header(void **state)
{
	uint8_t bytes[sizeof(golden_header)];
	struct chassis chassis;

	(void)state;
	memcpy(bytes, golden_header, sizeof(bytes));
	bytes[30] ^= 1;
	chassis_open(&chassis, "passphrase", rig_file(bytes, sizeof(bytes), 0600));
	chassis_start(&chassis);
	assert_int_equal(chassis_unlock(&chassis, golden_passphrase), VAULT_ROOT_DAMAGED);
	chassis_close(&chassis);
}

static void test_bad_root_files(void **state)
{
	struct chassis chassis;
	int status;

	(void)state;
	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0440));
	chassis_start(&chassis);
	status = chassis_wait(&chassis);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	chassis_close(&chassis);
	chassis_open(&chassis, "file", rig_file(golden_root, 31, 0400));
	chassis_start(&chassis);
	status = chassis_wait(&chassis);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	chassis_close(&chassis);
}

static void test_arguments(void **state)
{
	(void)state;
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", NULL}), 2);
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", "--root", "token", NULL}), 2);
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", "--root", NULL}), 2);
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", "--root", "file", "more", NULL}), 2);
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", "--key", "file", NULL}), 2);
	assert_int_equal(chassis_run((const char *const[]){"outboard-vault", "--root", "file", NULL}), 1); /* no descriptors */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_once),
		cmocka_unit_test(test_no_export),
		cmocka_unit_test(test_queued_while_it_was_dead),
		cmocka_unit_test(test_killed_with_the_request),
		cmocka_unit_test(test_killed_again_and_again),
		cmocka_unit_test(test_ends_with_its_chassis),
		cmocka_unit_test(test_packets_that_are_no_messages),
		cmocka_unit_test(test_who_does_not_read_stops_only_itself),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_damaged_header),
		cmocka_unit_test(test_bad_root_files),
		cmocka_unit_test(test_arguments),
	};

	if (argc != 2)
		return 1;
	chassis_program(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
