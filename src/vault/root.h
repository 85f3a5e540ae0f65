/*
 * The root key: what every KEK is wrapped under, and all that the vault remembers. From a file it is there at the start; from a
 * passphrase it comes with root_unlock().
 *
 *	key that wraps KEKs = HKDF-SHA-256(root key, "outboard root wrap v1")
 *	root key = the 32 bytes of the key file, or Argon2id(passphrase, salt) with the cost in the header
 */
#ifndef OUTBOARD_VAULT_ROOT_H
#define OUTBOARD_VAULT_ROOT_H

#include <stdbool.h>

#include "vault/root_header.h"
#include "vault/vault_client.h"

enum root_kind { ROOT_FILE, ROOT_PASSPHRASE }; /* as in struct vault_status */

enum root_state {
	ROOT_NEW,      /* passphrase: no header yet, the first passphrase makes it */
	ROOT_LOCKED,   /* passphrase: not given yet */
	ROOT_DAMAGED,  /* passphrase: the header is not valid */
	ROOT_UNLOCKED, /* wrapping_key is there */
};

/* Wrong passphrases: so many at once, then one each interval. The cost of Argon2id would bound them as well, but by heating a core.
 */
enum { ROOT_ATTEMPTS_MAX = 5, ROOT_ATTEMPT_INTERVAL_S = 12 };

/* Must lie in secret memory. */
struct root {
	enum root_kind kind;
	enum root_state state;
	uint8_t wrapping_key[CRYPTO_KEY_BYTES];
	int header_fd;
	struct root_header header;
	void *work; /* Argon2's memory, locked: taken with the header, given back once unlocked */
	size_t work_bytes;
	unsigned attempts;
	uint64_t attempts_from_ns;
};

/* 64 MiB and 3 passes, as RFC 9106 recommends where memory is scarce (section 4); one lane instead of its four: the vault has one
 * thread, and more lanes would only help who guesses on many. */
extern const struct root_cost root_cost_recommended;

/* Both 0 or -errno, and the reason is logged. The key file is read and closed by root_from_file(). The header's descriptor stays
 * open in `root`; `cost` is that of a header that is yet to be made. A damaged header is no error: it is a state. */
int root_from_file(struct root *root, int fd);
int root_from_header(struct root *root, int fd, const struct root_cost *cost);

/* Derives the wrapping key and unlocks: for the two sources. 0 or -EIO. */
int root_key_set(struct root *root, const uint8_t key[CRYPTO_KEY_BYTES]);

/* VAULT_OK (also when it is unlocked already), VAULT_WRONG_PASSPHRASE, VAULT_TOO_MANY_ATTEMPTS, VAULT_ROOT_DAMAGED,
 * VAULT_ROOT_UNWRITABLE, VAULT_BAD_REQUEST (empty or too long), VAULT_INTERNAL. */
enum vault_error root_unlock(struct root *root, const uint8_t *passphrase, size_t size, uint64_t now_ns);

#endif
