/*
 * What a file can do wrong, for real where that can be had (a full file system, a file cut short, memory that is gone), else put
 * into the completions: the request fails, the volume says so, nothing else stops.
 */
#include "rig.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE_BYTES = 16 << 20, MANY = 64 };

static uint8_t *memory; /* guest's, SIZE_BYTES */

/* What the hook in the completions does, and what it has seen. */
struct script {
	enum piece_op op; /* which pieces to change */
	int result;	  /* what they are to say; > 0: at most that much was moved */
	unsigned times;	  /* how many of them, from the first on */
	unsigned seen[PIECE_STEP + 1];
	unsigned durable;
	unsigned pieces_max;	/* of one volume */
	bool had_its_share;	/* of the buffers */
	uint64_t changed_bytes; /* where the last changed piece was */
	char order[64];		/* first letters of what completed: r w s p z */
};

static int play(void *context, const struct piece *piece, int result)
{
	struct script *script = context;
	const struct volume_engine *engine = piece->volume->engine;
	unsigned n = 0;

	if (piece->volume->pieces > script->pieces_max)
		script->pieces_max = piece->volume->pieces;
	script->had_its_share |= piece->volume->buffers >= engine->large.free_count + engine->small.free_count;
	for (unsigned i = 0; i <= PIECE_STEP; i++)
		n += script->seen[i];
	if (n + 1 < sizeof(script->order))
		script->order[n] = "rwspzn"[piece->op];
	script->seen[piece->op]++;
	script->durable += piece->durable;
	if (piece->op != script->op || script->times == 0)
		return result;
	script->times--;
	script->changed_bytes = piece->offset_bytes;
	if (script->result > 0 && result >= 0)
		return result < script->result ? result : script->result;
	return script->result;
}

static void start(struct rig *rig, struct script *script, bool encrypted, const char *folder)
{
	rig_engine(rig, 4 << 20, 64);
	rig_open(rig, &(struct rig_volume){.backend = VOLUME_FILE,
					   .size_bytes = SIZE_BYTES,
					   .block_size_bytes = 4096,
					   .encrypted = encrypted,
					   .folder = folder});
	if (script != NULL) {
		rig->engine->fault = play;
		rig->engine->fault_context = script;
	}
}

static void end(struct rig *rig)
{
	rig_close(rig);
	rig_engine_free(rig);
}

static void expect_health(const struct rig *rig, uint64_t errors, int last, uint64_t offset_bytes, enum blk_op op)
{
	struct volume_stats stats;

	volume_stats(rig->volume, &stats);
	assert_int_equal(stats.health.errors, errors);
	assert_int_equal(stats.health.last_error, last);
	assert_int_equal(stats.health.last_error_offset_bytes, offset_bytes);
	assert_int_equal(stats.health.last_error_op, op);
}

static void an_io_error_is_that_requests(void **state)
{
	struct script script = {.op = PIECE_WRITE, .result = -EIO, .times = 1};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, NULL);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 8192, memory, 4096), -EIO);
	expect_health(&rig, 1, -EIO, 8192, BLK_WRITE);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 8192, memory, 4096), 0);
	script = (struct script){.op = PIECE_READ, .result = -EIO, .times = 1};
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 4096), -EIO);
	script = (struct script){.op = PIECE_SYNC, .result = -EIO, .times = 1};
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	script = (struct script){.op = PIECE_PUNCH, .result = -EIO, .times = 1};
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 4096, NULL, 4096), -EIO);
	expect_health(&rig, 4, -EIO, 4096, BLK_DISCARD);
	end(&rig);
}

/* One bad piece of many: the request fails, once, when all of its pieces are back. */
static void one_bad_piece_fails_a_large_request(void **state)
{
	struct script script = {.op = PIECE_WRITE, .result = -ENOSPC, .times = 1};
	struct rig rig;

	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		start(&rig, &script, encrypted, NULL);
		script.times = 1;
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 8 << 20), -ENOSPC);
		assert_int_equal(volume_engine_in_flight(rig.engine), 0);
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 8 << 20), 0);
		expect_health(&rig, 1, -ENOSPC, script.changed_bytes, BLK_WRITE);
		end(&rig);
	}
}

