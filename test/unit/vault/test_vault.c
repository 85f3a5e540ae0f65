/* The vault without its process: who may ask what, and what it makes of messages that are none. */
#include "rig.h"

#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "vault/key_page.h"

static const struct root_cost cheap = {.memory_kib = 64, .passes = 1, .lanes = 1};

struct message {
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES + 64];
	struct vault_writer body;
};

static void start(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->body = (struct vault_writer){.at = m->bytes + VAULT_HEADER_BYTES, .end = m->bytes + sizeof(m->bytes)};
}

static size_t finish(struct message *m, uint8_t op)
{
	size_t size = (size_t)(m->body.at - m->bytes);
	struct vault_header header = {.op = op, .id = 0x1122334455667788, .body_size = (uint32_t)(size - VAULT_HEADER_BYTES)};

	assert_false(m->body.bad);
	vault_header_put(m->bytes, &header);
	return size;
}

/* A valid request of that op about the golden volume. */
static size_t request(struct message *m, uint8_t op)
{
	struct vault_dek_ref ref;

	start(m);
	rig_golden_ref(&ref);
	if (op == VAULT_OP_DEK_CREATE)
		ref.wrapped_dek.size = 0;
	if (op == VAULT_OP_UNLOCK)
		vault_put_var(&m->body, golden_sealed_dek, sizeof(golden_sealed_dek));
	if (op == VAULT_OP_KEK_CREATE) {
		vault_put(&m->body, golden_kek_id, UUID_BYTES);
		vault_put_u32(&m->body, 1);
	}
	if (op >= VAULT_OP_DEK_CREATE)
		vault_put_ref(&m->body, &ref);
	if (op == VAULT_OP_DEK_REWRAP) {
		vault_put(&m->body, golden_kek_id, UUID_BYTES);
		vault_put_u32(&m->body, GOLDEN_KEK_VERSION);
		vault_put_blob(&m->body, &ref.wrapped_kek);
	}
	if (op == VAULT_OP_DEK_EXPORT)
		vault_put(&m->body, golden_recipient, sizeof(golden_recipient));
	return finish(m, op);
}

static enum vault_role role_of(uint8_t op)
{
	return op == VAULT_OP_DEK_UNWRAP ? VAULT_ROLE_CARD : VAULT_ROLE_CONTROL;
}

/* The outcome; checks what holds of every answer. */
static enum vault_error ask(struct vault *vault, enum vault_role role, const struct message *m, size_t size,
			    struct vault_answer *answer)
{
	struct vault_header header;

	vault_handle(vault, role, m->bytes, size, 0, answer);
	assert_true(vault_header_get(answer->bytes, answer->size, &header));
	assert_true(vault_header_valid(&header, answer->size));
	assert_int_equal(header.id, 0x1122334455667788);
	assert_int_equal(header.op, m->bytes[5] | VAULT_ANSWER);
	if (header.error != VAULT_OK) {
		assert_int_equal(answer->size, VAULT_HEADER_BYTES);
		assert_int_equal(answer->fd, -1);
	}
	return (enum vault_error)header.error;
}

static void take_dek(struct vault_answer *answer, uint8_t dek[VAULT_KEY_BYTES])
{
	if (answer->fd < 0) { /* a kernel without memfd_secret */
		assert_int_equal(answer->size, VAULT_HEADER_BYTES + VAULT_KEY_BYTES);
		memcpy(dek, answer->bytes + VAULT_HEADER_BYTES, VAULT_KEY_BYTES);
		return;
	}
	assert_int_equal(answer->size, VAULT_HEADER_BYTES);
	assert_int_equal(key_page_take(answer->fd, dek, VAULT_KEY_BYTES), 0);
	close(answer->fd);
}

static void test_each_op_on_its_channel_only(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, true);
	for (uint8_t op = VAULT_OP_STATUS; op <= VAULT_OP_LAST; op++) {
		size_t size = request(&m, op);
		enum vault_role role = role_of(op), other = role == VAULT_ROLE_CARD ? VAULT_ROLE_CONTROL : VAULT_ROLE_CARD;

		assert_int_equal(ask(&vault, other, &m, size, &answer), VAULT_FORBIDDEN);
		if (op == VAULT_OP_UNLOCK) /* sealed to somebody else */
			assert_int_equal(ask(&vault, role, &m, size, &answer), VAULT_TAMPERED);
		else
			assert_int_equal(ask(&vault, role, &m, size, &answer), VAULT_OK);
		if (answer.fd >= 0)
			close(answer.fd);
	}
}

