#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

static const struct root_cost cheap = {.memory_kib = 64, .passes = 1, .lanes = 1};
static const uint64_t second_ns = 1000000000;

static enum vault_error unlock(struct root *root, const char *passphrase, uint64_t now_ns)
{
	return root_unlock(root, (const uint8_t *)passphrase, strlen(passphrase), now_ns);
}

static void root_close(struct root *root)
{
	close(root->header_fd);
	secret_free(root->work, root->work_bytes);
}

/* ---- from a file ---- */

static void test_file_raw_and_hex(void **state)
{
	char hex[66];
	struct root root;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, i % 2 ? "%02x" : "%02X", golden_root[i]);
	hex[64] = '\n';
	assert_int_equal(root_from_file(&root, rig_file(golden_root, 32, 0400)), 0);
	assert_int_equal(root.state, ROOT_UNLOCKED);
	assert_memory_equal(root.wrapping_key, golden_wrapping_key, 32);
	assert_int_equal(root_from_file(&root, rig_file(hex, 64, 0600)), 0);
	assert_memory_equal(root.wrapping_key, golden_wrapping_key, 32);
	assert_int_equal(root_from_file(&root, rig_file(hex, 65, 0400)), 0);
	assert_memory_equal(root.wrapping_key, golden_wrapping_key, 32);
}

static void test_file_that_others_may_use(void **state)
{
	static const unsigned modes[] = {0440, 0404, 0420, 0410, 0402, 0401, 0644};
	struct root root;

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(root_from_file(&root, rig_file(golden_root, 32, modes[i])), -EPERM);
		assert_int_equal(root.state, ROOT_LOCKED);
	}
}

static void test_file_of_another_user(void **state)
{
	struct root root;
	int fd = rig_file(golden_root, 32, 0400);

	(void)state;
	if (rig_needs_root())
		return;
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	assert_int_equal(root_from_file(&root, fd), -EPERM);
}

static void test_file_of_another_shape(void **state)
{
	uint8_t bytes[66] = {0};
	struct root root;
	int ends[2];

	(void)state;
	assert_int_equal(root_from_file(&root, rig_file(bytes, 32, 0400)), -EINVAL); /* zeros */
	memset(bytes, 'a', sizeof(bytes));
	for (size_t size = 0; size <= sizeof(bytes); size++)
		if (size != 32 && size != 64)
			assert_int_equal(root_from_file(&root, rig_file(bytes, size, 0400)), -EINVAL);
	for (int i = 0; i < 64; i++) {
		bytes[i] = 'g';
		assert_int_equal(root_from_file(&root, rig_file(bytes, 64, 0400)), -EINVAL);
		bytes[i] = 'a';
	}
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], golden_root, 32), 32);
	assert_int_equal(root_from_file(&root, ends[0]), -EINVAL);
	close(ends[1]);
	assert_int_equal(root_from_file(&root, open("/", O_RDONLY | O_DIRECTORY)), -EINVAL);
	assert_int_equal(root_from_file(&root, -1), -EBADF);
}

/* ---- from a passphrase ---- */

static void test_header_golden(void **state)
{
	struct root root;

	(void)state;
	assert_int_equal(root_from_header(&root, rig_file(golden_header, sizeof(golden_header), 0600), &cheap), 0);
	assert_int_equal(root.state, ROOT_LOCKED);
	assert_int_equal(unlock(&root, "correct horse battery stable", 0), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&root, golden_passphrase, 0), VAULT_OK);
	assert_memory_equal(root.wrapping_key, golden_header_wrapping_key, 32);
	assert_null(root.work);					  /* Argon2's memory is given back */
	assert_int_equal(unlock(&root, "whatever", 0), VAULT_OK); /* unlocked already */
	root_close(&root);
}

static void test_header_every_bit_counts(void **state)
{
	uint8_t bytes[sizeof(golden_header)];
	struct root root;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		memcpy(bytes, golden_header, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(root_from_header(&root, rig_file(bytes, sizeof(bytes), 0600), &cheap), 0);
		assert_int_equal(root.state, ROOT_DAMAGED);
		assert_int_equal(unlock(&root, golden_passphrase, 0), VAULT_ROOT_DAMAGED);
		root_close(&root);
	}
}

/* A torn write, or something after the end. */
static void test_header_every_other_size(void **state)
{
	uint8_t bytes[sizeof(golden_header) + 1] = {0};
	struct root root;

	(void)state;
	memcpy(bytes, golden_header, sizeof(golden_header));
	for (size_t size = 1; size <= sizeof(bytes); size++) {
		if (size == sizeof(golden_header))
			continue;
		assert_int_equal(root_from_header(&root, rig_file(bytes, size, 0600), &cheap), 0);
		assert_int_equal(root.state, ROOT_DAMAGED);
		root_close(&root);
	}
}

