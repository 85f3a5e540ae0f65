/*
 * One pass over the stats a family, as the format wants it: all samples of a family stand together under its HELP and TYPE.
 * Times are in seconds, as Prometheus wants them. The card's histograms have upper edges that are a quarter octave apart; the
 * buckets here are every second power of two of nanoseconds, cumulative, which any quantile query can work with.
 */
#include "control/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics_print.h"

enum { BUCKET_FIRST_SHIFT = 8, BUCKET_LAST_SHIFT = 34, BUCKET_STEP_SHIFT = 2 }; /* 256 ns to 17 s */

json_int_t metrics_number(const json_t *object, const char *field)
{
	return json_integer_value(json_object_get(object, field));
}

const char *metrics_text_of(const json_t *object, const char *field)
{
	const char *value = json_string_value(json_object_get(object, field));

	return value == NULL ? "" : value;
}

/* Label values: backslash, quote and newline are escaped. Names of volumes have none of them, but what the card says is not ours.
 */
void metrics_print_label(FILE *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		if (*value == '\n')
			fputs("\\n", out);
		else
			fputc(*value, out);
	}
}

void metrics_print_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_seconds(FILE *out, json_int_t duration_ns)
{
	fprintf(out, "%lld.%09lld\n", (long long)(duration_ns / 1000000000), (long long)(duration_ns % 1000000000));
}

/* ---- of the whole ---- */

static void print_card(FILE *out, const struct metrics *m)
{
	metrics_print_family(out, "outboard_card_up", "gauge", "Whether the card answers.");
	fprintf(out, "outboard_card_up %d\n", m->card_up && m->stats != NULL);
	metrics_print_family(out, "outboard_card_restarts_total", "counter",
			     "How often another incarnation of the card took over.");
	fprintf(out, "outboard_card_restarts_total %lld\n", (long long)m->restarts);
	metrics_print_family(out, "outboard_attachments", "gauge", "Attachments that are desired.");
	fprintf(out, "outboard_attachments %lld\n", (long long)m->attachments);
	metrics_print_family(out, "outboard_volumes", "gauge", "Volumes.");
	fprintf(out, "outboard_volumes %zu\n", json_object_size(m->errors));
}

static void print_volumes(FILE *out, const struct metrics *m)
{
	const char *name;
	json_t *errors;

	metrics_print_family(
		out, "outboard_volume_reported_errors", "gauge",
		"Failures of the back end that the card reported since the volume was attached, at most one a second.");
	json_object_foreach (m->errors, name, errors) {
		fputs("outboard_volume_reported_errors{volume=\"", out);
		metrics_print_label(out, name);
		fprintf(out, "\"} %lld\n", (long long)json_integer_value(errors));
	}
}

/* ---- of devices ---- */

struct counter {
	const char *name, *type, *help, *field;
	bool duration;
};

static const struct counter device_counters[] = {
	{"outboard_volume_errors_total", "counter", "Requests that the back end failed, since the card attached the volume.",
	 "errors", false},
	{"outboard_volume_connects_total", "counter", "VMMs that connected.", "connects", false},
	{"outboard_volume_crypt_bytes_total", "counter", "Bytes encrypted and decrypted.", "crypt_bytes", false},
	{"outboard_volume_crypt_seconds_total", "counter", "Time spent on that.", "crypt_ns", true},
};

static void print_devices(FILE *out, const json_t *devices)
{
	for (size_t i = 0; i < sizeof(device_counters) / sizeof(device_counters[0]); i++) {
		const struct counter *c = &device_counters[i];
		json_t *device;
		size_t at;

		metrics_print_family(out, c->name, c->type, c->help);
		json_array_foreach (devices, at, device) {
			fprintf(out, "%s{volume=\"", c->name);
			metrics_print_label(out, metrics_text_of(device, "volume"));
			fputs("\"} ", out);
			if (c->duration)
				print_seconds(out, metrics_number(device, c->field));
			else
				fprintf(out, "%lld\n", (long long)metrics_number(device, c->field));
		}
	}
}

/* ---- of queues: each stage of each ring, and the stages of a volume behind them ---- */

struct stage_labels {
	const char *volume;
	const char *queue; /* index, or "all" for a stage that all rings share */
	const char *stage;
};

