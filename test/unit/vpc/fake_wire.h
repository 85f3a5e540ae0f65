/*
 * A wire without a device: keeps what is put, gives what is injected, and has an offload device that takes or refuses flows as told.
 *
 *	struct fake_wire *f = fake_wire_open("address=192.0.2.1/24;device=fake", 0);
 *	vpc_add_wire(vpc, &f->wire);
 *	... f->frames[0].bytes, f->frames[0].size ...
 */
#ifndef OUTBOARD_TEST_FAKE_WIRE_H
#define OUTBOARD_TEST_FAKE_WIRE_H

#include "vpc/offload.h"
#include "vpc/wire.h"

enum { FAKE_WIRE_FRAMES_MAX = 256, FAKE_WIRE_FLOWS_MAX = 32 };

/* What a sink sees of a packet, head and tail together. */
struct fake_frame {
	uint8_t *bytes;
	uint32_t size;
	uint8_t flags, gso;
	uint16_t gso_size, csum_start, csum_offset;
};

struct fake_offload {
	bool used;
	struct flow_key key;
	struct flow_action out;
	struct tunnel_template outer;
	uint32_t flow_index;
	struct flow_counters counters; /* a test sets what the device is to have carried */
};

struct fake_wire {
	struct wire wire;
	/* Put, and visible after a flush. */
	struct fake_frame frames[FAKE_WIRE_FRAMES_MAX];
	unsigned frame_count, flushed_count, flushes;
	unsigned room; /* puts that succeed before it is full; UINT_MAX at the start */
	/* Injected, not received yet. */
	struct fake_frame injected[FAKE_WIRE_FRAMES_MAX];
	unsigned injected_count;
	bool link_is_down, armed;
	/* The device behind wire.offload: offers are answered with `offload_error` when it is not 0. */
	int offload_error;
	unsigned offers, withdrawals;
	struct fake_offload offloaded[FAKE_WIRE_FLOWS_MAX];
};

/* The text is parsed by wire_config_parse(), and must be right. MAC 02:00:00:00:00:01 + index, MTU 1500, no offloads. */
struct fake_wire *fake_wire_open(const char *config, unsigned index);
/* Also wire.ops->close. */
void fake_wire_close(struct fake_wire *f);

void fake_wire_inject(struct fake_wire *f, const void *frame, uint32_t size, uint8_t flags);
void fake_wire_forget(struct fake_wire *f); /* what was put */
/* The offloaded flow of a handle; NULL: none. */
struct fake_offload *fake_wire_offload(struct fake_wire *f, uint64_t handle);

#endif
