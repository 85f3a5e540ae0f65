/*
 * Flow logs: AWS version 2, default fields, one line for each direction of a flow and interval:
 *
 *	version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
 *
 * The account is the VPC's name, the interface the endpoint's. Accepted traffic is counted in the flows themselves and read by the
 * sweep; what was refused has no flow, and is gathered here by 5-tuple, REJECTS_MAX of an endpoint and interval. What finds no room
 * there is not forgotten silently: the interval ends with a SKIPDATA line. One without traffic ends with a NODATA line; a flow's own
 * line may come later, as flows have intervals of their own, so that not all lines of a card come at once.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vpc/pipeline.h"

enum { REJECTS_MAX = 64, LINE_BYTES = 512, INTERVAL_DEFAULT_S = 600 };

struct reject {
	struct net_address source, destination;
	uint16_t source_port, destination_port;
	uint8_t protocol;
	uint64_t packets, bytes;
	uint32_t first_ms, last_ms;
};

struct flow_log {
	uint32_t interval_ms, began_ms;
	uint8_t traffic;	 /* enum flow_log_traffic */
	bool skipped;		 /* in this interval */
	uint64_t carried_before; /* it began with */
	uint32_t reject_count;
	struct reject rejects[REJECTS_MAX];
};

void flow_log_free(struct endpoint *e)
{
	if (e->log != NULL)
		e->vpc->logs--;
	free(e->log);
	e->log = NULL;
}

/* Packets of flows, ever. */
static uint64_t carried(const struct endpoint *e)
{
	return e->counters.in.packets + e->counters.out.packets - e->own_packets;
}

void flow_log_renew(struct endpoint *e)
{
	const struct policy_vpc *v = e->network;

	if (v->log_traffic == FLOW_LOG_OFF || e->vpc->config.flow_log == NULL) {
		flow_log_free(e);
		return;
	}
	if (e->log == NULL) {
		e->log = calloc(1, sizeof(*e->log));
		if (e->log == NULL)
			return; /* traffic goes on unlogged rather than not at all */
		e->log->began_ms = e->vpc->now_ms;
		e->log->carried_before = carried(e);
		e->vpc->logs++;
	}
	e->log->traffic = v->log_traffic;
	e->log->interval_ms = (v->log_interval_s != 0 ? v->log_interval_s : INTERVAL_DEFAULT_S) * 1000;
}

/* Seconds since 1970 of a time on the table's clock, which wraps. */
static uint64_t wall_s(const struct endpoint *e, uint32_t ms)
{
	uint64_t now_ns = vpc_now_ns(e->vpc) + e->vpc->config.wall_clock_offset_ns;

	return (now_ns - (uint64_t)(e->vpc->now_ms - ms) * 1000000u) / 1000000000u;
}

static void emit(struct endpoint *e, const char *middle, uint32_t first_ms, uint32_t last_ms, const char *end)
{
	char line[LINE_BYTES];

	snprintf(line, sizeof(line), "2 %s %s %s %llu %llu %s", e->network->name, e->policy->name, middle,
		 (unsigned long long)wall_s(e, first_ms), (unsigned long long)wall_s(e, last_ms), end);
	e->vpc->config.flow_log(e->vpc->config.context, e->policy, line);
}

static void emit_traffic(struct endpoint *e, const struct reject *t, const char *action)
{
	char middle[LINE_BYTES / 2], from[NET_ADDRESS_TEXT_SIZE], to[NET_ADDRESS_TEXT_SIZE];

	net_address_format(&t->source, from);
	net_address_format(&t->destination, to);
	snprintf(middle, sizeof(middle), "%s %s %u %u %u %llu %llu", from, to, ntohs(t->source_port), ntohs(t->destination_port),
		 t->protocol, (unsigned long long)t->packets, (unsigned long long)t->bytes);
	emit(e, middle, t->first_ms, t->last_ms, action);
}

