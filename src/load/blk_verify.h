/*
 * Self-describing blocks: what makes --verify find lost, stale, duplicated and misdirected writes rather than only broken bits.
 *
 * Each block of `block_bytes` says what it is:
 *
 *	offset	size
 *	0	8	magic
 *	8	8	volume tag: a random number of this run
 *	16	8	its own offset on the volume in bytes
 *	24	4	generation: how often this run has written it
 *	28	4	CRC-32C of the block, taken with these four bytes zero
 *	32	rest	noise that follows from the four above
 *
 * and is valid if and only if the CRC is right. All little endian. Beside them a map in memory says which generation each block
 * must have, so a block that was right once and is not any more is found, also across a restart of the back end.
 *
 * A block that is being written has two possible contents: blk_verify_claim() keeps requests of this run off each other.
 */
#ifndef OUTBOARD_LOAD_BLK_VERIFY_H
#define OUTBOARD_LOAD_BLK_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLK_VERIFY_BLOCK_BYTES_MAX = 4096, BLK_VERIFY_EXPLANATION_SIZE = 320 };

struct blk_verify {
	uint64_t tag;
	uint64_t block_count;
	uint32_t block_bytes;
	uint32_t *generations; /* [block_count]; 0: not written yet */
	uint8_t *claims;       /* [block_count]: readers, or CLAIM_WRITER */
};

int blk_verify_create(struct blk_verify *verify, uint64_t region_bytes, uint32_t request_bytes, uint64_t tag); /* 0 or -ENOMEM */
void blk_verify_free(struct blk_verify *verify);

/* May a request on this range start? Readers share, a writer is alone. Claimed until released. */
bool blk_verify_claim(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes, bool write);
void blk_verify_release(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes, bool write);

/* Fills a buffer with the next generation of the blocks there; committed when the write has succeeded, spoilt (contents unknown, no
 * longer checked) when it has failed. */
void blk_verify_fill(const struct blk_verify *verify, uint64_t offset_bytes, uint8_t *data, uint32_t length_bytes);
void blk_verify_commit(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes);
void blk_verify_spoil(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes);

/* Number of blocks in the buffer that are not what they must be; the first is explained: block, expected, found. */
unsigned blk_verify_check(const struct blk_verify *verify, uint64_t offset_bytes, const uint8_t *data, uint32_t length_bytes,
			  char explanation[BLK_VERIFY_EXPLANATION_SIZE]);

#endif
