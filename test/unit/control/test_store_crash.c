/*
 * Deaths at every step. A child does what a creation, a rotation and a deletion do, and kills itself (SIGKILL) before its n-th
 * step, for every n. What the next process finds is all of a transaction or nothing, and never a damaged file. The migrations are
 * interrupted likewise.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/store_private.h"
#include "rig.h"

struct steps {
	int left; /* until death */
};

static void step(struct steps *s)
{
	if (s->left-- == 0)
		kill(getpid(), SIGKILL);
}

static void must(int rc)
{
	if (rc != 0)
		_exit(1);
}

static const struct uuid volume_id = {{1}};

static void work(struct rig *rig, struct steps *s)
{
	struct key_row kek = rig_key("default", 7);
	struct volume_row row = rig_volume("v", 1, &kek);
	struct store *store = &rig->store;
	char error[256];

	step(s);
	must(store_open(store, rig->path, error, sizeof(error)));
	step(s);
	must(store_begin(store));
	must(store_key_insert(store, &kek));
	step(s);
	row.state = VOLUME_CREATING;
	must(store_volume_insert(store, &row));
	step(s);
	must(store_commit(store));
	step(s);
	must(store_volume_set_state(store, &row.id, VOLUME_AVAILABLE));
	step(s);
	kek.version = 2;
	must(store_begin(store));
	must(store_key_replace(store, &kek, 1));
	step(s);
	row.wrapped_dek.bytes[0] = 2;
	must(store_volume_set_key(store, &row.id, &kek.id, &kek.id, &row.wrapped_dek));
	step(s);
	must(store_commit(store));
	step(s);
	must(store_volume_begin_delete(store, &row.id));
	step(s);
	store_forget_deleted(store);
	step(s);
	must(store_volume_delete(store, &row.id));
	step(s);
	_exit(0); /* without closing: that too is a death */
}

/* True when it came to its end. */
static bool run_child(struct rig *rig, void (*child)(struct rig *rig, struct steps *s), int until)
{
	struct steps s = {until};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		child(rig, &s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status)) {
		assert_int_equal(WEXITSTATUS(status), 0);
		return true;
	}
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return false;
}

static void check_rows(struct rig *rig)
{
	struct volume_row row;
	struct key_row kek;
	int rc;

	rig_open(rig); /* checks every page */
	rc = store_volume_get_by_id(&rig->store, &volume_id, &row);
	if (rc == 0 && row.encrypted) {
		assert_int_equal(row.wrapped_dek.bytes[0], row.kek.version); /* rewrapped with the rotation, or not with it */
		assert_true(row.state == VOLUME_CREATING || row.state == VOLUME_AVAILABLE);
	} else if (rc == 0) {
		assert_int_equal(row.state, VOLUME_DELETING);
		assert_int_equal(row.wrapped_dek.size, 0);
	}
	if (rc == 0)
		volume_row_clear(&row);
	if (rc == 0) /* never a volume without the key that was made with it */
		assert_int_equal(store_key_get(&rig->store, "default", &kek), 0);
	store_close(&rig->store);
}

static void remove_store(struct rig *rig)
{
	char log[96];

	snprintf(log, sizeof(log), "%s-wal", rig->path);
	unlink(rig->path);
	unlink(log);
}

static void test_death_at_every_step(void **state)
{
	struct rig *rig = *state;
	int until = 0;
	bool finished;

	do {
		finished = run_child(rig, work, until++);
		check_rows(rig);
		remove_store(rig);
	} while (!finished);
	assert_int_equal(until, 13); /* twelve steps, and the whole */
}

/* ---- migrations ---- */

