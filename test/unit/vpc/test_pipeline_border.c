/* Between the VPC and the outside: elastic IPs, NAT gateways, hop limits, ICMP errors, sizes. */
#include "../cmocka_all.h"

#include <netinet/in.h>

#include "pipeline_rig.h"
#include "vpc/parse.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

#define OUTSIDE "203.0.113.7"

static const struct words a_out = {.source = "10.0.1.10",
				   .destination = OUTSIDE,
				   .protocol = IPPROTO_TCP,
				   .source_port = 4000,
				   .destination_port = 80,
				   .tcp_flags = SYN,
				   .seq = 100};
static const struct words p_out = {.source = "10.0.3.13",
				   .destination = OUTSIDE,
				   .protocol = IPPROTO_UDP,
				   .source_port = 4000,
				   .destination_port = 53,
				   .payload_bytes = 8};
static const struct words p_ping = {
	.source = "10.0.3.13", .destination = OUTSIDE, .protocol = IPPROTO_ICMP, .icmp_type = 8, .source_port = 77};

static const uint8_t router[6] = {2, 0, 0, 0, 2, 0xfe};

/* An ICMP error from `from` to `to` about the frame `about` (its first 28 bytes of IP and upper layer, or 48). */
static struct words icmp_error(const char *from, const char *to, uint8_t type, uint8_t code, const uint8_t *about)
{
	static uint8_t payload[48];

	memcpy(payload, about + 14, 28);
	return (struct words){.source = from,
			      .destination = to,
			      .protocol = IPPROTO_ICMP,
			      .icmp_type = type,
			      .icmp_code = code,
			      .payload = payload,
			      .payload_bytes = 28};
}

static void test_elastic_ip_out_and_back(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words back = {.source = OUTSIDE,
			     .destination = "198.51.100.10",
			     .protocol = IPPROTO_TCP,
			     .source_port = 80,
			     .destination_port = 4000,
			     .tcp_flags = SYN | ACK,
			     .seq = 900,
			     .ack = 101};
	const uint8_t *f;

	assert_int_equal(rig_send(rig, "a", &a_out), DROP_NONE);
	f = rig_wire_last(rig)->bytes;
	assert_frame_addresses(f, "198.51.100.10", OUTSIDE);
	assert_memory_equal(f, router, 6);
	assert_int_equal(get_be16(f + 34), 4000);
	assert_int_equal(f[22], 63);
	assert_true(frame_right(f));
	assert_int_equal(rig_wire(rig, &back), DROP_NONE);
	f = rig_last(rig, "a");
	assert_frame_addresses(f, OUTSIDE, "10.0.1.10");
	assert_memory_equal(f, rig_mac(10).bytes, 6);
	assert_memory_equal(f + 6, rig_gateway_mac().bytes, 6);
	assert_int_equal(f[22], 63);
	assert_true(frame_right(f));
	assert_int_equal(rig_counters(rig, NET_ENI, "a")->flows, 1);
}

static void test_elastic_ip_from_outside(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words in = {.source = OUTSIDE,
			   .destination = "198.51.100.10",
			   .protocol = IPPROTO_UDP,
			   .source_port = 9,
			   .destination_port = 10};
	struct words back = {
		.source = "10.0.1.10", .destination = OUTSIDE, .protocol = IPPROTO_UDP, .source_port = 10, .destination_port = 9};

	assert_int_equal(rig_wire(rig, &in), DROP_NONE);
	assert_int_equal(rig_got(rig, "a"), 1);
	assert_int_equal(rig_send(rig, "a", &back), DROP_NONE);
	assert_frame_addresses(rig_wire_last(rig)->bytes, "198.51.100.10", OUTSIDE);
	/* Nobody's address, and one of the wire's neighbours. */
	in.destination = "198.51.100.99";
	assert_int_equal(rig_wire(rig, &in), DROP_NOT_OURS);
	assert_int_equal(rig_drops(rig, "", DROP_NOT_OURS), 1);
}

