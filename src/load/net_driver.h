/*
 * A virtio-net driver (VIRTIO 1.2, section 5.1) over a vhost-user connection, made for load. Queue pair i is ring 2i, which receives,
 * and ring 2i + 1, which transmits.
 *
 * Transmit. A chain is one frame, in a buffer of its own that is laid out once: the frame starts on a cache line, the 12-byte header
 * (5.1.6) ends right before it. So a back end that needs no header touches one line of a small frame, and one line is what a patched
 * frame costs the two processors. Header and frame are one descriptor; with `indirect`, two in a table, as some guests have them.
 *
 * Receive is in net_receive.h.
 *
 *	net_driver_connect -> facts known -> net_driver_start -> net_transmit_*, driver_ring_post/kick/reap; net_receive_*
 *
 * One thread at a time. On an error `client.error` holds a sentence for a person.
 */
#ifndef OUTBOARD_LOAD_NET_DRIVER_H
#define OUTBOARD_LOAD_NET_DRIVER_H

#include <linux/virtio_net.h>

#include "base/net_address.h"
#include "load/driver_ring.h"
#include "load/net_receive.h"
#include "load/vhost_user_client.h"

enum {
	NET_QUEUES_MAX = 32, /* pairs */
	NET_HEADER_BYTES = sizeof(struct virtio_net_hdr_v1),
	NET_FRAME_OFFSET = 64, /* in a buffer; the header is before it */
	NET_MTU_DEFAULT = 1500,
	NET_MTU_MAX = 65535,
};

_Static_assert(NET_HEADER_BYTES == 12, "5.1.6");

/* What the device tells of itself; many back ends tell nothing. */
struct net_facts {
	struct mac mac;
	bool mac_known, link_known, link_up;
	uint16_t mtu; /* 0: not told */
	uint16_t queues_max;
};

struct net_transmit {
	struct driver_ring ring;
	uint8_t *buffers;
	uint32_t stride_bytes;
	uint16_t chain_count;
	bool indirect;
};

struct net_driver_config {
	uint16_t queue_count;	     /* pairs */
	uint16_t ring_size;	     /* a power of two */
	uint32_t frame_bytes_max;    /* that is sent or expected, segmentation apart */
	uint32_t transmit_bytes_max; /* of the largest frame sent, TSO frames included */
	uint32_t receive_bytes;	     /* of a receive buffer; larger where buffers cannot be merged and must be */
	uint16_t mtu;		     /* tell the back end; 0: do not */
	bool packed, indirect;
	bool checksum;	   /* CSUM, GUEST_CSUM: checksums may be partial both ways */
	bool segmentation; /* HOST_TSO4/6, GUEST_TSO4/6; implies `checksum` */
};

struct net_driver {
	struct vhost_user_client client;
	struct net_facts facts;
	struct net_driver_config config;
	uint64_t features; /* negotiated */
	struct shared_memory memory;
	struct net_transmit *transmit; /* [queue_count] */
	struct net_receive *receive;   /* [queue_count] */
	unsigned queues_created;
};

/* Nothing yet: so that it may be closed. */
void net_driver_init(struct net_driver *driver);
/* 0 or -errno as vhost_user_client.h. After an error, and at the end: net_driver_close(). */
int net_driver_connect(struct net_driver *driver, const char *socket_path, int timeout_ms);
int net_driver_start(struct net_driver *driver, const struct net_driver_config *config);
void net_driver_close(struct net_driver *driver);

static inline bool net_driver_has(const struct net_driver *driver, unsigned feature)
{
	return (driver->features >> feature & 1) != 0;
}

static inline uint8_t *net_transmit_frame(const struct net_transmit *transmit, uint16_t chain)
{
	return transmit->buffers + (size_t)chain * transmit->stride_bytes + NET_FRAME_OFFSET;
}

static inline struct virtio_net_hdr_v1 *net_transmit_header(const struct net_transmit *transmit, uint16_t chain)
{
	return (struct virtio_net_hdr_v1 *)(void *)(net_transmit_frame(transmit, chain) - NET_HEADER_BYTES);
}

/* Makes the chain a frame of that size; what the buffer holds is the caller's business. */
void net_transmit_lay(struct net_transmit *transmit, uint16_t chain, uint32_t frame_bytes);

/* What rule of a ring the back end broke, and on which ring; NULL: none. */
const char *net_driver_broken(const struct net_driver *driver, unsigned *ring);

#endif
