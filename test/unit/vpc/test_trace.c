/* Traces say what would be done, change nothing, and agree with what is done. */
#include "../cmocka_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "pipeline_rig.h"

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

static void trace(struct pipeline_rig *rig, const char *eni, const char *text, struct trace *out)
{
	const struct policy_endpoint *e = rig_endpoint(&rig->model, NET_ENI, eni);
	uint8_t room[PACKET_HEAD_BYTES];
	struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	char error[256];

	if (trace_packet_parse(text, e, &p, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	vpc_trace(rig->vpc, e->slot, &p, out, rig->now);
}

static const struct trace_line *line_of(const struct trace *t, const char *stage)
{
	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->lines[i].stage, stage) == 0)
			return &t->lines[i];
	fail_msg("no line about %s", stage);
	return NULL;
}

static void assert_line(const struct trace *t, const char *stage, const char *verdict, const char *part)
{
	const struct trace_line *line = line_of(t, stage);

	assert_string_equal(line->verdict, verdict);
	if (strstr(line->detail, part) == NULL)
		fail_msg("%s: '%s' does not say '%s'", stage, line->detail, part);
}

static void test_to_a_host(void **state)
{
	struct pipeline_rig *rig = *state;
	uint64_t created = vpc_counters(rig->vpc)->flows_created;
	struct trace t;

	trace(rig, "a", "tcp 10.0.1.20:80 syn", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "parse", "pass", "IPv4, TCP, 40 bytes");
	assert_line(&t, "anti-spoof", "pass", "a");
	assert_line(&t, "flow", "miss", "a");
	assert_line(&t, "acl", "pass", "none");
	assert_line(&t, "security-group", "allow", "open");
	assert_line(&t, "route", "pass", "local");
	assert_line(&t, "mapping", "pass", "host other");
	assert_line(&t, "encapsulate", "pass", "VXLAN, VNI 4096");
	assert_line(&t, "deliver", "pass", "192.0.2.2");
	assert_string_equal(t.end, "the packet leaves for that host, where its own policy decides");
	assert_int_equal(vpc_counters(rig->vpc)->flows_created, created);
	assert_int_equal(rig->wire->frame_count, 0);
}

static void test_to_a_neighbour(void **state)
{
	struct pipeline_rig *rig = *state;
	struct words w = {.source = "10.0.1.10",
			  .destination = "10.0.1.11",
			  .protocol = IPPROTO_UDP,
			  .source_port = 49152,
			  .destination_port = 53};
	struct trace t;

	trace(rig, "a", "udp 10.0.1.11:53", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "deliver", "pass", "ENI b");
	assert_string_equal(t.end, "the packet arrives");
	rig_send(rig, "a", &w);
	trace(rig, "a", "udp 10.0.1.11:53", &t);
	assert_line(&t, "flow", "hit", "begun by it");
	assert_int_equal(t.drop, DROP_NONE);
	vpc_detach(rig->vpc, rig_endpoint(&rig->model, NET_ENI, "b")->slot);
	trace(rig, "a", "udp 10.0.1.11:53", &t);
	assert_int_equal(t.drop, DROP_NOT_ATTACHED);
	assert_line(&t, "deliver", "drop", "not attached");
}

static void test_to_the_outside(void **state)
{
	struct pipeline_rig *rig = *state;
	struct trace t;

	trace(rig, "a", "tcp 203.0.113.7:443", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "route", "pass", "0.0.0.0/0 -> internet");
	assert_line(&t, "mapping", "pass", "198.51.100.10");
	assert_line(&t, "deliver", "pass", "192.0.2.254");
	assert_string_equal(t.end, "the packet leaves for the outside");
	trace(rig, "p", "icmp 203.0.113.7 echo", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "route", "pass", "NAT gateway");
	assert_line(&t, "nat", "pass", "n");
	trace(rig, "c", "tcp 203.0.113.7:443", &t);
	assert_int_equal(t.drop, DROP_NO_PUBLIC);
	trace(rig, "a", "tcp 203.0.113.7:443 ttl 1", &t);
	assert_int_equal(t.drop, DROP_TTL);
	trace(rig, "a", "tcp 198.51.100.11:443", &t);
	assert_line(&t, "deliver", "pass", "turns round");
}

static void test_denied(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec b = spec_eni("b", "near", 11, "10.0.1.11", "fd00:1::1:11");
	struct net_spec acl = spec_acl("strict", "v"), near = spec_subnet("near", "v", "10.0.1.0/24", "fd00:1::1:0/112");
	struct trace t;

	spec_eni_group(&b, "shut");
	near.subnet.has_acl = true;
	near.subnet.acl = rig_id(NET_ACL, "strict");
	rig_begin(&rig->model);
	rig_put(&rig->model, &b);
	rig_apply(rig);
	trace(rig, "a", "tcp 10.0.1.11:80", &t);
	assert_int_equal(t.drop, DROP_GROUP_IN);
	assert_string_equal(t.lines[t.count - 1].detail, "no ingress rule of shut allows it");
	rig_begin(&rig->model);
	rig_put(&rig->model, &acl);
	rig_put(&rig->model, &near);
	rig_apply(rig);
	trace(rig, "a", "tcp 10.0.2.12:80", &t);
	assert_int_equal(t.drop, DROP_ACL_OUT);
	assert_line(&t, "acl", "deny", "strict, no rule matches");
	trace(rig, "a", "tcp 10.0.1.11:80 from 10.0.1.99", &t);
	assert_int_equal(t.drop, DROP_SPOOFED_IP);
	assert_line(&t, "anti-spoof", "drop", "source address");
	trace(rig, "a", "tcp 10.0.1.11:80 ack", &t);
	assert_int_equal(t.drop, DROP_NOT_SYN);
	trace(rig, "a", "udp 10.0.1.77:80", &t);
	assert_int_equal(t.drop, DROP_NO_MAPPING);
	trace(rig, "c", "udp 10.0.1.10:1 size 1500 df", &t);
	assert_int_equal(t.drop, DROP_ACL_IN);
}

