/*
 * POST /v1/volumes. The vault makes the data key (and the "default" key-encryption key on its first use), the row is written as
 * VOLUME_CREATING, the card makes the storage, the row becomes VOLUME_AVAILABLE. A crash in between leaves a row that is undone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control.h"
#include "control/place.h"
#include "control/settle.h"

static const char default_kek[] = "default";

struct creation {
	struct job job;
	struct busy busy;
	struct control *control;
	struct http_request *request; /* NULL: answered */
	struct volume_row row;
	bool new_kek; /* row.kek is to be made, too */
	enum vault_error vault_error;
	struct failure failure;
	char what[NAME_SIZE + 32];
};

static void end(struct creation *c)
{
	if (c->request != NULL)
		http_fail(c->request, &c->failure);
	busy_release(&c->busy);
	volume_row_clear(&c->row);
	free(c);
}

/* ---- the card makes the storage ---- */

static void taken_back(void *context, const struct peer_answer *answer)
{
	struct creation *c = context;
	struct control *control = c->control;

	if (answer->outcome != PEER_OK || store_volume_delete(&control->store, &c->row.id) < 0)
		settle_soon(control);
	end(c);
}

static void storage_made(void *context, const struct peer_answer *answer)
{
	struct creation *c = context;
	struct control *control = c->control;
	int rc;

	if (answer->outcome != PEER_OK) {
		card_failure(&c->failure, answer, c->what);
		/* Refused: nothing is there. No answer: the row stays until the card says what became of it. */
		if (answer->outcome != PEER_REFUSED || store_volume_delete(&control->store, &c->row.id) < 0)
			settle_soon(control);
		end(c);
		return;
	}
	rc = store_volume_set_state(&control->store, &c->row.id, VOLUME_AVAILABLE);
	if (rc < 0) {
		store_failure(&c->failure, rc, c->what);
		card_request(control, json_pack("{s:s,s:o}", "op", "storage_delete", "volume", card_volume(&c->row)),
			     CARD_TIMEOUT_MS, taken_back, c);
		return;
	}
	c->row.state = VOLUME_AVAILABLE;
	http_reply(c->request, 201, view_volume(&c->row));
	c->request = NULL;
	end(c);
}

