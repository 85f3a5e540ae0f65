/* Requests as an honest driver makes them, over every kind of ring. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "guest.h"

static struct guest guest, *const g = &guest;

static void expect_one(uint16_t id, uint32_t length)
{
	uint32_t got_length = 0;
	uint16_t got = 0;

	assert_true(guest_get(g, &got, &got_length));
	assert_int_equal(got, id);
	assert_int_equal(got_length, length);
	assert_false(guest_get(g, &got, &got_length));
}

/* One request from start to end: its status and used length. */
static void expect(uint32_t type, uint64_t sector, uint32_t length, uint8_t status, uint32_t used)
{
	uint16_t id = guest_request(g, 0, type, sector, DATA, length);

	assert_int_equal(guest_serve(g), 1);
	assert_int_equal(guest_status(g, 0), status);
	expect_one(id, used);
	assert_null(g->broken_why);
}

static void test_read_and_write(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		uint8_t *data = guest_at(g, DATA);

		guest_start(g);
		for (unsigned i = 0; i < 4096; i++)
			data[i] = (uint8_t)(i * 7);
		expect(VBLK_T_OUT, 8, 4096, VBLK_S_OK, 1);
		assert_memory_equal(g->target.bytes + 4096, data, 4096);
		memset(data, 0, 4096);
		expect(VBLK_T_IN, 8, 4096, VBLK_S_OK, 4097);
		assert_memory_equal(g->target.bytes + 4096, data, 4096);
	}
}

/* Past 65,536 requests, so that the split ring's index wraps, and the packed ring's slots many times. */
static void test_many_laps(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		unsigned depth = g->kind.size / (g->kind.indirect ? 1u : 3u), n = 0, got = 0;

		guest_start(g);
		for (unsigned i = 0; i < TARGET_BYTES / 512; i++)
			memset(g->target.bytes + i * 512, (int)(i & 0xff), 512);
		while (got < 70000) {
			for (unsigned k = 0; k < depth; k++, n++)
				guest_request(g, k, VBLK_T_IN, n % 2000, DATA + k * 512u, 512);
			guest_serve(g);
			for (unsigned k = 0; k < depth; k++, got++) {
				uint32_t length;
				uint16_t id;

				assert_true(guest_get(g, &id, &length));
				assert_int_equal(length, 513);
				assert_int_equal(guest_status(g, k), VBLK_S_OK);
				assert_int_equal(*(uint8_t *)guest_at(g, DATA + k * 512u + 511), ((n - depth + k) % 2000) & 0xff);
			}
		}
		assert_int_equal(virtqueue_in_flight(g->vq), 0);
		assert_null(g->broken_why);
	}
}

static void test_completion_out_of_order(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		uint16_t ids[12], id;
		uint32_t length;

		guest_start(g);
		g->target.hold = true;
		for (unsigned i = 0; i < 12; i++)
			ids[i] = guest_request(g, i, VBLK_T_IN, i, DATA + i * 512u, 512);
		assert_int_equal(guest_serve(g), 12);
		assert_int_equal(virtqueue_in_flight(g->vq), 12);
		assert_false(guest_get(g, &id, &length));
		target_release(g, -1);
		for (unsigned i = 12; i-- > 0;) {
			assert_true(guest_get(g, &id, &length));
			assert_int_equal(id, ids[i]);
		}
		assert_int_equal(virtqueue_in_flight(g->vq), 0);
	}
}

static void test_flush(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		expect(VBLK_T_FLUSH, 0, 0, VBLK_S_OK, 1);
		assert_int_equal(g->target.log[0].op, BLK_FLUSH);
	}
}

static void test_get_id(void **state)
{
	static const uint32_t lengths[] = {20, 7, 64}, used[] = {21, 8, 20};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		for (unsigned i = 0; i < 3; i++) {
			uint8_t *data = guest_at(g, DATA);

			memset(data, 0xee, 64);
			expect(VBLK_T_GET_ID, 0, lengths[i], VBLK_S_OK, used[i]);
			assert_memory_equal(data, "a-serial-of-20-bytes", lengths[i] < 20 ? lengths[i] : 20);
			assert_int_equal(data[lengths[i] < 20 ? lengths[i] : 20], 0xee);
		}
		assert_int_equal(g->target.ios, 0);
	}
}

