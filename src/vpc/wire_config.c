/* "address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=veth0": devargs have commas and '=', so fields are parted by
 * ';', and `device` comes last or not: all but it are short. */
#include "vpc/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MTU_MIN = 1280 /* RFC 8200 5 */, MTU_MAX = 65000 };
enum { FIELD_SIZE = sizeof(((struct wire_config *)NULL)->device) };

static int refuse(char *error, size_t error_size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *error, size_t error_size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, error_size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* An address with the length of its network: host bits are its point, so it is no prefix in net_prefix_parse()'s sense. */
static int address_parse(const char *value, struct net_prefix *out, char *error, size_t error_size)
{
	const char *slash = strchr(value, '/');
	char address[NET_ADDRESS_TEXT_SIZE];
	unsigned length, max;
	int end = 0;

	if (slash == NULL || (size_t)(slash - value) >= sizeof(address))
		return refuse(error, error_size, "address=%s: it is written like 192.0.2.1/24 or 2001:db8::1/64", value);
	memcpy(address, value, (size_t)(slash - value));
	address[slash - value] = '\0';
	if (net_address_parse(address, &out->address) != 0)
		return refuse(error, error_size, "address=%s: %s is not an IPv4 or IPv6 address", value, address);
	max = net_address_is_v4(&out->address) ? 32 : 128;
	if (slash[1] < '0' || slash[1] > '9' || sscanf(slash + 1, "%3u%n", &length, &end) != 1 || slash[1 + end] != '\0' ||
	    length == 0 || length > max)
		return refuse(error, error_size, "address=%s: the length of its network is between 1 and %u", value, max);
	out->length = (uint8_t)(length + 128 - max);
	return 0;
}

static bool is_unicast(const struct net_address *a)
{
	static const struct net_address none;
	bool v4 = net_address_is_v4(a);

	if (net_address_equal(a, &none) || (v4 && (a->bytes[12] == 0 || a->bytes[12] >= 224)))
		return false;
	return v4 || a->bytes[0] != 0xff;
}

static int mtu_parse(const char *value, uint16_t *out, char *error, size_t error_size)
{
	unsigned mtu;
	int end = 0;

	if (value[0] < '0' || value[0] > '9' || sscanf(value, "%6u%n", &mtu, &end) != 1 || value[end] != '\0' || mtu < MTU_MIN ||
	    mtu > MTU_MAX)
		return refuse(error, error_size, "mtu=%s: it is between %d and %d", value, MTU_MIN, MTU_MAX);
	*out = (uint16_t)mtu;
	return 0;
}

static int field_set(struct wire_config *c, const char *key, const char *value, char *error, size_t error_size)
{
	if (strcmp(key, "address") == 0) {
		if (c->address.length != 0)
			return refuse(error, error_size, "address= is there twice: a wire has one");
		return address_parse(value, &c->address, error, error_size);
	}
	if (strcmp(key, "gateway") == 0) {
		if (c->has_gateway)
			return refuse(error, error_size, "gateway= is there twice: a wire has one");
		c->has_gateway = true;
		if (net_address_parse(value, &c->gateway) != 0)
			return refuse(error, error_size, "gateway=%s: it is not an IPv4 or IPv6 address", value);
		return 0;
	}
	if (strcmp(key, "gateway-mac") == 0) {
		if (c->has_gateway_mac)
			return refuse(error, error_size, "gateway-mac= is there twice: a wire has one gateway");
		c->has_gateway_mac = true;
		if (mac_parse(value, &c->gateway_mac) != 0)
			return refuse(error, error_size,
				      "gateway-mac=%s: it is not the MAC address of a neighbour, such as 02:00:00:00:00:01", value);
		return 0;
	}
	if (strcmp(key, "mtu") == 0) {
		if (c->mtu != 0)
			return refuse(error, error_size, "mtu= is there twice: a wire has one");
		return mtu_parse(value, &c->mtu, error, error_size);
	}
	if (strcmp(key, "device") != 0)
		return refuse(error, error_size, "%s=: a wire has address=, gateway=, gateway-mac=, mtu= and device=", key);
	if (c->device[0] != '\0')
		return refuse(error, error_size, "device= is there twice: a wire has one");
	if (value[0] == '\0')
		return refuse(error, error_size, "device= is empty: name a DPDK device, such as net_af_packet0,iface=eth1");
	memcpy(c->device, value, strlen(value) + 1);
	return 0;
}

static int whole_check(const struct wire_config *c, char *error, size_t error_size)
{
	struct net_prefix network = c->address;

	if (c->address.length == 0)
		return refuse(error, error_size, "address= is missing: the card's own address on that wire, such as 192.0.2.1/24");
	if (c->device[0] == '\0')
		return refuse(error, error_size, "device= is missing: a DPDK device, such as net_af_packet0,iface=eth1");
	if (!is_unicast(&c->address.address))
		return refuse(error, error_size, "address=: it is not an address that a host can have");
	if (!c->has_gateway && c->has_gateway_mac)
		return refuse(error, error_size, "gateway-mac= is of no use without gateway=");
	if (!c->has_gateway)
		return 0;
	for (unsigned bit = network.length; bit < 128; bit++)
		network.address.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	if (net_address_is_v4(&c->gateway) != net_address_is_v4(&c->address.address) || !net_prefix_contains(&network, &c->gateway))
		return refuse(error, error_size, "gateway=: it is not in the network of address=, so nobody can reach it");
	if (net_address_equal(&c->gateway, &c->address.address))
		return refuse(error, error_size, "gateway=: it is the wire's own address");
	return 0;
}

int wire_config_parse(const char *text, struct wire_config *out, char *error, size_t error_size)
{
	char field[FIELD_SIZE + sizeof("device=")];
	struct wire_config c = {0};
	int rc;

	for (const char *at = text; *at != '\0';) {
		size_t size = strcspn(at, ";");
		char *equals;

		if (size >= sizeof(field))
			return refuse(error, error_size, "a field of more than %d characters", FIELD_SIZE - 1);
		memcpy(field, at, size);
		field[size] = '\0';
		at += size + (at[size] == ';');
		equals = strchr(field, '=');
		if (equals == NULL)
			return refuse(error, error_size, "\"%s\": fields are written key=value, with ';' between them", field);
		*equals = '\0';
		if (strlen(equals + 1) >= FIELD_SIZE)
			return refuse(error, error_size, "a field of more than %d characters", FIELD_SIZE - 1);
		rc = field_set(&c, field, equals + 1, error, error_size);
		if (rc != 0)
			return rc;
	}
	rc = whole_check(&c, error, error_size);
	if (rc == 0)
		*out = c;
	return rc;
}
