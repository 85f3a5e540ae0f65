#include "fake_wire.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

/* Frames are handed over as a driver does: head and headroom private, everything that fits in the head. */
struct injected_packet {
	struct packet packet;
	struct iovec tail;
	uint8_t room[PACKET_HEADROOM_BYTES + 2048];
};

static struct fake_wire *fake_of(struct wire *wire)
{
	return container_of(wire, struct fake_wire, wire);
}

static bool fake_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct fake_wire *f = fake_of(container_of(sink, struct wire, sink));
	struct fake_frame *frame = &f->frames[f->frame_count];
	uint32_t at = p->head_bytes;

	if (f->room == 0 || f->frame_count == FAKE_WIRE_FRAMES_MAX) {
		f->wire.counters.full++;
		return false;
	}
	if (f->room != UINT_MAX)
		f->room--;
	/* What the caller promised. */
	assert(p->gso != PACKET_GSO_NONE || packet_bytes(p) <= sink->frame_bytes_max);
	assert(!(p->flags & PACKET_NEEDS_CSUM) || (sink->offloads & SINK_CSUM));
	frame->size = packet_bytes(p);
	frame->bytes = malloc(frame->size);
	assert(frame->bytes != NULL);
	memcpy(frame->bytes, p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count; i++) {
		memcpy(frame->bytes + at, p->tail[i].iov_base, p->tail[i].iov_len);
		at += (uint32_t)p->tail[i].iov_len;
	}
	assert(at == frame->size);
	frame->flags = p->flags;
	frame->gso = p->gso;
	frame->gso_size = p->gso_size;
	frame->csum_start = p->csum_start;
	frame->csum_offset = p->csum_offset;
	f->frame_count++;
	f->wire.counters.packets_out++;
	f->wire.counters.bytes_out += frame->size;
	account_arrive(&f->wire.counters.transmit, now_tsc, 1);
	return true;
}

static void fake_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	struct fake_wire *f = fake_of(container_of(sink, struct wire, sink));

	for (; f->flushed_count < f->frame_count; f->flushed_count++)
		account_depart(&f->wire.counters.transmit, now_tsc, 1, f->frames[f->flushed_count].size, 0);
	f->flushes++;
}

static unsigned fake_receive(struct wire *wire, struct packet_input *input, uint64_t now_tsc)
{
	struct fake_wire *f = fake_of(wire);
	unsigned count = f->injected_count < PACKET_BATCH_MAX ? f->injected_count : PACKET_BATCH_MAX;
	struct injected_packet *batch = calloc(PACKET_BATCH_MAX, sizeof(*batch));
	struct packet *packets[PACKET_BATCH_MAX];

	assert(batch != NULL);
	for (unsigned i = 0; i < count; i++) {
		struct fake_frame *frame = &f->injected[i];
		struct packet *p = &batch[i].packet;
		uint32_t head = frame->size < sizeof(batch->room) - PACKET_HEADROOM_BYTES
					? frame->size
					: sizeof(batch->room) - PACKET_HEADROOM_BYTES;

		memcpy(batch[i].room + PACKET_HEADROOM_BYTES, frame->bytes, head);
		p->head = batch[i].room + PACKET_HEADROOM_BYTES;
		p->headroom_bytes = PACKET_HEADROOM_BYTES;
		p->head_bytes = (uint16_t)head;
		p->flags = frame->flags;
		if (frame->size > head) {
			batch[i].tail = (struct iovec){frame->bytes + head, frame->size - head};
			p->tail = &batch[i].tail;
			p->tail_count = 1;
			p->tail_bytes = frame->size - head;
		}
		wire->counters.packets_in++;
		wire->counters.bytes_in += frame->size;
		packets[i] = p;
	}
	if (count > 0)
		input->receive(input, packets, count, now_tsc);
	for (unsigned i = 0; i < count; i++)
		free(f->injected[i].bytes);
	memmove(f->injected, f->injected + count, (f->injected_count - count) * sizeof(*f->injected));
	f->injected_count -= count;
	free(batch);
	return count;
}

