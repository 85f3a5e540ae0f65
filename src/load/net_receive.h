/*
 * The receive queue of a virtio-net driver: buffers that the device fills, put together to frames (VIRTIO 1.2, 5.1.6.4).
 *
 * Theory of operation. net_receive_poll() takes what the device has used; net_receive_next() gives one frame after the other, until
 * the next one is not complete; net_receive_release() posts the buffers of the frames that were given. With MRG_RXBUF a frame may
 * lie in several buffers (num_buffers of its header), and they may become visible one by one, so the tail of an incomplete frame is
 * kept. A frame's first bytes are always in one piece: where its first buffer holds fewer than that, they are copied together.
 *
 * Nothing the device writes is trusted: whoever breaks a rule is named in ring.broken, and no more frames come.
 */
#ifndef OUTBOARD_LOAD_NET_RECEIVE_H
#define OUTBOARD_LOAD_NET_RECEIVE_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "load/driver_ring.h"

enum {
	NET_RECEIVE_HEAD_BYTES = 704, /* of a frame, in one piece, or all of it: a DHCP answer is the longest that is read whole */
	NET_RECEIVE_BYTES_DEFAULT = 2048,
	NET_RECEIVE_BYTES_TSO = 65600, /* a frame of 64 KiB in one piece */
	NET_RECEIVE_BYTES_MIN = 128,
	NET_RECEIVE_BATCH = 64,
};

struct net_received {
	struct virtio_net_hdr_v1 header; /* a copy */
	const uint8_t *head;		 /* valid until the next call */
	uint32_t head_bytes;
	uint32_t bytes; /* of the frame */
	unsigned first, buffer_count;
};

struct net_receive_config {
	struct driver_ring_config ring;
	uint32_t buffer_bytes;
	bool merge, checksum, segmentation; /* negotiated: MRG_RXBUF, GUEST_CSUM, GUEST_TSO */
};

struct net_receive {
	struct driver_ring ring;
	struct net_receive_config config;
	uint8_t *buffers;
	uint32_t stride_bytes;
	/* Buffers that the device has used: frames given, then the ones to come. */
	uint16_t chains[DRIVER_RING_SIZE_MAX];
	uint32_t lengths[DRIVER_RING_SIZE_MAX];
	unsigned held, given;
	uint8_t scratch[NET_RECEIVE_HEAD_BYTES];
};

uint64_t net_receive_memory_bytes(const struct net_receive_config *config);
/* As driver_ring_create(). */
int net_receive_create(struct net_receive *receive, const struct net_receive_config *config, struct shared_memory *memory);
void net_receive_free(struct net_receive *receive);
void net_receive_post_all(struct net_receive *receive); /* before the ring is started */

/* How many used buffers are held now. */
unsigned net_receive_poll(struct net_receive *receive);
/* False: there is no (complete) frame. */
bool net_receive_next(struct net_receive *receive, struct net_received *frame);
/* All of the frame, which has not been released: `to` holds frame->bytes. */
void net_receive_copy(const struct net_receive *receive, const struct net_received *frame, uint8_t *to);
/* Posts the buffers of the frames given, kicks if it must. */
void net_receive_release(struct net_receive *receive);

#endif
