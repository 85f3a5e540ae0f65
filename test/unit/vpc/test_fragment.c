#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "vpc/fragment.h"

static struct packet fragment(enum packet_fragment which, uint32_t id, uint16_t port)
{
	struct packet p = {.layers = {.fragment = (uint8_t)which, .family = 4, .protocol = IPPROTO_UDP, .fragment_id = id}};

	p.layers.source = net_address_v4(htonl(0x0a000001));
	p.layers.destination = net_address_v4(htonl(0x0a000002));
	if (which != FRAGMENT_LATER) {
		p.layers.source_port = htons(port);
		p.layers.destination_port = htons(53);
	}
	return p;
}

static enum drop_reason follow(struct fragment_table *t, uint32_t zone, bool inbound, struct packet p, uint32_t now_ms)
{
	return fragment_follow(t, zone, inbound, &p, now_ms);
}

static void test_follows(void **state)
{
	struct fragment_table *t;
	struct packet later = fragment(FRAGMENT_LATER, 7, 0), whole = fragment(FRAGMENT_NONE, 7, 9);

	(void)state;
	assert_int_equal(fragment_table_open(&t, 64, 16), 0);
	assert_int_equal(fragment_follow(t, 1, false, &later, 0), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(fragment_follow(t, 1, false, &whole, 0), DROP_NONE); /* is none, and is not remembered */
	assert_int_equal(fragment_follow(t, 1, false, &later, 0), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, 7, 4000), 0), DROP_NONE);
	for (unsigned i = 0; i < 3; i++) {
		later = fragment(FRAGMENT_LATER, 7, 0);
		assert_int_equal(fragment_follow(t, 1, false, &later, 10), DROP_NONE);
		assert_int_equal(later.layers.source_port, htons(4000));
		assert_int_equal(later.layers.destination_port, htons(53));
	}
	fragment_table_close(t);
}

/* Each part of the key counts: tenants with the same addresses do not meet, nor do directions. */
static void test_key(void **state)
{
	struct fragment_table *t;
	struct packet p;

	(void)state;
	assert_int_equal(fragment_table_open(&t, 64, 16), 0);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, 7, 4000), 0), DROP_NONE);
	assert_int_equal(follow(t, 2, false, fragment(FRAGMENT_LATER, 7, 0), 0), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 1, true, fragment(FRAGMENT_LATER, 7, 0), 0), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 8, 0), 0), DROP_FRAGMENT_FIRST_MISSING);
	p = fragment(FRAGMENT_LATER, 7, 0);
	p.layers.protocol = IPPROTO_TCP;
	assert_int_equal(fragment_follow(t, 1, false, &p, 0), DROP_FRAGMENT_FIRST_MISSING);
	p = fragment(FRAGMENT_LATER, 7, 0);
	p.layers.source = p.layers.destination;
	assert_int_equal(fragment_follow(t, 1, false, &p, 0), DROP_FRAGMENT_FIRST_MISSING);
	p = fragment(FRAGMENT_LATER, 7, 0);
	p.layers.destination = p.layers.source;
	assert_int_equal(fragment_follow(t, 1, false, &p, 0), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 7, 0), 0), DROP_NONE);
	fragment_table_close(t);
}

static void test_life(void **state)
{
	struct fragment_table *t;
	uint32_t start = UINT32_MAX - 1000; /* the clock wraps */

	(void)state;
	assert_int_equal(fragment_table_open(&t, 64, 16), 0);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, 7, 4000), start), DROP_NONE);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 7, 0), start + FRAGMENT_LIFE_MS - 1), DROP_NONE);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 7, 0), start + FRAGMENT_LIFE_MS),
			 DROP_FRAGMENT_FIRST_MISSING);
	/* Used again: the new first counts, and lives its own time. */
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, 7, 4000), 0), DROP_NONE);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, 7, 5000), 20000), DROP_NONE);
	{
		struct packet p = fragment(FRAGMENT_LATER, 7, 0);

		assert_int_equal(fragment_follow(t, 1, false, &p, 20000 + FRAGMENT_LIFE_MS - 1), DROP_NONE);
		assert_int_equal(p.layers.source_port, htons(5000));
	}
	fragment_table_close(t);
}

