/* The copy: a volume that is not encrypted. */
#include "volume/internal.h"

static void copy_to_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, const uint8_t *from, size_t bytes)
{
	(void)volume;
	(void)offset_bytes;
	iov_scatter(&guest, from, bytes);
}

static void copy_from_guest(struct volume *volume, struct iov_cursor guest, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	(void)volume;
	(void)offset_bytes;
	iov_gather(&guest, to, bytes);
}

static void copy_zeroes(struct volume *volume, uint64_t offset_bytes, uint8_t *to, size_t bytes)
{
	(void)volume;
	(void)offset_bytes;
	memset(to, 0, bytes);
}

const struct mover mover_copy = {
	.to_guest = copy_to_guest,
	.from_guest = copy_from_guest,
	.zeroes = copy_zeroes,
	.is_copy = true,
};
