#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vpc/flow_arena.h"

static struct flow_key key_of(uint32_t n)
{
	struct flow_key key = {.zone = n % 32, .protocol = IPPROTO_UDP};

	key.local = net_address_v4(htonl(0x0a000000 + n / 60000));
	key.remote = net_address_v4(htonl(0x0b000001));
	key.local_port = htons((uint16_t)(1024 + n % 60000));
	key.remote_port = htons(53);
	return key;
}

static struct flow_key alias_of(const struct flow_key *key, uint32_t n)
{
	struct flow_key alias = *key;

	alias.zone = FLOW_ZONE_OUTSIDE;
	alias.local = net_address_v4(htonl(0xc0000201 + n / 60000));
	alias.local_port = htons((uint16_t)(1024 + n % 60000));
	return alias;
}

static uint32_t find(const struct flow_table *t, struct flow_key key)
{
	return flow_find(t, &key, flow_hash(t, &key));
}

static uint32_t insert(struct flow_table *t, struct flow_key key, uint32_t now_ms)
{
	return flow_insert(t, &key, flow_hash(t, &key), now_ms);
}

static struct flow_table *table(uint32_t flows_max)
{
	struct flow_table *t;

	assert_int_equal(flow_table_open(&t, flows_max, -1, false), 0);
	return t;
}

static void test_insert_find_remove(void **state)
{
	struct flow_table *t = table(100);
	struct flow_key key = key_of(1), other;
	uint32_t index;
	struct flow *f;

	(void)state;
	assert_int_equal(flow_table_max(t), 100);
	assert_int_equal(find(t, key), FLOW_NONE);
	index = insert(t, key, 77);
	assert_int_not_equal(index, FLOW_NONE);
	f = flow_at(t, index);
	assert_memory_equal(&f->key, &key, sizeof(key));
	assert_int_equal(f->state, FLOW_NEW);
	assert_int_equal(f->seen_ms, 77);
	assert_int_equal(f->created_ms, 77);
	assert_int_equal(f->generation, 0);
	assert_int_equal(flow_table_count(t), 1);
	assert_int_equal(find(t, key), index);
	for (unsigned byte = 0; byte < sizeof(key); byte++) { /* each byte of the key counts */
		other = key;
		((uint8_t *)&other)[byte] ^= 0x40;
		assert_int_equal(find(t, other), FLOW_NONE);
	}
	flow_remove(t, index);
	assert_int_equal(f->state, FLOW_FREE);
	assert_int_equal(find(t, key), FLOW_NONE);
	assert_int_equal(flow_table_count(t), 0);
	flow_table_close(t);
}

static void test_full(void **state)
{
	enum { MAX = 5000 };
	struct flow_table *t = table(MAX);

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t n = 0; n < MAX; n++)
			assert_int_not_equal(insert(t, key_of(n), n), FLOW_NONE);
		assert_int_equal(insert(t, key_of(MAX), 0), FLOW_NONE);
		assert_int_equal(flow_table_count(t), MAX);
		for (uint32_t n = 0; n < MAX; n++) /* the others are unharmed */
			assert_int_equal(flow_at(t, find(t, key_of(n)))->seen_ms, n);
		flow_remove(t, find(t, key_of(17)));
		assert_int_not_equal(insert(t, key_of(MAX), 0), FLOW_NONE);
		assert_int_equal(insert(t, key_of(17), 0), FLOW_NONE);
		flow_remove(t, find(t, key_of(MAX)));
		for (uint32_t n = 0; n < MAX; n++)
			if (n != 17)
				flow_remove(t, find(t, key_of(n)));
		assert_int_equal(flow_table_count(t), 0);
	}
	flow_table_close(t);
}