/* Who is outside cannot be somebody of the VPC, neither for a rule nor for a flow that is there. */
static void test_outside_pretends_inside(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words local = {.source = "10.0.1.10",
			      .destination = "10.0.1.11",
			      .protocol = IPPROTO_UDP,
			      .source_port = 5,
			      .destination_port = 6};
	struct words fake = {.source = "10.0.1.11",
			     .destination = "198.51.100.10",
			     .protocol = IPPROTO_UDP,
			     .source_port = 6,
			     .destination_port = 5};

	assert_int_equal(rig_send(rig, "a", &local), DROP_NONE);
	assert_int_equal(rig_wire(rig, &fake), DROP_SPOOFED_IP); /* the flow is there */
	fake.source_port = 66;
	assert_int_equal(rig_wire(rig, &fake), DROP_SPOOFED_IP); /* and here it is not */
	assert_int_equal(rig_got(rig, "a"), 0);
	/* And the other way: an overlay frame that answers what went outside. */
	assert_int_equal(rig_send(rig, "a", &a_out), DROP_NONE);
	fake = (struct words){.source = OUTSIDE,
			      .destination = "10.0.1.10",
			      .protocol = IPPROTO_TCP,
			      .source_port = 80,
			      .destination_port = 4000,
			      .tcp_flags = SYN | ACK,
			      .ack = 101};
	assert_int_equal(rig_overlay(rig, RIG_VNI, 10, &fake), DROP_SPOOFED_IP);
	assert_int_equal(rig_got(rig, "a"), 0);
}

/* The cards themselves, and addresses that no router forwards, are not the outside. */
static void test_where_nobody_gets(void **state)
{
	static const struct {
		const char *address;
		enum drop_reason reason;
	} nowhere[] = {{"192.0.2.1", DROP_NO_ROUTE}, {"192.0.2.2", DROP_NO_ROUTE},  {"127.0.0.1", DROP_NO_ROUTE},
		       {"0.1.2.3", DROP_NO_ROUTE},   {"224.0.0.5", DROP_MULTICAST}, {"240.0.0.1", DROP_MULTICAST}};
	struct pipeline_rig *rig = *state;
	struct words out = a_out, nat = p_out, in = {.destination = "198.51.100.10", .protocol = IPPROTO_UDP};

	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		out.destination = nat.destination = in.source = nowhere[i].address;
		assert_int_equal(rig_send(rig, "a", &out), nowhere[i].reason);
		assert_int_equal(rig_send(rig, "p", &nat), nowhere[i].reason);
		if (i >= 2)
			assert_int_equal(rig_wire(rig, &in), DROP_SPOOFED_IP); /* nor does anything come from there */
	}
	assert_int_equal(rig->wire->frame_count, 0);
	assert_int_equal(rig_got(rig, "a"), 0);
}

static void test_no_public_address(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = a_out;

	w.source = "10.0.2.12";
	assert_int_equal(rig_send(rig, "c", &w), DROP_NO_PUBLIC);
}

static void test_hop_limits(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = a_out;
	const uint8_t *f;

	w.ttl = 1;
	assert_int_equal(rig_send(rig, "a", &w), DROP_TTL);
	f = rig_last(rig, "a");
	assert_frame_addresses(f, "10.0.1.1", "10.0.1.10");
	assert_int_equal(f[34], 11);
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){10, 0, 1, 10, 203, 0, 113, 7}), 8); /* what it is about, as a sent it */
	assert_true(frame_right(f));
	w = (struct words){.source = OUTSIDE, .destination = "198.51.100.10", .protocol = IPPROTO_UDP, .ttl = 1};
	assert_int_equal(rig_wire(rig, &w), DROP_TTL);
	f = rig_wire_last(rig)->bytes;
	assert_frame_addresses(f, "192.0.2.1", OUTSIDE);
	assert_memory_equal(f, router, 6);
	assert_int_equal(f[34], 11);
	assert_true(frame_right(f));
	assert_int_equal(rig_got(rig, "a"), 1);
	/* Within the VPC the card is no hop. */
	w = (struct words){.source = "10.0.1.10", .destination = "10.0.2.12", .protocol = IPPROTO_UDP, .ttl = 1};
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
}

