/*
 * The load generator with --verify against back ends that do right, that damage data in every way, that lie about completions,
 * hang, or die with requests in flight.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_backend.h"
#include "load/blk_load.h"

#define BIT(n) (UINT64_C(1) << (n))

static const uint64_t all_features = BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_F_RING_PACKED) |
				     BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_SIZE_MAX);

struct rig {
	struct fake_backend fake;
	struct blk_driver driver;
	struct blk_verify verify;
	struct blk_load_config load;
	struct blk_load_result result;
};

static void set_up(struct rig *rig, const struct fake_backend_config *fake, const struct blk_driver_config *config)
{
	memset(rig, 0, sizeof(*rig));
	fake_backend_start(&rig->fake, fake);
	assert_int_equal(blk_driver_connect(&rig->driver, rig->fake.path, 5000), 0);
	assert_int_equal(blk_driver_start(&rig->driver, config), 0);
	assert_int_equal(blk_verify_create(&rig->verify, FAKE_DISK_BYTES, config->data_bytes, 77), 0);
	rig->load = (struct blk_load_config){.read_percent = 50,
					     .random = true,
					     .request_bytes = config->data_bytes,
					     .region_bytes = FAKE_DISK_BYTES,
					     .requests_max = 3000,
					     .stall_ns_max = 60000000000u,
					     .verify = &rig->verify};
}

static void tear_down(struct rig *rig)
{
	blk_driver_close(&rig->driver);
	blk_verify_free(&rig->verify);
	fake_backend_stop(&rig->fake);
}

static int fill(struct rig *rig)
{
	struct blk_load_config c = rig->load;

	c.read_percent = 0;
	c.random = false;
	c.requests_max = c.region_bytes / c.request_bytes;
	return blk_load_run(&rig->driver, &c, &rig->result);
}

static int read_back(struct rig *rig)
{
	struct blk_load_config c = rig->load;

	c.read_percent = 100;
	c.random = false;
	c.requests_max = c.region_bytes / c.request_bytes;
	return blk_load_run(&rig->driver, &c, &rig->result);
}

static void assert_clean(const struct rig *rig, int error, uint64_t requests)
{
	if (error != 0 || rig->result.complaint_count > 0)
		print_message("%d %s; %s\n", error, rig->driver.client.error, rig->result.complaints[0]);
	assert_int_equal(error, 0);
	assert_int_equal(rig->result.errors, 0);
	assert_int_equal(rig->result.mismatches, 0);
	assert_int_equal(rig->result.complaint_count, 0);
	assert_int_equal(rig->result.requests, requests);
	assert_int_equal(histogram_total(&rig->result.latency), requests);
}

static void run_clean(const struct fake_backend_config *fake, const struct blk_driver_config *config)
{
	struct rig rig;

	set_up(&rig, fake, config);
	assert_clean(&rig, fill(&rig), FAKE_DISK_BYTES / config->data_bytes);
	assert_clean(&rig, blk_load_run(&rig.driver, &rig.load, &rig.result), 3000);
	assert_int_equal(rig.result.bytes, UINT64_C(3000) * config->data_bytes);
	assert_true(rig.result.latency_max_ticks * 3000 >= rig.result.latency_sum_ticks);
	assert_clean(&rig, read_back(&rig), FAKE_DISK_BYTES / config->data_bytes);
	tear_down(&rig);
}

static void test_clean_runs(void **state)
{
	const struct fake_backend_config fake = {.features = all_features, .protocol_features = ~UINT64_C(0)};
	const struct blk_driver_config configs[] = {
		{.queue_count = 1, .depth = 1, .data_bytes = 4096},
		{.queue_count = 1, .depth = 16, .data_bytes = 512},
		{.queue_count = 2, .depth = 32, .data_bytes = 4096},
		{.queue_count = 2, .depth = 8, .data_bytes = 65536},
		{.queue_count = 1, .depth = 16, .data_bytes = 4096, .indirect = true},
		{.queue_count = 1, .depth = 7, .data_bytes = 6144, .packed = true},
		{.queue_count = 2, .depth = 16, .data_bytes = 16384, .packed = true, .indirect = true, .ring_size_min = 128},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++)
		run_clean(&fake, &configs[i]);
}

static const struct blk_driver_config usual = {.queue_count = 1, .depth = 8, .data_bytes = 4096};

/* What a back end does to the data is found, and called by its name. */
static void test_damage_is_found(void **state)
{
	const struct {
		enum fake_data_fault fault;
		const char *says;
		bool mismatch; /* else a failed request */
	} cases[] = {
		{FAKE_IOERR, "I/O error", false},  {FAKE_NO_STATUS, "no status written", false},
		{FAKE_LOSE_WRITE, "stale", true},  {FAKE_MISDIRECT, "misdirected", true},
		{FAKE_FLIP_BIT, "checksum", true}, {FAKE_ZERO_READ, "zeroes", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fake_backend_config fake = {
			.protocol_features = ~UINT64_C(0), .data_fault = cases[i].fault, .data_fault_after = 700};
		bool said = false;
		struct rig rig;

		set_up(&rig, &fake, &usual);
		assert_clean(&rig, fill(&rig), 256);
		assert_int_equal(blk_load_run(&rig.driver, &rig.load, &rig.result), 0);
		assert_int_equal(rig.result.requests, 3000);
		assert_true((cases[i].mismatch ? rig.result.mismatches : rig.result.errors) > 0);
		assert_int_equal(cases[i].mismatch ? rig.result.errors : rig.result.mismatches, 0);
		for (unsigned k = 0; k < rig.result.complaint_count; k++)
			said |= strstr(rig.result.complaints[k], cases[i].says) != NULL;
		if (!said)
			print_message("wanted \"%s\": %s\n", cases[i].says, rig.result.complaints[0]);
		assert_true(said);
		tear_down(&rig);
	}
}

static void test_broken_rings(void **state)
{
	const struct {
		enum fake_data_fault fault;
		bool packed;
		int error;
		const char *says;
	} cases[] = {
		{FAKE_COMPLETE_TWICE, false, -EPROTO, "rules of the ring"},
		{FAKE_COMPLETE_TWICE, true, -EPROTO, "rules of the ring"},
		{FAKE_BAD_ID, false, -EPROTO, "rules of the ring"},
		{FAKE_BAD_ID, true, -EPROTO, "rules of the ring"},
		{FAKE_HANG, false, -ETIMEDOUT, "nothing completed"},
		{FAKE_DIE, false, -ECONNRESET, "closed the connection"},
		{FAKE_DIE, true, -ECONNRESET, "closed the connection"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fake_backend_config fake = {.features = all_features,
							 .protocol_features = ~UINT64_C(0),
							 .data_fault = cases[i].fault,
							 .data_fault_after = 700};
		struct blk_driver_config config = usual;
		struct rig rig;
		int error;

		config.packed = cases[i].packed;
		set_up(&rig, &fake, &config);
		rig.load.stall_ns_max = 2000000000;
		error = blk_load_run(&rig.driver, &rig.load, &rig.result);
		/* A second completion lies in a slot that is not the device's: the driver may have written there meanwhile, and then
		 * the two wait for each other. That must end as well. */
		if (error == -ETIMEDOUT && cases[i].packed && cases[i].fault == FAKE_COMPLETE_TWICE) {
			tear_down(&rig);
			continue;
		}
		if (error != cases[i].error)
			print_message("case %zu: %d %s\n", i, error, rig.driver.client.error);
		assert_int_equal(error, cases[i].error);
		assert_non_null(strstr(rig.driver.client.error, cases[i].says));
		tear_down(&rig);
	}
}

/* A back end that dies again and again with requests in flight, with and without a record of them: nothing may be lost. */
static void test_reconnect(void **state)
{
	const struct blk_driver_config configs[] = {
		{.queue_count = 1, .depth = 8, .data_bytes = 4096},
		{.queue_count = 2, .depth = 16, .data_bytes = 4096, .indirect = true},
		{.queue_count = 2, .depth = 16, .data_bytes = 4096, .packed = true},
		{.queue_count = 1, .depth = 16, .data_bytes = 4096, .packed = true, .indirect = true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		for (int record = 0; record < 2; record++) {
			const struct fake_backend_config fake = {
				.features = all_features,
				.data_fault = FAKE_DIE,
				.data_fault_after = 400,
				.protocol_features = record ? ~UINT64_C(0) : ~BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)};
			struct rig rig;

			set_up(&rig, &fake, &configs[i]);
			rig.load.reconnect_ns_max = 60000000000u;
			assert_clean(&rig, fill(&rig), 256);
			assert_clean(&rig, blk_load_run(&rig.driver, &rig.load, &rig.result), 3000);
			assert_in_range(rig.result.reconnects, 5, 10);
			assert_int_equal(rig.result.reposted > 0, !record);
			assert_clean(&rig, read_back(&rig), 256);
			tear_down(&rig);
		}
	}
}

/* It comes back smaller, or not at all. */
static void test_reconnect_in_vain(void **state)
{
	const struct fake_backend_config fake = {
		.features = all_features, .protocol_features = ~UINT64_C(0), .data_fault = FAKE_DIE, .data_fault_after = 400};
	struct rig rig;

	(void)state;
	set_up(&rig, &fake, &usual);
	rig.load.reconnect_ns_max = 20000000;
	rig.fake.disk_bytes /= 2; /* told from the next connection on */
	assert_int_equal(blk_load_run(&rig.driver, &rig.load, &rig.result), -EPROTO);
	assert_non_null(strstr(rig.driver.client.error, "smaller"));
	tear_down(&rig);

	set_up(&rig, &fake, &usual);
	rig.load.reconnect_ns_max = 20000000;
	unlink(rig.fake.path);
	assert_int_equal(blk_load_run(&rig.driver, &rig.load, &rig.result), -ENOENT);
	tear_down(&rig);
}

/*
 * Open loop: latency counts from when a request was due, not from when a tag was free for it. All are due at once here, so they add
 * up to hundreds of times the run; counted from their start, eight tags could not add up to more than eight times (Little's law).
 */
static void test_rate(void **state)
{
	const struct fake_backend_config fake = {.protocol_features = ~UINT64_C(0)};
	struct rig rig;

	(void)state;
	set_up(&rig, &fake, &usual);
	rig.load.rate_iops = 100000000;
	rig.load.requests_max = 1000;
	assert_clean(&rig, blk_load_run(&rig.driver, &rig.load, &rig.result), 1000);
	assert_true(clock_tsc_to_ns(rig.result.latency_sum_ticks) > 16 * rig.result.elapsed_ns);
	rig.load.rate_iops = 20000;
	rig.load.requests_max = 200;
	assert_clean(&rig, blk_load_run(&rig.driver, &rig.load, &rig.result), 200);
	assert_true(rig.result.elapsed_ns >= 9900000); /* the last one is due after 9.95 ms, and never starts early */
	tear_down(&rig);
}

static unsigned progress_calls;
static volatile int interrupt_now;

static void on_progress(void *context, uint64_t requests, uint64_t elapsed_ns)
{
	(void)context, (void)requests, (void)elapsed_ns;
	progress_calls++;
	interrupt_now = 1;
}

static void test_interrupt(void **state)
{
	const struct fake_backend_config fake = {.protocol_features = ~UINT64_C(0)};
	struct rig rig;

	(void)state;
	set_up(&rig, &fake, &usual);
	rig.load.requests_max = 0;
	rig.load.progress = on_progress;
	rig.load.interrupted = &interrupt_now;
	assert_int_equal(blk_load_run(&rig.driver, &rig.load, &rig.result), 0);
	assert_int_equal(progress_calls, 1);
	assert_true(rig.result.requests > 0);
	tear_down(&rig);
}

/* Claims keep readers and writers of one block apart. */
static void test_claims(void **state)
{
	struct blk_verify v;

	(void)state;
	assert_int_equal(blk_verify_create(&v, 1 << 20, 8192, 1), 0);
	assert_true(blk_verify_claim(&v, 8192, 8192, false));
	assert_true(blk_verify_claim(&v, 8192, 8192, false));
	assert_false(blk_verify_claim(&v, 12288, 8192, true));
	blk_verify_release(&v, 8192, 8192, false);
	assert_false(blk_verify_claim(&v, 8192, 4096, true));
	blk_verify_release(&v, 8192, 8192, false);
	assert_true(blk_verify_claim(&v, 8192, 4096, true));
	assert_false(blk_verify_claim(&v, 8192, 4096, false));
	assert_true(blk_verify_claim(&v, 12288, 4096, false));
	blk_verify_free(&v);
}

/* The checksum is the one that everybody else calls CRC-32C: its check value for 32 bytes of zeroes (RFC 3720, B.4) shows through.
 */
static void test_block_format(void **state)
{
	struct blk_verify v;
	uint8_t block[512];
	char text[BLK_VERIFY_EXPLANATION_SIZE];

	(void)state;
	assert_int_equal(blk_verify_create(&v, 4096, 512, 0x1122334455667788), 0);
	assert_int_equal(v.block_bytes, 512);
	blk_verify_fill(&v, 1024, block, 512);
	assert_memory_equal(block, "OBOBBLK1", 8);
	assert_memory_equal(block + 8, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_memory_equal(block + 16, "\x00\x04\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00", 12);
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 0); /* nothing written yet: nothing expected */
	blk_verify_commit(&v, 1024, 512);
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 0);
	v.tag++;
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 1);
	assert_non_null(strstr(text, "another run"));
	v.tag--;
	blk_verify_fill(&v, 1024, block, 512); /* generation 2, which nobody acknowledged */
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 1);
	assert_non_null(strstr(text, "not acknowledged"));
	memset(block, 7, sizeof(block));
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 1);
	assert_non_null(strstr(text, "no block of ours"));
	blk_verify_spoil(&v, 1024, 512);
	assert_int_equal(blk_verify_check(&v, 1024, block, 512, text), 0);
	blk_verify_free(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_runs),	  cmocka_unit_test(test_damage_is_found),
		cmocka_unit_test(test_broken_rings),	  cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_reconnect_in_vain), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_interrupt),	  cmocka_unit_test(test_claims),
		cmocka_unit_test(test_block_format),
	};

	clock_calibrate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
