#include "vault/vault.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "vault/key_page.h"
#include "vault/self_test.h"
#include "vault/wrap.h"

/* What a handler works on: a body to read, a body to write. */
struct exchange {
	struct vault *vault;
	struct vault_reader in;
	struct vault_writer out;
	int fd;
	uint64_t now_ns;
};

int vault_open(struct vault *vault, bool export_allowed)
{
	int rc = self_test();

	vault->export_allowed = export_allowed;
	if (rc == 0)
		rc = vault_seal_keypair(vault->seal_private, vault->seal_public);
	if (rc != 0)
		log_error("the vault's cryptography does not work: %s", strerror(-rc));
	return rc;
}

static enum vault_error from_errno(int rc)
{
	if (rc == 0)
		return VAULT_OK;
	if (rc == -EBADMSG)
		return VAULT_TAMPERED;
	log_error("a request failed: %s", strerror(-rc));
	return VAULT_INTERNAL;
}

static enum vault_error open_kek(const struct vault *vault, const struct uuid *id, uint32_t version,
				 const struct vault_blob *wrapped, uint8_t kek[WRAP_KEK_BYTES])
{
	if (vault->root.state != ROOT_UNLOCKED)
		return VAULT_LOCKED;
	return from_errno(unwrap_kek(vault->root.wrapping_key, id, version, wrapped, kek));
}

static enum vault_error open_dek(const struct vault *vault, const struct vault_dek_ref *ref, uint8_t dek[VAULT_KEY_BYTES])
{
	uint8_t kek[WRAP_KEK_BYTES];
	enum vault_error error = open_kek(vault, &ref->kek, ref->kek_version, &ref->wrapped_kek, kek);

	if (error == VAULT_OK)
		error = from_errno(unwrap_dek(kek, ref, dek));
	secret_wipe(kek, sizeof(kek));
	return error;
}

/* Two halves that are never equal: with equal ones XTS is no longer what its proof is about (IEEE 1619; FIPS 140-3 IG C.I). */
static enum vault_error make_dek(uint8_t dek[VAULT_KEY_BYTES])
{
	int rc = crypto_random(dek, VAULT_KEY_BYTES);

	if (rc == 0 && CRYPTO_memcmp(dek, dek + VAULT_KEY_BYTES / 2, VAULT_KEY_BYTES / 2) == 0)
		rc = -EIO; /* the generator is broken: this does not happen by chance */
	return from_errno(rc);
}

static void log_outcome(const char *what, const struct uuid *id, const char *done, enum vault_error error)
{
	char text[UUID_TEXT_SIZE];

	uuid_format(id, text);
	if (error == VAULT_OK)
		log_info("%s %s: %s", what, text, done);
	else
		log_warning("%s %s: not %s: %s", what, text, done, vault_error_text(error));
}

static enum vault_error handle_status(struct exchange *x)
{
	const struct vault *vault = x->vault;
	uint8_t flags[4] = {vault->root.state == ROOT_UNLOCKED, vault->root.kind == ROOT_PASSPHRASE, vault->export_allowed, 0};
	char kind[sizeof(((struct vault_status *)0)->memory_kind)] = "";

	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	strncpy(kind, secret_kind(), sizeof(kind) - 1);
	vault_put(&x->out, flags, sizeof(flags));
	vault_put(&x->out, vault->seal_public, sizeof(vault->seal_public));
	vault_put(&x->out, kind, sizeof(kind));
	return VAULT_OK;
}

static enum vault_error handle_unlock(struct exchange *x)
{
	uint8_t sealed[VAULT_SEALED_MAX_BYTES], passphrase[VAULT_SEALED_MAX_BYTES];
	size_t sealed_size, size;
	enum vault_error error;

