#include "rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

const uint8_t rig_key[VOLUME_KEY_BYTES] = {
	1,  2,	3,  4,	5,  6,	7,  8,	9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
	23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
	45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64,
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

uint64_t rig_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void rig_fill(void *memory, size_t bytes)
{
	uint8_t *p = memory;

	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(rig_random() >> 32);
}

void rig_engine(struct rig *rig, uint64_t buffer_bytes, unsigned ring_entries)
{
	clock_calibrate();
	memset(rig, 0, sizeof(*rig));
	rig->memory_fd = -1;
	assert_int_equal(volume_engine_create(&rig->engine, &(struct volume_engine_config){.buffer_bytes = buffer_bytes,
											   .ring_entries = ring_entries}),
			 0);
}

void rig_share(struct rig *rig, const struct rig *other)
{
	memset(rig, 0, sizeof(*rig));
	rig->memory_fd = -1;
	rig->engine = other->engine;
}

void rig_open(struct rig *rig, const struct rig_volume *what)
{
	static unsigned serial;
	char error[512] = "";
	struct volume_config config = {
		.name = "test",
		.size_bytes = what->size_bytes,
		.block_size_bytes = what->block_size_bytes,
		.backend = what->backend,
		.path = rig->path,
		.rate = what->rate,
		.key = what->encrypted ? rig_key : NULL,
	};

	snprintf(rig->path, sizeof(rig->path), "%s/outboard-volume-%d-%u", what->folder != NULL ? what->folder : "/var/tmp",
		 (int)getpid(), serial++);
	if (volume_storage_create(&config, what->huge, &config.memory_fd, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	if (what->backend == VOLUME_MEMORY)
		rig->memory_fd = config.memory_fd;
	if (volume_open(&rig->volume, &config, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	assert_int_equal(volume_bind(rig->volume, rig->engine), 0);
}

void rig_close(struct rig *rig)
{
	struct volume_config config = {.name = "test", .backend = VOLUME_FILE, .path = rig->path};
	char error[512];

	volume_unbind(rig->volume);
	volume_close(rig->volume);
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0);
	if (rig->memory_fd >= 0)
		close(rig->memory_fd);
}

void rig_engine_free(struct rig *rig)
{
	volume_engine_free(rig->engine);
}

static void complete(struct blk_io *io, int error)
{
	struct rig_io *r = (struct rig_io *)io;

	assert_int_equal(io->error, error);
	r->completions++;
}

void rig_io_init(struct rig_io *r, enum blk_op op, uint64_t offset_bytes, void *memory, uint64_t length_bytes)
{
	memset(&r->io, 0xee, sizeof(r->io)); /* scratch is not promised to be clean */
	r->completions = 0;
	r->iov[0] = (struct iovec){.iov_base = memory, .iov_len = length_bytes};
	r->io.op = (uint8_t)op;
	r->io.flags = 0;
	r->io.offset_bytes = offset_bytes;
	r->io.length_bytes = length_bytes;
	r->io.iov = r->iov;
	r->io.iov_count = op == BLK_READ || op == BLK_WRITE ? 1 : 0;
	r->io.complete = complete;
}

void rig_io_cut(struct rig_io *r, uint32_t cut_bytes_max, uint32_t aligned_bytes)
{
	uint8_t *memory = r->iov[0].iov_base;
	uint64_t left = r->io.length_bytes;
	unsigned n = 0;

	while (left > 0) {
		uint64_t run = rig_random() % (cut_bytes_max + 1) / aligned_bytes * aligned_bytes;

		if (run > left || n == RIG_IOV_MAX - 1)
			run = left;
		r->iov[n++] = (struct iovec){.iov_base = memory, .iov_len = run};
		memory += run;
		left -= run;
	}
	r->io.iov_count = (uint16_t)n;
}

void rig_submit(struct rig *rig, struct rig_io *r)
{
	struct blk_target *target = volume_target(rig->volume);
	struct blk_io *io = &r->io;

	target->ops->submit(target, &io, 1, clock_tsc());
}

/* As a poller does: sleeps on the ring's descriptor, and only when there was nothing to do. */
static void pass(struct rig *rig)
{
	struct pollfd fd = {.fd = volume_engine_wait_fd(rig->engine), .events = POLLIN};
	unsigned handled = volume_engine_poll(rig->engine, clock_tsc());

	assert_true(rig->engine->moved_bytes <= ENGINE_PASS_BYTES_MAX + ENGINE_BUFFER_LARGE_BYTES);
	if (handled == 0 && volume_engine_in_flight(rig->engine) > 0)
		assert_int_equal(poll(&fd, 1, 60000), 1);
}

void rig_wait(struct rig *rig, struct rig_io *r)
{
	while (r->completions == 0) {
		assert_true(volume_engine_in_flight(rig->engine) > 0);
		pass(rig);
	}
	assert_int_equal(r->completions, 1);
}

void rig_idle(struct rig *rig)
{
	while (volume_engine_in_flight(rig->engine) > 0)
		pass(rig);
}

int rig_do(struct rig *rig, struct rig_io *r)
{
	rig_submit(rig, r);
	rig_wait(rig, r);
	return r->io.error;
}

int rig_run(struct rig *rig, enum blk_op op, uint8_t flags, uint64_t offset_bytes, void *memory, uint64_t length_bytes)
{
	static struct rig_io r;

	rig_io_init(&r, op, offset_bytes, memory, length_bytes);
	r.io.flags = flags;
	return rig_do(rig, &r);
}