static void test_bounds(void **state)
{
	struct fragment_table *t;

	(void)state;
	assert_int_equal(fragment_table_open(&t, 20, 16), 0);
	for (uint32_t id = 0; id < 1000; id++) /* a flood of one zone costs only its own oldest */
		assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_FIRST, id, 1), 5), DROP_NONE);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 983, 0), 5), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 984, 0), 5), DROP_NONE);
	for (uint32_t id = 0; id < 3; id++)
		assert_int_equal(follow(t, 2, false, fragment(FRAGMENT_FIRST, id, 1), 6), DROP_NONE);
	assert_int_equal(follow(t, 3, false, fragment(FRAGMENT_FIRST, 1, 1), 6), DROP_NONE);
	/* Full: zone 4 has nothing to give, and takes nothing of the others; zone 2 gives its own oldest. */
	assert_int_equal(follow(t, 4, false, fragment(FRAGMENT_FIRST, 1, 1), 7), DROP_FRAGMENT_TABLE_FULL);
	assert_int_equal(follow(t, 2, false, fragment(FRAGMENT_FIRST, 9, 1), 7), DROP_NONE);
	assert_int_equal(follow(t, 2, false, fragment(FRAGMENT_LATER, 0, 0), 7), DROP_FRAGMENT_FIRST_MISSING);
	assert_int_equal(follow(t, 2, false, fragment(FRAGMENT_LATER, 9, 0), 7), DROP_NONE);
	assert_int_equal(follow(t, 3, false, fragment(FRAGMENT_LATER, 1, 0), 7), DROP_NONE);
	assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, 999, 0), 7), DROP_NONE);
	/* Zone 3 has one entry, which makes room for its own next one. */
	assert_int_equal(follow(t, 3, false, fragment(FRAGMENT_FIRST, 2, 1), 7), DROP_NONE);
	assert_int_equal(follow(t, 3, false, fragment(FRAGMENT_LATER, 1, 0), 7), DROP_FRAGMENT_FIRST_MISSING);
	/* Time makes room for all. */
	assert_int_equal(follow(t, 4, false, fragment(FRAGMENT_FIRST, 1, 1), 7 + FRAGMENT_LIFE_MS), DROP_NONE);
	fragment_table_close(t);
}

/* Only a first one forgets, and only itself. */
static void test_forgets(void **state)
{
	struct fragment_table *t;
	struct packet first = fragment(FRAGMENT_FIRST, 7, 4000), later = fragment(FRAGMENT_LATER, 7, 0);

	(void)state;
	assert_int_equal(fragment_table_open(&t, 64, 2), 0);
	fragment_forget(t, 1, false, &first); /* nobody knows it */
	assert_int_equal(fragment_follow(t, 1, false, &first, 0), DROP_NONE);
	fragment_forget(t, 2, false, &first);
	fragment_forget(t, 1, true, &first);
	fragment_forget(t, 1, false, &later);
	assert_int_equal(follow(t, 1, false, later, 0), DROP_NONE);
	/* Many that are refused, one after the other, take nobody's place. */
	for (uint32_t id = 8; id < 80; id++) {
		first = fragment(FRAGMENT_FIRST, id, 4000);
		assert_int_equal(fragment_follow(t, 1, false, &first, 0), DROP_NONE);
		fragment_forget(t, 1, false, &first);
		assert_int_equal(follow(t, 1, false, fragment(FRAGMENT_LATER, id, 0), 0), DROP_FRAGMENT_FIRST_MISSING);
	}
	assert_int_equal(follow(t, 1, false, later, 0), DROP_NONE);
	fragment_table_close(t);
}

static void test_refused(void **state)
{
	struct fragment_table *t;

	(void)state;
	assert_int_equal(fragment_table_open(&t, 0, 1), -EINVAL);
	assert_int_equal(fragment_table_open(&t, 1, 0), -EINVAL);
	assert_int_equal(fragment_table_open(&t, FRAGMENT_ENTRIES_LIMIT + 1, 1), -EINVAL);
	fragment_table_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows), cmocka_unit_test(test_key),	cmocka_unit_test(test_life),
		cmocka_unit_test(test_bounds),	cmocka_unit_test(test_forgets), cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("vpc fragment", tests, NULL, NULL);
}
