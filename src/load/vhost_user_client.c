#include "load/vhost_user_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "load/vhost_user_wire.h"

#define BIT(n) (UINT64_C(1) << (n))

static const char *const request_names[VHOST_USER_REQUEST_LIMIT] = {
	[VHOST_USER_GET_FEATURES] = "GET_FEATURES",
	[VHOST_USER_SET_FEATURES] = "SET_FEATURES",
	[VHOST_USER_SET_OWNER] = "SET_OWNER",
	[VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
	[VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
	[VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
	[VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
	[VHOST_USER_GET_VRING_BASE] = "GET_VRING_BASE",
	[VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
	[VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
	[VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
	[VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
	[VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
	[VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
	[VHOST_USER_NET_SET_MTU] = "NET_SET_MTU",
	[VHOST_USER_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
	[VHOST_USER_GET_CONFIG] = "GET_CONFIG",
	[VHOST_USER_GET_INFLIGHT_FD] = "GET_INFLIGHT_FD",
	[VHOST_USER_SET_INFLIGHT_FD] = "SET_INFLIGHT_FD",
	[VHOST_USER_ADD_MEM_REG] = "ADD_MEM_REG",
};

__attribute__((format(printf, 3, 4))) static int fail(struct vhost_user_client *client, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(client->error, sizeof(client->error), format, args);
	va_end(args);
	return error;
}

static int fail_exchange(struct vhost_user_client *client, int error, uint32_t request)
{
	const char *name = request_names[request];

	switch (error) {
	case -EPIPE:
	case -ECONNRESET:
		return fail(
			client, -ECONNRESET,
			"the back end closed the connection at %s; its own log may say why (does it serve another client already?)",
			name);
	case -ETIMEDOUT:
		return fail(client, error,
			    "the back end did not answer %s in %d ms; is it alive, and is this its vhost-user socket?", name,
			    client->timeout_ms);
	case -EPROTO:
		return fail(client, error,
			    "the back end's answer to %s is not one the vhost-user protocol allows; is this a vhost-user socket?",
			    name);
	default:
		return fail(client, error, "%s: %s", name, strerror(-error));
	}
}

bool vhost_user_client_has(const struct vhost_user_client *client, unsigned protocol_feature)
{
	return (client->protocol_features & BIT(protocol_feature)) != 0;
}

bool vhost_user_client_offers(const struct vhost_user_client *client, unsigned feature)
{
	return (client->features_offered & BIT(feature)) != 0;
}

/* Sends, and receives the answer into *m when its header is that of an answer to this request. */
static int exchange(struct vhost_user_client *client, struct vhost_user_message *m, int fd, int *reply_fd)
{
	uint32_t request = m->header.request;
	int error;

	error = vhost_user_wire_send(client->socket, m, fd, client->timeout_ms);
	if (error == 0)
		error = vhost_user_wire_receive(client->socket, m, reply_fd, client->timeout_ms);
	if (error == 0 && (m->header.request != request || (m->header.flags & VHOST_USER_FLAG_REPLY) == 0 ||
			   (m->header.flags & VHOST_USER_FLAG_VERSION_MASK) != VHOST_USER_VERSION)) {
		if (reply_fd != NULL && *reply_fd >= 0)
			close(*reply_fd);
		error = -EPROTO;
	}
	return error == 0 ? 0 : fail_exchange(client, error, request);
}

/* A request without an answer of its own; where the back end can acknowledge, it must. */
static int set(struct vhost_user_client *client, struct vhost_user_message *m, int fd)
{
	uint32_t request = m->header.request;
	int error;

	m->header.flags = VHOST_USER_VERSION;
	if (!vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
		error = vhost_user_wire_send(client->socket, m, fd, client->timeout_ms);
		return error == 0 ? 0 : fail_exchange(client, error, request);
	}
	m->header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	error = exchange(client, m, fd, NULL);
	if (error != 0)
		return error;
	if (m->header.size != sizeof(m->payload.u64))
		return fail_exchange(client, -EPROTO, request);
	if (m->payload.u64 != 0)
		return fail(client, -EREMOTEIO, "the back end refused %s; its own log may say why", request_names[request]);
	return 0;
}

static int set_u64(struct vhost_user_client *client, uint32_t request, uint64_t value, int fd)
{
	struct vhost_user_message m = {.header = {.request = request, .size = sizeof(value)}, .payload.u64 = value};

	return set(client, &m, fd);
}

static int set_vring(struct vhost_user_client *client, uint32_t request, unsigned index, uint32_t value)
{
	struct vhost_user_message m = {.header = {.request = request, .size = sizeof(struct vhost_user_vring_state)},
				       .payload.vring_state = {.index = index, .num = value}};

	return set(client, &m, -1);
}

static int get_u64(struct vhost_user_client *client, uint32_t request, uint64_t *value)
{
	struct vhost_user_message m = {.header = {.request = request, .flags = VHOST_USER_VERSION}};
	int error;

	error = exchange(client, &m, -1, NULL);
	if (error != 0)
		return error;
	if (m.header.size != sizeof(*value))
		return fail_exchange(client, -EPROTO, request);
	*value = m.payload.u64;
	return 0;
}

static int open_socket(struct vhost_user_client *client, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(client, -ENAMETOOLONG, "a socket's path has at most %zu characters; use a shorter one",
			    sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->socket < 0)
		return fail(client, -errno, "socket: %s", strerror(errno));
	if (connect(client->socket, (struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	switch (errno) {
	case ENOENT:
		return fail(client, -ENOENT, "no such socket; %s", client->device->socket_missing);
	case ECONNREFUSED:
		return fail(client, -ECONNREFUSED, "nobody listens there; is the back end running?");
	case EACCES:
		return fail(client, -EACCES, "permission denied; run as the owner of the socket, or through sudo");
	case EAGAIN:
		return fail(client, -EAGAIN, "the back end does not accept connections; does it serve another client?");
	default:
		return fail(client, -errno, "cannot connect: %s", strerror(errno));
	}
}

static int open_backend_channel(struct vhost_user_client *client)
{
	struct vhost_user_message m = {.header = {.request = VHOST_USER_SET_BACKEND_REQ_FD}};
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(client, -errno, "socketpair: %s", strerror(errno));
	client->backend_channel = pair[0];
	error = set(client, &m, pair[1]);
	close(pair[1]);
	return error;
}

static int negotiate_protocol(struct vhost_user_client *client)
{
	uint64_t queues, features;
	int error;

	error = get_u64(client, VHOST_USER_GET_PROTOCOL_FEATURES, &client->protocol_features_offered);
	if (error != 0)
		return error;
	/* Acknowledgements are part of the contract only once this message was handled (the specification leaves this one open). */
	features = client->protocol_features_offered & client->device->protocol_features;
	error = set_u64(client, VHOST_USER_SET_PROTOCOL_FEATURES, features, -1);
	client->protocol_features = features;
	if (error == 0 && vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_MQ)) {
		error = get_u64(client, VHOST_USER_GET_QUEUE_NUM, &queues);
		if (error == 0)
			client->queues_max = queues > UINT16_MAX ? UINT16_MAX : (uint32_t)queues;
	}
	if (error == 0 && vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		error = open_backend_channel(client);
	return error;
}

int vhost_user_client_connect(struct vhost_user_client *client, const struct vhost_user_client_device *device,
			      const char *socket_path, int timeout_ms)
{
	struct vhost_user_message owner = {.header = {.request = VHOST_USER_SET_OWNER}};
	int error;

	memset(client, 0, sizeof(*client));
	client->socket = -1;
	client->backend_channel = -1;
	client->device = device;
	client->timeout_ms = timeout_ms;
	client->queues_max = 1;
	error = open_socket(client, socket_path);
	if (error == 0)
		error = get_u64(client, VHOST_USER_GET_FEATURES, &client->features_offered);
	if (error == 0)
		error = set(client, &owner, -1);
	if (error == 0 && vhost_user_client_offers(client, VHOST_USER_F_PROTOCOL_FEATURES))
		error = negotiate_protocol(client);
	return error;
}

void vhost_user_client_close(struct vhost_user_client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	if (client->backend_channel >= 0)
		close(client->backend_channel);
	client->socket = -1;
	client->backend_channel = -1;
}

int vhost_user_client_config_read(struct vhost_user_client *client, uint32_t offset, void *data, uint32_t size, uint32_t *size_read)
{
	struct vhost_user_message m = {.header = {.request = VHOST_USER_GET_CONFIG, .flags = VHOST_USER_VERSION}};
	int error;

	if (!vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_CONFIG))
		return fail(client, -EOPNOTSUPP,
			    "the back end cannot tell its configuration (no PROTOCOL_F_CONFIG), so what it serves is "
			    "unknown; a vhost-user-blk back end must offer it");
	m.header.size = VHOST_USER_CONFIG_SPACE_HEADER_BYTES + size;
	m.payload.config_space.offset = offset;
	m.payload.config_space.size = size;
	error = exchange(client, &m, -1, NULL);
	if (error != 0)
		return error;
	if (m.header.size == 0)
		return fail(client, -EREMOTEIO, "the back end refused to tell its configuration; its own log may say why");
	if (m.header.size < VHOST_USER_CONFIG_SPACE_HEADER_BYTES || m.payload.config_space.size > size ||
	    m.header.size - VHOST_USER_CONFIG_SPACE_HEADER_BYTES < m.payload.config_space.size)
		return fail_exchange(client, -EPROTO, VHOST_USER_GET_CONFIG);
	memcpy(data, m.payload.config_space.data, m.payload.config_space.size);
	*size_read = m.payload.config_space.size;
	return 0;
}

int vhost_user_client_features_set(struct vhost_user_client *client, uint64_t features)
{
	if (vhost_user_client_offers(client, VHOST_USER_F_PROTOCOL_FEATURES))
		features |= BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	return set_u64(client, VHOST_USER_SET_FEATURES, features, -1);
}

int vhost_user_client_memory_set(struct vhost_user_client *client, const struct shared_memory *memory)
{
	struct vhost_user_region region = {
		.guest_addr = SHARED_MEMORY_GUEST_ADDRESS, .size_bytes = memory->size_bytes, .user_addr = (uintptr_t)memory->base};
	struct vhost_user_message m = {0};

	if (vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		m.header.request = VHOST_USER_ADD_MEM_REG;
		m.header.size = sizeof(m.payload.single_region);
		m.payload.single_region.region = region;
	} else {
		m.header.request = VHOST_USER_SET_MEM_TABLE;
		m.header.size = VHOST_USER_MEMORY_TABLE_HEADER_BYTES + sizeof(region);
		m.payload.memory_table.count = 1;
		m.payload.memory_table.regions[0] = region;
	}
	return set(client, &m, memory->fd);
}

int vhost_user_client_mtu_set(struct vhost_user_client *client, uint16_t mtu)
{
	if (!vhost_user_client_has(client, VHOST_USER_PROTOCOL_F_MTU))
		return fail(client, -EOPNOTSUPP, "the back end cannot be told an MTU (no PROTOCOL_F_MTU); leave --mtu out");
	return set_u64(client, VHOST_USER_NET_SET_MTU, mtu, -1);
}

int vhost_user_client_inflight_get(struct vhost_user_client *client, uint16_t queue_count, uint16_t queue_size,
				   struct vhost_user_client_inflight *inflight)
{
	struct vhost_user_message m = {.header = {.request = VHOST_USER_GET_INFLIGHT_FD,
						  .flags = VHOST_USER_VERSION,
						  .size = sizeof(m.payload.inflight_area)}};
	struct stat st;
	int error;

	inflight->fd = -1;
	m.payload.inflight_area.queue_count = queue_count;
	m.payload.inflight_area.queue_size = queue_size;
	error = exchange(client, &m, -1, &inflight->fd);
	if (error != 0)
		return error;
	if (m.header.size < VHOST_USER_INFLIGHT_AREA_PACKED_BYTES || inflight->fd < 0 || fstat(inflight->fd, &st) != 0 ||
	    m.payload.inflight_area.mmap_offset > (uint64_t)st.st_size ||
	    m.payload.inflight_area.mmap_size > (uint64_t)st.st_size - m.payload.inflight_area.mmap_offset) {
		if (inflight->fd >= 0)
			close(inflight->fd);
		inflight->fd = -1;
		return fail_exchange(client, -EPROTO, VHOST_USER_GET_INFLIGHT_FD);
	}
	inflight->size_bytes = m.payload.inflight_area.mmap_size;
	inflight->offset_bytes = m.payload.inflight_area.mmap_offset;
	inflight->queue_count = queue_count;
	inflight->queue_size = queue_size;
	return 0;
}

int vhost_user_client_inflight_set(struct vhost_user_client *client, const struct vhost_user_client_inflight *inflight)
{
	struct vhost_user_message m = {
		.header = {.request = VHOST_USER_SET_INFLIGHT_FD, .size = sizeof(m.payload.inflight_area)},
		.payload.inflight_area = {.mmap_size = inflight->size_bytes,
					  .mmap_offset = inflight->offset_bytes,
					  .queue_count = inflight->queue_count,
					  .queue_size = inflight->queue_size},
	};

	return set(client, &m, inflight->fd);
}

/* In QEMU's order: the kick starts the ring, so everything else comes before it. */
int vhost_user_client_queue_start(struct vhost_user_client *client, unsigned index, const struct driver_ring *ring)
{
	struct driver_ring_layout layout = driver_ring_layout(ring);
	struct vhost_user_message m = {
		.header = {.request = VHOST_USER_SET_VRING_ADDR, .size = sizeof(m.payload.vring_addr)},
		.payload.vring_addr = {.index = index,
				       .descriptor_user_addr = (uintptr_t)layout.descriptor_area,
				       .avail_user_addr = (uintptr_t)layout.driver_area,
				       .used_user_addr = (uintptr_t)layout.device_area},
	};
	int error;

	error = set_vring(client, VHOST_USER_SET_VRING_NUM, index, ring->size);
	if (error == 0)
		error = set_vring(client, VHOST_USER_SET_VRING_BASE, index, driver_ring_base(ring));
	if (error == 0)
		error = set(client, &m, -1);
	if (error == 0)
		error = set_u64(client, VHOST_USER_SET_VRING_CALL, index, ring->call_fd);
	if (error == 0)
		error = set_u64(client, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd);
	if (error == 0 && vhost_user_client_offers(client, VHOST_USER_F_PROTOCOL_FEATURES))
		error = set_vring(client, VHOST_USER_SET_VRING_ENABLE, index, 1);
	return error;
}

int vhost_user_client_queue_stop(struct vhost_user_client *client, unsigned index, uint32_t *base)
{
	struct vhost_user_message m = {.header = {.request = VHOST_USER_GET_VRING_BASE,
						  .flags = VHOST_USER_VERSION,
						  .size = sizeof(m.payload.vring_state)},
				       .payload.vring_state = {.index = index}};
	int error;

	error = exchange(client, &m, -1, NULL);
	if (error != 0)
		return error;
	if (m.header.size != sizeof(m.payload.vring_state) || m.payload.vring_state.index != index)
		return fail_exchange(client, -EPROTO, VHOST_USER_GET_VRING_BASE);
	*base = m.payload.vring_state.num;
	return 0;
}

/* One request of the back end. Only the configuration change means something to us; what we do not know is refused. */
static int serve_backend(struct vhost_user_client *client)
{
	struct vhost_user_message m;
	bool known;
	int error;

	error = vhost_user_wire_receive(client->backend_channel, &m, NULL, client->timeout_ms);
	if (error != 0)
		return error;
	known = m.header.request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG;
	client->config_changed |= known;
	if ((m.header.flags & VHOST_USER_FLAG_NEED_REPLY) == 0)
		return 0;
	m.header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	m.header.size = sizeof(m.payload.u64);
	m.payload.u64 = known ? 0 : 1;
	return vhost_user_wire_send(client->backend_channel, &m, -1, client->timeout_ms);
}

int vhost_user_client_poll(struct vhost_user_client *client)
{
	struct pollfd p[2] = {{.fd = client->socket, .events = POLLIN}, {.fd = client->backend_channel, .events = POLLIN}};
	char byte;

	if (poll(p, 2, 0) <= 0)
		return 0;
	if ((p[1].revents & POLLIN) != 0 && serve_backend(client) != 0) {
		close(client->backend_channel); /* it may do without; the main connection tells whether it lives */
		client->backend_channel = -1;
	} else if ((p[1].revents & (POLLHUP | POLLERR)) != 0) {
		close(client->backend_channel);
		client->backend_channel = -1;
	}
	if (p[0].revents == 0)
		return 0;
	if (recv(client->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return fail(client, -EPROTO, "the back end sent a message that nobody asked for");
	return fail(client, -ECONNRESET,
		    "the back end closed the connection; it may have died, or found fault with us: see its log");
}
