/*
 * What the front end costs, without sockets and volumes: a driver thread on one core keeps a ring full of 4 KiB reads, this
 * program's main loop on another core visits and publishes against a target that completes at once and moves nothing. The guest's
 * memory is a memfd mapped twice, as it would be.
 *
 *	micro_ring [seconds a case] [depth]
 *
 * Printed: ns a request in the visits and publishes that found work (rdtsc around them), the best and the median of intervals of 10
 * ms (on a machine that does other things as well, the best is the one that was not interrupted), requests a visit, and requests a
 * second.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "virtio/inflight.h"
#include "virtio/virtio_blk.h"
#include "virtio/virtio_blk_proto.h"

enum {
	RING_SIZE = 512,
	DEPTH_MAX = 170, /* three descriptors each */
	DATA_BYTES = 4096,
	MEMORY_BYTES = 16 << 20,
	DESC_AT = 0x10000,
	DRIVER_AT = 0x20000,
	DEVICE_AT = 0x30000,
	REQUESTS_AT = 0x40000, /* 64 bytes each: header, and status in the same line, as Linux has them */
	TABLES_AT = 0x80000,
	DATA_AT = 0x100000,
	INTERVALS_MAX = 4096,
	INTERVAL_MS = 10,
	DRIVER_CORE = 0,
	DEVICE_CORE = 1,
};

#define USER_BASE UINT64_C(0x100000000)

struct bench {
	bool packed, indirect;
	unsigned depth;
	uint8_t *memory; /* the driver's mapping */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *ring;
	uint16_t next_avail, used_seen;
	bool avail_wrap, used_wrap;
	uint64_t random;
	bool stop;
	uint64_t completed;
};

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- driver ---- */

static void fill_request(struct bench *b, unsigned n)
{
	uint8_t *header = b->memory + REQUESTS_AT + n * 64;
	uint64_t sector;

	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	sector = (b->random >> 33) % 100000 * 8;
	*(uint32_t *)(void *)header = VBLK_T_IN;
	*(uint64_t *)(void *)(header + VBLK_HEADER_SECTOR) = sector;
	header[16] = 0xff;
}

static void three(uint64_t *addr, uint32_t *length, unsigned n)
{
	addr[0] = REQUESTS_AT + n * UINT64_C(64);
	addr[1] = DATA_AT + n * (uint64_t)DATA_BYTES;
	addr[2] = addr[0] + 16;
	length[0] = 16;
	length[1] = DATA_BYTES;
	length[2] = 1;
}

static const uint16_t three_flags[3] = {VRING_DESC_F_NEXT, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, VRING_DESC_F_WRITE};

static void put_split(struct bench *b, unsigned n)
{
	struct vring_desc *d = b->indirect ? (void *)(b->memory + TABLES_AT + n * 64) : &b->desc[n * 3];
	uint64_t addr[3];
	uint32_t length[3];
	uint16_t head = (uint16_t)(b->indirect ? n : n * 3);

	three(addr, length, n);
	for (unsigned i = 0; i < 3; i++)
		d[i] = (struct vring_desc){.addr = addr[i],
					   .len = length[i],
					   .flags = three_flags[i],
					   .next = (uint16_t)((b->indirect ? 0 : head) + i + 1)};
	if (b->indirect)
		b->desc[n] = (struct vring_desc){.addr = TABLES_AT + n * UINT64_C(64), .len = 48, .flags = VRING_DESC_F_INDIRECT};
	b->avail->ring[b->next_avail++ % RING_SIZE] = head;
}

static void put_slot(struct bench *b, uint64_t addr, uint32_t length, unsigned id, uint16_t flags, uint16_t **head,
		     uint16_t *head_flags)
{
	struct vring_packed_desc *d = &b->ring[b->next_avail];

	d->addr = addr;
	d->len = length;
	d->id = (uint16_t)id;
	flags |= b->avail_wrap ? 1 << VRING_PACKED_DESC_F_AVAIL : 1 << VRING_PACKED_DESC_F_USED;
	if (*head == NULL) {
		*head = &d->flags;
		*head_flags = flags;
	} else {
		d->flags = flags;
	}
	if (++b->next_avail == RING_SIZE) {
		b->next_avail = 0;
		b->avail_wrap = !b->avail_wrap;
	}
}

