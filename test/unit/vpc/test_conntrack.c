/*
 * Connection tracking from both sides: legal conversations pass whole, with their odd corners; what a third party could send to
 * disturb one does not. The local side is `out`; a conversation is written with relative sequence numbers.
 */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "vpc/flow.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };
enum { NO_SCALE = -1 };

#define C UINT32_C(0xfffffff0) /* the client's first sequence number: wraps soon */
#define S UINT32_C(0x12345678) /* the server's */

static const struct flow_timeouts defaults;

struct talk {
	struct flow f;
	uint32_t now_ms;
	uint8_t room[128];
};

static void begin(struct talk *t, uint8_t protocol, enum flow_direction initiator)
{
	memset(t, 0, sizeof(*t));
	t->now_ms = 1000;
	t->f.key.protocol = protocol;
	t->f.state = FLOW_NEW;
	t->f.initiator = (uint8_t)initiator;
	t->f.seen_ms = t->now_ms;
}

static struct packet tcp(struct talk *t, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes, uint16_t window, int scale)
{
	struct packet p = {.head = t->room};
	uint8_t *options = t->room + 14 + 20 + 20;

	p.layers.family = 4;
	p.layers.protocol = IPPROTO_TCP;
	p.layers.l3_offset = 14;
	p.layers.l4_offset = 34;
	p.layers.l4_header_bytes = 20;
	if (scale != NO_SCALE) { /* NOP, MSS, window scale, end */
		memcpy(options, (uint8_t[]){1, 2, 4, 5, 180, 3, 3, (uint8_t)scale, 0, 0, 0, 0}, 12);
		p.layers.l4_header_bytes = 32;
	}
	p.head_bytes = (uint16_t)(34 + p.layers.l4_header_bytes);
	p.layers.ip_bytes = 20 + p.layers.l4_header_bytes + bytes;
	p.layers.tcp_flags = flags;
	p.layers.tcp_seq = seq;
	p.layers.tcp_ack = flags & ACK ? ack : 0;
	p.layers.tcp_window = window;
	return p;
}

static bool pass(struct talk *t, enum flow_direction direction, const struct packet *p)
{
	struct flow before = t->f;
	enum drop_reason drop = flow_track(&t->f, p, direction, &defaults, t->now_ms);

	if (drop == DROP_NONE) {
		assert_int_equal(t->f.seen_ms, t->now_ms);
		return true;
	}
	assert_int_equal(drop, DROP_TCP_INVALID);
	/* What does not belong to it leaves it as it is. */
	assert_memory_equal(&t->f, &before, sizeof(before));
	return false;
}

static bool tcp_passes_scaled(struct talk *t, enum flow_direction d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes,
			      int scale)
{
	struct packet p = tcp(t, flags, seq, ack, bytes, 1000, scale);

	return pass(t, d, &p);
}

static bool tcp_passes(struct talk *t, enum flow_direction d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
	return tcp_passes_scaled(t, d, flags, seq, ack, bytes, NO_SCALE);
}

/* Windows of 1000 both ways, without scale; next: client C + 1, server S + 1. */
static void handshake(struct talk *t)
{
	begin(t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(t, FLOW_OUT, SYN, C, 0, 0));
	assert_int_equal(t->f.state, FLOW_NEW);
	assert_true(tcp_passes(t, FLOW_IN, SYN | ACK, S, C + 1, 0));
	assert_int_equal(t->f.state, FLOW_REPLIED);
	assert_true(tcp_passes(t, FLOW_OUT, ACK, C + 1, S + 1, 0));
	assert_int_equal(t->f.state, FLOW_ESTABLISHED);
}