static int fake_wait_fd(struct wire *wire)
{
	(void)wire;
	return -1;
}

static bool fake_arm(struct wire *wire)
{
	struct fake_wire *f = fake_of(wire);

	f->armed = f->injected_count == 0;
	return f->armed;
}

static void fake_disarm(struct wire *wire)
{
	fake_of(wire)->armed = false;
}

static bool fake_link_up(struct wire *wire)
{
	return !fake_of(wire)->link_is_down;
}

static void fake_close(struct wire *wire)
{
	fake_wire_close(fake_of(wire));
}

static int fake_offer(struct wire *wire, const struct wire_offload_flow *flow, uint64_t *handle)
{
	struct fake_wire *f = fake_of(wire);

	f->offers++;
	if (f->offload_error != 0)
		return f->offload_error;
	for (unsigned i = 0; i < FAKE_WIRE_FLOWS_MAX; i++) {
		struct fake_offload *o = &f->offloaded[i];

		if (o->used)
			continue;
		*o = (struct fake_offload){.used = true, .key = *flow->key, .out = *flow->out, .outer = *flow->outer};
		o->flow_index = flow->flow_index;
		*handle = i + 1;
		return 0;
	}
	return -ENOSPC;
}

struct fake_offload *fake_wire_offload(struct fake_wire *f, uint64_t handle)
{
	if (handle == 0 || handle > FAKE_WIRE_FLOWS_MAX || !f->offloaded[handle - 1].used)
		return NULL;
	return &f->offloaded[handle - 1];
}

static void fake_withdraw(struct wire *wire, uint64_t handle)
{
	struct fake_wire *f = fake_of(wire);
	struct fake_offload *o = fake_wire_offload(f, handle);

	assert(o != NULL); /* withdrawn once, and only what was taken */
	o->used = false;
	f->withdrawals++;
}

static int fake_count(struct wire *wire, uint64_t handle, struct flow_counters *total)
{
	struct fake_offload *o = fake_wire_offload(fake_of(wire), handle);

	assert(o != NULL);
	*total = o->counters;
	return 0;
}

static const struct packet_sink_ops sink_ops = {fake_put, fake_flush};
static const struct wire_ops wire_ops = {fake_receive, fake_wait_fd, fake_arm, fake_disarm, fake_close, fake_link_up};
static const struct wire_offload_ops offload_ops = {fake_offer, fake_withdraw, fake_count};

struct fake_wire *fake_wire_open(const char *config, unsigned index)
{
	struct fake_wire *f = calloc(1, sizeof(*f));
	char error[256];

	assert(f != NULL);
	if (wire_config_parse(config, &f->wire.config, error, sizeof(error)) != 0) {
		fprintf(stderr, "fake wire: %s\n", error);
		abort();
	}
	f->room = UINT_MAX;
	f->wire.sink = (struct packet_sink){.ops = &sink_ops, .frame_bytes_max = 1500 + 14};
	f->wire.ops = &wire_ops;
	f->wire.offload = &offload_ops;
	f->wire.mac = (struct mac){{2, 0, 0, 0, 0, (uint8_t)(1 + index)}};
	f->wire.mtu = 1500;
	f->wire.index = index;
	return f;
}

void fake_wire_forget(struct fake_wire *f)
{
	for (unsigned i = 0; i < f->frame_count; i++)
		free(f->frames[i].bytes);
	f->frame_count = f->flushed_count = f->flushes = 0;
}

void fake_wire_close(struct fake_wire *f)
{
	fake_wire_forget(f);
	for (unsigned i = 0; i < f->injected_count; i++)
		free(f->injected[i].bytes);
	free(f);
}

void fake_wire_inject(struct fake_wire *f, const void *frame, uint32_t size, uint8_t flags)
{
	struct fake_frame *to = &f->injected[f->injected_count];

	assert(f->injected_count < FAKE_WIRE_FRAMES_MAX && size <= PACKET_FRAME_MAX_BYTES);
	to->bytes = malloc(size);
	assert(to->bytes != NULL);
	memcpy(to->bytes, frame, size);
	to->size = size;
	to->flags = flags;
	f->injected_count++;
}
