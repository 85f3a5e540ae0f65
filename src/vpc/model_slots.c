#include "vpc/model_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 64 };

static int grow(struct model_slots *slots)
{
	uint32_t words = slots->word_count == 0 ? 4 : slots->word_count * 2;
	uint64_t *taken = realloc(slots->taken, words * sizeof(*taken));

	if (taken == NULL)
		return -ENOMEM;
	memset(taken + slots->word_count, 0, (words - slots->word_count) * sizeof(*taken));
	slots->taken = taken;
	slots->word_count = words;
	return 0;
}

int model_slot_lease(struct model_slots *slots, struct model_lease **out)
{
	struct model_lease *lease;
	uint32_t word = 0, bit;

	if (slots->in_use >= slots->limit)
		return -ENOSPC;
	while (word < slots->word_count && slots->taken[word] == UINT64_MAX)
		word++;
	if (word == slots->word_count && grow(slots) < 0)
		return -ENOMEM;
	lease = calloc(1, sizeof(*lease));
	if (lease == NULL)
		return -ENOMEM;
	bit = (uint32_t)__builtin_ctzll(~slots->taken[word]);
	slots->taken[word] |= UINT64_C(1) << bit;
	slots->in_use++;
	list_init(&lease->link);
	lease->slots = slots;
	lease->slot = word * BITS + bit;
	if (lease->slot >= slots->top)
		slots->top = lease->slot + 1;
	*out = lease;
	return 0;
}

void model_slot_return(struct model_lease *lease)
{
	if (lease == NULL)
		return;
	lease->slots->taken[lease->slot / BITS] &= ~(UINT64_C(1) << lease->slot % BITS);
	lease->slots->in_use--;
	list_del(&lease->link);
	free(lease);
}
