/*
 * Packets for tests and for the fuzzer. The head of a test packet and each part of its tail is an allocation of its own with
 * nothing behind it, so that AddressSanitizer sees a read beyond. A sink that keeps what it was given, flat, and a judge of
 * checksums that shares no code with src/vpc.
 */
#ifndef OUTBOARD_TEST_VPC_PACKET_RIG_H
#define OUTBOARD_TEST_VPC_PACKET_RIG_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/packet.h"

enum { RIG_TAIL_MAX = 8 };

struct rig_packet {
	struct packet p;
	uint8_t *buffer;
	struct iovec tail[RIG_TAIL_MAX];
};

/* `head_bytes` of the frame in the head, the rest in parts of `part_bytes` (the last one takes what is left). */
static inline void rig_packet_make(struct rig_packet *r, const void *frame, uint32_t bytes, uint32_t head_bytes,
				   uint32_t part_bytes)
{
	const uint8_t *from = frame;
	uint32_t left;

	memset(r, 0, sizeof(*r));
	head_bytes = head_bytes < bytes ? head_bytes : bytes;
	r->buffer = malloc(PACKET_HEADROOM_BYTES + head_bytes);
	assert(r->buffer != NULL);
	r->p.head = r->buffer + PACKET_HEADROOM_BYTES;
	r->p.headroom_bytes = PACKET_HEADROOM_BYTES;
	r->p.head_bytes = (uint16_t)head_bytes;
	memcpy(r->p.head, from, head_bytes);
	r->p.tail = r->tail;
	r->p.tail_bytes = left = bytes - head_bytes;
	for (from += head_bytes; left > 0; from += r->tail[r->p.tail_count++].iov_len) {
		struct iovec *v = &r->tail[r->p.tail_count];

		v->iov_len = r->p.tail_count == RIG_TAIL_MAX - 1 || part_bytes > left || part_bytes == 0 ? left : part_bytes;
		v->iov_base = malloc(v->iov_len);
		assert(v->iov_base != NULL);
		memcpy(v->iov_base, from, v->iov_len);
		left -= (uint32_t)v->iov_len;
	}
}

static inline void rig_packet_free(struct rig_packet *r)
{
	for (unsigned i = 0; i < RIG_TAIL_MAX; i++)
		free(r->tail[i].iov_base);
	free(r->buffer);
}

/* The frame in one piece; returns its length. `to` has room for it. */
static inline uint32_t rig_packet_flatten(const struct packet *p, uint8_t *to)
{
	uint32_t done = p->head_bytes, left = p->tail_bytes;

	memcpy(to, p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count && left > 0; i++) {
		uint32_t part = p->tail[i].iov_len < left ? (uint32_t)p->tail[i].iov_len : left;

		memcpy(to + done, p->tail[i].iov_base, part);
		done += part;
		left -= part;
	}
	assert(left == 0 && done == packet_bytes(p));
	return done;
}

/* ---- a sink ---- */

enum { RIG_SINK_BYTES = 4 << 20, RIG_SINK_FRAMES = 4096 };

struct rig_frame {
	const uint8_t *bytes;
	uint32_t size;
	struct packet meta; /* its pointers are not to be followed */
};

struct rig_sink {
	struct packet_sink sink;
	unsigned room; /* frames it takes */
	unsigned count, asked;
	struct rig_frame frames[RIG_SINK_FRAMES];
	uint32_t used;
	uint8_t bytes[RIG_SINK_BYTES];
};

static inline bool rig_sink_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct rig_sink *s = (struct rig_sink *)sink;
	struct rig_frame *f = &s->frames[s->count];

	(void)now_tsc;
	s->asked++;
	assert(p->tail_count <= PACKET_TAIL_MAX);
	if (s->count == s->room)
		return false;
	assert(s->count < RIG_SINK_FRAMES && s->used + packet_bytes(p) <= RIG_SINK_BYTES);
	f->bytes = s->bytes + s->used;
	f->size = rig_packet_flatten(p, s->bytes + s->used);
	f->meta = *p;
	s->used += f->size;
	s->count++;
	return true;
}

static inline void rig_sink_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	(void)sink;
	(void)now_tsc;
}

static const struct packet_sink_ops rig_sink_ops = {.put = rig_sink_put, .flush = rig_sink_flush};

static inline void rig_sink_reset(struct rig_sink *s, uint32_t offloads, uint32_t frame_bytes_max, unsigned room)
{
	s->sink = (struct packet_sink){.ops = &rig_sink_ops, .offloads = offloads, .frame_bytes_max = frame_bytes_max};
	s->room = room;
	s->count = s->asked = s->used = 0;
}

/* ---- a judge ---- */

/* RFC 1071 word by word, big-endian: 0xffff over something that holds its own checksum. */
static inline uint32_t rig_sum(uint32_t sum, const uint8_t *bytes, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

static inline bool rig_ipv4_right(const uint8_t *ip)
{
	return rig_sum(0, ip, (ip[0] & 15u) * 4) == 0xffff;
}

/* Of TCP, UDP or ICMPv6 at ip + upper_at, up to the packet's end. */
static inline bool rig_upper_right(const uint8_t *ip, uint32_t ip_bytes, uint32_t upper_at, uint8_t protocol)
{
	uint32_t sum = protocol + (ip_bytes - upper_at);

	sum = ip[0] >> 4 == 4 ? rig_sum(sum, ip + 12, 8) : rig_sum(sum, ip + 8, 32);
	return rig_sum(sum, ip + upper_at, ip_bytes - upper_at) == 0xffff;
}

#endif
