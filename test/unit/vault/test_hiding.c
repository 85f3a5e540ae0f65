/* What the vault hides: its memory from who may read all memory, its core, itself from a debugger. And what it has given up. */
#include "process_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/wrap.h"

enum { NEEDLES_MAX = 8, CHUNK_BYTES = 1 << 20, NOBODY = 65534 };

struct needle {
	const char *name;
	const uint8_t *bytes;
	size_t size;
};

/* Where in the memory of `pid` a needle is found: its name, or NULL. Reads what can be read of every mapping, as root. */
struct scan {
	int memory;
	const struct needle *needles;
	size_t count;
	uint64_t read_bytes;
};

static const char *scan_range(struct scan *scan, unsigned long start, unsigned long end)
{
	static uint8_t chunk[CHUNK_BYTES];
	const size_t overlap = 64;

	for (unsigned long at = start; at < end;) {
		size_t wanted = end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES;
		ssize_t got = pread(scan->memory, chunk, wanted, (off_t)at);

		if (got <= 0) {
			at += 4096; /* secret memory cannot be read, even so */
			continue;
		}
		scan->read_bytes += (uint64_t)got;
		for (size_t i = 0; i < scan->count; i++)
			if (memmem(chunk, (size_t)got, scan->needles[i].bytes, scan->needles[i].size) != NULL)
				return scan->needles[i].name;
		at += (size_t)got == wanted && wanted == CHUNK_BYTES ? wanted - overlap : (size_t)got;
	}
	return NULL;
}

static const char *scan_process(pid_t pid, const struct needle *needles, size_t count)
{
	struct scan scan = {.needles = needles, .count = count};
	unsigned long start = 0, end = 0, first, last;
	const char *found = NULL;
	char path[64], line[512], access[8] = "";
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	scan.memory = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	smaps = fopen(path, "re");
	assert_true(scan.memory >= 0 && smaps != NULL);
	while (found == NULL && fgets(line, sizeof(line), smaps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s ", &first, &last, access) == 3) {
			start = first;
			end = last;
			continue;
		}
		/* Where the kernel has no memfd_secret, locked memory that no core has is the secret memory. */
		if (strncmp(line, "VmFlags:", 8) == 0 && !(strstr(line, " lo") != NULL && strstr(line, " dd") != NULL))
			found = scan_range(&scan, start, end);
	}
	fclose(smaps);
	close(scan.memory);
	assert_true(found != NULL || scan.read_bytes > 100 * 1024); /* it did look */
	return found;
}

static void work(struct chassis *chassis, uint8_t key[VAULT_KEY_BYTES])
{
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_dek_ref ref;
	size_t size;

	rig_golden_ref(&ref);
	for (int i = 0; i < 20; i++) {
		struct vault_dek_ref other = ref, fresh;

		chassis_unwrap(chassis, &ref, key);
		assert_int_equal(vault_dek_export(chassis->control[0], &ref, golden_recipient, sealed, &size, PATIENCE_MS),
				 VAULT_OK);
		assert_int_equal(
			vault_dek_rewrap(chassis->control[0], &other, &ref.kek, ref.kek_version, &ref.wrapped_kek, PATIENCE_MS),
			VAULT_OK);
		other.wrapped_dek.bytes[20] ^= 1;
		assert_int_equal(vault_dek_export(chassis->control[0], &other, golden_recipient, sealed, &size, PATIENCE_MS),
				 VAULT_TAMPERED);
		chassis_new_volume(chassis, &fresh);
	}
}

static void test_no_key_in_readable_memory(void **state)
{
	const struct needle needles[] = {
		{"root", golden_root, 16},
		{"wrapping key", golden_wrapping_key, 16},
		{"kek", golden_kek, 16},
		{"first half of the dek", golden_dek, 16},
		{"second half", golden_dek + 32, 16},
	};
	uint8_t key[VAULT_KEY_BYTES];
	struct chassis chassis;
	const char *found;

	(void)state;
	if (rig_needs_root())
		return;
	assert_non_null(scan_process(getpid(), needles, 1)); /* the search finds what is there: golden.h, in this very process */
	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
	chassis_start(&chassis);
	work(&chassis, key);
	assert_memory_equal(key, golden_dek, sizeof(key));
	found = scan_process(chassis.vault, needles, sizeof(needles) / sizeof(needles[0]));
	assert_null(found);
	chassis_close(&chassis);
}

/* The same in the middle of its work, when keys are expanded and spilled: stopped wherever it is, many times. */
static void test_no_key_in_readable_memory_at_work(void **state)
{
	const struct needle needles[] = {
		{"wrapping key", golden_wrapping_key, 16},
		{"kek", golden_kek, 16},
		{"first half of the dek", golden_dek, 16},
		{"second half", golden_dek + 32, 16},
	};
	uint8_t key[VAULT_KEY_BYTES];
	struct vault_dek_ref ref;
	struct chassis chassis;
	const char *found = NULL;

	(void)state;
	if (rig_needs_root())
		return;
	rig_golden_ref(&ref);
	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
	chassis_start(&chassis);
	chassis_unwrap(&chassis, &ref, key);
	for (int i = 0; found == NULL && i < 200; i++) {
		int status, requests = 10;

		for (int r = 0; r < requests; r++)
			assert_int_equal(vault_unwrap_send(chassis.card[0], 1, &ref), 0);
		usleep((unsigned)(i * 7 % 500));
		assert_int_equal(kill(chassis.vault, SIGSTOP), 0);
		assert_int_equal(waitpid(chassis.vault, &status, WUNTRACED), chassis.vault);
		assert_true(WIFSTOPPED(status));
		found = scan_process(chassis.vault, needles, sizeof(needles) / sizeof(needles[0]));
		assert_int_equal(kill(chassis.vault, SIGCONT), 0);
		for (int r = 0; r < requests; r++)
			assert_int_equal(chassis_unwrapped(&chassis, 1, key), VAULT_OK);
	}
	chassis_close(&chassis);
	assert_null(found);
}

