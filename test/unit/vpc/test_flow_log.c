/* Flow logs: AWS version 2, default fields. */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "pipeline_rig.h"

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

static void log_on(struct pipeline_rig *rig, enum flow_log_traffic traffic)
{
	struct net_spec v = spec_vpc("v", RIG_VNI, "10.0.0.0/16", "fd00:1::/64");

	v.vpc.log_traffic = (uint8_t)traffic;
	v.vpc.log_interval_s = 60;
	rig_begin(&rig->model);
	rig_put(&rig->model, &v);
	rig_apply(rig);
	rig_advance(rig, 10);
}

static unsigned lines_with(const struct pipeline_rig *rig, const char *beginning, const char *part)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rig->log_count; i++)
		count += strncmp(rig->log[i], beginning, strlen(beginning)) == 0 && strstr(rig->log[i], part) != NULL;
	return count;
}

static const struct words ab = {.source = "10.0.1.10",
				.destination = "10.0.1.11",
				.protocol = IPPROTO_UDP,
				.source_port = 1000,
				.destination_port = 53,
				.payload_bytes = 72};
static const struct words ba = {.source = "10.0.1.11",
				.destination = "10.0.1.10",
				.protocol = IPPROTO_UDP,
				.source_port = 53,
				.destination_port = 1000,
				.payload_bytes = 2};

static void test_accepted(void **state)
{
	struct pipeline_rig *rig = *state;
	char start[32], end[32], got[RIG_LOG_BYTES];

	log_on(rig, FLOW_LOG_ALL);
	for (unsigned i = 0; i < 3; i++)
		rig_send(rig, "a", &ab);
	rig_send(rig, "b", &ba);
	rig_advance(rig, 40000); /* the flow ends by itself */
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.10 10.0.1.11 1000 53 17 3 300 ", " ACCEPT OK"), 1);
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.11 10.0.1.10 53 1000 17 1 30 ", " ACCEPT OK"), 1);
	assert_int_equal(lines_with(rig, "2 v b 10.0.1.10 10.0.1.11 1000 53 17 3 300 ", " ACCEPT OK"), 1);
	assert_int_equal(rig->log_count, 4);
	assert_int_equal(sscanf(rig->log[0], "2 v %s %*s %*s %*u %*u 17 %*u %*u %31s %31s ACCEPT OK", got, start, end), 3);
	assert_string_equal(start, "1"); /* the clock of the rig begins at 1 s */
	assert_string_equal(end, "1");
}

static void test_long_flow_by_intervals(void **state)
{
	struct pipeline_rig *rig = *state;

	log_on(rig, FLOW_LOG_ACCEPT);
	for (unsigned i = 0; i < 13; i++) {
		rig_send(rig, "a", &ab);
		rig_send(rig, "b", &ba);
		rig_advance(rig, 10000);
		rig_clear(rig);
	}
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.10 10.0.1.11 1000 53 17 ", "ACCEPT OK"), 2);
	assert_in_range(lines_with(rig, "2 v a 10.0.1.10 10.0.1.11 1000 53 17 6 600 ", "ACCEPT OK") +
				lines_with(rig, "2 v a 10.0.1.10 10.0.1.11 1000 53 17 7 700 ", "ACCEPT OK"),
			2, 2);
}

static void test_rejected(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec a = spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10");
	struct words other = ba;

	spec_eni_group(&a, "shut");
	rig_begin(&rig->model);
	rig_put(&rig->model, &a);
	rig_apply(rig);
	log_on(rig, FLOW_LOG_REJECT);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig_send(rig, "b", &ba), DROP_GROUP_IN);
	other.source_port = 54;
	rig_send(rig, "b", &other);
	rig_send(rig, "a", &ab); /* accepted, and not asked for */
	rig_advance(rig, 61000);
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.11 10.0.1.10 53 1000 17 5 150 ", " REJECT OK"), 1);
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.11 10.0.1.10 54 1000 17 1 30 ", " REJECT OK"), 1);
	assert_int_equal(lines_with(rig, "2 v ", "ACCEPT"), 0);
}

static void test_too_many_rejected(void **state)
{
	struct pipeline_rig *rig = *state;
	struct net_spec a = spec_eni("a", "near", 10, "10.0.1.10", "fd00:1::1:10");
	struct words w = ba;

	spec_eni_group(&a, "shut");
	rig_begin(&rig->model);
	rig_put(&rig->model, &a);
	rig_apply(rig);
	log_on(rig, FLOW_LOG_ALL);
	for (uint16_t port = 1; port <= 100; port++) {
		w.source_port = port;
		rig_send(rig, "b", &w);
	}
	rig_advance(rig, 61000);
	assert_int_equal(lines_with(rig, "2 v a 10.0.1.11 ", " REJECT OK"), 64);
	assert_int_equal(lines_with(rig, "2 v a - - - - - - - ", "- SKIPDATA"), 1);
}

static void test_no_data(void **state)
{
	struct pipeline_rig *rig = *state;

	log_on(rig, FLOW_LOG_ALL);
	rig_advance(rig, 61000);
	assert_int_equal(lines_with(rig, "2 v a - - - - - - - 1 61 - NODATA", ""), 1);
	assert_int_equal(lines_with(rig, "2 v ", "NODATA"), 5); /* a, b, c, p and the NAT gateway */
	log_on(rig, FLOW_LOG_OFF);
	rig->log_count = 0;
	rig_send(rig, "a", &ab);
	rig_advance(rig, 200000);
	assert_int_equal(rig->log_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accepted, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_long_flow_by_intervals, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_rejected, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_too_many_rejected, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_no_data, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
