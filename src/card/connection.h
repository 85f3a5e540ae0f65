/* The VMM's side of a device: its connection and the queues that are served through it. */
#ifndef OUTBOARD_CARD_CONNECTION_H
#define OUTBOARD_CARD_CONNECTION_H

#include "card/device.h"

void connection_listen(struct device *device, int listen_fd); /* takes listen_fd */
/* Stops the queues, then frees the connection and calls device_disconnected(). Idempotent. */
void connection_close(struct device *device);
void connection_tick(struct card *card); /* once a second */
/* virtio_blk_config.broken: on the poller. */
void connection_queue_broken(void *device, unsigned queue, const char *why);

#endif
