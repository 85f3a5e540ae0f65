/* A guest that breaks the rules: its queue stops, with a reason, and nothing else happens. */
#include "../cmocka_all.h"

#include <string.h>

#include "guest.h"

static struct guest guest, *const g = &guest;

static const struct guest_kind split = {.size = 64}, packed = {.size = 64, .packed = true};

enum {
	AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	USED = 1 << VRING_PACKED_DESC_F_USED,
	NEXT = VRING_DESC_F_NEXT,
	WRITE = VRING_DESC_F_WRITE,
	INDIRECT = VRING_DESC_F_INDIRECT
};

/* A good request first: it is served, whatever comes after it in the same batch. */
static void open_with_a_good_request(const struct guest_kind *kind)
{
	guest_open(g, kind);
	guest_start(g);
	guest_request(g, 0, VBLK_T_IN, 0, DATA, 512);
}

static void expect_broken(const char *why)
{
	uint32_t length;
	uint16_t id;

	guest_serve(g);
	assert_non_null(g->broken_why);
	assert_string_equal(g->broken_why, why);
	assert_true(guest_get(g, &id, &length));
	assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	assert_false(guest_get(g, &id, &length));
	/* It stays so, and says so once (guest.c checks that). */
	guest_request(g, 1, VBLK_T_IN, 0, DATA, 512);
	assert_int_equal(guest_serve(g), 0);
	assert_false(guest_get(g, &id, &length));
	assert_true(virtqueue_arm(g->vq));
	guest_stop(g);
	assert_int_equal(g->state.queues[0].broken, 1);
	guest_close(g);
}

static void make_head_available(uint16_t head)
{
	g->avail->ring[g->next_avail++ % g->kind.size] = head;
	__atomic_store_n(&g->avail->idx, g->next_avail, __ATOMIC_RELEASE);
}

static void put_desc(uint16_t at, uint64_t addr, uint32_t length, uint16_t flags, uint16_t next)
{
	g->desc[at] = (struct vring_desc){.addr = addr, .len = length, .flags = flags, .next = next};
}

static void put_slot(uint64_t addr, uint32_t length, uint16_t flags)
{
	g->ring[g->next_avail] = (struct vring_packed_desc){
		.addr = addr, .len = length, .id = 9, .flags = (uint16_t)(flags | (g->avail_wrap ? AVAIL : USED))};
	if (++g->next_avail == g->kind.size) {
		g->next_avail = 0;
		g->avail_wrap = !g->avail_wrap;
	}
}

/* ---- split ---- */

static void test_split_head_beyond_the_table(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	make_head_available(64);
	expect_broken("a head in the available ring is beyond the descriptor table");
}

static void test_split_index_jumps(void **state)
{
	uint32_t length;
	uint16_t id;

	(void)state;
	guest_open(g, &split);
	guest_start(g);
	__atomic_store_n(&g->avail->idx, 65, __ATOMIC_RELEASE);
	assert_int_equal(guest_serve(g), 0);
	assert_string_equal(g->broken_why, "the available index jumped by more than the size of the ring");
	assert_false(guest_get(g, &id, &length));
	guest_close(g);
}

static void test_split_index_jumps_over_what_is_in_flight(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	g->target.hold = true;
	assert_int_equal(guest_serve(g), 1);
	__atomic_store_n(&g->avail->idx, 65, __ATOMIC_RELEASE); /* 64 fresh ones beside the one in flight */
	guest_serve(g);
	assert_string_equal(g->broken_why, "the available index jumped by more than the size of the ring");
	target_release(g, 1);
	assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	guest_close(g);
}

static void test_split_index_goes_back(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	guest_serve(g);
	__atomic_store_n(&g->avail->idx, 0, __ATOMIC_RELEASE);
	guest_serve(g);
	assert_string_equal(g->broken_why, "the available index jumped by more than the size of the ring");
	guest_close(g);
}

