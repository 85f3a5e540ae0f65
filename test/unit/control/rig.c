#include "rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cmocka_all.h"

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	strcpy(rig->dir, "/tmp/outboard-store-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/control.db", rig->dir);
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;
	DIR *dir = opendir(rig->dir);
	struct dirent *entry;

	if (rig->store.db != NULL)
		store_close(&rig->store);
	while ((entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(rig->dir);
	free(rig);
	return 0;
}

void rig_open(struct rig *rig)
{
	char error[512] = "";

	if (store_open(&rig->store, rig->path, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

void rig_reopen(struct rig *rig)
{
	store_close(&rig->store);
	rig_open(rig);
}

struct key_row rig_key(const char *name, uint8_t id)
{
	struct key_row row = {.id.bytes = {id}, .version = 1, .wrapped = {.size = 3, .bytes = {id, 2, 3}}, .created_s = 1700000000};

	snprintf(row.name, sizeof(row.name), "%s", name);
	return row;
}

struct volume_row rig_volume(const char *name, uint8_t id, const struct key_row *kek)
{
	struct volume_row row = {.id.bytes = {id},
				 .size_bytes = 1 << 20,
				 .block_size_bytes = 4096,
				 .backend = BACKEND_FILE,
				 .tags = json_object(),
				 .state = VOLUME_AVAILABLE,
				 .created_s = 1700000000};

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.path, sizeof(row.path), "/srv/%s.img", name);
	if (kek != NULL) {
		row.encrypted = true;
		row.kek = *kek;
		row.dek_version = 1;
		row.wrapped_dek = (struct vault_blob){.size = 2, .bytes = {id, 9}};
	}
	return row;
}

void rig_insert_volume(struct rig *rig, const char *name, uint8_t id, const struct key_row *kek)
{
	struct volume_row row = rig_volume(name, id, kek);

	assert_int_equal(store_volume_insert(&rig->store, &row), 0);
	volume_row_clear(&row);
}

struct attachment_row rig_attachment(const char *socket)
{
	struct attachment_row row = {.phase = ATTACHMENT_ATTACHED, .queues = 1, .packed = true, .uid = -1, .gid = -1, .mode = 0660};

	snprintf(row.socket, sizeof(row.socket), "%s", socket);
	return row;
}
