/* Opening the card's wires: DPDK's environment and the devices of --wire. Done by main(), before privileges are shed. */
#ifndef OUTBOARD_CARD_WIRES_H
#define OUTBOARD_CARD_WIRES_H

#include "card/network.h"

struct wires_config {
	struct wire_config wires[WIRES_MAX];
	unsigned count;
	int core; /* of the network poller */
	bool huge;
};

/* Fills in wires and wire_count of *out. 0; or -errno, logged, and nothing is open. */
int wires_open(const struct wires_config *config, struct network_config *out);
void wires_close(void); /* the wires themselves are closed */

#endif
