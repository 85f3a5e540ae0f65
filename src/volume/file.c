/*
 * The file back end: a file or a block device through the engine's ring.
 *
 * Where data goes. An unencrypted volume's data moves between the file and guest memory itself, when the alignment of the guest's
 * memory is good enough for the file (direct I/O wants whole blocks; through the page cache anything goes); otherwise, and always
 * when encrypted, through an I/O buffer, which holds ciphertext only.
 *
 * Stages of a request (-> when it succeeds, ~> when the file system cannot do it):
 *   READ, WRITE		DATA; a durable write carries RWF_DSYNC
 *   FLUSH			SYNC
 *   DISCARD			PUNCH ~> plain: ZERO_RANGE ~> ZEROES; encrypted: done, as its contents are noise either way
 *   WRITE_ZEROES, plain	UNMAP allowed: PUNCH ~> ZERO_RANGE ~> ZEROES; else ZERO_RANGE ~> ZEROES
 *   WRITE_ZEROES, encrypted	ZEROES, encrypted: a hole would decrypt to noise
 *   SECURE_ERASE		ZEROES -> SYNC: the blocks are overwritten, and that is on the device
 * and -> SYNC after each of DISCARD and WRITE_ZEROES that must be durable. What the device or the file system keeps of old versions
 * (copy on write, flash), no overwriting reaches: only the destruction of the key does.
 */
#include <errno.h>

#include "volume/engine.h"

/* --- requests --- */

static bool guest_memory_is_aligned(const struct volume *volume, const struct blk_io *io)
{
	uintptr_t memory_mask = volume->file.memory_align_bytes - 1;
	/* A piece may end inside an element, and the next one begins there: at an address that must be aligned, too. */
	uintptr_t length_mask = memory_mask | (volume->file.offset_align_bytes - 1), misaligned = 0;

	if (length_mask == 0)
		return true;
	for (unsigned i = 0; i < io->iov_count; i++)
		misaligned |= ((uintptr_t)io->iov[i].iov_base & memory_mask) | (io->iov[i].iov_len & length_mask);
	return misaligned == 0;
}

static enum stage stage_without_punch(const struct volume *volume)
{
	return volume->file.no_zero_range ? STAGE_ZEROES : STAGE_ZERO_RANGE;
}

static enum stage stage_first(const struct volume *volume, const struct blk_io *io)
{
	switch ((enum blk_op)io->op) {
	case BLK_READ:
	case BLK_WRITE:
		return STAGE_DATA;
	case BLK_FLUSH:
		return STAGE_SYNC;
	case BLK_DISCARD:
		return volume->file.no_punch && volume->mover->is_copy ? stage_without_punch(volume) : STAGE_PUNCH;
	case BLK_WRITE_ZEROES:
		if (!volume->mover->is_copy)
			return STAGE_ZEROES;
		return io->flags & BLK_IO_UNMAP && !volume->file.no_punch ? STAGE_PUNCH : stage_without_punch(volume);
	case BLK_SECURE_ERASE:
		break;
	}
	return STAGE_ZEROES;
}

static void file_submit(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	struct volume *volume = container_of(target, struct volume, target);

	for (unsigned i = 0; i < count; i++) {
		struct blk_io *io = ios[i];

		if (io->length_bytes == 0 && io->op != BLK_FLUSH) {
			io->error = 0;
			io->complete(io, 0);
			continue;
		}
		engine_request_begin(volume, io, stage_first(volume, io), now_tsc);
		request_of(io)->bounce = !volume->mover->is_copy || !guest_memory_is_aligned(volume, io);
	}
}

/* --- pieces --- */

/* Guest memory itself: as much as one piece's list holds. */
static void piece_use_guest(struct piece *p)
{
	struct iov_cursor guest = p->guest;
	uint64_t bytes = 0;

	while (bytes < p->length_bytes && p->iov_count < ENGINE_PIECE_IOV_MAX) {
		size_t run = p->length_bytes - bytes;
		uint8_t *at = iov_run(&guest, &run);

		p->iov[p->iov_count++] = (struct iovec){.iov_base = at, .iov_len = run};
		guest.offset_bytes += run;
		bytes += run;
	}
	p->length_bytes = bytes;
}