static void test_split_loop(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	put_desc(10, HEADERS, 16, NEXT, 11);
	put_desc(11, DATA, 512, NEXT, 10);
	make_head_available(10);
	expect_broken("a chain longer than the ring, or a loop");
	open_with_a_good_request(&split);
	put_desc(10, HEADERS, 16, NEXT, 10);
	make_head_available(10);
	expect_broken("a chain longer than the ring, or a loop");
}

static void test_split_next_beyond_the_table(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	put_desc(10, HEADERS, 16, NEXT, 64);
	make_head_available(10);
	expect_broken("a descriptor that leads out of the table");
	/* The same where the usual shape is looked for. */
	open_with_a_good_request(&split);
	put_desc(10, HEADERS, 16, NEXT, 11);
	put_desc(11, DATA, 512, NEXT | WRITE, 0xffff);
	make_head_available(10);
	expect_broken("a descriptor that leads out of the table");
}

static void test_split_head_in_flight_again(void **state)
{
	uint32_t length;
	uint16_t id;

	(void)state;
	open_with_a_good_request(&split);
	g->target.hold = true;
	id = guest_request(g, 1, VBLK_T_IN, 0, DATA, 512);
	make_head_available(id);
	assert_int_equal(guest_serve(g), 2);
	assert_string_equal(g->broken_why, "a head was made available while it was in flight");
	target_release(g, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(guest_status(g, i), VBLK_S_OK);
		assert_true(guest_get(g, &id, &length));
	}
	assert_false(guest_get(g, &id, &length));
	guest_close(g);
}

static void test_split_readable_after_writable(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	put_desc(10, HEADERS, 16, NEXT, 11);
	put_desc(11, DATA, 512, NEXT | WRITE, 12);
	put_desc(12, STATUSES, 1, NEXT, 13);
	put_desc(13, STATUSES, 1, WRITE, 0);
	make_head_available(10);
	expect_broken("a readable descriptor after a writable one");
}

static void expect_bad_table(uint64_t addr, uint32_t length, uint16_t flags, const char *why)
{
	const struct vring_desc whole[3] = {{.addr = HEADERS, .len = 16, .flags = NEXT, .next = 1},
					    {.addr = DATA, .len = 512, .flags = NEXT | WRITE, .next = 2},
					    {.addr = STATUSES, .len = 1, .flags = WRITE}};

	open_with_a_good_request(&split);
	memcpy(guest_at(g, TABLES), whole, sizeof(whole));
	memcpy(guest_at(g, REGION_NEXT + REGION_BYTES - 32), whole, 32);
	put_desc(10, addr, length, flags, 0);
	make_head_available(10);
	expect_broken(why);
}

static void test_split_bad_tables(void **state)
{
	const char *length = "an indirect table that is empty, too long, or not a whole number of descriptors";

	(void)state;
	expect_bad_table(TABLES, 0, INDIRECT, length);
	expect_bad_table(TABLES, 47, INDIRECT, length);
	expect_bad_table(TABLES, 16 * 129, INDIRECT, length);
	expect_bad_table(TABLES, UINT32_MAX - 15, INDIRECT, length);
	expect_bad_table(TABLES, 48, INDIRECT | NEXT, "a descriptor with both NEXT and INDIRECT");
	expect_bad_table(UINT64_C(1) << 40, 48, INDIRECT, "an indirect table outside the guest's memory");
	expect_bad_table(REGION_NEXT + REGION_BYTES - 32, 48, INDIRECT, "an indirect table outside the guest's memory");
	expect_bad_table(UINT64_MAX - 15, 48, INDIRECT, "an indirect table outside the guest's memory");
}

static void expect_bad_entry(const struct vring_desc *entry, const char *why)
{
	open_with_a_good_request(&split);
	memcpy(guest_at(g, TABLES), entry, sizeof(*entry));
	memcpy((uint8_t *)guest_at(g, TABLES) + 16, entry, sizeof(*entry));
	memcpy((uint8_t *)guest_at(g, TABLES) + 32, entry, sizeof(*entry));
	put_desc(10, TABLES, 48, INDIRECT, 0);
	make_head_available(10);
	expect_broken(why);
}