/* Against a list of what should be there: random insertions and removals around the limit. */
static void test_random(void **state)
{
	enum { MAX = 600, KEYS = 1000 };
	struct flow_table *t = table(MAX);
	uint32_t held[KEYS], count = 0;

	(void)state;
	srandom(1);
	for (unsigned n = 0; n < KEYS; n++)
		held[n] = FLOW_NONE;
	for (unsigned step = 0; step < 300000; step++) {
		uint32_t n = (uint32_t)random() % KEYS;

		assert_int_equal(find(t, key_of(n)), held[n]);
		if (held[n] != FLOW_NONE) {
			flow_remove(t, held[n]);
			held[n] = FLOW_NONE;
			count--;
			continue;
		}
		held[n] = insert(t, key_of(n), 0);
		assert_int_equal(held[n] == FLOW_NONE, count == MAX);
		count += held[n] != FLOW_NONE;
		assert_int_equal(flow_table_count(t), count);
	}
	flow_table_close(t);
}

static void test_batch(void **state)
{
	enum { MAX = 2000 };
	struct flow_table *t = table(MAX);
	struct flow_key keys[PACKET_BATCH_MAX];
	uint32_t hashes[PACKET_BATCH_MAX], indices[PACKET_BATCH_MAX];

	(void)state;
	for (uint32_t n = 0; n < MAX; n++)
		insert(t, key_of(n), 0);
	for (uint32_t base = 0; base < 2 * MAX; base += PACKET_BATCH_MAX) {
		unsigned count = 1 + base % PACKET_BATCH_MAX;

		for (unsigned i = 0; i < PACKET_BATCH_MAX; i++)
			keys[i] = key_of(base + i);
		count = base % 3 == 0 ? PACKET_BATCH_MAX : count;
		flow_find_batch(t, keys, count, hashes, indices);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(hashes[i], flow_hash(t, &keys[i]));
			assert_int_equal(indices[i], find(t, keys[i]));
			assert_int_equal(indices[i] == FLOW_NONE, base + i >= MAX);
		}
	}
	flow_table_close(t);
}

/* Two keys with the same hash: the tag alone decides nothing. */
static void test_same_hash(void **state)
{
	struct flow_table *t = table(100);
	struct flow_key keys[3] = {key_of(1), key_of(2), key_of(3)};
	uint32_t hash = flow_hash(t, &keys[0]), first, second;

	(void)state;
	first = flow_insert(t, &keys[0], hash, 0);
	second = flow_insert(t, &keys[1], hash, 0);
	assert_int_equal(flow_find(t, &keys[0], hash), first);
	assert_int_equal(flow_find(t, &keys[1], hash), second);
	assert_int_equal(flow_find(t, &keys[2], hash), FLOW_NONE);
	flow_remove(t, first);
	assert_int_equal(flow_find(t, &keys[0], hash), FLOW_NONE);
	assert_int_equal(flow_find(t, &keys[1], hash), second);
	flow_table_close(t);
}

static void test_hash_is_secret(void **state)
{
	struct flow_table *a = table(1000), *b = table(1000);
	unsigned same = 0;

	(void)state;
	for (uint32_t n = 0; n < 1000; n++) {
		struct flow_key key = key_of(n);

		same += flow_hash(a, &key) == flow_hash(b, &key);
	}
	assert_true(same < 3);
	flow_table_close(a);
	flow_table_close(b);
}

static void test_alias(void **state)
{
	struct flow_table *t = table(100);
	struct flow_key key = key_of(1), other = key_of(1), alias;
	uint32_t index = insert(t, key, 0), second;

	(void)state;
	other.local = net_address_v4(htonl(0x0a0000ff)); /* another guest behind the same gateway, to the same server */
	second = insert(t, other, 0);
	alias = alias_of(&key, 7);
	assert_int_equal(find(t, alias), FLOW_NONE);
	assert_int_equal(flow_alias_insert(t, index, &alias), 0);
	assert_int_equal(find(t, alias), index);
	assert_int_equal(find(t, key), index);
	assert_true(net_address_equal(&flow_at(t, index)->public_address, &alias.local));
	assert_int_equal(flow_at(t, index)->public_port, alias.local_port);
	assert_int_equal(flow_alias_insert(t, second, &alias), -EEXIST);
	assert_int_equal(flow_at(t, second)->flags, 0);
	alias.local_port++;
	assert_int_equal(flow_alias_insert(t, second, &alias), 0);
	assert_int_equal(find(t, alias), second);
	flow_remove(t, second);
	assert_int_equal(find(t, alias), FLOW_NONE);
	assert_int_equal(find(t, alias_of(&key, 7)), index);
	flow_remove(t, index);
	assert_int_equal(find(t, alias_of(&key, 7)), FLOW_NONE);
	flow_table_close(t);
}

