/* What is asked of one ENI: to be attached, traced, captured. The rest of bodies.h. */
#ifndef OUTBOARD_CONTROL_NET_BODIES_H
#define OUTBOARD_CONTROL_NET_BODIES_H

#include "control/fields.h"
#include "control/store_net.h"

enum {
	ENI_QUEUES_MAX = 16, /* pairs */
	ENI_PACKET_SIZE = 256,
	ENI_SNAP_MIN_BYTES = 64,
	ENI_SNAP_MAX_BYTES = 65535,
};

struct eni_attach_body {
	int64_t kind;		       /* enum net_attachment_kind */
	char socket[SOCKET_PATH_SIZE]; /* "": the default */
	int64_t queues;
	bool packed;
	int64_t uid; /* -1: not given */
	int64_t gid;
	int64_t mode;
	char tap[NET_TAP_SIZE];
	char netns[NET_NETNS_SIZE]; /* a name, or an absolute path; "": the card's own */
};

struct eni_trace_body {
	char packet[ENI_PACKET_SIZE];
};

enum eni_capture_action { ENI_CAPTURE_START, ENI_CAPTURE_READ, ENI_CAPTURE_STOP };
extern const char *const eni_capture_actions[]; /* ends with NULL */

struct eni_capture_body {
	int64_t action;	 /* enum eni_capture_action */
	int64_t capture; /* 0: not given */
	int64_t snap_bytes;
	bool drops;
};

/* 0, or -EINVAL with the failure. */
int body_eni_attach(const json_t *body, struct eni_attach_body *out, struct failure *failure);
int body_eni_trace(const json_t *body, struct eni_trace_body *out, struct failure *failure);
int body_eni_capture(const json_t *body, struct eni_capture_body *out, struct failure *failure);

#endif
