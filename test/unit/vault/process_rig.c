#include "process_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FD = 3, ASIDE_FD = 100, FDS_MAX = 4, ARGUMENTS_MAX = 6 };

static int program = -1;

void chassis_program(const char *path)
{
	program = open(path, O_RDONLY | O_CLOEXEC);
	if (program < 0) {
		fprintf(stderr, "cannot open %s\n", path);
		exit(1);
	}
}

void chassis_open(struct chassis *chassis, const char *root_kind, int root_fd)
{
	*chassis = (struct chassis){.root_kind = root_kind, .root_fd = root_fd, .passphrase_fd = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, chassis->control), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, chassis->card), 0);
}

/* In the child: these descriptors become 3, 4, ... */
static void place(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (dup2(fds[i], ASIDE_FD + i) < 0)
			_exit(126);
	for (int i = 0; i < count; i++)
		if (dup2(ASIDE_FD + i, FIRST_FD + i) < 0 || close(ASIDE_FD + i) != 0)
			_exit(126);
}

static void run_program(const char *const *arguments)
{
	fexecve(program, (char *const *)(uintptr_t)arguments, environ);
	_exit(127);
}

static void become_vault(const struct chassis *chassis)
{
	const char *arguments[ARGUMENTS_MAX] = {"outboard-vault", "--root", chassis->root_kind, chassis->option};
	const int fds[FDS_MAX] = {chassis->control[1], chassis->card[1], chassis->root_fd, chassis->passphrase_fd};
	const struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY};
	int count = chassis->passphrase_fd < 0 ? FDS_MAX - 1 : FDS_MAX, high = fcntl(program, F_DUPFD_CLOEXEC, ASIDE_FD + FDS_MAX);

	place(fds, count);
	program = high;
	(void)setrlimit(RLIMIT_CORE, &core); /* that there is no core is to be its doing */
	setenv("LISTEN_FDS", count == FDS_MAX ? "4" : "3", 1);
	setenv("LISTEN_FDNAMES", count == FDS_MAX ? "control:card:root:passphrase" : "control:card:root", 1);
	if (chassis->uid != 0 && (setgroups(0, NULL) != 0 || setgid(chassis->uid) != 0 || setuid(chassis->uid) != 0))
		_exit(125);
	run_program(arguments);
}

void chassis_start(struct chassis *chassis)
{
	chassis->vault = fork();
	assert_true(chassis->vault >= 0);
	if (chassis->vault == 0)
		become_vault(chassis);
}

int chassis_wait(struct chassis *chassis)
{
	int status;

	assert_int_equal(waitpid(chassis->vault, &status, 0), chassis->vault);
	chassis->vault = 0;
	return status;
}

void chassis_kill(struct chassis *chassis)
{
	assert_int_equal(kill(chassis->vault, SIGKILL), 0);
	assert_true(WIFSIGNALED(chassis_wait(chassis)));
}

void chassis_close(struct chassis *chassis)
{
	if (chassis->vault > 0)
		chassis_kill(chassis);
	for (int i = 0; i < 2; i++) {
		close(chassis->control[i]);
		close(chassis->card[i]);
	}
	close(chassis->root_fd);
	if (chassis->passphrase_fd >= 0)
		close(chassis->passphrase_fd);
}

int chassis_run(const char *const *arguments)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		run_program(arguments);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

enum vault_error chassis_unwrapped(struct chassis *chassis, uint64_t id, uint8_t key[VAULT_KEY_BYTES])
{
	struct pollfd poller = {.fd = chassis->card[0], .events = POLLIN};
	enum vault_error error;
	uint64_t answered;

	assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
	assert_int_equal(vault_unwrap_receive(chassis->card[0], &answered, &error, key), 0);
	assert_int_equal(answered, id);
	return error;
}

void chassis_unwrap(struct chassis *chassis, const struct vault_dek_ref *ref, uint8_t key[VAULT_KEY_BYTES])
{
	assert_int_equal(vault_unwrap_send(chassis->card[0], 7, ref), 0);
	assert_int_equal(chassis_unwrapped(chassis, 7, key), VAULT_OK);
}

void chassis_new_volume(struct chassis *chassis, struct vault_dek_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	assert_int_equal(uuid_generate(&ref->volume), 0);
	assert_int_equal(uuid_generate(&ref->kek), 0);
	ref->version = 1;
	ref->kek_version = 1;
	assert_int_equal(vault_kek_create(chassis->control[0], &ref->kek, 1, &ref->wrapped_kek, PATIENCE_MS), VAULT_OK);
	assert_int_equal(vault_dek_create(chassis->control[0], ref, PATIENCE_MS), VAULT_OK);
}

enum vault_error chassis_unlock(struct chassis *chassis, const char *passphrase)
{
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_status status;
	size_t size;

	assert_int_equal(vault_status(chassis->control[0], &status, PATIENCE_MS), VAULT_OK);
	assert_int_equal(vault_seal(status.public_key, (const uint8_t *)passphrase, strlen(passphrase), sealed, &size), 0);
	return vault_unlock(chassis->control[0], sealed, size, PATIENCE_MS);
}
