/*
 * The mapping of a memory volume (control).
 *
 * Growth happens under load. A mapping is made with room behind it, so that growth maps the new part behind the old; where the room
 * is used up, all is mapped anew elsewhere, with twice the room, and the old mapping of the same pages stays until close: a poller
 * may be in it.
 *
 * Pages are taken ahead of the guest, in steps: a page fault in a poller costs everybody behind it, and memory that the host does
 * not have should be missing at attach, not at some write.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "volume/internal.h"

enum {
	ALIGN_BYTES = 2 * 1024 * 1024,	       /* of mappings: a huge page's */
	MEMORY_HOST_BYTES = 256 * 1024 * 1024, /* left to the host by memory volumes */
};

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Addresses for `bytes`, aligned, nothing behind them yet. */
static uint8_t *reserve(uint64_t bytes)
{
	uint8_t *raw = mmap(NULL, bytes + ALIGN_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *aligned;

	if (raw == MAP_FAILED)
		return NULL;
	aligned = (uint8_t *)(((uintptr_t)raw + ALIGN_BYTES - 1) & ~(uintptr_t)(ALIGN_BYTES - 1));
	if (aligned > raw)
		munmap(raw, (size_t)(aligned - raw));
	if (aligned < raw + ALIGN_BYTES)
		munmap(aligned + bytes, (size_t)(raw + ALIGN_BYTES - aligned));
	return aligned;
}

static int map_part(const struct volume *volume, uint8_t *base, uint64_t from_bytes, uint64_t to_bytes)
{
	void *part = mmap(base + from_bytes, to_bytes - from_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, volume->fd,
			  (off_t)from_bytes);

	if (part == MAP_FAILED)
		return -errno;
	(void)madvise(part, to_bytes - from_bytes, MADV_DONTDUMP);
	if (!volume->memory->huge)
		(void)madvise(part, to_bytes - from_bytes, MADV_HUGEPAGE); /* a wish */
	return 0;
}

static int map_anew(struct volume *volume, uint64_t size_bytes)
{
	struct memory_map *map = volume->memory;
	uint64_t reserved_bytes = size_bytes * 2;
	uint8_t *base;
	int error;

	if (map->retired_count == VOLUME_RETIRED_MAX)
		return -ENOSPC;
	base = reserve(reserved_bytes);
	if (base == NULL)
		return -ENOMEM;
	error = map_part(volume, base, 0, size_bytes);
	if (error != 0) {
		munmap(base, reserved_bytes);
		return error;
	}
	if (map->base != NULL) {
		map->retired[map->retired_count].base = map->base;
		map->retired[map->retired_count++].bytes = map->reserved_bytes;
	}
	__atomic_store_n(&map->base, base, __ATOMIC_RELEASE);
	map->reserved_bytes = reserved_bytes;
	map->mapped_bytes = size_bytes;
	map->populated_bytes = 0;
	return 0;
}

int memory_grow(struct volume *volume, uint64_t size_bytes)
{
	struct memory_map *map = volume->memory;
	uint64_t mapped_bytes = round_up(size_bytes);
	struct stat st;
	int error;

	if (fstat(volume->fd, &st) != 0)
		return -errno;
	if ((uint64_t)st.st_size < mapped_bytes && ftruncate(volume->fd, (off_t)mapped_bytes) != 0)
		return -errno;
	if (mapped_bytes <= map->mapped_bytes)
		return 0;
	if (mapped_bytes > map->reserved_bytes)
		return map_anew(volume, mapped_bytes);
	error = map_part(volume, map->base, map->mapped_bytes, mapped_bytes);
	if (error == 0)
		map->mapped_bytes = mapped_bytes;
	return error;
}

uint64_t memory_room_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long available_kib = 0;
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %llu kB", &available_kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return available_kib * 1024 > MEMORY_HOST_BYTES ? available_kib * 1024 - MEMORY_HOST_BYTES : 0;
}

int memory_populate(struct volume *volume, uint64_t step_bytes)
{
	struct memory_map *map = volume->memory;
	uint64_t bytes = map->mapped_bytes - map->populated_bytes;

	if (bytes == 0)
		return 0;
	if (bytes > step_bytes)
		bytes = step_bytes;
	if (!map->huge && memory_room_bytes() < bytes) /* huge pages were reserved when the memory was made */
		return -ENOMEM;
	if (madvise(map->base + map->populated_bytes, bytes, MADV_POPULATE_WRITE) != 0)
		return errno == EINVAL ? 0 : -errno; /* before Linux 5.14 pages come when they are touched */
	map->populated_bytes += bytes;
	return map->populated_bytes < map->mapped_bytes;
}

int memory_open(struct volume *volume, int memory_fd)
{
	struct statfs fs;
	int error;

	volume->memory = calloc(1, sizeof(*volume->memory));
	if (volume->memory == NULL)
		return -ENOMEM;
	volume->fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, 0);
	if (volume->fd < 0 || fstatfs(volume->fd, &fs) != 0) {
		error = -errno;
		goto fail;
	}
	volume->memory->huge = fs.f_type == HUGETLBFS_MAGIC;
	error = memory_grow(volume, volume->target.capacity_bytes);
	if (error != 0)
		goto fail;
	return 0;
fail:
	memory_close(volume);
	return error;
}

void memory_close(struct volume *volume)
{
	struct memory_map *map = volume->memory;

	for (unsigned i = 0; i < map->retired_count; i++)
		munmap(map->retired[i].base, map->retired[i].bytes);
	if (map->base != NULL)
		munmap(map->base, map->reserved_bytes);
	free(map);
}
