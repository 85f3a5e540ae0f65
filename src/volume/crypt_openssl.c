/*
 * AES-256-XTS by OpenSSL: everywhere, with the crypto extensions of every processor it knows (the fast one on Arm).
 *
 * Theory of operation. OpenSSL allocates its expanded keys itself, with OPENSSL_zalloc(), and its secure heap does not cover
 * cipher contexts. The only door is CRYPTO_set_mem_functions(), which is process-wide and must be passed before OpenSSL's first
 * allocation. So it is passed before main() (the card opens sealed keys with OpenSSL before it opens its first volume): from then
 * on what OpenSSL allocates on a thread that is inside key_create() comes from the secret heap, and everything else from malloc()
 * as before. Should anything have been quicker, this kernel makes no keys (-EPERM) rather than keys in ordinary memory.
 *
 * A context changes with every unit (its tweak), so a key belongs to one thread at a time, as the volume that owns it does.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/secret_heap.h"
#include "volume/crypt_unit.h"

struct crypt_key {
	EVP_CIPHER_CTX *context[2]; /* by direction */
};

static bool memory_ready;
static _Thread_local bool memory_secret; /* this thread's allocations are key material */

static void *memory_alloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	if (memory_secret)
		return secret_heap_alloc(size);
	return malloc(size);
}

static void memory_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	if (secret_heap_owns(memory))
		secret_heap_free(memory);
	else
		free(memory);
}

static void *memory_realloc(void *memory, size_t size, const char *file, int line)
{
	bool owned = secret_heap_owns(memory);
	size_t old_size;
	void *moved;

	if (!owned && (memory != NULL || !memory_secret))
		return realloc(memory, size);
	moved = secret_heap_alloc(size); /* what was secret stays secret */
	if (moved == NULL || !owned)
		return moved;
	old_size = secret_heap_size(memory);
	memcpy(moved, memory, old_size < size ? old_size : size);
	memory_free(memory, file, line);
	return moved;
}

__attribute__((constructor)) static void memory_setup(void)
{
	memory_ready = CRYPTO_set_mem_functions(memory_alloc, memory_realloc, memory_free) == 1;
}

static bool openssl_available(void)
{
	return memory_ready;
}

static void openssl_key_free(struct crypt_key *key)
{
	if (key == NULL)
		return;
	EVP_CIPHER_CTX_free(key->context[CRYPT_ENCRYPT]);
	EVP_CIPHER_CTX_free(key->context[CRYPT_DECRYPT]);
	free(key);
}

static EVP_CIPHER_CTX *context_create(const EVP_CIPHER *cipher, enum crypt_direction direction, const uint8_t *key)
{
	EVP_CIPHER_CTX *context;

	memory_secret = true;
	context = EVP_CIPHER_CTX_new();
	if (context != NULL && EVP_CipherInit_ex2(context, cipher, key, NULL, direction == CRYPT_ENCRYPT, NULL) != 1) {
		EVP_CIPHER_CTX_free(context);
		context = NULL;
	}
	memory_secret = false;
	return context;
}

static int openssl_key_create(struct crypt_key **out, const uint8_t raw[CRYPT_KEY_BYTES])
{
	EVP_CIPHER *cipher = NULL;
	struct crypt_key *key;
	int rc = -ENOMEM;

	if (crypt_key_halves_equal(raw))
		return -EINVAL;
	if (!openssl_available())
		return -EPERM;
	key = calloc(1, sizeof(*key));
	if (key == NULL)
		return -ENOMEM;
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-XTS", NULL); /* holds no key, lives in ordinary memory */
	if (cipher == NULL)
		goto free_key;
	for (enum crypt_direction direction = CRYPT_ENCRYPT; direction <= CRYPT_DECRYPT; direction++) {
		key->context[direction] = context_create(cipher, direction, raw);
		if (key->context[direction] == NULL)
			goto free_key;
	}
	EVP_CIPHER_free(cipher);
	*out = key;
	return 0;
free_key:
	EVP_CIPHER_free(cipher);
	openssl_key_free(key);
	return rc;
}

void crypt_openssl_unit(const struct crypt_key *key, enum crypt_direction direction, const uint8_t tweak[CRYPT_BLOCK_BYTES],
			const uint8_t *in, uint8_t *out, size_t bytes)
{
	EVP_CIPHER_CTX *context = key->context[direction];
	int written = 0;

	/* Neither can fail on a context that has its key, for whole blocks below 2^20 of them. If one did, going on would hand
	 * out plaintext or stale bytes as if they were the data. */
	if (EVP_CipherInit_ex2(context, NULL, NULL, tweak, -1, NULL) != 1 ||
	    EVP_CipherUpdate(context, out, &written, in, (int)bytes) != 1 || (size_t)written != bytes)
		abort();
}

static void openssl_encrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			    size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	crypt_runs(crypt_openssl_unit, key, CRYPT_ENCRYPT, unit_bytes, &run, 1);
}

static void openssl_encrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	crypt_runs(crypt_openssl_unit, key, CRYPT_ENCRYPT, unit_bytes, runs, count);
}

static void openssl_decrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			    size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	crypt_runs(crypt_openssl_unit, key, CRYPT_DECRYPT, unit_bytes, &run, 1);
}

static void openssl_decrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	crypt_runs(crypt_openssl_unit, key, CRYPT_DECRYPT, unit_bytes, runs, count);
}

const struct crypt_kernel crypt_kernel_openssl = {
	.name = "openssl",
	.available = openssl_available,
	.key_create = openssl_key_create,
	.key_free = openssl_key_free,
	.encrypt = openssl_encrypt,
	.decrypt = openssl_decrypt,
	.encrypt_runs = openssl_encrypt_runs,
	.decrypt_runs = openssl_decrypt_runs,
};
