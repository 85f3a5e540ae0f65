/* The store: rows out as they went in, constraints, limits of space, what is forgotten and what is not. */
#include "../cmocka_all.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static void test_volume_round_trip(void **state)
{
	struct rig *rig = *state;
	struct key_row kek = rig_key("k", 7);
	struct volume_row in = rig_volume("v", 1, &kek), out;

	rig_open(rig);
	in.iops = 3000;
	in.burst = in.read_only = true;
	json_object_set_new(in.tags, "a", json_string("b"));
	assert_int_equal(store_key_insert(&rig->store, &kek), 0);
	assert_int_equal(store_volume_insert(&rig->store, &in), 0);
	rig_reopen(rig);
	assert_int_equal(store_volume_get(&rig->store, "v", &out), 0);
	assert_memory_equal(&out.id, &in.id, sizeof(in.id));
	assert_string_equal(out.path, "/srv/v.img");
	assert_int_equal(out.size_bytes, in.size_bytes);
	assert_int_equal(out.iops, 3000);
	assert_int_equal(out.throughput_mib, 0);
	assert_true(out.burst && out.read_only && out.encrypted);
	assert_true(json_equal(out.tags, in.tags));
	assert_int_equal(out.kek.version, 1);
	assert_int_equal(out.kek.wrapped.size, 3);
	assert_memory_equal(&out.wrapped_dek, &in.wrapped_dek, sizeof(in.wrapped_dek));
	assert_int_equal(out.attachment.phase, ATTACHMENT_NONE);
	volume_row_clear(&out);
	volume_row_clear(&in);
}

static void test_names_paths_and_sockets_are_unique(void **state)
{
	struct rig *rig = *state;
	struct volume_row row = rig_volume("v", 2, NULL);
	struct attachment_row attachment = rig_attachment("/s");
	char owner[NAME_SIZE];

	rig_open(rig);
	rig_insert_volume(rig, "v", 1, NULL);
	assert_int_equal(store_volume_insert(&rig->store, &row), -EEXIST);
	strcpy(row.name, "w");
	assert_int_equal(store_volume_insert(&rig->store, &row), -EEXIST); /* the path */
	strcpy(row.path, "/srv/w.img");
	assert_int_equal(store_volume_insert(&rig->store, &row), 0);
	assert_int_equal(store_path_owner(&rig->store, "/srv/w.img", owner), 0);
	assert_string_equal(owner, "w");
	assert_int_equal(store_path_owner(&rig->store, "/srv/x.img", owner), -ENOENT);
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{1}}, &attachment), 0);
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{2}}, &attachment), -EEXIST);
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{9}}, &attachment), -EEXIST);
	strcpy(attachment.socket, "/t");
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{9}}, &attachment), -EBUSY); /* no such volume */
	assert_int_equal(store_socket_owner(&rig->store, "/s", owner), 0);
	assert_string_equal(owner, "v");
	volume_row_clear(&row);
}

static void test_what_is_used_stays(void **state)
{
	struct rig *rig = *state;
	struct key_row kek = rig_key("k", 7);
	struct attachment_row attachment = rig_attachment("/s");
	const struct uuid id = {{1}};

	rig_open(rig);
	assert_int_equal(store_key_insert(&rig->store, &kek), 0);
	rig_insert_volume(rig, "v", 1, &kek);
	assert_int_equal(store_key_delete(&rig->store, "k"), -EBUSY);
	assert_int_equal(store_attachment_insert(&rig->store, &id, &attachment), 0);
	assert_int_equal(store_volume_delete(&rig->store, &id), -EBUSY);
	assert_int_equal(store_attachment_delete(&rig->store, &id), 0);
	assert_int_equal(store_attachment_delete(&rig->store, &id), -ENOENT);
	assert_int_equal(store_volume_begin_delete(&rig->store, &id), 0);
	assert_int_equal(store_key_delete(&rig->store, "k"), 0); /* a volume that is being deleted needs no key */
	assert_int_equal(store_volume_delete(&rig->store, &id), 0);
	assert_int_equal(store_volume_delete(&rig->store, &id), -ENOENT);
}

