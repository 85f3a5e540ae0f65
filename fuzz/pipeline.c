/*
 * The whole pipeline, from hostile guests, a hostile wire and hostile other cards, while policy changes and time passes. The world is
 * test/unit/vpc/pipeline_rig.h's. An input is a list of records:
 *
 *	byte	what (WHAT_*), and in its upper bits which guest, address or policy
 *	u16	bytes of data (little-endian)
 *	8	a frame of a guest: flags, gso, gso_size, csum_start, csum_offset
 *	...	the data
 *
 * Frames come as they are, or mended: with the MACs, the address and the header checksum that let them in, so that what lies behind
 * the door is reached as well. Held besides what sanitizers see: sinks are given only what they take (fake_wire.c, packet_rig.h), the
 * flows that endpoints count are those of the table.
 */
#include <netinet/in.h>
#include <stddef.h>

#include "pipeline_rig.h"
#include "vpc/parse.h"

enum {
	WHAT_GUEST,
	WHAT_GUEST_MENDED,
	WHAT_WIRE,
	WHAT_WIRE_MENDED,
	WHAT_OVERLAY,
	WHAT_TIME,
	WHAT_POLICY,
	WHAT_TRACE,
	WHAT_COUNT,
	OFFLOAD_BYTES = 8,
	OUTER_BYTES = 50,
	DATA_MAX = 9000,
	RECORDS_MAX = 64,
	TIME_MS_MAX = 2000,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *name;
	uint8_t last, address[4];
} guests[] = {{"a", 10, {10, 0, 1, 10}}, {"b", 11, {10, 0, 1, 11}}, {"c", 12, {10, 0, 2, 12}}, {"p", 13, {10, 0, 3, 13}}};
static const uint8_t publics[4][4] = {{198, 51, 100, 10}, {198, 51, 100, 11}, {198, 51, 100, 5}, {192, 0, 2, 1}};

static void mend_ip(uint8_t *frame, uint32_t size, uint32_t address_at, const uint8_t address[4])
{
	uint8_t *ip = frame + 14;

	if (size < 34 || get_be16(frame + 12) != 0x0800)
		return;
	ip[0] = (uint8_t)(0x40 | (ip[0] & 15) | ((ip[0] & 15) < 5 ? 5 : 0));
	put_be16(ip + 2, (uint16_t)(size - 14));
	memcpy(ip + address_at, address, 4);
	ip[10] = ip[11] = 0;
	if ((ip[0] & 15u) * 4 <= size - 14)
		put_be16(ip + 10, (uint16_t)~rig_sum(0, ip, (ip[0] & 15u) * 4));
}

static void give(struct pipeline_rig *rig, struct packet_input *input, const uint8_t *frame, uint32_t size, const uint8_t *offloads)
{
	struct rig_packet r;
	struct packet *p = &r.p;

	rig_packet_make(&r, frame, size, PACKET_HEAD_MIN_BYTES, 1500);
	if (offloads != NULL) {
		r.p.flags = offloads[0] & PACKET_NEEDS_CSUM;
		r.p.gso = offloads[1] & 3;
		r.p.gso_size = get_le16(offloads + 2);
		r.p.csum_start = get_le16(offloads + 4);
		r.p.csum_offset = get_le16(offloads + 6);
	}
	input->receive(input, &p, 1, rig->now);
	if (r.p.drop >= DROP_REASON_COUNT)
		abort();
	rig_packet_free(&r);
}

static void from_guest(struct pipeline_rig *rig, unsigned which, bool mended, uint8_t *data, uint32_t size)
{
	uint8_t *frame = data + OFFLOAD_BYTES;

	if (size < OFFLOAD_BYTES)
		return;
	size -= OFFLOAD_BYTES;
	if (mended && size >= 14) {
		if ((frame[0] & 1) == 0)
			memcpy(frame, rig_gateway_mac().bytes, 6);
		memcpy(frame + 6, rig_mac(guests[which].last).bytes, 6);
		mend_ip(frame, size, 12, guests[which].address);
	}
	give(rig, rig_guest(rig, guests[which].name)->input, frame, size, data);
}

static void from_wire(struct pipeline_rig *rig, unsigned which, bool mended, uint8_t *data, uint32_t size)
{
	if (mended && size >= 14) {
		memcpy(data, rig->wire->wire.mac.bytes, 6);
		mend_ip(data, size, 16, publics[which]);
	}
	give(rig, vpc_wire_input(rig->vpc, 0), data, size, NULL);
}

