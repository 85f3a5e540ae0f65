/*
 * Transmit: from chains to packets (VIRTIO 1.2, 5.1.6.2).
 *
 * A visit peeks at up to 32 chains, turns each into a packet in the worker's room, hands all of them over at once, and gives the
 * chains back when the call returns: until then their tails lie in the guest's memory. Header and head are copied, and judged by the
 * copy; the tail is never looked at here.
 *
 * Drivers cut header and frame in any way (2.7.4.1). The usual ones, one piece or a header and a piece, are taken as ring_peek_plain()
 * found them; any other chain is expanded. Between those two ways nothing differs but the speed.
 */
#include <string.h>

#include "virtio/net_queue.h"
#include "virtio/virtqueue.h"

/* A visit's sums: written to the accounts once. */
struct sent {
	struct packet *packets[PACKET_BATCH_MAX];
	unsigned count;
	uint64_t bytes, segments;
	uint32_t malformed;
	uint32_t walked; /* descriptors of chains that were expanded */
};

/* ---- the header ---- */

static struct virtio_net_header header_read(const uint8_t *p, unsigned header_bytes)
{
	union {
		struct virtio_net_header header;
		struct {
			uint64_t first;
			uint32_t second;
		} words;
	} u = {.words.first = read_once64(p)};

	if (header_bytes == VNET_HEADER_BYTES)
		u.words.second = read_once32(p + 8);
	else
		u.words.second = read_once16(p + 8);
	return u.header;
}

static bool is_plain(const struct virtio_net_header *h)
{
	return (h->flags & VNET_HEADER_NEEDS_CSUM) == 0 && h->gso_type == VNET_GSO_NONE;
}

/* enum packet_gso; -1: there is no such type. */
static int gso_of(uint8_t type)
{
	switch (type) {
	case VNET_GSO_NONE:
		return PACKET_GSO_NONE;
	case VNET_GSO_TCPV4:
	case VNET_GSO_TCPV4 | VNET_GSO_ECN:
		return PACKET_GSO_TCP4;
	case VNET_GSO_TCPV6:
	case VNET_GSO_TCPV6 | VNET_GSO_ECN:
		return PACKET_GSO_TCP6;
	case VNET_GSO_UDP_L4:
		return PACKET_GSO_UDP;
	default:
		return -1;
	}
}

/*
 * 5.1.6.2.1 for what is not plain. hdr_len is a hint that nothing here needs; flags without a meaning for a device are ignored
 * (5.1.6.2.2). The ECN bit is not carried along: it says what the TCP header says.
 */
static bool judge(const struct net_queue *q, const struct virtio_net_header *h, struct packet *p)
{
	int gso = gso_of(h->gso_type);

	if (gso < 0 || (q->takes_gso >> gso & 1) == 0 || (!q->takes_ecn && (h->gso_type & VNET_GSO_ECN) != 0))
		return false;
	if ((h->flags & VNET_HEADER_NEEDS_CSUM) != 0) {
		if (!q->takes_csum || (uint32_t)h->csum_start + h->csum_offset + 2 > packet_bytes(p))
			return false;
		p->flags = PACKET_NEEDS_CSUM;
		p->csum_start = h->csum_start;
		p->csum_offset = h->csum_offset;
	}
	if (gso == PACKET_GSO_NONE)
		return true;
	if (h->gso_size == 0 || p->flags != PACKET_NEEDS_CSUM)
		return false;
	p->gso = (uint8_t)gso;
	p->gso_size = h->gso_size;
	return true;
}

/* ---- the frame ---- */

/* The copy is what counts from here on: the compiler may not go back to the guest's memory for it. */
static inline void copied(const uint8_t *to)
{
	__asm__ volatile("" : : "r"(to) : "memory");
}

/* What most heads are: 32 bytes or more. Blocks from the front, and one that ends where the head does. */
static inline void copy_head(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
	uint32_t at = 0;

	if (__builtin_expect(bytes < 32, 0)) {
		memcpy(to, from, bytes);
		return;
	}
	do {
		memcpy(to + at, from + at, 32);
		at += 32;
	} while (at + 32 <= bytes);
	memcpy(to + bytes - 32, from + bytes - 32, 32);
}

static bool frame_length_right(uint64_t frame_bytes)
{
	return frame_bytes >= NET_FRAME_MIN_BYTES && frame_bytes <= PACKET_FRAME_MAX_BYTES;
}

/* A packet whose head is to be filled: what every packet begins with. */
static inline struct packet *packet_open(struct net_room *room, unsigned slot, uint32_t frame_bytes)
{
	struct packet *p = &room->packets[slot];
	uint32_t head_bytes = frame_bytes < PACKET_HEAD_MIN_BYTES ? frame_bytes : PACKET_HEAD_MIN_BYTES;

	p->head = room->heads[slot] + PACKET_HEADROOM_BYTES;
	p->headroom_bytes = PACKET_HEADROOM_BYTES;
	p->head_bytes = (uint16_t)head_bytes;
	p->tail_bytes = frame_bytes - head_bytes;
	p->tail = room->tails[slot];
	p->tail_count = 0;
	p->flags = 0;
	p->gso = PACKET_GSO_NONE;
	p->drop = 0;
	p->gso_size = 0;
	p->csum_start = 0;
	p->csum_offset = 0;
	p->hash = 0;
	return p;
}

