/* The network's counters: of each ENI, of the pipeline's stages, of the flow table, of the wires. */
#include <string.h>

#include "control/metrics_print.h"

/* ---- ENIs ---- */

struct counter {
	const char *name, *type, *help, *field;
};

static void print_eni(FILE *out, const char *name, const json_t *eni, const char *more_name, const char *more, json_int_t value)
{
	fprintf(out, "%s{eni=\"", name);
	metrics_print_label(out, metrics_text_of(eni, "name"));
	if (more_name != NULL) {
		fprintf(out, "\",%s=\"", more_name);
		metrics_print_label(out, more);
	}
	fprintf(out, "\"} %lld\n", (long long)value);
}

static const struct counter eni_counters[] = {
	{"outboard_eni_flows", "gauge", "Flows that are tracked.", "flows"},
	{"outboard_eni_flows_created_total", "counter", "Flows that were created.", "flows_created"},
	{"outboard_eni_slow_path_packets_total", "counter", "Packets that were decided without a flow.", "slow_path"},
};

static void print_enis(FILE *out, const json_t *enis)
{
	json_t *eni;
	size_t at;

	for (size_t i = 0; i < sizeof(eni_counters) / sizeof(eni_counters[0]); i++) {
		const struct counter *c = &eni_counters[i];

		metrics_print_family(out, c->name, c->type, c->help);
		json_array_foreach ((json_t *)(size_t)enis, at, eni)
			print_eni(out, c->name, eni, NULL, NULL, metrics_number(eni, c->field));
	}
}

static void print_traffic(FILE *out, const json_t *enis, const char *name, const char *help, const char *field)
{
	static const char *const directions[] = {"in", "out"};
	json_t *eni;
	size_t at;

	metrics_print_family(out, name, "counter", help);
	json_array_foreach ((json_t *)(size_t)enis, at, eni)
		for (int i = 0; i < 2; i++)
			print_eni(out, name, eni, "direction", directions[i],
				  metrics_number(json_object_get(eni, directions[i]), field));
}

/* One sample a member of an object of counters. */
static void print_members(FILE *out, const json_t *enis, const struct counter *c, const char *label)
{
	const char *member;
	json_t *eni, *value;
	size_t at;

	metrics_print_family(out, c->name, c->type, c->help);
	json_array_foreach ((json_t *)(size_t)enis, at, eni)
		json_object_foreach (json_object_get(eni, c->field), member, value)
			print_eni(out, c->name, eni, label, member, json_integer_value(value));
}

/* ---- the pipeline ---- */

static const struct counter network_counters[] = {
	{"outboard_flows", "gauge", "Flows in the card's table.", "flows"},
	{"outboard_flows_max", "gauge", "How many have room in it.", "flows_max"},
	{"outboard_flows_created_total", "counter", "Flows that were created.", "flows_created"},
	{"outboard_flows_expired_total", "counter", "Flows that aged.", "flows_expired"},
};

static void print_stages(FILE *out, const json_t *stages)
{
	static const struct counter counters[] = {
		{"outboard_network_stage_cycles_total", "counter", "Cycles spent in a stage of the pipeline.", "cycles"},
		{"outboard_network_stage_packets_total", "counter", "Packets that went through it.", "packets"},
	};
	json_t *stage;
	size_t at;

	for (size_t i = 0; i < 2; i++) {
		metrics_print_family(out, counters[i].name, counters[i].type, counters[i].help);
		json_array_foreach ((json_t *)(size_t)stages, at, stage) {
			fprintf(out, "%s{stage=\"", counters[i].name);
			metrics_print_label(out, metrics_text_of(stage, "name"));
			fprintf(out, "\"} %lld\n", (long long)metrics_number(stage, counters[i].field));
		}
	}
}

static void print_pipeline(FILE *out, const json_t *network)
{
	const char *reason;
	json_t *count;

	for (size_t i = 0; i < sizeof(network_counters) / sizeof(network_counters[0]); i++) {
		const struct counter *c = &network_counters[i];

		metrics_print_family(out, c->name, c->type, c->help);
		fprintf(out, "%s %lld\n", c->name, (long long)metrics_number(network, c->field));
	}
	metrics_print_family(out, "outboard_network_drops_total", "counter", "Packets dropped that belong to no ENI, by reason.");
	json_object_foreach (json_object_get(network, "drops"), reason, count) {
		fputs("outboard_network_drops_total{reason=\"", out);
		metrics_print_label(out, reason);
		fprintf(out, "\"} %lld\n", (long long)json_integer_value(count));
	}
	print_stages(out, json_object_get(network, "stages"));
}

/* ---- wires ---- */

static void print_wire(FILE *out, const char *name, const json_t *wire, const char *direction, json_int_t value)
{
	fprintf(out, "%s{wire=\"", name);
	metrics_print_label(out, metrics_text_of(wire, "name"));
	if (direction != NULL)
		fprintf(out, "\",direction=\"%s", direction);
	fprintf(out, "\"} %lld\n", (long long)value);
}

static void print_wires(FILE *out, const json_t *wires)
{
	static const struct counter traffic[] = {
		{"outboard_wire_packets_total", "counter", "Packets on the wire.", "packets"},
		{"outboard_wire_bytes_total", "counter", "Bytes on the wire.", "bytes"},
	};
	json_t *wire;
	size_t at;

	for (size_t i = 0; i < 2; i++) {
		metrics_print_family(out, traffic[i].name, traffic[i].type, traffic[i].help);
		json_array_foreach ((json_t *)(size_t)wires, at, wire) {
			print_wire(out, traffic[i].name, wire, "in", metrics_number(json_object_get(wire, "in"), traffic[i].field));
			print_wire(out, traffic[i].name, wire, "out",
				   metrics_number(json_object_get(wire, "out"), traffic[i].field));
		}
	}
	metrics_print_family(out, "outboard_wire_full_total", "counter",
			     "Packets for which the wire's transmit queue had no room.");
	json_array_foreach ((json_t *)(size_t)wires, at, wire)
		print_wire(out, "outboard_wire_full_total", wire, NULL, metrics_number(wire, "full"));
	metrics_print_family(out, "outboard_wire_up", "gauge", "Whether the wire's link is up.");
	json_array_foreach ((json_t *)(size_t)wires, at, wire)
		print_wire(out, "outboard_wire_up", wire, NULL, json_is_true(json_object_get(wire, "link")));
}

void metrics_print_network(FILE *out, const json_t *stats)
{
	static const struct counter drops = {"outboard_eni_drops_total", "counter",
					     "Packets of an ENI that were dropped, by reason.", "drops"};
	static const struct counter allowances = {
		"outboard_eni_allowance", "gauge",
		"Allowances of an ENI, under the names that AWS gives them: packets over each, since it was "
		"attached, and flows still available.",
		"allowances"};
	const json_t *enis = json_object_get(stats, "enis"), *network = json_object_get(stats, "network");

	print_enis(out, enis);
	print_traffic(out, enis, "outboard_eni_packets_total", "Packets to (in) and from (out) the guest.", "packets");
	print_traffic(out, enis, "outboard_eni_bytes_total", "Their bytes.", "bytes");
	print_members(out, enis, &drops, "reason");
	print_members(out, enis, &allowances, "name");
	if (!json_is_object(network))
		return;
	print_pipeline(out, network);
	print_wires(out, json_object_get(network, "wires"));
}
