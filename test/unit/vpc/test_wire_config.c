#include "../cmocka_all.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vpc/wire.h"

static void test_good(void **state)
{
	struct wire_config c;
	char error[200], text[NET_ADDRESS_TEXT_SIZE];

	(void)state;
	assert_int_equal(wire_config_parse("address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=veth0", &c, error,
					   sizeof(error)),
			 0);
	net_address_format(&c.address.address, text);
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(c.address.length, 96 + 24);
	assert_true(c.has_gateway);
	net_address_format(&c.gateway, text);
	assert_string_equal(text, "192.0.2.254");
	assert_string_equal(c.device, "net_af_packet0,iface=veth0");
	assert_false(c.has_gateway_mac);
	assert_int_equal(wire_config_parse("address=192.0.2.1/24;gateway=192.0.2.254;gateway-mac=02:00:00:00:00:fe;device=x", &c,
					   error, sizeof(error)),
			 0);
	assert_true(c.has_gateway_mac);
	assert_int_equal(c.gateway_mac.bytes[5], 0xfe);

	assert_int_equal(wire_config_parse("device=0000:3b:00.0;address=2001:db8::1/64;", &c, error, sizeof(error)), 0);
	assert_int_equal(c.address.length, 64);
	assert_false(c.has_gateway);
	assert_int_equal(c.mtu, 0);
	assert_string_equal(c.device, "0000:3b:00.0");
	assert_int_equal(wire_config_parse("device=x;address=192.0.2.0/31;gateway=192.0.2.1", &c, error, sizeof(error)), 0);
	assert_int_equal(wire_config_parse("device=x;address=192.0.2.1/32;mtu=9000", &c, error, sizeof(error)), 0);
	assert_int_equal(c.mtu, 9000);
}

/* Each with a word of the sentence that says why; nothing is written then. */
static void test_bad(void **state)
{
	static const char *const cases[][2] = {
		{"", "address= is missing"},
		{"address=192.0.2.1/24", "device= is missing"},
		{"device=x", "address= is missing"},
		{"address=192.0.2.1;device=x", "written like"},
		{"address=/24;device=x", "not an IPv4"},
		{"address=192.0.2.1/;device=x", "between 1 and 32"},
		{"address=192.0.2.1/0;device=x", "between 1 and 32"},
		{"address=192.0.2.1/33;device=x", "between 1 and 32"},
		{"address=192.0.2.1/-1;device=x", "between 1 and 32"},
		{"address=192.0.2.1/ 8;device=x", "between 1 and 32"},
		{"address=192.0.2.1/24x;device=x", "between 1 and 32"},
		{"address=2001:db8::1/129;device=x", "between 1 and 128"},
		{"address=192.0.2.1/9999999999;device=x", "between 1 and 32"},
		{"address=nonsense-that-is-longer-than-any-address-can-possibly-be-written/24;device=x", "written like"},
		{"address=224.0.0.1/24;device=x", "a host can have"},
		{"address=0.0.0.0/24;device=x", "a host can have"},
		{"address=::/64;device=x", "a host can have"},
		{"address=ff02::1/64;device=x", "a host can have"},
		{"address=192.0.2.1/24;address=192.0.2.2/24;device=x", "address= is there twice"},
		{"address=192.0.2.1/24;device=x;device=y", "device= is there twice"},
		{"address=192.0.2.1/24;device=", "device= is empty"},
		{"address=192.0.2.1/24;device=x;gateway=192.0.3.1", "nobody can reach"},
		{"address=192.0.2.1/24;device=x;gateway=2001:db8::1", "nobody can reach"},
		{"address=192.0.2.1/24;device=x;gateway=192.0.2.1", "own address"},
		{"address=192.0.2.1/24;device=x;gateway=router", "not an IPv4"},
		{"address=192.0.2.1/24;device=x;gateway=192.0.2.3;gateway=192.0.2.4", "gateway= is there twice"},
		{"address=192.0.2.1/24;device=x;gateway=192.0.2.3;gateway-mac=01:00:00:00:00:01", "MAC address of a neighbour"},
		{"address=192.0.2.1/24;device=x;gateway-mac=02:00:00:00:00:01", "of no use without"},
		{"address=192.0.2.1/24;device=x;gateway-mac=02:00:00:00:00:01;gateway-mac=02:00:00:00:00:01", "twice"},
		{"address=192.0.2.1/24;device=x;speed=10", "speed=: a wire has"},
		{"address=192.0.2.1/24;device=x;mtu=1279", "between 1280 and 65000"},
		{"address=192.0.2.1/24;device=x;mtu=65001", "between 1280 and 65000"},
		{"address=192.0.2.1/24;device=x;mtu=1500k", "between 1280 and 65000"},
		{"address=192.0.2.1/24;device=x;mtu=", "between 1280 and 65000"},
		{"address=192.0.2.1/24;device=x;mtu=1500;mtu=1500", "mtu= is there twice"},
		{"address=192.0.2.1/24;device", "key=value"},
		{";;address=192.0.2.1/24;device=x", "key=value"},
	};
	struct wire_config c, before;
	char error[200];

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c = before;
		assert_int_equal(wire_config_parse(cases[i][0], &c, error, sizeof(error)), -EINVAL);
		if (strstr(error, cases[i][1]) == NULL)
			fail_msg("%s: %s", cases[i][0], error);
		assert_memory_equal(&c, &before, sizeof(c));
	}
}

static void test_long(void **state)
{
	struct wire_config c;
	char text[1200] = "address=192.0.2.1/24;device=", error[60];
	size_t start = strlen(text);

	(void)state;
	memset(text + start, 'x', sizeof(c.device) - 1);
	assert_int_equal(wire_config_parse(text, &c, error, sizeof(error)), 0);
	assert_int_equal(strlen(c.device), sizeof(c.device) - 1);
	for (size_t more = 0; more < 20; more++) {
		text[start + sizeof(c.device) - 1 + more] = 'x';
		assert_int_equal(wire_config_parse(text, &c, error, sizeof(error)), -EINVAL);
	}
	memset(text, 'y', sizeof(text) - 1);
	assert_int_equal(wire_config_parse(text, &c, error, sizeof(error)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_long)};

	return cmocka_run_group_tests_name("vpc wire_config", tests, NULL, NULL);
}
