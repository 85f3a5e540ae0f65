/*
 * Theory of operation
 *
 * Rules are ranked by number, then by place in the list: whoever has the lowest rank of those that match, wins. They are sorted
 * into *sets*: a set is what one prefix, or one group, is subject to. Within a set each protocol has *steps*: the port space cut
 * into disjoint intervals, each with the lowest rank that covers it. A rule for any protocol is for any port, so all that counts of
 * those is the lowest rank, kept in the set itself.
 *
 * A look-up finds the longest prefix that has the address (prefix_set.h), then the wider ones, and for each the protocol and the
 * step of the port, by bisection; then the same for each of the other side's groups. Every set knows the lowest rank in it and in
 * all wider ones, so the walk ends when nothing better can come.
 *
 * Bounds. m rules have at most 2m + 1 steps, whatever they are; nothing is multiplied by prefixes, ports or protocols. So memory is
 * linear, about 80 bytes a rule for IPv4 and 110 for IPv6, and time to build O(n log n). A look-up walks at most 33 (IPv4) or 129
 * (IPv6) nested prefixes and NET_GROUPS_MAX groups, each O(log n).
 *
 * Steps are made by painting: rules in the order of their rank, each paints those of its elementary intervals that are bare. A
 * painted one is never looked at again (`next` leads past it, with path halving), so each is painted once.
 */
#include "vpc/classifier.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "vpc/piece.h"
#include "vpc/prefix_set.h"

enum { RANK_NONE = UINT16_MAX, ICMP_ANY = 0xffff };
_Static_assert((int)NET_RULES_MAX < (int)RANK_NONE, "ranks have 16 bits");

struct step {
	uint16_t port; /* from here to the next step */
	uint16_t rank;
};

struct protocol_steps {
	uint32_t first; /* of classifier.steps */
	uint32_t count;
	uint16_t whole; /* lowest rank of rules for all ports: counts where ports are not known */
	uint8_t protocol;
};

struct rule_set {
	uint32_t first; /* of classifier.protocols; sorted */
	uint16_t count;
	uint16_t any;  /* lowest rank of rules for any protocol */
	uint16_t best; /* lowest rank in this set, and in those of wider prefixes */
};

struct ranked {
	uint32_t index; /* in the spec's list */
	bool deny;
};

struct classifier {
	const struct prefix_set *prefixes; /* NULL: none */
	struct rule_set *by_prefix;	   /* by index in `prefixes` */
	struct rule_set *by_group;
	uint32_t *group_slots; /* sorted, beside by_group */
	uint32_t prefix_count, group_count;
	struct protocol_steps *protocols;
	struct step *steps;
	struct ranked *ranked;
};

/* ---- look-up ---- */

static const struct protocol_steps *protocol_find(const struct classifier *c, const struct rule_set *set, uint8_t protocol)
{
	const struct protocol_steps *at = c->protocols + set->first;

	for (unsigned left = set->count; left > 1;) {
		unsigned half = left / 2;

		at = at[half].protocol <= protocol ? at + half : at;
		left -= half;
	}
	return set->count > 0 && at->protocol == protocol ? at : NULL;
}

/* The first step begins at port 0. */
static uint16_t steps_find(const struct classifier *c, const struct protocol_steps *p, uint16_t port)
{
	const struct step *at = c->steps + p->first;

	for (uint32_t left = p->count; left > 1;) {
		uint32_t half = left / 2;

		at = at[half].port <= port ? at + half : at;
		left -= half;
	}
	return at->rank;
}

static uint16_t set_match(const struct classifier *c, const struct rule_set *set, const struct classifier_query *query,
			  uint16_t rank)
{
	const struct protocol_steps *p = protocol_find(c, set, query->protocol);
	uint16_t found = RANK_NONE;

	if (p != NULL)
		found = query->ports_known ? steps_find(c, p, query->port) : p->whole;
	if (set->any < found)
		found = set->any;
	return found < rank ? found : rank;
}

static const struct rule_set *group_find(const struct classifier *c, uint32_t slot)
{
	const uint32_t *at = c->group_slots;

	for (uint32_t left = c->group_count; left > 1;) {
		uint32_t half = left / 2;

		at = at[half] <= slot ? at + half : at;
		left -= half;
	}
	return *at == slot ? c->by_group + (at - c->group_slots) : NULL;
}

uint32_t classifier_match(const struct classifier *c, const struct classifier_query *query, bool *deny)
{
	uint16_t rank = RANK_NONE;

	if (c == NULL)
		return CLASSIFIER_NO_MATCH;
	if (c->prefixes != NULL) {
		uint32_t i = prefix_set_find(c->prefixes, &query->address);

		for (; i != PREFIX_NONE && c->by_prefix[i].best < rank; i = prefix_set_wider(c->prefixes, i))
			rank = set_match(c, &c->by_prefix[i], query, rank);
	}
	for (unsigned i = 0; c->group_count > 0 && i < query->group_count; i++) {
		const struct rule_set *set = group_find(c, query->groups[i]);

		if (set != NULL && set->best < rank)
			rank = set_match(c, set, query, rank);
	}
	if (rank == RANK_NONE)
		return CLASSIFIER_NO_MATCH;
	*deny = c->ranked[rank].deny;
	return c->ranked[rank].index;
}