static void test_conversation(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_int_equal(t.f.timeout_ms, 350000);
	for (uint32_t sent = 0; sent < 100000; sent += 900) { /* around the wrap, and on */
		t.now_ms += 100;
		assert_true(tcp_passes(&t, FLOW_OUT, ACK | PSH, C + 1 + sent, S + 1 + sent, 900));
		assert_true(tcp_passes(&t, FLOW_IN, ACK | PSH, S + 1 + sent, C + 1 + sent + 900, 900));
	}
	assert_true(tcp_passes(&t, FLOW_OUT, FIN | ACK, C + 1 + 100800, S + 1 + 100800, 0));
	assert_int_equal(t.f.state, FLOW_CLOSING);
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1 + 100800, C + 2 + 100800, 500)); /* half closed: the other side goes on */
	assert_int_equal(t.f.state, FLOW_CLOSING);
	assert_int_equal(t.f.timeout_ms, 350000);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 2 + 100800, S + 1 + 101300, 0));
	assert_true(tcp_passes(&t, FLOW_IN, FIN | ACK, S + 1 + 101300, C + 2 + 100800, 0));
	assert_int_equal(t.f.state, FLOW_CLOSING);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 2 + 100800, S + 2 + 101300, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
	assert_int_equal(t.f.timeout_ms, 10000);
	assert_true(tcp_passes(&t, FLOW_IN, FIN | ACK, S + 1 + 101300, C + 2 + 100800, 0)); /* its last acknowledgement was lost */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 2 + 100800, S + 2 + 101300, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
	assert_int_equal(t.f.tcp_flags, FIN | SYN | PSH | ACK);
}

static void test_both_close_at_once(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, FIN | ACK, C + 1, S + 1, 0));
	assert_true(tcp_passes(&t, FLOW_IN, FIN | ACK, S + 1, C + 1, 0));
	assert_int_equal(t.f.state, FLOW_CLOSING);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 2, S + 2, 0));
	assert_int_equal(t.f.state, FLOW_CLOSING);
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 2, C + 2, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

/* The same whoever began: a server here. */
static void test_inbound(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_IN);
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ECE | CWR, C, 0, 0));
	assert_int_equal(t.f.timeout_ms, 30000);
	assert_false(tcp_passes(&t, FLOW_IN, ACK, C + 1, S + 1, 10));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN | ACK | ECE, S, C + 1, 0));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, C + 1, S + 1, 10));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
}

static void test_window(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 1000));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1001, S + 1, 1));	 /* a probe of the closed window */
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1003, S + 1, 1)); /* what nobody asked for */
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1001, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1001, S + 1, 1000));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 1000));	    /* sent again */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C, S + 1, 1));	    /* keep-alive */
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C - 70000, S + 1, 100)); /* older than any window */
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 0x40000000, S + 1, 100));
}

static void test_acknowledgements(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 500));
	assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 502, 0)); /* of what was never sent */
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 501, 0));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 100)); /* late */
	assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1, C - 70000, 100));
	assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 0x70000000, 100));
	assert_false(tcp_passes(&t, FLOW_IN, 0, S + 1, 0, 10)); /* scans: no ACK, FIN alone, everything */
	assert_false(tcp_passes(&t, FLOW_IN, FIN, S + 1, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, FIN | PSH | URG, S + 1, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, SYN | FIN, S + 1, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, SYN | RST, S + 1, 0, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
}

/* Windows are scaled only when both SYNs offered it; a scale of 0 is an offer. */
static void test_scale(void **state)
{
	static const struct {
		int client, server;
		uint32_t client_may, server_may; /* send at once, by windows of 1000 */
	} cases[] = {
		{NO_SCALE, NO_SCALE, 1000, 1000},
		{7, NO_SCALE, 1000, 1000},
		{NO_SCALE, 7, 1000, 1000},
		{7, 3, 8000, 128000},
		{7, 0, 1000, 128000},
		{0, 14, 16384000, 1000},
		{200, 2, 4000, 16384000}, /* at most 14 (RFC 7323 2.3) */
	};
	struct talk t;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&t, IPPROTO_TCP, FLOW_OUT);
		assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN, C, 0, 0, cases[i].client));
		assert_true(tcp_passes_scaled(&t, FLOW_IN, SYN | ACK, S, C + 1, 0, cases[i].server));
		assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1002, S + 1, 1)); /* the windows of SYNs are never scaled */
		assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 0));
		assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 0));
		assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1 + cases[i].client_may + 1, S + 1, 10));
		assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1 + cases[i].client_may, S + 1, 0));
		assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1 + cases[i].server_may + 1, C + 1, 10));
		assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1 + cases[i].server_may, C + 1, 0));
	}
}

