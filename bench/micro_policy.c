/*
 * What the policy costs: look-ups as the slow path makes them, and changes as control sends them. One thread, no packets.
 *
 *	micro_policy
 *
 * Look-ups: ns each, the best and the median of rounds of 100,000 (keys drawn beforehand, in random order: what does not fit the
 * caches is not in them). Changes: ms, the median of several, from begin to finish; releasing the old root is told apart.
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vpc/classifier.h"
#include "vpc/model.h"
#include "vpc/piece.h"
#include "vpc/policy_map.h"
#include "vpc/routes.h"

enum {
	QUERIES = 100000,
	ROUNDS = 15,
	GROUPS = 300,
	RULES = 1000,
	ROUTES = 160000,
	REMOTES = 80000,
	LOCALS = 32,
	LOCAL_GROUPS = 10,
	SUBNETS = 8,
};

static uint64_t random_state = 1;
static volatile uint64_t sink;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 32) * limit >> 32);
}

static void *must(void *memory)
{
	if (memory == NULL) {
		fputs("micro_policy: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

static void check(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "micro_policy: %s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

static int by_value(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static double median(double *list, unsigned count)
{
	qsort(list, count, sizeof(*list), by_value);
	return list[count / 2];
}

static double ms_since(uint64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / 1e6;
}

/* ---- look-ups ---- */

struct task {
	const struct classifier *classifier;
	const struct routes *routes;
	const struct policy_map *map;
	struct classifier_query *queries;
	struct policy_map_key *keys;
};

static uint64_t match_all(const struct task *t)
{
	uint64_t sum = 0;
	bool deny;

	for (unsigned i = 0; i < QUERIES; i++)
		sum += classifier_match(t->classifier, &t->queries[i], &deny);
	return sum;
}

static uint64_t route_all(const struct task *t)
{
	struct route_lookup out;
	uint64_t sum = 0;

	for (unsigned i = 0; i < QUERIES; i++)
		sum += routes_find(t->routes, &t->queries[i].address, &out) ? out.slot : 0;
	return sum;
}

static uint64_t map_all(const struct task *t)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < QUERIES; i++)
		sum += (uintptr_t)policy_map_find(t->map, t->keys[i]);
	return sum;
}

static void report(const char *name, uint64_t (*all)(const struct task *), const struct task *task)
{
	double ns[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = clock_monotonic_ns();

		sink += all(task);
		ns[i] = (double)(clock_monotonic_ns() - start) / QUERIES;
	}
	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	printf("%-58s %8.1f %8.1f ns\n", name, ns[0], ns[ROUNDS / 2]);
}

static struct net_prefix prefix_v4(uint32_t host_order, uint8_t bits)
{
	uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);

	return (struct net_prefix){.address = net_address_v4(htonl(host_order & mask)), .length = (uint8_t)(96 + bits)};
}

/* As people write them: a block, a protocol, a port or a range; some for all ports. */
static void rule_draw(struct rule_spec *r, uint16_t number)
{
	memset(r, 0, sizeof(*r));
	r->number = number;
	r->protocol = random_below(4) == 0 ? IPPROTO_UDP : IPPROTO_TCP;
	r->cidr = prefix_v4(10u << 24 | random_below(1 << 24), (uint8_t)(16 + random_below(17)));
	r->port_first = (uint16_t)random_below(60000);
	r->port_last = (uint16_t)(r->port_first + (random_below(2) == 0 ? 0 : random_below(1000)));
	if (random_below(8) == 0) {
		r->port_first = 0;
		r->port_last = UINT16_MAX;
	}
}

/* Half of them meet a rule. */
static struct classifier_query *queries_draw(const struct rule_spec *rules, uint32_t count)
{
	struct classifier_query *list = must(calloc(QUERIES, sizeof(*list)));

	for (unsigned i = 0; i < QUERIES; i++) {
		const struct rule_spec *r = &rules[random_below(count)];

		list[i].protocol = IPPROTO_TCP;
		list[i].ports_known = true;
		list[i].port = (uint16_t)random_below(65536);
		list[i].address = net_address_v4(htonl(10u << 24 | random_below(1 << 24)));
		if (i % 2 == 0) {
			list[i].address = r->cidr.address;
			list[i].protocol = (uint8_t)r->protocol;
			list[i].port = r->port_last;
		}
	}
	return list;
}

