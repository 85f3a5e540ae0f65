/* Small stable numbers. A slot that is given up stays leased until no root that knew it is read any more (model.h). */
#ifndef OUTBOARD_VPC_MODEL_SLOTS_H
#define OUTBOARD_VPC_MODEL_SLOTS_H

#include <stdint.h>

#include "base/list.h"

struct model_slots {
	uint64_t *taken; /* bit map */
	uint32_t word_count;
	uint32_t limit, in_use;
	uint32_t top; /* all that ever were in use are below */
};

struct model_lease {
	struct list link;
	struct model_slots *slots;
	uint32_t slot;
};

int model_slot_lease(struct model_slots *slots, struct model_lease **out); /* the lowest that is free. -ENOSPC, -ENOMEM */
void model_slot_return(struct model_lease *lease);			   /* NULL: nothing */

#endif
