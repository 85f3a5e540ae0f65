/*
 * DHCPv6 (RFC 8415). As with DHCPv4 the card keeps no state: the ENI's first IPv6 address is the lease of every IA_NA that is asked
 * for, and every other address of an IA_NA is said to be gone (lifetimes 0).
 */
#include <netinet/in.h>
#include <string.h>

#include "vpc/responder_internal.h"

enum message {
	SOLICIT = 1,
	ADVERTISE = 2,
	REQUEST = 3,
	CONFIRM = 4,
	RENEW = 5,
	REBIND = 6,
	REPLY = 7,
	RELEASE = 8,
	DECLINE = 9,
	INFORMATION_REQUEST = 11,
};

enum option {
	OPTION_CLIENT_ID = 1,
	OPTION_SERVER_ID = 2,
	OPTION_IA_NA = 3,
	OPTION_IA_ADDRESS = 5,
	OPTION_STATUS = 13,
	OPTION_RAPID_COMMIT = 14,
	OPTION_DNS = 23,
	OPTION_DOMAINS = 24,
	OPTION_IA_PD = 25,
};

enum status { STATUS_SUCCESS = 0, STATUS_NO_ADDRESS = 2, STATUS_NOT_ON_LINK = 4, STATUS_NO_PREFIX = 6 };

enum { HEADER_BYTES = 4, DUID_MAX_BYTES = 130, SERVER_DUID_BYTES = 10, IAS_MAX = 4, IA_HEADER_BYTES = 12 };

struct piece {
	const uint8_t *data;
	uint16_t bytes;
};

struct request {
	uint8_t type;
	struct piece client, server, ia[IAS_MAX], prefix; /* IAs with their header of 12 bytes */
	unsigned ia_count;
	bool rapid;
};

struct cursor {
	const uint8_t *at, *end;
};

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

/* The next option; false at the end. *bad: it is cut short. */
static bool next_option(struct cursor *c, uint16_t *kind, struct piece *value, bool *bad)
{
	if (c->at == c->end)
		return false;
	if (c->end - c->at < 4 || get16(c->at + 2) > c->end - c->at - 4) {
		*bad = true;
		return false;
	}
	*kind = get16(c->at);
	*value = (struct piece){c->at + 4, get16(c->at + 2)};
	c->at += 4 + value->bytes;
	return true;
}

static bool read_request(const struct asked *a, struct request *r)
{
	struct cursor c = {a->payload + HEADER_BYTES, a->payload + a->payload_bytes};
	struct piece value;
	uint16_t kind;
	bool bad = a->payload_bytes < HEADER_BYTES;

	*r = (struct request){0};
	if (bad)
		return false;
	r->type = a->payload[0];
	while (next_option(&c, &kind, &value, &bad)) {
		if (kind == OPTION_CLIENT_ID)
			r->client = value;
		else if (kind == OPTION_SERVER_ID)
			r->server = value;
		else if (kind == OPTION_RAPID_COMMIT)
			r->rapid = true;
		else if (kind == OPTION_IA_NA && value.bytes >= IA_HEADER_BYTES && r->ia_count < IAS_MAX)
			r->ia[r->ia_count++] = value;
		else if (kind == OPTION_IA_PD && value.bytes >= IA_HEADER_BYTES)
			r->prefix = value;
	}
	return !bad && r->client.bytes <= DUID_MAX_BYTES;
}

/* ---- the answer ---- */

static uint8_t *put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
	return put16(put16(to, (uint16_t)(value >> 16)), (uint16_t)value);
}

static uint8_t *put_option(uint8_t *to, enum option kind, const void *value, uint16_t bytes)
{
	to = put16(put16(to, (uint16_t)kind), bytes);
	memcpy(to, value, bytes);
	return to + bytes;
}

static uint8_t *put_status(uint8_t *to, enum status status)
{
	return put16(put16(put16(to, OPTION_STATUS), 2), (uint16_t)status);
}

static uint8_t *put_address(uint8_t *to, const struct net_address *address, uint32_t preferred_s, uint32_t valid_s)
{
	to = put16(put16(to, OPTION_IA_ADDRESS), 24);
	memcpy(to, address->bytes, 16);
	return put32(put32(to + 16, preferred_s), valid_s);
}

/* Server DUID: type 3, link-layer, Ethernet (11.4). */
static void server_duid(const struct responder_facts *f, uint8_t duid[SERVER_DUID_BYTES])
{
	static const uint8_t kind[] = {0, 3, 0, 1};

	memcpy(duid, kind, sizeof(kind));
	memcpy(duid + sizeof(kind), f->gateway_mac.bytes, 6);
}

/* Addresses of the client's IA other than its own have ended (18.3.4). */
static uint8_t *put_ended(uint8_t *to, const uint8_t *limit, const struct piece *ia, const struct net_address *own)
{
	struct cursor c = {ia->data + IA_HEADER_BYTES, ia->data + ia->bytes};
	struct net_address address;
	struct piece value;
	uint16_t kind;
	bool bad = false;

	while (next_option(&c, &kind, &value, &bad) && limit - to > 64) {
		if (kind != OPTION_IA_ADDRESS || value.bytes < 24)
			continue;
		memcpy(address.bytes, value.data, 16);
		if (!net_address_equal(&address, own))
			to = put_address(to, &address, 0, 0);
	}
	return to;
}