static void test_unwrap_gives_the_key(void **state)
{
	uint8_t dek[VAULT_KEY_BYTES];
	struct vault_answer answer;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, false);
	assert_int_equal(ask(&vault, VAULT_ROLE_CARD, &m, request(&m, VAULT_OP_DEK_UNWRAP), &answer), VAULT_OK);
	take_dek(&answer, dek);
	assert_memory_equal(dek, golden_dek, sizeof(dek));
}

/* A new key's halves differ (XTS wants that), and no two keys are alike. */
static void test_new_keys_are_new(void **state)
{
	uint8_t dek[2][VAULT_KEY_BYTES];
	struct vault_answer answer;
	struct vault_reader body;
	struct vault_dek_ref ref;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, false);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, request(&m, VAULT_OP_DEK_CREATE), &answer), VAULT_OK);
		rig_golden_ref(&ref);
		body = (struct vault_reader){.at = answer.bytes + VAULT_HEADER_BYTES, .end = answer.bytes + answer.size};
		vault_get_blob(&body, &ref.wrapped_dek);
		assert_true(vault_get_done(&body));
		start(&m);
		vault_put_ref(&m.body, &ref);
		assert_int_equal(ask(&vault, VAULT_ROLE_CARD, &m, finish(&m, VAULT_OP_DEK_UNWRAP), &answer), VAULT_OK);
		take_dek(&answer, dek[i]);
		assert_memory_not_equal(dek[i], dek[i] + 32, 32);
	}
	assert_memory_not_equal(dek[0], dek[1], VAULT_KEY_BYTES);
}

static void test_locked(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault = {0};

	(void)state;
	assert_int_equal(root_from_header(&vault.root, rig_file(golden_header, sizeof(golden_header), 0600), &cheap), 0);
	assert_int_equal(vault_open(&vault, true), 0);
	for (uint8_t op = VAULT_OP_KEK_CREATE; op <= VAULT_OP_LAST; op++)
		assert_int_equal(ask(&vault, role_of(op), &m, request(&m, op), &answer), VAULT_LOCKED);
	assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, request(&m, VAULT_OP_STATUS), &answer), VAULT_OK);
	assert_int_equal(answer.bytes[VAULT_HEADER_BYTES], 0);
	assert_int_equal(answer.bytes[VAULT_HEADER_BYTES + 1], 1);
}

static enum vault_error unlock(struct vault *vault, const char *passphrase)
{
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_answer answer;
	struct message m;
	size_t size;

	assert_int_equal(vault_seal(vault->seal_public, (const uint8_t *)passphrase, strlen(passphrase), sealed, &size), 0);
	start(&m);
	vault_put_var(&m.body, sealed, size);
	return ask(vault, VAULT_ROLE_CONTROL, &m, finish(&m, VAULT_OP_UNLOCK), &answer);
}

static void test_unlock(void **state)
{
	struct vault vault = {0};

	(void)state;
	assert_int_equal(root_from_header(&vault.root, rig_file(golden_header, sizeof(golden_header), 0600), &cheap), 0);
	assert_int_equal(vault_open(&vault, true), 0);
	assert_int_equal(unlock(&vault, ""), VAULT_BAD_REQUEST);
	for (int i = 0; i < ROOT_ATTEMPTS_MAX; i++)
		assert_int_equal(unlock(&vault, "wrong"), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&vault, golden_passphrase), VAULT_TOO_MANY_ATTEMPTS);
	vault.root.attempts = 1;
	assert_int_equal(unlock(&vault, golden_passphrase), VAULT_OK);
	assert_int_equal(vault.root.state, ROOT_UNLOCKED);
	close(vault.root.header_fd);
}

