/*
 * Who has which MAC address: ARP (RFC 826) and IPv6 neighbour discovery (RFC 4861, 4.3 and 4.4), both ways. Pure: frames in, frames
 * out. `own` is the plan of the asking or answering end: its MAC, its address, its VLAN; frames go into buffers of
 * NET_NEIGHBOUR_BYTES_MAX.
 */
#ifndef OUTBOARD_LOAD_NET_NEIGHBOUR_H
#define OUTBOARD_LOAD_NET_NEIGHBOUR_H

#include "load/net_packet.h"

enum { NET_NEIGHBOUR_BYTES_MAX = 14 + 4 + 40 + 32 };

/* Asks for `target`. Returns the frame's size. */
uint32_t net_neighbour_ask(const struct frame_plan *own, const struct net_address *target, uint8_t *frame);
/* Is it an answer, from or about `target`? */
bool net_neighbour_learn(const struct net_packet *packet, const struct net_address *target, struct mac *mac);
/* The answer to a question for one of `count` addresses from own->source on; 0: it is none. */
uint32_t net_neighbour_answer(const struct frame_plan *own, uint32_t count, const struct net_packet *packet, uint8_t *frame);

#endif
