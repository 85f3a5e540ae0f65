/*
 * Opens a file or block device for the file back end: finds out whether it can be used past the page cache, and takes a lock so
 * that two cards, or a card and QEMU, do not write to one file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "volume/internal.h"

enum {
	DIRECT_ALIGN_BYTES_MAX = 4096, /* what I/O buffers are aligned to */
};

int file_size(int fd, bool *is_block_device, uint64_t *size_bytes)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	*is_block_device = S_ISBLK(st.st_mode);
	*size_bytes = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISBLK(st.st_mode))
		return -EINVAL;
	return ioctl(fd, BLKGETSIZE64, size_bytes) == 0 ? 0 : -errno;
}

/* Some file systems take direct I/O without saying (before Linux 6.1 none said): then a read tells. */
static bool direct_read_works(int fd, uint32_t block_size_bytes)
{
	void *block;
	bool works;

	if (posix_memalign(&block, DIRECT_ALIGN_BYTES_MAX, block_size_bytes) != 0)
		return false;
	works = pread(fd, block, block_size_bytes, 0) == (ssize_t)block_size_bytes;
	free(block);
	return works;
}

/* What direct I/O on `fd`, opened for it, asks for; false when it asks for more than the volume's blocks give. */
static bool direct_limits(int fd, uint32_t block_size_bytes, struct file_limits *limits)
{
	limits->memory_align_bytes = DIRECT_ALIGN_BYTES_MAX;
	limits->offset_align_bytes = block_size_bytes;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 && stx.stx_mask & STATX_DIOALIGN) {
		if (stx.stx_dio_offset_align == 0 || stx.stx_dio_mem_align == 0)
			return false;
		limits->memory_align_bytes = stx.stx_dio_mem_align;
		limits->offset_align_bytes = stx.stx_dio_offset_align;
		return stx.stx_dio_offset_align <= block_size_bytes && stx.stx_dio_mem_align <= DIRECT_ALIGN_BYTES_MAX;
	}
#endif
	return direct_read_works(fd, block_size_bytes);
}

/* With O_DIRECT where that works. O_NONBLOCK is for the open only: a FIFO in the place of a file must not stop the card. */
static int open_best(struct volume *volume, const char *path)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (volume->target.read_only ? O_RDONLY : O_RDWR), error;
	struct stat st;
	bool direct;

	if (stat(path, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	if (S_ISBLK(st.st_mode) && !volume->target.read_only)
		flags |= O_EXCL; /* of a block device: not while it is mounted */
	volume->fd = open(path, flags | O_DIRECT);
	if (volume->fd < 0 && errno == EINVAL)
		volume->fd = open(path, flags);
	if (volume->fd < 0)
		return -errno;
	direct = fcntl(volume->fd, F_GETFL) & O_DIRECT && direct_limits(volume->fd, volume->target.block_size_bytes, &volume->file);
	if (!direct) {
		volume->file.memory_align_bytes = 1;
		volume->file.offset_align_bytes = 1;
	}
	if (fcntl(volume->fd, F_SETFL, direct ? O_DIRECT : 0) == 0)
		return 0;
	error = -errno;
	file_close(volume);
	return error;
}

/* Of the open file description, so it goes with it; advisory, as QEMU's. */
static int lock(int fd, bool read_only)
{
	struct flock l = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &l) == 0 || errno == EINVAL || errno == ENOLCK)
		return 0; /* a file system without locks */
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

static int explain(int code, const char *name, const char *path, char *error, size_t error_size)
{
	const char *advice = "check the path and the system's log";

	if (code == -ENOENT)
		advice = "restore the file, or delete the volume";
	else if (code == -EACCES || code == -EPERM)
		advice = "give the card's user read and write permission on it";
	else if (code == -EBUSY)
		advice = "another process uses it, or it is mounted; end that first";
	else if (code == -EINVAL)
		advice = "it must be a regular file or a block device";
	else if (code == -EROFS)
		advice = "the file system is read-only; remount it, or attach the volume read-only";
	snprintf(error, error_size, "volume %s: cannot open %s: %s; %s", name, path, strerror(-code), advice);
	return code;
}

int file_open(struct volume *volume, const char *path, char *error, size_t error_size)
{
	uint64_t size_bytes = 0;
	int code = open_best(volume, path);

	if (code != 0)
		return explain(code, volume->name, path, error, error_size);
	code = file_size(volume->fd, &volume->file.is_block_device, &size_bytes);
	if (code == 0 && !volume->file.is_block_device)
		code = lock(volume->fd, volume->target.read_only);
	if (code != 0) {
		explain(code, volume->name, path, error, error_size);
	} else if (size_bytes < volume->target.capacity_bytes) {
		snprintf(error, error_size,
			 "volume %s: %s has %llu bytes, the volume %llu: the end is missing; restore it from a copy, or grow the "
			 "file to that size",
			 volume->name, path, (unsigned long long)size_bytes, (unsigned long long)volume->target.capacity_bytes);
		code = -ESTALE;
	}
	if (code != 0)
		file_close(volume);
	return code;
}

void file_close(struct volume *volume)
{
	close(volume->fd);
	volume->fd = -1;
}

int file_grow(struct volume *volume, uint64_t size_bytes, char *error, size_t error_size)
{
	uint64_t had_bytes;
	int code = file_size(volume->fd, &volume->file.is_block_device, &had_bytes);

	if (code == 0 && had_bytes >= size_bytes)
		return 0;
	if (code == 0 && volume->file.is_block_device) {
		snprintf(error, error_size, "volume %s: its block device has %llu bytes; grow the device to %llu bytes first",
			 volume->name, (unsigned long long)had_bytes, (unsigned long long)size_bytes);
		return -ENOSPC;
	}
	if (code == 0 && ftruncate(volume->fd, (off_t)size_bytes) != 0)
		code = -errno;
	if (code == 0 && fsync(volume->fd) != 0)
		code = -errno;
	if (code != 0)
		snprintf(error, error_size, "volume %s: cannot grow its file to %llu bytes: %s; %s", volume->name,
			 (unsigned long long)size_bytes, strerror(-code),
			 code == -EFBIG ? "the file system takes no larger files" : "make room on its file system and try again");
	return code;
}
