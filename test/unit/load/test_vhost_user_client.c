/* The front end against back ends that lack features, and against back ends that break the protocol in every answer they give. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_backend.h"
#include "load/blk_driver.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { PATIENCE_MS = 150 }; /* with a back end that stays silent on purpose */

static const struct blk_driver_config small = {.queue_count = 1, .depth = 4, .data_bytes = 4096};

static int connect_and_start(struct blk_driver *driver, const char *path, const struct blk_driver_config *config)
{
	int error = blk_driver_connect(driver, path, PATIENCE_MS);

	return error == 0 ? blk_driver_start(driver, config) : error;
}

/* One write and one read through a started driver. */
static void do_io(struct blk_driver *driver)
{
	struct blk_queue *q = &driver->queues[0];
	uint16_t tag = 1, done;

	blk_queue_lay(q, tag, VIRTIO_BLK_T_OUT, 4096);
	blk_queue_aim(q, tag, 8192);
	memset(blk_queue_data(q, tag), 0x5a, 4096);
	driver_ring_post(&q->ring, &tag, 1);
	driver_ring_kick(&q->ring);
	while (driver_ring_reap(&q->ring, &done, 1) == 0)
		;
	assert_int_equal(done, tag);
	assert_int_equal(q->statuses[tag], VIRTIO_BLK_S_OK);
	blk_queue_lay(q, tag, VIRTIO_BLK_T_IN, 4096);
	blk_queue_aim(q, tag, 8192);
	memset(blk_queue_data(q, tag), 0, 4096);
	driver_ring_post(&q->ring, &tag, 1);
	driver_ring_kick(&q->ring);
	while (driver_ring_reap(&q->ring, &done, 1) == 0)
		;
	assert_int_equal(blk_queue_data(q, tag)[0], 0x5a);
	assert_int_equal(blk_queue_data(q, tag)[4095], 0x5a);
}

static void test_fewer_features(void **state)
{
	const uint64_t config = BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	const uint64_t sets[] = {config,
				 config | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK),
				 config | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
				 config | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | BIT(VHOST_USER_PROTOCOL_F_MQ),
				 config | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ),
				 ~UINT64_C(0)};
	const uint64_t features[] = {0, BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_SIZE_MAX)};

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		for (size_t k = 0; k < 2; k++) {
			struct fake_backend_config config_fake = {.features = features[k], .protocol_features = sets[i]};
			struct fake_backend fake;
			struct blk_driver driver;
			uint32_t base;

			fake_backend_start(&fake, &config_fake);
			assert_int_equal(connect_and_start(&driver, fake.path, &small), 0);
			assert_int_equal(driver.geometry.capacity_bytes, FAKE_DISK_BYTES);
			assert_int_equal(driver.inflight.fd >= 0, (sets[i] & BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) != 0);
			do_io(&driver);
			assert_int_equal(vhost_user_client_poll(&driver.client), 0);
			assert_int_equal(vhost_user_client_queue_stop(&driver.client, 0, &base), 0);
			assert_int_equal(base, 2);
			blk_driver_close(&driver);
			fake_backend_stop(&fake);
		}
	}
}

static void expect_failure(const char *path, const struct blk_driver_config *config, int error, const char *says)
{
	struct blk_driver driver;
	int result = connect_and_start(&driver, path, config);

	if (result != error || strstr(driver.client.error, says) == NULL)
		print_message("expected %d and \"%s\", got %d: %s\n", error, says, result, driver.client.error);
	assert_int_equal(result, error);
	assert_non_null(strstr(driver.client.error, says));
	blk_driver_close(&driver);
}

/* What a person asks for and the back end does not have. */
static void test_asked_too_much(void **state)
{
	const uint64_t seg = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_SIZE_MAX);
	struct fake_backend_config fake_config = {.features = seg, .protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIG)};
	struct blk_driver_config config = small;
	struct fake_backend fake;

	(void)state;
	fake_backend_start(&fake, &fake_config);
	config.packed = true;
	expect_failure(fake.path, &config, -EOPNOTSUPP, "--packed");
	config = small;
	config.indirect = true;
	expect_failure(fake.path, &config, -EOPNOTSUPP, "--indirect");
	config = small;
	config.queue_count = 2;
	expect_failure(fake.path, &config, -EOPNOTSUPP, "--queues");
	config = small;
	config.data_bytes = 17 * FAKE_SEGMENT_BYTES_MAX;
	expect_failure(fake.path, &config, -EINVAL, "segments");
	config = small;
	config.depth = 500;
	expect_failure(fake.path, &config, -EINVAL, "--qd");
	expect_failure("/nonexistent/socket", &small, -ENOENT, "no such socket");
	fake_backend_stop(&fake);

	fake_config.protocol_features = 0;
	fake_backend_start(&fake, &fake_config);
	expect_failure(fake.path, &small, -EOPNOTSUPP, "PROTOCOL_F_CONFIG");
	fake_backend_stop(&fake);

	fake_config.protocol_features = ~UINT64_C(0);
	fake_config.features |= BIT(VIRTIO_BLK_F_BLK_SIZE);
	fake_config.block_size_bytes = 1000;
	fake_backend_start(&fake, &fake_config);
	expect_failure(fake.path, &small, -EPROTO, "block size");
	fake_backend_stop(&fake);
}