static void test_split_bad_entries_of_a_table(void **state)
{
	(void)state;
	expect_bad_entry(&(struct vring_desc){.addr = TABLES, .len = 48, .flags = INDIRECT},
			 "an indirect table within an indirect table");
	expect_bad_entry(&(struct vring_desc){.addr = HEADERS, .len = 16, .flags = NEXT, .next = 3},
			 "an indirect descriptor that leads out of its table");
	expect_bad_entry(&(struct vring_desc){.addr = HEADERS, .len = 16, .flags = NEXT, .next = 1}, "a loop in an indirect table");
}

/* 2.7.5.3.2: ordinary descriptors, then one that refers to a table. */
static void test_split_table_at_the_end_of_a_chain(void **state)
{
	const struct vring_desc rest[2] = {{.addr = DATA, .len = 512, .flags = NEXT | WRITE, .next = 1},
					   {.addr = STATUSES, .len = 1, .flags = WRITE}};
	uint32_t length = 0;
	uint16_t id = 0;

	(void)state;
	guest_open(g, &split);
	guest_start(g);
	memset(g->target.bytes + 512, 0x77, 512);
	guest_header(g, HEADERS, VBLK_T_IN, 1);
	memcpy(guest_at(g, TABLES), rest, sizeof(rest));
	put_desc(10, HEADERS, 16, NEXT, 11);
	put_desc(11, TABLES, 32, INDIRECT | WRITE, 0); /* WRITE means nothing here */
	make_head_available(10);
	assert_int_equal(guest_serve(g), 1);
	g->slots_of[10] = 0;
	assert_true(guest_get(g, &id, &length));
	assert_int_equal(length, 513);
	assert_int_equal(((uint8_t *)guest_at(g, DATA))[511], 0x77);
	guest_close(g);
}

/* Each within its bounds, together too long. */
static void test_split_chain_and_table_too_long(void **state)
{
	(void)state;
	open_with_a_good_request(&split);
	for (uint16_t i = 10; i < 20; i++)
		put_desc(i, HEADERS, 1, NEXT, (uint16_t)(i + 1));
	put_desc(20, TABLES, 128 * 16, INDIRECT, 0);
	for (uint16_t i = 0; i < 128; i++)
		((struct vring_desc *)guest_at(g, TABLES))[i] =
			(struct vring_desc){.addr = DATA, .len = 1, .flags = i < 127 ? NEXT : 0, .next = (uint16_t)(i + 1)};
	make_head_available(10);
	expect_broken("a chain longer than the ring, or a loop");
}

static void test_split_indirect_not_negotiated(void **state)
{
	(void)state;
	guest_open(g, &split);
	g->state.features &= ~BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	guest_start(g);
	guest_request(g, 0, VBLK_T_IN, 0, DATA, 512);
	put_desc(10, TABLES, 48, INDIRECT, 0);
	make_head_available(10);
	expect_broken("an indirect table though INDIRECT_DESC was not negotiated");
}

/* Linux: seg_max + 2 entries in a table, however small the ring. */
static void test_table_longer_than_the_ring(void **state)
{
	const struct guest_kind small[] = {{.size = 8, .indirect = true}, {.size = 8, .indirect = true, .packed = true}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct buffer b[128];
		uint32_t length = 0;
		uint16_t id;

		guest_open(g, &small[k]);
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		b[0] = (struct buffer){.addr = HEADERS, .length = 16};
		for (unsigned i = 0; i < VIRTIO_BLK_SEG_MAX; i++)
			b[1 + i] = (struct buffer){.addr = DATA + i * 1024, .length = 512, .writable = true};
		b[127] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		guest_put(g, b, 128);
		assert_int_equal(guest_serve(g), 1);
		assert_int_equal(g->target.log[0].iov_count, VIRTIO_BLK_SEG_MAX);
		assert_true(guest_get(g, &id, &length));
		assert_int_equal(length, VIRTIO_BLK_SEG_MAX * 512 + 1);
		guest_close(g);
	}
}