static void from_overlay(struct pipeline_rig *rig, unsigned which, uint8_t *data, uint32_t size)
{
	static const uint8_t outer[OUTER_BYTES] = {2, 0, 0, 0,	  0,	     1,	   2,	       0,	 0,	   0,	 2,
						   2, 8, 0, 0x45, [22] = 64, 17,   [26] = 192, 0,	 2,	   2,	 192,
						   0, 2, 1, 0xc3, 0x50,	     0x12, 0xb5,       [42] = 8, [46] = 0, 0x10, 0};
	static uint8_t frame[OUTER_BYTES + DATA_MAX];

	memcpy(frame, outer, sizeof(outer));
	memcpy(frame + OUTER_BYTES, data, size);
	if (size >= 14) {
		memcpy(frame + OUTER_BYTES, rig_mac(which == 3 ? 5 : guests[which].last).bytes, 6);
		if (which != 3) /* else the NAT gateway, from which anything may go out */
			mend_ip(frame + OUTER_BYTES, size, 16, guests[which].address);
	}
	put_be16(frame + 16, (uint16_t)(36 + size));
	put_be16(frame + 38, (uint16_t)(16 + size));
	put_be16(frame + 24, (uint16_t)~rig_sum(0, frame + 14, 20));
	give(rig, vpc_wire_input(rig->vpc, 0), frame, OUTER_BYTES + size, NULL);
}

static void change_policy(struct pipeline_rig *rig, unsigned which)
{
	struct net_spec a = spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10");

	rig_begin(&rig->model);
	if (which == 3) {
		rig_delete(&rig->model, NET_EIP, "eip-a");
	} else {
		struct net_spec eip = spec_eip("eip-a", "198.51.100.10", NET_ENI, "a", "10.0.1.10");

		spec_eni_group(&a, which == 1 ? "shut" : "open");
		a.eni.source_dest_check = which != 2;
		rig_put(&rig->model, &a);
		rig_put(&rig->model, &eip);
	}
	rig_apply(rig);
}

static void ask(struct pipeline_rig *rig, unsigned which, const uint8_t *data, uint32_t size)
{
	const struct policy_endpoint *e = rig_endpoint(&rig->model, NET_ENI, guests[which].name);
	uint8_t room[PACKET_HEAD_BYTES];
	struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	char text[512], error[128];
	struct trace trace;

	if (size >= sizeof(text))
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (trace_packet_parse(text, e, &p, error, sizeof(error)) == 0)
		vpc_trace(rig->vpc, e->slot, &p, &trace, rig->now);
}

static void run(struct pipeline_rig *rig, uint8_t what, uint8_t *data, uint32_t size)
{
	unsigned which = what >> 3 & 3;

	switch (what % WHAT_COUNT) {
	case WHAT_GUEST:
	case WHAT_GUEST_MENDED:
		from_guest(rig, which, what % WHAT_COUNT == WHAT_GUEST_MENDED, data, size);
		break;
	case WHAT_WIRE:
	case WHAT_WIRE_MENDED:
		from_wire(rig, which, what % WHAT_COUNT == WHAT_WIRE_MENDED, data, size);
		break;
	case WHAT_OVERLAY:
		from_overlay(rig, which, data, size);
		break;
	case WHAT_TIME:
		rig_advance(rig, size % TIME_MS_MAX);
		break;
	case WHAT_POLICY:
		change_policy(rig, which);
		break;
	case WHAT_TRACE:
		ask(rig, which, data, size);
		break;
	}
	rig_clear(rig);
}

static void check_counts(struct pipeline_rig *rig)
{
	uint64_t flows = rig_counters(rig, NET_NAT, "n")->flows;

	for (unsigned i = 0; i < 4; i++)
		flows += rig_counters(rig, NET_ENI, guests[i].name)->flows;
	if (flows != vpc_counters(rig->vpc)->flows)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pipeline_rig rig;
	static uint8_t copy[DATA_MAX];

	pipeline_rig_open(&rig, 0);
	for (unsigned i = 0; i < RECORDS_MAX && size >= 3; i++) {
		uint32_t bytes = get_le16(data + 1);
		uint8_t what = data[0];

		data += 3;
		size -= 3;
		if (what % WHAT_COUNT != WHAT_TIME) {
			bytes = bytes < size ? bytes : (uint32_t)size;
			bytes = bytes < DATA_MAX ? bytes : DATA_MAX;
			memcpy(copy, data, bytes);
			data += bytes;
			size -= bytes;
		}
		run(&rig, what, copy, bytes);
	}
	check_counts(&rig);
	pipeline_rig_close(&rig);
	return 0;
}
