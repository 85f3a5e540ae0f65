#include "fake_backend.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

enum { PENDING_MAX = 512, POLL_MS = 20, POLL_NET_MS = 1 }; /* requests come with a kick; only a notice to give waits that long */

/* What this back end keeps in its in-flight region: its own business, the front end only carries it. */
struct record {
	struct {
		uint16_t next_avail, next_used;
		uint8_t avail_wrap, used_wrap, valid, pad;
		uint32_t count;
		struct ring_request pending[PENDING_MAX];
	} queues[FAKE_QUEUES];
};

struct connection {
	struct fake_backend *fake;
	int socket, channel;
	int kick[FAKE_QUEUES];
	bool enabled[FAKE_QUEUES];
	struct ring_device rings[FAKE_QUEUES];
	uint64_t features, protocol;
	uint8_t *memory;
	struct vhost_user_region region;
	struct record *record; /* shared when INFLIGHT was negotiated, private otherwise */
	bool record_shared;
	bool over;
};

struct incoming {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fd;
};

static uint64_t known_protocol_features(const struct fake_backend *fake)
{
	return fake->config.protocol_features &
	       (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
		BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |
		BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | (fake->config.net != NULL ? BIT(VHOST_USER_PROTOCOL_F_MTU) : 0));
}

static bool receive(struct connection *c, struct incoming *in)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&in->header, sizeof(in->header)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
	struct cmsghdr *h;

	in->fd = -1;
	if (recvmsg(c->socket, &m, MSG_WAITALL) != sizeof(in->header) || in->header.size > sizeof(in->payload))
		return false;
	h = CMSG_FIRSTHDR(&m);
	if (h != NULL && h->cmsg_type == SCM_RIGHTS)
		memcpy(&in->fd, CMSG_DATA(h), sizeof(int));
	return in->header.size == 0 || recv(c->socket, &in->payload, in->header.size, MSG_WAITALL) == (ssize_t)in->header.size;
}

static void send_bytes(int socket, const void *data, size_t size)
{
	ssize_t n = send(socket, data, size, MSG_NOSIGNAL);

	(void)n; /* a front end that has gone is noticed when receiving */
}

static void send_message(int socket, struct vhost_user_header header, const void *payload, int fd)
{
	uint8_t bytes[sizeof(header) + sizeof(union vhost_user_payload)] = {0};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {bytes, sizeof(header) + header.size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), payload, header.size);
	if (fd >= 0) {
		control.header =
			(struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control);
	}
	n = sendmsg(socket, &m, MSG_NOSIGNAL);
	(void)n;
}

/* The answer, or what the configured fault makes of it. */
static void answer(struct connection *c, const struct incoming *in, const union vhost_user_payload *payload, uint32_t size, int fd)
{
	struct vhost_user_header h = {in->header.request, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, size};
	const struct fake_backend_config *config = &c->fake->config;
	union vhost_user_payload changed = *payload;

	if (config->protocol_fault != 0 && config->fault_request == in->header.request) {
		switch (config->protocol_fault) {
		case FAKE_CLOSE:
			c->over = true;
			return;
		case FAKE_CLOSE_MIDWAY:
			send_bytes(c->socket, &h, sizeof(h) / 2);
			c->over = true;
			return;
		case FAKE_SILENCE:
			return;
		case FAKE_GARBAGE:
			memset(&changed, 0xee, sizeof(changed));
			send_bytes(c->socket, &changed, sizeof(changed));
			return;
		case FAKE_OTHER:
			h.request++;
			break;
		case FAKE_NO_REPLY:
			h.flags = VHOST_USER_VERSION;
			break;
		case FAKE_SHORT:
			h.size = size / 2;
			break;
		case FAKE_LONG:
			h.size = size + 8;
			break;
		case FAKE_ENORMOUS:
			h.size = UINT32_MAX;
			send_bytes(c->socket, &h, sizeof(h));
			return;
		case FAKE_REFUSE:
			changed.u64 = 1;
			break;
		}
	}
	send_message(c->socket, h, &changed, fd);
}

static void answer_u64(struct connection *c, const struct incoming *in, uint64_t value)
{
	union vhost_user_payload p = {.u64 = value};

	answer(c, in, &p, sizeof(value), -1);
}

