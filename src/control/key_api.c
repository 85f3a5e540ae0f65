/* Key-encryption keys: list, show, create, rotate, delete; and what is done with a volume's data key: rewrap, export. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "control/control.h"

static void key_not_found(struct http_request *request, const char *name)
{
	struct failure failure;

	failure_set(&failure, ERROR_KEY_NOT_FOUND,
		    "Key \"%s\" does not exist. `outboard key list` shows those that do; `outboard key create` makes one.", name);
	http_fail(request, &failure);
}

/* False: the request was answered. */
static bool find_key(struct control *control, struct http_request *request, const char *name, struct key_row *row)
{
	int rc = store_key_get(&control->store, name, row);

	if (rc == 0)
		return true;
	if (rc == -ENOENT)
		key_not_found(request, name);
	else
		fail_store(request, rc, "read the key");
	return false;
}

static int add_key(void *context, const struct key_row *row)
{
	return json_array_append_new(context, view_key(row)) == 0 ? 0 : -ENOMEM;
}

void api_key_list(struct control *control, struct http_request *request)
{
	json_t *list = json_array();
	int rc = store_key_each(&control->store, add_key, list);

	if (rc == 0) {
		http_reply(request, 200, list);
		return;
	}
	json_decref(list);
	fail_store(request, rc, "list the keys");
}

void api_key_show(struct control *control, struct http_request *request)
{
	struct key_row row;

	if (find_key(control, request, http_parameter(request), &row))
		http_reply(request, 200, view_key(&row));
}

void api_key_delete(struct control *control, struct http_request *request)
{
	const char *name = http_parameter(request);
	struct failure failure;
	struct key_row row;
	int rc;

	if (!find_key(control, request, name, &row))
		return;
	rc = store_key_delete(&control->store, name);
	if (rc == -EBUSY || rc == -EEXIST) {
		failure_set(&failure, ERROR_KEY_IN_USE,
			    "Key \"%s\" wraps the data keys of %lld volume%s. Move them to another key first (`outboard volume "
			    "rewrap`).",
			    name, (long long)row.volumes, row.volumes == 1 ? "" : "s");
		http_fail(request, &failure);
	} else if (rc < 0) {
		fail_store(request, rc, "delete the key");
	} else {
		store_forget_deleted(&control->store);
		http_reply_nothing(request);
	}
}

/* ---- one job of the vault for one request ---- */

struct key_op {
	struct job job;
	struct control *control;
	struct http_request *request;
	struct key_row key; /* the new one, or the one to rewrap to */
	struct volume_row volume;
	struct vault_dek_ref ref;
	uint8_t recipient[VAULT_PUBLIC_KEY_BYTES];
	uint8_t sealed[VAULT_SEALED_MAX_BYTES];
	size_t sealed_size;
	enum vault_error error;
	char what[NAME_SIZE + 48];
};

static void op_end(struct key_op *op)
{
	volume_row_clear(&op->volume);
	free(op);
}

static void op_fail(struct key_op *op, enum api_error code, const char *why)
{
	struct failure failure;

	failure_set(&failure, code, "Cannot %s: %s", op->what, why);
	http_fail(op->request, &failure);
	op_end(op);
}

static void op_fail_vault(struct key_op *op)
{
	struct failure failure;

	vault_failure(&failure, op->error, op->what);
	http_fail(op->request, &failure);
	op_end(op);
}

static void op_fail_store(struct key_op *op, int rc)
{
	fail_store(op->request, rc, op->what);
	op_end(op);
}

static struct key_op *op_new(struct control *control, struct http_request *request, void (*run)(struct job *job),
			     void (*done)(struct job *job))
{
	struct key_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		fail_store(request, -ENOMEM, "do that");
		return NULL;
	}
	op->control = control;
	op->request = request;
	op->job = (struct job){.run = run, .done = done};
	return op;
}

static void op_submit(struct key_op *op)
{
	if (worker_submit(&op->control->worker, &op->job) < 0)
		op_fail(op, ERROR_BUSY, "too many requests wait for the vault. Try again.");
}

static void take_ref(struct key_op *op)
{
	const struct volume_row *v = &op->volume;

	op->ref = (struct vault_dek_ref){.volume = v->id,
					 .version = v->dek_version,
					 .kek = v->kek.id,
					 .kek_version = v->kek.version,
					 .wrapped_kek = v->kek.wrapped,
					 .wrapped_dek = v->wrapped_dek};
}

/* ---- create ---- */

static void create_run(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);

	op->error = vault_kek_create(op->control->vault_channel, &op->key.id, op->key.version, &op->key.wrapped,
				     worker_time_left_ms(job, VAULT_TIMEOUT_MS));
}

static void create_done(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);
	int rc;

	if (op->error != VAULT_OK) {
		op_fail_vault(op);
		return;
	}
	rc = store_key_insert(&op->control->store, &op->key);
	if (rc == 0)
		http_reply(op->request, 201, view_key(&op->key));
	else if (rc == -EEXIST && store_key_get(&op->control->store, op->key.name, &op->key) == 0) /* somebody was faster */
		http_reply(op->request, 200, view_key(&op->key));
	else
		fail_store(op->request, rc, op->what);
	op_end(op);
}

