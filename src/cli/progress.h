/* A progress bar on standard error: redrawn in place on a terminal, a line every tenth elsewhere, nothing when not wanted. */
#ifndef OUTBOARD_CLI_PROGRESS_H
#define OUTBOARD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
	FILE *out; /* NULL: nothing is shown */
	bool terminal;
	const char *what; /* "importing disk1" */
	uint64_t size_bytes;
	uint64_t start_ns;
	int shown; /* the last tenth, or the last percent on a terminal; -1: nothing yet */
};

void progress_start(struct progress *p, FILE *out, bool terminal, const char *what, uint64_t size_bytes);
void progress_update(struct progress *p, double percent, uint64_t now_ns);
void progress_end(struct progress *p); /* leaves the cursor on a line of its own */

/* Finds the last "(12.34/100%)" in what qemu-img -p wrote; false when there is none. */
bool progress_parse(const char *text, double *percent);

#endif
