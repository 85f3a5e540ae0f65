/*
 * The metadata service: HTTP without a connection.
 *
 * TCP is spoken without state: the SYN is answered with a cookie as sequence number (RFC 4987, 3.6), a segment whose acknowledgement
 * is cookie + 1 holds the whole request, and is answered by one segment with the whole answer and FIN. A request that is sent again is
 * answered again, the client's FIN is acknowledged, and everything else is nobody's: RST. So a guest that floods the service costs
 * what its link-local allowance lets through, and no memory.
 *
 * Paths are those of the EC2 instance metadata service, so that cloud-init finds what it looks for. Tokens (PUT /latest/api/token) are
 * given to those who ask; a request that shows one must show the right one.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vpc/responder_internal.h"

enum {
	COOKIE_PERIOD_S = 64,
	BODY_MAX_BYTES = 768,
	PATH_MAX_BYTES = 256,
	TOKEN_TEXT_SIZE = 33,
};

/* ---- TCP ---- */

static uint32_t cookie(const struct asked *a, uint64_t period)
{
	const struct packet_layers *l = a->layers;
	uint64_t ports = (uint64_t)l->source_port << 16 | l->destination_port;

	return (uint32_t)responder_hash(a->facts->cookie_key, l->source.pair[1] ^ l->destination.pair[1], ports ^ period << 32);
}

static bool acknowledges_cookie(const struct asked *a, uint32_t after)
{
	uint64_t period = a->now_ns / UINT64_C(1000000000) / COOKIE_PERIOD_S;
	uint32_t ack = a->layers->tcp_ack - after;

	return ack == cookie(a, period) || (period > 0 && ack == cookie(a, period - 1));
}

static enum responder_result segment(const struct asked *a, struct packet *out, uint8_t flags, uint32_t seq, uint32_t ack,
				     uint32_t payload_bytes)
{
	struct answer_to to = answer_back(a);
	struct answer_tcp tcp = {.seq = seq, .ack = ack, .flags = flags};

	if ((flags & TH_SYN) != 0)
		tcp.mss = (uint16_t)(a->layers->family == 4 ? 1400 : 1380);
	answer_tcp(a, &to, out, &tcp, payload_bytes);
	return RESPONDER_ANSWER;
}

/* ---- what is served ---- */

static int print_mac(const struct responder_facts *f, char *body)
{
	char text[MAC_TEXT_SIZE];

	mac_format(&f->mac, text);
	return snprintf(body, BODY_MAX_BYTES, "%s", text);
}

static int print_macs(const struct responder_facts *f, char *body)
{
	int length = print_mac(f, body);

	return length + snprintf(body + length, (size_t)(BODY_MAX_BYTES - length), "/");
}

static int print_addresses(const struct responder_facts *f, char *body, uint8_t family, unsigned max)
{
	char text[NET_ADDRESS_TEXT_SIZE];
	int length = 0;

	body[0] = '\0';
	for (unsigned i = 0; i < f->address_count && max > 0; i++) {
		if (net_address_is_v4(&f->addresses[i]) != (family == 4))
			continue;
		net_address_format(&f->addresses[i], text);
		length += snprintf(body + length, (size_t)(BODY_MAX_BYTES - length), "%s%s", length > 0 ? "\n" : "", text);
		max--;
	}
	return length > 0 ? length : -1; /* there is none: not found */
}

static int print_ipv4(const struct responder_facts *f, char *body)
{
	return print_addresses(f, body, 4, 1);
}

static int print_ipv4s(const struct responder_facts *f, char *body)
{
	return print_addresses(f, body, 4, UINT8_MAX);
}

static int print_ipv6(const struct responder_facts *f, char *body)
{
	return print_addresses(f, body, 6, 1);
}

static int print_ipv6s(const struct responder_facts *f, char *body)
{
	return print_addresses(f, body, 6, UINT8_MAX);
}

static int print_hostname(const struct responder_facts *f, char *body)
{
	return snprintf(body, BODY_MAX_BYTES, "%s.%s", f->name, f->domain);
}

static int print_id(const struct responder_facts *f, char *body)
{
	return snprintf(body, BODY_MAX_BYTES, "%s", f->instance_id);
}

