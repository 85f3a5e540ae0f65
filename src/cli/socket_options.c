#include "cli/socket_options.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "cli/fields.h"
#include "cli/output.h"

/* A name, or a number as it is. -1, or the exit status. */
static int add_user(const struct cli *cli, json_t *body)
{
	const char *name = cli_text(cli, "user", NULL);
	const struct passwd *user;
	char *end;
	unsigned long id;

	if (name == NULL)
		return -1;
	id = strtoul(name, &end, 10);
	if (*name == '\0' || *end != '\0') {
		user = getpwnam(name);
		if (user == NULL)
			return cli_usage(cli, "there is no user \"%s\"", name);
		id = user->pw_uid;
	}
	json_object_set_new(body, "uid", json_integer((json_int_t)id));
	return -1;
}

static int add_group(const struct cli *cli, json_t *body)
{
	const char *name = cli_text(cli, "group", NULL);
	const struct group *group;
	char *end;
	unsigned long id;

	if (name == NULL)
		return -1;
	id = strtoul(name, &end, 10);
	if (*name == '\0' || *end != '\0') {
		group = getgrnam(name);
		if (group == NULL)
			return cli_usage(cli, "there is no group \"%s\"", name);
		id = group->gr_gid;
	}
	json_object_set_new(body, "gid", json_integer((json_int_t)id));
	return -1;
}

int socket_options_add(const struct cli *cli, json_t *body)
{
	const char *socket = cli_text(cli, "socket", NULL), *mode = cli_text(cli, "mode", NULL);
	int status;

	if (socket != NULL)
		json_object_set_new(body, "socket", json_string_absolute(socket));
	if (mode != NULL)
		json_object_set_new(body, "mode", json_string(mode));
	status = add_user(cli, body);
	return status >= 0 ? status : add_group(cli, body);
}