static void test_no_passphrase_in_readable_memory(void **state)
{
	static const char wrong[] = "correct horse battery stable";
	const struct needle needles[] = {
		{"passphrase", (const uint8_t *)golden_passphrase, sizeof(golden_passphrase) - 1},
		{"wrong passphrase", (const uint8_t *)wrong, sizeof(wrong) - 1},
		{"wrapping key", golden_header_wrapping_key, 16},
	};
	struct chassis chassis;

	(void)state;
	if (rig_needs_root())
		return;
	chassis_open(&chassis, "passphrase", rig_file(golden_header, sizeof(golden_header), 0600));
	chassis.passphrase_fd = rig_file(wrong, sizeof(wrong), 0400);
	chassis_start(&chassis);
	assert_int_equal(chassis_unlock(&chassis, golden_passphrase), VAULT_OK);
	assert_null(scan_process(chassis.vault, needles, sizeof(needles) / sizeof(needles[0])));
	chassis_close(&chassis);
}

static bool left_core(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return WCOREDUMP(status);
}

static bool ordinary_leaves_core(void)
{
	const struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY};
	pid_t child = fork();

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &core);
		abort();
	}
	return left_core(child);
}

static bool vault_leaves_core(void)
{
	struct vault_status status;
	struct chassis chassis;
	bool left;

	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	assert_int_equal(kill(chassis.vault, SIGABRT), 0);
	left = left_core(chassis.vault);
	chassis.vault = 0;
	chassis_close(&chassis);
	return left;
}

static void test_no_core(void **state)
{
	char folder[] = "/tmp/vault-core-XXXXXX", command[64];
	bool ordinary, vault;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	ordinary = ordinary_leaves_core();
	vault = vault_leaves_core();
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	assert_false(vault);
	if (!ordinary)
		rig_not_shown("no process leaves a core on this host");
}

/* As a child with the vault's own user: 0 when it can attach, or read the memory. */
static int try_to_debug(pid_t victim)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/mem", victim);
		if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
			_exit(9);
		if (ptrace(PTRACE_SEIZE, victim, NULL, NULL) == 0)
			_exit(0);
		_exit(open(path, O_RDONLY) >= 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_no_debugger(void **state)
{
	struct vault_status status;
	struct chassis chassis;
	pid_t ordinary;
	int outcome, ordinary_outcome;

	(void)state;
	if (rig_needs_root())
		return;
	ordinary = fork();
	if (ordinary == 0) {
		if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
			_exit(9);
		execlp("sleep", "sleep", "1000", NULL); /* a fresh image is dumpable again */
		_exit(9);
	}
	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
	chassis.uid = NOBODY;
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	outcome = try_to_debug(chassis.vault);
	ordinary_outcome = try_to_debug(ordinary);
	kill(ordinary, SIGKILL);
	waitpid(ordinary, NULL, 0);
	chassis_close(&chassis);
	assert_int_equal(outcome, 1);
	if (ordinary_outcome != 0)
		rig_not_shown("not even an ordinary process can be debugged on this host");
}

static void read_status(pid_t pid, const char *name, char *value, size_t size)
{
	char path[64], line[256];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	assert_non_null(status);
	*value = '\0';
	while (fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			snprintf(value, size, "%s", line + strlen(name) + 2);
	fclose(status);
}

static void test_what_it_gave_up(void **state)
{
	static const struct {
		const char *name, *value;
	} expected[] = {{"CapEff", "0000000000000000\n"},
			{"CapPrm", "0000000000000000\n"},
			{"CapInh", "0000000000000000\n"},
			{"NoNewPrivs", "1\n"},
			{"Seccomp", "2\n"},
			{"Threads", "1\n"}};
	struct vault_status status;
	struct chassis chassis;
	char value[64];

	(void)state;
	chassis_open(&chassis, "file", rig_file(golden_root, sizeof(golden_root), 0400));
	chassis_start(&chassis);
	assert_int_equal(vault_status(chassis.control[0], &status, PATIENCE_MS), VAULT_OK);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		read_status(chassis.vault, expected[i].name, value, sizeof(value));
		assert_string_equal(value, expected[i].value);
	}
	chassis_close(&chassis);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_key_in_readable_memory),
		cmocka_unit_test(test_no_key_in_readable_memory_at_work),
		cmocka_unit_test(test_no_passphrase_in_readable_memory),
		cmocka_unit_test(test_no_core),
		cmocka_unit_test(test_no_debugger),
		cmocka_unit_test(test_what_it_gave_up),
	};

	if (argc != 2)
		return 1;
	chassis_program(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
