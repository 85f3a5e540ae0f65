/* A queue's life: notifications, allowance, pools, stop, accounts, and a guest that writes while we read. */
#include "../cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "guest.h"
#include "virtio/virtqueue.h"

static struct guest guest, *const g = &guest;

static unsigned drain(void)
{
	uint32_t length;
	uint16_t id;
	unsigned count = 0;

	while (guest_get(g, &id, &length))
		count++;
	return count;
}

static void put_reads(unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		guest_request(g, i, VBLK_T_IN, i, DATA + i * 512u, 512);
}

/* ---- calls ---- */

static void test_calls_follow_flags(void **state)
{
	const struct guest_kind kinds[] = {{.size = 64}, {.size = 64, .packed = true}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		guest_open(g, &kinds[k]);
		guest_start(g);
		put_reads(0, 5);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 1); /* one a batch */
		if (g->kind.packed)
			g->driver_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		else
			g->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		put_reads(5, 5);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 0);
		assert_int_equal(drain(), 10);
		assert_int_equal(virtqueue_accounts(g->vq)->calls_sent, 1);
		guest_close(g);
	}
}

/* Called when the used index passes used_event, and only then; over the end of the 16-bit index as well. */
static void test_split_used_event(void **state)
{
	const struct guest_kind kind = {.size = 64, .event_idx = true};

	(void)state;
	for (unsigned start = 0; start < 2; start++) {
		uint16_t base = start == 0 ? 0 : 65530;
		uint16_t *used_event;

		guest_open(g, &kind);
		used_event = &g->avail->ring[64];
		g->state.queues[0].next_avail = base;
		g->used->idx = base;
		g->avail->idx = base;
		g->next_avail = base;
		g->used_seen = base;
		guest_start(g);
		*used_event = base;
		put_reads(0, 1);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 1);
		*used_event = (uint16_t)(base + 8); /* the ninth */
		for (unsigned i = 1; i < 8; i++) {
			put_reads(i, 1);
			guest_serve(g);
			assert_int_equal(guest_calls(g), 0);
		}
		put_reads(8, 3);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 1);
		put_reads(11, 3);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 0);
		assert_int_equal(drain(), 14);
		assert_null(g->broken_why);
		guest_close(g);
	}
}

static void packed_event(uint16_t slot, bool wrap)
{
	g->driver_event->off_wrap = (uint16_t)(slot | wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
	g->driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
}

/* The same by slot and wrap counter, over several laps. */
static void test_packed_used_event(void **state)
{
	const struct guest_kind kind = {.size = 16, .event_idx = true, .packed = true, .indirect = true};

	(void)state;
	guest_open(g, &kind);
	guest_start(g);
	packed_event(0, true);
	put_reads(0, 1);
	guest_serve(g);
	assert_int_equal(guest_calls(g), 1);
	drain();
	for (unsigned lap = 0; lap < 100; lap++) {
		uint16_t target = (uint16_t)(g->used_seen + 9);
		bool wrap = g->used_wrap;

		if (target >= 16) {
			target = (uint16_t)(target - 16);
			wrap = !wrap;
		}
		packed_event(target, wrap);
		for (unsigned i = 0; i < 3; i++) {
			put_reads(0, 3);
			guest_serve(g);
			assert_int_equal(guest_calls(g), 0);
			assert_int_equal(drain(), 3);
		}
		put_reads(0, 2);
		guest_serve(g);
		assert_int_equal(guest_calls(g), 1);
		assert_int_equal(drain(), 2);
	}
	/* A slot that is none in this ring is the guest's own loss. */
	packed_event(0x7fff, true);
	put_reads(0, 16);
	guest_serve(g);
	assert_int_equal(drain(), 16);
	guest_close(g);
}

static void test_guest_that_polls(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		int fd = g->call_fd;

		g->call_fd = -1;
		guest_start(g);
		put_reads(0, 4);
		guest_serve(g);
		assert_int_equal(drain(), 4);
		assert_int_equal(virtqueue_accounts(g->vq)->calls_sent, 0);
		guest_stop(g);
		g->call_fd = fd;
	}
}

