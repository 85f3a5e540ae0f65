/* Making, opening, growing and removing volumes; what a person is told when that fails; growth while a poller is busy. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { MIB = 1 << 20 };

static char error[512], folder[64], path[128];

static struct volume_config file_config(void)
{
	return (struct volume_config){.name = "data",
				      .size_bytes = 8 * MIB,
				      .block_size_bytes = 4096,
				      .backend = VOLUME_FILE,
				      .path = path,
				      .memory_fd = -1};
}

static int create(const struct volume_config *config)
{
	int fd;

	error[0] = '\0';
	return volume_storage_create(config, false, &fd, error, sizeof(error));
}

static int open_volume(struct volume **volume, const struct volume_config *config)
{
	error[0] = '\0';
	return volume_open(volume, config, error, sizeof(error));
}

/* A sentence for a person: the volume's name, the path, why, and what to do. */
static void expect_sentence(const char *why, const char *what_to_do)
{
	if (strstr(error, "volume data: ") != error || strstr(error, why) == NULL || strstr(error, what_to_do) == NULL)
		fail_msg("sentence is '%s', wanted '%s' and '%s'", error, why, what_to_do);
}

static void a_new_file_is_sparse_private_and_exact(void **state)
{
	struct volume_config config = file_config();
	struct stat st;

	(void)state;
	assert_int_equal(create(&config), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8 * MIB);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_blocks < 16);
	assert_int_equal(create(&config), -EEXIST);
	expect_sentence(path, "remove that file");
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0); /* again: nothing left to do */
}

static void what_cannot_be_made_leaves_nothing(void **state)
{
	struct volume_config config = file_config();
	struct rlimit old, small = {.rlim_cur = 4096};
	char nowhere[200];

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "%s/missing/file", folder);
	config.path = nowhere;
	assert_int_equal(create(&config), -ENOENT);
	expect_sentence(nowhere, "make the folder first");
	config.path = path;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(create(&config), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	expect_sentence(path, "choose a smaller size");
	assert_int_equal(access(path, F_OK), -1); /* no half-made file */
	config.path = "/proc/volume";
	assert_true(create(&config) < 0);
	expect_sentence("/proc/volume", ";");
	config.path = "";
	assert_int_equal(create(&config), -EINVAL);
	config.path = path;
	config.size_bytes = 0;
	assert_int_equal(create(&config), -EINVAL);
	config.size_bytes = UINT64_MAX;
	assert_int_equal(create(&config), -EINVAL);
}

static void a_folder_without_permission_is_explained(void **state)
{
	struct volume_config config = file_config();

	(void)state;
	if (geteuid() == 0 && seteuid(65534) != 0)
		skip();
	config.path = "/etc/outboard-test-volume";
	assert_int_equal(create(&config), -EACCES);
	assert_int_equal(seteuid(getuid()), 0);
	expect_sentence("/etc/outboard-test-volume", "permission");
}

static void unfit_configurations_are_refused(void **state)
{
	struct volume_config good = file_config(), config;
	uint8_t equal_halves[VOLUME_KEY_BYTES] = {0};
	char long_name[VOLUME_NAME_MAX_BYTES + 2];
	struct volume *volume;

	(void)state;
	assert_int_equal(create(&good), 0);
	config = good, config.block_size_bytes = 1024;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	expect_sentence("block size", "512 or 4096");
	config = good, config.size_bytes = 8 * MIB - 512;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	config = good, config.size_bytes = 0;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	config = good, config.path = NULL;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	config = good, config.name = long_name;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	config = good, config.key = equal_halves;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	expect_sentence("halves of its key are equal", "damaged");
	config = good, config.backend = VOLUME_NULL, config.key = rig_key;
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	config = good, config.backend = VOLUME_MEMORY, config.memory_fd = -1;
	assert_int_equal(open_volume(&volume, &config), -EBADF);
	config = good, config.size_bytes = 16 * MIB;
	assert_int_equal(open_volume(&volume, &config), -ESTALE);
	expect_sentence(path, "grow the file");
	assert_int_equal(volume_storage_delete(&good, error, sizeof(error)), 0);
}

