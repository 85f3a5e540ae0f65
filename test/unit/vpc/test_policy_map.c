#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "vpc/piece.h"
#include "vpc/policy_map.h"

enum { KEYS = 20000 };

static const uint64_t seed[2] = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

/* As the model has them: what was replaced stays until it is released. */
struct rig {
	const struct policy_map *map;
	struct list live, retired;
	uint64_t random;
};

static void rig_open(struct rig *r)
{
	r->map = NULL;
	r->random = 11;
	list_init(&r->live);
	list_init(&r->retired);
}

static void rig_close(struct rig *r)
{
	pieces_free(&r->live);
	pieces_free(&r->retired);
}

static uint32_t random_below(struct rig *r, uint32_t limit)
{
	r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(r->random >> 33) % limit;
}

static struct policy_map_key key_of(uint32_t n)
{
	return (struct policy_map_key){{n, n % 7}};
}

static const void *value_of(uintptr_t n)
{
	return (const void *)(n + 1); /* NOLINT: never dereferenced */
}

static void update(struct rig *r, const struct policy_map_change *changes, uint32_t count)
{
	assert_int_equal(policy_map_update(&r->map, r->map, seed, changes, count, &r->live, &r->retired), 0);
}

static void put(struct rig *r, uint32_t key, uintptr_t value)
{
	struct policy_map_change change = {.key = key_of(key), .value = value_of(value)};

	update(r, &change, 1);
}

static void drop(struct rig *r, uint32_t key)
{
	struct policy_map_change change = {.key = key_of(key)};

	update(r, &change, 1);
}

static void puts_replaces_and_removes(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_null(policy_map_find(NULL, key_of(1)));
	assert_int_equal(policy_map_count(NULL), 0);
	drop(&r, 1);
	assert_null(r.map);
	put(&r, 1, 10);
	put(&r, 2, 20);
	put(&r, 1, 11);
	assert_int_equal(policy_map_count(r.map), 2);
	assert_ptr_equal(policy_map_find(r.map, key_of(1)), value_of(11));
	assert_ptr_equal(policy_map_find(r.map, key_of(2)), value_of(20));
	drop(&r, 1);
	drop(&r, 1);
	assert_null(policy_map_find(r.map, key_of(1)));
	assert_int_equal(policy_map_count(r.map), 1);
	drop(&r, 2);
	assert_null(r.map); /* nothing is kept of an empty one */
	assert_true(list_empty(&r.live));
	rig_close(&r);
}

static void changes_keep_their_order(void **state)
{
	const struct policy_map_change changes[] = {
		{key_of(1), value_of(1)}, {key_of(1), NULL},	    {key_of(2), value_of(2)}, {key_of(1), value_of(3)},
		{key_of(2), value_of(4)}, {key_of(3), value_of(5)}, {key_of(3), NULL},
	};
	struct rig r;

	(void)state;
	rig_open(&r);
	update(&r, changes, sizeof(changes) / sizeof(changes[0]));
	assert_int_equal(policy_map_count(r.map), 2);
	assert_ptr_equal(policy_map_find(r.map, key_of(1)), value_of(3));
	assert_ptr_equal(policy_map_find(r.map, key_of(2)), value_of(4));
	assert_null(policy_map_find(r.map, key_of(3)));
	rig_close(&r);
}

static void nothing_changes_nothing(void **state)
{
	const struct policy_map *before;
	struct rig r;

	(void)state;
	rig_open(&r);
	put(&r, 1, 1);
	before = r.map;
	update(&r, NULL, 0);
	assert_ptr_equal(r.map, before);
	rig_close(&r);
}

/* The old map is as it was while the new one is made, however often. */
static void old_maps_do_not_change(void **state)
{
	struct policy_map_change changes[500];
	const struct policy_map *old;
	struct rig r;

	(void)state;
	rig_open(&r);
	for (uint32_t i = 0; i < 500; i++)
		changes[i] = (struct policy_map_change){key_of(i), value_of(i)};
	update(&r, changes, 500);
	old = r.map;
	for (uint32_t i = 0; i < 500; i += 2)
		drop(&r, i);
	for (uint32_t i = 500; i < 5000; i++)
		put(&r, i, i);
	for (uint32_t i = 0; i < 500; i++) {
		assert_ptr_equal(policy_map_find(old, key_of(i)), value_of(i));
		assert_ptr_equal(policy_map_find(r.map, key_of(i)), i % 2 == 0 ? NULL : value_of(i));
	}
	assert_null(policy_map_find(old, key_of(700)));
	assert_int_equal(policy_map_count(r.map), 4750);
	rig_close(&r);
}

/* Of a large map a change makes two pieces: a shard and the directory. */
static void one_change_shares_the_rest(void **state)
{
	struct policy_map_change *changes = calloc(KEYS, sizeof(*changes));
	unsigned fresh = 0;
	struct list made, dropped;
	const struct policy_map *map;
	struct rig r;

	(void)state;
	assert_non_null(changes);
	rig_open(&r);
	list_init(&made);
	list_init(&dropped);
	for (uint32_t i = 0; i < KEYS; i++)
		changes[i] = (struct policy_map_change){key_of(i), value_of(i)};
	update(&r, changes, KEYS);
	assert_true(list_empty(&r.retired));
	changes[0].value = value_of(4711);
	assert_int_equal(policy_map_update(&map, r.map, seed, changes, 1, &made, &dropped), 0);
	list_for_each_safe (node, after, &made)
		fresh++;
	list_for_each_safe (node, after, &dropped)
		fresh--;
	assert_int_equal(fresh, 0);
	assert_ptr_equal(policy_map_find(map, key_of(0)), value_of(4711));
	pieces_free(&made);
	pieces_free(&dropped);
	free(changes);
	rig_close(&r);
}

static void grows_and_shrinks(void **state)
{
	uintptr_t *model = calloc(KEYS, sizeof(*model));
	struct policy_map_change batch[64];
	uint32_t present = 0;
	struct rig r;

	(void)state;
	assert_non_null(model);
	rig_open(&r);
	for (unsigned round = 0; round < 3000; round++) {
		bool shrink = round > 1500;
		uint32_t n = 1 + random_below(&r, 64);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t key = random_below(&r, KEYS);
			bool remove = random_below(&r, 10) < (shrink ? 9u : 1u);

			batch[i] = (struct policy_map_change){key_of(key), remove ? NULL : value_of(round)};
			present += (model[key] == 0 && !remove) - (model[key] != 0 && remove);
			model[key] = remove ? 0 : round + 1;
		}
		update(&r, batch, n);
		pieces_free(&r.retired);
		assert_int_equal(policy_map_count(r.map), present);
		for (unsigned i = 0; i < 20; i++) {
			uint32_t key = random_below(&r, KEYS);

			assert_ptr_equal(policy_map_find(r.map, key_of(key)), model[key] == 0 ? NULL : value_of(model[key] - 1));
		}
	}
	for (uint32_t key = 0; key < KEYS; key++)
		assert_ptr_equal(policy_map_find(r.map, key_of(key)), model[key] == 0 ? NULL : value_of(model[key] - 1));
	free(model);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_replaces_and_removes),  cmocka_unit_test(changes_keep_their_order),
		cmocka_unit_test(nothing_changes_nothing),    cmocka_unit_test(old_maps_do_not_change),
		cmocka_unit_test(one_change_shares_the_rest), cmocka_unit_test(grows_and_shrinks),
	};

	return cmocka_run_group_tests_name("policy map", tests, NULL, NULL);
}
