/*
 * The inside of virtio_net.h: device, queue, and the room in which a poller's frames stand while they pass.
 *
 *	virtio_net.c	device: features, config space
 *	net_queue.c	a queue's life
 *	net_transmit.c	from chains to packets, and the visit
 *	net_receive.c	the sink: from packets to the guest's buffers
 *	net_steer.c	which queue pair a flow belongs on
 *
 * Threads. The control thread starts a queue while others of the device are served, and so touches nothing that they share. A receive
 * queue joins those that are filled on the poller, between two passes of packets (net_queue_disarm), and leaves them there: what the
 * sink takes never changes under a frame.
 */
#ifndef OUTBOARD_VIRTIO_NET_QUEUE_H
#define OUTBOARD_VIRTIO_NET_QUEUE_H

#include "virtio/net_steer.h"
#include "virtio/ring_watch.h"
#include "virtio/virtio_net.h"
#include "virtio/virtio_net_proto.h"
#include "virtio/vring.h"

enum {
	NET_FRAME_MIN_BYTES = 14,
	NET_WINDOW = RING_BATCH_MAX, /* receive buffers known in advance */
	NET_PIECES_MAX = 1024,	     /* of memory, that one received frame may be scattered to */
	CACHE_LINE = 64,
};

_Static_assert((int)VIRTIO_NET_VISIT_PACKETS_MAX == (int)RING_BATCH_MAX, "a visit takes what a peek shows");
_Static_assert((int)VIRTIO_NET_VISIT_PACKETS_MAX <= (int)PACKET_BATCH_MAX, "and hands it over at once");

/* Of a worker. Small frames use the first two arrays alone, which stay in the first-level cache. */
struct net_room {
	_Alignas(CACHE_LINE) uint8_t heads[PACKET_BATCH_MAX][PACKET_HEAD_BYTES];
	struct packet packets[PACKET_BATCH_MAX];
	struct iovec tails[PACKET_BATCH_MAX][PACKET_TAIL_MAX];
	struct ring_used used[VIRTQUEUE_SIZE_MAX]; /* of one received frame, */
	struct iovec pieces[NET_PIECES_MAX];	   /* and where it goes */
};

/* A receive buffer that was seen in the ring. */
struct net_buffer {
	uint8_t *host; /* NULL: it is not one descriptor in one region, and is looked at when its turn comes */
	uint32_t length;
	uint16_t id, slots;
};

/* The next buffers: that of window.buffers[next] stands at the ring's next_avail. */
struct net_window {
	unsigned next, count;
	struct net_buffer buffers[NET_WINDOW];
};

struct net_queue {
	struct virtio_ring ring;
	struct virtio_net *net;
	struct virtio_worker *worker;
	int call_fd;
	uint16_t index;
	uint8_t header_bytes; /* of struct virtio_net_header, as negotiated */
	bool mergeable;
	bool takes_csum;	 /* transmit: NEEDS_CSUM was negotiated, */
	bool takes_ecn;		 /* and the ECN bit */
	bool gives_valid;	 /* receive: DATA_VALID was negotiated, */
	bool gives_ecn;		 /* and the ECN bit */
	uint8_t takes_gso;	 /* transmit: a bit an enum packet_gso */
	uint32_t gives_offloads; /* receive: enum sink_offload */
	bool stopping, armed, told;
	bool filled; /* receive: it is one of the device's receivers */

	struct ring_watch watch; /* transmit */

	struct net_window window; /* receive */
	uint64_t walked_tsc;	  /* at this moment so many buffers and descriptors were walked through */
	uint32_t walked;
	uint32_t put_count; /* since the last flush */
	uint64_t put_bytes, put_tsc;

	struct net_queue_accounts accounts;
};

struct virtio_net {
	struct packet_sink sink;
	struct packet_input *input;
	struct net_steer *steer; /* NULL: one pair */
	uint64_t features;
	struct mac mac;
	uint16_t mtu, pairs_max;
	uint16_t status; /* atomic */
	void (*broken)(void *context, unsigned queue, const char *why);
	void *context;

	/* (poller) */
	unsigned receivers_count;
	struct net_queue *receivers[VIRTIO_NET_PAIRS_MAX]; /* queues that are filled, by pair */
	uint32_t dirty;					   /* a bit a pair: put since the last flush */
};

/* virtio_net.c */
uint64_t virtio_net_offered(const struct virtio_net_config *config);

/* net_queue.c */
bool net_queue_is_broken(struct net_queue *queue); /* tells the owner, once */
void net_queue_call(struct net_queue *queue);	   /* the guest, if it wants that */

/* net_transmit.c */
struct visit net_transmit(struct net_queue *queue, uint64_t now_tsc);

/* net_receive.c */
extern const struct packet_sink_ops net_sink_ops;
void net_receive_flush(struct net_queue *queue, uint64_t now_tsc); /* what was put becomes visible */

/* How many frames a GSO frame of these bytes stands for, of which `header_bytes` are in each. */
static inline uint32_t net_segments(uint32_t frame_bytes, uint32_t header_bytes, uint32_t gso_size)
{
	return frame_bytes > header_bytes ? (frame_bytes - header_bytes + gso_size - 1) / gso_size : 1;
}

/* Headers of a GSO frame: up to csum_start, and TCP's own, or UDP's. */
static inline uint32_t net_gso_header_bytes(const struct packet *p)
{
	uint32_t at = p->csum_start;

	if (p->gso == PACKET_GSO_UDP)
		return at + 8;
	return at + (at + 13u <= p->head_bytes ? (p->head[at + 12] >> 4) * 4u : 20);
}

#define NET_COUNT(field, n) ACCOUNT_SET(field, (field) + (n))

#endif
