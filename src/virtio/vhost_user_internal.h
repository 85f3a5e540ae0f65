/* What the files of the vhost-user back end share. Not for others: they include vhost_user.h. */
#ifndef OUTBOARD_VIRTIO_VHOST_USER_INTERNAL_H
#define OUTBOARD_VIRTIO_VHOST_USER_INTERNAL_H

#include <unistd.h>

#include "virtio/discard.h"
#include "virtio/vhost_user.h"
#include "virtio/vhost_user_proto.h"

/* A request of the VMM, from its first byte until it was handled; allocated only for that time. */
struct vhost_user_message {
	uint32_t received_bytes;	 /* of header and payload together */
	uint32_t fd_count;		 /* those that came with it, also those beyond the array, which were closed at once */
	int fds[VHOST_USER_REGIONS_MAX]; /* -1 once taken */
	struct vhost_user_header header;
	union vhost_user_payload payload;
};

struct vhost_user {
	/* What a successor needs. */
	struct device_state state;
	struct device_fds fds;
	int socket;

	/* What follows from it, or from the device. */
	struct guest_memory memory;
	struct inflight inflight;
	const struct vhost_user_ops *ops;
	void *device;
	uint64_t features_offered, protocol_features_offered;
	uint32_t config_size;
	uint16_t queues_max;
	uint16_t queue_num; /* as GET_QUEUE_NUM tells it */
	bool is_paired;	    /* a NIC: its VMM may be several (vhost_user_memory.c) */
	uint16_t mtu;

	/* What is under way. */
	bool closed;	   /* the peer is gone or broke a rule: nothing is read any more */
	uint32_t served;   /* a bit a queue: queue_start succeeded, and queue_stopped was not called since */
	uint32_t stopping; /* a bit a queue: `waiting` holds the message up until these have stopped */
	uint32_t outside;  /* a bit a queue: it was told that its ring lies outside the memory */
	uint16_t refusals; /* answered with "failed": each is a log line */
	bool waiting;
	struct vhost_user_message *message; /* partly received, or waiting; NULL otherwise */
	char name[];
};

enum { VHOST_USER_REFUSALS_MAX = 16 };

/* Results of a handler beside 0 (done; acknowledged if the VMM asked for it) and -errno. */
enum { VHOST_USER_REPLIED = 1 };

/* One kind of request: what is checked before anything happens, what must stand still, and what to do. */
struct vhost_user_rule {
	const char *name; /* NULL: not spoken here */
	uint16_t size_min, size_max;
	uint8_t fds_min, fds_max;
	uint8_t index;		    /* enum vhost_user_index: where the payload names a queue */
	uint8_t legal;		    /* bits of enum vhost_user_legal */
	uint32_t protocol_features; /* that must have been negotiated */
	/* Served queues that must be stopped before `handle` runs; NULL: none. */
	uint32_t (*quiesce)(const struct vhost_user *v, const struct vhost_user_message *m);
	/* 0, VHOST_USER_REPLIED, or -errno after vhost_user_refuse(): -EPROTO closes the connection, another error is told to the
	 * VMM if it asked for an answer, and closes the connection otherwise. */
	int (*handle)(struct vhost_user *v, struct vhost_user_message *m);
};

enum vhost_user_index { INDEX_NONE, INDEX_VRING_STATE, INDEX_VRING_ADDR, INDEX_VRING_FD };
enum vhost_user_legal {
	LEGAL_AFTER_FEATURES = 1, /* only after SET_FEATURES */
	LEGAL_WITH_PROTOCOL = 2,  /* only when VHOST_USER_F_PROTOCOL_FEATURES was negotiated */
};

/* vhost_user_table.c */
const struct vhost_user_rule *vhost_user_rule(uint32_t request); /* NULL: not spoken here */
const char *vhost_user_request_name(uint32_t request);
int vhost_user_check_header(const struct vhost_user *v, const struct vhost_user_message *m); /* before its payload is read */
int vhost_user_check(const struct vhost_user *v, const struct vhost_user_message *m);	     /* whole */

uint32_t vhost_user_message_queue(const struct vhost_user_message *m); /* the queue that the payload names */

