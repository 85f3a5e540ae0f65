#include "vpc/piece.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

struct piece {
	struct list link, parts;
	char pad[LINE - 2 * sizeof(struct list)];
};
_Static_assert(sizeof(struct piece) == LINE, "what follows it is aligned");

static struct piece *piece_of(const void *body)
{
	return (struct piece *)(void *)((char *)(uintptr_t)body - LINE);
}

void *piece_new(struct list *owner, size_t size)
{
	struct piece *p;

	if (size > SIZE_MAX - 2 * LINE)
		return NULL;
	size = (size + sizeof(*p) + LINE - 1) & ~(size_t)(LINE - 1);
	p = aligned_alloc(LINE, size);
	if (p == NULL)
		return NULL;
	memset(p, 0, size);
	list_init(&p->parts);
	list_add_tail(owner, &p->link);
	return p + 1;
}

struct list *piece_parts(const void *piece)
{
	return &piece_of(piece)->parts;
}

void piece_move(const void *piece, struct list *to)
{
	struct piece *p = piece_of(piece);

	list_del(&p->link);
	list_add_tail(to, &p->link);
}

void piece_free(const void *piece)
{
	struct piece *p;

	if (piece == NULL)
		return;
	p = piece_of(piece);
	list_del(&p->link);
	pieces_free(&p->parts);
	free(p);
}

void pieces_move(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

void pieces_free(struct list *owner)
{
	list_for_each_safe (node, after, owner)
		piece_free(list_entry(node, struct piece, link) + 1);
}