static void unfit_files_are_refused(void **state)
{
	struct volume_config config = file_config();
	struct volume *volume, *again;

	(void)state;
	assert_int_equal(open_volume(&volume, &config), -ENOENT);
	expect_sentence(path, "restore the file");
	config.path = "/dev/zero";
	assert_int_equal(open_volume(&volume, &config), -EINVAL);
	expect_sentence("/dev/zero", "regular file or a block device");
	config.path = path;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(open_volume(&volume, &config), -EINVAL); /* and does not wait for a writer */
	unlink(path);
	assert_int_equal(create(&config), 0);
	assert_int_equal(open_volume(&volume, &config), 0);
	assert_int_equal(open_volume(&again, &config), -EBUSY);
	expect_sentence(path, "another process uses it");
	volume_close(volume);
	config.read_only = true; /* any number of readers */
	assert_int_equal(open_volume(&volume, &config), 0);
	assert_int_equal(open_volume(&again, &config), 0);
	assert_int_equal(volume_target(again)->read_only, 1);
	volume_close(volume);
	volume_close(again);
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0);
}

static void volumes_only_grow(void **state)
{
	struct volume_config config = file_config();
	struct volume *volume;
	struct stat st;

	(void)state;
	assert_int_equal(create(&config), 0);
	assert_int_equal(open_volume(&volume, &config), 0);
	assert_int_equal(volume_resize(volume, 4 * MIB, error, sizeof(error)), -EINVAL);
	expect_sentence("can only grow", "4096");
	assert_int_equal(volume_resize(volume, 9 * MIB + 512, error, sizeof(error)), -EINVAL);
	assert_int_equal(volume_resize(volume, 16 * MIB, error, sizeof(error)), 0);
	assert_int_equal(volume_target(volume)->capacity_bytes, 16 * MIB);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 16 * MIB);
	assert_int_equal(volume_resize(volume, INT64_MAX / 8 / 4096 * 4096, error, sizeof(error)), -EFBIG);
	expect_sentence("cannot grow", "no larger files");
	assert_int_equal(volume_target(volume)->capacity_bytes, 16 * MIB);
	volume_close(volume);
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0);
}

static void null_volumes_keep_nothing(void **state)
{
	uint8_t block[4096];
	struct rig rig;

	(void)state;
	rig_engine(&rig, 0, 16);
	rig_open(&rig, &(struct rig_volume){.backend = VOLUME_NULL, .size_bytes = 1ull << 40, .block_size_bytes = 4096});
	memset(block, 7, sizeof(block));
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, block, sizeof(block)), 0);
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, block, sizeof(block)), 0);
	assert_int_equal(block[0], 7);
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(volume_resize(rig.volume, 1ull << 41, error, sizeof(error)), 0);
	rig_close(&rig);
	rig_engine_free(&rig);
}

/* A rate brings a gate with it and takes it away again, on the poller, while the volume serves. */
static void the_rate_can_change(void **state)
{
	struct blk_io io = {.op = BLK_READ, .length_bytes = 8 * MIB};
	struct volume_stats stats;
	struct rig rig;

	(void)state;
	rig_engine(&rig, 0, 16);
	rig_open(&rig, &(struct rig_volume){.backend = VOLUME_NULL, .size_bytes = 1ull << 40, .block_size_bytes = 4096});
	assert_null(volume_target(rig.volume)->ops->admit);
	volume_stats(rig.volume, &stats);
	assert_null(stats.held);
	assert_null(stats.backend);
	assert_int_equal(volume_prepare_rate(rig.volume), 0);
	volume_set_rate(rig.volume, &(struct volume_rate){.iops = 1}, clock_tsc());
	volume_stats(rig.volume, &stats);
	assert_non_null(stats.held);
	assert_true(volume_target(rig.volume)->ops->admit(volume_target(rig.volume), &io, clock_tsc()) != 0);
	assert_int_equal(stats.held->arrivals, 1);
	volume_set_rate(rig.volume, &(struct volume_rate){0}, clock_tsc());
	assert_null(volume_target(rig.volume)->ops->admit);
	assert_int_equal(rig.volume->throttle->held.departures, 1);
	volume_set_rate(rig.volume, &(struct volume_rate){.burst = true}, clock_tsc());
	assert_int_equal(volume_target(rig.volume)->ops->admit(volume_target(rig.volume), &io, clock_tsc()), 0);
	assert_int_equal(volume_resize(rig.volume, 1ull << 42, error, sizeof(error)), 0);
	(void)volume_target(rig.volume)->ops->admit(volume_target(rig.volume), &io, clock_tsc());
	assert_int_equal(rig.volume->rate_size_bytes, 1ull << 42); /* the baseline has followed */
	rig_close(&rig);
	rig_engine_free(&rig);
}