void api_key_create(struct control *control, struct http_request *request)
{
	struct failure failure;
	struct key_op *op;
	struct key_create b;
	struct key_row row;
	int64_t count = 0;
	int rc;

	if (body_key_create(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	rc = store_key_get(&control->store, b.name, &row);
	if (rc == 0) {
		http_reply(request, 200, view_key(&row));
		return;
	}
	if (rc != -ENOENT || (rc = store_key_count(&control->store, &count)) < 0) {
		fail_store(request, rc, "create the key");
		return;
	}
	op = op_new(control, request, create_run, create_done);
	if (op == NULL)
		return;
	op->key = (struct key_row){.version = 1, .created_s = now_s()};
	strcpy(op->key.name, b.name);
	snprintf(op->what, sizeof(op->what), "create key \"%s\"", b.name);
	if (count >= STORE_KEYS_MAX)
		op_fail(op, ERROR_LIMIT_REACHED, "there are 4096 keys already, and no more are possible.");
	else if (uuid_generate(&op->key.id) < 0)
		op_fail(op, ERROR_INTERNAL, "no random numbers.");
	else
		op_submit(op);
}

/* ---- rewrap one volume ---- */

static void rewrap_run(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);

	op->error = vault_dek_rewrap(op->control->vault_channel, &op->ref, &op->key.id, op->key.version, &op->key.wrapped,
				     worker_time_left_ms(job, VAULT_TIMEOUT_MS));
}

static void rewrap_done(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);
	struct store *store = &op->control->store;
	struct volume_row now;
	struct key_row key;
	int rc;

	if (op->error != VAULT_OK) {
		op_fail_vault(op);
		return;
	}
	if (store_key_get(store, op->key.name, &key) < 0) {
		op_fail(op, ERROR_KEY_NOT_FOUND, "the key was deleted meanwhile.");
		return;
	}
	if (key.version != op->key.version) { /* rotated meanwhile: the wrapping of the old version is worth nothing any more */
		op_fail(op, ERROR_KEY_BUSY, "the key was rotated meanwhile. Try again.");
		return;
	}
	rc = store_volume_set_key(store, &op->volume.id, &op->volume.kek.id, &op->key.id, &op->ref.wrapped_dek);
	if (rc == -ENOENT) {
		op_fail(op, ERROR_VOLUME_BUSY, "the volume was changed meanwhile. Try again.");
		return;
	}
	if (rc < 0) {
		op_fail_store(op, rc);
		return;
	}
	store_forget_deleted(store);
	if (find_volume(op->control, op->request, op->volume.name, &now)) {
		http_reply(op->request, 200, view_volume(&now));
		volume_row_clear(&now);
	}
	op_end(op);
}

/* The encrypted volume of the "{name}" segment in a new operation; NULL: answered. */
static struct key_op *op_of_volume(struct control *control, struct http_request *request, const char *what,
				   void (*run)(struct job *job), void (*done)(struct job *job))
{
	struct failure failure;
	struct volume_row row;
	struct key_op *op;

	if (!find_volume(control, request, http_parameter(request), &row))
		return NULL;
	if (!row.encrypted) {
		failure_set(&failure, ERROR_NOT_ENCRYPTED, "Volume \"%s\" is not encrypted: it has no key.", row.name);
		http_fail(request, &failure);
		volume_row_clear(&row);
		return NULL;
	}
	op = op_new(control, request, run, done);
	if (op == NULL) {
		volume_row_clear(&row);
		return NULL;
	}
	op->volume = row;
	take_ref(op);
	snprintf(op->what, sizeof(op->what), "%s \"%s\"", what, row.name);
	return op;
}

void api_volume_rewrap(struct control *control, struct http_request *request)
{
	struct failure failure;
	struct rewrap b;
	struct key_op *op;
	struct key_row key;

	if (body_rewrap(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	op = op_of_volume(control, request, "rewrap the key of volume", rewrap_run, rewrap_done);
	if (op == NULL)
		return;
	if (!find_key(control, request, b.kek, &key)) {
		op_end(op);
		return;
	}
	op->key = key;
	op_submit(op);
}

/* ---- export ---- */

static void export_run(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);

	op->sealed_size = sizeof(op->sealed);
	op->error = vault_dek_export(op->control->vault_channel, &op->ref, op->recipient, op->sealed, &op->sealed_size,
				     worker_time_left_ms(job, VAULT_TIMEOUT_MS));
}

static void export_done(struct job *job)
{
	struct key_op *op = container_of(job, struct key_op, job);
	char text[2 * VAULT_SEALED_MAX_BYTES + 1];

	if (op->error == VAULT_FORBIDDEN) {
		op_fail(op, ERROR_EXPORT_FORBIDDEN,
			"the vault gives no key out (\"export = no\" in the configuration of the card).");
		return;
	}
	if (op->error != VAULT_OK) {
		op_fail_vault(op);
		return;
	}
	hex_format(op->sealed, op->sealed_size, text);
	http_reply(op->request, 200,
		   json_pack("{s:s,s:s,s:I}", "sealed", text, "algorithm", "aes-256-xts", "block_size_bytes",
			     (json_int_t)op->volume.block_size_bytes));
	op_end(op);
}

void api_volume_export_key(struct control *control, struct http_request *request)
{
	struct failure failure;
	struct export_key b;
	struct key_op *op;
	size_t size;

	if (body_export_key(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	op = op_of_volume(control, request, "export the key of volume", export_run, export_done);
	if (op == NULL)
		return;
	hex_parse(b.recipient, op->recipient, sizeof(op->recipient), &size);
	op_submit(op);
}
