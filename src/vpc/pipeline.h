/*
 * Inside the pipeline: what its files share. Nobody else includes this.
 *
 * Theory of operation. A front end hands in a batch of frames. Each that is well formed, honest and within its allowances becomes a
 * *lane*: a packet, the endpoint at which it is seen, and the direction in which it passes it. The lanes of a batch move together:
 *
 *	admit	(egress.c, wire_input.c, arrive.c)	parse, who may send this, allowances, key of the flow
 *	look up	(lookup.c)				all keys at once, so that the cache misses overlap; known flows are tracked
 *	slow	(admission.c, decide.c, nat.c)		no flow, or one of an older policy: it is decided and becomes the flow
 *	output	(output.c, outside.c, deliver.c)	rewrite, encapsulate, translate; hand to a sink
 *
 * What the output finds to be for another endpoint of this card (an ENI, a NAT gateway) joins the batch of the next round, at that
 * endpoint. A packet makes at most ROUNDS_MAX rounds: guest -> NAT gateway -> an elastic IP of this card -> guest.
 *
 * A flow that is found stays where it is until the batch is done: only the slow path and the sweep remove flows, and the slow path
 * only removes the one whose packet it has in hand, all packets of which it has in hand.
 */
#ifndef OUTBOARD_VPC_PIPELINE_H
#define OUTBOARD_VPC_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "vpc/flow.h"
#include "vpc/fragment.h"
#include "vpc/icmp_error.h"
#include "vpc/meter.h"
#include "vpc/policy.h"
#include "vpc/responder.h"
#include "vpc/tunnel.h"
#include "vpc/underlay.h"
#include "vpc/vpc.h"

enum {
	ENDPOINTS_MAX = 65536,
	HOSTS_MAX = 65536,
	ROUNDS_MAX = 4,
	FRAGMENT_SHARE = 16,		 /* one fragmented packet under way for so many flows ... */
	FRAGMENTS_MIN = 1024,		 /* ... but at least */
	FRAGMENTS_MAX = 65536,		 /* ... and at most */
	FRAGMENT_ENDPOINT_SHARE = 8,	 /* an endpoint has an eighth of them */
	LINK_LOCAL_DEFAULT_PER_S = 1024, /* as AWS */
	ERRORS_PER_S = 1024,		 /* ICMP errors about an endpoint's packets */
	QUESTIONS_PER_S = 256,		 /* ARP, ND on a wire because of an endpoint's packets: who scans makes everybody listen */
	MTU_DEFAULT = 1500,		 /* of a VPC, on a card without a wire */
	OFFLOADED_MAX = 65536,		 /* flows that devices carry */
	FLOW_SHARE = 4,			 /* an endpoint without an allowance of flows has a quarter of the table */
};

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Where a packet came from, as the endpoint sees it. */
enum origin { ORIGIN_GUEST, ORIGIN_VPC, ORIGIN_OUTSIDE };

/* ---- what is at a slot: a policy_endpoint at work ---- */
struct endpoint {
	struct packet_input input;
	struct vpc *vpc;
	struct packet_sink *sink;	      /* NULL: not attached, or a NAT gateway */
	const struct policy_endpoint *policy; /* NULL: nobody has the slot */
	const struct policy_vpc *network;
	uint64_t stamp; /* of the policy when it was last looked at */
	uint32_t slot, generation;
	uint16_t incarnation; /* counts who had the slot: flows of the one before are nobody's */
	bool present;
	struct net_address gateway4, gateway6, resolver4;
	struct mac mac, gateway_mac;
	struct list captures;
	struct flow_log *log; /* NULL: none wanted */
	struct flow_timeouts timeouts;
	struct meter bits_in, bits_out, packets, new_flows, link_local, errors, questions;
	uint64_t flows_max;
	struct uuid id;
	char id_text[UUID_TEXT_SIZE];
	struct eni_allowances allowances; /* that the meters are set to */
	struct responder_facts facts;
	struct net_address announced[NET_ADDRESSES_MAX]; /* public addresses */
	uint8_t announced_count;
	struct {
		uint64_t stamp; /* of the policy that mac_shared is of */
		bool mac_shared;
	} offload;
	struct vpc_endpoint_counters counters;
	uint64_t own_packets; /* of counters.in: what the card said to the guest itself */
};

