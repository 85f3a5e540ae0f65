/*
 * The packet load: keeps one or two virtio-net drivers busy for some time, on the calling thread, and counts.
 *
 * An *end* is a driver and what it is in the network: its addresses, whom it sends to, whether it sends. With one end, packets come
 * back to it or they do not; with two, what one sends arrives at the other. Packets of one *direction* are those that one end sends,
 * wherever they arrive; each is known by its signature (net_frame.h), so loss, duplicates, order and latency are of that direction.
 *
 * Ends behave as guests do: they answer ARP and neighbour solicitations for their addresses; with two ends, or with `echo`, they
 * answer SYN with SYN+ACK and FIN with FIN+ACK, so that a back end that tracks connections sees real ones.
 *
 *	DHCP -> resolve the next hops -> warm up -> measure -> drain -> close the connections
 *
 * Closed loop: as fast as the back end takes packets; the ring is always as full as batches allow. Open loop (rate_pps): packets are
 * due at given times, and their latency counts from then.
 *
 * The clock is read once a batch: a latency is an upper bound, and exact to the length of a batch.
 */
#ifndef OUTBOARD_LOAD_NET_LOAD_H
#define OUTBOARD_LOAD_NET_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "load/net_driver.h"
#include "load/net_flows.h"

enum {
	NET_LOAD_ENDS_MAX = 2,
	NET_LOAD_SIZES_MAX = 16,
	NET_LOAD_ERROR_SIZE = 400,
	NET_LOAD_CONTROL_BYTES_MAX =
		640, /* of a frame that is built by hand, echoes apart: a driver's transmit_bytes_max at least */
};

struct net_load_end_config {
	struct net_driver *driver; /* started */
	struct frame_plan plan;	   /* its own addresses are the source; destination_mac only counts without `resolve` */
	uint32_t address_count;	   /* from plan.source on: it answers for all of them */
	struct net_address next_hop;
	uint16_t destination_port; /* host order */
	bool resolve;		   /* ask who has `next_hop`; after DHCP the destination or the router is asked for */
	bool dhcp;		   /* replaces the source address, and the other end's destination */
	bool sends;
};

struct net_load_config {
	struct net_load_end_config ends[NET_LOAD_ENDS_MAX];
	unsigned end_count;
	uint32_t sizes[NET_LOAD_SIZES_MAX]; /* of frames, in turn */
	unsigned size_count;
	uint32_t flow_count; /* of each end that sends */
	uint64_t new_flows_per_s;
	enum net_spread spread;
	bool handshake, close_with_reset; /* TCP */
	bool echo;			  /* send back what comes, addresses and ports swapped; nothing of its own */
	bool verify;			  /* check every checksum that arrives */
	uint64_t rate_pps;		  /* of each end that sends; 0: closed loop */
	uint64_t warmup_ns, duration_ns;  /* duration 0: until interrupted, */
	uint64_t packets_max;		  /* or, when not 0, that many were sent (and the rest of a batch) */
	uint64_t quiet_ns;		  /* nothing more is on its way when nothing came for so long; 0: a tenth of a second */
	uint64_t stall_ns_max;		  /* packets in the ring, and none is taken: an error */
	/* About once a second while measuring; may be NULL. */
	void (*progress)(void *context, uint64_t sent, uint64_t received, uint64_t elapsed_ns);
	/* What was learnt from the network, for a person. */
	void (*note)(void *context, const char *text);
	void *context;
	const volatile int *interrupted; /* not 0: stop early; may be NULL */
};

/* Of the packets that one end sent while it was measured. */
struct net_load_direction {
	uint64_t sent, sent_bytes; /* all, while measured */
	uint64_t signed_sent;	   /* of these, with a signature: loss is of these */
	uint64_t opened, closed;   /* TCP: SYN, and FIN or RST */
	uint64_t established;	   /* SYN+ACK that came */
	uint64_t renewed;	   /* flows begun in place of others, warm-up included */
	uint64_t arrived;	   /* with a signature, first copies */
	uint64_t duplicates, reordered;
	uint64_t damaged; /* a signature that names no packet of ours */
	uint64_t latency_sum_ticks, latency_max_ticks;
	struct histogram latency;
};

/* What one end saw. */
struct net_load_end {
	uint64_t received, received_bytes; /* everything, while measured */
	uint64_t others;		   /* neither signed nor connection set-up nor neighbour discovery */
	uint64_t answered;		   /* ARP, neighbour discovery, connection set-up */
	uint64_t unanswered;		   /* as well, but all chains for answers were in use */
	uint64_t echoed, echo_no_room;
	uint64_t bad_checksums;
	uint64_t untaken; /* packets that were still in the ring at the end */
	uint64_t kicks;	  /* notifications sent, each a system call */
	struct mac mac, next_hop_mac;
	struct net_address address;
};

struct net_load_result {
	uint64_t elapsed_ns;					 /* of the measurement */
	uint64_t batches;					 /* of packets sent */
	struct net_load_direction directions[NET_LOAD_ENDS_MAX]; /* by the end that sends */
	struct net_load_end ends[NET_LOAD_ENDS_MAX];
	char error[NET_LOAD_ERROR_SIZE];
};

/* 0, or -errno when it could not go on (result->error says why, the figures are those until then). */
int net_load_run(const struct net_load_config *config, struct net_load_result *result);

/* Packets with a signature that did not arrive. */
static inline uint64_t net_load_lost(const struct net_load_direction *d)
{
	return d->signed_sent > d->arrived ? d->signed_sent - d->arrived : 0;
}

#endif
