#include "../cmocka_all.h"

#include <string.h>

#include "base/secret_heap.h"

static void test_zeroed_aligned_and_owned(void **state)
{
	uint8_t *a = secret_heap_alloc(720), *b = secret_heap_alloc(720);
	int elsewhere;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal((uintptr_t)a % 64, 0);
	assert_int_equal((uintptr_t)b % 64, 0);
	assert_true(b >= a + 720 || a >= b + 720);
	assert_in_range(secret_heap_size(a), 720, 1024);
	for (size_t i = 0; i < 720; i++)
		assert_int_equal(a[i], 0);
	assert_true(secret_heap_owns(a));
	assert_true(secret_heap_owns(a + 719));
	assert_false(secret_heap_owns(&elsewhere));
	assert_false(secret_heap_owns(NULL));
	secret_heap_free(a);
	secret_heap_free(b);
	secret_heap_free(NULL);
	assert_false(secret_heap_owns(a));
}

static void test_wiped_when_taken_back(void **state)
{
	uint8_t *stays = secret_heap_alloc(100), *goes = secret_heap_alloc(100), *again;

	(void)state;
	memset(goes, 0xa5, 100);
	secret_heap_free(goes);
	for (size_t i = 0; i < 100; i++) /* the run is still there: `stays` is in it */
		assert_int_equal(goes[i], 0);
	again = secret_heap_alloc(100);
	assert_ptr_equal(again, goes);
	secret_heap_free(again);
	secret_heap_free(stays);
}

static void test_bounds(void **state)
{
	uint8_t *most = secret_heap_alloc(SECRET_HEAP_SIZE_MAX), *least = secret_heap_alloc(0);

	(void)state;
	assert_non_null(most);
	assert_non_null(least);
	memset(most, 1, SECRET_HEAP_SIZE_MAX);
	assert_null(secret_heap_alloc(SECRET_HEAP_SIZE_MAX + 1));
	assert_null(secret_heap_alloc(SIZE_MAX));
	secret_heap_free(most);
	secret_heap_free(least);
}

static void test_runs_grow_and_go_back(void **state)
{
	enum { MANY = 500 };
	void *all[MANY];

	(void)state;
	assert_int_equal(secret_heap_pages_bytes(), 0);
	for (size_t i = 0; i < MANY; i++) {
		all[i] = secret_heap_alloc(768);
		assert_non_null(all[i]);
		memset(all[i], (int)i, 768);
	}
	assert_int_equal(secret_heap_pages_bytes(), 6 * SECRET_HEAP_PAGES_BYTES); /* 85 a run */
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(((uint8_t *)all[i])[767], (uint8_t)i);
	for (size_t i = 0; i < MANY; i += 2)
		secret_heap_free(all[i]);
	for (size_t i = 1; i < MANY; i += 2)
		secret_heap_free(all[i]);
	assert_int_equal(secret_heap_pages_bytes(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_aligned_and_owned),
		cmocka_unit_test(test_wiped_when_taken_back),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_runs_grow_and_go_back),
	};

	return cmocka_run_group_tests_name("base secret heap", tests, NULL, NULL);
}
