/*
 * The crypt layer: AES-256-XTS instead of a copy (IEEE 1619; data unit = logical block, tweak = its number).
 *
 * A kernel call covers as many whole data units as lie together in guest memory. A unit that a cut of the scatter list splits goes
 * through a bounce of one unit in secret memory. Guest memory is read once and never holds ciphertext; the other side never holds
 * plaintext.
 */
#include <errno.h>

#include "base/clock.h"
#include "volume/engine.h"

static void count_bytes(struct cipher *cipher, size_t bytes)
{
	__atomic_store_n(&cipher->bytes, cipher->bytes + bytes, __ATOMIC_RELAXED);
}

void cipher_to_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from, size_t bytes)
{
	uint32_t unit = volume->target.block_size_bytes;
	const struct cipher *cipher = &volume->cipher;
	uint8_t *bounce = volume->engine->bounce;

	count_bytes(&volume->cipher, bytes);
	while (bytes > 0) {
		size_t run = bytes;
		uint8_t *to = iov_run(&guest, &run);

		if (run >= unit) {
			run -= run % unit;
			cipher->kernel->decrypt(cipher->key, offset_bytes / unit, unit, from, to, run);
			guest.offset_bytes += run;
		} else {
			run = unit;
			cipher->kernel->decrypt(cipher->key, offset_bytes / unit, unit, from, bounce, unit);
			iov_scatter(&guest, bounce, unit);
		}
		from += run;
		offset_bytes += run;
		bytes -= run;
	}
}

void cipher_from_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	uint32_t unit = volume->target.block_size_bytes;
	const struct cipher *cipher = &volume->cipher;
	uint8_t *bounce = volume->engine->bounce;

	count_bytes(&volume->cipher, bytes);
	while (bytes > 0) {
		size_t run = bytes;
		const uint8_t *from = iov_run(&guest, &run);

		if (run >= unit) {
			run -= run % unit;
			cipher->kernel->encrypt(cipher->key, offset_bytes / unit, unit, from, to, run);
			guest.offset_bytes += run;
		} else {
			run = unit;
			iov_gather(&guest, bounce, unit);
			cipher->kernel->encrypt(cipher->key, offset_bytes / unit, unit, bounce, to, unit);
		}
		to += run;
		offset_bytes += run;
		bytes -= run;
	}
}

static void cipher_zeroes(struct volume *volume, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	uint32_t unit = volume->target.block_size_bytes;
	const struct cipher *cipher = &volume->cipher;

	count_bytes(&volume->cipher, bytes);
	while (bytes > 0) {
		size_t run = bytes < ENGINE_BUFFER_LARGE_BYTES ? bytes : ENGINE_BUFFER_LARGE_BYTES;

		cipher->kernel->encrypt(cipher->key, offset_bytes / unit, unit, volume->engine->zeroes, to, run);
		to += run;
		offset_bytes += run;
		bytes -= run;
	}
}

void cipher_count_ticks(struct volume *volume, uint64_t since_tsc)
{
	__atomic_store_n(&volume->cipher.ticks, volume->cipher.ticks + (clock_tsc() - since_tsc), __ATOMIC_RELAXED);
}

static void timed_to_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from, size_t bytes)
{
	uint64_t since_tsc = clock_tsc();

	cipher_to_guest(volume, guest, offset_bytes, from, bytes);
	cipher_count_ticks(volume, since_tsc);
}

static void timed_from_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	uint64_t since_tsc = clock_tsc();

	cipher_from_guest(volume, guest, offset_bytes, to, bytes);
	cipher_count_ticks(volume, since_tsc);
}

static void timed_zeroes(struct volume *volume, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	uint64_t since_tsc = clock_tsc();

	cipher_zeroes(volume, offset_bytes, to, bytes);
	cipher_count_ticks(volume, since_tsc);
}

const struct mover mover_crypt = {
	.to_guest = timed_to_guest,
	.from_guest = timed_from_guest,
	.zeroes = timed_zeroes,
};

int cipher_open(struct volume *volume, const uint8_t *key)
{
	volume->cipher.kernel = crypt_kernel_choose();
	return volume->cipher.kernel->key_create(&volume->cipher.key, key);
}

void cipher_close(struct volume *volume)
{
	if (volume->cipher.key != NULL)
		volume->cipher.kernel->key_free(volume->cipher.key);
}