static void print_labels(FILE *out, const char *name, const struct stage_labels *l, const char *more)
{
	fprintf(out, "%s{volume=\"", name);
	metrics_print_label(out, l->volume);
	fprintf(out, "\",queue=\"%s\",stage=\"", l->queue);
	metrics_print_label(out, l->stage);
	fprintf(out, "\"%s} ", more);
}

static const struct counter stage_counters[] = {
	{"outboard_queue_arrivals_total", "counter", "Requests that came to the queue.", "arrivals", false},
	{"outboard_queue_departures_total", "counter", "Requests that left it.", "departures", false},
	{"outboard_queue_bytes_total", "counter", "Bytes of what left it.", "bytes", false},
	{"outboard_queue_occupancy_seconds_total", "counter", "Integral of the requests inside over time.", "occupancy_ns", true},
	{"outboard_queue_wait_max_seconds", "gauge", "Longest wait.", "wait_ns_max", true},
};

static void print_counter(FILE *out, const struct counter *c, const struct stage_labels *l, const json_t *stage)
{
	print_labels(out, c->name, l, "");
	if (c->duration)
		print_seconds(out, metrics_number(stage, c->field));
	else
		fprintf(out, "%lld\n", (long long)metrics_number(stage, c->field));
}

static void print_histogram(FILE *out, const struct counter *unused, const struct stage_labels *l, const json_t *stage)
{
	const json_t *buckets = json_object_get(stage, "wait_histogram_ns");
	json_int_t below = 0;
	char more[48];
	size_t at = 0;

	(void)unused;
	for (int shift = BUCKET_FIRST_SHIFT; shift <= BUCKET_LAST_SHIFT; shift += BUCKET_STEP_SHIFT) {
		for (; at < json_array_size(buckets); at++) {
			const json_t *bucket = json_array_get(buckets, at);

			if (json_integer_value(json_array_get(bucket, 0)) > (json_int_t)1 << shift)
				break;
			below += json_integer_value(json_array_get(bucket, 1));
		}
		snprintf(more, sizeof(more), ",le=\"%.9f\"", (double)((uint64_t)1 << shift) / 1e9);
		print_labels(out, "outboard_queue_wait_seconds_bucket", l, more);
		fprintf(out, "%lld\n", (long long)below);
	}
	for (; at < json_array_size(buckets); at++)
		below += json_integer_value(json_array_get(json_array_get(buckets, at), 1));
	print_labels(out, "outboard_queue_wait_seconds_bucket", l, ",le=\"+Inf\"");
	fprintf(out, "%lld\n", (long long)below);
	print_labels(out, "outboard_queue_wait_seconds_sum", l, "");
	print_seconds(out, metrics_number(stage, "wait_ns"));
	print_labels(out, "outboard_queue_wait_seconds_count", l, "");
	fprintf(out, "%lld\n", (long long)below);
}

typedef void print_stage(FILE *out, const struct counter *counter, const struct stage_labels *labels, const json_t *stage);

static void each_stage(FILE *out, const json_t *stages, struct stage_labels labels, print_stage *print, const struct counter *c)
{
	json_t *stage;
	size_t at;

	json_array_foreach (stages, at, stage) {
		labels.stage = metrics_text_of(stage, "name");
		print(out, c, &labels, stage);
	}
}

static const char *queue_name(const json_t *queue, char name[24])
{
	/* What is left of rings that a guest has given back is one sum. */
	if (json_is_false(json_object_get(queue, "served")))
		return "former";
	snprintf(name, 24, "%lld", (long long)metrics_number(queue, "index"));
	return name;
}

static void print_stages(FILE *out, const json_t *devices, print_stage *print, const struct counter *c)
{
	json_t *device, *queue;
	size_t at, queue_at;
	char name[24];

	json_array_foreach (devices, at, device) {
		const char *volume = metrics_text_of(device, "volume");

		json_array_foreach (json_object_get(device, "queues"), queue_at, queue)
			each_stage(out, json_object_get(queue, "stages"),
				   (struct stage_labels){.volume = volume, .queue = queue_name(queue, name)}, print, c);
		each_stage(out, json_object_get(device, "stages"), (struct stage_labels){.volume = volume, .queue = "all"}, print,
			   c);
	}
}