/* Options that are cut off, or make no sense, must not make windows smaller than they are. */
static void test_unreadable_options(void **state)
{
	static const uint8_t options[][8] = {
		{3, 0}, {3, 1}, {5, 200}, {2, 4, 5, 180, 1, 1, 1, 3}, {254, 9},
	};
	struct talk t;

	(void)state;
	for (unsigned i = 0; i <= sizeof(options) / sizeof(options[0]); i++) {
		struct packet p;

		begin(&t, IPPROTO_TCP, FLOW_OUT);
		assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN, C, 0, 0, 7));
		p = tcp(&t, SYN | ACK, S, C + 1, 0, 1000, NO_SCALE);
		p.layers.l4_header_bytes = 28;
		p.layers.ip_bytes += 8;
		p.head_bytes = (uint16_t)(34 + 28);
		if (i < sizeof(options) / sizeof(options[0]))
			memcpy(t.room + 54, options[i], 8);
		else
			p.head_bytes = 34 + 20;
		assert_true(pass(&t, FLOW_IN, &p));
		assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 0));
		assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 0));
		assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1 + (1000 << 14), S + 1, 0));
	}
}

static void test_handshake_only(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 0)); /* nothing to acknowledge yet */
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 100));
	assert_false(tcp_passes(&t, FLOW_OUT, FIN | ACK, C + 1, S + 1, 0));
	assert_false(tcp_passes(&t, FLOW_OUT, SYN | ACK, C, S + 1, 0));
	assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 100)); /* data before the SYN/ACK */
	assert_false(tcp_passes(&t, FLOW_IN, FIN | ACK, S + 1, C + 1, 0));
	assert_false(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C, 0)); /* of another SYN */
	assert_false(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 2, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0)); /* again */
	assert_int_equal(t.f.state, FLOW_NEW);
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0)); /* again: the SYN/ACK was lost behind us */
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0));
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 2, 0)); /* a forged end of the handshake */
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S, 0));
	assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S - 5000, 0));
	assert_int_equal(t.f.state, FLOW_REPLIED);
	assert_int_equal(t.f.timeout_ms, 30000); /* a SYN flood with forged acknowledgements gets no long life */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0)); /* late: answered by the end point */
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
}

/* A port that is tried again at once with another SYN; a SYN sent again without its options. */
static void test_syn_again(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN, C, 0, 0, 7));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_true(tcp_passes_scaled(&t, FLOW_IN, SYN | ACK, S, C + 1, 0, 7));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 0));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1 + 128000, S + 1, 0));

	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C + 777777, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0)); /* of the one that was given up */
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 777778, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 777778, S + 1, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
}

/* Fast open (RFC 7413): data in the SYN, and of the server before the handshake is done. */
static void test_fast_open(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 300));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0)); /* without its data */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 300));
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 300));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 301, 100)); /* with it */
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 101, C + 301, 800));
	assert_int_equal(t.f.state, FLOW_REPLIED);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 301, S + 1, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 301, S + 901, 10));
}

/* RFC 9293 figure 8. */
static void test_simultaneous_open(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN, C, 0, 0, 2));
	assert_true(tcp_passes_scaled(&t, FLOW_IN, SYN, S, 0, 0, 2));
	assert_int_equal(t.f.state, FLOW_REPLIED);
	assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN | ACK, C, S + 1, 0, 2));
	assert_true(tcp_passes_scaled(&t, FLOW_IN, SYN | ACK, S, C + 1, 0, 2));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 900));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 901, 900));

	begin(&t, IPPROTO_TCP, FLOW_OUT); /* the SYN/ACKs cross the other way round */
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN, S, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN | ACK, C, S + 1, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
}

