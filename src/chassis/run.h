/* `outboard run`: starts vault, card and control, restarts what dies, keeps their descriptors, stops all cleanly. */
#ifndef OUTBOARD_CHASSIS_RUN_H
#define OUTBOARD_CHASSIS_RUN_H

/* Blocks until it is over. `state_dir` is absolute; `config_path` may be NULL. The exit status: 0 after SIGTERM or SIGINT. */
int chassis_run(const char *state_dir, const char *config_path);

#endif