static void bench_classifier(const char *name, const struct rule_spec *rules, uint32_t count)
{
	struct task task = {.queries = queries_draw(rules, count)};
	struct list pieces;
	size_t before;
	double ms[ROUNDS];
	char text[96];

	list_init(&pieces);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start;

		pieces_free(&pieces);
		start = clock_monotonic_ns();
		check(classifier_build(&task.classifier, &pieces, rules, count, false, NULL), "classifier");
		ms[i] = ms_since(start);
	}
	pieces_free(&pieces);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	check(classifier_build(&task.classifier, &pieces, rules, count, false, NULL), "classifier");
	snprintf(text, sizeof(text), "classifier, %s: build", name);
	printf("%-58s %17.3f ms, %zu bytes a rule\n", text, median(ms, ROUNDS),
	       (mallinfo2().uordblks + mallinfo2().hblkhd - before) / count);
	snprintf(text, sizeof(text), "classifier, %s: match", name);
	report(text, match_all, &task);
	pieces_free(&pieces);
	free(task.queries);
}

static void bench_classifiers(void)
{
	struct rule_spec *rules = must(calloc(NET_RULES_MAX, sizeof(*rules)));

	for (unsigned i = 0; i < NET_RULES_MAX; i++)
		rule_draw(&rules[i], (uint16_t)(i + 1));
	bench_classifier("10 rules", rules, 10);
	bench_classifier("1,000 rules", rules, RULES);
	bench_classifier("20,000 rules", rules, NET_RULES_MAX);
	for (unsigned i = 0; i < NET_RULES_MAX; i++) {
		rules[i].cidr = prefix_v4(10u << 24, (uint8_t)(i % 33));
		rules[i].port_first = (uint16_t)(1000 + i / 33);
		rules[i].port_last = (uint16_t)(60000 - i / 33);
		rules[i].number = (uint16_t)(NET_RULES_MAX - i);
	}
	bench_classifier("20,000 rules, all nested and overlapping", rules, NET_RULES_MAX);
	free(rules);
}

static void bench_routes(void)
{
	struct route_lookup *list = must(calloc(ROUTES, sizeof(*list)));
	struct task task = {.queries = must(calloc(QUERIES, sizeof(*task.queries)))};
	struct list pieces;

	list_init(&pieces);
	for (unsigned i = 0; i < ROUTES; i++)
		list[i] =
			(struct route_lookup){.target = ROUTE_ENI,
					      .slot = i,
					      .destination = prefix_v4(random_below(UINT32_MAX), (uint8_t)(16 + random_below(17)))};
	for (unsigned i = 0; i < QUERIES; i++)
		task.queries[i].address = list[random_below(ROUTES)].destination.address;
	check(routes_build(&task.routes, &pieces, list, 1000), "routes");
	report("routes, 1,000 of IPv4: find", route_all, &task);
	check(routes_build(&task.routes, &pieces, list, ROUTES), "routes");
	report("routes, 160,000 of IPv4: find", route_all, &task);
	for (unsigned i = 0; i < ROUTES; i++) {
		list[i].destination = (struct net_prefix){.length = (uint8_t)(32 + random_below(33))};
		list[i].destination.address.bytes[0] = 0xfd;
		for (unsigned bit = 8; bit < list[i].destination.length; bit++)
			list[i].destination.address.bytes[bit / 8] |= (uint8_t)(random_below(2) << (7 - bit % 8));
	}
	for (unsigned i = 0; i < QUERIES; i++)
		task.queries[i].address = list[random_below(ROUTES)].destination.address;
	check(routes_build(&task.routes, &pieces, list, ROUTES), "routes");
	report("routes, 160,000 of IPv6: find", route_all, &task);
	pieces_free(&pieces);
	free(task.queries);
	free(list);
}

