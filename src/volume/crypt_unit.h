/*
 * Inside the kernels and their tests: one data unit under any 128-bit tweak (crypt_kernel.h has only the 64-bit unit numbers that
 * volumes use; half of NIST's vectors have more), and what all kernels do with a raw key.
 */
#ifndef OUTBOARD_VOLUME_CRYPT_UNIT_H
#define OUTBOARD_VOLUME_CRYPT_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/codec.h"
#include "volume/crypt_kernel.h"

enum {
	CRYPT_KEY_BYTES = 64,
	CRYPT_KEY_HALF_BYTES = 32,
	CRYPT_BLOCK_BYTES = 16,
};

enum crypt_direction { CRYPT_ENCRYPT, CRYPT_DECRYPT };

/* `bytes`: a multiple of 16, at least 16. */
typedef void crypt_unit_fn(const struct crypt_key *key, enum crypt_direction direction, const uint8_t tweak[CRYPT_BLOCK_BYTES],
			   const uint8_t *in, uint8_t *out, size_t bytes);

crypt_unit_fn crypt_vaes_avx512_unit;
crypt_unit_fn crypt_gcrypt_unit;
crypt_unit_fn crypt_openssl_unit;

/* FIPS 140 IG A.9: XTS's halves must differ. In time that does not depend on where they do. */
static inline bool crypt_key_halves_equal(const uint8_t key[CRYPT_KEY_BYTES])
{
	unsigned different = 0;

	for (size_t i = 0; i < CRYPT_KEY_HALF_BYTES; i++)
		different |= (unsigned)(key[i] ^ key[CRYPT_KEY_HALF_BYTES + i]);
	return different == 0;
}

static inline void crypt_tweak_of_unit(uint8_t tweak[CRYPT_BLOCK_BYTES], uint64_t unit_number)
{
	memset(tweak, 0, CRYPT_BLOCK_BYTES);
	put_le64(tweak, unit_number);
}

/* What encrypt_runs and decrypt_runs promise, one unit after the other. */
static inline void crypt_runs(crypt_unit_fn *unit, const struct crypt_key *key, enum crypt_direction direction, uint32_t unit_bytes,
			      const struct crypt_run *runs, size_t count)
{
	uint8_t tweak[CRYPT_BLOCK_BYTES];

	for (const struct crypt_run *run = runs; run < runs + count; run++) {
		for (size_t done = 0; done < run->bytes; done += unit_bytes) {
			crypt_tweak_of_unit(tweak, run->unit_number + done / unit_bytes);
			unit(key, direction, tweak, run->in + done, run->out + done, unit_bytes);
		}
	}
}

#endif