/* A run of a frame's bytes in the guest's memory. */
struct piece {
	const uint8_t *at;
	uint32_t bytes;
};

static inline void tail_add(struct packet *p, struct iovec *tail, struct piece piece)
{
	if (piece.bytes > 0)
		tail[p->tail_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)piece.at, .iov_len = piece.bytes};
}

/* Copies what of the head is in this piece, and moves it on. */
static inline uint8_t *head_from(uint8_t *to, uint32_t want, struct piece *piece)
{
	uint32_t bytes = piece->bytes < want ? piece->bytes : want;

	copy_head(to, piece->at, bytes);
	piece->at += bytes;
	piece->bytes -= bytes;
	return to + bytes;
}

/* A frame in one piece or two (the first may be empty). NULL: malformed. */
static inline struct packet *take_pieces(struct net_queue *q, const uint8_t *header, struct piece one, struct piece two,
					 unsigned slot)
{
	struct net_room *room = q->worker->net;
	struct virtio_net_header h = header_read(header, q->header_bytes);
	uint64_t frame_bytes = (uint64_t)one.bytes + two.bytes;
	struct packet *p;
	uint8_t *to;

	if (__builtin_expect(!frame_length_right(frame_bytes), 0))
		return NULL;
	p = packet_open(room, slot, (uint32_t)frame_bytes);
	to = p->head;
	if (one.bytes > 0)
		to = head_from(to, p->head_bytes, &one);
	if (two.bytes > 0 && to < p->head + p->head_bytes)
		head_from(to, (uint32_t)(p->head + p->head_bytes - to), &two);
	copied(p->head);
	if (__builtin_expect(p->tail_bytes > 0, 0)) {
		tail_add(p, room->tails[slot], one);
		tail_add(p, room->tails[slot], two);
	}
	return __builtin_expect(is_plain(&h), 1) || judge(q, &h, p) ? p : NULL;
}

/* ---- any shape ---- */

/* Where a chain is being read. */
struct reader {
	const struct guest_memory *memory;
	const struct ring_segment *segment;
	unsigned count;
	uint64_t skip_bytes; /* of segment[0] */
};

/* The next run of bytes, at most `want`; NULL: the chain is at its end, or outside the memory. */
static const uint8_t *reader_next(struct reader *r, uint64_t want, uint64_t *run_bytes)
{
	const uint8_t *host;

	while (r->count > 0 && r->segment->length == r->skip_bytes) {
		r->segment++;
		r->count--;
		r->skip_bytes = 0;
	}
	if (r->count == 0)
		return NULL;
	*run_bytes = r->segment->length - r->skip_bytes < want ? r->segment->length - r->skip_bytes : want;
	host = guest_memory_at(r->memory, r->segment->addr + r->skip_bytes, run_bytes);
	if (host != NULL)
		r->skip_bytes += *run_bytes;
	return host;
}

static bool reader_copy(struct reader *r, uint8_t *to, uint64_t bytes)
{
	while (bytes > 0) {
		uint64_t run_bytes;
		const uint8_t *from = reader_next(r, bytes, &run_bytes);

		if (from == NULL)
			return false;
		memcpy(to, from, run_bytes);
		to += run_bytes;
		bytes -= run_bytes;
	}
	copied(to);
	return true;
}

static bool reader_tail(struct reader *r, struct packet *p, struct iovec *tail)
{
	uint64_t left = p->tail_bytes;

	while (left > 0) {
		struct iovec *last = &tail[p->tail_count - 1];
		uint64_t run_bytes;
		const uint8_t *from = reader_next(r, left, &run_bytes);

		if (from == NULL)
			return false;
		left -= run_bytes;
		if (p->tail_count > 0 && (const uint8_t *)last->iov_base + last->iov_len == from) {
			last->iov_len += run_bytes;
			continue;
		}
		if (p->tail_count == PACKET_TAIL_MAX)
			return false;
		tail[p->tail_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)from, .iov_len = run_bytes};
	}
	return true;
}

/* NULL: malformed, or the ring is broken. */
static struct packet *take_segments(struct net_queue *q, const struct ring_chain *chain, unsigned slot)
{
	struct ring_segments *s = &q->worker->segments;
	struct net_room *room = q->worker->net;
	struct reader reader = {.memory = q->ring.memory, .segment = s->segment};
	uint8_t header[VNET_HEADER_BYTES];
	struct virtio_net_header h;
	uint64_t bytes = 0;
	struct packet *p;