static void bench_map(void)
{
	static const uint64_t seed[2] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9)};
	struct policy_map_change *changes = must(calloc(REMOTES, sizeof(*changes)));
	struct task task = {.keys = must(calloc(QUERIES, sizeof(*task.keys)))};
	struct list live, retired;
	const struct policy_map *map;
	double us[ROUNDS];

	list_init(&live);
	list_init(&retired);
	for (unsigned i = 0; i < REMOTES; i++) {
		struct net_address a = net_address_v4(htonl(10u << 24 | i));

		changes[i] = (struct policy_map_change){policy_map_key_address(&a), changes + i};
	}
	for (unsigned i = 0; i < QUERIES; i++)
		task.keys[i] = changes[random_below(REMOTES)].key;
	check(policy_map_update(&map, NULL, seed, changes, REMOTES, &live, &retired), "map");
	task.map = map;
	report("map, 80,000 addresses: find", map_all, &task);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = clock_monotonic_ns();

		check(policy_map_update(&map, map, seed, &changes[random_below(REMOTES)], 1, &live, &retired), "map");
		us[i] = ms_since(start) * 1e3;
	}
	printf("%-58s %17.1f us\n", "map, 80,000 addresses: one changed", median(us, ROUNDS));
	pieces_free(&live);
	pieces_free(&retired);
	free(task.keys);
	free(changes);
}

/* ---- the model: a hero load ---- */

static struct uuid id_of(enum net_kind kind, uint32_t n)
{
	struct uuid id = {{(uint8_t)kind, 1}};

	memcpy(id.bytes + 4, &n, sizeof(n));
	return id;
}

static struct net_spec spec_of(enum net_kind kind, uint32_t n)
{
	struct net_spec s = {.kind = kind, .id = id_of(kind, n)};

	snprintf(s.name, sizeof(s.name), "%s-%u", net_kind_name(kind), n);
	return s;
}

static void put(struct model_change *change, struct net_spec *s)
{
	check(model_change_put(change, s), "put");
}

static void put_group(struct model_change *change, uint32_t n)
{
	struct net_spec s = spec_of(NET_GROUP, n);

	s.rules.vpc = id_of(NET_VPC, 0);
	s.rules.count = RULES;
	s.rules.rules = must(calloc(RULES, sizeof(*s.rules.rules)));
	for (unsigned i = 0; i < RULES; i++)
		rule_draw(&s.rules.rules[i], (uint16_t)(i + 1));
	put(change, &s);
}

static void put_routes(struct model_change *change)
{
	struct net_spec s = spec_of(NET_ROUTE_TABLE, 0);

	s.route_table.vpc = id_of(NET_VPC, 0);
	s.route_table.count = ROUTES;
	s.route_table.routes = must(calloc(ROUTES, sizeof(*s.route_table.routes)));
	for (unsigned i = 0; i < ROUTES; i++) {
		s.route_table.routes[i].destination = prefix_v4(64u << 24 | i << 8, 24);
		s.route_table.routes[i].target = i % 2 == 0 ? ROUTE_INTERNET : ROUTE_ENI;
		s.route_table.routes[i].id = id_of(NET_ENI, i % LOCALS);
	}
	put(change, &s);
}

