/*
 * An in-flight record of unknown origin. Recovery takes it or refuses it, twice with the same result; a record that was taken is
 * then served, and what it calls requests are read like any others.
 *
 *	byte 0		flags: packed, a ring smaller than the record
 *	bytes 1-4	le16 used index of the ring (split); le16 base (packed)
 *	the rest	the record, then the guest's memory from address 0: descriptors, driver area at 0x100, device area at 0x180
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/codec.h"
#include "virtio/inflight_queue.h"
#include "virtio/virtio_blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	REGION_BYTES = 64 * 1024,
	DRIVER_AT = 0x100,
	DEVICE_AT = 0x180,
	RING_SIZE = 8,
	FLAG_PACKED = 1,
	FLAG_SMALL_RING = 2,
};

#define USER_BASE UINT64_C(0x5500000000)

static struct guest_memory memory;

static void submit(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	(void)now_tsc;
	for (unsigned i = 0; i < count; i++) {
		assert(ios[i]->offset_bytes + ios[i]->length_bytes <= target->capacity_bytes);
		ios[i]->complete(ios[i], 0);
	}
}

static void broken(void *context, unsigned queue, const char *why)
{
	(void)context;
	assert(queue == 0 && why != NULL);
}

static void map_memory(void)
{
	struct region_state r = {.size_bytes = REGION_BYTES, .user_addr = USER_BASE};
	int fd = memfd_create("fuzz", MFD_CLOEXEC), err;

	guest_memory_init(&memory);
	err = fd < 0 || ftruncate(fd, REGION_BYTES) < 0 ? -errno : guest_memory_add(&memory, &r, fd);
	assert(err == 0);
	close(fd);
}

static int recover(struct inflight_queue *q, uint16_t ring_size, uint16_t index, struct inflight_recovery *out)
{
	memset(out, 0, sizeof(*out));
	if (!q->is_packed)
		return inflight_recover_split(q, ring_size, index, out);
	return inflight_recover_packed(q, (void *)memory.regions[0].host, ring_size, index & 7 & (ring_size - 1), index >> 15, out);
}

static void check_recovery(struct inflight_queue *q, uint16_t ring_size, uint16_t index)
{
	struct inflight_recovery *first = malloc(sizeof(*first)), *second = malloc(sizeof(*second));

	assert(first != NULL && second != NULL);
	if (recover(q, ring_size, index, first) == 0) {
		assert(first->count <= ring_size && first->in_flight_slots <= ring_size);
		for (unsigned i = 0; i < first->count; i++)
			assert(first->entries[i] < q->size);
		assert(recover(q, ring_size, index, second) == 0 && second->valid);
		assert(second->count == first->count && second->in_flight_slots == first->in_flight_slots);
		assert(memcmp(second->entries, first->entries, first->count * sizeof(first->entries[0])) == 0);
		assert(!first->valid || !q->is_packed ||
		       (second->next_used == first->next_used && second->used_wrap == first->used_wrap));
	}
	free(first);
	free(second);
}

static void serve(struct inflight_queue *q, uint16_t ring_size, uint16_t index)
{
	static const struct blk_target_ops ops = {.submit = submit};
	static struct virtio_worker *worker;
	static struct blk_target target = {.ops = &ops, .capacity_bytes = REGION_BYTES, .block_size_bytes = 512};
	struct virtio_blk_config config = {
		.target = &target, .serial = "fuzz", .queues_max = 1, .packed_allowed = q->is_packed, .broken = broken};
	struct device_state state = {0};
	struct virtio_blk *blk;
	struct virtqueue *vq;
	int err = worker == NULL ? virtio_worker_create(&worker, 64) : 0;

	err |= virtio_blk_create(&blk, &config);
	assert(err == 0);
	state.features = virtio_blk_features(blk);
	state.queues[0] = (struct virtqueue_state){.descriptor_user_addr = USER_BASE,
						   .driver_user_addr = USER_BASE + DRIVER_AT,
						   .device_user_addr = USER_BASE + DEVICE_AT,
						   .size = ring_size,
						   .next_avail = index,
						   .next_used = index};
	if (virtio_blk_queue_start(blk, worker, 0, &state, &memory, q, -1, 0, &vq) == 0) {
		for (unsigned i = 0; i < 4; i++) {
			virtqueue_visit(vq, i);
			virtio_worker_publish(worker, i);
		}
		virtqueue_stop(vq);
		assert(virtqueue_stopped(vq));
		virtqueue_release(vq, &state.queues[0]);
	}
	virtio_blk_free(blk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool packed;
	struct inflight inflight;
	uint16_t ring_size, index;
	size_t record_bytes;
	int fd, err;

	if (memory.count == 0)
		map_memory();
	if (size < 5)
		return 0;
	packed = (data[0] & FLAG_PACKED) != 0;
	ring_size = (data[0] & FLAG_SMALL_RING) != 0 ? RING_SIZE / 2 : RING_SIZE;
	index = get_le16(data + 1);
	err = inflight_create(&inflight, 1, RING_SIZE, packed, &fd);
	assert(err == 0);
	data += 5;
	size -= 5;
	record_bytes = size < inflight.mapping_bytes ? size : inflight.mapping_bytes;
	memcpy(inflight.mapping, data, record_bytes);
	memset(memory.regions[0].host, 0, REGION_BYTES);
	size -= record_bytes;
	memcpy(memory.regions[0].host, data + record_bytes, size < REGION_BYTES ? size : REGION_BYTES);
	check_recovery(inflight_queue(&inflight, 0), ring_size, index);
	memcpy(inflight.mapping, data, record_bytes);
	serve(inflight_queue(&inflight, 0), ring_size, index);
	inflight_unmap(&inflight);
	close(fd);
	return 0;
}
