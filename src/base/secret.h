/*
 * Memory for key material: memfd_secret(2) where the kernel has it (not even the kernel maps it), else anonymous memory;
 * either way locked, MADV_DONTDUMP, MADV_DONTFORK, and wiped when freed. One page or more an allocation: for few, long-lived
 * objects; pack many small keys into an arena made of one.
 */
#ifndef OUTBOARD_BASE_SECRET_H
#define OUTBOARD_BASE_SECRET_H

#include <stddef.h>

void *secret_alloc(size_t size); /* zeroed; NULL with errno when it cannot be locked: never falls back to plain memory */
void secret_free(void *memory, size_t size);
void secret_wipe(void *memory, size_t size); /* not optimised away */
const char *secret_kind(void);		     /* "memfd_secret" or "mlock": what secret_alloc uses here */

#endif
