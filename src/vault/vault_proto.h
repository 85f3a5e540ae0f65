/*
 * What client and vault say on a channel: one SOCK_SEQPACKET packet is one message.
 *
 *	offset	bytes	header, all little endian
 *	0	4	magic, "OBVM"
 *	4	1	version, 1
 *	5	1	op; an answer has the op of its request with bit 7 set
 *	6	2	enum vault_error; 0 in a request
 *	8	8	request id, chosen by the client; an answer carries it back
 *	16	4	bytes of the body
 *	20	4	zero
 *	24		body; that of a refusal (error not 0) is empty
 *
 *	op		request					answer
 *	1 status	-					unlocked u8, root_kind u8, export_allowed u8, zero u8,
 *								public_key 32, memory_kind 16
 *	2 unlock	sealed passphrase (var)			-
 *	3 kek_create	kek 16, version u32			wrapped kek (var)
 *	4 dek_create	ref, its wrapped dek empty		wrapped dek (var)
 *	5 dek_rewrap	ref, to_kek 16, to_version u32,		wrapped dek (var)
 *			wrapped to_kek (var)
 *	6 dek_export	ref, recipient 32			sealed dek (var)
 *	7 dek_unwrap	ref					descriptor of a page that starts with the dek (key_page.h);
 *								where the kernel has no memfd_secret: dek 64
 *
 *	ref = volume 16, version u32, kek 16, kek_version u32, wrapped kek (var), wrapped dek (var)
 *	var = size u16, that many bytes
 *
 * A message is valid if and only if every field is in bounds and the body ends with its last field. Whatever is wrong with a
 * message whose header is readable (24 bytes, magic) is answered VAULT_BAD_REQUEST under its id; anything less is dropped.
 */
#ifndef OUTBOARD_VAULT_VAULT_PROTO_H
#define OUTBOARD_VAULT_VAULT_PROTO_H

#include <stdbool.h>

#include "vault/vault_client.h"

enum vault_op {
	VAULT_OP_STATUS = 1,
	VAULT_OP_UNLOCK,
	VAULT_OP_KEK_CREATE,
	VAULT_OP_DEK_CREATE,
	VAULT_OP_DEK_REWRAP,
	VAULT_OP_DEK_EXPORT,
	VAULT_OP_DEK_UNWRAP,
	VAULT_OP_LAST = VAULT_OP_DEK_UNWRAP,
};

enum {
	VAULT_HEADER_BYTES = 24,
	VAULT_BODY_MAX_BYTES = 1024, /* rewrap: 40 + 3 * 194 + 20 is the largest */
	VAULT_MESSAGE_MAX_BYTES = VAULT_HEADER_BYTES + VAULT_BODY_MAX_BYTES,
	VAULT_ANSWER = 0x80,
};

struct vault_header {
	uint8_t version;
	uint8_t op; /* with VAULT_ANSWER */
	uint16_t error;
	uint64_t id;
	uint32_t body_size;
	uint32_t zero;
};

void vault_header_put(uint8_t *p, const struct vault_header *header);			 /* VAULT_HEADER_BYTES */
bool vault_header_get(const uint8_t *message, size_t size, struct vault_header *header); /* false: not even a header */
bool vault_header_valid(const struct vault_header *header, size_t message_size);	 /* version, zero, body_size */

/* A place in a body. Out of bounds sets `bad` and nothing else happens until it is looked at, once, at the end. */
struct vault_writer {
	uint8_t *at;
	uint8_t *end;
	bool bad;
};
struct vault_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

void vault_put(struct vault_writer *w, const void *bytes, size_t size);
void vault_put_u32(struct vault_writer *w, uint32_t value);
void vault_put_var(struct vault_writer *w, const void *bytes, size_t size);
void vault_put_blob(struct vault_writer *w, const struct vault_blob *blob);
void vault_put_ref(struct vault_writer *w, const struct vault_dek_ref *ref);

void vault_get(struct vault_reader *r, void *bytes, size_t size);
void vault_get_u32(struct vault_reader *r, uint32_t *value);
void vault_get_var(struct vault_reader *r, void *bytes, size_t size_max, size_t *size);
void vault_get_blob(struct vault_reader *r, struct vault_blob *blob);
void vault_get_ref(struct vault_reader *r, struct vault_dek_ref *ref);
bool vault_get_done(const struct vault_reader *r); /* nothing was out of bounds, and nothing is left */

#endif