/* ---- kicks ---- */

/* Would the driver kick after making the next entry available? */
static bool wants_kick(void)
{
	if (!g->kind.packed && g->kind.event_idx)
		return *(uint16_t *)(void *)&g->used->ring[g->kind.size] == g->next_avail;
	if (!g->kind.packed)
		return (g->used->flags & VRING_USED_F_NO_NOTIFY) == 0;
	if (g->kind.event_idx && g->device_event->flags == VRING_PACKED_EVENT_FLAG_DESC)
		return g->device_event->off_wrap == (g->next_avail | g->avail_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
	return g->device_event->flags == VRING_PACKED_EVENT_FLAG_ENABLE;
}

static void test_arm_and_disarm(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		virtqueue_disarm(g->vq);
		assert_false(wants_kick());
		put_reads(0, 2);
		assert_false(virtqueue_arm(g->vq)); /* requests came meanwhile */
		assert_false(wants_kick());
		guest_serve(g);
		assert_true(virtqueue_arm(g->vq));
		assert_true(wants_kick());
		put_reads(2, 2);
		virtqueue_disarm(g->vq);
		assert_false(wants_kick());
		guest_serve(g);
		assert_int_equal(drain(), 4);
	}
}

/* ---- allowance ---- */

static void test_allowance_holds_in_ring_order(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		const struct blk_io *first;
		struct visit v;
		uint16_t id;

		guest_start(g);
		target_throttle(g, 3);
		put_reads(0, 8);
		id = guest_request(g, 8, 99, 0, 0, 0); /* answered without the target, and yet in its turn */
		v = virtqueue_visit(g->vq, g->now);
		assert_int_equal(v.started, 3);
		assert_int_equal(v.again_tsc, g->now + 100);
		assert_int_equal(virtqueue_in_flight(g->vq), 3); /* what waits, waits in the ring */
		virtio_worker_publish(g->worker, g->now);
		assert_int_equal(drain(), 3);
		assert_int_equal(g->target.admit_asked, 4);
		assert_int_equal(g->target.admit_last->offset_bytes, 3 * 512);
		first = g->target.admit_last;
		v = virtqueue_visit(g->vq, g->now + 50);
		assert_int_equal(v.started, 0);
		assert_ptr_equal(g->target.admit_last, first); /* known by its address */
		g->target.admit_left = 100;
		v = virtqueue_visit(g->vq, g->now + 100);
		assert_int_equal(v.started, 6);
		assert_int_equal(v.again_tsc, 0);
		virtio_worker_publish(g->worker, g->now + 100);
		assert_int_equal(drain(), 6);
		assert_int_equal(guest_status(g, 8), VBLK_S_UNSUPP);
		(void)id;
	}
}

static void test_allowance_is_asked_once_for_many_ranges(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		uint8_t *ranges = guest_at(g, DATA);
		struct visit v;

		guest_start(g);
		target_throttle(g, 0);
		memset(ranges, 0, 64);
		for (unsigned i = 0; i < 4; i++)
			ranges[i * 16 + 8] = 2;
		guest_request(g, 0, VBLK_T_WRITE_ZEROES, 0, DATA, 64);
		v = virtqueue_visit(g->vq, g->now);
		assert_int_equal(v.started, 0);
		assert_int_equal(g->target.admit_last->length_bytes, 4 * 1024);
		g->target.admit_left = 1;
		guest_serve(g);
		assert_int_equal(g->target.ios, 4);
		assert_int_equal(drain(), 1);
	}
}

