/*
 * The client's half of the protocol. A blocking call is a loop of send, wait, look: an answer to anything but this very request
 * (one to a call that timed out, or a second one to a request that was sent twice) is dropped. Ids are random, so that an answer
 * meant for this process's predecessor on the same channel is not taken for ours.
 */
#include "vault/vault_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "vault/crypto.h"
#include "vault/key_page.h"
#include "vault/vault_proto.h"

enum { SENDS_MAX = 3 };

struct request {
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES];
	struct vault_writer body;
	uint64_t id;
	uint8_t op;
};

struct answer {
	uint8_t bytes[VAULT_MESSAGE_MAX_BYTES];
	size_t size;
	struct vault_header header;
	int fd; /* -1, or the caller's to close */
};

const char *vault_error_text(enum vault_error error)
{
	switch (error) {
	case VAULT_OK:
		return "done";
	case VAULT_LOCKED:
		return "the vault is locked: give it the passphrase with `outboard key unlock`";
	case VAULT_WRONG_PASSPHRASE:
		return "this is not the passphrase that the vault was set up with";
	case VAULT_TAMPERED:
		return "the wrapped key does not authenticate: it was altered, is of another volume, or is under another key";
	case VAULT_FORBIDDEN:
		return "the vault does not do this on this channel, or was started with --no-export";
	case VAULT_BAD_REQUEST:
		return "the vault did not understand the request: are its version and this one's the same?";
	case VAULT_UNAVAILABLE:
		return "the vault did not answer in time";
	case VAULT_TOO_MANY_ATTEMPTS:
		return "too many wrong passphrases: wait a minute and try again";
	case VAULT_ROOT_DAMAGED:
		return "the header of the passphrase root (vault.root) is damaged: restore it from a copy";
	case VAULT_ROOT_UNWRITABLE:
		return "the header of the passphrase root (vault.root) cannot be written: is the disk full or read-only?";
	case VAULT_INTERNAL:
		return "the vault failed; its log says why";
	}
	return "unknown answer of the vault";
}

static void request_start(struct request *request, enum vault_op op, uint64_t id)
{
	request->body =
		(struct vault_writer){.at = request->bytes + VAULT_HEADER_BYTES, .end = request->bytes + sizeof(request->bytes)};
	request->op = (uint8_t)op;
	request->id = id;
}

static int request_send(int channel, struct request *request)
{
	size_t size = (size_t)(request->body.at - request->bytes);
	struct vault_header header = {.op = request->op, .id = request->id, .body_size = (uint32_t)(size - VAULT_HEADER_BYTES)};

	if (request->body.bad)
		return -EMSGSIZE;
	vault_header_put(request->bytes, &header);
	return channel_send(channel, request->bytes, size, NULL, 0);
}

static void answer_drop(struct answer *answer)
{
	if (answer->fd >= 0)
		close(answer->fd);
	answer->fd = -1;
	explicit_bzero(answer->bytes, sizeof(answer->bytes));
}

/* Takes one packet, whatever it is. 0: a valid answer; -EBADMSG: not one, dropped; -ECONNRESET; -errno. */
static int answer_receive(int channel, struct answer *answer)
{
	unsigned fds = 0;
	ssize_t received;

	answer->fd = -1;
	received = channel_receive(channel, answer->bytes, sizeof(answer->bytes), &answer->fd, 1, &fds);
	if (received == 0)
		return -ECONNRESET;
	if (received < 0)
		return received == -EMSGSIZE ? -EBADMSG : (int)received;
	answer->size = (size_t)received;
	if (fds == 0)
		answer->fd = -1;
	if (vault_header_get(answer->bytes, answer->size, &answer->header) && vault_header_valid(&answer->header, answer->size) &&
	    answer->header.error <= VAULT_ERROR_LAST)
		return 0;
	answer_drop(answer);
	return -EBADMSG;
}

static struct vault_reader answer_body(const struct answer *answer)
{
	return (struct vault_reader){.at = answer->bytes + VAULT_HEADER_BYTES, .end = answer->bytes + answer->size};
}

static int wait_until(int channel, short events, uint64_t deadline_ns)
{
	struct pollfd poller = {.fd = channel, .events = events};

	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		int rc;

		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		rc = poll(&poller, 1, (int)((deadline_ns - now_ns + 999999) / 1000000));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
	}
}

