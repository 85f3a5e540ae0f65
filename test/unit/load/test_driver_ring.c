/* The driver's side of both rings against a device model: every kind of ring, wrap-around, notifications, and devices that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/blk_driver.h"
#include "load/driver_ring.h"
#include "ring_device.h"

enum { CHAINS = 20, SEGMENTS = 3, DATA_BYTES = 64 };

struct rig {
	struct shared_memory memory;
	struct driver_ring ring;
	struct ring_device device;
	struct virtio_blk_outhdr *headers;
	uint8_t *data, *statuses;
};

static const struct driver_ring_config kinds[] = {
	{CHAINS, SEGMENTS, .packed = false, .indirect = false, .event_idx = false},
	{CHAINS, SEGMENTS, .packed = false, .indirect = false, .event_idx = true},
	{CHAINS, SEGMENTS, .packed = false, .indirect = true, .event_idx = true},
	{CHAINS, SEGMENTS, .packed = true, .indirect = false, .event_idx = false},
	{CHAINS, SEGMENTS, .packed = true, .indirect = false, .event_idx = true},
	{CHAINS, SEGMENTS, .packed = true, .indirect = true, .event_idx = true},
};

static void reset_device(struct rig *rig)
{
	struct driver_ring_layout layout = driver_ring_layout(&rig->ring);

	rig->device = (struct ring_device){.descriptor_area = layout.descriptor_area,
					   .driver_area = layout.driver_area,
					   .device_area = layout.device_area,
					   .memory = rig->memory.base,
					   .guest_address = SHARED_MEMORY_GUEST_ADDRESS,
					   .memory_bytes = rig->memory.size_bytes,
					   .size = rig->ring.size,
					   .packed = rig->ring.config.packed,
					   .event_idx = rig->ring.config.event_idx,
					   .avail_wrap = true,
					   .used_wrap = true};
}

static void lay(struct rig *rig, uint16_t chain, uint32_t type)
{
	struct driver_segment segments[] = {{&rig->headers[chain], sizeof(rig->headers[chain]), false},
					    {rig->data + chain * DATA_BYTES, DATA_BYTES, type == VIRTIO_BLK_T_IN},
					    {&rig->statuses[chain], 1, true}};

	rig->headers[chain].type = type;
	if (type == VIRTIO_BLK_T_FLUSH) {
		segments[1] = segments[2];
		driver_ring_lay(&rig->ring, chain, segments, 2);
	} else {
		driver_ring_lay(&rig->ring, chain, segments, 3);
	}
}

static void set_up(struct rig *rig, const struct driver_ring_config *kind)
{
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(shared_memory_create(&rig->memory, driver_ring_memory_bytes(kind) + 65536), 0);
	assert_int_equal(driver_ring_create(&rig->ring, kind, &rig->memory), 0);
	rig->headers = shared_memory_take(&rig->memory, CHAINS * sizeof(*rig->headers), 64);
	rig->data = shared_memory_take(&rig->memory, CHAINS * DATA_BYTES, 64);
	rig->statuses = shared_memory_take(&rig->memory, CHAINS, 64);
	for (uint16_t chain = 0; chain < CHAINS; chain++)
		lay(rig, chain, VIRTIO_BLK_T_IN);
	reset_device(rig);
}

static void tear_down(struct rig *rig)
{
	driver_ring_free(&rig->ring);
	shared_memory_free(&rig->memory);
}

static void post_one(struct rig *rig, uint16_t chain)
{
	driver_ring_post(&rig->ring, &chain, 1);
}

/* Through many laps of the ring, in ever different batches, chains of two and three descriptors mixed, completed out of order. */
static void round_trips(struct rig *rig)
{
	struct ring_request requests[CHAINS + 1]; /* one more to look for one more */
	uint16_t chains[CHAINS], idle[CHAINS];
	unsigned idle_count = CHAINS, total = 0;

	for (uint16_t i = 0; i < CHAINS; i++)
		idle[i] = i;
	for (unsigned lap = 0; lap < 2000; lap++) {
		unsigned n = 1 + lap * 7 % CHAINS, got = 0, done;
		const char *why;

		for (unsigned i = 0; i < n; i++)
			lay(rig, idle[i], (lap + i) % 5 == 0 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_IN);
		driver_ring_post(&rig->ring, idle, n);
		assert_int_equal(rig->ring.in_flight, n);
		while (ring_device_fetch(&rig->device, &requests[got], &why))
			got++;
		assert_null(why);
		assert_int_equal(got, n);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(requests[i].segments[0].length, sizeof(struct virtio_blk_outhdr));
			assert_int_equal(requests[i].count, (lap + i) % 5 == 0 ? 2 : 3);
			assert_ptr_equal(requests[i].segments[0].data, (uint8_t *)&rig->headers[idle[i]]);
			assert_false(requests[i].segments[0].writable);
			assert_true(requests[i].segments[requests[i].count - 1].writable);
		}
		for (unsigned i = 0; i < n; i++)
			ring_device_complete(&rig->device, &requests[(i + lap) % n], 1);
		memmove(idle, idle + n, (idle_count - n) * sizeof(idle[0]));
		idle_count -= n;
		for (done = 0; done < n;) {
			unsigned k = driver_ring_reap(&rig->ring, chains, 7);

			assert_in_range(k, 1, 7);
			memcpy(idle + idle_count, chains, k * sizeof(chains[0]));
			idle_count += k;
			done += k;
		}
		assert_int_equal(driver_ring_reap(&rig->ring, chains, CHAINS), 0);
		assert_null(rig->ring.broken);
		total += n;
	}
	assert_int_equal(idle_count, CHAINS);
	assert_true(total > 10u * rig->ring.size);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;

		set_up(&rig, &kinds[i]);
		round_trips(&rig);
		tear_down(&rig);
	}
}