/* ---- how another card is reached ---- */
struct host_path {
	uint64_t stamp;
	struct wire *wire;		     /* NULL: no wire leads there */
	uint16_t mtu;			     /* of the inner IP packet */
	uint32_t version;		     /* counts changes of what follows */
	struct tunnel_template templates[2]; /* by enum tunnel_kind; bytes 0: not resolved */
};

struct wire_port {
	struct packet_input input;
	struct vpc *vpc;
	struct wire *wire;
	uint64_t source_stamp; /* when source_known was found to be a host of ours */
	struct net_address source_known;
	unsigned refusals; /* of flows offered, in a row */
	uint64_t paused_until_tsc;
};

struct vpc {
	struct vpc_config config;
	const struct policy *policy; /* NULL: none yet */
	uint64_t policy_stamp;	     /* counts vpc_set_policy() */
	uint64_t path_stamp;	     /* counts that, and changes of neighbours and wires */
	uint64_t now_tsc;
	uint32_t now_ms;
	uint64_t ms_per_tick_q64; /* 2^64 ms a tick */
	struct flow_table *flows;
	struct fragment_table *fragments;
	struct endpoint **endpoints;	     /* [ENDPOINTS_MAX] */
	uint32_t endpoint_count, path_count; /* slots that ever were are below */
	struct host_path **paths;	     /* [HOSTS_MAX] */
	struct wire_port wires[WIRES_MAX];
	unsigned wire_count;
	struct underlay underlay;
	struct packet_sink *dirty;
	uint64_t stage_tsc;
	uint32_t captures; /* that run */
	uint32_t logs;	   /* endpoints that have one */
	struct {
		uint32_t *flows; /* [OFFLOADED_MAX], indices; NULL: no wire has a device for it */
		uint32_t count, cursor;
		uint64_t stamp; /* of the paths that all of them were last held against */
		uint64_t round_tsc;
	} offload;
	struct meter echoes; /* pings of the card's own addresses */

	struct {			  /* tick.c */
		uint64_t endpoints_stamp; /* all endpoints have looked at that policy */
		bool endpoints_new;
		uint64_t round_tsc;	  /* when endpoints and hosts are next gone through */
		uint64_t sweep_round_tsc; /* the present round of the flow table began */
		uint64_t sweep_tsc;	  /* the next part of it is due */
		uint32_t endpoint_cursor, host_cursor;
		uint32_t sweeps_owed; /* of this part */
	} tick;

	struct vpc_counters counters;
};

struct lane {
	struct packet *packet; /* NULL: gone */
	struct endpoint *endpoint;
	struct flow *flow;
	const struct flow_action *action;
	struct packet_sink *sink; /* output: where it goes, NULL: it went elsewhere */
	uint32_t fragment_mtu;	  /* output: cut into fragments of that; 0: it fits */
	uint16_t outer_bytes;	  /* output: of the headers of the overlay */
	uint8_t direction;	  /* enum flow_direction */
	uint8_t origin;		  /* enum origin */
};

struct batch {
	unsigned count;
	unsigned rounds;
	struct lane lanes[PACKET_BATCH_MAX];
	struct flow_key keys[PACKET_BATCH_MAX];
	uint32_t hashes[PACKET_BATCH_MAX];
	uint32_t indices[PACKET_BATCH_MAX];
};

/* ---- counters: one writer, read from anywhere ---- */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void counter_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* Ticks since the last call belong to `stage`. */
static inline void stage_end(struct vpc *vpc, enum vpc_stage stage, unsigned packets)
{
	if (vpc->config.stage_cycles) {
		uint64_t now = clock_tsc();

		counter_add(&vpc->counters.stage_ticks[stage], now - vpc->stage_tsc);
		counter_add(&vpc->counters.stage_packets[stage], packets);
		vpc->stage_tsc = now;
	}
}

/* Packets as a receiver counts them: a GSO frame stands for several. */
static inline uint32_t packet_count(const struct packet *p)
{
	uint32_t headers, bytes = packet_bytes(p);

	if (LIKELY(p->gso == PACKET_GSO_NONE))
		return 1;
	headers = p->layers.l4_offset + p->layers.l4_header_bytes;
	return bytes > headers ? (bytes - headers + p->gso_size - 1) / p->gso_size : 1;
}