	vault_get_var(&x->in, sealed, sizeof(sealed), &sealed_size);
	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	error = from_errno(vault_open_sealed(x->vault->seal_private, sealed, sealed_size, passphrase, &size));
	if (error == VAULT_OK)
		error = root_unlock(&x->vault->root, passphrase, size, x->now_ns);
	secret_wipe(passphrase, sizeof(passphrase));
	if (error == VAULT_OK)
		log_info("unlocked");
	else
		log_warning("not unlocked: %s", vault_error_text(error));
	return error;
}

static enum vault_error handle_kek_create(struct exchange *x)
{
	uint8_t key[WRAP_KEK_BYTES];
	struct vault_blob wrapped;
	enum vault_error error = VAULT_LOCKED;
	struct uuid kek;
	uint32_t version;

	vault_get(&x->in, kek.bytes, UUID_BYTES);
	vault_get_u32(&x->in, &version);
	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	if (x->vault->root.state == ROOT_UNLOCKED)
		error = from_errno(crypto_random(key, sizeof(key)));
	if (error == VAULT_OK)
		error = from_errno(wrap_kek(x->vault->root.wrapping_key, &kek, version, key, &wrapped));
	secret_wipe(key, sizeof(key));
	if (error == VAULT_OK)
		vault_put_blob(&x->out, &wrapped);
	log_outcome("key", &kek, "created", error);
	return error;
}

static enum vault_error handle_dek_create(struct exchange *x)
{
	uint8_t kek[WRAP_KEK_BYTES], dek[VAULT_KEY_BYTES];
	struct vault_dek_ref ref;
	enum vault_error error;

	vault_get_ref(&x->in, &ref);
	if (!vault_get_done(&x->in) || ref.wrapped_dek.size != 0)
		return VAULT_BAD_REQUEST;
	error = open_kek(x->vault, &ref.kek, ref.kek_version, &ref.wrapped_kek, kek);
	if (error == VAULT_OK)
		error = make_dek(dek);
	if (error == VAULT_OK)
		error = from_errno(wrap_dek(kek, &ref, dek, &ref.wrapped_dek));
	secret_wipe(kek, sizeof(kek));
	secret_wipe(dek, sizeof(dek));
	if (error == VAULT_OK)
		vault_put_blob(&x->out, &ref.wrapped_dek);
	log_outcome("volume", &ref.volume, "given a data key", error);
	return error;
}

static enum vault_error handle_dek_rewrap(struct exchange *x)
{
	uint8_t kek[WRAP_KEK_BYTES], dek[VAULT_KEY_BYTES];
	struct vault_dek_ref ref, to;
	enum vault_error error;

	vault_get_ref(&x->in, &ref);
	to = ref;
	vault_get(&x->in, to.kek.bytes, UUID_BYTES);
	vault_get_u32(&x->in, &to.kek_version);
	vault_get_blob(&x->in, &to.wrapped_kek);
	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	error = open_dek(x->vault, &ref, dek);
	if (error == VAULT_OK)
		error = open_kek(x->vault, &to.kek, to.kek_version, &to.wrapped_kek, kek);
	if (error == VAULT_OK)
		error = from_errno(wrap_dek(kek, &to, dek, &to.wrapped_dek));
	secret_wipe(kek, sizeof(kek));
	secret_wipe(dek, sizeof(dek));
	if (error == VAULT_OK)
		vault_put_blob(&x->out, &to.wrapped_dek);
	log_outcome("volume", &ref.volume, "rewrapped", error);
	return error;
}

static enum vault_error handle_dek_export(struct exchange *x)
{
	uint8_t dek[VAULT_KEY_BYTES], recipient[VAULT_PUBLIC_KEY_BYTES], sealed[VAULT_SEALED_MAX_BYTES];
	struct vault_dek_ref ref;
	enum vault_error error = VAULT_FORBIDDEN;
	size_t size;

	vault_get_ref(&x->in, &ref);
	vault_get(&x->in, recipient, sizeof(recipient));
	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	if (x->vault->export_allowed)
		error = open_dek(x->vault, &ref, dek);
	if (error == VAULT_OK) {
		int rc = vault_seal(recipient, dek, sizeof(dek), sealed, &size);

		error = rc == -EBADMSG ? VAULT_BAD_REQUEST : from_errno(rc); /* no key that one can seal to */
	}
	secret_wipe(dek, sizeof(dek));
	if (error == VAULT_OK)
		vault_put_var(&x->out, sealed, size);
	log_outcome("volume", &ref.volume, "exported to a person", error);
	return error;
}

