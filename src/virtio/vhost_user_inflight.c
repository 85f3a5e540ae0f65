/*
 * The in-flight region (section "Inflight I/O tracking"): three ways to one. GET_INFLIGHT_FD makes it and shows it to the VMM,
 * which gives it back with SET_INFLIGHT_FD after a reconnect; where the VMM does neither, the connection makes one for itself when
 * the first ring starts, so that a successor of this process finds what was in flight. A device that has nothing in flight between
 * two visits keeps no record, and does not offer the feature.
 */
#include <errno.h>
#include <string.h>

#include "virtio/inflight_queue.h"
#include "virtio/vhost_user_internal.h"

struct inflight_queue *vhost_user_inflight(struct vhost_user *v, unsigned index)
{
	return inflight_queue(&v->inflight, index);
}

static bool inflight_kept(const struct vhost_user *v)
{
	return (v->protocol_features_offered >> VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD & 1) != 0;
}

void vhost_user_inflight_close(struct vhost_user *v, unsigned index)
{
	struct inflight_queue *q = vhost_user_inflight(v, index);

	if (q != NULL)
		inflight_close(q);
}

void vhost_user_inflight_drop(struct vhost_user *v)
{
	if (v->inflight.mapping != NULL)
		inflight_unmap(&v->inflight);
	memset(&v->inflight, 0, sizeof(v->inflight));
	vhost_user_fd_close(&v->fds.inflight);
	v->state.inflight_size_bytes = 0;
	v->state.inflight_offset_bytes = 0;
	v->state.inflight_queue_count = 0;
	v->state.inflight_queue_size = 0;
	v->state.flags &= (uint8_t)~DEVICE_STATE_INFLIGHT_VMM;
}

/* Writes down where the region is that was just mapped. Takes fd. */
static void remember(struct vhost_user *v, int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
	v->fds.inflight = fd;
	v->state.inflight_size_bytes = size_bytes;
	v->state.inflight_offset_bytes = offset_bytes;
	v->state.inflight_queue_count = v->inflight.queue_count;
	v->state.inflight_queue_size = v->inflight.queue_size;
}

static int create(struct vhost_user *v, uint32_t request, uint16_t queue_count, uint16_t queue_size)
{
	bool packed = vhost_user_packed(v);
	int fd, rc;

	vhost_user_inflight_drop(v);
	rc = inflight_create(&v->inflight, queue_count, queue_size, packed, &fd);
	if (rc < 0) {
		memset(&v->inflight, 0, sizeof(v->inflight));
		return vhost_user_refuse(v, request, rc, "in-flight region of %u queues of %u entries: %s", queue_count, queue_size,
					 strerror(-rc));
	}
	remember(v, fd, 0, inflight_size_bytes(queue_count, queue_size, packed));
	return 0;
}

int vhost_user_inflight_prepare(struct vhost_user *v, unsigned index)
{
	uint32_t largest = 0;

	if (!inflight_kept(v))
		return 0;
	if (v->inflight.mapping == NULL) {
		for (unsigned i = 0; i < v->queues_max; i++)
			if (v->state.queues[i].size > largest)
				largest = v->state.queues[i].size;
		return create(v, VHOST_USER_SET_VRING_KICK, v->queues_max, (uint16_t)largest);
	}
	if (index >= v->inflight.queue_count || v->state.queues[index].size > v->inflight.queue_size)
		return vhost_user_refuse(v, VHOST_USER_SET_VRING_KICK, -EPROTO,
					 "queue %u of %u entries does not fit the in-flight region of %u queues of %u", index,
					 v->state.queues[index].size, v->inflight.queue_count, v->inflight.queue_size);
	return 0;
}

static int check_area(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_inflight_area *area = &m->payload.inflight_area;

	if (area->queue_count == 0 || area->queue_count > v->queues_max || area->queue_size == 0 ||
	    area->queue_size > VIRTQUEUE_SIZE_MAX)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u queues of %u entries, at most %u of %u",
					 area->queue_count, area->queue_size, v->queues_max, VIRTQUEUE_SIZE_MAX);
	return 0;
}

int vhost_user_get_inflight_fd(struct vhost_user *v, struct vhost_user_message *m)
{
	struct vhost_user_inflight_area answer = {
		.queue_count = m->payload.inflight_area.queue_count,
		.queue_size = m->payload.inflight_area.queue_size,
	};
	int rc = check_area(v, m);

	if (rc < 0)
		return rc;
	rc = create(v, m->header.request, answer.queue_count, answer.queue_size);
	if (rc < 0)
		return rc;
	v->state.flags |= DEVICE_STATE_INFLIGHT_VMM;
	answer.mmap_size = v->state.inflight_size_bytes;
	return vhost_user_reply(v, m, &answer, m->header.size, v->fds.inflight);
}

int vhost_user_set_inflight_fd(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_inflight_area *area = &m->payload.inflight_area;
	int rc = check_area(v, m);

	if (rc < 0)
		return rc;
	if (!vhost_user_is_memory_file(m->fds[0])) /* for the reason told in vhost_user_memory.c */
		return vhost_user_refuse(v, m->header.request, -EINVAL, "the in-flight region is no memfd and no file of tmpfs");
	vhost_user_inflight_drop(v);
	rc = inflight_map(&v->inflight, m->fds[0], area->mmap_offset, area->mmap_size, area->queue_count, area->queue_size,
			  vhost_user_packed(v));
	if (rc < 0) {
		memset(&v->inflight, 0, sizeof(v->inflight));
		return vhost_user_refuse(v, m->header.request, rc, "in-flight region of %llu bytes at %llu for %u queues of %u: %s",
					 (unsigned long long)area->mmap_size, (unsigned long long)area->mmap_offset,
					 area->queue_count, area->queue_size, strerror(-rc));
	}
	remember(v, vhost_user_message_take_fd(m, 0), area->mmap_offset, area->mmap_size);
	v->state.flags |= DEVICE_STATE_INFLIGHT_VMM;
	return 0;
}
