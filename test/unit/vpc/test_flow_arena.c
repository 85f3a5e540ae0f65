/* An arena is taken over by another process, after the one before was killed anywhere, or after somebody wrote into it. */
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

enum { MAX = 500 };

static struct flow_key key_of(uint32_t n)
{
	struct flow_key key = {.zone = n % 4, .protocol = IPPROTO_TCP, .local_port = htons((uint16_t)n), .remote_port = htons(443)};

	key.local = net_address_v4(htonl(0x0a000001));
	key.remote = net_address_v4(htonl(0x0b000001));
	return key;
}

static struct flow_key alias_of(uint32_t n)
{
	struct flow_key key = key_of(n);

	key.zone = FLOW_ZONE_OUTSIDE;
	key.local = net_address_v4(htonl(0xc0000201));
	return key;
}

static uint32_t find(const struct flow_table *t, struct flow_key key)
{
	return flow_find(t, &key, flow_hash(t, &key));
}

static uint32_t insert(struct flow_table *t, uint32_t n)
{
	struct flow_key key = key_of(n), alias = alias_of(n);
	uint32_t index = flow_insert(t, &key, flow_hash(t, &key), n);

	if (index != FLOW_NONE && n % 3 == 0)
		flow_alias_insert(t, index, &alias);
	return index;
}

static int arena(void)
{
	int fd = memfd_create("flows", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct flow_table *take_over(int fd)
{
	struct flow_table *t;

	assert_int_equal(flow_table_open(&t, MAX, fd, false), 0);
	return t;
}

/* What must hold of any table: the live records are what is found, once each, and room is left for all the others. */
static void check_whole(struct flow_table *t)
{
	uint32_t live = 0, entries = 0, expected = 0;

	for (uint32_t index = 1; index <= t->header->used; index++) {
		const struct flow *f = flow_at(t, index);

		if (f->state == FLOW_FREE)
			continue;
		live++;
		expected += 1 + ((f->flags & FLOW_HAS_ALIAS) != 0);
		assert_int_equal(find(t, f->key), index);
		if (f->flags & FLOW_HAS_ALIAS)
			assert_int_equal(find(t, flow_alias_key(f)), index);
	}
	for (uint32_t bucket = 0; bucket <= t->bucket_mask; bucket++)
		for (unsigned slot = 0; slot < FLOW_BUCKET_SLOTS; slot++)
			entries += t->buckets[bucket].tags[slot] != 0;
	assert_int_equal(entries, expected);
	assert_int_equal(flow_table_count(t), live);
	assert_int_equal(t->free_count + live, t->header->used);
	for (uint32_t n = 10000; n < 10000 + MAX - live; n++)
		assert_int_not_equal(insert(t, n), FLOW_NONE);
	assert_int_equal(insert(t, 20000), FLOW_NONE);
	assert_int_equal(flow_table_count(t), MAX);
}

static void test_takes_over(void **state)
{
	int fd = arena();
	struct flow_table *t = take_over(fd);
	uint32_t indices[100];

	(void)state;
	for (uint32_t n = 0; n < 100; n++) {
		indices[n] = insert(t, n);
		flow_at(t, indices[n])->out.target = n;
		flow_at(t, indices[n])->generation = 7;
	}
	for (uint32_t n = 0; n < 100; n += 2)
		flow_remove(t, indices[n]);
	flow_at(t, indices[1])->offload_wire = 1;
	flow_table_close(t);
	t = take_over(fd);
	assert_int_equal(flow_table_count(t), 50);
	for (uint32_t n = 0; n < 100; n++) {
		assert_int_equal(find(t, key_of(n)), n % 2 == 0 ? FLOW_NONE : indices[n]);
		if (n % 2 == 1)
			assert_int_equal(flow_at(t, indices[n])->out.target, n);
	}
	assert_int_equal(flow_at(t, indices[1])->offload_wire, 0); /* went with its process */
	assert_true(flow_at(t, indices[1])->flags & FLOW_UNSEEN);
	check_whole(t);
	flow_table_close(t);
	close(fd);
}

static void churn(int fd)
{
	struct flow_table *t;
	uint64_t random = (uint64_t)getpid();

	if (flow_table_open(&t, MAX, fd, false) != 0)
		_exit(1);
	for (;;) {
		uint32_t n, index;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		n = (uint32_t)(random >> 33) % (2 * MAX);
		index = find(t, key_of(n));
		if (index != FLOW_NONE)
			flow_remove(t, index);
		else
			insert(t, n);
	}
}

static void test_killed(void **state)
{
	int fd = arena();

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		struct timespec pause = {.tv_nsec = 300000 + round * 7919};
		struct flow_table *t;
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0)
			churn(fd);
		nanosleep(&pause, NULL);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		t = take_over(fd);
		check_whole(t);
		for (uint32_t n = 10000; n < 10000 + MAX; n++) /* so that the next child has something to do */
			if (find(t, key_of(n)) != FLOW_NONE)
				flow_remove(t, find(t, key_of(n)));
		flow_table_close(t);
	}
	close(fd);
}

