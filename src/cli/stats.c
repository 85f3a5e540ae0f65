#include "cli/stats.h"

#include <stdlib.h>
#include <string.h>

#include "cli/fields.h"
#include "cli/stats_counters.h"

struct bucket {
	uint64_t edge_ns;
	uint64_t count;
};

uint64_t stats_advance(const json_t *older, const json_t *newer, const char *name)
{
	uint64_t from = field_number(older, name), to = field_number(newer, name);

	return to >= from ? to - from : to;
}

const json_t *stats_find(const json_t *list, const char *key, const json_t *like)
{
	const json_t *wanted = json_object_get(like, key);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *element = json_array_get(list, i);

		if (wanted != NULL && json_equal(json_object_get(element, key), wanted))
			return element;
	}
	return NULL;
}

static uint64_t bucket_count(const json_t *histogram, json_int_t edge_ns)
{
	for (size_t i = 0; i < json_array_size(histogram); i++) {
		const json_t *bucket = json_array_get(histogram, i);

		if (json_integer_value(json_array_get(bucket, 0)) == edge_ns)
			return (uint64_t)json_integer_value(json_array_get(bucket, 1));
	}
	return 0;
}

/* Buckets of what departed in between, in ascending order as the card sends them. The caller frees them. */
static struct bucket *histogram_between(const json_t *older, const json_t *newer, size_t *count, uint64_t *total)
{
	size_t size = json_array_size(newer);
	struct bucket *buckets = calloc(size + 1, sizeof(*buckets));

	*count = 0;
	*total = 0;
	for (size_t i = 0; buckets != NULL && i < size; i++) {
		const json_t *pair = json_array_get(newer, i);
		json_int_t edge = json_integer_value(json_array_get(pair, 0));
		uint64_t to = (uint64_t)json_integer_value(json_array_get(pair, 1)), from = bucket_count(older, edge);

		buckets[*count] = (struct bucket){.edge_ns = (uint64_t)edge, .count = to >= from ? to - from : to};
		*total += buckets[(*count)++].count;
	}
	return buckets;
}

/* The upper edge of the bucket in which the quantile falls, or the longest wait ever where that is less. */
static uint64_t quantile_ns(const struct bucket *buckets, size_t count, uint64_t total, uint64_t part_per_thousand, uint64_t max_ns)
{
	uint64_t rank = (total * part_per_thousand + 999) / 1000, seen = 0;

	for (size_t i = 0; i < count; i++) {
		seen += buckets[i].count;
		if (total > 0 && seen >= rank)
			return buckets[i].edge_ns < max_ns ? buckets[i].edge_ns : max_ns;
	}
	return 0;
}

static json_t *waits(const json_t *older, const json_t *newer, uint64_t departures)
{
	size_t count;
	uint64_t total, wait_ns = stats_advance(older, newer, "wait_ns"), max_ns = field_number(newer, "wait_ns_max");
	struct bucket *buckets = histogram_between(json_object_get(older, "wait_histogram_ns"),
						   json_object_get(newer, "wait_histogram_ns"), &count, &total);
	json_t *result;

	if (buckets == NULL)
		return NULL;
	result = json_pack("{s:I,s:I,s:I,s:I,s:I}", "avg", (json_int_t)(departures > 0 ? wait_ns / departures : 0), "p50",
			   (json_int_t)quantile_ns(buckets, count, total, 500, max_ns), "p99",
			   (json_int_t)quantile_ns(buckets, count, total, 990, max_ns), "p999",
			   (json_int_t)quantile_ns(buckets, count, total, 999, max_ns), "max", (json_int_t)max_ns);
	free(buckets);
	return result;
}

static json_t *stage(const json_t *older, const json_t *newer, double interval_ns)
{
	uint64_t departures = stats_advance(older, newer, "departures");
	double seconds = interval_ns / 1e9;

	return json_pack("{s:s,s:f,s:f,s:f,s:f,s:o}", "name", field_text(newer, "name"), "rate_per_s", (double)departures / seconds,
			 "mib_per_s", (double)stats_advance(older, newer, "bytes") / seconds / (1 << 20), "occupancy",
			 (double)stats_advance(older, newer, "occupancy_ns") / interval_ns, "littles_law_occupancy",
			 (double)stats_advance(older, newer, "wait_ns") / interval_ns, "wait_ns", waits(older, newer, departures));
}

