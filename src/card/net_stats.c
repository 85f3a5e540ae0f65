/*
 * The network's part of "stats". Counters are the pollers', monotonic for as long as the ENI is known.
 *
 *	enis: [{id, name, state ("detached" too), in: {packets, bytes}, out, drops: {reason: count}, allowances: {..._exceeded: count,
 *		conntrack_allowance_available}, flows, flows_max, flows_created, slow_path, queues}]
 *	network: {flows, flows_max, flows_created, flows_expired, packets, batches, drops (of no ENI), stages: [{name, cycles, packets}],
 *		offload: {offered, accepted}, nats: [as enis, without queues], wires: [{name, device, link, mac, address, in, out, full, errors_in,
 *		stages}]}
 */
#include "card/eni.h"
#include "card/stats_json.h"

static json_t *count_json(const struct flow_counters *c)
{
	return json_pack("{s:I,s:I}", "packets", (json_int_t)STATS_LOAD(c->packets), "bytes", (json_int_t)STATS_LOAD(c->bytes));
}

static json_t *drops_json(const uint64_t *drops)
{
	json_t *object = json_object();

	for (int reason = 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t count = STATS_LOAD(drops[reason]);

		if (count > 0)
			json_object_set_new(object, drop_name(reason), json_integer((json_int_t)count));
	}
	return object;
}

/* As AWS names them; each is a drop reason of that name. */
static json_t *allowances_json(const struct vpc_endpoint_counters *c)
{
	static const enum drop_reason reasons[] = {DROP_BANDWIDTH_IN, DROP_BANDWIDTH_OUT,   DROP_PACKET_RATE,
						   DROP_FLOW_QUOTA,   DROP_LINK_LOCAL_RATE, DROP_NEW_FLOW_RATE};
	uint64_t flows = STATS_LOAD(c->flows), max = STATS_LOAD(c->flows_max);
	json_t *object = json_pack("{s:I}", "conntrack_allowance_available", (json_int_t)(max > flows ? max - flows : 0));

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		json_object_set_new(object, drop_name(reasons[i]), json_integer((json_int_t)STATS_LOAD(c->drops[reasons[i]])));
	return object;
}

static json_t *endpoint_json(const struct policy_endpoint *endpoint, const struct vpc_endpoint_counters *c)
{
	static const struct vpc_endpoint_counters none;

	if (c == NULL)
		c = &none;
	return json_pack("{s:o,s:s,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "id", commands_uuid(&endpoint->id), "name", endpoint->name,
			 "in", count_json(&c->in), "out", count_json(&c->out), "drops", drops_json(c->drops), "allowances",
			 allowances_json(c), "flows", (json_int_t)STATS_LOAD(c->flows), "flows_max",
			 (json_int_t)STATS_LOAD(c->flows_max), "flows_created", (json_int_t)STATS_LOAD(c->flows_created),
			 "slow_path", (json_int_t)STATS_LOAD(c->slow_path));
}

static bool worked(const struct vpc_endpoint_counters *c)
{
	return c != NULL && STATS_LOAD(c->in.packets) + STATS_LOAD(c->out.packets) + STATS_LOAD(c->slow_path) > 0;
}

/* Those of this card that are attached, or were: what is neither has nothing to show. */
json_t *net_stats_enis(struct card *card, bool all)
{
	struct network *n = &card->network;
	const struct policy *policy = n->model == NULL ? NULL : model_policy(n->model);
	json_t *enis = json_array();

	for (uint32_t slot = 0; policy != NULL && slot < policy->endpoint_max; slot++) {
		const struct policy_endpoint *endpoint = policy_endpoint_at(policy, slot);
		const struct vpc_endpoint_counters *counters = vpc_endpoint_counters(n->vpc, slot);
		struct eni_device *e;
		json_t *eni;

		if (endpoint == NULL || endpoint->kind != ENDPOINT_ENI)
			continue;
		e = eni_find(n, &endpoint->id);
		if (!worked(counters) && (e == NULL || !all))
			continue;
		eni = endpoint_json(endpoint, counters);
		json_object_set_new(eni, "state", json_string(e == NULL ? "detached" : eni_state_name(e)));
		json_object_set_new(eni, "queues", e == NULL ? json_array() : e->front->queues(e, all));
		json_array_append_new(enis, eni);
	}
	return enis;
}

