/* The options of `outboard bench net`. */
#ifndef OUTBOARD_LOAD_BENCH_NET_OPTIONS_H
#define OUTBOARD_LOAD_BENCH_NET_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "load/bench_common.h"
#include "load/net_load.h"

/* Addresses of the two ends. The destination's MAC is also the second socket's own. */
struct bench_net_addresses {
	struct net_address source, destination;
	struct net_address gateway[NET_LOAD_ENDS_MAX]; /* the next hop of each end */
	struct mac source_mac, destination_mac, gateway_mac;
	bool source_given, destination_given, gateway_given[NET_LOAD_ENDS_MAX];
	bool source_mac_given, destination_mac_given, gateway_mac_given;
	uint16_t destination_port;
	int vlan;
};

struct bench_net_options {
	struct bench_voice voice;
	const char *sockets[NET_LOAD_ENDS_MAX];
	unsigned socket_count;
	struct bench_net_addresses addresses;
	uint32_t sizes[NET_LOAD_SIZES_MAX];
	unsigned size_count;
	uint32_t tso_bytes, mss; /* 0: no TSO frames; mss 0: by the MTU */
	uint32_t receive_bytes;	 /* of a receive buffer */
	uint32_t flow_count;
	uint64_t new_flows_per_s, rate_pps;
	enum net_spread spread;
	uint16_t queue_count, ring_size, mtu; /* mtu 0: the device's, or 1500 */
	unsigned seconds, warmup_seconds;     /* seconds 0: until interrupted */
	int cpu;
	bool tcp, handshake, reset, latency, both_ways, receive_only, echo, resolve, dhcp;
	bool packed, indirect, checksum, verify, json;
};

enum bench_net_parsed { BENCH_NET_RUN, BENCH_NET_HELP, BENCH_NET_WRONG };

/* For BENCH_NET_HELP the help is printed on standard output, for BENCH_NET_WRONG a sentence on standard error. */
enum bench_net_parsed bench_net_options_parse(struct bench_net_options *options, int argc, char **argv);

#endif
