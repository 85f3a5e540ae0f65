/*
 * The engine: one io_uring for all volumes of a poller.
 *
 * Requests and pieces. A request that a back end cannot do on the spot is handed to engine_request_begin(). Its state lives in the
 * request itself, so taking it needs no memory and never fails. It is done in pieces of at most 128 KiB, each one operation in the
 * ring, at most ENGINE_REQUEST_PIECES_MAX of a request at a time. A request may pass several stages (punch a hole, fall back to
 * writing zeroes, sync); a stage begins when all pieces of the one before are done.
 *
 * Waiting. There are as many pieces as the ring has entries, so the ring is never too full for a piece, and completions never
 * overflow. A request waits in its volume's queue until a piece and, where it needs one, a buffer is free. Volumes with waiting
 * requests take turns, a piece a turn; so do the requests of a volume. So a neighbour's giant requests delay a small one by one
 * piece for each volume that is busy, not by their size. And no volume has more pieces, or buffers, than it leaves free: one alone
 * has half of them, and however slow the storage of k volumes is, a part of 1/(k + 1) is left for the next.
 *
 * A pass moves at most ENGINE_PASS_BYTES_MAX and one piece through the processor (the cipher, copies); the rest waits for the next,
 * so that the poller gets back to its queues. volume_engine_poll() handles what is complete, fills the ring from the queues,
 * submits with one system call, and looks once more for what was complete at once. When it returns 0 everything that can be in the
 * kernel is there, so the ring's descriptor will become readable: only then may a poller sleep on it.
 *
 * Work on memory that is too long to be done at once (a memory volume's giant requests) takes its turns with everybody else's: each
 * step is a no-op in the ring whose completion is the licence to work on one piece.
 *
 * Nothing is ever cancelled: guest memory may be in the hands of the kernel until the completion is here.
 */
#include "volume/engine.h"

#include <assert.h>
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>

static uint64_t request_length(const struct blk_io *io)
{
	return io->length_bytes > 0 ? io->length_bytes : 1; /* a FLUSH is one piece, too */
}

static bool request_has_more(struct blk_io *io)
{
	const struct request *r = request_of(io);

	return r->error == 0 && r->started_bytes < request_length(io);
}

/* --- who waits --- */

static void volume_set_ready(struct volume *volume)
{
	struct volume_engine *engine = volume->engine;

	if (volume->queue_head == NULL || !list_empty(&volume->ready))
		return;
	list_add_tail(&engine->ready, &volume->ready);
	engine->ready_count++;
}

static void volume_clear_ready(struct volume *volume)
{
	list_del(&volume->ready);
	volume->engine->ready_count--;
}

static void queue_push(struct volume *volume, struct blk_io *io)
{
	io->next = NULL;
	if (volume->queue_head == NULL)
		volume->queue_head = io;
	else
		volume->queue_tail->next = io;
	volume->queue_tail = io;
	request_of(io)->queued = true;
}

static struct blk_io *queue_pop(struct volume *volume)
{
	struct blk_io *io = volume->queue_head;

	volume->queue_head = io->next;
	request_of(io)->queued = false;
	return io;
}

void engine_request_stage(struct blk_io *io, enum stage stage)
{
	struct request *r = request_of(io);

	r->stage = (uint8_t)stage;
	r->started_bytes = 0;
	r->error = 0;
	r->iov_index = 0;
	r->iov_offset_bytes = 0;
}

struct iov_cursor engine_request_cursor(const struct blk_io *io)
{
	const struct request *r = (const struct request *)io->scratch;

	return (struct iov_cursor){.iov = io->iov + r->iov_index, .offset_bytes = r->iov_offset_bytes};
}

void engine_request_advance(struct blk_io *io, uint64_t bytes)
{
	struct request *r = request_of(io);

	r->started_bytes += bytes;
	if (r->stage == STAGE_DATA) {
		struct iov_cursor cursor = engine_request_cursor(io);

		iov_advance(&cursor, bytes);
		r->iov_index = (uint16_t)(cursor.iov - io->iov);
		r->iov_offset_bytes = (uint32_t)cursor.offset_bytes;
	}
}

void engine_request_begin(struct volume *volume, struct blk_io *io, enum stage stage, uint64_t now_tsc)
{
	struct request *r = request_of(io);

	assert(volume->engine != NULL);
	memset(r, 0, sizeof(*r));
	r->arrived_tsc = now_tsc;
	engine_request_stage(io, stage);
	if (volume->backend->queues)
		account_arrive(&volume->queue, now_tsc, 1);
	volume->engine->requests++;
	queue_push(volume, io);
	volume_set_ready(volume);
}

