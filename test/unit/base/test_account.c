#include "../cmocka_all.h"

#include "base/account.h"

/* Little's law, exactly: the occupancy integral equals the sum of the waits once everything has departed. */
static void test_little(void **state)
{
	struct account a = {0};
	uint64_t arrived[100], now = 1000;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		now += i % 7;
		arrived[i] = now;
		account_arrive(&a, now, 1);
		if (i >= 5) {
			now += 3;
			account_depart(&a, now, 1, 4096, now - arrived[i - 5]);
		}
	}
	for (unsigned i = 95; i < 100; i++) {
		now++;
		account_depart(&a, now, 1, 4096, now - arrived[i]);
	}
	assert_int_equal(a.arrivals, 100);
	assert_int_equal(a.departures, 100);
	assert_int_equal(a.bytes, 100 * 4096);
	assert_true(a.wait_ticks > 0 && a.occupancy_ticks == a.wait_ticks);
	assert_int_equal(histogram_total(&a.wait), 100);
}

static void test_batches_and_maximum(void **state)
{
	struct account a = {0};

	(void)state;
	account_arrive(&a, 10, 32);
	account_depart(&a, 15, 32, 0, 5);
	assert_int_equal(a.occupancy_ticks, 160);
	assert_int_equal(a.wait_ticks, 160);
	assert_int_equal(a.wait_ticks_max, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_little), cmocka_unit_test(test_batches_and_maximum)};

	return cmocka_run_group_tests_name("base account", tests, NULL, NULL);
}
