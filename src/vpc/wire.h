/*
 * Wires: how frames leave the machine. Any DPDK ethdev (wire_dpdk.c), or a fake in tests. Poller thread only, but for open and close.
 *
 * A wire is a packet_sink (put copies into a transmit buffer, flush sends the burst) and a source of packets for a packet_input.
 */
#ifndef OUTBOARD_VPC_WIRE_H
#define OUTBOARD_VPC_WIRE_H

#include "base/account.h"
#include "base/packet.h"

enum { WIRES_MAX = 4 };

struct wire_config {
	struct net_prefix address; /* ours on that wire, with the length of its network */
	bool has_gateway;
	bool has_gateway_mac;	    /* the gateway is not asked: it answers no ARP or ND */
	struct net_address gateway; /* next hop to everything else, and to the outside */
	uint16_t mtu;		    /* of IP; 0: as the device, or the interface behind it, has it */
	struct mac gateway_mac;
	char device[512]; /* DPDK devargs: "net_af_packet0,iface=veth0", "net_null0", "0000:3b:00.0" */
};
/* "address=192.0.2.1/24;gateway=192.0.2.254;mtu=9000;device=net_af_packet0,iface=veth0". -EINVAL with a sentence. */
int wire_config_parse(const char *text, struct wire_config *out, char *error, size_t error_size);

struct wire_counters {
	uint64_t packets_in, bytes_in, packets_out, bytes_out, full /* put refused or sent short */, errors_in;
	struct account transmit; /* the queue between put and the device */
};

struct wire;

struct wire_ops {
	unsigned (*receive)(struct wire *wire, struct packet_input *input, uint64_t now_tsc); /* one burst into input; how many */
	/* A descriptor that becomes readable when frames came, after it was armed; -1: the device has none. */
	int (*wait_fd)(struct wire *wire);
	bool (*arm)(struct wire *wire); /* false: frames are there, or it cannot */
	void (*disarm)(struct wire *wire);
	void (*close)(struct wire *wire);   /* frees it */
	bool (*link_up)(struct wire *wire); /* also while another thread serves it */
};

/* ---- offload.h-like: established flows, offered to the device ---- */
struct wire_offload_flow; /* vpc/offload.h */
struct wire_offload_ops;

struct wire {
	struct packet_sink sink; /* offloads as the device has them */
	const struct wire_ops *ops;
	const struct wire_offload_ops *offload; /* NULL: none */
	struct wire_config config;
	struct mac mac;
	uint16_t mtu; /* of IP */
	unsigned index;
	bool promiscuous;
	struct wire_counters counters;
};

#endif
