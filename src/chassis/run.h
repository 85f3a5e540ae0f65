/* `outboard run`: starts vault, card and control, restarts what dies, keeps their descriptors, stops all cleanly. */
#ifndef OUTBOARD_CHASSIS_RUN_H
#define OUTBOARD_CHASSIS_RUN_H

/* What the command line says. */
struct chassis_options {
	const char *state_dir;	  /* absolute */
	const char *config_path;  /* NULL: none */
	const char *const *wires; /* in place of the file's, when there are any */
	unsigned wire_count;
	const char *flows; /* likewise; NULL: as the file says */
};

/* Blocks until it is over. The exit status: 0 after SIGTERM or SIGINT. */
int chassis_run(const struct chassis_options *options);

#endif