static const struct counter queue_counters[] = {
	{"outboard_queue_errors_total", "counter", "Requests answered with an error.", "errors", false},
	{"outboard_queue_unsupported_total", "counter", "Requests of a kind that the device does not have.", "unsupported", false},
	{"outboard_queue_kicks_total", "counter", "Notifications by the guest.", "kicks", false},
	{"outboard_queue_calls_total", "counter", "Interrupts to the guest.", "calls", false},
	{"outboard_queue_service_gap_max_seconds", "gauge", "Longest time between two visits while it was active.",
	 "service_gap_max_ns", true},
};

static void print_queue_counter(FILE *out, const struct counter *c, const json_t *devices)
{
	json_t *device, *queue;
	size_t at, queue_at;
	char name[24];

	metrics_print_family(out, c->name, c->type, c->help);
	json_array_foreach (devices, at, device) {
		json_array_foreach (json_object_get(device, "queues"), queue_at, queue) {
			fprintf(out, "%s{volume=\"", c->name);
			metrics_print_label(out, metrics_text_of(device, "volume"));
			fprintf(out, "\",queue=\"%s\"} ", queue_name(queue, name));
			if (c->duration)
				print_seconds(out, metrics_number(queue, c->field));
			else
				fprintf(out, "%lld\n", (long long)metrics_number(queue, c->field));
		}
	}
}

static void print_queues(FILE *out, const json_t *devices)
{
	for (size_t i = 0; i < sizeof(stage_counters) / sizeof(stage_counters[0]); i++) {
		metrics_print_family(out, stage_counters[i].name, stage_counters[i].type, stage_counters[i].help);
		print_stages(out, devices, print_counter, &stage_counters[i]);
	}
	for (size_t i = 0; i < sizeof(queue_counters) / sizeof(queue_counters[0]); i++)
		print_queue_counter(out, &queue_counters[i], devices);
	metrics_print_family(out, "outboard_queue_wait_seconds", "histogram", "How long requests waited in the queue.");
	print_stages(out, devices, print_histogram, NULL);
}

/* ---- of pollers ---- */

static void print_pollers(FILE *out, const json_t *pollers)
{
	static const char *const times[] = {"busy", "idle", "sleep"};
	json_t *poller;
	char field[16];
	size_t at;

	metrics_print_family(out, "outboard_poller_seconds_total", "counter", "Time of a poller's core, by what it did.");
	json_array_foreach (pollers, at, poller) {
		for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
			snprintf(field, sizeof(field), "%s_ns", times[i]);
			fprintf(out, "outboard_poller_seconds_total{core=\"%lld\",state=\"%s\"} ",
				(long long)metrics_number(poller, "core"), times[i]);
			print_seconds(out, metrics_number(poller, field));
		}
	}
	metrics_print_family(out, "outboard_poller_busy_ratio", "gauge",
			     "Share of its time that a poller was busy, since it started.");
	json_array_foreach (pollers, at, poller) {
		double busy = (double)metrics_number(poller, "busy_ns"),
		       all = busy + (double)metrics_number(poller, "idle_ns") + (double)metrics_number(poller, "sleep_ns");

		fprintf(out, "outboard_poller_busy_ratio{core=\"%lld\"} %.6f\n", (long long)metrics_number(poller, "core"),
			all > 0 ? busy / all : 0);
	}
	metrics_print_family(out, "outboard_poller_service_gap_max_seconds", "gauge",
			     "Longest time that any active queue waited for a visit.");
	json_array_foreach (pollers, at, poller) {
		fprintf(out, "outboard_poller_service_gap_max_seconds{core=\"%lld\"} ", (long long)metrics_number(poller, "core"));
		print_seconds(out, metrics_number(poller, "service_gap_max_ns"));
	}
}

char *metrics_text(const struct metrics *m)
{
	char *buffer = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buffer, &size);

	if (out == NULL)
		return NULL;
	print_card(out, m);
	print_volumes(out, m);
	if (m->stats != NULL) {
		print_devices(out, json_object_get(m->stats, "devices"));
		print_queues(out, json_object_get(m->stats, "devices"));
		print_pollers(out, json_object_get(m->stats, "pollers"));
		metrics_print_network(out, m->stats);
	}
	if (fclose(out) != 0) {
		free(buffer);
		return NULL;
	}
	return buffer;
}
