/*
 * A pcapng stream (draft-ietf-opsawg-pcapng) that arrives in pieces, as whole blocks: only these may be written to a file, or it
 * could not be read when the capture ends in the middle of one. Pure.
 */
#ifndef OUTBOARD_CLI_PCAPNG_H
#define OUTBOARD_CLI_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

enum { PCAPNG_BLOCK_MAX_BYTES = 1 << 18 }; /* more than the largest frame with its options */

struct pcapng {
	uint8_t block[PCAPNG_BLOCK_MAX_BYTES]; /* the one that is not complete yet */
	size_t used;
};

struct pcapng_out {
	uint64_t packets;
	uint64_t packets_max;					    /* 0: any number; blocks behind the last are not given out */
	int (*write)(void *context, const void *data, size_t size); /* a whole block; other than 0 ends the feeding */
	void *context;
};

/* Gives out every block that is complete. 0; -EINVAL: this is no pcapng; else what write() returned. */
int pcapng_feed(struct pcapng *p, const void *data, size_t size, struct pcapng_out *out);

#endif