static void test_reset(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 500));
	assert_false(tcp_passes(&t, FLOW_IN, RST, S - 1, 0, 0)); /* before, and behind, the window */
	assert_false(tcp_passes(&t, FLOW_IN, RST, S + 1002, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, RST | ACK, 0, C + 1, 0));
	assert_true(tcp_passes(&t, FLOW_IN, RST, S + 500, 0, 0)); /* inside: the end point challenges it, the flow stays */
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_int_equal(t.f.timeout_ms, 350000);
	assert_true(tcp_passes(&t, FLOW_IN, RST, S + 1, 0, 0)); /* the next byte */
	assert_int_equal(t.f.state, FLOW_CLOSED);
	assert_int_equal(t.f.timeout_ms, 10000);

	handshake(&t); /* the side that resets has sent more than was acknowledged: either may be the next byte */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 500));
	assert_true(tcp_passes(&t, FLOW_OUT, RST | ACK, C + 501, S + 1, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 500));
	assert_true(tcp_passes(&t, FLOW_OUT, RST, C + 1, 0, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

static void test_reset_of_syn(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, RST, 0, 0, 0)); /* a refusal acknowledges the SYN */
	assert_false(tcp_passes(&t, FLOW_IN, RST | ACK, 0, C, 0));
	assert_false(tcp_passes(&t, FLOW_IN, RST | ACK, 0, C + 2, 0));
	assert_int_equal(t.f.state, FLOW_NEW);
	assert_true(tcp_passes(&t, FLOW_IN, RST | ACK, 0, C + 1, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C + 99, 0, 0)); /* and tried again */
	assert_int_equal(t.f.state, FLOW_NEW);
	assert_true(tcp_passes(&t, FLOW_OUT, RST, C + 100, 0, 0)); /* given up */
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

/* RFC 9293 figure 10: one side lost its memory; the challenge makes it reset what the other still holds. */
static void test_half_open(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 100));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 101, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, 5000000, 0, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 101, 0)); /* challenge */
	assert_true(tcp_passes(&t, FLOW_OUT, RST, C + 101, 0, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, 5000000, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, 7, 5000001, 0));
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, 5000001, 8, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);

	begin(&t, IPPROTO_TCP, FLOW_OUT); /* the old connection is not in the table */
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 444, C + 555555, 0));
	assert_int_equal(t.f.state, FLOW_NEW);
	assert_true(tcp_passes(&t, FLOW_OUT, RST, C + 555555, 0, 0));
	assert_int_equal(t.f.state, FLOW_NEW);
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, 7, C + 1, 0));
}

/* Both sides lost their memory: the flow in the table must not be in the way. */
static void test_both_restarted(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	assert_false(tcp_passes(&t, FLOW_IN, SYN | ACK, 7, 5000001, 0)); /* nobody asked */
	assert_true(tcp_passes_scaled(&t, FLOW_OUT, SYN, 5000000, 0, 0, 3));
	assert_false(tcp_passes(&t, FLOW_IN, SYN | ACK, 7, 5000002, 0));
	assert_true(tcp_passes_scaled(&t, FLOW_IN, SYN | ACK, 7, 5000001, 0, 1));
	assert_int_equal(t.f.state, FLOW_REPLIED);
	assert_false(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 1, 10)); /* of the old one */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, 5000001, 8, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_true(tcp_passes(&t, FLOW_IN, ACK, 8 + 8000, 5000001, 0));

	handshake(&t); /* refused by the other side */
	assert_true(tcp_passes(&t, FLOW_OUT, SYN, 5000000, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, RST | ACK, 0, 5000001, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

/* The other side's SYN on a live connection passes, to be challenged, and can never turn it around: policy was not asked. */
static void test_syn_of_the_other_side(void **state)
{
	struct talk t;
	struct flow before;

	(void)state;
	handshake(&t);
	before = t.f;
	assert_true(tcp_passes(&t, FLOW_IN, SYN, 5000000, 0, 0));
	assert_true(tcp_passes(&t, FLOW_IN, SYN, S + 10, 0, 0));
	before.tcp_flags = t.f.tcp_flags;
	assert_memory_equal(&t.f, &before, sizeof(before));
	assert_false(tcp_passes(&t, FLOW_OUT, SYN | ACK, 9, 5000001, 0));
	assert_true(tcp_passes(&t, FLOW_IN, RST, S + 1, 0, 0));
	assert_false(tcp_passes(&t, FLOW_IN, SYN, 5000000, 0, 0)); /* nor when it is over: who wants that begins a new flow */
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

/* A stateless proxy that answers a SYN twice, with two sequence numbers: the one that the client takes is it. */
static void test_two_answers(void **state)
{
	struct talk t;

	(void)state;
	for (unsigned chosen = 0; chosen < 2; chosen++) {
		uint32_t server = chosen == 0 ? S : S + 9999999;

		begin(&t, IPPROTO_TCP, FLOW_OUT);
		assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
		assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S, C + 1, 0));
		assert_true(tcp_passes(&t, FLOW_OUT, SYN, C, 0, 0));
		assert_true(tcp_passes(&t, FLOW_IN, SYN | ACK, S + 9999999, C + 1, 0));
		assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 5, 0));
		assert_false(tcp_passes(&t, FLOW_OUT, ACK, C + 1000000, server + 1, 0));
		assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, server + 1, 0));
		assert_int_equal(t.f.state, FLOW_ESTABLISHED);
		assert_true(tcp_passes(&t, FLOW_IN, ACK, server + 1, C + 1, 500));
		assert_false(tcp_passes(&t, FLOW_IN, ACK, server + 1 + 50000000, C + 1, 500));
	}
}

