/* Options of the command line, fields of the API, lines on the screen: what each type is in all three. */
#include <stdlib.h>
#include <string.h>

#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/output.h"
#include "cli/rate.h"

/* ---- from options ---- */

static json_t *words(const struct cli_value *value)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < value->count; i++)
		json_array_append_new(list, json_string(value->all[i]));
	return list;
}

static json_t *flow_log(const struct cli *cli, const char *traffic)
{
	json_t *log = json_pack("{s:s}", "traffic", traffic);

	if (cli_option(cli, "flow-log-interval") != NULL)
		json_object_set_new(log, "interval_s", json_integer((json_int_t)cli_number(cli, "flow-log-interval", 0)));
	return log;
}

static json_t *value_of(const struct cli *cli, const struct net_field *field, const struct cli_value *value)
{
	switch (field->type) {
	case NET_WORDS:
		return words(value);
	case NET_NUMBER:
		return json_integer((json_int_t)value->number);
	case NET_SECONDS:
	case NET_LIMIT:
	case NET_RATE:
		return value->number == 0 ? json_null() : json_integer((json_int_t)value->number);
	case NET_YES_NO:
		return json_boolean(strcmp(value->text, "yes") == 0);
	case NET_FLOW_LOG:
		return flow_log(cli, value->text);
	case NET_TAGS:
	case NET_TEXT:
		break;
	}
	return json_string(value->text);
}

static bool has_option(const struct cli *cli, const char *name)
{
	for (const struct cli_option *o = cli->command->options; o != NULL && o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return true;
	return false;
}

/* --clear OPTION: null. -1, or the exit status. */
static int clear(const struct cli *cli, const struct net_kind *kind, json_t *body)
{
	const struct cli_value *cleared = has_option(cli, "clear") ? cli_option(cli, "clear") : NULL;

	for (unsigned i = 0; cleared != NULL && i < cleared->count; i++)
		for (const struct net_field *f = kind->fields; f->name != NULL; f++) {
			if (f->option == NULL || strcmp(f->option, cleared->all[i]) != 0)
				continue;
			if (json_object_get(body, f->name) != NULL)
				return cli_usage(cli, "--%s and --clear %s contradict each other", f->option, f->option);
			json_object_set_new(body, f->name, json_null());
		}
	return -1;
}

int net_fields_take(const struct cli *cli, const struct net_kind *kind, json_t *body)
{
	for (const struct net_field *f = kind->fields; f->name != NULL; f++) {
		const struct cli_value *value;
		int status = -1;

		if (f->option == NULL || !has_option(cli, f->option) || (value = cli_option(cli, f->option)) == NULL)
			continue;
		if (f->type == NET_TAGS)
			status = fields_add_tags(cli, body);
		else
			json_object_set_new(body, f->name, value_of(cli, f, value));
		if (status >= 0)
			return status;
	}
	if (has_option(cli, "flow-log-interval") && cli_option(cli, "flow-log-interval") != NULL &&
	    json_object_get(body, "flow_log") == NULL)
		return cli_usage(cli, "--flow-log-interval has no meaning without --flow-log");
	return clear(cli, kind, body);
}

/* ---- to the screen ---- */

static const char *word_of(const json_t *value, char number[32])
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	if (!json_is_integer(value))
		return "-";
	snprintf(number, 32, "%lld", (long long)json_integer_value(value));
	return number;
}

const char *net_text(const json_t *value, unsigned count, char text[NET_TEXT_SIZE])
{
	size_t size = json_array_size(value), used = 0, at = 0;
	char number[32];

	if (!json_is_array(value) || size == 0) {
		snprintf(text, NET_TEXT_SIZE, "%s", word_of(value, number));
		return text;
	}
	for (; at < size && at < count; at++) {
		const char *word = word_of(json_array_get(value, at), number);

		if (used + strlen(word) + 32 > NET_TEXT_SIZE)
			break;
		used += (size_t)snprintf(text + used, NET_TEXT_SIZE - used, "%s%s", at == 0 ? "" : ", ", word);
	}
	if (at < size)
		snprintf(text + used, NET_TEXT_SIZE - used, ", +%zu", size - at);
	return text;
}

static void print_flow_log(const char *label, const json_t *log)
{
	print_field(label, "%s traffic, every %llu s", field_text(log, "traffic"),
		    (unsigned long long)field_number(log, "interval_s"));
}

void net_field_print(const struct net_field *field, const json_t *object)
{
	const json_t *value = json_object_get(object, field->name);
	char text[NET_TEXT_SIZE], rate[RATE_TEXT_SIZE];

	if (field->label == NULL || (!field_is_set(object, field->name) && field->absent == NULL))
		return;
	if (!field_is_set(object, field->name) || (json_is_array(value) && json_array_size(value) == 0 && field->absent != NULL)) {
		print_field(field->label, "%s", field->absent);
	} else if (field->type == NET_RATE) {
		rate_format(field_number(object, field->name), rate);
		print_field(field->label, "%s", rate);
	} else if (field->type == NET_TAGS) {
		print_tags(value);
	} else if (field->type == NET_FLOW_LOG) {
		print_flow_log(field->label, value);
	} else {
		print_field(field->label, "%s%s", net_text(value, UINT32_MAX, text), field->type == NET_SECONDS ? " s" : "");
	}
}
