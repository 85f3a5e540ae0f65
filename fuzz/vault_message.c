/*
 * What the vault makes of a packet: the first byte says on which channel and whether the vault is unlocked, the rest is the
 * packet. Whatever it is, the answer is a well-formed message under the same id, or none.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "vault/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vault vault;

/* The key that the wrapped keys of the corpus are under. */
static void open_once(void)
{
	static const uint8_t root[CRYPTO_KEY_BYTES] = "a root key for fuzzing, 32 bytes";

	if (vault.export_allowed)
		return;
	vault.root.header_fd = -1;
	assert(root_key_set(&vault.root, root) == 0);
	assert(vault_open(&vault, true) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vault_header asked, answered;
	struct vault_answer answer;

	if (size < 1)
		return 0;
	open_once();
	vault.root.kind = ROOT_FILE;
	vault.root.state = (data[0] & 2) != 0 ? ROOT_DAMAGED : ROOT_UNLOCKED;
	vault_handle(&vault, (data[0] & 1) != 0 ? VAULT_ROLE_CARD : VAULT_ROLE_CONTROL, data + 1, size - 1, 0, &answer);
	if (!vault_header_get(data + 1, size - 1, &asked)) {
		assert(answer.size == 0 && answer.fd == -1);
		return 0;
	}
	assert(vault_header_get(answer.bytes, answer.size, &answered) && vault_header_valid(&answered, answer.size));
	assert(answered.id == asked.id && answered.op == (asked.op | VAULT_ANSWER) && answered.error <= VAULT_ERROR_LAST);
	assert(answered.error == VAULT_OK || (answer.size == VAULT_HEADER_BYTES && answer.fd == -1));
	if (answer.fd >= 0)
		close(answer.fd);
	return 0;
}