static void request_end(struct volume *volume, struct blk_io *io, int error)
{
	const struct request *r = request_of(io);
	uint64_t now_tsc = volume->engine->now_tsc;

	if (volume->backend->queues)
		account_depart(&volume->queue, now_tsc, 1, io->length_bytes, now_tsc - r->arrived_tsc);
	volume->engine->requests--;
	io->error = error;
	io->complete(io, error);
}

/* All pieces of the stage are back. */
static void stage_end(struct volume *volume, struct blk_io *io)
{
	const struct request *r = request_of(io);
	int error = r->error;

	if (volume->backend->stage_next(volume, io, &error)) {
		queue_push(volume, io);
		return;
	}
	if (error != 0)
		volume_note_error(volume, io, r->failed_at_bytes, error);
	request_end(volume, io, error);
}

/* --- pieces into the ring --- */

static void piece_prepare_transfer(struct volume_engine *engine, struct io_uring_sqe *sqe, const struct piece *p)
{
	const struct iovec *iov = &p->iov[p->iov_first];
	uint64_t offset = p->offset_bytes + p->done_bytes;
	unsigned length = (unsigned)(p->length_bytes - p->done_bytes);
	uint8_t *data = p->data != NULL ? p->data + p->done_bytes : iov->iov_base;
	bool read = p->op == PIECE_READ;
	int fd = p->volume->fd;

	if (p->data != NULL && engine->arena_registered) {
		if (read)
			io_uring_prep_read_fixed(sqe, fd, data, length, offset, 0);
		else
			io_uring_prep_write_fixed(sqe, fd, data, length, offset, 0);
	} else if (p->data != NULL || p->iov_count == 1) {
		if (read)
			io_uring_prep_read(sqe, fd, data, length, offset);
		else
			io_uring_prep_write(sqe, fd, data, length, offset);
	} else {
		if (read)
			io_uring_prep_readv(sqe, fd, iov, p->iov_count, offset);
		else
			io_uring_prep_writev(sqe, fd, iov, p->iov_count, offset);
	}
	if (p->durable)
		sqe->rw_flags = RWF_DSYNC;
}

static void piece_prepare(struct volume_engine *engine, struct piece *p)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
	struct volume *volume = p->volume;
	uint64_t length = p->length_bytes;

	assert(sqe != NULL); /* as many entries as pieces */
	switch ((enum piece_op)p->op) {
	case PIECE_READ:
	case PIECE_WRITE:
		piece_prepare_transfer(engine, sqe, p);
		break;
	case PIECE_SYNC:
		io_uring_prep_fsync(sqe, volume->fd, IORING_FSYNC_DATASYNC);
		break;
	case PIECE_PUNCH:
		io_uring_prep_fallocate(sqe, volume->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->offset_bytes,
					(off_t)length);
		break;
	case PIECE_ZERO_RANGE:
		io_uring_prep_fallocate(sqe, volume->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)p->offset_bytes,
					(off_t)length);
		break;
	case PIECE_STEP:
		io_uring_prep_nop(sqe);
		break;
	}
	if (volume->slot >= 0 && p->op != PIECE_STEP) {
		sqe->fd = volume->slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_sqe_set_data(sqe, p);
}

/* One piece of the request whose turn it is. False: it needs a buffer and there is none, or the volume has its share of pieces. */
static bool volume_start_piece(struct volume_engine *engine, struct volume *volume)
{
	struct blk_io *io = volume->queue_head;
	struct request *r = request_of(io);
	struct piece *p = engine->pieces_free[engine->pieces_free_count - 1];

	if (r->error != 0) { /* failed while it waited for its next turn */
		queue_pop(volume);
		if (r->pieces == 0)
			stage_end(volume, io);
		return true;
	}
	if (volume->pieces >= engine->pieces_free_count)
		return false;
	p->volume = volume;
	p->io = io;
	p->done_bytes = 0;
	p->retries = 0;
	p->durable = false;
	p->data = NULL;
	p->buffer = NULL;
	p->iov_first = 0;
	p->iov_count = 0;
	if (!volume->backend->piece_start(volume, io, p))
		return false;
	engine->pieces_free_count--;
	if (p->op == PIECE_WRITE && p->buffer != NULL)
		engine->moved_bytes += p->length_bytes;
	volume->pieces++;
	r->pieces++;
	queue_pop(volume);
	if (request_has_more(io) && r->pieces < ENGINE_REQUEST_PIECES_MAX)
		queue_push(volume, io);
	piece_prepare(engine, p);
	return true;
}

