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

/* ---- for the other devices (vmm_nic.c) ---- */

#define VMM_MEMORY "4G"							      /* of the machine in the lines */
json_t *vmm_qemu_memory(const char *size);				      /* QEMU's arguments for memory that the card shares */
json_t *vmm_qemu_value(const char *head, const char *text, const char *tail); /* `text` as a value of QEMU's options */
void vmm_print_line(const char *command, const json_t *line);
void vmm_print_quoted(const char *word); /* for a shell */

#endif
