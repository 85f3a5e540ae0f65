/* Counters as JSON: what the files of "stats" share. Times in nanoseconds. */
#ifndef OUTBOARD_CARD_STATS_JSON_H
#define OUTBOARD_CARD_STATS_JSON_H

#include <jansson.h>

#include "base/account.h"

/* A counter that a poller writes. */
#define STATS_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

json_t *stats_ns(uint64_t ticks);
json_t *stats_histogram(const struct histogram *histogram);
json_t *stats_stage(const char *name, const struct account *account);

#endif
