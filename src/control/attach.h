/* Attaching and detaching one volume at the card, with its NBD server where it has one: shared by the API and by settling. */
#ifndef OUTBOARD_CONTROL_ATTACH_H
#define OUTBOARD_CONTROL_ATTACH_H

#include "control/control.h"

/* Embedded by whoever attaches. */
struct attach_call {
	struct control *control;
	struct volume_row volume; /* with its attachment; the owner's to clear */
	struct failure failure;	  /* of attaching or detaching; ERROR_NONE: it worked */
	bool uncertain;		  /* the card did not answer: it may have been done, or be done later */
	void (*done)(struct attach_call *call);
};

void attach_start(struct attach_call *call); /* fails: nothing is left at the card, unless `uncertain` */
void detach_start(struct attach_call *call);

/* Where the card serves a volume that is shown to the world as NBD; -ENAMETOOLONG. */
int attach_private_socket(const struct control *control, const char *volume, char path[SOCKET_PATH_SIZE]);

/* Nobody else listens there: 0, or -EINVAL with the failure. */
int attach_check_socket(struct control *control, const char *socket, struct failure *failure);

#endif