	if (!ring_expand(&q->ring, chain, s) || s->readable != s->count) /* 5.1.6.2: nothing is for the device to write */
		return NULL;
	for (unsigned i = 0; i < s->count; i++)
		bytes += s->segment[i].length;
	reader.count = s->count;
	if (bytes < q->header_bytes || !frame_length_right(bytes - q->header_bytes) ||
	    !reader_copy(&reader, header, q->header_bytes))
		return NULL;
	h = header_read(header, q->header_bytes);
	p = packet_open(room, slot, (uint32_t)(bytes - q->header_bytes));
	if (!reader_copy(&reader, p->head, p->head_bytes) || !reader_tail(&reader, p, room->tails[slot]))
		return NULL;
	return is_plain(&h) || judge(q, &h, p) ? p : NULL;
}

/* ---- the visit ---- */

static inline struct packet *take_chain(struct net_queue *q, const struct ring_chain *c, unsigned slot)
{
	if (__builtin_expect(c->usual && c->header_length >= q->header_bytes, 1))
		return take_pieces(q, c->header, (struct piece){c->header + q->header_bytes, c->header_length - q->header_bytes},
				   (struct piece){c->data, c->data_length}, slot);
	return take_segments(q, c, slot);
}

static void count_packet(struct sent *s, const struct packet *p)
{
	s->bytes += packet_bytes(p);
	s->segments += p->gso == PACKET_GSO_NONE ? 1 : net_segments(packet_bytes(p), net_gso_header_bytes(p), p->gso_size);
}

static inline bool may_take_more(const struct sent *s)
{
	return s->bytes < VIRTIO_NET_VISIT_BYTES_MAX && s->segments < VIRTIO_NET_VISIT_SEGMENTS_MAX &&
	       s->walked < VIRTIO_NET_VISIT_WALK_MAX;
}

/* Takes as many of the chains as a visit may; how many. */
static unsigned take_chains(struct net_queue *q, struct ring_chain *chains, unsigned count, struct ring_used *used, struct sent *s)
{
	unsigned slots = 0, i = 0;

	for (; i < count && may_take_more(s); i++) {
		struct packet *p = take_chain(q, &chains[i], s->count);

		if (__builtin_expect(!chains[i].usual, 0))
			s->walked += q->worker->segments.count;
		if (__builtin_expect(p == NULL, 0)) {
			if (q->ring.broken_why != NULL)
				break;
			s->malformed++;
		} else {
			count_packet(s, p);
			s->packets[s->count++] = p;
		}
		used[i] = (struct ring_used){.id = chains[i].id, .slots = chains[i].slots};
		slots += chains[i].slots;
	}
	ring_advance(&q->ring, (uint16_t)slots);
	return i;
}

/* The keys are made before the pipeline changes the heads. */
static void steer(struct net_queue *q, const struct sent *s)
{
	for (unsigned i = 0; i < s->count; i++)
		net_steer_sent(q->net->steer, net_steer_key(s->packets[i]->head, s->packets[i]->head_bytes), q->index / 2);
}

static void count_sent(struct net_queue *q, const struct sent *s)
{
	NET_COUNT(q->accounts.packets, s->count);
	NET_COUNT(q->accounts.bytes, s->bytes);
	NET_COUNT(q->accounts.segments, s->segments);
	if (s->malformed > 0)
		NET_COUNT(q->accounts.malformed, s->malformed);
}

struct visit net_transmit(struct net_queue *q, uint64_t now_tsc)
{
	struct ring_chain *chains = q->worker->chains;
	struct ring_used used[VIRTIO_NET_VISIT_PACKETS_MAX];
	struct sent sent = {.count = 0};
	struct visit v = {0};
	unsigned count;

	if (__builtin_expect(ring_lost(&q->ring), 0))
		ring_break(&q->ring, "the VMM took the guest's memory away (its file was truncated)");
	count = ring_peek_plain(&q->ring, chains, VIRTIO_NET_VISIT_PACKETS_MAX, false);
	if (ring_watch_look(&q->watch, &q->accounts.ring, ring_waiting(&q->ring, count), q->armed, now_tsc) && !q->armed)
		NET_COUNT(q->accounts.kicks_suppressed, 1);
	if (count > 0)
		v.started = take_chains(q, chains, count, used, &sent);
	if (v.started > 0) {
		ring_watch_taken(&q->watch, &q->accounts.ring, v.started, now_tsc);
		if (q->net->receivers_count > 1)
			steer(q, &sent);
		if (sent.count > 0)
			q->net->input->receive(q->net->input, sent.packets, sent.count, now_tsc);
		ring_use(&q->ring, used, v.started);
		count_sent(q, &sent);
		net_queue_call(q);
	}
	v.more = v.started < count || ring_knows_more(&q->ring);
	if (net_queue_is_broken(q))
		v.more = false;
	return v;
}
