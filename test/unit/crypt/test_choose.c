/* The choice: by environment, by self-test. The file under test is included, so that the self-test can be given broken kernels. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "volume/crypt_choose.c"

static bool child_chooses(const char *environment, const char *expected)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		setenv("OUTBOARD_XTS_KERNEL", environment, 1);
		_exit(strcmp(crypt_kernel_choose()->name, expected) == 0 ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *fastest(void)
{
	return crypt_kernel_vaes_avx512.available() ? "vaes-avx512" : "libgcrypt";
}

static void test_environment(void **state)
{
	(void)state;
	assert_true(child_chooses("openssl", "openssl"));
	assert_true(child_chooses("libgcrypt", "libgcrypt"));
	if (crypt_kernel_vaes_avx512.available())
		assert_true(child_chooses("vaes-avx512", "vaes-avx512"));
	assert_true(child_chooses("rot13", fastest()));
	assert_true(child_chooses("", fastest()));
}

static void test_fastest_by_default(void **state)
{
	(void)state;
	unsetenv("OUTBOARD_XTS_KERNEL");
	assert_string_equal(crypt_kernel_choose()->name, fastest());
	assert_ptr_equal(crypt_kernel_choose(), crypt_kernel_choose());
}

/* What is wrong with the broken kernel, which is OpenSSL's otherwise. */
static struct {
	size_t encrypt_from_byte; /* first byte of a call that comes out wrong */
	size_t decrypt_from_byte;
	bool no_key;
	bool absent;
} broken;

static bool broken_available(void)
{
	return !broken.absent;
}

static int broken_key_create(struct crypt_key **out, const uint8_t key[CRYPT_KEY_BYTES])
{
	return broken.no_key ? -ENOMEM : crypt_kernel_openssl.key_create(out, key);
}

static void broken_key_free(struct crypt_key *key)
{
	crypt_kernel_openssl.key_free(key);
}

static void broken_encrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			   size_t bytes)
{
	crypt_kernel_openssl.encrypt(key, unit_number, unit_bytes, in, out, bytes);
	if (bytes > broken.encrypt_from_byte)
		out[broken.encrypt_from_byte] ^= 1;
}

static void broken_decrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			   size_t bytes)
{
	crypt_kernel_openssl.decrypt(key, unit_number, unit_bytes, in, out, bytes);
	if (bytes > broken.decrypt_from_byte)
		out[broken.decrypt_from_byte] ^= 1;
}

static const struct crypt_kernel broken_kernel = {
	.name = "broken",
	.available = broken_available,
	.key_create = broken_key_create,
	.key_free = broken_key_free,
	.encrypt = broken_encrypt,
	.decrypt = broken_decrypt,
};

static int reset(void **state)
{
	(void)state;
	memset(&broken, 0, sizeof(broken));
	broken.encrypt_from_byte = broken.decrypt_from_byte = SIZE_MAX;
	return 0;
}

static void test_a_sound_kernel_passes(void **state)
{
	(void)state;
	assert_true(kernel_usable(&broken_kernel));
}

static void test_wrong_ciphertext_fails(void **state)
{
	(void)state;
	broken.encrypt_from_byte = 31; /* the vector sees it */
	assert_false(kernel_usable(&broken_kernel));
	broken.encrypt_from_byte = AGREEMENT_BYTES - 1; /* only agreement does */
	assert_false(kernel_usable(&broken_kernel));
}

static void test_wrong_plaintext_fails(void **state)
{
	(void)state;
	broken.decrypt_from_byte = 0;
	assert_false(kernel_usable(&broken_kernel));
	broken.decrypt_from_byte = AGREEMENT_BYTES - 1;
	assert_false(kernel_usable(&broken_kernel));
}

static void test_no_key_or_no_processor_fails(void **state)
{
	(void)state;
	broken.no_key = true;
	assert_false(kernel_usable(&broken_kernel));
	broken.no_key = false;
	broken.absent = true;
	assert_false(kernel_usable(&broken_kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_fastest_by_default),
		cmocka_unit_test_setup(test_a_sound_kernel_passes, reset),
		cmocka_unit_test_setup(test_wrong_ciphertext_fails, reset),
		cmocka_unit_test_setup(test_wrong_plaintext_fails, reset),
		cmocka_unit_test_setup(test_no_key_or_no_processor_fails, reset),
	};

	return cmocka_run_group_tests_name("crypt choose", tests, NULL, NULL);
}
