/* What the queues of one poller share: the pools, and the list of queues that have something to show to their guests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio/net_queue.h"
#include "virtio/virtqueue.h"

enum {
	CACHE_LINE_BYTES = 64,
	USED_BATCH = 64, /* used elements written before the index moves */
};

int virtio_worker_create(struct virtio_worker **out, unsigned requests_max)
{
	struct virtio_worker *w =
		aligned_alloc(CACHE_LINE_BYTES, (sizeof(*w) + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES);

	if (requests_max < 2 * RING_BATCH_MAX)
		requests_max = 2 * RING_BATCH_MAX; /* a chain with the most ranges must find room */
	if (w == NULL)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->calling_fd = -1;
	w->requests = aligned_alloc(CACHE_LINE_BYTES, requests_max * sizeof(*w->requests));
	w->iovs = aligned_alloc(CACHE_LINE_BYTES, WORKER_IOVS * sizeof(*w->iovs));
	w->net = aligned_alloc(CACHE_LINE_BYTES, sizeof(*w->net));
	if (w->requests == NULL || w->iovs == NULL || w->net == NULL) {
		virtio_worker_free(w);
		return -ENOMEM;
	}
	memset(w->requests, 0, requests_max * sizeof(*w->requests));
	memset(w->net, 0, sizeof(*w->net));
	for (unsigned i = 0; i < requests_max; i++)
		worker_request_put(w, &w->requests[i]);
	for (unsigned i = 0; i < WORKER_IOVS; i++)
		worker_iov_put(w, w->iovs[i].iov);
	*out = w;
	return 0;
}

void virtio_worker_free(struct virtio_worker *worker)
{
	if (worker == NULL)
		return;
	free(worker->net);
	free(worker->iovs);
	free(worker->requests);
	free(worker);
}

void worker_dirty(struct virtqueue *vq)
{
	if (vq->dirty)
		return;
	vq->dirty = true;
	vq->dirty_next = vq->worker->dirty;
	vq->worker->dirty = vq;
}

struct request *worker_request_take(struct virtio_worker *w)
{
	struct blk_io *io = w->free;

	if (io == NULL)
		return NULL;
	w->free = io->next;
	w->free_count--;
	return container_of(io, struct request, io);
}

static bool has_its_share(unsigned held, unsigned free, unsigned least)
{
	return held >= free && held >= least;
}

struct request *virtqueue_request_take(struct virtqueue *vq)
{
	struct virtio_worker *w = vq->worker;
	struct request *req = has_its_share(vq->blk->requests, w->free_count, 1 + REQUEST_RESERVE) ? NULL : worker_request_take(w);

	if (req == NULL)
		return NULL;
	req->vq = vq;
	vq->blk->requests++;
	return req;
}

static void release(struct virtio_worker *w, struct request *req)
{
	bool long_iov = (req->flags & REQUEST_LONG_IOV) != 0;

	if (long_iov)
		worker_iov_put(w, req->io.iov);
	if (req->vq != NULL) {
		req->vq->blk->requests--;
		req->vq->blk->iovs -= long_iov;
	}
	req->vq = NULL;
	req->io.next = w->free;
	w->free = &req->io;
	w->free_count++;
}

void worker_request_put(struct virtio_worker *w, struct request *req)
{
	if ((req->flags & REQUEST_RANGES) != 0) {
		struct blk_io *child = req->io.next, *next;

		for (; child != NULL; child = next) {
			next = child->next;
			release(w, container_of(child, struct request, io));
		}
	}
	release(w, req);
}

struct iovec *worker_iov_take(struct virtio_worker *w)
{
	struct iov_array *array = w->free_iovs;

	if (array == NULL)
		return NULL;
	w->free_iovs = array->next;
	w->free_iovs_count--;
	return array->iov;
}

void worker_iov_put(struct virtio_worker *w, struct iovec *iov)
{
	struct iov_array *array = (struct iov_array *)(void *)iov;

	array->next = w->free_iovs;
	w->free_iovs = array;
	w->free_iovs_count++;
}

struct iovec *virtqueue_iov_take(struct virtqueue *vq)
{
	struct iovec *iov = has_its_share(vq->blk->iovs, vq->worker->free_iovs_count, 1) ? NULL : worker_iov_take(vq->worker);

	vq->blk->iovs += iov != NULL;
	return iov;
}

/* ---- publishing ---- */

/* Requests that were read at the same time and leave at the same time are accounted together. */
struct group {
	uint64_t submit_tsc;
	uint64_t bytes;
	uint32_t count;
};

static void group_close(struct virtqueue *vq, struct group *g, uint64_t now_tsc)
{
	if (g->count > 0)
		account_depart(&vq->accounts.device, now_tsc, g->count, g->bytes, now_tsc - g->submit_tsc);
}

static void group_add(struct virtqueue *vq, struct group *g, const struct blk_io *io, uint64_t bytes, uint64_t now_tsc)
{
	if (__builtin_expect(io->submit_tsc != g->submit_tsc, 0)) {
		group_close(vq, g, now_tsc);
		*g = (struct group){.submit_tsc = io->submit_tsc};
	}
	g->count++;
	g->bytes += bytes;
}

static void count_failure(struct virtqueue *vq, uint8_t status)
{
	if (status == VBLK_S_UNSUPP)
		COUNT(vq->accounts.unsupported, 1);
	else
		COUNT(vq->accounts.errors, 1);
}

/* Writes the status byte and says what the used element says. */
static uint64_t finish(struct virtqueue *vq, struct request *req, struct ring_used *used)
{
	uint8_t status = req->io.error == 0 ? VBLK_S_OK : req->io.error == -EOPNOTSUPP ? VBLK_S_UNSUPP : VBLK_S_IOERR;
	bool data = req->io.op <= BLK_WRITE;

	*used = (struct ring_used){.id = req->id, .slots = req->slots, .entry = req->entry};
	if (__builtin_expect((req->flags & REQUEST_ANSWERED) != 0, 0)) {
		status = req->answer;
		used->length = (uint32_t)req->io.length_bytes;
		data = false;
	} else if ((req->flags & REQUEST_DATA_IN) == 0) {
		used->length = 1;
	} else if (req->io.op == BLK_READ && status == VBLK_S_OK) {
		used->length = (uint32_t)req->io.length_bytes + 1;
	}
	if (__builtin_expect(status != VBLK_S_OK, 0))
		count_failure(vq, status);
	if (__builtin_expect(req->status != NULL, 1))
		*(volatile uint8_t *)req->status = status;
	return data ? req->io.length_bytes : 0;
}

static void free_all(struct virtqueue *vq, struct blk_io *first)
{
	struct blk_io *next;

	for (; first != NULL; first = next) {
		struct request *req = container_of(first, struct request, io);

		next = first->next;
		req->flags &= (uint8_t)~REQUEST_RANGES; /* its children are long gone */
		worker_request_put(vq->worker, req);
	}
}

/* A full counter (EAGAIN) is a signal that was not taken yet; a descriptor that is none is the VMM's own loss. A VMM can take
 * O_NONBLOCK away and fill the counter: then this hangs, until whoever watches us drains it (virtio_worker_calling). */
bool virtio_worker_call(struct virtio_worker *worker, int fd)
{
	uint64_t one = 1;
	bool taken;

	if (fd < 0)
		return false;
	ACCOUNT_SET(worker->calling_fd, fd);
	taken = write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one);
	ACCOUNT_SET(worker->calling_fd, -1);
	return taken;
}

