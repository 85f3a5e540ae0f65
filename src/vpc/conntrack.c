/*
 * Connection tracking: what a packet does to its flow's state, and whether the flow rules it out.
 *
 * TCP. Both directions pass here, and a flow begins with its SYN, so what each side may legally send is known (van Rooij, "Real
 * Stateful TCP Packet Filtering in IP Filter"): it begins no later than the other side's acknowledgement plus window (`tcp_limit`),
 * ends no earlier than the largest window before what was sent already (`tcp_end`), and acknowledges nothing that was not sent, and
 * nothing older than the largest window (RFC 5961 5.2). The largest window of a side is 65535 << its scale; a scale that could not
 * be read is taken as the largest one. All is relative: 32-bit sequence numbers, compared by signed difference.
 *
 *	NEW --SYN/ACK or SYN--> REPLIED --ACK of it--> ESTABLISHED --FIN--> CLOSING --both FIN acknowledged, RST--> CLOSED
 *
 * The rule is that legal traffic is never broken, so what is no danger to an end point passes without changing anything:
 *
 * - A SYN on a live connection: the end point answers with a challenge (RFC 5961 4.2). One side may have lost its memory and be
 *   opening the connection again (RFC 9293 3.5.1, half-open connections): the challenge makes it send an RST that fits. If the other
 *   side has no memory either, it answers with a SYN/ACK. So the last such SYN of the flow's initiator is remembered (tcp_other), and
 *   a SYN/ACK that acknowledges just it begins the connection anew. The other side's SYN is not remembered: policy has not
 *   been asked about connections in that direction.
 * - A bare ACK in answer to the first SYN: the challenge of an end point that still has an old connection, of which we know nothing;
 *   and the RST with which the initiator answers it.
 * - An RST inside the window that is not exactly the next byte: the end point challenges it (RFC 5961 3.2).
 *
 * While a SYN/ACK waits for its ACK, another one with a different sequence number (a stateless SYN proxy's) is remembered in
 * the same place; whichever the initiator acknowledges is the one.
 */
#include "vpc/flow.h"

#include <netinet/in.h>

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
	TCP_HEADER_BYTES = 20,
	TCP_OPTION_END = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_SCALE = 3,
	TCP_SCALE_MAX = 14,  /* RFC 7323 2.3 */
	TCP_SCALE_NONE = 15, /* none was offered */
	TCP_WINDOW_MAX = 65535,

	ICMP_ECHO_REQUEST = 8,
	ICMPV6_ECHO_REQUEST = 128,
};

/* What of a segment counts. `end`: behind its last byte; SYN and FIN are a byte each. */
struct segment {
	uint32_t seq, end, ack, window;
	uint8_t flags;
	unsigned from, to; /* enum flow_direction: of who sent it, of who gets it */
};

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return after(a, b) ? a : b;
}

static bool between(uint32_t low, uint32_t x, uint32_t high)
{
	return !after(low, x) && !after(x, high);
}

static void segment_read(struct segment *s, const struct packet *p, enum flow_direction direction)
{
	const struct packet_layers *l = &p->layers;
	uint32_t headers = (uint32_t)(l->l4_offset - l->l3_offset) + l->l4_header_bytes;
	uint32_t bytes = l->ip_bytes > headers ? l->ip_bytes - headers : 0;

	/* What a first fragment leaves out is not known; a packet cannot be longer than this. */
	if (l->fragment == FRAGMENT_FIRST)
		bytes = TCP_WINDOW_MAX;
	s->flags = l->tcp_flags;
	s->seq = l->tcp_seq;
	s->end = l->tcp_seq + bytes + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
	s->ack = l->tcp_ack;
	s->window = l->tcp_window;
	s->from = direction;
	s->to = direction ^ 1u;
}

