/* Starting one child: its arguments, the descriptors it inherits by name (LISTEN_FDS protocol), and its end should ours come first.
 */
#ifndef OUTBOARD_CHASSIS_CHILD_H
#define OUTBOARD_CHASSIS_CHILD_H

#include <sys/types.h>

struct child_plan {
	const char *path;
	const char *const *argv; /* ends with NULL */
	const char *notify_path;
	const int *fds; /* each is inherited under the name beside it */
	const char *const *fd_names;
	unsigned fd_count;
};

/*
 * The child's pid, or -errno. The child has /dev/null as standard input, our standard error as output and error, no other
 * descriptor of ours, no blocked signal, its own process group (a terminal's Ctrl-C reaches only us, who stop things in order),
 * and is killed by the kernel when we die.
 */
pid_t child_spawn(const struct child_plan *plan);

#endif
