#include <stdlib.h>
#include <string.h>

#include "chassis/run.h"
#include "cli/commands.h"
#include "cli/fields.h"

static const struct cli_option options[] = {
	{"state-dir", 0, CLI_FOLDER, "DIR", "where everything is kept that outlives it; made when missing", true},
	{"config", 0, CLI_FILE, "FILE", "settings; /etc/outboard/outboard.conf explains them all", false},
	{0},
};

static int run(struct cli *cli)
{
	char *dir = path_absolute(cli_text(cli, "state-dir", NULL));
	int status;

	for (size_t end = strlen(dir); end > 1 && dir[end - 1] == '/'; end--)
		dir[end - 1] = '\0';
	status = chassis_run(dir, cli_text(cli, "config", NULL));
	free(dir);
	return status;
}

const struct cli_command command_run = {
	.name = "run",
	.summary = "Run a card: vault, data plane and API, in the foreground",
	.options = options,
	.details = "Starts outboard-vault, outboard-card and outboard-control (they belong beside this\n"
		   "command), restarts what dies, and stops all of them in order on SIGTERM or Ctrl-C.\n"
		   "When everything is up it prints one line, \"outboard: ready, api DIR/api.sock\";\n"
		   "messages go to standard error. One card per state directory.",
	.examples = "  outboard run --state-dir /var/lib/outboard\n"
		    "      a card with the defaults: the last core polls, plain or huge pages\n"
		    "  outboard run --state-dir /tmp/card --config ./outboard.conf\n"
		    "      with settings of your own\n"
		    "  systemctl enable --now outboard\n"
		    "      the same, for a host",
	.run = run,
};
