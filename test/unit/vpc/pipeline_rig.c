#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>

#include "pipeline_rig.h"
#include "vpc/parse.h"

enum { OUTER_BYTES = 50 };

static const struct mac wire_mac = {{2, 0, 0, 0, 0, 1}}, other_mac = {{2, 0, 0, 0, 2, 2}}, router_mac = {{2, 0, 0, 0, 2, 0xfe}};

struct mac rig_mac(uint8_t last)
{
	return (struct mac){{2, 0, 0, 0, 0, last}};
}

struct mac rig_gateway_mac(void)
{
	return (struct mac){{0x0e, 0, 0, 0, 0, 1}};
}

/* ---- the world ---- */

struct net_spec rig_open_group(const char *name, const char *vpc)
{
	struct net_spec open = spec_group(name, vpc);

	for (unsigned v6 = 0; v6 < 2; v6++) {
		spec_rule(&open, true, NET_PROTOCOL_ANY, 0, 65535, v6 ? "::/0" : "0.0.0.0/0");
		spec_rule(&open, false, NET_PROTOCOL_ANY, 0, 65535, v6 ? "::/0" : "0.0.0.0/0");
	}
	return open;
}

static void put_rules(struct model_rig *m)
{
	struct net_spec open = rig_open_group("open", "v"), shut = spec_group("shut", "v");

	for (unsigned v6 = 0; v6 < 2; v6++)
		spec_rule(&shut, true, NET_PROTOCOL_ANY, 0, 65535, v6 ? "::/0" : "0.0.0.0/0");
	rig_put(m, &open);
	rig_put(m, &shut);
}

static void put_subnets(struct model_rig *m)
{
	struct net_spec public = spec_route_table("public", "v"), private = spec_route_table("private", "v");
	struct net_spec near = spec_subnet("near", "v", "10.0.1.0/24", "fd00:1::1:0/112"),
			far = spec_subnet("far", "v", "10.0.2.0/24", NULL);
	struct net_spec inner = spec_subnet("private", "v", "10.0.3.0/24", NULL);

	spec_route(&public, "0.0.0.0/0", ROUTE_INTERNET, NULL);
	spec_route(&private, "0.0.0.0/0", ROUTE_NAT, "n");
	near.subnet.has_route_table = far.subnet.has_route_table = inner.subnet.has_route_table = true;
	near.subnet.route_table = far.subnet.route_table = rig_id(NET_ROUTE_TABLE, "public");
	inner.subnet.route_table = rig_id(NET_ROUTE_TABLE, "private");
	rig_put(m, &public);
	rig_put(m, &private);
	rig_put(m, &near);
	rig_put(m, &far);
	rig_put(m, &inner);
}

void rig_world(struct model_rig *m)
{
	static const struct {
		const char *name, *subnet, *address, *address6;
		uint8_t last;
	} enis[] = {{"a", "near", "10.0.1.10", "fd00:1::1:10", 10},
		    {"b", "near", "10.0.1.11", "fd00:1::1:11", 11},
		    {"r", "near", "10.0.1.20", "fd00:1::1:20", 20},
		    {"c", "far", "10.0.2.12", NULL, 12},
		    {"p", "private", "10.0.3.13", NULL, 13}};
	struct net_spec host = spec_host("other", "192.0.2.2"), vpc = spec_vpc("v", RIG_VNI, "10.0.0.0/16", "fd00:1::/64");
	struct net_spec nat = spec_nat("n", "far", 5, "10.0.2.5");
	struct net_spec eip_a = spec_eip("eip-a", "198.51.100.10", NET_ENI, "a", "10.0.1.10");
	struct net_spec eip_b = spec_eip("eip-b", "198.51.100.11", NET_ENI, "b", "10.0.1.11");
	struct net_spec eip_n = spec_eip("eip-n", "198.51.100.5", NET_NAT, "n", NULL);

	rig_put(m, &host);
	rig_put(m, &vpc);
	put_rules(m);
	put_subnets(m);
	for (unsigned i = 0; i < sizeof(enis) / sizeof(enis[0]); i++) {
		struct net_spec e = spec_eni(enis[i].name, enis[i].subnet, enis[i].last, enis[i].address, enis[i].address6);

		spec_eni_group(&e, "open");
		if (enis[i].name[0] == 'r')
			spec_eni_remote(&e, "other");
		rig_put(m, &e);
	}
	rig_put(m, &nat);
	rig_put(m, &eip_a);
	rig_put(m, &eip_b);
	rig_put(m, &eip_n);
}

