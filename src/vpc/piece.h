/*
 * The memory of immutable policy, control thread only. A policy is made of pieces. What a change makes is on the change's list, what
 * is in force on the model's, what a change replaced on that of the root it replaced: a piece moves from list to list, and is freed
 * with its list. So there are no reference counts: roots follow one another in a line, a piece is in consecutive ones, and the last
 * root that had it takes it along.
 *
 * A piece can have parts (pieces that live as long as it does), which go where it goes.
 */
#ifndef OUTBOARD_VPC_PIECE_H
#define OUTBOARD_VPC_PIECE_H

#include <stddef.h>

#include "base/list.h"

void *piece_new(struct list *owner, size_t size); /* zeroed, aligned to a cache line; NULL: no memory */
struct list *piece_parts(const void *piece);	  /* an owner for its parts */
void piece_move(const void *piece, struct list *to);
void piece_free(const void *piece); /* NULL: nothing */

void pieces_move(struct list *from, struct list *to); /* all of them */
void pieces_free(struct list *owner);

#endif
