/* Stores in a temporary directory, and rows to put into them. */
#ifndef OUTBOARD_TEST_CONTROL_RIG_H
#define OUTBOARD_TEST_CONTROL_RIG_H

#include "control/store.h"

struct rig {
	char dir[64];
	char path[80];
	struct store store;
};

int rig_setup(void **state); /* a directory, and no store yet */
int rig_teardown(void **state);
void rig_open(struct rig *rig); /* must work */
void rig_reopen(struct rig *rig);

struct key_row rig_key(const char *name, uint8_t id);
/* `kek` NULL: not encrypted. Tags are owned by the row. */
struct volume_row rig_volume(const char *name, uint8_t id, const struct key_row *kek);
void rig_insert_volume(struct rig *rig, const char *name, uint8_t id, const struct key_row *kek);
struct attachment_row rig_attachment(const char *socket);

#endif
