/*
 * SIGKILL at any instruction loses nothing and repeats nothing.
 *
 * A child serves a ring in memory that it shares with this process, which is its guest and its debugger: the child runs one
 * instruction at a time. Whenever one has changed the ring or the in-flight record, the child could have been killed there: both
 * are copied, a successor is started on the copy, and it must complete exactly what the guest has not seen completed, in the order
 * in which it was asked for. The guest goes on taking and giving meanwhile, so that slots are in use again when they are looked at.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

enum {
	RINGS = 0x1000,
	RINGS_BYTES = 0xc000, /* guest.c: descriptors, driver and device areas */
	REQUESTS_MAX = 14,
	STEPS_MAX = 4000000,
};

static const struct guest_kind kinds[] = {
	{.size = 16},
	{.size = 16, .indirect = true, .event_idx = true},
	{.size = 16, .packed = true},
	{.size = 17, .packed = true, .event_idx = true},
	{.size = 8, .packed = true, .indirect = true},
};

static struct guest guest, copy, *const g = &guest;
static uint8_t seen_rings[RINGS_BYTES], *seen_record;
static unsigned put_count, got_count, states;

static bool room(void)
{
	unsigned slots = g->kind.indirect ? 1 : 3;

	return put_count < REQUESTS_MAX && (g->kind.packed ? g->free_slots >= slots && g->free_count > 0 : g->free_count >= slots);
}

static void put_all(void)
{
	for (; room(); put_count++)
		guest_request(g, put_count, VBLK_T_OUT, put_count, DATA, 512);
}

/* ---- the child ---- */

static void serve_held(unsigned from, unsigned step)
{
	struct test_target *t = &g->target;

	for (unsigned i = from; i < t->held_count; i += step)
		if (t->held[i] != NULL) {
			t->held[i]->complete(t->held[i], 0);
			t->held[i] = NULL;
		}
	virtio_worker_publish(g->worker, ++g->now);
}

static void serve(void)
{
	guest_start(g);
	g->target.hold = true;
	virtqueue_visit(g->vq, ++g->now);
	serve_held(1, 3); /* out of order, and several at once */
	serve_held(0, 2);
	virtqueue_visit(g->vq, ++g->now);
	serve_held(0, 1);
	virtqueue_visit(g->vq, ++g->now);
	serve_held(1, 2);
	serve_held(0, 1);
	virtqueue_visit(g->vq, ++g->now);
	serve_held(0, 1);
}

/* guest_memory_add() keeps guests' memory from children; this one is to have it. */
static void run_child(void)
{
	for (uint32_t i = 0; i < g->memory.count; i++) {
		struct guest_region *r = &g->memory.regions[i];

		if (mmap(r->mapping, r->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, g->fds[i], 0) == MAP_FAILED)
			_exit(1);
	}
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(2);
	raise(SIGSTOP);
	serve();
	_exit(0);
}

/* ---- the successor ---- */

static void copy_driver(void)
{
	copy.next_avail = g->next_avail;
	copy.used_seen = g->used_seen;
	copy.avail_wrap = g->avail_wrap;
	copy.used_wrap = g->used_wrap;
	copy.free_slots = g->free_slots;
	copy.free_count = g->free_count;
	memcpy(copy.slots_of, g->slots_of, sizeof(g->slots_of));
	memcpy(copy.next_of, g->next_of, sizeof(g->next_of));
	memcpy(copy.free_desc, g->free_desc, sizeof(g->free_desc));
	copy.state.queues[0] = g->state.queues[0]; /* of before the child: the VMM knows nothing newer */
}

static unsigned take_used(struct guest *from, bool *ids)
{
	uint32_t length;
	uint16_t id;
	unsigned count = 0;

	for (; guest_get(from, &id, &length); count++) {
		assert_true(id < GUEST_IDS && !ids[id]);
		assert_int_equal(length, 1);
		ids[id] = true;
	}
	return count;
}

