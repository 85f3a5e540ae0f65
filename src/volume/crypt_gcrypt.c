/*
 * AES-256-XTS by libgcrypt, which knows VAES since 1.10.
 *
 * Theory of operation. Libgcrypt takes an allocator for secure memory, process-wide and before its first use; ours is the secret
 * heap, so that the expanded key of a handle opened with GCRY_CIPHER_SECURE lives there. A process in which something else
 * initialised libgcrypt first does not get this kernel (nor does FIPS mode, which refuses foreign allocators).
 *
 * A handle changes with every unit (its tweak), so a key belongs to one thread at a time, as the volume that owns it does.
 */
#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/secret_heap.h"
#include "volume/crypt_unit.h"

struct crypt_key {
	gcry_cipher_hd_t handle;
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ready;

static int memory_is_secret(const void *memory)
{
	return secret_heap_owns(memory);
}

static void memory_free(void *memory)
{
	if (secret_heap_owns(memory))
		secret_heap_free(memory);
	else
		free(memory);
}

static void *memory_realloc(void *memory, size_t size)
{
	size_t old_size;
	void *moved;

	if (!secret_heap_owns(memory))
		return realloc(memory, size);
	moved = secret_heap_alloc(size);
	if (moved == NULL)
		return NULL;
	old_size = secret_heap_size(memory);
	memcpy(moved, memory, old_size < size ? old_size : size);
	secret_heap_free(memory);
	return moved;
}

static void library_setup(void)
{
	if (gcry_control(GCRYCTL_ANY_INITIALIZATION_P))
		return;
	gcry_set_allocation_handler(malloc, secret_heap_alloc, memory_is_secret, memory_realloc, memory_free);
	if (gcry_check_version(GCRYPT_VERSION) == NULL)
		return;
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	library_ready = !gcry_fips_mode_active() && gcry_cipher_test_algo(GCRY_CIPHER_AES256) == 0;
}

static bool gcrypt_available(void)
{
	pthread_once(&library_once, library_setup);
	return library_ready;
}

static void gcrypt_key_free(struct crypt_key *key)
{
	if (key == NULL)
		return;
	gcry_cipher_close(key->handle);
	free(key);
}

static int gcrypt_key_create(struct crypt_key **out, const uint8_t raw[CRYPT_KEY_BYTES])
{
	struct crypt_key *key;

	if (crypt_key_halves_equal(raw))
		return -EINVAL;
	if (!gcrypt_available())
		return -EPERM;
	key = calloc(1, sizeof(*key));
	if (key == NULL)
		return -ENOMEM;
	if (gcry_cipher_open(&key->handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_XTS, GCRY_CIPHER_SECURE) != 0)
		goto free_key;
	if (gcry_cipher_setkey(key->handle, raw, CRYPT_KEY_BYTES) != 0)
		goto free_key;
	*out = key;
	return 0;
free_key:
	gcrypt_key_free(key);
	return -ENOMEM;
}

void crypt_gcrypt_unit(const struct crypt_key *key, enum crypt_direction direction, const uint8_t tweak[CRYPT_BLOCK_BYTES],
		       const uint8_t *in, uint8_t *out, size_t bytes)
{
	gcry_error_t error = gcry_cipher_setiv(key->handle, tweak, CRYPT_BLOCK_BYTES);

	if (error == 0 && direction == CRYPT_ENCRYPT)
		error = gcry_cipher_encrypt(key->handle, out, bytes, in, bytes);
	else if (error == 0)
		error = gcry_cipher_decrypt(key->handle, out, bytes, in, bytes);
	/* Cannot fail on a handle that has its key, for whole blocks. If it did, going on would hand out plaintext or stale
	 * bytes as if they were the data. */
	if (error != 0)
		abort();
}

static void gcrypt_encrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			   size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	crypt_runs(crypt_gcrypt_unit, key, CRYPT_ENCRYPT, unit_bytes, &run, 1);
}

static void gcrypt_encrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	crypt_runs(crypt_gcrypt_unit, key, CRYPT_ENCRYPT, unit_bytes, runs, count);
}

static void gcrypt_decrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			   size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	crypt_runs(crypt_gcrypt_unit, key, CRYPT_DECRYPT, unit_bytes, &run, 1);
}

static void gcrypt_decrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	crypt_runs(crypt_gcrypt_unit, key, CRYPT_DECRYPT, unit_bytes, runs, count);
}

const struct crypt_kernel crypt_kernel_gcrypt = {
	.name = "libgcrypt",
	.available = gcrypt_available,
	.key_create = gcrypt_key_create,
	.key_free = gcrypt_key_free,
	.encrypt = gcrypt_encrypt,
	.decrypt = gcrypt_decrypt,
	.encrypt_runs = gcrypt_encrypt_runs,
	.decrypt_runs = gcrypt_decrypt_runs,
};