/* ---- build ---- */

struct entry {
	const struct rule_spec *rule;
	uint32_t index, slot;
	uint16_t rank, first, last;
};

/* Scratch of a build: an elementary interval of ports. */
struct painted {
	uint16_t port;
	uint16_t rank;
	uint32_t next; /* the first at or after it that is bare */
};

struct build {
	struct classifier *c;
	struct entry *entries;
	uint32_t entry_count;
	struct painted *painted;
	uint32_t protocol_count, step_count;
};

static bool protocol_is_icmp(uint16_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

void rule_port_range(const struct rule_spec *rule, uint16_t *first, uint16_t *last)
{
	*first = rule->port_first;
	*last = rule->port_last;
	if (rule->protocol == NET_PROTOCOL_ANY || (protocol_is_icmp(rule->protocol) && rule->port_first == ICMP_ANY)) {
		*first = 0;
		*last = UINT16_MAX;
	} else if (protocol_is_icmp(rule->protocol)) {
		*first = (uint16_t)(rule->port_first << 8 | (rule->port_last == ICMP_ANY ? 0 : rule->port_last & 0xff));
		*last = (uint16_t)(rule->port_first << 8 | (rule->port_last == ICMP_ANY ? 0xff : rule->port_last & 0xff));
	}
}

static int by_number(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->rule->number != b->rule->number)
		return a->rule->number < b->rule->number ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

/* 0: of one set. Those by prefix come first. */
static int set_compare(const struct entry *a, const struct entry *b)
{
	if (a->rule->by_group != b->rule->by_group)
		return a->rule->by_group ? 1 : -1;
	if (a->rule->by_group)
		return a->slot == b->slot ? 0 : a->slot < b->slot ? -1 : 1;
	return net_prefix_compare(&a->rule->cidr, &b->rule->cidr);
}

static int by_set(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = set_compare(a, b);

	if (order != 0)
		return order;
	if (a->rule->protocol != b->rule->protocol)
		return a->rule->protocol < b->rule->protocol ? -1 : 1;
	return (int)a->rank - (int)b->rank;
}

static int by_port(const void *left, const void *right)
{
	const struct painted *a = left, *b = right;

	return (int)a->port - (int)b->port;
}

/* The bounds of the elementary intervals: sorted, distinct, the first is port 0. */
static uint32_t bounds_collect(struct painted *painted, const struct entry *entries, uint32_t count)
{
	uint32_t n = 0, kept = 0;

	painted[n++].port = 0;
	for (uint32_t i = 0; i < count; i++) {
		painted[n++].port = entries[i].first;
		if (entries[i].last < UINT16_MAX)
			painted[n++].port = (uint16_t)(entries[i].last + 1);
	}
	qsort(painted, n, sizeof(*painted), by_port);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || painted[i].port != painted[kept - 1].port)
			painted[kept++].port = painted[i].port;
	for (uint32_t i = 0; i < kept; i++) {
		painted[i].rank = RANK_NONE;
		painted[i].next = i;
	}
	return kept;
}

static uint32_t bare_from(struct painted *painted, uint32_t i, uint32_t count)
{
	while (i < count && painted[i].next != i) {
		uint32_t next = painted[i].next;

		if (next < count)
			painted[i].next = painted[next].next;
		i = next;
	}
	return i;
}

static void paint(struct painted *painted, uint32_t count, const struct entry *e)
{
	struct painted wanted = {.port = e->first};
	struct painted *from = bsearch(&wanted, painted, count, sizeof(*painted), by_port);

	for (uint32_t i = bare_from(painted, (uint32_t)(from - painted), count); i < count && painted[i].port <= e->last;
	     i = bare_from(painted, i + 1, count)) {
		painted[i].rank = e->rank;
		painted[i].next = i + 1;
	}
}

/* `entries`: of one set and protocol, by rank. */
static void protocol_build(struct build *b, const struct entry *entries, uint32_t count)
{
	struct protocol_steps *p = &b->c->protocols[b->protocol_count++];
	uint32_t bound_count = bounds_collect(b->painted, entries, count);

	p->protocol = (uint8_t)entries->rule->protocol;
	p->first = b->step_count;
	p->whole = RANK_NONE;
	for (uint32_t i = 0; i < count; i++) {
		paint(b->painted, bound_count, &entries[i]);
		if (p->whole == RANK_NONE && entries[i].first == 0 && entries[i].last == UINT16_MAX)
			p->whole = entries[i].rank;
	}
	for (uint32_t i = 0; i < bound_count; i++) {
		if (i > 0 && b->painted[i].rank == b->c->steps[b->step_count - 1].rank)
			continue;
		b->c->steps[b->step_count].port = b->painted[i].port;
		b->c->steps[b->step_count++].rank = b->painted[i].rank;
	}
	p->count = b->step_count - p->first;
}