static bool piece_use_buffer(struct piece *p)
{
	p->buffer = engine_buffer_take(p->volume, &p->length_bytes);
	p->data = p->buffer;
	return p->buffer != NULL;
}

static bool piece_start_data(struct volume *volume, struct piece *p)
{
	p->op = p->io->op == BLK_READ ? PIECE_READ : PIECE_WRITE;
	p->guest = engine_request_cursor(p->io);
	p->durable = p->op == PIECE_WRITE && p->io->flags & BLK_IO_DURABLE;
	if (!request_of(p->io)->bounce) {
		piece_use_guest(p);
		return true;
	}
	if (!piece_use_buffer(p))
		return false;
	if (p->op == PIECE_WRITE)
		volume->mover->from_guest(volume, p->guest, p->offset_bytes, p->buffer, p->length_bytes);
	return true;
}

static bool piece_start_zeroes(struct volume *volume, struct piece *p)
{
	p->op = PIECE_WRITE;
	if (volume->mover->is_copy || p->io->op != BLK_WRITE_ZEROES) {
		p->data = (uint8_t *)volume->engine->zeroes; /* read by the kernel only */
		return true;
	}
	if (!piece_use_buffer(p))
		return false;
	volume->mover->zeroes(volume, p->offset_bytes, p->buffer, p->length_bytes);
	return true;
}

static bool file_piece_start(struct volume *volume, struct blk_io *io, struct piece *p)
{
	struct request *r = request_of(io);
	enum stage stage = r->stage;

	p->offset_bytes = io->offset_bytes + r->started_bytes;
	p->length_bytes = io->length_bytes - r->started_bytes;
	if (stage == STAGE_DATA || stage == STAGE_ZEROES) {
		if (p->length_bytes > ENGINE_BUFFER_LARGE_BYTES)
			p->length_bytes = ENGINE_BUFFER_LARGE_BYTES;
		if (!(stage == STAGE_DATA ? piece_start_data(volume, p) : piece_start_zeroes(volume, p)))
			return false;
		engine_request_advance(io, p->length_bytes);
		return true;
	}
	p->op = stage == STAGE_PUNCH ? PIECE_PUNCH : stage == STAGE_ZERO_RANGE ? PIECE_ZERO_RANGE : PIECE_SYNC;
	engine_request_advance(io, p->length_bytes > 0 ? p->length_bytes : 1);
	return true;
}

static void file_piece_done(struct volume *volume, struct piece *p)
{
	if (p->op == PIECE_READ && p->buffer != NULL)
		volume->mover->to_guest(volume, p->guest, p->offset_bytes, p->buffer, p->length_bytes);
}

/* A file system without the call, or a device that wants larger blocks for it than the volume has. */
static bool is_unsupported(int error)
{
	return error == -EOPNOTSUPP || error == -EINVAL || error == -ENOSYS;
}

static bool stage_fallback(struct volume *volume, struct blk_io *io, int error)
{
	struct request *r = request_of(io);

	if (r->stage == STAGE_PUNCH) {
		volume->file.no_punch |= error != -EINVAL;
		if (io->op == BLK_DISCARD && !volume->mover->is_copy)
			return false;
		engine_request_stage(io, stage_without_punch(volume));
		return true;
	}
	volume->file.no_zero_range |= error != -EINVAL;
	engine_request_stage(io, STAGE_ZEROES);
	return true;
}

static bool file_stage_next(struct volume *volume, struct blk_io *io, int *error)
{
	enum stage stage = request_of(io)->stage;

	if ((stage == STAGE_PUNCH || stage == STAGE_ZERO_RANGE) && is_unsupported(*error)) {
		if (stage_fallback(volume, io, *error))
			return true;
		*error = 0;
	}
	if (*error != 0 || stage == STAGE_SYNC || stage == STAGE_DATA)
		return false;
	if (!(io->flags & BLK_IO_DURABLE) && io->op != BLK_SECURE_ERASE)
		return false;
	engine_request_stage(io, STAGE_SYNC);
	return true;
}

const struct backend backend_file = {
	.submit = file_submit,
	.piece_start = file_piece_start,
	.piece_done = file_piece_done,
	.stage_next = file_stage_next,
	.queues = true,
};
