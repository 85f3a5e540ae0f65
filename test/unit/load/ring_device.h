/*
 * A tiny device model for tests: the other side of a virtqueue, with a RAM disk (or nothing) behind it. Written straight from the
 * specification and sharing no code with src/, so that two mistakes would have to agree. It trusts the driver: its driver is ours.
 */
#ifndef OUTBOARD_TEST_RING_DEVICE_H
#define OUTBOARD_TEST_RING_DEVICE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_DEVICE_SEGMENTS_MAX = 128 };

struct ring_device {
	/* Where the rings are, as this side maps them, and how guest addresses translate. */
	void *descriptor_area, *driver_area, *device_area;
	uint8_t *memory;
	uint64_t guest_address;
	uint64_t memory_bytes;
	uint16_t size;
	bool packed, event_idx;
	/* Positions; packed starts with both wrap counters true. */
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	/* The disk; disk == NULL: requests succeed and nothing happens. */
	uint8_t *disk;
	uint64_t disk_bytes;
};

struct ring_request {
	uint16_t id;	/* head, or buffer id */
	uint16_t slots; /* ring slots it takes (packed) */
	unsigned count;
	struct {
		uint8_t *data;
		uint32_t length;
		bool writable;
	} segments[RING_DEVICE_SEGMENTS_MAX];
};

/* The next available request; false when there is none, or (then `*why`) when the driver broke a rule. */
bool ring_device_fetch(struct ring_device *d, struct ring_request *request, const char **why);
/* Executes it on the disk: fills data and status. */
void ring_device_execute(struct ring_device *d, const struct ring_request *request);
/* Puts it into the used ring and makes it visible. */
void ring_device_complete(struct ring_device *d, const struct ring_request *request, uint32_t written);
/* fetch, execute, complete until the ring is empty; returns how many. */
unsigned ring_device_serve(struct ring_device *d);

void ring_device_want_kicks(struct ring_device *d, bool wanted); /* from the next request on */
bool ring_device_call_wanted(const struct ring_device *d);	 /* would the driver like a call for the completion just made? */

#endif
