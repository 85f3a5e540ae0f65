/*
 * What an encrypted volume leaves in its storage is plain AES-256-XTS with the block number as tweak: OpenSSL opens it, and the
 * volume opens what OpenSSL wrote. And where clear and enciphered data may be on the way.
 */
#include "rig.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_BYTES = 2 << 20 };

static uint8_t *guest, *back, *raw;

static void xts(bool encrypt, uint64_t block, uint32_t block_bytes, uint8_t *data)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t tweak[16] = {0};
	int length;

	for (unsigned i = 0; i < 8; i++)
		tweak[i] = (uint8_t)(block >> (8 * i)); /* little endian */
	assert_non_null(context);
	assert_int_equal(EVP_CipherInit_ex(context, EVP_aes_256_xts(), NULL, rig_key, tweak, encrypt), 1);
	assert_int_equal(EVP_CipherUpdate(context, data, &length, data, (int)block_bytes), 1);
	EVP_CIPHER_CTX_free(context);
}

static int storage_open(const struct rig *rig)
{
	return rig->memory_fd >= 0 ? dup(rig->memory_fd) : open(rig->path, O_RDWR | O_CLOEXEC);
}

static bool storage_holds(const uint8_t *needle, size_t bytes)
{
	return memmem(raw, SIZE_BYTES, needle, bytes) != NULL;
}

static void start(struct rig *rig, enum volume_backend backend, uint32_t block_bytes)
{
	rig_engine(rig, 0, 32);
	rig_open(rig, &(struct rig_volume){
			      .backend = backend, .size_bytes = SIZE_BYTES, .block_size_bytes = block_bytes, .encrypted = true});
}

static void end(struct rig *rig)
{
	rig_close(rig);
	rig_engine_free(rig);
}

static void for_each_kind(void (*check)(struct rig *rig, uint32_t block_bytes))
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t block_bytes = i & 1 ? 512 : 4096;
		struct rig rig;

		start(&rig, i & 2 ? VOLUME_FILE : VOLUME_MEMORY, block_bytes);
		check(&rig, block_bytes);
		end(&rig);
	}
}

