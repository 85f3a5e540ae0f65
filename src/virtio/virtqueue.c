/*
 * A queue while it is served.
 *
 * A request is taken from the ring only when it can start: its chain is parsed where it lies, the target's allowance is asked, and
 * only then do the ring's index and the in-flight record move. A request that must wait (for its allowance, or for a pool)
 * therefore costs no memory, is parsed again at the next visit, and is nothing that a stop would have to undo.
 *
 * What a predecessor left in flight is done before anything is read, in the order of its counters. A queue that is stopped before
 * that is done leaves the rest in the record, where its successor finds it.
 */
#include "virtio/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

int virtio_blk_queue_start(struct virtio_blk *blk, struct virtio_worker *worker, unsigned index, const struct device_state *state,
			   const struct guest_memory *memory, struct inflight_queue *inflight, int call_fd, uint64_t now_tsc,
			   struct virtqueue **out)
{
	struct inflight_recovery *recovery = calloc(1, sizeof(*recovery));
	struct virtqueue *vq = calloc(1, sizeof(*vq));
	int err = -ENOMEM;

	if (recovery == NULL || vq == NULL)
		goto out;
	err = index < blk->queues_max ? ring_open(&vq->ring, &state->queues[index], state->features, memory, inflight, recovery)
				      : -EINVAL;
	if (err < 0)
		goto out;
	if (recovery->count > 0) {
		vq->redo = calloc(recovery->count, sizeof(*vq->redo));
		if (vq->redo == NULL) {
			err = -ENOMEM;
			goto out;
		}
		memcpy(vq->redo, recovery->entries, recovery->count * sizeof(*vq->redo));
		vq->redo_count = recovery->count;
	}
	virtio_blk_cache_mode(blk, state);
	vq->ring.copies = worker->copies;
	vq->worker = worker;
	vq->blk = blk;
	vq->memory = memory;
	vq->features = state->features;
	vq->index = (uint16_t)index;
	vq->call_fd = call_fd;
	vq->done_tail = &vq->done;
	vq->watch.looked_tsc = now_tsc;
	vq->accounts.ring.changed_tsc = now_tsc;
	vq->accounts.device.changed_tsc = now_tsc;
	*out = vq;
	vq = NULL;
out:
	free(vq);
	free(recovery);
	return err;
}

void virtqueue_stop(struct virtqueue *vq)
{
	vq->stopping = true;
	if (vq->cut.request != NULL)
		worker_dirty(vq);
}

bool virtqueue_stopped(const struct virtqueue *vq)
{
	return vq->stopping && vq->in_flight == 0;
}

void virtqueue_release(struct virtqueue *vq, struct virtqueue_state *state)
{
	assert(virtqueue_stopped(vq));
	ring_close(&vq->ring, state, vq->redo_next == vq->redo_count);
	if (vq->told)
		state->broken = 1;
	free(vq->redo);
	free(vq);
}

/* ---- a visit ---- */

/* Tells the owner, once. */
static bool is_broken(struct virtqueue *vq)
{
	if (vq->ring.broken_why == NULL)
		return false;
	if (!vq->told)
		vq->blk->broken(vq->blk->context, vq->index, vq->ring.broken_why);
	vq->told = true;
	return true;
}

void batch_open(const struct virtqueue *vq, struct batch *b, uint64_t now_tsc)
{
	const struct blk_target *target = vq->blk->target;
	bool write_back = (vq->features & BIT(VBLK_F_CONFIG_WCE)) != 0
				  ? __atomic_load_n(&vq->blk->write_back, __ATOMIC_RELAXED) != 0
				  : (vq->features & BIT(VBLK_F_FLUSH)) != 0;

	b->capacity_bytes = __atomic_load_n(&target->capacity_bytes, __ATOMIC_RELAXED);
	b->block_mask = target->block_size_bytes - 1;
	b->read_only = target->read_only != 0;
	b->write_flags = write_back ? 0 : BLK_IO_DURABLE;
	b->now_tsc = now_tsc;
	b->count = 0;
	b->bytes = 0;
	b->bytes_max = vq->worker->contended && target->inline_data ? VIRTIO_BLK_VISIT_BYTES_CONTENDED : VIRTIO_BLK_VISIT_BYTES_MAX;
}

/* 0, or when to ask again. The target knows the request that waits by the address of its io: always the same one of this queue. */
static uint64_t ask_allowance(struct virtqueue *vq, const struct request *req, uint64_t now_tsc)
{
	struct blk_target *target = vq->blk->target;

	if (target->ops->admit == NULL || (req->flags & REQUEST_ANSWERED) != 0)
		return 0;
	vq->asking = req->io;
	return target->ops->admit(target, &vq->asking, now_tsc);
}

