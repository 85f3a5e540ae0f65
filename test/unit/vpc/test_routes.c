#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "model_rig.h"
#include "vpc/piece.h"
#include "vpc/prefix_set.h"
#include "vpc/routes.h"

enum { ROUTES_MAX = 5000 };

static uint64_t random_state = 3;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % limit;
}

static struct route_lookup route(const char *destination, uint32_t slot)
{
	return (struct route_lookup){.target = ROUTE_ENI, .slot = slot, .destination = rig_prefix(destination)};
}

static uint32_t find(const struct routes *r, const char *address)
{
	struct net_address a = rig_address(address);
	struct route_lookup out;

	return routes_find(r, &a, &out) ? out.slot : POLICY_SLOT_NONE;
}

static void longest_prefix_wins(void **state)
{
	const struct route_lookup list[] = {
		route("0.0.0.0/0", 0),		route("10.0.0.0/8", 1), route("10.0.0.0/16", 2),      route("10.0.0.5/32", 3),
		route("255.255.255.255/32", 4), route("0.0.0.0/32", 5), route("255.255.255.0/24", 6), route("fd00::/8", 7),
		route("fd00::1/128", 8),	route("fd00::/64", 9),
	};
	struct list pieces;
	const struct routes *r;

	(void)state;
	list_init(&pieces);
	assert_int_equal(routes_build(&r, &pieces, list, sizeof(list) / sizeof(list[0])), 0);
	assert_int_equal(find(r, "1.2.3.4"), 0);
	assert_int_equal(find(r, "10.255.255.255"), 1);
	assert_int_equal(find(r, "11.0.0.0"), 0);
	assert_int_equal(find(r, "10.0.0.4"), 2);
	assert_int_equal(find(r, "10.0.0.5"), 3);
	assert_int_equal(find(r, "10.0.0.6"), 2);
	assert_int_equal(find(r, "255.255.255.255"), 4);
	assert_int_equal(find(r, "255.255.255.254"), 6);
	assert_int_equal(find(r, "0.0.0.0"), 5);
	assert_int_equal(find(r, "0.0.0.1"), 0);
	assert_int_equal(find(r, "fd00::1"), 8);
	assert_int_equal(find(r, "fd00::2"), 9);
	assert_int_equal(find(r, "fdff::2"), 7);
	assert_int_equal(find(r, "fe00::"), POLICY_SLOT_NONE);
	assert_int_equal(find(r, "::"), POLICY_SLOT_NONE);
	assert_int_equal(find(r, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), POLICY_SLOT_NONE);
	pieces_free(&pieces);
}

static void what_matched_is_told(void **state)
{
	const struct route_lookup list[] = {route("10.0.0.0/8", 1), route("10.1.0.0/16", 2)};
	struct net_address a = rig_address("10.1.2.3");
	struct route_lookup out;
	struct list pieces;
	const struct routes *r;
	char text[NET_PREFIX_TEXT_SIZE];

	(void)state;
	list_init(&pieces);
	assert_int_equal(routes_build(&r, &pieces, list, 2), 0);
	assert_true(routes_find(r, &a, &out));
	net_prefix_format(&out.destination, text);
	assert_string_equal(text, "10.1.0.0/16");
	pieces_free(&pieces);
}

static void first_of_equals_counts(void **state)
{
	const struct route_lookup list[] = {route("10.0.0.0/8", 1), route("10.0.0.0/8", 2), route("10.0.0.0/8", 3)};
	struct list pieces;
	const struct routes *r;

	(void)state;
	list_init(&pieces);
	assert_int_equal(routes_build(&r, &pieces, list, 3), 0);
	assert_int_equal(find(r, "10.0.0.1"), 1);
	pieces_free(&pieces);
}

static void empty(void **state)
{
	struct list pieces;
	const struct routes *r;

	(void)state;
	list_init(&pieces);
	assert_int_equal(routes_build(&r, &pieces, NULL, 0), 0);
	assert_int_equal(find(r, "10.0.0.1"), POLICY_SLOT_NONE);
	assert_int_equal(find(r, "fd00::1"), POLICY_SLOT_NONE);
	pieces_free(&pieces);
}

