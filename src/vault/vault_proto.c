#include "vault/vault_proto.h"

#include <assert.h>
#include <string.h>

#include "base/codec.h"

static const uint8_t magic[4] = {'O', 'B', 'V', 'M'};

enum { PROTO_VERSION = 1 };

void vault_header_put(uint8_t *p, const struct vault_header *header)
{
	memcpy(p, magic, sizeof(magic));
	p[4] = PROTO_VERSION;
	p[5] = header->op;
	put_le16(p + 6, header->error);
	put_le64(p + 8, header->id);
	put_le32(p + 16, header->body_size);
	put_le32(p + 20, 0);
}

bool vault_header_get(const uint8_t *message, size_t size, struct vault_header *header)
{
	if (size < VAULT_HEADER_BYTES || memcmp(message, magic, sizeof(magic)) != 0)
		return false;
	header->version = message[4];
	header->op = message[5];
	header->error = get_le16(message + 6);
	header->id = get_le64(message + 8);
	header->body_size = get_le32(message + 16);
	header->zero = get_le32(message + 20);
	return true;
}

bool vault_header_valid(const struct vault_header *header, size_t message_size)
{
	return header->version == PROTO_VERSION && header->zero == 0 && header->body_size == message_size - VAULT_HEADER_BYTES;
}

void vault_put(struct vault_writer *w, const void *bytes, size_t size)
{
	if (w->bad || size > (size_t)(w->end - w->at)) {
		w->bad = true;
		return;
	}
	if (size > 0)
		memcpy(w->at, bytes, size);
	w->at += size;
}

void vault_put_u32(struct vault_writer *w, uint32_t value)
{
	uint8_t bytes[4];

	put_le32(bytes, value);
	vault_put(w, bytes, sizeof(bytes));
}

void vault_put_var(struct vault_writer *w, const void *bytes, size_t size)
{
	uint8_t prefix[2];

	assert(size <= UINT16_MAX);
	put_le16(prefix, (uint16_t)size);
	vault_put(w, prefix, sizeof(prefix));
	vault_put(w, bytes, size);
}

void vault_put_blob(struct vault_writer *w, const struct vault_blob *blob)
{
	if (blob->size > sizeof(blob->bytes))
		w->bad = true; /* of a caller's store: not ours to trust */
	else
		vault_put_var(w, blob->bytes, blob->size);
}

void vault_put_ref(struct vault_writer *w, const struct vault_dek_ref *ref)
{
	vault_put(w, ref->volume.bytes, UUID_BYTES);
	vault_put_u32(w, ref->version);
	vault_put(w, ref->kek.bytes, UUID_BYTES);
	vault_put_u32(w, ref->kek_version);
	vault_put_blob(w, &ref->wrapped_kek);
	vault_put_blob(w, &ref->wrapped_dek);
}

void vault_get(struct vault_reader *r, void *bytes, size_t size)
{
	if (r->bad || size > (size_t)(r->end - r->at)) {
		r->bad = true;
		memset(bytes, 0, size);
		return;
	}
	memcpy(bytes, r->at, size);
	r->at += size;
}

void vault_get_u32(struct vault_reader *r, uint32_t *value)
{
	uint8_t bytes[4];

	vault_get(r, bytes, sizeof(bytes));
	*value = get_le32(bytes);
}

void vault_get_var(struct vault_reader *r, void *bytes, size_t size_max, size_t *size)
{
	uint8_t prefix[2];

	vault_get(r, prefix, sizeof(prefix));
	*size = get_le16(prefix);
	if (*size > size_max) {
		r->bad = true;
		*size = 0;
	}
	vault_get(r, bytes, *size);
}

void vault_get_blob(struct vault_reader *r, struct vault_blob *blob)
{
	size_t size;

	vault_get_var(r, blob->bytes, sizeof(blob->bytes), &size);
	blob->size = (uint16_t)size;
}

void vault_get_ref(struct vault_reader *r, struct vault_dek_ref *ref)
{
	vault_get(r, ref->volume.bytes, UUID_BYTES);
	vault_get_u32(r, &ref->version);
	vault_get(r, ref->kek.bytes, UUID_BYTES);
	vault_get_u32(r, &ref->kek_version);
	vault_get_blob(r, &ref->wrapped_kek);
	vault_get_blob(r, &ref->wrapped_dek);
}

bool vault_get_done(const struct vault_reader *r)
{
	return !r->bad && r->at == r->end;
}
