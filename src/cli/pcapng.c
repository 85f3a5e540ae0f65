#include "cli/pcapng.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/codec.h"

enum {
	HEADER_BYTES = 8, /* type and total length; the length again at the end */
	BLOCK_MIN_BYTES = 12,
	BLOCK_PACKET = 6,
};

/* The length of the block that begins in the buffer; 0: its header is not there yet. */
static int block_size(const struct pcapng *p, size_t *size)
{
	*size = 0;
	if (p->used < HEADER_BYTES)
		return 0;
	*size = get_le32(p->block + 4);
	return *size < BLOCK_MIN_BYTES || *size % 4 != 0 || *size > PCAPNG_BLOCK_MAX_BYTES ? -EINVAL : 0;
}

static int give_out(struct pcapng *p, size_t size, struct pcapng_out *out)
{
	bool packet = get_le32(p->block) == BLOCK_PACKET;

	if (get_le32(p->block + size - 4) != size)
		return -EINVAL;
	p->used = 0;
	if (packet && out->packets_max != 0 && out->packets == out->packets_max)
		return 0;
	out->packets += packet;
	return out->write(out->context, p->block, size);
}

int pcapng_feed(struct pcapng *p, const void *data, size_t size, struct pcapng_out *out)
{
	const uint8_t *in = data;
	size_t whole;
	int rc = 0;

	while (size > 0 && rc == 0) {
		size_t wanted, take;

		rc = block_size(p, &whole);
		if (rc < 0)
			return rc;
		wanted = (whole == 0 ? HEADER_BYTES : whole) - p->used;
		take = size < wanted ? size : wanted;
		memcpy(p->block + p->used, in, take);
		p->used += take;
		in += take;
		size -= take;
		rc = block_size(p, &whole);
		if (rc == 0 && whole != 0 && p->used == whole)
			rc = give_out(p, whole, out);
	}
	return rc;
}
