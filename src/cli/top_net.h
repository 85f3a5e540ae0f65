/* The network's part of `outboard top`. */
#ifndef OUTBOARD_CLI_TOP_NET_H
#define OUTBOARD_CLI_TOP_NET_H

#include <jansson.h>
#include <stdio.h>

/* Of what stats_between() made: nothing where there is no network. */
void top_write_network(const json_t *stats, FILE *out);

#endif
