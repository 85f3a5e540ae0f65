/* Published vectors: NIST's XTSVS (files of python3-cryptography-vectors) and IEEE 1619-2007, annex B. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum { LINE_MAX_BYTES = 4096, TEXT_MAX_BYTES = 512 };

struct vector {
	enum crypt_direction direction;
	unsigned bits;
	uint8_t key[CRYPT_KEY_BYTES];
	uint8_t tweak[CRYPT_BLOCK_BYTES];
	uint64_t unit_number;
	bool has_unit_number;
	uint8_t plain[TEXT_MAX_BYTES];
	uint8_t cipher[TEXT_MAX_BYTES];
};

static size_t from_hex(uint8_t *out, size_t size, const char *hex)
{
	size_t bytes = 0;
	unsigned byte;

	while (sscanf(hex + 2 * bytes, "%2x", &byte) == 1) {
		assert_true(bytes < size);
		out[bytes++] = (uint8_t)byte;
	}
	return bytes;
}

static void check_text(const struct kernel_under_test *k, const uint8_t key[CRYPT_KEY_BYTES], const struct vector *v, size_t bytes)
{
	uint8_t text[TEXT_MAX_BYTES];
	struct crypt_key *expanded;

	assert_int_equal(k->kernel->key_create(&expanded, key), 0);
	if (v->direction == CRYPT_ENCRYPT) {
		k->unit(expanded, CRYPT_ENCRYPT, v->tweak, v->plain, text, bytes);
		assert_memory_equal(text, v->cipher, bytes);
	} else {
		k->unit(expanded, CRYPT_DECRYPT, v->tweak, v->cipher, text, bytes);
		assert_memory_equal(text, v->plain, bytes);
	}
	if (v->has_unit_number && v->direction == CRYPT_ENCRYPT) {
		k->kernel->encrypt(expanded, v->unit_number, (uint32_t)bytes, v->plain, text, bytes);
		assert_memory_equal(text, v->cipher, bytes);
	} else if (v->has_unit_number) {
		k->kernel->decrypt(expanded, v->unit_number, (uint32_t)bytes, v->cipher, text, bytes);
		assert_memory_equal(text, v->plain, bytes);
	}
	k->kernel->key_free(expanded);
}

/* One `name = value` of an .rsp file; true when it ends a vector. */
static bool vector_take(struct vector *v, const char *name, const char *value)
{
	if (strcmp(name, "DataUnitLen") == 0)
		v->bits = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(name, "Key") == 0)
		assert_int_equal(from_hex(v->key, sizeof(v->key), value), CRYPT_KEY_BYTES);
	else if (strcmp(name, "i") == 0)
		assert_int_equal(from_hex(v->tweak, sizeof(v->tweak), value), CRYPT_BLOCK_BYTES);
	else if (strcmp(name, "DataUnitSeqNumber") == 0) {
		v->unit_number = strtoull(value, NULL, 10);
		v->has_unit_number = true;
		crypt_tweak_of_unit(v->tweak, v->unit_number);
	} else if (strcmp(name, "PT") == 0) {
		from_hex(v->plain, sizeof(v->plain), value);
		return v->direction == CRYPT_DECRYPT;
	} else if (strcmp(name, "CT") == 0) {
		from_hex(v->cipher, sizeof(v->cipher), value);
		return v->direction == CRYPT_ENCRYPT;
	}
	return false;
}

static unsigned check_file(const struct kernel_under_test *k, const char *folder)
{
	char path[LINE_MAX_BYTES], line[LINE_MAX_BYTES], name[64], value[LINE_MAX_BYTES];
	struct vector v = {0};
	unsigned checked = 0;
	FILE *file;

	assert_non_null(getenv("NIST_XTS"));
	snprintf(path, sizeof(path), "%s/%s/XTSGenAES256.rsp", getenv("NIST_XTS"), folder);
	file = fopen(path, "r");
	if (file == NULL)
		fail_msg("%s: not there; scripts/deps installs it", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "[ENCRYPT]", 9) == 0)
			v.direction = CRYPT_ENCRYPT;
		else if (strncmp(line, "[DECRYPT]", 9) == 0)
			v.direction = CRYPT_DECRYPT;
		else if (sscanf(line, "%63s = %4095s", name, value) == 2 && vector_take(&v, name, value) && v.bits % 128 == 0) {
			check_text(k, v.key, &v, v.bits / 8);
			checked++;
		}
	}
	fclose(file);
	return checked;
}

