/*
 * Requests that reach the target in parts: several ranges in one (DISCARD and its like), and data that is too much for one visit.
 *
 * The request that the guest made is the parent and never goes to the target itself; what the target serves are children, each a
 * request from the pool. `io.scratch` of the parent, which no target uses, counts the children that are not complete, its io.error
 * holds the last error among theirs. It completes with the last of them.
 *
 * Data of more than a visit may move (batch.bytes_max) is cut into children of at most that, so that a guest's giant request takes turns
 * with its neighbours' like many small ones. It is paid for (blk_target_ops.admit) in one. While `vq->cut` is being cut nothing
 * else is read from that ring; a queue that is stopped meanwhile cuts on in virtio_worker_publish().
 */
#include <string.h>

#include "virtio/virtqueue.h"

static uint64_t *pending_of(struct request *parent)
{
	return &parent->io.scratch[0];
}

static void part_done(struct request *parent)
{
	if (--*pending_of(parent) == 0)
		blk_request_complete(&parent->io, parent->io.error);
}

static void part_complete(struct blk_io *io, int error)
{
	struct request *child = container_of(io, struct request, io), *parent = child->parent;

	if (error != 0)
		parent->io.error = error;
	worker_request_put(child->vq->worker, child);
	part_done(parent);
}

void request_parts_open(struct request *parent)
{
	parent->io.error = 0;
	*pending_of(parent) = 0;
}

struct request *request_part_take(struct request *parent)
{
	struct request *child = virtqueue_request_take(parent->vq);

	if (child == NULL)
		return NULL;
	child->parent = parent;
	child->flags = 0;
	child->io.complete = part_complete;
	child->io.submit_tsc = parent->io.submit_tsc;
	child->io.iov = child->iov;
	child->io.iov_count = 0;
	++*pending_of(parent);
	return child;
}

/* ---- cutting ---- */

bool request_needs_cut(const struct request *req, uint64_t bytes_max)
{
	return req->io.op <= BLK_WRITE && req->io.length_bytes > bytes_max && (req->flags & REQUEST_ANSWERED) == 0;
}

void request_cut_open(struct virtqueue *vq, struct request *req)
{
	request_parts_open(req);
	*pending_of(req) = 1; /* the cut itself, until it is through */
	vq->cut = (struct cut){.request = req};
}

/* The next `length_bytes` of the parent's iov, as the child's. False: no array for it. */
static bool cut_iov(struct cut *cut, struct request *child, uint64_t length_bytes)
{
	const struct iovec *iov = cut->request->io.iov;

	while (length_bytes > 0) {
		uint64_t left = iov[cut->element].iov_len - cut->element_bytes, part = left < length_bytes ? left : length_bytes;

		if (request_iov_add(child, (uint8_t *)iov[cut->element].iov_base + cut->element_bytes, part) < 0)
			return false;
		length_bytes -= part;
		cut->element_bytes += part;
		if (part == left) {
			cut->element++;
			cut->element_bytes = 0;
		}
	}
	return true;
}

static struct request *cut_next(struct cut *cut, uint64_t bytes_max)
{
	struct request *parent = cut->request, *child = request_part_take(parent);
	uint64_t left = parent->io.length_bytes - cut->bytes;
	struct cut before = *cut;

	if (child == NULL)
		return NULL;
	child->io.op = parent->io.op;
	child->io.flags = parent->io.flags;
	child->io.offset_bytes = parent->io.offset_bytes + cut->bytes;
	child->io.length_bytes = left < bytes_max ? left : bytes_max;
	if (!cut_iov(cut, child, child->io.length_bytes)) {
		*cut = before;
		worker_request_put(parent->vq->worker, child);
		--*pending_of(parent);
		return NULL;
	}
	cut->bytes += child->io.length_bytes;
	return child;
}

void request_cut_on(struct virtqueue *vq, struct batch *b)
{
	struct request *parent = vq->cut.request, *child;

	while (!batch_full(b) && vq->cut.bytes < parent->io.length_bytes) {
		child = cut_next(&vq->cut, b->bytes_max);
		if (child == NULL)
			return;
		batch_add(b, &child->io);
	}
	if (vq->cut.bytes < parent->io.length_bytes)
		return;
	vq->cut.request = NULL;
	part_done(parent);
}
