#include "rig.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "vault/arena.h"
#include "vault/self_test.h"
#include "vault/wrap.h"

enum { SIZE = 1 << 16, SLOTS = 200 };

struct slot {
	uint8_t *memory;
	size_t size;
	uint8_t fill;
};

static void check_slot(const struct slot *slot)
{
	for (size_t i = 0; i < slot->size; i++)
		assert_int_equal(slot->memory[i], slot->fill);
}

static void refill(struct slot *slot, uint8_t *memory, size_t size)
{
	*slot = (struct slot){.memory = memory, .size = size, .fill = (uint8_t)rand()};
	assert_int_equal((uintptr_t)memory % 16, 0);
	memset(memory, slot->fill, size);
}

/* Against a model: what was written stays until it is freed, nothing overlaps, and in the end all room is one piece again. */
static void test_random_against_model(void **state)
{
	uint8_t *memory = aligned_alloc(16, SIZE);
	struct slot slots[SLOTS] = {0};
	struct arena arena;

	(void)state;
	srand(20240612);
	arena_init(&arena, memory, SIZE);
	for (int step = 0; step < 60000; step++) {
		struct slot *slot = &slots[rand() % SLOTS];
		size_t size = (size_t)rand() % 700 + 1;
		uint8_t *fresh;

		if (slot->memory != NULL)
			check_slot(slot);
		if (slot->memory != NULL && rand() % 3 != 0) {
			arena_free(&arena, slot->memory);
			*slot = (struct slot){0};
			continue;
		}
		fresh = arena_realloc(&arena, slot->memory, size);
		if (fresh == NULL)
			continue; /* full: the old one still stands */
		for (size_t i = 0; slot->memory != NULL && i < (size < slot->size ? size : slot->size); i++)
			assert_int_equal(fresh[i], slot->fill);
		assert_true(fresh >= memory && fresh + size <= memory + SIZE);
		refill(slot, fresh, size);
	}
	for (int i = 0; i < SLOTS; i++)
		arena_free(&arena, slots[i].memory);
	assert_int_equal(arena.used_bytes, 0);
	assert_non_null(arena_alloc(&arena, SIZE - 32)); /* all of it but two headers */
	free(memory);
}

static void test_freed_is_wiped(void **state)
{
	uint8_t *memory = aligned_alloc(16, SIZE), *secret;
	struct arena arena;

	(void)state;
	memset(memory, 0, SIZE);
	arena_init(&arena, memory, SIZE);
	secret = arena_alloc(&arena, 1000);
	memset(secret, 0xa5, 1000);
	secret = arena_realloc(&arena, secret, 2000); /* moves */
	assert_int_equal(secret[999], 0xa5);
	arena_free(&arena, secret);
	assert_null(memmem(memory, SIZE, "\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5", 8)); /* one alone may be part of a list's pointer */
	free(memory);
}

static void test_edges(void **state)
{
	uint8_t *memory = aligned_alloc(16, SIZE);
	struct arena arena;
	void *all;

	(void)state;
	arena_init(&arena, memory, SIZE);
	assert_null(arena_alloc(&arena, 0));
	assert_null(arena_alloc(&arena, SIZE));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_free(&arena, NULL);
	all = arena_alloc(&arena, SIZE - 32);
	assert_non_null(all);
	assert_null(arena_alloc(&arena, 1));
	assert_null(arena_realloc(&arena, all, SIZE));
	assert_ptr_equal(arena_realloc(&arena, all, 10), all);
	assert_null(arena_realloc(&arena, all, 0)); /* frees */
	assert_int_equal(arena.used_bytes, 0);
	free(memory);
}

/* ---- libcrypto on an arena: it fits, and it does not leak ---- */
enum { LIBCRYPTO_BYTES = 2 << 20 }; /* as in main.c of the vault */

static struct arena libcrypto_arena;

static void *hook_alloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return arena_alloc(&libcrypto_arena, size);
}

static void *hook_realloc(void *pointer, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return arena_realloc(&libcrypto_arena, pointer, size);
}

static void hook_free(void *pointer, const char *file, int line)
{
	(void)file, (void)line;
	arena_free(&libcrypto_arena, pointer);
}

static void every_operation(void)
{
	uint8_t key[64], sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_dek_ref ref;
	size_t size;

	rig_golden_ref(&ref);
	assert_int_equal(self_test(), 0);
	assert_int_equal(unwrap_dek(golden_kek, &ref, key), 0);
	assert_int_equal(unwrap_dek(golden_root, &ref, key), -EBADMSG); /* libcrypto keeps a queue of errors */
	assert_int_equal(vault_seal(golden_recipient, key, 64, sealed, &size), 0);
	assert_int_equal(vault_open_sealed(golden_recipient_private, sealed, size, key, &size), 0);
	assert_int_equal(vault_open_sealed(golden_recipient, sealed, size, key, &size), -EBADMSG);
}

static void test_libcrypto_fits_and_does_not_leak(void **state)
{
	size_t settled_bytes;

	(void)state;
	for (int i = 0; i < 50; i++)
		every_operation();
	settled_bytes = libcrypto_arena.used_bytes;
	assert_in_range(settled_bytes, 1, LIBCRYPTO_BYTES / 2);
	for (int i = 0; i < 500; i++)
		every_operation();
	assert_int_equal(libcrypto_arena.used_bytes, settled_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_freed_is_wiped),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_libcrypto_fits_and_does_not_leak),
	};

	arena_init(&libcrypto_arena, aligned_alloc(16, LIBCRYPTO_BYTES), LIBCRYPTO_BYTES);
	if (CRYPTO_set_mem_functions(hook_alloc, hook_realloc, hook_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
