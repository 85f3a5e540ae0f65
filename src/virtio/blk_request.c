/*
 * From a chain to a request for the target (VIRTIO 1.2, 5.2.6), and its completion.
 *
 * A guest may cut header, data and status into any number of descriptors (2.7.4.1: nothing may be assumed of their borders). The
 * usual shape is parsed from what ring_peek() found; everything else, and whatever is odd about the usual shape, is expanded and
 * parsed again from the beginning. Data that lies across the border of two memory regions becomes two iov elements there.
 *
 * A request that cannot be served is answered, with the status that 5.2.6.2 gives; a chain in which there is no byte for a status
 * is given back with length 0. Neither stops the queue: only breaking a rule of the ring itself does.
 */
#include <errno.h>
#include <string.h>

#include "base/codec.h"
#include "virtio/virtqueue.h"

/* A run of bytes in a chain's segments. */
struct span {
	const struct ring_segment *segment;
	unsigned count;
	uint64_t skip_bytes; /* before it, in the first segments */
	uint64_t length_bytes;
};

static void done_add(struct virtqueue *vq, struct request *req)
{
	req->io.next = NULL;
	*vq->done_tail = &req->io;
	vq->done_tail = &req->io.next;
	worker_dirty(vq);
}

void blk_request_complete(struct blk_io *io, int error)
{
	struct request *req = container_of(io, struct request, io);

	io->error = error;
	done_add(req->vq, req);
}

static enum parse_result answer(struct request *req, enum virtio_blk_status status, uint32_t used_length)
{
	req->flags |= REQUEST_ANSWERED;
	req->answer = (uint8_t)status;
	req->io.length_bytes = used_length;
	return PARSE_OK;
}

/* The used length counts from the first writable byte (2.7.8.2): the status byte alone only when nothing is before it. */
static enum parse_result refuse(struct request *req, enum virtio_blk_status status)
{
	return answer(req, status, req->status != NULL && (req->flags & REQUEST_DATA_IN) == 0 ? 1 : 0);
}

/* ---- checks ---- */

static bool in_range(const struct batch *b, uint64_t sector, uint64_t length_bytes)
{
	uint64_t offset_bytes = sector << VBLK_SECTOR_SHIFT;

	return sector <= b->capacity_bytes >> VBLK_SECTOR_SHIFT && length_bytes <= b->capacity_bytes - offset_bytes &&
	       ((offset_bytes | length_bytes) & b->block_mask) == 0;
}

/* ---- the usual shape ---- */

static bool parse_usual(const struct batch *b, const struct ring_chain *c, struct request *req)
{
	uint32_t type = read_once32(c->header);
	uint64_t sector = read_once64(c->header + VBLK_HEADER_SECTOR);

	if (type != (c->data_writable ? VBLK_T_IN : VBLK_T_OUT) || (b->read_only && type == VBLK_T_OUT) ||
	    !in_range(b, sector, c->data_length))
		return false;
	req->status = c->status;
	req->iov[0] = (struct iovec){.iov_base = c->data, .iov_len = c->data_length};
	req->io.iov_count = 1;
	req->io.offset_bytes = sector << VBLK_SECTOR_SHIFT;
	req->io.length_bytes = c->data_length;
	req->io.op = type == VBLK_T_IN ? BLK_READ : BLK_WRITE;
	req->io.flags = type == VBLK_T_IN ? 0 : b->write_flags;
	req->flags = type == VBLK_T_IN ? REQUEST_DATA_IN : 0;
	return true;
}

/* ---- any shape ---- */

static uint64_t total_bytes(const struct ring_segment *segment, unsigned count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += segment[i].length;
	return total;
}

