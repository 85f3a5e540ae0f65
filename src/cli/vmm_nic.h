/* What a virtual machine monitor must be told so that its guest gets the NIC behind a vhost-user-net socket. */
#ifndef OUTBOARD_CLI_VMM_NIC_H
#define OUTBOARD_CLI_VMM_NIC_H

#include <jansson.h>

struct vmm_nic {
	const char *name; /* of the ENI */
	const char *socket;
	const char *mac;
	unsigned queues; /* pairs, as attached */
	unsigned mtu;	 /* 0: the device says nothing about it */
};

/* QEMU's arguments for the NIC; with `memory` ("4G") those of memory that the card shares before them. */
json_t *vmm_nic_qemu(const struct vmm_nic *nic, const char *memory);
/* {qemu: [arguments], cloud_hypervisor: [arguments]}, both with memory. Firecracker has no such NIC. */
json_t *vmm_nic_lines(const struct vmm_nic *nic);
/* The same as lines for a shell, and what to do about Firecracker. */
void vmm_nic_print(const struct vmm_nic *nic);

#endif
