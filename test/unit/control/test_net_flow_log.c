/* Flow logs: which line goes where, what is no line, rotation, the last lines of two files. */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"
#include "control/net_flow_log.h"
#include "control/store_net.h"
#include "rig.h"

struct log_rig {
	struct rig *rig;
	struct control control;
	char id[UUID_TEXT_SIZE];
};

static void path_of(const struct log_rig *l, char path[160], const char *name)
{
	snprintf(path, 160, "%s/flow-logs/%s", l->rig->dir, name);
}

static void add_eni(struct log_rig *l, const char *name, uint8_t id)
{
	struct net_row row = {.id.bytes = {id}, .kind = NET_ENI, .body = "{}"};

	strcpy(row.name, name);
	assert_int_equal(store_net_put(&l->control.store, &row), 0);
	uuid_format(&row.id, l->id);
}

static int setup(void **state)
{
	struct log_rig *l = calloc(1, sizeof(*l));
	char path[160];

	if (rig_setup((void **)&l->rig) != 0)
		return -1;
	rig_open(l->rig);
	l->control.store = l->rig->store;
	l->control.state_dir = l->rig->dir;
	path_of(l, path, "");
	mkdir(path, 0700);
	add_eni(l, "b", 2);
	add_eni(l, "a", 1);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"a.log", "a.log.1", "b.log", "b.log.1", "c.log", ""};
	struct log_rig *l = *state;
	char path[160];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(l, path, files[i]);
		if (files[i][0] != '\0')
			unlink(path);
		else
			rmdir(path);
	}
	l->rig->store = l->control.store;
	rig_teardown((void **)&l->rig);
	free(l);
	return 0;
}

static void take(struct log_rig *l, const char *lines)
{
	json_t *event = json_pack("{s:o}", "lines", json_loads(lines, 0, NULL));

	net_flow_log_take(&l->control, event);
	json_decref(event);
}

static void expect_tail(struct log_rig *l, const char *eni, size_t count, const char *lines)
{
	json_t *found = net_flow_log_tail(l->rig->dir, eni, count), *wanted = json_loads(lines, 0, NULL);

	if (!json_equal(found, wanted))
		fail_msg("%s is not %s", json_dumps(found, 0), lines);
	json_decref(found);
	json_decref(wanted);
}

static void test_whose(void **state)
{
	struct log_rig *l = *state;
	char lines[512];

	expect_tail(l, "a", 10, "[]");
	snprintf(lines, sizeof(lines),
		 "[\"2 - %s one\", \"2 - eni-%s two\", \"2 - a three\", \"2 - b four\", \"2 - a five\", \"2 - c six\", \"2 - ../a "
		 "seven\","
		 " \"2 - 00000000-0000-0000-0000-0000000000ff eight\", \"nine\", \"2 - \", 10, \"2 - a \\u0001\", \"2 - a "
		 "\\u00e4\"]",
		 l->id, l->id);
	take(l, lines);
	snprintf(lines, sizeof(lines), "[\"2 - %s one\", \"2 - eni-%s two\", \"2 - a three\", \"2 - a five\"]", l->id, l->id);
	expect_tail(l, "a", 10, lines);
	expect_tail(l, "b", 10, "[\"2 - b four\"]");
	expect_tail(l, "c", 10, "[]");
	expect_tail(l, "a", 1, "[\"2 - a five\"]");
}

static void test_event_without_sense(void **state)
{
	struct log_rig *l = *state;
	json_t *event = json_pack("{s:s,s:s}", "lines", "2 - a x", "lost", "many");

	net_flow_log_take(&l->control, event);
	expect_tail(l, "a", 10, "[]");
	json_decref(event);
}

/* Lines longer than a piece that is read at once, and more of them than one piece holds. */
static void test_long_tail(void **state)
{
	struct log_rig *l = *state;
	json_t *event, *list = json_array(), *found;
	char line[NET_FLOW_LOG_LINE_MAX_BYTES + 2];

	for (int i = 0; i < 400; i++) {
		snprintf(line, sizeof(line), "2 - a %0*d", 500, i);
		json_array_append_new(list, json_string(line));
	}
	memset(line, 'x', sizeof(line));
	memcpy(line, "2 - a ", 6);
	line[sizeof(line) - 1] = '\0';
	json_array_append_new(list, json_string(line)); /* one too long: dropped */
	event = json_pack("{s:o}", "lines", list);
	net_flow_log_take(&l->control, event);
	found = net_flow_log_tail(l->rig->dir, "a", 300);
	assert_int_equal(json_array_size(found), 300);
	for (size_t i = 0; i < 300; i++)
		assert_string_equal(json_string_value(json_array_get(found, i)), json_string_value(json_array_get(list, 100 + i)));
	json_decref(found);
	json_decref(event);
}

static void test_rotation(void **state)
{
	struct log_rig *l = *state;
	char path[160];
	struct stat st;
	int fd;

	take(l, "[\"2 - a one\", \"2 - a two\"]");
	path_of(l, path, "a.log");
	/* As large as it may be, of lines that nobody reads here: a hole reads as zeroes, and is one line. */
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "\n", 1, NET_FLOW_LOG_MAX_BYTES - 20), 1);
	close(fd);
	take(l, "[\"2 - a three\"]");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, NET_FLOW_LOG_MAX_BYTES - 19 + 12);
	take(l, "[\"2 - a four\"]");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 11);
	path_of(l, path, "a.log.1");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, NET_FLOW_LOG_MAX_BYTES - 19 + 12);
	expect_tail(l, "a", 2, "[\"2 - a three\", \"2 - a four\"]");
	expect_tail(l, "a", 1, "[\"2 - a four\"]");
}

/* A log is a file, and its own: a link that somebody put there is not followed. */
static void test_link(void **state)
{
	struct log_rig *l = *state;
	char path[160], target[160];
	struct stat st;

	path_of(l, path, "a.log");
	path_of(l, target, "c.log");
	assert_int_equal(symlink(target, path), 0);
	take(l, "[\"2 - a one\"]");
	assert_int_equal(stat(target, &st), -1);
	assert_null(net_flow_log_tail(l->rig->dir, "a", 5));
	assert_int_equal(errno, ELOOP);
}

static void test_no_folder(void **state)
{
	struct log_rig *l = *state;
	char path[160];

	path_of(l, path, "");
	assert_int_equal(rmdir(path), 0);
	take(l, "[\"2 - a one\"]");
	expect_tail(l, "a", 5, "[]");
	mkdir(path, 0700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_without_sense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