static void answer_net_config(struct connection *c, const struct incoming *in)
{
	const struct fake_net *net = c->fake->config.net;
	struct virtio_net_config config = {.mac = {2, 0, 0, 0, 1, net->number},
					   .status = net->link_down ? 0 : VIRTIO_NET_S_LINK_UP,
					   .max_virtqueue_pairs = FAKE_QUEUES / 2,
					   .mtu = net->mtu};
	union vhost_user_payload p = {.config_space = in->payload.config_space};

	memcpy(p.config_space.data, (uint8_t *)&config + p.config_space.offset, p.config_space.size);
	answer(c, in, &p, VHOST_USER_CONFIG_SPACE_HEADER_BYTES + p.config_space.size, -1);
}

static void answer_config(struct connection *c, const struct incoming *in)
{
	struct virtio_blk_config config = {.capacity = c->fake->disk_bytes / 512,
					   .size_max = FAKE_SEGMENT_BYTES_MAX,
					   .seg_max = 16,
					   .blk_size =
						   c->fake->config.block_size_bytes != 0 ? c->fake->config.block_size_bytes : 512,
					   .num_queues = FAKE_QUEUES};
	union vhost_user_payload p = {.config_space = in->payload.config_space};

	memcpy(p.config_space.data, (uint8_t *)&config + p.config_space.offset, p.config_space.size);
	answer(c, in, &p, VHOST_USER_CONFIG_SPACE_HEADER_BYTES + p.config_space.size, -1);
}

static void map_memory(struct connection *c, const struct vhost_user_region *region, int fd)
{
	c->region = *region;
	c->memory = mmap(NULL, region->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)region->mmap_offset);
	assert(c->memory != MAP_FAILED);
}

static void *at_user_address(const struct connection *c, uint64_t address)
{
	assert(address - c->region.user_addr < c->region.size_bytes);
	return c->memory + (address - c->region.user_addr);
}

static void get_inflight(struct connection *c, const struct incoming *in)
{
	union vhost_user_payload p = {.inflight_area = in->payload.inflight_area};
	int fd = memfd_create("fake-inflight", 0);

	assert(fd >= 0 && ftruncate(fd, sizeof(struct record)) == 0);
	p.inflight_area.mmap_size = sizeof(struct record);
	answer(c, in, &p, sizeof(p.inflight_area), fd);
	close(fd);
}

static void set_inflight(struct connection *c, const struct incoming *in)
{
	free(c->record);
	c->record = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED, in->fd, 0);
	assert(c->record != MAP_FAILED);
	c->record_shared = true;
}

