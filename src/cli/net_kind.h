/*
 * The ten kinds of objects of a VPC on the command line: one description each (net_vpc.c, net_subnet.c, ...), and one
 * implementation of create, list, show, change and delete (net_object.c) for all of them. A new field is an option and a line of the
 * kind's `fields`.
 */
#ifndef OUTBOARD_CLI_NET_KIND_H
#define OUTBOARD_CLI_NET_KIND_H

#include <jansson.h>

#include "cli/command.h"

enum net_type {
	NET_TEXT,
	NET_WORDS, /* an option that repeats: a list */
	NET_NUMBER,
	NET_SECONDS,  /* 0 on the command line: null, as of the two below */
	NET_LIMIT,    /* so many */
	NET_RATE,     /* bits a second */
	NET_YES_NO,   /* --option yes|no */
	NET_TAGS,     /* --tags */
	NET_FLOW_LOG, /* --flow-log and --flow-log-interval */
};

enum { NET_COLUMNS_MAX = 8, NET_FIELDS_MAX = 24, NET_TEXT_SIZE = 512 };

/* What an option sets and `show` prints. */
struct net_field {
	const char *option; /* NULL: it is only shown */
	const char *name;   /* in the API */
	const char *label;  /* NULL: it is not shown */
	enum net_type type;
	const char *absent; /* shown for null; NULL: the line is left out */
};

struct net_column {
	const char *heading;
	const char *field;
	const char *(*text)(const json_t *object, char text[NET_TEXT_SIZE]); /* instead of a field */
};

struct net_kind {
	const char *word;   /* "route-table": the first word of its commands */
	const char *title;  /* "route table" */
	const char *titles; /* "route tables" */
	const char *path;   /* "route-tables": in the API */
	const char *list;   /* "route_tables": in JSON */
	const char *make;   /* the rest of a command that makes one */
	struct net_column columns[NET_COLUMNS_MAX];
	struct net_field fields[NET_FIELDS_MAX];
	void (*show)(const json_t *object); /* what of it is more than fields; may be NULL */
	void (*adjust)(json_t *change);	    /* completes a change; may be NULL */
};

extern const struct net_kind net_vpc, net_subnet, net_security_group, net_acl, net_route_table, net_peering, net_eni, net_nat,
	net_eip, net_host;
extern const struct net_kind *const net_kinds[]; /* in the order of a file to be loaded; ends with NULL */

/* The handlers of commands: the kind is the command's first word, the object its first argument. */
int net_create(struct cli *cli);
int net_list(struct cli *cli);
int net_show(struct cli *cli);
int net_change(struct cli *cli);
int net_delete(struct cli *cli);

/* ---- net_field.c ---- */

/* Fields of `body` from the options that are given. -1, or the exit status. */
int net_fields_take(const struct cli *cli, const struct net_kind *kind, json_t *body);
void net_field_print(const struct net_field *field, const json_t *object);

/* A value in a few words: "yes", "10.0.1.4, fd00::4", "-" for null. At most `words` of a list, and how many more there are. */
const char *net_text(const json_t *value, unsigned words, char text[NET_TEXT_SIZE]);

#endif
