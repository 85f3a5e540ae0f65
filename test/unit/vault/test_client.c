/* The client against a vault that misbehaves. */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/codec.h"
#include "vault/key_page.h"

enum { PATIENCE_MS = 20000 };

/* The other end of the channel: answers each request as it is told to, in a thread, until the channel is closed. */
struct fake {
	int client;
	int server;
	void (*behave)(struct fake *fake, const struct vault_header *request);
	unsigned requests;
	uint16_t error;
	pthread_t thread;
};

static void answer(int channel, const struct vault_header *header, const void *body, size_t size, int fd)
{
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES];
	struct vault_header h = *header;

	h.body_size = (uint32_t)size;
	vault_header_put(bytes, &h);
	if (size > 0)
		memcpy(bytes + VAULT_HEADER_BYTES, body, size);
	assert_int_equal(channel_send(channel, bytes, VAULT_HEADER_BYTES + size, &fd, fd >= 0), 0);
}

/* A kek as it should come: a var of 64 bytes. */
static void answer_well(struct fake *fake, const struct vault_header *request)
{
	struct vault_header header = {.op = request->op | VAULT_ANSWER, .id = request->id};
	uint8_t body[66] = {64, 0, 0xab};

	answer(fake->server, &header, body, sizeof(body), -1);
}

static void *fake_run(void *context)
{
	struct fake *fake = context;
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES];
	struct vault_header header;
	ssize_t size;

	while ((size = channel_receive(fake->server, bytes, sizeof(bytes), NULL, 0, NULL)) > 0) {
		fake->requests++;
		if (vault_header_get(bytes, (size_t)size, &header))
			fake->behave(fake, &header);
	}
	return NULL;
}