void rig_apply(struct pipeline_rig *rig)
{
	const struct policy *old = rig->model.policy, *next;

	if (rig_finish(&rig->model, &next) != 0)
		fail_msg("policy: %s", rig->model.error);
	vpc_set_policy(rig->vpc, next, rig->now);
	rig->model.policy = next;
	model_release(rig->model.model, old);
}

static void keep_log(void *context, const struct policy_endpoint *endpoint, const char *line)
{
	struct pipeline_rig *rig = context;

	(void)endpoint;
	assert_true(rig->log_count < RIG_LOG_LINES);
	snprintf(rig->log[rig->log_count++], RIG_LOG_BYTES, "%s", line);
}

static void hear_of(struct pipeline_rig *rig, const struct mac *mac, uint8_t last)
{
	uint8_t frame[60] = {2, 0,	    0, 0, 0,	    1, [12] = 8, 6, 0, 1, 8,   0, 6, 4, 0,
			     2, [28] = 192, 0, 2, [32] = 2, 0, 0,	 0, 0, 1, 192, 0, 2, 1};

	memcpy(frame + 6, mac->bytes, 6);
	memcpy(frame + 22, mac->bytes, 6);
	frame[31] = last;
	assert_int_equal(rig_wire_raw(rig, frame, sizeof(frame)), DROP_ANSWERED);
}

void rig_neighbours(struct pipeline_rig *rig)
{
	hear_of(rig, &other_mac, 2);
	hear_of(rig, &router_mac, 254);
}

static void open_rig(struct pipeline_rig *rig, uint32_t flows_max, bool device)
{
	struct vpc_config config = {.flows_max = flows_max != 0 ? flows_max : 4096,
				    .flow_arena_fd = -1,
				    .ticks_per_second = RIG_HZ,
				    .cookie_key = {1, 2},
				    .flow_log = keep_log,
				    .context = rig};

	memset(rig, 0, sizeof(*rig));
	rig->now = RIG_HZ;
	rig_create(&rig->model, NULL);
	assert_int_equal(vpc_create(&rig->vpc, &config), 0);
	rig->wire = fake_wire_open("address=192.0.2.1/24;gateway=192.0.2.254;device=fake", 0);
	if (!device)
		rig->wire->wire.offload = NULL;
	assert_int_equal(vpc_add_wire(rig->vpc, &rig->wire->wire), 0);
	rig_begin(&rig->model);
	rig_world(&rig->model);
	rig_apply(rig);
	rig_advance(rig, 1);
	rig_neighbours(rig);
	rig_guest(rig, "a");
	rig_guest(rig, "b");
	rig_guest(rig, "c");
	rig_guest(rig, "p");
	rig_clear(rig);
}

void pipeline_rig_open(struct pipeline_rig *rig, uint32_t flows_max)
{
	open_rig(rig, flows_max, false);
}

void pipeline_rig_open_device(struct pipeline_rig *rig)
{
	open_rig(rig, 0, true);
}

void pipeline_rig_close(struct pipeline_rig *rig)
{
	vpc_free(rig->vpc);
	fake_wire_close(rig->wire);
	for (unsigned i = 0; i < rig->guest_count; i++)
		free(rig->guests[i].sink);
	rig_destroy(&rig->model);
}

struct rig_guest *rig_guest(struct pipeline_rig *rig, const char *name)
{
	struct rig_guest *g;

