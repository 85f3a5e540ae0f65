/*
 * Closing what a VMM gave us. close(2) waits for whoever is behind a descriptor: a FUSE server that is asked to flush, a TCP socket
 * that lingers, and the same for descriptors that lie unread in a socket's queue. It may also be the last one of gigabytes of guest
 * memory. The control thread waits for none of them: the kernel's own workers do, as many as it takes (io_uring(7)).
 */
#ifndef OUTBOARD_VIRTIO_DISCARD_H
#define OUTBOARD_VIRTIO_DISCARD_H

/* (control) Once, before the sandbox; the workers keep to the processors that the caller may use now. 0 or -errno. */
int discard_open(void);
void discard_close(void);

/* (control) Closes `fd` at some time. Before discard_open(): at once. */
void discard(int fd);

#endif