static enum vault_error handle_dek_unwrap(struct exchange *x)
{
	uint8_t dek[VAULT_KEY_BYTES];
	struct vault_dek_ref ref;
	enum vault_error error;

	vault_get_ref(&x->in, &ref);
	if (!vault_get_done(&x->in))
		return VAULT_BAD_REQUEST;
	error = open_dek(x->vault, &ref, dek);
	if (error == VAULT_OK) {
		x->fd = key_page_make(dek, sizeof(dek));
		if (x->fd == -ENOSYS) /* no memfd_secret here */
			vault_put(&x->out, dek, sizeof(dek));
		else if (x->fd < 0)
			error = from_errno(x->fd);
	}
	secret_wipe(dek, sizeof(dek));
	log_outcome("volume", &ref.volume, "opened for the card", error);
	return error;
}

static const struct operation {
	enum vault_role role;
	enum vault_error (*handle)(struct exchange *x);
} operations[] = {
	[VAULT_OP_STATUS] = {VAULT_ROLE_CONTROL, handle_status},
	[VAULT_OP_UNLOCK] = {VAULT_ROLE_CONTROL, handle_unlock},
	[VAULT_OP_KEK_CREATE] = {VAULT_ROLE_CONTROL, handle_kek_create},
	[VAULT_OP_DEK_CREATE] = {VAULT_ROLE_CONTROL, handle_dek_create},
	[VAULT_OP_DEK_REWRAP] = {VAULT_ROLE_CONTROL, handle_dek_rewrap},
	[VAULT_OP_DEK_EXPORT] = {VAULT_ROLE_CONTROL, handle_dek_export},
	[VAULT_OP_DEK_UNWRAP] = {VAULT_ROLE_CARD, handle_dek_unwrap},
};
_Static_assert(sizeof(operations) / sizeof(operations[0]) == VAULT_OP_LAST + 1, "every op has a handler");

static enum vault_error dispatch(struct exchange *x, enum vault_role role, const struct vault_header *header, size_t size)
{
	if (!vault_header_valid(header, size) || size > VAULT_MESSAGE_MAX_BYTES || header->error != 0)
		return VAULT_BAD_REQUEST;
	if (header->op > VAULT_OP_LAST || operations[header->op].handle == NULL)
		return VAULT_BAD_REQUEST;
	if (operations[header->op].role != role)
		return VAULT_FORBIDDEN;
	return operations[header->op].handle(x);
}

void vault_handle(struct vault *vault, enum vault_role role, const uint8_t *message, size_t size, uint64_t now_ns,
		  struct vault_answer *answer)
{
	struct vault_header header;
	struct exchange x = {.vault = vault, .fd = -1, .now_ns = now_ns};
	uint8_t *body = answer->bytes + VAULT_HEADER_BYTES;
	enum vault_error error;

	answer->size = 0;
	answer->fd = -1;
	if (!vault_header_get(message, size, &header)) {
		log_debug("a packet of %zu bytes that is no message was dropped", size);
		return;
	}
	x.in = (struct vault_reader){.at = message + VAULT_HEADER_BYTES, .end = message + size};
	x.out = (struct vault_writer){.at = body, .end = answer->bytes + sizeof(answer->bytes)};
	error = dispatch(&x, role, &header, size);
	if (error != VAULT_OK)
		x.out.at = body;
	else
		answer->fd = x.fd;
	answer->size = (size_t)(x.out.at - answer->bytes);
	header.op |= VAULT_ANSWER;
	header.error = (uint16_t)error;
	header.body_size = (uint32_t)(x.out.at - body);
	vault_header_put(answer->bytes, &header);
}