/* ---- random prefixes against looking at all of them ---- */

static struct net_address random_address(bool v4)
{
	struct net_address a = {.bytes = {0xfd, (uint8_t)random_below(2)}};

	if (v4)
		return net_address_v4(htonl(random_below(4) << 30 | random_below(16) << 20 | random_below(64)));
	a.bytes[8] = (uint8_t)random_below(256);
	a.bytes[15] = (uint8_t)random_below(16);
	return a;
}

static struct net_prefix random_prefix(void)
{
	bool v4 = random_below(2);
	struct net_prefix p = {.address = random_address(v4), .length = (uint8_t)(v4 ? 96 + random_below(33) : random_below(129))};

	for (unsigned i = p.length; i < 128; i++)
		p.address.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

static uint32_t naive(const struct route_lookup *list, uint32_t count, const struct net_address *a)
{
	int best = -1;

	for (uint32_t i = 0; i < count; i++) {
		const struct net_prefix *p = &list[i].destination;

		if (net_prefix_is_v4(p) == net_address_is_v4(a) && net_prefix_contains(p, a) &&
		    (best < 0 || p->length > list[best].destination.length))
			best = (int)i;
	}
	return best < 0 ? POLICY_SLOT_NONE : list[best].slot;
}

/* The prefix's own ends and their neighbours are where mistakes are. */
static struct net_address near(const struct route_lookup *r)
{
	struct net_address a = r->destination.address;
	unsigned way = random_below(4);

	if (way >= 2)
		for (unsigned i = r->destination.length; i < 128; i++)
			a.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	if (way % 2 == 1)
		a.word[3] = htonl(ntohl(a.word[3]) + (way == 1 ? -1u : 1u));
	return a;
}

static void agrees_with_looking_at_all(void **state)
{
	static const uint32_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 18, 40, 144, 145, 300, 1000, ROUTES_MAX};
	struct route_lookup *list = calloc(ROUTES_MAX, sizeof(*list)), out;
	struct list pieces;
	const struct routes *r;

	(void)state;
	assert_non_null(list);
	list_init(&pieces);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (uint32_t i = 0; i < sizes[s]; i++)
			list[i] = (struct route_lookup){.target = ROUTE_ENI, .slot = i, .destination = random_prefix()};
		assert_int_equal(routes_build(&r, &pieces, list, sizes[s]), 0);
		for (unsigned i = 0; i < 3000; i++) {
			struct net_address a = i % 3 == 0 ? random_address(random_below(2)) : near(&list[random_below(sizes[s])]);

			assert_int_equal(routes_find(r, &a, &out) ? out.slot : POLICY_SLOT_NONE, naive(list, sizes[s], &a));
		}
		pieces_free(&pieces);
	}
	free(list);
}

/* Every prefix that contains an address can be reached from the longest. */
static void wider_ones_are_all_found(void **state)
{
	struct net_prefix list[129];
	const struct prefix_set *set;
	struct list pieces;
	struct net_address a = rig_address("fd00::1");
	uint32_t i;
	int length = 128;

	(void)state;
	list_init(&pieces);
	for (unsigned n = 0; n <= 128; n++) {
		list[n] = (struct net_prefix){.address = a, .length = (uint8_t)n};
		for (unsigned bit = n; bit < 128; bit++)
			list[n].address.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	}
	qsort(list, 129, sizeof(list[0]), (int (*)(const void *, const void *))net_prefix_compare);
	assert_int_equal(prefix_set_build(&set, &pieces, list, 129), 0);
	for (i = prefix_set_find(set, &a); i != PREFIX_NONE; i = prefix_set_wider(set, i))
		assert_int_equal(list[i].length, length--);
	assert_int_equal(length, -1);
	pieces_free(&pieces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_prefix_wins),	      cmocka_unit_test(what_matched_is_told),
		cmocka_unit_test(first_of_equals_counts),     cmocka_unit_test(empty),
		cmocka_unit_test(agrees_with_looking_at_all), cmocka_unit_test(wider_ones_are_all_found),
	};

	return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
