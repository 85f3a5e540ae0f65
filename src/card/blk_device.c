#include "card/blk_device.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static struct device *device_of(const struct vhost_device *vhost)
{
	return container_of(vhost, struct device, vhost);
}

/* ---- a queue as a source of work ---- */

static struct blk_queue *queue_of(const struct source *source)
{
	return container_of(source, struct blk_queue, queue.source);
}

static struct visit visit(struct source *source, uint64_t now_tsc)
{
	struct blk_queue *q = queue_of(source);
	struct visit v = virtqueue_visit(q->vq, now_tsc);

	if (q->memory->lost)
		source_broken(source, "the VMM took the guest's memory away (its file was truncated)");
	return v;
}

static bool arm(struct source *source)
{
	return virtqueue_arm(queue_of(source)->vq);
}

static void disarm(struct source *source)
{
	virtqueue_disarm(queue_of(source)->vq);
}

static void stop(struct source *source)
{
	virtqueue_stop(queue_of(source)->vq);
}

static bool stopped(const struct source *source)
{
	return virtqueue_stopped(queue_of(source)->vq);
}

static const struct source_ops source_ops = {.visit = visit, .arm = arm, .disarm = disarm, .stop = stop, .stopped = stopped};

void blk_device_queue_broken(void *device, unsigned queue, const char *why)
{
	struct device *d = device;

	source_broken(&d->vhost.queues[queue]->source, why);
}

/* ---- counters ---- */

/* Counters outlive their queue; a device that never worked keeps none. */
static void keep_totals(struct device *d, const struct virtqueue_accounts *a)
{
	if (a->ring.arrivals == 0)
		return;
	if (d->totals == NULL)
		d->totals = calloc(1, sizeof(*d->totals));
	if (d->totals == NULL)
		return;
	account_merge(&d->totals->ring, &a->ring);
	account_merge(&d->totals->device, &a->device);
	d->totals->kicks_suppressed += a->kicks_suppressed;
	d->totals->calls_sent += a->calls_sent;
	d->totals->errors += a->errors;
	d->totals->unsupported += a->unsupported;
}

/* ---- the device ---- */

static void describe(const struct vhost_device *vhost, struct vhost_user_config *config)
{
	config->features = virtio_blk_features(device_of(vhost)->blk);
	config->config_size = VIRTIO_BLK_CONFIG_BYTES;
}

static int config_read(struct vhost_device *vhost, uint32_t offset, void *data, uint32_t size)
{
	return virtio_blk_config_read(device_of(vhost)->blk, vhost_user_state(vhost->connection), offset, data, size);
}

static int config_write(struct vhost_device *vhost, uint32_t offset, const void *data, uint32_t size)
{
	return virtio_blk_config_write(device_of(vhost)->blk, vhost_user_state(vhost->connection), offset, data, size);
}

static int queue_start(struct vhost_device *vhost, unsigned index, struct vhost_queue **out)
{
	struct vhost_user *v = vhost->connection;
	struct blk_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (q == NULL)
		return -ENOMEM;
	q->queue.source.ops = &source_ops;
	q->memory = vhost_user_memory(v);
	rc = virtio_blk_queue_start(device_of(vhost)->blk, vhost->poller->worker, index, vhost_user_state(v), q->memory,
				    vhost_user_inflight(v, index), vhost_user_call_fd(v, index), clock_tsc(), &q->vq);
	if (rc < 0) {
		free(q);
		return rc;
	}
	*out = &q->queue;
	return 0;
}

static void queue_release(struct vhost_queue *queue, struct virtqueue_state *state)
{
	struct blk_queue *q = container_of(queue, struct blk_queue, queue);

	keep_totals(device_of(queue->device), virtqueue_accounts(q->vq));
	virtqueue_release(q->vq, state);
	free(q);
}

static void queue_broken(struct vhost_device *vhost, unsigned index, const char *why)
{
	commands_event(vhost->card, "device_broken",
		       json_pack("{s:o,s:i,s:s}", "volume_id", commands_uuid(&device_of(vhost)->volume_id), "queue", (int)index,
				 "message", why));
}

static void connected(struct vhost_device *vhost)
{
	struct device *d = device_of(vhost);

	d->phase = DEVICE_CONNECTED;
	commands_event(vhost->card, "device",
		       json_pack("{s:o,s:s}", "volume_id", commands_uuid(&d->volume_id), "state", "connected"));
}

static void disconnected(struct vhost_device *vhost)
{
	device_disconnected(device_of(vhost));
}

const struct vhost_device_ops blk_device_ops = {
	.kind = "volume",
	.describe = describe,
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_release = queue_release,
	.queue_broken = queue_broken,
	.connected = connected,
	.disconnected = disconnected,
};