static int print_device(const struct responder_facts *f, char *body)
{
	(void)f;
	return snprintf(body, BODY_MAX_BYTES, "0");
}

static int print_prefix(const struct net_prefix *prefix, char *body)
{
	char text[NET_PREFIX_TEXT_SIZE];

	if (prefix->length == 0)
		return -1;
	net_prefix_format(prefix, text);
	return snprintf(body, BODY_MAX_BYTES, "%s", text);
}

static int print_subnet4(const struct responder_facts *f, char *body)
{
	return print_prefix(&f->subnet4, body);
}

static int print_subnet6(const struct responder_facts *f, char *body)
{
	return print_prefix(&f->subnet6, body);
}

/* MAC in a path stands for the ENI's own. A directory lists what begins with its path. */
static const struct {
	const char *path;
	int (*print)(const struct responder_facts *facts, char *body); /* length; -1: there is none */
} entries[] = {
	{"latest/meta-data/hostname", print_hostname},
	{"latest/meta-data/instance-id", print_id},
	{"latest/meta-data/ipv6", print_ipv6},
	{"latest/meta-data/local-hostname", print_hostname},
	{"latest/meta-data/local-ipv4", print_ipv4},
	{"latest/meta-data/mac", print_mac},
	{"latest/meta-data/network/interfaces/macs/MAC/device-number", print_device},
	{"latest/meta-data/network/interfaces/macs/MAC/interface-id", print_id},
	{"latest/meta-data/network/interfaces/macs/MAC/ipv6s", print_ipv6s},
	{"latest/meta-data/network/interfaces/macs/MAC/local-hostname", print_hostname},
	{"latest/meta-data/network/interfaces/macs/MAC/local-ipv4s", print_ipv4s},
	{"latest/meta-data/network/interfaces/macs/MAC/mac", print_mac},
	{"latest/meta-data/network/interfaces/macs/MAC/subnet-ipv4-cidr-block", print_subnet4},
	{"latest/meta-data/network/interfaces/macs/MAC/subnet-ipv6-cidr-blocks", print_subnet6},
};

/* The children of a directory, each once; they stand together in the table. -1: no such directory. */
static int print_directory(const struct responder_facts *f, const char *path, char *body)
{
	size_t length = strlen(path);
	const char *last = "";
	size_t last_length = 0;
	int at = 0;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const char *name = entries[i].path + length;
		size_t name_length;

		if (strncmp(entries[i].path, path, length) != 0 || (length > 0 && *name != '/'))
			continue;
		name += length > 0;
		name_length = strcspn(name, "/");
		if (name_length == last_length && strncmp(name, last, name_length) == 0)
			continue;
		last = name;
		last_length = name_length;
		at += snprintf(body + at, (size_t)(BODY_MAX_BYTES - at), "%s", at > 0 ? "\n" : "");
		if (strncmp(name, "MAC/", 4) == 0)
			at += print_macs(f, body + at);
		else
			at += snprintf(body + at, (size_t)(BODY_MAX_BYTES - at), "%.*s%s", (int)name_length, name,
				       name[name_length] == '/' && strcmp(path, "latest") != 0 ? "/" : "");
	}
	return at > 0 ? at : -1;
}

/* Without slashes at either end, and with the ENI's MAC as MAC. */
static void normalise(const struct responder_facts *f, char *path)
{
	char mac[MAC_TEXT_SIZE], *found;
	size_t length;

	memmove(path, path + strspn(path, "/"), strlen(path + strspn(path, "/")) + 1);
	length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		path[--length] = '\0';
	mac_format(&f->mac, mac);
	found = strstr(path, mac);
	if (found == NULL)
		return;
	memcpy(found, "MAC", 3);
	memmove(found + 3, found + MAC_TEXT_SIZE - 1, strlen(found + MAC_TEXT_SIZE - 1) + 1);
}

static int print_path(const struct responder_facts *f, const char *path, char *body)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (strcmp(entries[i].path, path) == 0)
			return entries[i].print(f, body);
	return print_directory(f, path, body);
}

/* ---- HTTP ---- */

