/*
 * A card with a small world around it, for tests of the pipeline: guests that keep what they are given, one wire, a clock.
 *
 *	VPC v	VNI 4096, 10.0.0.0/16, fd00:1::/64; group "open" (everything out; everything in), "shut" (everything out only)
 *	subnet near	10.0.1.0/24, fd00:1::1:0/112: ENIs a .10, b .11 (this card), r .20 (host "other"); everything else is "internet"
 *	subnet far	10.0.2.0/24: ENI c .12 (this card), NAT gateway n .5
 *	subnet private	10.0.3.0/24: ENI p .13; everything else goes to n
 *	outside		elastic IP 198.51.100.10 is a's, 198.51.100.11 is b's, 198.51.100.5 is n's
 *	wire		192.0.2.1/24, gateway 192.0.2.254, the other host 192.0.2.2: both have been heard of
 *
 * ENI MACs end in the last byte of the IPv4 address. Frames are made from words here, with checksums that share no code with
 * src/vpc.
 */
#ifndef OUTBOARD_TEST_VPC_PIPELINE_RIG_H
#define OUTBOARD_TEST_VPC_PIPELINE_RIG_H

#include "fake_wire.h"
#include "model_rig.h"
#include "packet_rig.h"
#include "vpc/vpc.h"

enum { RIG_GUESTS_MAX = 8, RIG_LOG_LINES = 256, RIG_LOG_BYTES = 256, RIG_GUEST_MTU = 1450, RIG_VNI = 4096, RIG_FRAME_MAX = 70000 };
#define RIG_HZ UINT64_C(1000000000)

struct rig_guest {
	char name[16];
	struct rig_sink *sink;
	struct packet_input *input;
};

struct pipeline_rig {
	struct model_rig model;
	struct vpc *vpc;
	struct fake_wire *wire;
	uint64_t now;
	struct rig_guest guests[RIG_GUESTS_MAX];
	unsigned guest_count;
	unsigned log_count;
	char log[RIG_LOG_LINES][RIG_LOG_BYTES];
};

/* What a frame is made of. Zero means: as usual. */
struct words {
	struct mac to, from; /* all zero: the gateway; by the source address */
	const char *source, *destination;
	uint8_t protocol;
	uint16_t source_port, destination_port; /* ICMP echo: identifier in source_port */
	uint8_t icmp_type, icmp_code;
	uint8_t tcp_flags;
	uint32_t seq, ack;
	uint8_t ttl;
	bool dont_fragment;
	uint16_t fragment; /* IPv4: the field, flags and offset */
	uint16_t id;
	uint32_t payload_bytes;
	const uint8_t *payload; /* NULL: counting bytes */
};

enum { SYN = 2, RST = 4, FIN = 1, ACK = 16 };

/* flows_max 0: 4096. _device: the wire can carry flows itself. The world is there, guests a, b, c, p are attached, the neighbours known. */
void pipeline_rig_open(struct pipeline_rig *rig, uint32_t flows_max);
void pipeline_rig_open_device(struct pipeline_rig *rig);
void pipeline_rig_close(struct pipeline_rig *rig);
void rig_apply(struct pipeline_rig *rig);				 /* after rig_begin() and puts */
struct net_spec rig_open_group(const char *name, const char *vpc);	 /* everything may pass, both ways */
void rig_world(struct model_rig *m);					 /* puts all of it */
struct rig_guest *rig_guest(struct pipeline_rig *rig, const char *name); /* attaches it when it is not */
void rig_neighbours(struct pipeline_rig *rig);				 /* host and gateway answer ARP */
void rig_clear(struct pipeline_rig *rig);				 /* what guests and the wire got */
void rig_advance(struct pipeline_rig *rig, uint64_t ms);		 /* with ticks */

uint32_t words_frame(const struct words *w, uint8_t *out);
/* Into the pipeline; why it was dropped. */
enum drop_reason rig_send(struct pipeline_rig *rig, const char *guest, const struct words *w);
enum drop_reason rig_send_raw(struct pipeline_rig *rig, const char *guest, const void *frame, uint32_t size);
enum drop_reason rig_wire(struct pipeline_rig *rig, const struct words *w); /* plain */
enum drop_reason rig_wire_raw(struct pipeline_rig *rig, const void *frame, uint32_t size);
enum drop_reason rig_overlay(struct pipeline_rig *rig, uint32_t vni, uint8_t mac_last,
			     const struct words *w); /* VXLAN, from "other" */
/* All of a batch at once. */
void rig_send_batch(struct pipeline_rig *rig, const char *guest, const struct words *w, unsigned count);

unsigned rig_got(struct pipeline_rig *rig, const char *guest);
const uint8_t *rig_last(struct pipeline_rig *rig, const char *guest); /* the last frame it got */
const struct fake_frame *rig_wire_last(struct pipeline_rig *rig);
const uint8_t *rig_inner(const struct fake_frame *f); /* of a VXLAN frame over IPv4, which it must be */
uint64_t rig_drops(struct pipeline_rig *rig, const char *guest, enum drop_reason reason); /* "": of nobody */
const struct vpc_endpoint_counters *rig_counters(struct pipeline_rig *rig, enum net_kind kind, const char *name);
bool frame_right(const uint8_t *frame); /* its checksums */
void assert_frame_addresses(const uint8_t *frame, const char *source, const char *destination);
struct mac rig_mac(uint8_t last);
struct mac rig_gateway_mac(void);

#endif
