/*
 * Every combination of back end, encryption and block size against a model in memory: random operations of random length and
 * cutting, several in flight at a time on ranges that do not overlap.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

enum {
	SIZE_BYTES = 4 << 20,
	LANES = 8, /* requests in flight, each in its own eighth of the volume */
	LANE_BYTES = SIZE_BYTES / LANES,
	ROUNDS = 400,
};

struct lane {
	struct rig_io request;
	uint8_t *memory; /* guest's, LANE_BYTES + room to misalign */
	uint8_t *at;
	uint64_t offset_bytes, length_bytes;
};

static uint8_t *model;

static void *take(size_t bytes)
{
	void *memory = aligned_alloc(4096, bytes);

	assert_non_null(memory);
	return memory;
}

static void lane_start(struct rig *rig, struct lane *lane, unsigned index, uint32_t block)
{
	static const enum blk_op ops[] = {BLK_READ,  BLK_READ,	       BLK_READ,    BLK_WRITE, BLK_WRITE,
					  BLK_WRITE, BLK_WRITE_ZEROES, BLK_DISCARD, BLK_FLUSH};
	uint32_t blocks = LANE_BYTES / block, first = (uint32_t)(rig_random() % blocks);
	uint32_t limit = rig_random() % 4 == 0 ? blocks : 16, cut = 1u << (rig_random() % 18);
	enum blk_op op = ops[rig_random() % (sizeof(ops) / sizeof(ops[0]))];

	lane->offset_bytes = (uint64_t)index * LANE_BYTES + (uint64_t)first * block;
	lane->length_bytes = (1 + rig_random() % (blocks - first < limit ? blocks - first : limit)) * block;
	lane->at = lane->memory + (rig_random() % 2 ? 0 : rig_random() % 4096);
	if (op == BLK_FLUSH)
		lane->length_bytes = lane->offset_bytes = 0;
	if (op == BLK_WRITE)
		rig_fill(lane->at, lane->length_bytes);
	rig_io_init(&lane->request, op, lane->offset_bytes, lane->at, lane->length_bytes);
	if (op <= BLK_WRITE && cut * 512ull > lane->length_bytes)
		rig_io_cut(&lane->request, cut, rig_random() % 2 ? 1 : 512 < cut ? 512 : 1);
	lane->request.io.flags = (uint8_t)(rig_random() % 4);
	rig_submit(rig, &lane->request);
}

static void lane_end(struct rig *rig, struct lane *lane, bool encrypted)
{
	uint8_t *expected = model + lane->offset_bytes;
	enum blk_op op;

	rig_wait(rig, &lane->request);
	assert_int_equal(lane->request.io.error, 0);
	op = lane->request.io.op;
	if (op == BLK_READ)
		assert_memory_equal(lane->at, expected, lane->length_bytes);
	else if (op == BLK_WRITE)
		memcpy(expected, lane->at, lane->length_bytes);
	else if (op == BLK_WRITE_ZEROES || (op == BLK_DISCARD && !encrypted))
		memset(expected, 0, lane->length_bytes);
	else if (op == BLK_DISCARD) /* undefined: whatever it is, it must stay that */
		assert_int_equal(rig_run(rig, BLK_READ, 0, lane->offset_bytes, expected, lane->length_bytes), 0);
}

static void run(const struct rig_volume *what, uint64_t buffer_bytes, unsigned ring_entries)
{
	static struct lane lanes[LANES];
	uint8_t *all = take(SIZE_BYTES);
	struct rig rig;

	model = take(SIZE_BYTES);
	rig_engine(&rig, buffer_bytes, ring_entries);
	rig_open(&rig, what);
	for (unsigned i = 0; i < LANES; i++)
		lanes[i].memory = take(LANE_BYTES + 4096);
	memset(all, 0xa5, SIZE_BYTES);
	memset(model, 0, SIZE_BYTES);
	assert_int_equal(rig_run(&rig, BLK_WRITE_ZEROES, 0, 0, NULL, SIZE_BYTES), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < LANES; i++)
			lane_start(&rig, &lanes[i], i, what->block_size_bytes);
		for (unsigned i = 0; i < LANES; i++)
			lane_end(&rig, &lanes[i], what->encrypted);
	}
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, all, SIZE_BYTES), 0);
	assert_memory_equal(all, model, SIZE_BYTES);
	assert_int_equal(volume_engine_in_flight(rig.engine), 0);
	rig_close(&rig);
	rig_engine_free(&rig);
	for (unsigned i = 0; i < LANES; i++)
		free(lanes[i].memory);
	free(model);
	free(all);
}

static void run_all(enum volume_backend backend, const char *folder, bool huge, uint64_t buffer_bytes, unsigned ring_entries)
{
	for (unsigned i = 0; i < 4; i++)
		run(&(struct rig_volume){.backend = backend,
					 .size_bytes = SIZE_BYTES,
					 .block_size_bytes = i & 1 ? 512 : 4096,
					 .encrypted = i & 2,
					 .huge = huge,
					 .folder = folder},
		    buffer_bytes, ring_entries);
}

static void memory_follows_the_model(void **state)
{
	(void)state;
	run_all(VOLUME_MEMORY, NULL, false, 4 << 20, 64);
}

static void huge_memory_follows_the_model(void **state)
{
	(void)state;
	run_all(VOLUME_MEMORY, NULL, true, 4 << 20, 64);
}

static void file_on_disk_follows_the_model(void **state)
{
	(void)state;
	run_all(VOLUME_FILE, "/var/tmp", false, 16 << 20, 128);
}

/* tmpfs has no ZERO_RANGE: the way down to written zeroes. */
static void file_on_tmpfs_follows_the_model(void **state)
{
	(void)state;
	run_all(VOLUME_FILE, "/dev/shm", false, 16 << 20, 128);
}

/* The smallest engine there is: nearly everything waits for a piece or for a buffer. */
static void smallest_engine_follows_the_model(void **state)
{
	(void)state;
	run_all(VOLUME_FILE, "/dev/shm", false, 0, 2);
	run_all(VOLUME_MEMORY, NULL, false, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_follows_the_model),	     cmocka_unit_test(huge_memory_follows_the_model),
		cmocka_unit_test(file_on_disk_follows_the_model),    cmocka_unit_test(file_on_tmpfs_follows_the_model),
		cmocka_unit_test(smallest_engine_follows_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