	for (unsigned i = 0; i < rig->guest_count; i++)
		if (strcmp(rig->guests[i].name, name) == 0)
			return &rig->guests[i];
	assert_true(rig->guest_count < RIG_GUESTS_MAX);
	g = &rig->guests[rig->guest_count++];
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->sink = malloc(sizeof(*g->sink));
	assert_non_null(g->sink);
	rig_sink_reset(g->sink, 0, RIG_GUEST_MTU + ETHER_BYTES, UINT_MAX);
	g->input = vpc_attach(rig->vpc, rig_endpoint(&rig->model, NET_ENI, name)->slot, &g->sink->sink);
	assert_non_null(g->input);
	return g;
}

void rig_clear(struct pipeline_rig *rig)
{
	for (unsigned i = 0; i < rig->guest_count; i++) {
		struct rig_sink *s = rig->guests[i].sink;

		s->count = s->used = 0;
	}
	fake_wire_forget(rig->wire);
}

void rig_advance(struct pipeline_rig *rig, uint64_t ms)
{
	uint64_t end = rig->now + ms * (RIG_HZ / 1000), next;

	for (;;) {
		while (vpc_tick(rig->vpc, rig->now, &next))
			continue;
		if (next >= end)
			break;
		rig->now = next > rig->now ? next : rig->now + 1;
	}
	rig->now = end;
}

/* ---- frames ---- */

static uint32_t upper_of(const struct words *w, uint8_t *l4)
{
	uint32_t bytes = w->protocol == IPPROTO_TCP ? 20 : w->protocol == IPPROTO_UDP ? 8 : 0;

	if (w->protocol == IPPROTO_ICMP || w->protocol == IPPROTO_ICMPV6) {
		bytes = 8;
		l4[0] = w->icmp_type;
		l4[1] = w->icmp_code;
		put_be16(l4 + 4, w->source_port);
	} else if (bytes != 0) {
		put_be16(l4, w->source_port);
		put_be16(l4 + 2, w->destination_port);
	}
	if (w->protocol == IPPROTO_UDP)
		put_be16(l4 + 4, (uint16_t)(8 + w->payload_bytes));
	if (w->protocol == IPPROTO_TCP) {
		put_be32(l4 + 4, w->seq);
		put_be32(l4 + 8, w->ack);
		l4[12] = 0x50;
		l4[13] = w->tcp_flags;
		put_be16(l4 + 14, 65535);
	}
	for (uint32_t i = 0; i < w->payload_bytes; i++)
		l4[bytes + i] = w->payload != NULL ? w->payload[i] : (uint8_t)i;
	return bytes + w->payload_bytes;
}

static void sum_upper(const struct words *w, const uint8_t *ip, uint8_t *l4, uint32_t bytes)
{
	bool v6 = ip[0] >> 4 == 6;
	uint32_t at = w->protocol == IPPROTO_TCP ? 16 : w->protocol == IPPROTO_UDP ? 6 : 2, sum = 0;

	if ((w->fragment & 0x1fff) != 0 || (w->protocol != IPPROTO_TCP && w->protocol != IPPROTO_UDP &&
					    w->protocol != IPPROTO_ICMP && w->protocol != IPPROTO_ICMPV6))
		return;
	if (w->protocol != IPPROTO_ICMP)
		sum = rig_sum(w->protocol + bytes, v6 ? ip + 8 : ip + 12, v6 ? 32 : 8);
	sum = rig_sum(sum, l4, bytes);
	put_be16(l4 + at, (uint16_t)~sum);
}

