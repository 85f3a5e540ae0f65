/* The vault's one loop. */
#ifndef OUTBOARD_VAULT_SERVE_H
#define OUTBOARD_VAULT_SERVE_H

#include "vault/vault.h"

enum { VAULT_CHANNELS = VAULT_ROLE_CARD + 1 };

/* The first line of `fd` is a passphrase: tries it, and closes fd. A wrong one is logged and the vault stays locked. 0 or -errno.
 */
int serve_passphrase(struct vault *vault, int fd);

/* Serves channels (indexed by enum vault_role) until one is closed: 0; or -errno. */
int serve(struct vault *vault, const int channels[VAULT_CHANNELS]);

#endif
