/*
 * Tap interfaces need CAP_NET_ADMIN, and CAP_SYS_ADMIN to be made in another network namespace: rights that the data plane must not
 * have. So the card forks a helper before it sheds its own, and asks it: one request, one answer, over a SOCK_SEQPACKET pair. The
 * helper makes a *new* interface (it never takes over one that is there), names it, gives it MAC and MTU, sets it up, and passes the
 * descriptor back; the interface goes when that is closed. It keeps no state, and ends with the card.
 *
 * It trusts the card as little as it needs to: a request is checked again (tap_request_check), a namespace is opened only when the
 * path leads to one, and its system calls are a list of its own.
 */
#ifndef OUTBOARD_CARD_TAP_OPENER_H
#define OUTBOARD_CARD_TAP_OPENER_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_address.h"

enum {
	TAP_NETNS_SIZE = 256,
	TAP_ERROR_SIZE = 256,
	TAP_MTU_MIN = 68,
	TAP_MTU_MAX = 65521,   /* MAX_MTU of a tap, less its Ethernet header */
	TAP_HEADER_BYTES = 12, /* struct virtio_net_hdr_v1 */
};

struct tap_request {
	uint64_t cookie; /* comes back in the answer */
	char name[IFNAMSIZ];
	char netns[TAP_NETNS_SIZE]; /* a name below /run/netns, an absolute path, or "" for the card's own */
	struct mac mac;
	uint16_t mtu;
};

/* Its descriptor (non-blocking, offloads set) travels beside it when error is 0. */
struct tap_reply {
	uint64_t cookie;
	int32_t error;	   /* -errno */
	uint32_t offloads; /* enum sink_offload: what the interface takes as it is */
	char message[TAP_ERROR_SIZE];
};

/* 0, or -EINVAL with a sentence that names what is wrong. */
int tap_request_check(const struct tap_request *request, char *error, size_t error_size);
/* Makes the interface: its descriptor, or -errno with a sentence. Leaves the caller's namespace as it was, or ends the process. */
int tap_request_open(const struct tap_request *request, uint32_t *offloads, char *error, size_t error_size);

/* Forks the helper, before any thread is started: *channel is the card's end. 0 or -errno. */
int tap_opener_start(int *channel);
/* What it does: answers until the other end is closed. */
void tap_opener_serve(int channel);

#endif
