/*
 * virtio-net, device side (VIRTIO 1.2, 5.1): the guest's transmit queues become packets for a `struct packet_input`, and its receive
 * queues are a `struct packet_sink`. Offloads travel as they are: a TSO frame of a guest arrives at another guest unsegmented.
 *
 *	queue 2n	receiveq n: passive, filled by sink.put(), published and called by sink.flush()
 *	queue 2n + 1	transmitq n: visited by the poller like any queue
 *
 * The control queue is the VMM's (QEMU answers it for vhost-user devices); what it decides arrives as SET_VRING_ENABLE. A queue that is
 * not enabled is not served: what its driver put there stays until it is.
 *
 * Frames: a transmit chain is a header (struct virtio_net_header, 12 bytes) and a frame, in any cutting (5.1.6.2). The head
 * (base/packet.h) is copied, the tail stays in the guest's memory and is read once, by the sink. A chain is given back (used) after
 * receive() returned. A frame that breaks a rule (shorter than 14 bytes, longer than PACKET_FRAME_MAX_BYTES, a header whose offsets
 * lie outside, an unknown gso type, GSO without NEEDS_CSUM, what was not negotiated) is dropped and counted; a ring that breaks one
 * stops the queue.
 *
 * Receiving: with MRG_RXBUF a frame takes as many buffers as it needs (5.1.6.3.1), without it one that is large enough. No buffer:
 * put() is false, the sender's frame is dropped and counted at both ends, nothing waits. So it is when more than
 * VIRTIO_NET_VISIT_WALK_MAX descriptors would have to be walked through at one moment: it is a visit of the sender's that this takes. The
 * queue of a frame: hash modulo the enabled pairs (5.1.6.5.6.1: a flow stays on the queue pair on which it was last sent, where the
 * guest sent on one).
 *
 * The sink's offloads are those of the driver whose receive queues are filled, and change only when such a queue is taken in or
 * stopped: on the poller, between two passes of packets. put() is never called with a frame that needs more (asserted).
 */
#ifndef OUTBOARD_VIRTIO_VIRTIO_NET_H
#define OUTBOARD_VIRTIO_VIRTIO_NET_H

#include "base/account.h"
#include "base/packet.h"
#include "base/visit.h"
#include "virtio/device_state.h"
#include "virtio/guest_memory.h"
#include "virtio/worker.h"

struct virtio_net;
struct net_queue;

enum {
	VIRTIO_NET_PAIRS_MAX = DEVICE_QUEUES_MAX / 2,
	VIRTIO_NET_CONFIG_BYTES = 24,
	VIRTIO_NET_VISIT_PACKETS_MAX = 32,	/* frames in one visit of a transmit queue */
	VIRTIO_NET_VISIT_BYTES_MAX = 256 << 10, /* or the frame that crosses this, */
	VIRTIO_NET_VISIT_SEGMENTS_MAX = 1024,	/* or this number of frames that GSO frames stand for: each may have to be made, */
	VIRTIO_NET_VISIT_WALK_MAX = 4096,	/* or of descriptors that are walked through because of their shape */
};

struct virtio_net_config {
	struct mac mac;
	uint16_t mtu;
	uint16_t pairs_max;
	bool packed_allowed;
	struct packet_input *input;					/* where its frames go; outlives the device */
	void (*broken)(void *context, unsigned queue, const char *why); /* (poller) */
	void *context;
};

int virtio_net_create(struct virtio_net **out, const struct virtio_net_config *config); /* (control) 0, -ENOMEM */
void virtio_net_free(struct virtio_net *net);						/* (control) no queue is served */

/* Offered: MAC STATUS MTU CSUM GUEST_CSUM HOST_TSO4/6 HOST_ECN GUEST_TSO4/6 GUEST_ECN MRG_RXBUF MQ (with more than one pair) CTRL_VQ
 * GUEST_ANNOUNCE HOST_USO GUEST_USO4/6, and ring features. */
uint64_t virtio_net_features(const struct virtio_net *net);
/* (control) `struct virtio_net_config` of the specification. -EINVAL when the range is outside it. */
int virtio_net_config_read(const struct virtio_net *net, const struct device_state *state, uint32_t offset, void *data,
			   uint32_t size);
int virtio_net_config_write(struct virtio_net *net, struct device_state *state, uint32_t offset, const void *data,
			    uint32_t size); /* -EINVAL: nothing is writable */
/* (control) Raises or lowers the link (VIRTIO_NET_S_LINK_UP): the caller tells the driver with vhost_user_config_changed(). */
void virtio_net_set_link(struct virtio_net *net, bool up);

/* The guest's receive side as a sink. Before a receive queue is served put() is false. */
struct packet_sink *virtio_net_sink(struct virtio_net *net);

/* (control) As for virtio_blk_queue_start(), while other queues of the device may be served; no in-flight record: a restarted transmit
 * queue begins at its used index (a frame may be sent twice, as Ethernet allows, never lost silently), a receive queue likewise. The
 * poller then calls net_queue_disarm() first: a receive queue is filled from there on. */
int virtio_net_queue_start(struct virtio_net *net, struct virtio_worker *worker, unsigned index, const struct device_state *state,
			   const struct guest_memory *memory, int call_fd, uint64_t now_tsc, struct net_queue **out);
bool net_queue_transmits(const struct net_queue *queue);
/* (poller) Transmit: reads, hands over, gives back, calls the guest. What is taken is bounded by VIRTIO_NET_VISIT_...: as many
 * frames, or the one that crosses another of the bounds. */
struct visit net_queue_visit(struct net_queue *queue, uint64_t now_tsc);
bool net_queue_arm(struct net_queue *queue); /* (poller) as virtqueue_arm(); a receive queue never has work of its own */
void net_queue_disarm(struct net_queue *queue);
/* (poller) At once: nothing of it is ever in flight between visits. What was put and not flushed is shown to the driver. */
void net_queue_stop(struct net_queue *queue);
bool net_queue_stopped(const struct net_queue *queue);
void net_queue_release(struct net_queue *queue, struct virtqueue_state *state); /* after net_queue_stopped: frees it */

struct net_queue_accounts {
	struct account ring; /* transmit: waits in the ring, as the disk's; receive: frames, from put() to flush() */
	uint64_t packets, bytes;
	uint64_t segments;  /* what GSO frames stand for, the others counted once */
	uint64_t malformed; /* transmit: dropped, the frame or its header broke a rule */
	uint64_t no_buffer; /* receive: the ring was empty or its buffers too small */
	uint64_t calls_sent, kicks_suppressed;
};
const struct net_queue_accounts *net_queue_accounts(const struct net_queue *queue);

#endif