static void test_stop_while_held_back(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		target_throttle(g, 2);
		put_reads(0, 6);
		virtqueue_visit(g->vq, g->now);
		guest_stop(g);
		assert_int_equal(drain(), 2);
		/* The successor finds the other four where they were. */
		g->target.admit_left = 100;
		guest_start(g);
		assert_int_equal(guest_serve(g), 4);
		assert_int_equal(drain(), 4);
		assert_null(g->broken_why);
	}
}

/* ---- stop and start ---- */

static void test_stop_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct visit v;

		guest_start(g);
		g->target.hold = true;
		put_reads(0, 5);
		guest_serve(g);
		virtqueue_stop(g->vq);
		assert_false(virtqueue_stopped(g->vq));
		put_reads(5, 2);
		v = virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(v.started, 0);
		assert_false(v.more);
		g->target.hold = false;
		target_release(g, 1);
		assert_true(virtqueue_stopped(g->vq));
		virtqueue_release(g->vq, &g->state.queues[0]);
		g->vq = NULL;
		assert_int_equal(drain(), 5);
		guest_start(g);
		assert_int_equal(guest_serve(g), 2);
		assert_int_equal(drain(), 2);
	}
}

static void test_rings_that_are_refused(void **state)
{
	struct virtqueue *vq;

	(void)state;
	EACH_KIND(g)
	{
		const struct virtqueue_state good = g->state.queues[0];
		struct virtqueue_state *q = &g->state.queues[0];
		struct inflight_queue *record = g->kind.no_record ? NULL : inflight_queue(&g->inflight, 0);

#define TRY(index) virtio_blk_queue_start(g->blk, g->worker, index, &g->state, &g->memory, record, -1, 0, &vq)
		assert_int_equal(TRY(2), -EINVAL); /* of two */
		q->size = 0;
		assert_int_equal(TRY(0), -EINVAL);
		q->size = 2048;
		assert_int_equal(TRY(0), -EINVAL);
		*q = good;
		q->descriptor_user_addr += 8;
		assert_int_equal(TRY(0), -EINVAL);
		*q = good;
		q->driver_user_addr += 1;
		assert_int_equal(TRY(0), -EINVAL);
		*q = good;
		q->device_user_addr += 2;
		assert_int_equal(TRY(0), -EINVAL);
		*q = good;
		q->descriptor_user_addr = USER_BASE + REGION_NEXT - 16; /* across a border */
		assert_int_equal(TRY(0), -EFAULT);
		*q = good;
		q->driver_user_addr = 16;
		assert_int_equal(TRY(0), -EFAULT);
		*q = good;
		q->device_user_addr = UINT64_MAX - 15;
		assert_int_equal(TRY(0), -EFAULT);
		*q = good;
		if (g->kind.packed) {
			q->next_used = 0x8000 | 80;
			assert_int_equal(TRY(0), -EINVAL);
		} else {
			q->size = 48;
			assert_int_equal(TRY(0), -EINVAL);
		}
		*q = good;
		if (record != NULL) {
			q->size = 128; /* more than the record has entries for */
			assert_int_equal(TRY(0), -EINVAL);
		}
		*q = good;
	}
}

/* ---- bounds ---- */

static void test_batch_is_bounded(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct visit v;

		if (!g->kind.indirect)
			continue;
		guest_start(g);
		put_reads(0, 40);
		v = virtqueue_visit(g->vq, g->now);
		assert_int_equal(v.started, VIRTIO_BLK_BATCH_MAX);
		assert_true(v.more);
		virtio_worker_publish(g->worker, g->now);
		v = virtqueue_visit(g->vq, g->now);
		assert_int_equal(v.started, 8);
		assert_false(v.more);
		virtio_worker_publish(g->worker, g->now);
		assert_int_equal(drain(), 40);
	}
}

