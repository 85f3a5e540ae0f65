/*
 * DHCP (RFC 2131, options RFC 2132). The ENI's first IPv4 address is its lease, for ever renewed: the card keeps no state, it knows.
 * Answers to a client without an address go to its MAC as if it had one already, unless it asked for broadcast (4.1).
 */
#include <netinet/in.h>
#include <string.h>

#include "vpc/responder_internal.h"

enum {
	BOOTP_BYTES = 236,
	COOKIE_BYTES = 4,
	REPLY_MIN_BYTES = 300, /* RFC 1542, 2.1: some clients take no less */
	BOOT_REQUEST = 1,
	BOOT_REPLY = 2,
	BROADCAST_FLAG = 0x80,
};

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6, INFORM = 8 };

enum dhcp_option {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_HOST_NAME = 12,
	OPTION_DOMAIN = 15,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_PARAMETERS = 55,
	OPTION_T1 = 58,
	OPTION_T2 = 59,
	OPTION_CLIENT_ID = 61,
	OPTION_CLASSLESS_ROUTES = 121,
	OPTION_END = 255,
};

static const uint8_t cookie[COOKIE_BYTES] = {99, 130, 83, 99};

struct request {
	const uint8_t *bootp;
	uint8_t type; /* 0: not given */
	bool has_requested, has_server, wants_routes;
	uint32_t requested, server, client; /* network order */
	const uint8_t *client_id;	    /* NULL: not given */
	uint8_t client_id_bytes;
};

static void take_option(struct request *r, uint8_t kind, const uint8_t *value, uint8_t length)
{
	if (kind == OPTION_TYPE && length == 1)
		r->type = value[0];
	if (kind == OPTION_REQUESTED && length == 4) {
		r->has_requested = true;
		memcpy(&r->requested, value, 4);
	}
	if (kind == OPTION_SERVER && length == 4) {
		r->has_server = true;
		memcpy(&r->server, value, 4);
	}
	if (kind == OPTION_CLIENT_ID) {
		r->client_id = value;
		r->client_id_bytes = length;
	}
	if (kind == OPTION_PARAMETERS)
		r->wants_routes = memchr(value, OPTION_CLASSLESS_ROUTES, length) != NULL;
}

static bool read_request(const struct asked *a, struct request *r)
{
	const uint8_t *at = a->payload + BOOTP_BYTES + COOKIE_BYTES, *end = a->payload + a->payload_bytes;

	*r = (struct request){.bootp = a->payload};
	if (a->payload_bytes < BOOTP_BYTES + COOKIE_BYTES || memcmp(at - COOKIE_BYTES, cookie, COOKIE_BYTES) != 0)
		return false;
	memcpy(&r->client, a->payload + 12, 4);
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_PAD) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] > end - at - 2)
			return false;
		take_option(r, at[0], at + 2, at[1]);
		at += 2 + at[1];
	}
	return r->type != 0;
}

/* ---- the answer ---- */

static uint8_t *put_option(uint8_t *to, enum dhcp_option kind, const void *value, size_t bytes)
{
	to[0] = (uint8_t)kind;
	to[1] = (uint8_t)bytes;
	memcpy(to + 2, value, bytes);
	return to + 2 + bytes;
}

static uint8_t *put_number(uint8_t *to, enum dhcp_option kind, uint32_t value)
{
	value = htonl(value);
	return put_option(to, kind, &value, 4);
}