static void test_reopened(void **state)
{
	struct talk t;
	struct packet p;

	(void)state;
	handshake(&t);
	p = tcp(&t, SYN, C + 90000, 0, 0, 1000, NO_SCALE);
	assert_false(flow_is_reopened(&t.f, &p));
	assert_true(tcp_passes(&t, FLOW_OUT, RST, C + 1, 0, 0));
	assert_true(flow_is_reopened(&t.f, &p));
	p.layers.tcp_flags = SYN | ACK;
	assert_false(flow_is_reopened(&t.f, &p));
	p.layers.tcp_flags = ACK;
	assert_false(flow_is_reopened(&t.f, &p));
	p.layers.tcp_flags = SYN;
	p.layers.fragment = FRAGMENT_LATER;
	assert_false(flow_is_reopened(&t.f, &p));
}

/* A third party that knows addresses and ports, but not the numbers: nothing that it sends changes the flow (pass() checks). */
static void test_third_party(void **state)
{
	static const uint8_t flags[] = {ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0};
	struct talk t;
	uint32_t random = 1;
	unsigned passed = 0;

	(void)state;
	handshake(&t);
	for (unsigned i = 0; i < 200000; i++) {
		struct flow before = t.f;
		uint32_t seq, ack;

		random = random * 1664525 + 1013904223;
		seq = random;
		random = random * 1664525 + 1013904223;
		ack = random;
		passed += tcp_passes(&t, i & 1 ? FLOW_IN : FLOW_OUT, flags[i / 2 % sizeof(flags)], seq, ack, i % 1400);
		before.tcp_flags = t.f.tcp_flags;
		assert_memory_equal(&t.f, &before, sizeof(before));
	}
	assert_true(passed < 10); /* RSTs that hit the window of 1000 by chance */
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 1, S + 1, 500));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 501, 500));
}

/* A first fragment of a segment does not say how long the segment is; what acknowledges it all is right. Later ones have no header. */
static void test_fragments(void **state)
{
	struct talk t;
	struct packet p;

	(void)state;
	handshake(&t);
	p = tcp(&t, ACK, C + 1, S + 1, 200, 1000, NO_SCALE);
	p.layers.fragment = FRAGMENT_FIRST;
	assert_true(pass(&t, FLOW_OUT, &p));
	memset(&p.layers.tcp_seq, 0x5a, 4);
	p.layers.fragment = FRAGMENT_LATER;
	p.layers.tcp_flags = 0;
	t.now_ms += 5;
	assert_true(pass(&t, FLOW_OUT, &p));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 901, 0));
}

/* What a device carries is not seen: windows are not judged any more, but states and exact resets are. */
static void test_offloaded(void **state)
{
	struct talk t;

	(void)state;
	handshake(&t);
	t.f.offload_wire = 1;
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 1, C + 5000000, 100));
	t.f.offload_wire = 0;
	assert_true(tcp_passes(&t, FLOW_OUT, ACK, C + 9000000, S + 101, 100));
	assert_true(tcp_passes(&t, FLOW_IN, ACK, S + 70000, C + 9000100, 100));
	assert_true(tcp_passes(&t, FLOW_IN, RST, S + 60000, 0, 0));
	assert_int_equal(t.f.state, FLOW_ESTABLISHED);
	assert_true(tcp_passes(&t, FLOW_IN, RST, S + 70100, 0, 0));
	assert_int_equal(t.f.state, FLOW_CLOSED);
}

static void datagram(struct talk *t, enum flow_direction direction, enum flow_state expected, uint32_t timeout_ms)
{
	struct packet p = {.layers = {.protocol = t->f.key.protocol}};

	assert_int_equal(flow_track(&t->f, &p, direction, &defaults, t->now_ms), DROP_NONE);
	assert_int_equal(t->f.state, expected);
	assert_int_equal(t->f.timeout_ms, timeout_ms);
}

static void test_datagrams(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, IPPROTO_UDP, FLOW_IN);
	datagram(&t, FLOW_IN, FLOW_NEW, 30000);
	datagram(&t, FLOW_IN, FLOW_NEW, 30000);
	datagram(&t, FLOW_OUT, FLOW_REPLIED, 30000);
	datagram(&t, FLOW_OUT, FLOW_REPLIED, 30000);
	datagram(&t, FLOW_IN, FLOW_ESTABLISHED, 180000);
	datagram(&t, FLOW_OUT, FLOW_ESTABLISHED, 180000);
	begin(&t, IPPROTO_GRE, FLOW_OUT);
	datagram(&t, FLOW_OUT, FLOW_NEW, 600000);
	datagram(&t, FLOW_IN, FLOW_REPLIED, 600000);
}

