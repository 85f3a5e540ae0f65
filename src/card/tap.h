/*
 * A tap interface as an ENI: what a network namespace sends becomes packets for a `struct packet_input`, and the interface is a
 * `struct packet_sink`. Frames carry a struct virtio_net_hdr both ways, so that a GSO frame of 64 KiB passes unsegmented.
 *
 * It is a source of work: a visit reads at most PACKET_BATCH_MAX frames, or the one that crosses TAP_VISIT_BYTES_MAX or, with those
 * that GSO frames stand for, TAP_VISIT_SEGMENTS_MAX. The kernel makes its descriptor readable (edge-triggered) when a frame came, so
 * there is nothing to arm. Reading is a system call a frame: a tap is for containers and tests, not for speed.
 *
 * The header comes from the kernel, but what a namespace may make the kernel say is not ours to trust: it is judged as a guest's.
 */
#ifndef OUTBOARD_CARD_TAP_H
#define OUTBOARD_CARD_TAP_H

#include "base/packet.h"
#include "card/source.h"

enum { TAP_VISIT_BYTES_MAX = 256 << 10, TAP_VISIT_SEGMENTS_MAX = 1024 };

/* Where the frames of a poller's taps stand while they pass; shared, as one tap is visited at a time. */
struct tap_room;
int tap_room_create(struct tap_room **out); /* 0 or -ENOMEM */
void tap_room_free(struct tap_room *room);

struct tap_counters {
	uint64_t packets_in, bytes_in; /* from the namespace */
	uint64_t packets_out, bytes_out;
	uint64_t malformed; /* from the namespace, with a header that contradicts the frame */
	uint64_t refused;   /* to the namespace, and its interface did not take it */
};

/* Embedded. source.stopped.run and source.broken.run are its owner's to set. */
struct tap {
	struct source source;
	struct packet_sink sink;
	struct packet_input *input;
	struct tap_room *room;
	int fd;
	struct tap_counters counters; /* the poller writes, anyone reads (relaxed) */
};

/* `fd` as tap_opener.h gives it; it stays the caller's. */
void tap_init(struct tap *tap, int fd, uint32_t offloads, uint16_t mtu, struct packet_input *input, struct tap_room *room);

#endif
