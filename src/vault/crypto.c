#include "vault/crypto.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <string.h>
#include <sys/random.h>

int crypto_random(void *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = getrandom((uint8_t *)out + done, size - done, 0);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			done += (size_t)got;
	}
	return 0;
}

int crypto_gcm_encrypt(const uint8_t key[CRYPTO_KEY_BYTES], const uint8_t nonce[CRYPTO_NONCE_BYTES], const uint8_t *ad,
		       size_t ad_size, const uint8_t *plain, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n, rc = -EIO;

	assert(size <= CRYPTO_SIZE_MAX_BYTES && ad_size <= CRYPTO_SIZE_MAX_BYTES);
	if (context == NULL || EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1)
		goto out;
	if (ad_size > 0 && EVP_EncryptUpdate(context, NULL, &n, ad, (int)ad_size) != 1)
		goto out;
	if (size > 0 && EVP_EncryptUpdate(context, out, &n, plain, (int)size) != 1)
		goto out;
	if (EVP_EncryptFinal_ex(context, out + size, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, out + size) != 1)
		goto out;
	rc = 0;
out:
	EVP_CIPHER_CTX_free(context);
	return rc;
}

int crypto_gcm_decrypt(const uint8_t key[CRYPTO_KEY_BYTES], const uint8_t nonce[CRYPTO_NONCE_BYTES], const uint8_t *ad,
		       size_t ad_size, const uint8_t *in, size_t in_size, uint8_t *plain)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	size_t size = in_size - CRYPTO_TAG_BYTES;
	uint8_t tag[CRYPTO_TAG_BYTES], none;
	int n, rc = -EIO;

	assert(in_size >= CRYPTO_TAG_BYTES && in_size <= CRYPTO_SIZE_MAX_BYTES && ad_size <= CRYPTO_SIZE_MAX_BYTES);
	memcpy(tag, in + size, sizeof(tag));
	if (context == NULL || EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1)
		goto out;
	if (ad_size > 0 && EVP_DecryptUpdate(context, NULL, &n, ad, (int)ad_size) != 1)
		goto out;
	if (size > 0 && EVP_DecryptUpdate(context, plain, &n, in, (int)size) != 1)
		goto out;
	if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, tag) != 1)
		goto out;
	rc = EVP_DecryptFinal_ex(context, &none, &n) == 1 ? 0 : -EBADMSG;
out:
	EVP_CIPHER_CTX_free(context);
	if (rc != 0)
		explicit_bzero(plain, size);
	return rc;
}

int crypto_hkdf(const uint8_t *secret, size_t secret_size, const uint8_t *salt, size_t salt_size, const char *info, uint8_t *out,
		size_t out_size)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(size_t)secret, secret_size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(size_t)info, strlen(info)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(size_t)salt, salt_size),
		OSSL_PARAM_construct_end(),
	};
	int rc = -EIO;

	if (salt_size == 0)
		params[3] = OSSL_PARAM_construct_end();
	if (context != NULL && EVP_KDF_derive(context, out, out_size, params) == 1)
		rc = 0;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return rc;
}

int crypto_x25519_public(const uint8_t private_key[CRYPTO_KEY_BYTES], uint8_t public_key[CRYPTO_KEY_BYTES])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, CRYPTO_KEY_BYTES);
	size_t size = CRYPTO_KEY_BYTES;
	int rc = key != NULL && EVP_PKEY_get_raw_public_key(key, public_key, &size) == 1 ? 0 : -EIO;

	EVP_PKEY_free(key);
	return rc;
}

int crypto_x25519_shared(const uint8_t private_key[CRYPTO_KEY_BYTES], const uint8_t peer[CRYPTO_KEY_BYTES],
			 uint8_t shared[CRYPTO_KEY_BYTES])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, CRYPTO_KEY_BYTES);
	EVP_PKEY *peer_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, CRYPTO_KEY_BYTES);
	EVP_PKEY_CTX *context = key == NULL ? NULL : EVP_PKEY_CTX_new(key, NULL);
	size_t size = CRYPTO_KEY_BYTES;
	int rc = -EIO;

	if (context == NULL || peer_key == NULL || EVP_PKEY_derive_init(context) != 1)
		goto out;
	if (EVP_PKEY_derive_set_peer_ex(context, peer_key, 0) != 1)
		goto out;
	rc = EVP_PKEY_derive(context, shared, &size) == 1 ? 0 : -EBADMSG; /* libcrypto refuses an all-zero result */
out:
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer_key);
	EVP_PKEY_free(key);
	return rc;
}

int crypto_sha256(const uint8_t *data, size_t size, uint8_t digest[CRYPTO_SHA256_BYTES])
{
	return EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}
