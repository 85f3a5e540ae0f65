#include "load/blk_verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"

#define MAGIC		   UINT64_C(0x314b4c42424f424f) /* "OBOBBLK1" */
#define GENERATION_UNKNOWN UINT32_MAX

enum {
	AT_TAG = 8,
	AT_OFFSET = 16,
	AT_GENERATION = 24,
	AT_CRC = 28,
	AT_NOISE = 32,
	CLAIM_WRITER = UINT8_MAX,
};

/* CRC-32C (Castagnoli), eight bytes at a time, so that --verify is not the limit. */
struct crc_tables {
	uint32_t t[8][256];
};

static const struct crc_tables *crc_tables(void)
{
	static struct crc_tables tables;

	if (tables.t[0][1] != 0)
		return &tables;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f63b78u : 0);
		tables.t[0][i] = c;
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned i = 0; i < 256; i++)
			tables.t[k][i] = (tables.t[k - 1][i] >> 8) ^ tables.t[0][tables.t[k - 1][i] & 0xff];
	return &tables;
}

/* `length_bytes` is a multiple of 8. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, uint32_t length_bytes)
{
	const struct crc_tables *c = crc_tables();

	for (; length_bytes >= 8; data += 8, length_bytes -= 8) {
		uint64_t v = get_le64(data) ^ crc;

		crc = 0;
		for (unsigned k = 0; k < 8; k++)
			crc ^= c->t[7 - k][(v >> (8 * k)) & 0xff];
	}
	return crc;
}

static uint32_t block_crc(const uint8_t *block, uint32_t block_bytes)
{
	uint8_t head[AT_NOISE];

	memcpy(head, block, sizeof(head));
	put_le32(head + AT_CRC, 0);
	return ~crc32c(crc32c(~0u, head, sizeof(head)), block + AT_NOISE, block_bytes - AT_NOISE);
}

int blk_verify_create(struct blk_verify *verify, uint64_t region_bytes, uint32_t request_bytes, uint64_t tag)
{
	verify->block_bytes = BLK_VERIFY_BLOCK_BYTES_MAX;
	while (request_bytes % verify->block_bytes != 0)
		verify->block_bytes /= 2;
	verify->block_count = region_bytes / verify->block_bytes;
	verify->tag = tag;
	verify->generations = calloc(verify->block_count, sizeof(*verify->generations));
	verify->claims = calloc(verify->block_count, sizeof(*verify->claims));
	return verify->generations != NULL && verify->claims != NULL ? 0 : -ENOMEM;
}

void blk_verify_free(struct blk_verify *verify)
{
	free(verify->generations);
	free(verify->claims);
	verify->generations = NULL;
	verify->claims = NULL;
}

bool blk_verify_claim(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes, bool write)
{
	uint8_t *claims = verify->claims + offset_bytes / verify->block_bytes;
	uint32_t count = length_bytes / verify->block_bytes;

	for (uint32_t i = 0; i < count; i++)
		if (write ? claims[i] != 0 : claims[i] >= CLAIM_WRITER - 1)
			return false;
	for (uint32_t i = 0; i < count; i++)
		claims[i] = write ? CLAIM_WRITER : (uint8_t)(claims[i] + 1);
	return true;
}

void blk_verify_release(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes, bool write)
{
	uint8_t *claims = verify->claims + offset_bytes / verify->block_bytes;
	uint32_t count = length_bytes / verify->block_bytes;

	for (uint32_t i = 0; i < count; i++)
		claims[i] = write ? 0 : (uint8_t)(claims[i] - 1);
}

static uint32_t next_generation(uint32_t generation)
{
	return generation >= GENERATION_UNKNOWN - 1 ? 1 : generation + 1;
}

void blk_verify_fill(const struct blk_verify *verify, uint64_t offset_bytes, uint8_t *data, uint32_t length_bytes)
{
	uint32_t size = verify->block_bytes;

	for (uint32_t at = 0; at < length_bytes; at += size, data += size) {
		uint64_t offset = offset_bytes + at, noise;
		uint32_t generation = next_generation(verify->generations[offset / size]);

		put_le64(data, MAGIC);
		put_le64(data + AT_TAG, verify->tag);
		put_le64(data + AT_OFFSET, offset);
		put_le32(data + AT_GENERATION, generation);
		noise = (verify->tag ^ (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)generation << 32) | 1;
		for (uint32_t i = AT_NOISE; i < size; i += 8) {
			noise ^= noise << 13;
			noise ^= noise >> 7;
			noise ^= noise << 17;
			put_le64(data + i, noise);
		}
		put_le32(data + AT_CRC, block_crc(data, size));
	}
}

void blk_verify_commit(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes)
{
	uint32_t *generations = verify->generations + offset_bytes / verify->block_bytes;

	for (uint32_t i = 0; i < length_bytes / verify->block_bytes; i++)
		generations[i] = next_generation(generations[i]);
}

void blk_verify_spoil(struct blk_verify *verify, uint64_t offset_bytes, uint32_t length_bytes)
{
	uint32_t *generations = verify->generations + offset_bytes / verify->block_bytes;

	for (uint32_t i = 0; i < length_bytes / verify->block_bytes; i++)
		generations[i] = GENERATION_UNKNOWN;
}

static bool all_zero(const uint8_t *data, uint32_t length_bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, length_bytes - 1) == 0;
}

static void explain(const struct blk_verify *verify, uint64_t offset, uint32_t expected, const uint8_t *block, char *text)
{
	size_t room = BLK_VERIFY_EXPLANATION_SIZE;
	uint32_t generation = get_le32(block + AT_GENERATION);
	int n;

	n = snprintf(text, room, "block at byte %llu (number %llu): expected generation %u of this run, found ",
		     (unsigned long long)offset, (unsigned long long)(offset / verify->block_bytes), expected);
	text += n;
	room -= (size_t)n;
	if (all_zero(block, verify->block_bytes))
		snprintf(text, room, "zeroes: the write was lost, or discarded");
	else if (get_le64(block) != MAGIC)
		snprintf(text, room,
			 "no block of ours (it starts with %016llx): overwritten by others, or decrypted with another key",
			 (unsigned long long)get_le64(block));
	else if (block_crc(block, verify->block_bytes) != get_le32(block + AT_CRC))
		snprintf(text, room, "one with a wrong checksum (it says generation %u of byte %llu): torn, or damaged", generation,
			 (unsigned long long)get_le64(block + AT_OFFSET));
	else if (get_le64(block + AT_TAG) != verify->tag)
		snprintf(text, room, "a block of another run (tag %016llx): the write was lost",
			 (unsigned long long)get_le64(block + AT_TAG));
	else if (get_le64(block + AT_OFFSET) != offset)
		snprintf(text, room, "generation %u of the block at byte %llu: misdirected", generation,
			 (unsigned long long)get_le64(block + AT_OFFSET));
	else if (generation < expected)
		snprintf(text, room, "generation %u: stale, a later write was lost or undone", generation);
	else
		snprintf(text, room, "generation %u, which was not acknowledged", generation);
}

unsigned blk_verify_check(const struct blk_verify *verify, uint64_t offset_bytes, const uint8_t *data, uint32_t length_bytes,
			  char explanation[BLK_VERIFY_EXPLANATION_SIZE])
{
	uint32_t size = verify->block_bytes;
	unsigned wrong = 0;

	for (uint32_t at = 0; at < length_bytes; at += size, data += size) {
		uint64_t offset = offset_bytes + at;
		uint32_t expected = verify->generations[offset / size];

		if (expected == 0 || expected == GENERATION_UNKNOWN)
			continue;
		if (get_le64(data) == MAGIC && get_le64(data + AT_TAG) == verify->tag && get_le64(data + AT_OFFSET) == offset &&
		    get_le32(data + AT_GENERATION) == expected && block_crc(data, size) == get_le32(data + AT_CRC))
			continue;
		if (wrong++ == 0)
			explain(verify, offset, expected, data, explanation);
	}
	return wrong;
}