/* Every request that is answered, times everything that can be wrong with an answer. */
static void test_protocol_faults(void **state)
{
	const unsigned requests[] = {VHOST_USER_GET_FEATURES,	 VHOST_USER_GET_PROTOCOL_FEATURES,
				     VHOST_USER_GET_QUEUE_NUM,	 VHOST_USER_SET_BACKEND_REQ_FD,
				     VHOST_USER_GET_CONFIG,	 VHOST_USER_SET_FEATURES,
				     VHOST_USER_ADD_MEM_REG,	 VHOST_USER_GET_INFLIGHT_FD,
				     VHOST_USER_SET_INFLIGHT_FD, VHOST_USER_SET_VRING_NUM,
				     VHOST_USER_SET_VRING_BASE,	 VHOST_USER_SET_VRING_ADDR,
				     VHOST_USER_SET_VRING_KICK,	 VHOST_USER_SET_VRING_CALL,
				     VHOST_USER_SET_VRING_ENABLE};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (int fault = FAKE_CLOSE; fault <= FAKE_REFUSE; fault++) {
			struct fake_backend_config config = {.protocol_features = ~UINT64_C(0),
							     .fault_request = requests[i],
							     .protocol_fault = (enum fake_protocol_fault)fault};
			bool is_get = requests[i] == VHOST_USER_GET_FEATURES || requests[i] == VHOST_USER_GET_PROTOCOL_FEATURES ||
				      requests[i] == VHOST_USER_GET_QUEUE_NUM || requests[i] == VHOST_USER_GET_CONFIG ||
				      requests[i] == VHOST_USER_GET_INFLIGHT_FD;
			struct fake_backend fake;
			struct blk_driver driver;
			int error;

			if (is_get && fault == FAKE_REFUSE)
				continue; /* there is no such answer to a question */
			if ((requests[i] == VHOST_USER_GET_CONFIG || requests[i] == VHOST_USER_GET_INFLIGHT_FD) &&
			    fault == FAKE_LONG)
				continue; /* longer answers to these are legal */
			fake_backend_start(&fake, &config);
			error = connect_and_start(&driver, fake.path, &small);
			if (error >= 0 || driver.client.error[0] == '\0')
				print_message("request %u, fault %d: %d %s\n", requests[i], fault, error, driver.client.error);
			assert_true(error < 0);
			assert_true(driver.client.error[0] != '\0');
			if (fault == FAKE_CLOSE)
				assert_int_equal(error, -ECONNRESET);
			if (fault == FAKE_SILENCE || (fault == FAKE_LONG && error == -ETIMEDOUT))
				assert_int_equal(error, -ETIMEDOUT);
			if (fault == FAKE_REFUSE)
				assert_int_equal(error, -EREMOTEIO);
			blk_driver_close(&driver);
			fake_backend_stop(&fake);
		}
	}
}

static void test_grown_device(void **state)
{
	struct fake_backend_config config = {.protocol_features = ~UINT64_C(0)};
	struct fake_backend fake;
	struct blk_driver driver;

	(void)state;
	fake_backend_start(&fake, &config);
	assert_int_equal(connect_and_start(&driver, fake.path, &small), 0);
	fake_backend_grow(&fake);
	while (!driver.client.config_changed)
		assert_int_equal(vhost_user_client_poll(&driver.client), 0);
	assert_int_equal(blk_driver_refresh(&driver), 0);
	assert_int_equal(driver.geometry.capacity_bytes, 2 * FAKE_DISK_BYTES);
	assert_false(driver.client.config_changed);
	do_io(&driver);
	blk_driver_close(&driver);
	fake_backend_stop(&fake);
}

static void test_not_a_socket(void **state)
{
	char path[] = "/tmp/outboard-load-XXXXXX", long_path[200];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	expect_failure(path, &small, -ECONNREFUSED, "nobody listens");
	close(fd);
	unlink(path);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	expect_failure(long_path, &small, -ENAMETOOLONG, "shorter");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fewer_features),	cmocka_unit_test(test_asked_too_much),
		cmocka_unit_test(test_protocol_faults), cmocka_unit_test(test_grown_device),
		cmocka_unit_test(test_not_a_socket),
	};

	clock_calibrate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
