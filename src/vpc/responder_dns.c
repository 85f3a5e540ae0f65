/*
 * The VPC's own names (RFC 1035): NAME.DOMAIN is an ENI's first address of a family, and its address has that name. Other domains are REFUSED: the
 * card opens no connection, so there is nobody it could ask. The message is read with the C library's resolver.
 */
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "vpc/responder_internal.h"

enum {
	DNS_HEADER_BYTES = 12,
	TTL_S = 60,
	EDNS_BYTES = 11,
	EDNS_PAYLOAD_BYTES = 1232,
	NAME_POINTER = 0xc000 | DNS_HEADER_BYTES,
	MESSAGE_MAX_BYTES = 512, /* 4.2.1; all of ours are shorter */
};

struct question {
	const struct asked *asked;
	char name[NS_MAXDNAME];
	uint16_t type, class;
	bool edns;
};

static uint8_t *put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

/* False: not one question of a standard query. */
static bool read_question(const struct asked *a, struct question *q)
{
	ns_msg message;
	ns_rr rr;

	*q = (struct question){.asked = a};
	if (ns_initparse(a->payload, (int)a->payload_bytes, &message) != 0 || ns_msg_count(message, ns_s_qd) != 1 ||
	    ns_parserr(&message, ns_s_qd, 0, &rr) != 0)
		return false;
	snprintf(q->name, sizeof(q->name), "%s", ns_rr_name(rr));
	q->type = (uint16_t)ns_rr_type(rr);
	q->class = (uint16_t)ns_rr_class(rr);
	for (int i = 0; i < ns_msg_count(message, ns_s_ar); i++)
		if (ns_parserr(&message, ns_s_ar, i, &rr) == 0 && ns_rr_type(rr) == ns_t_opt)
			q->edns = true;
	return true;
}

/* How long the question is in the message: its labels (never a pointer in a first name), type and class. 0: it is not well formed. */
static uint32_t question_bytes(const struct asked *a)
{
	uint32_t at = DNS_HEADER_BYTES;

	while (at < a->payload_bytes && a->payload[at] != 0) {
		if (a->payload[at] > NS_MAXLABEL)
			return 0;
		at += 1u + a->payload[at];
	}
	return at + 5 <= a->payload_bytes ? at + 5 - DNS_HEADER_BYTES : 0;
}

/* "web.internal" in "internal": "web"; false when it lies elsewhere. The domain itself: "". */
static bool inside_domain(const char *name, const char *domain, char own[64])
{
	size_t length = strlen(name), domain_length = strlen(domain), rest;

	if (length < domain_length || strcasecmp(name + length - domain_length, domain) != 0)
		return false;
	rest = length - domain_length;
	if (rest > 0 && name[rest - 1] != '.')
		return false;
	rest -= rest > 0;
	if (rest >= 64)
		rest = 63; /* nobody's: no name is so long */
	memcpy(own, name, rest);
	own[rest] = '\0';
	return true;
}

/* "5.1.0.10.in-addr.arpa" and 32 nibbles of ip6.arpa. */
static bool reverse_address(const char *name, struct net_address *out)
{
	unsigned a, b, c, d;
	int end = 0;

	if (sscanf(name, "%3u.%3u.%3u.%3u.%n", &d, &c, &b, &a, &end) == 4 && end > 0 &&
	    strcasecmp(name + end, "in-addr.arpa") == 0 && (a | b | c | d) < 256) {
		*out = net_address_v4(htonl(a << 24 | b << 16 | c << 8 | d));
		return true;
	}
	if (strlen(name) != 64 + 8 || strcasecmp(name + 64, "ip6.arpa") != 0)
		return false;
	for (unsigned i = 0; i < 32; i++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, name[2 * i] | 0x20);
		unsigned at = 31 - i;

		if (name[2 * i] == '\0' || digit == NULL || *digit == '\0' || name[2 * i + 1] != '.')
			return false;
		if (at % 2 == 0)
			out->bytes[at / 2] = (uint8_t)(out->bytes[at / 2] | (digit - digits) << 4);
		else
			out->bytes[at / 2] = (uint8_t)(digit - digits);
	}
	return true;
}

/* ---- the answer ---- */

static uint8_t *put_record(uint8_t *at, uint16_t type, const void *data, uint32_t bytes)
{
	at = put16(put16(put16(at, NAME_POINTER), type), ns_c_in);
	at = put16(put16(put16(at, 0), TTL_S), bytes);
	memcpy(at, data, bytes);
	return at + bytes;
}

