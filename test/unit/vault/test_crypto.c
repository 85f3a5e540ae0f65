#include "rig.h"

#include <errno.h>
#include <string.h>

#include "gcm_vectors.h"
#include "vault/crypto.h"
#include "vault/self_test.h"

enum { MAX = 128 };

static void test_gcm_nist(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(gcm_vectors) / sizeof(gcm_vectors[0]); i++) {
		const struct gcm_vector *v = &gcm_vectors[i];
		uint8_t key[32], iv[12], plain[MAX], ad[MAX], expected[MAX], out[MAX], back[MAX];
		size_t size = rig_unhex(v->plain, plain, MAX - 16), ad_size = rig_unhex(v->ad, ad, MAX);

		assert_int_equal(rig_unhex(v->key, key, 32), 32);
		assert_int_equal(rig_unhex(v->iv, iv, 12), 12);
		assert_int_equal(rig_unhex(v->cipher, expected, MAX - 16), size);
		assert_int_equal(rig_unhex(v->tag, expected + size, 16), 16);
		assert_int_equal(crypto_gcm_encrypt(key, iv, ad, ad_size, plain, size, out), 0);
		assert_memory_equal(out, expected, size + 16);
		assert_int_equal(crypto_gcm_decrypt(key, iv, ad, ad_size, expected, size + 16, back), 0);
		assert_memory_equal(back, plain, size);
	}
}

/* What does not authenticate leaves no plaintext behind. */
static void test_gcm_refusal_wipes(void **state)
{
	uint8_t key[32] = {1}, nonce[12] = {2}, plain[32] = {3}, zero[32] = {0}, out[48], back[32];

	(void)state;
	assert_int_equal(crypto_gcm_encrypt(key, nonce, NULL, 0, plain, sizeof(plain), out), 0);
	out[47] ^= 0x80;
	memset(back, 0xff, sizeof(back));
	assert_int_equal(crypto_gcm_decrypt(key, nonce, NULL, 0, out, sizeof(out), back), -EBADMSG);
	assert_memory_equal(back, zero, sizeof(back));
}

static void test_hkdf_rfc5869(void **state)
{
	static const struct {
		const char *secret, *salt, *info, *out;
	} cases[] = {
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
		 "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
		 "38393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
		 "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f9091929394959697"
		 "98999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		 "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7"
		 "e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		 "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8"
		 "367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		 "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t secret[MAX], salt[MAX], expected[MAX], out[MAX];
		char info[MAX] = "";
		size_t secret_size = rig_unhex(cases[i].secret, secret, MAX), salt_size = rig_unhex(cases[i].salt, salt, MAX);
		size_t size = rig_unhex(cases[i].out, expected, MAX);

		rig_unhex(cases[i].info, (uint8_t *)info, MAX - 1);
		assert_int_equal(crypto_hkdf(secret, secret_size, salt, salt_size, info, out, size), 0);
		assert_memory_equal(out, expected, size);
	}
}

static void test_x25519_rfc7748(void **state)
{
	static const struct {
		const char *scalar, *u, *out;
	} cases[] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
		{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		 "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	};
	uint8_t scalar[32], u[32], expected[32], out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_unhex(cases[i].scalar, scalar, 32);
		rig_unhex(cases[i].u, u, 32);
		rig_unhex(cases[i].out, expected, 32);
		assert_int_equal(crypto_x25519_shared(scalar, u, out), 0);
		assert_memory_equal(out, expected, 32);
	}
	rig_unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", expected, 32);
	assert_int_equal(crypto_x25519_public(scalar, out), 0); /* Alice's, section 6.1 */
	assert_memory_equal(out, expected, 32);
}

/* Points of low order give a shared secret that everybody knows. */
static void test_x25519_low_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t scalar[32] = {9}, u[32], out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		rig_unhex(points[i], u, 32);
		assert_int_equal(crypto_x25519_shared(scalar, u, out), -EBADMSG);
	}
}

static void test_self_test_passes(void **state)
{
	(void)state;
	assert_int_equal(self_test(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcm_nist),	 cmocka_unit_test(test_gcm_refusal_wipes),
		cmocka_unit_test(test_hkdf_rfc5869),	 cmocka_unit_test(test_x25519_rfc7748),
		cmocka_unit_test(test_x25519_low_order), cmocka_unit_test(test_self_test_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
