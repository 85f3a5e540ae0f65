/* Intrusive circular doubly linked list. A head and an unlinked node both point at themselves. */
#ifndef OUTBOARD_BASE_LIST_H
#define OUTBOARD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define list_entry(node, type, member) container_of(node, type, member)

/* The body may unlink `it`, and nothing else of the list. */
#define list_for_each_safe(it, after, head)                                                                                        \
	for (struct list *it = (head)->next, *after = it->next; it != (head); it = after, after = it->next)

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
