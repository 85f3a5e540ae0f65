/* An ENI over vhost-user-net: a VMM's NIC. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "card/eni.h"
#include "card/stats_json.h"

struct eni_queue {
	struct vhost_queue queue;
	struct net_queue *vq;
};

static struct eni_device *eni_of(const struct vhost_device *vhost)
{
	return container_of(vhost, struct eni_device, vhost);
}

/* ---- a queue as a source of work: transmit queues are visited, receive queues are what others fill ---- */

static struct net_queue *vq_of(const struct source *source)
{
	return container_of(source, struct eni_queue, queue.source)->vq;
}

static struct visit visit(struct source *source, uint64_t now_tsc)
{
	return net_queue_visit(vq_of(source), now_tsc);
}

static bool arm(struct source *source)
{
	return net_queue_arm(vq_of(source));
}

static void disarm(struct source *source)
{
	net_queue_disarm(vq_of(source));
}

static void stop(struct source *source)
{
	net_queue_stop(vq_of(source));
}

static bool stopped(const struct source *source)
{
	return net_queue_stopped(vq_of(source));
}

static const struct source_ops transmit_ops = {.visit = visit, .arm = arm, .disarm = disarm, .stop = stop, .stopped = stopped};
static const struct source_ops receive_ops = {.disarm = disarm, .stop = stop, .stopped = stopped};

/* (poller) A receive queue is filled by others as soon as it is started, which may be before the poller was given it as a source. */
static void ring_broken(void *context, unsigned index, const char *why)
{
	struct eni_device *e = context;

	source_broken(&e->queues[index]->queue.source, why);
}

/* ---- the device ---- */

static void describe(const struct vhost_device *vhost, struct vhost_user_config *config)
{
	const struct eni_device *e = eni_of(vhost);

	config->features = virtio_net_features(e->net);
	config->config_size = VIRTIO_NET_CONFIG_BYTES;
	config->no_inflight = true;
	config->queue_pairs = e->request.front.queues;
	config->mtu = e->request.mtu;
}

static int config_read(struct vhost_device *vhost, uint32_t offset, void *data, uint32_t size)
{
	return virtio_net_config_read(eni_of(vhost)->net, vhost_user_state(vhost->connection), offset, data, size);
}

static int config_write(struct vhost_device *vhost, uint32_t offset, const void *data, uint32_t size)
{
	return virtio_net_config_write(eni_of(vhost)->net, vhost_user_state(vhost->connection), offset, data, size);
}

static int queue_start(struct vhost_device *vhost, unsigned index, struct vhost_queue **out)
{
	struct eni_device *e = eni_of(vhost);
	struct vhost_user *v = vhost->connection;
	struct eni_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (q == NULL)
		return -ENOMEM;
	e->queues[index] = q; /* before it is started: see ring_broken() */
	rc = virtio_net_queue_start(e->net, vhost->poller->worker, index, vhost_user_state(v), vhost_user_memory(v),
				    vhost_user_call_fd(v, index), clock_tsc(), &q->vq);
	if (rc < 0) {
		e->queues[index] = NULL;
		free(q);
		return rc;
	}
	q->queue.source.ops = net_queue_transmits(q->vq) ? &transmit_ops : &receive_ops;
	*out = &q->queue;
	return 0;
}

static void add_accounts(struct net_queue_accounts *total, const struct net_queue_accounts *a)
{
	account_merge(&total->ring, &a->ring);
	total->packets += a->packets;
	total->bytes += a->bytes;
	total->segments += a->segments;
	total->malformed += a->malformed;
	total->no_buffer += a->no_buffer;
	total->calls_sent += a->calls_sent;
	total->kicks_suppressed += a->kicks_suppressed;
}

/* Counters outlive their queue. */
static void keep_totals(struct eni_device *e, const struct net_queue *vq)
{
	const struct net_queue_accounts *a = net_queue_accounts(vq);
	struct net_queue_accounts **total = &e->totals[net_queue_transmits(vq) ? ENI_TRANSMIT : ENI_RECEIVE];

	if (a->packets + a->malformed + a->no_buffer == 0)
		return;
	if (*total == NULL)
		*total = calloc(1, sizeof(**total));
	if (*total != NULL)
		add_accounts(*total, a);
}

static void queue_release(struct vhost_queue *queue, struct virtqueue_state *state)
{
	struct eni_queue *q = container_of(queue, struct eni_queue, queue);
	struct eni_device *e = eni_of(queue->device);

	keep_totals(e, q->vq);
	net_queue_release(q->vq, state);
	e->queues[queue->index] = NULL;
	free(q);
}

static void queue_broken(struct vhost_device *vhost, unsigned index, const char *why)
{
	eni_broken(eni_of(vhost), index, why);
}

