/*
 * The flow table: cache and connection tracking in one object, so that they cannot disagree.
 *
 * A flow is known by its endpoint (the ENI or NAT gateway at which it is seen) and its 5-tuple *as that endpoint sees it*: local,
 * remote. Both directions have the same key, so forward and reverse are one object with one look-up; which it is, is known by where
 * the packet came from. A NAT gateway's flow has a second key, for the outside (flow_alias_insert()).
 *
 * Table: buckets of one cache line (8 tags, 8 indices), two choices by a keyed hash (tenants choose keys: it is seeded), bounded
 * displacement, the record in an array beside it. Look-ups of a batch are overlapped: hash and prefetch all, then compare. One
 * owner thread, no lock. Memory is reserved at the start, and touched only as flows come.
 *
 * The arena (one mapping: header with magic, version and sizes, buckets, records) is position-free: indices, no pointers; it can be
 * a memfd that outlives the process (flow_table_open() on an existing one checks version and sizes, -EUCLEAN when it does not know
 * them).
 *
 * Ageing: flow_table_sweep() looks at a bounded number of records a call, in turns; whatever is older than its time is reported and
 * removed. A full sweep is made about once a second by the caller.
 */
#ifndef OUTBOARD_VPC_FLOW_H
#define OUTBOARD_VPC_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_address.h"
#include "base/packet.h"
#include "vpc/drop.h"

enum {
	FLOWS_DEFAULT = 1 << 20,
	FLOW_NONE = UINT32_MAX,
	FLOW_ARENA_VERSION = 1,
	FLOW_SWEEP_MAX = 128, /* records a call */
};

/* 48 bytes, compared whole; padding is zero. */
struct flow_key {
	struct net_address local, remote;
	uint16_t local_port, remote_port; /* network order; ICMP echo: identifier, 0 */
	uint32_t zone;			  /* endpoint slot; FLOW_ZONE_OUTSIDE for a NAT gateway's outside */
	uint8_t protocol;
	uint8_t reserved[7];
};
_Static_assert(sizeof(struct flow_key) == 48, "compared as three vectors");

enum { FLOW_ZONE_OUTSIDE = 0x80000000u };

enum flow_direction { FLOW_OUT, FLOW_IN }; /* from the endpoint; to it */

enum flow_state {
	FLOW_NEW,	  /* one direction seen (TCP: SYN) */
	FLOW_REPLIED,	  /* both directions seen (TCP: SYN/ACK) */
	FLOW_ESTABLISHED, /* TCP: handshake done; UDP: a stream (more than two packets, both ways) */
	FLOW_CLOSING,	  /* TCP: one FIN */
	FLOW_CLOSED,	  /* TCP: both FIN, or RST: lingers */
};

/* What is done with the packets of one direction, decided once. */
enum flow_verdict {
	FLOW_TO_LOCAL,	  /* `target`: endpoint slot on this card */
	FLOW_TO_HOST,	  /* `target`: host slot; encapsulated with `vni` */
	FLOW_TO_OUTSIDE,  /* translated to `public_address` and sent plain (elastic IP, or a NAT gateway's own flow) */
	FLOW_TO_ENDPOINT, /* deliver to this flow's own endpoint (direction IN) */
	FLOW_REFUSED,	  /* known, and not allowed at the moment (in direction IN while only OUT was seen, say) */
};

struct flow_action {
	uint8_t verdict; /* enum flow_verdict */
	uint8_t tunnel;	 /* enum tunnel_kind */
	uint16_t mtu;	 /* of IP on that path */
	uint32_t target;
	uint32_t vni;
	struct mac destination_mac; /* written into the frame */
	uint8_t reserved[2];
};

struct flow_counters {
	uint64_t packets, bytes;
};

/* Three cache lines and a bit: the key and what every packet touches come first. */
struct flow {
	struct flow_key key;
	uint32_t hash;
	uint32_t generation; /* of the endpoint's policy when it was decided */
	uint32_t seen_ms;    /* of the table's clock, wraps */
	uint8_t state;	     /* enum flow_state */
	uint8_t initiator;   /* enum flow_direction: who began */
	uint8_t tcp_flags;   /* ORed, for flow logs */
	uint8_t flags;	     /* enum flow_flag */

