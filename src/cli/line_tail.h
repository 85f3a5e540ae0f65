/* Which lines of a growing log are new, when all that can be had is its end. Pure. */
#ifndef OUTBOARD_CLI_LINE_TAIL_H
#define OUTBOARD_CLI_LINE_TAIL_H

#include <jansson.h>
#include <stddef.h>

/* The index of the first line of `newer` behind those that were in `older`: both are ends of one log, arrays of texts. */
size_t line_tail_new(const json_t *older, const json_t *newer);

#endif
