/*
 * Flow logs: DIR/flow-logs/NAME.log for ENI "NAME", one line a flow and interval, as the card gives them (the default fields of
 * AWS's version 2). A file that has grown to NET_FLOW_LOG_MAX_BYTES becomes NAME.log.1, in place of the one before. A log is for
 * people to keep: it stays when its ENI is deleted.
 *
 * What cannot be written is lost, and counted in the log of outboard-control: a full disk stops nothing else.
 */
#ifndef OUTBOARD_CONTROL_NET_FLOW_LOG_H
#define OUTBOARD_CONTROL_NET_FLOW_LOG_H

#include <jansson.h>

struct control;

enum {
	NET_FLOW_LOG_MAX_BYTES = 64 << 20,
	NET_FLOW_LOG_LINE_MAX_BYTES = 512,
	NET_FLOW_LOG_LINES_DEFAULT = 100,
	NET_FLOW_LOG_LINES_MAX = 10000,
};

void net_flow_log_take(struct control *control, const json_t *event); /* lines of any ENIs, each naming its own */
/* The last `count` lines of an ENI's log, oldest first: an array, empty when there are none. NULL: it cannot be read (errno). */
json_t *net_flow_log_tail(const char *state_dir, const char *eni, size_t count);

#endif
