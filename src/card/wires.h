/* Opening the card's wires: DPDK's environment and the devices of --wire. Done by main(), before privileges are shed: a packet socket
 * needs CAP_NET_RAW, a PCI device more. DPDK's own thread sheds them in the end as well.
 *
 * There is no closing: the devices go with the process. What their drivers do to close (detach programs, remove interfaces) needs
 * the privileges that were shed.
 */
#ifndef OUTBOARD_CARD_WIRES_H
#define OUTBOARD_CARD_WIRES_H

#include "card/network.h"

struct wires_config {
	struct wire_config wires[WIRES_MAX];
	unsigned count;
	int core; /* of the network poller */
	bool huge;
};

/* Fills in wires and wire_count of *out, and runs `shed` on DPDK's thread when all are open. 0; or -errno, logged, and nothing is open. */
int wires_open(const struct wires_config *config, int (*shed)(void), struct network_config *out);

#endif
