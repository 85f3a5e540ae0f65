/*
 * The crypt layer of a batch of requests: what cipher_batch_*_guest() adds is done at the latest when cipher_batch_end() returns,
 * in any order. The volume is bound to an engine, which has the bounce and the zeroes.
 */
#ifndef OUTBOARD_VOLUME_CIPHER_H
#define OUTBOARD_VOLUME_CIPHER_H

#include "volume/internal.h"

enum { CIPHER_BATCH_RUNS = 8 }; /* a call to the kernel: bench/micro_volume; more run ahead of what the caches hold */

struct cipher_batch {
	struct volume *volume;
	uint64_t since_tsc;
	unsigned encrypt_count, decrypt_count;
	struct crypt_run encrypt[CIPHER_BATCH_RUNS], decrypt[CIPHER_BATCH_RUNS];
};

void cipher_batch_begin(struct cipher_batch *batch, struct volume *volume);
void cipher_batch_to_guest(struct cipher_batch *batch, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from,
			   size_t bytes);
void cipher_batch_from_guest(struct cipher_batch *batch, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes);
void cipher_batch_end(struct cipher_batch *batch);

#endif