/* An ENI reaches another one's elastic IP of the same card: it turns round here, and each sees the other's public address. */
static void test_turns_round(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = a_out, back;

	w.destination = "198.51.100.11";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig->wire->frame_count, 0);
	assert_frame_addresses(rig_last(rig, "b"), "198.51.100.10", "10.0.1.11");
	assert_true(frame_right(rig_last(rig, "b")));
	back = (struct words){.source = "10.0.1.11",
			      .destination = "198.51.100.10",
			      .protocol = IPPROTO_TCP,
			      .source_port = 80,
			      .destination_port = 4000,
			      .tcp_flags = SYN | ACK,
			      .ack = 101};
	assert_int_equal(rig_send(rig, "b", &back), DROP_NONE);
	assert_frame_addresses(rig_last(rig, "a"), "198.51.100.11", "10.0.1.10");
	/* A NAT gateway takes nothing that it did not ask for, from inside neither. */
	w.destination = "198.51.100.5";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NOT_OURS);
	/* From a private subnet through the gateway to an elastic IP: three endpoints of one card in a row. */
	w = p_out;
	w.destination = "198.51.100.11";
	assert_int_equal(rig_send(rig, "p", &w), DROP_NONE);
	assert_frame_addresses(rig_last(rig, "b"), "198.51.100.5", "10.0.1.11");
	back.destination = "198.51.100.5";
	back.protocol = w.protocol;
	back.source_port = w.destination_port;
	back.destination_port = get_be16(rig_last(rig, "b") + 34);
	assert_int_equal(rig_send(rig, "b", &back), DROP_NONE);
	assert_frame_addresses(rig_last(rig, "p"), "198.51.100.11", "10.0.3.13");
}

static uint16_t nat_port_of(struct pipeline_rig *rig)
{
	return get_be16(rig_wire_last(rig)->bytes + 34);
}

static void test_nat(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words back = {
		.source = OUTSIDE, .destination = "198.51.100.5", .protocol = IPPROTO_UDP, .source_port = 53, .payload_bytes = 3};
	const uint8_t *f;

	assert_int_equal(rig_send(rig, "p", &p_out), DROP_NONE);
	f = rig_wire_last(rig)->bytes;
	assert_frame_addresses(f, "198.51.100.5", OUTSIDE);
	assert_true(frame_right(f));
	assert_int_equal(f[22], 63);
	back.destination_port = nat_port_of(rig);
	assert_true(back.destination_port >= 1024);
	assert_int_equal(rig_wire(rig, &back), DROP_NONE);
	f = rig_last(rig, "p");
	assert_frame_addresses(f, OUTSIDE, "10.0.3.13");
	assert_int_equal(get_be16(f + 36), 4000);
	assert_true(frame_right(f));
	assert_int_equal(rig_counters(rig, NET_NAT, "n")->flows, 1);
	/* Another remote port, another remote address: not what was asked for. */
	back.source_port = 54;
	assert_int_equal(rig_wire(rig, &back), DROP_NOT_OURS);
	back.source_port = 53;
	back.source = "203.0.113.8";
	assert_int_equal(rig_wire(rig, &back), DROP_NOT_OURS);
	assert_int_equal(rig_counters(rig, NET_NAT, "n")->drops[DROP_NOT_OURS], 2);
	/* The same flow again keeps its port. */
	assert_int_equal(rig_send(rig, "p", &p_out), DROP_NONE);
	assert_int_equal(nat_port_of(rig), back.destination_port);
}

static void test_nat_echo(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words back = {.source = OUTSIDE, .destination = "198.51.100.5", .protocol = IPPROTO_ICMP, .icmp_type = 0};

	assert_int_equal(rig_send(rig, "p", &p_ping), DROP_NONE);
	assert_true(frame_right(rig_wire_last(rig)->bytes));
	back.source_port = get_be16(rig_wire_last(rig)->bytes + 38);
	assert_int_equal(rig_wire(rig, &back), DROP_NONE);
	assert_frame_addresses(rig_last(rig, "p"), OUTSIDE, "10.0.3.13");
	assert_int_equal(get_be16(rig_last(rig, "p") + 38), 77);
	assert_true(frame_right(rig_last(rig, "p")));
	/* A ping of the gateway itself is the card's to answer. */
	back.icmp_type = 8;
	assert_int_equal(rig_wire(rig, &back), DROP_ANSWERED);
	assert_frame_addresses(rig_wire_last(rig)->bytes, "198.51.100.5", OUTSIDE);
	assert_int_equal(rig_wire_last(rig)->bytes[34], 0);
	assert_true(frame_right(rig_wire_last(rig)->bytes));
}

