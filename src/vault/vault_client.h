/*
 * Client of the vault: one SOCK_SEQPACKET channel, inherited under the name "vault". Requests carry an id and are answered in any
 * order; the vault keeps nothing but its root key, so a request may be sent again (after the vault was restarted) without harm.
 *
 * Two roles, fixed by the channel, not by the message:
 *	card    may UNWRAP a data key
 *	control may do everything else, and never sees a key in clear
 *
 * Blobs (wrapped keys) are opaque to everybody but the vault; layout in src/vault/wrap.h.
 */
#ifndef OUTBOARD_VAULT_VAULT_CLIENT_H
#define OUTBOARD_VAULT_VAULT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

enum {
	VAULT_WRAPPED_MAX_BYTES = 192, /* upper bound of a wrapped KEK or DEK */
	VAULT_SEALED_MAX_BYTES = 512,  /* upper bound of something sealed to an X25519 public key */
	VAULT_KEY_BYTES = 64,
	VAULT_PUBLIC_KEY_BYTES = 32,
	VAULT_KEK_ID_BYTES = UUID_BYTES,
};

struct vault_blob {
	uint16_t size;
	uint8_t bytes[VAULT_WRAPPED_MAX_BYTES];
};

/* A data key as control stores it: everything the card needs to have it unwrapped. */
struct vault_dek_ref {
	struct uuid volume;
	uint32_t version;
	struct uuid kek;
	uint32_t kek_version;
	struct vault_blob wrapped_kek;
	struct vault_blob wrapped_dek;
};

enum vault_error {
	VAULT_OK = 0,
	VAULT_LOCKED, /* no root key yet: unlock first */
	VAULT_WRONG_PASSPHRASE,
	VAULT_TAMPERED,	 /* authentication failed: altered, of another volume, or under another key */
	VAULT_FORBIDDEN, /* not on this channel */
	VAULT_BAD_REQUEST,
	VAULT_UNAVAILABLE,	 /* client side: no answer in time */
	VAULT_TOO_MANY_ATTEMPTS, /* wrong passphrases came too fast: wait a minute */
	VAULT_ROOT_DAMAGED,	 /* the passphrase root's header is altered or torn: restore it */
	VAULT_ROOT_UNWRITABLE,	 /* a new header could not be written: disk full, or read-only */
	VAULT_INTERNAL,		 /* the vault ran out of memory or of random bytes; its log says which */
	VAULT_ERROR_LAST = VAULT_INTERNAL,
};
const char *vault_error_text(enum vault_error error); /* a sentence for a person */

struct vault_status {
	uint8_t unlocked;
	uint8_t root_kind; /* 0 file, 1 passphrase */
	uint8_t export_allowed;
	uint8_t public_key[VAULT_PUBLIC_KEY_BYTES]; /* of this run of the vault: what a passphrase is sealed to */
	char memory_kind[16];			    /* secret_kind() */
};

/* ---- blocking calls, for control ----
 * One thread at a time on a channel: whoever receives drops answers that are not its own. VAULT_UNAVAILABLE after timeout_ms;
 * within it a request is sent three times, so that a vault that died with the first is asked again once it is back. Give
 * vault_unlock 30 s: it is slow on purpose (Argon2id). Outputs are written only with VAULT_OK. */
enum vault_error vault_status(int channel, struct vault_status *out, int timeout_ms);
/* VAULT_TAMPERED: not sealed to this run's public_key (the vault was restarted since): ask for its status and seal again. */
enum vault_error vault_unlock(int channel, const uint8_t *sealed, size_t sealed_size, int timeout_ms);
enum vault_error vault_kek_create(int channel, const struct uuid *kek, uint32_t version, struct vault_blob *wrapped,
				  int timeout_ms);
enum vault_error vault_dek_create(int channel, struct vault_dek_ref *ref /* in: all but wrapped_dek */, int timeout_ms);
/* The same DEK under another KEK (or another version of it): *ref is replaced by `to`'s kek fields and a new wrapped_dek. */
enum vault_error vault_dek_rewrap(int channel, struct vault_dek_ref *ref, const struct uuid *to_kek, uint32_t to_version,
				  const struct vault_blob *to_wrapped_kek, int timeout_ms);
/* DEK sealed to the X25519 public key of whoever asks (the command line makes one for the purpose). */
enum vault_error vault_dek_export(int channel, const struct vault_dek_ref *ref, const uint8_t recipient[VAULT_PUBLIC_KEY_BYTES],
				  uint8_t *sealed, size_t *sealed_size, int timeout_ms);

/* ---- asynchronous unwrap, for the card ----
 * A request may be sent again with the same id when no answer came (the vault died with it); the second answer then has an id
 * that is no longer waited for: ignore it. */
int vault_unwrap_send(int channel, uint64_t request_id, const struct vault_dek_ref *ref); /* 0 or -errno */
/* One answer. `key` must be secret memory of VAULT_KEY_BYTES; it is written only when *error is VAULT_OK. 0; -EAGAIN when there
 * is none; -ECONNRESET when the channel is closed; -errno. Calls: poll, recvmsg, fstat, mmap, munmap, close. */
int vault_unwrap_receive(int channel, uint64_t *request_id, enum vault_error *error, uint8_t *key);

/* ---- sealing (X25519 ephemeral-static, HKDF-SHA-256, AES-256-GCM; layout in seal.c), for the command line ----
 * 0; -EMSGSIZE (plain too long); -EBADMSG (not sealed to this key, or altered); -EIO. `sealed` takes VAULT_SEALED_MAX_BYTES,
 * `plain` as much as sealed_size. A passphrase is sealed as it is, without a zero at its end. */
enum { VAULT_PASSPHRASE_MAX_BYTES = 256 };
int vault_seal(const uint8_t recipient[VAULT_PUBLIC_KEY_BYTES], const uint8_t *plain, size_t plain_size, uint8_t *sealed,
	       size_t *sealed_size);
int vault_seal_keypair(uint8_t private_key[32], uint8_t public_key[VAULT_PUBLIC_KEY_BYTES]);
int vault_open_sealed(const uint8_t private_key[32], const uint8_t *sealed, size_t sealed_size, uint8_t *plain, size_t *plain_size);

#endif
