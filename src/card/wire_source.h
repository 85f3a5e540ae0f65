/*
 * A wire as a source of work. One that tells of frames by a descriptor sleeps until it does. One that does not (af_packet, null, pcap)
 * is looked at again and again: at once for WIRE_SPIN_NS after the last frame came or went, then after WIRE_WAIT_MIN_NS, doubling
 * to WIRE_WAIT_MAX_NS, so that a card that carries nothing costs a thousand short looks a second.
 */
#ifndef OUTBOARD_CARD_WIRE_SOURCE_H
#define OUTBOARD_CARD_WIRE_SOURCE_H

#include "card/source.h"
#include "vpc/wire.h"

enum { WIRE_SPIN_NS = 100000, WIRE_WAIT_MIN_NS = 50000, WIRE_WAIT_MAX_NS = 1000000 };

struct wire_source {
	struct source source;
	struct wire *wire;
	struct packet_input *input;
	uint64_t worked_tsc, wait_ticks;
	uint64_t sent_seen; /* frames */
	uint64_t spin_ticks, wait_ticks_min, wait_ticks_max;
};

void wire_source_init(struct wire_source *ws, struct wire *wire, struct packet_input *input);
/* (poller) Frames may have been sent: whoever got them is likely to answer soon. */
void wire_source_sent(struct wire_source *ws, uint64_t now_tsc);

#endif
