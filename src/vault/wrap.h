/*
 * Wrapped keys: what control stores and cannot read. AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce from getrandom(2).
 *
 *	offset	bytes	wrapped key, all little endian
 *	0	1	version, 1
 *	1	1	kind: 1 KEK under the root, 2 DEK under a KEK
 *	2	2	zero
 *	4	12	nonce
 *	16	n	ciphertext: 32 (KEK) or 64 (DEK)
 *	16+n	16	tag
 *
 *	bytes	associated data of a KEK (40)		bytes	associated data of a DEK (60)
 *	16	"outboard kek v1", zero			16	"outboard dek v1", zero
 *	16	KEK id					16	volume id
 *	4	KEK version				4	DEK version
 *	4	bytes 0 to 3 of the wrapped key		16	KEK id
 *							4	KEK version
 *							4	bytes 0 to 3 of the wrapped key
 *
 * Valid if and only if size, version, kind and zeros are as shown and the tag authenticates: a key is bound to its volume, its
 * version and the KEK it is under, and moving a blob from one to another shows. A KEK's key is used for nothing but GCM here,
 * and for far fewer than 2^32 messages, the bound for random nonces (8.3).
 */
#ifndef OUTBOARD_VAULT_WRAP_H
#define OUTBOARD_VAULT_WRAP_H

#include "vault/crypto.h"
#include "vault/vault_client.h"

enum {
	WRAP_KEK_BYTES = CRYPTO_KEY_BYTES,
	WRAP_OVERHEAD_BYTES = 4 + CRYPTO_NONCE_BYTES + CRYPTO_TAG_BYTES,
	WRAP_KEK_BLOB_BYTES = WRAP_OVERHEAD_BYTES + WRAP_KEK_BYTES,
	WRAP_DEK_BLOB_BYTES = WRAP_OVERHEAD_BYTES + VAULT_KEY_BYTES,
};
_Static_assert((int)WRAP_DEK_BLOB_BYTES <= (int)VAULT_WRAPPED_MAX_BYTES, "a wrapped key fits in struct vault_blob");

/* Plain keys must lie in secret memory. All return 0; -EBADMSG when it does not authenticate; -EIO. */
int wrap_kek(const uint8_t root[CRYPTO_KEY_BYTES], const struct uuid *kek, uint32_t version, const uint8_t plain[WRAP_KEK_BYTES],
	     struct vault_blob *out);
int unwrap_kek(const uint8_t root[CRYPTO_KEY_BYTES], const struct uuid *kek, uint32_t version, const struct vault_blob *blob,
	       uint8_t plain[WRAP_KEK_BYTES]);

/* `ref` names what is bound (all but the blobs); the blob of unwrap_dek is ref->wrapped_dek. */
int wrap_dek(const uint8_t kek[WRAP_KEK_BYTES], const struct vault_dek_ref *ref, const uint8_t plain[VAULT_KEY_BYTES],
	     struct vault_blob *out);
int unwrap_dek(const uint8_t kek[WRAP_KEK_BYTES], const struct vault_dek_ref *ref, uint8_t plain[VAULT_KEY_BYTES]);

#endif
