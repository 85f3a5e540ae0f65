/* The life of a volume: which layers it is made of is decided here, once, when it is opened. */
#include "volume/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "volume/engine.h"

/* --- the throttle's place: the target's admit --- */

static uint64_t admit(struct blk_target *target, const struct blk_io *io, uint64_t now_tsc)
{
	return throttle_admit(container_of(target, struct volume, target)->throttle, io, now_tsc);
}

static uint64_t capacity(const struct volume *volume)
{
	return __atomic_load_n(&volume->target.capacity_bytes, __ATOMIC_RELAXED);
}

/* gp2's baseline follows the size, which grows while the volume is busy. */
static uint64_t admit_burst(struct blk_target *target, const struct blk_io *io, uint64_t now_tsc)
{
	struct volume *volume = container_of(target, struct volume, target);

	if (volume->rate_size_bytes != capacity(volume))
		volume_set_rate(volume, &volume->rate, now_tsc);
	return throttle_admit(volume->throttle, io, now_tsc);
}

static bool is_limited(const struct volume_rate *rate)
{
	return rate->burst || rate->iops != 0 || rate->throughput_bytes != 0;
}

int volume_prepare_rate(struct volume *volume)
{
	if (volume->throttle == NULL)
		volume->throttle = calloc(1, sizeof(*volume->throttle));
	return volume->throttle == NULL ? -ENOMEM : 0;
}

void volume_set_rate(struct volume *volume, const struct volume_rate *rate, uint64_t now_tsc)
{
	assert(clock_tsc_hz() != 0 && (!is_limited(rate) || volume->throttle != NULL)); /* volume_prepare_rate */
	volume->rate = *rate;
	volume->rate_size_bytes = capacity(volume);
	if (volume->throttle != NULL) {
		throttle_set(volume->throttle, rate, volume->rate_size_bytes, clock_tsc_hz(), now_tsc);
		if (!is_limited(rate))
			throttle_forget_waiters(volume->throttle, now_tsc);
	}
	volume->ops.admit = rate->burst ? admit_burst : is_limited(rate) ? admit : NULL;
}

/* --- open and close --- */

static int config_check(const struct volume_config *config, char *error, size_t error_size)
{
	const char *wrong = NULL;

	if (config->name == NULL || strlen(config->name) > VOLUME_NAME_MAX_BYTES)
		wrong = "its name is missing or longer than 128 bytes";
	else if (config->block_size_bytes != 512 && config->block_size_bytes != 4096)
		wrong = "the block size must be 512 or 4096 bytes";
	else if (config->size_bytes == 0 || config->size_bytes > INT64_MAX / 4 ||
		 config->size_bytes % config->block_size_bytes != 0)
		wrong = "its size must be a multiple of its block size, and not 0";
	else if (config->backend == VOLUME_FILE && (config->path == NULL || config->path[0] == '\0'))
		wrong = "a file volume needs a path";
	else if (config->backend == VOLUME_NULL && config->key != NULL)
		wrong = "a null volume keeps nothing that could be encrypted";
	if (wrong == NULL)
		return 0;
	snprintf(error, error_size, "volume %.128s: %s", config->name != NULL ? config->name : "(no name)", wrong);
	return -EINVAL;
}

static int open_backend(struct volume *volume, const struct volume_config *config, char *error, size_t error_size)
{
	int code;

	switch (config->backend) {
	case VOLUME_NULL:
		volume->backend = &backend_null;
		return 0;
	case VOLUME_FILE:
		volume->backend = &backend_file;
		return file_open(volume, config->path, error, error_size);
	case VOLUME_MEMORY:
		volume->backend = config->key != NULL ? &backend_memory_crypt : &backend_memory;
		code = memory_open(volume, config->memory_fd);
		if (code != 0)
			snprintf(error, error_size,
				 "volume %s: cannot map its %llu bytes of memory: %s; end other volumes or choose a smaller size",
				 volume->name, (unsigned long long)config->size_bytes, strerror(-code));
		return code;
	}
	snprintf(error, error_size, "volume %s: no such back end", volume->name);
	return -EINVAL;
}

static void close_backend(struct volume *volume)
{
	if (volume->backend == &backend_file)
		file_close(volume);
	else if (volume->backend != &backend_null)
		memory_close(volume);
}

static int open_cipher(struct volume *volume, const uint8_t *key, char *error, size_t error_size)
{
	int code;

	volume->mover = &mover_copy;
	if (key == NULL)
		return 0;
	volume->mover = &mover_crypt;
	code = cipher_open(volume, key);
	if (code == -EINVAL)
		snprintf(error, error_size,
			 "volume %s: the halves of its key are equal, which XTS does not allow; the key is damaged", volume->name);
	else if (code != 0)
		snprintf(error, error_size, "volume %s: no locked memory for its key: %s; raise RLIMIT_MEMLOCK", volume->name,
			 strerror(-code));
	return code;
}