static void test_names_the_rule_of_an_acl(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec acl = spec_acl("edge", "v"), near = spec_subnet("near", "v", "10.0.1.0/24", "fd00:1::1:0/112");
	struct rule_spec *deny;
	struct trace t;

	near.subnet.has_acl = true;
	near.subnet.acl = rig_id(NET_ACL, "edge");
	spec_rule(&acl, true, NET_PROTOCOL_ANY, 0, 65535, "0.0.0.0/0")->number = 900;
	deny = spec_rule(&acl, true, IPPROTO_TCP, 80, 80, "0.0.0.0/0");
	deny->number = 70;
	deny->deny = true;
	rig_begin(&rig->model);
	rig_put(&rig->model, &acl);
	rig_put(&rig->model, &near);
	rig_apply(rig);
	trace(rig, "a", "tcp 10.0.2.12:80", &t);
	assert_line(&t, "acl", "deny", "out: edge, rule 70");
	trace(rig, "a", "tcp 10.0.2.12:81", &t);
	assert_line(&t, "acl", "allow", "out: edge, rule 900");
}

static void test_sizes(void **state)
{
	struct pipeline_rig *rig = *state;
	struct trace t;

	trace(rig, "a", "udp 10.0.1.20:80 size 1451 df", &t);
	assert_int_equal(t.drop, DROP_TOO_BIG);
	assert_line(&t, "mtu", "drop", "1451 of 1450");
	trace(rig, "a", "udp 10.0.1.20:80 size 1451", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "mtu", "pass", "fragmented");
	trace(rig, "a", "udp 10.0.1.11:80 size 1451 df", &t);
	assert_int_equal(t.drop, DROP_TOO_BIG);
	assert_int_equal(rig_got(rig, "a"), 0); /* nobody is told anything */
}

static void test_card(void **state)
{
	struct pipeline_rig *rig = *state;
	struct trace t;

	trace(rig, "a", "udp 169.254.169.253:53", &t);
	assert_line(&t, "card", "pass", "answered here");
	assert_int_equal(rig_got(rig, "a"), 0);
	trace(rig, "a", "icmp fd00:1::1:11", &t);
	assert_int_equal(t.drop, DROP_NONE);
	assert_line(&t, "parse", "pass", "IPv6, ICMPv6");
	vpc_trace(rig->vpc, 60000, &(struct packet){0}, &t, rig->now);
	assert_int_equal(t.drop, DROP_NOT_ATTACHED);
}

static void test_words(void **state)
{
	struct pipeline_rig *rig = *state;
	const struct policy_endpoint *a = rig_endpoint(&rig->model, NET_ENI, "a"), *c = rig_endpoint(&rig->model, NET_ENI, "c");
	static const char *const wrong[] = {"",
					    "tcp",
					    "xyz 10.0.1.1",
					    "tcp 10.0.1.1",
					    "tcp 10.0.1.1:0x50",
					    "tcp 10.0.1.1:65536",
					    "tcp nowhere:80",
					    "tcp [fd00::1:80",
					    "tcp [fd00::1]80",
					    "tcp 10.0.1.1:80 sin",
					    "udp 10.0.1.1:80 syn",
					    "tcp 10.0.1.1:80 from",
					    "tcp 10.0.1.1:80 from 10.0.1",
					    "tcp 10.0.1.1:80 from fd00::1",
					    "tcp 10.0.1.1:80 size 9217",
					    "tcp 10.0.1.1:80 ttl 256",
					    "256 10.0.1.1",
					    "icmp 10.0.1.1 syn"};
	static const char *const right[] = {"tcp 10.0.1.1:80 syn,ack",
					    "tcp [fd00::5]:443 ack from [fd00:1::1:10]:4000",
					    "47 10.0.1.5",
					    "udp 10.0.1.5:53 size 9216 df ttl 255",
					    "icmpv6 fd00::5",
					    "tcp 10.0.1.5:443 ack from 10.0.0.4:4000"};
	uint8_t room[PACKET_HEAD_BYTES];
	char error[256], more[400];

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};

		error[0] = '\0';
		if (trace_packet_parse(wrong[i], a, &p, error, sizeof(error)) != -EINVAL)
			fail_msg("'%s' is accepted", wrong[i]);
		assert_true(strlen(error) > 10);
	}
	for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};

		if (trace_packet_parse(right[i], a, &p, error, sizeof(error)) != 0)
			fail_msg("'%s': %s", right[i], error);
	}
	memset(more, 'x', sizeof(more) - 1);
	more[sizeof(more) - 1] = '\0';
	assert_int_equal(trace_packet_parse(more, a, NULL, error, sizeof(error)), -EINVAL);
	assert_int_equal(trace_packet_parse("tcp [fd00::5]:443", c, NULL, error, sizeof(error)), -EINVAL); /* has no IPv6 address */
	assert_non_null(strstr(error, "c has no IPv6 address"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_to_a_host, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_to_a_neighbour, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_to_the_outside, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_denied, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_names_the_rule_of_an_acl, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_sizes, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_card, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_words, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
