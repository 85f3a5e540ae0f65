/*
 * One run: connect, check that what was asked for makes sense on this device, [fill], load, [read everything back], report.
 *
 * With --verify the three phases share one map of generations; the figures reported are those of the middle one, errors and
 * mismatches those of all three.
 */
#include "load/bench_blk.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "load/bench_blk_options.h"
#include "load/bench_common.h"
#include "load/blk_load.h"

enum { STALL_SECONDS_MAX = 30 };

#define VERIFY_REGION_BYTES_DEFAULT (UINT64_C(1) << 30)

struct bench {
	struct bench_blk_options options;
	struct blk_driver driver;
	struct blk_verify verify;
	struct blk_load_result result; /* of the load proper */
	uint64_t region_bytes;
	uint64_t errors, mismatches; /* of all phases */
	const char *phase;
	char failure[400]; /* why it could not go on, without the name of the socket */
	const volatile int *interrupted;
	bool tty;
};

static void complain(const struct bench *b, const char *text)
{
	fprintf(stderr, "bench blk: %s: %s\n", b->options.socket_path, text);
}

/* The end of the run; with --json the reason becomes part of the object. */
static int give_up(struct bench *b, const char *text)
{
	snprintf(b->failure, sizeof(b->failure), "%s", text);
	complain(b, text);
	return 1;
}

static int settle_region(struct bench *b)
{
	const struct bench_blk_options *o = &b->options;
	const struct blk_geometry *g = &b->driver.geometry;
	char text[200], size[SIZE_TEXT_SIZE];

	size_format(g->capacity_bytes, size);
	if (o->request_bytes % g->block_size_bytes != 0) {
		snprintf(text, sizeof(text), "the device has blocks of %u bytes; --bs must be a multiple of that, not %u",
			 g->block_size_bytes, o->request_bytes);
		return give_up(b, text);
	}
	b->region_bytes = o->region_bytes != 0 ? o->region_bytes : g->capacity_bytes;
	if (o->verify && o->region_bytes == 0 && b->region_bytes > VERIFY_REGION_BYTES_DEFAULT)
		b->region_bytes = VERIFY_REGION_BYTES_DEFAULT;
	if (b->region_bytes > g->capacity_bytes) {
		snprintf(text, sizeof(text), "the device has only %s (%llu bytes); use a smaller --region", size,
			 (unsigned long long)g->capacity_bytes);
		return give_up(b, text);
	}
	b->region_bytes -= b->region_bytes % o->request_bytes;
	if (b->region_bytes == 0) {
		snprintf(text, sizeof(text), "the device is smaller (%s) than one request; use a smaller --bs", size);
		return give_up(b, text);
	}
	if (g->read_only && (o->verify || o->read_percent < 100))
		return give_up(b, "the device is read-only; use --rw randread or read, without --verify");
	return 0;
}

static void print_header(const struct bench *b)
{
	const struct bench_blk_options *o = &b->options;
	const struct blk_geometry *g = &b->driver.geometry;
	char capacity[SIZE_TEXT_SIZE], region[SIZE_TEXT_SIZE], request[SIZE_TEXT_SIZE];

	if (o->json)
		return;
	size_format(g->capacity_bytes, capacity);
	size_format(b->region_bytes, region);
	size_format(o->request_bytes, request);
	printf("device  %s: %s, blocks of %u bytes, up to %u queue%s%s\n", o->socket_path, capacity, g->block_size_bytes,
	       g->queues_max, g->queues_max == 1 ? "" : "s", g->read_only ? ", read-only" : "");
	printf("rings   %u %s of %u slots, %s descriptors%s, in-flight record %s, memory on %s\n", o->queue_count,
	       o->packed ? "packed" : "split", b->driver.queues[0].ring.size, o->indirect ? "indirect" : "chained",
	       b->driver.queues[0].ring.config.event_idx ? ", event index" : "", b->driver.inflight.fd >= 0 ? "yes" : "no",
	       b->driver.memory.huge_pages ? "huge pages" : "4 KiB pages");
	printf("load    %s of %s, %u in flight a queue, in the first %s%s", o->rw, request, o->depth, region,
	       o->verify ? ", every read checked" : "");
	if (o->rate_iops != 0)
		printf(", %llu requests a second (open loop)", (unsigned long long)o->rate_iops);
	printf(", for %u s\n", o->seconds);
	fflush(stdout);
}