static void test_bytes_of_a_visit_are_bounded(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct visit v;

		guest_start(g);
		for (unsigned i = 0; i < 8; i++)
			guest_request(g, i, VBLK_T_IN, 0, REGION_FAR, VIRTIO_BLK_VISIT_BYTES_MAX / 2);
		v = virtqueue_visit(g->vq, g->now);
		assert_int_equal(v.started, 2);
		assert_true(v.more);
		virtio_worker_publish(g->worker, g->now);
		guest_serve(g);
		assert_int_equal(drain(), 8);
	}
}

static uint16_t put_long_read(unsigned pieces)
{
	struct buffer b[64] = {{.addr = HEADERS, .length = 16}};

	guest_header(g, HEADERS, VBLK_T_IN, 0);
	for (unsigned i = 0; i < pieces; i++)
		b[1 + i] = (struct buffer){.addr = DATA + i * 1024, .length = 512, .writable = true};
	b[1 + pieces] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
	return guest_put(g, b, pieces + 2);
}

/* The pool of long iov arrays runs out: requests wait in the ring, and go on when others have completed. */
static void test_iov_arrays_run_out(void **state)
{
	const struct guest_kind kinds[] = {{.size = 512, .indirect = true}, {.size = 512, .indirect = true, .packed = true}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct visit v;

		guest_open(g, &kinds[k]);
		virtio_worker_free(g->worker);
		assert_int_equal(virtio_worker_create(&g->worker, 1024), 0);
		guest_start(g);
		g->target.hold = true;
		for (unsigned i = 0; i < 300; i++)
			put_long_read(8);
		assert_int_equal(guest_serve(g), 128); /* half: the others' share is left to them */
		v = virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(v.started, 0);
		assert_true(v.more);
		target_release(g, 1);
		assert_int_equal(guest_serve(g), 128);
		target_release(g, 1);
		assert_int_equal(guest_serve(g), 44);
		target_release(g, 1);
		assert_int_equal(drain(), 300);
		assert_null(g->broken_why);
		guest_close(g);
	}
}

static void test_requests_run_out(void **state)
{
	const struct guest_kind kinds[] = {{.size = 64, .indirect = true}, {.size = 64, .indirect = true, .packed = true}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct virtio_worker *few;
		struct visit v;

		guest_open(g, &kinds[k]);
		virtio_worker_free(g->worker);
		assert_int_equal(virtio_worker_create(&few, 1), 0); /* at least two batches: 64 */
		g->worker = few;
		guest_start(g);
		g->target.hold = true;
		/* Each takes 17: itself, and one a range. */
		memset(guest_at(g, DATA), 0, 256);
		for (unsigned i = 0; i < 16; i++)
			((uint8_t *)guest_at(g, DATA))[i * 16 + 8] = 1;
		for (unsigned i = 0; i < 2; i++)
			guest_request(g, i, VBLK_T_DISCARD, 0, DATA, 256);
		assert_int_equal(guest_serve(g), 1);
		v = virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(v.started, 0);
		assert_true(v.more);
		assert_int_equal(v.again_tsc, 0);
		target_release(g, 1);
		assert_int_equal(guest_serve(g), 1);
		target_release(g, 1);
		assert_int_equal(drain(), 2);
		assert_null(g->broken_why);
		guest_close(g);
	}
}

/* A device whose back end does not answer, and one beside it: requests with many elements, of which the poller has few arrays. */
static void test_a_stuck_device_leaves_room_for_its_neighbour(void **state)
{
	const struct guest_kind kind = {.size = 512, .indirect = true};
	static struct guest neighbour;

	(void)state;
	guest_open(g, &kind);
	guest_open(&neighbour, &kind);
	virtio_worker_free(neighbour.worker);
	neighbour.worker = g->worker;
	guest_start(g);
	guest_start(&neighbour);
	g->target.hold = true;
	for (unsigned i = 0; i < 300; i++)
		put_long_read(8);
	assert_int_equal(guest_serve(g), 128);
	for (unsigned i = 0; i < 50; i++) {
		struct buffer b[11] = {{.addr = HEADERS, .length = 16}};
		uint32_t length;
		uint16_t id;

		guest_header(&neighbour, HEADERS, VBLK_T_IN, 0);
		for (unsigned j = 0; j < 8; j++)
			b[1 + j] = (struct buffer){.addr = DATA + j * 1024, .length = 512, .writable = true};
		b[9] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
		guest_put(&neighbour, b, 10);
		assert_int_equal(guest_serve(&neighbour), 1);
		assert_true(guest_get(&neighbour, &id, &length));
		assert_int_equal(guest_status(&neighbour, 0), VBLK_S_OK);
	}
	guest_stop(&neighbour);
	neighbour.worker = NULL;
	guest_close(&neighbour);
	target_release(g, 1);
	guest_close(g);
}

