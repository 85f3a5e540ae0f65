/*
 * Offering established flows to a device that can do them itself (rte_flow with VXLAN/raw encapsulation actions). Refused is
 * normal: the flow then stays in software; a wire that refuses OFFLOAD_REFUSALS_MAX in a row is asked again only after
 * OFFLOAD_PAUSE_S. Packets that a device took are told to flow ageing by its counters.
 *
 * A device sees a guest's frames as they leave the guest; of whom they are, only their source MAC tells it. So a flow must not be
 * offered whose endpoint's MAC another endpoint of the card has as well: tenants may have the same addresses.
 *
 * TCP segments with SYN, FIN or RST stay with us, so that the state of a connection is seen.
 */
#ifndef OUTBOARD_VPC_OFFLOAD_H
#define OUTBOARD_VPC_OFFLOAD_H

#include "vpc/flow.h"
#include "vpc/tunnel.h"
#include "vpc/wire.h"

enum { OFFLOAD_REFUSALS_MAX = 16, OFFLOAD_PAUSE_S = 30, OFFLOAD_PACKETS_MIN = 64 };

struct wire_offload_flow {
	const struct flow_key *key;
	const struct flow_action *out; /* FLOW_TO_HOST */
	const struct tunnel_template *outer;
	struct mac endpoint_mac; /* of the frames that match */
	struct mac sender_mac;	 /* that they leave with: the endpoint's, or its gateway's */
	uint32_t hash;		 /* of the flow: the outer source port, as in software */
	uint32_t flow_index;
};

struct wire_offload_ops {
	int (*offer)(struct wire *wire, const struct wire_offload_flow *flow, uint64_t *handle); /* 0; -ENOTSUP, -ENOSPC... */
	void (*withdraw)(struct wire *wire, uint64_t handle);
	int (*count)(struct wire *wire, uint64_t handle, struct flow_counters *total); /* since it was offered */
};

#endif