static void token_of(const struct asked *a, char token[TOKEN_TEXT_SIZE])
{
	uint64_t mac = 0;

	memcpy(&mac, a->facts->mac.bytes, sizeof(a->facts->mac.bytes));
	snprintf(token, TOKEN_TEXT_SIZE, "%016llx%016llx", (unsigned long long)responder_hash(a->facts->cookie_key, mac, 1),
		 (unsigned long long)responder_hash(a->facts->cookie_key, mac, 2));
}

/* The value of a header line; NULL: none. Lines end in \r\n. */
static const char *find_header(const char *request, const char *name, size_t *length)
{
	const char *line = request;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
			line += strlen(name) + 1;
			line += strspn(line, " ");
			*length = strcspn(line, "\r");
			return line;
		}
	}
	return NULL;
}

static bool token_is_wrong(const struct asked *a, const char *request)
{
	char token[TOKEN_TEXT_SIZE];
	size_t length;
	const char *shown = find_header(request, "X-aws-ec2-metadata-token", &length);

	token_of(a, token);
	return shown != NULL && (length != strlen(token) || strncmp(shown, token, length) != 0);
}

static int answer_request(const struct asked *a, char *request, char *body, unsigned *status)
{
	char method[8], path[PATH_MAX_BYTES];
	int length, version_at = 0;

	*status = 400;
	if (sscanf(request, "%7s %255s HTTP/1.%n", method, path, &version_at) != 2 || version_at == 0)
		return 0;
	normalise(a->facts, path);
	*status = 200;
	if (strcmp(method, "PUT") == 0 && strcmp(path, "latest/api/token") == 0) {
		token_of(a, body);
		return (int)strlen(body);
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		*status = 405;
		return 0;
	}
	if (token_is_wrong(a, request)) {
		*status = 401;
		return 0;
	}
	length = print_path(a->facts, path, body);
	if (length < 0)
		*status = 404;
	return length < 0 ? 0 : length;
}

static const char *status_text(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	default:
		return "Method Not Allowed";
	}
}

/* Bytes of the answer, written to `to`; 0: the request is not whole. */
static uint32_t serve(const struct asked *a, char *to)
{
	char request[ANSWER_FRAME_MAX_BYTES + 1], body[BODY_MAX_BYTES];
	unsigned status;
	int length, at;

	memcpy(request, a->payload, a->payload_bytes);
	request[a->payload_bytes] = '\0';
	if (strlen(request) != a->payload_bytes || strstr(request, "\r\n\r\n") == NULL)
		return 0;
	length = answer_request(a, request, body, &status);
	at = snprintf(
		to, ANSWER_PAYLOAD_MAX_BYTES,
		"HTTP/1.1 %u %s\r\nServer: Outboard\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		status, status_text(status), length);
	if (strncmp(request, "HEAD ", 5) == 0)
		return (uint32_t)at;
	memcpy(to + at, body, (size_t)length);
	return (uint32_t)(at + length);
}

enum responder_result responder_metadata(const struct asked *a, struct packet *out)
{
	const struct packet_layers *l = a->layers;
	uint32_t bytes;

	if ((l->tcp_flags & TH_RST) != 0)
		return RESPONDER_SILENT;
	if ((l->tcp_flags & (TH_SYN | TH_ACK)) == TH_SYN)
		return segment(a, out, TH_SYN | TH_ACK, cookie(a, a->now_ns / UINT64_C(1000000000) / COOKIE_PERIOD_S),
			       l->tcp_seq + 1, 0);
	if ((l->tcp_flags & TH_SYN) != 0 || (l->tcp_flags & TH_ACK) == 0)
		return segment(a, out, TH_RST, l->tcp_ack, 0, 0);
	if ((l->tcp_flags & TH_FIN) != 0) /* after our answer, or giving up: either way it is over */
		return segment(a, out, TH_ACK, l->tcp_ack, l->tcp_seq + a->payload_bytes + 1, 0);
	if (a->payload_bytes == 0)
		return RESPONDER_SILENT;
	if (!acknowledges_cookie(a, 1) || (bytes = serve(a, (char *)answer_payload(out))) == 0)
		return segment(a, out, TH_RST, l->tcp_ack, 0, 0);
	return segment(a, out, TH_ACK | TH_PUSH | TH_FIN, l->tcp_ack, l->tcp_seq + a->payload_bytes, bytes);
}