/* Eight subnets 10.0.0.0/11, 10.32.0.0/11, ... */
static void put_eni(struct model_change *change, uint32_t n, bool moved)
{
	struct net_spec s = spec_of(NET_ENI, n);

	s.eni.subnet = id_of(NET_SUBNET, n % SUBNETS);
	s.eni.mac = (struct mac){{2, 0, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
	s.eni.address_count = 1;
	s.eni.addresses[0] = net_address_v4(htonl(10u << 24 | n % SUBNETS << 21 | (n / SUBNETS + 4)));
	s.eni.group_count = n < LOCALS ? LOCAL_GROUPS : 1;
	for (unsigned i = 0; i < s.eni.group_count; i++)
		s.eni.groups[i] = id_of(NET_GROUP, (n * LOCAL_GROUPS + i) % GROUPS);
	s.eni.remote = n >= LOCALS;
	s.eni.host = id_of(NET_HOST, moved);
	put(change, &s);
}

static void put_all(struct model_change *change)
{
	struct net_spec s = spec_of(NET_VPC, 0);

	s.vpc.vni = 1;
	s.vpc.cidr_count = 1;
	s.vpc.cidrs[0] = prefix_v4(10u << 24, 8);
	put(change, &s);
	for (uint32_t i = 0; i < 2; i++) {
		s = spec_of(NET_HOST, i);
		s.host.address = net_address_v4(htonl(0xc0000201 + i));
		put(change, &s);
	}
	for (uint32_t i = 0; i < SUBNETS; i++) {
		s = spec_of(NET_SUBNET, i);
		s.subnet.vpc = id_of(NET_VPC, 0);
		s.subnet.cidr4 = prefix_v4(10u << 24 | i << 21, 11);
		s.subnet.has_route_table = true;
		s.subnet.route_table = id_of(NET_ROUTE_TABLE, 0);
		put(change, &s);
	}
	put_routes(change);
	for (uint32_t i = 0; i < GROUPS; i++)
		put_group(change, i);
	for (uint32_t i = 0; i < LOCALS + REMOTES; i++)
		put_eni(change, i, false);
}

static struct model_change *begin(struct model *model)
{
	struct model_change *change;

	check(model_change_begin(model, &change), "begin");
	return change;
}

static double finish(struct model *model, struct model_change *change, uint64_t start_ns, double *release_ms)
{
	const struct policy *next, *old = model_policy(model);
	struct uuid culprit;
	char error[512];
	int rc = model_change_finish(change, &next, &culprit, error, sizeof(error));
	double ms = ms_since(start_ns);

	if (rc < 0) {
		fprintf(stderr, "micro_policy: %s\n", error);
		exit(1);
	}
	start_ns = clock_monotonic_ns();
	model_release(model, old);
	*release_ms = ms_since(start_ns);
	return ms;
}

static void change_rules(struct model_change *change, unsigned round)
{
	put_group(change, round * 7 % GROUPS);
}

static void change_move(struct model_change *change, unsigned round)
{
	put_eni(change, LOCALS + round * 991, true);
}

static void change_arrival(struct model_change *change, unsigned round)
{
	put_eni(change, LOCALS + REMOTES + round, false);
}

static void change_local(struct model_change *change, unsigned round)
{
	struct uuid id = id_of(NET_ENI, round % LOCALS);
	struct net_spec s = spec_of(NET_EIP, round);

	s.eip.address = net_address_v4(htonl(0xcb007101 + round));
	s.eip.target = NET_ENI;
	s.eip.id = id;
	put(change, &s);
}

static void bench_change(struct model *model, const char *name, void (*make)(struct model_change *, unsigned))
{
	double ms[ROUNDS], release[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct model_change *change = begin(model);
		uint64_t start = clock_monotonic_ns();

		make(change, i);
		ms[i] = finish(model, change, start, &release[i]);
	}
	printf("%-58s %17.3f ms, %.3f ms to release\n", name, median(ms, ROUNDS), median(release, ROUNDS));
}

static void bench_model(void)
{
	struct model *model;
	struct model_change *change;
	uint64_t start;
	double ms, release;

	check(model_create(&model, NULL), "model");
	change = begin(model);
	start = clock_monotonic_ns();
	put_all(change);
	ms = ms_since(start);
	start = clock_monotonic_ns();
	printf("%-58s %17.0f ms, %.0f ms to put\n", "model: 300,000 rules, 160,000 routes, 80,032 ENIs at once",
	       finish(model, change, start, &release), ms);
	printf("%-58s %17.0f MiB\n", "model: memory", (double)(mallinfo2().uordblks + mallinfo2().hblkhd) / (1 << 20));
	bench_change(model, "model: one of 300 rule sets replaced", change_rules);
	bench_change(model, "model: one of 80,032 mappings moved", change_move);
	bench_change(model, "model: one mapping more", change_arrival);
	bench_change(model, "model: an elastic IP more", change_local);
	change = begin(model);
	random_state = 1;
	start = clock_monotonic_ns();
	check(model_change_reset(change), "reset");
	put_all(change);
	printf("%-58s %17.0f ms\n", "model: reset, and all put again", finish(model, change, start, &release));
	start = clock_monotonic_ns();
	model_free(model);
	printf("%-58s %17.0f ms\n", "model: freed", ms_since(start));
}

int main(void)
{
	printf("%-58s %8s %8s\n", "", "best", "median");
	bench_classifiers();
	bench_routes();
	bench_map();
	bench_model();
	return 0;
}
