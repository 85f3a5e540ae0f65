/*
 * The crypt layer: AES-256-XTS instead of a copy (IEEE 1619; data unit = logical block, tweak = its number).
 *
 * Whole data units that lie together in guest memory are a run; runs of several requests go to the kernel in one call, which makes
 * the tweak of each while it works on the one before. A unit that a cut of the scatter list splits goes through a bounce of one
 * unit in secret memory, by itself. Guest memory is read once and never holds ciphertext; the other side never holds plaintext.
 */
#include "volume/cipher.h"

#include "base/clock.h"
#include "volume/engine.h"

static void count_bytes(struct cipher *cipher, size_t bytes)
{
	__atomic_store_n(&cipher->bytes, cipher->bytes + bytes, __ATOMIC_RELAXED);
}

static void encrypt_gathered(struct cipher_batch *batch)
{
	const struct cipher *cipher = &batch->volume->cipher;

	if (batch->encrypt_count > 0)
		cipher->kernel->encrypt_runs(cipher->key, batch->volume->target.block_size_bytes, batch->encrypt,
					     batch->encrypt_count);
	batch->encrypt_count = 0;
}

static void decrypt_gathered(struct cipher_batch *batch)
{
	const struct cipher *cipher = &batch->volume->cipher;

	if (batch->decrypt_count > 0)
		cipher->kernel->decrypt_runs(cipher->key, batch->volume->target.block_size_bytes, batch->decrypt,
					     batch->decrypt_count);
	batch->decrypt_count = 0;
}

void cipher_batch_begin(struct cipher_batch *batch, struct volume *volume)
{
	batch->volume = volume;
	batch->encrypt_count = 0;
	batch->decrypt_count = 0;
	batch->since_tsc = clock_tsc();
}

void cipher_batch_end(struct cipher_batch *batch)
{
	struct cipher *cipher = &batch->volume->cipher;

	encrypt_gathered(batch);
	decrypt_gathered(batch);
	__atomic_store_n(&cipher->ticks, cipher->ticks + (clock_tsc() - batch->since_tsc), __ATOMIC_RELAXED);
}

void cipher_batch_to_guest(struct cipher_batch *batch, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from,
			   size_t bytes)
{
	struct volume *volume = batch->volume;
	uint32_t unit = volume->target.block_size_bytes;
	uint8_t *bounce = volume->engine->bounce;

	count_bytes(&volume->cipher, bytes);
	while (bytes > 0) {
		size_t run = bytes;
		uint8_t *to = iov_run(&guest, &run);

		if (run >= unit) {
			run -= run % unit;
			batch->decrypt[batch->decrypt_count++] = (struct crypt_run){offset_bytes / unit, from, to, run};
			if (batch->decrypt_count == CIPHER_BATCH_RUNS)
				decrypt_gathered(batch);
			guest.offset_bytes += run;
		} else {
			run = unit;
			volume->cipher.kernel->decrypt(volume->cipher.key, offset_bytes / unit, unit, from, bounce, unit);
			iov_scatter(&guest, bounce, unit);
		}
		from += run;
		offset_bytes += run;
		bytes -= run;
	}
}

void cipher_batch_from_guest(struct cipher_batch *batch, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	struct volume *volume = batch->volume;
	uint32_t unit = volume->target.block_size_bytes;
	uint8_t *bounce = volume->engine->bounce;

	count_bytes(&volume->cipher, bytes);
	while (bytes > 0) {
		size_t run = bytes;
		const uint8_t *from = iov_run(&guest, &run);

		if (run >= unit) {
			run -= run % unit;
			batch->encrypt[batch->encrypt_count++] = (struct crypt_run){offset_bytes / unit, from, to, run};
			if (batch->encrypt_count == CIPHER_BATCH_RUNS)
				encrypt_gathered(batch);
			guest.offset_bytes += run;
		} else {
			run = unit;
			iov_gather(&guest, bounce, unit);
			volume->cipher.kernel->encrypt(volume->cipher.key, offset_bytes / unit, unit, bounce, to, unit);
		}
		to += run;
		offset_bytes += run;
		bytes -= run;
	}
}

static void crypt_zeroes(struct volume *volume, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	uint32_t unit = volume->target.block_size_bytes;
	struct cipher_batch batch;

	count_bytes(&volume->cipher, bytes);
	cipher_batch_begin(&batch, volume);
	while (bytes > 0) {
		size_t run = bytes < ENGINE_BUFFER_LARGE_BYTES ? bytes : ENGINE_BUFFER_LARGE_BYTES;

		batch.encrypt[0] = (struct crypt_run){offset_bytes / unit, volume->engine->zeroes, to, run};
		batch.encrypt_count = 1;
		encrypt_gathered(&batch);
		to += run;
		offset_bytes += run;
		bytes -= run;
	}
	cipher_batch_end(&batch);
}

static void crypt_to_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from, size_t bytes)
{
	struct cipher_batch batch;

	cipher_batch_begin(&batch, volume);
	cipher_batch_to_guest(&batch, guest, offset_bytes, from, bytes);
	cipher_batch_end(&batch);
}

static void crypt_from_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	struct cipher_batch batch;

	cipher_batch_begin(&batch, volume);
	cipher_batch_from_guest(&batch, guest, offset_bytes, to, bytes);
	cipher_batch_end(&batch);
}

const struct mover mover_crypt = {
	.to_guest = crypt_to_guest,
	.from_guest = crypt_from_guest,
	.zeroes = crypt_zeroes,
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