static uint8_t *put_ia(uint8_t *to, const uint8_t *limit, const struct piece *ia, const struct net_address *own)
{
	uint8_t *start = to;

	to = put16(put16(to, OPTION_IA_NA), 0);
	memcpy(to, ia->data, 4); /* IAID */
	to = put32(put32(to + 4, LEASE_S / 2), LEASE_S / 5 * 4);
	if (own == NULL) {
		to = put_status(to, STATUS_NO_ADDRESS);
	} else {
		to = put_address(to, own, LEASE_S, 2 * LEASE_S);
		to = put_ended(to, limit, ia, own);
	}
	put16(start + 2, (uint16_t)(to - start - 4));
	return to;
}

static uint8_t *put_prefix_refusal(uint8_t *to, const struct piece *prefix)
{
	to = put16(put16(to, OPTION_IA_PD), IA_HEADER_BYTES + 6);
	memcpy(to, prefix->data, 4);
	return put_status(put32(put32(to + 4, 0), 0), STATUS_NO_PREFIX);
}

/* RFC 1035, 3.1: labels. The name is a domain that control has checked. */
static uint8_t *put_domains(uint8_t *to, const char *domain)
{
	uint8_t *start = to;

	to += 4;
	while (*domain != '\0') {
		size_t label = strcspn(domain, ".");

		*to++ = (uint8_t)label;
		memcpy(to, domain, label);
		to += label;
		domain += label + (domain[label] == '.');
	}
	*to++ = 0;
	put16(put16(start, OPTION_DOMAINS), (uint16_t)(to - start - 4));
	return to;
}

/* The addresses that the client names: how many, and how many of them are its own. */
static unsigned count_addresses(const struct request *r, const struct net_address *own, unsigned *its_own)
{
	unsigned count = 0;

	*its_own = 0;
	for (unsigned i = 0; i < r->ia_count; i++) {
		struct cursor c = {r->ia[i].data + IA_HEADER_BYTES, r->ia[i].data + r->ia[i].bytes};
		struct piece value;
		uint16_t kind;
		bool bad = false;

		while (next_option(&c, &kind, &value, &bad)) {
			if (kind != OPTION_IA_ADDRESS || value.bytes < 24)
				continue;
			count++;
			*its_own += own != NULL && memcmp(value.data, own->bytes, 16) == 0;
		}
	}
	return count;
}

static enum status confirm(const struct request *r, const struct net_address *own)
{
	unsigned its_own, count = count_addresses(r, own, &its_own);

	return its_own == count ? STATUS_SUCCESS : STATUS_NOT_ON_LINK;
}

static uint8_t *put_body(const struct asked *a, const struct request *r, uint8_t *at, const uint8_t *limit)
{
	const struct net_address *own = responder_own(a->facts, 6);
	struct net_address resolver = responder_resolver(6);

	switch (r->type) {
	case CONFIRM:
		return put_status(at, confirm(r, own));
	case RELEASE:
	case DECLINE:
		return put_status(at, STATUS_SUCCESS);
	case INFORMATION_REQUEST:
		break;
	default:
		for (unsigned i = 0; i < r->ia_count && limit - at > 128; i++)
			at = put_ia(at, limit, &r->ia[i], own);
		if (r->prefix.data != NULL)
			at = put_prefix_refusal(at, &r->prefix);
	}
	at = put_option(at, OPTION_DNS, resolver.bytes, 16);
	return put_domains(at, a->facts->domain);
}

static bool answerable(const struct asked *a, const struct request *r)
{
	uint8_t duid[SERVER_DUID_BYTES];
	unsigned unused;
	bool ours;

	server_duid(a->facts, duid);
	ours = r->server.bytes == sizeof(duid) && memcmp(r->server.data, duid, sizeof(duid)) == 0;
	if (r->client.data == NULL && r->type != INFORMATION_REQUEST)
		return false;
	switch (r->type) { /* 16.2 to 16.12 */
	case CONFIRM:	   /* 18.3.3: there is nothing to confirm */
		return r->server.data == NULL && count_addresses(r, NULL, &unused) > 0;
	case SOLICIT:
	case REBIND:
		return r->server.data == NULL;
	case REQUEST:
	case RENEW:
	case RELEASE:
	case DECLINE:
		return ours;
	case INFORMATION_REQUEST:
		return r->server.data == NULL || ours;
	default:
		return false;
	}
}

enum responder_result responder_dhcp6(const struct asked *a, struct packet *out)
{
	uint8_t *message = answer_payload(out), *at = message, duid[SERVER_DUID_BYTES];
	const uint8_t *limit = message + ANSWER_PAYLOAD_MAX_BYTES - 160; /* room for what follows the IAs */
	struct answer_to to = answer_back(a);
	struct request r;

	if (!read_request(a, &r))
		return RESPONDER_MALFORMED;
	if (!answerable(a, &r))
		return RESPONDER_SILENT;
	*at++ = r.type == SOLICIT && !r.rapid ? ADVERTISE : REPLY;
	memcpy(at, a->payload + 1, 3); /* transaction id */
	at += 3;
	server_duid(a->facts, duid);
	at = put_option(at, OPTION_SERVER_ID, duid, sizeof(duid));
	if (r.client.data != NULL)
		at = put_option(at, OPTION_CLIENT_ID, r.client.data, r.client.bytes);
	if (r.type == SOLICIT && r.rapid)
		at = put_option(at, OPTION_RAPID_COMMIT, "", 0);
	at = put_body(a, &r, at, limit);
	to.source = responder_link_local(&a->facts->gateway_mac);
	to.source_port = htons(547);
	to.destination_port = htons(546);
	answer_udp(a, &to, out, (uint32_t)(at - message));
	return RESPONDER_ANSWER;
}
