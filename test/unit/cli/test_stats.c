#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

#include "cli/fields.h"
#include "cli/stats.h"

/* One device with one queue of one stage, and one poller. */
static json_t *snapshot(json_int_t now_ns, json_int_t departures, json_int_t wait_ns, json_t *histogram)
{
	json_t *stage = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "name", "ring", "departures", departures, "bytes",
				  departures * 512, "occupancy_ns", wait_ns, "wait_ns", wait_ns, "wait_ns_max", (json_int_t)9000,
				  "wait_histogram_ns", histogram);

	return json_pack("{s:I,s:[{s:i,s:I,s:I,s:I}],s:[{s:s,s:s,s:[{s:i,s:b,s:I,s:[o]}]}]}", "now_ns", now_ns, "pollers", "core",
			 3, "busy_ns", now_ns / 4, "idle_ns", now_ns / 4, "sleep_ns", now_ns / 2, "devices", "volume", "v",
			 "volume_id", "id", "queues", "index", 0, "served", true, "errors", (json_int_t)0, "stages", stage);
}

static json_t *get(json_t *stats, const char *list, size_t i)
{
	return json_array_get(json_object_get(stats, list), i);
}

static json_t *first_stage(json_t *stats)
{
	return get(get(get(stats, "devices", 0), "queues", 0), "stages", 0);
}

static double real(json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void quantiles_are_of_the_interval(void **state)
{
	json_t *older = snapshot(1000000000, 1000, 1000000000, json_pack("[[ii]]", 1000000, 1000));
	json_t *newer =
		snapshot(2000000000, 2000, 1000100000, json_pack("[[ii][ii][ii][ii]]", 100, 985, 200, 10, 300, 5, 1000000, 1000));
	json_t *stats = stats_between(older, newer), *wait;

	(void)state;
	assert_non_null(stats);
	wait = json_object_get(first_stage(stats), "wait_ns");
	assert_int_equal(field_number(wait, "avg"), 100);
	assert_int_equal(field_number(wait, "p50"), 100); /* the 1 ms of before does not count */
	assert_int_equal(field_number(wait, "p99"), 200);
	assert_int_equal(field_number(wait, "p999"), 300);
	assert_int_equal(field_number(wait, "max"), 9000);
	assert_true(fabs(real(first_stage(stats), "rate_per_s") - 1000) < 1e-9);
	assert_true(fabs(real(first_stage(stats), "occupancy") - 1e-4) < 1e-12);
	assert_true(fabs(real(get(stats, "pollers", 0), "busy_share") - 0.25) < 1e-9);
	json_decref(stats);
	json_decref(older);
	json_decref(newer);
}

static void what_is_new_counts_from_zero(void **state)
{
	json_t *older = json_pack("{s:i,s:[],s:[]}", "now_ns", 1, "pollers", "devices");
	json_t *newer = snapshot(1000000001, 500, 1000, json_pack("[[ii]]", 2, 500));
	json_t *stats = stats_between(older, newer);

	(void)state;
	assert_true(fabs(real(first_stage(stats), "rate_per_s") - 500) < 1e-9);
	json_decref(stats);
	json_decref(older);
	json_decref(newer);
}

/* The card was restarted in between: its counters are smaller than before. */
static void counters_that_went_back(void **state)
{
	json_t *older = snapshot(1000000000, 100000, 500000000, json_pack("[[ii]]", 2, 100000));
	json_t *newer = snapshot(2000000000, 10, 1000, json_pack("[[ii]]", 2, 10));
	json_t *stats = stats_between(older, newer);

	(void)state;
	assert_true(fabs(real(first_stage(stats), "rate_per_s") - 10) < 1e-9);
	assert_int_equal(field_number(json_object_get(first_stage(stats), "wait_ns"), "p50"), 2);
	json_decref(stats);
	json_decref(older);
	json_decref(newer);
}

static void nothing_happened(void **state)
{
	json_t *older = snapshot(1000000000, 10, 1000, json_pack("[[ii]]", 2, 10));
	json_t *newer = snapshot(2000000000, 10, 1000, json_pack("[[ii]]", 2, 10));
	json_t *stats = stats_between(older, newer), *wait = json_object_get(first_stage(stats), "wait_ns");

	(void)state;
	assert_int_equal(field_number(wait, "p50"), 0);
	assert_int_equal(field_number(wait, "avg"), 0);
	assert_true(real(first_stage(stats), "occupancy") == 0);
	json_decref(stats);
	json_decref(older);
	json_decref(newer);
}

static void what_are_no_snapshots(void **state)
{
	json_t *good = snapshot(1000000000, 10, 1000, json_array()), *empty = json_object(), *list = json_array();

	(void)state;
	assert_null(stats_between(good, good)); /* no time has passed */
	assert_null(stats_between(good, empty));
	assert_null(stats_between(empty, list));
	assert_null(stats_between(NULL, NULL));
	json_decref(good);
	json_decref(empty);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_of_the_interval), cmocka_unit_test(what_is_new_counts_from_zero),
		cmocka_unit_test(counters_that_went_back),	 cmocka_unit_test(nothing_happened),
		cmocka_unit_test(what_are_no_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