static void set_addresses(struct connection *c, const struct vhost_user_vring_addr *a)
{
	struct ring_device *ring = &c->rings[a->index];

	ring->descriptor_area = at_user_address(c, a->descriptor_user_addr);
	ring->driver_area = at_user_address(c, a->avail_user_addr);
	ring->device_area = at_user_address(c, a->used_user_addr);
	ring->memory = c->memory;
	ring->memory_bytes = c->region.size_bytes;
	ring->guest_address = c->region.guest_addr;
	ring->packed = (c->features & BIT(VIRTIO_F_RING_PACKED)) != 0;
	ring->event_idx = (c->features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0;
	ring->disk = c->fake->disk;
	ring->disk_bytes = FAKE_DISK_BYTES;
}

static void set_base(struct connection *c, const struct vhost_user_vring_state *s)
{
	struct ring_device *ring = &c->rings[s->index];

	if ((c->features & BIT(VIRTIO_F_RING_PACKED)) != 0) {
		ring->next_avail = s->num & 0x7fff;
		ring->avail_wrap = (s->num >> 15 & 1) != 0;
		ring->next_used = s->num >> 16 & 0x7fff;
		ring->used_wrap = (s->num >> 31 & 1) != 0;
	} else {
		ring->next_avail = (uint16_t)s->num;
		ring->next_used = (uint16_t)s->num;
	}
}

/* Sets state; false: a message that has its own answer. */
static bool handle_set(struct connection *c, struct incoming *in)
{
	switch (in->header.request) {
	case VHOST_USER_SET_FEATURES:
		c->features = in->payload.u64;
		return true;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		c->protocol = in->payload.u64;
		return true;
	case VHOST_USER_SET_MEM_TABLE:
		map_memory(c, &in->payload.memory_table.regions[0], in->fd);
		return true;
	case VHOST_USER_ADD_MEM_REG:
		map_memory(c, &in->payload.single_region.region, in->fd);
		return true;
	case VHOST_USER_SET_INFLIGHT_FD:
		set_inflight(c, in);
		return true;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		c->channel = in->fd;
		in->fd = -1;
		return true;
	case VHOST_USER_SET_VRING_NUM:
		c->rings[in->payload.vring_state.index].size = (uint16_t)in->payload.vring_state.num;
		return true;
	case VHOST_USER_SET_VRING_BASE:
		set_base(c, &in->payload.vring_state);
		return true;
	case VHOST_USER_SET_VRING_ADDR:
		set_addresses(c, &in->payload.vring_addr);
		return true;
	case VHOST_USER_SET_VRING_KICK:
		c->kick[in->payload.u64 & 0xff] = in->fd;
		in->fd = -1;
		return true;
	case VHOST_USER_SET_VRING_ENABLE:
		c->enabled[in->payload.vring_state.index] = in->payload.vring_state.num != 0;
		return true;
	case VHOST_USER_NET_SET_MTU:
		c->fake->config.net->mtu_set = (uint16_t)in->payload.u64;
		return true;
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_SET_VRING_CALL:
		return true;
	default:
		return false;
	}
}

static void handle_get(struct connection *c, const struct incoming *in)
{
	union vhost_user_payload p = {.vring_state = in->payload.vring_state};

	switch (in->header.request) {
	case VHOST_USER_GET_FEATURES:
		answer_u64(c, in, c->fake->config.features | BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES));
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer_u64(c, in, known_protocol_features(c->fake));
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		answer_u64(c, in, c->fake->config.net != NULL ? FAKE_QUEUES / 2 : FAKE_QUEUES); /* pairs of them */
		break;
	case VHOST_USER_GET_CONFIG:
		if (c->fake->config.net != NULL)
			answer_net_config(c, in);
		else
			answer_config(c, in);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
		get_inflight(c, in);
		break;
	case VHOST_USER_GET_VRING_BASE:
		p.vring_state.num = c->rings[p.vring_state.index].next_avail;
		c->enabled[p.vring_state.index] = false;
		answer(c, in, &p, sizeof(p.vring_state), -1);
		break;
	default:
		c->over = true;
	}
}

static void handle(struct connection *c)
{
	struct incoming in;
	bool acknowledge;

	if (!receive(c, &in)) {
		c->over = true;
		return;
	}
	acknowledge =
		(in.header.flags & VHOST_USER_FLAG_NEED_REPLY) != 0 && (c->protocol & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)) != 0;
	if (!handle_set(c, &in))
		handle_get(c, &in);
	else if (acknowledge)
		answer_u64(c, &in, 0);
	if (in.fd >= 0)
		close(in.fd);
}

/* The positions and the requests that were read and not answered, so that another connection can go on. */
static void save(struct connection *c, unsigned q)
{
	struct ring_device *ring = &c->rings[q];

	c->record->queues[q].next_avail = ring->next_avail;
	c->record->queues[q].next_used = ring->next_used;
	c->record->queues[q].avail_wrap = ring->avail_wrap;
	c->record->queues[q].used_wrap = ring->used_wrap;
	c->record->queues[q].valid = 1;
}

static void recover(struct connection *c, unsigned q)
{
	struct ring_device *ring = &c->rings[q];

	if (!c->record->queues[q].valid)
		return;
	ring->next_avail = c->record->queues[q].next_avail;
	ring->next_used = c->record->queues[q].next_used;
	ring->avail_wrap = c->record->queues[q].avail_wrap;
	ring->used_wrap = c->record->queues[q].used_wrap;
}

/* Segment addresses in the record are those of a mapping that is gone; only their place in the memory counts. */
static void rebase(struct connection *c, struct ring_request *r, bool to_pointers)
{
	for (unsigned i = 0; i < r->count; i++)
		r->segments[i].data =
			to_pointers ? c->memory + (uintptr_t)r->segments[i].data : (uint8_t *)(r->segments[i].data - c->memory);
}