static void test_unknown_type_is_unsupported(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		expect(0x80000000u, 0, 0, VBLK_S_UNSUPP, 1);
		expect(2, 0, 512, VBLK_S_UNSUPP, 1);
		assert_int_equal(virtqueue_accounts(g->vq)->unsupported, 2);
		assert_int_equal(g->target.ios, 0);
	}
}

static void test_out_of_range(void **state)
{
	const uint64_t sectors = TARGET_BYTES / 512;

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		expect(VBLK_T_IN, sectors - 1, 512, VBLK_S_OK, 513);
		expect(VBLK_T_IN, sectors - 1, 1024, VBLK_S_IOERR, 0);
		expect(VBLK_T_OUT, sectors, 512, VBLK_S_IOERR, 1);
		expect(VBLK_T_IN, UINT64_MAX, 512, VBLK_S_IOERR, 0);
		expect(VBLK_T_IN, UINT64_C(1) << 55, 512, VBLK_S_IOERR, 0);
		expect(VBLK_T_OUT, (UINT64_MAX >> 9) + 1, 512, VBLK_S_IOERR, 1);
		assert_int_equal(g->target.ios, 1);
		assert_int_equal(virtqueue_accounts(g->vq)->errors, 5);
	}
}

static void test_capacity_grows_while_served(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		g->target.target.capacity_bytes = TARGET_BYTES / 2;
		guest_start(g);
		expect(VBLK_T_IN, TARGET_BYTES / 1024, 512, VBLK_S_IOERR, 0);
		g->target.target.capacity_bytes = TARGET_BYTES;
		expect(VBLK_T_IN, TARGET_BYTES / 1024, 512, VBLK_S_OK, 513);
	}
}

static void test_misaligned(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		expect(VBLK_T_IN, 0, 511, VBLK_S_IOERR, 0);
		expect(VBLK_T_OUT, 0, 513, VBLK_S_IOERR, 1);
		g->target.target.block_size_bytes = 4096;
		expect(VBLK_T_IN, 1, 4096, VBLK_S_IOERR, 0);
		expect(VBLK_T_IN, 8, 512, VBLK_S_IOERR, 0);
		expect(VBLK_T_IN, 8, 4096, VBLK_S_OK, 4097);
		assert_int_equal(g->target.ios, 1);
	}
}

static void test_read_only(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		g->target.target.read_only = 1;
		guest_start(g);
		expect(VBLK_T_OUT, 0, 512, VBLK_S_IOERR, 1);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_IOERR, 1);
		expect(VBLK_T_WRITE_ZEROES, 0, 16, VBLK_S_IOERR, 1);
		expect(VBLK_T_IN, 0, 512, VBLK_S_OK, 513);
		expect(VBLK_T_FLUSH, 0, 0, VBLK_S_OK, 1);
	}
}

static void test_empty_data(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		expect(VBLK_T_IN, 0, 0, VBLK_S_OK, 1);
		expect(VBLK_T_OUT, 0, 0, VBLK_S_OK, 1);
		assert_int_equal(g->target.ios, 0);
	}
}

static void test_target_errors_reach_the_guest(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		g->target.error = -EIO;
		expect(VBLK_T_IN, 0, 512, VBLK_S_IOERR, 0);
		expect(VBLK_T_OUT, 0, 512, VBLK_S_IOERR, 1);
		g->target.error = -EOPNOTSUPP;
		expect(VBLK_T_FLUSH, 0, 0, VBLK_S_UNSUPP, 1);
		g->target.error = 0;
		expect(VBLK_T_IN, 0, 512, VBLK_S_OK, 513);
		assert_int_equal(virtqueue_accounts(g->vq)->errors, 2);
	}
}

/* ---- DISCARD and its like ---- */

static void put_range(unsigned n, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	uint8_t *p = (uint8_t *)guest_at(g, DATA) + n * 16;

	memcpy(p, &sector, 8);
	memcpy(p + 8, &sectors, 4);
	memcpy(p + 12, &flags, 4);
}

static void test_ranges(void **state)
{
	static const uint32_t types[] = {VBLK_T_DISCARD, VBLK_T_WRITE_ZEROES, VBLK_T_SECURE_ERASE};
	static const uint8_t ops[] = {BLK_DISCARD, BLK_WRITE_ZEROES, BLK_SECURE_ERASE};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		for (unsigned k = 0; k < 3; k++) {
			memset(g->target.bytes, 0x55, TARGET_BYTES);
			put_range(0, 4, 2, 0);
			g->target.ios = 0;
			expect(types[k], 0, 16, VBLK_S_OK, 1);
			assert_int_equal(g->target.ios, 1);
			assert_int_equal(g->target.log[0].op, ops[k]);
			assert_int_equal(g->target.bytes[4 * 512 - 1], 0x55);
			assert_int_equal(g->target.bytes[4 * 512], 0);
			assert_int_equal(g->target.bytes[6 * 512 - 1], 0);
			assert_int_equal(g->target.bytes[6 * 512], 0x55);
		}
	}
}

