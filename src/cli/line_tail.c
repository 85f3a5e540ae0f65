#include "cli/line_tail.h"

#include <stdbool.h>

/* Do the first `count` lines of `newer` end `older`? */
static bool continues(const json_t *older, const json_t *newer, size_t count)
{
	size_t from = json_array_size(older) - count;

	for (size_t i = 0; i < count; i++)
		if (!json_equal(json_array_get(older, from + i), json_array_get(newer, i)))
			return false;
	return true;
}

/* The longest overlap is right: lines have times, and repeat themselves only side by side. */
size_t line_tail_new(const json_t *older, const json_t *newer)
{
	size_t old_size = json_array_size(older), new_size = json_array_size(newer);
	size_t overlap = old_size < new_size ? old_size : new_size;

	while (overlap > 0 && !continues(older, newer, overlap))
		overlap--;
	return overlap;
}