static void test_long_requests_give_their_arrays_back(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		for (unsigned i = 0; i < 600; i++) { /* there are 256 */
			put_long_read(12);
			assert_int_equal(guest_serve(g), 1);
			assert_int_equal(drain(), 1);
			assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		}
	}
}

/* Not one request left: the ring is not even parsed, and nothing is lost. */
static void test_no_request_left(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct request *taken[257];
		unsigned count = 0;
		struct visit v;

		guest_start(g);
		while ((taken[count] = worker_request_take(g->worker)) != NULL)
			count++;
		put_reads(0, 3);
		v = virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(v.started, 0);
		assert_true(v.more);
		while (count > 0) {
			taken[--count]->flags = 0;
			worker_request_put(g->worker, taken[count]);
		}
		assert_int_equal(guest_serve(g), 3);
		assert_int_equal(drain(), 3);
	}
}

/* The VMM truncates the memory, or the record: the queue stops, what is in flight still ends. */
static void test_memory_that_is_lost(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		g->target.hold = true;
		put_reads(0, 2);
		guest_serve(g);
		if (g->kind.no_record)
			g->memory.lost = true;
		else
			g->inflight.lost = true;
		put_reads(2, 2);
		assert_int_equal(guest_serve(g), 0);
		assert_non_null(g->broken_why);
		target_release(g, 1);
		assert_int_equal(drain(), 2);
	}
}

/* ---- accounts ---- */

/* Held back for longer than looks can be remembered one by one: the sums still agree. */
static void test_accounts_of_a_long_wait(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		const struct virtqueue_accounts *a;

		guest_start(g);
		a = virtqueue_accounts(g->vq);
		target_throttle(g, 0);
		for (unsigned i = 0; i < 12; i++) {
			put_reads(i, 1);
			g->now += 10;
			assert_int_equal(virtqueue_visit(g->vq, g->now).started, 0);
		}
		g->target.admit_left = 100;
		guest_serve(g);
		assert_int_equal(a->ring.departures, 12);
		assert_int_equal(a->ring.occupancy_ticks, a->ring.wait_ticks);
		assert_int_equal(drain(), 12);
	}
}

/* Little's law, exactly: when all have left, the integral of the occupancy is the sum of the waits. */
static void test_accounts_balance(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		const struct virtqueue_accounts *a;
		unsigned seed = 7, put = 0;

		guest_start(g);
		a = virtqueue_accounts(g->vq);
		for (unsigned step = 0; step < 500; step++) {
			struct visit v;

			seed = seed * 1103515245 + 12345;
			g->target.hold = seed >> 16 & 1;
			for (unsigned i = 0; i < (seed >> 20) % 5 && g->free_count >= 3 && (!g->kind.packed || g->free_slots >= 3);
			     i++)
				put_reads(put++ % 100, 1);
			g->now += 10 + (seed >> 24) % 90;
			v = virtqueue_visit(g->vq, g->now);
			(void)v;
			if ((seed >> 17 & 3) == 0)
				target_release(g, -1);
			else
				virtio_worker_publish(g->worker, g->now);
			drain();
		}
		g->target.hold = false;
		guest_serve(g);
		target_release(g, 1);
		drain();
		assert_int_equal(a->ring.arrivals, put);
		assert_int_equal(a->ring.departures, put);
		assert_int_equal(a->device.arrivals, put);
		assert_int_equal(a->device.departures, put);
		assert_int_equal(a->ring.occupancy_ticks, a->ring.wait_ticks);
		assert_int_equal(a->device.occupancy_ticks, a->device.wait_ticks);
		assert_int_equal(a->device.bytes, put * 512);
		assert_true(a->ring.wait_ticks > 0 && a->device.wait_ticks > 0);
	}
}

