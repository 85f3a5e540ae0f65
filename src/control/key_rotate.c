/*
 * POST /v1/keys/NAME/rotate. The vault makes a new version of the key and rewraps the data keys of its volumes, REWRAP_BATCH a
 * job; then all is written in one transaction. Volumes that came to the key meanwhile are found there, and rewrapped in another
 * round first. Attached volumes are not touched: a data key stays what it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"

enum { ROUNDS_MAX = 16 };

struct rotation {
	struct job job;
	struct control *control;
	struct http_request *request;
	struct key_row old;
	struct key_row new;
	bool have_new;
	struct vault_dek_ref *refs; /* rewrapped: [0, done) */
	size_t count;
	size_t capacity;
	size_t done;
	unsigned rounds;
	enum vault_error error;
	char what[NAME_SIZE + 32];
};

static void end(struct rotation *r)
{
	free(r->refs);
	free(r);
}

static void fail(struct rotation *r, enum api_error code, const char *why)
{
	struct failure failure;

	failure_set(&failure, code, "Cannot %s: %s", r->what, why);
	http_fail(r->request, &failure);
	end(r);
}

static void run_vault(struct job *job)
{
	struct rotation *r = container_of(job, struct rotation, job);
	int channel = r->control->vault_channel;
	size_t until = r->done + REWRAP_BATCH < r->count ? r->done + REWRAP_BATCH : r->count;

	r->error = VAULT_OK;
	if (!r->have_new) {
		r->error = vault_kek_create(channel, &r->new.id, r->new.version, &r->new.wrapped,
					    worker_time_left_ms(job, VAULT_TIMEOUT_MS));
		r->have_new = r->error == VAULT_OK;
	}
	for (; r->error == VAULT_OK && r->done < until; r->done++)
		r->error = vault_dek_rewrap(channel, &r->refs[r->done], &r->new.id, r->new.version, &r->new.wrapped,
					    worker_time_left_ms(job, VAULT_TIMEOUT_MS));
}

static int by_volume(const void *a, const void *b)
{
	const struct vault_dek_ref *left = a, *right = b;

	return memcmp(&left->volume, &right->volume, sizeof(left->volume));
}

/* Those of the earlier rounds are sorted, and all done. */
static bool knows(const struct rotation *r, const struct uuid *volume)
{
	const struct vault_dek_ref wanted = {.volume = *volume};

	return r->done > 0 && bsearch(&wanted, r->refs, r->done, sizeof(wanted), by_volume) != NULL;
}

static int add_volume(void *context, struct volume_row *row)
{
	struct rotation *r = context;

	if (knows(r, &row->id))
		return 0;
	if (r->count == r->capacity) {
		struct vault_dek_ref *more = realloc(r->refs, (r->capacity = 2 * r->capacity + 64) * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->refs = more;
	}
	r->refs[r->count++] = (struct vault_dek_ref){.volume = row->id,
						     .version = row->dek_version,
						     .kek = row->kek.id,
						     .kek_version = row->kek.version,
						     .wrapped_kek = row->kek.wrapped,
						     .wrapped_dek = row->wrapped_dek};
	return 0;
}

static int write_all(struct rotation *r, int64_t *rewrapped)
{
	struct store *store = &r->control->store;
	int rc = store_begin(store);

	if (rc < 0)
		return rc;
	*rewrapped = 0;
	rc = store_key_replace(store, &r->new, r->old.version);
	if (rc == -ENOENT)
		rc = -ESTALE;
	for (size_t i = 0; rc == 0 && i < r->count; i++) {
		rc = store_volume_set_key(store, &r->refs[i].volume, &r->old.id, &r->new.id, &r->refs[i].wrapped_dek);
		*rewrapped += rc == 0;
		rc = rc == -ENOENT ? 0 : rc; /* deleted, or moved to another key meanwhile */
	}
	if (rc == 0)
		return store_commit(store);
	store_rollback(store);
	return rc;
}

static void submit(struct rotation *r)
{
	if (worker_submit(&r->control->worker, &r->job) < 0)
		fail(r, ERROR_BUSY, "too many requests wait for the vault. Try again.");
}

static void finish(struct rotation *r)
{
	int64_t rewrapped;
	int rc = write_all(r, &rewrapped);

	if (rc == -ESTALE) {
		fail(r, ERROR_KEY_BUSY, "the key was rotated or deleted by another request meanwhile.");
		return;
	}
	if (rc < 0) {
		fail_store(r->request, rc, r->what);
		end(r);
		return;
	}
	store_forget_deleted(&r->control->store);
	http_reply(r->request, 200,
		   json_pack("{s:s,s:I,s:I}", "name", r->new.name, "version", (json_int_t)r->new.version, "rewrapped",
			     (json_int_t)rewrapped));
	end(r);
}

static void vault_done(struct job *job)
{
	struct rotation *r = container_of(job, struct rotation, job);
	struct failure failure;
	size_t before = r->count;
	int rc;

	if (r->error != VAULT_OK) {
		vault_failure(&failure, r->error, r->what);
		http_fail(r->request, &failure);
		end(r);
		return;
	}
	if (r->done < r->count) {
		submit(r);
		return;
	}
	r->rounds++;
	if (r->count > 0)
		qsort(r->refs, r->count, sizeof(*r->refs), by_volume);
	rc = store_volume_each_of_key(&r->control->store, &r->old.id, add_volume, r);
	if (rc < 0) {
		fail_store(r->request, rc, r->what);
		end(r);
	} else if (r->count == before) {
		finish(r);
	} else if (r->rounds > ROUNDS_MAX) {
		fail(r, ERROR_KEY_BUSY, "too many volumes are made under this key at the moment. Try again.");
	} else {
		submit(r);
	}
}

void api_key_rotate(struct control *control, struct http_request *request)
{
	const char *name = http_parameter(request);
	struct failure failure;
	struct rotation *r;
	struct key_row old;
	int rc;

	if (body_nothing(http_body(request), &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	rc = store_key_get(&control->store, name, &old);
	if (rc == -ENOENT) {
		failure_set(&failure, ERROR_KEY_NOT_FOUND, "Key \"%s\" does not exist. `outboard key list` shows those that do.",
			    name);
		http_fail(request, &failure);
		return;
	}
	r = rc == 0 ? calloc(1, sizeof(*r)) : NULL;
	if (r == NULL) {
		fail_store(request, rc == 0 ? -ENOMEM : rc, "rotate the key");
		return;
	}
	r->job = (struct job){.run = run_vault, .done = vault_done};
	r->control = control;
	r->request = request;
	r->old = r->new = old;
	r->new.version = old.version + 1;
	snprintf(r->what, sizeof(r->what), "rotate key \"%s\"", name);
	rc = store_volume_each_of_key(&control->store, &old.id, add_volume, r);
	if (rc < 0) {
		fail_store(request, rc, r->what);
		end(r);
		return;
	}
	submit(r);
}
