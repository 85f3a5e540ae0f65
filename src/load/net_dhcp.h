/*
 * A DHCP client (RFC 2131), as far as a guest needs one that comes up once: DISCOVER, OFFER, REQUEST, ACK. Pure: frames in, frames
 * out; the caller has the clock, and sends again what nobody answers.
 *
 *	start -> { build, send, wait; take every packet } until DHCP_BOUND
 */
#ifndef OUTBOARD_LOAD_NET_DHCP_H
#define OUTBOARD_LOAD_NET_DHCP_H

#include "load/net_packet.h"

enum { NET_DHCP_BYTES_MAX = 400 };

enum net_dhcp_state { DHCP_DISCOVERING, DHCP_REQUESTING, DHCP_BOUND };

/* Addresses in network order; 0: not told. */
struct net_dhcp {
	enum net_dhcp_state state;
	uint32_t transaction;
	struct mac mac;
	int vlan;
	uint32_t address, mask, router, server;
	uint16_t mtu;
};

void net_dhcp_start(struct net_dhcp *dhcp, const struct mac *mac, int vlan, uint32_t transaction);
/* The message that is due. Returns the frame's size, at most NET_DHCP_BYTES_MAX. */
uint32_t net_dhcp_build(const struct net_dhcp *dhcp, uint8_t *frame);
/* True when it moved the state: the next message is due at once, or the lease is there. */
bool net_dhcp_take(struct net_dhcp *dhcp, const struct net_packet *packet);

#endif
