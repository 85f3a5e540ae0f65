/*
 * Receive: the sink. From packets to the guest's buffers (VIRTIO 1.2, 5.1.6.4).
 *
 * put() first finds out where a frame goes, then writes. Buffers are looked up 32 at a time (the window); nearly every frame of a
 * network fits the first. Others are gathered: with MRG_RXBUF from as many chains as it takes, without from one, whatever its
 * shape. If that fails the ring's read position is put back, and nothing was written or consumed. It is tried again with the next
 * frame, so what is walked through at one moment (`now_tsc`, a visit of the sender's) has a bound. Used elements are written as
 * frames come, and seen by the driver when flush() shows them, with one index and at most one call.
 *
 * Tails are moved, not copied: a guest that sends to itself may have a frame and the buffer for it in the same place.
 */
#include <assert.h>
#include <string.h>

#include "base/list.h"
#include "virtio/net_queue.h"
#include "virtio/virtqueue.h"

/* ---- header and frame into one piece ---- */

static const uint8_t gso_types[] = {VNET_GSO_NONE, VNET_GSO_TCPV4, VNET_GSO_TCPV6, VNET_GSO_UDP_L4};
static const uint8_t gso_offloads[] = {0, SINK_TSO4, SINK_TSO6, SINK_USO};

static bool congestion_window_reduced(const struct packet *p)
{
	return p->gso != PACKET_GSO_UDP && p->csum_start + 14u <= p->head_bytes && (p->head[p->csum_start + 13] & 0x80) != 0;
}

/* struct virtio_net_header in the two words in which it is written: little endian, as this machine is (vring.h). */
struct header_words {
	uint64_t first;
	uint32_t second; /* csum_offset and num_buffers */
};

static void header_gso(const struct net_queue *q, const struct packet *p, struct header_words *w)
{
	uint64_t type = gso_types[p->gso];

	if (q->gives_ecn && congestion_window_reduced(p))
		type |= VNET_GSO_ECN;
	w->first |= type << (8 * VNET_HEADER_GSO_TYPE) | (uint64_t)(uint16_t)net_gso_header_bytes(p) << (8 * VNET_HEADER_HDR_LEN) |
		    (uint64_t)p->gso_size << (8 * VNET_HEADER_GSO_SIZE);
}

static inline struct header_words make_header(const struct net_queue *q, const struct packet *p, uint32_t num_buffers)
{
	struct header_words w = {.second = num_buffers << 16};

	if ((p->flags & PACKET_NEEDS_CSUM) != 0) {
		w.first = VNET_HEADER_NEEDS_CSUM | (uint64_t)p->csum_start << (8 * VNET_HEADER_CSUM_START);
		w.second |= p->csum_offset;
	} else if ((p->flags & PACKET_CSUM_VALID) != 0 && q->gives_valid) {
		w.first = VNET_HEADER_DATA_VALID;
	}
	if (__builtin_expect(p->gso != PACKET_GSO_NONE, 0))
		header_gso(q, p, &w);
	return w;
}

static inline void write_header(uint8_t *to, const struct header_words *w, unsigned header_bytes)
{
	memcpy(to, &w->first, sizeof(w->first));
	if (__builtin_expect(header_bytes == VNET_HEADER_BYTES, 1))
		memcpy(to + 8, &w->second, 4);
	else
		memcpy(to + 8, &w->second, 2);
}

/* As in net_transmit.c, the other way; here the length is anything. */
static inline void copy_small(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
	uint32_t at = 0;

	if (__builtin_expect(bytes < 32 || bytes > 512, 0)) {
		memcpy(to, from, bytes);
		return;
	}
	do {
		memcpy(to + at, from + at, 32);
		at += 32;
	} while (at + 32 <= bytes);
	memcpy(to + bytes - 32, from + bytes - 32, 32);
}

static inline void write_piece(const struct net_queue *q, uint8_t *to, const struct packet *p)
{
	struct header_words h = make_header(q, p, 1);

	write_header(to, &h, q->header_bytes);
	to += q->header_bytes;
	copy_small(to, p->head, p->head_bytes);
	to += p->head_bytes;
	for (unsigned i = 0; i < p->tail_count; i++) {
		memmove(to, p->tail[i].iov_base, p->tail[i].iov_len);
		to += p->tail[i].iov_len;
	}
}

/* ---- buffers ---- */