static void engine_fill_ring(struct volume_engine *engine)
{
	unsigned stuck = 0; /* volumes in a row that cannot start a piece now */

	while (engine->pieces_free_count > 0 && stuck < engine->ready_count && engine->moved_bytes < ENGINE_PASS_BYTES_MAX) {
		struct volume *volume = list_entry(engine->ready.next, struct volume, ready);

		stuck = volume_start_piece(engine, volume) ? 0 : stuck + 1;
		volume_clear_ready(volume);
		volume_set_ready(volume); /* at the end, if it has more */
	}
}

/* --- completions --- */

static void piece_end(struct volume_engine *engine, struct piece *p, int error)
{
	struct volume *volume = p->volume;
	struct blk_io *io = p->io;
	struct request *r = request_of(io);

	if (error == 0) {
		volume->backend->piece_done(volume, p);
	} else if (r->error == 0) {
		r->error = error;
		r->failed_at_bytes = p->offset_bytes;
	}
	if (p->buffer != NULL)
		engine_buffer_give(volume, p->buffer);
	engine->pieces_free[engine->pieces_free_count++] = p;
	volume->pieces--;
	r->pieces--;
	if (!r->queued && request_has_more(io))
		queue_push(volume, io);
	else if (!r->queued && r->pieces == 0)
		stage_end(volume, io);
	volume_set_ready(volume);
}

static void iov_skip(struct piece *p, size_t bytes)
{
	while (bytes > 0) {
		struct iovec *iov = &p->iov[p->iov_first];
		size_t run = bytes < iov->iov_len ? bytes : iov->iov_len;

		iov->iov_base = (uint8_t *)iov->iov_base + run;
		iov->iov_len -= run;
		bytes -= run;
		if (iov->iov_len == 0 && p->iov_count > 1) {
			p->iov_first++;
			p->iov_count--;
		}
	}
}

/* `moved` bytes of a transfer are done. 1: goes on with the rest, 0: all done, or -errno. */
static int piece_advance(struct piece *p, uint64_t moved)
{
	uint32_t align = p->volume->file.offset_align_bytes;

	if (moved == 0)
		return -EIO; /* the file ends here: it is shorter than the volume */
	if (moved >= p->length_bytes - p->done_bytes) {
		p->done_bytes = p->length_bytes;
		return 0;
	}
	moved -= moved % align; /* direct I/O starts at a block */
	if (moved == 0 && p->retries++ >= ENGINE_RETRIES_MAX)
		return -EIO;
	p->done_bytes += moved;
	if (p->data == NULL)
		iov_skip(p, moved);
	return 1;
}

static void piece_complete(struct volume_engine *engine, struct piece *p, int result)
{
	int state = result < 0 ? result : 0;

	if ((result == -EINTR || result == -EAGAIN) && p->retries++ < ENGINE_RETRIES_MAX)
		state = 1;
	else if (result >= 0 && p->op <= PIECE_WRITE)
		state = piece_advance(p, (uint64_t)result);
	if (state > 0)
		piece_prepare(engine, p);
	else
		piece_end(engine, p, state);
}

static void engine_reap(struct volume_engine *engine)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&engine->ring, head, cqe)
	{
		struct piece *p = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		if (engine->moved_bytes >= ENGINE_PASS_BYTES_MAX)
			break;
		if (p->op == PIECE_STEP || (p->op == PIECE_READ && p->buffer != NULL))
			engine->moved_bytes += p->length_bytes;
		if (engine->fault != NULL)
			result = engine->fault(engine->fault_context, p, result);
		piece_complete(engine, p, result);
		count++;
	}
	io_uring_cq_advance(&engine->ring, count);
	engine->handled += count;
}

unsigned volume_engine_poll(struct volume_engine *engine, uint64_t now_tsc)
{
	engine->now_tsc = now_tsc;
	engine->handled = 0;
	engine->moved_bytes = 0;
	if (engine->requests == 0)
		return 0;
	if (__atomic_load_n(engine->ring.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		(void)io_uring_get_events(&engine->ring);
	engine_reap(engine);
	engine_fill_ring(engine);
	if (io_uring_sq_ready(&engine->ring) > 0) {
		(void)io_uring_submit(&engine->ring); /* what it could not take stays in the ring for the next pass */
		engine_reap(engine);
	}
	/* Not the time to sleep: the budget has ended before the work, or the kernel was short of memory. */
	if (engine->handled == 0 && (engine->moved_bytes >= ENGINE_PASS_BYTES_MAX || io_uring_sq_ready(&engine->ring) > 0))
		engine->handled = 1;
	return engine->handled;
}

unsigned volume_engine_in_flight(const struct volume_engine *engine)
{
	return engine->requests;
}

int volume_engine_wait_fd(const struct volume_engine *engine)
{
	return engine->ring.ring_fd;
}