static json_t *nats_json(const struct network *n)
{
	const struct policy *policy = model_policy(n->model);
	json_t *nats = json_array();

	for (uint32_t slot = 0; slot < policy->endpoint_max; slot++) {
		const struct policy_endpoint *endpoint = policy_endpoint_at(policy, slot);

		if (endpoint != NULL && endpoint->kind == ENDPOINT_NAT)
			json_array_append_new(nats, endpoint_json(endpoint, vpc_endpoint_counters(n->vpc, slot)));
	}
	return nats;
}

static json_t *wire_json(const struct wire_source *ws)
{
	struct wire *w = ws->wire;
	const struct wire_counters *c = &w->counters;
	char name[16], mac[MAC_TEXT_SIZE], address[NET_PREFIX_TEXT_SIZE];

	snprintf(name, sizeof(name), "wire%u", w->index);
	mac_format(&w->mac, mac);
	net_prefix_format(&w->config.address, address);
	return json_pack("{s:s,s:s,s:b,s:s,s:s,s:{s:I,s:I},s:{s:I,s:I},s:I,s:I,s:[o]}", "name", name, "device", w->config.device,
			 "link", (int)w->ops->link_up(w), "mac", mac, "address", address, "in", "packets",
			 (json_int_t)STATS_LOAD(c->packets_in), "bytes", (json_int_t)STATS_LOAD(c->bytes_in), "out", "packets",
			 (json_int_t)STATS_LOAD(c->packets_out), "bytes", (json_int_t)STATS_LOAD(c->bytes_out), "full",
			 (json_int_t)STATS_LOAD(c->full), "errors_in", (json_int_t)STATS_LOAD(c->errors_in), "stages",
			 stats_stage("transmit", &c->transmit));
}

static json_t *stages_json(const struct vpc_counters *c)
{
	static const char *const names[STAGE_COUNT] = {"parse", "lookup", "slow", "rewrite", "output"};
	json_t *stages = json_array();

	for (int i = 0; i < STAGE_COUNT; i++)
		json_array_append_new(stages, json_pack("{s:s,s:I,s:I}", "name", names[i], "cycles",
							(json_int_t)STATS_LOAD(c->stage_ticks[i]), "packets",
							(json_int_t)STATS_LOAD(c->stage_packets[i])));
	return stages;
}

json_t *net_stats_network(struct card *card)
{
	struct network *n = &card->network;
	const struct vpc_counters *c;
	json_t *wires, *network;

	if (n->vpc == NULL)
		return json_null();
	c = vpc_counters(n->vpc);
	wires = json_array();
	for (unsigned i = 0; i < n->config.wire_count; i++)
		json_array_append_new(wires, wire_json(&n->wires[i]));
	network = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o}", "flows", (json_int_t)STATS_LOAD(c->flows), "flows_max",
			    (json_int_t)STATS_LOAD(c->flows_max), "flows_created", (json_int_t)STATS_LOAD(c->flows_created),
			    "flows_expired", (json_int_t)STATS_LOAD(c->flows_expired), "packets",
			    (json_int_t)STATS_LOAD(c->packets), "batches", (json_int_t)STATS_LOAD(c->batches), "drops",
			    drops_json(c->drops), "stages", stages_json(c), "wires", wires, "nats", nats_json(n));
	json_object_set_new(network, "offload",
			    json_pack("{s:I,s:I}", "offered", (json_int_t)STATS_LOAD(c->offload_offered), "accepted",
				      (json_int_t)STATS_LOAD(c->offload_accepted)));
	return network;
}