static void show_progress(void *context, uint64_t requests, uint64_t elapsed_ns)
{
	const struct bench *b = context;
	double seconds = (double)elapsed_ns / 1e9;

	fprintf(stderr, "\r\033[K%s  %.0f s  %.0f IOPS  %.0f MiB/s", b->phase, seconds, (double)requests / seconds,
		(double)requests * b->options.request_bytes / seconds / 1048576);
}

static int run_phase(struct bench *b, const char *phase, struct blk_load_config *config, struct blk_load_result *result)
{
	int error;

	b->phase = phase;
	config->request_bytes = b->options.request_bytes;
	config->region_bytes = b->region_bytes;
	config->reconnect_ns_max = b->options.reconnect_seconds * UINT64_C(1000000000);
	config->stall_ns_max = STALL_SECONDS_MAX * UINT64_C(1000000000);
	config->verify = b->options.verify ? &b->verify : NULL;
	config->progress = b->tty ? show_progress : NULL;
	config->context = b;
	config->interrupted = b->interrupted;
	error = blk_load_run(&b->driver, config, result);
	if (b->tty)
		fprintf(stderr, "\r\033[K");
	b->errors += result->errors;
	b->mismatches += result->mismatches;
	for (unsigned i = 0; i < result->complaint_count; i++)
		complain(b, result->complaints[i]);
	return error != 0 ? give_up(b, b->driver.client.error) : 0;
}

static int run_phases(struct bench *b)
{
	const struct bench_blk_options *o = &b->options;
	uint64_t chunks = b->region_bytes / o->request_bytes;
	struct blk_load_config fill = {.read_percent = 0, .requests_max = chunks};
	struct blk_load_config load = {.read_percent = o->read_percent,
				       .random = o->random,
				       .rate_iops = o->rate_iops,
				       .duration_ns = o->seconds * UINT64_C(1000000000)};
	struct blk_load_config check = {.read_percent = 100, .requests_max = chunks};
	static struct blk_load_result other;
	int failed = 0;

	if (o->verify)
		failed = run_phase(b, "filling", &fill, &other);
	if (!failed && !*b->interrupted)
		failed = run_phase(b, o->verify ? "loading, checking reads" : "loading", &load, &b->result);
	if (!failed && !*b->interrupted && o->verify)
		failed = run_phase(b, "reading everything back", &check, &other);
	return failed;
}

struct figures {
	double iops, mib_per_s;
	uint64_t avg_ns, p50_ns, p99_ns, p999_ns, max_ns, gap_ns;
};

static struct figures figures_of(const struct blk_load_result *r)
{
	double seconds = (double)r->elapsed_ns / 1e9;

	return (struct figures){
		.iops = seconds > 0 ? (double)r->requests / seconds : 0,
		.mib_per_s = seconds > 0 ? (double)r->bytes / seconds / 1048576 : 0,
		.avg_ns = r->requests > 0 ? clock_tsc_to_ns(r->latency_sum_ticks / r->requests) : 0,
		.p50_ns = bench_quantile_ns(&r->latency, r->latency_max_ticks, 500000),
		.p99_ns = bench_quantile_ns(&r->latency, r->latency_max_ticks, 990000),
		.p999_ns = bench_quantile_ns(&r->latency, r->latency_max_ticks, 999000),
		.max_ns = clock_tsc_to_ns(r->latency_max_ticks),
		.gap_ns = clock_tsc_to_ns(r->gap_max_ticks),
	};
}

static void report_text(const struct bench *b)
{
	const struct blk_load_result *r = &b->result;
	struct figures f = figures_of(r);

	printf("result  %.0f IOPS, %.1f MiB/s\n", f.iops, f.mib_per_s);
	printf("latency avg %.2f us, p50 %.2f, p99 %.2f, p99.9 %.2f, max %.2f us\n", (double)f.avg_ns / 1e3, (double)f.p50_ns / 1e3,
	       (double)f.p99_ns / 1e3, (double)f.p999_ns / 1e3, (double)f.max_ns / 1e3);
	printf("client  %llu notifications sent; clock read once a batch of %.1f requests (latency is an upper bound)\n",
	       (unsigned long long)r->kicks, r->batches > 0 ? (double)r->requests / (double)r->batches : 0.0);
	if (r->reconnects > 0)
		printf("back    end came back %u time%s; longest pause %.1f ms; %u requests posted again by us\n", r->reconnects,
		       r->reconnects == 1 ? "" : "s", (double)f.gap_ns / 1e6, r->reposted);
	printf("errors  %llu failed requests", (unsigned long long)b->errors);
	if (b->options.verify)
		printf(", %llu wrong blocks", (unsigned long long)b->mismatches);
	printf("\n");
}