int request_iov_add(struct request *req, uint8_t *base, uint64_t length_bytes)
{
	struct iovec *last = &req->io.iov[req->io.iov_count - 1], *more;

	if (req->io.iov_count > 0 && (uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += length_bytes;
		return 0;
	}
	if (req->io.iov_count == REQUEST_IOV_MAX)
		return -E2BIG;
	if (req->io.iov_count == REQUEST_IOV_INLINE && (req->flags & REQUEST_LONG_IOV) == 0) {
		more = virtqueue_iov_take(req->vq);
		if (more == NULL)
			return -EAGAIN;
		memcpy(more, req->iov, sizeof(req->iov));
		req->io.iov = more;
		req->flags |= REQUEST_LONG_IOV;
	}
	req->io.iov[req->io.iov_count++] = (struct iovec){.iov_base = base, .iov_len = length_bytes};
	return 0;
}

/* 0, -EFAULT (not in memory), -E2BIG (too many pieces), -EAGAIN (pool). */
static int iov_build(struct virtqueue *vq, struct request *req, struct span span)
{
	int err = 0;

	for (unsigned i = 0; i < span.count && span.length_bytes > 0; i++) {
		uint64_t addr = span.segment[i].addr, left = span.segment[i].length;

		if (span.skip_bytes >= left) {
			span.skip_bytes -= left;
			continue;
		}
		addr += span.skip_bytes;
		left -= span.skip_bytes;
		span.skip_bytes = 0;
		if (left > span.length_bytes)
			left = span.length_bytes;
		span.length_bytes -= left;
		while (left > 0 && err == 0) {
			uint64_t part = left;
			uint8_t *host = guest_memory_at(vq->memory, addr, &part);

			err = host == NULL ? -EFAULT : request_iov_add(req, host, part);
			addr += part;
			left -= part;
		}
		if (err < 0)
			return err;
	}
	return 0;
}

static bool span_copy(struct virtqueue *vq, struct span span, uint8_t *to)
{
	for (unsigned i = 0; i < span.count && span.length_bytes > 0; i++) {
		uint64_t left = span.segment[i].length, part;

		if (span.skip_bytes >= left) {
			span.skip_bytes -= left;
			continue;
		}
		part = left - span.skip_bytes < span.length_bytes ? left - span.skip_bytes : span.length_bytes;
		if (!ring_copy_in(&vq->ring, to, span.segment[i].addr + span.skip_bytes, part))
			return false;
		to += part;
		span.skip_bytes = 0;
		span.length_bytes -= part;
	}
	return span.length_bytes == 0;
}

static enum parse_result parse_data(struct virtqueue *vq, const struct batch *b, struct request *req, uint64_t sector,
				    struct span data, uint8_t op)
{
	int err;

	req->io.op = op;
	req->io.flags = op == BLK_WRITE ? b->write_flags : 0;
	if ((op == BLK_WRITE && b->read_only) || !in_range(b, sector, data.length_bytes) ||
	    data.length_bytes % VBLK_SECTOR_BYTES != 0)
		return refuse(req, VBLK_S_IOERR);
	if (data.length_bytes == 0)
		return answer(req, VBLK_S_OK, (req->flags & REQUEST_DATA_IN) == 0);
	err = iov_build(vq, req, data);
	if (err == -EAGAIN)
		return PARSE_LATER;
	if (err < 0)
		return refuse(req, VBLK_S_IOERR);
	req->io.offset_bytes = sector << VBLK_SECTOR_SHIFT;
	req->io.length_bytes = data.length_bytes;
	return PARSE_OK;
}

static enum parse_result parse_get_id(struct virtqueue *vq, struct request *req, struct span data)
{
	uint64_t room = data.length_bytes;
	const char *serial = vq->blk->serial;
	int err;

	if (data.length_bytes > VBLK_ID_BYTES)
		data.length_bytes = VBLK_ID_BYTES;
	err = iov_build(vq, req, data);
	if (err == -EAGAIN)
		return PARSE_LATER;
	if (err < 0)
		return refuse(req, VBLK_S_IOERR);
	for (unsigned i = 0; i < req->io.iov_count; i++) {
		memcpy(req->io.iov[i].iov_base, serial, req->io.iov[i].iov_len);
		serial += req->io.iov[i].iov_len;
	}
	return answer(req, VBLK_S_OK, room > VBLK_ID_BYTES ? VBLK_ID_BYTES : (uint32_t)room + 1);
}

/* ---- DISCARD, WRITE_ZEROES, SECURE_ERASE ---- */

static uint32_t sectors_max(uint8_t op)
{
	return op == BLK_WRITE_ZEROES ? VIRTIO_BLK_ZEROES_SECTORS_MAX : VIRTIO_BLK_DISCARD_SECTORS_MAX;
}

static enum virtio_blk_status check_range(const struct batch *b, const uint8_t *range, uint8_t op)
{
	uint32_t sectors = get_le32(range + VBLK_RANGE_SECTORS), flags = get_le32(range + VBLK_RANGE_FLAGS);

	/* 5.2.6.2: UNSUPP for unmap where it may not be, and for bits that have no meaning yet. */
	if ((flags & ~(uint32_t)(op == BLK_WRITE_ZEROES ? VBLK_RANGE_UNMAP : 0)) != 0)
		return VBLK_S_UNSUPP;
	if (sectors > sectors_max(op) || !in_range(b, get_le64(range), (uint64_t)sectors << VBLK_SECTOR_SHIFT))
		return VBLK_S_IOERR;
	return VBLK_S_OK;
}

static void fill_range(const struct batch *b, struct blk_io *io, const uint8_t *range, uint8_t op)
{
	io->offset_bytes = get_le64(range) << VBLK_SECTOR_SHIFT;
	io->length_bytes = (uint64_t)get_le32(range + VBLK_RANGE_SECTORS) << VBLK_SECTOR_SHIFT;
	io->op = op;
	io->flags = b->write_flags;
	if ((get_le32(range + VBLK_RANGE_FLAGS) & VBLK_RANGE_UNMAP) != 0)
		io->flags |= BLK_IO_UNMAP;
}

/* One request with several ranges: a child each. What the target is asked for its allowance is the parent, with the sum. */
static enum parse_result make_children(const struct batch *b, struct request *req, const uint8_t *ranges, unsigned count,
				       uint8_t op)
{
	uint64_t length_bytes = 0;

	req->flags |= REQUEST_RANGES;
	req->io.next = NULL;
	request_parts_open(req);
	for (unsigned i = count; i-- > 0;) {
		struct request *child = request_part_take(req);

		if (child == NULL)
			return PARSE_LATER;
		fill_range(b, &child->io, ranges + i * VBLK_RANGE_BYTES, op);
		child->io.next = req->io.next;
		req->io.next = &child->io;
		length_bytes += child->io.length_bytes;
	}
	fill_range(b, &req->io, ranges, op);
	req->io.length_bytes = length_bytes;
	return PARSE_OK;
}

static enum parse_result parse_ranges(struct virtqueue *vq, const struct batch *b, struct request *req, struct span data,
				      uint8_t op, enum virtio_blk_feature feature)
{
	uint8_t ranges[VIRTIO_BLK_DISCARD_SEG_MAX * VBLK_RANGE_BYTES];
	unsigned count = 0;

	if ((vq->features >> feature & 1) == 0)
		return refuse(req, VBLK_S_UNSUPP);
	if (b->read_only || data.length_bytes == 0 || data.length_bytes > sizeof(ranges) ||
	    data.length_bytes % VBLK_RANGE_BYTES != 0 || !span_copy(vq, data, ranges))
		return refuse(req, VBLK_S_IOERR);
	for (unsigned i = 0; i < data.length_bytes / VBLK_RANGE_BYTES; i++) {
		const uint8_t *range = ranges + i * VBLK_RANGE_BYTES;
		enum virtio_blk_status status = check_range(b, range, op);

		if (status != VBLK_S_OK)
			return refuse(req, status);
		if (get_le32(range + VBLK_RANGE_SECTORS) != 0)
			memmove(ranges + count++ * VBLK_RANGE_BYTES, range, VBLK_RANGE_BYTES);
	}
	if (count == 0)
		return answer(req, VBLK_S_OK, (req->flags & REQUEST_DATA_IN) == 0);
	if (count > 1)
		return make_children(b, req, ranges, count, op);
	fill_range(b, &req->io, ranges, op);
	return PARSE_OK;
}

/* ---- */

static enum parse_result parse_header(struct virtqueue *vq, const struct batch *b, struct request *req, const uint8_t *header,
				      struct span out, struct span in)
{
	uint64_t sector = get_le64(header + VBLK_HEADER_SECTOR);

	switch (get_le32(header)) {
	case VBLK_T_IN:
		return parse_data(vq, b, req, sector, in, BLK_READ);
	case VBLK_T_OUT:
		return parse_data(vq, b, req, sector, out, BLK_WRITE);
	case VBLK_T_FLUSH:
		req->io.op = BLK_FLUSH;
		req->io.flags = 0;
		req->io.offset_bytes = 0;
		req->io.length_bytes = 0;
		return PARSE_OK;
	case VBLK_T_GET_ID:
		return parse_get_id(vq, req, in);
	case VBLK_T_DISCARD:
		return parse_ranges(vq, b, req, out, BLK_DISCARD, VBLK_F_DISCARD);
	case VBLK_T_WRITE_ZEROES:
		return parse_ranges(vq, b, req, out, BLK_WRITE_ZEROES, VBLK_F_WRITE_ZEROES);
	case VBLK_T_SECURE_ERASE:
		return parse_ranges(vq, b, req, out, BLK_SECURE_ERASE, VBLK_F_SECURE_ERASE);
	default:
		return refuse(req, VBLK_S_UNSUPP);
	}
}

/* The last writable byte. */
static uint8_t *find_status(struct virtqueue *vq, const struct ring_segments *s)
{
	for (unsigned i = s->count; i-- > s->readable;)
		if (s->segment[i].length > 0)
			return ring_host(&vq->ring, s->segment[i].addr + s->segment[i].length - 1, 1);
	return NULL;
}

static enum parse_result parse_any(struct virtqueue *vq, const struct batch *b, const struct ring_chain *chain, struct request *req)
{
	struct ring_segments *s = &vq->worker->segments;
	uint8_t header[VBLK_HEADER_BYTES];
	struct span out, in;

	req->status = NULL;
	if (!ring_expand(&vq->ring, chain, s))
		return PARSE_BROKEN;
	out = (struct span){.segment = s->segment, .count = s->readable, .length_bytes = VBLK_HEADER_BYTES};
	in = (struct span){.segment = s->segment + s->readable, .count = (unsigned)(s->count - s->readable)};
	req->status = find_status(vq, s);
	if (req->status == NULL)
		return refuse(req, VBLK_S_IOERR);
	in.length_bytes = total_bytes(in.segment, in.count) - 1;
	if (in.length_bytes > 0)
		req->flags |= REQUEST_DATA_IN;
	if (!span_copy(vq, out, header))
		return refuse(req, VBLK_S_IOERR);
	out.skip_bytes = VBLK_HEADER_BYTES;
	out.length_bytes = total_bytes(out.segment, out.count) - VBLK_HEADER_BYTES;
	return parse_header(vq, b, req, header, out, in);
}

enum parse_result blk_request_parse(struct virtqueue *vq, const struct batch *b, const struct ring_chain *chain,
				    struct request *req)
{
	req->id = chain->id;
	req->slots = chain->slots;
	req->io.complete = blk_request_complete;
	req->io.submit_tsc = b->now_tsc;
	req->io.iov = req->iov;
	if (__builtin_expect(chain->usual, 1) && parse_usual(b, chain, req))
		return PARSE_OK;
	req->flags = 0;
	req->io.iov_count = 0;
	return parse_any(vq, b, chain, req);
}