/* ---- packed ---- */

static void test_packed_chain_longer_than_the_ring(void **state)
{
	(void)state;
	guest_open(g, &packed);
	guest_start(g);
	for (unsigned i = 0; i < 64; i++)
		put_slot(HEADERS, 16, NEXT);
	assert_int_equal(guest_serve(g), 0);
	assert_string_equal(g->broken_why, "a chain longer than the ring");
	guest_close(g);
}

/* A chain that would reach into slots that are in flight. */
static void test_packed_chain_over_what_is_in_flight(void **state)
{
	(void)state;
	open_with_a_good_request(&packed);
	g->target.hold = true;
	assert_int_equal(guest_serve(g), 1);
	for (unsigned i = 0; i < 62; i++)
		put_slot(HEADERS, 16, NEXT);
	guest_serve(g);
	assert_string_equal(g->broken_why, "a chain longer than the ring");
	target_release(g, 1);
	assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	guest_close(g);
}

/* Every slot is in flight, and the driver makes the first available again: for the next lap. */
static void test_packed_lap_over_what_is_in_flight(void **state)
{
	(void)state;
	guest_open(g, &packed);
	guest_start(g);
	g->target.hold = true;
	for (unsigned i = 0; i < 32; i++) {
		guest_header(g, HEADERS, VBLK_T_FLUSH, 0);
		put_slot(HEADERS, 16, NEXT);
		put_slot(STATUSES, 1, WRITE);
	}
	guest_serve(g);
	assert_int_equal(virtqueue_in_flight(g->vq), 32);
	put_slot(HEADERS, 16, NEXT);
	guest_serve(g);
	assert_string_equal(g->broken_why, "a chain longer than the ring");
	guest_close(g);
}

static void test_packed_readable_after_writable(void **state)
{
	(void)state;
	open_with_a_good_request(&packed);
	put_slot(HEADERS, 16, NEXT | WRITE);
	put_slot(DATA, 512, NEXT);
	put_slot(STATUSES, 1, WRITE);
	expect_broken("a readable descriptor after a writable one");
}

