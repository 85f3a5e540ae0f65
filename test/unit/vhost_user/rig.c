#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the device ---- */

static int config_read(void *device, uint32_t offset, void *data, uint32_t size)
{
	struct rig *r = device;

	assert_true(offset + size <= RIG_CONFIG_BYTES);
	memcpy(data, r->device.config + offset, size);
	r->device.config_read_bytes = size;
	return r->device.config_error;
}

static int config_write(void *device, uint32_t offset, const void *data, uint32_t size)
{
	struct rig *r = device;

	assert_true(offset + size <= RIG_CONFIG_BYTES);
	if (r->device.config_error == 0)
		memcpy(r->device.config + offset, data, size);
	return r->device.config_error;
}

/* What the header promises about a queue that may be served. */
static int queue_start(void *device, unsigned index)
{
	struct rig *r = device;
	const struct virtqueue_state *q = &vhost_user_state(r->v)->queues[index];

	if (r->device.start_error != 0)
		return r->device.start_error;
	assert_int_equal(r->device.running >> index & 1, 0);
	assert_true(q->size > 0);
	assert_int_equal(q->started, 1);
	assert_int_equal(vhost_user_inflight(r->v, index) == NULL, r->nic);
	assert_non_null(guest_memory_user_at(vhost_user_memory(r->v), q->descriptor_user_addr, 16 * (uint64_t)q->size));
	assert_true(vhost_user_queue_served(r->v, index));
	r->device.running |= 1U << index;
	r->device.starts++;
	return 0;
}

static void queue_stop(void *device, unsigned index)
{
	struct rig *r = device;

	assert_int_equal(r->device.running >> index & 1, 1);
	assert_int_equal(r->device.stopping >> index & 1, 0);
	r->device.stops++;
	r->device.stopping |= 1U << index;
	if (!r->device.stops_later)
		assert_int_equal(rig_stopped(r, index), 0);
}

int rig_stopped(struct rig *r, unsigned index)
{
	assert_int_equal(r->device.stopping >> index & 1, 1);
	r->device.stopping &= ~(1U << index);
	r->device.running &= ~(1U << index);
	return vhost_user_queue_stopped(r->v, index);
}

static void queue_call(void *device, unsigned index)
{
	struct rig *r = device;

	assert_int_equal(r->device.running >> index & 1, 1);
	r->device.calls++;
}

static void features_changed(void *device)
{
	struct rig *r = device;

	assert_int_equal(r->device.running, 0);
	r->device.features_changes++;
}

static const struct vhost_user_ops ops = {
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_call = queue_call,
	.features_changed = features_changed,
};

/* ---- life ---- */

unsigned rig_count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

int rig_memfd(uint64_t size_bytes)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size_bytes), 0);
	return fd;
}

static void open_as(struct rig *r, bool nic)
{
	int pair[2];
	struct vhost_user_config config = {
		.name = "rig0",
		.features = RIG_FEATURES,
		.queues_max = RIG_QUEUES,
		.config_size = RIG_CONFIG_BYTES,
		.ops = &ops,
		.device = r,
		.no_inflight = nic,
		.queue_pairs = nic ? RIG_QUEUES / 2 : 0,
		.mtu = nic ? RIG_MTU : 0,
	};

	memset(r, 0, sizeof(*r));
	r->nic = nic;
	r->fds_before = rig_count_fds();
	for (unsigned i = 0; i < RIG_CONFIG_BYTES; i++)
		r->device.config[i] = (uint8_t)(i + 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r->backend), 0);
	r->vmm = pair[0];
	config.socket = pair[1];
	r->memory = rig_memfd(RIG_MEMORY_BYTES);
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		r->kick[i] = eventfd(0, EFD_CLOEXEC);
		r->call[i] = eventfd(0, EFD_CLOEXEC);
	}
	assert_int_equal(vhost_user_create(&r->v, &config), 0);
}

void rig_open(struct rig *r)
{
	open_as(r, false);
}

