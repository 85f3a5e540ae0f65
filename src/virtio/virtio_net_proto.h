/* virtio-net on the wire (VIRTIO 1.2, 5.1): little endian, offsets in bytes. */
#ifndef OUTBOARD_VIRTIO_VIRTIO_NET_PROTO_H
#define OUTBOARD_VIRTIO_VIRTIO_NET_PROTO_H

#include <stdint.h>

/* Feature bits (5.1.3), by number. */
enum virtio_net_feature {
	VNET_F_CSUM = 0, /* HOST_ and CSUM: what the device takes from the driver; GUEST_: what the driver takes */
	VNET_F_GUEST_CSUM = 1,
	VNET_F_MTU = 3,
	VNET_F_MAC = 5,
	VNET_F_GUEST_TSO4 = 7,
	VNET_F_GUEST_TSO6 = 8,
	VNET_F_GUEST_ECN = 9,
	VNET_F_HOST_TSO4 = 11,
	VNET_F_HOST_TSO6 = 12,
	VNET_F_HOST_ECN = 13,
	VNET_F_MRG_RXBUF = 15,
	VNET_F_STATUS = 16,
	VNET_F_CTRL_VQ = 17,
	VNET_F_GUEST_ANNOUNCE = 21,
	VNET_F_MQ = 22,
	VNET_F_GUEST_USO4 = 54,
	VNET_F_GUEST_USO6 = 55,
	VNET_F_HOST_USO = 56,
};

/* Configuration space (5.1.4): offsets. */
enum virtio_net_config_offset {
	VNET_CONFIG_MAC = 0,	   /* 6 bytes */
	VNET_CONFIG_STATUS = 6,	   /* le16, VNET_S_* */
	VNET_CONFIG_MAX_PAIRS = 8, /* le16 */
	VNET_CONFIG_MTU = 10,	   /* le16 */
};

enum virtio_net_status { VNET_S_LINK_UP = 1 };

/* Before each frame (5.1.6): u8 flags, u8 gso_type, le16 hdr_len, le16 gso_size, le16 csum_start, le16 csum_offset, le16
 * num_buffers. */
enum virtio_net_header_offset {
	VNET_HEADER_FLAGS = 0,
	VNET_HEADER_GSO_TYPE = 1,
	VNET_HEADER_HDR_LEN = 2,
	VNET_HEADER_GSO_SIZE = 4,
	VNET_HEADER_CSUM_START = 6,
	VNET_HEADER_CSUM_OFFSET = 8,
	VNET_HEADER_NUM_BUFFERS = 10,
	VNET_HEADER_BYTES = 12,
	VNET_HEADER_LEGACY_BYTES = 10, /* of a driver without VERSION_1 and MRG_RXBUF: no num_buffers (5.1.6.1) */
};

enum virtio_net_header_flag {
	VNET_HEADER_NEEDS_CSUM = 1,
	VNET_HEADER_DATA_VALID = 2,
};

enum virtio_net_gso {
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_UDP_L4 = 5,
	VNET_GSO_ECN = 0x80, /* with a TCP type: the first segment has CWR set */
};

/* The same header as it lies in memory. Its 12 bytes are read and written at once, as two words. */
struct virtio_net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
_Static_assert(sizeof(struct virtio_net_header) == VNET_HEADER_BYTES, "wire");

#endif
