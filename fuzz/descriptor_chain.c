/*
 * The whole of a guest's memory, rings included, is the input: a ring is served from it, with the guest writing between visits.
 *
 *	byte 0		flags: packed, EVENT_IDX, no INDIRECT, target holds requests, read only, 4 KiB blocks, odd ring size
 *	byte 1		n, of writes between visits
 *	n x 4 bytes	le16 address, le16 value
 *	the rest	memory from address 0: descriptors at 0, driver area at 0x100, device area at 0x180, all else as the guest
 * likes
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/codec.h"
#include "virtio/inflight.h"
#include "virtio/virtio_blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	REGION_BYTES = 64 * 1024,
	CAPACITY_BYTES = 1 << 30,
	DRIVER_AT = 0x100,
	DEVICE_AT = 0x180,
	RING_SIZE = 8,
	HELD_MAX = 64,
	FLAG_PACKED = 1,
	FLAG_EVENT_IDX = 2,
	FLAG_NO_INDIRECT = 4,
	FLAG_HOLD = 8,
	FLAG_READ_ONLY = 16,
	FLAG_BLOCK_4096 = 32,
	FLAG_ODD_SIZE = 64,
};

#define USER_BASE UINT64_C(0x5500000000)

struct fuzz_target {
	struct blk_target target;
	bool hold;
	struct blk_io *held[HELD_MAX];
	unsigned held_count;
};

static struct fuzz_target target;
static struct guest_memory memory;

/* As a back end would: both ends of every element of the iov, and the contract of blockio.h. */
static void serve(struct blk_io *io)
{
	uint64_t sum = 0;

	assert(io->offset_bytes <= CAPACITY_BYTES && io->length_bytes <= CAPACITY_BYTES - io->offset_bytes);
	assert(io->op > BLK_WRITE || io->length_bytes <= VIRTIO_BLK_VISIT_BYTES_MAX);
	assert(((io->offset_bytes | io->length_bytes) & (target.target.block_size_bytes - 1)) == 0);
	assert(!target.target.read_only || io->op == BLK_READ || io->op == BLK_FLUSH);
	for (unsigned i = 0; i < io->iov_count; i++) {
		volatile uint8_t *p = io->iov[i].iov_base;

		assert(io->iov[i].iov_len > 0);
		if (io->op == BLK_READ)
			p[0] = p[io->iov[i].iov_len - 1] = (uint8_t)sum;
		else
			(void)p[io->iov[i].iov_len - 1];
		sum += io->iov[i].iov_len;
	}
	assert(io->op > BLK_WRITE || sum == io->length_bytes);
	io->complete(io, io->op == BLK_SECURE_ERASE ? -EIO : 0);
}

static void submit(struct blk_target *unused, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	(void)unused;
	(void)now_tsc;
	for (unsigned i = 0; i < count; i++)
		if (target.hold && target.held_count < HELD_MAX)
			target.held[target.held_count++] = ios[i];
		else
			serve(ios[i]);
}

static void release_held(void)
{
	while (target.held_count > 0)
		serve(target.held[--target.held_count]);
}

static void broken(void *context, unsigned queue, const char *why)
{
	assert(queue == 0 && why != NULL);
	*(bool *)context = true;
}

/* Two regions: neighbours in the guest, not in the host. */
static void map_memory(void)
{
	guest_memory_init(&memory);
	for (unsigned i = 0; i < 2; i++) {
		struct region_state r = {
			.guest_addr = i * REGION_BYTES, .size_bytes = REGION_BYTES, .user_addr = USER_BASE + i * REGION_BYTES};
		int fd = memfd_create("fuzz", MFD_CLOEXEC), err;

		err = fd < 0 || ftruncate(fd, REGION_BYTES) < 0 ? -errno : guest_memory_add(&memory, &r, fd);
		assert(err == 0);
		close(fd);
	}
}

static void run(struct virtqueue *vq, struct virtio_worker *worker, const uint8_t *writes, unsigned count)
{
	for (unsigned i = 0; i <= count; i++) {
		struct visit v = virtqueue_visit(vq, i);

		assert(v.started <= VIRTIO_BLK_BATCH_MAX && virtqueue_in_flight(vq) <= 1024);
		if (i % 2 == 0)
			release_held();
		virtio_worker_publish(worker, i);
		if (i % 3 == 2 && virtqueue_arm(vq))
			virtqueue_disarm(vq);
		if (i < count) {
			uint16_t at = get_le16(writes + i * 4);

			memcpy(memory.regions[0].host + at, writes + i * 4 + 2, at == UINT16_MAX ? 1 : 2);
		}
	}
	virtqueue_stop(vq);
	/* A large request is served to its end: at most a ring's worth of the longest. */
	while (!virtqueue_stopped(vq)) {
		release_held();
		virtio_worker_publish(worker, count);
	}
}

static void fuzz(uint8_t flags, const uint8_t *writes, unsigned count)
{
	static struct virtio_worker *worker;
	bool is_broken = false, packed = (flags & FLAG_PACKED) != 0;
	struct virtio_blk_config config = {.target = &target.target,
					   .serial = "fuzz",
					   .queues_max = 1,
					   .packed_allowed = packed,
					   .broken = broken,
					   .context = &is_broken};
	struct device_state state = {0};
	struct inflight inflight;
	struct virtio_blk *blk;
	struct virtqueue *vq;
	int record, err;

	err = worker == NULL ? virtio_worker_create(&worker, 64) : 0;
	err |= virtio_blk_create(&blk, &config);
	err |= inflight_create(&inflight, 1, RING_SIZE, packed, &record);
	assert(err == 0);
	state.features = virtio_blk_features(blk);
	if ((flags & FLAG_EVENT_IDX) == 0)
		state.features &= ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	if ((flags & FLAG_NO_INDIRECT) != 0)
		state.features &= ~(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	state.queues[0] = (struct virtqueue_state){.descriptor_user_addr = USER_BASE,
						   .driver_user_addr = USER_BASE + DRIVER_AT,
						   .device_user_addr = USER_BASE + DEVICE_AT,
						   .size = packed && (flags & FLAG_ODD_SIZE) != 0 ? RING_SIZE - 1 : RING_SIZE,
						   .next_avail = packed ? 0x8000 : 0,
						   .next_used = packed ? 0x8000 : 0};
	err = virtio_blk_queue_start(blk, worker, 0, &state, &memory, inflight_queue(&inflight, 0), -1, 0, &vq);
	assert(err == 0);
	run(vq, worker, writes, count);
	virtqueue_release(vq, &state.queues[0]);
	assert(state.queues[0].broken == is_broken);
	inflight_unmap(&inflight);
	close(record);
	virtio_blk_free(blk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blk_target_ops ops = {.submit = submit};
	unsigned writes;

	if (memory.count == 0)
		map_memory();
	if (size < 2 || size < 2u + 4u * data[1])
		return 0;
	writes = data[1];
	target.target = (struct blk_target){.ops = &ops,
					    .capacity_bytes = CAPACITY_BYTES,
					    .block_size_bytes = (data[0] & FLAG_BLOCK_4096) != 0 ? 4096 : 512,
					    .read_only = (data[0] & FLAG_READ_ONLY) != 0};
	target.hold = (data[0] & FLAG_HOLD) != 0;
	memset(memory.regions[0].host, 0, REGION_BYTES);
	memset(memory.regions[1].host, 0, REGION_BYTES);
	size -= 2 + 4 * writes;
	memcpy(memory.regions[0].host, data + 2 + 4 * writes, size < REGION_BYTES ? size : REGION_BYTES);
	fuzz(data[0], data + 2, writes);
	return 0;
}