void rig_close(struct rig *r)
{
	r->device.running = 0; /* as an owner does: stops them, and frees */
	vhost_user_free(r->v);
	if (r->vmm >= 0)
		close(r->vmm);
	close(r->backend[0]);
	close(r->backend[1]);
	close(r->memory);
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		close(r->kick[i]);
		close(r->call[i]);
	}
	assert_int_equal(rig_count_fds(), r->fds_before);
}

static int set_up(void **state, bool nic)
{
	struct rig *r = malloc(sizeof(*r));

	if (r == NULL)
		return -1;
	open_as(r, nic);
	*state = r;
	return 0;
}

int rig_setup(void **state)
{
	return set_up(state, false);
}

int rig_setup_nic(void **state)
{
	return set_up(state, true);
}

int rig_teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

/* ---- messages ---- */

void rig_send(struct rig *r, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
	      unsigned fd_count)
{
	struct vhost_user_header header = {.request = request, .flags = flags, .size = size};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {0};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)payload, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = payload != NULL ? 2 : 1};

	if (fd_count > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	assert_true(sendmsg(r->vmm, &msg, MSG_NOSIGNAL) > 0);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* The back end's socket cannot be seen from here: it has read all when another call finds nothing, which returns 0 as well. */
int rig_run(struct rig *r)
{
	int rc = 0;

	for (unsigned i = 0; i < 3 && rc == 0; i++)
		rc = vhost_user_readable(r->v);
	return rc;
}

void rig_do(struct rig *r, uint32_t request, const void *payload, uint32_t size, int fd)
{
	rig_send(r, request, VHOST_USER_VERSION, payload, size, &fd, fd >= 0);
	assert_int_equal(rig_run(r), 0);
}

void rig_do_u64(struct rig *r, uint32_t request, uint64_t value)
{
	rig_do(r, request, &value, sizeof(value), -1);
}

void rig_do_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state state = {index, num};

	rig_do(r, request, &state, sizeof(state), -1);
}

uint32_t rig_reply(struct rig *r, uint32_t request, void *payload, uint32_t size, int *fd)
{
	struct vhost_user_header header;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&header, sizeof(header)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	assert_true(readable(r->vmm));
	assert_int_equal(recvmsg(r->vmm, &msg, MSG_CMSG_CLOEXEC), sizeof(header));
	assert_int_equal(header.request, request);
	assert_int_equal(header.flags, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY);
	if (size != UINT32_MAX)
		assert_int_equal(header.size, size);
	if (header.size > 0)
		assert_int_equal(recv(r->vmm, payload, header.size, 0), header.size);
	c = CMSG_FIRSTHDR(&msg);
	assert_int_equal(c != NULL, fd != NULL);
	if (fd != NULL)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return header.size;
}

uint64_t rig_reply_u64(struct rig *r, uint32_t request)
{
	uint64_t value;

	rig_reply(r, request, &value, sizeof(value), NULL);
	return value;
}

bool rig_nothing_to_read(struct rig *r)
{
	return !readable(r->vmm);
}

/* ---- set-up ---- */

struct vhost_user_vring_addr rig_addr(unsigned index)
{
	uint64_t base = RIG_USER_ADDR + index * (uint64_t)RIG_RING_BYTES;

	return (struct vhost_user_vring_addr){
		.index = index,
		.descriptor_user_addr = base,
		.avail_user_addr = base + 0x4000,
		.used_user_addr = base + 0x8000,
	};
}

struct vhost_user_region rig_region(void)
{
	return (struct vhost_user_region){.size_bytes = RIG_MEMORY_BYTES, .user_addr = RIG_USER_ADDR};
}