static void test_sleeping_queue_has_no_wait(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		guest_start(g);
		assert_true(virtqueue_arm(g->vq));
		put_reads(0, 1);
		g->now += 1000000; /* until the kick */
		guest_serve(g);
		assert_int_equal(virtqueue_accounts(g->vq)->ring.wait_ticks, 0);
		assert_int_equal(virtqueue_accounts(g->vq)->kicks_suppressed, 0);
		virtqueue_disarm(g->vq);
		put_reads(1, 1);
		guest_serve(g);
		assert_int_equal(virtqueue_accounts(g->vq)->kicks_suppressed, 1);
		assert_int_equal(drain(), 2);
	}
}

/* ---- a guest that writes while we read ---- */

struct scribbler {
	uint8_t *p;
	bool stop;
};

static void *scribble(void *argument)
{
	struct scribbler *s = argument;
	unsigned seed = 1;

	/* Descriptors, header and table of the first request: flags, lengths, addresses, sector, all of it. */
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		static const uint32_t places[] = {0x1000, 0x1010, 0x1020, HEADERS, TABLES, TABLES + 16, TABLES + 32};

		seed = seed * 1103515245 + 12345;
		__atomic_store_n(s->p + places[(seed >> 8) % 7] + (seed >> 16) % 16, (uint8_t)(seed >> 24), __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever it catches us at: the target is never given what the contract of blockio.h forbids (guest.c asserts that), and no access
 * leaves the guest's memory (the sanitizers see to it). */
static void test_indices_and_descriptors_change_while_read(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct scribbler s = {0};
		pthread_t thread;

		guest_open(g, &guest_kinds[round % guest_kinds_count]);
		guest_start(g);
		s.p = guest_at(g, 0);
		for (unsigned i = 0; i < 8; i++)
			guest_request(g, 0, VBLK_T_IN, 0, DATA, 512);
		assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
		for (unsigned i = 0; i < 200; i++) {
			virtqueue_visit(g->vq, ++g->now);
			virtio_worker_publish(g->worker, g->now);
			if (!g->kind.packed && g->broken_why == NULL)
				__atomic_store_n(&g->avail->idx, (uint16_t)(g->avail->idx + 1), __ATOMIC_RELEASE);
		}
		__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		assert_int_equal(virtqueue_in_flight(g->vq), 0);
		guest_close(g);
	}
}

/* ---- device ---- */

static void test_features_and_config(void **state)
{
	const struct guest_kind kind = {.size = 64};
	struct virtio_blk_config config = {.serial = "s", .queues_max = 4};
	struct virtio_blk *blk;
	uint8_t bytes[VIRTIO_BLK_CONFIG_BYTES];

	(void)state;
	guest_open(g, &kind);
	config.target = &g->target.target;
	assert_int_equal(virtio_blk_create(&blk, &config), 0);
	assert_int_equal(virtio_blk_features(blk) & BIT64(VIRTIO_F_RING_PACKED), 0);
	assert_int_equal(virtio_blk_features(g->blk) & BIT64(VIRTIO_F_RING_PACKED), BIT64(VIRTIO_F_RING_PACKED));
	assert_int_equal(virtio_blk_features(blk) & BIT64(VBLK_F_RO), 0);
	assert_int_equal(virtio_blk_config_read(blk, &g->state, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(*(uint64_t *)(void *)bytes, TARGET_BYTES / 512);
	assert_int_equal(*(uint32_t *)(void *)(bytes + VBLK_CONFIG_SEG_MAX), VIRTIO_BLK_SEG_MAX);
	assert_int_equal(*(uint32_t *)(void *)(bytes + VBLK_CONFIG_BLK_SIZE), 512);
	assert_int_equal(bytes[VBLK_CONFIG_PHYSICAL_BLOCK_EXP], 3);
	assert_int_equal(bytes[VBLK_CONFIG_NUM_QUEUES], 4);
	assert_int_equal(bytes[VBLK_CONFIG_MAX_DISCARD_SEG], VIRTIO_BLK_DISCARD_SEG_MAX);
	g->target.target.capacity_bytes = TARGET_BYTES * 2;
	assert_int_equal(virtio_blk_config_read(blk, &g->state, 0, bytes, 8), 0);
	assert_int_equal(*(uint64_t *)(void *)bytes, TARGET_BYTES / 256);
	assert_int_equal(virtio_blk_config_read(blk, &g->state, 0, bytes, sizeof(bytes) + 1), -EINVAL);
	assert_int_equal(virtio_blk_config_read(blk, &g->state, sizeof(bytes), bytes, 1), -EINVAL);
	assert_int_equal(virtio_blk_config_read(blk, &g->state, UINT32_MAX, bytes, UINT32_MAX), -EINVAL);
	virtio_blk_free(blk);
	g->target.target.read_only = 1;
	g->target.target.block_size_bytes = 4096;
	assert_int_equal(virtio_blk_create(&blk, &config), 0);
	assert_int_equal(virtio_blk_features(blk) & (BIT64(VBLK_F_RO) | BIT64(VBLK_F_DISCARD)), BIT64(VBLK_F_RO));
	assert_int_equal(virtio_blk_config_read(blk, &g->state, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(bytes[VBLK_CONFIG_PHYSICAL_BLOCK_EXP], 0);
	assert_int_equal(bytes[VBLK_CONFIG_MAX_DISCARD_SEG], 0);
	virtio_blk_free(blk);
	config.queues_max = 0;
	assert_int_equal(virtio_blk_create(&blk, &config), -EINVAL);
	config.queues_max = DEVICE_QUEUES_MAX + 1;
	assert_int_equal(virtio_blk_create(&blk, &config), -EINVAL);
	guest_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_follow_flags),
		cmocka_unit_test(test_split_used_event),
		cmocka_unit_test(test_packed_used_event),
		cmocka_unit_test(test_guest_that_polls),
		cmocka_unit_test(test_arm_and_disarm),
		cmocka_unit_test(test_allowance_holds_in_ring_order),
		cmocka_unit_test(test_allowance_is_asked_once_for_many_ranges),
		cmocka_unit_test(test_stop_while_held_back),
		cmocka_unit_test(test_stop_waits_for_what_is_in_flight),
		cmocka_unit_test(test_rings_that_are_refused),
		cmocka_unit_test(test_batch_is_bounded),
		cmocka_unit_test(test_bytes_of_a_visit_are_bounded),
		cmocka_unit_test(test_iov_arrays_run_out),
		cmocka_unit_test(test_requests_run_out),
		cmocka_unit_test(test_a_stuck_device_leaves_room_for_its_neighbour),
		cmocka_unit_test(test_long_requests_give_their_arrays_back),
		cmocka_unit_test(test_no_request_left),
		cmocka_unit_test(test_memory_that_is_lost),
		cmocka_unit_test(test_accounts_of_a_long_wait),
		cmocka_unit_test(test_accounts_balance),
		cmocka_unit_test(test_sleeping_queue_has_no_wait),
		cmocka_unit_test(test_indices_and_descriptors_change_while_read),
		cmocka_unit_test(test_features_and_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
