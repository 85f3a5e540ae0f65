/*
 * Lines of flow logs on their way from the poller to control: a ring of fixed slots with one writer (the poller) and one reader (the
 * control thread, which tells control ten times a second). A line that finds no room, or control gone, is lost and counted.
 */
#ifndef OUTBOARD_CARD_FLOW_LOG_RING_H
#define OUTBOARD_CARD_FLOW_LOG_RING_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	FLOW_LOG_SLOTS = 8192, /* a power of two: 80,000 lines a second */
	FLOW_LOG_LINE_SIZE = 256,
	FLOW_LOG_EVENT_LINES_MAX = 256, /* of one event, which then is below COMMAND_INLINE_MAX_BYTES mostly */
};

struct flow_log_ring {
	_Atomic uint32_t written, read;
	_Atomic uint64_t lost;
	uint64_t lost_told; /* the reader's */
	char lines[FLOW_LOG_SLOTS][FLOW_LOG_LINE_SIZE];
};

/* (poller) Copies the line; cut to fit. False: lost. */
bool flow_log_ring_put(struct flow_log_ring *ring, const char *line);
/* (control) Fields of the next flow_log event, {lines, lost}, or NULL: there is nothing to tell. */
json_t *flow_log_ring_take(struct flow_log_ring *ring);

#endif
