#include <stdlib.h>
#include <string.h>

#include "chassis/run.h"
#include "cli/commands.h"
#include "cli/fields.h"

static const struct cli_option options[] = {
	{"state-dir", 0, CLI_FOLDER, "DIR", "where everything is kept that outlives it; made when missing", true},
	{"config", 0, CLI_FILE, "FILE", "settings; /etc/outboard/outboard.conf explains them all", false},
	{"wire", 0, CLI_TEXT, "WIRE",
	 "how packets leave the card: \"address=A/N;gateway=A;device=DEVICE\", DEVICE as DPDK names it; up to 4 times, in place of "
	 "the file's",
	 CLI_REPEATED},
	{"flows", 0, CLI_NUMBER, "N", "flows that the card can track; in place of the file's", false},
	{0},
};

static int run(struct cli *cli)
{
	char *dir = path_absolute(cli_text(cli, "state-dir", NULL));
	const struct cli_value *wires = cli_option(cli, "wire");
	int status;

	for (size_t end = strlen(dir); end > 1 && dir[end - 1] == '/'; end--)
		dir[end - 1] = '\0';
	status = chassis_run(&(struct chassis_options){.state_dir = dir,
						       .config_path = cli_text(cli, "config", NULL),
						       .wires = wires == NULL ? NULL : wires->all,
						       .wire_count = wires == NULL ? 0 : wires->count,
						       .flows = cli_text(cli, "flows", NULL)});
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
		    "  outboard run --state-dir /tmp/card \\\n"
		    "      --wire 'address=192.0.2.1/24;device=net_af_packet0,iface=eth1'\n"
		    "      with a way out for the packets of its guests\n"
		    "  systemctl enable --now outboard\n"
		    "      the same, for a host",
	.run = run,
};
