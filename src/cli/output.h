/* What a command prints: one JSON object with --json, aligned tables and sentences otherwise. */
#ifndef OUTBOARD_CLI_OUTPUT_H
#define OUTBOARD_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

/* Both print and return the exit status, so that a handler can end with `return cli_fail(...)`. */
int cli_fail(const struct cli *cli, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

void print_json(const json_t *object); /* one line */

/*
 * A table, filled cell by cell, row by row; columns become as wide as their widest cell. A column whose heading starts with '>' is
 * aligned to the right. Control characters are shown as '?': a tag or a path must not play with the terminal.
 */
struct text_table;
struct text_table *table_new(unsigned columns, const char *const *headings);
void table_add(struct text_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct text_table *table, FILE *out); /* and frees it; NULL: only frees it */

/* Every cell of a "name: value" listing. */
void print_field(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
