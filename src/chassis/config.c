#include "chassis/config.h"

#include <ctype.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { KEYS_MAX = 32, BUFFERS_MIN_BYTES = 4 << 20, CORES_MAX = 4096 };

struct parse {
	struct chassis_config *config;
	FILE *file;
	int line; /* of the last line handed to inih */
	int error_line;
	char *error;
	uint32_t seen; /* one bit a key of `keys` */
};

/* Each setter returns NULL, or what a value of that key must be. */
struct key {
	const char *section;
	const char *name;
	const char *(*set)(struct chassis_config *config, const char *value);
	bool repeats; /* may be given several times */
};

static const char *copy(char to[CONFIG_VALUE_SIZE], const char *value)
{
	snprintf(to, CONFIG_VALUE_SIZE, "%s", value); /* never cut: inih's lines are shorter (INI_MAX_LINE, see next_line()) */
	return NULL;
}

static const char *set_cores(struct chassis_config *config, const char *value)
{
	static const char wanted[] = "auto, or core numbers such as 1,3";
	bool seen[CORES_MAX] = {false};
	const char *c = value;

	if (strcmp(value, "auto") == 0)
		return copy(config->cores, value);
	for (;;) {
		unsigned long core;
		char *end;

		if (!isdigit((unsigned char)*c) || (core = strtoul(c, &end, 10)) >= CORES_MAX)
			return wanted;
		if (seen[core])
			return "auto, or core numbers such as 1,3, each once";
		seen[core] = true;
		if (*end == '\0')
			return copy(config->cores, value);
		if (*end != ',')
			return wanted;
		c = end + 1;
	}
}

static const char *set_huge_pages(struct chassis_config *config, const char *value)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return "auto, on or off";
	return copy(config->huge_pages, value);
}

static const char *set_buffers(struct chassis_config *config, const char *value)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) != 0 || bytes < BUFFERS_MIN_BYTES)
		return "a size of at least 4M, such as 64M";
	config->buffer_bytes = bytes;
	return NULL;
}

const char *config_add_wire(struct chassis_config *config, const char *value)
{
	if (strstr(value, "device=") == NULL || strlen(value) >= CONFIG_VALUE_SIZE)
		return "a wire such as address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=eth1";
	if (config->wire_count == CONFIG_WIRES_MAX)
		return "given at most 4 times: a card has at most 4 wires";
	snprintf(config->wires[config->wire_count++], CONFIG_VALUE_SIZE, "%s", value);
	return NULL;
}

const char *config_set_flows(struct chassis_config *config, const char *value)
{
	char *end;
	unsigned long flows = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)*value) || *end != '\0' || flows < CONFIG_FLOWS_MIN || flows > CONFIG_FLOWS_MAX)
		return "a number of flows from 1024 to 67108864, such as 1000000";
	config->flows_max = (uint32_t)flows;
	return NULL;
}

static const char *set_root(struct chassis_config *config, const char *value)
{
	if (strcmp(value, "passphrase") == 0) {
		config->root_passphrase = true;
		return NULL;
	}
	if (strncmp(value, "file:/", 6) != 0)
		return "passphrase, or file: and an absolute path";
	config->root_passphrase = false;
	return copy(config->root_path, value + 5);
}

static const char *set_passphrase_file(struct chassis_config *config, const char *value)
{
	return *value != '/' ? "an absolute path" : copy(config->passphrase_path, value);
}

static const char *set_export(struct chassis_config *config, const char *value)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return "yes or no";
	config->export_allowed = *value == 'y';
	return NULL;
}

static const char *set_api_socket(struct chassis_config *config, const char *value)
{
	return *value != '/' ? "an absolute path" : copy(config->api_socket, value);
}

static const char *set_api_mode(struct chassis_config *config, const char *value)
{
	if (strspn(value, "01234567") != strlen(value) || strlen(value) < 3 || strlen(value) > 4)
		return "an octal mode such as 0660";
	return copy(config->api_mode, value);
}

static const char *set_api_group(struct chassis_config *config, const char *value)
{
	return *value == '\0' ? "the name of a group" : copy(config->api_group, value);
}

static const struct key keys[] = {
	{"card", "cores", set_cores, false},	    {"card", "huge_pages", set_huge_pages, false},
	{"card", "buffers", set_buffers, false},    {"card", "wire", config_add_wire, true},
	{"card", "flows", config_set_flows, false}, {"vault", "root", set_root, false},
	{"vault", "export", set_export, false},	    {"vault", "passphrase_file", set_passphrase_file, false},
	{"api", "socket", set_api_socket, false},   {"api", "mode", set_api_mode, false},
	{"api", "group", set_api_group, false},
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };
_Static_assert((int)KEY_COUNT <= (int)KEYS_MAX, "one bit each");

__attribute__((format(printf, 2, 3))) static void fail(struct parse *p, const char *format, ...)
{
	int used;
	va_list args;

	if (p->error_line != 0) /* the first error is the one to mend */
		return;
	p->error_line = p->line;
	used = snprintf(p->error, CONFIG_ERROR_SIZE, "%d: ", p->line);
	va_start(args, format);
	vsnprintf(p->error + used, CONFIG_ERROR_SIZE - (size_t)used, format, args);
	va_end(args);
}

static int on_key(void *context, const char *section, const char *name, const char *value)
{
	struct parse *p = context;

	for (unsigned i = 0; i < KEY_COUNT; i++) {
		const char *wanted;

		if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0)
			continue;
		if ((p->seen & 1u << i) != 0 && !keys[i].repeats) {
			fail(p, "\"%s\" is given twice (an indented line continues the one above it)", name);
			return 0;
		}
		p->seen |= 1u << i;
		wanted = keys[i].set(p->config, value);
		if (wanted != NULL)
			fail(p, "\"%s\" must be %s, not \"%s\"", name, wanted, value);
		return wanted == NULL;
	}
	fail(p, "there is no key \"%s\" in section [%s]", name, section);
	return 0;
}

/* inih's reader, so that on_key() knows its line; a longer line than inih's buffer would reach it in pieces. */
static char *next_line(char *line, int size, void *context)
{
	struct parse *p = context;
	char *got = fgets(line, size, p->file);

	if (got == NULL)
		return NULL;
	p->line++;
	if (strchr(line, '\n') == NULL && !feof(p->file)) {
		fail(p, "the line is too long");
		return NULL;
	}
	return got;
}

void config_default(struct chassis_config *config)
{
	*config = (struct chassis_config){.buffer_bytes = 64 << 20, .export_allowed = true};
	strcpy(config->cores, "auto");
	strcpy(config->huge_pages, "auto");
	strcpy(config->api_mode, "0600");
}

int config_read(struct chassis_config *config, FILE *file, char error[CONFIG_ERROR_SIZE])
{
	struct parse p = {.config = config, .file = file, .error = error};
	int bad_line = ini_parse_stream(next_line, &p, on_key, &p);

	if (bad_line < 0) {
		snprintf(error, CONFIG_ERROR_SIZE, "out of memory");
		return -1;
	}
	if (bad_line > 0 && (p.error_line == 0 || bad_line < p.error_line)) {
		snprintf(error, CONFIG_ERROR_SIZE, "%d: neither a comment, a [section] nor \"key = value\"", bad_line);
		return -1;
	}
	if (p.error_line != 0)
		return -1;
	if (config->passphrase_path[0] != '\0' && !config->root_passphrase) {
		snprintf(error, CONFIG_ERROR_SIZE, "\"passphrase_file\" has no meaning without \"root = passphrase\"");
		return -1;
	}
	return 0;
}