static void fake_start(struct fake *fake, void (*behave)(struct fake *fake, const struct vault_header *request))
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	*fake = (struct fake){.client = ends[0], .server = ends[1], .behave = behave};
	assert_int_equal(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

static void fake_stop(struct fake *fake)
{
	shutdown(fake->client, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	close(fake->client);
	close(fake->server);
}

static unsigned open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static enum vault_error create(int channel, struct vault_blob *blob, int timeout_ms)
{
	struct uuid kek;

	rig_golden_kek_id(&kek);
	return vault_kek_create(channel, &kek, 1, blob, timeout_ms);
}

/* Everything that is not the answer, then the answer. */
static void behave_noisily(struct fake *fake, const struct vault_header *request)
{
	struct vault_header good = {.op = request->op | VAULT_ANSWER, .id = request->id}, h;
	uint8_t body[66] = {64, 0, 0xcd}, raw[VAULT_HEADER_BYTES + 66];
	int extra[2] = {0, 0};

	h = good;
	h.id ^= 1; /* to a call that timed out */
	answer(fake->server, &h, body, sizeof(body), -1);
	h = good;
	h.op = VAULT_OP_STATUS | VAULT_ANSWER;
	answer(fake->server, &h, body, sizeof(body), -1);
	h = good;
	h.op = request->op; /* no answer */
	answer(fake->server, &h, body, sizeof(body), -1);
	h = good;
	h.error = VAULT_ERROR_LAST + 1;
	answer(fake->server, &h, NULL, 0, -1);
	answer(fake->server, &good, body, sizeof(body), 0);		  /* with a descriptor */
	assert_int_equal(channel_send(fake->server, "?", 1, NULL, 0), 0); /* not a header */
	assert_int_equal(channel_send(fake->server, "?", 1, extra, 2), 0);
	vault_header_put(raw, &good); /* says no body, has one */
	assert_int_equal(channel_send(fake->server, raw, sizeof(raw), NULL, 0), 0);
	memset(raw, 0, sizeof(raw));
	assert_int_equal(channel_send(fake->server, raw, sizeof(raw), NULL, 0), 0);
	answer_well(fake, request);
}

static void test_drops_what_is_not_its_answer(void **state)
{
	unsigned before = open_descriptors();
	struct vault_blob blob;
	struct fake fake;

	(void)state;
	fake_start(&fake, behave_noisily);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(create(fake.client, &blob, PATIENCE_MS), VAULT_OK);
		assert_int_equal(blob.size, 64);
		assert_int_equal(blob.bytes[0], 0xab);
	}
	fake_stop(&fake);
	assert_int_equal(open_descriptors(), before);
}

static void behave_forgetfully(struct fake *fake, const struct vault_header *request)
{
	if (fake->requests % 3 == 0) /* dies with the first two */
		answer_well(fake, request);
}

static void test_asks_again(void **state)
{
	struct vault_blob blob;
	struct fake fake;

	(void)state;
	fake_start(&fake, behave_forgetfully);
	assert_int_equal(create(fake.client, &blob, 3000), VAULT_OK);
	fake_stop(&fake);
	assert_int_equal(fake.requests, 3);
}

static void behave_silently(struct fake *fake, const struct vault_header *request)
{
	(void)fake, (void)request;
}

static void test_gives_up(void **state)
{
	struct vault_blob blob = {.size = 7};
	struct vault_status status;
	struct fake fake;

	(void)state;
	fake_start(&fake, behave_silently);
	assert_int_equal(create(fake.client, &blob, 30), VAULT_UNAVAILABLE);
	assert_int_equal(vault_status(fake.client, &status, 0), VAULT_UNAVAILABLE);
	assert_int_equal(blob.size, 7);
	fake_stop(&fake);
}

/* Nobody reads, and the channel is full: no endless wait, blocking or not. */
static void test_gives_up_when_the_channel_is_full(void **state)
{
	uint8_t packet[512] = {0};
	struct vault_blob blob;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	while (channel_send(ends[0], packet, sizeof(packet), NULL, 0) == 0)
		;
	assert_int_equal(create(ends[0], &blob, 30), VAULT_UNAVAILABLE);
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	assert_int_equal(create(ends[0], &blob, 30), VAULT_UNAVAILABLE);
	close(ends[0]);
	close(ends[1]);
}

static void test_closed_channel(void **state)
{
	struct vault_dek_ref ref;
	struct vault_blob blob;
	int ends[2];

	(void)state;
	rig_golden_ref(&ref);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	close(ends[1]);
	assert_int_equal(create(ends[0], &blob, PATIENCE_MS), VAULT_UNAVAILABLE);
	assert_int_equal(vault_unwrap_send(ends[0], 1, &ref), -EPIPE);
	close(ends[0]);
}

static void behave_with_errors(struct fake *fake, const struct vault_header *request)
{
	struct vault_header header = {.op = request->op | VAULT_ANSWER, .id = request->id, .error = fake->error};

	answer(fake->server, &header, NULL, 0, -1);
}

/* Every refusal arrives as it was meant, and each call then leaves its outputs alone; an OK without its body is no OK. */
static void test_refusals_and_empty_answers(void **state)
{
	struct vault_dek_ref ref, before;
	struct vault_status status;
	struct vault_blob blob;
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	struct fake fake;
	size_t size = 99;

	(void)state;
	rig_golden_ref(&ref);
	before = ref;
	fake_start(&fake, behave_with_errors);
	for (int e = VAULT_OK; e <= VAULT_ERROR_LAST; e++) {
		enum vault_error expected = e == VAULT_OK ? VAULT_INTERNAL : (enum vault_error)e;

		fake.error = (uint16_t)e;
		assert_int_equal(create(fake.client, &blob, PATIENCE_MS), expected);
		assert_int_equal(vault_status(fake.client, &status, PATIENCE_MS), expected);
		assert_int_equal(vault_dek_rewrap(fake.client, &ref, &ref.kek, 9, &ref.wrapped_kek, PATIENCE_MS), expected);
		assert_int_equal(vault_dek_export(fake.client, &ref, golden_recipient, sealed, &size, PATIENCE_MS), expected);
		assert_memory_equal(&ref, &before, sizeof(ref));
		assert_int_equal(size, 99);
		assert_int_equal(vault_unlock(fake.client, golden_sealed_dek, sizeof(golden_sealed_dek), PATIENCE_MS), e);
		assert_int_equal(vault_dek_create(fake.client, &ref, PATIENCE_MS), expected);
		ref = before;
	}
	fake_stop(&fake);
}

static void test_every_error_has_its_sentence(void **state)
{
	(void)state;
	for (int e = VAULT_OK; e <= VAULT_ERROR_LAST + 1; e++)
		for (int other = VAULT_OK; other < e; other++)
			assert_string_not_equal(vault_error_text((enum vault_error)e), vault_error_text((enum vault_error)other));
}

/* A store that was tampered with gives sizes that no key has. */
static void test_sizes_from_the_store(void **state)
{
	struct vault_dek_ref ref;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	rig_golden_ref(&ref);
	ref.wrapped_kek.size = VAULT_WRAPPED_MAX_BYTES + 1;
	assert_int_equal(vault_unwrap_send(ends[0], 1, &ref), -EMSGSIZE);
	assert_int_equal(vault_dek_create(ends[0], &ref, PATIENCE_MS), VAULT_BAD_REQUEST);
	assert_int_equal(vault_unlock(ends[0], golden_dek, VAULT_SEALED_MAX_BYTES + 1, PATIENCE_MS), VAULT_BAD_REQUEST);
	close(ends[0]);
	close(ends[1]);
}

/* ---- the card's side ---- */

struct unwrap {
	int card;
	int vault;
	uint64_t id;
	enum vault_error error;
	uint8_t key[VAULT_KEY_BYTES];
};

static void unwrap_start(struct unwrap *u)
{
	int ends[2];

	memset(u, 0, sizeof(*u));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	u->card = ends[0];
	u->vault = ends[1];
}

static int unwrap_receive(struct unwrap *u)
{
	return vault_unwrap_receive(u->card, &u->id, &u->error, u->key);
}

static void test_unwrap_answers(void **state)
{
	struct vault_header good = {.op = VAULT_OP_DEK_UNWRAP | VAULT_ANSWER, .id = 42}, h;
	unsigned before = open_descriptors();
	uint8_t zero[VAULT_KEY_BYTES] = {0};
	struct unwrap u;
	int fd;

	(void)state;
	unwrap_start(&u);
	assert_int_equal(unwrap_receive(&u), -EAGAIN); /* also on a blocking channel */
	fd = key_page_make(golden_dek, sizeof(golden_dek));
	if (fd != -ENOSYS) {
		assert_true(fd >= 0);
		answer(u.vault, &good, NULL, 0, fd);
		assert_int_equal(unwrap_receive(&u), 0);
		assert_int_equal(u.error, VAULT_OK);
		assert_memory_equal(u.key, golden_dek, VAULT_KEY_BYTES);
		close(fd);
	}
	memset(u.key, 0, sizeof(u.key));
	h = good;
	h.error = VAULT_TAMPERED;
	answer(u.vault, &h, NULL, 0, -1);
	assert_int_equal(unwrap_receive(&u), 0);
	assert_int_equal(u.error, VAULT_TAMPERED);
	assert_memory_equal(u.key, zero, sizeof(zero));
	answer(u.vault, &good, golden_dek, VAULT_KEY_BYTES, -1); /* a kernel without memfd_secret */
	assert_int_equal(unwrap_receive(&u), 0);
	assert_int_equal(u.id, 42);
	assert_memory_equal(u.key, golden_dek, VAULT_KEY_BYTES);
	close(u.vault);
	assert_int_equal(unwrap_receive(&u), -ECONNRESET);
	close(u.card);
	assert_int_equal(open_descriptors(), before);
}

/* OK, but without a key: the request failed, and the key stays as it was. */
static void test_unwrap_without_a_key(void **state)
{
	struct vault_header good = {.op = VAULT_OP_DEK_UNWRAP | VAULT_ANSWER, .id = 42};
	unsigned before = open_descriptors();
	uint8_t zero[VAULT_KEY_BYTES] = {0};
	int small = rig_file("x", 1, 0600), pipe_ends[2];
	struct unwrap u;

	(void)state;
	unwrap_start(&u);
	assert_int_equal(pipe(pipe_ends), 0);
	answer(u.vault, &good, NULL, 0, -1);
	answer(u.vault, &good, golden_dek, VAULT_KEY_BYTES - 1, -1);
	answer(u.vault, &good, golden_dek, VAULT_KEY_BYTES, small); /* both ways at once */
	answer(u.vault, &good, NULL, 0, small);			    /* mapping it would be a SIGBUS */
	answer(u.vault, &good, NULL, 0, pipe_ends[0]);
	for (int i = 0; i < 5; i++) {
		u.error = VAULT_OK;
		assert_int_equal(unwrap_receive(&u), 0);
		assert_int_equal(u.error, VAULT_INTERNAL);
		assert_memory_equal(u.key, zero, sizeof(zero));
	}
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	close(small);
	close(u.card);
	close(u.vault);
	assert_int_equal(open_descriptors(), before);
}

static void test_unwrap_drops_noise(void **state)
{
	struct vault_header good = {.op = VAULT_OP_DEK_UNWRAP | VAULT_ANSWER, .id = 42}, h = good;
	unsigned before = open_descriptors();
	struct unwrap u;

	(void)state;
	unwrap_start(&u);
	assert_int_equal(channel_send(u.vault, "noise", 5, NULL, 0), 0);
	h.op = VAULT_OP_STATUS | VAULT_ANSWER;
	answer(u.vault, &h, NULL, 0, 0);
	assert_int_equal(unwrap_receive(&u), -EAGAIN);
	answer(u.vault, &h, NULL, 0, -1);
	answer(u.vault, &good, golden_dek, VAULT_KEY_BYTES, -1);
	assert_int_equal(unwrap_receive(&u), 0);
	assert_int_equal(u.error, VAULT_OK);
	close(u.card);
	close(u.vault);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drops_what_is_not_its_answer),
		cmocka_unit_test(test_asks_again),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_gives_up_when_the_channel_is_full),
		cmocka_unit_test(test_closed_channel),
		cmocka_unit_test(test_refusals_and_empty_answers),
		cmocka_unit_test(test_every_error_has_its_sentence),
		cmocka_unit_test(test_sizes_from_the_store),
		cmocka_unit_test(test_unwrap_answers),
		cmocka_unit_test(test_unwrap_without_a_key),
		cmocka_unit_test(test_unwrap_drops_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