static void set_protocol(struct rig *r)
{
	uint64_t offered;
	int fd = r->backend[1];

	rig_do(r, VHOST_USER_GET_FEATURES, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_FEATURES), RIG_FEATURES | RIG_F_PROTOCOL);
	rig_do(r, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, -1);
	offered = rig_reply_u64(r, VHOST_USER_GET_PROTOCOL_FEATURES);
	rig_do_u64(r, VHOST_USER_SET_PROTOCOL_FEATURES, offered);
	rig_do(r, VHOST_USER_GET_QUEUE_NUM, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_QUEUE_NUM), r->nic ? RIG_QUEUES / 2 : RIG_QUEUES);
	rig_do(r, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, -1);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_GET_MAX_MEM_SLOTS), DEVICE_REGIONS_MAX);
	rig_send(r, VHOST_USER_SET_BACKEND_REQ_FD, RIG_NEED_REPLY, NULL, 0, &fd, 1);
	assert_int_equal(rig_run(r), 0);
	assert_int_equal(rig_reply_u64(r, VHOST_USER_SET_BACKEND_REQ_FD), 0);
	rig_do(r, VHOST_USER_SET_OWNER, NULL, 0, -1);
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		uint64_t index = i;

		rig_do(r, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call[i]);
		rig_do_u64(r, VHOST_USER_SET_VRING_ERR, index | VHOST_USER_VRING_NOFD);
	}
}

void rig_ring(struct rig *r, unsigned index, uint16_t size, uint32_t base)
{
	struct vhost_user_vring_addr addr = rig_addr(index);
	uint64_t kick = index;

	rig_do_state(r, VHOST_USER_SET_VRING_NUM, index, size);
	rig_do_state(r, VHOST_USER_SET_VRING_BASE, index, base);
	rig_do(r, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	rig_do(r, VHOST_USER_SET_VRING_KICK, &kick, sizeof(kick), r->kick[index]);
}

static void go_to(struct rig *r, enum rig_stage stage)
{
	struct vhost_user_single_region region = {.region = rig_region()};

	switch (stage) {
	case RIG_NEW:
		break;
	case RIG_PROTOCOL:
		set_protocol(r);
		break;
	case RIG_FEATURES_SET:
		rig_do_u64(r, VHOST_USER_SET_FEATURES, (RIG_FEATURES | RIG_F_PROTOCOL) & ~RIG_PACKED);
		break;
	case RIG_MEMORY:
		rig_do(r, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), r->memory);
		break;
	case RIG_RINGS:
		for (unsigned i = 0; i < RIG_QUEUES; i++)
			rig_ring(r, i, RIG_RING_SIZE, 0);
		assert_int_equal(r->device.running, 0); /* not yet enabled */
		break;
	case RIG_SERVED:
		for (unsigned i = 0; i < RIG_QUEUES; i++)
			rig_do_state(r, VHOST_USER_SET_VRING_ENABLE, i, 1);
		assert_int_equal(r->device.running, (1U << RIG_QUEUES) - 1);
		assert_int_equal(vhost_user_queues_served(r->v), RIG_QUEUES);
		break;
	}
}

void rig_reach(struct rig *r, enum rig_stage from, enum rig_stage to)
{
	for (enum rig_stage s = from; s < to; s++)
		go_to(r, s + 1);
}

/* ---- log ---- */

static int log_saved = -1, log_file = -1;

void rig_log_begin(void)
{
	log_saved = dup(STDERR_FILENO);
	log_file = memfd_create("log", MFD_CLOEXEC);
	assert_true(log_saved >= 0 && log_file >= 0 && dup2(log_file, STDERR_FILENO) == STDERR_FILENO);
}

void rig_log_end(unsigned lines, const char *text)
{
	char log[8192], *line, *rest;
	ssize_t length;
	unsigned found = 0;

	assert_int_equal(dup2(log_saved, STDERR_FILENO), STDERR_FILENO);
	close(log_saved);
	length = pread(log_file, log, sizeof(log) - 1, 0);
	close(log_file);
	assert_true(length >= 0);
	log[length] = '\0';
	for (line = strtok_r(log, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		found++;
		if (strstr(line, "device rig0") == NULL || (text != NULL && strstr(line, text) == NULL))
			fail_msg("log line without \"device rig0\" or \"%s\": %s", text, line);
	}
	if (found != lines)
		fail_msg("%u log lines, not %u (\"%s\")", found, lines, text);
}