/* False: there is none. */
static bool window_fill(struct net_queue *q)
{
	struct ring_chain *chains = q->worker->chains;
	struct net_window *w = &q->window;

	if (__builtin_expect(ring_lost(&q->ring), 0))
		ring_break(&q->ring, "the VMM took the guest's memory away (its file was truncated)");
	w->next = 0;
	w->count = ring_peek_plain(&q->ring, chains, NET_WINDOW, true);
	for (unsigned i = 0; i < w->count; i++)
		w->buffers[i] = (struct net_buffer){
			.host = chains[i].usual && chains[i].data == NULL ? chains[i].header : NULL,
			.length = chains[i].header_length,
			.id = chains[i].id,
			.slots = chains[i].slots,
		};
	net_queue_is_broken(q);
	return w->count > 0;
}

/* What a frame is being gathered from. */
struct gathering {
	uint64_t room_bytes; /* of the pieces */
	unsigned pieces, chains;
};

static bool add_piece(struct net_room *room, struct gathering *g, uint8_t *host, uint64_t bytes)
{
	if (g->pieces == NET_PIECES_MAX)
		return false;
	room->pieces[g->pieces++] = (struct iovec){.iov_base = host, .iov_len = bytes};
	g->room_bytes += bytes;
	return true;
}

/* The chain at the read position, whatever its shape; false: broken, or too many pieces. */
static bool gather_segments(struct net_queue *q, struct gathering *g, uint64_t needed, struct net_buffer *b)
{
	struct ring_segments *s = &q->worker->segments;
	struct ring_chain *chain = q->worker->chains;

	if (ring_peek_plain(&q->ring, chain, 1, true) != 1 || !ring_expand(&q->ring, chain, s))
		return false;
	q->walked += s->count;
	if (s->readable != 0)
		return ring_break(&q->ring, "a receive buffer with a readable descriptor");
	b->id = chain->id;
	if (b->slots != chain->slots) { /* it was written to since the window was filled */
		b->slots = chain->slots;
		q->window.count = q->window.next + 1;
	}
	for (unsigned i = 0; i < s->count && g->room_bytes < needed; i++) {
		uint64_t addr = s->segment[i].addr, left = s->segment[i].length;

		while (left > 0 && g->room_bytes < needed) {
			uint64_t part = left < needed - g->room_bytes ? left : needed - g->room_bytes;
			uint8_t *host = guest_memory_at(q->ring.memory, addr, &part);

			if (host == NULL)
				return ring_break(&q->ring, "a receive buffer outside the guest's memory");
			if (!add_piece(q->worker->net, g, host, part))
				return false;
			addr += part;
			left -= part;
		}
	}
	return true;
}

/* One buffer more; false: there is none that can be used. */
static bool gather_buffer(struct net_queue *q, struct gathering *g, uint64_t needed)
{
	struct net_room *room = q->worker->net;
	struct net_window *w = &q->window;
	uint64_t before = g->room_bytes;
	struct net_buffer *b;
	bool ok;

	if (q->walked++ >= VIRTIO_NET_VISIT_WALK_MAX || (w->next == w->count && !window_fill(q)))
		return false;
	b = &w->buffers[w->next];
	if (b->host != NULL)
		ok = add_piece(room, g, b->host, b->length < needed - before ? b->length : needed - before);
	else
		ok = gather_segments(q, g, needed, b);
	if (!ok)
		return false;
	/* 5.1.6.3.1: each buffer has room for a header at least. It also bounds how many a frame takes. */
	if (g->room_bytes < needed && g->room_bytes - before < q->header_bytes)
		return ring_break(&q->ring, "a receive buffer smaller than a header");
	room->used[g->chains++] = (struct ring_used){.id = b->id, .slots = b->slots, .length = (uint32_t)(g->room_bytes - before)};
	ring_advance(&q->ring, b->slots);
	w->next++;
	return true;
}

/* ---- a frame into several pieces ---- */

struct writer {
	const struct iovec *piece;
	size_t done_bytes; /* of it */
};

static void scatter(struct writer *w, const uint8_t *from, size_t bytes)
{
	while (bytes > 0) {
		size_t part = w->piece->iov_len - w->done_bytes;

		if (part > bytes)
			part = bytes;
		memmove((uint8_t *)w->piece->iov_base + w->done_bytes, from, part);
		from += part;
		bytes -= part;
		w->done_bytes += part;
		if (w->done_bytes == w->piece->iov_len) {
			w->piece++;
			w->done_bytes = 0;
		}
	}
}

static void write_pieces(const struct net_queue *q, const struct packet *p, uint16_t num_buffers)
{
	struct header_words h = make_header(q, p, num_buffers);
	struct writer w = {.piece = q->worker->net->pieces};
	uint8_t header[VNET_HEADER_BYTES];

	write_header(header, &h, q->header_bytes);
	scatter(&w, header, q->header_bytes);
	scatter(&w, p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count; i++)
		scatter(&w, p->tail[i].iov_base, p->tail[i].iov_len);
}

