/* A passphrase from a person (without echo), a file or a pipe, into memory that the caller locks. */
#ifndef OUTBOARD_CLI_PASSPHRASE_H
#define OUTBOARD_CLI_PASSPHRASE_H

#include <stddef.h>

#include "vault/vault_client.h"

enum { PASSPHRASE_SIZE = VAULT_PASSPHRASE_MAX_BYTES + 2, PASSPHRASE_ERROR_SIZE = 512 };

/* `path`: a file, "-" for standard input, NULL for the terminal, or standard input where there is none. One newline at the end is
 * cut off. 0, or -1 with a sentence in `error`. */
int passphrase_read(const char *path, char passphrase[PASSPHRASE_SIZE], size_t *size, char error[PASSPHRASE_ERROR_SIZE]);

#endif