static void put_packed(struct bench *b, unsigned n)
{
	struct vring_packed_desc *d = (void *)(b->memory + TABLES_AT + n * 64);
	uint16_t *head = NULL, head_flags = 0;
	uint64_t addr[3];
	uint32_t length[3];

	three(addr, length, n);
	for (unsigned i = 0; i < 3; i++)
		if (b->indirect)
			d[i] = (struct vring_packed_desc){
				.addr = addr[i], .len = length[i], .flags = three_flags[i] & VRING_DESC_F_WRITE};
		else
			put_slot(b, addr[i], length[i], n, three_flags[i], &head, &head_flags);
	if (b->indirect)
		put_slot(b, TABLES_AT + n * UINT64_C(64), 48, n, VRING_DESC_F_INDIRECT, &head, &head_flags);
	__atomic_store_n(head, head_flags, __ATOMIC_RELEASE);
}

static void put(struct bench *b, unsigned n)
{
	fill_request(b, n);
	if (b->packed)
		put_packed(b, n);
	else
		put_split(b, n);
}

static bool get(struct bench *b, unsigned *n)
{
	uint16_t mask = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
	struct vring_packed_desc *d = &b->ring[b->used_seen];

	if (!b->packed) {
		if (__atomic_load_n(&b->used->idx, __ATOMIC_ACQUIRE) == b->used_seen)
			return false;
		*n = b->used->ring[b->used_seen++ % RING_SIZE].id / (b->indirect ? 1 : 3);
		return true;
	}
	if ((__atomic_load_n(&d->flags, __ATOMIC_ACQUIRE) & mask) != (b->used_wrap ? mask : 0))
		return false;
	*n = d->id;
	b->used_seen = (uint16_t)(b->used_seen + (b->indirect ? 1 : 3));
	if (b->used_seen >= RING_SIZE) {
		b->used_seen = (uint16_t)(b->used_seen - RING_SIZE);
		b->used_wrap = !b->used_wrap;
	}
	return true;
}

static void *drive(void *argument)
{
	struct bench *b = argument;
	unsigned n, batch;

	pin(DRIVER_CORE);
	for (n = 0; n < b->depth; n++)
		put(b, n);
	__atomic_store_n(&b->avail->idx, b->packed ? b->avail->idx : b->next_avail, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		for (batch = 0; batch < 16 && get(b, &n); batch++) {
			if (b->memory[REQUESTS_AT + n * 64 + 16] != VBLK_S_OK)
				abort();
			put(b, n);
		}
		if (batch > 0 && !b->packed)
			__atomic_store_n(&b->avail->idx, b->next_avail, __ATOMIC_RELEASE);
		b->completed += batch;
	}
	return NULL;
}

/* ---- device ---- */

static void null_submit(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	(void)target;
	(void)now_tsc;
	for (unsigned i = 0; i < count; i++)
		ios[i]->complete(ios[i], 0);
}

static void broken(void *context, unsigned queue, const char *why)
{
	(void)context;
	fprintf(stderr, "queue %u broke: %s\n", queue, why);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct bench *b, struct virtio_worker *worker, struct virtqueue *vq, double seconds)
{
	static double ns[INTERVALS_MAX];
	uint64_t now_tsc = clock_tsc(), start_tsc = now_tsc, end_tsc = start_tsc + (uint64_t)(seconds * (double)clock_tsc_hz());
	uint64_t interval_end_tsc = now_tsc + clock_ns_to_tsc(INTERVAL_MS * UINT64_C(1000000)), busy = 0, requests = 0, visits = 0,
		 total = 0;
	unsigned intervals = 0;

	while (now_tsc < end_tsc) {
		struct visit v = virtqueue_visit(vq, now_tsc);
		uint64_t after_tsc;

		if (v.started > 0)
			virtio_worker_publish(worker, now_tsc);
		after_tsc = clock_tsc();
		if (v.started > 0) {
			busy += after_tsc - now_tsc;
			requests += v.started;
			total += v.started;
			visits++;
		}
		now_tsc = after_tsc;
		if (now_tsc >= interval_end_tsc && intervals < INTERVALS_MAX && requests > 0) {
			ns[intervals++] = (double)clock_tsc_to_ns(busy) / (double)requests;
			busy = requests = 0;
			interval_end_tsc = now_tsc + clock_ns_to_tsc(INTERVAL_MS * UINT64_C(1000000));
		}
	}
	qsort(ns, intervals, sizeof(ns[0]), compare);
	printf("%-6s %-8s depth %3u: busy %6.1f ns best, %6.1f ns median; %4.1f a visit; %.2f M/s\n",
	       b->packed ? "packed" : "split", b->indirect ? "indirect" : "direct", b->depth, ns[0], ns[intervals / 2],
	       (double)total / (double)visits, (double)total / seconds / 1e6);
}

