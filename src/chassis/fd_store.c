#include "chassis/fd_store.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool name_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > FD_STORE_NAME_MAX_BYTES)
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (*c == ':' || (unsigned char)*c < ' ' || *c == 127)
			return false;
	return true;
}

/* The same open file description? A kernel without kcmp(2) says no: then it is kept twice, which harms nobody. */
static bool same_file(int a, int b)
{
	pid_t self = getpid();

	return syscall(SYS_kcmp, self, self, KCMP_FILE, a, b) == 0;
}

static int make_room(struct fd_store *store)
{
	unsigned capacity = store->capacity == 0 ? 16 : store->capacity * 2;
	struct fd_store_entry *entries;

	if (store->count < store->capacity)
		return 0;
	entries = realloc(store->entries, capacity * sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	store->entries = entries;
	store->capacity = capacity;
	return 0;
}

int fd_store_add(struct fd_store *store, const char *name, int fd)
{
	int rc = -EINVAL;
	char *copy;

	if (!name_valid(name))
		goto discard;
	rc = 0;
	for (unsigned i = 0; i < store->count; i++)
		if (strcmp(store->entries[i].name, name) == 0 && same_file(store->entries[i].fd, fd))
			goto discard;
	rc = -ENOSPC;
	if (store->names_bytes + strlen(name) + 1 > FD_STORE_NAMES_MAX_BYTES)
		goto discard;
	rc = make_room(store);
	if (rc != 0)
		goto discard;
	rc = -ENOMEM;
	copy = strdup(name);
	if (copy == NULL)
		goto discard;
	store->entries[store->count++] = (struct fd_store_entry){.name = copy, .fd = fd};
	store->names_bytes += strlen(name) + 1;
	return 0;
discard:
	close(fd);
	return rc;
}

static void entry_release(struct fd_store *store, struct fd_store_entry *entry)
{
	store->names_bytes -= strlen(entry->name) + 1;
	free(entry->name);
	close(entry->fd);
}

unsigned fd_store_remove(struct fd_store *store, const char *name)
{
	unsigned kept = 0, removed;

	for (unsigned i = 0; i < store->count; i++) {
		if (strcmp(store->entries[i].name, name) == 0)
			entry_release(store, &store->entries[i]);
		else
			store->entries[kept++] = store->entries[i];
	}
	removed = store->count - kept;
	store->count = kept;
	return removed;
}

void fd_store_clear(struct fd_store *store)
{
	for (unsigned i = 0; i < store->count; i++)
		entry_release(store, &store->entries[i]);
	free(store->entries);
	*store = (struct fd_store){0};
}