uint32_t words_frame(const struct words *w, uint8_t *out)
{
	struct net_address source = rig_address(w->source), destination = rig_address(w->destination);
	bool v4 = net_address_is_v4(&source), to_said = memcmp(&w->to, &(struct mac){{0}}, 6) != 0;
	struct mac from = memcmp(&w->from, &(struct mac){{0}}, 6) != 0 ? w->from : rig_mac(source.bytes[15]), to = w->to;
	uint8_t *ip = out + 14, *l4 = ip + (v4 ? 20 : 40);
	uint32_t bytes;

	if (!v4 && memcmp(&w->from, &(struct mac){{0}}, 6) == 0)
		from = rig_mac((uint8_t)((source.bytes[15] >> 4) * 10 + (source.bytes[15] & 15)));
	if (!to_said)
		to = rig_gateway_mac();
	memset(out, 0, 14 + 40 + 20);
	memcpy(out, to.bytes, 6);
	memcpy(out + 6, from.bytes, 6);
	put_be16(out + 12, v4 ? 0x0800 : 0x86dd);
	bytes = upper_of(w, l4);
	if (v4) {
		ip[0] = 0x45;
		put_be16(ip + 2, (uint16_t)(20 + bytes));
		put_be16(ip + 4, w->id);
		put_be16(ip + 6, (uint16_t)(w->fragment | (w->dont_fragment ? 0x4000 : 0)));
		ip[8] = w->ttl != 0 ? w->ttl : 64;
		ip[9] = w->protocol;
		memcpy(ip + 12, source.bytes + 12, 4);
		memcpy(ip + 16, destination.bytes + 12, 4);
		put_be16(ip + 10, (uint16_t)~rig_sum(0, ip, 20));
	} else {
		ip[0] = 0x60;
		put_be16(ip + 4, (uint16_t)bytes);
		ip[6] = w->protocol;
		ip[7] = w->ttl != 0 ? w->ttl : 64;
		memcpy(ip + 8, source.bytes, 16);
		memcpy(ip + 24, destination.bytes, 16);
	}
	sum_upper(w, ip, l4, bytes);
	return 14 + (v4 ? 20 : 40) + bytes;
}

static enum drop_reason give(struct pipeline_rig *rig, struct packet_input *input, const void *frame, uint32_t size)
{
	struct packet *p;
	struct rig_packet r;
	enum drop_reason drop;

	rig_packet_make(&r, frame, size, PACKET_HEAD_MIN_BYTES, 4096);
	p = &r.p;
	input->receive(input, &p, 1, rig->now);
	drop = (enum drop_reason)r.p.drop;
	rig_packet_free(&r);
	return drop;
}

enum drop_reason rig_send_raw(struct pipeline_rig *rig, const char *guest, const void *frame, uint32_t size)
{
	return give(rig, rig_guest(rig, guest)->input, frame, size);
}

enum drop_reason rig_send(struct pipeline_rig *rig, const char *guest, const struct words *w)
{
	static uint8_t frame[RIG_FRAME_MAX];

	return rig_send_raw(rig, guest, frame, words_frame(w, frame));
}

void rig_send_batch(struct pipeline_rig *rig, const char *guest, const struct words *w, unsigned count)
{
	static uint8_t frame[RIG_FRAME_MAX];
	struct packet *pointers[PACKET_BATCH_MAX];
	struct rig_packet r[PACKET_BATCH_MAX];

	for (unsigned i = 0; i < count; i++) {
		rig_packet_make(&r[i], frame, words_frame(&w[i], frame), PACKET_HEAD_MIN_BYTES, 4096);
		pointers[i] = &r[i].p;
	}
	rig_guest(rig, guest)->input->receive(rig_guest(rig, guest)->input, pointers, count, rig->now);
	for (unsigned i = 0; i < count; i++)
		rig_packet_free(&r[i]);
}

enum drop_reason rig_wire_raw(struct pipeline_rig *rig, const void *frame, uint32_t size)
{
	return give(rig, vpc_wire_input(rig->vpc, 0), frame, size);
}

enum drop_reason rig_wire(struct pipeline_rig *rig, const struct words *w)
{
	static uint8_t frame[RIG_FRAME_MAX];
	struct words plain = *w;

	plain.to = wire_mac;
	if (memcmp(&plain.from, &(struct mac){{0}}, 6) == 0)
		plain.from = router_mac;
	return rig_wire_raw(rig, frame, words_frame(&plain, frame));
}

