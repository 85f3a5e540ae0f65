/*
 * Theory of operation. A message goes through four steps:
 *
 *	receive	  (vhost_user_message.c) until it is whole;
 *	check	  (vhost_user_table.c) against the table: size, descriptors, state, queue index;
 *	quiesce	  the served queues that it disturbs are stopped; while that takes time the message waits and no other is read;
 *	handle	  with those queues standing still; then every ring that is ready and not served starts (vhost_user_ring.c), and the
 *		  VMM gets its answer.
 *
 * So no handler knows of pollers, and starting again after a change needs no code of its own. An error in any step closes the
 * connection, except where the VMM asked for an answer (REPLY_ACK) and the device is whole without the message: then the answer is
 * "failed".
 */
#include "virtio/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "virtio/vhost_user_internal.h"

_Static_assert(sizeof(struct vhost_user) <= 6 * 1024, "ten thousand idle devices in one process");

int vhost_user_create(struct vhost_user **out, const struct vhost_user_config *config)
{
	struct vhost_user *v;

	if (config->queues_max == 0 || config->queues_max > DEVICE_QUEUES_MAX ||
	    config->config_size > VHOST_USER_CONFIG_SPACE_MAX_BYTES)
		return -EINVAL;
	v = calloc(1, sizeof(*v) + strlen(config->name) + 1);
	if (v == NULL)
		return -ENOMEM;
	strcpy(v->name, config->name);
	v->socket = config->socket;
	v->ops = config->ops;
	v->device = config->device;
	v->features_offered = config->features | UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES;
	v->protocol_features_offered = vhost_user_protocol_features(config);
	v->queues_max = config->queues_max;
	v->queue_num = config->queue_pairs != 0 ? config->queue_pairs : config->queues_max;
	v->is_paired = config->queue_pairs != 0;
	v->mtu = config->mtu;
	v->config_size = config->config_size;
	v->state.version = DEVICE_STATE_VERSION;
	v->state.layout_bytes = sizeof(v->state);
	memset(&v->fds, 0xff, sizeof(v->fds)); /* -1 everywhere */
	guest_memory_init(&v->memory);
	*out = v;
	return 0;
}

void vhost_user_free(struct vhost_user *v)
{
	vhost_user_message_free(v);
	vhost_user_memory_drop(v);
	vhost_user_inflight_drop(v);
	for (unsigned i = 0; i < DEVICE_QUEUES_MAX; i++) {
		vhost_user_fd_close(&v->fds.kick[i]);
		vhost_user_fd_close(&v->fds.call[i]);
		vhost_user_fd_close(&v->fds.err[i]);
	}
	vhost_user_fd_close(&v->fds.backend);
	vhost_user_fd_close(&v->socket);
	free(v);
}

static void stop_queues(struct vhost_user *v, uint32_t queues)
{
	v->stopping = queues;
	for (unsigned i = 0; i < v->queues_max; i++)
		if ((queues >> i & 1) != 0)
			v->ops->queue_stop(v->device, i);
}

/* The connection is over; what was received of it is dropped. */
static int fail(struct vhost_user *v, int error)
{
	v->closed = true;
	v->waiting = false;
	vhost_user_message_free(v);
	return error;
}

/* The message is whole and legal, and the queues that it disturbs stand still. */
static int handle(struct vhost_user *v)
{
	struct vhost_user_message *m = v->message;
	bool ack = vhost_user_wants_ack(v, m);
	int rc = vhost_user_rule(m->header.request)->handle(v, m);
	int started;

	if (rc < 0)
		v->refusals++;
	if (rc == -EPROTO || rc == -ECONNRESET || (rc < 0 && (!ack || v->refusals > VHOST_USER_REFUSALS_MAX)))
		return fail(v, rc);
	started = vhost_user_rings_start(v);
	if (started < 0)
		return fail(v, started);
	if (rc != VHOST_USER_REPLIED && ack)
		rc = vhost_user_reply_u64(v, m, rc < 0);
	if (rc < 0)
		return fail(v, rc);
	vhost_user_message_free(v);
	return 0;
}

static int quiesce_and_handle(struct vhost_user *v)
{
	const struct vhost_user_rule *rule = vhost_user_rule(v->message->header.request);

	if (rule->quiesce != NULL)
		stop_queues(v, rule->quiesce(v, v->message) & v->served);
	v->waiting = v->stopping != 0;
	return v->waiting ? 1 : handle(v);
}

int vhost_user_readable(struct vhost_user *v)
{
	if (v->closed)
		return -ECONNRESET;
	if (v->waiting)
		return 1;
	for (unsigned i = 0; i < VHOST_USER_MESSAGES_PER_CALL; i++) {
		int rc = vhost_user_receive(v);

		if (rc < 0)
			return fail(v, rc);
		if (rc == 0)
			return 0;
		rc = quiesce_and_handle(v);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int vhost_user_queue_stopped(struct vhost_user *v, unsigned index)
{
	assert(index < v->queues_max);
	v->served &= ~(UINT32_C(1) << index);
	v->stopping &= ~(UINT32_C(1) << index);
	if (v->closed)
		return -ECONNRESET;
	if (!v->waiting) /* not yet: called from within queue_stop; or not at all: it stopped by itself */
		return 0;
	v->waiting = v->stopping != 0;
	return v->waiting ? 1 : handle(v);
}

int vhost_user_config_changed(struct vhost_user *v)
{
	if (v->fds.backend < 0 || (v->state.protocol_features >> VHOST_USER_PROTOCOL_F_CONFIG & 1) == 0)
		return -ENOTCONN;
	return vhost_user_backend_send(v, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
}

void vhost_user_queue_broken(struct vhost_user *v, unsigned index)
{
	assert(index < v->queues_max);
	v->state.queues[index].broken = 1;
	v->state.needs_reset = 1;
	vhost_user_config_changed(v);
}

struct device_state *vhost_user_state(struct vhost_user *v)
{
	return &v->state;
}

struct device_fds *vhost_user_fds(struct vhost_user *v)
{
	return &v->fds;
}

const struct guest_memory *vhost_user_memory(struct vhost_user *v)
{
	return &v->memory;
}

int vhost_user_call_fd(struct vhost_user *v, unsigned index)
{
	return v->fds.call[index];
}

bool vhost_user_queue_served(const struct vhost_user *v, unsigned index)
{
	return (v->served >> index & 1) != 0;
}

unsigned vhost_user_queues_served(const struct vhost_user *v)
{
	return (unsigned)__builtin_popcount(v->served);
}
