#include "net_guest.h"

#include <assert.h>
#include <string.h>

static void log_packet(struct net_guest *n, const struct packet *p)
{
	struct net_seen *s = &n->seen[n->seen_count++ % NET_LOG];
	uint32_t at = p->head_bytes;

	s->packet = *p;
	s->head_bytes = p->head_bytes;
	s->tail_count = p->tail_count;
	s->length = packet_bytes(p);
	assert(s->length <= sizeof(s->bytes));
	memcpy(s->bytes, p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count; i++) {
		memcpy(s->bytes + at, p->tail[i].iov_base, p->tail[i].iov_len);
		at += (uint32_t)p->tail[i].iov_len;
	}
	assert(at == s->length);
}

static void check_contract(const struct packet *p)
{
	assert(p->headroom_bytes == PACKET_HEADROOM_BYTES && packet_bytes(p) >= 14 && packet_bytes(p) <= PACKET_FRAME_MAX_BYTES);
	assert(p->head_bytes == (packet_bytes(p) < PACKET_HEAD_MIN_BYTES ? packet_bytes(p) : PACKET_HEAD_MIN_BYTES));
	assert(p->drop == 0 && p->tail_count <= PACKET_TAIL_MAX);
}

static void receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct net_guest *n = (struct net_guest *)input;

	assert(count > 0 && count <= PACKET_BATCH_MAX);
	n->batches++;
	for (unsigned i = 0; i < count; i++) {
		check_contract(packets[i]);
		packets[i]->hash = n->hash;
		packets[i]->flags |= n->packet_flags;
		if (n->forward == NULL)
			log_packet(n, packets[i]);
		else if (n->forward->ops->put(n->forward, packets[i], now_tsc))
			n->forwarded++;
		else
			n->refused++;
	}
	if (n->forward != NULL)
		n->forward->ops->flush(n->forward, now_tsc);
}

static void broken(void *context, unsigned queue, const char *why)
{
	struct net_guest *n = context;

	n->broken_why = why;
	n->broken_queue = queue;
	n->broken_count++;
}

void net_open(struct net_guest *n, const struct guest_kind *kind, uint64_t features)
{
	struct virtio_net_config config = {
		.mac = {{0x02, 1, 2, 3, 4, 5}},
		.mtu = NET_MTU,
		.pairs_max = NET_PAIRS,
		.packed_allowed = true,
		.input = &n->input,
		.broken = broken,
		.context = n,
	};
	int err;

	memset(n, 0, sizeof(*n));
	n->input.receive = receive;
	n->now = 1000;
	err = virtio_worker_create(&n->worker, 64);
	if (err == 0)
		err = virtio_net_create(&n->net, &config);
	assert(err == 0);
	for (unsigned i = 0; i < NET_QUEUES; i++) {
		guest_open_ring(&n->rings[i], kind);
		guest_offer(&n->rings[i], virtio_net_features(n->net) & features);
		n->rings[i].state.queues[i] = n->rings[i].state.queues[0];
	}
	net_start(n, RX0);
	net_start(n, TX0);
}

void net_close(struct net_guest *n)
{
	for (unsigned i = 0; i < NET_QUEUES; i++) {
		if (n->queues[i] != NULL)
			net_stop(n, i);
		guest_close(&n->rings[i]);
	}
	virtio_net_free(n->net);
	virtio_worker_free(n->worker);
}

void net_start(struct net_guest *n, unsigned queue)
{
	struct guest *g = &n->rings[queue];
	int err = virtio_net_queue_start(n->net, n->worker, queue, &g->state, &g->memory, g->call_fd, n->now, &n->queues[queue]);

	assert(err == 0 && net_queue_transmits(n->queues[queue]) == (queue % 2 == 1));
	net_queue_disarm(n->queues[queue]);
}

void net_stop(struct net_guest *n, unsigned queue)
{
	net_queue_stop(n->queues[queue]);
	assert(net_queue_stopped(n->queues[queue]));
	net_queue_release(n->queues[queue], &n->rings[queue].state.queues[queue]);
	n->queues[queue] = NULL;
}

void net_frame(uint8_t *frame, uint32_t length, unsigned seed)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(seed * 37 + i + (i >> 8) * 101);
}

void net_write(struct guest *g, uint64_t addr, const void *data, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		*(uint8_t *)guest_at(g, addr + i) = ((const uint8_t *)data)[i];
}

void net_read(struct guest *g, uint64_t addr, void *data, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		((uint8_t *)data)[i] = *(uint8_t *)guest_at(g, addr + i);
}

uint16_t net_send(struct net_guest *n, unsigned queue, uint64_t addr, const struct virtio_net_header *header, const void *frame,
		  uint32_t length)
{
	struct guest *g = &n->rings[queue];
	struct buffer one = {.addr = addr, .length = VNET_HEADER_BYTES + length};

	net_write(g, addr, header, VNET_HEADER_BYTES);
	net_write(g, addr + VNET_HEADER_BYTES, frame, length);
	return guest_put(g, &one, 1);
}

unsigned net_serve(struct net_guest *n, unsigned queue)
{
	unsigned started = 0;
	struct visit v;

	do {
		v = net_queue_visit(n->queues[queue], ++n->now);
		assert(v.started <= VIRTIO_NET_VISIT_PACKETS_MAX && v.again_tsc == 0);
		started += v.started;
	} while (v.more);
	return started;
}

void net_packet(struct net_packet *p, uint32_t length, unsigned seed, unsigned tail_pieces)
{
	uint32_t head_bytes = length < PACKET_HEAD_MIN_BYTES ? length : PACKET_HEAD_MIN_BYTES, at = head_bytes;

	memset(&p->packet, 0, sizeof(p->packet));
	net_frame(p->frame, length, seed);
	memcpy(p->room + PACKET_HEADROOM_BYTES, p->frame, head_bytes);
	p->packet.head = p->room + PACKET_HEADROOM_BYTES;
	p->packet.headroom_bytes = PACKET_HEADROOM_BYTES;
	p->packet.head_bytes = (uint16_t)head_bytes;
	p->packet.tail_bytes = length - head_bytes;
	p->packet.tail = p->tail;
	for (unsigned i = 0; i < tail_pieces && at < length; i++) {
		uint32_t part = i + 1 == tail_pieces ? length - at : (length - at) / (tail_pieces - i);

		if (part == 0)
			continue;
		p->tail[p->packet.tail_count++] = (struct iovec){.iov_base = p->frame + at, .iov_len = part};
		at += part;
	}
	assert(at == length);
}

bool net_put(struct net_guest *n, const struct packet *p)
{
	struct packet_sink *sink = virtio_net_sink(n->net);

	return sink->ops->put(sink, p, n->now);
}

void net_flush(struct net_guest *n)
{
	struct packet_sink *sink = virtio_net_sink(n->net);

	sink->ops->flush(sink, ++n->now);
}
