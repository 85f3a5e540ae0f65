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
 * a memfd that outlives the process. flow_table_open() on an existing one checks version and sizes (-EUCLEAN when it does not know
 * them) and rebuilds all but the records, which carry a live mark (`state`): whenever the process before was killed, what is found
 * is whole. So `seen_ms` and its like are of a clock that all processes share (CLOCK_MONOTONIC), and who fills in a new flow writes
 * `generation` last: 0 is no endpoint's, so a flow that was not finished is decided anew.
 *
 * Ageing: flow_table_sweep() looks at a bounded number of records a call, in turns; whatever is older than its time is reported and
 * removed. A full sweep is made about once a second by the caller.
 */
#ifndef OUTBOARD_VPC_FLOW_H
#define OUTBOARD_VPC_FLOW_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_address.h"
#include "base/packet.h"
#include "vpc/drop.h"

enum {
	FLOWS_DEFAULT = 1 << 20,
	FLOWS_LIMIT = 1 << 26, /* that a table can be asked for */
	FLOW_NONE = UINT32_MAX,
	FLOW_ARENA_VERSION = 1,
	FLOW_SWEEP_MAX = 128, /* records a call */
	/* A removed index is given out again only after so many more removals, more than a batch can make. So an index that was
	 * found at the start of a batch is still that flow, or one with state FLOW_FREE. */
	FLOW_REUSE_DISTANCE = 4 * PACKET_BATCH_MAX,
};

/* 48 bytes, compared whole; padding is zero. */
struct flow_key {
	struct net_address local, remote;
	uint16_t local_port, remote_port; /* network order; ICMP echo: identifier, 0 */
	uint32_t zone;			  /* endpoint slot; FLOW_ZONE_OUTSIDE for a NAT gateway's outside */
	uint8_t protocol;
	uint8_t reserved[7];
};
static_assert(sizeof(struct flow_key) == 48, "hashed as three pairs of words");

enum { FLOW_ZONE_OUTSIDE = 0x80000000u };

enum flow_direction { FLOW_OUT, FLOW_IN }; /* from the endpoint; to it */

enum flow_state {
	FLOW_FREE,	  /* no flow (any more) */
	FLOW_NEW,	  /* one direction seen (TCP: SYN) */
	FLOW_REPLIED,	  /* both directions seen (TCP: SYN/ACK, or SYN from either side) */
	FLOW_ESTABLISHED, /* TCP: handshake done; UDP: a stream (more than two packets, both ways) */
	FLOW_CLOSING,	  /* TCP: a FIN, and not both acknowledged yet */
	FLOW_CLOSED,	  /* TCP: both FIN acknowledged, or RST: lingers */
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
	bool routed;		    /* the sender's side shows the gateway's MAC: another subnet, or translated */
	uint8_t reserved;
};

struct flow_counters {
	uint64_t packets, bytes;
};

/*
 * Four cache lines. An outbound packet touches the first two, an inbound UDP packet the first and the third, an inbound TCP packet
 * three. Index [FLOW_OUT], [FLOW_IN]: of what that direction sends. The windows follow RFC 9293 3.4 (RFC 793 3.3), RST as RFC 5961
 * 3.2 asks.
 */
struct flow {
	struct flow_key key;
	uint32_t generation;  /* of the endpoint's policy when it was decided; written last */
	uint32_t seen_ms;     /* of the table's clock, wraps */
	uint32_t timeout_ms;  /* in its present state */
	uint16_t incarnation; /* of the endpoint's slot: an endpoint that comes after it has none of its flows */
	uint8_t state;	      /* enum flow_state */
	uint8_t flags;	      /* enum flow_flag */

	struct flow_action out;
	uint8_t initiator;		   /* enum flow_direction: who began; set by who inserts, before the first flow_track() */
	uint8_t tcp_flags;		   /* ORed, for flow logs */
	uint8_t tcp_scale;		   /* four bits a direction */
	uint8_t tcp_seen;		   /* SYN, FIN: a bit a direction each */
	struct flow_counters counters_out; /* since the last flow-log record */
	uint32_t tcp_end[2];		   /* behind the last byte it sent */
	uint32_t tcp_limit[2];		   /* behind the last byte it may send: the other side's acknowledgement and window */
	uint32_t tcp_acked[2];		   /* behind the last byte of it that the other side acknowledged */

	struct flow_action in;
	uint16_t public_port;
	uint16_t reserved;
	struct flow_counters counters_in;
	struct net_address public_address; /* NAT gateway, elastic IP */
	uint32_t allowed_group;		   /* slot of the security group whose rule let it in or out; UINT32_MAX: none needed */
	uint32_t hash;