static bool is_icmp(uint8_t protocol) /* has no ports: what we have in their place is 0 in a log */
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static void emit_direction(struct endpoint *e, const struct flow *f, bool out, const struct flow_counters *c)
{
	bool icmp = is_icmp(f->key.protocol);
	uint16_t local = icmp ? 0 : f->key.local_port, remote = icmp ? 0 : f->key.remote_port;
	/* An ICMP error counts as its flow's, and does not keep it alive: it may have come after all that did. */
	bool later = (int32_t)(f->seen_ms - f->logged_ms) < 0;
	struct reject t = {.source = out ? f->key.local : f->key.remote,
			   .destination = out ? f->key.remote : f->key.local,
			   .source_port = out ? local : remote,
			   .destination_port = out ? remote : local,
			   .protocol = f->key.protocol,
			   .packets = c->packets,
			   .bytes = c->bytes,
			   .first_ms = f->logged_ms,
			   .last_ms = later ? e->vpc->now_ms : f->seen_ms};

	if (c->packets != 0)
		emit_traffic(e, &t, "ACCEPT OK");
}

/* `e` has looked at the present policy. */
void flow_log_flow(struct endpoint *e, struct flow *f, bool final)
{
	if (e->policy == NULL || (!final && e->vpc->now_ms - f->logged_ms < e->log->interval_ms))
		return;
	if (e->log->traffic != FLOW_LOG_REJECT) {
		emit_direction(e, f, true, &f->counters_out);
		emit_direction(e, f, false, &f->counters_in);
	}
	f->counters_out = f->counters_in = (struct flow_counters){0};
	f->logged_ms = e->vpc->now_ms;
}

/* A refusal by policy; what is malformed, or one too many, is a counter's business. */
static bool is_refusal(enum drop_reason reason)
{
	switch (reason) {
	case DROP_ACL_OUT:
	case DROP_ACL_IN:
	case DROP_GROUP_OUT:
	case DROP_GROUP_IN:
	case DROP_NO_ROUTE:
	case DROP_NOT_SYN:
		return true;
	default:
		return false;
	}
}

void flow_log_reject(struct endpoint *e, const struct packet *p, enum drop_reason reason)
{
	const struct packet_layers *l = &p->layers;
	bool ports = !is_icmp(l->protocol);
	uint16_t from = ports ? l->source_port : 0, to = ports ? l->destination_port : 0;
	struct flow_log *log = e->log;
	struct reject *r;

	if (log->traffic == FLOW_LOG_ACCEPT || !is_refusal(reason))
		return;
	for (r = log->rejects; r < log->rejects + log->reject_count; r++)
		if (r->source_port == from && r->destination_port == to && r->protocol == l->protocol &&
		    net_address_equal(&r->source, &l->source) && net_address_equal(&r->destination, &l->destination))
			break;
	if (r == log->rejects + REJECTS_MAX) {
		log->skipped = true;
		return;
	}
	if (r == log->rejects + log->reject_count) {
		log->reject_count++;
		*r = (struct reject){.source = l->source,
				     .destination = l->destination,
				     .source_port = from,
				     .destination_port = to,
				     .protocol = l->protocol,
				     .first_ms = e->vpc->now_ms};
	}
	r->packets += packet_count(p);
	r->bytes += l->ip_bytes;
	r->last_ms = e->vpc->now_ms;
}

void flow_log_tick(struct endpoint *e)
{
	struct flow_log *log = e->log;
	uint32_t now = e->vpc->now_ms;

	if (e->policy == NULL || now - log->began_ms < log->interval_ms)
		return;
	for (uint32_t i = 0; i < log->reject_count; i++)
		emit_traffic(e, &log->rejects[i], "REJECT OK");
	if (log->skipped)
		emit(e, "- - - - - - -", log->began_ms, now, "- SKIPDATA");
	if (log->reject_count == 0 && !log->skipped && (log->traffic == FLOW_LOG_REJECT || log->carried_before == carried(e)))
		emit(e, "- - - - - - -", log->began_ms, now, "- NODATA");
	log->began_ms = now;
	log->carried_before = carried(e);
	log->skipped = false;
	log->reject_count = 0;
}