static void test_key_versions(void **state)
{
	struct rig *rig = *state;
	struct key_row kek = rig_key("k", 7), other = rig_key("o", 8), out;
	const struct vault_blob blob = {.size = 1, .bytes = {42}};

	rig_open(rig);
	assert_int_equal(store_key_insert(&rig->store, &kek), 0);
	assert_int_equal(store_key_insert(&rig->store, &kek), -EEXIST);
	assert_int_equal(store_key_insert(&rig->store, &other), 0);
	rig_insert_volume(rig, "v", 1, &kek);
	kek.version = 2;
	assert_int_equal(store_key_replace(&rig->store, &kek, 1), 0);
	assert_int_equal(store_key_replace(&rig->store, &kek, 1), -ENOENT); /* somebody was faster */
	assert_int_equal(store_key_get(&rig->store, "k", &out), 0);
	assert_int_equal(out.version, 2);
	assert_int_equal(out.volumes, 1);
	assert_int_equal(store_volume_set_key(&rig->store, &(struct uuid){{1}}, &other.id, &kek.id, &blob), -ENOENT);
	assert_int_equal(store_volume_set_key(&rig->store, &(struct uuid){{1}}, &kek.id, &other.id, &blob), 0);
	assert_int_equal(store_key_get(&rig->store, "k", &out), 0);
	assert_int_equal(out.volumes, 0);
}

static void test_live_is_forgotten_health_is_not(void **state)
{
	struct rig *rig = *state;
	struct attachment_row attachment = rig_attachment("/s");
	const struct uuid id = {{1}}, nobody = {{2}};
	struct volume_row row;

	rig_open(rig);
	rig_insert_volume(rig, "v", 1, NULL);
	assert_int_equal(store_attachment_insert(&rig->store, &id, &attachment), 0);
	assert_int_equal(store_live_set(&rig->store, &id, "connected", "so"), 0);
	assert_int_equal(store_live_set(&rig->store, &nobody, "connected", NULL), 0); /* no attachment: no row */
	assert_int_equal(store_health_add(&rig->store, &id, "first"), 0);
	assert_int_equal(store_health_flush(&rig->store), 0);
	assert_int_equal(store_health_add(&rig->store, &id, "second"), 0);
	assert_int_equal(store_health_add(&rig->store, &nobody, "nothing"), 0);
	assert_int_equal(store_volume_get(&rig->store, "v", &row), 0);
	assert_string_equal(row.attachment.state, "connected");
	assert_string_equal(row.attachment.reason, "so");
	assert_int_equal(row.errors, 2); /* also what is not written down yet */
	assert_string_equal(row.error_message, "second");
	volume_row_clear(&row);
	assert_int_equal(store_health_flush(&rig->store), 0);
	rig_reopen(rig);
	assert_int_equal(store_volume_get_by_id(&rig->store, &id, &row), 0);
	assert_string_equal(row.attachment.state, "pending");
	assert_int_equal(row.errors, 2);
	volume_row_clear(&row);
	assert_int_equal(store_health_reset(&rig->store, &id), 0);
	assert_int_equal(store_volume_get_by_id(&rig->store, &id, &row), 0);
	assert_int_equal(row.errors, 0);
	assert_string_equal(row.error_message, "");
	volume_row_clear(&row);
}

static void expect_work(struct rig *rig, enum store_work which, const char *first_bytes)
{
	struct uuid *ids;
	size_t count;

	assert_int_equal(store_work_list(&rig->store, which, &ids, &count), 0);
	assert_int_equal(count, strlen(first_bytes));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(ids[i].bytes[0], first_bytes[i]);
	free(ids);
}