static void test_echo(void **state)
{
	static const uint8_t types[2][2] = {{8, 0}, {128, 129}};
	struct talk t;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct packet request = {.layers = {.protocol = i ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .icmp_type = types[i][0]}};
		struct packet reply = request;
		struct flow before;

		reply.layers.icmp_type = types[i][1];
		begin(&t, request.layers.protocol, FLOW_OUT);
		assert_int_equal(flow_track(&t.f, &request, FLOW_OUT, &defaults, 5), DROP_NONE);
		assert_int_equal(t.f.timeout_ms, 30000);
		before = t.f; /* a ping of the other side is no answer to ours */
		assert_int_equal(flow_track(&t.f, &request, FLOW_IN, &defaults, 6), DROP_ICMP_UNRELATED);
		assert_memory_equal(&t.f, &before, sizeof(before));
		assert_int_equal(flow_track(&t.f, &reply, FLOW_IN, &defaults, 6), DROP_NONE);
		assert_int_equal(t.f.state, FLOW_REPLIED);
	}
}

static void test_timeouts(void **state)
{
	static const struct flow_timeouts own = {.tcp_established_s = 7,
						 .tcp_opening_s = 3,
						 .tcp_closing_s = 1,
						 .udp_s = UINT32_MAX,
						 .udp_stream_s = 9,
						 .other_s = 11};
	struct talk t;
	struct packet p;

	(void)state;
	begin(&t, IPPROTO_TCP, FLOW_OUT);
	p = tcp(&t, SYN, C, 0, 0, 1000, NO_SCALE);
	assert_int_equal(flow_track(&t.f, &p, FLOW_OUT, &own, 0), DROP_NONE);
	assert_int_equal(t.f.timeout_ms, 3000);
	p = tcp(&t, SYN | ACK, S, C + 1, 0, 1000, NO_SCALE);
	assert_int_equal(flow_track(&t.f, &p, FLOW_IN, &own, 0), DROP_NONE);
	p = tcp(&t, ACK, C + 1, S + 1, 0, 1000, NO_SCALE);
	assert_int_equal(flow_track(&t.f, &p, FLOW_OUT, &own, 0), DROP_NONE);
	assert_int_equal(t.f.timeout_ms, 7000);
	p = tcp(&t, RST, C + 1, 0, 0, 0, NO_SCALE);
	assert_int_equal(flow_track(&t.f, &p, FLOW_OUT, &own, 0), DROP_NONE);
	assert_int_equal(t.f.timeout_ms, 1000);
	begin(&t, IPPROTO_UDP, FLOW_OUT);
	p = (struct packet){.layers = {.protocol = IPPROTO_UDP}};
	assert_int_equal(flow_track(&t.f, &p, FLOW_OUT, &own, 0), DROP_NONE);
	assert_int_equal(t.f.timeout_ms, INT32_MAX); /* as long as a clock that wraps can tell */
}

static void test_may_begin(void **state)
{
	struct talk t;
	struct packet p;

	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		p = tcp(&t, (uint8_t)flags, C, 0, 0, 1000, NO_SCALE);
		assert_int_equal(flow_may_begin(&p), (flags & (SYN | ACK | RST | FIN)) == SYN ? DROP_NONE : DROP_NOT_SYN);
	}
	p.layers.protocol = IPPROTO_UDP;
	assert_int_equal(flow_may_begin(&p), DROP_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversation),
		cmocka_unit_test(test_both_close_at_once),
		cmocka_unit_test(test_inbound),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_acknowledgements),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_unreadable_options),
		cmocka_unit_test(test_handshake_only),
		cmocka_unit_test(test_syn_again),
		cmocka_unit_test(test_fast_open),
		cmocka_unit_test(test_simultaneous_open),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_reset_of_syn),
		cmocka_unit_test(test_half_open),
		cmocka_unit_test(test_both_restarted),
		cmocka_unit_test(test_syn_of_the_other_side),
		cmocka_unit_test(test_two_answers),
		cmocka_unit_test(test_reopened),
		cmocka_unit_test(test_third_party),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_offloaded),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_may_begin),
	};

	return cmocka_run_group_tests_name("vpc conntrack", tests, NULL, NULL);
}