/* Every flow has an alias, until all slots are taken: displacement finds room or says so, and never loses an entry. */
static void test_displacement(void **state)
{
	enum { MAX = 4096 }; /* a power of two: as many slots as keys */
	struct flow_table *t = table(MAX);
	unsigned aliases = 0, refused = 0;

	(void)state;
	for (uint32_t n = 0; n < MAX; n++) {
		struct flow_key key = key_of(n), alias = alias_of(&key, n);
		uint32_t index = insert(t, key, 0);
		int rc;

		if (index == FLOW_NONE) {
			refused++;
			continue;
		}
		rc = flow_alias_insert(t, index, &alias);
		assert_true(rc == 0 || rc == -ENOSPC);
		aliases += rc == 0;
		refused += rc != 0;
	}
	assert_true(aliases > MAX * 9 / 10); /* slots are used well before anything is refused */
	assert_true(refused > 0);	     /* and the last few are, instead of a search without end */
	for (uint32_t n = 0; n < MAX; n++) {
		struct flow_key key = key_of(n);
		uint32_t index = find(t, key);

		if (index != FLOW_NONE && flow_at(t, index)->flags & FLOW_HAS_ALIAS)
			assert_int_equal(find(t, alias_of(&key, n)), index);
		if (index != FLOW_NONE)
			flow_remove(t, index);
	}
	assert_int_equal(flow_table_count(t), 0);
	for (uint32_t bucket = 0; bucket <= t->bucket_mask; bucket++)
		for (unsigned slot = 0; slot < FLOW_BUCKET_SLOTS; slot++)
			assert_int_equal(t->buckets[bucket].tags[slot], 0);
	flow_table_close(t);
}

/* A batch looked its packets up; one of them removes its flow and others insert: the stale index is free, not somebody else's. */
static void test_reuse_waits(void **state)
{
	struct flow_table *t = table(8); /* small: the smaller, the sooner an index would come back */
	uint32_t stale = insert(t, key_of(0), 0);

	(void)state;
	for (uint32_t n = 1; n < 8; n++)
		insert(t, key_of(n), 0);
	flow_remove(t, stale);
	for (unsigned i = 0; i < FLOW_REUSE_DISTANCE; i++) {
		uint32_t index = insert(t, key_of(100 + i), 0);

		assert_int_not_equal(index, FLOW_NONE);
		assert_int_not_equal(index, stale);
		assert_int_equal(flow_at(t, stale)->state, FLOW_FREE);
		flow_remove(t, index);
	}
	assert_int_equal(insert(t, key_of(1000), 0), stale); /* and then it does, before new memory is touched */
	flow_table_close(t);
}

struct sweep {
	struct flow_table *t;
	unsigned expired, live;
	uint32_t also; /* removed from within the callback; FLOW_NONE: none */
	bool remove_self;
};

static void on_expired(void *context, struct flow *flow, uint32_t index)
{
	struct sweep *s = context;

	assert_int_not_equal(flow->state, FLOW_FREE);
	assert_ptr_equal(flow, flow_at(s->t, index));
	s->expired++;
	if (s->also != FLOW_NONE && s->also != index) {
		flow_remove(s->t, s->also);
		s->also = FLOW_NONE;
	}
	if (s->remove_self)
		flow_remove(s->t, index);
}

