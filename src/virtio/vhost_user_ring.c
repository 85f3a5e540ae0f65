/*
 * Rings. What the VMM tells of a ring is written down in struct virtqueue_state (addresses stay the VMM's own); a ring is served
 * as soon as everything is known that ring_ready() asks for, whatever the order in which it came. A handler here runs only while
 * its ring is not served.
 *
 * The protocol starts a ring at its first kick. Here it starts when the kick descriptor arrives, as in other back ends: a ring
 * without requests looks the same either way, and requests that were in flight before a reconnect are not kept waiting for a kick.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "virtio/vhost_user_internal.h"

enum { PACKED_WRAP = 0x8000, PACKED_SLOT_MASK = 0x7fff };

bool vhost_user_packed(const struct vhost_user *v)
{
	return (v->state.features >> VIRTIO_F_RING_PACKED & 1) != 0;
}

static bool power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled state." */
static bool ring_enabled(const struct vhost_user *v, const struct virtqueue_state *q)
{
	return q->enabled != 0 || (v->state.features >> VHOST_USER_F_PROTOCOL_FEATURES & 1) == 0;
}

/* Sizes of the three parts of a ring (VIRTIO 1.2, 2.7 and 2.8). */
static bool ring_in_memory(const struct vhost_user *v, const struct virtqueue_state *q)
{
	bool packed = vhost_user_packed(v);
	uint64_t driver_bytes = packed ? sizeof(struct vring_packed_desc_event) : 6 + 2 * (uint64_t)q->size;
	uint64_t device_bytes = packed ? sizeof(struct vring_packed_desc_event) : 6 + 8 * (uint64_t)q->size;

	return guest_memory_user_at(&v->memory, q->descriptor_user_addr, 16 * (uint64_t)q->size) != NULL &&
	       guest_memory_user_at(&v->memory, q->driver_user_addr, driver_bytes) != NULL &&
	       guest_memory_user_at(&v->memory, q->device_user_addr, device_bytes) != NULL;
}

/* 1: to be served; 0: something is not known yet; -EPROTO: what is known does not fit together. */
static int ring_ready(struct vhost_user *v, unsigned index)
{
	const struct virtqueue_state *q = &v->state.queues[index];

	if (q->started == 0 || q->broken != 0 || q->size == 0 || q->descriptor_user_addr == 0 || !ring_enabled(v, q) ||
	    (v->state.flags & DEVICE_STATE_FEATURES_SET) == 0 || v->memory.count == 0 || v->memory.lost || v->inflight.lost)
		return 0;
	if (!vhost_user_packed(v) && !power_of_two(q->size))
		return vhost_user_refuse(v, VHOST_USER_SET_VRING_NUM, -EPROTO, "queue %u has %u entries, not a power of two", index,
					 q->size);
	if (vhost_user_packed(v) && ((q->next_avail & PACKED_SLOT_MASK) >= q->size || (q->next_used & PACKED_SLOT_MASK) >= q->size))
		return vhost_user_refuse(v, VHOST_USER_SET_VRING_BASE, -EPROTO, "queue %u starts beyond its %u entries", index,
					 q->size);
	if (ring_in_memory(v, q)) {
		v->outside &= ~(UINT32_C(1) << index);
		return 1;
	}
	/* Between REM_MEM_REG and ADD_MEM_REG this can be so for a moment. */
	if ((v->outside >> index & 1) == 0)
		log_warning("device %s: vhost-user: queue %u is not served: its ring lies outside the memory that the VMM shares",
			    v->name, index);
	v->outside |= UINT32_C(1) << index;
	return 0;
}

static int ring_start(struct vhost_user *v, unsigned index)
{
	int rc = vhost_user_inflight_prepare(v, index);

	if (rc < 0)
		return rc;
	v->served |= UINT32_C(1) << index;
	rc = v->ops->queue_start(v->device, index);
	if (rc < 0) {
		v->served &= ~(UINT32_C(1) << index);
		log_warning("device %s: vhost-user: queue %u cannot be served: %s", v->name, index, strerror(-rc));
	}
	return rc;
}

