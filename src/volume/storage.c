/* What a volume is kept in: made and removed. A file is there complete (size set, on the disk, its name too) or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "volume/internal.h"

enum { HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

static const char *advice_for(int code)
{
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
		return "make room on that file system, or choose another path";
	case EACCES:
	case EPERM:
		return "give the card's user permission to write in that folder";
	case EBUSY:
		return "it is mounted, or another process uses it; end that first";
	case EEXIST:
		return "choose another path, or remove that file first";
	case ENOENT:
		return "make the folder first";
	case ENOTDIR:
		return "a part of the path is not a folder";
	case EROFS:
		return "the file system is read-only; choose another path";
	case EFBIG:
		return "the file system takes no files of that size; choose a smaller size or another path";
	case ENAMETOOLONG:
		return "choose a shorter path";
	default:
		return "check the path and the system's log";
	}
}

__attribute__((format(printf, 4, 5))) static int refuse(int code, char *error, size_t error_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, error_size, format, args);
	va_end(args);
	return code;
}

static int cannot(const char *what, const char *name, const char *path, int code, char *error, size_t error_size)
{
	return refuse(code, error, error_size, "volume %s: cannot %s %s: %s; %s", name, what, path, strerror(-code),
		      advice_for(code));
}

static int folder_of(const char *path)
{
	char copy[PATH_MAX];
	int fd;

	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, path, strlen(path) + 1);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int sync_name(const char *path)
{
	int folder = folder_of(path), code = 0;

	if (folder < 0)
		return folder;
	if (fsync(folder) != 0)
		code = -errno;
	close(folder);
	return code;
}

static int block_device_check(const struct volume_config *config, char *error, size_t error_size)
{
	uint64_t size_bytes = 0;
	bool is_block_device;
	/* O_EXCL, of a block device: not while it is mounted, or another's. To say so now is better than when it is attached. */
	int fd = open(config->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (config->read_only ? 0 : O_EXCL)), code;

	if (fd < 0)
		return cannot("open", config->name, config->path, -errno, error, error_size);
	code = file_size(fd, &is_block_device, &size_bytes);
	close(fd);
	if (code != 0)
		return cannot("measure", config->name, config->path, code, error, error_size);
	if (size_bytes < config->size_bytes)
		return refuse(-ENOSPC, error, error_size,
			      "volume %s: the device %s has %llu bytes, fewer than the %llu asked for; choose a smaller size",
			      config->name, config->path, (unsigned long long)size_bytes, (unsigned long long)config->size_bytes);
	return 0;
}

static int file_create(const struct volume_config *config, char *error, size_t error_size)
{
	struct stat st;
	int code = 0, fd;

	if (stat(config->path, &st) == 0 && S_ISBLK(st.st_mode))
		return block_device_check(config, error, error_size);
	fd = open(config->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cannot("create", config->name, config->path, -errno, error, error_size);
	if (ftruncate(fd, (off_t)config->size_bytes) != 0 || fsync(fd) != 0)
		code = -errno;
	close(fd);
	if (code == 0)
		code = sync_name(config->path);
	if (code == 0)
		return 0;
	unlink(config->path);
	return cannot("create", config->name, config->path, code, error, error_size);
}

/* A memfd that nobody can shrink under a mapping. Huge pages are reserved here, so that no access finds that there are none. */
static int memfd_make(uint64_t size_bytes, bool huge)
{
	int fd = memfd_create("outboard-volume", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0)), code;
	uint64_t page = huge ? HUGE_PAGE_BYTES : (uint64_t)sysconf(_SC_PAGESIZE);
	void *memory;

	if (fd < 0)
		return -errno;
	size_bytes = (size_bytes + page - 1) / page * page;
	if (ftruncate(fd, (off_t)size_bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
		goto fail;
	if (!huge)
		return fd;
	memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		goto fail;
	munmap(memory, size_bytes);
	return fd;
fail:
	code = -errno;
	close(fd);
	return code;
}

static int memory_create(const struct volume_config *config, bool huge, int *memory_fd, char *error, size_t error_size)
{
	int fd = -ENOMEM;

	if (huge)
		fd = memfd_make(config->size_bytes, true);
	if (fd < 0 && memory_room_bytes() < config->size_bytes)
		return refuse(-ENOSPC, error, error_size,
			      "volume %s: %llu bytes of memory are more than this host can give (%llu); choose a smaller size",
			      config->name, (unsigned long long)config->size_bytes, (unsigned long long)memory_room_bytes());
	if (fd < 0)
		fd = memfd_make(config->size_bytes, false);
	if (fd < 0)
		return refuse(fd, error, error_size, "volume %s: cannot take %llu bytes of memory: %s; choose a smaller size",
			      config->name, (unsigned long long)config->size_bytes, strerror(-fd));
	*memory_fd = fd;
	return 0;
}

int volume_storage_create(const struct volume_config *config, bool huge, int *memory_fd, char *error, size_t error_size)
{
	if (config->size_bytes == 0 || config->size_bytes > INT64_MAX / 4)
		return refuse(-EINVAL, error, error_size, "volume %s: a size of %llu bytes is not possible", config->name,
			      (unsigned long long)config->size_bytes);
	switch (config->backend) {
	case VOLUME_MEMORY:
		return memory_create(config, huge, memory_fd, error, error_size);
	case VOLUME_NULL:
		return 0;
	case VOLUME_FILE:
		if (config->path == NULL || config->path[0] == '\0')
			return refuse(-EINVAL, error, error_size, "volume %s: a file volume needs a path", config->name);
		return file_create(config, error, error_size);
	}
	return refuse(-EINVAL, error, error_size, "volume %s: no such back end", config->name);
}

int volume_storage_delete(const struct volume_config *config, char *error, size_t error_size)
{
	struct stat st;
	int code = 0;

	if (config->backend != VOLUME_FILE || config->path == NULL)
		return 0; /* memory goes with its last descriptor */
	if (lstat(config->path, &st) != 0)
		return errno == ENOENT ? 0 : cannot("remove", config->name, config->path, -errno, error, error_size);
	if (!S_ISREG(st.st_mode))
		return 0; /* a block device was there before us and stays */
	if (unlink(config->path) != 0)
		return cannot("remove", config->name, config->path, -errno, error, error_size);
	code = sync_name(config->path);
	return code == 0 ? 0 : cannot("remove", config->name, config->path, code, error, error_size);
}
