/*
 * A guest in the test's own process: memory regions as a VMM would share them, one ring with its driver side, a device with a block
 * target that does what the test says. Rings and buffers lie at fixed guest addresses, so that a test can also write to them as
 * a hostile guest would.
 */
#ifndef OUTBOARD_TEST_VIRTIO_GUEST_H
#define OUTBOARD_TEST_VIRTIO_GUEST_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/blockio.h"
#include "virtio/inflight.h"
#include "virtio/virtio_blk.h"
#include "virtio/virtio_blk_proto.h"

enum {
	REGION_BYTES = 1 << 20,
	REGION_NEAR = 0,	    /* [0, 1 MiB): rings, headers, status bytes, indirect tables */
	REGION_NEXT = REGION_BYTES, /* follows it in the guest, and not in the host */
	REGION_FAR = 1 << 30,
	DATA = 0x40000, /* in the first region */
	HEADERS = 0x20000,
	STATUSES = 0x30000,
	TABLES = 0x80000,
	GUEST_IDS = 1024,
	TARGET_BYTES = 1 << 20,
	TARGET_HELD_MAX = 2048,
};

#define USER_BASE UINT64_C(0x7f0000000000)
#define BIT64(n)  (UINT64_C(1) << (n))

struct guest_kind {
	bool packed, indirect, event_idx, no_record;
	uint16_t size;
};

struct buffer {
	uint64_t addr;
	uint32_t length;
	bool writable;
};

struct test_target {
	struct blk_target target;
	uint8_t bytes[TARGET_BYTES];
	bool no_data; /* larger than `bytes`: moves none */
	bool hold;    /* keep requests until target_release() */
	int error;
	unsigned submits, ios;
	struct blk_io log[64]; /* copies of what was submitted */
	struct blk_io *held[TARGET_HELD_MAX];
	unsigned held_count;
	unsigned admit_left; /* after target_throttle(): this many may start */
	const struct blk_io *admit_last;
	unsigned admit_asked;
};

struct guest {
	struct guest_kind kind;
	struct guest_memory memory;
	int fds[3];
	struct device_state state;
	struct inflight inflight;
	int inflight_fd, call_fd;
	struct test_target target;
	struct virtio_worker *worker;
	struct virtio_blk *blk;
	struct virtqueue *vq;
	const char *broken_why;
	uint64_t now;

	/* the driver */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *ring;
	struct vring_packed_desc_event *driver_event, *device_event;
	uint16_t next_avail, used_seen, free_slots;
	bool avail_wrap, used_wrap;
	uint16_t slots_of[GUEST_IDS];  /* of a chain, by id */
	uint16_t free_desc[GUEST_IDS]; /* split: descriptors, packed: ids; a stack */
	uint16_t free_count;
	uint16_t next_of[GUEST_IDS]; /* split: descriptors of a chain */
};

/* Every kind of ring; a test that holds for all runs its body once for each. */
extern const struct guest_kind guest_kinds[];
extern const unsigned guest_kinds_count;

#define EACH_KIND(g)                                                                                                               \
	for (unsigned kind_ = 0; kind_ < guest_kinds_count && (guest_open(g, &guest_kinds[kind_]), true); guest_close(g), kind_++)

void guest_open(struct guest *g, const struct guest_kind *kind);
void guest_open_ring(struct guest *g, const struct guest_kind *kind); /* memory and ring, without a device */
void guest_offer(struct guest *g, uint64_t features);		      /* acknowledges those that its kind has */
void guest_close(struct guest *g);
void guest_start(struct guest *g);
void guest_stop(struct guest *g);	/* all complete; virtqueue_release() */
void guest_reset_ring(struct guest *g); /* as a driver does after a device reset; not served */
void *guest_at(struct guest *g, uint64_t addr);

/* Makes a chain available (the driver's index moves at once); its id. */
uint16_t guest_put(struct guest *g, const struct buffer *buffers, unsigned count);
/* The next used element; false when there is none. */
bool guest_get(struct guest *g, uint16_t *id, uint32_t *length);
/* Header and status byte of request `n` are at HEADERS + 64 n and STATUSES + 64 n; data as given. */
uint16_t guest_request(struct guest *g, unsigned n, uint32_t type, uint64_t sector, uint64_t data, uint32_t length);
uint8_t guest_status(struct guest *g, unsigned n);
void guest_header(struct guest *g, uint64_t addr, uint32_t type, uint64_t sector);

/* Visits until nothing more is there, publishing after each. */
unsigned guest_serve(struct guest *g);
/* Completes what the target held, in the order given by `step` (1: first to last, -1: last to first), and publishes. */
void target_release(struct guest *g, int step);
void target_throttle(struct guest *g, unsigned admit_left);
unsigned guest_calls(struct guest *g); /* since last asked */

#endif