static uint64_t kicks_received(const struct rig *rig)
{
	uint64_t n = 0;

	return read(rig->ring.kick_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* A kick exactly when the device asks for one: at the next request, not again until it asks again. */
static void test_kicks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;
		uint16_t chains[CHAINS];

		set_up(&rig, &kinds[i]);
		for (unsigned lap = 0; lap < 200; lap++) {
			ring_device_want_kicks(&rig.device, true);
			post_one(&rig, 0);
			assert_true(driver_ring_kick(&rig.ring));
			assert_int_equal(kicks_received(&rig), 1);
			ring_device_want_kicks(&rig.device, false);
			post_one(&rig, 1);
			assert_false(driver_ring_kick(&rig.ring));
			assert_int_equal(kicks_received(&rig), 0);
			assert_int_equal(ring_device_serve(&rig.device), 2);
			assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 2);
		}
		assert_int_equal(rig.ring.kicks, 200);
		tear_down(&rig);
	}
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;
		uint16_t chains[CHAINS];

		set_up(&rig, &kinds[i]);
		for (unsigned lap = 0; lap < 200; lap++) {
			post_one(&rig, 3);
			assert_true(driver_ring_arm(&rig.ring));
			assert_false(driver_ring_completed(&rig.ring));
			assert_int_equal(ring_device_serve(&rig.device), 1);
			assert_true(ring_device_call_wanted(&rig.device));
			assert_true(driver_ring_completed(&rig.ring));
			assert_false(driver_ring_arm(&rig.ring)); /* something is there: do not sleep */
			driver_ring_disarm(&rig.ring);
			assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 1);
			driver_ring_disarm(&rig.ring);
			post_one(&rig, 3);
			assert_int_equal(ring_device_serve(&rig.device), 1);
			assert_false(ring_device_call_wanted(&rig.device));
			assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 1);
		}
		tear_down(&rig);
	}
}

/* A device that completes what does not exist, what is idle, or one thing twice. */
static void test_lying_device(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct ring_request lies[] = {
			{.id = 60000, .slots = 1}, {.id = CHAINS + 200, .slots = 1}, {.id = 0, .slots = 1}};

		for (size_t lie = 0; lie < sizeof(lies) / sizeof(lies[0]); lie++) {
			struct rig rig;
			uint16_t chains[CHAINS];

			set_up(&rig, &kinds[i]);
			post_one(&rig, 5);
			ring_device_complete(&rig.device, &lies[lie], 1);
			assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 0);
			assert_non_null(rig.ring.broken);
			assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 0);
			assert_int_equal(rig.ring.in_flight, 1);
			tear_down(&rig);
		}
	}
}

/* Lengths come through as the device told them; one beyond what the chain holds breaks the ring, but only for who asks. */
static void test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;
		struct ring_request request;
		const char *why;
		uint16_t chains[CHAINS];
		uint32_t lengths[CHAINS];

		set_up(&rig, &kinds[i]);
		for (uint32_t written = 0; written <= DATA_BYTES + 1; written += DATA_BYTES + 1) {
			lay(&rig, 2, VIRTIO_BLK_T_IN);
			post_one(&rig, 2);
			assert_true(ring_device_fetch(&rig.device, &request, &why));
			ring_device_complete(&rig.device, &request, written);
			assert_int_equal(driver_ring_reap_lengths(&rig.ring, chains, lengths, CHAINS), 1);
			assert_int_equal(chains[0], 2);
			assert_int_equal(lengths[0], written);
		}
		for (unsigned asked = 0; asked < 2; asked++) {
			post_one(&rig, 2);
			assert_true(ring_device_fetch(&rig.device, &request, &why));
			ring_device_complete(&rig.device, &request, DATA_BYTES + 2);
			if (asked == 0) {
				assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 1);
				assert_null(rig.ring.broken);
			} else {
				assert_int_equal(driver_ring_reap_lengths(&rig.ring, chains, lengths, CHAINS), 0);
				assert_non_null(strstr(rig.ring.broken, "wrote more bytes"));
				assert_int_equal(rig.ring.in_flight, 1);
			}
		}
		driver_ring_accuse(&rig.ring, "something else");
		assert_non_null(strstr(rig.ring.broken, "wrote more bytes"));
		tear_down(&rig);
	}
}