static void test_many_ranges(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		memset(g->target.bytes, 0x55, TARGET_BYTES);
		for (unsigned i = 0; i < 16; i++)
			put_range(i, i * 3, i == 5 ? 0 : 1, 0);
		expect(VBLK_T_DISCARD, 0, 256, VBLK_S_OK, 1);
		assert_int_equal(g->target.ios, 15); /* the empty one is none */
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(g->target.bytes[i * 1536], i == 5 ? 0x55 : 0);
		g->target.error = -EIO;
		expect(VBLK_T_DISCARD, 0, 256, VBLK_S_IOERR, 1);
		g->target.error = 0;
		put_range(0, 0, 0, 0);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_OK, 1);
	}
}

static void test_many_ranges_complete_later(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		uint16_t id;

		guest_start(g);
		g->target.hold = true;
		for (unsigned i = 0; i < 16; i++)
			put_range(i, i, 1, 0);
		id = guest_request(g, 0, VBLK_T_WRITE_ZEROES, 0, DATA, 256);
		assert_int_equal(guest_serve(g), 1);
		assert_int_equal(g->target.held_count, 16);
		assert_int_equal(guest_status(g, 0), 0xff);
		target_release(g, -1);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		expect_one(id, 1);
	}
}

static void test_bad_ranges(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		put_range(0, 0, 1, VBLK_RANGE_UNMAP);
		put_range(1, 0, 1, 0);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_UNSUPP, 1);
		expect(VBLK_T_SECURE_ERASE, 0, 16, VBLK_S_UNSUPP, 1);
		assert_int_equal(g->target.ios, 0);
		expect(VBLK_T_WRITE_ZEROES, 0, 16, VBLK_S_OK, 1);
		assert_int_equal(g->target.log[0].flags & BLK_IO_UNMAP, BLK_IO_UNMAP);
		put_range(1, 0, 1, 2);
		expect(VBLK_T_WRITE_ZEROES, 0, 32, VBLK_S_UNSUPP, 1);
		put_range(0, TARGET_BYTES / 512, 1, 0);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_IOERR, 1);
		put_range(0, UINT64_MAX, UINT32_MAX, 0);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_IOERR, 1);
		put_range(0, 0, VIRTIO_BLK_ZEROES_SECTORS_MAX + 1, 0);
		expect(VBLK_T_WRITE_ZEROES, 0, 16, VBLK_S_IOERR, 1);
		put_range(0, 0, 1, 0);
		expect(VBLK_T_DISCARD, 0, 0, VBLK_S_IOERR, 1);
		expect(VBLK_T_DISCARD, 0, 15, VBLK_S_IOERR, 1);
		expect(VBLK_T_DISCARD, 0, 17 * 16, VBLK_S_IOERR, 1);
		g->target.target.block_size_bytes = 4096;
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_IOERR, 1);
		assert_int_equal(g->target.ios, 1);
	}
}

static void test_ranges_need_their_feature(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		g->state.features &= ~(BIT64(VBLK_F_DISCARD) | BIT64(VBLK_F_WRITE_ZEROES) | BIT64(VBLK_F_SECURE_ERASE));
		guest_start(g);
		put_range(0, 0, 1, 0);
		expect(VBLK_T_DISCARD, 0, 16, VBLK_S_UNSUPP, 1);
		expect(VBLK_T_WRITE_ZEROES, 0, 16, VBLK_S_UNSUPP, 1);
		expect(VBLK_T_SECURE_ERASE, 0, 16, VBLK_S_UNSUPP, 1);
	}
}

/* ---- cuttings ---- */

static void write_pattern(uint64_t addr, unsigned length, unsigned seed)
{
	for (unsigned i = 0; i < length; i++)
		*(uint8_t *)guest_at(g, addr + i) = (uint8_t)(i * 13 + seed);
}

static void expect_pattern(uint64_t addr, unsigned length, unsigned seed)
{
	for (unsigned i = 0; i < length; i++)
		assert_int_equal(*(uint8_t *)guest_at(g, addr + i), (uint8_t)(i * 13 + seed));
}