static void stats_count_what_passes(void **state)
{
	static uint8_t memory[64 << 10];
	struct volume_stats stats;
	struct rig rig;

	(void)state;
	rig_engine(&rig, 0, 16);
	rig_open(&rig,
		 &(struct rig_volume){.backend = VOLUME_FILE, .size_bytes = 8 * MIB, .block_size_bytes = 512, .encrypted = true});
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 512, memory, sizeof(memory)), 0);
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 512, memory, sizeof(memory)), 0);
	assert_int_equal(rig_run(&rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	volume_stats(rig.volume, &stats);
	assert_int_equal(stats.crypt_bytes, 2 * sizeof(memory));
	assert_true(stats.crypt_ticks > 0);
	assert_int_equal(stats.backend->arrivals, 3);
	assert_int_equal(stats.backend->departures, 3);
	assert_int_equal(stats.backend->bytes, 2 * sizeof(memory));
	assert_int_equal(stats.backend->occupancy_ticks, stats.backend->wait_ticks); /* Little */
	assert_int_equal(stats.health.errors, 0);
	rig_close(&rig);
	rig_engine_free(&rig);
}

/* --- growth under load --- */

struct grower {
	struct volume *volume;
	uint64_t step_bytes, end_bytes;
	int code;
};

static void *grow(void *context)
{
	struct grower *g = context;
	char sentence[256];
	int code = 0;

	for (uint64_t size = volume_target(g->volume)->capacity_bytes; code == 0 && size < g->end_bytes; size += g->step_bytes)
		code = volume_resize(g->volume, size + g->step_bytes, sentence, sizeof(sentence));
	__atomic_store_n(&g->code, code, __ATOMIC_RELAXED);
	return NULL;
}

/* The poller writes its mark to the first and the last block it can see, and reads it back, while the volume grows under it. */
static void grow_under_load(const struct rig_volume *what, uint64_t step_bytes, uint64_t end_bytes)
{
	static uint8_t mark[4096] __attribute__((aligned(4096))), back[4096] __attribute__((aligned(4096)));
	struct grower grower = {.step_bytes = step_bytes, .end_bytes = end_bytes};
	uint64_t capacity = 0;
	pthread_t thread;
	struct rig rig;

	rig_engine(&rig, 0, 16);
	rig_open(&rig, what);
	grower.volume = rig.volume;
	assert_int_equal(pthread_create(&thread, NULL, grow, &grower), 0);
	while (capacity < end_bytes && __atomic_load_n(&grower.code, __ATOMIC_RELAXED) == 0) {
		capacity = __atomic_load_n(&volume_target(rig.volume)->capacity_bytes, __ATOMIC_ACQUIRE);
		rig_fill(mark, sizeof(mark));
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(rig_run(&rig, BLK_WRITE, 0, i == 0 ? 0 : capacity - 4096, mark, 4096), 0);
			assert_int_equal(rig_run(&rig, BLK_READ, 0, i == 0 ? 0 : capacity - 4096, back, 4096), 0);
			assert_memory_equal(mark, back, 4096);
		}
	}
	pthread_join(thread, NULL);
	assert_int_equal(grower.code, 0);
	assert_int_equal(capacity, end_bytes);
	assert_int_equal(rig_run(&rig, BLK_READ, 0, 0, back, 4096), 0);
	assert_memory_equal(mark, back, 4096);
	rig_close(&rig);
	rig_engine_free(&rig);
}

