/*
 * A network for tests, behind one or two fake back ends: what a guest transmits goes to the peer's receive queue (its own, without
 * a peer). Well-behaved by default; breaks one rule, or loses, doubles, exchanges and damages frames, as it is told. A router answers
 * ARP and DHCP when it is asked to.
 *
 * Frames are stored between the two: one back end's thread puts them, the other's takes them. None is lost for want of room: what the
 * other side has no room for is not fetched.
 */
#ifndef OUTBOARD_TEST_FAKE_NET_H
#define OUTBOARD_TEST_FAKE_NET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring_device.h"

enum fake_net_fault { /* to every `fault_every`-th frame: */
		      FAKE_NET_LOSE = 1,
		      FAKE_NET_DOUBLE,
		      FAKE_NET_EXCHANGE,	/* it comes after the next one */
		      FAKE_NET_DAMAGE,		/* a bit at its end */
		      FAKE_NET_RENAME,		/* its flow, in an IPv4 UDP frame */
						/* to the rules: */
		      FAKE_NET_NO_BUFFERS,	/* num_buffers 0 */
		      FAKE_NET_SHORT,		/* less than a virtio header */
		      FAKE_NET_LONG,		/* more than the buffer holds */
		      FAKE_NET_UNFINISHED,	/* num_buffers 2, one comes, and then nothing */
		      FAKE_NET_CSUM,		/* NEEDS_CSUM out of nowhere */
		      FAKE_NET_BAD_TRANSMIT_ID, /* completes a transmitted chain that does not exist */
		      FAKE_NET_HANG,		/* takes nothing */
		      FAKE_NET_DIE,		/* closes the connection */
};

enum { FAKE_NET_FRAMES = 4096, FAKE_NET_FRAME_BYTES_MAX = 66000, FAKE_NET_BUFFERS_MAX = 64 };

struct fake_net_frame {
	uint32_t bytes; /* with the virtio header */
	uint8_t data[];
};

struct fake_net {
	/* What it is to do. */
	struct fake_net *peer; /* NULL: itself */
	enum fake_net_fault fault;
	unsigned fault_every;
	bool router;	/* 10.0.0.1 at 02:00:00:00:00:fe; gives 10.0.0.100 + number, /24, by DHCP */
	uint8_t number; /* of this port */
	/* What the device tells of itself: 02:00:00:00:01:00 + number, and this. */
	uint16_t mtu;
	bool link_down;
	/* What it saw; to be read when its back end has stopped. */
	unsigned carried, lost, doubled, exchanged, damaged;
	unsigned syn, fin, rst, data_before_syn, data_after_fin;
	uint16_t mtu_set; /* by NET_SET_MTU */
	/* Inside. */
	uint8_t tcp_state[1 << 16]; /* by source port */
	uint8_t buffer[FAKE_NET_FRAME_BYTES_MAX], held[FAKE_NET_FRAME_BYTES_MAX];
	uint32_t held_bytes;
	unsigned unfinished; /* frames given */
	struct ring_request requests[FAKE_NET_BUFFERS_MAX];
	pthread_mutex_t lock;
	struct fake_net_frame **frames; /* [FAKE_NET_FRAMES], waiting to be received */
	unsigned head, tail;
};

void fake_net_start(struct fake_net *net);
void fake_net_stop(struct fake_net *net);

/* One visit: everything that was transmitted, everything that waits. False: the connection is to be closed. */
bool fake_net_serve(struct fake_net *net, struct ring_device *receive, struct ring_device *transmit, bool merge);

#endif