/* ---- vpc.c ---- */
void vpc_begin(struct vpc *vpc, uint64_t now_tsc); /* a pass starts: time */
void vpc_count_batch(struct vpc *vpc, unsigned count);
void vpc_flush(struct vpc *vpc); /* and ends: what was put becomes visible */
uint64_t vpc_now_ns(const struct vpc *vpc);
struct endpoint *vpc_endpoint(struct vpc *vpc, uint32_t slot); /* made when it is not there; NULL: no memory, or no such slot */

/* ---- endpoint.c ---- */
void endpoint_init(struct endpoint *e, struct vpc *vpc, uint32_t slot);
void endpoint_renew(struct endpoint *e);
static inline void endpoint_refresh(struct endpoint *e)
{
	if (UNLIKELY(e->stamp != e->vpc->policy_stamp))
		endpoint_renew(e);
}
/* It has gone: counted, logged, captured. `e` NULL: it was nobody's. */
bool endpoint_has_address(const struct policy_endpoint *p, const struct net_address *address);
void packet_drop(struct vpc *vpc, struct endpoint *e, struct packet *p, enum flow_direction direction, enum drop_reason reason);
uint16_t network_mtu(const struct vpc *vpc, const struct policy_vpc *network);
void endpoint_forget_flow(struct vpc *vpc, struct flow *f); /* before flow_remove(): counts and logs */

/* ---- admit ---- */
void packet_trim(struct packet *p); /* egress.c: cuts off what lies behind the IP packet; the parser saw that it is in the head */
/* egress.c: may this ENI send this? *card_only: to the card's own services, and nowhere else. */
enum drop_reason egress_check_sender(const struct endpoint *e, const struct packet *p, bool *card_only);
void egress_receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc);
/* local.c: what the card answers itself. True: it was, or is dropped. */
bool local_wanted(const struct endpoint *e, const struct packet *p); /* is it for the responder to look at? */
bool local_answer(struct endpoint *e, struct packet *p, bool card_only);
void local_facts(struct endpoint *e); /* after its policy changed */
void wire_receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc);
/* arrive.c: adds a lane at `e`: fragments, allowances of what arrives, its key. Drops what cannot. */
void batch_add(struct batch *b, struct endpoint *e, struct packet *p, enum flow_direction direction, enum origin origin);
void batch_arrive(struct batch *b, struct endpoint *e, struct packet *p, enum origin origin); /* in the direction `e` takes it */
bool icmp_is_answer(uint8_t family, uint8_t type);					      /* to a question of another type */
/* Key of a packet at a zone. False: an ICMP error that does not show enough of what it is about. */
bool flow_key_of(struct flow_key *key, const struct packet *p, uint32_t zone, enum flow_direction direction);

/* ---- look up, output ---- */
void batch_run(struct vpc *vpc, struct batch *b); /* conveyor.c: until nothing is left */
void batch_look_up(struct vpc *vpc, struct batch *b);
void batch_output(struct vpc *vpc, struct batch *b, struct batch *next);
void lane_output(struct vpc *vpc, struct lane *lane, struct batch *next); /* what batch_output() does with each */
void lane_drop(struct vpc *vpc, struct lane *lane, enum drop_reason reason);

/* admission.c: the slow path. Sets lane->flow, or says why not. */
enum drop_reason lane_admit(struct vpc *vpc, struct lane *lane, const struct flow_key *key, uint32_t hash);
enum drop_reason lane_refused(struct vpc *vpc, struct lane *lane, const struct flow_action *action); /* still? */

/* ---- decide.c: pure ---- */
struct decide_query {
	const struct policy_endpoint *endpoint;
	const struct policy_vpc *network;
	const struct flow_key *key;
	enum flow_direction initiator;
	bool outside;	      /* it began outside the VPC */
	uint16_t public_port; /* decide_nat(): that it was given */
};

struct decision {
	enum drop_reason drop; /* of what the initiator sends */
	struct flow_action out, in;
	uint32_t allowed_group; /* UINT32_MAX: none needed */
	bool group_denied;	/* `drop` is the groups' verdict, and all else was found: a grandfathered flow may go on */
	bool grandfather;
	bool translated;
	struct net_address public_address;
};
struct trace;
void decide(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace);
static inline void action_refuse(struct flow_action *action, enum drop_reason reason)
{
	*action = (struct flow_action){.verdict = FLOW_REFUSED, .target = reason};
}
struct classifier_query query_of_flow(const struct decide_query *q, enum flow_direction direction);
bool same_subnet(const struct policy_subnet *subnet, const struct net_address *address);
/* NULL allows everything. `what` is for the trace. */
bool acl_permits(const struct policy_acl *acl, enum flow_direction direction, const struct classifier_query *query,
		 const char *what, struct trace *trace);
