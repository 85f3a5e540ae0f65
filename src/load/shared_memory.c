#include "load/shared_memory.h"

#include <errno.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel aligns huge page mappings by itself; for the other kind a window is reserved that surely holds an aligned start. */
static uint8_t *map_aligned(int fd, uint64_t size_bytes)
{
	uint64_t window_bytes = size_bytes + SHARED_MEMORY_ALIGN_BYTES;
	uint8_t *window, *start, *mapping;

	window = mmap(NULL, window_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		return MAP_FAILED;
	start = (uint8_t *)(((uintptr_t)window + SHARED_MEMORY_ALIGN_BYTES - 1) & ~(uintptr_t)(SHARED_MEMORY_ALIGN_BYTES - 1));
	mapping = mmap(start, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (mapping == MAP_FAILED) {
		munmap(window, window_bytes);
		return MAP_FAILED;
	}
	if (start > window)
		munmap(window, (size_t)(start - window));
	if (start + size_bytes < window + window_bytes)
		munmap(start + size_bytes, (size_t)(window + window_bytes - (start + size_bytes)));
	return mapping;
}

/* Faulted in by madvise rather than by MAP_POPULATE: a limit on huge pages is an error then, not a SIGBUS later. */
static int fault_in(uint8_t *base, uint64_t size_bytes)
{
	madvise(base, size_bytes, MADV_HUGEPAGE); /* a hint: the kernel may not do it */
	if (madvise(base, size_bytes, MADV_POPULATE_WRITE) != 0)
		return errno == EINVAL ? 0 : -errno; /* before Linux 5.14: faults come as they come */
	return 0;
}

static int create(struct shared_memory *memory, unsigned flags)
{
	int error;

	memory->fd = memfd_create("outboard-load", MFD_CLOEXEC | flags);
	if (memory->fd < 0)
		return -errno;
	memory->base = MAP_FAILED;
	if (ftruncate(memory->fd, (off_t)memory->size_bytes) == 0)
		memory->base = map_aligned(memory->fd, memory->size_bytes);
	if (memory->base == MAP_FAILED) {
		error = -errno;
		memory->base = NULL;
	} else {
		error = fault_in(memory->base, memory->size_bytes);
	}
	if (error != 0)
		shared_memory_free(memory);
	return error;
}

int shared_memory_create(struct shared_memory *memory, uint64_t size_bytes)
{
	int error;

	memset(memory, 0, sizeof(*memory));
	memory->fd = -1;
	if (size_bytes == 0 || size_bytes > INT64_MAX - SHARED_MEMORY_ALIGN_BYTES)
		return -EINVAL;
	memory->size_bytes = (size_bytes + SHARED_MEMORY_ALIGN_BYTES - 1) & ~(uint64_t)(SHARED_MEMORY_ALIGN_BYTES - 1);
	memory->huge_pages = true;
	error = create(memory, MFD_HUGETLB | MFD_HUGE_2MB);
	if (error != 0) {
		memory->huge_pages = false;
		error = create(memory, 0);
	}
	return error;
}

void shared_memory_free(struct shared_memory *memory)
{
	if (memory->base != NULL)
		munmap(memory->base, memory->size_bytes);
	if (memory->fd >= 0)
		close(memory->fd);
	memory->base = NULL;
	memory->fd = -1;
}

void *shared_memory_take(struct shared_memory *memory, uint64_t size_bytes, uint64_t align_bytes)
{
	uint64_t start = (memory->taken_bytes + align_bytes - 1) & ~(align_bytes - 1);

	if (start > memory->size_bytes || size_bytes > memory->size_bytes - start)
		return NULL;
	memory->taken_bytes = start + size_bytes;
	return memory->base + start;
}
