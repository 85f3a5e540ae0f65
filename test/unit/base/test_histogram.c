#include "../cmocka_all.h"

#include <string.h>

#include "base/histogram.h"

static void test_every_value_falls_into_a_bucket_that_holds_it(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 1000000; v = v < 100 ? v + 1 : v + v / 7) {
		unsigned b = histogram_bucket(v);

		assert_true(v <= histogram_bucket_max(b));
		assert_true(b == 0 || v > histogram_bucket_max(b - 1));
		assert_true(histogram_bucket_max(b) <= v + v / 4 + 1); /* at most 25 % wide */
	}
}

static void test_huge_values_go_to_the_last_bucket(void **state)
{
	(void)state;
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_quantiles(void **state)
{
	struct histogram h = {0};

	(void)state;
	assert_int_equal(histogram_quantile(&h, 500000), 0);
	histogram_add(&h, 100, 990);
	histogram_add(&h, 10000, 10);
	assert_int_equal(histogram_total(&h), 1000);
	assert_true(histogram_quantile(&h, 500000) >= 100 && histogram_quantile(&h, 500000) < 125);
	assert_true(histogram_quantile(&h, 990000) < 125);
	assert_true(histogram_quantile(&h, 990001) >= 10000);
	assert_true(histogram_quantile(&h, 1000000) < 12500);
}

static void test_a_counter_stops_at_its_maximum(void **state)
{
	struct histogram h = {0}, sum = {0};

	(void)state;
	histogram_add(&h, 7, UINT32_MAX);
	histogram_add(&h, 7, 5);
	assert_true(histogram_total(&h) == UINT32_MAX);
	histogram_merge(&sum, &h);
	histogram_merge(&sum, &h);
	assert_true(histogram_total(&sum) == UINT32_MAX);
}

static void test_difference(void **state)
{
	struct histogram old = {0}, new, d;

	(void)state;
	histogram_add(&old, 50, 3);
	new = old;
	histogram_add(&new, 50, 4);
	histogram_add(&new, 5000, 1);
	histogram_difference(&d, &new, &old);
	assert_int_equal(histogram_total(&d), 5);
	histogram_difference(&d, &old, &new); /* counters were reset meanwhile: nothing, not billions */
	assert_int_equal(histogram_total(&d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value_falls_into_a_bucket_that_holds_it),
		cmocka_unit_test(test_huge_values_go_to_the_last_bucket),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_a_counter_stops_at_its_maximum),
		cmocka_unit_test(test_difference),
	};

	return cmocka_run_group_tests_name("base histogram", tests, NULL, NULL);
}