/* Waits for the answer to `request`, which brings no descriptor, until deadline_ns. 0, -ETIMEDOUT, or -errno. */
static int wait_answer(int channel, const struct request *request, struct answer *answer, uint64_t deadline_ns)
{
	for (;;) {
		int rc = wait_until(channel, POLLIN, deadline_ns);

		if (rc != 0)
			return rc;
		rc = answer_receive(channel, answer);
		if (rc == -EAGAIN || rc == -EBADMSG)
			continue;
		if (rc != 0)
			return rc;
		if (answer->fd < 0 && answer->header.id == request->id && answer->header.op == (request->op | VAULT_ANSWER))
			return 0;
		answer_drop(answer);
	}
}

static enum vault_error call(int channel, struct request *request, struct answer *answer, int timeout_ms)
{
	uint64_t start_ns = clock_monotonic_ns(), timeout_ns = (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;

	if (request->body.bad)
		return VAULT_BAD_REQUEST;
	for (uint64_t sends = 1; sends <= SENDS_MAX; sends++) {
		uint64_t deadline_ns = start_ns + timeout_ns * sends / SENDS_MAX;
		int rc = wait_until(channel, POLLOUT, deadline_ns);

		if (rc == 0)
			rc = request_send(channel, request);
		if (rc == 0 || rc == -EAGAIN)
			rc = wait_answer(channel, request, answer, deadline_ns);
		if (rc == 0)
			return (enum vault_error)answer->header.error;
		if (rc != -ETIMEDOUT)
			return VAULT_UNAVAILABLE;
	}
	return VAULT_UNAVAILABLE;
}

/* Starts a request under a fresh id; false when the kernel gave no random bytes. */
static bool call_start(struct request *request, enum vault_op op)
{
	uint64_t id;

	if (crypto_random(&id, sizeof(id)) != 0)
		return false;
	request_start(request, op, id);
	return true;
}

/* The answer's body, when it must hold one wrapped key and nothing else. */
static enum vault_error take_blob(enum vault_error error, const struct answer *answer, struct vault_blob *out)
{
	struct vault_reader body;
	struct vault_blob blob;

	if (error != VAULT_OK)
		return error;
	body = answer_body(answer);
	vault_get_blob(&body, &blob);
	if (!vault_get_done(&body))
		return VAULT_INTERNAL;
	*out = blob;
	return VAULT_OK;
}

enum vault_error vault_status(int channel, struct vault_status *out, int timeout_ms)
{
	struct vault_status status;
	struct vault_reader body;
	struct request request;
	struct answer answer;
	enum vault_error error;
	uint8_t zero;

	if (!call_start(&request, VAULT_OP_STATUS))
		return VAULT_UNAVAILABLE;
	error = call(channel, &request, &answer, timeout_ms);
	if (error != VAULT_OK)
		return error;
	body = answer_body(&answer);
	vault_get(&body, &status.unlocked, 1);
	vault_get(&body, &status.root_kind, 1);
	vault_get(&body, &status.export_allowed, 1);
	vault_get(&body, &zero, 1);
	vault_get(&body, status.public_key, sizeof(status.public_key));
	vault_get(&body, status.memory_kind, sizeof(status.memory_kind));
	if (!vault_get_done(&body))
		return VAULT_INTERNAL;
	status.memory_kind[sizeof(status.memory_kind) - 1] = '\0';
	*out = status;
	return VAULT_OK;
}

enum vault_error vault_unlock(int channel, const uint8_t *sealed, size_t sealed_size, int timeout_ms)
{
	struct request request;
	struct answer answer;

	if (sealed_size > VAULT_SEALED_MAX_BYTES)
		return VAULT_BAD_REQUEST;
	if (!call_start(&request, VAULT_OP_UNLOCK))
		return VAULT_UNAVAILABLE;
	vault_put_var(&request.body, sealed, sealed_size);
	return call(channel, &request, &answer, timeout_ms);
}

enum vault_error vault_kek_create(int channel, const struct uuid *kek, uint32_t version, struct vault_blob *wrapped, int timeout_ms)
{
	struct request request;
	struct answer answer;

	if (!call_start(&request, VAULT_OP_KEK_CREATE))
		return VAULT_UNAVAILABLE;
	vault_put(&request.body, kek->bytes, UUID_BYTES);
	vault_put_u32(&request.body, version);
	return take_blob(call(channel, &request, &answer, timeout_ms), &answer, wrapped);
}

enum vault_error vault_dek_create(int channel, struct vault_dek_ref *ref, int timeout_ms)
{
	struct request request;
	struct answer answer;

