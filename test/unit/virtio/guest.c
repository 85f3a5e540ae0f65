#include "guest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RING_DESC = 0x1000, RING_DRIVER = 0x8000, RING_DEVICE = 0xa000, RING_END = 0xd000 };

static const uint64_t region_addr[3] = {REGION_NEAR, REGION_NEXT, REGION_FAR};

const struct guest_kind guest_kinds[] = {
	{.size = 64},
	{.size = 64, .event_idx = true},
	{.size = 64, .indirect = true},
	{.size = 64, .indirect = true, .event_idx = true, .no_record = true},
	{.size = 64, .packed = true},
	{.size = 64, .packed = true, .event_idx = true},
	{.size = 50, .packed = true, .indirect = true},
	{.size = 67, .packed = true, .event_idx = true, .no_record = true},
};
const unsigned guest_kinds_count = sizeof(guest_kinds) / sizeof(guest_kinds[0]);

/* ---- target ---- */

static void move(struct test_target *t, struct blk_io *io)
{
	uint8_t *p;

	if (t->no_data)
		return;
	p = t->bytes + io->offset_bytes;
	for (unsigned i = 0; i < io->iov_count; i++) {
		if (io->op == BLK_READ)
			memcpy(io->iov[i].iov_base, p, io->iov[i].iov_len);
		else if (io->op == BLK_WRITE)
			memcpy(p, io->iov[i].iov_base, io->iov[i].iov_len);
		p += io->iov[i].iov_len;
	}
	if (io->op == BLK_DISCARD || io->op == BLK_WRITE_ZEROES || io->op == BLK_SECURE_ERASE)
		memset(p, 0, io->length_bytes);
}

static void check_contract(const struct test_target *t, const struct blk_io *io)
{
	uint64_t sum = 0;

	assert(io->offset_bytes % t->target.block_size_bytes == 0 && io->length_bytes % t->target.block_size_bytes == 0);
	assert(io->offset_bytes + io->length_bytes <= t->target.capacity_bytes);
	assert(!t->target.read_only || io->op == BLK_READ || io->op == BLK_FLUSH);
	for (unsigned i = 0; i < io->iov_count; i++)
		sum += io->iov[i].iov_len;
	assert(io->op > BLK_WRITE || sum == io->length_bytes);
}

static void submit(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc)
{
	struct test_target *t = (struct test_target *)target;

	(void)now_tsc;
	t->submits++;
	for (unsigned i = 0; i < count; i++) {
		check_contract(t, ios[i]);
		if (t->ios < sizeof(t->log) / sizeof(t->log[0]))
			t->log[t->ios] = *ios[i];
		t->ios++;
		if (t->hold) {
			t->held[t->held_count++] = ios[i];
			continue;
		}
		if (t->error == 0)
			move(t, ios[i]);
		ios[i]->complete(ios[i], t->error);
	}
}

void target_release(struct guest *g, int step)
{
	struct test_target *t = &g->target;
	unsigned count = t->held_count;

	t->held_count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct blk_io *io = t->held[step > 0 ? i : count - 1 - i];

		if (t->error == 0)
			move(t, io);
		io->complete(io, t->error);
	}
	virtio_worker_publish(g->worker, ++g->now);
}

static uint64_t admit(struct blk_target *target, const struct blk_io *io, uint64_t now_tsc)
{
	struct test_target *t = (struct test_target *)target;

	t->admit_asked++;
	t->admit_last = io;
	if (t->admit_left == 0)
		return now_tsc + 100;
	t->admit_left--;
	return 0;
}

static const struct blk_target_ops target_ops = {.submit = submit}, throttled_ops = {.submit = submit, .admit = admit};

void target_throttle(struct guest *g, unsigned admit_left)
{
	g->target.target.ops = &throttled_ops;
	g->target.admit_left = admit_left;
}

/* ---- life ---- */

static void broken(void *context, unsigned queue, const char *why)
{
	struct guest *g = context;

	assert(queue == 0 && g->broken_why == NULL);
	g->broken_why = why;
}

