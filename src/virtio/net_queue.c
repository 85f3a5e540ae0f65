/*
 * A queue's life. Nothing of it is ever in flight between two visits: transmitted chains are given back in the visit that took
 * them, received frames are copied when put() returns. So there is no in-flight record, stopping is immediate, and a successor begins
 * where the used index stands: what was taken and not given back is done again.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>

#include "virtio/net_queue.h"
#include "virtio/virtqueue.h"

#define BIT(n) (UINT64_C(1) << (n))

static bool has(uint64_t features, enum virtio_net_feature feature)
{
	return (features >> feature & 1) != 0;
}

/* 5.1.3.1: segmentation needs checksums, in both directions. */
static void understand(struct net_queue *q, uint64_t features)
{
	bool modern = (features & BIT(VIRTIO_F_VERSION_1)) != 0;

	q->mergeable = has(features, VNET_F_MRG_RXBUF);
	q->header_bytes = modern || q->mergeable ? VNET_HEADER_BYTES : VNET_HEADER_LEGACY_BYTES;
	q->takes_gso = 1 << PACKET_GSO_NONE;
	if (has(features, VNET_F_CSUM)) {
		q->takes_csum = true;
		q->takes_ecn = has(features, VNET_F_HOST_ECN);
		q->takes_gso |= (uint8_t)(has(features, VNET_F_HOST_TSO4) << PACKET_GSO_TCP4 |
					  has(features, VNET_F_HOST_TSO6) << PACKET_GSO_TCP6 |
					  has(features, VNET_F_HOST_USO) << PACKET_GSO_UDP);
	}
	if (has(features, VNET_F_GUEST_CSUM)) {
		q->gives_valid = true;
		q->gives_ecn = has(features, VNET_F_GUEST_ECN);
		q->gives_offloads = SINK_CSUM;
		if (has(features, VNET_F_GUEST_TSO4))
			q->gives_offloads |= SINK_TSO4;
		if (has(features, VNET_F_GUEST_TSO6))
			q->gives_offloads |= SINK_TSO6;
		if (has(features, VNET_F_GUEST_USO4) && has(features, VNET_F_GUEST_USO6))
			q->gives_offloads |= SINK_USO;
	}
}

int virtio_net_queue_start(struct virtio_net *net, struct virtio_worker *worker, unsigned index, const struct device_state *state,
			   const struct guest_memory *memory, int call_fd, uint64_t now_tsc, struct net_queue **out)
{
	struct inflight_recovery *recovery = calloc(1, sizeof(*recovery));
	struct net_queue *q = calloc(1, sizeof(*q));
	int err = -ENOMEM;

	if (recovery == NULL || q == NULL)
		goto out;
	err = index < 2u * net->pairs_max ? ring_open(&q->ring, &state->queues[index], state->features, memory, NULL, recovery)
					  : -EINVAL;
	if (err < 0)
		goto out;
	understand(q, state->features);
	q->ring.copies = worker->copies;
	q->ring.reads_only = index % 2 == 1;
	q->net = net;
	q->worker = worker;
	q->index = (uint16_t)index;
	q->call_fd = call_fd;
	q->watch.looked_tsc = now_tsc;
	q->accounts.ring.changed_tsc = now_tsc;
	*out = q;
	q = NULL;
out:
	free(q);
	free(recovery);
	return err;
}

bool net_queue_transmits(const struct net_queue *queue)
{
	return queue->index % 2 == 1;
}

/* In the order of their pairs, so that the same hash finds the same queue whatever the order in which they came. */
static void receivers_add(struct virtio_net *net, struct net_queue *q)
{
	unsigned at = net->receivers_count++;

	for (; at > 0 && net->receivers[at - 1]->index > q->index; at--)
		net->receivers[at] = net->receivers[at - 1];
	net->receivers[at] = q;
	net->sink.offloads = q->gives_offloads; /* the same for all of a driver's queues */
	q->filled = true;
}

static void receivers_remove(struct virtio_net *net, struct net_queue *q)
{
	unsigned at = 0;

	while (net->receivers[at] != q)
		at++;
	for (net->receivers_count--; at < net->receivers_count; at++)
		net->receivers[at] = net->receivers[at + 1];
	if (net->receivers_count == 0)
		net->sink.offloads = 0;
	q->filled = false;
}

void net_queue_stop(struct net_queue *queue)
{
	struct virtio_net *net = queue->net;
	uint32_t dirty = UINT32_C(1) << queue->index / 2;

	queue->stopping = true;
	if (!queue->filled)
		return;
	if ((net->dirty & dirty) != 0)
		net_receive_flush(queue, queue->put_tsc);
	net->dirty &= ~dirty;
	receivers_remove(net, queue);
}

bool net_queue_stopped(const struct net_queue *queue)
{
	return queue->stopping;
}

void net_queue_release(struct net_queue *queue, struct virtqueue_state *state)
{
	assert(queue->stopping);
	ring_close(&queue->ring, state, true);
	if (queue->told)
		state->broken = 1;
	free(queue);
}

bool net_queue_is_broken(struct net_queue *queue)
{
	if (__builtin_expect(queue->ring.broken_why == NULL, 1))
		return false;
	if (!queue->told)
		queue->net->broken(queue->net->context, queue->index, queue->ring.broken_why);
	queue->told = true;
	return true;
}

void net_queue_call(struct net_queue *queue)
{
	if (queue->call_fd >= 0 && ring_wants_call(&queue->ring) && virtio_worker_call(queue->worker, queue->call_fd))
		NET_COUNT(queue->accounts.calls_sent, 1);
}

struct visit net_queue_visit(struct net_queue *queue, uint64_t now_tsc)
{
	if (!net_queue_transmits(queue) || queue->stopping || net_queue_is_broken(queue))
		return (struct visit){0};
	return net_transmit(queue, now_tsc);
}

bool net_queue_arm(struct net_queue *queue)
{
	if (!net_queue_transmits(queue))
		return true;
	ring_ask_for_kick(&queue->ring);
	if (ring_has_more(&queue->ring)) {
		ring_ask_for_no_kick(&queue->ring);
		return false;
	}
	queue->armed = true;
	return true;
}

void net_queue_disarm(struct net_queue *queue)
{
	ring_ask_for_no_kick(&queue->ring); /* of a receive queue: buffers are looked for when a frame comes */
	if (!net_queue_transmits(queue) && !queue->filled && !queue->stopping)
		receivers_add(queue->net, queue);
	queue->armed = false;
}

const struct net_queue_accounts *net_queue_accounts(const struct net_queue *queue)
{
	return &queue->accounts;
}
