/* The in-flight record: its layout, its recovery, and content that cannot be. */
#include "../cmocka_all.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "virtio/inflight_queue.h"
#include "virtio/virtqueue.h"

enum { SIZE = 16 };

static struct inflight file;
static struct inflight_queue *q;
static struct inflight_recovery r;
static struct vring_packed_desc ring[SIZE];
static int fd;

static void open_record(bool packed)
{
	memset(ring, 0, sizeof(ring));
	assert_int_equal(inflight_create(&file, 2, SIZE, packed, &fd), 0);
	q = inflight_queue(&file, 1);
}

static void close_record(void)
{
	inflight_unmap(&file);
	close(fd);
}

static int recover_split(uint16_t used_idx)
{
	return inflight_recover_split(q, SIZE, used_idx, &r);
}

static int recover_packed(void)
{
	return inflight_recover_packed(q, ring, SIZE, 0, true, &r);
}

/* ---- layout ---- */

/* Byte offsets of vhost-user.rst, "Inflight I/O tracking". */
static void test_layout(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct inflight_split, version), 8);
	assert_int_equal(offsetof(struct inflight_split, desc_num), 10);
	assert_int_equal(offsetof(struct inflight_split, last_batch_head), 12);
	assert_int_equal(offsetof(struct inflight_split, used_idx), 14);
	assert_int_equal(offsetof(struct inflight_split, desc), 16);
	assert_int_equal(offsetof(struct inflight_split_entry, next), 6);
	assert_int_equal(offsetof(struct inflight_split_entry, counter), 8);
	assert_int_equal(offsetof(struct inflight_packed, free_head), 12);
	assert_int_equal(offsetof(struct inflight_packed, old_free_head), 14);
	assert_int_equal(offsetof(struct inflight_packed, used.used_idx), 16);
	assert_int_equal(offsetof(struct inflight_packed, used.old_used_idx), 18);
	assert_int_equal(offsetof(struct inflight_packed, used.used_wrap_counter), 20);
	assert_int_equal(offsetof(struct inflight_packed, used.old_used_wrap_counter), 21);
	assert_int_equal(offsetof(struct inflight_packed, desc), 32);
	assert_int_equal(offsetof(struct inflight_packed_entry, next), 2);
	assert_int_equal(offsetof(struct inflight_packed_entry, last), 4);
	assert_int_equal(offsetof(struct inflight_packed_entry, num), 6);
	assert_int_equal(offsetof(struct inflight_packed_entry, counter), 8);
	assert_int_equal(offsetof(struct inflight_packed_entry, id), 16);
	assert_int_equal(offsetof(struct inflight_packed_entry, flags), 18);
	assert_int_equal(offsetof(struct inflight_packed_entry, len), 20);
	assert_int_equal(offsetof(struct inflight_packed_entry, addr), 24);
	assert_int_equal(inflight_size_bytes(1, 128, false), 16 + 128 * 16 + 48); /* to the next 64 */
	assert_int_equal(inflight_size_bytes(3, 128, true), 3 * (32 + 128 * 32 + 32));
}

static void test_mapping_is_checked(void **state)
{
	const uint64_t bytes = inflight_size_bytes(2, SIZE, false);

	(void)state;
	fd = memfd_create("record", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)bytes + 64), 0);
	assert_int_equal(inflight_map(&file, fd, 0, bytes, 0, SIZE, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 0, bytes, DEVICE_QUEUES_MAX + 1, 1, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 0, bytes, 2, 0, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 0, UINT64_MAX, 1, VIRTQUEUE_SIZE_MAX + 1, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 0, bytes - 1, 2, SIZE, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 0, bytes, 2, SIZE, true), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 128, bytes, 2, SIZE, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, 8, bytes, 2, SIZE, false), -EINVAL);
	assert_int_equal(inflight_map(&file, fd, UINT64_MAX - 63, bytes, 2, SIZE, false), -EINVAL);
	assert_int_equal(inflight_map(&file, -1, 0, bytes, 2, SIZE, false), -EBADF);
	assert_int_equal(inflight_map(&file, fd, 64, bytes, 2, SIZE, false), 0);
	assert_null(inflight_queue(&file, 2));
	inflight_queue(&file, 0)->split->version = 77;
	assert_int_equal(pread(fd, &r, 10, 64), 10);
	assert_int_equal(((uint8_t *)&r)[8], 77);
	close_record();
}

