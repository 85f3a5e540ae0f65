/* Why a packet is dropped: one list for counters, traces, flow logs and text. Every drop has a reason, counted per endpoint. */
#ifndef OUTBOARD_VPC_DROP_H
#define OUTBOARD_VPC_DROP_H

#define DROP_REASONS(X)                                                                                                            \
	X(MALFORMED, "malformed", "a header is cut short or contradicts itself")                                                   \
	X(ETHERTYPE, "ethertype", "neither IPv4, IPv6 nor ARP")                                                                    \
	X(SPOOFED_MAC, "spoofed_mac", "the source MAC is not the ENI's")                                                           \
	X(SPOOFED_IP, "spoofed_ip", "the source address is not the ENI's")                                                         \
	X(MULTICAST, "multicast", "broadcast and multicast do not cross the VPC")                                                  \
	X(NOT_FOR_ROUTER, "wrong_destination_mac", "the destination MAC is neither the gateway nor a neighbour in the subnet")     \
	X(ACL_OUT, "acl_out", "the network ACL of the sender's subnet denies it")                                                  \
	X(ACL_IN, "acl_in", "the network ACL of the receiver's subnet denies it")                                                  \
	X(GROUP_OUT, "security_group_out", "no egress rule of the sender's security groups allows it")                             \
	X(GROUP_IN, "security_group_in", "no ingress rule of the receiver's security groups allows it")                            \
	X(NO_ROUTE, "no_route", "no route, or a blackhole")                                                                        \
	X(NO_MAPPING, "no_mapping", "nobody in the VPC has the destination address")                                               \
	X(NO_HOST, "host_unresolved", "the destination's host does not answer ARP or ND yet")                                      \
	X(NO_WIRE, "no_wire", "this card has no wire that leads there")                                                            \
	X(NOT_ATTACHED, "not_attached", "the destination ENI is on this card, and not attached")                                   \
	X(NO_PUBLIC, "no_public_address", "a route to the internet, and no elastic IP of the ENI or the NAT gateway")              \
	X(UNKNOWN_VNI, "unknown_vni", "an overlay frame for a VPC or MAC that is not here")                                        \
	X(OVERLAY_SOURCE, "overlay_source", "an overlay frame from an address that is no host of ours")                            \
	X(NOT_OURS, "not_ours", "a frame on the wire for none of our addresses")                                                   \
	X(TTL, "ttl_exceeded", "the hop limit ran out")                                                                            \
	X(TOO_BIG, "too_big", "larger than the path's MTU, and not to be fragmented")                                              \
	X(FRAGMENT_FIRST_MISSING, "fragment_without_first", "a later fragment whose first one was refused, or not seen")           \
	X(FRAGMENT_TABLE_FULL, "fragment_table_full", "too many fragmented packets under way")                                     \
	X(NOT_SYN, "tcp_not_syn", "TCP without a flow that is not a SYN")                                                          \
	X(TCP_INVALID, "tcp_invalid", "a TCP segment that its flow's state and window rule out")                                   \
	X(ICMP_UNRELATED, "icmp_unrelated", "an ICMP error for no flow of ours")                                                   \
	X(FLOW_TABLE_FULL, "flow_table_full", "the card's flow table is full")                                                     \
	X(FLOW_QUOTA, "conntrack_allowance_exceeded", "the ENI's allowance of flows is used up")                                   \
	X(NEW_FLOW_RATE, "new_flow_rate_exceeded", "the ENI's allowance of new flows a second is used up")                         \
	X(BANDWIDTH_IN, "bw_in_allowance_exceeded", "the ENI's allowance of inbound bandwidth is used up")                         \
	X(BANDWIDTH_OUT, "bw_out_allowance_exceeded", "the ENI's allowance of outbound bandwidth is used up")                      \
	X(PACKET_RATE, "pps_allowance_exceeded", "the ENI's allowance of packets a second is used up")                             \
	X(LINK_LOCAL_RATE, "linklocal_allowance_exceeded", "too many requests to the card's own services")                         \
	X(NAT_PORTS, "nat_ports_exhausted", "the NAT gateway has no free port towards that destination")                           \
	X(NO_BUFFER, "no_receive_buffer", "the receiving guest has posted no buffer")                                              \
	X(WIRE_FULL, "wire_full", "the wire's transmit queue is full")                                                             \
	X(ANSWERED, "answered", "answered by the card itself: not lost")                                                           \
	X(UNSUPPORTED, "unsupported", "a protocol feature that is not carried")

enum drop_reason {
	DROP_NONE,
#define X(name, text, sentence) DROP_##name,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT
};

const char *drop_name(enum drop_reason reason);	    /* as counters and JSON have it; "none" for DROP_NONE */
const char *drop_sentence(enum drop_reason reason); /* for people */

#endif