void *guest_at(struct guest *g, uint64_t addr)
{
	uint64_t one = 1;

	return guest_memory_at(&g->memory, addr, &one);
}

static void map_regions(struct guest *g)
{
	guest_memory_init(&g->memory);
	for (unsigned i = 0; i < 3; i++) {
		struct region_state r = {
			.guest_addr = region_addr[i], .size_bytes = REGION_BYTES, .user_addr = USER_BASE + region_addr[i]};
		int err;

		g->fds[i] = memfd_create("guest", MFD_CLOEXEC);
		err = g->fds[i] < 0 || ftruncate(g->fds[i], REGION_BYTES) < 0 ? -errno
									      : guest_memory_add(&g->memory, &r, g->fds[i]);
		assert(err == 0);
		g->state.regions[g->state.region_count++] = r;
	}
}

static void reset_driver(struct guest *g)
{
	g->desc = guest_at(g, RING_DESC);
	g->ring = guest_at(g, RING_DESC);
	g->avail = guest_at(g, RING_DRIVER);
	g->driver_event = guest_at(g, RING_DRIVER);
	g->used = guest_at(g, RING_DEVICE);
	g->device_event = guest_at(g, RING_DEVICE);
	memset(g->desc, 0, RING_END - RING_DESC);
	g->next_avail = 0;
	g->used_seen = 0;
	g->avail_wrap = true;
	g->used_wrap = true;
	g->free_slots = g->kind.size;
	g->free_count = 0;
	for (uint16_t i = 0; i < g->kind.size; i++)
		g->free_desc[g->free_count++] = (uint16_t)(g->kind.size - 1 - i);
}

void guest_reset_ring(struct guest *g)
{
	reset_driver(g);
	g->state.queues[0] = (struct virtqueue_state){
		.descriptor_user_addr = USER_BASE + RING_DESC,
		.driver_user_addr = USER_BASE + RING_DRIVER,
		.device_user_addr = USER_BASE + RING_DEVICE,
		.size = g->kind.size,
		.next_avail = g->kind.packed ? 0x8000 : 0,
		.next_used = g->kind.packed ? 0x8000 : 0,
	};
}

void guest_open_ring(struct guest *g, const struct guest_kind *kind)
{
	memset(g, 0, sizeof(*g));
	g->kind = *kind;
	g->now = 1000;
	map_regions(g);
	g->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	guest_reset_ring(g);
}

void guest_offer(struct guest *g, uint64_t features)
{
	g->state.features = features;
	if (!g->kind.packed)
		g->state.features &= ~BIT64(VIRTIO_F_RING_PACKED);
	if (!g->kind.event_idx)
		g->state.features &= ~BIT64(VIRTIO_RING_F_EVENT_IDX);
}

void guest_open(struct guest *g, const struct guest_kind *kind)
{
	struct virtio_blk_config config = {.target = &g->target.target,
					   .serial = "a-serial-of-20-bytes",
					   .queues_max = 2,
					   .packed_allowed = true,
					   .broken = broken,
					   .context = g};
	int err;

	guest_open_ring(g, kind);
	g->target.target = (struct blk_target){.ops = &target_ops, .capacity_bytes = TARGET_BYTES, .block_size_bytes = 512};
	err = virtio_worker_create(&g->worker, 256);
	if (err == 0)
		err = virtio_blk_create(&g->blk, &config);
	if (err == 0 && !kind->no_record)
		err = inflight_create(&g->inflight, 1, kind->size, kind->packed, &g->inflight_fd);
	assert(err == 0);
	guest_offer(g, virtio_blk_features(g->blk));
}

void guest_start(struct guest *g)
{
	int err = virtio_blk_queue_start(g->blk, g->worker, 0, &g->state, &g->memory,
					 g->kind.no_record ? NULL : inflight_queue(&g->inflight, 0), g->call_fd, g->now, &g->vq);

	assert(err == 0);
}

