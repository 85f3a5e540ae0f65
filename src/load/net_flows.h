/*
 * Which flow the next packet belongs to. Pure: time comes in.
 *
 * Theory of operation. All tuples (5-tuples, protocol and constant parts apart) are numbered; the live flows are always a window of
 * consecutive numbers, taken in turn. A new flow moves the window by one: its oldest flow is closed, the next number is opened in
 * its place. So no table of tuples is needed, however many flows there are; beside 4 bytes a flow for its sequence number, and a
 * byte for TCP. Numbers wrap round in the space of tuples, and then name a tuple again that was closed long ago.
 *
 *	tuple n:  source port PORT_FIRST + n % PORTS, and n / PORTS is added to what `spread` says
 *
 * Several queues share the flows: queue `first` of `stride` has the tuples first, first + stride, first + 2 stride, ...
 *
 * A TCP flow opens with a SYN, and closes with FIN or RST. With `handshake` its data waits for the SYN+ACK (net_flows_established());
 * a SYN that nobody answers is sent again after one to two times RETRY.
 */
#ifndef OUTBOARD_LOAD_NET_FLOWS_H
#define OUTBOARD_LOAD_NET_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "load/net_frame.h"

enum {
	NET_FLOWS_MAX = 1 << 22,
	NET_FLOWS_SPREAD_MAX = 1 << 16, /* addresses or ports beside the source ports */
	NET_FLOWS_PORT_FIRST = 1024,
	NET_FLOWS_PORTS = 64512,
	NET_FLOWS_RETRY_NS = 200000000,
	NET_FLOWS_LOOKS_MAX = 64, /* flows passed over, while they wait for their SYN+ACK, to find one that may send */
};

/* What changes when the source ports are used up. */
enum net_spread { NET_SPREAD_SOURCE, NET_SPREAD_DESTINATION, NET_SPREAD_PORT };

struct net_flows_config {
	struct frame_tuple base; /* network order; its source port does not count */
	uint32_t flow_count;	 /* of this queue */
	uint32_t first, stride;
	enum net_spread spread;
	uint64_t new_flows_per_s; /* of this queue; 0: the flows stay */
	bool tcp;
	bool handshake;
};

enum net_flow_what { NET_FLOW_NOTHING, NET_FLOW_DATA, NET_FLOW_OPEN, NET_FLOW_CLOSE };

/* One packet to send. */
struct net_flow_turn {
	enum net_flow_what what;
	uint32_t flow; /* 0 .. flow_count of all queues - 1: what the receiver keeps its records by */
	uint32_t sequence;
	struct frame_tuple tuple;
};

struct net_flows {
	struct net_flows_config config;
	uint32_t *sequences; /* [flow_count] */
	uint8_t *states;     /* [flow_count], TCP only */
	uint32_t spread_mask;
	/* Positions in the sequence of all tuples of this queue, and the slots of the arrays they have: position % flow_count. */
	uint64_t oldest, cursor;
	uint32_t oldest_slot, cursor_slot;
	uint64_t next_new_tsc_q16, interval_tsc_q16, start_tsc;
	uint64_t epoch_end_tsc;
	uint8_t epoch;	 /* counts NET_FLOWS_RETRY_NS, modulo 64 */
	bool closing;	 /* the oldest was closed, and its successor is to be opened */
	uint64_t opened; /* in place of others */
};

/* 0, -ENOMEM, or -EINVAL: more flows than NET_FLOWS_MAX, or than tuples. */
int net_flows_create(struct net_flows *flows, const struct net_flows_config *config, uint64_t now_tsc);
void net_flows_free(struct net_flows *flows);

/* What is next. NOTHING: every flow that was looked at waits for its SYN+ACK. */
void net_flows_next(struct net_flows *flows, uint64_t now_tsc, struct net_flow_turn *turn);

/* A SYN+ACK came for the flow whose own side is `tuple`. */
void net_flows_established(struct net_flows *flows, const struct frame_tuple *tuple);

/* Ends the open flows one by one: CLOSE turns, then NOTHING. Nothing is next after that. UDP flows end by themselves. */
void net_flows_end(struct net_flows *flows, struct net_flow_turn *turn);

#endif
