/* From a wire: another card's overlay frame, something about the underlay itself, or plain IP for a public address. */
#include <netinet/in.h>

#include "vpc/parse.h"
#include "vpc/pipeline.h"

static bool is_tunnel(const struct packet_layers *l, const struct wire *wire)
{
	return l->protocol == IPPROTO_UDP && l->fragment == FRAGMENT_NONE &&
	       (l->destination_port == htons(TUNNEL_VXLAN_PORT) || l->destination_port == htons(TUNNEL_GENEVE_PORT)) &&
	       net_address_equal(&l->destination, &wire->config.address.address);
}

/* Frames come in runs from one host: the last one that was looked up is remembered, until the policy changes. */
static bool source_known(struct vpc *vpc, struct wire_port *port, const struct net_address *source)
{
	if (LIKELY(port->source_stamp == vpc->policy_stamp && net_address_equal(&port->source_known, source)))
		return true;
	if (policy_host_find(vpc->policy, source) == NULL)
		return false;
	port->source_known = *source;
	port->source_stamp = vpc->policy_stamp;
	return true;
}

static enum drop_reason overlay_input(struct vpc *vpc, struct wire_port *port, struct packet *p, struct batch *b)
{
	const struct policy_endpoint *at;
	struct tunnel_inner inner;
	enum drop_reason drop;
	struct endpoint *e;
	struct mac mac;

	if (UNLIKELY(!source_known(vpc, port, &p->layers.source)))
		return DROP_OVERLAY_SOURCE;
	drop = tunnel_decapsulate(p, &inner);
	if (UNLIKELY(drop != DROP_NONE))
		return drop;
	if (UNLIKELY((p->head[0] & 1) != 0))
		return DROP_MULTICAST;
	memcpy(mac.bytes, p->head, sizeof(mac.bytes));
	at = policy_port_find(vpc->policy, inner.vni, &mac);
	e = at != NULL ? vpc_endpoint(vpc, at->slot) : NULL;
	if (UNLIKELY(e == NULL))
		return DROP_UNKNOWN_VNI;
	endpoint_refresh(e);
	if (UNLIKELY(e->policy == NULL))
		return DROP_UNKNOWN_VNI;
	if (UNLIKELY(p->layers.family == 0 || p->layers.l3_offset != ETHER_BYTES)) {
		packet_drop(vpc, e, p, FLOW_IN, DROP_ETHERTYPE);
		return DROP_NONE;
	}
	packet_trim(p);
	batch_arrive(b, e, p, ORIGIN_VPC);
	return DROP_NONE;
}

static enum drop_reason frame_input(struct vpc *vpc, struct wire_port *port, struct packet *p, struct batch *b)
{
	struct wire *wire = port->wire;
	enum drop_reason drop;

	p->drop = DROP_NONE;
	drop = packet_parse(p);
	if (UNLIKELY(drop != DROP_NONE))
		return drop == DROP_ETHERTYPE ? DROP_NOT_OURS : drop;
	packet_trim(p);
	if (UNLIKELY(p->layers.l3_offset != ETHER_BYTES))
		return DROP_NOT_OURS; /* a VLAN of somebody else */
	if (UNLIKELY((p->head[0] & 1) == 0 && memcmp(p->head, wire->mac.bytes, sizeof(wire->mac.bytes)) != 0))
		return DROP_NOT_OURS;
	if (LIKELY(vpc->policy != NULL && is_tunnel(&p->layers, wire)))
		return overlay_input(vpc, port, p, b);
	if (underlay_input(vpc, wire, p))
		return DROP_ANSWERED;
	if (vpc->policy == NULL || (p->head[0] & 1) != 0)
		return DROP_NOT_OURS;
	return outside_input(vpc, b, p, wire);
}

void wire_receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct wire_port *port = container_of(input, struct wire_port, input);
	struct vpc *vpc = port->vpc;
	struct batch batch;

	vpc_begin(vpc, now_tsc);
	vpc_count_batch(vpc, count);
	batch.count = batch.rounds = 0;
	for (unsigned i = 0; i < count; i++) {
		enum drop_reason drop = frame_input(vpc, port, packets[i], &batch);

		if (UNLIKELY(drop != DROP_NONE))
			packet_drop(vpc, NULL, packets[i], FLOW_IN, drop);
	}
	stage_end(vpc, STAGE_PARSE, count);
	batch_run(vpc, &batch);
	vpc_flush(vpc);
}
