/*
 * A file must not be there yet. A block device must be, and belong to no other volume: it has many names (/dev/disk/by-id, device
 * mapper), so what counts is its number. That it is large enough, and not mounted, is for the card to find out, which can open it.
 */
#include "control/place.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Through symbolic links: most names of a block device are some. */
static bool block_device(const char *path, dev_t *number)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISBLK(st.st_mode))
		return false;
	*number = st.st_rdev;
	return true;
}

bool place_is_block_device(const char *path)
{
	dev_t number;

	return block_device(path, &number);
}

struct search {
	dev_t number;
	char *owner; /* of NAME_SIZE */
};

static int compare(void *context, const char *name, const char *path)
{
	struct search *search = context;
	dev_t number;

	if (!block_device(path, &number) || number != search->number)
		return 0;
	strcpy(search->owner, name);
	return 1;
}

/* 0: `owner` has it. */
static int device_owner(struct store *store, dev_t number, char owner[NAME_SIZE])
{
	struct search search = {.number = number, .owner = owner};
	int rc = store_path_each(store, compare, &search);

	return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

static int check_path(struct control *control, const char *path, struct failure *failure)
{
	char owner[NAME_SIZE];
	struct stat st;
	dev_t number;
	int rc = store_path_owner(&control->store, path, owner);

	if (rc == -ENOENT && block_device(path, &number))
		rc = device_owner(&control->store, number, owner);
	else if (rc == -ENOENT && lstat(path, &st) == 0)
		return failure_set(failure, ERROR_PATH_EXISTS,
				   "%s exists already; a volume makes its own file, or takes a block device. Choose another path, "
				   "or `outboard volume import` its contents.",
				   path);
	if (rc == 0)
		return failure_set(failure, ERROR_PATH_IN_USE, "Volume \"%s\" lies in %s already. Choose another path.", owner,
				   path);
	return rc == -ENOENT ? 0 : store_failure(failure, rc, "create the volume");
}

int place_check(struct control *control, const char *path, struct failure *failure)
{
	int64_t count;
	int rc = store_volume_count(&control->store, &count);

	if (rc < 0)
		return store_failure(failure, rc, "create the volume");
	if (count >= STORE_VOLUMES_MAX)
		return failure_set(failure, ERROR_LIMIT_REACHED, "There are %d volumes already, and no more are possible.",
				   STORE_VOLUMES_MAX);
	return path[0] == '\0' ? 0 : check_path(control, path, failure);
}