/* What was taken from the ring begins. */
static void begin(struct virtqueue *vq, struct batch *b, struct request *req)
{
	struct blk_io *child, *next;

	if ((req->flags & REQUEST_ANSWERED) != 0) {
		blk_request_complete(&req->io, 0);
	} else if ((req->flags & REQUEST_RANGES) != 0) {
		for (child = req->io.next; child != NULL; child = next) {
			next = child->next;
			batch_add(b, child);
		}
	} else if (__builtin_expect(request_needs_cut(req, b->bytes_max), 0)) {
		request_cut_open(vq, req);
		request_cut_on(vq, b);
	} else {
		batch_add(b, &req->io);
	}
}

enum start_result { START_DONE, START_LATER, START_BROKEN };

/* Takes one chain out of the ring, if it can start now. */
static enum start_result start(struct virtqueue *vq, struct batch *b, struct ring_chain *chain, uint64_t *again_tsc)
{
	struct request *req = virtqueue_request_take(vq);
	enum parse_result parsed;

	if (req == NULL)
		return START_LATER;
	parsed = blk_request_parse(vq, b, chain, req);
	if (parsed == PARSE_OK) {
		*again_tsc = ask_allowance(vq, req, b->now_tsc);
		if (*again_tsc == 0 && ring_take(&vq->ring, chain)) {
			req->entry = chain->entry;
			begin(vq, b, req);
			return START_DONE;
		}
	}
	worker_request_put(vq->worker, req);
	return vq->ring.broken_why != NULL ? START_BROKEN : START_LATER;
}

void batch_submit(struct virtqueue *vq, struct batch *b)
{
	if (b->count > 0)
		vq->blk->target->ops->submit(vq->blk->target, b->ios, b->count, b->now_tsc);
}

static bool may_start(const struct virtqueue *vq, const struct batch *b)
{
	return !batch_full(b) && vq->cut.request == NULL;
}

static struct visit visit_cut(struct virtqueue *vq, struct batch *b)
{
	request_cut_on(vq, b);
	return (struct visit){.started = b->count, .more = true};
}

/* Requests that a predecessor had taken. */
static struct visit visit_redo(struct virtqueue *vq, struct batch *b)
{
	struct visit v = {.more = true};

	while (v.started < VIRTIO_BLK_BATCH_MAX && may_start(vq, b) && vq->redo_next < vq->redo_count) {
		struct ring_chain chain;

		if (!ring_peek_entry(&vq->ring, vq->redo[vq->redo_next], &chain) ||
		    start(vq, b, &chain, &v.again_tsc) != START_DONE)
			break;
		vq->redo_next++;
		v.started++;
	}
	account_arrive(&vq->accounts.device, b->now_tsc, v.started);
	vq->in_flight += v.started;
	return v;
}

static struct visit visit_ring(struct virtqueue *vq, struct batch *b)
{
	struct ring_chain *chains = vq->worker->chains;
	struct visit v = {0};
	unsigned count = ring_peek(&vq->ring, chains, VIRTIO_BLK_BATCH_MAX);

	if (ring_watch_look(&vq->watch, &vq->accounts.ring, ring_waiting(&vq->ring, count), vq->armed, b->now_tsc) && !vq->armed)
		COUNT(vq->accounts.kicks_suppressed, 1);
	while (v.started < count && may_start(vq, b) && start(vq, b, &chains[v.started], &v.again_tsc) == START_DONE)
		v.started++;
	if (v.started > 0) {
		account_arrive(&vq->accounts.device, b->now_tsc, v.started);
		vq->in_flight += v.started;
		ring_watch_taken(&vq->watch, &vq->accounts.ring, v.started, b->now_tsc);
	}
	v.more = v.started < count || vq->cut.request != NULL || ring_knows_more(&vq->ring);
	return v;
}

struct visit virtqueue_visit(struct virtqueue *vq, uint64_t now_tsc)
{
	struct visit v = {0};
	struct batch b;

	if (vq->stopping || is_broken(vq))
		return v;
	if (__builtin_expect(ring_lost(&vq->ring), 0))
		ring_break(&vq->ring, "the VMM took the guest's memory away (its file was truncated)");
	batch_open(vq, &b, now_tsc);
	if (__builtin_expect(vq->cut.request != NULL, 0))
		v = visit_cut(vq, &b);
	else if (__builtin_expect(vq->redo_next < vq->redo_count, 0))
		v = visit_redo(vq, &b);
	else
		v = visit_ring(vq, &b);
	batch_submit(vq, &b);
	if (is_broken(vq))
		v.more = false;
	return v;
}

bool virtqueue_arm(struct virtqueue *vq)
{
	if ((vq->redo_next < vq->redo_count && vq->ring.broken_why == NULL) || vq->cut.request != NULL)
		return false;
	ring_ask_for_kick(&vq->ring);
	if (ring_has_more(&vq->ring)) {
		ring_ask_for_no_kick(&vq->ring);
		return false;
	}
	vq->armed = true;
	return true;
}

void virtqueue_disarm(struct virtqueue *vq)
{
	ring_ask_for_no_kick(&vq->ring);
	vq->armed = false;
}

unsigned virtqueue_in_flight(const struct virtqueue *vq)
{
	return vq->in_flight;
}

const struct virtqueue_accounts *virtqueue_accounts(const struct virtqueue *vq)
{
	return &vq->accounts;
}
