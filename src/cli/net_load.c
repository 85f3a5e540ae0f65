/* `outboard vpc load`: a whole network from one file. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/output.h"
#include "cli/progress.h"

enum { PROGRESS_MIN_BYTES = 1 << 20 };

static const struct cli_option options[] = {
	{"replace", 0, CLI_FLAG, NULL, "delete every object that the file does not list", false},
	{0},
};

/* The file's object; NULL with *status after an error was printed. */
static json_t *read_file(const struct cli *cli, const char *path, int *status)
{
	bool from_stdin = strcmp(path, "-") == 0;
	json_error_t error;
	json_t *root = from_stdin ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
				  : json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (root == NULL && json_error_code(&error) == json_error_cannot_open_file)
		*status = cli_fail(cli, "file", "%s", error.text);
	else if (root == NULL)
		*status = cli_fail(cli, "invalid_json", "%s, line %d, column %d: %s", from_stdin ? "standard input" : path,
				   error.line, error.column, error.text);
	else if (!json_is_object(root))
		*status = cli_fail(cli, "invalid_json", "%s must be a JSON object with lists such as \"vpcs\" and \"subnets\"",
				   from_stdin ? "standard input" : path);
	else
		return root;
	json_decref(root);
	return NULL;
}

/* "2 security groups (1000 rules)" for each kind that is listed. */
static void print_listed(const json_t *root)
{
	unsigned kinds = 0;

	for (unsigned i = 0; net_kinds[i] != NULL; i++) {
		const json_t *list = json_object_get(root, net_kinds[i]->list);
		size_t count = json_array_size(list), rules = 0, routes = 0;

		if (count == 0)
			continue;
		for (size_t j = 0; j < count; j++) {
			rules += json_array_size(json_object_get(json_array_get(list, j), "rules"));
			routes += json_array_size(json_object_get(json_array_get(list, j), "routes"));
		}
		printf("%s%zu %s", kinds++ == 0 ? "" : ", ", count, count == 1 ? net_kinds[i]->title : net_kinds[i]->titles);
		if (rules + routes > 0)
			printf(" (%zu %s%s)", rules + routes, rules > 0 ? "rule" : "route", rules + routes == 1 ? "" : "s");
	}
	printf("%s: ", kinds == 0 ? "nothing" : "");
}

/* What stands at "enis[3].addresses[0]"; NULL: nothing. */
static const json_t *follow(const json_t *at, const char *path, size_t length)
{
	const char *end = path + length;

	while (at != NULL && path < end) {
		if (*path == '[') {
			at = json_array_get(at, strtoul(path + 1, NULL, 10));
			path += strcspn(path, "]") + 1;
		} else {
			path += *path == '.';
			length = strcspn(path, ".[\"");
			at = json_object_getn(at, path, length);
			path += length;
		}
	}
	return at;
}

/* 'Field "security_groups[2].rules[777].cidr" must be ...': nobody counts to 777. So whose field it is, and what stands there. */
static int refused(const struct cli *cli, const json_t *root, const struct api_error *error)
{
	const char *path = strncmp(error->message, "Field \"", 7) == 0 ? error->message + 7 : "";
	size_t list = strcspn(path, "[\""), object = strcspn(path, "]\"");
	const json_t *value = follow(root, path, strcspn(path, "\""));
	char *text = json_is_object(value) || json_is_array(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
	const char *name = field_text(follow(root, path, path[object] == ']' ? object + 1 : object), "name");
	const struct net_kind *kind = NULL;
	int status;

	for (unsigned i = 0; net_kinds[i] != NULL; i++)
		if (strlen(net_kinds[i]->list) == list && strncmp(net_kinds[i]->list, path, list) == 0)
			kind = net_kinds[i];
	if (kind == NULL || *name == '\0')
		status = cli_fail(cli, error->code, "%s", error->message);
	else
		status = cli_fail(cli, error->code, "%s \"%.63s\": %s%s%.80s", kind->title, name, error->message,
				  text != NULL ? " There is " : "", text != NULL ? text : "");
	free(text);
	return status;
}

static int send_all(const struct cli *cli, json_t *root, json_t **reply)
{
	char *text = json_dumps(root, JSON_COMPACT);
	size_t size = text == NULL ? 0 : strlen(text);
	struct progress progress;
	struct api_error error;
	int status;

	if (text == NULL)
		return cli_fail(cli, "out_of_memory", "out of memory");
	progress_start(&progress, cli->json || size < PROGRESS_MIN_BYTES ? NULL : stderr, isatty(STDERR_FILENO), "loading", size);
	status = api_upload(cli, "/v1/vpc-load", text, &progress, reply, &error);
	progress_end(&progress);
	free(text);
	return status == 0 ? 0 : refused(cli, root, &error);
}

static int load(struct cli *cli)
{
	json_t *reply = NULL, *root;
	int status = 0;

	root = read_file(cli, cli->argument[0], &status);
	if (root == NULL)
		return status;
	if (cli_flag(cli, "replace"))
		json_object_set_new(root, "replace", json_true());
	status = send_all(cli, root, &reply);
	if (status == 0 && cli->json) {
		print_json(reply);
	} else if (status == 0) {
		print_listed(root);
		printf("%llu created, %llu updated, %llu deleted, %llu unchanged\n",
		       (unsigned long long)field_number(reply, "created"), (unsigned long long)field_number(reply, "updated"),
		       (unsigned long long)field_number(reply, "deleted"), (unsigned long long)field_number(reply, "unchanged"));
	}
	json_decref(reply);
	json_decref(root);
	return status;
}

const struct cli_command command_vpc_load = {
	.name = "vpc load",
	.summary = "Load a whole network from a JSON file, all or nothing",
	.arguments = {{"FILE", CLI_FILE}},
	.options = options,
	.details = "The file is one object with lists of objects, in any order, as \"KIND list --json\" and\n"
		   "\"KIND show --json\" name their fields: vpcs, subnets, security_groups, acls, route_tables,\n"
		   "peerings, hosts, enis, nats, eips. Objects refer to one another by name. Everything is checked\n"
		   "before anything changes, and changes at once. What exists under the same name is updated to\n"
		   "what the file says; loading a file twice changes nothing. FILE - is standard input.",
	.examples = "  outboard vpc load network.json\n"
		    "  outboard vpc load network.json --replace\n"
		    "      and delete everything else\n"
		    "  echo '{\"vpcs\": [{\"name\": \"prod\", \"cidrs\": [\"10.0.0.0/16\"]}],\n"
		    "         \"subnets\": [{\"name\": \"prod-a\", \"vpc\": \"prod\", \"cidr\": \"10.0.1.0/24\"}]}' |\n"
		    "      outboard vpc load -",
	.run = load,
};
