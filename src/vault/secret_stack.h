/*
 * Runs a function on a stack made of secret memory. Keys are spilled where compilers and libraries like, and that is the stack:
 * so the vault lives on one that nobody can read, is never swapped, and is not in any dump.
 */
#ifndef OUTBOARD_VAULT_SECRET_STACK_H
#define OUTBOARD_VAULT_SECRET_STACK_H

#include <stddef.h>

/* Returns when `run` has returned; the stack is wiped then. 0 or -errno (the stack cannot be had: nothing was run). The lowest
 * page of the stack is a guard. */
int secret_stack_run(void (*run)(void *context), void *context, size_t stack_bytes);

#endif