/* The window scale that a SYN offers, or TCP_SCALE_NONE; the largest when its options are not all there, or make no sense. */
static uint8_t scale_read(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	uint32_t at = (uint32_t)l->l4_offset + TCP_HEADER_BYTES, end = (uint32_t)l->l4_offset + l->l4_header_bytes;

	if (end > p->head_bytes)
		return TCP_SCALE_MAX;
	while (at < end && p->head[at] != TCP_OPTION_END) {
		if (p->head[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= end || p->head[at + 1] < 2 || at + p->head[at + 1] > end)
			return TCP_SCALE_MAX;
		if (p->head[at] == TCP_OPTION_SCALE && p->head[at + 1] == 3)
			return p->head[at + 2] < TCP_SCALE_MAX ? p->head[at + 2] : TCP_SCALE_MAX;
		at += p->head[at + 1];
	}
	return TCP_SCALE_NONE;
}

static uint8_t scale_get(const struct flow *f, unsigned side)
{
	return f->tcp_scale >> 4 * side & 15;
}

static void scale_set(struct flow *f, unsigned side, uint8_t scale)
{
	f->tcp_scale = (uint8_t)((f->tcp_scale & ~(15u << 4 * side)) | (unsigned)scale << 4 * side);
}

/* Windows are scaled only if both sides offered it (RFC 7323 2.2). */
static uint32_t window_scaled(const struct flow *f, unsigned side, uint32_t window)
{
	uint8_t scale = scale_get(f, side);

	return scale != TCP_SCALE_NONE && scale_get(f, side ^ 1u) != TCP_SCALE_NONE ? window << scale : window;
}

static uint8_t syn_bit(unsigned side)
{
	return (uint8_t)(1u << side);
}

static uint8_t fin_bit(unsigned side)
{
	return (uint8_t)(4u << side);
}

/* The SYN that begins it. The responder's limit is only a window until its first sequence number is known. */
static void tcp_begin(struct flow *f, const struct packet *p, const struct segment *s)
{
	f->state = FLOW_NEW;
	f->initiator = (uint8_t)s->from;
	f->tcp_seen = syn_bit(s->from);
	f->tcp_other = 0;
	scale_set(f, s->from, scale_read(p));
	scale_set(f, s->to, TCP_SCALE_MAX);
	f->tcp_end[s->from] = f->tcp_limit[s->from] = s->end;
	f->tcp_acked[s->from] = s->seq + 1;
	f->tcp_end[s->to] = f->tcp_acked[s->to] = 0;
	f->tcp_limit[s->to] = s->window;
}

/* The responder's SYN/ACK, or SYN (simultaneous open). */
static void tcp_answer(struct flow *f, const struct packet *p, const struct segment *s, bool has_ack)
{
	uint32_t window = f->tcp_limit[s->from];

	f->state = FLOW_REPLIED;
	f->tcp_seen |= syn_bit(s->from);
	scale_set(f, s->from, scale_read(p));
	f->tcp_end[s->from] = s->end;
	f->tcp_acked[s->from] = s->seq + 1;
	f->tcp_limit[s->from] = later(s->end, s->seq + 1 + window);
	if (has_ack) {
		f->tcp_acked[s->to] = s->ack;
		f->tcp_limit[s->to] = later(f->tcp_limit[s->to], s->ack + s->window);
	} else {
		f->tcp_limit[s->to] = later(f->tcp_limit[s->to], f->tcp_acked[s->to] + s->window);
	}
}

/* A SYN/ACK that acknowledges the remembered SYN of the initiator: the old connection is gone at both ends. */
static bool tcp_renews(const struct flow *f, const struct segment *s)
{
	return f->state >= FLOW_REPLIED && f->tcp_other == 1 + s->to && s->to == f->initiator && s->ack == f->tcp_other_end;
}

static void tcp_renew(struct flow *f, const struct packet *p, const struct segment *s)
{
	f->state = FLOW_NEW;
	f->tcp_seen = syn_bit(s->to);
	scale_set(f, s->to, f->tcp_other_scale);
	f->tcp_end[s->to] = f->tcp_limit[s->to] = f->tcp_acked[s->to] = f->tcp_other_end;
	f->tcp_limit[s->from] = f->tcp_other_limit;
	f->tcp_other = 0;
	tcp_answer(f, p, s, true);
}

/* Again, or another one: then the first was given up. One that is sent again may have lost its options; what was offered counts. */
static void tcp_begin_again(struct flow *f, const struct packet *p, const struct segment *s)
{
	uint8_t scale = scale_get(f, s->from);
	bool same = s->seq + 1 == f->tcp_acked[s->from];

	tcp_begin(f, p, s);
	if (same && scale_get(f, s->from) == TCP_SCALE_NONE)
		scale_set(f, s->from, scale);
}

static enum drop_reason tcp_syn(struct flow *f, const struct packet *p, const struct segment *s)
{
	if (f->state == FLOW_NEW && s->from == f->initiator) {
		tcp_begin_again(f, p, s);
	} else if (f->state == FLOW_NEW) {
		tcp_answer(f, p, s, false);
	} else if (f->state == FLOW_CLOSED) {
		if (s->from != f->initiator)
			return DROP_TCP_INVALID;
		tcp_begin(f, p, s);
	} else if (s->from == f->initiator && s->end != f->tcp_end[s->from]) {
		f->tcp_other = (uint8_t)(1 + s->from);
		f->tcp_other_end = s->end;
		f->tcp_other_limit = s->window;
		f->tcp_other_scale = scale_read(p);
	}
	return DROP_NONE;
}

static bool tcp_in_window(const struct flow *f, const struct segment *s)
{
	uint32_t oldest = f->tcp_end[s->from] - window_scaled(f, s->to, TCP_WINDOW_MAX);
	uint32_t oldest_ack = f->tcp_acked[s->to] - window_scaled(f, s->from, TCP_WINDOW_MAX);

	if (f->state == FLOW_REPLIED && s->from == f->initiator)
		oldest_ack = f->tcp_acked[s->to]; /* nothing before the SYN/ACK was ever sent */
	return !after(s->seq, f->tcp_limit[s->from]) && !after(oldest, s->end) && between(oldest_ack, s->ack, f->tcp_end[s->to]);
}

/* Numbers move on with a segment that is in the window; the initiator's first acknowledgement ends the handshake. */
static enum drop_reason tcp_accept(struct flow *f, const struct segment *s)
{
	uint32_t limit = s->ack + (s->flags & TCP_SYN ? s->window : window_scaled(f, s->from, s->window));

	if (f->flags & FLOW_UNSEEN) {
		f->tcp_end[s->from] = s->end;
		f->tcp_acked[s->to] = f->tcp_end[s->to] = s->ack;
		f->tcp_limit[s->to] = limit;
	} else if (tcp_in_window(f, s)) {
		f->tcp_end[s->from] = later(f->tcp_end[s->from], s->end);
		f->tcp_acked[s->to] = later(f->tcp_acked[s->to], s->ack);
		f->tcp_limit[s->to] = later(f->tcp_limit[s->to], limit);
	} else {
		return DROP_TCP_INVALID;
	}
	if (f->state == FLOW_REPLIED && s->from == f->initiator) {
		f->state = FLOW_ESTABLISHED;
		f->tcp_other = 0;
	}
	return DROP_NONE;
}

static enum drop_reason tcp_syn_ack(struct flow *f, const struct packet *p, const struct segment *s)
{
	bool answers = s->from != f->initiator && between(f->tcp_acked[s->to], s->ack, f->tcp_end[s->to]);

	if (tcp_renews(f, s)) {
		tcp_renew(f, p, s);
		return DROP_NONE;
	}
	if (f->state == FLOW_NEW) {
		if (!answers)
			return DROP_TCP_INVALID;
		tcp_answer(f, p, s, true);
		return DROP_NONE;
	}
	if (f->state == FLOW_REPLIED && answers && s->end != f->tcp_end[s->from]) {
		f->tcp_other = (uint8_t)(1 + s->from);
		f->tcp_other_end = s->end;
		f->tcp_other_limit = s->seq + 1 + (f->tcp_limit[s->from] - f->tcp_acked[s->from]);
		f->tcp_other_scale = scale_read(p);
		return DROP_NONE;
	}
	return tcp_accept(f, s);
}

/* Only the exact next byte resets: what the other side has acknowledged, or all that was sent (RFC 5961 3.2). */
static enum drop_reason tcp_reset(struct flow *f, const struct segment *s)
{
	bool known = f->tcp_seen & syn_bit(s->from);
	bool exact = known && (s->seq == f->tcp_end[s->from] || s->seq == f->tcp_acked[s->from]);
	bool acks = (s->flags & TCP_ACK) && between(f->tcp_acked[s->to], s->ack, f->tcp_end[s->to]);

	if (f->state == FLOW_NEW) {
		if (s->from != f->initiator && !acks)
			return DROP_TCP_INVALID; /* a refused SYN is acknowledged (RFC 9293 3.10.7.3) */
		if (s->from != f->initiator || exact)
			f->state = FLOW_CLOSED;
		return DROP_NONE;
	}
	/* The end point that has no memory refuses the SYN that its peer tried in vain. */
	if (f->tcp_other == 1 + s->to && s->to == f->initiator && (s->flags & TCP_ACK) && s->ack == f->tcp_other_end)
		exact = true;
	if (!exact && !(f->flags & FLOW_UNSEEN) && !between(f->tcp_acked[s->from], s->seq, f->tcp_limit[s->from]))
		return DROP_TCP_INVALID;
	if (exact)
		f->state = FLOW_CLOSED;
	return DROP_NONE;
}

/* The initiator acknowledges the other SYN/ACK that was remembered: that one is it. */
static void tcp_choose_answer(struct flow *f, const struct segment *s)
{
	if (f->state != FLOW_REPLIED || s->from != f->initiator || f->tcp_other != 1 + s->to || s->ack != f->tcp_other_end ||
	    !between(f->tcp_acked[s->from], s->seq, f->tcp_limit[s->from]))
		return;
	scale_set(f, s->to, f->tcp_other_scale);
	f->tcp_end[s->to] = f->tcp_acked[s->to] = f->tcp_other_end;
	f->tcp_limit[s->to] = f->tcp_other_limit;
	f->tcp_other = 0;
}

static enum drop_reason tcp_segment(struct flow *f, const struct segment *s)
{
	enum drop_reason drop;

	if (!(s->flags & TCP_ACK))
		return DROP_TCP_INVALID;
	if (f->state == FLOW_NEW)
		return s->from != f->initiator && s->end == s->seq ? DROP_NONE : DROP_TCP_INVALID;
	tcp_choose_answer(f, s);
	drop = tcp_accept(f, s);
	if (drop != DROP_NONE || f->state == FLOW_CLOSED)
		return drop;
	if (s->flags & TCP_FIN) {
		f->tcp_seen |= fin_bit(s->from);
		f->state = FLOW_CLOSING;
	}
	if ((f->tcp_seen & fin_bit(FLOW_OUT)) && (f->tcp_seen & fin_bit(FLOW_IN)) &&
	    f->tcp_acked[FLOW_OUT] == f->tcp_end[FLOW_OUT] && f->tcp_acked[FLOW_IN] == f->tcp_end[FLOW_IN])
		f->state = FLOW_CLOSED;
	return DROP_NONE;
}

static enum drop_reason tcp_track(struct flow *f, const struct packet *p, enum flow_direction direction)
{
	struct segment s;

	segment_read(&s, p, direction);
	if (f->offload_wire != 0)
		f->flags |= FLOW_UNSEEN;
	if (f->tcp_seen == 0) {
		tcp_begin(f, p, &s);
		return DROP_NONE;
	}
	if ((s.flags & TCP_SYN) && (s.flags & (TCP_FIN | TCP_RST)))
		return DROP_TCP_INVALID;
	if (s.flags & TCP_RST)
		return tcp_reset(f, &s);
	if (!(s.flags & TCP_SYN))
		return tcp_segment(f, &s);
	return s.flags & TCP_ACK ? tcp_syn_ack(f, p, &s) : tcp_syn(f, p, &s);
}

/* A datagram, or any protocol that is not known here: an answer, and then the first side again, make it a stream. */
static void datagram_track(struct flow *f, enum flow_direction direction)
{
	if (f->state == FLOW_NEW && direction != f->initiator)
		f->state = FLOW_REPLIED;
	else if (f->state == FLOW_REPLIED && direction == f->initiator)
		f->state = FLOW_ESTABLISHED;
}

static bool is_echo_request(const struct packet_layers *l)
{
	return (l->protocol == IPPROTO_ICMP && l->icmp_type == ICMP_ECHO_REQUEST) ||
	       (l->protocol == IPPROTO_ICMPV6 && l->icmp_type == ICMPV6_ECHO_REQUEST);
}

static uint32_t timeout_ms(uint32_t seconds, uint32_t default_seconds)
{
	uint32_t s = seconds != 0 ? seconds : default_seconds;

	return s < INT32_MAX / 1000 ? s * 1000 : INT32_MAX;
}

static uint32_t flow_timeout_ms(const struct flow *f, const struct flow_timeouts *t)
{
	switch (f->key.protocol) {
	case IPPROTO_TCP:
		if (f->state == FLOW_CLOSED)
			return timeout_ms(t->tcp_closing_s, 10);
		return f->state < FLOW_ESTABLISHED ? timeout_ms(t->tcp_opening_s, 30) : timeout_ms(t->tcp_established_s, 350);
	case IPPROTO_UDP:
		return f->state < FLOW_ESTABLISHED ? timeout_ms(t->udp_s, 30) : timeout_ms(t->udp_stream_s, 180);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return timeout_ms(t->udp_s, 30);
	default:
		return timeout_ms(t->other_s, 600);
	}
}

enum drop_reason flow_track(struct flow *f, const struct packet *p, enum flow_direction direction,
			    const struct flow_timeouts *timeouts, uint32_t now_ms)
{
	uint8_t state = f->state;
	enum drop_reason drop;

	if (f->key.protocol == IPPROTO_TCP && p->layers.fragment != FRAGMENT_LATER) {
		drop = tcp_track(f, p, direction);
		if (drop != DROP_NONE)
			return drop;
		f->tcp_flags |= p->layers.tcp_flags;
	} else if (f->key.protocol != IPPROTO_TCP) {
		if (is_echo_request(&p->layers) && direction != f->initiator)
			return DROP_ICMP_UNRELATED;
		datagram_track(f, direction);
	}
	f->seen_ms = now_ms;
	if (f->state != state || f->timeout_ms == 0)
		f->timeout_ms = flow_timeout_ms(f, timeouts);
	return DROP_NONE;
}

enum drop_reason flow_may_begin(const struct packet *p)
{
	uint8_t flags = p->layers.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);

	return p->layers.protocol != IPPROTO_TCP || flags == TCP_SYN ? DROP_NONE : DROP_NOT_SYN;
}

bool flow_is_reopened(const struct flow *f, const struct packet *p)
{
	return f->state == FLOW_CLOSED && f->key.protocol == IPPROTO_TCP && p->layers.fragment != FRAGMENT_LATER &&
	       flow_may_begin(p) == DROP_NONE;
}
