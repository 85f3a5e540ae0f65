/* Shared by the files of the metrics, and nobody else: how a family and a label are written. */
#ifndef OUTBOARD_CONTROL_METRICS_PRINT_H
#define OUTBOARD_CONTROL_METRICS_PRINT_H

#include <jansson.h>
#include <stdio.h>

json_int_t metrics_number(const json_t *object, const char *field);   /* 0 when it is none */
const char *metrics_text_of(const json_t *object, const char *field); /* "" likewise */
void metrics_print_label(FILE *out, const char *value);
void metrics_print_family(FILE *out, const char *name, const char *type, const char *help);

void metrics_print_network(FILE *out, const json_t *stats); /* metrics_net.c: ENIs, flows, stages, wires */

#endif
