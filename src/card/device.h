/*
 * A device: one volume served on one vhost-user socket.
 *
 *	OPENING --(key unwrapped, volume opened)--> BINDING --(poller has it)--> WAITING <--> CONNECTED
 *	   any --detach or failure--> CLOSING: connection, queues, poller, volume go in that order; then it is freed
 *
 * The control thread owns it. Its poller owns the volume and the served queues between the messages that give and take them.
 */
#ifndef OUTBOARD_CARD_DEVICE_H
#define OUTBOARD_CARD_DEVICE_H

#include <sys/types.h>

#include "card/request.h"
#include "card/spec.h"

enum device_phase { DEVICE_OPENING, DEVICE_BINDING, DEVICE_WAITING, DEVICE_CONNECTED, DEVICE_CLOSING };

struct device {
	struct list link;	/* card->devices[] */
	struct list populating; /* card->populating, while pages of its memory are taken ahead */
	struct vhost_device vhost;
	struct card *card;
	struct poller *poller;
	enum device_phase phase;
	struct uuid volume_id;
	char name[VOLUME_NAME_MAX_BYTES];
	bool packed;
	bool bound;
	bool closing; /* was asked to close while BINDING */
	int64_t attach_request;
	int64_t detach_request;
	struct volume *volume;
	struct virtio_blk *blk;
	struct message bind; /* to the poller: bind or unbind, never both under way */
	struct message bound_reply;
	int bind_error;
	struct virtqueue_accounts *totals; /* of queues that are gone; NULL until something was counted */
	uint64_t errors_seen;
	uint64_t error_told_ns;
};

struct device_request {
	int64_t request_id;
	const struct volume_spec *spec;
	struct socket_request front;
};

struct device *device_find(struct card *card, const struct uuid *volume);
/* Both answer their request, at once or later. Idempotent. */
void device_attach(struct card *card, const struct device_request *request);
void device_detach(struct card *card, const struct uuid *volume, int64_t request_id);
void device_detach_all(struct card *card);
/* Storage was grown: shows the new capacity to the guest. */
int device_resize(struct device *device, uint64_t size_bytes, char *error, size_t error_size);
int device_set_rate(struct device *device, const struct volume_rate *rate);

/* The key of an OPENING device came: opens it. `key` is the caller's, NULL: not encrypted. */
void device_open(struct device *device, const struct volume_config *config);
/* It could not be had. */
void device_refuse(struct device *device, const char *code, const char *message);

/* The loop's idle work: takes pages of memory volumes ahead of their guests. */
bool device_populate_step(void *card);
/* The connection is gone and its queues with it. */
void device_disconnected(struct device *device);

/* ---- unwrap.c: keys of encrypted volumes, from the vault ---- */
void unwrap_start(struct device *device, const struct volume_spec *spec);
void unwrap_cancel(struct device *device);
int unwrap_open(struct card *card); /* takes the memory that keys pass through; 0 or -ENOMEM */
void unwrap_close(struct card *card);
void unwrap_ready(struct card *card); /* the vault's channel is readable */
void unwrap_tick(struct card *card);  /* once a second: ask again, give up */

#endif
