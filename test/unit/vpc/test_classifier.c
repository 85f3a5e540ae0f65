#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_rig.h"
#include "vpc/classifier.h"
#include "vpc/piece.h"

enum { RULES_MAX = 1200, GROUP_SLOTS = 40, QUERY_GROUPS = 6 };

struct bench {
	struct list pieces;
	struct rule_spec *rules;
	uint32_t *slots;
	uint32_t count;
	const struct classifier *ingress, *egress;
	uint64_t random;
};

static uint32_t random_below(struct bench *b, uint32_t limit)
{
	b->random = b->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(b->random >> 33) % limit;
}

static void bench_open(struct bench *b, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	list_init(&b->pieces);
	b->random = seed;
	b->rules = calloc(NET_RULES_MAX + 1, sizeof(*b->rules));
	b->slots = calloc(NET_RULES_MAX + 1, sizeof(*b->slots));
	assert_non_null(b->rules);
	assert_non_null(b->slots);
}

static void bench_build(struct bench *b)
{
	pieces_free(&b->pieces);
	assert_int_equal(classifier_build(&b->ingress, &b->pieces, b->rules, b->count, false, b->slots), 0);
	assert_int_equal(classifier_build(&b->egress, &b->pieces, b->rules, b->count, true, b->slots), 0);
}

static void bench_close(struct bench *b)
{
	pieces_free(&b->pieces);
	free(b->slots);
	free(b->rules);
}

static struct rule_spec *add(struct bench *b, const char *cidr, uint16_t protocol, uint16_t first, uint16_t last)
{
	struct rule_spec *r = &b->rules[b->count++];

	memset(r, 0, sizeof(*r));
	r->number = (uint16_t)b->count;
	r->protocol = protocol;
	r->port_first = first;
	r->port_last = last;
	if (cidr != NULL)
		r->cidr = rig_prefix(cidr);
	return r;
}

static uint32_t ask(const struct classifier *c, const char *address, uint8_t protocol, int port)
{
	struct classifier_query q = {
		.address = rig_address(address), .protocol = protocol, .port = (uint16_t)port, .ports_known = port >= 0};
	bool deny = false;

	return classifier_match(c, &q, &deny);
}

/* ---- the naive one: by the meaning of the words ---- */

static bool naive_ports(const struct rule_spec *r, const struct classifier_query *q)
{
	if (r->protocol == NET_PROTOCOL_ANY)
		return true;
	if (r->protocol != q->protocol)
		return false;
	if (r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6) {
		if (r->port_first == 0xffff)
			return true;
		return q->ports_known && r->port_first == q->port >> 8 &&
		       (r->port_last == 0xffff || r->port_last == (q->port & 0xff));
	}
	if (r->port_first == 0 && r->port_last == 0xffff)
		return true;
	return q->ports_known && r->port_first <= q->port && q->port <= r->port_last;
}

static bool naive_other_side(const struct rule_spec *r, uint32_t slot, const struct classifier_query *q)
{
	if (!r->by_group)
		return net_prefix_is_v4(&r->cidr) == net_address_is_v4(&q->address) && net_prefix_contains(&r->cidr, &q->address);
	for (unsigned i = 0; i < q->group_count; i++)
		if (q->groups[i] == slot)
			return true;
	return false;
}

static uint32_t naive_match(const struct bench *b, bool egress, const struct classifier_query *q)
{
	uint32_t best = CLASSIFIER_NO_MATCH;

	for (uint32_t i = 0; i < b->count; i++) {
		const struct rule_spec *r = &b->rules[i];

		if (r->egress == egress && naive_ports(r, q) && naive_other_side(r, b->slots[i], q) &&
		    (best == CLASSIFIER_NO_MATCH || r->number < b->rules[best].number))
			best = i;
	}
	return best;
}

/* ---- random rules, near enough to each other to meet ---- */

static struct net_prefix random_prefix(struct bench *b)
{
	struct net_prefix p = {.length = 0};
	unsigned bits;

