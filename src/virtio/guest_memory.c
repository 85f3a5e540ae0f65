#include "virtio/guest_memory.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "virtio/mapping_guard.h"

enum {
	HOST_MEMORY_MULTIPLE_MAX = 4,
	PAGE_BYTES = 4096
}; /* the smallest page of every architecture we run on; regions are multiples of it */

void guest_memory_init(struct guest_memory *m)
{
	memset(m, 0, sizeof(*m));
}

static bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/*
 * Sparse files are as large as a VMM likes, and the addresses of this process are everybody's: without a bound one VMM takes them
 * all, and no other can be served. A guest has some use for as much memory as there is on the host, and more when it is lent out
 * several times.
 */
static bool has_addresses_left(const struct guest_memory *m, uint64_t more_bytes)
{
	uint64_t host_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), left = UINT64_C(64) << 30;

	if (left < HOST_MEMORY_MULTIPLE_MAX * host_bytes)
		left = HOST_MEMORY_MULTIPLE_MAX * host_bytes;
	for (uint32_t i = 0; i < m->count && m->regions[i].size_bytes <= left; i++)
		left -= m->regions[i].size_bytes;
	return more_bytes <= left;
}

static int check(const struct guest_memory *m, const struct region_state *region)
{
	uint64_t end;

	if (region->size_bytes == 0 || (region->size_bytes | region->guest_addr | region->mmap_offset) % PAGE_BYTES != 0)
		return -EINVAL;
	if (__builtin_add_overflow(region->guest_addr, region->size_bytes, &end) ||
	    __builtin_add_overflow(region->user_addr, region->size_bytes, &end) ||
	    __builtin_add_overflow(region->mmap_offset, region->size_bytes, &end) || end > INT64_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < m->count; i++)
		if (ranges_overlap(m->regions[i].guest_addr, m->regions[i].size_bytes, region->guest_addr, region->size_bytes))
			return -EINVAL;
	return m->count == DEVICE_REGIONS_MAX || !has_addresses_left(m, region->size_bytes) ? -ENOSPC : 0;
}

/* What offset and length of a mapping of this file must be multiples of: huge pages of hugetlbfs, or pages. */
static int alignment_of(int fd, uint64_t *alignment_bytes)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*alignment_bytes = fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : PAGE_BYTES;
	return 0;
}

static int map(struct guest_region *r, const struct region_state *region, int fd)
{
	uint64_t alignment_bytes = PAGE_BYTES, start, end = region->mmap_offset + region->size_bytes;
	struct stat st;
	void *p;
	int err = alignment_of(fd, &alignment_bytes);

	if (err < 0)
		return err;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || end > (uint64_t)st.st_size)
		return -EINVAL;
	start = region->mmap_offset - region->mmap_offset % alignment_bytes;
	r->mapping_bytes = (end - start + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
	p = mmap(NULL, r->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (p == MAP_FAILED)
		return -errno;
	/* Guest memory is not ours to show in a core file, and no child needs it. */
	madvise(p, r->mapping_bytes, MADV_DONTDUMP);
	madvise(p, r->mapping_bytes, MADV_DONTFORK);
	r->mapping = p;
	r->host = r->mapping + (region->mmap_offset - start);
	r->guest_addr = region->guest_addr;
	r->size_bytes = region->size_bytes;
	r->user_addr = region->user_addr;
	return 0;
}

static void unmap(struct guest_region *r)
{
	mapping_guard_remove(r->guard);
	munmap(r->mapping, r->mapping_bytes);
}

int guest_memory_add(struct guest_memory *m, const struct region_state *region, int fd)
{
	struct guest_region r = {0}, *more;
	uint32_t at = 0;
	int err = check(m, region);

	if (err < 0)
		return err;
	more = reallocarray(m->regions, m->count + 1, sizeof(*more)); /* most guests have three or four */
	if (more == NULL)
		return -ENOMEM;
	m->regions = more;
	err = map(&r, region, fd);
	if (err < 0)
		return err;
	err = mapping_guard_add(r.mapping, r.mapping_bytes, &m->lost, &r.guard);
	if (err < 0) {
		munmap(r.mapping, r.mapping_bytes);
		return err;
	}
	while (at < m->count && m->regions[at].guest_addr < r.guest_addr)
		at++;
	memmove(&m->regions[at + 1], &m->regions[at], (m->count - at) * sizeof(r));
	m->regions[at] = r;
	m->count++;
	return 0;
}

int guest_memory_remove(struct guest_memory *m, const struct region_state *region)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct guest_region *r = &m->regions[i];

		if (r->guest_addr != region->guest_addr || r->size_bytes != region->size_bytes || r->user_addr != region->user_addr)
			continue;
		unmap(r);
		m->count--;
		memmove(r, r + 1, (m->count - i) * sizeof(*r));
		return 0;
	}
	return -ENOENT;
}

void guest_memory_clear(struct guest_memory *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		unmap(&m->regions[i]);
	free(m->regions);
	guest_memory_init(m);
}

void *guest_memory_user_at(const struct guest_memory *m, uint64_t user_addr, uint64_t length_bytes)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->regions[i];
		uint64_t offset = user_addr - r->user_addr;

		if (offset < r->size_bytes && length_bytes <= r->size_bytes - offset)
			return r->host + offset;
	}
	return NULL;
}

int guest_memory_catch_sigbus(void)
{
	return mapping_guard_catch_sigbus();
}