/* vhost_user_message.c */
int vhost_user_receive(struct vhost_user *v); /* 1: v->message is whole; 0: would block; -ECONNRESET; -EPROTO, logged */
void vhost_user_message_free(struct vhost_user *v);
int vhost_user_message_take_fd(struct vhost_user_message *m, unsigned index);
int vhost_user_reply(struct vhost_user *v, const struct vhost_user_message *request, const void *payload, uint32_t size, int fd);
int vhost_user_reply_u64(struct vhost_user *v, const struct vhost_user_message *request, uint64_t value);
int vhost_user_backend_send(struct vhost_user *v, uint32_t request);
bool vhost_user_wants_ack(const struct vhost_user *v, const struct vhost_user_message *m);

/* One log line that names the device, the message and the reason; returns `error`. */
int vhost_user_refuse(const struct vhost_user *v, uint32_t request, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* vhost_user_ring.c */
bool vhost_user_packed(const struct vhost_user *v);
int vhost_user_rings_start(struct vhost_user *v); /* starts every ring that is ready and not yet served */
void vhost_user_ring_stop(struct vhost_user *v, unsigned index);

/* vhost_user_inflight.c */
int vhost_user_inflight_prepare(struct vhost_user *v, unsigned index); /* before a ring starts */
void vhost_user_inflight_drop(struct vhost_user *v);
void vhost_user_inflight_close(struct vhost_user *v, unsigned index); /* the VMM knows where the ring stands */

/* vhost_user_memory.c */
bool vhost_user_is_memory_file(int fd);
void vhost_user_memory_drop(struct vhost_user *v);

static inline void vhost_user_fd_close(int *fd)
{
	if (*fd >= 0)
		discard(*fd);
	*fd = -1;
}

/* Which queues a message disturbs. */
uint32_t vhost_user_quiesce_all(const struct vhost_user *v, const struct vhost_user_message *m);
uint32_t vhost_user_quiesce_ring(const struct vhost_user *v,
				 const struct vhost_user_message *m); /* SET/GET_VRING_BASE, KICK, ... */
uint32_t vhost_user_quiesce_region(const struct vhost_user *v, const struct vhost_user_message *m); /* ADD/REM_MEM_REG */
uint32_t vhost_user_quiesce_num(const struct vhost_user *v, const struct vhost_user_message *m);
uint32_t vhost_user_quiesce_call(const struct vhost_user *v, const struct vhost_user_message *m);
uint32_t vhost_user_quiesce_enable(const struct vhost_user *v, const struct vhost_user_message *m);
uint32_t vhost_user_quiesce_features(const struct vhost_user *v, const struct vhost_user_message *m);
uint32_t vhost_user_quiesce_status(const struct vhost_user *v, const struct vhost_user_message *m);

#define VHOST_USER_HANDLER(name) int vhost_user_##name(struct vhost_user *v, struct vhost_user_message *m)

/* vhost_user_device.c */
uint64_t vhost_user_protocol_features(const struct vhost_user_config *config);

VHOST_USER_HANDLER(get_features);
VHOST_USER_HANDLER(set_features);
VHOST_USER_HANDLER(get_protocol_features);
VHOST_USER_HANDLER(set_protocol_features);
VHOST_USER_HANDLER(set_owner);
VHOST_USER_HANDLER(reset_owner);
VHOST_USER_HANDLER(reset_device);
VHOST_USER_HANDLER(get_queue_num);
VHOST_USER_HANDLER(net_set_mtu);
VHOST_USER_HANDLER(get_config);
VHOST_USER_HANDLER(set_config);
VHOST_USER_HANDLER(get_status);
VHOST_USER_HANDLER(set_status);
VHOST_USER_HANDLER(set_backend_req_fd);

/* vhost_user_memory.c */
VHOST_USER_HANDLER(set_mem_table);
VHOST_USER_HANDLER(get_max_mem_slots);
VHOST_USER_HANDLER(add_mem_reg);
VHOST_USER_HANDLER(rem_mem_reg);

/* vhost_user_ring.c */
VHOST_USER_HANDLER(set_vring_num);
VHOST_USER_HANDLER(set_vring_addr);
VHOST_USER_HANDLER(set_vring_base);
VHOST_USER_HANDLER(get_vring_base);
VHOST_USER_HANDLER(set_vring_kick);
VHOST_USER_HANDLER(set_vring_call);
VHOST_USER_HANDLER(set_vring_err);
VHOST_USER_HANDLER(set_vring_enable);

/* vhost_user_inflight.c */
VHOST_USER_HANDLER(get_inflight_fd);
VHOST_USER_HANDLER(set_inflight_fd);

#endif
