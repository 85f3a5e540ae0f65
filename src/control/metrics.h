/* The card's counters (card/command.h, "stats") and ours as Prometheus text, format 0.0.4. Pure. */
#ifndef OUTBOARD_CONTROL_METRICS_H
#define OUTBOARD_CONTROL_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct metrics {
	bool card_up;
	int64_t restarts;
	int64_t attachments;
	json_t *errors;	     /* volume name -> failures that the card reported */
	const json_t *stats; /* NULL: the card does not answer */
};

char *metrics_text(const struct metrics *metrics); /* of malloc(); NULL: out of memory */

#endif