	struct flow_action out, in;
	struct flow_counters counters_out, counters_in; /* since the last flow-log record */
	uint32_t timeout_ms;				/* in its present state */
	uint32_t allowed_group; /* slot of the security group whose rule let it in or out; UINT32_MAX: none needed */

	/* TCP windows, [FLOW_OUT], [FLOW_IN]: end of what was sent, and of what the other side may send (RFC 793 3.3, as RFC 5961
	 * asks for RST). */
	uint32_t tcp_end[2], tcp_limit[2];
	uint8_t tcp_scale[2];
	uint8_t tcp_fin;      /* bit a direction */
	uint8_t offload_wire; /* rte_flow: wire index + 1; 0: not offered */
	uint32_t created_ms, logged_ms;

	/* NAT gateway, elastic IP */
	struct net_address public_address;
	uint16_t public_port;
	uint16_t reserved;
	uint32_t free_next; /* of the free list */
};

enum flow_flag {
	FLOW_HAS_ALIAS = 1,
	FLOW_TRANSLATED = 2, /* public_address (and port) stand for the local ones outside */
	FLOW_GRANDFATHERED = 4,
	FLOW_REJECTED_LOGGED = 8,
};

struct flow_table;

/* `arena_fd`: -1 for private memory; else a memfd that is grown (new) or taken over. -ENOMEM, -EUCLEAN. */
int flow_table_open(struct flow_table **out, uint32_t flows_max, int arena_fd, bool huge);
void flow_table_close(struct flow_table *t);
uint32_t flow_table_count(const struct flow_table *t);
uint32_t flow_table_max(const struct flow_table *t);

uint32_t flow_hash(const struct flow_table *t, const struct flow_key *key);
void flow_prefetch(const struct flow_table *t, uint32_t hash); /* the bucket */
/* FLOW_NONE, or the index. With FLOW_ZONE_OUTSIDE keys it finds aliases. */
uint32_t flow_find(const struct flow_table *t, const struct flow_key *key, uint32_t hash);
/* All of a batch, overlapped. hashes are filled as well. */
void flow_find_batch(const struct flow_table *t, const struct flow_key *keys, unsigned count, uint32_t *hashes, uint32_t *indices);
struct flow *flow_at(const struct flow_table *t, uint32_t index);
/* A new one, zeroed but for key, hash and created/seen. FLOW_NONE: the table is full. The key is not there yet. */
uint32_t flow_insert(struct flow_table *t, const struct flow_key *key, uint32_t hash, uint32_t now_ms);
/* The outside key of a NAT gateway's flow: {local = public address/port, remote, zone OUTSIDE}. -EEXIST: taken (choose another
 * port), -ENOSPC. */
int flow_alias_insert(struct flow_table *t, uint32_t index, const struct flow_key *alias);
void flow_remove(struct flow_table *t, uint32_t index); /* its alias too */

/* Looks at the next FLOW_SWEEP_MAX records; calls `expired` for those past their time (the callee may read it; it is removed
 * after), and `each` (may be NULL) for every live one. */
unsigned flow_table_sweep(struct flow_table *t, uint32_t now_ms, void (*each)(void *context, struct flow *flow, uint32_t index),
			  void (*expired)(void *context, struct flow *flow, uint32_t index), void *context);
/* Records left in this round; 0: a round is complete. */
uint32_t flow_table_sweep_left(const struct flow_table *t);

/* ---- connection tracking: conntrack.c ---- */

struct flow_timeouts {
	uint32_t tcp_established_s, tcp_opening_s, tcp_closing_s, udp_s, udp_stream_s, other_s; /* 350 30 10 30 180 600 */
};
/* A packet of the flow: its state moves. DROP_NONE, DROP_TCP_INVALID (a segment far outside the window, an RST that is not in it,
 * SYN on an established connection: challenge is the end point's business, it passes when its sequence is in the window). A SYN on
 * a CLOSED flow reopens it. */
enum drop_reason flow_track(struct flow *f, const struct packet *p, enum flow_direction direction,
			    const struct flow_timeouts *timeouts, uint32_t now_ms);
/* May this packet make a flow? DROP_NONE; DROP_NOT_SYN. */
enum drop_reason flow_may_begin(const struct packet *p);

#endif