/* Header and data in pieces of one byte, then the rest; pieces of each lie apart, so that none can be joined. */
static void test_one_byte_descriptors(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer b[64];
		uint8_t header[16], *status = guest_at(g, STATUSES);
		unsigned n = 0;
		uint16_t id;

		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_OUT, 3);
		memcpy(header, guest_at(g, HEADERS), 16);
		for (unsigned i = 0; i < 16; i++) {
			*(uint8_t *)guest_at(g, HEADERS + i * 2) = header[i];
			b[n++] = (struct buffer){.addr = HEADERS + i * 2, .length = 1};
		}
		for (unsigned i = 0; i < 20; i++) {
			*(uint8_t *)guest_at(g, DATA + i * 2) = (uint8_t)i;
			b[n++] = (struct buffer){.addr = DATA + i * 2, .length = 1};
		}
		write_pattern(DATA + 100, 492, 5);
		b[n++] = (struct buffer){.addr = DATA + 100, .length = 492};
		b[n++] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		*status = 0xff;
		id = guest_put(g, b, n);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 1);
		assert_int_equal(*status, VBLK_S_OK);
		assert_int_equal(g->target.log[0].iov_count, 21);
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(g->target.bytes[3 * 512 + i], i);
		for (unsigned i = 0; i < 492; i++)
			assert_int_equal(g->target.bytes[3 * 512 + 20 + i], (uint8_t)(i * 13 + 5));
	}
}

/* Header and data in one descriptor; data and status in one. */
static void test_joined_descriptors(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer write[] = {{.addr = DATA, .length = 16 + 512}, {.addr = STATUSES, .length = 1, .writable = true}};
		struct buffer read[] = {{.addr = HEADERS, .length = 16}, {.addr = DATA, .length = 513, .writable = true}};
		uint16_t id;

		guest_start(g);
		guest_header(g, DATA, VBLK_T_OUT, 7);
		write_pattern(DATA + 16, 512, 1);
		id = guest_put(g, write, 2);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 1);
		guest_header(g, HEADERS, VBLK_T_IN, 7);
		memset(guest_at(g, DATA), 0xff, 1024);
		id = guest_put(g, read, 2);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 513);
		expect_pattern(DATA, 512, 1);
		assert_int_equal(((uint8_t *)guest_at(g, DATA))[512], VBLK_S_OK);
		assert_int_equal(((uint8_t *)guest_at(g, DATA))[513], 0xff);
	}
}

/* The regions are neighbours in the guest and not in the host: header, data and table each lie across their border. */
static void test_straddling_regions(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		const uint64_t header = REGION_NEXT - 8, data = REGION_NEXT - 1024, data_length = 2048;
		struct buffer b[] = {{.addr = data, .length = data_length, .writable = true},
				     {.addr = STATUSES, .length = 1, .writable = true}};
		struct buffer w[] = {{.addr = header, .length = 16}, {.addr = STATUSES, .length = 1, .writable = true}};
		struct buffer r[] = {{.addr = HEADERS, .length = 16}, b[0], b[1]};
		uint16_t id;

		guest_start(g);
		for (unsigned i = 0; i < TARGET_BYTES; i++)
			g->target.bytes[i] = (uint8_t)(i * 13 + 9);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		id = guest_put(g, r, 3);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 2049);
		assert_int_equal(g->target.log[0].iov_count, 2);
		expect_pattern(data, data_length, 9);
		guest_header(g, header, VBLK_T_FLUSH, 0);
		id = guest_put(g, w, 2);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 1);
		assert_int_equal(g->target.log[1].op, BLK_FLUSH);
	}
}

/* Pieces that lie side by side are one. */
static void test_neighbouring_pieces_are_joined(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer b[6] = {{.addr = HEADERS, .length = 16}};
		uint16_t id;

		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		for (unsigned i = 0; i < 4; i++)
			b[1 + i] = (struct buffer){.addr = DATA + i * 128, .length = 128, .writable = true};
		b[5] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		id = guest_put(g, b, 6);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 513);
		assert_int_equal(g->target.log[0].iov_count, 1);
	}
}