	uint32_t created_ms, logged_ms;
	uint32_t free_next; /* of the free list */
	/* TCP: another handshake that may replace what is tracked (conntrack.c). */
	uint32_t tcp_other_end, tcp_other_limit;
	uint8_t tcp_other; /* 0: none; 1 + enum flow_direction: whose SYN or SYN/ACK it was */
	uint8_t tcp_other_scale;
	uint8_t offload_wire; /* rte_flow: wire index + 1; 0: not offered */
	uint8_t reserved_cold;
	uint64_t offload_handle;	       /* of offload.h */
	struct flow_counters offload_counted;  /* of the device's, what is in counters_out already */
	uint32_t offload_place, offload_stamp; /* offload.c */
} __attribute__((aligned(64)));
static_assert(sizeof(struct flow) == 256, "four cache lines");
static_assert(offsetof(struct flow, out) == 64 && offsetof(struct flow, in) == 128 && offsetof(struct flow, created_ms) == 192,
	      "each direction has its line");

enum flow_flag {
	FLOW_HAS_ALIAS = 1,
	FLOW_TRANSLATED = 2, /* public_address (and port) stand for the local ones outside */
	FLOW_GRANDFATHERED = 4,
	FLOW_UNSEEN = 16, /* a device carries, or carried, packets of it: TCP windows cannot be known */
};

struct flow_table;

/* `arena_fd`: -1 for private memory; else a memfd (stays the caller's) that is grown (when empty) or taken over. -EINVAL: flows_max
 * is 0 or beyond FLOWS_LIMIT; -ENOMEM; -EUCLEAN: not an arena of this version and size. */
int flow_table_open(struct flow_table **out, uint32_t flows_max, int arena_fd, bool huge);
void flow_table_close(struct flow_table *t);
uint32_t flow_table_count(const struct flow_table *t);
uint32_t flow_table_max(const struct flow_table *t);

uint32_t flow_hash(const struct flow_table *t, const struct flow_key *key); /* never 0 */
void flow_prefetch(const struct flow_table *t, uint32_t hash);		    /* the bucket */
/* FLOW_NONE, or the index. With FLOW_ZONE_OUTSIDE keys it finds aliases. */
uint32_t flow_find(const struct flow_table *t, const struct flow_key *key, uint32_t hash);
/* All of a batch, overlapped; what an outbound packet touches is on its way. hashes are filled as well. */
void flow_find_batch(const struct flow_table *t, const struct flow_key *keys, unsigned count, uint32_t *hashes, uint32_t *indices);
/* And of a flow that was found, what an inbound packet touches: for the inbound ones of a batch, before the first is looked at. */
static inline void flow_prefetch_in(const struct flow *f)
{
	__builtin_prefetch(&f->in, 1);
}
struct flow *flow_at(const struct flow_table *t, uint32_t index); /* of any index that was ever given out */
/* A new one, zeroed but for key, hash, state FLOW_NEW and created/seen/logged. FLOW_NONE: the table is full. The key is not there
 * yet, and its zone is not FLOW_ZONE_OUTSIDE. */
uint32_t flow_insert(struct flow_table *t, const struct flow_key *key, uint32_t hash, uint32_t now_ms);
/* The outside key of a NAT gateway's flow: {local = public address/port, zone OUTSIDE}, remote and protocol as in its key. Becomes
 * the flow's public_address and public_port. -EEXIST: taken (choose another port), -ENOSPC. */
int flow_alias_insert(struct flow_table *t, uint32_t index, const struct flow_key *alias);
void flow_remove(struct flow_table *t, uint32_t index); /* its alias too */

/* Looks at the next FLOW_SWEEP_MAX records; calls `expired` for those past their time (the callee may read it; it is removed
 * after), and `each` (may be NULL) for every other live one. Both may remove any flow, also this one. Returns how many expired. */
unsigned flow_table_sweep(struct flow_table *t, uint32_t now_ms, void (*each)(void *context, struct flow *flow, uint32_t index),
			  void (*expired)(void *context, struct flow *flow, uint32_t index), void *context);
/* Records left in this round; 0: a round is complete. */
uint32_t flow_table_sweep_left(const struct flow_table *t);

/* ---- connection tracking: conntrack.c ---- */

/* 0: the default. tcp_opening until the handshake is done, tcp_closing when it is over; udp until it is a stream, and ICMP echo. */
struct flow_timeouts {
	uint32_t tcp_established_s, tcp_opening_s, tcp_closing_s, udp_s, udp_stream_s, other_s; /* 350 30 10 30 180 600 */
};
/* A packet of the flow: its state moves; the first call is for the packet that made it. DROP_NONE; DROP_TCP_INVALID: what state and
 * window rule out (data before the handshake is done, an acknowledgement of what was never sent, far outside the window, RST not in
 * it). A SYN on a live connection passes and changes nothing: the end point challenges it (RFC 5961 4). DROP_ICMP_UNRELATED: an
 * echo request against the direction of the flow. Nothing changes when it is not DROP_NONE. */
enum drop_reason flow_track(struct flow *f, const struct packet *p, enum flow_direction direction,
			    const struct flow_timeouts *timeouts, uint32_t now_ms);
/* May this packet make a flow? DROP_NONE; DROP_NOT_SYN. */
enum drop_reason flow_may_begin(const struct packet *p);
/* The port is used again after its connection closed: remove the flow, and decide as for a new one. (Without this, flow_track()
 * reopens it for its old initiator, and refuses the other side.) */
bool flow_is_reopened(const struct flow *f, const struct packet *p);

#endif
