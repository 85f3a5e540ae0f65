/* Parts of a wire over a DPDK port: wire_dpdk.c serves it, wire_probe_dpdk.c finds and configures it. */
#ifndef OUTBOARD_VPC_WIRE_DPDK_H
#define OUTBOARD_VPC_WIRE_DPDK_H

#include "base/list.h" /* before DPDK's headers, which have a container_of of their own where there is none */

#include <net/if.h>

#include <rte_mbuf.h>

#include "vpc/mbuf_dpdk.h"
#include "vpc/wire.h"

enum {
	WIRE_BATCH = PACKET_BATCH_MAX,
	WIRE_DESCRIPTORS = 1024, /* each way; a device may want fewer */
	WIRE_POOL_CACHE = 256,
};

enum wire_wait {
	WIRE_WAIT_NONE,	     /* it is polled */
	WIRE_WAIT_DATA,	     /* a descriptor that is readable while frames are there: a packet or XDP socket, a tap */
	WIRE_WAIT_INTERRUPT, /* a device's interrupt, enabled for one sleep */
};

struct wire_dpdk {
	struct wire wire;
	uint16_t port;
	enum wire_wait wait;
	int wait_fd;
	int link_fd; /* a socket of the interface's network namespace; -1: the device itself knows of its link */
	char interface[IFNAMSIZ];
	bool started, registration_failed;
	struct rte_mempool *pool;
	unsigned spare_count;
	struct rte_mbuf *spares[WIRE_BATCH]; /* empty, for what is put next */
	/* Put, not sent yet. */
	unsigned transmit_count;
	uint64_t transmit_tsc; /* when the first of them was put */
	struct rte_mbuf *transmit[WIRE_BATCH];
	/* Of the batch in hand. */
	struct packet packets[WIRE_BATCH];
	struct iovec tails[WIRE_BATCH][MBUF_SEGMENTS_MAX];
};

static inline struct wire_dpdk *wire_dpdk_of(struct wire *wire)
{
	return container_of(wire, struct wire_dpdk, wire);
}

/* Finds, configures and starts the port of w->wire.config; fills in port, pool, wait, mac, mtu, offloads. On an error wire_release()
 * cleans up what is there. */
int wire_probe(struct wire_dpdk *w, char *error, size_t error_size);
void wire_release(struct wire_dpdk *w);

extern const struct wire_offload_ops wire_offload_rte_flow; /* offload_dpdk.c */

#endif
