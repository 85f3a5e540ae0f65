/* What tests of real wires share: an environment, frames with a number, and an input that keeps what it gets. */
#ifndef OUTBOARD_TEST_WIRE_RIG_H
#define OUTBOARD_TEST_WIRE_RIG_H

#include <stdbool.h>

#include "vpc/wire.h"

enum { RIG_FRAMES_MAX = 512, RIG_FRAME_BYTES_MAX = 16384 };

struct rig_input {
	struct packet_input input;
	unsigned count, batches, valid_checksums;
	struct {
		uint8_t *bytes; /* of the rig */
		uint32_t size;
	} frames[RIG_FRAMES_MAX];
};

int rig_open(void **state); /* cmocka group setup: DPDK's environment */
int rig_close(void **state);

struct wire *rig_wire(const char *device, unsigned index); /* 192.0.2.1/24; fails the test when it cannot be opened */
int rig_wire_error(const char *device, char *error, size_t error_size);

void rig_input_init(struct rig_input *in);
void rig_input_forget(struct rig_input *in);
/* A frame whose bytes follow from `number`: broadcast, EtherType 0x88b5 (IEEE 802 local experimental). */
void rig_frame_make(uint8_t *bytes, uint32_t size, uint32_t number);
/* Puts it cut into `parts` pieces: head and tail. */
bool rig_put(struct wire *wire, uint32_t size, uint32_t number, unsigned parts);
void rig_flush(struct wire *wire);
/* Receives until `count` frames of the rig's kind are there, or two seconds are over; others (the kernel's own chatter) are left out. */
void rig_receive(struct wire *wire, struct rig_input *in, unsigned count);
bool rig_frame_is(const struct rig_input *in, unsigned at, uint32_t size, uint32_t number);

#endif