static void set_build(struct build *b, struct rule_set *set, const struct entry *entries, uint32_t count)
{
	uint32_t next;

	set->any = RANK_NONE;
	set->best = RANK_NONE;
	set->first = b->protocol_count;
	for (uint32_t i = 0; i < count; i = next) {
		for (next = i + 1; next < count && entries[next].rule->protocol == entries[i].rule->protocol;)
			next++;
		if (entries[i].rank < set->best)
			set->best = entries[i].rank;
		if (entries[i].rule->protocol == NET_PROTOCOL_ANY)
			set->any = entries[i].rank;
		else
			protocol_build(b, entries + i, next - i);
	}
	set->count = (uint16_t)(b->protocol_count - set->first);
}

static void sets_build(struct build *b, struct net_prefix *prefixes)
{
	struct classifier *c = b->c;
	uint32_t next;

	for (uint32_t i = 0; i < b->entry_count; i = next) {
		struct entry *e = &b->entries[i];

		for (next = i + 1; next < b->entry_count && set_compare(e, &b->entries[next]) == 0;)
			next++;
		if (e->rule->by_group) {
			c->group_slots[c->group_count] = e->slot;
			set_build(b, &c->by_group[c->group_count++], e, next - i);
		} else {
			prefixes[c->prefix_count] = e->rule->cidr;
			set_build(b, &c->by_prefix[c->prefix_count++], e, next - i);
		}
	}
}

static int classifier_reserve(struct classifier *c, uint32_t count)
{
	struct list *parts = piece_parts(c);

	c->by_prefix = piece_new(parts, count * sizeof(*c->by_prefix));
	c->by_group = piece_new(parts, count * sizeof(*c->by_group));
	c->group_slots = piece_new(parts, count * sizeof(*c->group_slots));
	c->protocols = piece_new(parts, count * sizeof(*c->protocols));
	c->steps = piece_new(parts, 3 * (size_t)count * sizeof(*c->steps)); /* 2m + 1 <= 3m for each set and protocol */
	c->ranked = piece_new(parts, count * sizeof(*c->ranked));
	return c->by_prefix && c->by_group && c->group_slots && c->protocols && c->steps && c->ranked ? 0 : -ENOMEM;
}

static int prefixes_build(struct classifier *c, const struct net_prefix *prefixes)
{
	int rc;

	if (c->prefix_count == 0)
		return 0;
	rc = prefix_set_build(&c->prefixes, piece_parts(c), prefixes, c->prefix_count);
	for (uint32_t i = 0; rc == 0 && i < c->prefix_count; i++) {
		uint32_t wider = prefix_set_wider(c->prefixes, i);

		if (wider != PREFIX_NONE && c->by_prefix[wider].best < c->by_prefix[i].best)
			c->by_prefix[i].best = c->by_prefix[wider].best;
	}
	return rc;
}

static int compile(struct build *b)
{
	struct net_prefix *prefixes = malloc(b->entry_count * sizeof(*prefixes));
	int rc = classifier_reserve(b->c, b->entry_count);

	b->painted = malloc((2 * (size_t)b->entry_count + 1) * sizeof(*b->painted));
	if (prefixes == NULL || b->painted == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		qsort(b->entries, b->entry_count, sizeof(*b->entries), by_number);
		for (uint32_t i = 0; i < b->entry_count; i++) {
			b->entries[i].rank = (uint16_t)i;
			b->c->ranked[i].index = b->entries[i].index;
			b->c->ranked[i].deny = b->entries[i].rule->deny;
		}
		qsort(b->entries, b->entry_count, sizeof(*b->entries), by_set);
		sets_build(b, prefixes);
		rc = prefixes_build(b->c, prefixes);
	}
	free(b->painted);
	free(prefixes);
	return rc;
}

int classifier_build(const struct classifier **out, struct list *owner, const struct rule_spec *rules, uint32_t count, bool egress,
		     const uint32_t *group_slots)
{
	struct build b = {0};
	int rc = -ENOMEM;

	*out = NULL;
	if (count > NET_RULES_MAX)
		return -E2BIG;
	b.entries = malloc(((size_t)count + 1) * sizeof(*b.entries));
	if (b.entries == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct entry *e = &b.entries[b.entry_count];

		if (rules[i].egress != egress)
			continue;
		e->rule = &rules[i];
		e->index = i;
		e->slot = rules[i].by_group ? group_slots[i] : 0;
		rule_port_range(&rules[i], &e->first, &e->last);
		b.entry_count++;
	}
	if (b.entry_count == 0) {
		rc = 0;
		goto done;
	}
	b.c = piece_new(owner, sizeof(*b.c));
	if (b.c != NULL)
		rc = compile(&b);
	if (rc == 0)
		*out = b.c;
	else
		piece_free(b.c);
done:
	free(b.entries);
	return rc;
}