static int write_rows(struct creation *c)
{
	struct store *store = &c->control->store;
	int rc = store_begin(store);

	if (rc < 0)
		return rc;
	if (c->new_kek)
		rc = store_key_insert(store, &c->row.kek);
	if (rc == 0)
		rc = store_volume_insert(store, &c->row);
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

static void write_and_make(struct creation *c)
{
	int rc;

	/* Once more: while the vault was at work, another volume may have taken the same device under another name. */
	if (place_check(c->control, c->row.path, &c->failure) < 0) {
		end(c);
		return;
	}
	rc = write_rows(c);
	if (rc < 0) {
		store_failure(&c->failure, rc, c->what);
		end(c);
		return;
	}
	card_request(c->control, json_pack("{s:s,s:o}", "op", "storage_create", "volume", card_volume(&c->row)), CARD_TIMEOUT_MS,
		     storage_made, c);
}

/* ---- the vault makes the key ---- */

static void run_vault(struct job *job)
{
	struct creation *c = container_of(job, struct creation, job);
	int channel = c->control->vault_channel;
	struct vault_dek_ref ref = {.volume = c->row.id, .version = c->row.dek_version, .kek = c->row.kek.id};

	c->vault_error = VAULT_OK;
	if (c->new_kek)
		c->vault_error = vault_kek_create(channel, &c->row.kek.id, c->row.kek.version, &c->row.kek.wrapped,
						  worker_time_left_ms(job, VAULT_TIMEOUT_MS));
	if (c->vault_error != VAULT_OK)
		return;
	ref.kek_version = c->row.kek.version;
	ref.wrapped_kek = c->row.kek.wrapped;
	c->vault_error = vault_dek_create(channel, &ref, worker_time_left_ms(job, VAULT_TIMEOUT_MS));
	c->row.wrapped_dek = ref.wrapped_dek;
}

static void submit_or_fail(struct creation *c)
{
	if (worker_submit(&c->control->worker, &c->job) == 0)
		return;
	failure_set(&c->failure, ERROR_BUSY, "Cannot %s: too many requests wait for the vault. Try again.", c->what);
	end(c);
}

/* Meanwhile the key may have been rotated, deleted, or made by somebody else: then once more, with the one that is there now. */
static void vault_done(struct job *job)
{
	struct creation *c = container_of(job, struct creation, job);
	struct key_row now;
	int rc;

	if (c->vault_error != VAULT_OK) {
		vault_failure(&c->failure, c->vault_error, c->what);
		end(c);
		return;
	}
	rc = store_key_get(&c->control->store, c->row.kek.name, &now);
	if (rc == 0 && (c->new_kek || now.version != c->row.kek.version)) {
		c->row.kek = now;
		c->new_kek = false;
		submit_or_fail(c);
	} else if (rc == 0 || (rc == -ENOENT && c->new_kek)) {
		write_and_make(c);
	} else if (rc == -ENOENT) {
		failure_set(&c->failure, ERROR_KEY_NOT_FOUND, "Key \"%s\" was deleted meanwhile.", c->row.kek.name);
		end(c);
	} else {
		store_failure(&c->failure, rc, c->what);
		end(c);
	}
}

/* 0, or -EINVAL with the failure. */
static int choose_kek(struct creation *c, const char *name)
{
	struct key_row *kek = &c->row.kek;
	int rc = store_key_get(&c->control->store, name, kek);

	if (rc == 0)
		return 0;
	if (rc != -ENOENT)
		return store_failure(&c->failure, rc, c->what);
	if (strcmp(name, default_kek) != 0)
		return failure_set(
			&c->failure, ERROR_KEY_NOT_FOUND,
			"Key \"%s\" does not exist. `outboard key list` shows those that do; `outboard key create` makes one.",
			name);
	*kek = (struct key_row){.version = 1, .created_s = now_s()};
	strcpy(kek->name, default_kek);
	c->new_kek = true;
	return uuid_generate(&kek->id) == 0 ? 0 : failure_set(&c->failure, ERROR_INTERNAL, "No random numbers.");
}

/* ---- the request ---- */

static bool equal(const struct volume_row *row, const struct volume_create *b, const char *path)
{
	const char *kek = b->kek[0] == '\0' ? default_kek : b->kek;
	bool tags_equal = b->tags == NULL ? json_object_size(row->tags) == 0 : json_equal(row->tags, b->tags);

	return row->size_bytes == b->size_bytes && row->block_size_bytes == b->block_size_bytes && row->backend == b->backend &&
	       strcmp(row->path, path) == 0 && row->read_only == b->read_only && row->iops == b->iops &&
	       row->throughput_mib == b->throughput_mib && row->burst == b->burst && row->encrypted == b->encrypted &&
	       (!row->encrypted || strcmp(row->kek.name, kek) == 0) && tags_equal;
}

/* True: the name is taken, and the request answered. */
static bool answer_existing(struct control *control, struct http_request *request, const struct volume_create *b, const char *path)
{
	struct volume_row row;
	struct failure failure = {0};
	int rc = store_volume_get(&control->store, b->name, &row);

	if (rc == -ENOENT)
		return false;
	if (rc < 0) {
		fail_store(request, rc, "create the volume");
		return true;
	}
	if (row.state == VOLUME_CREATING || busy_is(control, b->name))
		failure_set(&failure, ERROR_VOLUME_BUSY, "Volume \"%s\" is being changed by another request; try again.", b->name);
	else if (row.state == VOLUME_DELETING)
		failure_set(&failure, ERROR_VOLUME_BUSY,
			    "Volume \"%s\" is being deleted; delete it again to see why it is not gone.", b->name);
	else if (!equal(&row, b, path))
		failure_set(&failure, ERROR_VOLUME_EXISTS,
			    "Volume \"%s\" exists already, with other properties; `outboard volume show %s` shows them. Choose "
			    "another name.",
			    b->name, b->name);
	if (failure.code == ERROR_NONE)
		http_reply(request, 200, view_volume(&row));
	else
		http_fail(request, &failure);
	volume_row_clear(&row);
	return true;
}

static int fill_row(struct volume_row *row, const struct volume_create *b, const char *path)
{
	*row = (struct volume_row){.size_bytes = b->size_bytes,
				   .block_size_bytes = b->block_size_bytes,
				   .backend = (enum volume_backend_kind)b->backend,
				   .read_only = b->read_only,
				   .iops = b->iops,
				   .throughput_mib = b->throughput_mib,
				   .burst = b->burst,
				   .state = VOLUME_CREATING,
				   .created_s = now_s(),
				   .encrypted = b->encrypted,
				   .dek_version = b->encrypted,
				   .tags = b->tags == NULL ? json_object() : json_deep_copy(b->tags)};
	strcpy(row->name, b->name);
	strcpy(row->path, path);
	return row->tags == NULL ? -ENOMEM : uuid_generate(&row->id);
}

static void start(struct control *control, struct http_request *request, const struct volume_create *b, const char *path)
{
	struct creation *c = calloc(1, sizeof(*c));
	struct failure failure;
	int rc = c == NULL ? -ENOMEM : fill_row(&c->row, b, path);

	if (rc < 0) {
		free(c);
		fail_store(request, rc, "create the volume");
		return;
	}
	c->control = control;
	c->request = request;
	c->job = (struct job){.run = run_vault, .done = vault_done};
	snprintf(c->what, sizeof(c->what), "create volume \"%s\"", b->name);
	if (busy_take(control, &c->busy, b->name, &failure) < 0) {
		volume_row_clear(&c->row);
		free(c);
		http_fail(request, &failure);
		return;
	}
	if (!b->encrypted)
		write_and_make(c);
	else if (choose_kek(c, b->kek[0] == '\0' ? default_kek : b->kek) == 0)
		submit_or_fail(c);
	else
		end(c);
}

void api_volume_create(struct control *control, struct http_request *request)
{
	char path[PATH_SIZE] = "";
	struct volume_create b;
	struct failure failure;

	if (body_volume_create(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	if (b.backend == BACKEND_FILE && b.path[0] != '\0')
		strcpy(path, b.path);
	else if (b.backend == BACKEND_FILE)
		snprintf(path, sizeof(path), "%s/volumes/%s.img", control->state_dir, b.name);
	if (answer_existing(control, request, &b, path))
		return;
	if (place_check(control, path, &failure) < 0 || !card_ready(control, &failure)) {
		http_fail(request, &failure);
		return;
	}
	start(control, request, &b, path);
}
