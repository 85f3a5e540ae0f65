#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/control.h"

bool busy_is(const struct control *control, const char *volume)
{
	for (const struct list *it = control->busy.next; it != &control->busy; it = it->next)
		if (strcmp(list_entry(it, struct busy, node)->name, volume) == 0)
			return true;
	return false;
}

int busy_take(struct control *control, struct busy *busy, const char *volume, struct failure *failure)
{
	if (busy_is(control, volume))
		return failure_set(failure, ERROR_VOLUME_BUSY, "Volume \"%s\" is being changed by another request; try again.",
				   volume);
	snprintf(busy->name, sizeof(busy->name), "%s", volume);
	list_add_tail(&control->busy, &busy->node);
	return 0;
}

void busy_release(struct busy *busy)
{
	list_del(&busy->node);
}

int64_t now_s(void)
{
	return (int64_t)time(NULL);
}
