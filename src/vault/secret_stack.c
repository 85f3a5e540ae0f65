#include "vault/secret_stack.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/secret.h"

struct call {
	void (*run)(void *context);
	void *context;
};

/* makecontext(3) passes ints: a pointer travels in two. */
static void trampoline(unsigned high, unsigned low)
{
	const struct call *call = (const struct call *)(uintptr_t)((uint64_t)high << 32 | low);

	call->run(call->context);
}

int secret_stack_run(void (*run)(void *context), void *context, size_t stack_bytes)
{
	struct call call = {.run = run, .context = context};
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t pointer = (uint64_t)(uintptr_t)&call;
	uint8_t *stack = secret_alloc(stack_bytes);
	ucontext_t here, there;
	int rc = 0;

	if (stack == NULL)
		return -errno;
	if (mprotect(stack, page_bytes, PROT_NONE) != 0 || getcontext(&there) != 0) {
		rc = -errno;
		goto free_stack;
	}
	there.uc_stack.ss_sp = stack + page_bytes;
	there.uc_stack.ss_size = stack_bytes - page_bytes;
	there.uc_link = &here;
	makecontext(&there, (void (*)(void))trampoline, 2, (unsigned)(pointer >> 32), (unsigned)pointer);
	if (swapcontext(&here, &there) != 0)
		rc = -errno;
free_stack:
	mprotect(stack, page_bytes, PROT_READ | PROT_WRITE);
	secret_free(stack, stack_bytes);
	return rc;
}
