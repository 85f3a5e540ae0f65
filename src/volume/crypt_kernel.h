/*
 * AES-256-XTS (IEEE 1619) over whole data units, tweak = unit number as a little-endian 128-bit integer: what dm-crypt calls
 * aes-xts-plain64 (512-byte units) and with `sector_size:4096 iv_large_sectors` (4096-byte units).
 *
 * A kernel is one implementation. It reads `in` exactly once and in order (guest memory may change under it) and writes `out`; they
 * are the same buffer or do not overlap. No alignment is assumed. A key is used by one thread at a time.
 */
#ifndef OUTBOARD_VOLUME_CRYPT_KERNEL_H
#define OUTBOARD_VOLUME_CRYPT_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crypt_key; /* expanded key of one kernel, in secret memory */

struct crypt_run {
	uint64_t unit_number;
	const uint8_t *in;
	uint8_t *out;
	size_t bytes;
};

struct crypt_kernel {
	const char *name;
	bool (*available)(void); /* on this processor and these libraries */
	/* `key`: 64 bytes, data half then tweak half. -EINVAL when the halves are equal (FIPS 140), -ENOMEM. */
	int (*key_create)(struct crypt_key **out, const uint8_t key[64]);
	void (*key_free)(struct crypt_key *key); /* wipes */
	/* `bytes`: a multiple of unit_bytes, not 0. */
	void (*encrypt)(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			size_t bytes);
	void (*decrypt)(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			size_t bytes);
	/* The same for several runs of units, `count` > 0, in order. Cheaper than a call a run: only the first unit waits for the
	 * encryption of its tweak, some 10 % of a 4 KiB unit. */
	void (*encrypt_runs)(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count);
	void (*decrypt_runs)(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count);
};

extern const struct crypt_kernel crypt_kernel_vaes_avx512;
extern const struct crypt_kernel crypt_kernel_gcrypt;
extern const struct crypt_kernel crypt_kernel_openssl;

/* The fastest that is available and passes a known-answer test; chosen once, OUTBOARD_XTS_KERNEL=name overrides (tests). Never
 * NULL: openssl is always there. */
const struct crypt_kernel *crypt_kernel_choose(void);

#endif
