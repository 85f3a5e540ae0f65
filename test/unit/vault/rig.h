/* What the vault's tests share: files that go away, and the names of golden.h as the vault's types. */
#ifndef OUTBOARD_TEST_VAULT_RIG_H
#define OUTBOARD_TEST_VAULT_RIG_H

#include "../cmocka_all.h"

#include "golden.h"
#include "vault/vault.h"

/* An unlinked file with these bytes and this mode, open for reading and writing; asserts that it could be made. */
int rig_file(const void *bytes, size_t size, unsigned mode);
void rig_golden_ref(struct vault_dek_ref *ref);
void rig_golden_kek_id(struct uuid *id);
/* A vault with golden_root as its key. */
void rig_vault(struct vault *vault, bool export_allowed);
/* Hexadecimal text to bytes; the number of them. */
size_t rig_unhex(const char *text, uint8_t *bytes, size_t size_max);

/* Part of a test cannot be had here: says so. (cmocka's skip() is a failure to Meson.) */
void rig_not_shown(const char *why);
bool rig_needs_root(void); /* true, and said so, when we are not */

#endif
