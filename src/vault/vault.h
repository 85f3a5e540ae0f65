/*
 * The vault without its process: a request in, an answer out. It keeps nothing between requests but the root key and the key
 * pair of this run, to which passphrases are sealed; so it can die and be started again at any time.
 */
#ifndef OUTBOARD_VAULT_VAULT_H
#define OUTBOARD_VAULT_VAULT_H

#include "vault/root.h"
#include "vault/vault_proto.h"

enum vault_role { VAULT_ROLE_CONTROL, VAULT_ROLE_CARD }; /* which channel: what may be asked (vault_client.h) */

/* Must lie in secret memory. */
struct vault {
	struct root root; /* set up with root_from_file() or root_from_header() before vault_open() */
	uint8_t seal_private[CRYPTO_KEY_BYTES];
	uint8_t seal_public[CRYPTO_KEY_BYTES];
	bool export_allowed;
};

struct vault_answer {
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES];
	size_t size; /* 0: nothing is to be said */
	int fd;	     /* to be sent along, then closed by the caller; -1: none */
};

/* Makes the key pair of this run and tries every primitive on a known answer, which also has libcrypto load all that it will
 * need: afterwards vault_handle() makes only the system calls of sandbox_list.c. 0 or -errno, logged. */
int vault_open(struct vault *vault, bool export_allowed);

/* One packet from a channel, which may be anything. */
void vault_handle(struct vault *vault, enum vault_role role, const uint8_t *message, size_t size, uint64_t now_ns,
		  struct vault_answer *answer);

#endif