static void on_live(void *context, struct flow *flow, uint32_t index)
{
	struct sweep *s = context;

	(void)index;
	assert_int_not_equal(flow->state, FLOW_FREE);
	s->live++;
}

static unsigned sweep_round(struct sweep *s, uint32_t now_ms)
{
	unsigned calls = 0, removed = 0;

	do {
		removed += flow_table_sweep(s->t, now_ms, on_live, on_expired, s);
		assert_true(calls++ < 100);
	} while (flow_table_sweep_left(s->t) > 0);
	return removed;
}

static void test_sweep(void **state)
{
	enum { MAX = 1000 };
	struct sweep s = {.t = table(MAX), .also = FLOW_NONE};
	uint32_t start = UINT32_MAX - 50; /* the clock wraps between */

	(void)state;
	assert_int_equal(sweep_round(&s, 0), 0);
	for (uint32_t n = 0; n < MAX; n++)
		flow_at(s.t, insert(s.t, key_of(n), start))->timeout_ms = n < 300 ? 100 : 1000;
	assert_int_equal(sweep_round(&s, start + 99), 0);
	assert_int_equal(s.live, MAX);
	s.live = 0;
	assert_int_equal(sweep_round(&s, start + 100), 300);
	assert_int_equal(s.expired, 300);
	assert_int_equal(s.live, MAX - 300);
	assert_int_equal(find(s.t, key_of(299)), FLOW_NONE);
	assert_int_not_equal(find(s.t, key_of(300)), FLOW_NONE);
	assert_int_equal(sweep_round(&s, start - 5), 0); /* seen by a packet with a later time than the sweep's */
	s.expired = 0;
	s.remove_self = true;
	s.also = find(s.t, key_of(MAX - 1)); /* one that the round has not reached yet */
	assert_int_equal(sweep_round(&s, start + 1000), MAX - 300 - 1);
	assert_int_equal(s.expired, MAX - 300 - 1);
	assert_int_equal(flow_table_count(s.t), 0);
	flow_table_close(s.t);
}

/* A call is bounded, and without `each` only what expires is shown. */
static void test_sweep_is_bounded(void **state)
{
	struct sweep s = {.t = table(1000), .also = FLOW_NONE};

	(void)state;
	for (uint32_t n = 0; n < 1000; n++)
		insert(s.t, key_of(n), 5); /* never tracked: over at once */
	assert_int_equal(flow_table_sweep(s.t, 5, NULL, on_expired, &s), FLOW_SWEEP_MAX);
	assert_int_equal(flow_table_sweep_left(s.t), 1000 - FLOW_SWEEP_MAX);
	assert_int_equal(flow_table_count(s.t), 1000 - FLOW_SWEEP_MAX);
	flow_table_close(s.t);
}

static void test_open_errors(void **state)
{
	struct flow_table *t;
	int ends[2];

	(void)state;
	assert_int_equal(flow_table_open(&t, 0, -1, false), -EINVAL);
	assert_int_equal(flow_table_open(&t, FLOWS_LIMIT + 1, -1, false), -EINVAL);
	assert_int_equal(pipe(ends), 0);
	assert_true(flow_table_open(&t, 10, ends[0], false) < 0);
	close(ends[0]);
	assert_int_equal(flow_table_open(&t, 10, ends[0], false), -EBADF);
	close(ends[1]);
	assert_int_equal(flow_table_open(&t, FLOWS_DEFAULT, -1, true), 0); /* reserved, not taken */
	assert_int_not_equal(insert(t, key_of(1), 0), FLOW_NONE);
	flow_table_close(t);
	flow_table_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_insert_find_remove),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_same_hash),
		cmocka_unit_test(test_hash_is_secret),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_displacement),
		cmocka_unit_test(test_reuse_waits),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_sweep_is_bounded),
		cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests_name("vpc flow_table", tests, NULL, NULL);
}
