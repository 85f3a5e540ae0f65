/*
 * A guest with a NIC in the test's own process. Each queue has a driver (guest.h) with memory of its own, so that a test says what
 * lies where without minding the other queues. What the NIC sends ends in a log of copies, or in another sink.
 */
#ifndef OUTBOARD_TEST_VIRTIO_NET_GUEST_H
#define OUTBOARD_TEST_VIRTIO_NET_GUEST_H

#include "base/packet.h"
#include "guest.h"
#include "virtio/virtio_net.h"
#include "virtio/virtio_net_proto.h"

enum {
	NET_PAIRS = 3,
	NET_QUEUES = 2 * NET_PAIRS,
	NET_LOG = 64,
	NET_MTU = 1500,
};

/* A frame as it went in. */
struct net_seen {
	uint8_t bytes[PACKET_FRAME_MAX_BYTES];
	uint32_t length, head_bytes, tail_count;
	struct packet packet; /* its pointers are not to be followed */
};

struct net_guest {
	struct packet_input input;
	struct guest rings[NET_QUEUES];
	struct net_queue *queues[NET_QUEUES];
	struct virtio_worker *worker;
	struct virtio_net *net;
	const char *broken_why;
	unsigned broken_queue, broken_count;
	uint64_t now;

	struct packet_sink *forward; /* not NULL: frames go there, and are not logged */
	uint32_t hash;		     /* the pipeline's, for all frames */
	uint8_t packet_flags;	     /* added to each that is forwarded */
	unsigned seen_count, batches, forwarded, refused;
	struct net_seen seen[NET_LOG];
};

enum { RX0, TX0, RX1, TX1, RX2, TX2 };

#define NET_ALL UINT64_MAX

/* `features`: those of the device that the driver acknowledges. Started: receive queue and transmit queue of the first pair. */
void net_open(struct net_guest *n, const struct guest_kind *kind, uint64_t features);
void net_close(struct net_guest *n);
void net_start(struct net_guest *n, unsigned queue);
void net_stop(struct net_guest *n, unsigned queue); /* its ring's state is left in rings[queue].state */

/* A frame of `length` bytes that says by its content where each byte belongs. */
void net_frame(uint8_t *frame, uint32_t length, unsigned seed);
void net_write(struct guest *g, uint64_t addr, const void *data, uint32_t length); /* over region borders */
void net_read(struct guest *g, uint64_t addr, void *data, uint32_t length);

/* Header at `addr`, the frame right behind it; one descriptor. The chain's id. */
uint16_t net_send(struct net_guest *n, unsigned queue, uint64_t addr, const struct virtio_net_header *header, const void *frame,
		  uint32_t length);
/* Visits until there is no more; chains taken. */
unsigned net_serve(struct net_guest *n, unsigned queue);

/* A packet of test data, head and tail as the front end makes them. */
struct net_packet {
	struct packet packet;
	uint8_t room[PACKET_HEAD_BYTES];
	uint8_t frame[PACKET_FRAME_MAX_BYTES];
	struct iovec tail[PACKET_TAIL_MAX];
};
void net_packet(struct net_packet *p, uint32_t length, unsigned seed, unsigned tail_pieces);
bool net_put(struct net_guest *n, const struct packet *p); /* put(), not flushed */
void net_flush(struct net_guest *n);

#endif
