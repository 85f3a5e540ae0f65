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
	RECORD_MAX_BYTES = 2048,
	REQUESTS_MAX = 14,
	AGAIN_EVERY = 17,
};

static const struct guest_kind kinds[] = {
	{.size = 16},
	{.size = 16, .indirect = true, .event_idx = true},
	{.size = 16, .packed = true},
	{.size = 17, .packed = true, .event_idx = true},
	{.size = 8, .packed = true, .indirect = true},
};

static struct guest guest, copy, copy_of_copy, *const g = &guest;

/* What one guest's memory was when it was last looked at. */
struct sight {
	uint8_t rings[RINGS_BYTES];
	uint8_t record[RECORD_MAX_BYTES];
};

static struct sight first_sight, second_sight;
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
static void run_child(struct guest *of, void (*body)(void))
{
	for (uint32_t i = 0; i < of->memory.count; i++) {
		struct guest_region *r = &of->memory.regions[i];

		if (mmap(r->mapping, r->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, of->fds[i], 0) == MAP_FAILED)
			_exit(1);
	}
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(2);
	raise(SIGSTOP);
	body();
	_exit(0);
}

/* ---- the successor ---- */

static void copy_guest(const struct guest *from, struct guest *to)
{
	struct guest *source = (struct guest *)from;

	memcpy(guest_at(to, RINGS), guest_at(source, RINGS), RINGS_BYTES);
	memcpy(guest_at(to, HEADERS), guest_at(source, HEADERS), 64 * REQUESTS_MAX);
	memcpy(guest_at(to, TABLES), guest_at(source, TABLES), 2048 * 16);
	memcpy(to->inflight.mapping, from->inflight.mapping, from->inflight.mapping_bytes);
	to->next_avail = from->next_avail;
	to->used_seen = from->used_seen;
	to->avail_wrap = from->avail_wrap;
	to->used_wrap = from->used_wrap;
	to->free_slots = from->free_slots;
	to->free_count = from->free_count;
	memcpy(to->slots_of, from->slots_of, sizeof(to->slots_of));
	memcpy(to->next_of, from->next_of, sizeof(to->next_of));
	memcpy(to->free_desc, from->free_desc, sizeof(to->free_desc));
	to->state.queues[0] = from->state.queues[0]; /* of before the child: the VMM knows nothing newer */
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

static void check_successor(const struct guest *of, struct guest *successor)
{
	bool ids[GUEST_IDS] = {false};
	unsigned visible, done;

	copy_guest(of, successor);
	successor->target.ios = 0;
	visible = take_used(successor, ids);
	guest_start(successor);
	successor->target.hold = true;
	guest_serve(successor);
	assert_null(successor->broken_why);
	/* One at a time, and in another order than they were begun: each shows the guest itself, and no other. */
	for (done = 0; done < successor->target.held_count; done++) {
		struct blk_io *io = successor->target.held[successor->target.held_count - 1 - done];

		assert_int_equal(take_used(successor, ids), 0);
		io->complete(io, 0);
		virtio_worker_publish(successor->worker, ++successor->now);
		assert_int_equal(take_used(successor, ids), 1);
	}
	successor->target.held_count = 0;
	assert_int_equal(visible + done, put_count - got_count);
	assert_int_equal(successor->target.ios, done);
	for (unsigned i = 1; i < done; i++)
		assert_true(successor->target.log[i].offset_bytes > successor->target.log[i - 1].offset_bytes);
	guest_stop(successor);
	states++;
}

/* ---- the debugger ---- */

static bool changed(struct guest *of, struct sight *sight)
{
	const void *rings = guest_at(of, RINGS), *record = of->inflight.mapping;
	uint64_t record_bytes = of->inflight.mapping_bytes;

	assert_true(record_bytes <= RECORD_MAX_BYTES);
	if (memcmp(sight->rings, rings, RINGS_BYTES) == 0 && memcmp(sight->record, record, record_bytes) == 0)
		return false;
	memcpy(sight->rings, rings, RINGS_BYTES);
	memcpy(sight->record, record, record_bytes);
	return true;
}

static pid_t start_child(struct guest *of, void (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		run_child(of, body);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

/* One instruction; false when the child has ended, well. */
static bool step(pid_t child)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSTOPPED(status))
		return true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void recover_copy(void)
{
	guest_start(&copy);
}

/* The successor is killed as well, at any instruction of its recovery. */
static void check_killed_again(void)
{
	pid_t child;

	copy_guest(g, &copy);
	memset(&second_sight, 0, sizeof(second_sight));
	child = start_child(&copy, recover_copy);
	while (step(child))
		if (changed(&copy, &second_sight))
			check_successor(&copy, &copy_of_copy);
}

static void guest_takes_and_gives(void)
{
	bool ids[GUEST_IDS] = {false};

	got_count += take_used(g, ids);
	put_all();
	check_successor(g, &copy);
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

enum mode { GUEST_WAITS, GUEST_GOES_ON, KILLED_AGAIN };

static void kill_everywhere(const struct guest_kind *kind, enum mode mode)
{
	unsigned looks = 0;
	pid_t child;

	guest_open(g, kind);
	guest_open(&copy, kind);
	guest_open(&copy_of_copy, kind);
	memset(&first_sight, 0, sizeof(first_sight));
	put_count = got_count = states = 0;
	start_close_to_the_end();
	put_all();
	child = start_child(g, serve);
	while (step(child)) {
		if (!changed(g, &first_sight))
			continue;
		if (mode == KILLED_AGAIN && looks++ % AGAIN_EVERY == 0)
			check_killed_again();
		check_successor(g, &copy);
		if (mode == GUEST_GOES_ON)
			guest_takes_and_gives();
	}
	/* Every request was read and used by the child, in many more states than that. */
	assert_true(states > 4 * put_count);
	guest_close(&copy_of_copy);
	guest_close(&copy);
	guest_close(g);
}

static void test_guest_waits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kill_everywhere(&kinds[i], GUEST_WAITS);
}

static void test_guest_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kill_everywhere(&kinds[i], GUEST_GOES_ON);
}

static void test_killed_again_in_recovery(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		kill_everywhere(&kinds[i], KILLED_AGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_waits),
		cmocka_unit_test(test_guest_goes_on),
		cmocka_unit_test(test_killed_again_in_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
