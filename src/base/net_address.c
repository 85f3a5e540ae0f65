#include "base/net_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t mask_of(uint8_t bits)
{
	return (uint8_t)(0xff00 >> bits);
}

bool net_prefix_contains(const struct net_prefix *p, const struct net_address *a)
{
	unsigned whole = p->length / 8, rest = p->length % 8;

	if (net_prefix_is_v4(p) != net_address_is_v4(a) || memcmp(p->address.bytes, a->bytes, whole) != 0)
		return false;
	return rest == 0 || ((p->address.bytes[whole] ^ a->bytes[whole]) & mask_of((uint8_t)rest)) == 0;
}

bool net_prefix_overlaps(const struct net_prefix *p, const struct net_prefix *q)
{
	if (net_prefix_is_v4(p) != net_prefix_is_v4(q))
		return false;
	return p->length <= q->length ? net_prefix_contains(p, &q->address) : net_prefix_contains(q, &p->address);
}

struct net_address net_prefix_nth(const struct net_prefix *p, uint32_t n)
{
	struct net_address a = p->address;

	a.word[3] = htonl(ntohl(a.word[3]) + n);
	return a;
}

void net_address_format(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE])
{
	if (net_address_is_v4(a))
		inet_ntop(AF_INET, &a->word[3], text, NET_ADDRESS_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, a->bytes, text, NET_ADDRESS_TEXT_SIZE);
}

int net_address_parse(const char *text, struct net_address *out)
{
	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = net_address_v4(v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, out->bytes) == 1 ? 0 : -EINVAL;
}

void net_prefix_format(const struct net_prefix *p, char text[NET_PREFIX_TEXT_SIZE])
{
	char address[NET_ADDRESS_TEXT_SIZE];

	net_address_format(&p->address, address);
	snprintf(text, NET_PREFIX_TEXT_SIZE, "%s/%u", address, net_prefix_is_v4(p) ? p->length - 96u : p->length);
}

int net_prefix_parse(const char *text, struct net_prefix *out)
{
	const char *slash = strchr(text, '/');
	char address[NET_ADDRESS_TEXT_SIZE], *end;
	struct net_prefix p;
	unsigned long length;
	unsigned whole;
	bool v4;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address) || slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	v4 = strchr(address, ':') == NULL;
	length = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || length > (v4 ? 32 : 128) || net_address_parse(address, &p.address) < 0)
		return -EINVAL;
	p.length = (uint8_t)(v4 ? length + 96 : length);
	whole = p.length / 8;
	if (whole < 16 && (p.address.bytes[whole] & (uint8_t)~mask_of(p.length % 8)) != 0)
		return -EINVAL;
	for (unsigned i = whole + 1; i < 16; i++)
		if (p.address.bytes[i] != 0)
			return -EINVAL;
	*out = p;
	return 0;
}

void mac_format(const struct mac *m, char text[MAC_TEXT_SIZE])
{
	const uint8_t *b = m->bytes;

	snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

int mac_parse(const char *text, struct mac *out)
{
	static const struct mac zero;
	struct mac m;
	char *end;

	if (strlen(text) != MAC_TEXT_SIZE - 1)
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++) {
		unsigned long byte = strtoul(text + 3 * i, &end, 16);

		if (end != text + 3 * i + 2 || *end != (i < 5 ? ':' : '\0') || text[3 * i] == '+' || text[3 * i] == '-' ||
		    text[3 * i] == ' ')
			return -EINVAL;
		m.bytes[i] = (uint8_t)byte;
	}
	if ((m.bytes[0] & 1) != 0 || mac_equal(&m, &zero))
		return -EINVAL;
	*out = m;
	return 0;
}
