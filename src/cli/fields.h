/* Reading the API's objects for people. A field that is missing or of another type reads as "", 0 or false: it is shown, not
 * trusted. */
#ifndef OUTBOARD_CLI_FIELDS_H
#define OUTBOARD_CLI_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"

const char *field_text(const json_t *object, const char *name);
uint64_t field_number(const json_t *object, const char *name);
bool field_true(const json_t *object, const char *name);
bool field_is_set(const json_t *object, const char *name); /* there, and not null */

/* --tags "a=b,c=d" as "tags" of the body. -1, or the exit status. */
int fields_add_tags(const struct cli *cli, json_t *body);

void print_limits(const json_t *volume);
void print_tags(const json_t *tags);
/* {"NAME": list}; takes `list` over. Returns 0, as print_done() does, for handlers to end with. */
int print_list(const char *name, json_t *list);
/* "disk1 deleted", or {"deleted": "disk1"}. */
int print_done(const struct cli *cli, const char *verb, const char *name);

char *path_absolute(const char *path); /* seen from our directory, which is not the card's; the caller frees it */
json_t *json_string_absolute(const char *path);

#endif
