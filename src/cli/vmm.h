/* What a virtual machine monitor must be told so that its guest gets the disk behind a vhost-user-blk socket. */
#ifndef OUTBOARD_CLI_VMM_H
#define OUTBOARD_CLI_VMM_H

#include <jansson.h>
#include <stdbool.h>

struct vmm_disk {
	const char *name; /* of the volume */
	const char *socket;
	unsigned queues;
	bool packed;
};

/* {qemu: [arguments], cloud_hypervisor: [arguments], firecracker: {drive}} */
json_t *vmm_lines(const struct vmm_disk *disk);
/* The same as lines for a shell. */
void vmm_print(const struct vmm_disk *disk);

#endif