static uint8_t *put_pointer(uint8_t *at, const char *name, const char *domain)
{
	uint8_t labels[NS_MAXCDNAME + 1];
	char full[NS_MAXDNAME];
	int bytes;

	snprintf(full, sizeof(full), "%s.%s", name, domain);
	bytes = ns_name_pton(full, labels, sizeof(labels)) < 0 ? 0 : (int)strlen((char *)labels) + 1;
	return bytes > 0 ? put_record(at, ns_t_ptr, labels, (uint32_t)bytes) : at;
}

struct answer {
	uint8_t *at; /* behind the question; moves on with a record */
	unsigned records;
	unsigned code;
};

static void answer_forward(const struct question *q, const char *own, struct answer *r)
{
	const struct responder_facts *f = q->asked->facts;
	struct net_address v4, v6;
	bool has4 = f->resolve(f->context, own, 4, &v4), has6 = f->resolve(f->context, own, 6, &v6);

	if (!has4 && !has6) {
		r->code = own[0] == '\0' ? ns_r_noerror : ns_r_nxdomain;
		return;
	}
	if (has4 && q->type == ns_t_a)
		r->at = put_record(r->at, ns_t_a, &v4.word[3], 4);
	else if (has6 && q->type == ns_t_aaaa)
		r->at = put_record(r->at, ns_t_aaaa, v6.bytes, 16);
	else
		return; /* the name exists, that type of it does not */
	r->records = 1;
}

static void answer_reverse(const struct question *q, const struct net_address *address, struct answer *r)
{
	const struct responder_facts *f = q->asked->facts;
	char name[64];

	if (!f->reverse(f->context, address, name)) {
		r->code = f->vpc4.length != 0 && net_prefix_contains(&f->vpc4, address) ? ns_r_nxdomain : ns_r_refused;
		return;
	}
	if (q->type == ns_t_ptr) {
		r->at = put_pointer(r->at, name, f->domain);
		r->records = 1;
	}
}

static void answer_question(const struct question *q, struct answer *r)
{
	struct net_address address;
	char own[64];

	if (q->class != ns_c_in)
		r->code = ns_r_refused;
	else if (inside_domain(q->name, q->asked->facts->domain, own))
		answer_forward(q, own, r);
	else if (reverse_address(q->name, &address))
		answer_reverse(q, &address, r);
	else
		r->code = ns_r_refused;
}

enum responder_result responder_dns(const struct asked *a, struct packet *out)
{
	uint8_t *message = answer_payload(out);
	struct answer_to to = answer_back(a);
	uint32_t question = 0;
	struct answer r = {0};
	struct question q;

	if (a->payload_bytes < DNS_HEADER_BYTES || a->payload_bytes > MESSAGE_MAX_BYTES)
		return RESPONDER_MALFORMED;
	if ((a->payload[2] & 0x80) != 0)
		return RESPONDER_SILENT; /* an answer, not a question */
	if ((a->payload[2] & 0x78) != 0) {
		r.code = ns_r_notimpl;
	} else if (!read_question(a, &q) || (question = question_bytes(a)) == 0) {
		r.code = ns_r_formerr;
		question = 0;
	}
	memset(message, 0, DNS_HEADER_BYTES);
	memcpy(message, a->payload, 2);
	message[2] = (uint8_t)(0x80 | (a->payload[2] & 0x79)); /* an answer; opcode and RD as asked */
	memcpy(message + DNS_HEADER_BYTES, a->payload + DNS_HEADER_BYTES, question);
	r.at = message + DNS_HEADER_BYTES + question;
	if (r.code == ns_r_noerror)
		answer_question(&q, &r);
	if (r.code == ns_r_noerror || r.code == ns_r_nxdomain)
		message[2] |= 0x04; /* with authority: it is one of ours */
	message[3] = (uint8_t)r.code;
	put16(message + 4, question != 0);
	put16(message + 6, r.records);
	if (question != 0 && q.edns) { /* RFC 6891, 7 */
		memset(r.at, 0, EDNS_BYTES);
		put16(put16(r.at + 1, ns_t_opt), EDNS_PAYLOAD_BYTES);
		put16(message + 10, 1);
		r.at += EDNS_BYTES;
	}
	answer_udp(a, &to, out, (uint32_t)(r.at - message));
	return RESPONDER_ANSWER;
}