int volume_open(struct volume **out, const struct volume_config *config, char *error, size_t error_size)
{
	struct volume *volume;
	int code = config_check(config, error, error_size);

	if (code != 0)
		return code;
	volume = calloc(1, sizeof(*volume));
	if (volume == NULL) {
		snprintf(error, error_size, "volume %s: out of memory", config->name);
		return -ENOMEM;
	}
	snprintf(volume->name, sizeof(volume->name), "%s", config->name);
	volume->target.ops = &volume->ops;
	volume->target.capacity_bytes = config->size_bytes;
	volume->target.block_size_bytes = config->block_size_bytes;
	volume->target.read_only = config->read_only;
	volume->target.inline_data = config->backend == VOLUME_MEMORY;
	volume->fd = -1;
	volume->slot = -1;
	list_init(&volume->ready);
	code = is_limited(&config->rate) ? volume_prepare_rate(volume) : 0;
	if (code == 0)
		code = open_cipher(volume, config->key, error, error_size);
	if (code != 0)
		goto free_volume;
	code = open_backend(volume, config, error, error_size);
	if (code != 0)
		goto close_cipher;
	volume->ops.submit = volume->backend->submit;
	volume_set_rate(volume, &config->rate, clock_tsc());
	*out = volume;
	return 0;
close_cipher:
	cipher_close(volume);
free_volume:
	free(volume->throttle);
	free(volume);
	return code;
}

void volume_close(struct volume *volume)
{
	assert(volume->engine == NULL);
	close_backend(volume);
	cipher_close(volume);
	free(volume->throttle);
	free(volume);
}

struct blk_target *volume_target(struct volume *volume)
{
	return &volume->target;
}

int volume_resize(struct volume *volume, uint64_t size_bytes, char *error, size_t error_size)
{
	uint64_t now_bytes = capacity(volume);
	int code = 0;

	if (size_bytes < now_bytes || size_bytes > INT64_MAX / 4 || size_bytes % volume->target.block_size_bytes != 0) {
		snprintf(error, error_size, "volume %s: it has %llu bytes and can only grow, to a multiple of %u bytes",
			 volume->name, (unsigned long long)now_bytes, volume->target.block_size_bytes);
		return -EINVAL;
	}
	if (volume->backend == &backend_file) {
		code = file_grow(volume, size_bytes, error, error_size);
	} else if (volume->backend != &backend_null) {
		code = memory_grow(volume, size_bytes);
		if (code != 0)
			snprintf(error, error_size, "volume %s: cannot take %llu bytes of memory: %s; choose a smaller size",
				 volume->name, (unsigned long long)size_bytes, strerror(-code));
	}
	if (code == 0)
		__atomic_store_n(&volume->target.capacity_bytes, size_bytes, __ATOMIC_RELEASE);
	return code;
}

int volume_populate(struct volume *volume, uint64_t step_bytes)
{
	bool has_pages = volume->backend != &backend_file && volume->backend != &backend_null;

	return has_pages ? memory_populate(volume, step_bytes) : 0;
}

/* --- on the poller --- */

int volume_bind(struct volume *volume, struct volume_engine *engine)
{
	assert(volume->engine == NULL);
	volume->engine = engine;
	if (volume->backend->queues)
		volume->slot = engine_slot_take(engine, volume->fd);
	return 0;
}

void volume_unbind(struct volume *volume)
{
	assert(volume->engine != NULL && volume->pieces == 0 && volume->queue_head == NULL);
	engine_slot_give(volume->engine, volume->slot);
	volume->slot = -1;
	volume->engine = NULL;
	if (volume->throttle != NULL)
		throttle_forget_waiters(volume->throttle, clock_tsc());
}

void volume_note_error(struct volume *volume, const struct blk_io *io, uint64_t offset_bytes, int error)
{
	struct volume_health *health = &volume->health;

	__atomic_store_n(&health->last_error, error, __ATOMIC_RELAXED);
	__atomic_store_n(&health->last_error_offset_bytes, offset_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&health->last_error_op, io->op, __ATOMIC_RELAXED);
	__atomic_store_n(&health->errors, health->errors + 1, __ATOMIC_RELAXED);
}

/* --- read by anyone --- */

void volume_stats(const struct volume *volume, struct volume_stats *out)
{
	const struct volume_health *health = &volume->health;

	*out = (struct volume_stats){
		.backend = volume->backend->queues ? &volume->queue : NULL,
		.held = __atomic_load_n(&volume->ops.admit, __ATOMIC_RELAXED) != NULL ? &volume->throttle->held : NULL,
		.health.errors = __atomic_load_n(&health->errors, __ATOMIC_RELAXED),
		.health.last_error = __atomic_load_n(&health->last_error, __ATOMIC_RELAXED),
		.health.last_error_offset_bytes = __atomic_load_n(&health->last_error_offset_bytes, __ATOMIC_RELAXED),
		.health.last_error_op = __atomic_load_n(&health->last_error_op, __ATOMIC_RELAXED),
		.crypt_bytes = __atomic_load_n(&volume->cipher.bytes, __ATOMIC_RELAXED),
		.crypt_ticks = __atomic_load_n(&volume->cipher.ticks, __ATOMIC_RELAXED),
	};
}

const char *volume_crypt_kernel(void)
{
	return crypt_kernel_choose()->name;
}