/* A header whose digest is right and whose cost would take the host's memory, or is none. */
static void test_header_cost_limits(void **state)
{
	static const struct root_cost bad[] = {
		{ROOT_MEMORY_MAX_KIB + 1, 1, 1}, {7, 1, 1},  {64, 0, 1},	 {64, ROOT_PASSES_MAX + 1, 1}, {64, 1, 0},
		{1024, 1, ROOT_LANES_MAX + 1},	 {15, 1, 2}, {UINT32_MAX, 1, 1},
	};
	uint8_t bytes[ROOT_HEADER_BYTES];
	struct root root;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct root_header header = {.cost = bad[i]};

		assert_int_equal(root_header_encode(&header, bytes), 0);
		assert_int_equal(root_from_header(&root, rig_file(bytes, sizeof(bytes), 0600), &cheap), 0);
		assert_int_equal(root.state, ROOT_DAMAGED);
		root_close(&root);
	}
}

static void test_first_passphrase_makes_the_header(void **state)
{
	int fd = rig_file("", 0, 0600);
	uint8_t key[32];
	struct root root;

	(void)state;
	assert_int_equal(root_from_header(&root, dup(fd), &cheap), 0);
	assert_int_equal(root.state, ROOT_NEW);
	assert_int_equal(unlock(&root, "", 0), VAULT_BAD_REQUEST);
	assert_int_equal(unlock(&root, "first", 0), VAULT_OK);
	memcpy(key, root.wrapping_key, sizeof(key));
	root_close(&root);
	assert_int_equal(root_from_header(&root, fd, &root_cost_recommended), 0);
	assert_int_equal(root.state, ROOT_LOCKED);
	assert_int_equal(root.header.cost.memory_kib, cheap.memory_kib); /* the header's, not the default */
	assert_int_equal(unlock(&root, "second", 0), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&root, "first", 0), VAULT_OK);
	assert_memory_equal(root.wrapping_key, key, sizeof(key));
	root_close(&root);
}

static void test_passphrase_sizes(void **state)
{
	uint8_t longest[VAULT_PASSPHRASE_MAX_BYTES + 1];
	struct root root;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(root_from_header(&root, rig_file("", 0, 0600), &cheap), 0);
	assert_int_equal(root_unlock(&root, longest, sizeof(longest), 0), VAULT_BAD_REQUEST);
	assert_int_equal(root_unlock(&root, longest, sizeof(longest) - 1, 0), VAULT_OK);
	root_close(&root);
}

/* Wrong ones: five at once, then one each twelve seconds; the right one is refused too while none is left. */
static void test_attempts_are_limited(void **state)
{
	uint64_t now_ns = 1000 * second_ns;
	struct root root;

	(void)state;
	assert_int_equal(root_from_header(&root, rig_file(golden_header, sizeof(golden_header), 0600), &cheap), 0);
	for (int i = 0; i < ROOT_ATTEMPTS_MAX; i++)
		assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_TOO_MANY_ATTEMPTS);
	now_ns += ROOT_ATTEMPT_INTERVAL_S * second_ns - 1;
	assert_int_equal(unlock(&root, golden_passphrase, now_ns), VAULT_TOO_MANY_ATTEMPTS);
	now_ns += 1;
	assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_TOO_MANY_ATTEMPTS);
	now_ns += 100 * ROOT_ATTEMPT_INTERVAL_S * second_ns; /* no more than five come back */
	for (int i = 0; i < ROOT_ATTEMPTS_MAX; i++)
		assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_WRONG_PASSPHRASE);
	assert_int_equal(unlock(&root, "wrong", now_ns), VAULT_TOO_MANY_ATTEMPTS);
	now_ns += ROOT_ATTEMPT_INTERVAL_S * second_ns;
	assert_int_equal(unlock(&root, golden_passphrase, now_ns), VAULT_OK);
	root_close(&root);
}

/* A full disk in the middle of the header: said so, and the next try starts from nothing. */
static void test_header_that_cannot_be_written(void **state)
{
	struct rlimit before, small;
	int fd = rig_file("", 0, 0600);
	struct stat st;
	struct root root;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	assert_int_equal(root_from_header(&root, fd, &cheap), 0);
	for (rlim_t room = 0; room < ROOT_HEADER_BYTES; room += ROOT_HEADER_BYTES / 4) {
		small.rlim_cur = room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(unlock(&root, "first", 0), VAULT_ROOT_UNWRITABLE);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(root.state, ROOT_NEW);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 0);
	}
	assert_int_equal(unlock(&root, "first", 0), VAULT_OK);
	root_close(&root);
}

static void test_header_that_cannot_be_read(void **state)
{
	struct root root;

	(void)state;
	assert_int_equal(root_from_header(&root, -1, &cheap), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_raw_and_hex),
		cmocka_unit_test(test_file_that_others_may_use),
		cmocka_unit_test(test_file_of_another_user),
		cmocka_unit_test(test_file_of_another_shape),
		cmocka_unit_test(test_header_golden),
		cmocka_unit_test(test_header_every_bit_counts),
		cmocka_unit_test(test_header_every_other_size),
		cmocka_unit_test(test_header_cost_limits),
		cmocka_unit_test(test_first_passphrase_makes_the_header),
		cmocka_unit_test(test_passphrase_sizes),
		cmocka_unit_test(test_attempts_are_limited),
		cmocka_unit_test(test_header_that_cannot_be_written),
		cmocka_unit_test(test_header_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
