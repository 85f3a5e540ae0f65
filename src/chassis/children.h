/*
 * What the three children are given: executables beside our own, command lines made of the configuration, and the descriptors
 * that connect them. Held for the lifetime of the chassis, so that a child that is started anew finds the same channels, and its
 * peers never see one close.
 */
#ifndef OUTBOARD_CHASSIS_CHILDREN_H
#define OUTBOARD_CHASSIS_CHILDREN_H

#include <limits.h>
#include <sys/types.h>

#include "chassis/config.h"
#include "chassis/fd_store.h"
#include "chassis/supervisor.h"

enum { CHILD_ARGS_MAX = 20, CHILD_FDS_MAX = 4 };

struct child_line {
	char path[PATH_MAX];
	const char *argv[CHILD_ARGS_MAX + 1];
	int fds[CHILD_FDS_MAX]; /* not the store's */
	const char *fd_names[CHILD_FDS_MAX];
	unsigned fd_count;
};

struct children {
	char api_socket[CONFIG_VALUE_SIZE + PATH_MAX];
	char notify_path[PATH_MAX];
	char cores[CONFIG_VALUE_SIZE];
	char buffer_bytes[24];
	char flows_max[24];
	struct child_line line[SUPERVISED_COUNT];
	struct fd_store store[SUPERVISED_COUNT];
};

/* Everything that can be wrong is wrong here, before anything is started: 0, or -errno after a log line. `children` zeroed. */
int children_prepare(struct children *children, const char *state_dir, const struct chassis_config *config);
pid_t children_spawn(struct children *children, enum supervised which); /* pid or -errno */
void children_release(struct children *children);

#endif
