/* libcrypto's hooks carry no context, so here is the one piece of global state of the vault. */
#include "vault/arena.h"

#include <errno.h>
#include <openssl/crypto.h>

#include "base/secret.h"

static struct arena arena;

static void *hook_alloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return arena_alloc(&arena, size);
}

static void *hook_realloc(void *pointer, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return arena_realloc(&arena, pointer, size);
}

static void hook_free(void *pointer, const char *file, int line)
{
	(void)file, (void)line;
	arena_free(&arena, pointer);
}

int arena_serve_libcrypto(size_t size)
{
	void *memory = secret_alloc(size);

	if (memory == NULL)
		return -errno;
	arena_init(&arena, memory, size);
	if (CRYPTO_set_mem_functions(hook_alloc, hook_realloc, hook_free) != 1) { /* libcrypto has allocated already */
		secret_free(memory, size);
		return -EBUSY;
	}
	/* No openssl.cnf: it could load a provider or an engine into the vault. */
	return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -EIO;
}
