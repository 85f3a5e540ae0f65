/*
 * How a data key travels from the vault to the card: in one page of memfd_secret(2) memory whose descriptor is sent, so that no
 * socket buffer of the kernel ever holds the key, not even that of an answer which nobody comes to read. The kernel clears the
 * page with its last reference.
 */
#ifndef OUTBOARD_VAULT_KEY_PAGE_H
#define OUTBOARD_VAULT_KEY_PAGE_H

#include <stddef.h>
#include <stdint.h>

int key_page_make(const uint8_t *key, size_t size);   /* a descriptor; -ENOSYS where the kernel has no memfd_secret; -errno */
int key_page_take(int fd, uint8_t *key, size_t size); /* 0 or -errno; the descriptor stays the caller's */

#endif