/* RFC 3442: a client that takes these takes no router option, so the default route is among them. Services are on-link. */
static uint8_t *put_routes(uint8_t *to, uint32_t router)
{
	uint8_t routes[] = {30, 169, 254, 169, 252, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	memcpy(routes + 10, &router, 4);
	return put_option(to, OPTION_CLASSLESS_ROUTES, routes, sizeof(routes));
}

static uint8_t *put_parameters(const struct asked *a, const struct request *r, uint8_t *at)
{
	const struct responder_facts *f = a->facts;
	struct net_address resolver = responder_resolver(4);
	uint32_t mask = htonl((uint32_t)(UINT64_C(0xffffffff) << (128 - f->subnet4.length)));
	uint16_t mtu = htons(f->mtu);

	at = put_option(at, OPTION_MASK, &mask, 4);
	at = put_option(at, OPTION_ROUTER, &f->gateway4.word[3], 4);
	at = put_option(at, OPTION_DNS, &resolver.word[3], 4);
	at = put_option(at, OPTION_HOST_NAME, f->name, strlen(f->name));
	at = put_option(at, OPTION_DOMAIN, f->domain, strlen(f->domain));
	at = put_option(at, OPTION_MTU, &mtu, 2);
	return r->wants_routes ? put_routes(at, f->gateway4.word[3]) : at;
}

static enum responder_result reply(const struct asked *a, const struct request *r, uint8_t type, uint32_t yours, struct packet *out)
{
	struct answer_to to = answer_back(a);
	uint8_t *bootp = answer_payload(out), *at = bootp + BOOTP_BYTES;
	uint32_t destination = r->client != 0 ? r->client : yours;

	memset(bootp, 0, REPLY_MIN_BYTES);
	bootp[0] = BOOT_REPLY;
	memcpy(bootp + 1, r->bootp + 1, 11); /* htype, hlen, hops, xid, secs, flags */
	bootp[3] = 0;
	bootp[8] = bootp[9] = 0;
	if (type == ACK)
		memcpy(bootp + 12, r->bootp + 12, 4);
	memcpy(bootp + 16, &yours, 4);
	memcpy(bootp + 28, r->bootp + 28, 16);
	memcpy(at, cookie, COOKIE_BYTES);
	at = put_option(at + COOKIE_BYTES, OPTION_TYPE, &type, 1);
	at = put_option(at, OPTION_SERVER, &a->facts->gateway4.word[3], 4);
	if (r->client_id != NULL) /* RFC 6842, 3: so that it knows an answer to itself */
		at = put_option(at, OPTION_CLIENT_ID, r->client_id, r->client_id_bytes);
	if (type != NAK && yours != 0) {
		at = put_number(at, OPTION_LEASE, LEASE_S);
		at = put_number(at, OPTION_T1, LEASE_S / 2);
		at = put_number(at, OPTION_T2, LEASE_S / 8 * 7);
	}
	if (type != NAK)
		at = put_parameters(a, r, at);
	*at++ = OPTION_END;
	if (type == NAK || (r->client == 0 && (r->bootp[10] & BROADCAST_FLAG) != 0)) {
		destination = UINT32_MAX;
		memset(to.mac.bytes, 0xff, 6);
	}
	to.source = a->facts->gateway4;
	to.destination = net_address_v4(destination);
	to.source_port = htons(67);
	to.destination_port = htons(68);
	answer_udp(a, &to, out, at - bootp < REPLY_MIN_BYTES ? REPLY_MIN_BYTES : (uint32_t)(at - bootp));
	return RESPONDER_ANSWER;
}

enum responder_result responder_dhcp4(const struct asked *a, struct packet *out)
{
	const struct net_address *own = responder_own(a->facts, 4);
	uint32_t address, wanted;
	struct request r;

	if (!read_request(a, &r))
		return RESPONDER_MALFORMED;
	if (r.bootp[0] != BOOT_REQUEST || r.bootp[1] != 1 || r.bootp[2] != 6 || memcmp(r.bootp + 28, a->facts->mac.bytes, 6) != 0 ||
	    own == NULL)
		return RESPONDER_SILENT;
	address = own->word[3];
	switch (r.type) {
	case DISCOVER:
		return reply(a, &r, OFFER, address, out);
	case REQUEST:
		if (r.has_server && r.server != a->facts->gateway4.word[3])
			return RESPONDER_SILENT; /* it chose another's offer */
		wanted = r.has_requested ? r.requested : r.client;
		return reply(a, &r, wanted == address ? ACK : NAK, wanted == address ? address : 0, out);
	case INFORM:
		return reply(a, &r, ACK, 0, out);
	default: /* DECLINE, RELEASE: the address stays the ENI's */
		return RESPONDER_SILENT;
	}
}
