/* Walking a request's scatter list: any cutting, empty elements among them, elements that end in the middle of a block. */
#ifndef OUTBOARD_VOLUME_IOV_H
#define OUTBOARD_VOLUME_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov;
	size_t offset_bytes; /* inside *iov */
};

/* The contiguous run at the cursor, at most `*run_bytes` of it. The caller knows that the list has at least one byte left. */
static inline uint8_t *iov_run(struct iov_cursor *c, size_t *run_bytes)
{
	size_t left;

	while (c->offset_bytes == c->iov->iov_len) {
		c->iov++;
		c->offset_bytes = 0;
	}
	left = c->iov->iov_len - c->offset_bytes;
	if (*run_bytes > left)
		*run_bytes = left;
	return (uint8_t *)c->iov->iov_base + c->offset_bytes;
}

static inline void iov_advance(struct iov_cursor *c, size_t bytes)
{
	while (bytes > c->iov->iov_len - c->offset_bytes) {
		bytes -= c->iov->iov_len - c->offset_bytes;
		c->iov++;
		c->offset_bytes = 0;
	}
	c->offset_bytes += bytes;
}

static inline void iov_scatter(struct iov_cursor *c, const uint8_t *from, size_t bytes)
{
	while (bytes > 0) {
		size_t run = bytes;
		uint8_t *to = iov_run(c, &run);

		memcpy(to, from, run);
		c->offset_bytes += run;
		from += run;
		bytes -= run;
	}
}

static inline void iov_gather(struct iov_cursor *c, uint8_t *to, size_t bytes)
{
	while (bytes > 0) {
		size_t run = bytes;
		const uint8_t *from = iov_run(c, &run);

		memcpy(to, from, run);
		c->offset_bytes += run;
		to += run;
		bytes -= run;
	}
}

#endif
