/*
 * The memory back end: a memfd, which survives the card, mapped.
 *
 * Short requests are a copy (or the cipher) on the spot; long ones, and long ranges of zeroes, go through the engine in steps, so
 * that nobody's request holds the poller for longer than one step. Ranges that are given back are punched out of the memfd by the
 * kernel's workers, off the poller; pages of a huge-page memfd are cleared instead, because a huge page given back may not
 * be had again.
 */
#include <errno.h>

#include "volume/cipher.h"
#include "volume/engine.h"

enum {
	ZERO_INLINE_BYTES_MAX = 8 * 1024, /* small: one request of a guest may name many ranges */
	PREFETCH_LINES = 2,
	CACHE_LINE_BYTES = 64,
	CRYPT_BATCH_MAX = 32,
};

static uint8_t *memory_base(const struct volume *volume)
{
	return __atomic_load_n(&volume->memory->base, __ATOMIC_ACQUIRE);
}

/* --- requests --- */

static void io_done(struct blk_io *io)
{
	io->error = 0;
	io->complete(io, 0);
}

static bool is_data(const struct blk_io *io)
{
	return io->op == BLK_READ || io->op == BLK_WRITE;
}

static bool may_punch(const struct volume *volume, const struct blk_io *io)
{
	bool gives_back =
		io->op == BLK_DISCARD || (io->op == BLK_WRITE_ZEROES && io->flags & BLK_IO_UNMAP && volume->mover->is_copy);

	return gives_back && !volume->memory->huge;
}

/* What the range holds afterwards reads as zeroes, except that what is discarded or erased of an encrypted volume reads as noise.
 */
static void zero_range(struct volume *volume, const struct blk_io *io, uint64_t offset_bytes, size_t bytes)
{
	uint8_t *to = memory_base(volume) + offset_bytes;

	if (io->op == BLK_WRITE_ZEROES)
		volume->mover->zeroes(volume, offset_bytes, to, bytes);
	else
		memset(to, 0, bytes);
}

/* The rare ones: not data, or too long to be done at once. */
static void memory_submit_other(struct volume *volume, struct blk_io *io, uint64_t now_tsc)
{
	if (io->op == BLK_FLUSH || io->length_bytes == 0) {
		io_done(io);
	} else if (is_data(io)) {
		engine_request_begin(volume, io, STAGE_DATA, now_tsc);
	} else if (io->length_bytes <= ZERO_INLINE_BYTES_MAX) {
		zero_range(volume, io, io->offset_bytes, io->length_bytes);
		io_done(io);
	} else {
		engine_request_begin(volume, io, may_punch(volume, io) ? STAGE_PUNCH : STAGE_ZEROES, now_tsc);
	}
}

static inline bool is_inline(const struct blk_io *io)
{
	return is_data(io) && io->length_bytes <= VOLUME_INLINE_BYTES_MAX && io->length_bytes > 0;
}

/*
 * Random requests miss every cache and the TLB. The first lines start the translation and the processor's own prefetcher, which
 * does the rest better: asking for all of a block fills its miss buffers (bench/micro_copy).
 */
static inline void prefetch(const uint8_t *base, const struct blk_io *io)
{
	for (unsigned i = 0; i < PREFETCH_LINES; i++)
		__builtin_prefetch(base + io->offset_bytes + i * CACHE_LINE_BYTES);
}

static void memory_submit(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	struct volume *volume = container_of(target, struct volume, target);
	uint8_t *base = memory_base(volume);

	for (unsigned i = 0; i < count; i++) {
		struct blk_io *io = ios[i];
		struct iov_cursor guest = {.iov = io->iov};

		if (i + 1 < count)
			prefetch(base, ios[i + 1]);
		if (!is_inline(io)) {
			memory_submit_other(volume, io, now_tsc);
			continue;
		}
		if (io->op == BLK_READ)
			iov_scatter(&guest, base + io->offset_bytes, io->length_bytes);
		else
			iov_gather(&guest, base + io->offset_bytes, io->length_bytes);
		io_done(io);
	}
}

/* The same with the cipher for the copy, which takes several requests at once: completions come after the last. */
static void memory_submit_crypt_batch(struct volume *volume, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	uint8_t *base = memory_base(volume);
	struct blk_io *done[CRYPT_BATCH_MAX];
	struct cipher_batch batch;
	unsigned done_count = 0;

	cipher_batch_begin(&batch, volume);
	for (unsigned i = 0; i < count; i++) {
		struct blk_io *io = ios[i];
		struct iov_cursor guest = {.iov = io->iov};

		if (!is_inline(io)) {
			memory_submit_other(volume, io, now_tsc);
			continue;
		}
		prefetch(base, io);
		if (io->op == BLK_READ)
			cipher_batch_to_guest(&batch, guest, io->offset_bytes, base + io->offset_bytes, io->length_bytes);
		else
			cipher_batch_from_guest(&batch, guest, io->offset_bytes, base + io->offset_bytes, io->length_bytes);
		done[done_count++] = io;
	}
	cipher_batch_end(&batch);
	for (unsigned i = 0; i < done_count; i++)
		io_done(done[i]);
}

static void memory_submit_crypt(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	struct volume *volume = container_of(target, struct volume, target);

	for (unsigned first = 0; first < count; first += CRYPT_BATCH_MAX) {
		unsigned batch = count - first < CRYPT_BATCH_MAX ? count - first : CRYPT_BATCH_MAX;

		memory_submit_crypt_batch(volume, ios + first, batch, now_tsc);
	}
}

/* --- long requests, in the engine --- */

static bool memory_piece_start(struct volume *volume, struct blk_io *io, struct piece *p)
{
	struct request *r = request_of(io);

	(void)volume;
	p->offset_bytes = io->offset_bytes + r->started_bytes;
	p->length_bytes = io->length_bytes - r->started_bytes;
	p->op = r->stage == STAGE_PUNCH ? PIECE_PUNCH : PIECE_STEP;
	if (p->op == PIECE_STEP && p->length_bytes > ENGINE_BUFFER_LARGE_BYTES)
		p->length_bytes = ENGINE_BUFFER_LARGE_BYTES;
	p->guest = engine_request_cursor(io);
	engine_request_advance(io, p->length_bytes);
	return true;
}

static void memory_piece_done(struct volume *volume, struct piece *p)
{
	uint8_t *data = memory_base(volume) + p->offset_bytes;

	if (p->op == PIECE_PUNCH)
		return;
	if (p->io->op == BLK_READ)
		volume->mover->to_guest(volume, p->guest, p->offset_bytes, data, p->length_bytes);
	else if (p->io->op == BLK_WRITE)
		volume->mover->from_guest(volume, p->guest, p->offset_bytes, data, p->length_bytes);
	else
		zero_range(volume, p->io, p->offset_bytes, p->length_bytes);
}

static bool memory_stage_next(struct volume *volume, struct blk_io *io, int *error)
{
	(void)volume;
	if (*error != -EOPNOTSUPP || request_of(io)->stage != STAGE_PUNCH)
		return false;
	engine_request_stage(io, STAGE_ZEROES);
	return true;
}

const struct backend backend_memory = {
	.submit = memory_submit,
	.piece_start = memory_piece_start,
	.piece_done = memory_piece_done,
	.stage_next = memory_stage_next,
};

const struct backend backend_memory_crypt = {
	.submit = memory_submit_crypt,
	.piece_start = memory_piece_start,
	.piece_done = memory_piece_done,
	.stage_next = memory_stage_next,
};
