/* DPDK's environment, once a process. src/vpc/eal_dpdk.c, wire_dpdk.c, offload_dpdk.c are the only files that know DPDK's devices.
 */
#ifndef OUTBOARD_VPC_EAL_DPDK_H
#define OUTBOARD_VPC_EAL_DPDK_H

#include <stdbool.h>
#include <stddef.h>

#include "vpc/wire.h"

struct eal_config {
	int core;	     /* of the network poller: EAL may not pin our threads elsewhere */
	bool huge;	     /* huge pages where there are any */
	bool pci;	     /* a wire is a PCI device */
	unsigned memory_mib; /* for packet buffers without huge pages */
};

/* Before the sandbox closes. Restores the calling thread's affinity. 0 or -errno with a sentence. Its log lines go to ours. */
int eal_open(const struct eal_config *config, char *error, size_t error_size);
void eal_close(void);
/* Probes and starts the device of `config`: one receive and one transmit queue. -ENODEV, -EINVAL, ... with a sentence that names
 * the device and what to do. */
int wire_dpdk_open(struct wire **out, const struct wire_config *config, unsigned index, char *error, size_t error_size);

#endif
