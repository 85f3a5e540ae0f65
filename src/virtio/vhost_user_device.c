/* Requests about the device as a whole: what both sides can do, its status and reset, its config space, the channel back to the
 * VMM. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>

#include "virtio/vhost_user_internal.h"

#define BIT(feature) (UINT64_C(1) << (feature))

enum { MTU_MIN_BYTES = 68 }; /* VIRTIO 1.2, 5.1.4.1 */

uint64_t vhost_user_protocol_features(const struct vhost_user_config *config)
{
	uint64_t features = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			    BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
			    BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
			    BIT(VHOST_USER_PROTOCOL_F_STATUS);

	if (!config->no_inflight)
		features |= BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	if (config->mtu != 0)
		features |= BIT(VHOST_USER_PROTOCOL_F_MTU);
	return features;
}

int vhost_user_get_features(struct vhost_user *v, struct vhost_user_message *m)
{
	return vhost_user_reply_u64(v, m, v->features_offered);
}

static bool features_differ(const struct vhost_user *v, uint64_t features)
{
	return (v->state.flags & DEVICE_STATE_FEATURES_SET) == 0 || features != v->state.features;
}

uint32_t vhost_user_quiesce_features(const struct vhost_user *v, const struct vhost_user_message *m)
{
	return features_differ(v, m->payload.u64) ? UINT32_MAX : 0;
}

int vhost_user_set_features(struct vhost_user *v, struct vhost_user_message *m)
{
	uint64_t features = m->payload.u64;
	uint64_t unknown = features & ~v->features_offered;
	bool was_packed = vhost_user_packed(v);

	if (unknown != 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "bits 0x%llx were not offered",
					 (unsigned long long)unknown);
	if (!features_differ(v, features))
		return 0;
	v->state.features = features;
	v->state.flags |= DEVICE_STATE_FEATURES_SET;
	v->state.write_cache = 0; /* another driver: it starts from the default (VIRTIO 1.2, 5.2.5) */
	if (vhost_user_packed(v) != was_packed)
		vhost_user_inflight_drop(v); /* laid out for the other kind of ring */
	v->ops->features_changed(v->device);
	return 0;
}

int vhost_user_get_protocol_features(struct vhost_user *v, struct vhost_user_message *m)
{
	return vhost_user_reply_u64(v, m, v->protocol_features_offered);
}

int vhost_user_set_protocol_features(struct vhost_user *v, struct vhost_user_message *m)
{
	uint64_t unknown = m->payload.u64 & ~v->protocol_features_offered;

	if (unknown != 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "bits 0x%llx were not offered",
					 (unsigned long long)unknown);
	v->state.protocol_features = m->payload.u64;
	if ((m->payload.u64 & BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ)) == 0)
		vhost_user_fd_close(&v->fds.backend);
	return 0;
}

int vhost_user_set_owner(struct vhost_user *v, struct vhost_user_message *m)
{
	(void)v;
	(void)m;
	return 0; /* a session starts with the connection */
}

/* Deprecated: "back-ends either ignore this message, or use it to disable all rings". */
int vhost_user_reset_owner(struct vhost_user *v, struct vhost_user_message *m)
{
	(void)m;
	for (unsigned i = 0; i < v->queues_max; i++)
		v->state.queues[i].enabled = 0;
	return 0;
}

/* What belongs to the connection stays: protocol features, memory (the VMM tells only changes), call and error descriptors. */
int vhost_user_reset_device(struct vhost_user *v, struct vhost_user_message *m)
{
	(void)m;
	for (unsigned i = 0; i < v->queues_max; i++) {
		vhost_user_ring_stop(v, i);
		memset(&v->state.queues[i], 0, sizeof(v->state.queues[i]));
	}
	vhost_user_inflight_drop(v); /* nothing is in flight: its queues were stopped */
	v->state.features = 0;
	v->state.flags &= (uint8_t)~DEVICE_STATE_FEATURES_SET;
	v->state.status = 0;
	v->state.write_cache = 0;
	v->ops->features_changed(v->device);
	return 0;
}

int vhost_user_get_queue_num(struct vhost_user *v, struct vhost_user_message *m)
{
	return vhost_user_reply_u64(v, m, v->queue_num);
}

/* What the VMM shows its guest as the MTU. What the card carries is not the VMM's to choose: it may promise less, not more. */
int vhost_user_net_set_mtu(struct vhost_user *v, struct vhost_user_message *m)
{
	uint64_t mtu = m->payload.u64;

	if (mtu < MTU_MIN_BYTES || mtu > v->mtu)
		return vhost_user_refuse(v, m->header.request, -EINVAL, "an MTU of %llu, not %u to %u", (unsigned long long)mtu,
					 MTU_MIN_BYTES, v->mtu);
	return 0;
}

