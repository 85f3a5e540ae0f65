/*
 * The whole of a guest's memory, rings included, is the input: a NIC is served from it, with the guest writing between visits. What
 * it sends comes back to it, and so do frames of all lengths.
 *
 *	byte 0		flags: packed, EVENT_IDX, no INDIRECT, no MRG_RXBUF, no GUEST_CSUM, no VERSION_1, odd ring size, two pairs
 *	byte 1		n, of writes between visits
 *	n x 4 bytes	le16 address, le16 value
 *	the rest	memory from address 0: a queue every 0x400 bytes (receive, transmit, receive), of each descriptors at 0,
 *			driver area at 0x100, device area at 0x180; all else as the guest likes
 *
 * What must hold: every chain that was taken is given back in the same visit, once; packets lie in the guest's memory, and what is
 * written as well (pages that nobody may touch lie around it).
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
#include "virtio/net_queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	REGIONS = 2,
	REGION_BYTES = 64 * 1024,
	PAGE_BYTES = 4096,
	QUEUE_BYTES = 0x400,
	DRIVER_AT = 0x100,
	DEVICE_AT = 0x180,
	RING_SIZE = 8,
	QUEUES = 3,
	FLAG_PACKED = 1,
	FLAG_EVENT_IDX = 2,
	FLAG_NO_INDIRECT = 4,
	FLAG_NO_MERGE = 8,
	FLAG_NO_GUEST_CSUM = 16,
	FLAG_LEGACY = 32,
	FLAG_ODD_SIZE = 64,
	FLAG_PAIRS = 128,
};

#define USER_BASE UINT64_C(0x5500000000)
#define BIT(n)	  (UINT64_C(1) << (n))

struct fuzz {
	struct packet_input input;
	struct virtio_net *net;
	struct net_queue *queues[QUEUES];
	unsigned broken; /* a bit a queue */
	uint64_t received;
};

static struct guest_memory memory;

/* ---- what comes out of it ---- */

static bool in_memory(const struct iovec *v)
{
	for (unsigned i = 0; i < memory.count; i++) {
		const uint8_t *host = memory.regions[i].host, *at = v->iov_base;

		if (at >= host && at < host + REGION_BYTES && v->iov_len <= (size_t)(host + REGION_BYTES - at))
			return true;
	}
	return false;
}

static void check(const struct packet *p)
{
	uint64_t tail_bytes = 0;

	assert(packet_bytes(p) >= NET_FRAME_MIN_BYTES && packet_bytes(p) <= PACKET_FRAME_MAX_BYTES);
	assert(p->head_bytes == packet_bytes(p) || p->head_bytes == PACKET_HEAD_MIN_BYTES);
	for (unsigned i = 0; i < p->tail_count; i++) {
		assert(p->tail[i].iov_len > 0 && in_memory(&p->tail[i]));
		tail_bytes += p->tail[i].iov_len;
	}
	assert(tail_bytes == p->tail_bytes && p->tail_count <= PACKET_TAIL_MAX);
	if ((p->flags & PACKET_NEEDS_CSUM) != 0)
		assert((uint32_t)p->csum_start + p->csum_offset + 2 <= packet_bytes(p));
	assert(p->gso == PACKET_GSO_NONE || (p->gso_size > 0 && p->flags == PACKET_NEEDS_CSUM && p->gso <= PACKET_GSO_UDP));
}

/* As a pipeline that cannot cut frames nor complete checksums. */
static void put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	static const uint32_t gso[] = {0, SINK_TSO4, SINK_TSO6, SINK_USO};
	uint32_t needs = gso[p->gso] | ((p->flags & PACKET_NEEDS_CSUM) != 0 ? SINK_CSUM : 0);

	if ((needs & ~sink->offloads) == 0)
		sink->ops->put(sink, p, now_tsc);
}

static void receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct fuzz *f = (struct fuzz *)input;
	struct packet_sink *sink = virtio_net_sink(f->net);

	assert(count > 0 && count <= PACKET_BATCH_MAX);
	f->received += count;
	for (unsigned i = 0; i < count; i++) {
		check(packets[i]);
		packets[i]->hash = i;
		put(sink, packets[i], now_tsc);
	}
	sink->ops->flush(sink, now_tsc);
}

static void broken(void *context, unsigned queue, const char *why)
{
	struct fuzz *f = context;

	assert(queue < QUEUES && why != NULL && (f->broken >> queue & 1) == 0);
	f->broken |= 1u << queue;
}

/* Nothing is held: what was taken was given back, and no more than that. */
static void check_rings(const struct fuzz *f)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct virtio_ring *r = f->queues[i] != NULL ? &f->queues[i]->ring : NULL;

		assert(r == NULL || (r->slots_in_flight == 0 && r->next_avail == r->next_used && !r->hides));
		assert(r == NULL || !r->is_packed || r->avail_wrap == r->used_wrap);
	}
}

/* ---- frames for it ---- */