/* ---- split ---- */

static void test_split_fresh(void **state)
{
	(void)state;
	open_record(false);
	q->split->desc[3].inflight = 1; /* means nothing in an uninitialised buffer */
	assert_int_equal(recover_split(500), 0);
	assert_false(r.valid);
	assert_int_equal(r.count, 0);
	assert_int_equal(q->split->version, 1);
	assert_int_equal(q->split->desc_num, SIZE);
	assert_int_equal(q->split->used_idx, 500);
	assert_int_equal(recover_split(500), 0);
	assert_true(r.valid);
	assert_int_equal(r.count, 0);
	close_record();
}

static void test_split_order_of_counters(void **state)
{
	static const uint16_t heads[] = {7, 0, 12, 3};

	(void)state;
	open_record(false);
	assert_int_equal(recover_split(0), 0);
	q->counter = 0xfffffffe; /* over 32 bits */
	for (unsigned i = 0; i < 4; i++)
		assert_true(inflight_split_take(q, heads[i]));
	assert_false(inflight_split_take(q, 12));
	assert_int_equal(recover_split(0), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.in_flight_slots, 4);
	assert_memory_equal(r.entries, heads, sizeof(heads));
	assert_int_equal(q->counter, 0x100000002);
	close_record();
}

/* Killed after the used index moved, before any of the batch was cleared; head 0 is a head. */
static void test_split_batch_that_was_published(void **state)
{
	(void)state;
	open_record(false);
	assert_int_equal(recover_split(0xffff), 0);
	for (uint16_t i = 0; i < 5; i++)
		assert_true(inflight_split_take(q, i));
	inflight_split_link(q, 3);
	inflight_split_link(q, 0);
	inflight_split_batch(q);
	assert_int_equal(recover_split(0xffff), 0); /* not yet published: all five */
	assert_int_equal(r.count, 5);
	assert_int_equal(recover_split(1), 0); /* published: two are done, over the end of the index */
	assert_int_equal(r.count, 3);
	assert_int_equal(r.entries[0], 1);
	assert_int_equal(r.entries[1], 2);
	assert_int_equal(r.entries[2], 4);
	assert_int_equal(q->split->used_idx, 1);
	close_record();
}

static void test_split_content_that_cannot_be(void **state)
{
	(void)state;
	open_record(false);
	assert_int_equal(recover_split(0), 0);
	q->split->version = 2;
	assert_int_equal(recover_split(0), -EINVAL);
	q->split->version = 1;
	q->split->desc_num = SIZE + 1;
	assert_int_equal(recover_split(0), -EINVAL);
	q->split->desc_num = SIZE;
	assert_int_equal(recover_split(SIZE + 1), -EINVAL); /* a batch larger than the ring */
	q->split->last_batch_head = SIZE;
	assert_int_equal(recover_split(1), -EINVAL);
	q->split->last_batch_head = 0;
	q->split->desc[0].next = 0xffff;
	assert_int_equal(recover_split(2), -EINVAL);
	q->split->desc[0].next = 0; /* a loop ends with the batch */
	assert_int_equal(recover_split(SIZE), 0);
	q->split->desc[5].inflight = 2;
	assert_int_equal(recover_split(SIZE), -EINVAL);
	q->split->desc[5].inflight = 1;
	assert_int_equal(inflight_recover_split(q, 4, SIZE, &r), -EINVAL); /* a head beyond the ring */
	assert_int_equal(inflight_recover_split(q, SIZE + 1, SIZE, &r), -EINVAL);
	assert_int_equal(inflight_recover_packed(q, ring, SIZE, 0, true, &r), -EINVAL);
	close_record();
}

/* ---- packed ---- */

static void set_slot(unsigned slot, bool wrap, bool used)
{
	ring[slot].flags =
		(uint16_t)((wrap ? 1 << VRING_PACKED_DESC_F_AVAIL : 0) | (wrap == used ? 1 << VRING_PACKED_DESC_F_USED : 0));
}