/* Every store of insert, alias and remove is a place where it may end; these are the states between them, made by hand. */
static void test_half_done(void **state)
{
	int fd = arena();
	struct flow_table *t = take_over(fd);
	uint32_t first = insert(t, 3), second = insert(t, 4), third = insert(t, 6);
	struct flow_key key = key_of(9);

	(void)state;
	assert_true(flow_place(t, second, 12345));	  /* a bucket entry whose record never came */
	flow_displace(t, first, flow_at(t, first)->hash); /* a live record that is in no bucket */
	flow_at(t, second)->state = FLOW_FREE;		  /* a removal that stopped after the mark */
	flow_at(t, third)->flags = 0;			  /* an alias that was placed, and not marked */
	t->header->used++;				  /* a record that was taken, and not filled */
	t->flows[t->header->used + 0].key = key;
	flow_table_close(t);
	t = take_over(fd);
	assert_int_equal(flow_table_count(t), 2);
	assert_int_equal(find(t, key_of(3)), first);
	assert_int_equal(find(t, alias_of(3)), first);
	assert_int_equal(find(t, key_of(4)), FLOW_NONE);
	assert_int_equal(find(t, key_of(6)), third);
	assert_int_equal(find(t, alias_of(6)), FLOW_NONE);
	assert_int_equal(find(t, key), FLOW_NONE);
	check_whole(t);
	flow_table_close(t);
	close(fd);
}

/* Records that this code did not write so are freed, not believed. */
static void test_senseless_records(void **state)
{
	int fd = arena();
	struct flow_table *t = take_over(fd);
	uint32_t index[10];

	(void)state;
	for (uint32_t n = 0; n < 10; n++)
		index[n] = insert(t, 1 + 3 * n);
	flow_at(t, index[0])->state = FLOW_CLOSED + 1;
	flow_at(t, index[1])->initiator = 2;
	flow_at(t, index[2])->out.verdict = FLOW_REFUSED + 1;
	flow_at(t, index[3])->in.verdict = FLOW_REFUSED + 1;
	flow_at(t, index[4])->tcp_other_scale = 16;
	flow_at(t, index[5])->hash ^= 1;
	flow_at(t, index[6])->key = flow_at(t, index[7])->key; /* its hash does not fit */
	flow_at(t, index[8])->key = flow_at(t, index[7])->key; /* twice */
	flow_at(t, index[8])->hash = flow_at(t, index[7])->hash;
	flow_table_close(t);
	t = take_over(fd);
	assert_int_equal(flow_table_count(t), 2);
	assert_int_equal(find(t, key_of(1 + 3 * 7)), index[7]);
	assert_int_equal(find(t, key_of(1 + 3 * 9)), index[9]);
	check_whole(t);
	flow_table_close(t);
	close(fd);
}

static int reopen_with(int fd, size_t offset, uint32_t value)
{
	struct flow_table *t;
	uint32_t before;
	int rc;

	assert_int_equal(pread(fd, &before, sizeof(before), (off_t)offset), sizeof(before));
	assert_int_equal(pwrite(fd, &value, sizeof(value), (off_t)offset), sizeof(value));
	rc = flow_table_open(&t, MAX, fd, false);
	if (rc == 0)
		flow_table_close(t);
	assert_int_equal(pwrite(fd, &before, sizeof(before), (off_t)offset), sizeof(before));
	return rc;
}

static void test_unknown(void **state)
{
	static const size_t fields[] = {
		offsetof(struct flow_arena_header, magic),	  offsetof(struct flow_arena_header, version),
		offsetof(struct flow_arena_header, flow_bytes),	  offsetof(struct flow_arena_header, bucket_bytes),
		offsetof(struct flow_arena_header, flows_max),	  offsetof(struct flow_arena_header, bucket_count),
		offsetof(struct flow_arena_header, record_count), offsetof(struct flow_arena_header, buckets_at),
		offsetof(struct flow_arena_header, flows_at),	  offsetof(struct flow_arena_header, bytes),
		offsetof(struct flow_arena_header, used),
	};
	int fd = arena();
	struct flow_table *t = take_over(fd);

	(void)state;
	flow_table_close(t);
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_int_equal(reopen_with(fd, fields[i], 0xfffffff0), -EUCLEAN);
	assert_int_equal(flow_table_open(&t, 100000, fd, false), -EUCLEAN);  /* another length */
	assert_int_equal(flow_table_open(&t, MAX + 1, fd, false), -EUCLEAN); /* the same length, other sizes */
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(flow_table_open(&t, MAX, fd, false), -EUCLEAN);
	close(fd);
}

/* Killed before the header was whole: magic comes last, and without it the arena is new. */
static void test_begun(void **state)
{
	int fd = arena();
	struct flow_table *t = take_over(fd);
	uint64_t none = 0;

	(void)state;
	flow_table_close(t);
	assert_int_equal(pwrite(fd, &none, sizeof(none), offsetof(struct flow_arena_header, magic)), sizeof(none));
	t = take_over(fd);
	assert_int_equal(flow_table_count(t), 0);
	check_whole(t);
	flow_table_close(t);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_over),	  cmocka_unit_test(test_killed),  cmocka_unit_test(test_half_done),
		cmocka_unit_test(test_senseless_records), cmocka_unit_test(test_unknown), cmocka_unit_test(test_begun),
	};

	return cmocka_run_group_tests_name("vpc flow_arena", tests, NULL, NULL);
}