int vhost_user_rings_start(struct vhost_user *v)
{
	for (unsigned i = 0; i < v->queues_max; i++) {
		int rc;

		if ((v->served >> i & 1) != 0)
			continue;
		rc = ring_ready(v, i);
		if (rc == 1)
			rc = ring_start(v, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What GET_VRING_BASE does: it stays stopped until the next SET_VRING_KICK. Its call and error descriptors stay: the VMM gave them
 * for the connection. */
void vhost_user_ring_stop(struct vhost_user *v, unsigned index)
{
	struct virtqueue_state *q = &v->state.queues[index];
	bool any_broken = false;

	q->started = 0;
	q->broken = 0;
	vhost_user_fd_close(&v->fds.kick[index]);
	for (unsigned i = 0; i < v->queues_max; i++)
		any_broken |= v->state.queues[i].broken != 0;
	if (!any_broken)
		v->state.needs_reset = 0;
}

/* ---- which queues a message disturbs ---- */

uint32_t vhost_user_quiesce_all(const struct vhost_user *v, const struct vhost_user_message *m)
{
	(void)v;
	(void)m;
	return UINT32_MAX;
}

uint32_t vhost_user_quiesce_ring(const struct vhost_user *v, const struct vhost_user_message *m)
{
	(void)v;
	return UINT32_C(1) << vhost_user_message_queue(m);
}

/* A ring that outgrows the in-flight region which we made needs another region, and so all must stop. */
uint32_t vhost_user_quiesce_num(const struct vhost_user *v, const struct vhost_user_message *m)
{
	bool outgrown = v->inflight.mapping != NULL && m->payload.vring_state.num > v->inflight.queue_size;

	return outgrown ? UINT32_MAX : vhost_user_quiesce_ring(v, m);
}

/* A poller may be writing to the descriptor: it is replaced under its number (dup3), which disturbs nobody. */
uint32_t vhost_user_quiesce_call(const struct vhost_user *v, const struct vhost_user_message *m)
{
	bool in_place = v->fds.call[vhost_user_message_queue(m)] >= 0 && m->fd_count == 1;

	return in_place ? 0 : vhost_user_quiesce_ring(v, m);
}

uint32_t vhost_user_quiesce_enable(const struct vhost_user *v, const struct vhost_user_message *m)
{
	return m->payload.vring_state.num == 0 ? vhost_user_quiesce_ring(v, m) : 0;
}

/* ---- handlers ---- */

int vhost_user_set_vring_num(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = m->payload.vring_state.index, size = m->payload.vring_state.num;

	if (size == 0 || size > VIRTQUEUE_SIZE_MAX)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u of %u entries, not 1 to %u", index, size,
					 VIRTQUEUE_SIZE_MAX);
	if (!vhost_user_packed(v) && !power_of_two(size))
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u of %u entries, not a power of two", index, size);
	if (v->inflight.mapping != NULL && size > v->inflight.queue_size && (v->state.flags & DEVICE_STATE_INFLIGHT_VMM) == 0)
		vhost_user_inflight_drop(v);
	v->state.queues[index].size = size;
	return 0;
}

int vhost_user_set_vring_addr(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_vring_addr *a = &m->payload.vring_addr;
	struct virtqueue_state *q = &v->state.queues[a->index];

	if (a->flags != 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "flags 0x%x: logging is not offered", a->flags);
	/* VIRTIO 1.2, 2.7 and 2.8: what alignment drivers must keep. */
	if (a->descriptor_user_addr == 0 || a->descriptor_user_addr % 16 != 0 || a->used_user_addr % 4 != 0 ||
	    a->avail_user_addr % (vhost_user_packed(v) ? 4 : 2) != 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "the ring of queue %u is not aligned", a->index);
	q->descriptor_user_addr = a->descriptor_user_addr;
	q->driver_user_addr = a->avail_user_addr;
	q->device_user_addr = a->used_user_addr;
	q->log_guest_addr = a->log_guest_addr;
	v->outside &= ~(UINT32_C(1) << a->index);
	return 0;
}

int vhost_user_set_vring_base(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = m->payload.vring_state.index, num = m->payload.vring_state.num;
	struct virtqueue_state *q = &v->state.queues[index];

	if (!vhost_user_packed(v) && num > UINT16_MAX)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u starts at %u, beyond a 16-bit index", index, num);
	vhost_user_inflight_close(v, index);
	q->next_avail = (uint16_t)num;
	q->next_used = vhost_user_packed(v) ? (uint16_t)(num >> 16) : (uint16_t)num;
	/* Older front ends (DPDK's virtio-user) tell only the lower half. As an answer that would mean a full ring in flight, and
	 * nothing is in flight when a ring starts without an in-flight record. */
	if (vhost_user_packed(v) && q->next_used == 0 && (q->next_avail & PACKED_WRAP) != 0)
		q->next_used = q->next_avail;
	return 0;
}

int vhost_user_get_vring_base(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = m->payload.vring_state.index;
	const struct virtqueue_state *q = &v->state.queues[index];
	struct vhost_user_vring_state answer = {.index = index, .num = q->next_avail};
	int rc;

	if (vhost_user_packed(v))
		answer.num |= (uint32_t)q->next_used << 16;
	vhost_user_ring_stop(v, index);
	rc = vhost_user_reply(v, m, &answer, sizeof(answer), -1);
	if (rc == VHOST_USER_REPLIED)
		vhost_user_inflight_close(v, index);
	return rc;
}

int vhost_user_set_vring_enable(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = m->payload.vring_state.index, enable = m->payload.vring_state.num;

	if (enable > 1)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u to be set to %u, not 0 or 1", index, enable);
	v->state.queues[index].enabled = (uint8_t)enable;
	return 0;
}

/*
 * A descriptor that the card will wait for or write to must never block it: it must be an eventfd, and is made non-blocking. What
 * remains: a VMM that takes the flag back, which it shares, and fills the counter. The kernel is asked for the kind by its name,
 * since whatever asks the descriptor itself (fstat, poll, write) asks whoever is behind it, and FUSE answers when it likes.
 */
static bool is_eventfd(int fd)
{
	static const char kind[] = "anon_inode:[eventfd]";
	char link[32], name[sizeof(kind)];
	int flags = fcntl(fd, F_GETFL);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return flags >= 0 && readlink(link, name, sizeof(name)) == sizeof(kind) - 1 && memcmp(name, kind, sizeof(kind) - 1) == 0 &&
	       fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* *fd: the eventfd that came, -1 where the message says that there is none. */
static int take_eventfd(struct vhost_user *v, struct vhost_user_message *m, int *fd)
{
	*fd = m->fd_count == 1 ? m->fds[0] : -1;
	if (*fd >= 0 && !is_eventfd(*fd))
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u: the descriptor is no eventfd",
					 vhost_user_message_queue(m));
	if (*fd >= 0)
		vhost_user_message_take_fd(m, 0);
	return 0;
}

int vhost_user_set_vring_kick(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = vhost_user_message_queue(m);
	int fd, rc = take_eventfd(v, m, &fd);

	if (rc < 0)
		return rc;
	vhost_user_fd_close(&v->fds.kick[index]);
	v->fds.kick[index] = fd;
	v->state.queues[index].started = 1;
	return 0;
}

int vhost_user_set_vring_call(struct vhost_user *v, struct vhost_user_message *m)
{
	uint32_t index = vhost_user_message_queue(m);
	int *call = &v->fds.call[index];
	int fd, rc = take_eventfd(v, m, &fd);

	if (rc < 0)
		return rc;
	if (*call >= 0 && fd >= 0) {
		rc = dup3(fd, *call, O_CLOEXEC) < 0 ? -errno : 0;
		close(fd);
		if (rc < 0)
			return vhost_user_refuse(v, m->header.request, -EPROTO, "%s", strerror(-rc));
	} else {
		vhost_user_fd_close(call);
		*call = fd;
	}
	/* Completions may have been told to the descriptor before: QEMU hands over a masked one first, and that call would be lost.
	 * A queue that is not served calls its guest when it starts. */
	if ((v->served >> index & 1) != 0)
		v->ops->queue_call(v->device, index);
	return 0;
}

int vhost_user_set_vring_err(struct vhost_user *v, struct vhost_user_message *m)
{
	int fd, rc = take_eventfd(v, m, &fd);

	if (rc < 0)
		return rc;
	vhost_user_fd_close(&v->fds.err[vhost_user_message_queue(m)]);
	v->fds.err[vhost_user_message_queue(m)] = fd;
	return 0;
}