/* 200 of 256 bits and 400 of 384 in both directions together; those that need ciphertext stealing are not for whole blocks. */
static void test_nist(void **state)
{
	(void)state;
	for (size_t i = 0; i < KERNELS; i++) {
		if (!kernel_here(&kernels[i]))
			continue;
		assert_int_equal(check_file(&kernels[i], "tweak-dataunitseqno"), 600);
		assert_int_equal(check_file(&kernels[i], "tweak-128hexstr"), 600);
	}
}

static const char ieee_key[] = "2718281828459045235360287471352662497757247093699959574966967627"
			       "3141592653589793238462643383279502884197169399375105820974944592";

static const struct {
	uint64_t unit_number;
	const char *cipher;
} ieee[] = {
	/* vector 10 */
	{0xff, "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9ac683f44"
	       "680a86ac35adfc3345befecb4bb188fd5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0"
	       "c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca2a3e7a7d7df7b10355165c8b9a6d0a7d"
	       "e8b062c4500dc4cd120c0f7418dae3d0b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f"
	       "93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec583e9645e07b8d9670655ba5bbcfecc6"
	       "dc3966380ad8fecb17b6ba02469a020a84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1"
	       "505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae9be69a2ffeceb1bec9de244fbe15992b"
	       "11b77c040f12bd8f6a975a44a0f90c29a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac"
	       "6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f645e8b7e9bfdef33943054ff84011493"
	       "c27b3429eaedb4ed5376441a77ed43851ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa"
	       "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151"},
	/* vector 14 */
	{0xffffffffff, "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed2350eae7e96087c8a0db51ad290bd00c1a"
		       "c1620857635bf246c176ab463be30b808da548081ac847b158e1264be25bb0910bbc92647108089415d45fab1b3d2604"
		       "e8a8eff1ae4020cfa39936b66827b23f371b92200be90251e6d73c5f86de5fd4a950781933d79a28272b782a2ec313ef"
		       "dfcc0628f43d744c2dc2ff3dcb66999b50c7ca895b0c64791eeaa5f29499fb1c026f84ce5b5c72ba1083cddb5ce45434"
		       "631665c333b60b11593fb253c5179a2c8db813782a004856a1653011e93fb6d876c18366dd8683f53412c0c180f9c848"
		       "592d593f8609ca736317d356e13e2bff3a9f59cd9aeb19cd482593d8c46128bb32423b37a9adfb482b99453fbe25a41b"
		       "f6feb4aa0bef5ed24bf73c762978025482c13115e4015aac992e5613a3b5c2f685b84795cb6e9b2656d8c88157e52c42"
		       "f978d8634c43d06fea928f2822e465aa6576e9bf419384506cc3ce3c54ac1a6f67dc66f3b30191e698380bc999b05abc"
		       "e19dc0c6dcc2dd001ec535ba18deb2df1a101023108318c75dc98611a09dc48a0acdec676fabdf222f07e026f059b672"
		       "b56e5cbc8e1d21bbd867dd927212054681d70ea737134cdfce93b6f82ae22423274e58a0821cc5502e2d0ab4585e94de"
		       "6975be5e0b4efce51cd3e70c25a1fbbbd609d273ad5b0d59631c531f6a0a57b9"},
};

static void test_ieee(void **state)
{
	uint8_t key[CRYPT_KEY_BYTES];

	(void)state;
	from_hex(key, sizeof(key), ieee_key);
	for (size_t n = 0; n < sizeof(ieee) / sizeof(ieee[0]); n++) {
		struct vector v = {.unit_number = ieee[n].unit_number, .has_unit_number = true};

		crypt_tweak_of_unit(v.tweak, v.unit_number);
		for (size_t i = 0; i < TEXT_MAX_BYTES; i++)
			v.plain[i] = (uint8_t)i;
		assert_int_equal(from_hex(v.cipher, sizeof(v.cipher), ieee[n].cipher), TEXT_MAX_BYTES);
		for (size_t i = 0; i < KERNELS; i++) {
			if (!kernel_here(&kernels[i]))
				continue;
			v.direction = CRYPT_ENCRYPT;
			check_text(&kernels[i], key, &v, TEXT_MAX_BYTES);
			v.direction = CRYPT_DECRYPT;
			check_text(&kernels[i], key, &v, TEXT_MAX_BYTES);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nist),
		cmocka_unit_test(test_ieee),
	};

	return cmocka_run_group_tests_name("crypt vectors", tests, NULL, NULL);
}
