/*
 * A packet in words, for traces:
 *
 *	tcp|udp|icmp|PROTOCOL DESTINATION[:PORT] [syn ack fin rst psh] [echo] [df] [size BYTES] [ttl N] [from ADDRESS[:PORT]]
 *
 * What is not said is what a guest would send: a SYN, an echo request, from its first address, to its gateway's MAC.
 */
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "vpc/checksum.h"
#include "vpc/parse.h"
#include "vpc/pipeline.h"

enum { SOURCE_PORT_DEFAULT = 49152, TTL_DEFAULT = 64, SIZE_MAX_BYTES = 9216, TEXT_BYTES = 256, TCP_SYN = 2 };

struct wanted {
	uint8_t protocol, ttl, tcp_flags;
	bool dont_fragment;
	uint32_t bytes; /* of IP; 0: as many as the headers have */
	struct net_address source, destination;
	uint16_t source_port, destination_port; /* host order; 0: none said */
	bool has_source;
};

static int number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *out <= max ? 0 : -EINVAL;
}

/* "10.0.1.5", "10.0.1.5:80", "fd00::5", "[fd00::5]:443" */
static int parse_place(const char *text, struct net_address *address, uint16_t *port)
{
	char copy[TEXT_BYTES], *host = copy, *colon = NULL;
	unsigned long value;

	*port = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	if (copy[0] == '[') {
		char *bracket = strchr(copy, ']');

		if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
			return -EINVAL;
		host = copy + 1;
		colon = bracket[1] == ':' ? bracket + 1 : NULL;
		*bracket = '\0';
	} else if (strchr(copy, ':') != NULL && strchr(copy, ':') == strrchr(copy, ':')) {
		colon = strchr(copy, ':');
	}
	if (colon != NULL) {
		*colon = '\0';
		if (number(colon + 1, 65535, &value) != 0)
			return -EINVAL;
		*port = (uint16_t)value;
	}
	return net_address_parse(host, address);
}

static int parse_protocol(const char *word, uint8_t *out)
{
	unsigned long value;

	if (strcmp(word, "tcp") == 0)
		*out = IPPROTO_TCP;
	else if (strcmp(word, "udp") == 0)
		*out = IPPROTO_UDP;
	else if (strcmp(word, "icmp") == 0 || strcmp(word, "icmpv6") == 0)
		*out = IPPROTO_ICMP; /* of the destination's family */
	else if (number(word, 255, &value) == 0)
		*out = (uint8_t)value;
	else
		return -EINVAL;
	return 0;
}

static bool parse_flag(const char *word, uint8_t *flags)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(word, names[i]) == 0) {
			*flags |= (uint8_t)(1 << i);
			return true;
		}
	return false;
}

/* Words behind the destination. */
static int parse_word(struct wanted *w, const char *word, char **rest, char *error, size_t error_size)
{
	const char *value;
	unsigned long n;

	if ((w->protocol == IPPROTO_TCP && parse_flag(word, &w->tcp_flags)) ||
	    (w->protocol == IPPROTO_ICMP && strcmp(word, "echo") == 0))
		return 0;
	if (strcmp(word, "df") == 0) {
		w->dont_fragment = true;
		return 0;
	}
	value = strcmp(word, "from") == 0 || strcmp(word, "size") == 0 || strcmp(word, "ttl") == 0 ? strtok_r(NULL, " ,\t", rest)
												   : NULL;
	if (value != NULL && word[0] == 'f' && parse_place(value, &w->source, &w->source_port) == 0)
		w->has_source = true;
	else if (value != NULL && word[0] == 's' && number(value, SIZE_MAX_BYTES, &n) == 0)
		w->bytes = (uint32_t)n;
	else if (value != NULL && word[0] == 't' && number(value, 255, &n) == 0)
		w->ttl = (uint8_t)n;
	else {
		snprintf(error, error_size, "'%s%s%s' is not understood", word, value != NULL ? " " : "",
			 value != NULL ? value : "");
		return -EINVAL;
	}
	return 0;
}

static int parse_words(struct wanted *w, const char *text, char *error, size_t error_size)
{
	char copy[TEXT_BYTES], *rest = NULL, *word;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
		snprintf(error, error_size, "a packet is described in at most %d characters", TEXT_BYTES - 1);
		return -EINVAL;
	}
	word = strtok_r(copy, " ,\t", &rest);
	if (word == NULL || parse_protocol(word, &w->protocol) != 0) {
		snprintf(error, error_size,
			 "a packet begins with tcp, udp, icmp or a protocol's number, as in 'tcp 10.0.1.5:80 syn'");
		return -EINVAL;
	}
	word = strtok_r(NULL, " ,\t", &rest);
	if (word == NULL || parse_place(word, &w->destination, &w->destination_port) != 0) {
		snprintf(error, error_size, "'%s' is no destination, as 10.0.1.5:80 or [fd00::5]:443 are",
			 word != NULL ? word : "");
		return -EINVAL;
	}
	while ((word = strtok_r(NULL, " ,\t", &rest)) != NULL)
		if (parse_word(w, word, &rest, error, error_size) != 0)
			return -EINVAL;
	return 0;
}

