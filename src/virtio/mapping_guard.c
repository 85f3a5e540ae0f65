/*
 * The registry is a fixed table that a signal handler can read without a lock. An entry is live while `start` is not 0; it is
 * written last when an entry is made and cleared first when it is dropped, so a handler never acts on half an entry. The owner
 * drops the guard before it unmaps, and no thread touches a mapping that is being unmapped, so a live entry always names memory
 * that is still ours.
 */
#include "virtio/mapping_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

struct guard {
	uintptr_t start;
	uint64_t bytes;
	bool *lost;
};

/* Process-wide, as the signal is. Untouched entries cost no memory. */
static struct guard guards[MAPPING_GUARDS_MAX];
static uint32_t guards_top; /* entries at and above were never used */
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;

static uint32_t find_free(void)
{
	for (uint32_t i = 0; i < guards_top; i++)
		if (guards[i].start == 0)
			return i;
	return guards_top;
}

int mapping_guard_add(void *mapping, uint64_t mapping_bytes, bool *lost, uint32_t *handle)
{
	int err = 0;
	uint32_t i;

	pthread_mutex_lock(&guards_lock);
	i = find_free();
	if (i == MAPPING_GUARDS_MAX) {
		err = -ENOSPC;
	} else {
		guards[i].bytes = mapping_bytes;
		guards[i].lost = lost;
		__atomic_store_n(&guards[i].start, (uintptr_t)mapping, __ATOMIC_RELEASE);
		if (i == guards_top)
			__atomic_store_n(&guards_top, i + 1, __ATOMIC_RELEASE);
		*handle = i;
	}
	pthread_mutex_unlock(&guards_lock);
	return err;
}

void mapping_guard_remove(uint32_t handle)
{
	pthread_mutex_lock(&guards_lock);
	__atomic_store_n(&guards[handle].start, 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&guards_lock);
}

/* mmap(2) is a plain system call, and safe here though POSIX does not list it. */
static bool replace(uintptr_t address)
{
	uint32_t top = __atomic_load_n(&guards_top, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < top; i++) {
		uintptr_t start = __atomic_load_n(&guards[i].start, __ATOMIC_ACQUIRE);

		if (start == 0 || address - start >= guards[i].bytes)
			continue;
		__atomic_store_n(guards[i].lost, true, __ATOMIC_RELEASE);
		return mmap((void *)start, guards[i].bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
	}
	return false;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (info->si_code <= 0 || !replace((uintptr_t)info->si_addr)) {
		/* Sent by a process, or a fault that is not ours: the default action, by the fault that follows our return or by
		 * the signal sent once more. */
		signal(signal_number, SIG_DFL);
		if (info->si_code <= 0)
			raise(signal_number);
	}
	errno = saved;
}

int mapping_guard_catch_sigbus(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
}
