/* What the card answers an ENI itself: the ENI's facts for the responder, and which frames it is to see. */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#include "vpc/pipeline.h"

static bool find_neighbour(void *context, const struct net_address *address, struct mac *mac)
{
	const struct endpoint *e = context;
	const struct policy_mapping *m = policy_mapping_find(e->vpc->policy, e->network->slot, address);

	if (m == NULL || m->subnet_slot != e->policy->subnet->slot)
		return false;
	*mac = m->mac;
	return true;
}

static bool resolve_name(void *context, const char *name, uint8_t family, struct net_address *out)
{
	const struct endpoint *e = context;
	const struct policy_mapping *m = policy_name_find(e->vpc->policy, e->network->slot, name, family);

	if (m == NULL)
		return false;
	*out = m->address;
	return true;
}

static bool reverse_name(void *context, const struct net_address *address, char name[NET_NAME_SIZE])
{
	const struct endpoint *e = context;
	const struct policy_mapping *m = policy_mapping_find(e->vpc->policy, e->network->slot, address);

	if (m == NULL)
		return false;
	memcpy(name, m->name, NET_NAME_SIZE);
	return true;
}

/* First IPv4 block: base + 2 is the resolver, as in AWS. */
static struct net_prefix first_v4(const struct policy_vpc *network)
{
	for (unsigned i = 0; i < network->cidr_count; i++)
		if (net_address_is_v4(&network->cidrs[i].address))
			return network->cidrs[i];
	return (struct net_prefix){.length = 0};
}

void local_facts(struct endpoint *e)
{
	const struct policy_endpoint *p = e->policy;
	const struct policy_subnet *subnet = p->subnet;

	e->gateway4 = subnet->gateway4;
	e->gateway6 = subnet->gateway6;
	e->facts = (struct responder_facts){
		.mac = p->mac,
		.gateway_mac = subnet->gateway_mac,
		.addresses = p->addresses,
		.address_count = p->address_count,
		.subnet4 = subnet->cidr4,
		.subnet6 = subnet->cidr6,
		.gateway4 = subnet->gateway4,
		.gateway6 = subnet->gateway6,
		.vpc4 = first_v4(e->network),
		.mtu = network_mtu(e->vpc, e->network),
		.name = p->name,
		.instance_id = e->id_text,
		.domain = e->network->domain[0] != '\0' ? e->network->domain : "internal",
		.neighbour = find_neighbour,
		.resolve = resolve_name,
		.reverse = reverse_name,
		.context = e,
		.cookie_key = {e->vpc->config.cookie_key[0], e->vpc->config.cookie_key[1]},
	};
	memset(&e->resolver4, 0, sizeof(e->resolver4));
	if (e->facts.vpc4.length != 0)
		e->resolver4 = net_prefix_nth(&e->facts.vpc4, 2);
}

static bool is_discovery(const struct packet_layers *l)
{
	return l->protocol == IPPROTO_ICMPV6 && l->family == 6 && l->icmp_type >= ND_ROUTER_SOLICIT && l->icmp_type <= ND_REDIRECT;
}

/* One look at every frame of a guest: cheap, and rather once too often. The responder decides. */
bool local_wanted(const struct endpoint *e, const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	const uint8_t *to = l->destination.bytes;

	if ((p->head[0] & 1) != 0 || l->family == 0)
		return true;
	if (l->family == 4)
		return (to[12] == 169 && to[13] == 254) || l->destination.word[3] == e->gateway4.word[3] ||
		       l->destination.word[3] == e->resolver4.word[3];
	return (to[0] == 0xfe && (to[1] & 0xc0) == 0x80) || (to[0] == 0xfd && to[1] == 0 && to[2] == 0x0e && to[3] == 0xc2) ||
	       net_address_equal(&l->destination, &e->gateway6) || is_discovery(l);
}

static enum drop_reason not_mine(const struct packet *p, bool card_only)
{
	if ((p->head[0] & 1) != 0)
		return DROP_MULTICAST;
	if (is_discovery(&p->layers))
		return DROP_ANSWERED; /* an advertisement, say: nothing of it crosses the VPC */
	return card_only ? DROP_SPOOFED_IP : DROP_NONE;
}

bool local_answer(struct endpoint *e, struct packet *p, bool card_only)
{
	uint8_t buffer[RESPONDER_BUFFER_BYTES];
	struct packet answer = {.head = buffer + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	enum drop_reason drop = DROP_ANSWERED;

	if (!meter_take(&e->link_local, 1, e->vpc->now_tsc)) {
		packet_drop(e->vpc, e, p, FLOW_OUT, DROP_LINK_LOCAL_RATE);
		return true;
	}
	switch (responder_answer(&e->facts, p, vpc_now_ns(e->vpc), &answer)) {
	case RESPONDER_NOT_MINE:
		drop = not_mine(p, card_only);
		break;
	case RESPONDER_MALFORMED:
		drop = DROP_MALFORMED;
		break;
	case RESPONDER_ANSWER:
		guest_send(e, &answer);
		break;
	case RESPONDER_SILENT:
		break;
	}
	if (drop == DROP_NONE)
		return false;
	packet_drop(e->vpc, e, p, FLOW_OUT, drop);
	return true;
}