static void openssl_reads_what_the_volume_wrote(struct rig *rig, uint32_t block_bytes)
{
	static struct rig_io write;
	int fd = storage_open(rig);

	rig_fill(guest, SIZE_BYTES);
	for (uint64_t at = 0; at < SIZE_BYTES; at += SIZE_BYTES / 8) { /* whole units in one call, and units that a cut splits */
		rig_io_init(&write, BLK_WRITE, at, guest + at, SIZE_BYTES / 8);
		rig_io_cut(&write, at % (SIZE_BYTES / 4) == 0 ? 16384 : 3000, 1);
		assert_int_equal(rig_do(rig, &write), 0);
	}
	assert_int_equal(rig_run(rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(pread(fd, raw, SIZE_BYTES, 0), SIZE_BYTES);
	for (uint64_t at = 0; at < SIZE_BYTES; at += block_bytes)
		assert_false(storage_holds(guest + at, 16));
	for (uint64_t block = 0; block < SIZE_BYTES / block_bytes; block++)
		xts(false, block, block_bytes, raw + block * block_bytes);
	assert_memory_equal(raw, guest, SIZE_BYTES);
	close(fd);
}

static void the_volume_reads_what_openssl_wrote(struct rig *rig, uint32_t block_bytes)
{
	static struct rig_io read;
	int fd = storage_open(rig);

	rig_fill(guest, SIZE_BYTES);
	memcpy(raw, guest, SIZE_BYTES);
	for (uint64_t block = 0; block < SIZE_BYTES / block_bytes; block++)
		xts(true, block, block_bytes, raw + block * block_bytes);
	assert_int_equal(pwrite(fd, raw, SIZE_BYTES, 0), SIZE_BYTES);
	assert_int_equal(fsync(fd), 0);
	rig_io_init(&read, BLK_READ, 0, back, SIZE_BYTES);
	rig_io_cut(&read, 9999, 1);
	memset(back, 0, SIZE_BYTES);
	assert_int_equal(rig_do(rig, &read), 0);
	assert_memory_equal(back, guest, SIZE_BYTES);
	close(fd);
}

/* Zeroes are enciphered like anything else; what is discarded is a hole. */
static void zeroes_do_not_show(struct rig *rig, uint32_t block_bytes)
{
	static const uint8_t zeroes[512];
	int fd = storage_open(rig);

	memset(guest, 0x77, SIZE_BYTES);
	assert_int_equal(rig_run(rig, BLK_WRITE, 0, 0, guest, SIZE_BYTES), 0);
	assert_int_equal(rig_run(rig, BLK_WRITE_ZEROES, BLK_IO_UNMAP, 0, NULL, SIZE_BYTES), 0);
	assert_int_equal(rig_run(rig, BLK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(rig_run(rig, BLK_READ, 0, 0, back, SIZE_BYTES), 0);
	memset(guest, 0, SIZE_BYTES);
	assert_memory_equal(back, guest, SIZE_BYTES);
	assert_int_equal(pread(fd, raw, SIZE_BYTES, 0), SIZE_BYTES);
	assert_false(storage_holds(zeroes, 16));
	assert_int_equal(rig_run(rig, BLK_DISCARD, BLK_IO_DURABLE, 0, NULL, SIZE_BYTES / 2), 0);
	assert_int_equal(rig_run(rig, BLK_SECURE_ERASE, 0, SIZE_BYTES / 2, NULL, SIZE_BYTES / 2), 0);
	assert_int_equal(pread(fd, raw, SIZE_BYTES, 0), SIZE_BYTES);
	assert_memory_equal(raw, guest, SIZE_BYTES);
	(void)block_bytes;
	close(fd);
}

/* --- who touches what: a kernel that looks at the addresses it is given, in front of the real one --- */

static const struct crypt_kernel *real;
static struct rig *watched;
static unsigned whole_calls, bounced_calls, gathered_calls;

static bool inside(const uint8_t *p, size_t bytes, const void *from, size_t size)
{
	return p >= (const uint8_t *)from && p + bytes <= (const uint8_t *)from + size;
}

static bool is_clear_side(const uint8_t *p, size_t bytes)
{
	const struct volume_engine *e = watched->engine;

	bounced_calls += inside(p, bytes, e->bounce, ENGINE_BOUNCE_BYTES);
	return inside(p, bytes, guest, SIZE_BYTES) || inside(p, bytes, e->bounce, ENGINE_BOUNCE_BYTES);
}

static bool is_cipher_side(const uint8_t *p, size_t bytes)
{
	const struct volume_engine *e = watched->engine;

	if (watched->memory_fd >= 0)
		return inside(p, bytes, watched->volume->memory->base, SIZE_BYTES);
	return inside(p, bytes, e->arena + ENGINE_BUFFER_LARGE_BYTES, e->arena_bytes - ENGINE_BUFFER_LARGE_BYTES);
}

static void watch_encrypt(const struct crypt_key *key, uint64_t number, uint32_t unit, const uint8_t *in, uint8_t *out,
			  size_t bytes)
{
	assert_true(is_clear_side(in, bytes) || inside(in, bytes, watched->engine->zeroes, ENGINE_BUFFER_LARGE_BYTES));
	assert_true(is_cipher_side(out, bytes));
	whole_calls += bytes > unit;
	real->encrypt(key, number, unit, in, out, bytes);
}

static void watch_decrypt(const struct crypt_key *key, uint64_t number, uint32_t unit, const uint8_t *in, uint8_t *out,
			  size_t bytes)
{
	assert_true(is_cipher_side(in, bytes));
	assert_true(is_clear_side(out, bytes));
	whole_calls += bytes > unit;
	real->decrypt(key, number, unit, in, out, bytes);
}

static void watch_encrypt_runs(const struct crypt_key *key, uint32_t unit, const struct crypt_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		watch_encrypt(key, runs[i].unit_number, unit, runs[i].in, runs[i].out, runs[i].bytes);
	gathered_calls += count > 1;
}

static void watch_decrypt_runs(const struct crypt_key *key, uint32_t unit, const struct crypt_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		watch_decrypt(key, runs[i].unit_number, unit, runs[i].in, runs[i].out, runs[i].bytes);
	gathered_calls += count > 1;
}

static void clear_data_is_in_guest_memory_only(struct rig *rig, uint32_t block_bytes)
{
	static const struct crypt_kernel watch = {.name = "watch",
						  .encrypt = watch_encrypt,
						  .decrypt = watch_decrypt,
						  .encrypt_runs = watch_encrypt_runs,
						  .decrypt_runs = watch_decrypt_runs};
	static struct rig_io io;

	real = rig->volume->cipher.kernel;
	watched = rig;
	whole_calls = bounced_calls = gathered_calls = 0;
	rig->volume->cipher.kernel = &watch;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t blocks = SIZE_BYTES / block_bytes, first = rig_random() % blocks;
		uint64_t length = (1 + rig_random() % (blocks - first)) * block_bytes;

		rig_io_init(&io, rig_random() % 3, first * block_bytes, guest, length);
		if (io.io.op == BLK_FLUSH)
			io.io.op = BLK_WRITE_ZEROES;
		else if (i % 2)
			rig_io_cut(&io, 1 << 16, i % 4 == 1 ? 512 : 1);
		assert_int_equal(rig_do(rig, &io), 0);
	}
	rig->volume->cipher.kernel = real;
	assert_true(whole_calls > 0 && bounced_calls > 0 && gathered_calls > 0);
}

static void openssl_opens_the_volume(void **state)
{
	(void)state;
	for_each_kind(openssl_reads_what_the_volume_wrote);
}

static void the_volume_opens_openssls(void **state)
{
	(void)state;
	for_each_kind(the_volume_reads_what_openssl_wrote);
}

static void zeroes_and_holes(void **state)
{
	(void)state;
	for_each_kind(zeroes_do_not_show);
}

static void clear_data_stays_with_the_guest(void **state)
{
	(void)state;
	for_each_kind(clear_data_is_in_guest_memory_only);
}

static int set_up(void **state)
{
	(void)state;
	guest = aligned_alloc(4096, SIZE_BYTES);
	back = aligned_alloc(4096, SIZE_BYTES);
	raw = aligned_alloc(4096, SIZE_BYTES);
	return guest != NULL && back != NULL && raw != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(guest);
	free(back);
	free(raw);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_opens_the_volume),
		cmocka_unit_test(the_volume_opens_openssls),
		cmocka_unit_test(zeroes_and_holes),
		cmocka_unit_test(clear_data_stays_with_the_guest),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
