/* What commands about rules of security groups and of ACLs have in common. */
#ifndef OUTBOARD_CLI_NET_RULE_H
#define OUTBOARD_CLI_NET_RULE_H

#include <jansson.h>

#include "cli/command.h"

#define NET_RULE_DIRECTION_OPTIONS                                                                                                 \
	{"ingress", 0, CLI_FLAG, NULL, "of what comes in", false},                                                                 \
	{                                                                                                                          \
		"egress", 0, CLI_FLAG, NULL, "of what goes out", false                                                             \
	}
#define NET_RULE_MATCH_OPTIONS                                                                                                     \
	{"protocol", 0, CLI_TEXT, "PROTOCOL", "tcp, udp, icmp, icmpv6, all, or a number", true},                                   \
		{"ports", 0, CLI_TEXT, "PORTS", "of the side that answers: 80, or 1000-2000 (default: all)", false},               \
		{"icmp-type", 0, CLI_NUMBER, "N", "of icmp and icmpv6 (default: all)", false},                                     \
	{                                                                                                                          \
		"icmp-code", 0, CLI_NUMBER, "N", "of icmp and icmpv6 (default: all)", false                                        \
	}

/* Each: fields of a rule from the options. -1, or the exit status. */
int net_rule_direction(const struct cli *cli, json_t *rule);
int net_rule_match(const struct cli *cli, json_t *rule);

/*
 * {verb: list} to the rules or routes of the object that is the first argument; takes `list` over. Prints each element as
 * `says` puts it in words, and how many there are now. Returns the exit status.
 */
struct net_items {
	const char *path;  /* "security-groups": in the API */
	const char *name;  /* "rules" */
	const char *count; /* "rule_count" */
	const char *one;   /* "rule" */
	const char *taken; /* what to say when it is there already, with other contents */
	void (*says)(const json_t *item, char *text, size_t size);
};
int net_items_change(const struct cli *cli, const struct net_items *items, const char *verb, json_t *list);

/* "tcp 80", "icmp type 8", "all". */
const char *net_rule_traffic(const json_t *rule, char text[64]);

#endif
