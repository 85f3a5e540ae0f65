/*
 * Fragments are not reassembled: (zone, direction, source, destination, protocol, identification) of a first fragment is remembered
 * with the ports it showed, and later ones follow it. A later one that comes first is dropped. Bounded: entries live 30 s at most
 * (RFC 791: 15 s is asked for; Linux: 30), `per_zone_max` of a zone; the oldest of the own zone makes room, never another's.
 */
#ifndef OUTBOARD_VPC_FRAGMENT_H
#define OUTBOARD_VPC_FRAGMENT_H

#include "base/packet.h"
#include "vpc/drop.h"

enum { FRAGMENT_LIFE_MS = 30000, FRAGMENT_ENTRIES_LIMIT = 1 << 20 };

struct fragment_table;

/* -EINVAL: a number is 0 or beyond the limit; -ENOMEM. */
int fragment_table_open(struct fragment_table **out, uint32_t entries_max, uint32_t per_zone_max);
void fragment_table_close(struct fragment_table *t);
/* A first fragment: takes note. A later one: fills p->layers' ports. Others: nothing. DROP_NONE, DROP_FRAGMENT_FIRST_MISSING,
 * DROP_FRAGMENT_TABLE_FULL. */
enum drop_reason fragment_follow(struct fragment_table *t, uint32_t zone, bool inbound, struct packet *p, uint32_t now_ms);
/* A first fragment that was refused after all: nothing follows it, so who is refused takes nobody's room. */
void fragment_forget(struct fragment_table *t, uint32_t zone, bool inbound, const struct packet *p);

#endif
