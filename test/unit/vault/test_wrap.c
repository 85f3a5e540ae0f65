#include "rig.h"

#include <errno.h>
#include <string.h>

#include "vault/wrap.h"

static struct vault_blob blob_of(const uint8_t *bytes, size_t size)
{
	struct vault_blob blob = {.size = (uint16_t)size};

	memcpy(blob.bytes, bytes, size);
	return blob;
}

static void test_golden(void **state)
{
	struct vault_dek_ref ref;
	uint8_t kek[WRAP_KEK_BYTES], dek[VAULT_KEY_BYTES];

	(void)state;
	rig_golden_ref(&ref);
	assert_int_equal(sizeof(golden_wrapped_kek), WRAP_KEK_BLOB_BYTES);
	assert_int_equal(sizeof(golden_wrapped_dek), WRAP_DEK_BLOB_BYTES);
	assert_int_equal(unwrap_kek(golden_wrapping_key, &ref.kek, ref.kek_version, &ref.wrapped_kek, kek), 0);
	assert_memory_equal(kek, golden_kek, sizeof(kek));
	assert_int_equal(unwrap_dek(kek, &ref, dek), 0);
	assert_memory_equal(dek, golden_dek, sizeof(dek));
}

static void test_round_trip_and_fresh_nonces(void **state)
{
	struct vault_dek_ref ref;
	struct vault_blob one, two;
	uint8_t dek[VAULT_KEY_BYTES], kek[WRAP_KEK_BYTES];

	(void)state;
	rig_golden_ref(&ref);
	assert_int_equal(wrap_kek(golden_root, &ref.kek, 9, golden_kek, &one), 0);
	assert_int_equal(wrap_kek(golden_root, &ref.kek, 9, golden_kek, &two), 0);
	assert_memory_not_equal(one.bytes + 4, two.bytes + 4, 12);
	assert_int_equal(unwrap_kek(golden_root, &ref.kek, 9, &two, kek), 0);
	assert_memory_equal(kek, golden_kek, sizeof(kek));
	assert_int_equal(wrap_dek(golden_kek, &ref, golden_dek, &ref.wrapped_dek), 0);
	assert_int_equal(unwrap_dek(golden_kek, &ref, dek), 0);
	assert_memory_equal(dek, golden_dek, sizeof(dek));
}

static void test_every_bit_counts(void **state)
{
	struct vault_dek_ref ref;
	struct vault_blob blob;
	uint8_t plain[VAULT_KEY_BYTES];

	(void)state;
	rig_golden_ref(&ref);
	for (size_t bit = 0; bit < 8 * sizeof(golden_wrapped_kek); bit++) {
		blob = blob_of(golden_wrapped_kek, sizeof(golden_wrapped_kek));
		blob.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(unwrap_kek(golden_wrapping_key, &ref.kek, ref.kek_version, &blob, plain), -EBADMSG);
	}
	for (size_t bit = 0; bit < 8 * sizeof(golden_wrapped_dek); bit++) {
		ref.wrapped_dek = blob_of(golden_wrapped_dek, sizeof(golden_wrapped_dek));
		ref.wrapped_dek.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	}
}

static void test_every_size_but_one_is_refused(void **state)
{
	struct vault_dek_ref ref;
	uint8_t plain[VAULT_KEY_BYTES];

	(void)state;
	rig_golden_ref(&ref);
	for (uint16_t size = 0; size <= VAULT_WRAPPED_MAX_BYTES; size++) {
		ref.wrapped_kek.size = ref.wrapped_dek.size = size;
		if (size != WRAP_KEK_BLOB_BYTES)
			assert_int_equal(unwrap_kek(golden_wrapping_key, &ref.kek, ref.kek_version, &ref.wrapped_kek, plain),
					 -EBADMSG);
		if (size != WRAP_DEK_BLOB_BYTES)
			assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	}
}

/* A key moved to another volume, another version, or said to be under another KEK; or really under another. */
static void test_bound_to_its_place(void **state)
{
	struct vault_dek_ref good, ref;
	uint8_t plain[VAULT_KEY_BYTES], other[32];

	(void)state;
	rig_golden_ref(&good);
	memcpy(other, golden_kek, sizeof(other));
	other[31] ^= 1;
	ref = good;
	ref.volume.bytes[0] ^= 1;
	assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	ref = good;
	ref.version++;
	assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	ref = good;
	ref.kek.bytes[15] ^= 1;
	assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	ref = good;
	ref.kek_version--;
	assert_int_equal(unwrap_dek(golden_kek, &ref, plain), -EBADMSG);
	assert_int_equal(unwrap_dek(other, &good, plain), -EBADMSG);
	ref = good;
	ref.kek.bytes[0] ^= 1;
	assert_int_equal(unwrap_kek(golden_wrapping_key, &ref.kek, ref.kek_version, &ref.wrapped_kek, plain), -EBADMSG);
	assert_int_equal(unwrap_kek(golden_wrapping_key, &good.kek, good.kek_version + 1, &ref.wrapped_kek, plain), -EBADMSG);
	assert_int_equal(unwrap_kek(golden_root, &good.kek, good.kek_version, &ref.wrapped_kek, plain), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_round_trip_and_fresh_nonces),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_every_size_but_one_is_refused),
		cmocka_unit_test(test_bound_to_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
