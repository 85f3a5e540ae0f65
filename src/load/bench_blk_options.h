/* The options of `outboard bench blk`. */
#ifndef OUTBOARD_LOAD_BENCH_BLK_OPTIONS_H
#define OUTBOARD_LOAD_BENCH_BLK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct bench_blk_options {
	const char *socket_path;
	const char *rw; /* as given */
	unsigned read_percent;
	bool random;
	uint16_t depth;
	uint16_t queue_count;
	uint16_t ring_size; /* at least; 0: as small as depth allows */
	uint32_t request_bytes;
	uint64_t region_bytes; /* 0: all of the device */
	uint64_t rate_iops;    /* 0: as fast as it goes */
	unsigned seconds;
	unsigned reconnect_seconds;
	int cpu; /* -1: wherever the scheduler likes */
	bool packed, indirect, verify, json;
};

enum bench_blk_parsed { BENCH_BLK_RUN, BENCH_BLK_HELP, BENCH_BLK_WRONG };

/* For BENCH_BLK_HELP the help is printed on standard output, for BENCH_BLK_WRONG a sentence on standard error. */
enum bench_blk_parsed bench_blk_options_parse(struct bench_blk_options *options, int argc, char **argv);

#endif
