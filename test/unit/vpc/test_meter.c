/* A bucket is exact: what it lets through is counted over days of ticks, and compared with the product. */
#include "../cmocka_all.h"

#include "vpc/meter.h"

#define HZ	 UINT64_C(2595987000)
#define TEN_DAYS (HZ * 864000)

static void test_unlimited(void **state)
{
	struct meter m = {0};

	(void)state;
	assert_true(meter_take(&m, UINT64_MAX, 0));
	meter_set(&m, 1000, 10, HZ, 0);
	assert_false(meter_take(&m, 101, 0));
	meter_set(&m, 0, 10, HZ, 5);
	assert_true(meter_take(&m, UINT64_MAX, 5));
}

static void test_burst(void **state)
{
	struct meter m = {0};

	(void)state;
	meter_set(&m, 1000, 10, HZ, 7);
	assert_true(meter_take(&m, 100, 7)); /* full at first: a tenth of a second */
	assert_false(meter_take(&m, 1, 7));
	assert_false(meter_take(&m, 1, 7 + HZ / 1000 - 1));
	assert_true(meter_take(&m, 1, 7 + HZ / 1000 + 1));
	assert_false(meter_take(&m, 101, TEN_DAYS)); /* never more than the burst */
	assert_true(meter_take(&m, 100, TEN_DAYS));

	m = (struct meter){0};
	meter_set(&m, 1000, 65550, HZ, 0);
	assert_true(meter_take(&m, 65550, 0)); /* a large frame passes, however small the rate */
	assert_false(meter_take(&m, 65550, 64 * HZ));
	assert_true(meter_take(&m, 65550, 66 * HZ));
}

/* Takes one unit at a time, as fast as the meter lets it, for `seconds`, at odd moments. */
static uint64_t drain(struct meter *m, uint64_t from, uint64_t seconds, uint64_t step, uint64_t units)
{
	uint64_t taken = 0;

	for (uint64_t now = from; now < from + seconds * HZ; now += step)
		while (meter_take(m, units, now))
			taken += units;
	return taken;
}

static void test_exact(void **state)
{
	static const uint64_t rates[] = {1, 7, 999, 1024, 1000003, 333333333, 12500000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct meter m = {0};
		uint64_t units = rates[i] / 1000 + 1, seconds = 3600, taken;

		meter_set(&m, rates[i], 50 * units, HZ, 99); /* so that nothing runs over between two looks */
		while (meter_take(&m, units, 99))
			;
		taken = drain(&m, 99, seconds, HZ / 37 + 12345, units);
		assert_true(taken <= rates[i] * seconds + units);
		assert_true(taken + 2 * units + rates[i] / 30 >= rates[i] * seconds); /* the last step's worth is not there yet */
	}
}

/* The fraction of a tick is kept: ten days of single ticks' worth in a few million looks, against the product. */
static void test_no_drift(void **state)
{
	struct meter m = {0};
	uint64_t now = 0, taken = 0, rate = 1000;

	(void)state;
	meter_set(&m, rate, 1, HZ, 0);
	assert_true(meter_take(&m, 100, 0));
	for (unsigned i = 0; i < 5000000; i++) {
		now += 400001; /* 0.15 units */
		if (meter_take(&m, 1, now))
			taken++;
	}
	/* Exactly the product, but for the one that is not whole yet. */
	assert_int_equal(taken, (uint64_t)((unsigned __int128)now * rate / HZ));
}

static void test_extremes(void **state)
{
	struct meter m = {0};

	(void)state;
	meter_set(&m, UINT64_C(1000000000000), 65550, HZ, 0); /* 1 Tbit/s in bits */
	assert_true(meter_take(&m, UINT64_C(100000000000), 0));
	assert_false(meter_take(&m, 1000, 1));
	assert_true(meter_take(&m, 1000, 1 + 3)); /* 385 bits a tick */
	assert_true(meter_take(&m, UINT64_C(100000000000), TEN_DAYS));
	assert_false(meter_take(&m, 1, TEN_DAYS));
	assert_false(meter_take(&m, 1, TEN_DAYS - HZ)); /* a time from before gives nothing, and takes nothing */
	assert_true(meter_take(&m, 385, TEN_DAYS + 1));
	assert_false(meter_take(&m, UINT64_MAX, TEN_DAYS * 2));
}

static void test_change(void **state)
{
	struct meter m = {0};

	(void)state;
	meter_set(&m, 1000, 10, HZ, 0);
	assert_true(meter_take(&m, 60, 0));
	meter_set(&m, 2000, 10, HZ, 0); /* the level stays: 40 of now 200 */
	assert_false(meter_take(&m, 41, 0));
	assert_true(meter_take(&m, 40, 0));
	meter_set(&m, 2000, 10, HZ, HZ); /* what came before the change came at the old rate, up to the burst */
	assert_true(meter_take(&m, 200, HZ));
	meter_set(&m, 100000, 10, HZ, 3 * HZ);
	meter_set(&m, 100, 10, HZ, 4 * HZ); /* clipped */
	assert_false(meter_take(&m, 11, 4 * HZ));
	assert_true(meter_take(&m, 10, 4 * HZ));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unlimited), cmocka_unit_test(test_burst),	   cmocka_unit_test(test_exact),
		cmocka_unit_test(test_no_drift),  cmocka_unit_test(test_extremes), cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests_name("vpc meter", tests, NULL, NULL);
}