/* Another tenant's NAT gateway "m", and an ENI "z" behind it with p's very address. */
static void add_tenant(struct pipeline_rig *rig, const char *eni)
{
	struct net_spec vpc = spec_vpc("w", 5000, "10.0.0.0/16", NULL), table = spec_route_table("wt", "w");
	struct net_spec subnet = spec_subnet("ws", "w", "10.0.3.0/24", NULL), z = spec_eni("z", "ws", 13, "10.0.3.13", NULL);
	struct net_spec nat = spec_nat("m", "ws", 5, "10.0.3.5"), v = spec_vpc("v", RIG_VNI, "10.0.0.0/16", "fd00:1::/64");

	v.vpc.log_traffic = FLOW_LOG_ALL;
	v.vpc.log_interval_s = 60;
	spec_route(&table, "0.0.0.0/0", ROUTE_INTERNET, NULL);
	subnet.subnet.has_route_table = true;
	subnet.subnet.route_table = rig_id(NET_ROUTE_TABLE, "wt");
	rig_begin(&rig->model);
	rig_put(&rig->model, &v);
	rig_put(&rig->model, &vpc);
	rig_put(&rig->model, &table);
	rig_put(&rig->model, &subnet);
	rig_put(&rig->model, &nat);
	if (eni != NULL)
		rig_put(&rig->model, &z);
	rig_apply(rig);
	if (eni != NULL)
		rig_guest(rig, eni);
	rig_advance(rig, 1);
}

/* A public address that another NAT gateway gets comes without the flows of the one before. */
static void public_address_changes_hands(struct pipeline_rig *rig, const char *eni)
{
	struct net_spec eip = spec_eip("eip-n", "198.51.100.5", NET_NAT, "m", NULL);
	struct words back = {
		.source = OUTSIDE, .destination = "198.51.100.5", .protocol = IPPROTO_UDP, .source_port = 53, .payload_bytes = 3};

	add_tenant(rig, eni);
	assert_int_equal(rig_send(rig, "p", &p_out), DROP_NONE);
	back.destination_port = nat_port_of(rig);
	rig_clear(rig);
	rig_begin(&rig->model);
	rig_put(&rig->model, &eip);
	rig_apply(rig);
	assert_int_equal(rig_wire(rig, &back), DROP_NOT_OURS);
	assert_int_equal(rig_counters(rig, NET_NAT, "m")->drops[DROP_NOT_OURS], 1);
	assert_int_equal(rig_counters(rig, NET_NAT, "m")->flows, 0);
	assert_int_equal(rig_counters(rig, NET_NAT, "n")->flows, 0);
	assert_int_equal(rig_got(rig, "p"), 0);
	if (eni != NULL)
		assert_int_equal(rig_got(rig, eni), 0);
}

static void test_public_address_changes_hands(void **state)
{
	public_address_changes_hands(*state, "z");
}

/* What the flow's own gateway logs is logged by what it is called now. */
static void test_public_address_leaves_nobody(void **state)
{
	struct pipeline_rig *rig = *state;

	public_address_changes_hands(rig, NULL);
	assert_int_equal(rig->log_count, 1);
	assert_memory_equal(rig->log[0], "2 v n 10.0.3.13 ", 16);
}

static void test_nat_ports_exhausted(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.3.13", .destination = OUTSIDE, .protocol = 47};
	struct words other = w;
	struct net_spec eni = spec_eni("q", "private", 14, "10.0.3.14", NULL);

	/* A protocol without ports: one ENI at a time to each remote address. */
	spec_eni_group(&eni, "open");
	rig_begin(&rig->model);
	rig_put(&rig->model, &eni);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "p", &w), DROP_NONE);
	other.source = "10.0.3.14";
	assert_int_equal(rig_send(rig, "q", &other), DROP_NAT_PORTS);
	assert_int_equal(rig_counters(rig, NET_NAT, "n")->drops[DROP_NAT_PORTS], 1);
	assert_int_equal(rig_counters(rig, NET_NAT, "n")->flows, 1);
	other.destination = "203.0.113.8";
	assert_int_equal(rig_send(rig, "q", &other), DROP_NONE);
}

static void test_icmp_errors_inside_nat(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w;
	const uint8_t *f;

	assert_int_equal(rig_send(rig, "p", &p_out), DROP_NONE);
	w = icmp_error("203.0.113.1", "198.51.100.5", 3, 3, rig_wire_last(rig)->bytes);
	assert_int_equal(rig_wire(rig, &w), DROP_NONE);
	f = rig_last(rig, "p");
	assert_frame_addresses(f, "203.0.113.1", "10.0.3.13");
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){10, 0, 3, 13, 203, 0, 113, 7}), 8);
	assert_int_equal(get_be16(f + 62), 4000);
	assert_true(frame_right(f));
	assert_true(rig_ipv4_right(f + 42));
	/* About a port that nobody has. */
	w = icmp_error("203.0.113.1", "198.51.100.5", 3, 3, rig_wire_last(rig)->bytes);
	((uint8_t *)(uintptr_t)w.payload)[20] ^= 1;
	assert_int_equal(rig_wire(rig, &w), DROP_ICMP_UNRELATED);
	assert_int_equal(rig_got(rig, "p"), 1);
}

