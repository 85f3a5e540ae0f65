/*
 * Where keys are: after a key was made and used, its bytes are nowhere in this process but in the secret heap; after it was freed,
 * nowhere at all. The test itself keeps the key masked, and compares under the mask.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/secret_heap.h"
#include "kernels.h"

/* It maps terabytes of shadow writable, too much to search, and makes mlock() do nothing. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif !defined(ADDRESS_SANITIZER)
#define ADDRESS_SANITIZER 0
#endif

enum { MASK = 0x5a, NEEDLE_BYTES = 16 };

static uint8_t masked[CRYPT_KEY_BYTES];
static uint8_t *raw; /* in secret memory, wiped before each search */

static bool is_needle(const uint8_t *at, const uint8_t *masked_needle)
{
	for (size_t i = 0; i < NEEDLE_BYTES; i++) {
		if ((at[i] ^ MASK) != masked_needle[i])
			return false;
	}
	return true;
}

static unsigned search_range(const uint8_t *start, const uint8_t *end)
{
	unsigned found = 0;

	for (const uint8_t *at = start; at + NEEDLE_BYTES <= end; at++)
		found += is_needle(at, masked) || is_needle(at, masked + CRYPT_KEY_HALF_BYTES);
	return found;
}

/* In everything writable of this process; *in_heap: those inside the secret heap. Returns those elsewhere. */
static unsigned search(unsigned *in_heap)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	unsigned elsewhere = 0;
	char mode[8], line[512];

	*in_heap = 0;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		assert_int_equal(sscanf(line, "%lx-%lx %7s", &start, &end, mode), 3);
		if (strncmp(mode, "rw", 2) != 0)
			continue;
		for (uintptr_t page = start; page < end; page += 4096) {
			unsigned found = search_range((const uint8_t *)page, (const uint8_t *)page + 4096);

			if (found > 0 && secret_heap_owns((const void *)page))
				*in_heap += found;
			else
				elsewhere += found;
		}
	}
	fclose(maps);
	return elsewhere;
}

static void test_only_in_the_secret_heap(void **state)
{
	static uint8_t data[8192];
	unsigned in_heap;

	(void)state;
	if (ADDRESS_SANITIZER)
		skip();
	for (size_t i = 0; i < KERNELS; i++) {
		struct crypt_key *key;

		if (!kernel_here(&kernels[i]))
			continue;
		for (size_t n = 0; n < CRYPT_KEY_BYTES; n++)
			raw[n] = masked[n] ^ MASK;
		assert_int_equal(kernels[i].kernel->key_create(&key, raw), 0);
		secret_wipe(raw, CRYPT_KEY_BYTES);
		kernels[i].kernel->encrypt(key, 7, 512, data, data, sizeof(data));
		kernels[i].kernel->decrypt(key, 7, 4096, data, data, sizeof(data));
		assert_int_equal(search(&in_heap), 0);
		assert_in_range(in_heap, 2, 100); /* an expanded key begins with the key: this search can find */
		kernels[i].kernel->key_free(key);
		assert_int_equal(search(&in_heap), 0);
		assert_int_equal(in_heap, 0);
	}
	assert_int_equal(secret_heap_pages_bytes(), 0);
}

static void test_many_keys_in_few_pages(void **state)
{
	enum { KEYS = 1000 };
	static struct crypt_key *keys[KEYS];

	(void)state;
	for (size_t i = 0; i < KERNELS; i++) {
		if (!kernel_here(&kernels[i]))
			continue;
		for (size_t n = 0; n < KEYS; n++) {
			uint8_t key[CRYPT_KEY_BYTES] = {(uint8_t)n, (uint8_t)(n >> 8)};

			key[CRYPT_KEY_BYTES - 1] = 1;
			assert_int_equal(kernels[i].kernel->key_create(&keys[n], key), 0);
		}
		assert_in_range(secret_heap_pages_bytes(), 1, (size_t)KEYS * 4096 - 1);
		for (size_t n = 0; n < KEYS; n++)
			kernels[i].kernel->key_free(keys[n]);
		assert_int_equal(secret_heap_pages_bytes(), 0);
	}
}

/* No memory can be locked: no key, rather than a key in ordinary memory. */
static void test_no_locked_memory_no_key(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (ADDRESS_SANITIZER)
		skip();
	for (size_t i = 0; i < KERNELS; i++) {
		if (!kernel_here(&kernels[i]))
			continue;
		child = fork();
		if (child == 0) {
			struct rlimit none = {0, 0};
			uint8_t key[CRYPT_KEY_BYTES] = {1};
			struct crypt_key *out;

			if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
				_exit(2);
			_exit(kernels[i].kernel->key_create(&out, key) == -ENOMEM ? 0 : 1);
		}
		assert_true(child > 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static int group_setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < CRYPT_KEY_BYTES; i++)
		masked[i] = (uint8_t)(i * 37 + 11);
	raw = secret_alloc(CRYPT_KEY_BYTES);
	for (size_t i = 0; i < KERNELS; i++)
		kernel_here(&kernels[i]); /* libraries set up: allocators in place */
	return raw == NULL ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	secret_free(raw, CRYPT_KEY_BYTES);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_in_the_secret_heap),
		cmocka_unit_test(test_many_keys_in_few_pages),
		cmocka_unit_test(test_no_locked_memory_no_key),
	};

	return cmocka_run_group_tests_name("crypt secrecy", tests, group_setup, group_teardown);
}
