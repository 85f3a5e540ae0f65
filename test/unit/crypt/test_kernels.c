/* Kernels against each other: random keys, unit numbers, sizes, alignments, in place, runs; against guard pages; bad keys. */
#include "../cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels.h"

enum { PAGE_BYTES = 4096, BUFFER_BYTES = 80 * 1024, RUNS_MAX = 9 };

static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t random_next(void) /* xorshift64* */
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static void random_fill(uint8_t *out, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(random_next() >> 56);
}

struct fixture {
	struct crypt_key *keys[KERNELS];
	uint8_t plain[BUFFER_BYTES], expected[BUFFER_BYTES], text[BUFFER_BYTES];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t raw[CRYPT_KEY_BYTES];

	if (f == NULL)
		return -1;
	random_fill(raw, sizeof(raw));
	random_fill(f->plain, sizeof(f->plain));
	for (size_t i = 0; i < KERNELS; i++) {
		if (kernel_here(&kernels[i]))
			assert_int_equal(kernels[i].kernel->key_create(&f->keys[i], raw), 0);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < KERNELS; i++) {
		if (kernel_here(&kernels[i]))
			kernels[i].kernel->key_free(f->keys[i]);
	}
	free(f);
	return 0;
}

/* Every kernel makes what OpenSSL makes of it, and undoes it, in place. `shift`: alignment of the kernels' buffers. */
static void check_agreement(struct fixture *f, uint64_t unit_number, uint32_t unit_bytes, size_t bytes, size_t shift)
{
	crypt_kernel_openssl.encrypt(f->keys[0], unit_number, unit_bytes, f->plain, f->expected, bytes);
	assert_memory_not_equal(f->expected, f->plain, bytes);
	for (size_t i = 0; i < KERNELS; i++) {
		const struct crypt_kernel *kernel = kernels[i].kernel;

		if (!kernel_here(&kernels[i]))
			continue;
		memset(f->text, 0x55, sizeof(f->text));
		kernel->encrypt(f->keys[i], unit_number, unit_bytes, f->plain, f->text + shift, bytes);
		assert_memory_equal(f->text + shift, f->expected, bytes);
		assert_int_equal(f->text[shift + bytes], 0x55);
		kernel->decrypt(f->keys[i], unit_number, unit_bytes, f->text + shift, f->text + shift, bytes);
		assert_memory_equal(f->text + shift, f->plain, bytes);
		kernel->encrypt(f->keys[i], unit_number, unit_bytes, f->text + shift, f->text + shift, bytes);
		assert_memory_equal(f->text + shift, f->expected, bytes);
	}
}

static void test_sizes(void **state)
{
	static const uint32_t unit_sizes_bytes[] = {16, 32, 48, 496, 512, 528, 1024, 1536, 2048, 4096, 8192, 65536};

	for (size_t i = 0; i < sizeof(unit_sizes_bytes) / sizeof(unit_sizes_bytes[0]); i++) {
		for (size_t units = 1; units <= 17 && units * unit_sizes_bytes[i] <= BUFFER_BYTES - PAGE_BYTES; units++)
			check_agreement(*state, random_next() % 1000, unit_sizes_bytes[i], units * unit_sizes_bytes[i], 0);
	}
}

static void test_every_whole_block_size(void **state)
{
	for (uint32_t bytes = CRYPT_BLOCK_BYTES; bytes <= 2 * PAGE_BYTES; bytes += CRYPT_BLOCK_BYTES)
		check_agreement(*state, bytes, bytes, bytes, 0);
}

static void test_unit_numbers(void **state)
{
	static const uint64_t numbers[] = {0,
					   1,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   0x100000000,
					   0x123456789abcdef,
					   INT64_MAX,
					   UINT64_C(1) << 63,
					   UINT64_MAX - 16,
					   UINT64_MAX - 1};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		check_agreement(*state, numbers[i], 512, 512, 0);
		check_agreement(*state, numbers[i], 4096, 4096, 0);
		check_agreement(*state, numbers[i], 4096, 8192, 0);
		if (numbers[i] <= UINT64_MAX - 16)
			check_agreement(*state, numbers[i], 512, 16 * 512, 0);
	}
}

static void test_alignments(void **state)
{
	for (size_t shift = 0; shift < 64; shift++) {
		check_agreement(*state, shift, 512, 2048, shift);
		check_agreement(*state, shift, 4096, 8192, shift);
	}
}

