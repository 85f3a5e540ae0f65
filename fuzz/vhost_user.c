/*
 * A VMM gone mad: a sequence of vhost-user messages, with descriptors of every kind, cut anywhere, to a device whose queues stop at
 * once or later. Holds the back end to its contract with the device: queues start and stop in turn and only when all is known of
 * them.
 *
 * Input: a sequence of steps. Byte 0 of a step:
 *	bit 0-5  request (0-40: that; 63, 62: the VMM truncates its memory, or makes it as large as it was; else the four bytes
 *	         behind the step are the number)
 *	bit 6    need_reply
 *	bit 7    the queues that are being stopped stop now
 * Byte 1: kinds of descriptors, two of three bits each: none, eventfd, memfd, socket, pipe, file, memfd again, eventfd again.
 * Byte 2: length of the payload that follows; with bit 7 the header tells another length than comes.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "virtio/guest_memory.h"
#include "virtio/vhost_user.h"
#include "virtio/vhost_user_proto.h"

enum { QUEUES = 3, CONFIG_BYTES = 60, MEMORY_BYTES = 1 << 20, KINDS = 8, FDS_MAX = 34, NUMBERS = 256 };

struct fuzz {
	struct vhost_user *v;
	int vmm;
	int fds[KINDS];
	bool stops_later;
	uint32_t running, stopping;
	uint8_t config[CONFIG_BYTES];
};

static int config_read(void *device, uint32_t offset, void *data, uint32_t size)
{
	struct fuzz *f = device;

	assert(offset + size <= CONFIG_BYTES);
	memcpy(data, f->config + offset, size);
	return 0;
}

static int config_write(void *device, uint32_t offset, const void *data, uint32_t size)
{
	struct fuzz *f = device;

	assert(offset + size <= CONFIG_BYTES);
	memcpy(f->config + offset, data, size);
	return f->config[0] == 0xff ? -EINVAL : 0;
}

static int queue_start(void *device, unsigned index)
{
	struct fuzz *f = device;
	const struct virtqueue_state *q = &vhost_user_state(f->v)->queues[index];
	uint8_t *ring = guest_memory_user_at(vhost_user_memory(f->v), q->descriptor_user_addr, 16 * (uint64_t)q->size);

	assert((f->running >> index & 1) == 0);
	assert(q->started && !q->broken && q->size > 0 && q->size <= VIRTQUEUE_SIZE_MAX);
	assert(ring != NULL && vhost_user_inflight(f->v, index) != NULL);
	memset(ring, 0x5a, 16 * (size_t)q->size); /* is it really there? */
	if (vhost_user_call_fd(f->v, index) >= 0)
		eventfd_write(vhost_user_call_fd(f->v, index), 1);
	if (f->config[1] == 0xfe)
		return -EFAULT;
	f->running |= 1U << index;
	return 0;
}

static int stopped(struct fuzz *f, unsigned index)
{
	f->running &= ~(1U << index);
	f->stopping &= ~(1U << index);
	vhost_user_state(f->v)->queues[index].next_avail++;
	return vhost_user_queue_stopped(f->v, index);
}

static void queue_stop(void *device, unsigned index)
{
	struct fuzz *f = device;

	assert((f->running >> index & 1) != 0 && (f->stopping >> index & 1) == 0);
	f->stopping |= 1U << index;
	if (!f->stops_later)
		stopped(f, index);
}

static void queue_call(void *device, unsigned index)
{
	struct fuzz *f = device;

	assert((f->running >> index & 1) != 0 && vhost_user_call_fd(f->v, index) >= 0);
}

static void features_changed(void *device)
{
	assert(((struct fuzz *)device)->running == 0);
}

static const struct vhost_user_ops ops = {
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_call = queue_call,
	.features_changed = features_changed,
};

