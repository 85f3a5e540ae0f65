#include "vault/wrap.h"

#include <errno.h>
#include <string.h>

#include "base/codec.h"

enum {
	WRAP_VERSION = 1,
	KIND_KEK = 1,
	KIND_DEK = 2,
	PREFIX_BYTES = 4,
	LABEL_BYTES = 16,
	HEADER_BYTES = PREFIX_BYTES + CRYPTO_NONCE_BYTES,
	KEK_BOUND_BYTES = LABEL_BYTES + UUID_BYTES + 4 + PREFIX_BYTES,
	DEK_BOUND_BYTES = LABEL_BYTES + 2 * (UUID_BYTES + 4) + PREFIX_BYTES,
};
_Static_assert(KEK_BOUND_BYTES == 40 && DEK_BOUND_BYTES == 60, "the tables of wrap.h");

/* What a wrapped key is bound to. */
struct bound {
	uint8_t bytes[DEK_BOUND_BYTES];
	size_t size;
	uint8_t kind;
};

static void put_prefix(uint8_t *p, uint8_t kind)
{
	p[0] = WRAP_VERSION;
	p[1] = kind;
	put_le16(p + 2, 0);
}

static uint8_t *put_name(uint8_t *p, const struct uuid *id, uint32_t version)
{
	memcpy(p, id->bytes, UUID_BYTES);
	put_le32(p + UUID_BYTES, version);
	return p + UUID_BYTES + 4;
}

static struct bound bind_kek(const struct uuid *kek, uint32_t version)
{
	struct bound bound = {.size = KEK_BOUND_BYTES, .kind = KIND_KEK};

	memcpy(bound.bytes, "outboard kek v1", LABEL_BYTES);
	put_prefix(put_name(bound.bytes + LABEL_BYTES, kek, version), KIND_KEK);
	return bound;
}

static struct bound bind_dek(const struct vault_dek_ref *ref)
{
	struct bound bound = {.size = DEK_BOUND_BYTES, .kind = KIND_DEK};
	uint8_t *p;

	memcpy(bound.bytes, "outboard dek v1", LABEL_BYTES);
	p = put_name(bound.bytes + LABEL_BYTES, &ref->volume, ref->version);
	put_prefix(put_name(p, &ref->kek, ref->kek_version), KIND_DEK);
	return bound;
}

static int wrap(const uint8_t *key, const struct bound *bound, const uint8_t *plain, size_t size, struct vault_blob *out)
{
	uint8_t *nonce = out->bytes + PREFIX_BYTES;
	int rc;

	put_prefix(out->bytes, bound->kind);
	rc = crypto_random(nonce, CRYPTO_NONCE_BYTES);
	if (rc == 0)
		rc = crypto_gcm_encrypt(key, nonce, bound->bytes, bound->size, plain, size, out->bytes + HEADER_BYTES);
	out->size = rc == 0 ? (uint16_t)(size + WRAP_OVERHEAD_BYTES) : 0;
	return rc;
}

static int unwrap(const uint8_t *key, const struct bound *bound, const struct vault_blob *blob, uint8_t *plain, size_t size)
{
	uint8_t prefix[PREFIX_BYTES];

	put_prefix(prefix, bound->kind);
	if (blob->size != size + WRAP_OVERHEAD_BYTES || memcmp(blob->bytes, prefix, sizeof(prefix)) != 0)
		return -EBADMSG;
	return crypto_gcm_decrypt(key, blob->bytes + PREFIX_BYTES, bound->bytes, bound->size, blob->bytes + HEADER_BYTES,
				  size + CRYPTO_TAG_BYTES, plain);
}

int wrap_kek(const uint8_t root[CRYPTO_KEY_BYTES], const struct uuid *kek, uint32_t version, const uint8_t plain[WRAP_KEK_BYTES],
	     struct vault_blob *out)
{
	struct bound bound = bind_kek(kek, version);

	return wrap(root, &bound, plain, WRAP_KEK_BYTES, out);
}

int unwrap_kek(const uint8_t root[CRYPTO_KEY_BYTES], const struct uuid *kek, uint32_t version, const struct vault_blob *blob,
	       uint8_t plain[WRAP_KEK_BYTES])
{
	struct bound bound = bind_kek(kek, version);

	return unwrap(root, &bound, blob, plain, WRAP_KEK_BYTES);
}

int wrap_dek(const uint8_t kek[WRAP_KEK_BYTES], const struct vault_dek_ref *ref, const uint8_t plain[VAULT_KEY_BYTES],
	     struct vault_blob *out)
{
	struct bound bound = bind_dek(ref);

	return wrap(kek, &bound, plain, VAULT_KEY_BYTES, out);
}

int unwrap_dek(const uint8_t kek[WRAP_KEK_BYTES], const struct vault_dek_ref *ref, uint8_t plain[VAULT_KEY_BYTES])
{
	struct bound bound = bind_dek(ref);

	return unwrap(kek, &bound, &ref->wrapped_dek, plain, VAULT_KEY_BYTES);
}