/* A frame that the next buffer does not hold, or not in one piece. */
static bool put_pieces(struct net_queue *q, const struct packet *p, uint64_t needed, uint64_t now_tsc)
{
	struct virtio_ring *r = &q->ring;
	uint16_t next_avail = r->next_avail, slots_in_flight = r->slots_in_flight;
	bool avail_wrap = r->avail_wrap;
	struct gathering g = {0};

	if (q->walked_tsc != now_tsc)
		q->walked = 0;
	q->walked_tsc = now_tsc;
	do {
		if (!gather_buffer(q, &g, needed))
			break;
	} while (q->mergeable && g.room_bytes < needed);
	if (g.room_bytes < needed) {
		r->next_avail = next_avail;
		r->slots_in_flight = slots_in_flight;
		r->avail_wrap = avail_wrap;
		q->window.next = q->window.count = 0;
		net_queue_is_broken(q);
		return false;
	}
	write_pieces(q, p, (uint16_t)g.chains);
	ring_write_used(r, q->worker->net->used, g.chains);
	return true;
}

static inline bool put_frame(struct net_queue *q, const struct packet *p, uint64_t now_tsc)
{
	uint32_t needed = q->header_bytes + packet_bytes(p);
	struct net_window *w = &q->window;
	struct net_buffer *b;
	struct ring_used used;

	if (__builtin_expect(w->next == w->count, 0) && !window_fill(q))
		return false;
	b = &w->buffers[w->next];
	if (__builtin_expect(b->host == NULL || b->length < needed, 0))
		return put_pieces(q, p, needed, now_tsc);
	write_piece(q, b->host, p);
	used = (struct ring_used){.id = b->id, .slots = b->slots, .length = needed};
	ring_advance(&q->ring, b->slots);
	w->next++;
	ring_write_used(&q->ring, &used, 1);
	return true;
}

/* ---- the sink ---- */

static struct net_queue *choose(const struct virtio_net *net, const struct packet *p)
{
	unsigned pair;

	if (__builtin_expect(net->receivers_count == 1, 1))
		return net->receivers[0];
	if (net->receivers_count == 0)
		return NULL;
	pair = net_steer_pair(net->steer, net_steer_key(p->head, p->head_bytes));
	for (unsigned i = 0; pair != NET_STEER_NONE && i < net->receivers_count; i++)
		if (net->receivers[i]->index == 2 * pair)
			return net->receivers[i];
	return net->receivers[p->hash % net->receivers_count];
}

static bool suits(const struct virtio_net *net, const struct packet *p)
{
	uint32_t needs = ((p->flags & PACKET_NEEDS_CSUM) != 0 ? SINK_CSUM : 0u) | gso_offloads[p->gso];

	return (needs & ~net->sink.offloads) == 0;
}

static bool sink_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct virtio_net *net = container_of(sink, struct virtio_net, sink);
	struct net_queue *q;

	assert(suits(net, p) || net->receivers_count == 0);
	q = choose(net, p);
	if (q == NULL)
		return false;
	if (!put_frame(q, p, now_tsc)) {
		NET_COUNT(q->accounts.no_buffer, 1);
		return false;
	}
	net->dirty |= UINT32_C(1) << q->index / 2;
	if (q->put_count++ == 0)
		q->put_tsc = now_tsc;
	q->put_bytes += packet_bytes(p);
	if (p->gso != PACKET_GSO_NONE)
		NET_COUNT(q->accounts.segments, net_segments(packet_bytes(p), net_gso_header_bytes(p), p->gso_size) - 1u);
	return true;
}

void net_receive_flush(struct net_queue *q, uint64_t now_tsc)
{
	ring_show_used(&q->ring);
	account_arrive(&q->accounts.ring, q->put_tsc, q->put_count);
	account_depart(&q->accounts.ring, now_tsc, q->put_count, q->put_bytes, now_tsc - q->put_tsc);
	NET_COUNT(q->accounts.packets, q->put_count);
	NET_COUNT(q->accounts.segments, q->put_count);
	NET_COUNT(q->accounts.bytes, q->put_bytes);
	q->put_count = 0;
	q->put_bytes = 0;
	net_queue_call(q);
}

static void sink_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	struct virtio_net *net = container_of(sink, struct virtio_net, sink);

	for (unsigned i = 0; net->dirty != 0 && i < net->receivers_count; i++) {
		struct net_queue *q = net->receivers[i];
		uint32_t bit = UINT32_C(1) << q->index / 2;

		if ((net->dirty & bit) == 0)
			continue;
		net->dirty &= ~bit;
		net_receive_flush(q, now_tsc);
	}
}

const struct packet_sink_ops net_sink_ops = {.put = sink_put, .flush = sink_flush};