static uint16_t take(uint16_t count, uint16_t id)
{
	struct vring_packed_desc d[SIZE];

	for (uint16_t i = 0; i < count; i++)
		d[i] = (struct vring_packed_desc){.addr = id * 1000u + i, .len = i, .id = id, .flags = VRING_DESC_F_NEXT};
	return inflight_packed_take(q, d, count);
}

static void test_packed_fresh(void **state)
{
	(void)state;
	open_record(true);
	assert_int_equal(inflight_recover_packed(q, ring, SIZE, 5, false, &r), 0);
	assert_false(r.valid);
	assert_int_equal(recover_packed(), 0); /* the record says where, not the caller */
	assert_true(r.valid);
	assert_int_equal(r.next_used, 5);
	assert_false(r.used_wrap);
	assert_int_equal(r.count, 0);
	close_record();
}

static void test_packed_chains_in_order(void **state)
{
	uint16_t a, b, c;

	(void)state;
	open_record(true);
	assert_int_equal(recover_packed(), 0);
	a = take(3, 11);
	b = take(1, 22);
	c = take(2, 33);
	inflight_packed_free(q, b);
	inflight_packed_batch(q, 1, true);
	inflight_packed_drop(q, b);
	inflight_packed_commit(q, 1, true);
	b = take(4, 44); /* reuses the entry of 22 first */
	assert_int_equal(recover_packed(), 0);
	assert_int_equal(r.next_used, 1);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.in_flight_slots, 9);
	assert_int_equal(r.entries[0], a);
	assert_int_equal(r.entries[1], c);
	assert_int_equal(r.entries[2], b);
	assert_int_equal(q->packed->desc[b].num, 4);
	assert_int_equal(q->packed->desc[q->last[b]].addr, 44003);
	close_record();
}

static void test_packed_batch_published_or_not(void **state)
{
	(void)state;
	for (unsigned published = 0; published < 2; published++) {
		uint16_t a, b;

		open_record(true);
		assert_int_equal(recover_packed(), 0);
		a = take(3, 1);
		b = take(2, 2);
		set_slot(0, true, published);
		inflight_packed_free(q, a);
		inflight_packed_batch(q, 3, true);
		assert_int_equal(recover_packed(), 0);
		assert_int_equal(r.next_used, published ? 3 : 0);
		assert_int_equal(r.count, published ? 1 : 2);
		assert_int_equal(r.in_flight_slots, published ? 2 : 5);
		assert_int_equal(r.entries[0], published ? b : a);
		close_record();
	}
}

/* A batch of the whole ring: the index is where it was, only the wrap counter tells. */
static void test_packed_batch_of_a_whole_lap(void **state)
{
	(void)state;
	for (unsigned published = 0; published < 2; published++) {
		open_record(true);
		assert_int_equal(recover_packed(), 0);
		for (uint16_t i = 0; i < SIZE; i++)
			take(1, i);
		set_slot(0, true, published);
		for (uint16_t i = 0; i < SIZE; i++)
			inflight_packed_free(q, i);
		inflight_packed_batch(q, 0, false);
		assert_int_equal(recover_packed(), 0);
		assert_int_equal(r.next_used, 0);
		assert_int_equal(r.used_wrap, !published);
		assert_int_equal(r.count, published ? 0 : SIZE);
		close_record();
	}
}

static void test_packed_content_that_cannot_be(void **state)
{
	uint16_t a, b;

	(void)state;
	open_record(true);
	assert_int_equal(recover_packed(), 0);
	a = take(3, 1);
	b = take(2, 2);
#define REFUSED(field, bad)                                                                                                        \
	do {                                                                                                                       \
		__typeof__(field) good_ = field;                                                                                   \
		field = bad;                                                                                                       \
		assert_int_equal(recover_packed(), -EINVAL);                                                                       \
		field = good_;                                                                                                     \
	} while (0)
	REFUSED(q->packed->version, 9);
	REFUSED(q->packed->desc_num, SIZE - 1);
	REFUSED(q->packed->used.old_used_idx, SIZE);
	REFUSED(q->packed->used.used_idx, SIZE);
	REFUSED(q->packed->used.used_wrap_counter, 2);
	REFUSED(q->packed->used.old_used_wrap_counter, 0xff);
	REFUSED(q->packed->desc[a].inflight, 3);
	REFUSED(q->packed->desc[a].num, 0);
	REFUSED(q->packed->desc[a].num, SIZE + 1);
	REFUSED(q->packed->desc[a].num, 2); /* does not end where it says */
	REFUSED(q->packed->desc[a].num, 4); /* runs into the next chain */
	REFUSED(q->packed->desc[a].last, SIZE);
	REFUSED(q->packed->desc[a].next, SIZE);
	REFUSED(q->packed->desc[a].next, a);					     /* a loop */
	REFUSED(q->packed->desc[a].next, b);					     /* two chains share an entry */
	assert_int_equal(inflight_recover_packed(q, ring, 4, 0, true, &r), -EINVAL); /* more in flight than the ring has slots */
	assert_int_equal(inflight_recover_packed(q, ring, SIZE + 1, 0, true, &r), -EINVAL);
	assert_int_equal(inflight_recover_split(q, SIZE, 0, &r), -EINVAL);
	assert_int_equal(recover_packed(), 0);
	assert_int_equal(r.count, 2);
	close_record();
}

