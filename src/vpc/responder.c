#include "vpc/responder.h"

#include <netinet/in.h>
#include <string.h>

#include "vpc/responder_internal.h"

static const struct {
	enum service service;
	struct net_address address;
} services[] = {
	{SERVICE_RESOLVER, {.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 253}}},
	{SERVICE_METADATA, {.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254}}},
	{SERVICE_RESOLVER, {.bytes = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x53}}},
	{SERVICE_METADATA, {.bytes = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}}},
};

enum { PORT_DNS = 53, PORT_DHCP4_SERVER = 67, PORT_HTTP = 80, PORT_DHCP6_SERVER = 547 };

struct net_address responder_resolver(uint8_t family)
{
	return services[family == 4 ? 0 : 2].address;
}

struct net_address responder_link_local(const struct mac *mac)
{
	const uint8_t *m = mac->bytes;

	return (struct net_address){.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

enum service responder_service(const struct responder_facts *f, const struct net_address *address)
{
	struct net_address special;

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (net_address_equal(&services[i].address, address))
			return services[i].service;
	if ((f->subnet4.length != 0 && net_address_equal(&f->gateway4, address)) ||
	    (f->subnet6.length != 0 && net_address_equal(&f->gateway6, address)))
		return SERVICE_GATEWAY;
	special = responder_link_local(&f->gateway_mac);
	if (net_address_equal(&special, address))
		return SERVICE_GATEWAY;
	special = net_prefix_nth(&f->vpc4, 2);
	if (f->vpc4.length != 0 && net_address_equal(&special, address))
		return SERVICE_RESOLVER;
	return SERVICE_NONE;
}

bool responder_owns(const struct responder_facts *f, const struct net_address *address)
{
	return responder_service(f, address) != SERVICE_NONE;
}

const struct net_address *responder_own(const struct responder_facts *f, uint8_t family)
{
	for (unsigned i = 0; i < f->address_count; i++)
		if (net_address_is_v4(&f->addresses[i]) == (family == 4))
			return &f->addresses[i];
	return NULL;
}

bool responder_is_own(const struct responder_facts *f, const struct net_address *address)
{
	for (unsigned i = 0; i < f->address_count; i++)
		if (net_address_equal(&f->addresses[i], address))
			return true;
	return false;
}

/* ---- the request ---- */

/* Copies the frame, and finds its payload. False: longer than any request to us, or cut short. */
static bool gather(struct asked *a, const struct packet *p)
{
	uint32_t at = p->head_bytes, end, l4 = p->layers.l4_offset + p->layers.l4_header_bytes;

	if (packet_bytes(p) > sizeof(a->frame))
		return false;
	memcpy(a->frame, p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count; i++) {
		memcpy(a->frame + at, p->tail[i].iov_base, p->tail[i].iov_len);
		at += (uint32_t)p->tail[i].iov_len;
	}
	__asm__ volatile("" : : "r"(a->frame) : "memory"); /* the tail can change: the copy is what counts */
	if (p->layers.protocol == IPPROTO_ICMP || p->layers.protocol == IPPROTO_ICMPV6)
		l4 = p->layers.l4_offset;
	end = p->layers.l3_offset + p->layers.ip_bytes; /* without the padding of a short frame */
	if (p->layers.family == 0) {
		l4 = ETHER_BYTES;
		end = at;
	}
	if (l4 > end || end > at)
		return false;
	a->payload = a->frame + l4;
	a->payload_bytes = end - l4;
	return true;
}

/* ---- echo and refusal ---- */

enum { ECHO4 = 8, ECHO4_REPLY = 0, ECHO6 = 128, ECHO6_REPLY = 129, ICMP_BYTES = 8 };

static enum responder_result echo(const struct asked *a, struct packet *out)
{
	struct answer_to to = answer_back(a);
	uint8_t *reply = answer_payload(out);

	if (a->payload_bytes < ICMP_BYTES)
		return RESPONDER_MALFORMED;
	memcpy(reply, a->payload, a->payload_bytes);
	reply[0] = a->layers->family == 4 ? ECHO4_REPLY : ECHO6_REPLY;
	answer_icmp(a, &to, out, a->payload_bytes);
	return RESPONDER_ANSWER;
}

/* ICMP port unreachable (RFC 1122, 3.2.2.1; RFC 4443, 3.1), quoting the IP header and what of the rest is in the head. */
static enum responder_result refuse_udp(const struct asked *a, struct packet *out)
{
	struct answer_to to = answer_back(a);
	uint8_t *reply = answer_payload(out);
	uint32_t quote = a->layers->ip_bytes;

	if (quote > 512)
		quote = 512;
	memset(reply, 0, ICMP_BYTES);
	reply[0] = a->layers->family == 4 ? 3 : 1;
	reply[1] = a->layers->family == 4 ? 3 : 4;
	memcpy(reply + ICMP_BYTES, a->frame + a->layers->l3_offset, quote);
	answer_icmp(a, &to, out, ICMP_BYTES + quote);
	return RESPONDER_ANSWER;
}

static enum responder_result refuse_tcp(const struct asked *a, struct packet *out)
{
	const struct packet_layers *l = a->layers;
	struct answer_to to = answer_back(a);
	struct answer_tcp tcp = {.seq = l->tcp_ack, .flags = 0x04};

	if ((l->tcp_flags & 0x04) != 0)
		return RESPONDER_SILENT;
	if ((l->tcp_flags & 0x10) == 0) /* RFC 793, 3.4, reset generation 1 */
		tcp = (struct answer_tcp){.ack = l->tcp_seq + a->payload_bytes + (l->tcp_flags & 1) + (l->tcp_flags >> 1 & 1),
					  .flags = 0x14};
	answer_tcp(a, &to, out, &tcp, 0);
	return RESPONDER_ANSWER;
}

/* ---- who answers ---- */

static enum responder_result to_service(const struct asked *a, enum service service, struct packet *out)
{
	const struct packet_layers *l = a->layers;
	uint16_t port = ntohs(l->destination_port);

	switch (l->protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (l->icmp_type == (l->family == 4 ? ECHO4 : ECHO6))
			return echo(a, out);
		return RESPONDER_SILENT;
	case IPPROTO_UDP:
		if (port == PORT_DNS && service == SERVICE_RESOLVER)
			return responder_dns(a, out);
		return refuse_udp(a, out);
	case IPPROTO_TCP:
		if (port == PORT_HTTP && service == SERVICE_METADATA)
			return responder_metadata(a, out);
		return refuse_tcp(a, out);
	default:
		return RESPONDER_SILENT;
	}
}

static bool is_nd(const struct packet_layers *l)
{
	return l->family == 6 && l->protocol == IPPROTO_ICMPV6 && l->icmp_type >= 133 && l->icmp_type <= 137;
}

/* Multicast listener reports (RFC 2710, 3810): there is nobody who would want them. */
static bool is_listener_report(const struct packet_layers *l)
{
	return l->family == 6 && l->protocol == IPPROTO_ICMPV6 &&
	       ((l->icmp_type >= 130 && l->icmp_type <= 132) || l->icmp_type == 143);
}

static bool is_dhcp4(const struct packet_layers *l)
{
	return l->family == 4 && l->protocol == IPPROTO_UDP && l->destination_port == htons(PORT_DHCP4_SERVER);
}

static bool is_dhcp6(const struct packet_layers *l)
{
	return l->family == 6 && l->protocol == IPPROTO_UDP && l->destination_port == htons(PORT_DHCP6_SERVER);
}

enum responder_result responder_answer(const struct responder_facts *facts, const struct packet *p, uint64_t now_ns,
				       struct packet *out)
{
	const struct packet_layers *l = &p->layers;
	struct asked a = {.facts = facts, .packet = p, .layers = l, .now_ns = now_ns};
	enum service service = l->family == 0 ? SERVICE_NONE : responder_service(facts, &l->destination);
	bool broadcast = (p->head[0] & 1) != 0;

	if (l->family != 0 && is_listener_report(l))
		return RESPONDER_SILENT;
	if (l->family != 0 && service == SERVICE_NONE && !is_nd(l) && !(broadcast && (is_dhcp4(l) || is_dhcp6(l))))
		return RESPONDER_NOT_MINE;
	if (l->fragment != FRAGMENT_NONE || p->gso != PACKET_GSO_NONE)
		return RESPONDER_SILENT; /* nothing that is asked of us is that long */
	if (!gather(&a, p))
		return RESPONDER_MALFORMED;
	if (l->family == 0)
		return responder_arp(&a, out);
	if (is_nd(l))
		return responder_nd(&a, out);
	if (is_dhcp4(l) && (broadcast || service == SERVICE_GATEWAY))
		return responder_dhcp4(&a, out);
	if (is_dhcp6(l) && (broadcast || service == SERVICE_GATEWAY))
		return responder_dhcp6(&a, out);
	return to_service(&a, service, out);
}