static void short_transfers_go_on(void **state)
{
	struct script script = {.op = PIECE_WRITE, .result = 4096, .times = UINT32_MAX};
	uint8_t *back = aligned_alloc(4096, 1 << 20);
	struct rig rig;

	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		start(&rig, &script, encrypted, NULL);
		script.op = PIECE_WRITE;
		rig_fill(memory, 1 << 20);
		memset(back, 0, 1 << 20);
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 4096, memory, 1 << 20), 0);
		assert_true(script.seen[PIECE_WRITE] >= 256);
		script.op = PIECE_READ;
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 4096, back, 1 << 20), 0);
		assert_memory_equal(back, memory, 1 << 20);
		end(&rig);
	}
	free(back);
}

/* Less than a block moved: direct I/O cannot go on in the middle of one, and must not for ever. */
static void transfers_that_never_get_on_end(void **state)
{
	struct script script = {.op = PIECE_READ, .result = 100, .times = 1};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, NULL);
	if (rig.volume->file.offset_align_bytes == 1) { /* a file system without direct I/O goes on at any byte */
		end(&rig);
		skip();
	}
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 8192), 0);
	script.times = UINT32_MAX;
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 8192), -EIO);
	end(&rig);
}

static void interrupted_calls_are_tried_again(void **state)
{
	struct script script = {.op = PIECE_WRITE, .result = -EINTR, .times = ENGINE_RETRIES_MAX};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, NULL);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 4096), 0);
	script.op = PIECE_SYNC;
	script.result = -EAGAIN;
	script.times = ENGINE_RETRIES_MAX;
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	script.times = UINT32_MAX;
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), -EAGAIN);
	end(&rig);
}

static void a_file_cut_short_is_an_error(void **state)
{
	struct rig rig;

	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		start(&rig, NULL, encrypted, NULL);
		assert_int_equal(truncate(rig.path, 65536), 0);
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 65536, memory, 4096), -EIO);
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 131072), -EIO); /* half of it is there */
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 65536), 0);
		expect_health(&rig, 2, -EIO, 0, BLK_READ);
		end(&rig);
	}
}

static void a_full_file_system_is_an_error(void **state)
{
	char folder[] = "/tmp/outboard-full-XXXXXX";
	struct rig rig;

	(void)state;
	assert_non_null(mkdtemp(folder));
	if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("full", folder, "tmpfs", 0, "size=2M") != 0) {
		rmdir(folder);
		skip(); /* not root */
	}
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		start(&rig, NULL, encrypted, folder);
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 1 << 20), 0);
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 1 << 20, memory, 4 << 20), -ENOSPC);
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, memory, 1 << 20), 0);
		assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, SIZE_BYTES), 0);
		assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 1 << 20, memory, 1 << 20), 0); /* room again */
		end(&rig);
	}
	umount(folder);
	rmdir(folder);
}

static void guest_memory_that_is_gone_is_an_error(void **state)
{
	uint8_t *gone = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rig rig;

	(void)state;
	start(&rig, NULL, false, NULL);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, gone, 65536), -EFAULT);
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, gone, 4096), -EFAULT);
	expect_health(&rig, 2, -EFAULT, 0, BLK_READ);
	end(&rig);
	munmap(gone, 65536);
}

/* A file system that can neither punch nor zero: zeroes are written, and it is not asked again. */
static void zeroes_are_written_where_nothing_else_works(void **state)
{
	struct script script = {.op = PIECE_PUNCH, .result = -EOPNOTSUPP, .times = UINT32_MAX};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, "/dev/shm"); /* tmpfs cannot ZERO_RANGE */
	assert_int_equal(rig_run(&rig, BLK_WRITE_ZEROES, BLK_IO_UNMAP, 0, NULL, 1 << 20), 0);
	assert_string_equal(script.order, "pzwwwwwwww"); /* 8 pieces of 128 KiB */
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, 128 << 10), 0);
	assert_string_equal(script.order, "pzwwwwwwwww");
	expect_health(&rig, 0, 0, 0, 0);
	end(&rig);
}