void guest_stop(struct guest *g)
{
	if (g->vq == NULL)
		return;
	virtqueue_stop(g->vq);
	g->target.hold = false;
	target_release(g, 1);
	assert(virtqueue_stopped(g->vq));
	virtqueue_release(g->vq, &g->state.queues[0]);
	g->vq = NULL;
}

void guest_close(struct guest *g)
{
	guest_stop(g);
	if (g->inflight.mapping != NULL) {
		inflight_unmap(&g->inflight);
		close(g->inflight_fd);
	}
	virtio_blk_free(g->blk);
	virtio_worker_free(g->worker);
	guest_memory_clear(&g->memory);
	for (unsigned i = 0; i < 3; i++)
		close(g->fds[i]);
	close(g->call_fd);
}

/* ---- driver ---- */

static uint16_t flags_of(const struct buffer *b, bool last)
{
	return (uint16_t)((b->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
}

static uint16_t packed_flags(const struct guest *g)
{
	return g->avail_wrap ? 1 << VRING_PACKED_DESC_F_AVAIL : 1 << VRING_PACKED_DESC_F_USED;
}

/* A table for the chain whose id is `id`; the one buffer that refers to it. */
static struct buffer make_table(struct guest *g, uint16_t id, const struct buffer *buffers, unsigned count)
{
	uint64_t addr = TABLES + id * UINT64_C(2048);
	struct vring_desc *split = guest_at(g, addr);
	struct vring_packed_desc *packed = guest_at(g, addr);

	assert(count <= 128 && id < 512);
	for (unsigned i = 0; i < count; i++) {
		if (g->kind.packed)
			packed[i] = (struct vring_packed_desc){.addr = buffers[i].addr,
							       .len = buffers[i].length,
							       .flags = buffers[i].writable ? VRING_DESC_F_WRITE : 0};
		else
			split[i] = (struct vring_desc){.addr = buffers[i].addr,
						       .len = buffers[i].length,
						       .flags = flags_of(&buffers[i], i + 1 == count),
						       .next = (uint16_t)(i + 1)};
	}
	return (struct buffer){.addr = addr, .length = count * 16};
}

static uint16_t put_split(struct guest *g, const struct buffer *buffers, unsigned count, uint16_t indirect)
{
	uint16_t head = g->free_desc[g->free_count - 1], i = head;

	assert(count <= g->free_count);
	for (unsigned n = 0; n < count; n++) {
		uint16_t next = n + 1 < count ? g->free_desc[g->free_count - 2] : 0;

		i = g->free_desc[--g->free_count];
		g->next_of[i] = next;
		g->desc[i] = (struct vring_desc){.addr = buffers[n].addr,
						 .len = buffers[n].length,
						 .flags = flags_of(&buffers[n], n + 1 == count) | indirect,
						 .next = next};
	}
	g->slots_of[head] = (uint16_t)count;
	g->avail->ring[g->next_avail++ % g->kind.size] = head;
	__atomic_store_n(&g->avail->idx, g->next_avail, __ATOMIC_RELEASE);
	return head;
}

static uint16_t put_packed(struct guest *g, const struct buffer *buffers, unsigned count, uint16_t indirect)
{
	uint16_t id = g->free_desc[--g->free_count], head = g->next_avail, head_flags = 0;

	assert(count <= g->free_slots);
	for (unsigned n = 0; n < count; n++) {
		struct vring_packed_desc *d = &g->ring[g->next_avail];
		uint16_t flags = flags_of(&buffers[n], n + 1 == count) | packed_flags(g) | indirect;

		d->addr = buffers[n].addr;
		d->len = buffers[n].length;
		d->id = id;
		if (n == 0)
			head_flags = flags;
		else
			d->flags = flags;
		if (++g->next_avail == g->kind.size) {
			g->next_avail = 0;
			g->avail_wrap = !g->avail_wrap;
		}
	}
	__atomic_store_n(&g->ring[head].flags, head_flags, __ATOMIC_RELEASE);
	g->slots_of[id] = (uint16_t)count;
	g->free_slots = (uint16_t)(g->free_slots - count);
	return id;
}

uint16_t guest_put(struct guest *g, const struct buffer *buffers, unsigned count)
{
	struct buffer table;

	if (g->kind.indirect) {
		table = make_table(g, g->free_desc[g->free_count - 1], buffers, count);
		return (g->kind.packed ? put_packed : put_split)(g, &table, 1, VRING_DESC_F_INDIRECT);
	}
	return (g->kind.packed ? put_packed : put_split)(g, buffers, count, 0);
}

static bool get_split(struct guest *g, uint16_t *id, uint32_t *length)
{
	struct vring_used_elem *e = &g->used->ring[g->used_seen % g->kind.size];
	uint16_t i;

	if (__atomic_load_n(&g->used->idx, __ATOMIC_ACQUIRE) == g->used_seen)
		return false;
	g->used_seen++;
	*id = (uint16_t)e->id;
	*length = e->len;
	i = *id;
	for (unsigned n = 0; n < g->slots_of[*id]; n++, i = g->next_of[i])
		g->free_desc[g->free_count++] = i;
	return true;
}

static bool get_packed(struct guest *g, uint16_t *id, uint32_t *length)
{
	struct vring_packed_desc *d = &g->ring[g->used_seen];
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE),
		 mask = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;

	if ((flags & mask) != (g->used_wrap ? mask : 0))
		return false;
	*id = d->id;
	*length = (flags & VRING_DESC_F_WRITE) != 0 ? d->len : 0;
	g->used_seen = (uint16_t)(g->used_seen + g->slots_of[*id]);
	g->free_slots = (uint16_t)(g->free_slots + g->slots_of[*id]);
	if (g->used_seen >= g->kind.size) {
		g->used_seen = (uint16_t)(g->used_seen - g->kind.size);
		g->used_wrap = !g->used_wrap;
	}
	g->free_desc[g->free_count++] = *id;
	return true;
}

bool guest_get(struct guest *g, uint16_t *id, uint32_t *length)
{
	return g->kind.packed ? get_packed(g, id, length) : get_split(g, id, length);
}

void guest_header(struct guest *g, uint64_t addr, uint32_t type, uint64_t sector)
{
	uint8_t header[VBLK_HEADER_BYTES] = {0};

	memcpy(header, &type, sizeof(type));
	memcpy(header + VBLK_HEADER_SECTOR, &sector, sizeof(sector));
	for (unsigned i = 0; i < sizeof(header); i++)
		*(uint8_t *)guest_at(g, addr + i) = header[i];
}

uint16_t guest_request(struct guest *g, unsigned n, uint32_t type, uint64_t sector, uint64_t data, uint32_t length)
{
	struct buffer buffers[3] = {{.addr = HEADERS + n * UINT64_C(64), .length = VBLK_HEADER_BYTES}};
	unsigned count = 1;

	guest_header(g, buffers[0].addr, type, sector);
	*(uint8_t *)guest_at(g, STATUSES + n * UINT64_C(64)) = 0xff;
	if (length > 0)
		buffers[count++] =
			(struct buffer){.addr = data, .length = length, .writable = type == VBLK_T_IN || type == VBLK_T_GET_ID};
	buffers[count++] = (struct buffer){.addr = STATUSES + n * UINT64_C(64), .length = 1, .writable = true};
	return guest_put(g, buffers, count);
}

uint8_t guest_status(struct guest *g, unsigned n)
{
	return *(uint8_t *)guest_at(g, STATUSES + n * UINT64_C(64));
}

unsigned guest_serve(struct guest *g)
{
	unsigned started = 0;
	struct visit v;

	do {
		v = virtqueue_visit(g->vq, ++g->now);
		virtio_worker_publish(g->worker, g->now);
		started += v.started;
	} while (v.more && v.again_tsc == 0 && (v.started > 0 || !g->target.hold));
	return started;
}

unsigned guest_calls(struct guest *g)
{
	uint64_t calls = 0;

	if (read(g->call_fd, &calls, sizeof(calls)) < 0)
		return 0;
	return (unsigned)calls;
}
