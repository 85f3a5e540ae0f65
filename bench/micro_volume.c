/*
 * What the block pipeline alone costs the poller: random requests in batches of 32 (a full visit) on a volume, no rings and no
 * guest. The best of 200 short rounds for each kind of volume: what the others add is the machine's other work.
 *
 *	micro_volume [volume MiB] [request bytes]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "volume/volume.h"

enum { BATCH = 32, BATCHES = 64, ROUNDS = 200, GUEST_BYTES = 1 << 20 };

static uint64_t random_state = 88172645463325252ull;
static unsigned completed;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void complete(struct blk_io *io, int error)
{
	(void)io;
	completed += error == 0;
}

static double measure_ns(struct volume *volume, enum blk_op op, uint8_t *guest, uint32_t bytes)
{
	struct blk_target *target = volume_target(volume);
	uint64_t slots = target->capacity_bytes / bytes, best = UINT64_MAX, slot = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t ticks = 0;

		for (unsigned batch = 0; batch < BATCHES; batch++) {
			struct blk_io requests[BATCH], *list[BATCH];
			struct iovec iov[BATCH];
			uint64_t start;

			for (unsigned i = 0; i < BATCH; i++) {
				iov[i] = (struct iovec){guest + slot++ % (GUEST_BYTES / bytes) * bytes, bytes};
				requests[i] = (struct blk_io){.op = (uint8_t)op,
							      .offset_bytes = next_random() % slots * bytes,
							      .length_bytes = bytes,
							      .iov = &iov[i],
							      .iov_count = 1,
							      .complete = complete};
				list[i] = &requests[i];
			}
			start = clock_tsc();
			target->ops->submit(target, list, BATCH, start);
			ticks += clock_tsc() - start;
		}
		if (ticks < best)
			best = ticks;
	}
	return (double)best * 1e9 / (double)clock_tsc_hz() / (BATCH * (double)BATCHES);
}

/* In order, as an import does: so every page is there. */
static void fill(struct volume *volume, uint8_t *guest, uint32_t bytes)
{
	struct blk_target *target = volume_target(volume);
	struct iovec iov = {guest, bytes};

	for (uint64_t at = 0; at + bytes <= target->capacity_bytes; at += bytes) {
		struct blk_io io = {.op = BLK_WRITE,
				    .offset_bytes = at,
				    .length_bytes = bytes,
				    .iov = &iov,
				    .iov_count = 1,
				    .complete = complete};
		struct blk_io *list = &io;

		target->ops->submit(target, &list, 1, 0);
	}
}

static int run(struct volume_engine *engine, struct volume_config config, const char *what, uint8_t *guest, uint32_t bytes)
{
	char error[256] = "";
	struct volume *volume;

	config.name = what;
	if (volume_storage_create(&config, true, &config.memory_fd, error, sizeof(error)) != 0 ||
	    volume_open(&volume, &config, error, sizeof(error)) != 0 || volume_bind(volume, engine) != 0) {
		fprintf(stderr, "micro_volume: %s\n", error);
		return 1;
	}
	fill(volume, guest, bytes);
	completed = 0;
	printf("%-24s read %6.0f ns   write %6.0f ns\n", what, measure_ns(volume, BLK_READ, guest, bytes),
	       measure_ns(volume, BLK_WRITE, guest, bytes));
	volume_unbind(volume);
	volume_close(volume);
	if (config.backend == VOLUME_MEMORY)
		close(config.memory_fd);
	return completed == 2u * ROUNDS * BATCH * BATCHES ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint64_t size = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1024) << 20;
	uint32_t bytes = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 4096;
	uint8_t *guest = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), key[VOLUME_KEY_BYTES];
	struct volume_config config = {.size_bytes = size, .block_size_bytes = 4096};
	struct volume_engine *engine;
	int failed;

	clock_calibrate();
	if (guest == MAP_FAILED || bytes == 0 || bytes % 4096 != 0 || bytes > 256 * 1024 || size < bytes ||
	    volume_engine_create(&engine, &(struct volume_engine_config){.ring_entries = 64}) != 0) {
		fprintf(stderr, "micro_volume: requests are multiples of 4096 up to 256 KiB; io_uring must be allowed\n");
		return 1;
	}
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	memset(guest, 1, GUEST_BYTES);
	config.backend = VOLUME_NULL;
	failed = run(engine, config, "null", guest, bytes);
	config.backend = VOLUME_MEMORY;
	failed |= run(engine, config, "memory", guest, bytes);
	config.key = key;
	failed |= run(engine, config, "memory, AES-256-XTS", guest, bytes);
	printf("cipher: %s\n", volume_crypt_kernel());
	volume_engine_free(engine);
	return failed;
}