static void test_used_index_runs_ahead(void **state)
{
	struct rig rig;
	uint16_t chains[CHAINS];

	(void)state;
	set_up(&rig, &kinds[0]);
	post_one(&rig, 0);
	((struct vring_used *)rig.device.device_area)->idx = 2;
	assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), 0);
	assert_non_null(rig.ring.broken);
	tear_down(&rig);
}

/* After a restart of the back end without a record: rings from zero, the same chains posted again. */
static void test_restart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;
		uint16_t chains[CHAINS];
		unsigned n;

		set_up(&rig, &kinds[i]);
		for (uint16_t chain = 0; chain < CHAINS; chain++)
			post_one(&rig, chain);
		assert_int_equal(ring_device_serve(&rig.device), CHAINS);
		assert_int_equal(driver_ring_reap(&rig.ring, chains, 13), 13);
		n = driver_ring_restart(&rig.ring, chains);
		assert_int_equal(n, CHAINS - 13);
		assert_int_equal(rig.ring.in_flight, 0);
		assert_int_equal(driver_ring_base(&rig.ring), kinds[i].packed ? 0x80008000 : 0);
		reset_device(&rig);
		driver_ring_post(&rig.ring, chains, n);
		assert_int_equal(ring_device_serve(&rig.device), n);
		assert_int_equal(driver_ring_reap(&rig.ring, chains, CHAINS), n);
		assert_null(rig.ring.broken);
		tear_down(&rig);
	}
}

static void test_sizes(void **state)
{
	struct driver_ring_config c = {.chain_count = 128, .segments_max = 3};
	struct shared_memory memory;
	struct driver_ring ring;

	(void)state;
	assert_int_equal(driver_ring_size(&c), 512);
	c.indirect = true;
	assert_int_equal(driver_ring_size(&c), 128);
	c.indirect = false;
	c.chain_count = 342;
	assert_int_equal(driver_ring_size(&c), 0);
	assert_int_equal(driver_ring_create(&ring, &c, NULL), -22);
	driver_ring_free(&ring);
	c.chain_count = 341;
	assert_int_equal(driver_ring_size(&c), 1024);
	c.chain_count = 1;
	assert_int_equal(driver_ring_size(&c), 4);
	c.size_min = 100;
	assert_int_equal(driver_ring_size(&c), 128);
	c.size_min = 2000;
	assert_int_equal(driver_ring_size(&c), 0);
	c.size_min = 0;
	assert_int_equal(shared_memory_create(&memory, 1), 0);
	assert_int_equal(memory.size_bytes, SHARED_MEMORY_ALIGN_BYTES);
	assert_int_equal((uintptr_t)memory.base % SHARED_MEMORY_ALIGN_BYTES, 0);
	assert_non_null(shared_memory_take(&memory, SHARED_MEMORY_ALIGN_BYTES - 4096, 1));
	assert_int_equal(driver_ring_create(&ring, &c, &memory), 0);
	driver_ring_free(&ring);
	assert_null(shared_memory_take(&memory, 4096, 1));
	c.packed = true;
	assert_int_equal(driver_ring_create(&ring, &c, &memory), 0);
	driver_ring_free(&ring);
	assert_non_null(shared_memory_take(&memory, memory.size_bytes - memory.taken_bytes, 1));
	assert_int_equal(driver_ring_create(&ring, &c, &memory), -12);
	driver_ring_free(&ring);
	c.packed = false;
	assert_int_equal(driver_ring_create(&ring, &c, &memory), -12);
	driver_ring_free(&ring);
	shared_memory_free(&memory);
	assert_int_equal(shared_memory_create(&memory, 0), -22);
	shared_memory_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),  cmocka_unit_test(test_kicks),   cmocka_unit_test(test_calls),
		cmocka_unit_test(test_lying_device), cmocka_unit_test(test_restart), cmocka_unit_test(test_used_index_runs_ahead),
		cmocka_unit_test(test_sizes),	     cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