/* A free list that is a mess loses nothing that is in flight, and is whole afterwards. */
static void test_packed_free_list_is_rebuilt(void **state)
{
	(void)state;
	open_record(true);
	assert_int_equal(recover_packed(), 0);
	take(3, 1);
	for (unsigned i = 3; i < SIZE; i++)
		q->packed->desc[i].next = (uint16_t)(i == 9 ? 3 : 0xfff0 + i);
	assert_int_equal(recover_packed(), 0);
	assert_int_equal(r.count, 1);
	for (unsigned i = 0; i < SIZE - 3; i++)
		take(1, (uint16_t)i);
	assert_int_equal(recover_packed(), 0);
	assert_int_equal(r.count, SIZE - 2);
	assert_int_equal(r.in_flight_slots, SIZE);
	close_record();
}

/* ---- through the front end ---- */

static struct guest guest, *const g = &guest;

/* The process is gone: nothing is released, a successor maps the same. */
static void abandon(void)
{
	virtio_worker_free(g->worker);
	assert_int_equal(virtio_worker_create(&g->worker, 256), 0);
	inflight_unmap(&g->inflight);
	assert_int_equal(inflight_map(&g->inflight, g->inflight_fd, 0, inflight_size_bytes(1, g->kind.size, g->kind.packed), 1,
				      g->kind.size, g->kind.packed),
			 0);
	g->target.held_count = 0;
	g->target.hold = false;
	g->target.ios = 0;
}

/* A process that dies frees nothing, but the leak checker wants it. */
static void free_dead(struct virtqueue *dead)
{
	free(dead->redo);
	free(dead);
}

static void test_successor_does_again_what_was_in_flight(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct virtqueue *dead;
		uint32_t length;
		uint16_t id;

		if (g->kind.no_record)
			continue;
		guest_start(g);
		g->target.hold = true;
		for (unsigned i = 0; i < 10; i++)
			guest_request(g, i, VBLK_T_IN, i, DATA + i * 512u, 512);
		guest_serve(g);
		/* 2 and 7 complete, the rest does not. */
		g->target.held[2]->complete(g->target.held[2], 0);
		g->target.held[7]->complete(g->target.held[7], 0);
		virtio_worker_publish(g->worker, ++g->now);
		guest_request(g, 10, VBLK_T_IN, 10, DATA + 5120, 512);
		dead = g->vq;
		abandon();
		guest_start(g);
		assert_false(virtqueue_arm(g->vq)); /* there is work, whatever the ring says */
		assert_int_equal(guest_serve(g), 9);
		assert_int_equal(g->target.ios, 9);
		for (unsigned i = 0, k = 0; i < 11; i++) {
			if (i == 2 || i == 7)
				continue;
			assert_int_equal(g->target.log[k++].offset_bytes, i * 512);
			assert_int_equal(guest_status(g, i), VBLK_S_OK);
		}
		for (unsigned i = 0; i < 11; i++)
			assert_true(guest_get(g, &id, &length));
		assert_false(guest_get(g, &id, &length));
		assert_null(g->broken_why);
		free_dead(dead);
	}
}