static void test_no_export(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;
	size_t size = request(&m, VAULT_OP_DEK_EXPORT);

	(void)state;
	rig_vault(&vault, false);
	assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, size, &answer), VAULT_FORBIDDEN);
	rig_vault(&vault, true);
	memset(m.bytes + size - 32, 0, 32); /* a recipient of low order: everybody could read it */
	assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, size, &answer), VAULT_BAD_REQUEST);
}

/* Each byte of each valid request changed: never OK where a key or a name was touched, never a crash. */
static void test_altered_requests(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, true);
	for (uint8_t op = VAULT_OP_DEK_EXPORT; op <= VAULT_OP_DEK_UNWRAP; op++) {
		size_t size = request(&m, op), ref_end = size - (op == VAULT_OP_DEK_EXPORT ? 32 : 0);

		for (size_t i = VAULT_HEADER_BYTES; i < ref_end; i++) {
			enum vault_error error;

			m.bytes[i] ^= 0x01;
			error = ask(&vault, role_of(op), &m, size, &answer);
			assert_true(error == VAULT_TAMPERED || error == VAULT_BAD_REQUEST);
			m.bytes[i] ^= 0x01;
		}
	}
}

static void test_malformed(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, true);
	for (uint8_t op = VAULT_OP_STATUS; op <= VAULT_OP_LAST; op++) {
		size_t size = request(&m, op);

		for (size_t cut = VAULT_HEADER_BYTES; cut < size; cut++) { /* a body that ends early, with a header that says so */
			put_le32(m.bytes + 16, (uint32_t)(cut - VAULT_HEADER_BYTES));
			assert_int_equal(ask(&vault, role_of(op), &m, cut, &answer), VAULT_BAD_REQUEST);
		}
		put_le32(m.bytes + 16, (uint32_t)(size + 1 - VAULT_HEADER_BYTES)); /* one byte too many */
		assert_int_equal(ask(&vault, role_of(op), &m, size + 1, &answer), VAULT_BAD_REQUEST);
		assert_int_equal(ask(&vault, role_of(op), &m, size, &answer), VAULT_BAD_REQUEST); /* size is not what it says */
	}
	for (int i = 4; i < VAULT_HEADER_BYTES; i++) { /* each byte of the header but magic and id */
		size_t size = request(&m, VAULT_OP_STATUS);

		if (i >= 8 && i < 16)
			continue;
		m.bytes[i] ^= 0x40;
		assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, size, &answer), VAULT_BAD_REQUEST);
	}
	for (unsigned op = 0; op < 256; op++) {
		if (op >= VAULT_OP_STATUS && op <= VAULT_OP_LAST)
			continue;
		start(&m);
		assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, finish(&m, (uint8_t)op), &answer), VAULT_BAD_REQUEST);
	}
}

/* A new key where one is already given. */
static void test_create_over_a_key(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;
	size_t size = request(&m, VAULT_OP_DEK_UNWRAP);

	(void)state;
	rig_vault(&vault, true);
	m.bytes[5] = VAULT_OP_DEK_CREATE;
	assert_int_equal(ask(&vault, VAULT_ROLE_CONTROL, &m, size, &answer), VAULT_BAD_REQUEST);
}

static void test_not_even_a_header(void **state)
{
	struct vault_answer answer;
	struct message m;
	struct vault vault;

	(void)state;
	rig_vault(&vault, true);
	request(&m, VAULT_OP_STATUS);
	for (size_t size = 0; size < VAULT_HEADER_BYTES; size++) {
		vault_handle(&vault, VAULT_ROLE_CONTROL, m.bytes, size, 0, &answer);
		assert_int_equal(answer.size, 0);
	}
	for (int i = 0; i < 4; i++) {
		m.bytes[i] ^= 0x20;
		vault_handle(&vault, VAULT_ROLE_CONTROL, m.bytes, VAULT_HEADER_BYTES, 0, &answer);
		assert_int_equal(answer.size, 0);
		m.bytes[i] ^= 0x20;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_op_on_its_channel_only),
		cmocka_unit_test(test_unwrap_gives_the_key),
		cmocka_unit_test(test_new_keys_are_new),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_unlock),
		cmocka_unit_test(test_no_export),
		cmocka_unit_test(test_altered_requests),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_create_over_a_key),
		cmocka_unit_test(test_not_even_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
