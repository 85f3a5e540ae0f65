#include "rig.h"

#include <errno.h>
#include <string.h>

enum { OVERHEAD = 52, PLAIN_MAX = VAULT_SEALED_MAX_BYTES - OVERHEAD };

static void test_golden(void **state)
{
	uint8_t plain[VAULT_SEALED_MAX_BYTES];
	size_t size = 0;

	(void)state;
	assert_int_equal(vault_open_sealed(golden_recipient_private, golden_sealed_dek, sizeof(golden_sealed_dek), plain, &size),
			 0);
	assert_int_equal(size, sizeof(golden_dek));
	assert_memory_equal(plain, golden_dek, size);
}

static void test_round_trip(void **state)
{
	uint8_t private_key[32], public_key[32], plain[PLAIN_MAX], sealed[VAULT_SEALED_MAX_BYTES], back[VAULT_SEALED_MAX_BYTES];
	static const size_t sizes[] = {0, 1, 64, PLAIN_MAX};

	(void)state;
	memset(plain, 0x5a, sizeof(plain));
	assert_int_equal(vault_seal_keypair(private_key, public_key), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t sealed_size, size;

		assert_int_equal(vault_seal(public_key, plain, sizes[i], sealed, &sealed_size), 0);
		assert_int_equal(sealed_size, sizes[i] + OVERHEAD);
		assert_int_equal(vault_open_sealed(private_key, sealed, sealed_size, back, &size), 0);
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(back, plain, size);
	}
}

/* Twice the same is never the same: the sender's key is new each time. */
static void test_never_repeats(void **state)
{
	uint8_t one[VAULT_SEALED_MAX_BYTES], two[VAULT_SEALED_MAX_BYTES];
	size_t size;

	(void)state;
	assert_int_equal(vault_seal(golden_recipient, golden_dek, 64, one, &size), 0);
	assert_int_equal(vault_seal(golden_recipient, golden_dek, 64, two, &size), 0);
	assert_memory_not_equal(one + 4, two + 4, 32);
	assert_memory_not_equal(one + 36, two + 36, 64);
}

/* The top bit of E, which X25519 ignores (RFC 7748, 5), too: it is in the associated data. */
static void test_every_bit_counts(void **state)
{
	uint8_t sealed[sizeof(golden_sealed_dek)], plain[VAULT_SEALED_MAX_BYTES];
	size_t size;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		memcpy(sealed, golden_sealed_dek, sizeof(sealed));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(vault_open_sealed(golden_recipient_private, sealed, sizeof(sealed), plain, &size), -EBADMSG);
	}
}

static void test_bad_sizes_and_keys(void **state)
{
	uint8_t big[VAULT_SEALED_MAX_BYTES + 1] = {1}, plain[VAULT_SEALED_MAX_BYTES + 1] = {0}, zero[32] = {0};
	size_t size;

	(void)state;
	for (size_t cut = 0; cut < sizeof(golden_sealed_dek); cut++)
		assert_int_equal(vault_open_sealed(golden_recipient_private, golden_sealed_dek, cut, plain, &size), -EBADMSG);
	assert_int_equal(vault_open_sealed(golden_recipient_private, big, sizeof(big), plain, &size), -EBADMSG);
	assert_int_equal(vault_open_sealed(golden_kek, golden_sealed_dek, sizeof(golden_sealed_dek), plain, &size), -EBADMSG);
	assert_int_equal(vault_seal(golden_recipient, plain, PLAIN_MAX + 1, big, &size), -EMSGSIZE);
	assert_int_equal(vault_seal(zero, plain, 1, big, &size), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_never_repeats),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_bad_sizes_and_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
