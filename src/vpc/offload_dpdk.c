/*
 * Match: source MAC of the endpoint, 5-tuple (TCP: without SYN, FIN, RST). Actions: MACs of the inner frame, count, push the outer
 * headers with our VNI, send to the wire. The outer lengths, IP checksum and identification are the device's to fill in (rte_flow.h,
 * RTE_FLOW_ACTION_TYPE_RAW_ENCAP); the outer source port is the flow's, as in software.
 */
#include "vpc/wire_dpdk.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_errno.h>

#include "base/codec.h"
#include "vpc/offload_dpdk.h"
#include "vpc/parse.h"

enum {
	TCP_FLAGS_OF_STATE = RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG,
	VNI_AT_END = 4, /* VXLAN and Geneve alike: the last four bytes of the base header are VNI << 8 */
};

static void match_ip(struct offload_rule *r, const struct flow_key *key)
{
	if (net_address_is_v4(&key->local)) {
		r->ip.v4.hdr.src_addr = key->local.word[3];
		r->ip.v4.hdr.dst_addr = key->remote.word[3];
		r->ip.v4.hdr.next_proto_id = key->protocol;
		r->ip_mask.v4.hdr.src_addr = r->ip_mask.v4.hdr.dst_addr = UINT32_MAX;
		r->ip_mask.v4.hdr.next_proto_id = UINT8_MAX;
		r->ip_mask.v4.hdr.fragment_offset = htons(0x3fff); /* none of a fragment: later ones have no ports */
	} else {
		memcpy(r->ip.v6.hdr.src_addr, key->local.bytes, sizeof(key->local.bytes));
		memcpy(r->ip.v6.hdr.dst_addr, key->remote.bytes, sizeof(key->remote.bytes));
		r->ip.v6.hdr.proto = key->protocol;
		memset(r->ip_mask.v6.hdr.src_addr, 0xff, sizeof(key->local.bytes));
		memset(r->ip_mask.v6.hdr.dst_addr, 0xff, sizeof(key->remote.bytes));
		r->ip_mask.v6.hdr.proto = UINT8_MAX;
	}
}

static void match_upper(struct offload_rule *r, const struct flow_key *key)
{
	if (key->protocol == IPPROTO_TCP) {
		r->upper.tcp.hdr.src_port = key->local_port;
		r->upper.tcp.hdr.dst_port = key->remote_port;
		r->upper_mask.tcp.hdr.src_port = r->upper_mask.tcp.hdr.dst_port = UINT16_MAX;
		r->upper_mask.tcp.hdr.tcp_flags = TCP_FLAGS_OF_STATE;
	} else {
		r->upper.udp.hdr.src_port = key->local_port;
		r->upper.udp.hdr.dst_port = key->remote_port;
		r->upper_mask.udp.hdr.src_port = r->upper_mask.udp.hdr.dst_port = UINT16_MAX;
	}
}

static void pattern_make(struct offload_rule *r, const struct wire_offload_flow *flow)
{
	bool v4 = net_address_is_v4(&flow->key->local), tcp = flow->key->protocol == IPPROTO_TCP;

	memcpy(r->eth.src.addr_bytes, flow->endpoint_mac.bytes, sizeof(flow->endpoint_mac.bytes));
	memset(r->eth_mask.src.addr_bytes, 0xff, sizeof(r->eth_mask.src.addr_bytes));
	match_ip(r, flow->key);
	match_upper(r, flow->key);
	r->pattern[0] = (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_ETH, &r->eth, NULL, &r->eth_mask};
	r->pattern[1] = (struct rte_flow_item){v4 ? RTE_FLOW_ITEM_TYPE_IPV4 : RTE_FLOW_ITEM_TYPE_IPV6, &r->ip, NULL, &r->ip_mask};
	r->pattern[2] =
		(struct rte_flow_item){tcp ? RTE_FLOW_ITEM_TYPE_TCP : RTE_FLOW_ITEM_TYPE_UDP, &r->upper, NULL, &r->upper_mask};
	r->pattern[3] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END};
}

static void actions_make(struct offload_rule *r, const struct wire_offload_flow *flow, uint16_t port)
{
	memcpy(r->destination.mac_addr, flow->out->destination_mac.bytes, sizeof(r->destination.mac_addr));
	memcpy(r->source.mac_addr, flow->sender_mac.bytes, sizeof(r->source.mac_addr));
	memcpy(r->outer, flow->outer->header, flow->outer->bytes);
	put_be32(r->outer + flow->outer->bytes - VNI_AT_END, flow->out->vni << 8);
	put_be16(r->outer + ETHER_BYTES + (flow->outer->family == 4 ? IPV4_BYTES : IPV6_BYTES), tunnel_source_port(flow->hash));
	r->encapsulation.data = r->outer;
	r->encapsulation.size = flow->outer->bytes;
	r->port.port_id = port;
	r->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_MAC_DST, &r->destination};
	r->actions[1] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, &r->source};
	r->actions[2] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_COUNT, &r->counter};
	r->actions[3] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_RAW_ENCAP, &r->encapsulation};
	r->actions[4] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &r->port};
	r->actions[5] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

int offload_rule_make(struct offload_rule *rule, const struct wire_offload_flow *flow, uint16_t port)
{
	if (flow->out->verdict != FLOW_TO_HOST || flow->outer == NULL || flow->outer->bytes < VNI_AT_END ||
	    (flow->key->protocol != IPPROTO_TCP && flow->key->protocol != IPPROTO_UDP))
		return -ENOTSUP;
	memset(rule, 0, sizeof(*rule));
	rule->attributes.transfer = 1;
	pattern_make(rule, flow);
	actions_make(rule, flow, port);
	return 0;
}

static int offer(struct wire *wire, const struct wire_offload_flow *flow, uint64_t *handle)
{
	struct rte_flow_error error = {0};
	struct offload_rule rule;
	struct rte_flow *created;
	uint16_t port = wire_dpdk_of(wire)->port;
	int rc = offload_rule_make(&rule, flow, port);

	if (rc == 0)
		rc = rte_flow_validate(port, &rule.attributes, rule.pattern, rule.actions, &error);
	if (rc != 0)
		return rc == -ENOSYS ? -ENOTSUP : rc;
	created = rte_flow_create(port, &rule.attributes, rule.pattern, rule.actions, &error);
	if (created == NULL)
		return rte_errno != 0 ? -rte_errno : -EIO;
	*handle = (uint64_t)(uintptr_t)created;
	return 0;
}

static void withdraw(struct wire *wire, uint64_t handle)
{
	struct rte_flow_error error;

	rte_flow_destroy(wire_dpdk_of(wire)->port, (struct rte_flow *)(uintptr_t)handle, &error);
}

static int count(struct wire *wire, uint64_t handle, struct flow_counters *total)
{
	struct rte_flow_query_count query = {0};
	struct rte_flow_action action = {.type = RTE_FLOW_ACTION_TYPE_COUNT};
	struct rte_flow_error error;
	int rc = rte_flow_query(wire_dpdk_of(wire)->port, (struct rte_flow *)(uintptr_t)handle, &action, &query, &error);

	if (rc != 0)
		return rc;
	total->packets = query.hits_set ? query.hits : 0;
	total->bytes = query.bytes_set ? query.bytes : 0;
	return 0;
}

const struct wire_offload_ops wire_offload_rte_flow = {offer, withdraw, count};
