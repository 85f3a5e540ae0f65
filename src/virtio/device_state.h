/*
 * Everything a successor process must know of a device, in one flat struct without pointers (versioned, fixed layout): it can live
 * in a memfd and be handed over. Descriptors that belong to it (connection, regions, kick, call, in-flight) are listed beside it in
 * `struct device_fds`. What can be derived (host addresses, caches) is not here.
 *
 * Written by the control thread while the queue concerned is stopped; `next_avail`/`next_used` by the poller at stop.
 */
#ifndef OUTBOARD_VIRTIO_DEVICE_STATE_H
#define OUTBOARD_VIRTIO_DEVICE_STATE_H

#include <stdint.h>

enum {
	DEVICE_STATE_VERSION = 1,
	DEVICE_QUEUES_MAX = 32,
	DEVICE_REGIONS_MAX = 32,   /* told by GET_MAX_MEM_SLOTS */
	VIRTQUEUE_SIZE_MAX = 1024, /* larger rings are refused at SET_VRING_NUM */
};

enum device_state_flag {
	DEVICE_STATE_FEATURES_SET = 1, /* SET_FEATURES was received (it may have acknowledged nothing) */
	DEVICE_STATE_INFLIGHT_VMM = 2, /* the in-flight region is known to the VMM: not to be replaced by another */
};

struct region_state {
	uint64_t guest_addr;
	uint64_t size_bytes;
	uint64_t user_addr; /* the VMM's own address of it, in which ring addresses are given */
	uint64_t mmap_offset;
};

struct virtqueue_state {
	uint64_t descriptor_user_addr;
	uint64_t driver_user_addr; /* avail ring, or driver event suppression */
	uint64_t device_user_addr; /* used ring, or device event suppression */
	uint64_t log_guest_addr;
	uint32_t size;	     /* 0: not set up */
	uint16_t next_avail; /* split: free-running index; packed: slot, wrap counter in bit 15 */
	uint16_t next_used;  /* the same */
	uint8_t enabled;     /* SET_VRING_ENABLE, or implied when PROTOCOL_FEATURES was not negotiated */
	uint8_t started;     /* SET_VRING_KICK came, and GET_VRING_BASE or a reset has not stopped it since */
	uint8_t broken;	     /* the guest broke the rules: not served until reset */
	uint8_t reserved[5];
};

struct device_state {
	uint32_t version; /* DEVICE_STATE_VERSION */
	uint32_t layout_bytes;
	uint64_t features;	    /* acknowledged virtio features; 0 before SET_FEATURES */
	uint64_t protocol_features; /* acknowledged */
	uint8_t status;		    /* device status of SET_STATUS, where negotiated */
	uint8_t write_cache; /* virtio-blk: 0 as the device began, 1 write back, 2 write through, as the driver last set it */
	uint8_t needs_reset; /* DEVICE_NEEDS_RESET was raised */
	uint8_t flags;	     /* enum device_state_flag */
	uint32_t region_count;
	uint64_t inflight_size_bytes;
	uint64_t inflight_offset_bytes;
	uint16_t inflight_queue_count;
	uint16_t inflight_queue_size;
	uint32_t reserved2;
	struct region_state regions[DEVICE_REGIONS_MAX];
	struct virtqueue_state queues[DEVICE_QUEUES_MAX];
};

_Static_assert(sizeof(struct region_state) == 32, "layout");
_Static_assert(sizeof(struct virtqueue_state) == 48, "layout");
_Static_assert(sizeof(struct device_state) == 56 + 32 * DEVICE_REGIONS_MAX + 48 * DEVICE_QUEUES_MAX, "layout");

struct device_fds {
	int region[DEVICE_REGIONS_MAX]; /* -1 where there is none */
	int kick[DEVICE_QUEUES_MAX];
	int call[DEVICE_QUEUES_MAX];
	int err[DEVICE_QUEUES_MAX];
	int inflight;
	int backend; /* channel for our requests to the VMM */
};

#endif
