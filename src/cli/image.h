/*
 * What kind of disk image a file is, by its header, and how large the disk in it is. An image comes from outside: one that makes
 * whoever opens it read other files (a qcow2 with a backing file, or with its data in another file) is refused.
 */
#ifndef OUTBOARD_CLI_IMAGE_H
#define OUTBOARD_CLI_IMAGE_H

#include <stdint.h>

enum { IMAGE_ERROR_SIZE = 512 };

enum image_format { IMAGE_ANY, IMAGE_RAW, IMAGE_QCOW2 };

struct image {
	enum image_format format;
	uint64_t size_bytes; /* of the disk */
};

/* `wanted`: what a person says that it is; IMAGE_ANY: find out. 0, or -1 with a sentence in `error`. */
int image_probe(const char *path, enum image_format wanted, struct image *out, char error[IMAGE_ERROR_SIZE]);
enum image_format image_format_parse(const char *text);	 /* NULL: any */
const char *image_format_name(enum image_format format); /* as qemu-img knows it */

#endif