static void a_discard_of_ciphertext_may_do_nothing(void **state)
{
	struct script script = {.op = PIECE_PUNCH, .result = -EOPNOTSUPP, .times = UINT32_MAX};
	struct rig rig;

	(void)state;
	start(&rig, &script, true, NULL);
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, 1 << 20), 0);
	assert_string_equal(script.order, "p");
	end(&rig);
}

/* An alignment that one request's range does not have says nothing about the file system. */
static void a_refused_range_does_not_end_punching(void **state)
{
	struct script script = {.op = PIECE_PUNCH, .result = -EINVAL, .times = 1};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, "/dev/shm");
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, 4096), 0);
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, 4096), 0);
	assert_string_equal(script.order, "pzwp");
	end(&rig);
}

static void durable_means_synced(void **state)
{
	struct script script = {.times = 0};
	struct rig rig;

	(void)state;
	start(&rig, &script, false, NULL);
	assert_int_equal(rig_run(&rig, BLK_WRITE, BLK_IO_DURABLE, 0, memory, 256 << 10), 0);
	assert_int_equal(script.durable, 2); /* both pieces */
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 4096), 0);
	assert_int_equal(script.durable, 2);
	memset(&script, 0, sizeof(script));
	assert_int_equal(rig_run(&rig, BLK_DISCARD, BLK_IO_DURABLE, 0, NULL, 4096), 0);
	assert_string_equal(script.order, "ps");
	memset(&script, 0, sizeof(script));
	assert_int_equal(rig_run(&rig, BLK_SECURE_ERASE, 0, 0, NULL, 8192), 0);
	assert_string_equal(script.order, "ws");
	memset(&script, 0, sizeof(script));
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	assert_string_equal(script.order, "s");
	memset(&script, 0, sizeof(script));
	script = (struct script){.op = PIECE_SYNC, .result = -EIO, .times = 1};
	assert_int_equal(rig_run(&rig, BLK_WRITE_ZEROES, BLK_IO_DURABLE | BLK_IO_UNMAP, 0, NULL, 4096), -EIO);
	end(&rig);
}

/* Unencrypted, well aligned: guest memory itself is in the ring. Else through buffers, of which there are too few for all. */
static void requests_wait_for_buffers_and_finish(void **state)
{
	static struct rig_io requests[MANY];
	struct script script;
	struct rig rig;

	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		rig_engine(&rig, 0, 512);
		rig_open(&rig, &(struct rig_volume){.backend = VOLUME_FILE,
						    .size_bytes = SIZE_BYTES,
						    .block_size_bytes = 4096,
						    .encrypted = encrypted});
		script = (struct script){.times = 0};
		rig.engine->fault = play;
		rig.engine->fault_context = &script;
		for (unsigned i = 0; i < MANY; i++) {
			rig_io_init(&requests[i], BLK_WRITE, i * 262144, memory + 1, 262144); /* 16 MiB, misaligned */
			rig_submit(&rig, &requests[i]);
		}
		for (unsigned i = 0; i < MANY; i++) {
			rig_wait(&rig, &requests[i]);
			assert_int_equal(requests[i].io.error, 0);
		}
		if (encrypted)
			assert_true(script.had_its_share);
		assert_int_equal(rig.engine->large.free_count, rig.engine->large.count);
		assert_int_equal(rig.engine->small.free_count, rig.engine->small.count);
		end(&rig);
	}
}

/* Locked memory ran out: the ring knows neither buffers nor files, and all works. */
static void nothing_registered_is_no_error(void **state)
{
	uint8_t *back = aligned_alloc(4096, 1 << 20);
	struct rig rig;

	(void)state;
	rig_engine(&rig, 0, 16);
	rig.engine->arena_registered = false;
	rig.engine->slots_free_count = 0;
	rig_open(&rig, &(struct rig_volume){
			       .backend = VOLUME_FILE, .size_bytes = SIZE_BYTES, .block_size_bytes = 512, .encrypted = true});
	rig_fill(memory, 1 << 20);
	assert_int_equal(rig_run(&rig, BLK_WRITE, BLK_IO_DURABLE, 512, memory, 1 << 20), 0);
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 512, back, 1 << 20), 0);
	assert_memory_equal(back, memory, 1 << 20);
	free(back);
	end(&rig);
}

