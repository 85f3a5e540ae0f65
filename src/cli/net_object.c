/* `outboard KIND create|list|show|change|delete`, for every kind of net_kind.h. */
#include <assert.h>
#include <string.h>

#include "cli/api.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/output.h"

const struct net_kind *const net_kinds[] = {
	&net_vpc, &net_subnet, &net_security_group, &net_acl, &net_route_table, &net_peering, &net_host, &net_eni, &net_nat,
	&net_eip, NULL};

static const struct net_kind *kind_of(const struct cli *cli)
{
	size_t length = strcspn(cli->command->name, " ");

	for (unsigned i = 0; net_kinds[i] != NULL; i++)
		if (strncmp(net_kinds[i]->word, cli->command->name, length) == 0 && net_kinds[i]->word[length] == '\0')
			return net_kinds[i];
	assert(false && "a command's first word is no kind");
	return NULL;
}

static int print_object(const struct cli *cli, const struct net_kind *kind, json_t *object)
{
	if (cli->json) {
		print_json(object);
	} else {
		print_field("name", "%s", field_text(object, "name"));
		for (const struct net_field *f = kind->fields; f->name != NULL; f++)
			net_field_print(f, object);
		print_field("created", "%s", field_text(object, "created_at"));
		print_field("id", "%s", field_text(object, "id"));
		if (kind->show != NULL)
			kind->show(object);
	}
	json_decref(object);
	return 0;
}

int net_create(struct cli *cli)
{
	const struct net_kind *kind = kind_of(cli);
	json_t *body = json_pack("{s:s}", "name", cli->argument[0]), *object;
	int status = net_fields_take(cli, kind, body);

	if (status >= 0) {
		json_decref(body);
		return status;
	}
	status = api_call(cli, "POST", body, &object, "/v1/%s", kind->path);
	return status != 0 ? status : print_object(cli, kind, object);
}

static void print_objects(const struct net_kind *kind, const json_t *objects)
{
	const char *headings[NET_COLUMNS_MAX + 1] = {"NAME"};
	struct text_table *table;
	unsigned columns = 0;
	char text[NET_TEXT_SIZE];

	for (; columns < NET_COLUMNS_MAX && kind->columns[columns].heading != NULL; columns++)
		headings[columns + 1] = kind->columns[columns].heading;
	table = table_new(columns + 1, headings);
	for (size_t i = 0; i < json_array_size(objects); i++) {
		const json_t *object = json_array_get(objects, i);

		table_add(table, "%s", field_text(object, "name"));
		for (const struct net_column *c = kind->columns; c < kind->columns + columns; c++)
			table_add(table, "%s",
				  c->text != NULL ? c->text(object, text) : net_text(json_object_get(object, c->field), 2, text));
	}
	table_print(table, stdout);
}

int net_list(struct cli *cli)
{
	const struct net_kind *kind = kind_of(cli);
	json_t *objects;
	int status = api_call(cli, "GET", NULL, &objects, "/v1/%s", kind->path);

	if (status != 0)
		return status;
	if (cli->json)
		return print_list(kind->list, objects);
	if (json_array_size(objects) == 0)
		printf("No %s yet. \"outboard %s create NAME %s\" makes one.\n", kind->titles, kind->word, kind->make);
	else
		print_objects(kind, objects);
	json_decref(objects);
	return 0;
}

int net_show(struct cli *cli)
{
	const struct net_kind *kind = kind_of(cli);
	json_t *object;
	int status = api_call(cli, "GET", NULL, &object, "/v1/%s/%s", kind->path, cli->argument[0]);

	return status != 0 ? status : print_object(cli, kind, object);
}

int net_change(struct cli *cli)
{
	const struct net_kind *kind = kind_of(cli);
	json_t *body = json_object(), *object;
	int status = net_fields_take(cli, kind, body);

	if (status < 0 && json_object_size(body) == 0)
		status = cli_usage(cli, "what of %s is to change?", cli->argument[0]);
	if (status >= 0) {
		json_decref(body);
		return status;
	}
	if (kind->adjust != NULL)
		kind->adjust(body);
	status = api_call(cli, "PATCH", body, &object, "/v1/%s/%s", kind->path, cli->argument[0]);
	return status != 0 ? status : print_object(cli, kind, object);
}

int net_delete(struct cli *cli)
{
	int status = api_call(cli, "DELETE", NULL, NULL, "/v1/%s/%s", kind_of(cli)->path, cli->argument[0]);

	return status != 0 ? status : print_done(cli, "deleted", cli->argument[0]);
}
