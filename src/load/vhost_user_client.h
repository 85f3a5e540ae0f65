/*
 * The front end of the vhost-user protocol (QEMU, docs/interop/vhost-user.rst): what a VMM does, without the VM. One connection to
 * one back end; blocking, with a limit on how long a reply may take. Works with back ends that lack protocol features, and trusts
 * none: a reply of the wrong kind or size, a refusal or silence is an error, and `error` then holds a sentence for a person.
 *
 *	connect -> features_set -> memory_set -> [inflight] -> queue_start ... -> poll now and then -> close
 *
 * Every call but close returns 0 or -errno: -ECONNRESET (the back end is gone), -ETIMEDOUT, -EPROTO (it broke the protocol),
 * -EREMOTEIO (it refused), -EOPNOTSUPP (it cannot). After an error only close is legal.
 */
#ifndef OUTBOARD_LOAD_VHOST_USER_CLIENT_H
#define OUTBOARD_LOAD_VHOST_USER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/driver_ring.h"
#include "load/shared_memory.h"

enum { VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS = 10000 };

/* What a kind of device wants of the protocol, and how a person comes by one. */
struct vhost_user_client_device {
	uint64_t protocol_features;
	const char *socket_missing; /* what to do about a socket that is not there */
};

struct vhost_user_client {
	const struct vhost_user_client_device *device; /* outlives the client */
	int socket;
	int backend_channel; /* requests of the back end; -1 when it has none */
	int timeout_ms;
	uint64_t features_offered; /* virtio features; set by connect */
	uint64_t protocol_features_offered;
	uint64_t protocol_features; /* negotiated */
	uint32_t queues_max;
	bool config_changed; /* the back end said so; the user clears it after reading the config space again */
	char error[384];
};

/* Connects and negotiates the protocol. */
int vhost_user_client_connect(struct vhost_user_client *client, const struct vhost_user_client_device *device,
			      const char *socket_path, int timeout_ms);
void vhost_user_client_close(struct vhost_user_client *client); /* also after a failed connect */

bool vhost_user_client_has(const struct vhost_user_client *client, unsigned protocol_feature);
bool vhost_user_client_offers(const struct vhost_user_client *client, unsigned feature);

/* -EOPNOTSUPP without PROTOCOL_F_CONFIG. The back end may give less than `size`; *size_read says how much. */
int vhost_user_client_config_read(struct vhost_user_client *client, uint32_t offset, void *data, uint32_t size,
				  uint32_t *size_read);
int vhost_user_client_features_set(struct vhost_user_client *client, uint64_t features);
int vhost_user_client_memory_set(struct vhost_user_client *client, const struct shared_memory *memory);

/* Tells the back end what the driver was told; -EOPNOTSUPP without PROTOCOL_F_MTU. */
int vhost_user_client_mtu_set(struct vhost_user_client *client, uint16_t mtu);

/* The record of what is in flight, kept by the front end for the next back end. */
struct vhost_user_client_inflight {
	int fd; /* -1: none */
	uint64_t size_bytes;
	uint64_t offset_bytes;
	uint16_t queue_count;
	uint16_t queue_size;
};

int vhost_user_client_inflight_get(struct vhost_user_client *client, uint16_t queue_count, uint16_t queue_size,
				   struct vhost_user_client_inflight *inflight);
int vhost_user_client_inflight_set(struct vhost_user_client *client, const struct vhost_user_client_inflight *inflight);

int vhost_user_client_queue_start(struct vhost_user_client *client, unsigned index, const struct driver_ring *ring);
int vhost_user_client_queue_stop(struct vhost_user_client *client, unsigned index,
				 uint32_t *base); /* waits for what is in flight */

/* Looks, without waiting, whether the back end is still there (-ECONNRESET) and handles what it asks for. */
int vhost_user_client_poll(struct vhost_user_client *client);

#endif