/* A neighbour with gigabytes to do, and a ring of four: a small request does not wait for the end of it. */
static void giants_do_not_hold_up_a_neighbour(void **state)
{
	static struct rig_io giants[MANY], small;
	struct script script = {.times = 0};
	struct rig rig, neighbour;
	unsigned done = 0;

	(void)state;
	rig_engine(&rig, 0, 4);
	rig.engine->fault = play;
	rig.engine->fault_context = &script;
	rig_open(&rig, &(struct rig_volume){
			       .backend = VOLUME_FILE, .size_bytes = SIZE_BYTES, .block_size_bytes = 4096, .encrypted = true});
	rig_share(&neighbour, &rig);
	rig_open(&neighbour, &(struct rig_volume){.backend = VOLUME_FILE, .size_bytes = SIZE_BYTES, .block_size_bytes = 4096});
	for (unsigned i = 0; i < MANY; i++) {
		rig_io_init(&giants[i], BLK_READ, 0, memory, SIZE_BYTES);
		rig_submit(&rig, &giants[i]);
	}
	rig_io_init(&small, BLK_READ, 0, memory, 4096);
	rig_submit(&neighbour, &small);
	rig_wait(&neighbour, &small);
	for (unsigned i = 0; i < MANY; i++)
		done += giants[i].completions;
	assert_int_equal(done, 0);
	rig_idle(&rig);
	assert_int_equal(script.pieces_max, 2); /* half of them */
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(giants[i].completions, 1);
	rig_close(&neighbour);
	end(&rig);
}

/* The same for memory: a giant copy is cut into steps, and the poller gets to others between them. */
static void giant_copies_are_cut_into_steps(void **state)
{
	struct script script = {.times = 0};
	struct rig rig;

	(void)state;
	rig_engine(&rig, 0, 16);
	rig_open(&rig, &(struct rig_volume){.backend = VOLUME_MEMORY, .size_bytes = SIZE_BYTES, .block_size_bytes = 4096});
	rig.engine->fault = play;
	rig.engine->fault_context = &script;
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, 8 << 20), 0);
	assert_int_equal(script.seen[PIECE_STEP], 64);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, memory, VOLUME_INLINE_BYTES_MAX), 0);
	assert_int_equal(script.seen[PIECE_STEP], 64);
	script = (struct script){.op = PIECE_PUNCH, .result = -EOPNOTSUPP, .times = 1};
	assert_int_equal(rig_run(&rig, BLK_DISCARD, 0, 0, NULL, 1 << 20), 0); /* an old kernel's huge pages */
	assert_int_equal(script.seen[PIECE_STEP], 8);
	end(&rig);
}

static int set_up(void **state)
{
	(void)state;
	memory = aligned_alloc(4096, SIZE_BYTES + 4096);
	if (memory == NULL)
		return -1;
	memset(memory, 0x5a, SIZE_BYTES + 4096);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_io_error_is_that_requests),
		cmocka_unit_test(one_bad_piece_fails_a_large_request),
		cmocka_unit_test(short_transfers_go_on),
		cmocka_unit_test(transfers_that_never_get_on_end),
		cmocka_unit_test(interrupted_calls_are_tried_again),
		cmocka_unit_test(a_file_cut_short_is_an_error),
		cmocka_unit_test(a_full_file_system_is_an_error),
		cmocka_unit_test(guest_memory_that_is_gone_is_an_error),
		cmocka_unit_test(zeroes_are_written_where_nothing_else_works),
		cmocka_unit_test(a_discard_of_ciphertext_may_do_nothing),
		cmocka_unit_test(a_refused_range_does_not_end_punching),
		cmocka_unit_test(durable_means_synced),
		cmocka_unit_test(requests_wait_for_buffers_and_finish),
		cmocka_unit_test(nothing_registered_is_no_error),
		cmocka_unit_test(giants_do_not_hold_up_a_neighbour),
		cmocka_unit_test(giant_copies_are_cut_into_steps),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
