/* Where the data of a file volume lie: a file that the card makes and removes, or a block device, which was there before and stays. */
#ifndef CONTROL_PLACE_H
#define CONTROL_PLACE_H

#include <stdbool.h>

#include "control/control.h"

bool place_is_block_device(const char *path);

/* Whether one more volume may be made, at `path` ("": nowhere). 0, or -EINVAL with the failure. */
int place_check(struct control *control, const char *path, struct failure *failure);

#endif