static void spoil_data(struct connection *c, const struct ring_request *r, enum fake_data_fault fault)
{
	struct virtio_blk_outhdr header;
	uint64_t at;

	memcpy(&header, r->segments[0].data, sizeof(header));
	at = header.sector * 512;
	if (fault == FAKE_FLIP_BIT && header.type == VIRTIO_BLK_T_IN)
		r->segments[1].data[100] ^= 4;
	else if (fault == FAKE_ZERO_READ && header.type == VIRTIO_BLK_T_IN)
		memset(r->segments[1].data, 0, r->segments[1].length);
	else if (fault == FAKE_MISDIRECT && header.type == VIRTIO_BLK_T_OUT)
		memcpy(c->fake->disk + (at + 8192) % FAKE_DISK_BYTES, r->segments[1].data, 4096);
	else if (fault == FAKE_IOERR)
		*r->segments[r->count - 1].data = VIRTIO_BLK_S_IOERR;
}

static bool is_write(const struct ring_request *r)
{
	return ((const struct virtio_blk_outhdr *)(const void *)r->segments[0].data)->type == VIRTIO_BLK_T_OUT;
}

static void serve_one(struct connection *c, struct ring_device *ring, const struct ring_request *r)
{
	static const struct ring_request bad = {.id = 999, .slots = 1};
	struct fake_backend *fake = c->fake;
	bool due = fake->config.data_fault != 0 && fake->served >= fake->config.data_fault_after;
	enum fake_data_fault fault = due ? fake->config.data_fault : 0;
	uint8_t *status = r->segments[r->count - 1].data;

	if (fault == FAKE_LOSE_WRITE && is_write(r))
		*status = VIRTIO_BLK_S_OK;
	else if (fault != FAKE_NO_STATUS)
		ring_device_execute(ring, r);
	spoil_data(c, r, fault);
	ring_device_complete(ring, fault == FAKE_BAD_ID ? &bad : r, 1); /* in its place: that slot is the device's */
	if (fault == FAKE_COMPLETE_TWICE)
		ring_device_complete(ring, r, 1);
	__atomic_fetch_add(&fake->served, 1, __ATOMIC_RELAXED);
}

/* Reads everything that is available, then completes it last first: with more than one in flight, out of order. */
static void serve(struct connection *c, unsigned q)
{
	struct ring_device *ring = &c->rings[q];
	struct fake_backend *fake = c->fake;
	struct ring_request *pending = c->record->queues[q].pending;
	uint32_t *count = &c->record->queues[q].count;
	const char *why = NULL;

	while (*count < PENDING_MAX && ring_device_fetch(ring, &pending[*count], &why)) {
		rebase(c, &pending[*count], false);
		++*count;
	}
	assert(why == NULL);
	save(c, q);
	if (fake->config.data_fault == FAKE_HANG)
		return;
	while (*count > 0 && !c->over) {
		struct ring_request r = pending[*count - 1];

		if (fake->config.data_fault == FAKE_DIE &&
		    fake->served % fake->config.data_fault_after == fake->config.data_fault_after - 1) {
			__atomic_fetch_add(&fake->served, 1, __ATOMIC_RELAXED);
			c->over = true;
			return;
		}
		rebase(c, &r, true);
		serve_one(c, ring, &r);
		--*count;
		save(c, q);
	}
}

static void announce(struct connection *c)
{
	const struct vhost_user_header h = {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0};

	if (__atomic_exchange_n(&c->fake->notice, false, __ATOMIC_ACQ_REL) && c->channel >= 0)
		send_bytes(c->channel, &h, sizeof(h));
}

static void close_connection(struct connection *c)
{
	if (c->record_shared)
		munmap(c->record, sizeof(*c->record));
	else
		free(c->record);
	if (c->memory != NULL)
		munmap(c->memory, c->region.size_bytes);
	for (unsigned q = 0; q < FAKE_QUEUES; q++)
		if (c->kick[q] >= 0)
			close(c->kick[q]);
	if (c->channel >= 0)
		close(c->channel);
	close(c->socket);
}

/* Serves until nothing is left, asks for a kick, and looks once more. */
static void serve_and_arm(struct connection *c, unsigned q)
{
	uint64_t kicks;
	ssize_t n = read(c->kick[q], &kicks, sizeof(kicks));

	(void)n;
	serve(c, q);
	ring_device_want_kicks(&c->rings[q], true);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!c->over)
		serve(c, q);
}