static int complete(struct wanted *w, const struct policy_endpoint *from, char *error, size_t error_size)
{
	bool v4 = net_address_is_v4(&w->destination);

	for (unsigned i = 0; i < from->address_count && !w->has_source; i++)
		if (net_address_is_v4(&from->addresses[i]) == v4) {
			w->source = from->addresses[i];
			w->has_source = true;
		}
	if (!w->has_source || net_address_is_v4(&w->source) != v4) {
		snprintf(error, error_size, "%s has no %s address to send from", from->name, v4 ? "IPv4" : "IPv6");
		return -EINVAL;
	}
	if ((w->protocol == IPPROTO_TCP || w->protocol == IPPROTO_UDP) && w->destination_port == 0) {
		snprintf(error, error_size, "a destination of TCP and UDP has a port, as in 10.0.1.5:80");
		return -EINVAL;
	}
	if (w->protocol == IPPROTO_ICMP && !v4)
		w->protocol = IPPROTO_ICMPV6;
	if (w->source_port == 0)
		w->source_port = SOURCE_PORT_DEFAULT;
	if (w->tcp_flags == 0)
		w->tcp_flags = TCP_SYN;
	return 0;
}

static void write_upper(const struct wanted *w, uint8_t *l4, uint32_t payload_bytes)
{
	switch (w->protocol) {
	case IPPROTO_TCP:
		l4[12] = TCP_BYTES / 4 << 4;
		l4[13] = w->tcp_flags;
		put_be16(l4 + 14, UINT16_MAX);
		break;
	case IPPROTO_UDP:
		put_be16(l4 + 4, (uint16_t)(UDP_BYTES + payload_bytes));
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		l4[0] = w->protocol == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		put_be16(l4 + 4, w->source_port);
		return;
	default:
		return;
	}
	put_be16(l4, w->source_port);
	put_be16(l4 + 2, w->destination_port);
}

static void write_ip(const struct wanted *w, uint8_t *ip, uint32_t bytes)
{
	if (net_address_is_v4(&w->destination)) {
		ip[0] = 0x45;
		put_be16(ip + 2, (uint16_t)bytes);
		ip[6] = w->dont_fragment ? 0x40 : 0;
		ip[8] = w->ttl;
		ip[9] = w->protocol;
		memcpy(ip + 12, &w->source.word[3], 4);
		memcpy(ip + 16, &w->destination.word[3], 4);
		checksum_store(ip + 10, (uint16_t)~checksum_of(ip, IPV4_BYTES));
		return;
	}
	ip[0] = 0x60;
	put_be16(ip + 4, (uint16_t)(bytes - IPV6_BYTES));
	ip[6] = w->protocol;
	ip[7] = w->ttl;
	memcpy(ip + 8, w->source.bytes, 16);
	memcpy(ip + 24, w->destination.bytes, 16);
}

static uint32_t upper_bytes(uint8_t protocol)
{
	if (protocol == IPPROTO_TCP)
		return TCP_BYTES;
	return protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? UDP_BYTES : 0;
}

static void build(const struct wanted *w, const struct policy_endpoint *from, struct packet *out)
{
	static const uint8_t payload[SIZE_MAX_BYTES];
	static const struct iovec tail = {.iov_base = (void *)(uintptr_t)payload, .iov_len = sizeof(payload)};
	uint32_t ip_bytes = net_address_is_v4(&w->destination) ? IPV4_BYTES : IPV6_BYTES;
	uint32_t headers = ip_bytes + upper_bytes(w->protocol), bytes = w->bytes > headers ? w->bytes : headers;
	uint8_t *frame = out->head;

	memset(frame, 0, PACKET_HEAD_MIN_BYTES);
	memcpy(frame, from->subnet->gateway_mac.bytes, 6);
	memcpy(frame + 6, from->mac.bytes, 6);
	put_be16(frame + 12, net_address_is_v4(&w->destination) ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	write_ip(w, frame + ETHER_BYTES, bytes);
	write_upper(w, frame + ETHER_BYTES + ip_bytes, bytes - headers);
	out->head_bytes = (uint16_t)(bytes + ETHER_BYTES < PACKET_HEAD_MIN_BYTES ? bytes + ETHER_BYTES : PACKET_HEAD_MIN_BYTES);
	out->tail_bytes = bytes + ETHER_BYTES - out->head_bytes;
	out->tail = &tail;
	out->tail_count = out->tail_bytes > 0;
	out->flags = PACKET_CSUM_VALID;
	out->gso = PACKET_GSO_NONE;
}

int trace_packet_parse(const char *text, const struct policy_endpoint *from, struct packet *out, char *error, size_t error_size)
{
	struct wanted w = {.ttl = TTL_DEFAULT};

	if (parse_words(&w, text, error, error_size) != 0 || complete(&w, from, error, error_size) != 0)
		return -EINVAL;
	build(&w, from, out);
	return 0;
}
