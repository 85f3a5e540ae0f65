#include "control/net_flow_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"
#include "control/store_net.h"

static int path_of(char path[PATH_MAX], const char *state_dir, const char *eni, const char *end)
{
	return snprintf(path, PATH_MAX, "%s/flow-logs/%s.log%s", state_dir, eni, end) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- writing ---- */

/* All of it or nothing: a line that is cut in the middle would be read as a whole one. 0 or -errno. */
static int append(int fd, off_t size, const char *text, size_t length)
{
	ssize_t written = write(fd, text, length);
	int rc = written < 0 ? -errno : written < (ssize_t)length ? -ENOSPC : 0;

	if (written > 0 && rc < 0 && ftruncate(fd, size) != 0)
		log_warning("a flow log ends with a line that is not whole: %s", strerror(errno));
	return rc;
}

static int write_lines(const struct control *control, const char *eni, const char *text, size_t length)
{
	char path[PATH_MAX], old[PATH_MAX];
	struct stat st;
	int fd, rc;

	if (path_of(path, control->state_dir, eni, "") < 0 || path_of(old, control->state_dir, eni, ".1") < 0)
		return -ENAMETOOLONG;
	if (stat(path, &st) == 0 && st.st_size + (off_t)length > NET_FLOW_LOG_MAX_BYTES && rename(path, old) != 0)
		return -errno;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) == 0 ? append(fd, st.st_size, text, length) : -errno;
	close(fd);
	return rc;
}

/* Its third field is whose line it is: the id, perhaps as "eni-ID", or the name. */
static bool owner_of(struct control *control, const char *line, char name[NAME_SIZE])
{
	char token[NAME_SIZE];
	enum net_kind kind;
	struct uuid id, vpc;
	const char *field = line;

	for (int i = 0; i < 2 && field != NULL; i++) {
		field = strchr(field, ' ');
		field = field == NULL ? NULL : field + 1;
	}
	if (field == NULL || strcspn(field, " ") >= sizeof(token))
		return false;
	memcpy(token, field, strcspn(field, " "));
	token[strcspn(field, " ")] = '\0';
	if (uuid_parse(strncmp(token, "eni-", 4) == 0 ? token + 4 : token, &id) == 0)
		return store_net_name(&control->store, &id, &kind, name) == 0 && kind == NET_ENI;
	strcpy(name, token);
	return name_valid(token) && store_net_find(&control->store, NET_ENI, token, &id, &vpc) == 0;
}

static bool line_valid(const json_t *line)
{
	const char *text = json_string_value(line);

	if (text == NULL || json_string_length(line) > NET_FLOW_LOG_LINE_MAX_BYTES)
		return false;
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* Text of consecutive lines of one ENI. */
struct batch {
	char eni[NAME_SIZE];
	char text[64 * 1024];
	size_t used, lines;
};

static void flush(const struct control *control, struct batch *b, size_t *lost, int *error)
{
	int rc = b->used == 0 ? 0 : write_lines(control, b->eni, b->text, b->used);

	if (rc < 0) {
		*lost += b->lines;
		*error = rc;
	}
	b->used = b->lines = 0;
}

void net_flow_log_take(struct control *control, const json_t *event)
{
	struct batch *b = calloc(1, sizeof(*b));
	size_t at, lost = (size_t)json_integer_value(json_object_get(event, "lost"));
	char eni[NAME_SIZE];
	json_t *line;
	int error = 0;

	if (b == NULL)
		return;
	json_array_foreach (json_object_get(event, "lines"), at, line) {
		if (!line_valid(line) || !owner_of(control, json_string_value(line), eni))
			continue; /* of an ENI that is gone */
		if (strcmp(eni, b->eni) != 0 || b->used + NET_FLOW_LOG_LINE_MAX_BYTES + 1 >= sizeof(b->text)) {
			flush(control, b, &lost, &error);
			strcpy(b->eni, eni);
		}
		b->used += (size_t)snprintf(b->text + b->used, sizeof(b->text) - b->used, "%s\n", json_string_value(line));
		b->lines++;
	}
	flush(control, b, &lost, &error);
	free(b);
	if (lost > 0)
		log_warning("%zu lines of flow logs are lost%s%s", lost, error == 0 ? ": the card could not keep them" : ": ",
			    error == 0 ? "" : strerror(-error));
}

/* ---- reading ---- */

/* Where in the file the last `count` lines begin; *found: how many there are. */
static off_t find_start(int fd, off_t size, size_t count, size_t *found)
{
	char chunk[16 * 1024];
	off_t at = size;

	*found = 0;
	while (at > 0) {
		size_t length = at < (off_t)sizeof(chunk) ? (size_t)at : sizeof(chunk);

		if (pread(fd, chunk, length, at - (off_t)length) != (ssize_t)length)
			return -errno;
		for (size_t i = length; i > 0; i--) {
			off_t behind = at - (off_t)length + (off_t)i;

			if (chunk[i - 1] != '\n' || behind == size)
				continue;
			if (++*found == count)
				return behind;
		}
		at -= (off_t)length;
	}
	*found += size > 0;
	return 0;
}

static int add_lines(json_t *list, int fd, off_t from, off_t size)
{
	size_t length = (size_t)(size - from);
	char *text = malloc(length + 1), *line, *rest;

	if (text == NULL)
		return -ENOMEM;
	if (pread(fd, text, length, from) != (ssize_t)length) {
		free(text);
		return -EIO;
	}
	text[length] = '\0';
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		json_t *said = line[0] == '\0' ? NULL : json_string(line); /* NULL too: somebody wrote what is no text */

		if (said != NULL)
			json_array_append_new(list, said);
	}
	free(text);
	return 0;
}

/* Appends the last `count` lines of a file; *found: how many. 0 or -errno. */
static int tail_file(json_t *list, const char *path, size_t count, size_t *found)
{
	struct stat st;
	off_t from;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;

	*found = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = fstat(fd, &st) == 0 ? 0 : -errno;
	if (rc == 0) {
		from = find_start(fd, st.st_size, count, found);
		rc = from < 0 ? (int)from : add_lines(list, fd, from, st.st_size);
	}
	close(fd);
	return rc;
}

json_t *net_flow_log_tail(const char *state_dir, const char *eni, size_t count)
{
	json_t *list = json_array(), *older = json_array();
	char path[PATH_MAX], old[PATH_MAX];
	size_t found, found_older;
	int rc = path_of(path, state_dir, eni, "");

	if (rc == 0)
		rc = path_of(old, state_dir, eni, ".1");
	if (rc == 0)
		rc = tail_file(list, path, count, &found);
	if (rc == 0 && found < count)
		rc = tail_file(older, old, count - found, &found_older);
	json_array_extend(older, list);
	json_decref(list);
	if (rc == 0)
		return older;
	json_decref(older);
	errno = -rc;
	return NULL;
}
