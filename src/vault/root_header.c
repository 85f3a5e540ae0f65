#include "vault/root_header.h"

#include <errno.h>
#include <string.h>

#include "base/codec.h"

enum {
	AT_VERSION = 8,
	AT_MEMORY = 12,
	AT_PASSES = 16,
	AT_LANES = 20,
	AT_SALT = 24,
	AT_CHECK = AT_SALT + ROOT_SALT_BYTES,
	AT_DIGEST = AT_CHECK + ROOT_CHECK_BYTES,
	HEADER_VERSION = 1,
};
_Static_assert(AT_CHECK == 40 && AT_DIGEST == 72 && AT_DIGEST + CRYPTO_SHA256_BYTES == ROOT_HEADER_BYTES,
	       "the table of root_header.h");

static const uint8_t magic[8] = "OBVROOT";

int root_header_encode(const struct root_header *header, uint8_t bytes[ROOT_HEADER_BYTES])
{
	memcpy(bytes, magic, sizeof(magic));
	put_le32(bytes + AT_VERSION, HEADER_VERSION);
	put_le32(bytes + AT_MEMORY, header->cost.memory_kib);
	put_le32(bytes + AT_PASSES, header->cost.passes);
	put_le32(bytes + AT_LANES, header->cost.lanes);
	memcpy(bytes + AT_SALT, header->salt, ROOT_SALT_BYTES);
	memcpy(bytes + AT_CHECK, header->check, ROOT_CHECK_BYTES);
	return crypto_sha256(bytes, AT_DIGEST, bytes + AT_DIGEST);
}

int root_header_decode(const uint8_t bytes[ROOT_HEADER_BYTES], struct root_header *header)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	struct root_cost *cost = &header->cost;
	int rc = crypto_sha256(bytes, AT_DIGEST, digest);

	if (rc != 0)
		return rc;
	if (memcmp(bytes, magic, sizeof(magic)) != 0 || get_le32(bytes + AT_VERSION) != HEADER_VERSION ||
	    memcmp(bytes + AT_DIGEST, digest, sizeof(digest)) != 0)
		return -EBADMSG;
	cost->memory_kib = get_le32(bytes + AT_MEMORY);
	cost->passes = get_le32(bytes + AT_PASSES);
	cost->lanes = get_le32(bytes + AT_LANES);
	/* Argon2 wants 8 KiB a lane at least (RFC 9106, 3.1); the upper bounds keep a header from outside from taking the host. */
	if (cost->passes < 1 || cost->passes > ROOT_PASSES_MAX || cost->lanes < 1 || cost->lanes > ROOT_LANES_MAX ||
	    cost->memory_kib < 8 * cost->lanes || cost->memory_kib > ROOT_MEMORY_MAX_KIB)
		return -EBADMSG;
	memcpy(header->salt, bytes + AT_SALT, ROOT_SALT_BYTES);
	memcpy(header->check, bytes + AT_CHECK, ROOT_CHECK_BYTES);
	return 0;
}
