#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/image.h"

/* Headers written by hand; real images of qemu-img's are in test/e2e/cli.py. */
static char path[] = "/tmp/outboard-image-XXXXXX";
static char error[IMAGE_ERROR_SIZE];
static struct image image;

static int set_up(void **state)
{
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void write_file(const void *data, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

struct qcow2 {
	char magic[4];
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t size;
	uint32_t encryption, l1_size;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, snapshots;
	uint64_t snapshots_offset, incompatible;
} __attribute__((packed));

static struct qcow2 good_header(void)
{
	struct qcow2 h = {.magic = {'Q', 'F', 'I', '\xfb'}, .version = htobe32(3), .size = htobe64(1 << 30)};

	return h;
}

static int probe_header(const struct qcow2 *h, size_t size)
{
	write_file(h, size);
	return image_probe(path, IMAGE_ANY, &image, error);
}

static void qcow2(void **state)
{
	struct qcow2 h = good_header();

	(void)state;
	assert_int_equal(probe_header(&h, sizeof(h)), 0);
	assert_int_equal(image.format, IMAGE_QCOW2);
	assert_int_equal(image.size_bytes, 1 << 30);
	h.version = htobe32(2);
	h.incompatible = htobe64(4); /* not part of version 2's header */
	assert_int_equal(probe_header(&h, 72), 0);
}

static void qcow2_that_reads_other_files(void **state)
{
	struct qcow2 h = good_header();

	(void)state;
	h.backing_offset = htobe64(0x70);
	assert_int_equal(probe_header(&h, sizeof(h)), -1);
	assert_non_null(strstr(error, "needs a backing file"));
	h = good_header();
	h.incompatible = htobe64(4);
	assert_int_equal(probe_header(&h, sizeof(h)), -1);
	assert_non_null(strstr(error, "keeps its data in another file"));
	h = good_header();
	h.encryption = htobe32(2);
	assert_int_equal(probe_header(&h, sizeof(h)), -1);
	assert_non_null(strstr(error, "is encrypted"));
}

static void qcow2_that_is_none(void **state)
{
	struct qcow2 h = good_header();

	(void)state;
	assert_int_equal(probe_header(&h, 71), -1);
	assert_non_null(strstr(error, "is not a qcow2 image"));
	h.version = htobe32(1);
	assert_int_equal(probe_header(&h, sizeof(h)), -1);
	assert_non_null(strstr(error, "version 1"));
	h = good_header();
	h.size = 0;
	assert_int_equal(probe_header(&h, sizeof(h)), -1);
	assert_non_null(strstr(error, "is empty"));
	h = good_header();
	write_file(&h, sizeof(h));
	assert_int_equal(image_probe(path, IMAGE_RAW, &image, error), 0);
	assert_int_equal(image.size_bytes, sizeof(h));
}

static void foreign_formats(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		unsigned offset;
		const char *name;
	} formats[] = {
		{"KDMV", 4, 0, "VMDK"},	   {"# Disk DescriptorFile", 21, 0, "VMDK"}, {"vhdxfile", 8, 0, "VHDX"},
		{"conectix", 8, 0, "VPC"}, {"\x7f\x10\xda\xbe", 4, 64, "VDI"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char data[512] = "";

		memcpy(data + formats[i].offset, formats[i].bytes, formats[i].size);
		write_file(data, sizeof(data));
		assert_int_equal(image_probe(path, IMAGE_ANY, &image, error), -1);
		assert_non_null(strstr(error, formats[i].name));
		assert_int_equal(image_probe(path, IMAGE_RAW, &image, error), 0);
		write_file(data, formats[i].offset + formats[i].size - 1); /* too short to be one */
		assert_int_equal(image_probe(path, IMAGE_ANY, &image, error), 0);
	}
}

static void what_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(image_probe("/nonexistent", IMAGE_ANY, &image, error), -1);
	assert_int_equal(image_probe("/tmp", IMAGE_ANY, &image, error), -1);
	assert_int_equal(image_probe("/dev/null", IMAGE_ANY, &image, error), -1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_probe(path, IMAGE_RAW, &image, error), -1); /* and it does not hang */
	assert_non_null(strstr(error, "not a file or block device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(qcow2, set_up, tear_down),
		cmocka_unit_test_setup_teardown(qcow2_that_reads_other_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(qcow2_that_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(foreign_formats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_file, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
