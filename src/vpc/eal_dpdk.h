/*
 * DPDK's environment, once a process. Files named so are the only ones that know DPDK's devices.
 *
 * System calls once wires are open, for a sandbox (as strace shows them):
 *
 *	a poller's first touch	gettid, access, sched_getaffinity
 *	af_packet		sendto, poll; close: close, munmap
 *	af_xdp			sendto, recvfrom, poll; close: also bpf, statfs, openat, mkdir, flock, netlink (socket, bind, getsockname,
 *				setsockopt, sendto, recvmsg). Without them, or CAP_NET_ADMIN, its program stays on the interface, where it
 *				does nothing.
 *	tap			readv, writev, ioctl, poll, recvfrom (interface changes), rt_sigreturn (its signal comes to the interrupt
 *				thread); close: ioctl, close
 *	memif			on the interrupt thread socket, connect, accept, sendmsg, recvmsg, memfd_create, ftruncate, fcntl, mmap,
 *				munmap, eventfd2, read, write, unlink; on the poller write
 *	pcap			read, write; on an interface sendto, poll
 *	null, ring		none
 *	PCI (vfio)		ioctl, read, poll
 *	interrupt thread	epoll_create, epoll_ctl, epoll_wait, read, close, timerfd_settime
 */
#ifndef OUTBOARD_VPC_EAL_DPDK_H
#define OUTBOARD_VPC_EAL_DPDK_H

#include <stdbool.h>
#include <stddef.h>

#include "vpc/wire.h"

enum { EAL_MEMORY_MIB_DEFAULT = 64, EAL_LINE_SIZE = 200 };

struct eal_config {
	int core;	     /* of the network poller: EAL's interrupt thread keeps off it, where there is another one */
	bool huge;	     /* huge pages, if enough of them are free */
	bool pci;	     /* a wire is a PCI device */
	unsigned memory_mib; /* for packet buffers; 0: EAL_MEMORY_MIB_DEFAULT */
};

/* Before the sandbox closes, and before other threads set the environment. Affinity and signal mask of the calling thread are as
 * before. 0 or -errno with a sentence. DPDK's log lines go to ours. */
int eal_open(const struct eal_config *config, char *error, size_t error_size);
void eal_close(void);
/* Runs it on DPDK's interrupt thread and waits: for what belongs to a thread, as capabilities do. What it returned, or -errno. */
int eal_on_interrupt_thread(int (*run)(void));
/* The last error or warning that DPDK logged since eal_forget_line(); "" if there was none. Not with other threads in DPDK. */
const char *eal_last_line(void);
void eal_forget_line(void);

/* Probes and starts the device of `config`: one receive and one transmit queue. -ENODEV, -EINVAL, ... with a sentence that names
 * the device and what to do. The wire's calls are the poller's; close() comes when no poller has it any more. */
int wire_dpdk_open(struct wire **out, const struct wire_config *config, unsigned index, char *error, size_t error_size);

#endif