static void test_packed_bad_tables(void **state)
{
	const char *length = "an indirect table that is empty, too long, or not a whole number of descriptors";
	const struct {
		uint64_t addr;
		uint32_t length;
		const char *why;
	} bad[] = {
		{TABLES, 0, length},
		{TABLES, 15, length},
		{TABLES, 129 * 16, length},
		{UINT64_C(1) << 40, 48, "an indirect table outside the guest's memory"},
		{REGION_NEXT + REGION_BYTES - 16, 48, "an indirect table outside the guest's memory"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_with_a_good_request(&packed);
		put_slot(bad[i].addr, bad[i].length, INDIRECT);
		expect_broken(bad[i].why);
	}
	open_with_a_good_request(&packed);
	put_slot(TABLES, 48, INDIRECT | NEXT);
	put_slot(STATUSES, 1, WRITE);
	expect_broken("a descriptor with both NEXT and INDIRECT");
}

static void test_packed_indirect_not_negotiated(void **state)
{
	(void)state;
	guest_open(g, &packed);
	g->state.features &= ~BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	guest_start(g);
	guest_request(g, 0, VBLK_T_IN, 0, DATA, 512);
	put_slot(TABLES, 48, INDIRECT);
	expect_broken("an indirect table though INDIRECT_DESC was not negotiated");
}

/* 2.8.7: flags other than WRITE are ignored in a table. */
static void test_packed_flags_in_a_table_mean_nothing(void **state)
{
	const struct vring_packed_desc table[3] = {{.addr = HEADERS, .len = 16, .flags = INDIRECT},
						   {.addr = DATA, .len = 512, .flags = WRITE | NEXT | AVAIL},
						   {.addr = STATUSES, .len = 1, .flags = WRITE | NEXT | INDIRECT | USED}};

	(void)state;
	guest_open(g, &packed);
	guest_start(g);
	guest_header(g, HEADERS, VBLK_T_IN, 0);
	*(uint8_t *)guest_at(g, STATUSES) = 0xff;
	memcpy(guest_at(g, TABLES), table, sizeof(table));
	put_slot(TABLES, 48, INDIRECT);
	assert_int_equal(guest_serve(g), 1);
	assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	assert_null(g->broken_why);
	guest_close(g);
}

/* ---- requests: answered, and the queue goes on ---- */

static void expect_answer(const struct buffer *buffers, unsigned count, uint8_t status, uint32_t used)
{
	uint32_t length = 99;
	uint16_t id = 0;

	*(uint8_t *)guest_at(g, STATUSES) = 0xff;
	guest_put(g, buffers, count);
	assert_int_equal(guest_serve(g), 1);
	assert_true(guest_get(g, &id, &length));
	assert_int_equal(length, used);
	assert_int_equal(guest_status(g, 0), status);
	assert_null(g->broken_why);
}

static void test_buffers_outside_memory(void **state)
{
	const struct buffer status = {.addr = STATUSES, .length = 1, .writable = true}, header = {.addr = HEADERS, .length = 16};
	const uint64_t bad[] = {UINT64_C(1) << 40, UINT64_MAX - 100, REGION_NEXT + REGION_BYTES - 100, REGION_FAR - 100};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		for (unsigned i = 0; i < 4; i++) {
			const struct buffer data[3] = {header, {.addr = bad[i], .length = 512, .writable = true}, status};
			const struct buffer no_header[3] = {
				{.addr = UINT64_MAX - 8, .length = 16}, {.addr = DATA, .length = 512, .writable = true}, status};
			const struct buffer no_status[3] = {header,
							    {.addr = DATA, .length = 512, .writable = true},
							    {.addr = REGION_NEXT + REGION_BYTES, .length = 1, .writable = true}};

			expect_answer(data, 3, VBLK_S_IOERR, 0);
			expect_answer(no_header, 3, VBLK_S_IOERR, 0);
			expect_answer(no_status, 3, 0xff, 0);
		}
		assert_int_equal(g->target.ios, 0);
		assert_int_equal(virtqueue_accounts(g->vq)->errors, 12);
	}
}

static void test_id_outside_memory(void **state)
{
	const struct buffer b[3] = {{.addr = HEADERS, .length = 16},
				    {.addr = UINT64_C(1) << 40, .length = 20, .writable = true},
				    {.addr = STATUSES, .length = 1, .writable = true}};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_GET_ID, 0);
		expect_answer(b, 3, VBLK_S_IOERR, 0);
	}
}

static void test_no_byte_for_a_status(void **state)
{
	const struct buffer only_readable[2] = {{.addr = HEADERS, .length = 16}, {.addr = DATA, .length = 512}};
	const struct buffer empty_writable[2] = {{.addr = HEADERS, .length = 16},
						 {.addr = STATUSES, .length = 0, .writable = true}};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_OUT, 0);
		expect_answer(only_readable, 2, 0xff, 0);
		expect_answer(empty_writable, 2, 0xff, 0);
		assert_int_equal(g->target.ios, 0);
	}
}

static void test_short_header(void **state)
{
	const struct buffer b[2] = {{.addr = HEADERS, .length = 15}, {.addr = STATUSES, .length = 1, .writable = true}};
	const struct buffer none[1] = {{.addr = STATUSES, .length = 1, .writable = true}};

	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_FLUSH, 0);
		expect_answer(b, 2, VBLK_S_IOERR, 1);
		expect_answer(none, 1, VBLK_S_IOERR, 1);
	}
}

