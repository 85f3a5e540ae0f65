/*
 * What every kind of device has that a VMM plugs into over vhost-user: a listening socket, at most one connection, and the queues
 * that are served through it. Embedded in what it is about (a volume's `struct device`, a NIC's `struct eni_device`), which says by
 * its ops what is served.
 *
 *	made --listen--> waiting <--> connected --close--> (queues stopped, connection freed: ops->disconnected) --> waiting, or gone
 *
 * The control thread owns it; its queues are its poller's between queue_start and queue_release. A VMM may do what it likes: it gets
 * CONNECTS_PER_SECOND_MAX connections a second, one at a time, and one that attacks the card is shunned until it is attached anew.
 */
#ifndef OUTBOARD_CARD_VHOST_DEVICE_H
#define OUTBOARD_CARD_VHOST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/unix_socket.h"
#include "card/card.h"
#include "card/source.h"
#include "virtio/vhost_user.h"

struct vhost_device;

struct device_socket {
	char path[108]; /* sun_path */
	struct unix_socket_owner owner;
};

/* A queue that is served; embedded in its kind's own. */
struct vhost_queue {
	struct source source;
	struct vhost_device *device;
	unsigned index;
	bool removing;
};

struct vhost_device_ops {
	const char *kind; /* for log lines: "volume" */
	/* What the protocol needs to know of a device like this: features, config_size, and what is its kind's. */
	void (*describe)(const struct vhost_device *device, struct vhost_user_config *config);
	int (*config_read)(struct vhost_device *device, uint32_t offset, void *data, uint32_t size);	    /* 0 or -errno */
	int (*config_write)(struct vhost_device *device, uint32_t offset, const void *data, uint32_t size); /* 0 or -errno */
	/* Makes what serves queue `index`, with source.ops set; the connection is device->connection. 0 or -errno. */
	int (*queue_start)(struct vhost_device *device, unsigned index, struct vhost_queue **out);
	/* It has stopped: what it leaves to its successor goes to *state, and it is freed. */
	void (*queue_release)(struct vhost_queue *queue, struct virtqueue_state *state);
	void (*queue_broken)(struct vhost_device *device, unsigned index, const char *why); /* told, and logged already */
	void (*connected)(struct vhost_device *device);
	void (*disconnected)(struct vhost_device *device); /* the connection is gone and its queues with it; may free the device */
};

struct vhost_device {
	struct list link; /* card->vhost_devices */
	const struct vhost_device_ops *ops;
	struct card *card;
	struct poller *poller;
	const char *name; /* the owner's */
	struct device_socket socket;
	uint16_t queues_max;
	bool disconnecting;
	bool shunned; /* its VMM attacked the card: no connection is taken until it is attached anew */
	struct vhost_user *connection;
	struct watch listen;
	struct watch client;
	struct vhost_queue *queues[DEVICE_QUEUES_MAX]; /* NULL: not served */
	uint64_t connects;
	unsigned accepted; /* connections since the last tick */
};

/* The rest of *device is zero. */
void vhost_device_init(struct vhost_device *device, struct card *card, struct poller *poller, const struct vhost_device_ops *ops,
		       const char *name);
int vhost_device_listen(struct vhost_device *device, char *error, size_t error_size); /* 0 or -errno with a sentence */
void vhost_device_unlisten(
	struct vhost_device *device); /* nobody else connects; the socket is gone from the file system. Idempotent */
/* Stops the queues, then frees the connection and calls ops->disconnected. There is a connection. Idempotent. */
void vhost_device_close(struct vhost_device *device);
void vhost_device_forget(struct vhost_device *device); /* before it is freed; there is no connection */

/* Its VMM made a poller hang: it is cut off until it is attached anew. */
void vhost_device_shun(struct vhost_device *device);
struct vhost_device *vhost_device_by_eventfd(struct card *card, int fd); /* whose queue signals it; or NULL */
void vhost_device_tick(struct card *card);				 /* once a second */

/* ---- listen.c ---- */
int listen_open(const struct device_socket *socket, char *error, size_t error_size); /* a listening descriptor, or -errno */

#endif
