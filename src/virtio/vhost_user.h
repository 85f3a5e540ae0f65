/*
 * Back end of the vhost-user protocol (QEMU, docs/interop/vhost-user.rst) for one device: a state machine over one connected unix
 * socket. Runs on the control thread; never blocks. Every message is checked (size, number of descriptors, whether it is legal in
 * this state) before anything changes; a message that is not legal closes the connection with one log line.
 *
 *	LISTENING --accept--> CONNECTED --SET_FEATURES, memory, rings--> serving --hang-up/violation--> closed: the owner stops
 *	every started queue, calls vhost_user_free(), and listens again.
 *
 * Stopping a queue is asynchronous (requests may be in flight). While it is under way (`waiting`), no further message of that
 * connection is read. One mechanism serves GET_VRING_BASE, memory-table changes, new ring addresses, RESET_DEVICE and close.
 */
#ifndef OUTBOARD_VIRTIO_VHOST_USER_H
#define OUTBOARD_VIRTIO_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device_state.h"
#include "virtio/guest_memory.h"
#include "virtio/inflight.h"

struct vhost_user;

enum { VHOST_USER_MESSAGES_PER_CALL = 32 };

struct vhost_user_ops {
	int (*config_read)(void *device, uint32_t offset, void *data, uint32_t size);	     /* 0 or -errno */
	int (*config_write)(void *device, uint32_t offset, const void *data, uint32_t size); /* 0 or -errno */
	/* Queue `index` may be served: memory, addresses, size, kick are known, it is started and enabled. Returns 0, or -errno:
	 * the connection is closed. */
	int (*queue_start)(void *device, unsigned index);
	/* Stop serving it; when nothing is in flight, call vhost_user_queue_stopped(index) (also from within this call). Called
	 * only for a queue that was started. */
	void (*queue_stop)(void *device, unsigned index);
	/* The descriptor behind the queue's call descriptor was replaced while it is served: call the guest once, since calls may
	 * have gone to the old one. Not here: a write to a VMM's eventfd may block, and this is the control thread. */
	void (*queue_call)(void *device, unsigned index);
	/* Features were acknowledged, or all state was reset (RESET_DEVICE). No queue is served. */
	void (*features_changed)(void *device);
};

struct vhost_user_config {
	const char *name;     /* for log lines: the device as its owner named it */
	int socket;	      /* connected, non-blocking; owned from here on */
	uint64_t features;    /* virtio device features offered */
	uint16_t queues_max;  /* at most DEVICE_QUEUES_MAX */
	uint32_t config_size; /* of the device's config space */
	bool no_inflight;     /* nothing is ever in flight between visits (virtio-net): no record is kept, and none offered */
	uint16_t queue_pairs; /* what GET_QUEUE_NUM tells of a virtio-net device; 0: queues_max */
	uint16_t mtu;	      /* of a virtio-net device: a VMM may promise its guest no more (NET_SET_MTU); 0: it cannot say */
	const struct vhost_user_ops *ops;
	void *device;
};

/* The parts that the owner reads to serve queues. Stable between queue_start and vhost_user_queue_stopped. */
struct device_state *vhost_user_state(struct vhost_user *v);
struct device_fds *vhost_user_fds(struct vhost_user *v);
const struct guest_memory *vhost_user_memory(struct vhost_user *v);
/* In-flight record of a queue; the connection makes one itself when the VMM did not ask for it. NULL for a started queue only of a
 * device without records (no_inflight). */
struct inflight_queue *vhost_user_inflight(struct vhost_user *v, unsigned index);
/* Call descriptor of a queue: a number that stays the same while the VMM changes what is behind it (dup3), so that a poller
 * may write to it at any time. -1: polled by the guest. */
int vhost_user_call_fd(struct vhost_user *v, unsigned index);

/* -EINVAL, -ENOMEM; the socket is still the caller's then. */
int vhost_user_create(struct vhost_user **out, const struct vhost_user_config *config);

/* The socket is readable (poll it level-triggered): reads and handles whole messages until it would block or must wait, but at most
 * VHOST_USER_MESSAGES_PER_CALL, so that no VMM holds the thread. 0: go on; 1: waiting for queue_stopped (do not poll the socket for
 * reading until it returns); -ECONNRESET: peer gone; other -errno: violation, logged. */
int vhost_user_readable(struct vhost_user *v);

/* A queue that was to stop has stopped; its state holds next_avail/next_used. Continues the message that waited: same results as
 * vhost_user_readable. Called from within queue_stop it only takes note, and returns 0. */
int vhost_user_queue_stopped(struct vhost_user *v, unsigned index);

/* Tells the driver that the config space changed (BACKEND_REQ channel; -ENOTCONN where the VMM did not negotiate one). */
int vhost_user_config_changed(struct vhost_user *v);

/* The guest broke the rules of a queue: it is not served again until it is reset. Raises DEVICE_NEEDS_RESET (VIRTIO 1.2, 2.1.1), and
 * tells the driver to look. The queue itself is stopped as any other, when a message asks for it. */
void vhost_user_queue_broken(struct vhost_user *v, unsigned index);

bool vhost_user_queue_served(const struct vhost_user *v, unsigned index); /* started, and not yet stopped */
unsigned vhost_user_queues_served(const struct vhost_user *v);

/* All queues are stopped. Closes the socket and every descriptor, unmaps memory. */
void vhost_user_free(struct vhost_user *v);

#endif
