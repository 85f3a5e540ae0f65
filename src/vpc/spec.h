/* The objects of a VPC as control describes them, in C. Plain values; lists belong to the spec (net_spec_free). Names are for
 * messages (of ENIs also for the resolver). References are by id. */
#ifndef OUTBOARD_VPC_SPEC_H
#define OUTBOARD_VPC_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_address.h"
#include "base/uuid.h"

enum net_kind {
	NET_HOST,
	NET_VPC,
	NET_GROUP,
	NET_ACL,
	NET_ROUTE_TABLE,
	NET_SUBNET,
	NET_PEERING,
	NET_ENI,
	NET_NAT,
	NET_EIP,
	NET_KIND_COUNT
};

enum {
	NET_NAME_SIZE = 64,
	NET_RULES_MAX = 20000,	 /* of one security group or ACL */
	NET_ROUTES_MAX = 200000, /* of one table */
	NET_CIDRS_MAX = 8,	 /* of a VPC */
	NET_ADDRESSES_MAX = 16,	 /* of an ENI */
	NET_GROUPS_MAX = 16,	 /* of an ENI */
	NET_NAT_ADDRESSES_MAX = 8,
	NET_PROTOCOL_ANY = 256,
};

struct rule_spec {
	uint16_t number; /* ACL: evaluated in ascending order */
	bool egress;
	bool deny;	   /* ACL */
	uint16_t protocol; /* IPPROTO_*, or NET_PROTOCOL_ANY */
	/* Destination ports; 0, 65535: all, also for protocols without. ICMP and ICMPv6: type and code, 0xffff: any of them (so any
	 * ICMP is 0xffff, 0xffff, and 0, 0xffff is echo replies). */
	uint16_t port_first, port_last;
	bool by_group;
	struct net_prefix cidr; /* the other side */
	struct uuid group;	/* by_group: any ENI of that group */
};

enum route_target { ROUTE_LOCAL, ROUTE_BLACKHOLE, ROUTE_INTERNET, ROUTE_NAT, ROUTE_PEERING, ROUTE_ENI };

struct route_spec {
	struct net_prefix destination;
	enum route_target target;
	struct uuid id; /* of the NAT, peering or ENI */
};

struct eni_allowances {
	uint64_t bandwidth_in_bits, bandwidth_out_bits, packets_per_s, new_flows_per_s; /* 0: not limited */
	uint64_t flows_max;								/* 0: a share of the table */
	uint64_t link_local_per_s;							/* 0: 1024, as AWS */
};

struct eni_timeouts {
	uint32_t tcp_established_s, udp_s, udp_stream_s, other_s; /* 0: 350, 30, 180, 600 */
};

enum flow_log_traffic { FLOW_LOG_OFF, FLOW_LOG_ALL, FLOW_LOG_ACCEPT, FLOW_LOG_REJECT };

struct net_spec {
	enum net_kind kind;
	struct uuid id;
	char name[NET_NAME_SIZE];
	union {
		struct {
			struct net_address address; /* of its card, on the underlay */
		} host;
		struct {
			uint32_t vni;
			uint8_t tunnel; /* enum tunnel_kind */
			uint16_t mtu;	/* 0: as the wire allows */
			uint8_t cidr_count;
			struct net_prefix cidrs[NET_CIDRS_MAX];
			char domain[NET_NAME_SIZE]; /* "": "internal" */
			uint8_t log_traffic;	    /* enum flow_log_traffic */
			uint32_t log_interval_s;
		} vpc;
		struct {
			struct uuid vpc;
			bool grandfather;
			uint32_t count;
			struct rule_spec *rules;
		} rules; /* NET_GROUP, NET_ACL */
		struct {
			struct uuid vpc;
			uint32_t count;
			struct route_spec *routes;
		} route_table;
		struct {
			struct uuid vpc;
			struct net_prefix cidr4, cidr6; /* length 0: none */
			bool has_acl, has_route_table;
			struct uuid acl, route_table;
		} subnet;
		struct {
			struct uuid vpc, peer;
		} peering;
		struct {
			struct uuid subnet;
			struct mac mac;
			uint8_t address_count, group_count;
			struct net_address addresses[NET_ADDRESSES_MAX];
			struct uuid groups[NET_GROUPS_MAX];
			bool remote; /* on `host`, not here */
			struct uuid host;
			bool source_dest_check;
			struct eni_allowances allowances;
			struct eni_timeouts timeouts;
		} eni;
		struct {
			struct uuid subnet;
			struct mac mac;
			struct net_address address; /* in its subnet */
			bool remote;
			struct uuid host;
		} nat;
		struct {
			struct net_address address; /* public */
			uint8_t target;		    /* 0: free; NET_ENI, NET_NAT */
			struct uuid id;
			struct net_address private_address; /* of the ENI */
		} eip;
	};
};

/* Of the gateway, in every subnet of every VPC: a guest keeps its neighbour entry whichever card it is moved to. */
#define NET_GATEWAY_MAC                                                                                                            \
	{                                                                                                                          \
		{                                                                                                                  \
			0x0e, 0, 0, 0, 0, 0x01                                                                                     \
		}                                                                                                                  \
	}

void net_spec_free(struct net_spec *spec);				 /* its lists, not itself */
bool net_spec_equal(const struct net_spec *a, const struct net_spec *b); /* name included */
/* "vpc", "security-group", "acl", "route-table", "subnet", "peering", "eni", "nat", "eip", "host" */
const char *net_kind_name(enum net_kind kind);

#endif