int vhost_user_get_status(struct vhost_user *v, struct vhost_user_message *m)
{
	uint64_t status = v->state.status;

	return vhost_user_reply_u64(v, m, v->state.needs_reset != 0 ? status | VIRTIO_CONFIG_S_NEEDS_RESET : status);
}

uint32_t vhost_user_quiesce_status(const struct vhost_user *v, const struct vhost_user_message *m)
{
	(void)v;
	return m->payload.u64 == 0 ? UINT32_MAX : 0;
}

/*
 * NEEDS_RESET is ours to set. Writing 0 resets the device (VIRTIO 1.2, 2.1), and so it stops serving; but where its rings stood is
 * kept, since QEMU (7.2) writes 0 whenever it stops a device, also for a VM that is only paused, and asks with GET_VRING_BASE
 * afterwards. A reset device gets new positions with SET_VRING_BASE in any case.
 */
int vhost_user_set_status(struct vhost_user *v, struct vhost_user_message *m)
{
	uint64_t status = m->payload.u64;

	if (status > UINT8_MAX)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "0x%llx is no device status", (unsigned long long)status);
	if (status == 0)
		for (unsigned i = 0; i < v->queues_max; i++)
			vhost_user_ring_stop(v, i);
	v->state.status = (uint8_t)(status & ~(uint64_t)VIRTIO_CONFIG_S_NEEDS_RESET);
	return 0;
}

static int check_config(const struct vhost_user *v, const struct vhost_user_message *m)
{
	const struct vhost_user_config_space *c = &m->payload.config_space;

	if (c->size > VHOST_USER_CONFIG_SPACE_MAX_BYTES || c->offset > VHOST_USER_CONFIG_SPACE_MAX_BYTES - c->size)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u bytes at %u are beyond the config space", c->size,
					 c->offset);
	if (m->header.size != VHOST_USER_CONFIG_SPACE_HEADER_BYTES + c->size)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u bytes of config space in a payload of %u", c->size,
					 m->header.size);
	return 0;
}

/* Front ends ask for as much as they know of, which may be more than this device has: the rest reads as 0. */
int vhost_user_get_config(struct vhost_user *v, struct vhost_user_message *m)
{
	struct vhost_user_config_space answer = {
		.offset = m->payload.config_space.offset,
		.size = m->payload.config_space.size,
		.flags = m->payload.config_space.flags,
	};
	uint32_t have_bytes = answer.offset < v->config_size ? v->config_size - answer.offset : 0;
	int rc = check_config(v, m);

	if (rc < 0)
		return rc;
	if (have_bytes > answer.size)
		have_bytes = answer.size;
	if (have_bytes > 0)
		rc = v->ops->config_read(v->device, answer.offset, answer.data, have_bytes);
	if (rc < 0) { /* "uses zero length of payload to indicate an error" */
		vhost_user_refuse(v, m->header.request, rc, "%u bytes at %u: %s", answer.size, answer.offset, strerror(-rc));
		return vhost_user_reply(v, m, NULL, 0, -1);
	}
	return vhost_user_reply(v, m, &answer, VHOST_USER_CONFIG_SPACE_HEADER_BYTES + answer.size, -1);
}

/* A driver causes it, which is no reason to take its disk away, nor to write a log line each time: what the device refuses is told
 * where the VMM asks, and ignored. */
int vhost_user_set_config(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_config_space *c = &m->payload.config_space;
	int rc = check_config(v, m);

	if (rc < 0)
		return rc;
	if (c->flags != VHOST_USER_CONFIG_FLAG_WRITABLE && c->flags != VHOST_USER_CONFIG_FLAG_MIGRATION)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "flags 0x%x", c->flags);
	if (c->offset + c->size > v->config_size)
		rc = -EINVAL;
	else
		rc = v->ops->config_write(v->device, c->offset, c->data, c->size);
	return vhost_user_wants_ack(v, m) ? vhost_user_reply_u64(v, m, rc < 0) : 0;
}

int vhost_user_set_backend_req_fd(struct vhost_user *v, struct vhost_user_message *m)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(m->fds[0], SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_UNIX ||
	    getsockopt(m->fds[0], SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "the descriptor is no unix stream socket");
	vhost_user_fd_close(&v->fds.backend);
	v->fds.backend = vhost_user_message_take_fd(m, 0);
	return 0;
}