/* nat.c: the same for a NAT gateway's flow, once it has a port. */
void decide_nat(struct vpc *vpc, const struct decide_query *q, struct decision *d, struct trace *trace);
/* A free public address and port for the flow. DROP_NONE, DROP_NAT_PORTS. */
enum drop_reason nat_bind(struct vpc *vpc, const struct policy_endpoint *nat, uint32_t index);
bool nat_binding_valid(const struct policy_endpoint *nat, const struct flow *f);
struct location {
	struct route_lookup route;
	bool routed;			    /* a route was found */
	const struct policy_vpc *network;   /* whose VNI it is */
	const struct policy_mapping *owner; /* of the address, or of the route's target; NULL: nobody */
};
/* Who is the next to have a packet for `address`, by the routes of `from`'s subnet; why nobody is. */
enum drop_reason locate(struct vpc *vpc, const struct policy_endpoint *from, const struct policy_vpc *network,
			const struct net_address *address, struct location *out);
void action_to_mapping(struct vpc *vpc, const struct policy_endpoint *from, const struct location *where, struct flow_action *out);

/* ---- output ---- */
/* outside.c: translate, find the next hop. Sets lane->sink, or says why not. Moves what is for a public address of this card on to
 * `next`. */
enum drop_reason outside_output(struct vpc *vpc, struct lane *lane, struct batch *next);
enum drop_reason outside_input(struct vpc *vpc, struct batch *b, struct packet *p,
			       struct wire *wire);				    /* plain IP to a public address */
enum drop_reason outside_check(struct vpc *vpc, const struct net_address *address); /* may a guest send there? */
void translate_inbound(struct lane *lane); /* a NAT gateway's: to the private address, before it goes on */
/* Next hop to a plain address: the wire, with the frame's MACs written. `questions`: as underlay_resolve(). */
enum drop_reason outside_next_hop(struct vpc *vpc, struct packet *p, struct meter *questions, struct packet_sink **sink);
/* deliver.c */
enum drop_reason lane_to_guest(struct vpc *vpc, struct lane *lane);
enum drop_reason lane_check_size(struct vpc *vpc, struct lane *lane, uint32_t mtu); /* sends the ICMP error; sets fragment_mtu */
void lane_put(struct vpc *vpc, struct lane *lane);
bool sink_put(struct vpc *vpc, struct packet_sink *sink, const struct packet *p); /* one of the card's own frames, as it is */
void guest_send(struct endpoint *e, const struct packet *p);			  /* the same, to an ENI; counted */
/* Tells the sender of lane's packet. */
void lane_error(struct vpc *vpc, struct lane *lane, enum icmp_error_kind kind, uint32_t mtu);

/* ---- underlay side, paths.c ---- */
const struct host_path *vpc_path(struct vpc *vpc, uint32_t host_slot); /* up to date; NULL: no such host */
void vpc_path_keep(struct vpc *vpc, uint32_t host_slot);	       /* its neighbour is still wanted */

/* ---- capture.c, flow_log.c ---- */
void capture_frame(struct endpoint *e, const struct packet *p, enum flow_direction direction, enum drop_reason reason);
void flow_log_renew(struct endpoint *e);
void flow_log_free(struct endpoint *e);
void flow_log_flow(struct endpoint *e, struct flow *f, bool final);
void flow_log_reject(struct endpoint *e, const struct packet *p, enum drop_reason reason);
void flow_log_tick(struct endpoint *e); /* intervals that ended */

/* ---- offload.c ---- */
int offload_open(struct vpc *vpc); /* when a wire comes that has a device for it */
void offload_consider(struct vpc *vpc, struct endpoint *e, struct flow *f, uint32_t index); /* `e` looked at the present policy */
void offload_forget(struct vpc *vpc, struct flow *f);					    /* it is about to go */
bool offload_tick(struct vpc *vpc);

/* ---- trace.c ---- */
void trace_way(struct trace *t, struct vpc *vpc, const struct location *where, enum drop_reason way, const struct decision *d);
void trace_add(struct trace *t, const char *stage, const char *verdict, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