static void call_guest(struct virtqueue *vq)
{
	if (vq->call_fd >= 0 && ring_wants_call(&vq->ring) && virtio_worker_call(vq->worker, vq->call_fd))
		COUNT(vq->accounts.calls_sent, 1);
}

void virtio_worker_contend(struct virtio_worker *worker, bool contended)
{
	worker->contended = contended;
}

int virtio_worker_calling(const struct virtio_worker *worker)
{
	return __atomic_load_n(&worker->calling_fd, __ATOMIC_RELAXED);
}

/* No visits come any more, and a request was given to the target in part. */
static void finish_cut(struct virtqueue *vq, uint64_t now_tsc)
{
	struct batch b;

	batch_open(vq, &b, now_tsc);
	request_cut_on(vq, &b);
	batch_submit(vq, &b);
}

static void publish(struct virtqueue *vq, uint64_t now_tsc)
{
	struct ring_used used[USED_BATCH];
	struct blk_io *first = vq->done;
	struct group group = {.submit_tsc = first->submit_tsc};
	unsigned count = 0;

	for (struct blk_io *io = first; io != NULL; io = io->next) {
		struct request *req = container_of(io, struct request, io);

		group_add(vq, &group, io, finish(vq, req, &used[count]), now_tsc);
		vq->in_flight--;
		if (++count == USED_BATCH) {
			ring_use(&vq->ring, used, count);
			count = 0;
		}
	}
	if (count > 0)
		ring_use(&vq->ring, used, count);
	group_close(vq, &group, now_tsc);
	vq->done = NULL;
	vq->done_tail = &vq->done;
	free_all(vq, first);
	call_guest(vq);
}

unsigned virtio_worker_publish(struct virtio_worker *worker, uint64_t now_tsc)
{
	struct virtqueue *vq = worker->dirty, *next;
	unsigned count = 0;

	worker->dirty = NULL;
	for (; vq != NULL; vq = next, count++) {
		next = vq->dirty_next;
		if (vq->stopping && vq->cut.request != NULL)
			finish_cut(vq, now_tsc);
		if (vq->done != NULL)
			publish(vq, now_tsc);
		vq->dirty = false;
		if (vq->stopping && vq->cut.request != NULL) /* not through yet */
			worker_dirty(vq);
	}
	return count;
}
