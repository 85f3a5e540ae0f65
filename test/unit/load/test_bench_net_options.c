/* The command line of bench net: what it means, and what makes no sense. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "load/bench_net_options.h"

enum { WORDS_MAX = 16, TEXT_SIZE = 8192 };

/* Splits at spaces; `line` must live as long as the options. */
static enum bench_net_parsed parse(struct bench_net_options *o, char *line)
{
	char *argv[WORDS_MAX + 1] = {(char *)(size_t) "net"}, *save = NULL;
	int argc = 1;

	for (char *word = strtok_r(line, " ", &save); word != NULL && argc < WORDS_MAX; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return bench_net_options_parse(o, argc, argv);
}

/* What is written to `stream` meanwhile. */
static enum bench_net_parsed parse_and_hear(struct bench_net_options *o, const char *line, FILE *stream, char *text)
{
	int descriptor = fileno(stream), before = dup(descriptor);
	char copy[256];
	FILE *heard = tmpfile();
	enum bench_net_parsed parsed;
	size_t n;

	snprintf(copy, sizeof(copy), "%s", line);
	assert_non_null(heard);
	fflush(stream);
	dup2(fileno(heard), descriptor);
	parsed = parse(o, copy);
	fflush(stream);
	dup2(before, descriptor);
	close(before);
	rewind(heard);
	n = fread(text, 1, TEXT_SIZE - 1, heard);
	text[n] = '\0';
	fclose(heard);
	return parsed;
}

static void test_defaults(void **state)
{
	char line[] = "/tmp/a.sock";
	struct bench_net_options o;

	(void)state;
	assert_int_equal(parse(&o, line), BENCH_NET_RUN);
	assert_string_equal(o.sockets[0], "/tmp/a.sock");
	assert_int_equal(o.socket_count, 1);
	assert_int_equal(o.size_count, 1);
	assert_int_equal(o.sizes[0], 64);
	assert_int_equal(o.flow_count, 1);
	assert_int_equal(o.queue_count, 1);
	assert_int_equal(o.ring_size, 256);
	assert_int_equal(o.seconds, 5);
	assert_int_equal(o.receive_bytes, 2048);
	assert_int_equal(o.cpu, -1);
	assert_int_equal(o.addresses.vlan, FRAME_NO_VLAN);
	assert_int_equal(o.addresses.destination_port, 9);
	assert_memory_equal(&o.addresses.source.word[3], "\xc6\x12\0\1", 4);
	assert_false(o.tcp || o.latency || o.json || o.packed || o.echo);
}

static void test_what_is_given_is_taken(void **state)
{
	char line[] = "a --size 66,128,1514 --protocol tcp b --flows 100 --new-flows 7 --rate 9 --close rst --handshake";
	char more[] = "a --source-ip 2001:db8::1 --arp --gateway 2001:db8::fe --vlan 7 --latency --core 1 --mtu 9000 --size 9000";
	char imix[] = "a --size imix --packed --indirect --csum --verify --json --ring-size 1024 --queues 2 --flows 2";
	char tso[] = "a b --tso 64K --mss 1000 --both-ways --spread port";
	struct bench_net_options o;
	unsigned counts[3] = {0};

	(void)state;
	assert_int_equal(parse(&o, line), BENCH_NET_RUN);
	assert_int_equal(o.size_count, 3);
	assert_int_equal(o.sizes[2], 1514);
	assert_string_equal(o.sockets[1], "b");
	assert_true(o.tcp && o.reset && o.handshake);
	assert_int_equal(o.flow_count, 100);
	assert_int_equal(o.new_flows_per_s, 7);
	assert_int_equal(o.rate_pps, 9);
	assert_int_equal(parse(&o, more), BENCH_NET_RUN);
	assert_false(net_address_is_v4(&o.addresses.destination));
	assert_true(o.addresses.gateway_given[0]);
	assert_int_equal(o.addresses.vlan, 7);
	assert_int_equal(o.cpu, 1);
	assert_int_equal(parse(&o, imix), BENCH_NET_RUN);
	for (unsigned i = 0; i < o.size_count; i++)
		counts[o.sizes[i] == 64 ? 0 : o.sizes[i] == 590 ? 1 : 2]++;
	assert_int_equal(counts[0], 7);
	assert_int_equal(counts[1], 4);
	assert_int_equal(counts[2], 1);
	assert_true(o.packed && o.indirect && o.checksum && o.verify && o.json);
	assert_int_equal(parse(&o, tso), BENCH_NET_RUN);
	assert_true(o.tcp && o.both_ways);
	assert_int_equal(o.sizes[0], 65536);
	assert_int_equal(o.receive_bytes, NET_RECEIVE_BYTES_TSO);
	assert_int_equal(o.spread, NET_SPREAD_PORT);
}

/* Without --size, frames are as large as what they are known by needs. */
static void test_smallest_frames(void **state)
{
	char tcp6[] = "a --protocol tcp --source-ip ::1 --latency", endless[] = "a --echo";
	struct bench_net_options o;

	(void)state;
	assert_int_equal(parse(&o, tcp6), BENCH_NET_RUN);
	assert_int_equal(o.sizes[0], 94);
	assert_int_equal(parse(&o, endless), BENCH_NET_RUN);
	assert_int_equal(o.seconds, 0);
}

static void test_nonsense_is_refused_with_advice(void **state)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
		{"", "SOCKET is missing"},
		{"a b c", "at most two sockets"},
		{"a --frobnicate", "no such option"},
		{"a --size", "a value is missing"},
		{"a --size 0", "give bytes a frame"},
		{"a --size 64,", "give bytes a frame"},
		{"a --size 64;65", "give bytes a frame"},
		{"a --size -64", "give bytes a frame"},
		{"a --size 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "up to 16"},
		{"a --size 53", "from 54 bytes on"},
		{"a --size 61 --latency", "from 62 bytes on"},
		{"a --size 64 --protocol tcp", "from 66 bytes on"},
		{"a --size 1515", "up to 1514"},
		{"a --size 1518 --vlan 5 --mtu 1499", "up to 1517"},
		{"a --protocol sctp", "udp or tcp"},
		{"a --close maybe --protocol tcp", "fin or rst"},
		{"a --spread butter", "source, destination or port"},
		{"a --flows 0", "a number from 1"},
		{"a --flows -1", "a number from 1"},
		{"a --flows 1x", "a number from 1"},
		{"a --queues 4", "at least as many as --queues"},
		{"a --queues 33", "a number from 1 to 32"},
		{"a --ring-size 100", "a power of two"},
		{"a --ring-size 2048", "from 16 to 1024"},
		{"a --receive-buffer 1", "--receive-buffer"},
		{"a --tso 100K", "up to 64K"},
		{"a --tso 64K --protocol udp", "only TCP is segmented"},
		{"a --mss 1000", "--mss is of --tso"},
		{"a --handshake", "give --protocol tcp"},
		{"a --close rst", "give --protocol tcp"},
		{"a --both-ways", "two sockets"},
		{"a b --echo", "one socket"},
		{"a --echo --receive-only", "one of them"},
		{"a --echo --rate 5", "leave --latency, --rate"},
		{"a b --receive-only", "one socket"},
		{"a --dhcp --source-ip 10.0.0.1", "leave --source-ip"},
		{"a b --dhcp --destination-ip 10.0.0.1", "leave --destination-ip"},
		{"a --dhcp --destination-ip ::2", "is for IPv4"},
		{"a --gateway 10.0.0.1", "give both"},
		{"a --gateway-mac 02:00:00:00:00:09 --arp", "needs no --arp"},
		{"a --arp --gateway 10.0.0.1,x", "an IPv4 or IPv6 address"},
		{"a --arp --gateway ::1", "both be IPv4, or both IPv6"},
		{"a --source-ip ::1 --destination-ip 10.0.0.1", "both be IPv4, or both IPv6"},
		{"a --source-ip 10.0.0", "an IPv4 or IPv6 address"},
		{"a --source-mac 01:00:5e:00:00:01", "the MAC address of one NIC"},
		{"a --vlan 4095", "from 1 to 4094"},
		{"a --destination-port 65536", "from 1 to 65535"},
		{"a --duration 0", "from 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bench_net_options o;
		char text[TEXT_SIZE];

		assert_int_equal(parse_and_hear(&o, wrong[i].line, stderr, text), BENCH_NET_WRONG);
		if (strstr(text, wrong[i].says) == NULL)
			fail_msg("'%s' says '%s'", wrong[i].line, text);
		assert_non_null(strstr(text, "bench net: "));
	}
}

static void test_with_json_errors_are_objects(void **state)
{
	struct bench_net_options o;
	char text[TEXT_SIZE];

	(void)state;
	assert_int_equal(parse_and_hear(&o, "--json", stdout, text), BENCH_NET_WRONG);
	assert_non_null(strstr(text, "{\"error\":{\"code\":\"usage\",\"message\":\"SOCKET is missing"));
}

static void test_help(void **state)
{
	struct bench_net_options o;
	char text[TEXT_SIZE];

	(void)state;
	assert_int_equal(parse_and_hear(&o, "--help", stdout, text), BENCH_NET_HELP);
	assert_non_null(strstr(text, "Usage: outboard bench net SOCKET [SOCKET2]"));
	assert_non_null(strstr(text, "Examples"));
	for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1)
		assert_true(strchr(line, '\n') - line <= 88);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_what_is_given_is_taken),
		cmocka_unit_test(test_smallest_frames),
		cmocka_unit_test(test_nonsense_is_refused_with_advice),
		cmocka_unit_test(test_with_json_errors_are_objects),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
