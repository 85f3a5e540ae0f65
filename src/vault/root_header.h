/*
 * The header of a passphrase root: `vault.root` in the state folder. It holds no secret; with the passphrase it gives the root
 * key back, and without it the volumes are lost: it belongs into every backup.
 *
 *	offset	bytes	all little endian
 *	0	8	magic, "OBVROOT", zero
 *	8	4	version, 1
 *	12	4	Argon2id memory, KiB
 *	16	4	Argon2id passes
 *	20	4	Argon2id lanes
 *	24	16	salt
 *	40	32	check value: HKDF-SHA-256(root key, salt, "outboard root check v1")
 *	72	32	SHA-256 of bytes 0 to 71
 *	104		end
 *
 * Valid if and only if the size is 104, magic and version are as shown, the digest is right and the cost lies within the limits
 * below. An empty file is no header yet: the first passphrase makes one. Anything else is damaged (a torn write, a bad disk) and
 * is refused, so that a wrong passphrase is only ever called wrong when it is. The digest is no protection: who alters the header
 * and mends the digest gets a root key that opens nothing.
 */
#ifndef OUTBOARD_VAULT_ROOT_HEADER_H
#define OUTBOARD_VAULT_ROOT_HEADER_H

#include <stdint.h>

#include "vault/crypto.h"

enum {
	ROOT_HEADER_BYTES = 104,
	ROOT_SALT_BYTES = 16,
	ROOT_CHECK_BYTES = 32,
	ROOT_MEMORY_MAX_KIB = 1 << 20,
	ROOT_PASSES_MAX = 64,
	ROOT_LANES_MAX = 16,
};

struct root_cost {
	uint32_t memory_kib;
	uint32_t passes;
	uint32_t lanes;
};

struct root_header {
	struct root_cost cost;
	uint8_t salt[ROOT_SALT_BYTES];
	uint8_t check[ROOT_CHECK_BYTES];
};

int root_header_encode(const struct root_header *header, uint8_t bytes[ROOT_HEADER_BYTES]); /* 0 or -EIO */
int root_header_decode(const uint8_t bytes[ROOT_HEADER_BYTES], struct root_header *header); /* 0, -EBADMSG or -EIO */

#endif