static void run(bool packed, bool indirect, unsigned depth, double seconds)
{
	static const struct blk_target_ops ops = {.submit = null_submit};
	struct blk_target target = {.ops = &ops, .capacity_bytes = UINT64_C(1) << 40, .block_size_bytes = 512};
	struct virtio_blk_config config = {
		.target = &target, .serial = "bench", .queues_max = 1, .packed_allowed = true, .broken = broken};
	struct region_state region = {.size_bytes = MEMORY_BYTES, .user_addr = USER_BASE};
	struct bench b = {
		.packed = packed, .indirect = indirect, .depth = depth, .avail_wrap = true, .used_wrap = true, .random = 1};
	static struct device_state state;
	struct guest_memory memory;
	struct inflight inflight;
	struct virtio_worker *worker;
	struct virtio_blk *blk;
	struct virtqueue *vq;
	pthread_t driver;
	int fd = memfd_create("guest", 0), record, err;

	guest_memory_init(&memory);
	err = ftruncate(fd, MEMORY_BYTES) < 0 ? -errno : guest_memory_add(&memory, &region, fd);
	b.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(err == 0 && b.memory != MAP_FAILED);
	b.desc = (void *)(b.memory + DESC_AT);
	b.ring = (void *)(b.memory + DESC_AT);
	b.avail = (void *)(b.memory + DRIVER_AT);
	b.used = (void *)(b.memory + DEVICE_AT);
	err = virtio_worker_create(&worker, VIRTIO_WORKER_REQUESTS_DEFAULT);
	err |= virtio_blk_create(&blk, &config);
	err |= inflight_create(&inflight, 1, RING_SIZE, packed, &record);
	memset(&state, 0, sizeof(state));
	state.features = virtio_blk_features(blk);
	if (!packed)
		state.features &= ~(UINT64_C(1) << VIRTIO_F_RING_PACKED);
	state.queues[0] = (struct virtqueue_state){.descriptor_user_addr = USER_BASE + DESC_AT,
						   .driver_user_addr = USER_BASE + DRIVER_AT,
						   .device_user_addr = USER_BASE + DEVICE_AT,
						   .size = RING_SIZE,
						   .next_avail = packed ? 0x8000 : 0,
						   .next_used = packed ? 0x8000 : 0};
	err |= virtio_blk_queue_start(blk, worker, 0, &state, &memory, inflight_queue(&inflight, 0), -1, clock_tsc(), &vq);
	assert(err == 0);
	virtqueue_disarm(vq);
	pthread_create(&driver, NULL, drive, &b);
	measure(&b, worker, vq, seconds);
	__atomic_store_n(&b.stop, true, __ATOMIC_RELAXED);
	pthread_join(driver, NULL);
	virtqueue_stop(vq);
	virtqueue_release(vq, &state.queues[0]);
	virtio_blk_free(blk);
	virtio_worker_free(worker);
	inflight_unmap(&inflight);
	close(record);
	guest_memory_clear(&memory);
	munmap(b.memory, MEMORY_BYTES);
	close(fd);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	unsigned depth = argc > 2 ? (unsigned)atoi(argv[2]) : 128;

	if (depth == 0 || depth > DEPTH_MAX || seconds <= 0) {
		fprintf(stderr, "usage: %s [seconds a case] [depth, 1 to %d]\n", argv[0], DEPTH_MAX);
		return 2;
	}
	clock_calibrate();
	pin(DEVICE_CORE);
	for (unsigned i = 0; i < 4; i++)
		run(i / 2 == 1, i % 2 == 1, depth, seconds);
	return 0;
}