static void memory_grows_under_load(void **state)
{
	(void)state;
	grow_under_load(&(struct rig_volume){.backend = VOLUME_MEMORY, .size_bytes = 1 * MIB, .block_size_bytes = 4096}, 1 * MIB,
			256 * MIB);
	grow_under_load(
		&(struct rig_volume){.backend = VOLUME_MEMORY, .size_bytes = 1 * MIB, .block_size_bytes = 512, .encrypted = true},
		3 * MIB, 256 * MIB);
}

static void files_grow_under_load(void **state)
{
	(void)state;
	grow_under_load(&(struct rig_volume){.backend = VOLUME_FILE, .size_bytes = 1 * MIB, .block_size_bytes = 4096}, 1 * MIB,
			32 * MIB);
}

/* What a memory volume held is there after it was closed: the memfd is the volume. */
static void memory_outlives_the_volume(void **state)
{
	struct volume_config config = {.name = "data", .size_bytes = 4 * MIB, .block_size_bytes = 4096, .backend = VOLUME_MEMORY};
	struct rig rig;
	uint8_t block[4096], back[4096];

	(void)state;
	rig_engine(&rig, 0, 16);
	assert_int_equal(volume_storage_create(&config, true, &config.memory_fd, error, sizeof(error)), 0);
	assert_int_equal(ftruncate(config.memory_fd, 0), -1); /* sealed: nobody pulls it from under a mapping */
	rig_fill(block, sizeof(block));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(open_volume(&rig.volume, &config), 0);
		assert_int_equal(volume_bind(rig.volume, rig.engine), 0);
		if (i == 0)
			assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 4096, block, 4096), 0);
		assert_int_equal(rig_run(&rig, BLK_READ, 0, 4096, back, 4096), 0);
		assert_memory_equal(block, back, 4096);
		volume_unbind(rig.volume);
		volume_close(rig.volume);
	}
	close(config.memory_fd);
	rig_engine_free(&rig);
}

static void engines_have_limits(void **state)
{
	struct volume_engine *engine;

	(void)state;
	assert_int_equal(volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 1}), -EINVAL);
	assert_int_equal(volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 1 << 20}), -EINVAL);
	assert_int_equal(
		volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 64, .buffer_bytes = UINT64_MAX}),
		-EINVAL);
	assert_int_equal(
		volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 64, .buffer_bytes = 1ull << 50}),
		-ENOMEM);
	assert_int_equal(volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 64, .huge = true}), 0);
	assert_int_equal(volume_engine_in_flight(engine), 0);
	assert_int_equal(volume_engine_poll(engine, 1), 0);
	volume_engine_free(engine);
}

/* More volumes than the ring has places for registered files. */
static void volumes_beyond_the_file_table_work(void **state)
{
	uint8_t block[4096] = {1};
	struct rig rig;
	int slot;

	(void)state;
	rig_engine(&rig, 0, 16);
	slot = rig.engine->slots_free_count;
	rig.engine->slots_free_count = 0;
	rig_open(&rig, &(struct rig_volume){.backend = VOLUME_FILE, .size_bytes = MIB, .block_size_bytes = 4096});
	assert_int_equal(rig.volume->slot, -1);
	assert_int_equal(rig_run(&rig, BLK_WRITE, 0, 0, block, 4096), 0);
	rig_close(&rig);
	rig.engine->slots_free_count = slot;
	rig_open(&rig, &(struct rig_volume){.backend = VOLUME_FILE, .size_bytes = MIB, .block_size_bytes = 4096});
	assert_true(slot == 0 || rig.volume->slot >= 0);
	rig_close(&rig);
	assert_int_equal(rig.engine->slots_free_count, slot);
	rig_engine_free(&rig);
}

/* --- block devices --- */