	if (random_below(b, 3) == 0) { /* IPv6 */
		p.length = (uint8_t)random_below(b, 129);
		p.address.bytes[0] = 0xfd;
		p.address.bytes[7] = (uint8_t)random_below(b, 3);
		p.address.bytes[15] = (uint8_t)random_below(b, 4);
	} else {
		p.length = (uint8_t)(96 + random_below(b, 33));
		p.address =
			net_address_v4(htonl(10u << 24 | random_below(b, 3) << 16 | random_below(b, 4) << 8 | random_below(b, 8)));
	}
	bits = p.length;
	for (unsigned i = bits; i < 128; i++)
		p.address.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

static uint16_t random_protocol(struct bench *b)
{
	static const uint16_t protocols[] = {NET_PROTOCOL_ANY, IPPROTO_TCP,    IPPROTO_TCP, IPPROTO_UDP,
					     IPPROTO_ICMP,     IPPROTO_ICMPV6, IPPROTO_GRE};

	return protocols[random_below(b, sizeof(protocols) / sizeof(protocols[0]))];
}

static void random_ports(struct bench *b, struct rule_spec *r)
{
	uint16_t a = (uint16_t)(random_below(b, 4) == 0 ? 0 : random_below(b, 64)),
		 c = (uint16_t)(random_below(b, 4) == 0 ? 65535 : random_below(b, 64));

	if (r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6) {
		r->port_first = (uint16_t)(random_below(b, 3) == 0 ? 0xffff : random_below(b, 4));
		r->port_last = (uint16_t)(r->port_first == 0xffff || random_below(b, 2) == 0 ? 0xffff : random_below(b, 4));
	} else if (r->protocol == IPPROTO_TCP || r->protocol == IPPROTO_UDP) {
		r->port_first = a < c ? a : c;
		r->port_last = a < c ? c : a;
	} else {
		r->port_first = 0;
		r->port_last = 65535;
	}
}

static void random_rules(struct bench *b, uint32_t count)
{
	b->count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct rule_spec *r = &b->rules[i];

		memset(r, 0, sizeof(*r));
		r->number = (uint16_t)random_below(b, 500); /* equal ones too: the list decides */
		r->egress = random_below(b, 2);
		r->deny = random_below(b, 2);
		r->protocol = random_protocol(b);
		random_ports(b, r);
		r->by_group = random_below(b, 4) == 0;
		b->slots[i] = random_below(b, GROUP_SLOTS);
		if (!r->by_group)
			r->cidr = random_prefix(b);
	}
}

static void random_query(struct bench *b, struct classifier_query *q, uint32_t groups[QUERY_GROUPS])
{
	uint16_t protocol;

	memset(q, 0, sizeof(*q));
	q->address = random_prefix(b).address;
	do
		protocol = random_protocol(b);
	while (protocol == NET_PROTOCOL_ANY);
	q->protocol = (uint8_t)protocol;
	q->ports_known = random_below(b, 8) != 0 && protocol != IPPROTO_GRE;
	q->port = (uint16_t)random_below(b, 70);
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		q->port = (uint16_t)(random_below(b, 5) << 8 | random_below(b, 5));
	for (uint32_t slot = random_below(b, 20); slot < GROUP_SLOTS && q->group_count < random_below(b, QUERY_GROUPS + 1);
	     slot += 1 + random_below(b, 8))
		groups[q->group_count++] = slot;
	q->groups = groups;
}

static uint32_t compare_with_naive(struct bench *b, uint32_t queries)
{
	uint32_t groups[QUERY_GROUPS], hits = 0;
	struct classifier_query q;

	for (uint32_t i = 0; i < queries; i++) {
		bool egress = random_below(b, 2), deny = false;
		uint32_t got, expected;

		random_query(b, &q, groups);
		got = classifier_match(egress ? b->egress : b->ingress, &q, &deny);
		expected = naive_match(b, egress, &q);
		assert_int_equal(got, expected);
		if (got == CLASSIFIER_NO_MATCH)
			continue;
		assert_int_equal(deny, b->rules[got].deny);
		hits++;
	}
	return hits;
}

static void agrees_with_a_linear_matcher(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 5, 10, 30, 100, 300, RULES_MAX};
	struct bench b;
	uint32_t hits = 0;

	(void)state;
	bench_open(&b, 1);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned round = 0; round < (sizes[i] > 50 ? 4 : 40); round++) {
			random_rules(&b, sizes[i]);
			bench_build(&b);
			hits += compare_with_naive(&b, sizes[i] > 50 ? 2000 : 300);
		}
	}
	assert_true(hits > 10000); /* it did compare something */
	bench_close(&b);
}

/* ---- one by one ---- */

static void lowest_number_wins(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	add(&b, "10.0.0.0/8", IPPROTO_TCP, 80, 80)->number = 300;
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 0, 65535)->number = 200;
	add(&b, "0.0.0.0/0", NET_PROTOCOL_ANY, 0, 65535)->number = 100;
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 80), 2);
	b.rules[2].number = 400;
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 80), 1);
	assert_int_equal(ask(b.ingress, "10.9.0.1", IPPROTO_TCP, 80), 0);
	assert_int_equal(ask(b.ingress, "10.9.0.1", IPPROTO_TCP, 81), 2);
	assert_int_equal(ask(b.ingress, "fd00::1", IPPROTO_TCP, 80), CLASSIFIER_NO_MATCH);
	bench_close(&b);
}

static void families_are_apart(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	add(&b, "::/0", IPPROTO_UDP, 53, 53);
	add(&b, "0.0.0.0/0", IPPROTO_UDP, 53, 53);
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "fd00::1", IPPROTO_UDP, 53), 0);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_UDP, 53), 1);
	bench_close(&b);
}

