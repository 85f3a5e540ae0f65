/*
 * Which kernel encrypts: the first of the list that the machine has and that passes its test. The test is a NIST vector in both
 * directions, then agreement with OpenSSL over whole 512- and 4096-byte units, which reaches every loop of a wide kernel.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "volume/crypt_unit.h"

enum { AGREEMENT_BYTES = 8192 };

static const struct crypt_kernel *const candidates[] = {&crypt_kernel_vaes_avx512, &crypt_kernel_gcrypt, &crypt_kernel_openssl};

static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;
static const struct crypt_kernel *chosen;

/* XTSGenAES256.rsp of NIST's XTSVS, tweak as data unit sequence number, ENCRYPT, COUNT = 1. */
static const uint8_t vector_key[CRYPT_KEY_BYTES] = {
	0xef, 0x01, 0x0c, 0xa1, 0xa3, 0x66, 0x3e, 0x32, 0x53, 0x43, 0x49, 0xbc, 0x0b, 0xae, 0x62, 0x23,
	0x2a, 0x15, 0x73, 0x34, 0x85, 0x68, 0xfb, 0x9e, 0xf4, 0x17, 0x68, 0xa7, 0x67, 0x4f, 0x50, 0x7a,
	0x72, 0x7f, 0x98, 0x75, 0x53, 0x97, 0xd0, 0xe0, 0xaa, 0x32, 0xf8, 0x30, 0x33, 0x8c, 0xc7, 0xa9,
	0x26, 0xc7, 0x73, 0xf0, 0x9e, 0x57, 0xb3, 0x57, 0xcd, 0x15, 0x6a, 0xfb, 0xca, 0x46, 0xe1, 0xa0,
};
static const uint8_t vector_plain[32] = {
	0xed, 0x98, 0xe0, 0x17, 0x70, 0xa8, 0x53, 0xb4, 0x9d, 0xb9, 0xe6, 0xaa, 0xf8, 0x8f, 0x0a, 0x41,
	0xb9, 0xb5, 0x6e, 0x91, 0xa5, 0xa2, 0xb1, 0x1d, 0x40, 0x52, 0x92, 0x54, 0xf5, 0x52, 0x3e, 0x75,
};
static const uint8_t vector_cipher[32] = {
	0xca, 0x20, 0xc5, 0x5e, 0x8d, 0xc1, 0x49, 0x68, 0x7d, 0x25, 0x41, 0xde, 0x39, 0xc3, 0xdf, 0x63,
	0x00, 0xbb, 0x5a, 0x16, 0x3c, 0x10, 0xce, 0xd3, 0x66, 0x6b, 0x13, 0x57, 0xdb, 0x8b, 0xd3, 0x9d,
};
static const uint64_t vector_unit = 187;

static bool vector_passes(const struct crypt_kernel *kernel, const struct crypt_key *key)
{
	uint8_t text[sizeof(vector_plain)];

	kernel->encrypt(key, vector_unit, sizeof(text), vector_plain, text, sizeof(text));
	if (memcmp(text, vector_cipher, sizeof(text)) != 0)
		return false;
	kernel->decrypt(key, vector_unit, sizeof(text), text, text, sizeof(text));
	return memcmp(text, vector_plain, sizeof(text)) == 0;
}

static bool agrees(const struct crypt_kernel *kernel, const struct crypt_key *key, const struct crypt_key *openssl_key,
		   uint32_t unit_bytes)
{
	const uint64_t unit_number = UINT64_C(0x123456789a);
	uint8_t plain[AGREEMENT_BYTES], ours[AGREEMENT_BYTES], theirs[AGREEMENT_BYTES];

	for (size_t i = 0; i < AGREEMENT_BYTES; i++)
		plain[i] = (uint8_t)(i * 7 + i / 256);
	crypt_kernel_openssl.encrypt(openssl_key, unit_number, unit_bytes, plain, theirs, AGREEMENT_BYTES);
	kernel->encrypt(key, unit_number, unit_bytes, plain, ours, AGREEMENT_BYTES);
	if (memcmp(ours, theirs, AGREEMENT_BYTES) != 0)
		return false;
	kernel->decrypt(key, unit_number, unit_bytes, ours, ours, AGREEMENT_BYTES);
	return memcmp(ours, plain, AGREEMENT_BYTES) == 0;
}

static bool kernel_passes(const struct crypt_kernel *kernel)
{
	struct crypt_key *key = NULL, *openssl_key = NULL;
	bool passes = false;

	if (kernel->key_create(&key, vector_key) != 0)
		return false;
	if (crypt_kernel_openssl.key_create(&openssl_key, vector_key) == 0)
		passes = vector_passes(kernel, key) && agrees(kernel, key, openssl_key, 512) &&
			 agrees(kernel, key, openssl_key, 4096);
	crypt_kernel_openssl.key_free(openssl_key);
	kernel->key_free(key);
	return passes;
}

static bool kernel_usable(const struct crypt_kernel *kernel)
{
	if (!kernel->available())
		return false;
	if (kernel_passes(kernel))
		return true;
	log_error("AES-XTS: kernel %s fails its self-test on this machine and is not used", kernel->name);
	return false;
}

static void choose(void)
{
	const char *wanted = getenv("OUTBOARD_XTS_KERNEL");

	for (size_t i = 0; wanted != NULL && i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		if (strcmp(candidates[i]->name, wanted) == 0 && kernel_usable(candidates[i])) {
			chosen = candidates[i];
			return;
		}
	}
	if (wanted != NULL)
		log_warning("OUTBOARD_XTS_KERNEL=%s: no such kernel, or not usable here; taking the fastest", wanted);
	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		if (kernel_usable(candidates[i])) {
			chosen = candidates[i];
			return;
		}
	}
	log_error("AES-XTS: no kernel passes its self-test, OpenSSL's neither: nothing can be encrypted safely on this machine");
	abort();
}

const struct crypt_kernel *crypt_kernel_choose(void)
{
	pthread_once(&chosen_once, choose);
	return chosen;
}