static void send_step(struct fuzz *f, const struct vhost_user_header *header, const uint8_t *payload, size_t size, unsigned kinds)
{
	char control[CMSG_SPACE(FDS_MAX * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov[2] = {{(void *)header, sizeof(*header)}, {(void *)payload, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct cmsghdr *c = (struct cmsghdr *)control;
	int fds[FDS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < 2; i++)
		if ((kinds >> (3 * i) & 7) != 0)
			fds[count++] = f->fds[kinds >> (3 * i) & 7];
	if (kinds >> 6 == 3) /* very many */
		while (count < FDS_MAX)
			fds[count++] = f->fds[2];
	if (count > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	sendmsg(f->vmm, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Lets it read; the VMM throws away what it answers. Negative: the connection is over. */
static int run(struct fuzz *f, bool stop_now)
{
	uint8_t trash[4096];
	int rc = vhost_user_readable(f->v);

	for (unsigned i = 0; stop_now && i < QUEUES; i++)
		if (rc >= 0 && (f->stopping >> i & 1) != 0)
			rc = stopped(f, i);
	while (recv(f->vmm, trash, sizeof(trash), MSG_DONTWAIT) > 0)
		;
	return rc;
}

static void open_all(struct fuzz *f)
{
	int pair[2], channel[2], pipes[2];
	struct vhost_user_config config = {
		.name = "fuzz",
		.features = UINT64_C(1) << 34 | UINT64_C(1) << 32 | UINT64_C(1) << 29 | UINT64_C(1) << 28,
		.queues_max = QUEUES,
		.config_size = CONFIG_BYTES,
		.mtu = 1500,
		.ops = &ops,
		.device = f,
	};

	memset(f, 0, sizeof(*f));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0 || pipe(pipes) != 0)
		abort();
	f->vmm = pair[0];
	config.socket = pair[1];
	f->fds[0] = channel[1];
	f->fds[1] = eventfd(0, EFD_CLOEXEC);
	f->fds[2] = memfd_create("fuzz", MFD_CLOEXEC);
	f->fds[3] = channel[0];
	f->fds[4] = pipes[1];
	f->fds[5] = open("/dev/null", O_RDWR | O_CLOEXEC);
	f->fds[6] = pipes[0];
	f->fds[7] = eventfd(7, EFD_CLOEXEC);
	if (ftruncate(f->fds[2], MEMORY_BYTES) != 0 || vhost_user_create(&f->v, &config) != 0)
		abort();
}

static void close_all(struct fuzz *f)
{
	vhost_user_free(f->v);
	close(f->vmm);
	for (unsigned i = 0; i < KINDS; i++)
		close(f->fds[i]);
}

/* One system call: poll(2) tells which numbers are not open. */
static unsigned count_fds(void)
{
	struct pollfd fds[NUMBERS];
	unsigned count = 0;

	for (int i = 0; i < NUMBERS; i++)
		fds[i] = (struct pollfd){.fd = i};
	if (poll(fds, NUMBERS, 0) < 0)
		abort();
	for (int i = 0; i < NUMBERS; i++)
		count += (fds[i].revents & POLLNVAL) == 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned fds_before = count_fds();
	struct fuzz f;
	int rc = 0;

	guest_memory_catch_sigbus();
	log_open("fuzz", LOG_LEVEL_ERROR); /* refusals are warnings, and many */
	open_all(&f);
	while (size >= 3 && rc >= 0) {
		struct vhost_user_header header = {data[0] & 63, VHOST_USER_VERSION | (data[0] >> 6 & 1) << 3, data[2] & 127};
		size_t length = header.size;
		unsigned kinds = data[1];
		bool stop_now = data[0] >> 7 != 0, lie = data[2] >> 7 != 0;

		data += 3;
		size -= 3;
		if (header.request >= 62) {
			if (ftruncate(f.fds[2], header.request == 63 ? 0 : MEMORY_BYTES) != 0)
				abort();
			continue;
		}
		if (header.request > VHOST_USER_GET_STATUS && size >= 4) {
			memcpy(&header.request, data, 4);
			data += 4;
			size -= 4;
		}
		if (length > size)
			length = size;
		if (lie)
			header.size = length > 0 ? data[0] : UINT32_MAX;
		f.stops_later = !stop_now;
		send_step(&f, &header, data, length, kinds);
		data += length;
		size -= length;
		rc = run(&f, stop_now);
	}
	close_all(&f);
	assert(count_fds() == fds_before);
	return 0;
}
