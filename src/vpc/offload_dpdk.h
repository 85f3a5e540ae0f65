/* A flow as an rte_flow rule of the embedded switch (attribute `transfer`). */
#ifndef OUTBOARD_VPC_OFFLOAD_DPDK_H
#define OUTBOARD_VPC_OFFLOAD_DPDK_H

#include <rte_flow.h>

#include "vpc/offload.h"

/* Points into itself: not to be copied. */
struct offload_rule {
	struct rte_flow_attr attributes;
	struct rte_flow_item_eth eth, eth_mask;
	union {
		struct rte_flow_item_ipv4 v4;
		struct rte_flow_item_ipv6 v6;
	} ip, ip_mask;
	union {
		struct rte_flow_item_tcp tcp;
		struct rte_flow_item_udp udp;
	} upper, upper_mask;
	struct rte_flow_item pattern[4];

	struct rte_flow_action_set_mac destination, source;
	uint8_t outer[TUNNEL_TEMPLATE_BYTES];
	struct rte_flow_action_raw_encap encapsulation;
	struct rte_flow_action_count counter;
	struct rte_flow_action_ethdev port;
	struct rte_flow_action actions[6];
};

/* -ENOTSUP: not a TCP or UDP flow to another host. */
int offload_rule_make(struct offload_rule *rule, const struct wire_offload_flow *flow, uint16_t port);

#endif