/* Header, data and status all in one place: the guest's own affair. */
static void test_overlapping_buffers(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		const struct buffer b[3] = {{.addr = HEADERS, .length = 16},
					    {.addr = HEADERS - 256, .length = 512, .writable = true},
					    {.addr = HEADERS, .length = 1, .writable = true}};
		uint32_t length = 0;
		uint16_t id;

		guest_start(g);
		memset(g->target.bytes, 0x66, 512);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		guest_put(g, b, 3);
		assert_int_equal(guest_serve(g), 1);
		assert_true(guest_get(g, &id, &length));
		assert_int_equal(length, 513);
		assert_int_equal(*(uint8_t *)guest_at(g, HEADERS), VBLK_S_OK);
		assert_int_equal(*(uint8_t *)guest_at(g, HEADERS + 1), 0x66);
	}
}

/* More pieces than seg_max allows, each in another place: refused, not served in part. */
static void test_too_many_segments(void **state)
{
	const struct guest_kind big[] = {{.size = 1024}, {.size = 1024, .packed = true}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		static struct buffer b[302];

		guest_open(g, &big[k]);
		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		b[0] = (struct buffer){.addr = HEADERS, .length = 16};
		for (unsigned i = 0; i < 300; i++)
			b[1 + i] = (struct buffer){.addr = DATA + (i % 2) * 8192, .length = 512, .writable = true};
		b[301] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		expect_answer(b, 302, VBLK_S_IOERR, 0);
		expect_answer(b, 302, VBLK_S_IOERR, 0);
		assert_int_equal(g->target.ios, 0);
		guest_close(g);
	}
}

/* A length that with others passes 2^32 and 2^63 is a length like any other: beyond the device. */
static void test_giant_lengths(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct buffer b[10];

		guest_start(g);
		guest_header(g, HEADERS, VBLK_T_IN, 0);
		b[0] = (struct buffer){.addr = HEADERS, .length = 16};
		for (unsigned i = 1; i < 9; i++)
			b[i] = (struct buffer){.addr = DATA, .length = 0xfffffe00, .writable = true};
		b[9] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		expect_answer(b, 10, VBLK_S_IOERR, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_head_beyond_the_table),
		cmocka_unit_test(test_split_index_jumps),
		cmocka_unit_test(test_split_index_jumps_over_what_is_in_flight),
		cmocka_unit_test(test_split_index_goes_back),
		cmocka_unit_test(test_split_loop),
		cmocka_unit_test(test_split_next_beyond_the_table),
		cmocka_unit_test(test_split_head_in_flight_again),
		cmocka_unit_test(test_split_readable_after_writable),
		cmocka_unit_test(test_split_bad_tables),
		cmocka_unit_test(test_split_bad_entries_of_a_table),
		cmocka_unit_test(test_split_table_at_the_end_of_a_chain),
		cmocka_unit_test(test_split_chain_and_table_too_long),
		cmocka_unit_test(test_split_indirect_not_negotiated),
		cmocka_unit_test(test_table_longer_than_the_ring),
		cmocka_unit_test(test_packed_chain_longer_than_the_ring),
		cmocka_unit_test(test_packed_chain_over_what_is_in_flight),
		cmocka_unit_test(test_packed_lap_over_what_is_in_flight),
		cmocka_unit_test(test_packed_readable_after_writable),
		cmocka_unit_test(test_packed_bad_tables),
		cmocka_unit_test(test_packed_indirect_not_negotiated),
		cmocka_unit_test(test_packed_flags_in_a_table_mean_nothing),
		cmocka_unit_test(test_buffers_outside_memory),
		cmocka_unit_test(test_id_outside_memory),
		cmocka_unit_test(test_no_byte_for_a_status),
		cmocka_unit_test(test_short_header),
		cmocka_unit_test(test_overlapping_buffers),
		cmocka_unit_test(test_too_many_segments),
		cmocka_unit_test(test_giant_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