static void load_sql(const char *path, const char *sql_path)
{
	FILE *file = fopen(sql_path, "r");
	char sql[16384];
	size_t length;
	sqlite3 *db;

	assert_non_null(file);
	length = fread(sql, 1, sizeof(sql) - 1, file);
	sql[length] = '\0';
	fclose(file);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int user_version(struct rig *rig)
{
	int64_t version = -1;

	assert_int_equal(store_count(&rig->store, "PRAGMA user_version", &version), 0);
	return (int)version;
}

static void check_golden(struct rig *rig)
{
	struct volume_row row;
	char incarnation[UUID_TEXT_SIZE];
	int64_t restarts;

	assert_int_equal(user_version(rig), store_schema_version());
	assert_int_equal(store_volume_get(&rig->store, "db", &row), 0);
	assert_int_equal(row.size_bytes, 1 << 30);
	assert_int_equal(row.size_target_bytes, 0);
	assert_int_equal(row.errors, 4);
	assert_int_equal(row.kek.version, 3);
	assert_string_equal(row.kek.name, "default");
	assert_string_equal(row.attachment.socket, "/run/db.sock");
	assert_int_equal(row.attachment.uid, -1);
	assert_int_equal(row.attachment.gid, 107);
	assert_int_equal(row.attachment.mode, 0660);
	assert_string_equal(json_string_value(json_object_get(row.tags, "team")), "db");
	volume_row_clear(&row);
	assert_int_equal(store_card_get(&rig->store, incarnation, &restarts), 0);
}

static void test_from_version_1(void **state)
{
	struct rig *rig = *state;

	load_sql(rig->path, STORE_V1_SQL);
	rig_open(rig);
	check_golden(rig);
	rig_reopen(rig); /* there is nothing more to do */
	check_golden(rig);
}

/* The child is killed while it migrates: by an authorizer, which SQLite asks before every single thing. */
static int die_in_time(void *context, int what, const char *a, const char *b, const char *c, const char *d)
{
	(void)what;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	step(context);
	return SQLITE_OK;
}

static struct steps *authorizer_steps;

static int install(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error;
	(void)api;
	return sqlite3_set_authorizer(db, die_in_time, authorizer_steps);
}

static void open_only(struct rig *rig, struct steps *s)
{
	char error[256];

	authorizer_steps = s;
	sqlite3_auto_extension((void (*)(void))install);
	must(store_open(&rig->store, rig->path, error, sizeof(error)));
	_exit(0);
}

static void test_death_while_migrating(void **state)
{
	struct rig *rig = *state;
	int until = 0;
	bool finished;

	do {
		remove_store(rig);
		load_sql(rig->path, STORE_V1_SQL);
		finished = run_child(rig, open_only, until);
		until++;
		rig_open(rig);
		check_golden(rig);
		store_close(&rig->store);
	} while (!finished);
	assert_true(until > 20);
}

/* Every earlier schema leads to the same tables as a new store has. */
static void test_every_version_leads_here(void **state)
{
	struct rig *rig = *state;
	int newest = store_schema_version();
	int64_t tables_new = 0, tables = 0;
	const char *count = "SELECT count(*) + sum(length(sql)) FROM sqlite_schema";

	rig_open(rig);
	assert_int_equal(store_count(&rig->store, count, &tables_new), 0);
	store_close(&rig->store);
	for (int version = 1; version <= newest; version++) {
		char mark[96];
		sqlite3 *db;

		remove_store(rig);
		assert_int_equal(sqlite3_open(rig->path, &db), SQLITE_OK);
		for (int i = 0; i < version; i++)
			assert_int_equal(sqlite3_exec(db, store_migrations[i], NULL, NULL, NULL), SQLITE_OK);
		snprintf(mark, sizeof(mark), "PRAGMA user_version = %d; PRAGMA application_id = %d", version, STORE_APPLICATION_ID);
		assert_int_equal(sqlite3_exec(db, mark, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		rig_open(rig);
		assert_int_equal(user_version(rig), newest);
		assert_int_equal(store_count(&rig->store, count, &tables), 0);
		assert_int_equal(tables, tables_new);
		store_close(&rig->store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_death_at_every_step, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_from_version_1, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_death_while_migrating, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_every_version_leads_here, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
