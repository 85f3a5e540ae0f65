/*
 * Descriptors that a process has asked to be kept for its successor (sd_notify(3): FDSTORE=1, FDNAME=..., FDSTOREREMOVE=1), as
 * systemd keeps them: names need not be unique, the same open file under the same name is kept once, a removal removes every
 * descriptor of that name. One store a child. The store owns what it holds.
 */
#ifndef OUTBOARD_CHASSIS_FD_STORE_H
#define OUTBOARD_CHASSIS_FD_STORE_H

#include <stddef.h>

enum {
	FD_STORE_NAME_MAX_BYTES = 255,
	/* All names go into one environment string, and Linux takes at most 128 KiB for one (MAX_ARG_STRLEN). */
	FD_STORE_NAMES_MAX_BYTES = 120 * 1024,
};

struct fd_store_entry {
	char *name;
	int fd;
};

struct fd_store {
	struct fd_store_entry *entries;
	unsigned count;
	unsigned capacity;
	size_t names_bytes; /* all names, each with its separator */
};

/* Takes `fd` over in every case. 0; -EINVAL (no such name: empty, too long, ':' or control characters), -ENOSPC, -ENOMEM. */
int fd_store_add(struct fd_store *store, const char *name, int fd);
unsigned fd_store_remove(struct fd_store *store, const char *name); /* how many were removed */
void fd_store_clear(struct fd_store *store);

#endif
