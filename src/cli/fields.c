#include "cli/fields.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

const char *field_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

uint64_t field_number(const json_t *object, const char *name)
{
	json_int_t number = json_integer_value(json_object_get(object, name));

	return number < 0 ? 0 : (uint64_t)number;
}

bool field_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

bool field_is_set(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value != NULL && !json_is_null(value);
}

void print_limits(const json_t *volume)
{
	static const char burst[] = ", but for burst credits: 3 IOPS a GiB (at least 100), 3000 while there are credits";
	char iops[32] = "any number of requests", throughput[32] = "any rate";

	if (field_is_set(volume, "iops"))
		snprintf(iops, sizeof(iops), "%llu IOPS", (unsigned long long)field_number(volume, "iops"));
	if (field_is_set(volume, "throughput_mib"))
		snprintf(throughput, sizeof(throughput), "%llu MiB/s", (unsigned long long)field_number(volume, "throughput_mib"));
	if (!field_is_set(volume, "iops") && !field_is_set(volume, "throughput_mib"))
		print_field("limits", "none%s", field_true(volume, "burst") ? burst : "");
	else
		print_field("limits", "%s, %s%s", iops, throughput, field_true(volume, "burst") ? burst : "");
}

void print_tags(const json_t *tags)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(size_t)tags, key, value)
		print_field("tag", "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
}

int fields_add_tags(const struct cli *cli, json_t *body)
{
	const char *text = cli_text(cli, "tags", NULL);
	json_t *tags;

	if (text == NULL)
		return -1;
	tags = json_object();
	json_object_set_new(body, "tags", tags);
	while (*text != '\0') {
		size_t length = strcspn(text, ","), key = strcspn(text, "=");

		if (key == 0 || key >= length)
			return cli_usage(cli, "--tags must be KEY=VALUE,KEY=VALUE,...");
		json_object_setn_new(tags, text, key, json_stringn(text + key + 1, length - key - 1));
		text += length + (text[length] == ',');
	}
	return -1;
}

int print_list(const char *name, json_t *list)
{
	json_t *object = json_pack("{s:o}", name, list);

	print_json(object);
	json_decref(object);
	return 0;
}

int print_done(const struct cli *cli, const char *verb, const char *name)
{
	json_t *object;

	if (!cli->json) {
		printf("%s %s\n", name, verb);
		return 0;
	}
	object = json_pack("{s:s}", verb, name);
	print_json(object);
	json_decref(object);
	return 0;
}

char *path_absolute(const char *path)
{
	char here[PATH_MAX], *absolute;

	if (*path == '/')
		absolute = strdup(path);
	else if (getcwd(here, sizeof(here)) == NULL || asprintf(&absolute, "%s/%s", here, path) < 0)
		absolute = NULL;
	if (absolute == NULL)
		err(CLI_EXIT_FAILED, "outboard");
	return absolute;
}

json_t *json_string_absolute(const char *path)
{
	char *absolute = path_absolute(path);
	json_t *string = json_string(absolute);

	free(absolute);
	return string;
}