	if (!call_start(&request, VAULT_OP_DEK_CREATE))
		return VAULT_UNAVAILABLE;
	ref->wrapped_dek.size = 0;
	vault_put_ref(&request.body, ref);
	return take_blob(call(channel, &request, &answer, timeout_ms), &answer, &ref->wrapped_dek);
}

enum vault_error vault_dek_rewrap(int channel, struct vault_dek_ref *ref, const struct uuid *to_kek, uint32_t to_version,
				  const struct vault_blob *to_wrapped_kek, int timeout_ms)
{
	struct vault_dek_ref to = {.volume = ref->volume,
				   .version = ref->version,
				   .kek = *to_kek,
				   .kek_version = to_version,
				   .wrapped_kek = *to_wrapped_kek};
	struct request request;
	struct answer answer;
	enum vault_error error;

	if (!call_start(&request, VAULT_OP_DEK_REWRAP))
		return VAULT_UNAVAILABLE;
	vault_put_ref(&request.body, ref);
	vault_put(&request.body, to_kek->bytes, UUID_BYTES);
	vault_put_u32(&request.body, to_version);
	vault_put_blob(&request.body, to_wrapped_kek);
	error = take_blob(call(channel, &request, &answer, timeout_ms), &answer, &to.wrapped_dek);
	if (error == VAULT_OK)
		*ref = to;
	return error;
}

enum vault_error vault_dek_export(int channel, const struct vault_dek_ref *ref, const uint8_t recipient[VAULT_PUBLIC_KEY_BYTES],
				  uint8_t *sealed, size_t *sealed_size, int timeout_ms)
{
	struct vault_reader body;
	struct request request;
	struct answer answer;
	enum vault_error error;
	uint8_t bytes[VAULT_SEALED_MAX_BYTES];
	size_t size;

	if (!call_start(&request, VAULT_OP_DEK_EXPORT))
		return VAULT_UNAVAILABLE;
	vault_put_ref(&request.body, ref);
	vault_put(&request.body, recipient, VAULT_PUBLIC_KEY_BYTES);
	error = call(channel, &request, &answer, timeout_ms);
	if (error != VAULT_OK)
		return error;
	body = answer_body(&answer);
	vault_get_var(&body, bytes, sizeof(bytes), &size);
	if (!vault_get_done(&body))
		return VAULT_INTERNAL;
	memcpy(sealed, bytes, size);
	*sealed_size = size;
	return VAULT_OK;
}

int vault_unwrap_send(int channel, uint64_t request_id, const struct vault_dek_ref *ref)
{
	struct request request;

	request_start(&request, VAULT_OP_DEK_UNWRAP, request_id);
	vault_put_ref(&request.body, ref);
	return request_send(channel, &request);
}

/* The key of an answer that says VAULT_OK: in the page that came with it, or in its body. */
static int take_key(const struct answer *answer, uint8_t *key)
{
	struct vault_reader body = answer_body(answer);

	if (answer->fd >= 0)
		return body.at == body.end ? key_page_take(answer->fd, key, VAULT_KEY_BYTES) : -EBADMSG;
	if (body.end - body.at != VAULT_KEY_BYTES)
		return -EBADMSG;
	memcpy(key, body.at, VAULT_KEY_BYTES);
	return 0;
}

int vault_unwrap_receive(int channel, uint64_t *request_id, enum vault_error *error, uint8_t *key)
{
	struct pollfd poller = {.fd = channel, .events = POLLIN};
	struct answer answer;
	int rc;

	do {
		if (poll(&poller, 1, 0) <= 0) /* a blocking channel must not hold up the card */
			return -EAGAIN;
		rc = answer_receive(channel, &answer);
		if (rc == 0 && answer.header.op != (VAULT_OP_DEK_UNWRAP | VAULT_ANSWER)) {
			answer_drop(&answer);
			rc = -EBADMSG;
		}
	} while (rc == -EBADMSG);
	if (rc != 0)
		return rc;
	*request_id = answer.header.id;
	*error = (enum vault_error)answer.header.error;
	if (*error == VAULT_OK)
		rc = take_key(&answer, key);
	if (rc == -EBADMSG) { /* a vault of another version: the request failed, the channel is fine */
		*error = VAULT_INTERNAL;
		rc = 0;
	}
	answer_drop(&answer);
	return rc;
}