static void test_random_keys(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 100; n++) {
		uint8_t raw[CRYPT_KEY_BYTES];

		random_fill(raw, sizeof(raw));
		for (size_t i = 0; i < KERNELS; i++) {
			if (!kernel_here(&kernels[i]))
				continue;
			kernels[i].kernel->key_free(f->keys[i]);
			assert_int_equal(kernels[i].kernel->key_create(&f->keys[i], raw), 0);
		}
		check_agreement(f, random_next(), n % 2 ? 4096 : 512, 8192, n % 64);
	}
}

static void test_runs(void **state)
{
	static const uint32_t unit_sizes_bytes[] = {48, 512, 4096};
	struct fixture *f = *state;

	for (unsigned n = 0; n < 300; n++) {
		uint32_t unit_bytes = unit_sizes_bytes[n % 3];
		size_t count = 1 + random_next() % RUNS_MAX, offset = 0;
		struct crypt_run forth[RUNS_MAX], back[RUNS_MAX];

		for (size_t i = 0; i < count; i++) {
			size_t bytes = (1 + random_next() % 2) * unit_bytes;

			forth[i] = (struct crypt_run){random_next(), f->plain + offset, f->text + offset, bytes};
			back[i] = (struct crypt_run){forth[i].unit_number, f->text + offset, f->text + offset, bytes};
			crypt_kernel_openssl.encrypt(f->keys[0], forth[i].unit_number, unit_bytes, forth[i].in,
						     f->expected + offset, bytes);
			offset += bytes;
		}
		for (size_t i = 0; i < KERNELS; i++) {
			if (!kernel_here(&kernels[i]))
				continue;
			kernels[i].kernel->encrypt_runs(f->keys[i], unit_bytes, forth, count);
			assert_memory_equal(f->text, f->expected, offset);
			kernels[i].kernel->decrypt_runs(f->keys[i], unit_bytes, back, count);
			assert_memory_equal(f->text, f->plain, offset);
		}
	}
}

/* Nothing is read or written outside: pages before and after fault. */
static void test_guard_pages(void **state)
{
	struct fixture *f = *state;
	uint8_t *map = mmap(NULL, 8 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *in = map + PAGE_BYTES, *out = map + 5 * PAGE_BYTES;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(in, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(out, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	for (uint32_t bytes = CRYPT_BLOCK_BYTES; bytes <= 2 * PAGE_BYTES; bytes += CRYPT_BLOCK_BYTES) {
		for (size_t i = 0; i < KERNELS; i++) {
			if (!kernel_here(&kernels[i]))
				continue;
			kernels[i].kernel->encrypt(f->keys[i], 5, bytes, in, out, bytes);
			kernels[i].kernel->decrypt(f->keys[i], 5, bytes, in + 2 * PAGE_BYTES - bytes, out + 2 * PAGE_BYTES - bytes,
						   bytes);
		}
	}
	munmap(map, 8 * PAGE_BYTES);
}

static void test_equal_halves_are_refused(void **state)
{
	uint8_t raw[CRYPT_KEY_BYTES];
	struct crypt_key *key = NULL;

	(void)state;
	random_fill(raw, CRYPT_KEY_HALF_BYTES);
	memcpy(raw + CRYPT_KEY_HALF_BYTES, raw, CRYPT_KEY_HALF_BYTES);
	for (size_t i = 0; i < KERNELS; i++) {
		if (!kernel_here(&kernels[i]))
			continue;
		assert_int_equal(kernels[i].kernel->key_create(&key, raw), -EINVAL);
		assert_null(key);
		raw[CRYPT_KEY_BYTES - 1] ^= 1; /* one bit is enough to differ */
		assert_int_equal(kernels[i].kernel->key_create(&key, raw), 0);
		kernels[i].kernel->key_free(key);
		key = NULL;
		raw[CRYPT_KEY_BYTES - 1] ^= 1;
	}
}

static void test_freeing_no_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < KERNELS; i++) {
		if (kernel_here(&kernels[i]))
			kernels[i].kernel->key_free(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_whole_block_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unit_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alignments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guard_pages, setup, teardown),
		cmocka_unit_test(test_equal_halves_are_refused),
		cmocka_unit_test(test_freeing_no_key),
	};

	return cmocka_run_group_tests_name("crypt kernels", tests, NULL, NULL);
}
