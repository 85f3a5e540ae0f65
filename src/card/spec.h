/* A volume as control describes it in a command (command.h, "volume object"), checked and in C. */
#ifndef OUTBOARD_CARD_SPEC_H
#define OUTBOARD_CARD_SPEC_H

#include <jansson.h>
#include <stdbool.h>

#include "vault/vault_client.h"
#include "volume/volume.h"

struct volume_spec {
	struct volume_config config; /* name and path point into this struct; key and memory_fd are not set */
	char name[VOLUME_NAME_MAX_BYTES];
	char path[4096];
	bool encrypted;
	struct vault_dek_ref dek;
};

/* 0, or -EINVAL with a sentence that names the field. */
int spec_parse(const json_t *volume, struct volume_spec *out, char *error, size_t error_size);
int spec_parse_rate(const json_t *object, struct volume_rate *out, char *error, size_t error_size);
int spec_parse_uuid(const json_t *object, const char *field, struct uuid *out, char *error, size_t error_size);

#endif