static void put_frames(struct fuzz *f, unsigned round)
{
	static const uint32_t lengths[] = {60, 300, 1600, 65000, 14};
	static uint8_t head[PACKET_HEAD_BYTES], bytes[PACKET_FRAME_MAX_BYTES];
	struct packet_sink *sink = virtio_net_sink(f->net);

	for (unsigned i = 0; i < 4; i++) {
		uint32_t length = lengths[(round + i) % 5], head_bytes = length < 256 ? length : 256;
		struct iovec tail = {bytes, length - head_bytes};
		struct packet p = {.head = head + PACKET_HEADROOM_BYTES,
				   .headroom_bytes = PACKET_HEADROOM_BYTES,
				   .head_bytes = (uint16_t)head_bytes,
				   .tail_bytes = length - head_bytes,
				   .tail = &tail,
				   .tail_count = length > head_bytes,
				   .hash = round};

		if (length == 65000) {
			p.flags = PACKET_NEEDS_CSUM;
			p.gso = (uint8_t)(round % 4);
			p.gso_size = 1448;
			p.csum_start = (uint16_t)(round * 7);
		}
		put(sink, &p, round);
	}
	sink->ops->flush(sink, round);
}

/* ---- a run ---- */

static void forbid(uint8_t *at)
{
	/* Fails where something else lies already: then that is what the sanitizer watches, or not. */
	mmap(at, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Neighbours in the guest, not in the host. */
static void map_memory(void)
{
	guest_memory_init(&memory);
	for (unsigned i = 0; i < REGIONS; i++) {
		struct region_state r = {
			.guest_addr = i * REGION_BYTES, .size_bytes = REGION_BYTES, .user_addr = USER_BASE + i * REGION_BYTES};
		int fd = memfd_create("fuzz", MFD_CLOEXEC), err;

		err = fd < 0 || ftruncate(fd, REGION_BYTES) < 0 ? -errno : guest_memory_add(&memory, &r, fd);
		assert(err == 0);
		close(fd);
		forbid(memory.regions[i].mapping - PAGE_BYTES);
		forbid(memory.regions[i].mapping + REGION_BYTES);
	}
}

static void run(struct fuzz *f, const uint8_t *writes, unsigned count)
{
	for (unsigned i = 0; i <= count; i++) {
		struct visit v = net_queue_visit(f->queues[1], i);

		assert(v.started <= VIRTIO_NET_VISIT_PACKETS_MAX);
		check_rings(f);
		if (i % 2 == 1) {
			put_frames(f, i);
			check_rings(f);
		}
		if (i % 3 == 2 && net_queue_arm(f->queues[1]))
			net_queue_disarm(f->queues[1]);
		if (i < count) {
			uint16_t at = get_le16(writes + i * 4);

			memcpy(memory.regions[0].host + at, writes + i * 4 + 2, at == UINT16_MAX ? 1 : 2);
		}
	}
}

static uint64_t features_of(const struct virtio_net *net, uint8_t flags)
{
	uint64_t features = virtio_net_features(net);

	if ((flags & FLAG_EVENT_IDX) == 0)
		features &= ~BIT(VIRTIO_RING_F_EVENT_IDX);
	if ((flags & FLAG_NO_INDIRECT) != 0)
		features &= ~BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if ((flags & FLAG_NO_MERGE) != 0)
		features &= ~BIT(VNET_F_MRG_RXBUF);
	if ((flags & FLAG_NO_GUEST_CSUM) != 0)
		features &= ~BIT(VNET_F_GUEST_CSUM);
	if ((flags & FLAG_LEGACY) != 0)
		features &= ~BIT(VIRTIO_F_VERSION_1);
	return features;
}

static void fuzz(uint8_t flags, const uint8_t *writes, unsigned count)
{
	static struct virtio_worker *worker;
	bool packed = (flags & FLAG_PACKED) != 0;
	unsigned queues = (flags & FLAG_PAIRS) != 0 ? QUEUES : QUEUES - 1;
	struct fuzz f = {.input.receive = receive};
	struct virtio_net_config config = {
		.mtu = 1500, .pairs_max = 2, .packed_allowed = packed, .input = &f.input, .broken = broken, .context = &f};
	struct device_state state = {0};
	int err;

	err = worker == NULL ? virtio_worker_create(&worker, 64) : 0;
	err |= virtio_net_create(&f.net, &config);
	assert(err == 0);
	state.features = features_of(f.net, flags);
	for (unsigned i = 0; i < queues; i++) {
		state.queues[i] =
			(struct virtqueue_state){.descriptor_user_addr = USER_BASE + i * QUEUE_BYTES,
						 .driver_user_addr = USER_BASE + i * QUEUE_BYTES + DRIVER_AT,
						 .device_user_addr = USER_BASE + i * QUEUE_BYTES + DEVICE_AT,
						 .size = packed && (flags & FLAG_ODD_SIZE) != 0 ? RING_SIZE - 1 : RING_SIZE,
						 .next_avail = packed ? 0x8000 : 0,
						 .next_used = packed ? 0x8000 : 0};
		err = virtio_net_queue_start(f.net, worker, i, &state, &memory, -1, 0, &f.queues[i]);
		assert(err == 0);
		net_queue_disarm(f.queues[i]);
	}
	run(&f, writes, count);
	for (unsigned i = 0; i < queues; i++) {
		net_queue_stop(f.queues[i]);
		net_queue_release(f.queues[i], &state.queues[i]);
		assert(state.queues[i].broken == (f.broken >> i & 1));
	}
	virtio_net_free(f.net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned writes;

	if (memory.count == 0)
		map_memory();
	if (size < 2 || size < 2u + 4u * data[1])
		return 0;
	writes = data[1];
	for (unsigned i = 0; i < REGIONS; i++)
		memset(memory.regions[i].host, 0, REGION_BYTES);
	size -= 2 + 4 * writes;
	memcpy(memory.regions[0].host, data + 2 + 4 * writes, size < REGION_BYTES ? size : REGION_BYTES);
	fuzz(data[0], data + 2, writes);
	return 0;
}
