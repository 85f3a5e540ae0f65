/*
 * The state directory: everything that outlives a chassis (control's store, file volumes without a path of their own, the root
 * key unless it is kept elsewhere) and the sockets of the one that runs. One chassis at a time: a lock of the process (fcntl(2)),
 * which the kernel drops when it dies, so a killed chassis never leaves one behind.
 */
#ifndef OUTBOARD_CHASSIS_STATE_DIR_H
#define OUTBOARD_CHASSIS_STATE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

/* All functions log what went wrong, to what, and what to do; they return -errno. */

int state_dir_open(const char *path); /* makes it (0700) when it is missing; a directory descriptor */
/* The lock's descriptor, or -EBUSY when another chassis (*holder, 0 when it is in another pid namespace) has it. */
int state_dir_lock(int dir, const char *path, pid_t *holder);
void state_dir_unlock(int dir, int lock);

/* The vault's root key, for reading. A missing one is made (32 random bytes, 0400) when `make`. */
int root_key_open(const char *path, bool make);
/* The header of a passphrase root, for reading and writing; made empty (0600) when it is missing. */
int root_header_open(const char *path);

#endif
