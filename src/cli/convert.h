/* qemu-img convert, run as a child: its progress becomes ours, and a signal that would end us ends it first. */
#ifndef OUTBOARD_CLI_CONVERT_H
#define OUTBOARD_CLI_CONVERT_H

#include "cli/progress.h"

enum { CONVERT_ERROR_SIZE = 1024 };

/* From now on SIGINT, SIGTERM and SIGHUP only ask for an end (convert_interrupted), so that whoever began can clean up. */
void convert_catch_signals(void);
bool convert_interrupted(void);

/* `arguments` follow "qemu-img"; the list ends with NULL. 0, or -1 with a sentence in `error`. */
int convert_run(const char *const *arguments, struct progress *progress, char error[CONVERT_ERROR_SIZE]);

#endif
