/*
 * The pipeline. Outbound: parse -> anti-spoof -> the card's own answers -> allowances -> flow; without a flow: ACL -> security
 * groups -> route -> mapping -> decision, which becomes the flow. Inbound: VNI + inner MAC -> endpoint -> flow; without: ACL ->
 * security groups -> flow -> deliver. A packet between two ENIs of one card passes both, and each end has its own flow: policy and
 * tracking belong to the ENI. Everything runs to completion on one poller.
 *
 * Two kinds of calls: (poller) and (control). Control builds a policy (model.h) and hands it over with vpc_set_policy() on the
 * poller.
 */
#ifndef OUTBOARD_VPC_VPC_H
#define OUTBOARD_VPC_VPC_H

#include "base/account.h"
#include "base/histogram.h"
#include "vpc/drop.h"
#include "vpc/flow.h"
#include "vpc/policy.h"
#include "vpc/wire.h"

struct vpc;

enum vpc_stage { STAGE_PARSE, STAGE_LOOKUP, STAGE_SLOW, STAGE_REWRITE, STAGE_OUTPUT, STAGE_COUNT };

struct vpc_config {
	uint32_t flows_max;
	int flow_arena_fd; /* -1: private */
	bool huge;
	uint64_t ticks_per_second; /* of now_tsc */
	uint64_t cookie_key[2];	   /* random */
	bool stage_cycles;	   /* count cycles per stage (a few rdtsc a batch) */
	/* (poller) A line of a flow log (AWS version 2 default fields, without newline); may be called often: the callee bounds it.
	 */
	void (*flow_log)(void *context, const struct policy_endpoint *endpoint, const char *line);
	uint64_t wall_clock_offset_ns; /* CLOCK_REALTIME - now at tsc 0, for flow logs */
	void *context;
};

int vpc_create(struct vpc **out, const struct vpc_config *config); /* (control) */
void vpc_free(struct vpc *vpc);					   /* (control) nothing is served */

void vpc_set_policy(struct vpc *vpc, const struct policy *policy,
		    uint64_t now_tsc);		      /* (poller) the old one is not read after this returns */
int vpc_add_wire(struct vpc *vpc, struct wire *wire); /* (poller or before) */
struct packet_input *vpc_wire_input(struct vpc *vpc, unsigned wire_index);

/* (poller) An ENI's NIC: frames from it go into the returned input, frames for it to `sink` (NULL: detached). By endpoint slot; may
 * come before or after the policy that knows the slot. */
struct packet_input *vpc_attach(struct vpc *vpc, uint32_t slot, struct packet_sink *sink);
void vpc_detach(struct vpc *vpc, uint32_t slot);

/* (poller) Ageing, flow logs, underlay neighbours, offload: a bounded step. Returns whether there is more to do at once; *next_tsc:
 * when to call again at the latest. */
bool vpc_tick(struct vpc *vpc, uint64_t now_tsc, uint64_t *next_tsc);

/* ---- what can be seen; written by the poller, read by anyone (relaxed) ---- */
struct vpc_endpoint_counters {
	struct flow_counters in, out; /* packets as GSO frames count */
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t flows, flows_max, flows_created, slow_path;
};
struct vpc_counters {
	uint64_t drops[DROP_REASON_COUNT]; /* of no endpoint */
	uint64_t flows, flows_max, flows_created, flows_expired;
	uint64_t packets, batches;
	uint64_t stage_ticks[STAGE_COUNT], stage_packets[STAGE_COUNT];
	uint64_t offload_offered, offload_accepted;
};
const struct vpc_counters *vpc_counters(const struct vpc *vpc);
const struct vpc_endpoint_counters *vpc_endpoint_counters(const struct vpc *vpc, uint32_t slot); /* NULL: never was */

/* ---- capture.c ---- (poller) */
struct capture;
struct capture_config {
	uint32_t slot, snap_bytes, buffer_bytes;
	bool drops; /* also frames that are dropped, with the reason in the interface name / packet comment (pcapng) */
};
int vpc_capture_start(struct vpc *vpc, const struct capture_config *config, struct capture **out);
void vpc_capture_stop(struct vpc *vpc, struct capture *capture);
/* Moves up to `size` bytes of pcapng into `data` (the section header first); *lost: frames that found no room since the last call.
 */
size_t vpc_capture_read(struct capture *capture, void *data, size_t size, uint64_t *lost);

/* ---- trace.c ---- (poller) What would be done with a packet: each stage's decision, one line each. Changes nothing. */
enum { TRACE_TEXT_BYTES = 8192 };
struct trace_line {
	char stage[24];	  /* "parse", "anti-spoof", "flow", "acl", "security-group", "route", "mapping", "encapsulate", "deliver" */
	char verdict[16]; /* "pass", "allow", "deny", "hit", "miss", "drop" */
	char detail[200];
};
enum { TRACE_LINES_MAX = 48 };
struct trace {
	unsigned count;
	struct trace_line lines[TRACE_LINES_MAX];
	enum drop_reason drop;
	const char *end; /* DROP_NONE: what becomes of it, a sentence */
};
/* "tcp 10.0.1.5:80 syn", "udp 10.0.1.5:53", "icmp 10.0.1.5 echo", "tcp [fd00::5]:443 ack from 10.0.0.4:4000"; -EINVAL with a
 * sentence. */
int trace_packet_parse(const char *text, const struct policy_endpoint *from,
		       struct packet *out /* with PACKET_HEAD_BYTES of room */, char *error, size_t error_size);
void vpc_trace(struct vpc *vpc, uint32_t slot, struct packet *p, struct trace *out, uint64_t now_tsc);

#endif
