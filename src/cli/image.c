/*
 * The qcow2 header (QEMU, docs/interop/qcow2.txt), big endian:
 *
 *	offset	bytes
 *	0	4	"QFI\xfb"
 *	4	4	version, 2 or 3
 *	8	8	offset of the backing file's name, 0: none
 *	24	8	size of the disk
 *	32	4	encryption, 0: none
 *	72	8	(version 3) incompatible features; bit 2: the data are in an external file
 */
#include "cli/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_BYTES = 104, EXTERNAL_DATA_FILE = 1 << 2 };

struct header {
	uint8_t bytes[HEADER_BYTES];
	size_t size;
};

static const struct {
	const char *magic;
	size_t size;
	unsigned offset;
	const char *name;
} foreign[] = {
	{"KDMV", 4, 0, "VMDK"},	   {"# Disk DescriptorFile", 21, 0, "VMDK"}, {"vhdxfile", 8, 0, "VHDX"},
	{"conectix", 8, 0, "VPC"}, {"\x7f\x10\xda\xbe", 4, 64, "VDI"},	     {"QED\0", 4, 0, "QED"},
};

__attribute__((format(printf, 2, 3))) static int refuse(char error[IMAGE_ERROR_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, IMAGE_ERROR_SIZE, format, args);
	va_end(args);
	return -1;
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static bool is_qcow2(const struct header *h)
{
	return h->size >= 4 && memcmp(h->bytes, "QFI\xfb", 4) == 0;
}

static int probe_qcow2(const char *path, const struct header *h, struct image *out, char *error)
{
	uint32_t version;

	if (!is_qcow2(h) || h->size < 72)
		return refuse(error, "%s is not a qcow2 image", path);
	version = be32(h->bytes + 4);
	if (version != 2 && version != 3)
		return refuse(error, "%s is qcow version %u: only 2 and 3 are known", path, version);
	if (be64(h->bytes + 8) != 0)
		return refuse(
			error,
			"%s needs a backing file, and is no whole disk; make it one: qemu-img convert -O qcow2 %s WHOLE.qcow2",
			path, path);
	if (version == 3 && h->size >= 80 && (be64(h->bytes + 72) & EXTERNAL_DATA_FILE) != 0)
		return refuse(error, "%s keeps its data in another file; make it whole: qemu-img convert -O qcow2 %s WHOLE.qcow2",
			      path, path);
	if (be32(h->bytes + 32) != 0)
		return refuse(error, "%s is encrypted; decrypt it with qemu-img first", path);
	out->format = IMAGE_QCOW2;
	out->size_bytes = be64(h->bytes + 24);
	return 0;
}

static int probe_raw(const char *path, int fd, struct image *out, char *error)
{
	off_t size = lseek(fd, 0, SEEK_END); /* of block devices, too */

	if (size < 0)
		return refuse(error, "cannot tell the size of %s: %s", path, strerror(errno));
	out->format = IMAGE_RAW;
	out->size_bytes = (uint64_t)size;
	return 0;
}

static int probe_any(const char *path, int fd, const struct header *h, struct image *out, char *error)
{
	if (is_qcow2(h))
		return probe_qcow2(path, h, out, error);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (h->size >= foreign[i].offset + foreign[i].size &&
		    memcmp(h->bytes + foreign[i].offset, foreign[i].magic, foreign[i].size) == 0)
			return refuse(error,
				      "%s is a %s image: convert it with \"qemu-img convert -O raw\" first, or say --format raw to "
				      "take it as it is",
				      path, foreign[i].name);
	return probe_raw(path, fd, out, error);
}

int image_probe(const char *path, enum image_format wanted, struct image *out, char error[IMAGE_ERROR_SIZE])
{
	struct header header = {.size = 0};
	struct stat st;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return refuse(error, "cannot open %s: %s", path, strerror(errno));
	got = fstat(fd, &st) != 0 ? -1 : pread(fd, header.bytes, sizeof(header.bytes), 0);
	if (got < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		rc = refuse(error, "%s is not a file or block device that can be read", path);
		goto close;
	}
	header.size = (size_t)got;
	if (wanted == IMAGE_RAW)
		rc = probe_raw(path, fd, out, error);
	else if (wanted == IMAGE_QCOW2)
		rc = probe_qcow2(path, &header, out, error);
	else
		rc = probe_any(path, fd, &header, out, error);
	if (rc == 0 && out->size_bytes == 0)
		rc = refuse(error, "%s is empty", path);
close:
	close(fd);
	return rc;
}

enum image_format image_format_parse(const char *text)
{
	if (text == NULL)
		return IMAGE_ANY;
	return strcmp(text, "qcow2") == 0 ? IMAGE_QCOW2 : IMAGE_RAW;
}

const char *image_format_name(enum image_format format)
{
	return format == IMAGE_QCOW2 ? "qcow2" : "raw";
}
