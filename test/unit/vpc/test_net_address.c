#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/net_address.h"

static struct net_address address_of(const char *text)
{
	struct net_address a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct net_prefix prefix_of(const char *text)
{
	struct net_prefix p;

	assert_int_equal(net_prefix_parse(text, &p), 0);
	return p;
}

static void test_addresses(void **state)
{
	static const char *const same[] = {
		"0.0.0.0", "10.0.1.5", "255.255.255.255", "::", "::1", "fd00::5", "2001:db8:1:2:3:4:5:6"};
	static const char *const bad[] = {"",	     "10.0.0",	 "10.0.0.256",	"10.0.0.1 ",	" ::1",
					  "fd00::g", "fd00:::1", "10.0.0.1/24", "1:2:3:4:5:6:7"};
	char text[NET_ADDRESS_TEXT_SIZE];
	struct net_address a;

	(void)state;
	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		a = address_of(same[i]);
		assert_int_equal(net_address_is_v4(&a), strchr(same[i], ':') == NULL);
		net_address_format(&a, text);
		assert_string_equal(text, same[i]);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(net_address_parse(bad[i], &a), -EINVAL);
}

/* RFC 4291 2.5.5.2: bytes as they are compared and hashed everywhere. */
static void test_mapped(void **state)
{
	static const uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 1, 5};
	struct net_address parsed = address_of("10.0.1.5"), mapped = address_of("::ffff:10.0.1.5");
	struct net_address made = net_address_v4(htonl(0x0a000105)), other = address_of("10.0.1.4");

	(void)state;
	assert_memory_equal(parsed.bytes, bytes, 16);
	assert_memory_equal(made.bytes, bytes, 16);
	assert_true(net_address_equal(&parsed, &made));
	assert_true(net_address_equal(&parsed, &mapped));
	assert_false(net_address_equal(&parsed, &other));
	other = parsed;
	other.bytes[0] = 1;
	assert_false(net_address_equal(&parsed, &other));
	assert_false(net_address_is_v4(&other));
}

static void test_prefixes(void **state)
{
	static const char *const same[] = {"0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/25",	"10.0.1.5/32", "255.255.255.254/31",
					   "::/0",	"fd00::/64",  "fd00::8000/113", "fd00::5/128", "8000::/1"};
	static const char *const bad[] = {"",
					  "/",
					  "10.0.0.0",
					  "10.0.0.0/",
					  "10.0.0.0/33",
					  "10.0.0.0/-1",
					  "10.0.0.0/+1",
					  "10.0.0.0/ 8",
					  "10.0.0.0/8 ",
					  "10.0.0.0/8x",
					  "10.0.0.1/31",
					  "10.0.128.0/16",
					  "128.0.0.0/0",
					  "fd00::/129",
					  "fd00::1/64",
					  "fd00::8000/112",
					  "10.0.0/8",
					  "fd00::g/64",
					  "/24",
					  "10.0.0.0/99999999999999999999",
					  "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64"};
	char text[NET_PREFIX_TEXT_SIZE];
	struct net_prefix p;

	(void)state;
	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		p = prefix_of(same[i]);
		net_prefix_format(&p, text);
		assert_string_equal(text, same[i]);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(net_prefix_parse(bad[i], &p), -EINVAL);
	p = prefix_of("10.0.0.0/8");
	assert_int_equal(p.length, 104);
}

static void assert_contains(const char *prefix, const char *address, bool contains)
{
	struct net_prefix p = prefix_of(prefix);
	struct net_address a = address_of(address);

	assert_int_equal(net_prefix_contains(&p, &a), contains);
}

static void test_contains(void **state)
{
	(void)state;
	assert_contains("10.0.0.0/8", "10.255.255.255", true);
	assert_contains("10.0.0.0/8", "11.0.0.0", false);
	assert_contains("10.0.1.0/25", "10.0.1.127", true);
	assert_contains("10.0.1.0/25", "10.0.1.128", false);
	assert_contains("10.0.1.5/32", "10.0.1.5", true);
	assert_contains("10.0.1.5/32", "10.0.1.4", false);
	assert_contains("0.0.0.0/0", "203.0.113.9", true);
	assert_contains("0.0.0.0/0", "fd00::1", false); /* each family has its own default */
	assert_contains("::/0", "fd00::1", true);
	assert_contains("::/0", "10.0.0.1", false);
	assert_contains("fd00::/63", "fd00:0:0:1::1", true);
	assert_contains("fd00::/63", "fd00:0:0:2::1", false);
	assert_contains("fd00::5/128", "fd00::5", true);
	assert_contains("fd00::4/127", "fd00::5", true);
	assert_contains("fd00::4/127", "fd00::6", false);
}

static void test_overlaps(void **state)
{
	static const struct {
		const char *one, *other;
		bool overlap;
	} cases[] = {
		{"10.0.0.0/8", "10.1.0.0/16", true},	 {"10.0.0.0/8", "10.0.0.0/8", true}, {"10.0.0.0/9", "10.128.0.0/9", false},
		{"0.0.0.0/0", "203.0.113.9/32", true},	 {"0.0.0.0/0", "::/0", false},	     {"::/0", "fd00::/64", true},
		{"fd00::/64", "fd00:0:0:1::/64", false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_prefix one = prefix_of(cases[i].one), other = prefix_of(cases[i].other);

		assert_int_equal(net_prefix_overlaps(&one, &other), cases[i].overlap);
		assert_int_equal(net_prefix_overlaps(&other, &one), cases[i].overlap);
	}
}

static void test_nth(void **state)
{
	struct net_prefix four = prefix_of("10.0.1.0/24"), six = prefix_of("fd00::/64");
	struct net_address a;
	char text[NET_ADDRESS_TEXT_SIZE];

	(void)state;
	a = net_prefix_nth(&four, 0);
	assert_true(net_address_equal(&a, &four.address));
	a = net_prefix_nth(&four, 255);
	net_address_format(&a, text);
	assert_string_equal(text, "10.0.1.255");
	a = net_prefix_nth(&six, 0x12345);
	net_address_format(&a, text);
	assert_string_equal(text, "fd00::1:2345");
}

static void test_macs(void **state)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:0",
					  "02:00:00:00:00:05:",
					  "02-00-00-00-00-05",
					  "02:00:00:00:00:0g",
					  "02: 0:00:00:00:05",
					  "02:+1:00:00:00:05",
					  "02:-1:00:00:00:05",
					  "02:0x:00:00:00:05",
					  "00:00:00:00:00:00",
					  "01:00:5e:00:00:01",
					  "ff:ff:ff:ff:ff:ff"};
	char text[MAC_TEXT_SIZE];
	struct mac m, n;

	(void)state;
	assert_int_equal(mac_parse("02:aB:00:99:00:05", &m), 0);
	mac_format(&m, text);
	assert_string_equal(text, "02:ab:00:99:00:05");
	assert_int_equal(mac_parse(text, &n), 0);
	assert_true(mac_equal(&m, &n));
	n.bytes[5] = 6;
	assert_false(mac_equal(&m, &n));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mac_parse(bad[i], &m), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_mapped),   cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_contains),  cmocka_unit_test(test_overlaps), cmocka_unit_test(test_nth),
		cmocka_unit_test(test_macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
