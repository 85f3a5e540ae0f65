/* What one bounded piece of work on a source of work came to: what a poller is told, whatever it polls. */
#ifndef OUTBOARD_BASE_VISIT_H
#define OUTBOARD_BASE_VISIT_H

#include <stdbool.h>
#include <stdint.h>

struct visit {
	unsigned started;   /* requests or packets taken */
	bool more;	    /* there is more: visit again without waiting */
	uint64_t again_tsc; /* not 0: nothing to be had before then, by an allowance or by the clock */
};

#endif