/* A loop device over `file`; its descriptor, or -1 where there are none (not root, a container). */
static int loop_attach(const char *file, char *device, size_t device_size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), index = -1, fd = -1;
	struct loop_config config = {.fd = (uint32_t)open(file, O_RDWR | O_CLOEXEC)};

	if (control >= 0)
		index = ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(device, device_size, "/dev/loop%d", index);
	if (index >= 0)
		fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) != 0) {
		close(fd);
		fd = -1;
	}
	close(control);
	close((int)config.fd);
	return fd;
}

static void serve_block_device(struct rig *rig, const struct volume_config *config)
{
	static uint8_t block[8192] __attribute__((aligned(4096))), back[8192] __attribute__((aligned(4096))), zeroes[8192];

	assert_int_equal(open_volume(&rig->volume, config), 0);
	assert_int_equal(volume_bind(rig->volume, rig->engine), 0);
	rig_fill(block, sizeof(block));
	assert_int_equal(rig_run(rig, BLK_WRITE, BLK_IO_DURABLE, 4096, block, 8192), 0);
	assert_int_equal(rig_run(rig, BLK_READ, 0, 4096, back, 8192), 0);
	assert_memory_equal(block, back, 8192);
	assert_int_equal(rig_run(rig, BLK_WRITE_ZEROES, 0, 4096, NULL, 4096), 0);
	assert_int_equal(rig_run(rig, BLK_DISCARD, 0, 8192, NULL, 4096), 0);
	assert_int_equal(rig_run(rig, BLK_READ, 0, 4096, back, 4096), 0);
	assert_memory_equal(zeroes, back, 4096);
	assert_int_equal(rig_run(rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(volume_resize(rig->volume, 16 * MIB, error, sizeof(error)), -ENOSPC);
	expect_sentence("block device", "grow the device");
	volume_unbind(rig->volume);
	volume_close(rig->volume);
}

static void block_devices_serve(void **state)
{
	struct volume_config config = file_config();
	char device[32];
	struct rig rig;
	int loop;

	(void)state;
	assert_int_equal(create(&config), 0);
	loop = loop_attach(path, device, sizeof(device));
	if (loop < 0) {
		unlink(path);
		skip();
	}
	rig_engine(&rig, 0, 16);
	config.path = device;
	assert_int_equal(create(&config), 0); /* it is there already, and large enough */
	for (unsigned i = 0; i < 4; i++) {
		config.block_size_bytes = i & 1 ? 512 : 4096;
		config.key = i & 2 ? rig_key : NULL;
		serve_block_device(&rig, &config);
	}
	config.size_bytes = 9 * MIB;
	assert_int_equal(create(&config), -ENOSPC);
	expect_sentence(device, "choose a smaller size");
	assert_int_equal(volume_storage_delete(&config, error, sizeof(error)), 0);
	assert_int_equal(access(device, F_OK), 0); /* not ours to remove */
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	unlink(path);
	rig_engine_free(&rig);
}

static int set_up(void **state)
{
	(void)state;
	clock_calibrate();
	snprintf(folder, sizeof(folder), "/var/tmp/outboard-life-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/volume", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_file_is_sparse_private_and_exact),
		cmocka_unit_test(what_cannot_be_made_leaves_nothing),
		cmocka_unit_test(a_folder_without_permission_is_explained),
		cmocka_unit_test(unfit_configurations_are_refused),
		cmocka_unit_test(unfit_files_are_refused),
		cmocka_unit_test(volumes_only_grow),
		cmocka_unit_test(null_volumes_keep_nothing),
		cmocka_unit_test(the_rate_can_change),
		cmocka_unit_test(stats_count_what_passes),
		cmocka_unit_test(memory_grows_under_load),
		cmocka_unit_test(files_grow_under_load),
		cmocka_unit_test(memory_outlives_the_volume),
		cmocka_unit_test(block_devices_serve),
		cmocka_unit_test(engines_have_limits),
		cmocka_unit_test(volumes_beyond_the_file_table_work),
	};

	/* A file too large is an error here, not a signal. */
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