static void put(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *settings_json(const struct bench *b)
{
	const struct bench_blk_options *o = &b->options;
	json_t *j = json_object();

	json_object_set_new(j, "socket", json_string(o->socket_path));
	json_object_set_new(j, "rw", json_string(o->rw));
	put(j, "bs", o->request_bytes);
	put(j, "qd", o->depth);
	put(j, "queues", o->queue_count);
	put(j, "seconds", o->seconds);
	put(j, "region_bytes", b->region_bytes);
	put(j, "rate_iops", o->rate_iops);
	put(j, "ring_size", b->driver.queues_created > 0 ? b->driver.queues[0].ring.size : 0);
	json_object_set_new(j, "packed", json_boolean(o->packed));
	json_object_set_new(j, "indirect", json_boolean(o->indirect));
	json_object_set_new(j, "verify", json_boolean(o->verify));
	json_object_set_new(j, "inflight_record", json_boolean(b->driver.inflight.fd >= 0));
	json_object_set_new(j, "huge_pages", json_boolean(b->driver.memory.huge_pages));
	json_object_set_new(j, "cpu", o->cpu < 0 ? json_null() : json_integer(o->cpu));
	return j;
}

static void report_json(const struct bench *b)
{
	const struct blk_load_result *r = &b->result;
	struct figures f = figures_of(r);
	json_t *j = json_object(), *latency = json_object();

	put(latency, "avg", f.avg_ns);
	put(latency, "p50", f.p50_ns);
	put(latency, "p99", f.p99_ns);
	put(latency, "p999", f.p999_ns);
	put(latency, "max", f.max_ns);
	json_object_set_new(j, "iops", json_real(f.iops));
	json_object_set_new(j, "mib_per_s", json_real(f.mib_per_s));
	json_object_set_new(j, "latency_ns", latency);
	put(j, "errors", b->errors);
	put(j, "mismatches", b->mismatches);
	put(j, "requests", r->requests);
	json_object_set_new(j, "seconds", json_real((double)r->elapsed_ns / 1e9));
	put(j, "kicks", r->kicks);
	put(j, "batches", r->batches);
	put(j, "reconnects", r->reconnects);
	put(j, "reposted", r->reposted);
	put(j, "longest_pause_ns", f.gap_ns);
	json_object_set_new(j, "settings", settings_json(b));
	if (b->failure[0] != '\0')
		json_object_set_new(j, "error", json_pack("{s:s, s:s}", "code", "bench_failed", "message", b->failure));
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	printf("\n");
	json_decref(j);
}

static int run(struct bench *b)
{
	const struct bench_blk_options *o = &b->options;
	struct blk_driver_config config = {.queue_count = o->queue_count,
					   .depth = o->depth,
					   .data_bytes = o->request_bytes,
					   .ring_size_min = o->ring_size,
					   .packed = o->packed,
					   .indirect = o->indirect};
	uint64_t tag = 0;
	int failed;

	if (blk_driver_connect(&b->driver, o->socket_path, VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS) != 0)
		return give_up(b, b->driver.client.error);
	failed = settle_region(b);
	if (failed)
		return failed;
	if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
		return give_up(b, "no random numbers from the kernel");
	if (o->verify && blk_verify_create(&b->verify, b->region_bytes, o->request_bytes, tag) != 0)
		return give_up(b, "not enough memory for the map of generations; use a smaller --region");
	if (blk_driver_start(&b->driver, &config) != 0)
		return give_up(b, b->driver.client.error);
	print_header(b);
	failed = run_phases(b);
	if (failed)
		return failed;
	if (!o->json)
		report_text(b);
	return b->errors > 0 || b->mismatches > 0 || *b->interrupted;
}

int bench_blk_main(int argc, char **argv)
{
	static struct bench bench; /* large; one run a process */
	const struct bench_voice voice = bench_voice_of("bench blk", argc, argv);
	int status;

	switch (bench_blk_options_parse(&bench.options, argc, argv)) {
	case BENCH_BLK_HELP:
		return 0;
	case BENCH_BLK_WRONG:
		return 2;
	case BENCH_BLK_RUN:
		break;
	}
	bench.tty = isatty(STDERR_FILENO);
	bench.interrupted = bench_catch_interrupts();
	clock_calibrate();
	status = bench_pin(&voice, bench.options.cpu);
	if (status != 0)
		return status;
	bench.driver.client.socket = -1;
	status = run(&bench);
	if (bench.options.json)
		report_json(&bench);
	blk_driver_close(&bench.driver);
	blk_verify_free(&bench.verify);
	return status;
}
