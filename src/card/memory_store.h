/*
 * The memfds of memory volumes: kept by whoever started us (FDSTORE), so that their contents outlive the card process.
 */
#ifndef OUTBOARD_CARD_MEMORY_STORE_H
#define OUTBOARD_CARD_MEMORY_STORE_H

#include "card/card.h"

void memory_store_inherit(struct card *card);				    /* at start: those that an earlier card left */
int memory_store_find(struct card *card, const struct uuid *volume);	    /* a descriptor, or -ENOENT */
int memory_store_add(struct card *card, const struct uuid *volume, int fd); /* takes fd; 0 or -errno */
void memory_store_remove(struct card *card, const struct uuid *volume);
void memory_store_close(struct card *card); /* our descriptors only: the contents stay */

#endif
