#include "cli/top_net.h"

#include <stdlib.h>

#include "cli/fields.h"
#include "cli/output.h"
#include "cli/rate.h"

static double real(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void add_rate(struct text_table *table, double per_s)
{
	char text[RATE_TEXT_SIZE];

	rate_format_short(per_s, text);
	table_add(table, "%s", text);
}

/* Four cells: packets and bits a second, both ways. */
static void add_traffic(struct text_table *table, const json_t *object)
{
	static const char *const ways[] = {"in", "out"};

	for (int i = 0; i < 2; i++) {
		const json_t *way = json_object_get(object, ways[i]);

		add_rate(table, real(way, "packets_per_s"));
		add_rate(table, real(way, "bits_per_s"));
	}
}

static double traffic(const json_t *eni)
{
	return real(json_object_get(eni, "in"), "packets_per_s") + real(json_object_get(eni, "out"), "packets_per_s") +
	       real(eni, "drops_per_s");
}

static int by_traffic(const void *a, const void *b)
{
	double left = traffic(*(json_t *const *)a), right = traffic(*(json_t *const *)b);

	return (right > left) - (right < left);
}

static void write_enis(const json_t *enis, FILE *out)
{
	static const char *const headings[] = {"ENI",	 "STATE",   ">IN/s",  ">BIT/s", ">OUT/s",
					       ">BIT/s", ">DROP/s", ">FLOWS", ">NEW/s"};
	struct text_table *table = table_new(9, headings);
	size_t count = json_array_size(enis);
	json_t **sorted = calloc(count + 1, sizeof(json_t *));

	for (size_t i = 0; sorted != NULL && i < count; i++)
		sorted[i] = json_array_get(enis, i);
	if (sorted != NULL)
		qsort(sorted, count, sizeof(json_t *), by_traffic);
	for (size_t i = 0; sorted != NULL && i < count; i++) {
		table_add(table, "%s", field_text(sorted[i], "name"));
		table_add(table, "%s", field_text(sorted[i], "state"));
		add_traffic(table, sorted[i]);
		add_rate(table, real(sorted[i], "drops_per_s"));
		table_add(table, "%llu", (unsigned long long)field_number(sorted[i], "flows"));
		add_rate(table, real(sorted[i], "new_flows_per_s"));
	}
	free(sorted);
	fputc('\n', out);
	table_print(table, out);
}

static void write_wires(const json_t *wires, FILE *out)
{
	static const char *const headings[] = {"WIRE", "LINK", ">IN/s", ">BIT/s", ">OUT/s", ">BIT/s", ">FULL/s", "ADDRESS"};
	struct text_table *table = table_new(8, headings);

	for (size_t i = 0; i < json_array_size(wires); i++) {
		const json_t *wire = json_array_get(wires, i);

		table_add(table, "%s", field_text(wire, "name"));
		table_add(table, "%s", field_true(wire, "link") ? "up" : "down");
		add_traffic(table, wire);
		add_rate(table, real(wire, "full_per_s"));
		table_add(table, "%s", field_text(wire, "address"));
	}
	fputc('\n', out);
	table_print(table, out);
}

static void write_pipeline(const json_t *network, FILE *out)
{
	const json_t *stages = json_object_get(network, "stages");
	char packets[RATE_TEXT_SIZE], created[RATE_TEXT_SIZE];

	rate_format_short(real(network, "packets_per_s"), packets);
	rate_format_short(real(network, "new_flows_per_s"), created);
	fprintf(out, "network: %s packets/s, %llu of %llu flows, %s new/s\n", packets,
		(unsigned long long)field_number(network, "flows"), (unsigned long long)field_number(network, "flows_max"),
		created);
	if (real(network, "packets_per_s") <= 0)
		return;
	fprintf(out, "cycles a packet: %.0f", real(network, "cycles_per_packet"));
	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);

		fprintf(out, "%s%s %.0f", i == 0 ? " (of those that pass it: " : ", ", field_text(stage, "name"),
			real(stage, "cycles_per_packet"));
	}
	fprintf(out, "%s\n", json_array_size(stages) > 0 ? ")" : "");
}

void top_write_network(const json_t *stats, FILE *out)
{
	const json_t *enis = json_object_get(stats, "enis"), *network = json_object_get(stats, "network");
	const json_t *wires = json_object_get(network, "wires");

	if (!json_is_object(network))
		return;
	write_pipeline(network, out);
	if (json_array_size(enis) > 0)
		write_enis(enis, out);
	if (json_array_size(wires) > 0)
		write_wires(wires, out);
}