/* Stopped before all of it was done again: the rest is left for the next. */
static void test_stop_in_the_middle_of_doing_again(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct virtqueue *dead;
		uint32_t length;
		uint16_t id;

		if (g->kind.no_record)
			continue;
		guest_start(g);
		g->target.hold = true;
		for (unsigned i = 0; i < 10; i++)
			guest_request(g, i, VBLK_T_IN, i, DATA + i * 512u, 512);
		guest_serve(g);
		dead = g->vq;
		abandon();
		guest_start(g);
		target_throttle(g, 4);
		virtqueue_visit(g->vq, ++g->now);
		guest_stop(g);
		for (unsigned i = 0; i < 4; i++)
			assert_true(guest_get(g, &id, &length));
		assert_false(guest_get(g, &id, &length));
		g->target.admit_left = 100;
		guest_start(g);
		assert_int_equal(guest_serve(g), 6);
		for (unsigned i = 0; i < 6; i++)
			assert_true(guest_get(g, &id, &length));
		assert_false(guest_get(g, &id, &length));
		free_dead(dead);
	}
}

/* The card is stopped and the VMM could not ask where the ring stood: what it says of a packed ring is long past. */
static void test_stop_that_the_vmm_does_not_hear_of(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct virtqueue_state told = g->state.queues[0];
		uint32_t length;
		uint16_t id;

		if (g->kind.no_record)
			continue;
		for (unsigned life = 0; life < 3; life++) {
			guest_start(g);
			for (unsigned i = 0; i < 5; i++)
				guest_request(g, i, VBLK_T_IN, i, DATA, 512);
			assert_int_equal(guest_serve(g), 5);
			for (unsigned i = 0; i < 5; i++)
				assert_true(guest_get(g, &id, &length));
			guest_stop(g);
			if (!g->kind.packed) /* the VMM finds the position of a split ring in the ring */
				told.next_avail = told.next_used = g->state.queues[0].next_used;
			abandon();
			g->state.queues[0] = told;
		}
		assert_null(g->broken_why);
	}
}

/* A device reset between an orderly stop and a start: the record of before says nothing about the ring of now. */
static void test_reset_after_an_orderly_stop(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		uint32_t length;
		uint16_t id;

		guest_start(g);
		for (unsigned i = 0; i < 5; i++)
			guest_request(g, i, VBLK_T_IN, i, DATA, 512);
		guest_serve(g);
		guest_stop(g);
		if (!g->kind.no_record)
			inflight_close(inflight_queue(&g->inflight, 0)); /* GET_VRING_BASE */
		guest_reset_ring(g);
		guest_start(g);
		guest_request(g, 0, VBLK_T_IN, 0, DATA, 512);
		assert_int_equal(guest_serve(g), 1);
		assert_true(guest_get(g, &id, &length));
		assert_null(g->broken_why);
	}
}

static void test_record_that_cannot_be_stops_the_start(void **state)
{
	(void)state;
	EACH_KIND(g)
	{
		struct virtqueue *vq;

		if (g->kind.no_record)
			continue;
		memset(g->inflight.mapping, 0xee, g->inflight.mapping_bytes);
		assert_int_equal(virtio_blk_queue_start(g->blk, g->worker, 0, &g->state, &g->memory,
							inflight_queue(&g->inflight, 0), -1, 0, &vq),
				 -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_mapping_is_checked),
		cmocka_unit_test(test_split_fresh),
		cmocka_unit_test(test_split_order_of_counters),
		cmocka_unit_test(test_split_batch_that_was_published),
		cmocka_unit_test(test_split_content_that_cannot_be),
		cmocka_unit_test(test_packed_fresh),
		cmocka_unit_test(test_packed_chains_in_order),
		cmocka_unit_test(test_packed_batch_published_or_not),
		cmocka_unit_test(test_packed_batch_of_a_whole_lap),
		cmocka_unit_test(test_packed_content_that_cannot_be),
		cmocka_unit_test(test_packed_free_list_is_rebuilt),
		cmocka_unit_test(test_successor_does_again_what_was_in_flight),
		cmocka_unit_test(test_stop_in_the_middle_of_doing_again),
		cmocka_unit_test(test_stop_that_the_vmm_does_not_hear_of),
		cmocka_unit_test(test_reset_after_an_orderly_stop),
		cmocka_unit_test(test_record_that_cannot_be_stops_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
