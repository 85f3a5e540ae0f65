#include "cli/output.h"

#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_WIDTH = 12, COLUMN_GAP = 2 };

struct text_table {
	unsigned columns;
	unsigned cells;
	unsigned capacity;
	char **cell;
};

static int report(const struct cli *cli, const char *code, int status, const char *message)
{
	json_t *object;

	if (!cli->json) {
		fprintf(stderr, "outboard: %s\n", message);
		return status;
	}
	object = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
	print_json(object);
	json_decref(object);
	return status;
}

static void clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		err(CLI_EXIT_FAILED, "outboard");
	clean(text);
	return text;
}

int cli_fail(const struct cli *cli, const char *code, const char *format, ...)
{
	va_list args;
	char *message;
	int status;

	va_start(args, format);
	message = format_text(format, args);
	va_end(args);
	status = report(cli, code, CLI_EXIT_FAILED, message);
	free(message);
	return status;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list args;
	char *message;
	int status;

	va_start(args, format);
	message = format_text(format, args);
	va_end(args);
	status = report(cli, "usage", CLI_EXIT_USAGE, message);
	free(message);
	if (!cli->json)
		fprintf(stderr, "\"outboard %s%s--help\" explains.\n", cli->command == NULL ? "" : cli->command->name,
			cli->command == NULL ? "" : " ");
	return status;
}

void print_json(const json_t *object)
{
	if (object == NULL || json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) != 0 ||
	    putchar('\n') == EOF)
		err(CLI_EXIT_FAILED, "outboard: cannot write the result");
}

struct text_table *table_new(unsigned columns, const char *const *headings)
{
	struct text_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		err(CLI_EXIT_FAILED, "outboard");
	t->columns = columns;
	for (unsigned i = 0; i < columns; i++)
		table_add(t, "%s", headings[i]);
	return t;
}

void table_add(struct text_table *table, const char *format, ...)
{
	va_list args;

	if (table->cells == table->capacity) {
		table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
		table->cell = reallocarray(table->cell, table->capacity, sizeof(*table->cell));
		if (table->cell == NULL)
			err(CLI_EXIT_FAILED, "outboard");
	}
	va_start(args, format);
	table->cell[table->cells++] = format_text(format, args);
	va_end(args);
}

static unsigned column_width(const struct text_table *t, unsigned column, bool right)
{
	size_t width = strlen(t->cell[column]) - (right ? 1 : 0);

	for (unsigned i = column + t->columns; i < t->cells; i += t->columns)
		if (strlen(t->cell[i]) > width)
			width = strlen(t->cell[i]);
	return (unsigned)width;
}

static void print_row(const struct text_table *t, unsigned row, const unsigned *width, FILE *out)
{
	for (unsigned c = 0; c < t->columns; c++) {
		const char *text = t->cell[row * t->columns + c];
		bool right = *t->cell[c] == '>', last = c + 1 == t->columns;

		if (right && row == 0)
			text++;
		fprintf(out, "%*s%*s", c == 0 ? 0 : COLUMN_GAP, "", right ? (int)width[c] : (last ? 0 : -(int)width[c]), text);
	}
	fputc('\n', out);
}

void table_print(struct text_table *table, FILE *out)
{
	unsigned width[32];

	for (unsigned c = 0; c < table->columns; c++)
		width[c] = column_width(table, c, *table->cell[c] == '>');
	for (unsigned row = 0; out != NULL && row < table->cells / table->columns; row++)
		print_row(table, row, width, out);
	for (unsigned i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	free(table);
}

void print_field(const char *name, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	printf("%-*s %s\n", FIELD_WIDTH, name, text);
	free(text);
}