enum drop_reason rig_overlay(struct pipeline_rig *rig, uint32_t vni, uint8_t mac_last, const struct words *w)
{
	static uint8_t frame[RIG_FRAME_MAX];
	struct words inner = *w;
	uint32_t bytes;

	if (memcmp(&w->to, &(struct mac){{0}}, 6) == 0)
		inner.to = rig_mac(mac_last);
	memset(frame, 0, OUTER_BYTES);
	bytes = words_frame(&inner, frame + OUTER_BYTES);
	memcpy(frame, wire_mac.bytes, 6);
	memcpy(frame + 6, other_mac.bytes, 6);
	frame[12] = 8;
	frame[14] = 0x45;
	put_be16(frame + 16, (uint16_t)(36 + bytes));
	frame[22] = 64;
	frame[23] = IPPROTO_UDP;
	memcpy(frame + 26, (uint8_t[]){192, 0, 2, 2, 192, 0, 2, 1}, 8);
	put_be16(frame + 24, (uint16_t)~rig_sum(0, frame + 14, 20));
	put_be16(frame + 34, 50000);
	put_be16(frame + 36, 4789);
	put_be16(frame + 38, (uint16_t)(16 + bytes));
	frame[42] = 8;
	put_be32(frame + 46, vni << 8);
	return rig_wire_raw(rig, frame, OUTER_BYTES + bytes);
}

/* ---- what came of it ---- */

unsigned rig_got(struct pipeline_rig *rig, const char *guest)
{
	return rig_guest(rig, guest)->sink->count;
}

const uint8_t *rig_last(struct pipeline_rig *rig, const char *guest)
{
	struct rig_sink *s = rig_guest(rig, guest)->sink;

	assert_true(s->count > 0);
	return s->frames[s->count - 1].bytes;
}

const struct fake_frame *rig_wire_last(struct pipeline_rig *rig)
{
	assert_true(rig->wire->frame_count > 0);
	return &rig->wire->frames[rig->wire->frame_count - 1];
}

const uint8_t *rig_inner(const struct fake_frame *f)
{
	assert_true(f->size > OUTER_BYTES + 34);
	assert_int_equal(get_be16(f->bytes + 36), 4789);
	return f->bytes + OUTER_BYTES;
}

const struct vpc_endpoint_counters *rig_counters(struct pipeline_rig *rig, enum net_kind kind, const char *name)
{
	const struct vpc_endpoint_counters *c = vpc_endpoint_counters(rig->vpc, rig_endpoint(&rig->model, kind, name)->slot);

	assert_non_null(c);
	return c;
}

uint64_t rig_drops(struct pipeline_rig *rig, const char *guest, enum drop_reason reason)
{
	return guest[0] == '\0' ? vpc_counters(rig->vpc)->drops[reason] : rig_counters(rig, NET_ENI, guest)->drops[reason];
}

bool frame_right(const uint8_t *frame)
{
	const uint8_t *ip = frame + 14;

	if (ip[0] >> 4 == 4)
		return rig_ipv4_right(ip) && (ip[9] == IPPROTO_ICMP ? rig_sum(0, ip + 20, get_be16(ip + 2) - 20u) == 0xffff
								    : rig_upper_right(ip, get_be16(ip + 2), 20, ip[9]));
	return rig_upper_right(ip, get_be16(ip + 4) + 40u, 40, ip[6]);
}

void assert_frame_addresses(const uint8_t *frame, const char *source, const char *destination)
{
	struct net_address from = rig_address(source), to = rig_address(destination);
	bool v4 = net_address_is_v4(&from);

	assert_int_equal(get_be16(frame + 12), v4 ? 0x0800 : 0x86dd);
	assert_memory_equal(frame + (v4 ? 26 : 22), from.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
	assert_memory_equal(frame + (v4 ? 30 : 38), to.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
}
