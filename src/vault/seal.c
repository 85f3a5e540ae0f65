/*
 * Sealing: a message that only the holder of an X25519 private key can read. The sender's key is made for this one message and
 * forgotten, so nobody, the sender included, can open it again; and nonce and key are fresh each time by construction.
 *
 *	offset	bytes	sealed message, all little endian
 *	0	1	version, 1
 *	1	3	zero
 *	4	32	ephemeral X25519 public key E of the sender
 *	36	n	ciphertext
 *	36+n	16	AES-256-GCM tag; associated data: bytes 0 to 35
 *
 *	key ‖ nonce (32 + 12 bytes) = HKDF-SHA-256(secret = X25519(e, R), salt = E ‖ R, info = "outboard seal v1")
 *
 * R is the recipient's public key. Valid if and only if version and zeros are as shown and the tag authenticates.
 * This is the shape of HPKE's base mode (RFC 9180) with one fixed suite and without its framing, which no library of Debian 12
 * in C speaks; two lines of Python open it (test/unit/vault/seal_test.c has a golden message).
 */
#include "vault/vault_client.h"

#include <errno.h>
#include <string.h>

#include "vault/crypto.h"

enum {
	SEAL_VERSION = 1,
	SEAL_HEADER_BYTES = 4 + CRYPTO_KEY_BYTES,
	SEAL_OVERHEAD_BYTES = SEAL_HEADER_BYTES + CRYPTO_TAG_BYTES,
	SEAL_PLAIN_MAX_BYTES = VAULT_SEALED_MAX_BYTES - SEAL_OVERHEAD_BYTES,
};

struct seal_keys {
	uint8_t key[CRYPTO_KEY_BYTES];
	uint8_t nonce[CRYPTO_NONCE_BYTES];
};
_Static_assert(sizeof(struct seal_keys) == CRYPTO_KEY_BYTES + CRYPTO_NONCE_BYTES, "one HKDF output, cut in two");

static int derive_keys(const uint8_t *own_private, const uint8_t *peer, const uint8_t *ephemeral, const uint8_t *recipient,
		       struct seal_keys *keys)
{
	uint8_t shared[CRYPTO_KEY_BYTES], salt[2 * CRYPTO_KEY_BYTES];
	int rc = crypto_x25519_shared(own_private, peer, shared);

	memcpy(salt, ephemeral, CRYPTO_KEY_BYTES);
	memcpy(salt + CRYPTO_KEY_BYTES, recipient, CRYPTO_KEY_BYTES);
	if (rc == 0)
		rc = crypto_hkdf(shared, sizeof(shared), salt, sizeof(salt), "outboard seal v1", (uint8_t *)keys, sizeof(*keys));
	explicit_bzero(shared, sizeof(shared));
	return rc;
}

int vault_seal_keypair(uint8_t private_key[32], uint8_t public_key[VAULT_PUBLIC_KEY_BYTES])
{
	int rc = crypto_random(private_key, CRYPTO_KEY_BYTES);

	return rc != 0 ? rc : crypto_x25519_public(private_key, public_key);
}

int vault_seal(const uint8_t recipient[VAULT_PUBLIC_KEY_BYTES], const uint8_t *plain, size_t plain_size, uint8_t *sealed,
	       size_t *sealed_size)
{
	uint8_t ephemeral_private[CRYPTO_KEY_BYTES], *ephemeral = sealed + 4;
	struct seal_keys keys;
	int rc;

	if (plain_size > SEAL_PLAIN_MAX_BYTES)
		return -EMSGSIZE;
	memset(sealed, 0, 4);
	sealed[0] = SEAL_VERSION;
	rc = vault_seal_keypair(ephemeral_private, ephemeral);
	if (rc == 0)
		rc = derive_keys(ephemeral_private, recipient, ephemeral, recipient, &keys);
	if (rc == 0)
		rc = crypto_gcm_encrypt(keys.key, keys.nonce, sealed, SEAL_HEADER_BYTES, plain, plain_size,
					sealed + SEAL_HEADER_BYTES);
	if (rc == 0)
		*sealed_size = SEAL_OVERHEAD_BYTES + plain_size;
	explicit_bzero(ephemeral_private, sizeof(ephemeral_private));
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}

int vault_open_sealed(const uint8_t private_key[32], const uint8_t *sealed, size_t sealed_size, uint8_t *plain, size_t *plain_size)
{
	static const uint8_t start[4] = {SEAL_VERSION, 0, 0, 0};
	uint8_t public_key[CRYPTO_KEY_BYTES];
	const uint8_t *ephemeral = sealed + 4;
	struct seal_keys keys;
	int rc;

	if (sealed_size < SEAL_OVERHEAD_BYTES || sealed_size > VAULT_SEALED_MAX_BYTES || memcmp(sealed, start, sizeof(start)) != 0)
		return -EBADMSG;
	rc = crypto_x25519_public(private_key, public_key);
	if (rc == 0)
		rc = derive_keys(private_key, ephemeral, ephemeral, public_key, &keys);
	if (rc == 0)
		rc = crypto_gcm_decrypt(keys.key, keys.nonce, sealed, SEAL_HEADER_BYTES, sealed + SEAL_HEADER_BYTES,
					sealed_size - SEAL_HEADER_BYTES, plain);
	if (rc == 0)
		*plain_size = sealed_size - SEAL_OVERHEAD_BYTES;
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}
