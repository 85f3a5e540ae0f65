/*
 * The packet: the one word that NICs (src/virtio, taps), wires and the VPC pipeline (src/vpc) share.
 *
 *	front end (a NIC's transmit queue, a tap, a wire) --input--> pipeline --put--> sink (a NIC's receive queues, a tap, a wire)
 *
 * A packet is an Ethernet frame in two parts. The *head* is private memory: nobody changes it under us, it is what decisions are
 * made on and what is rewritten. It holds at least the first PACKET_HEAD_MIN_BYTES of the frame (all of a shorter one); of a
 * segment (vpc/segment.h) its headers. The *tail*, where there is one, is the rest, and lies where it came from: in the guest's
 * memory, which can change at any time.
 *
 * Life. A packet lives as long as the call that carries it: everything runs to completion. A sink copies what it takes before put()
 * returns, so a frame is copied once between two guests, and once between a guest and a wire. The packet struct, its head and its
 * tail are the front end's again when input() returns. The pipeline may move `head` (headers are pushed into the headroom and pulled
 * off) and write to it.
 *
 * Offloads are those of virtio_net_hdr (VIRTIO 1.2, 5.1.6): a frame of up to 64 KiB with `gso` stands for several, of which each has
 * gso_size bytes of payload; with PACKET_NEEDS_CSUM the checksum field holds the pseudo header's sum, and whoever takes the frame
 * off the machine completes it. csum_start counts from the first byte of the frame: who pushes or pulls headers keeps it in step
 * (packet_push, packet_pull).
 */
#ifndef OUTBOARD_BASE_PACKET_H
#define OUTBOARD_BASE_PACKET_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/net_address.h"

enum {
	PACKET_BATCH_MAX = 32,
	PACKET_HEADROOM_BYTES = 128, /* outer Ethernet 14 (+4), IPv6 40, UDP 8, Geneve 8: and some to align */
	PACKET_HEAD_MIN_BYTES = 256, /* Ethernet, IPv6, extension headers, TCP with options, and what an ICMP error embeds */
	PACKET_HEAD_BYTES = PACKET_HEADROOM_BYTES + PACKET_HEAD_MIN_BYTES,
	PACKET_FRAME_MAX_BYTES = 65535 + 14 + 4 + 8, /* a GSO frame: 64 KiB of IP */
	PACKET_TAIL_MAX = 96,			     /* elements: MAX_SKB_FRAGS + 1, each over a border between regions, and some */
	PACKET_SEGMENTS_MAX = 2048,		     /* that a GSO frame may stand for: 64 KiB at an MSS of 32 */
};

enum packet_flag {
	PACKET_NEEDS_CSUM = 1, /* the checksum at csum_start + csum_offset is to be completed over [csum_start, end) */
	PACKET_CSUM_VALID = 2, /* checked, or of a frame that never left this machine */
};

enum packet_gso { PACKET_GSO_NONE, PACKET_GSO_TCP4, PACKET_GSO_TCP6, PACKET_GSO_UDP /* USO: UDP segmentation, either family */ };

enum packet_fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

/* What the parser (vpc/parse.h) found. Offsets from the first byte of the frame. */
struct packet_layers {
	uint16_t ethertype; /* host order, behind any VLAN tag */
	uint16_t l3_offset;
	uint16_t l4_offset;	  /* of the upper layer, behind IPv6 extension headers */
	uint16_t l4_header_bytes; /* TCP with its options, UDP 8, ICMP 8; 0: not known, or a later fragment */
	uint32_t ip_bytes;	  /* of the IP packet, header included, as the header says; a GSO frame: as its length says */
	uint8_t family;		  /* 4, 6; 0: not IP */
	uint8_t protocol;	  /* IPPROTO_*: of the upper layer */
	uint8_t fragment;	  /* enum packet_fragment */
	uint8_t ttl;
	uint8_t tcp_flags; /* 0 unless TCP */
	uint8_t icmp_type, icmp_code;
	bool dont_fragment; /* IPv6: true */
	bool icmp_error;    /* its flow is the embedded packet's */
	/* Network order. ICMP echo: the identifier in both. 0 where there are none. */
	uint16_t source_port, destination_port;
	uint32_t fragment_id;
	uint32_t tcp_seq, tcp_ack; /* host order */
	uint16_t tcp_window;
	struct net_address source, destination;
};

struct packet {
	uint8_t *head;
	uint16_t headroom_bytes; /* free before head */
	uint16_t head_bytes;
	uint32_t tail_bytes;
	const struct iovec *tail;
	uint8_t tail_count;
	uint8_t flags; /* enum packet_flag */
	uint8_t gso;   /* enum packet_gso */
	uint8_t drop;  /* the pipeline's: why it was dropped, 0: it was not */
	uint16_t gso_size;
	uint16_t csum_start, csum_offset;
	uint32_t hash; /* the pipeline's: of the flow; spreads a guest's receive queues and the outer source port */
	struct packet_layers layers;
};

static inline uint32_t packet_bytes(const struct packet *p)
{
	return p->head_bytes + p->tail_bytes;
}

/* Room for `bytes` of new headers before the frame. The caller knows that there is room. */
static inline uint8_t *packet_push(struct packet *p, uint16_t bytes)
{
	assert(p->headroom_bytes >= bytes);
	p->head -= bytes;
	p->headroom_bytes = (uint16_t)(p->headroom_bytes - bytes);
	p->head_bytes = (uint16_t)(p->head_bytes + bytes);
	p->csum_start = (uint16_t)(p->csum_start + bytes);
	return p->head;
}

/* Takes the first `bytes` off; they are in the head, and csum_start is not among them unless it is 0. */
static inline void packet_pull(struct packet *p, uint16_t bytes)
{
	assert(p->head_bytes >= bytes);
	p->head += bytes;
	p->headroom_bytes = (uint16_t)(p->headroom_bytes + bytes);
	p->head_bytes = (uint16_t)(p->head_bytes - bytes);
	p->csum_start = (uint16_t)(p->csum_start >= bytes ? p->csum_start - bytes : 0);
}

/* Cuts the frame to `bytes`, which are there; only in the head, as the tail's elements are not ours. False: more than that is to be
 * cut. */
static inline bool packet_cut(struct packet *p, uint32_t bytes)
{
	if (bytes == packet_bytes(p))
		return true;
	if (bytes > p->head_bytes)
		return false;
	p->head_bytes = (uint16_t)bytes;
	p->tail_bytes = 0;
	p->tail_count = 0;
	return true;
}

/* What a sink can take as it is. */
enum sink_offload {
	SINK_CSUM = 1, /* completes, or passes on, checksums that are not */
	SINK_TSO4 = 2,
	SINK_TSO6 = 4,
	SINK_USO = 8,
};

struct packet_sink;

struct packet_sink_ops {
	/* Takes a frame that its offloads allow. It is copied when this returns. False: there was no room, or no receiver. */
	bool (*put)(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc);
	/* Makes what was put visible, and notifies: once after a batch. Must be called after put() in the same pass. */
	void (*flush)(struct packet_sink *sink, uint64_t now_tsc);
};

/* Embedded in whatever takes frames; on its poller. */
struct packet_sink {
	const struct packet_sink_ops *ops;
	uint32_t offloads;	  /* enum sink_offload; may change while it is not in use */
	uint32_t frame_bytes_max; /* of a frame without gso, Ethernet header included */
	bool dirty;		  /* the pipeline's: put since the last flush */
	struct packet_sink *dirty_next;
};

/* Who takes frames in: what a front end calls with a batch of at most PACKET_BATCH_MAX. */
struct packet_input {
	void (*receive)(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc);
};

#endif