static void check_successor(void)
{
	bool ids[GUEST_IDS] = {false};
	unsigned visible, done;

	memcpy(guest_at(&copy, RINGS), guest_at(g, RINGS), RINGS_BYTES);
	memcpy(guest_at(&copy, HEADERS), guest_at(g, HEADERS), 64 * REQUESTS_MAX);
	memcpy(guest_at(&copy, TABLES), guest_at(g, TABLES), 2048 * 16);
	memcpy(copy.inflight.mapping, g->inflight.mapping, g->inflight.mapping_bytes);
	copy_driver();
	copy.target.ios = 0;
	visible = take_used(&copy, ids);
	guest_start(&copy);
	copy.target.hold = true;
	guest_serve(&copy);
	assert_null(copy.broken_why);
	/* One at a time, and in another order than they were begun: each shows the guest itself, and no other. */
	for (done = 0; done < copy.target.held_count; done++) {
		struct blk_io *io = copy.target.held[copy.target.held_count - 1 - done];

		assert_int_equal(take_used(&copy, ids), 0);
		io->complete(io, 0);
		virtio_worker_publish(copy.worker, ++copy.now);
		assert_int_equal(take_used(&copy, ids), 1);
	}
	copy.target.held_count = 0;
	assert_int_equal(visible + done, put_count - got_count);
	assert_int_equal(copy.target.ios, done);
	for (unsigned i = 1; i < done; i++)
		assert_true(copy.target.log[i].offset_bytes > copy.target.log[i - 1].offset_bytes);
	guest_stop(&copy);
	states++;
}

/* ---- the debugger ---- */

static bool changed(void)
{
	const void *rings = guest_at(g, RINGS);

	if (memcmp(seen_rings, rings, RINGS_BYTES) == 0 && memcmp(seen_record, g->inflight.mapping, g->inflight.mapping_bytes) == 0)
		return false;
	memcpy(seen_rings, rings, RINGS_BYTES);
	memcpy(seen_record, g->inflight.mapping, g->inflight.mapping_bytes);
	return true;
}

static void debug(pid_t child, unsigned guest_pace)
{
	bool ids[GUEST_IDS];
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	for (unsigned step = 0;; step++) {
		assert_true(step < STEPS_MAX);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSTOPPED(status))
			break;
		if (!changed())
			continue;
		check_successor();
		if (guest_pace != 0 && states % guest_pace == 0) {
			memset(ids, 0, sizeof(ids));
			got_count += take_used(g, ids);
			put_all();
			check_successor();
		}
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Both close to the end: of the 16-bit index, of the packed ring's slots. */
static void start_close_to_the_end(void)
{
	struct virtqueue_state *q = &g->state.queues[0];

	if (g->kind.packed) {
		g->next_avail = g->used_seen = (uint16_t)(g->kind.size - 4);
		for (unsigned i = 0; i < g->next_avail; i++) /* used in this lap */
			g->ring[i].flags = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
		q->next_avail = q->next_used = (uint16_t)(0x8000 | g->next_avail);
	} else {
		g->next_avail = g->used_seen = 65533;
		g->avail->idx = g->used->idx = 65533;
		q->next_avail = 65533;
	}
}

static void kill_everywhere(const struct guest_kind *kind, unsigned guest_pace)
{
	pid_t child;

	guest_open(g, kind);
	guest_open(&copy, kind);
	seen_record = calloc(1, g->inflight.mapping_bytes);
	put_count = got_count = states = 0;
	start_close_to_the_end();
	put_all();
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		run_child();
	debug(child, guest_pace);
	/* Every request was read and used by the child, in many more states than that. */
	assert_true(states > 4 * put_count);
	free(seen_record);
	guest_close(&copy);
	guest_close(g);
}

static void test_guest_waits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kill_everywhere(&kinds[i], 0);
}

static void test_guest_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kill_everywhere(&kinds[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_waits),
		cmocka_unit_test(test_guest_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
