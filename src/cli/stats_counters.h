/* Differences of counters between two snapshots: what stats.c and stats_net.c share. */
#ifndef OUTBOARD_CLI_STATS_COUNTERS_H
#define OUTBOARD_CLI_STATS_COUNTERS_H

#include <jansson.h>
#include <stdint.h>

/* newer - older; from zero when the counter started anew. */
uint64_t stats_advance(const json_t *older, const json_t *newer, const char *name);
/* The element of `list` with the same value of `key`, or NULL. */
const json_t *stats_find(const json_t *list, const char *key, const json_t *like);

/* "enis" and "network" of stats_between(). */
json_t *stats_enis(const json_t *older, const json_t *newer, double seconds);
json_t *stats_network(const json_t *older, const json_t *newer, double seconds); /* null: there is none */

#endif