static void icmp_types_and_codes(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	add(&b, "10.0.0.0/24", IPPROTO_ICMP, 8, 0xffff);
	add(&b, "10.0.0.0/24", IPPROTO_ICMP, 3, 4);
	add(&b, "10.0.1.0/24", IPPROTO_ICMP, 0xffff, 0xffff);
	add(&b, "10.0.2.0/24", IPPROTO_ICMP, 0, 0xffff);
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_ICMP, 8 << 8), 0);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_ICMP, 8 << 8 | 7), 0);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_ICMP, 3 << 8 | 4), 1);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_ICMP, 3 << 8 | 3), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_ICMP, 0), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.1.1", IPPROTO_ICMP, 255 << 8 | 255), 2);
	assert_int_equal(ask(b.ingress, "10.0.1.1", IPPROTO_ICMP, -1), 2);
	assert_int_equal(ask(b.ingress, "10.0.1.1", IPPROTO_ICMPV6, 128 << 8), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.2.1", IPPROTO_ICMP, 0), 3);
	assert_int_equal(ask(b.ingress, "10.0.2.1", IPPROTO_ICMP, 8 << 8), CLASSIFIER_NO_MATCH);
	bench_close(&b);
}

/* Whose ports are not known is let in by a rule for all of them, and by no other. */
static void unknown_ports(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 80, 90);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 0, 65535);
	add(&b, "10.0.0.0/24", IPPROTO_UDP, 0, 65534);
	add(&b, "10.0.0.0/24", IPPROTO_GRE, 0, 65535);
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, -1), 1);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_UDP, -1), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_GRE, -1), 3);
	bench_close(&b);
}

static void ends_of_port_ranges(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 65535, 65535);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 0, 0);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 100, 200);
	add(&b, "10.0.0.0/24", IPPROTO_TCP, 150, 300);
	bench_build(&b);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 65535), 0);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 65534), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 0), 1);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 1), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 99), CLASSIFIER_NO_MATCH);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 100), 2);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 200), 2);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 201), 3);
	assert_int_equal(ask(b.ingress, "10.0.0.1", IPPROTO_TCP, 301), CLASSIFIER_NO_MATCH);
	bench_close(&b);
}

static void nothing_matches_nothing(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	bench_build(&b);
	assert_null(b.ingress);
	assert_int_equal(ask(NULL, "10.0.0.1", IPPROTO_TCP, 80), CLASSIFIER_NO_MATCH);
	add(&b, "0.0.0.0/0", NET_PROTOCOL_ANY, 0, 65535)->egress = true;
	bench_build(&b);
	assert_null(b.ingress);
	assert_non_null(b.egress);
	bench_close(&b);
}

/* As many rules as may be, all of them in each other's way: every prefix around one address, every one with ports that overlap. */
static void hostile_rules_stay_small(void **state)
{
	struct bench b;
	char cidr[NET_PREFIX_TEXT_SIZE];

	(void)state;
	bench_open(&b, 7);
	for (uint32_t i = 0; i < NET_RULES_MAX; i++) {
		uint32_t bits = i % 33;
		uint16_t middle = (uint16_t)(i / 33);

		snprintf(cidr, sizeof(cidr), "%s/%u", bits == 0 ? "0.0.0.0" : "128.0.0.0", bits);
		add(&b, cidr, (uint16_t)(i % 3 == 0 ? IPPROTO_UDP : IPPROTO_TCP), (uint16_t)(1000 + middle),
		    (uint16_t)(60000 - middle));
		b.rules[i].number = (uint16_t)(NET_RULES_MAX - i); /* the widest ports come last, and win */
	}
	bench_build(&b);
	for (unsigned i = 0; i < 200; i++) {
		struct classifier_query q = {.address = rig_address("128.0.0.0"), .protocol = IPPROTO_TCP, .ports_known = true};
		bool deny;

		q.port = (uint16_t)(990 + random_below(&b, 700));
		assert_int_equal(classifier_match(b.ingress, &q, &deny), naive_match(&b, false, &q));
	}
	bench_close(&b);
}

static void too_many(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0);
	b.count = NET_RULES_MAX + 1;
	assert_int_equal(classifier_build(&b.ingress, &b.pieces, b.rules, b.count, false, b.slots), -E2BIG);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_linear_matcher),
		cmocka_unit_test(lowest_number_wins),
		cmocka_unit_test(families_are_apart),
		cmocka_unit_test(icmp_types_and_codes),
		cmocka_unit_test(unknown_ports),
		cmocka_unit_test(ends_of_port_ranges),
		cmocka_unit_test(nothing_matches_nothing),
		cmocka_unit_test(hostile_rules_stay_small),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests_name("classifier", tests, NULL, NULL);
}
