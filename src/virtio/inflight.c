#include "virtio/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio/inflight_queue.h"
#include "virtio/mapping_guard.h"

static uint64_t region_bytes(uint16_t queue_size, bool packed)
{
	uint64_t bytes = packed ? sizeof(struct inflight_packed) + queue_size * sizeof(struct inflight_packed_entry)
				: sizeof(struct inflight_split) + queue_size * sizeof(struct inflight_split_entry);

	return (bytes + INFLIGHT_ALIGNMENT_BYTES - 1) / INFLIGHT_ALIGNMENT_BYTES * INFLIGHT_ALIGNMENT_BYTES;
}

uint64_t inflight_size_bytes(uint16_t queue_count, uint16_t queue_size, bool packed)
{
	return queue_count * region_bytes(queue_size, packed);
}

static int check(int fd, uint64_t offset_bytes, uint64_t size_bytes, uint16_t queue_count, uint16_t queue_size, bool packed)
{
	uint64_t end;
	struct stat st;

	if (queue_count == 0 || queue_count > DEVICE_QUEUES_MAX || queue_size == 0 || queue_size > VIRTQUEUE_SIZE_MAX)
		return -EINVAL;
	if (offset_bytes % INFLIGHT_ALIGNMENT_BYTES != 0 || size_bytes < inflight_size_bytes(queue_count, queue_size, packed))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || __builtin_add_overflow(offset_bytes, size_bytes, &end) || end > (uint64_t)st.st_size)
		return -EINVAL;
	return 0;
}

static int lay_out(struct inflight *f, uint64_t skip_bytes)
{
	f->queues = calloc(f->queue_count, sizeof(*f->queues));
	if (f->queues == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < f->queue_count; i++) {
		struct inflight_queue *q = &f->queues[i];
		uint8_t *region = f->mapping + skip_bytes + i * region_bytes(f->queue_size, f->packed);

		if (f->packed)
			q->packed = (struct inflight_packed *)region;
		else
			q->split = (struct inflight_split *)region;
		q->size = f->queue_size;
		q->is_packed = f->packed;
		q->lost = &f->lost;
	}
	return 0;
}

int inflight_map(struct inflight *out, int fd, uint64_t offset_bytes, uint64_t size_bytes, uint16_t queue_count,
		 uint16_t queue_size, bool packed)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), start = offset_bytes - offset_bytes % page_bytes;
	void *p;
	int err = check(fd, offset_bytes, size_bytes, queue_count, queue_size, packed);

	if (err < 0)
		return err;
	memset(out, 0, sizeof(*out));
	out->mapping_bytes = offset_bytes - start + inflight_size_bytes(queue_count, queue_size, packed);
	p = mmap(NULL, out->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (p == MAP_FAILED)
		return -errno;
	out->mapping = p;
	out->queue_count = queue_count;
	out->queue_size = queue_size;
	out->packed = packed;
	err = lay_out(out, offset_bytes - start);
	if (err < 0)
		goto fail_unmap;
	err = mapping_guard_add(out->mapping, out->mapping_bytes, &out->lost, &out->guard);
	if (err < 0)
		goto fail_queues;
	return 0;

fail_queues:
	free(out->queues);
fail_unmap:
	munmap(out->mapping, out->mapping_bytes);
	memset(out, 0, sizeof(*out));
	return err;
}

int inflight_create(struct inflight *out, uint16_t queue_count, uint16_t queue_size, bool packed, int *fd)
{
	uint64_t size_bytes = inflight_size_bytes(queue_count, queue_size, packed);
	int memory = memfd_create("outboard-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (memory < 0)
		return -errno;
	err = ftruncate(memory, (off_t)size_bytes) < 0 ? -errno
						       : inflight_map(out, memory, 0, size_bytes, queue_count, queue_size, packed);
	if (err < 0) {
		close(memory);
		return err;
	}
	*fd = memory;
	return 0;
}

void inflight_unmap(struct inflight *inflight)
{
	if (inflight->mapping == NULL)
		return;
	mapping_guard_remove(inflight->guard);
	munmap(inflight->mapping, inflight->mapping_bytes);
	for (unsigned i = 0; i < inflight->queue_count; i++) {
		free(inflight->queues[i].next);
		free(inflight->queues[i].last);
	}
	free(inflight->queues);
	memset(inflight, 0, sizeof(*inflight));
}

struct inflight_queue *inflight_queue(struct inflight *inflight, unsigned index)
{
	return index < inflight->queue_count ? &inflight->queues[index] : NULL;
}