/* All pairs of queues that are there. The rings are polled, but the other side does not know: it kicks. */
static void serve_net(struct connection *c)
{
	bool merge = (c->features & BIT(VIRTIO_NET_F_MRG_RXBUF)) != 0;
	uint64_t kicks;

	for (unsigned q = 0; q < FAKE_QUEUES && !c->over; q += 2) {
		if (!c->enabled[q] || !c->enabled[q + 1])
			continue;
		for (unsigned i = q; i < q + 2; i++) {
			ssize_t n = read(c->kick[i], &kicks, sizeof(kicks));

			(void)n;
			ring_device_want_kicks(&c->rings[i], true);
		}
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		c->over = !fake_net_serve(c->fake->config.net, &c->rings[q], &c->rings[q + 1], merge);
	}
}

static bool serve_connection(struct fake_backend *fake, int socket)
{
	struct connection c = {.fake = fake, .socket = socket, .channel = -1, .kick = {-1, -1, -1, -1}};
	bool recovered[FAKE_QUEUES] = {false}, stopped = false;

	c.record = calloc(1, sizeof(*c.record));
	assert(c.record != NULL);
	while (!c.over && !stopped) {
		struct pollfd p[2 + FAKE_QUEUES] = {{.fd = socket, .events = POLLIN},	 {.fd = fake->stop[0], .events = POLLIN},
						    {.fd = c.kick[0], .events = POLLIN}, {.fd = c.kick[1], .events = POLLIN},
						    {.fd = c.kick[2], .events = POLLIN}, {.fd = c.kick[3], .events = POLLIN}};

		poll(p, 2 + FAKE_QUEUES, fake->config.net != NULL ? POLL_NET_MS : POLL_MS);
		stopped = p[1].revents != 0;
		if (p[0].revents != 0)
			handle(&c);
		announce(&c);
		if (fake->config.net != NULL)
			serve_net(&c);
		for (unsigned q = 0; q < FAKE_QUEUES && !c.over && fake->config.net == NULL; q++) {
			if (!c.enabled[q] || c.kick[q] < 0)
				continue;
			if (!recovered[q] && c.record_shared)
				recover(&c, q);
			recovered[q] = true;
			serve_and_arm(&c, q);
		}
	}
	close_connection(&c);
	return !stopped;
}

static void *run(void *context)
{
	struct fake_backend *fake = context;
	struct pollfd p[2] = {{.fd = fake->listener, .events = POLLIN}, {.fd = fake->stop[0], .events = POLLIN}};
	bool go_on = true;

	while (go_on) {
		poll(p, 2, -1);
		if (p[1].revents != 0)
			break;
		__atomic_fetch_add(&fake->connections, 1, __ATOMIC_RELAXED);
		go_on = serve_connection(fake, accept(fake->listener, NULL, NULL));
	}
	return NULL;
}

void fake_backend_start(struct fake_backend *fake, const struct fake_backend_config *config)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static unsigned number;
	int error;

	memset(fake, 0, sizeof(*fake));
	fake->config = *config;
	fake->disk_bytes = FAKE_DISK_BYTES;
	fake->disk = calloc(1, FAKE_DISK_BYTES);
	snprintf(fake->path, sizeof(fake->path), "/tmp/outboard-fake-%d-%u.sock", (int)getpid(), number++);
	strcpy(address.sun_path, fake->path);
	unlink(fake->path);
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	error = bind(fake->listener, (struct sockaddr *)&address, sizeof(address));
	error |= listen(fake->listener, 4);
	error |= pipe(fake->stop);
	error |= pthread_create(&fake->thread, NULL, run, fake);
	assert(error == 0 && fake->disk != NULL);
}

void fake_backend_stop(struct fake_backend *fake)
{
	close(fake->stop[1]);
	pthread_join(fake->thread, NULL);
	close(fake->stop[0]);
	close(fake->listener);
	unlink(fake->path);
	free(fake->disk);
}

void fake_backend_grow(struct fake_backend *fake)
{
	fake->disk_bytes *= 2;
	__atomic_store_n(&fake->notice, true, __ATOMIC_RELEASE);
}
