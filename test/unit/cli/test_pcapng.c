#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/codec.h"
#include "cli/pcapng.h"

struct bytes {
	uint8_t data[4096];
	size_t size, blocks;
	int refuse; /* what write() returns */
};

static int keep(void *context, const void *data, size_t size)
{
	struct bytes *b = context;

	assert_true(b->size + size <= sizeof(b->data));
	memcpy(b->data + b->size, data, size);
	b->size += size;
	b->blocks++;
	return b->refuse;
}

static void append(struct bytes *b, uint32_t type, uint32_t body_bytes)
{
	uint8_t *at = b->data + b->size;

	memset(at, (int)type, 12 + body_bytes);
	put_le32(at, type);
	put_le32(at + 4, 12 + body_bytes);
	put_le32(at + 8 + body_bytes, 12 + body_bytes);
	b->size += 12 + body_bytes;
}

/* A section, an interface, three packets, and what nobody knows. */
static struct bytes stream(void)
{
	struct bytes b = {.size = 0};

	append(&b, 0x0a0d0d0a, 16);
	append(&b, 1, 8);
	append(&b, 6, 80);
	append(&b, 6, 0);
	append(&b, 0x0bad, 4);
	append(&b, 6, 1500);
	return b;
}

static void blocks_are_whole_however_they_come(void **state)
{
	const struct bytes in = stream();

	(void)state;
	for (size_t piece = 1; piece <= in.size; piece++) {
		struct pcapng *p = calloc(1, sizeof(*p));
		struct bytes got = {.size = 0};
		struct pcapng_out out = {.write = keep, .context = &got};

		for (size_t at = 0; at < in.size; at += piece)
			assert_int_equal(pcapng_feed(p, in.data + at, in.size - at < piece ? in.size - at : piece, &out), 0);
		assert_int_equal(out.packets, 3);
		assert_int_equal(got.blocks, 6);
		assert_int_equal(got.size, in.size);
		assert_memory_equal(got.data, in.data, in.size);
		free(p);
	}
}

static void a_half_block_is_kept_back(void **state)
{
	const struct bytes in = stream();
	struct pcapng *p = calloc(1, sizeof(*p));
	struct bytes got = {.size = 0};
	struct pcapng_out out = {.write = keep, .context = &got};

	(void)state;
	assert_int_equal(pcapng_feed(p, in.data, in.size - 1, &out), 0);
	assert_int_equal(out.packets, 2);
	assert_int_equal(got.blocks, 5);
	assert_int_equal(pcapng_feed(p, in.data + in.size - 1, 1, &out), 0);
	assert_int_equal(got.blocks, 6);
	free(p);
}

static void no_packet_behind_the_last(void **state)
{
	const struct bytes in = stream();
	struct pcapng *p = calloc(1, sizeof(*p));
	struct bytes got = {.size = 0};
	struct pcapng_out out = {.packets_max = 1, .write = keep, .context = &got};

	(void)state;
	assert_int_equal(pcapng_feed(p, in.data, in.size, &out), 0);
	assert_int_equal(out.packets, 1);
	assert_int_equal(got.blocks, 4); /* what is no packet is harmless */
	free(p);
}

static void refused(uint32_t length, uint32_t length_again)
{
	struct pcapng *p = calloc(1, sizeof(*p));
	struct bytes got = {.size = 0};
	struct pcapng_out out = {.write = keep, .context = &got};
	uint8_t block[64] = {0};

	put_le32(block, 6);
	put_le32(block + 4, length);
	if (length >= 12 && length <= sizeof(block))
		put_le32(block + length - 4, length_again);
	assert_int_equal(pcapng_feed(p, block, sizeof(block), &out), -EINVAL);
	assert_int_equal(got.blocks, 0);
	free(p);
}

static void lengths_that_cannot_be(void **state)
{
	(void)state;
	refused(0, 0);
	refused(8, 8);
	refused(13, 13);
	refused(PCAPNG_BLOCK_MAX_BYTES + 4, 0);
	refused(UINT32_MAX - 3, 0);
	refused(32, 28);
}

static void an_error_of_the_writer_ends_it(void **state)
{
	const struct bytes in = stream();
	struct pcapng *p = calloc(1, sizeof(*p));
	struct bytes got = {.refuse = -ENOSPC};
	struct pcapng_out out = {.write = keep, .context = &got};

	(void)state;
	assert_int_equal(pcapng_feed(p, in.data, in.size, &out), -ENOSPC);
	assert_int_equal(got.blocks, 1);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_whole_however_they_come), cmocka_unit_test(a_half_block_is_kept_back),
		cmocka_unit_test(no_packet_behind_the_last),	      cmocka_unit_test(lengths_that_cannot_be),
		cmocka_unit_test(an_error_of_the_writer_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
