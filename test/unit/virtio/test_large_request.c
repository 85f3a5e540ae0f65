/* Requests too large for one visit: cut, served in turns, complete as one. */
#include "../cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "virtio/virtqueue.h"

enum { PIECE = VIRTIO_BLK_VISIT_BYTES_MAX, LENGTH = 3 * PIECE + 512 };

static struct guest guest, *const g = &guest;

/* The data lies in one region of 1 MiB, several times over: overlapping pieces of a read are the guest's own affair, and each byte
 * of the target is asked for once. The target is larger than its bytes: it keeps only what comes by. */
static uint16_t put_large(uint32_t type)
{
	struct buffer b[9] = {{.addr = HEADERS, .length = 16}};
	unsigned n = 1;

	guest_header(g, HEADERS, type, 8);
	for (unsigned i = 0; i < 6; i++)
		b[n++] = (struct buffer){
			.addr = REGION_FAR + i, .length = PIECE / 2 + (i % 2 == 0 ? 100 : -100), .writable = type == VBLK_T_IN};
	b[n++] = (struct buffer){.addr = REGION_FAR, .length = 512, .writable = type == VBLK_T_IN};
	b[n++] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
	*(uint8_t *)guest_at(g, STATUSES) = 0xff;
	return guest_put(g, b, n);
}

static void open_large(const struct guest_kind *kind)
{
	guest_open(g, kind);
	g->target.target.capacity_bytes = UINT64_C(1) << 30;
	g->target.hold = true;
	g->target.no_data = true;
	guest_start(g);
}

static void expect_used(uint16_t id, uint32_t length)
{
	uint32_t got_length = 0;
	uint16_t got = 0;

	assert_true(guest_get(g, &got, &got_length));
	assert_int_equal(got, id);
	assert_int_equal(got_length, length);
}

static void test_one_piece_a_visit(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		uint64_t offset = 8 * 512;
		uint16_t id, small;

		open_large(&guest_kinds[k]);
		id = put_large(VBLK_T_OUT);
		small = guest_request(g, 1, VBLK_T_FLUSH, 0, 0, 0);
		for (unsigned i = 0; i < 4; i++) {
			struct visit v = virtqueue_visit(g->vq, ++g->now);

			assert_int_equal(v.started, 1);
			assert_true(v.more);
			assert_int_equal(g->target.held_count, i + 1);
			assert_int_equal(g->target.log[i].offset_bytes, offset);
			assert_int_equal(g->target.log[i].length_bytes, i < 3 ? PIECE : 512);
			assert_int_equal(g->target.log[i].op, BLK_WRITE);
			assert_false(virtqueue_arm(g->vq));
			offset += PIECE;
			if (i < 3)
				assert_int_equal(virtqueue_in_flight(g->vq), 1);
		}
		guest_serve(g);
		assert_int_equal(g->target.ios, 5); /* and now the one behind it */
		target_release(g, -1);
		expect_used(small, 1);
		expect_used(id, 1);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		assert_int_equal(virtqueue_in_flight(g->vq), 0);
		guest_close(g);
	}
}

static void test_read_that_completes_at_once(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		uint16_t id;

		open_large(&guest_kinds[k]);
		g->target.hold = false;
		id = put_large(VBLK_T_IN);
		guest_serve(g);
		expect_used(id, LENGTH + 1);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		assert_int_equal(g->target.ios, 4);
		assert_int_equal(virtqueue_accounts(g->vq)->device.departures, 1);
		guest_close(g);
	}
}

static void test_one_piece_fails(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		uint16_t id;

		open_large(&guest_kinds[k]);
		id = put_large(VBLK_T_IN);
		while (virtqueue_visit(g->vq, ++g->now).started > 0)
			;
		assert_int_equal(g->target.held_count, 4);
		for (unsigned i = 0; i < 4; i++)
			g->target.held[i]->complete(g->target.held[i], i == 1 ? -EIO : 0);
		g->target.held_count = 0;
		virtio_worker_publish(g->worker, g->now);
		expect_used(id, 0);
		assert_int_equal(guest_status(g, 0), VBLK_S_IOERR);
		guest_close(g);
	}
}

/* Stopped between two pieces: it is still served to its end, without visits. */
static void test_stop_in_the_middle(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		uint16_t id;

		open_large(&guest_kinds[k]);
		id = put_large(VBLK_T_OUT);
		virtqueue_visit(g->vq, ++g->now);
		virtqueue_stop(g->vq);
		for (unsigned i = 1; i < 4; i++) {
			assert_int_equal(g->target.ios, i);
			assert_false(virtqueue_stopped(g->vq));
			virtio_worker_publish(g->worker, ++g->now);
		}
		assert_int_equal(g->target.ios, 4);
		assert_false(virtqueue_stopped(g->vq));
		target_release(g, 1);
		assert_true(virtqueue_stopped(g->vq));
		expect_used(id, 1);
		guest_close(g);
	}
}

