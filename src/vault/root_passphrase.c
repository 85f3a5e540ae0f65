/*
 * The root key from a passphrase.
 *
 *	NEW --first passphrase: header written--> UNLOCKED		LOCKED --right passphrase--> UNLOCKED
 *	DAMAGED stays until the header file is restored and the vault restarted
 *
 * Argon2id runs in the vault's one thread: while it does nothing else is answered, but nothing else could be, for without the
 * root key all other answers are VAULT_LOCKED. Its work memory gives the key away, so it is secret memory too: taken and locked
 * at the start, when the vault may still lock much, wiped after each try, and given back once unlocked.
 */
#include "vault/root.h"

#include <argon2.h>
#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"

const struct root_cost root_cost_recommended = {.memory_kib = 64 * 1024, .passes = 3, .lanes = 1};

static const uint64_t interval_ns = ROOT_ATTEMPT_INTERVAL_S * 1000000000ull;

int root_key_set(struct root *root, const uint8_t key[CRYPTO_KEY_BYTES])
{
	int rc = crypto_hkdf(key, CRYPTO_KEY_BYTES, NULL, 0, "outboard root wrap v1", root->wrapping_key, CRYPTO_KEY_BYTES);

	if (rc == 0)
		root->state = ROOT_UNLOCKED;
	return rc;
}

static int read_header(struct root *root, const struct root_cost *cost)
{
	uint8_t bytes[ROOT_HEADER_BYTES + 1];
	ssize_t size = pread(root->header_fd, bytes, sizeof(bytes), 0);

	if (size < 0) {
		log_error("cannot read the header of the passphrase root (vault.root): %s", strerror(errno));
		return -errno;
	}
	if (size == 0) {
		root->state = ROOT_NEW;
		root->header.cost = *cost;
		return 0;
	}
	if (size != ROOT_HEADER_BYTES || root_header_decode(bytes, &root->header) != 0) {
		root->state = ROOT_DAMAGED;
		log_error("the header of the passphrase root (vault.root) is damaged: restore it from a copy; if it was never "
			  "used, empty it");
	}
	return 0;
}

int root_from_header(struct root *root, int fd, const struct root_cost *cost)
{
	int rc;

	*root = (struct root){.kind = ROOT_PASSPHRASE, .state = ROOT_LOCKED, .header_fd = fd, .attempts = ROOT_ATTEMPTS_MAX};
	rc = read_header(root, cost);
	if (rc != 0 || root->state == ROOT_DAMAGED)
		return rc;
	root->work_bytes = (size_t)root->header.cost.memory_kib * 1024;
	root->work = secret_alloc(root->work_bytes);
	if (root->work == NULL) {
		log_error("cannot lock %u MiB of memory for the passphrase: %s; raise the limit (LimitMEMLOCK=, ulimit -l)",
			  root->header.cost.memory_kib / 1024 + 1, strerror(errno));
		return -ENOMEM;
	}
	return 0;
}

/* Argon2's allocator hooks have no context. Calls do not nest and there is one thread: this is set only for the time of a call. */
static struct root *deriving;

static int lend_work(uint8_t **memory, size_t size)
{
	if (size > deriving->work_bytes)
		return ARGON2_MEMORY_ALLOCATION_ERROR;
	*memory = deriving->work;
	return ARGON2_OK;
}

static void return_work(uint8_t *memory, size_t size)
{
	secret_wipe(memory, size);
}

static int derive(struct root *root, const uint8_t *passphrase, size_t size, uint8_t key[CRYPTO_KEY_BYTES])
{
	argon2_context context = {
		.out = key,
		.outlen = CRYPTO_KEY_BYTES,
		.pwd = (uint8_t *)(size_t)passphrase,
		.pwdlen = (uint32_t)size,
		.salt = root->header.salt,
		.saltlen = ROOT_SALT_BYTES,
		.t_cost = root->header.cost.passes,
		.m_cost = root->header.cost.memory_kib,
		.lanes = root->header.cost.lanes,
		.threads = 1, /* the lanes one after the other: the result is the same, and the vault has no threads */
		.version = ARGON2_VERSION_13,
		.allocate_cbk = lend_work,
		.free_cbk = return_work,
	};
	int rc;

	deriving = root;
	rc = argon2id_ctx(&context);
	deriving = NULL;
	if (rc != ARGON2_OK)
		log_error("Argon2id failed: %s", argon2_error_message(rc));
	return rc == ARGON2_OK ? 0 : -EIO;
}

