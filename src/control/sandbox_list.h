#ifndef OUTBOARD_CONTROL_SANDBOX_LIST_H
#define OUTBOARD_CONTROL_SANDBOX_LIST_H

#include <stddef.h>

/* The system calls of outboard-control once it serves, for sandbox_seccomp(). */
const int *control_sandbox_list(size_t *count);

#endif