static void test_empty_descriptors_are_passed_over(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer b[] = {{.addr = 0, .length = 0},
				     {.addr = HEADERS, .length = 16},
				     {.addr = ~UINT64_C(0), .length = 0},
				     {.addr = DATA, .length = 512, .writable = true},
				     {.addr = STATUSES, .length = 1, .writable = true},
				     {.addr = 5, .length = 0, .writable = true}};
		uint16_t id;

		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		id = guest_put(g, b, 6);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 513);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	}
}

/* A WRITE that has writable bytes before its status byte: nothing is written there, so nothing is said to be. */
static void test_needless_writable_bytes(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer b[] = {{.addr = HEADERS, .length = 16},
				     {.addr = DATA, .length = 512},
				     {.addr = DATA + 4096, .length = 100, .writable = true},
				     {.addr = STATUSES, .length = 1, .writable = true}};
		uint16_t id;

		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_OUT, 0);
		id = guest_put(g, b, 4);
		assert_int_equal(guest_serve(g), 1);
		expect_one(id, 0);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	}
}

/* ---- write cache ---- */

static bool durable(void)
{
	g->target.ios = 0;
	expect(VBLK_T_OUT, 0, 512, VBLK_S_OK, 1);
	return (g->target.log[0].flags & BLK_IO_DURABLE) != 0;
}

static void test_write_cache(void **state)
{
	const uint8_t off = 0, on = 1, odd = 2;
	uint8_t now = 9;

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		assert_false(durable());
		assert_int_equal(virtio_blk_config_read(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &now, 1), 0);
		assert_int_equal(now, 1);
		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &off, 1), 0);
		assert_true(durable());
		assert_int_equal(virtio_blk_config_read(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &now, 1), 0);
		assert_int_equal(now, 0);
		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &on, 1), 0);
		assert_false(durable());
		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &odd, 1), -EINVAL);
		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_BLK_SIZE, &on, 1), -EINVAL);
		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, "\1\1", 2), -EINVAL);
	}
}

static void test_no_flush_means_durable(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		g->state.features &= ~(BIT64(VBLK_F_FLUSH) | BIT64(VBLK_F_CONFIG_WCE));
		guest_start(g);
		assert_true(durable());
	}
	EACH_KIND(g)
	{
		uint8_t now = 9;

		g->state.features &= ~BIT64(VBLK_F_FLUSH);
		assert_int_equal(virtio_blk_config_read(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &now, 1), 0);
		assert_int_equal(now, 0);
		guest_start(g);
		assert_true(durable());
	}
	EACH_KIND(g)
	{
		g->state.features &= ~BIT64(VBLK_F_CONFIG_WCE);
		guest_start(g);
		assert_false(durable());
	}
}

static void test_write_cache_survives_a_successor(void **state)
{
	const uint8_t off = 0;

	(void)state;
	EACH_KIND(g)
	{
		struct virtio_blk_config config = {.target = &g->target.target, .serial = "", .queues_max = 1};

		assert_int_equal(virtio_blk_config_write(g->blk, &g->state, VBLK_CONFIG_WRITEBACK, &off, 1), 0);
		virtio_blk_free(g->blk);
		assert_int_equal(virtio_blk_create(&g->blk, &config), 0);
		guest_start(g);
		assert_true(durable());
	}
}

/* A driver from before VERSION_1 acknowledges none of what came later. */
static void test_legacy_driver(void **state)
{
	const struct guest_kind kind = {.size = 64};

	(void)state;
	guest_open(g, &kind);
	g->state.features = 0;
	guest_start(g);
	expect(VBLK_T_IN, 0, 512, VBLK_S_OK, 513);
	assert_true(durable());
	guest_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_many_laps),
		cmocka_unit_test(test_completion_out_of_order),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_unknown_type_is_unsupported),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_capacity_grows_while_served),
		cmocka_unit_test(test_misaligned),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_empty_data),
		cmocka_unit_test(test_target_errors_reach_the_guest),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_many_ranges_complete_later),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_ranges_need_their_feature),
		cmocka_unit_test(test_one_byte_descriptors),
		cmocka_unit_test(test_joined_descriptors),
		cmocka_unit_test(test_straddling_regions),
		cmocka_unit_test(test_neighbouring_pieces_are_joined),
		cmocka_unit_test(test_empty_descriptors_are_passed_over),
		cmocka_unit_test(test_needless_writable_bytes),
		cmocka_unit_test(test_write_cache),
		cmocka_unit_test(test_no_flush_means_durable),
		cmocka_unit_test(test_write_cache_survives_a_successor),
		cmocka_unit_test(test_legacy_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
