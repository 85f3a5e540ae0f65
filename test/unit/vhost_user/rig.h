/*
 * A vhost-user back end on a socketpair, with a VMM's end that the test speaks through and a device that only counts. A test
 * reaches a stage of the set-up as QEMU 7.2 goes through it, then does what it is about.
 *
 * What QEMU 7.2 sends (vhost-user-blk-pci, recorded from Debian's):
 *	connect	GET_FEATURES, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_MAX_MEM_SLOTS, SET_BACKEND_REQ_FD
 *		(need_reply), SET_OWNER, GET_FEATURES, SET_VRING_CALL and SET_VRING_ERR of every queue, GET_CONFIG
 *	start	SET_FEATURES, GET_STATUS, SET_STATUS, GET_INFLIGHT_FD, SET_INFLIGHT_FD, SET_VRING_CALL of every queue, SET_FEATURES,
 *		GET_STATUS, ADD_MEM_REG of every region (need_reply), of every queue that the driver set up SET_VRING_NUM,
 *		SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_KICK; then SET_VRING_ENABLE 1 of all, GET_STATUS, SET_STATUS
 *	stop	SET_STATUS 0, SET_VRING_ENABLE 0 of every queue, GET_VRING_BASE of those set up
 */
#ifndef OUTBOARD_TEST_VHOST_USER_RIG_H
#define OUTBOARD_TEST_VHOST_USER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio/vhost_user.h"
#include "virtio/vhost_user_proto.h"

enum {
	RIG_QUEUES = 4,
	RIG_RING_SIZE = 128,
	RIG_MEMORY_BYTES = 1 << 20,
	RIG_CONFIG_BYTES = 60,
	RIG_RING_BYTES = 0x10000, /* from one ring to the next */
	RIG_MTU = 1500,
};

#define RIG_USER_ADDR  UINT64_C(0x7f0000000000)
#define RIG_PACKED     (UINT64_C(1) << 34)
#define RIG_FEATURES   (UINT64_C(1) << 32 | UINT64_C(1) << 29 | UINT64_C(1) << 28 | RIG_PACKED)
#define RIG_F_PROTOCOL (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)
#define RIG_NEED_REPLY (VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY)

/* What the device saw. */
struct rig_device {
	bool stops_later; /* rig_stopped() tells the connection, not queue_stop itself */
	int start_error;
	uint32_t running, stopping; /* a bit a queue */
	unsigned starts, stops, calls, features_changes;
	uint8_t config[RIG_CONFIG_BYTES];
	int config_error;
	uint32_t config_read_bytes; /* of the last call */
};

struct rig {
	struct vhost_user *v;
	struct rig_device device;
	int vmm;	/* the VMM's end of the connection */
	int backend[2]; /* [0]: the VMM's end of the channel for the back end's requests */
	int memory;	/* memfd of guest memory */
	int kick[RIG_QUEUES], call[RIG_QUEUES];
	unsigned fds_before;
	bool nic;
};

enum rig_stage { RIG_NEW, RIG_PROTOCOL, RIG_FEATURES_SET, RIG_MEMORY, RIG_RINGS, RIG_SERVED };

void rig_open(struct rig *r);
void rig_close(struct rig *r); /* stops what runs, frees, and asserts that no descriptor was leaked */
void rig_reach(struct rig *r, enum rig_stage from, enum rig_stage to);
void rig_ring(struct rig *r, unsigned index, uint16_t size, uint32_t base); /* NUM, BASE, ADDR, KICK */

/* Sends one message, whole. */
void rig_send(struct rig *r, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
	      unsigned fd_count);
/* Lets the back end read all there is; what it returned. */
int rig_run(struct rig *r);
/* Both, with nothing special; asserts 0. */
void rig_do(struct rig *r, uint32_t request, const void *payload, uint32_t size, int fd);
void rig_do_u64(struct rig *r, uint32_t request, uint64_t value);
void rig_do_state(struct rig *r, uint32_t request, uint32_t index, uint32_t num);

/* A reply that is there; asserts its request, and its size unless `size` is UINT32_MAX. Returns its size. */
uint32_t rig_reply(struct rig *r, uint32_t request, void *payload, uint32_t size, int *fd);
uint64_t rig_reply_u64(struct rig *r, uint32_t request);
bool rig_nothing_to_read(struct rig *r); /* no reply, and not closed */
int rig_stopped(struct rig *r, unsigned index);

struct vhost_user_vring_addr rig_addr(unsigned index);
struct vhost_user_region rig_region(void);
int rig_memfd(uint64_t size_bytes);
unsigned rig_count_fds(void);

/* Standard error goes to a file between these; rig_log_end() asserts `lines` lines, each with `device rig0` and, if not NULL,
 * `text`. */
void rig_log_begin(void);
void rig_log_end(unsigned lines, const char *text);

int rig_setup(void **state);	 /* a struct rig, opened */
int rig_setup_nic(void **state); /* the same for a network device: two pairs of queues */
int rig_teardown(void **state);

#endif