static int derive_check(const struct root *root, const uint8_t key[CRYPTO_KEY_BYTES], uint8_t check[ROOT_CHECK_BYTES])
{
	return crypto_hkdf(key, CRYPTO_KEY_BYTES, root->header.salt, ROOT_SALT_BYTES, "outboard root check v1", check,
			   ROOT_CHECK_BYTES);
}

static enum vault_error write_header(struct root *root)
{
	uint8_t bytes[ROOT_HEADER_BYTES];
	ssize_t written;

	if (root_header_encode(&root->header, bytes) != 0)
		return VAULT_INTERNAL;
	written = pwrite(root->header_fd, bytes, sizeof(bytes), 0);
	if (written == (ssize_t)sizeof(bytes) && fdatasync(root->header_fd) == 0)
		return VAULT_OK;
	log_error("cannot write the header of the passphrase root (vault.root): %s", written < 0 ? strerror(errno) : "disk full");
	/* Nobody has a key under this root yet: the next try starts from an empty file again. */
	if (ftruncate(root->header_fd, 0) != 0)
		log_error("and cannot empty it either: empty it by hand");
	return VAULT_ROOT_UNWRITABLE;
}

static enum vault_error first_passphrase(struct root *root, const uint8_t *passphrase, size_t size, uint8_t key[CRYPTO_KEY_BYTES])
{
	enum vault_error error;

	if (crypto_random(root->header.salt, ROOT_SALT_BYTES) != 0 || derive(root, passphrase, size, key) != 0 ||
	    derive_check(root, key, root->header.check) != 0)
		return VAULT_INTERNAL;
	error = write_header(root);
	if (error == VAULT_OK)
		log_warning("a new passphrase root was set up: keep a copy of vault.root, without it the passphrase opens nothing");
	return error;
}

static enum vault_error check_passphrase(struct root *root, const uint8_t *passphrase, size_t size, uint8_t key[CRYPTO_KEY_BYTES])
{
	uint8_t check[ROOT_CHECK_BYTES];
	enum vault_error error = VAULT_OK;

	if (derive(root, passphrase, size, key) != 0 || derive_check(root, key, check) != 0)
		return VAULT_INTERNAL;
	if (CRYPTO_memcmp(check, root->header.check, sizeof(check)) != 0)
		error = VAULT_WRONG_PASSPHRASE;
	secret_wipe(check, sizeof(check));
	return error;
}

/* A wrong passphrase costs an attempt; one comes back each interval. */
static bool may_attempt(struct root *root, uint64_t now_ns)
{
	uint64_t back = (now_ns - root->attempts_from_ns) / interval_ns;

	if (root->attempts == ROOT_ATTEMPTS_MAX || back > ROOT_ATTEMPTS_MAX - root->attempts) {
		root->attempts = ROOT_ATTEMPTS_MAX;
		root->attempts_from_ns = now_ns;
	} else {
		root->attempts += (unsigned)back;
		root->attempts_from_ns += back * interval_ns;
	}
	return root->attempts > 0;
}

enum vault_error root_unlock(struct root *root, const uint8_t *passphrase, size_t size, uint64_t now_ns)
{
	uint8_t key[CRYPTO_KEY_BYTES];
	enum vault_error error;

	if (root->state == ROOT_UNLOCKED)
		return VAULT_OK;
	if (root->state == ROOT_DAMAGED)
		return VAULT_ROOT_DAMAGED;
	if (size == 0 || size > VAULT_PASSPHRASE_MAX_BYTES)
		return VAULT_BAD_REQUEST;
	if (!may_attempt(root, now_ns))
		return VAULT_TOO_MANY_ATTEMPTS;
	assert(root->work != NULL);
	if (root->state == ROOT_NEW)
		error = first_passphrase(root, passphrase, size, key);
	else
		error = check_passphrase(root, passphrase, size, key);
	if (error == VAULT_WRONG_PASSPHRASE)
		root->attempts--;
	if (error == VAULT_OK && root_key_set(root, key) != 0)
		error = VAULT_INTERNAL;
	secret_wipe(key, sizeof(key));
	if (root->state == ROOT_UNLOCKED) {
		secret_free(root->work, root->work_bytes);
		root->work = NULL;
	}
	return error;
}
