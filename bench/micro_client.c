/*
 * The ceiling of the load client: how many requests a second it can drive, and how fast it notices one, when the device costs next
 * to nothing. What a back end is measured at below this is the back end's.
 *
 *	micro-client [depth] [requests that the device publishes at once]
 *
 * The device is a thread on another core that takes each request of a split ring, reads its header, writes its status and its used
 * element: the cache lines that any device has to touch, and nothing else.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "load/blk_load.h"

enum { CLIENT_CORE = 0, DEVICE_CORE = 1, DEPTH_MAX = 340, DATA_BYTES = 4096, RUN_NS = 2000000000 };

struct rig {
	struct blk_driver driver;
	struct blk_queue queue;
	unsigned batch_max;
	int stop;
	uint64_t served, busy_ticks;
};

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		perror("micro-client: sched_setaffinity");
}

static uint8_t *at(struct rig *rig, uint64_t guest_address)
{
	return rig->driver.memory.base + (guest_address - SHARED_MEMORY_GUEST_ADDRESS);
}

static void serve(struct rig *rig, struct driver_ring *ring, uint16_t from, unsigned count)
{
	const struct vring_desc *desc = ring->split.desc;
	unsigned mask = ring->size - 1u;

	for (unsigned i = 0; i < count; i++) {
		uint16_t slot = (uint16_t)(from + i) & (uint16_t)mask, head = ring->split.avail->ring[slot];
		const struct vring_desc *data = &desc[desc[head].next];
		const struct virtio_blk_outhdr *header = (const void *)at(rig, desc[head].addr);

		__atomic_load_n(&header->sector, __ATOMIC_RELAXED);
		*at(rig, desc[data->next].addr) = VIRTIO_BLK_S_OK;
		ring->split.used->ring[slot] = (struct vring_used_elem){.id = head, .len = data->len + 1};
	}
	__atomic_store_n(&ring->split.used->idx, (uint16_t)(from + count), __ATOMIC_RELEASE);
}

static void *device(void *context)
{
	struct rig *rig = context;
	struct driver_ring *ring = &rig->queue.ring;
	uint16_t next = 0;

	pin(DEVICE_CORE);
	ring->split.used->flags = VRING_USED_F_NO_NOTIFY;
	while (!__atomic_load_n(&rig->stop, __ATOMIC_RELAXED)) {
		unsigned count = (uint16_t)(__atomic_load_n(&ring->split.avail->idx, __ATOMIC_ACQUIRE) - next);
		uint64_t start_tsc = clock_tsc();

		if (count == 0)
			continue;
		count = count < rig->batch_max ? count : rig->batch_max;
		serve(rig, ring, next, count);
		next = (uint16_t)(next + count);
		rig->served += count;
		rig->busy_ticks += clock_tsc() - start_tsc;
	}
	return NULL;
}

static int set_up(struct rig *rig, uint16_t depth)
{
	const struct driver_ring_config ring = {.chain_count = depth, .segments_max = 3};
	struct blk_queue *q = &rig->queue;
	int error;

	rig->driver.client.socket = rig->driver.client.backend_channel = -1; /* there is no back end to look after */
	rig->driver.config.queue_count = 1;
	rig->driver.queues = q;
	error = shared_memory_create(&rig->driver.memory, driver_ring_memory_bytes(&ring) + (depth + 4ull) * (DATA_BYTES + 64));
	if (error == 0)
		error = driver_ring_create(&q->ring, &ring, &rig->driver.memory);
	if (error != 0)
		return error;
	q->depth = depth;
	q->segment_bytes_max = UINT32_MAX;
	q->data_stride_bytes = DATA_BYTES;
	q->headers = shared_memory_take(&rig->driver.memory, depth * sizeof(*q->headers), 128);
	q->statuses = shared_memory_take(&rig->driver.memory, depth, 128);
	q->data = shared_memory_take(&rig->driver.memory, (uint64_t)depth * DATA_BYTES, DATA_BYTES);
	return 0;
}

int main(int argc, char **argv)
{
	const struct blk_load_config config = {.read_percent = 100,
					       .random = true,
					       .request_bytes = DATA_BYTES,
					       .region_bytes = UINT64_C(10) << 30,
					       .duration_ns = RUN_NS,
					       .stall_ns_max = RUN_NS};
	int depth = argc > 1 ? atoi(argv[1]) : 128, batch = argc > 2 ? atoi(argv[2]) : 32, error;
	static struct blk_load_result r;
	static struct rig rig;
	pthread_t thread;

	if (depth < 1 || depth > DEPTH_MAX || batch < 1) {
		fprintf(stderr, "usage: micro-client [depth, up to %d] [requests the device publishes at once]\n", DEPTH_MAX);
		return 2;
	}
	clock_calibrate();
	rig.batch_max = (unsigned)batch;
	error = set_up(&rig, (uint16_t)depth);
	if (error == 0)
		error = -pthread_create(&thread, NULL, device, &rig);
	if (error != 0) {
		fprintf(stderr, "micro-client: %s\n", strerror(-error));
		return 1;
	}
	pin(CLIENT_CORE);
	error = blk_load_run(&rig.driver, &config, &r);
	__atomic_store_n(&rig.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (error != 0 || r.requests == 0) {
		fprintf(stderr, "micro-client: %s\n", rig.driver.client.error);
		return 1;
	}
	printf("depth %d, device publishes up to %d: %.2f M requests/s, latency avg %llu ns, p50 %llu ns; device busy %.0f ns a "
	       "request\n",
	       depth, batch, (double)r.requests * 1e3 / (double)r.elapsed_ns,
	       (unsigned long long)clock_tsc_to_ns(r.latency_sum_ticks / r.requests),
	       (unsigned long long)clock_tsc_to_ns(histogram_quantile(&r.latency, 500000)),
	       (double)clock_tsc_to_ns(rig.busy_ticks) / (double)rig.served);
	driver_ring_free(&rig.queue.ring);
	shared_memory_free(&rig.driver.memory);
	return 0;
}
