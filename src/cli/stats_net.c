#include <string.h>

#include "cli/fields.h"
#include "cli/stats_counters.h"

static double rate(const json_t *older, const json_t *newer, const char *name, double seconds)
{
	return (double)stats_advance(older, newer, name) / seconds;
}

/* Of an ENI or a wire, one way. */
static json_t *traffic(const json_t *older, const json_t *newer, const char *way, double seconds)
{
	const json_t *from = json_object_get(older, way), *to = json_object_get(newer, way);

	return json_pack("{s:f,s:f}", "packets_per_s", rate(from, to, "packets", seconds), "bits_per_s",
			 8 * rate(from, to, "bytes", seconds));
}

/* {reason: a second} of those that grew, and the sum of what was lost: "answered" is no loss. */
static json_t *drops(const json_t *older, const json_t *newer, double seconds, double *sum)
{
	const json_t *from = json_object_get(older, "drops");
	json_t *result = json_object(), *to = json_object_get(newer, "drops"), *count;
	const char *reason;

	*sum = 0;
	json_object_foreach (to, reason, count) {
		double per_s = rate(from, to, reason, seconds);

		if (per_s <= 0)
			continue;
		json_object_set_new(result, reason, json_real(per_s));
		if (strcmp(reason, "answered") != 0)
			*sum += per_s;
	}
	return result;
}

static json_t *eni(const json_t *older, const json_t *newer, double seconds)
{
	double dropped;
	json_t *reasons = drops(older, newer, seconds, &dropped);

	return json_pack("{s:s,s:s,s:o,s:o,s:f,s:o,s:I,s:I,s:f,s:f}", "name", field_text(newer, "name"), "state",
			 field_text(newer, "state"), "in", traffic(older, newer, "in", seconds), "out",
			 traffic(older, newer, "out", seconds), "drops_per_s", dropped, "drops", reasons, "flows",
			 (json_int_t)field_number(newer, "flows"), "flows_max", (json_int_t)field_number(newer, "flows_max"),
			 "new_flows_per_s", rate(older, newer, "flows_created", seconds), "slow_path_per_s",
			 rate(older, newer, "slow_path", seconds));
}

json_t *stats_enis(const json_t *older, const json_t *newer, double seconds)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(newer); i++) {
		const json_t *one = json_array_get(newer, i);

		json_array_append_new(list, eni(stats_find(older, "id", one), one, seconds));
	}
	return list;
}

static json_t *wires(const json_t *older, const json_t *newer, double seconds)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(newer); i++) {
		const json_t *to = json_array_get(newer, i), *from = stats_find(older, "name", to);

		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:b,s:s,s:o,s:o,s:f}", "name", field_text(to, "name"), "device",
						field_text(to, "device"), "link", (int)field_true(to, "link"), "address",
						field_text(to, "address"), "in", traffic(from, to, "in", seconds), "out",
						traffic(from, to, "out", seconds), "full_per_s", rate(from, to, "full", seconds)));
	}
	return list;
}

/* What each stage took of the packets that went through it, and all of them of a packet of the pipeline. */
static json_t *stages(const json_t *older, const json_t *newer, double seconds, uint64_t *cycles)
{
	json_t *list = json_array();

	*cycles = 0;
	for (size_t i = 0; i < json_array_size(newer); i++) {
		const json_t *to = json_array_get(newer, i), *from = stats_find(older, "name", to);
		uint64_t packets = stats_advance(from, to, "packets"), spent = stats_advance(from, to, "cycles");

		*cycles += spent;
		json_array_append_new(list, json_pack("{s:s,s:f,s:f}", "name", field_text(to, "name"), "packets_per_s",
						      (double)packets / seconds, "cycles_per_packet",
						      packets > 0 ? (double)spent / (double)packets : 0.0));
	}
	return list;
}

json_t *stats_network(const json_t *older, const json_t *newer, double seconds)
{
	uint64_t packets = stats_advance(older, newer, "packets"), cycles;
	double dropped;
	json_t *reasons, *of_stages;

	if (!json_is_object(newer))
		return json_null();
	reasons = drops(older, newer, seconds, &dropped);
	of_stages = stages(json_object_get(older, "stages"), json_object_get(newer, "stages"), seconds, &cycles);
	return json_pack(
		"{s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:o,s:o,s:o}", "flows", (json_int_t)field_number(newer, "flows"), "flows_max",
		(json_int_t)field_number(newer, "flows_max"), "new_flows_per_s", rate(older, newer, "flows_created", seconds),
		"expired_flows_per_s", rate(older, newer, "flows_expired", seconds), "packets_per_s", (double)packets / seconds,
		"cycles_per_packet", packets > 0 ? (double)cycles / (double)packets : 0.0, "drops_per_s", dropped, "drops", reasons,
		"stages", of_stages, "wires", wires(json_object_get(older, "wires"), json_object_get(newer, "wires"), seconds));
}
