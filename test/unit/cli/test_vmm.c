#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/fields.h"
#include "cli/nbd.h"
#include "cli/vmm.h"

static const char *word(const json_t *lines, const char *vmm, size_t i)
{
	return json_string_value(json_array_get(json_object_get(lines, vmm), i));
}

static void lines(void **state)
{
	const struct vmm_disk disk = {.name = "0.disk-1", .socket = "/run/a,b.sock", .queues = 4, .packed = true};
	json_t *all = vmm_lines(&disk), *drive = json_object_get(all, "firecracker");

	(void)state;
	assert_string_equal(word(all, "qemu", 2), "-object");
	assert_string_equal(word(all, "qemu", 3), "memory-backend-memfd,id=mem,size=4G,share=on");
	assert_string_equal(word(all, "qemu", 7), "socket,id=disk-0.disk-1,path=/run/a,,b.sock,reconnect=1");
	assert_string_equal(word(all, "qemu", 9), "vhost-user-blk-pci,chardev=disk-0.disk-1,num-queues=4,packed=on");
	assert_string_equal(word(all, "cloud_hypervisor", 3), "vhost_user=true,socket=/run/a,b.sock,num_queues=4,queue_size=128");
	assert_string_equal(field_text(drive, "drive_id"), "0_disk_1");
	assert_string_equal(field_text(drive, "socket"), "/run/a,b.sock");
	assert_false(field_true(drive, "is_root_device"));
	json_decref(all);
}

static void no_packed_rings_that_are_not_offered(void **state)
{
	const struct vmm_disk disk = {.name = "d", .socket = "/s", .queues = 1};
	json_t *all = vmm_lines(&disk);

	(void)state;
	assert_null(strstr(word(all, "qemu", 9), "packed"));
	json_decref(all);
}

static void nbd_uris(void **state)
{
	char *uri = nbd_uri("/run/out board/\xc3\xa4%&?#.sock");

	(void)state;
	assert_string_equal(uri, "nbd+unix:///?socket=/run/out%20board/%C3%A4%25%26%3F%23.sock");
	free(uri);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(no_packed_rings_that_are_not_offered),
		cmocka_unit_test(nbd_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