static void test_icmp_errors_elastic_ip(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words in = {.source = OUTSIDE,
			   .destination = "198.51.100.10",
			   .protocol = IPPROTO_UDP,
			   .source_port = 9,
			   .destination_port = 10};
	struct words w;
	const uint8_t *f;

	assert_int_equal(rig_send(rig, "a", &a_out), DROP_NONE);
	w = icmp_error("203.0.113.1", "198.51.100.10", 11, 0, rig_wire_last(rig)->bytes);
	assert_int_equal(rig_wire(rig, &w), DROP_NONE);
	f = rig_last(rig, "a");
	assert_frame_addresses(f, "203.0.113.1", "10.0.1.10");
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){10, 0, 1, 10, 203, 0, 113, 7}), 8);
	assert_true(frame_right(f));
	w.icmp_type = 5; /* a redirect is a router's, and the card is the only one */
	assert_int_equal(rig_wire(rig, &w), DROP_UNSUPPORTED);
	assert_int_equal(rig_got(rig, "a"), 1);
	/* And the guest's own, about what it was given. */
	assert_int_equal(rig_wire(rig, &in), DROP_NONE);
	w = icmp_error("10.0.1.10", OUTSIDE, 3, 3, rig_last(rig, "a"));
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	f = rig_wire_last(rig)->bytes;
	assert_frame_addresses(f, "198.51.100.10", OUTSIDE);
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){203, 0, 113, 7, 198, 51, 100, 10}), 8);
	assert_true(frame_right(f));
	/* About nothing. */
	w.payload_bytes = 4;
	assert_int_equal(rig_send(rig, "a", &w), DROP_ICMP_UNRELATED);
	/* An answer that was never asked for. */
	w = (struct words){
		.source = OUTSIDE, .destination = "198.51.100.10", .protocol = IPPROTO_ICMP, .icmp_type = 0, .source_port = 5};
	assert_int_equal(rig_wire(rig, &w), DROP_ICMP_UNRELATED);
}

/* A NAT gateway on another card: it is reached in the overlay, by its MAC; and the ENI of another card by ours. */
static void test_nat_across_cards(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec nat = spec_nat("n", "far", 5, "10.0.2.5"), eni = spec_eni("p", "private", 13, "10.0.3.13", NULL);
	struct words back = {.source = OUTSIDE, .destination = "198.51.100.5", .protocol = IPPROTO_UDP, .source_port = 53};
	const struct fake_frame *f;

	nat.nat.remote = true;
	nat.nat.host = rig_id(NET_HOST, "other");
	rig_begin(&rig->model);
	rig_put(&rig->model, &nat);
	rig_apply(rig);
	assert_int_equal(rig_send(rig, "p", &p_out), DROP_NONE);
	f = rig_wire_last(rig);
	assert_memory_equal(rig_inner(f), rig_mac(5).bytes, 6);
	assert_frame_addresses(rig_inner(f), "10.0.3.13", OUTSIDE);
	/* The other way round. */
	nat.nat.remote = false;
	spec_eni_group(&eni, "open");
	spec_eni_remote(&eni, "other");
	rig_begin(&rig->model);
	rig_put(&rig->model, &nat);
	rig_put(&rig->model, &eni);
	rig_apply(rig);
	rig_clear(rig);
	assert_int_equal(rig_overlay(rig, RIG_VNI, 5, &p_out), DROP_NONE);
	f = rig_wire_last(rig);
	assert_frame_addresses(f->bytes, "198.51.100.5", OUTSIDE);
	back.destination_port = nat_port_of(rig);
	assert_int_equal(rig_wire(rig, &back), DROP_NONE);
	f = rig_wire_last(rig);
	assert_memory_equal(rig_inner(f), rig_mac(13).bytes, 6);
	assert_frame_addresses(rig_inner(f), OUTSIDE, "10.0.3.13");
	assert_true(frame_right(rig_inner(f)));
}

/* ---- sizes ---- */

