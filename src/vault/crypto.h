/*
 * The four primitives that the vault is made of, over libcrypto. In the vault every allocation of libcrypto, and the stack that
 * it runs on, lie in secret memory (arena.h, secret_stack.h); elsewhere the caller only ever seals to a public key, or opens
 * what a person asked to see.
 *
 * All return 0, -EBADMSG where something does not authenticate, or -EIO when libcrypto failed (out of memory).
 */
#ifndef OUTBOARD_VAULT_CRYPTO_H
#define OUTBOARD_VAULT_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

enum {
	CRYPTO_KEY_BYTES = 32,	 /* AES-256, and both X25519 keys (RFC 7748) */
	CRYPTO_NONCE_BYTES = 12, /* of GCM: 96 bits (NIST SP 800-38D, 8.2) */
	CRYPTO_TAG_BYTES = 16,
	CRYPTO_SHA256_BYTES = 32,
	CRYPTO_SIZE_MAX_BYTES = 64 * 1024, /* more than anything here; keeps sizes inside libcrypto's int */
};

int crypto_random(void *out, size_t size); /* getrandom(2): no generator state in the process */

/* AES-256-GCM. `out` takes size + CRYPTO_TAG_BYTES. */
int crypto_gcm_encrypt(const uint8_t key[CRYPTO_KEY_BYTES], const uint8_t nonce[CRYPTO_NONCE_BYTES], const uint8_t *ad,
		       size_t ad_size, const uint8_t *plain, size_t size, uint8_t *out);
/* `in` is ciphertext ‖ tag, in_size >= CRYPTO_TAG_BYTES. `plain` takes in_size - CRYPTO_TAG_BYTES; wiped unless 0 is returned. */
int crypto_gcm_decrypt(const uint8_t key[CRYPTO_KEY_BYTES], const uint8_t nonce[CRYPTO_NONCE_BYTES], const uint8_t *ad,
		       size_t ad_size, const uint8_t *in, size_t in_size, uint8_t *plain);

/* HKDF-SHA-256 (RFC 5869), extract and expand. */
int crypto_hkdf(const uint8_t *secret, size_t secret_size, const uint8_t *salt, size_t salt_size, const char *info, uint8_t *out,
		size_t out_size);

/* X25519 (RFC 7748). The shared secret of a low-order point, all zero, is refused with -EBADMSG (section 6.1). */
int crypto_x25519_public(const uint8_t private_key[CRYPTO_KEY_BYTES], uint8_t public_key[CRYPTO_KEY_BYTES]);
int crypto_x25519_shared(const uint8_t private_key[CRYPTO_KEY_BYTES], const uint8_t peer[CRYPTO_KEY_BYTES],
			 uint8_t shared[CRYPTO_KEY_BYTES]);

int crypto_sha256(const uint8_t *data, size_t size, uint8_t digest[CRYPTO_SHA256_BYTES]);

#endif
