/*
 * The vhost-user protocol on the wire (QEMU, docs/interop/vhost-user.rst): what a front end (a VMM, our load client) and a back end
 * (the card) send each other over a unix stream socket. Numbers are in native byte order; descriptors travel as SCM_RIGHTS.
 *
 *	offset	size
 *	0	4	request
 *	4	4	flags: version (bits 0-1), reply (bit 2), need_reply (bit 3)
 *	8	4	size of the payload in bytes
 *	12	size	payload
 *
 * Only what is spoken here is listed; names follow the specification, which calls the back end "slave" in older versions.
 */
#ifndef OUTBOARD_VIRTIO_VHOST_USER_PROTO_H
#define OUTBOARD_VIRTIO_VHOST_USER_PROTO_H

#include <stdint.h>

/* Front-end message types: requests of the VMM. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
	VHOST_USER_SET_VRING_ENDIAN = 23,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_POSTCOPY_ADVISE = 28,
	VHOST_USER_POSTCOPY_LISTEN = 29,
	VHOST_USER_POSTCOPY_END = 30,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_VRING_KICK = 35,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_REQUEST_LIMIT,
};

/* Back-end message types: requests of the back end, on the channel of SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VHOST_USER_BACKEND_VRING_CALL = 4,
	VHOST_USER_BACKEND_VRING_ERR = 5,
};

/* A virtio feature bit that VIRTIO reserves: both sides can negotiate protocol features. */
#define VHOST_USER_F_PROTOCOL_FEATURES UINT64_C(30)

/* Protocol feature bits, for GET/SET_PROTOCOL_FEATURES. */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_RARP = 2,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_MTU = 4,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CROSS_ENDIAN = 6,
	VHOST_USER_PROTOCOL_F_CRYPTO_SESSION = 7,
	VHOST_USER_PROTOCOL_F_PAGEFAULT = 8,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_USER_PROTOCOL_F_HOST_NOTIFIER = 11,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
};

enum {
	VHOST_USER_VERSION = 0x1,
	VHOST_USER_FLAG_VERSION_MASK = 0x3,
	VHOST_USER_FLAG_REPLY = 0x4,
	VHOST_USER_FLAG_NEED_REPLY = 0x8,

	/* Payload of SET_VRING_KICK, _CALL, _ERR. */
	VHOST_USER_VRING_INDEX_MASK = 0xff,
	VHOST_USER_VRING_NOFD = 0x100, /* no descriptor: the ring is polled */

	VHOST_USER_VRING_FLAG_LOG = 0x1, /* of SET_VRING_ADDR: log writes to the used ring */

	VHOST_USER_REGIONS_MAX = 32,		 /* in SET_MEM_TABLE; QEMU itself sends at most 8 */
	VHOST_USER_CONFIG_SPACE_MAX_BYTES = 256, /* of GET_CONFIG and SET_CONFIG */

	VHOST_USER_CONFIG_FLAG_WRITABLE = 0, /* flags of SET_CONFIG: the driver wrote */
	VHOST_USER_CONFIG_FLAG_MIGRATION = 1,
};

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct vhost_user_vring_state {
	uint32_t index;
	/* SET_VRING_NUM: entries. SET_VRING_ENABLE: 0 or 1. GET/SET_VRING_BASE: split: next index of the avail ring; packed: bits
	 * 0-14 next avail slot, 15 its wrap counter, 16-30 next used slot, 31 its wrap counter. */
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptor_user_addr;
	uint64_t used_user_addr;  /* packed: device event suppression */
	uint64_t avail_user_addr; /* packed: driver event suppression */
	uint64_t log_guest_addr;
};

struct vhost_user_region {
	uint64_t guest_addr;
	uint64_t size_bytes;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

/* SET_MEM_TABLE: 8 bytes and `count` regions, one descriptor a region in the same order. */
struct vhost_user_memory_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_REGIONS_MAX];
};

/* ADD_MEM_REG (with one descriptor), REM_MEM_REG */
struct vhost_user_single_region {
	uint64_t padding;
	struct vhost_user_region region;
};

/* GET_CONFIG, SET_CONFIG: 12 bytes and `size` bytes of config space */
struct vhost_user_config_space {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_CONFIG_SPACE_MAX_BYTES];
};

/* GET_INFLIGHT_FD: the request tells the two counts, the reply all, with a descriptor. SET_INFLIGHT_FD: all, with a descriptor. */
struct vhost_user_inflight_area {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_size;
	uint32_t padding; /* QEMU sends the structure with it (24 bytes), packed implementations without (20) */
};

enum {
	VHOST_USER_MEMORY_TABLE_HEADER_BYTES = 8,
	VHOST_USER_CONFIG_SPACE_HEADER_BYTES = 12,
	VHOST_USER_INFLIGHT_AREA_PACKED_BYTES = 20,
};

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state vring_state;
	struct vhost_user_vring_addr vring_addr;
	struct vhost_user_memory_table memory_table;
	struct vhost_user_single_region single_region;
	struct vhost_user_config_space config_space;
	struct vhost_user_inflight_area inflight_area;
};

_Static_assert(sizeof(struct vhost_user_header) == 12, "wire");
_Static_assert(sizeof(struct vhost_user_vring_state) == 8, "wire");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "wire");
_Static_assert(sizeof(struct vhost_user_region) == 32, "wire");
_Static_assert(sizeof(struct vhost_user_memory_table) == VHOST_USER_MEMORY_TABLE_HEADER_BYTES + 32 * VHOST_USER_REGIONS_MAX,
	       "wire");
_Static_assert(sizeof(struct vhost_user_single_region) == 40, "wire");
_Static_assert(sizeof(struct vhost_user_config_space) == VHOST_USER_CONFIG_SPACE_HEADER_BYTES + VHOST_USER_CONFIG_SPACE_MAX_BYTES,
	       "wire");
_Static_assert(sizeof(struct vhost_user_inflight_area) == 24, "wire");

#endif