/* Volumes are named so that the order by name is that of their ids. */
static void test_work(void **state)
{
	struct rig *rig = *state;
	struct attachment_row attachment = rig_attachment("/e");
	struct volume_row memory = rig_volume("m", 'm', NULL);

	rig_open(rig);
	rig_insert_volume(rig, "a", 'a', NULL);
	rig_insert_volume(rig, "c", 'c', NULL);
	rig_insert_volume(rig, "d", 'd', NULL);
	rig_insert_volume(rig, "e", 'e', NULL);
	rig_insert_volume(rig, "f", 'f', NULL);
	memory.backend = BACKEND_MEMORY;
	assert_int_equal(store_volume_insert(&rig->store, &memory), 0);
	volume_row_clear(&memory);
	assert_int_equal(store_volume_set_state(&rig->store, &(struct uuid){{'c'}}, VOLUME_CREATING), 0);
	assert_int_equal(store_volume_begin_delete(&rig->store, &(struct uuid){{'d'}}), 0);
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{'e'}}, &attachment), 0);
	strcpy(attachment.socket, "/f");
	assert_int_equal(store_attachment_insert(&rig->store, &(struct uuid){{'f'}}, &attachment), 0);
	assert_int_equal(store_live_set(&rig->store, &(struct uuid){{'f'}}, "waiting", NULL), 0);
	expect_work(rig, WORK_ALL, "cdefm");
	expect_work(rig, WORK_PENDING, "cde");
	assert_int_equal(store_volume_set_size(&rig->store, &(struct uuid){{'a'}}, 1 << 20, 2 << 20), 0);
	expect_work(rig, WORK_PENDING, "acde");
	assert_int_equal(store_attachment_set_phase(&rig->store, &(struct uuid){{'f'}}, ATTACHMENT_DETACHING), 0);
	expect_work(rig, WORK_PENDING, "acdef");
	assert_int_equal(store_live_all_pending(&rig->store, "why"), 0);
	expect_work(rig, WORK_ALL, "acdefm");
}

static int count_volume(void *context, struct volume_row *row)
{
	(void)row;
	++*(int *)context;
	return 0;
}

/* The page limit plays the full disk. Every change is refused whole, and works again afterwards. */
static void test_full(void **state)
{
	struct rig *rig = *state;
	struct volume_row row = rig_volume("w", 2, NULL);
	char pad[4000];
	int count = 0, rc;

	rig_open(rig);
	rig_insert_volume(rig, "v", 1, NULL);
	memset(pad, 'x', sizeof(pad) - 1);
	pad[sizeof(pad) - 1] = '\0';
	json_object_set_new(row.tags, "pad", json_string(pad));
	assert_int_equal(sqlite3_exec(rig->store.db, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK); /* as it is now */
	assert_int_equal(store_begin(&rig->store), 0);
	rc = store_volume_insert(&rig->store, &row);
	assert_int_equal(rc, -ENOSPC);
	store_rollback(&rig->store);
	assert_int_equal(store_volume_set_tags(&rig->store, &(struct uuid){{1}}, row.tags), -ENOSPC);
	assert_int_equal(store_volume_each(&rig->store, count_volume, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(sqlite3_exec(rig->store.db, "PRAGMA max_page_count = 100000", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_volume_insert(&rig->store, &row), 0);
	volume_row_clear(&row);
}

static void test_card(void **state)
{
	struct rig *rig = *state;
	char incarnation[UUID_TEXT_SIZE];
	int64_t restarts = -1;

	rig_open(rig);
	assert_int_equal(store_card_get(&rig->store, incarnation, &restarts), 0);
	assert_string_equal(incarnation, "");
	assert_int_equal(restarts, 0);
	assert_int_equal(store_card_set(&rig->store, "one", 0), 0);
	assert_int_equal(store_card_set(&rig->store, "two", 1), 0);
	rig_reopen(rig);
	assert_int_equal(store_card_get(&rig->store, incarnation, &restarts), 0);
	assert_string_equal(incarnation, "two");
	assert_int_equal(restarts, 1);
}

/* What was put into the file by somebody else reads as nothing dangerous. */
static void test_foreign_values(void **state)
{
	struct rig *rig = *state;
	struct key_row kek = rig_key("k", 7);
	struct volume_row row;

	rig_open(rig);
	assert_int_equal(store_key_insert(&rig->store, &kek), 0);
	rig_insert_volume(rig, "v", 1, &kek);
	assert_int_equal(sqlite3_exec(rig->store.db, "UPDATE volumes SET wrapped_dek = zeroblob(100000), tags = 'no json'", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(store_volume_get(&rig->store, "v", &row), 0);
	assert_int_equal(row.wrapped_dek.size, 0);
	assert_int_equal(json_object_size(row.tags), 0);
	volume_row_clear(&row);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_volume_round_trip),
		STORE_TEST(test_names_paths_and_sockets_are_unique),
		STORE_TEST(test_what_is_used_stays),
		STORE_TEST(test_key_versions),
		STORE_TEST(test_live_is_forgotten_health_is_not),
		STORE_TEST(test_work),
		STORE_TEST(test_full),
		STORE_TEST(test_card),
		STORE_TEST(test_foreign_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