static json_t *stages(const json_t *older, const json_t *newer, double interval_ns)
{
	const json_t *from = json_object_get(older, "stages"), *to = json_object_get(newer, "stages");
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(to); i++) {
		const json_t *one = json_array_get(to, i);

		json_array_append_new(list, stage(stats_find(from, "name", one), one, interval_ns));
	}
	return list;
}

static json_t *queue(const json_t *older, const json_t *newer, double interval_ns)
{
	double seconds = interval_ns / 1e9;

	return json_pack("{s:I,s:f,s:f,s:I,s:I,s:o}", "index", (json_int_t)field_number(newer, "index"), "kicks_per_s",
			 (double)stats_advance(older, newer, "kicks") / seconds, "calls_per_s",
			 (double)stats_advance(older, newer, "calls") / seconds, "errors",
			 (json_int_t)stats_advance(older, newer, "errors"), "service_gap_max_ns",
			 (json_int_t)field_number(newer, "service_gap_max_ns"), "stages", stages(older, newer, interval_ns));
}

static json_t *device(const json_t *older, const json_t *newer, double interval_ns)
{
	const json_t *from = json_object_get(older, "queues"), *to = json_object_get(newer, "queues");
	json_t *queues = json_array();

	for (size_t i = 0; i < json_array_size(to); i++) {
		const json_t *one = json_array_get(to, i);

		if (field_true(one, "served")) /* else the sum of queues that are gone */
			json_array_append_new(queues, queue(stats_find(from, "index", one), one, interval_ns));
	}
	return json_pack("{s:s,s:s,s:I,s:o,s:o}", "volume", field_text(newer, "volume"), "state", field_text(newer, "state"),
			 "poller", (json_int_t)field_number(newer, "poller"), "stages", stages(older, newer, interval_ns), "queues",
			 queues);
}

static json_t *poller(const json_t *older, const json_t *newer)
{
	uint64_t busy = stats_advance(older, newer, "busy_ns"), idle = stats_advance(older, newer, "idle_ns"),
		 sleep = stats_advance(older, newer, "sleep_ns");
	uint64_t all = busy + idle + sleep;

	return json_pack("{s:I,s:f,s:I,s:I,s:I}", "core", (json_int_t)field_number(newer, "core"), "busy_share",
			 all > 0 ? (double)busy / (double)all : 0.0, "service_gap_max_ns",
			 (json_int_t)field_number(newer, "service_gap_max_ns"), "active", (json_int_t)field_number(newer, "active"),
			 "queues", (json_int_t)field_number(newer, "queues"));
}

json_t *stats_between(const json_t *older, const json_t *newer)
{
	const json_t *from = json_object_get(older, "devices"), *to = json_object_get(newer, "devices");
	const json_t *pollers = json_object_get(newer, "pollers");
	uint64_t start = field_number(older, "now_ns"), end = field_number(newer, "now_ns");
	json_t *result_pollers, *result_devices;
	double seconds;

	if (!json_is_array(to) || !json_is_array(pollers) || end <= start)
		return NULL;
	result_pollers = json_array();
	for (size_t i = 0; i < json_array_size(pollers); i++) {
		const json_t *one = json_array_get(pollers, i);

		json_array_append_new(result_pollers, poller(stats_find(json_object_get(older, "pollers"), "core", one), one));
	}
	result_devices = json_array();
	for (size_t i = 0; i < json_array_size(to); i++) {
		const json_t *one = json_array_get(to, i);

		json_array_append_new(result_devices, device(stats_find(from, "volume_id", one), one, (double)(end - start)));
	}
	seconds = (double)(end - start) / 1e9;
	return json_pack("{s:I,s:o,s:o,s:o,s:o}", "interval_ns", (json_int_t)(end - start), "pollers", result_pollers, "devices",
			 result_devices, "enis",
			 stats_enis(json_object_get(older, "enis"), json_object_get(newer, "enis"), seconds), "network",
			 stats_network(json_object_get(older, "network"), json_object_get(newer, "network"), seconds));
}