static void test_too_big_for_the_overlay(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.10",
			  .destination = "10.0.1.20",
			  .protocol = IPPROTO_UDP,
			  .source_port = 1,
			  .destination_port = 2,
			  .dont_fragment = true};
	const uint8_t *f;

	w.payload_bytes = 1450 - 28;
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig_wire_last(rig)->size, 1514);
	w.payload_bytes++;
	assert_int_equal(rig_send(rig, "a", &w), DROP_TOO_BIG);
	f = rig_last(rig, "a");
	assert_frame_addresses(f, "10.0.1.1", "10.0.1.10");
	assert_int_equal(f[34], 3);
	assert_int_equal(f[35], 4);
	assert_int_equal(get_be16(f + 40), 1450);
	assert_true(frame_right(f));
	w.dont_fragment = false;
	rig_clear(rig);
	assert_int_equal(rig_send(rig, "a", &w), DROP_NONE);
	assert_int_equal(rig->wire->frame_count, 2);
	assert_int_equal(get_be16(rig_inner(&rig->wire->frames[0]) + 20) & 0x3fff, 0x2000);
}

static void test_too_big_for_the_guest(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.20",
			  .destination = "10.0.1.11",
			  .protocol = IPPROTO_UDP,
			  .source_port = 1,
			  .destination_port = 2,
			  .dont_fragment = true,
			  .payload_bytes = 1300};
	const uint8_t *f;

	rig_guest(rig, "b")->sink->sink.frame_bytes_max = 1280 + ETHER_BYTES;
	assert_int_equal(rig_overlay(rig, RIG_VNI, 11, &w), DROP_TOO_BIG);
	f = rig_inner(rig_wire_last(rig)); /* told in the overlay */
	assert_memory_equal(f, rig_mac(20).bytes, 6);
	assert_frame_addresses(f, "10.0.1.1", "10.0.1.20");
	assert_int_equal(get_be16(f + 40), 1280);
	assert_true(frame_right(f));
	/* From a guest of this card: it is told as if by the network. */
	w.source = "10.0.1.10";
	assert_int_equal(rig_send(rig, "a", &w), DROP_TOO_BIG);
	assert_frame_addresses(rig_last(rig, "a"), "10.0.1.1", "10.0.1.10");
	/* From outside: by the public address, about the packet as it was outside. */
	w.source = OUTSIDE;
	w.destination = "198.51.100.11";
	assert_int_equal(rig_wire(rig, &w), DROP_TOO_BIG);
	f = rig_wire_last(rig)->bytes;
	assert_frame_addresses(f, "198.51.100.11", OUTSIDE);
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){203, 0, 113, 7, 198, 51, 100, 11}), 8);
	assert_true(frame_right(f));
	assert_int_equal(rig_got(rig, "b"), 0);
	/* What may be fragmented is. */
	w.dont_fragment = false;
	assert_int_equal(rig_wire(rig, &w), DROP_NONE);
	assert_int_equal(rig_got(rig, "b"), 2);
}

/* The wire to the outside carries less than the path from the guest: through NAT the guest is told, inside. */
static void test_too_big_behind_nat(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = p_out;
	const uint8_t *f;

	w.dont_fragment = true;
	w.payload_bytes = 1400;
	rig->wire->wire.mtu = 1400;
	assert_int_equal(rig_send(rig, "p", &w), DROP_TOO_BIG);
	f = rig_last(rig, "p");
	assert_frame_addresses(f, "10.0.2.5", "10.0.3.13");
	assert_int_equal(get_be16(f + 40), 1400);
	assert_memory_equal(f + 42 + 12, ((uint8_t[]){10, 0, 3, 13, 203, 0, 113, 7}), 8);
	assert_true(frame_right(f));
	/* And who is behind a NAT gateway and too far away is told by it too. */
	w.payload_bytes = 1;
	w.ttl = 1;
	assert_int_equal(rig_send(rig, "p", &w), DROP_TTL);
	assert_frame_addresses(rig_last(rig, "p"), "10.0.2.5", "10.0.3.13");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_elastic_ip_out_and_back, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_elastic_ip_from_outside, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_outside_pretends_inside, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_where_nobody_gets, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_no_public_address, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_hop_limits, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_turns_round, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_nat, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_nat_echo, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_public_address_changes_hands, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_public_address_leaves_nobody, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_nat_ports_exhausted, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_icmp_errors_inside_nat, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_icmp_errors_elastic_ip, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_nat_across_cards, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_too_big_for_the_overlay, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_too_big_for_the_guest, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_too_big_behind_nat, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
