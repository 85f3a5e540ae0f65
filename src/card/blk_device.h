/* A volume as a vhost-user-blk device: what vhost_device.h asks of its kind. */
#ifndef OUTBOARD_CARD_BLK_DEVICE_H
#define OUTBOARD_CARD_BLK_DEVICE_H

#include "card/device.h"

struct blk_queue {
	struct vhost_queue queue;
	struct virtqueue *vq;
	const struct guest_memory *memory;
};

extern const struct vhost_device_ops blk_device_ops;

/* virtio_blk_config.broken: on the poller. */
void blk_device_queue_broken(void *device, unsigned queue, const char *why);

static inline const struct blk_queue *blk_device_queue(const struct device *d, unsigned index)
{
	return d->vhost.queues[index] == NULL ? NULL : container_of(d->vhost.queues[index], struct blk_queue, queue);
}

#endif