static void connected(struct vhost_device *vhost)
{
	eni_set_connected(eni_of(vhost), true);
}

static void disconnected(struct vhost_device *vhost)
{
	struct eni_device *e = eni_of(vhost);

	if (e->phase == ENI_CLOSING)
		eni_front_stopped(e);
	else
		eni_set_connected(e, false);
}

static const struct vhost_device_ops vhost_ops = {
	.kind = "ENI",
	.describe = describe,
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_release = queue_release,
	.queue_broken = queue_broken,
	.connected = connected,
	.disconnected = disconnected,
};

/* ---- the front end ---- */

static void front_open(struct eni_device *e)
{
	struct virtio_net_config config = {.mac = e->mac,
					   .mtu = e->request.mtu,
					   .pairs_max = e->request.front.queues,
					   .packed_allowed = e->request.front.packed,
					   .input = &e->input,
					   .broken = ring_broken,
					   .context = e};

	vhost_device_init(&e->vhost, e->card, e->network->poller, &vhost_ops, e->name);
	e->vhost.socket = e->request.front.socket;
	e->vhost.queues_max = (uint16_t)(2 * e->request.front.queues);
	if (virtio_net_create(&e->net, &config) < 0) {
		eni_refuse(e, "internal", "out of memory");
		return;
	}
	e->sink = virtio_net_sink(e->net);
	eni_made(e);
}

static int front_start(struct eni_device *e, char *error, size_t error_size)
{
	int rc = vhost_device_listen(&e->vhost, error, error_size);

	if (rc == 0)
		log_info("ENI %s: attached, waiting for a VMM on %s", e->name, e->vhost.socket.path);
	return rc;
}

static bool front_stop(struct eni_device *e)
{
	vhost_device_unlisten(&e->vhost);
	if (e->vhost.connection == NULL)
		return true;
	vhost_device_close(&e->vhost);
	return false; /* disconnected() goes on, or has gone on already: then the ENI is gone */
}

static void front_free(struct eni_device *e)
{
	vhost_device_forget(&e->vhost);
	if (e->net != NULL)
		virtio_net_free(e->net);
	free(e->totals[ENI_RECEIVE]);
	free(e->totals[ENI_TRANSMIT]);
}

static json_t *attached(const struct eni_device *e)
{
	return json_pack("{s:s}", "socket", e->vhost.socket.path);
}

static bool same(const struct eni_device *e, const struct eni_request *again)
{
	return strcmp(e->vhost.socket.path, again->front.socket.path) == 0 && e->request.front.queues == again->front.queues;
}

static json_t *queue_json(int index, bool transmits, bool served, const struct net_queue_accounts *a, const struct source *source)
{
	return json_pack("{s:i,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:[o]}", "index", index, "direction",
			 transmits ? "transmit" : "receive", "served", (int)served, "kicks",
			 source == NULL ? (json_int_t)0 : (json_int_t)STATS_LOAD(source->kicks), "kicks_suppressed",
			 (json_int_t)STATS_LOAD(a->kicks_suppressed), "calls", (json_int_t)STATS_LOAD(a->calls_sent), "packets",
			 (json_int_t)STATS_LOAD(a->packets), "bytes", (json_int_t)STATS_LOAD(a->bytes), "segments",
			 (json_int_t)STATS_LOAD(a->segments), "malformed", (json_int_t)STATS_LOAD(a->malformed), "no_buffer",
			 (json_int_t)STATS_LOAD(a->no_buffer), "service_gap_max_ns",
			 stats_ns(source == NULL ? 0 : STATS_LOAD(source->gap_ticks_max)), "stages", stats_stage("ring", &a->ring));
}

/* Served queues, and what is kept of those that are gone under the index of the first queue that is not served. */
static json_t *queues(const struct eni_device *e, bool all)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < e->vhost.queues_max; i++) {
		const struct eni_queue *q = e->queues[i];
		const struct net_queue_accounts *a = q == NULL ? NULL : net_queue_accounts(q->vq);

		if (a != NULL && (all || STATS_LOAD(a->packets) > 0))
			json_array_append_new(list, queue_json((int)i, net_queue_transmits(q->vq), true, a, &q->queue.source));
	}
	for (int direction = ENI_RECEIVE; direction <= ENI_TRANSMIT; direction++)
		if (e->totals[direction] != NULL)
			json_array_append_new(
				list, queue_json(DEVICE_QUEUES_MAX, direction == ENI_TRANSMIT, false, e->totals[direction], NULL));
	return list;
}

const struct eni_front eni_vhost_front = {
	.open = front_open,
	.start = front_start,
	.stop = front_stop,
	.free = front_free,
	.attached = attached,
	.same = same,
	.queues = queues,
};
