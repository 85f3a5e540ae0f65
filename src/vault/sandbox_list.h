/* The system calls that the vault makes once it serves: see vault.c, key_page.c and main.c, and nothing else. */
#ifndef OUTBOARD_VAULT_SANDBOX_LIST_H
#define OUTBOARD_VAULT_SANDBOX_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* With a passphrase root that is not unlocked yet, also what writes its header and gives Argon2's memory back. */
const int *vault_sandbox_list(bool passphrase, size_t *count);

#endif