/* The same with a target that completes at once: stopped when published, and nothing of it is left behind. */
static void test_stop_in_the_middle_completes_at_once(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		uint16_t id;

		open_large(&guest_kinds[k]);
		g->target.hold = false;
		id = put_large(VBLK_T_OUT);
		virtqueue_visit(g->vq, ++g->now);
		virtqueue_stop(g->vq);
		for (unsigned i = 0; i < 3; i++) {
			assert_false(virtqueue_stopped(g->vq));
			virtio_worker_publish(g->worker, ++g->now);
		}
		assert_true(virtqueue_stopped(g->vq));
		expect_used(id, 1);
		virtqueue_release(g->vq, &g->state.queues[0]);
		g->vq = NULL;
		assert_int_equal(virtio_worker_publish(g->worker, ++g->now), 0);
		guest_close(g);
	}
}

/* No request left in the pool for the next piece: the cut waits, and so does what is behind it. */
static void test_pool_runs_out(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		struct request *taken[257];
		unsigned count = 0;
		uint16_t id;

		open_large(&guest_kinds[k]);
		id = put_large(VBLK_T_OUT);
		virtqueue_visit(g->vq, ++g->now);
		while ((taken[count] = worker_request_take(g->worker)) != NULL)
			count++;
		assert_int_equal(virtqueue_visit(g->vq, ++g->now).started, 0);
		virtqueue_stop(g->vq);
		virtio_worker_publish(g->worker, ++g->now);
		virtio_worker_publish(g->worker, ++g->now);
		assert_int_equal(g->target.ios, 1);
		while (count > 0) {
			taken[--count]->flags = 0;
			worker_request_put(g->worker, taken[count]);
		}
		for (unsigned i = 0; i < 3; i++)
			virtio_worker_publish(g->worker, ++g->now);
		target_release(g, -1);
		assert_true(virtqueue_stopped(g->vq));
		expect_used(id, 1);
		guest_close(g);
	}
}

/* Many pieces of memory in each part, and no array left for one. */
static void test_iov_arrays_run_out(void **state)
{
	const struct guest_kind kind = {.size = 128};
	struct buffer b[127] = {{.addr = HEADERS, .length = 16}};
	const unsigned pieces = (124 * 32768 + PIECE - 1) / PIECE;
	struct iovec *taken[WORKER_IOVS + 1];
	unsigned count = 0;

	(void)state;
	open_large(&kind);
	guest_header(g, HEADERS, VBLK_T_OUT, 0);
	for (unsigned i = 0; i < 124; i++)
		b[1 + i] = (struct buffer){.addr = REGION_FAR + (i % 2) * 65536, .length = 32768};
	b[125] = (struct buffer){.addr = STATUSES, .length = 1, .writable = true};
	guest_put(g, b, 126);
	assert_int_equal(virtqueue_visit(g->vq, ++g->now).started, 1);
	assert_int_equal(g->target.log[0].iov_count, PIECE / 32768);
	while ((taken[count] = worker_iov_take(g->worker)) != NULL)
		count++;
	assert_int_equal(virtqueue_visit(g->vq, ++g->now).started, 0);
	assert_int_equal(g->target.ios, 1);
	while (count > 0)
		worker_iov_put(g->worker, taken[--count]);
	guest_serve(g);
	assert_int_equal(g->target.ios, pieces);
	assert_int_equal(g->target.log[1].offset_bytes, PIECE);
	assert_int_equal(g->target.log[pieces - 1].length_bytes, 124 * 32768 - (pieces - 1) * PIECE);
	target_release(g, 1);
	assert_int_equal(guest_status(g, 0), VBLK_S_OK);
	guest_close(g);
}

static void test_paid_for_in_one(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		open_large(&guest_kinds[k]);
		target_throttle(g, 1);
		g->target.hold = false;
		put_large(VBLK_T_IN);
		guest_serve(g);
		assert_int_equal(g->target.admit_asked, 1);
		assert_int_equal(g->target.admit_last->length_bytes, LENGTH);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		guest_close(g);
	}
}

/* Where data is moved in the visit, and others wait for theirs, pieces are small; once they are gone the rest goes at full length. */
static void test_small_pieces_while_others_wait(void **state)
{
	(void)state;
	for (unsigned k = 0; k < guest_kinds_count; k++) {
		open_large(&guest_kinds[k]);
		g->target.hold = false;
		g->target.target.inline_data = 1;
		virtio_worker_contend(g->worker, true);
		put_large(VBLK_T_IN);
		virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(g->target.ios, 1);
		assert_int_equal(g->target.log[0].length_bytes, VIRTIO_BLK_VISIT_BYTES_CONTENDED);
		virtio_worker_contend(g->worker, false);
		virtqueue_visit(g->vq, ++g->now);
		assert_int_equal(g->target.log[1].offset_bytes, 8 * 512 + VIRTIO_BLK_VISIT_BYTES_CONTENDED);
		assert_int_equal(g->target.log[1].length_bytes, PIECE);
		guest_serve(g);
		assert_int_equal(guest_status(g, 0), VBLK_S_OK);
		guest_close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_piece_a_visit),
		cmocka_unit_test(test_read_that_completes_at_once),
		cmocka_unit_test(test_one_piece_fails),
		cmocka_unit_test(test_stop_in_the_middle),
		cmocka_unit_test(test_stop_in_the_middle_completes_at_once),
		cmocka_unit_test(test_pool_runs_out),
		cmocka_unit_test(test_iov_arrays_run_out),
		cmocka_unit_test(test_paid_for_in_one),
		cmocka_unit_test(test_small_pieces_while_others_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
