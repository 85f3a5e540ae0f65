#!/usr/bin/python3
"""docs/guide.md, "A NIC in a VPC": every command of the chapter that needs no virtual machine, as it stands there, one after the
other, in network and mount namespaces of the test's own. A command that fails, fails the test.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap

PATIENCE_S = 300
CHAPTER = "A NIC in a VPC"
TOOLS = ("bash", "curl", "ethtool", "ip", "ping", "tcpdump", "unshare")
OF_A_MACHINE = ("qemu-system-x86_64", "cloud-hypervisor", "<interface")

# What a reader does in a terminal of its own, has an end by Ctrl-C, or waits for a guest that does something.
IN_A_TEST = (
    (r"^outboard run --state-dir (\S+)((?: \\\n|.)*)$", r"card \1 \2"),
    (r"--follow$", ""),
    (r"^(outboard eni capture blue1 -w - .*)$", r"traffic blue & \1"),
    (r"--duration 10$", "--duration 1"),
    (r"http\.server 80 & sleep 1$", "http.server 80 > $FOLDER/http.log 2>&1 & wait_for_port front 80"),
    (r"^(a vpc load network\.json --replace)$", r"for eni in left front; do a eni detach $eni; done; \1"),
    (r"/tmp/([ab])\b", r"$FOLDER/\1"),
)

PROLOGUE = """
set -eux
ip link set lo up
mkdir -p /run/netns && mount -t tmpfs none /run/netns
cd $FOLDER
pids=
trap 'for name in blue left right front; do kill $(ip netns pids $name) || true; done; kill $pids; wait' EXIT
card() {
  local state=$1; shift
  coproc "$OUTBOARD" run --state-dir $state "$@" 2> $state.log
  pids="$pids $COPROC_PID"
  read -r line <&${COPROC[0]}
  test "$line" = "outboard: ready, api $state/api.sock"
}
traffic() { for i in $(seq 20); do ip netns exec $1 ping -c 1 -W 1 10.0.1.1 > /dev/null; done; }
wait_for_port() { until ip netns exec $1 bash -c ": < /dev/tcp/127.0.0.1/$2" 2> /dev/null; do sleep 0.1; done; }
ip() { command ip "$@" || return; if test "$1 ${2-}" = "netns add"; then command ip -n $3 link set lo up; fi; }
echo '{"vpcs": [{"name": "kept", "cidrs": ["10.7.0.0/16"]}]}' > network.json
card $FOLDER/state
export OUTBOARD_API=$FOLDER/state/api.sock
"""


def commands():
    with open(os.path.join(tap.ROOT, "docs", "guide.md")) as f:
        text = f.read()
    chapter = re.search(rf"(?ms)^## \d+\. {CHAPTER}\n(.*?)^## ", text)[1]
    blocks = re.findall(r"(?m)((?:^    .*\n|^\n(?=    ))+)", chapter)
    blocks = [re.sub(r"(?m)^    ", "", block).strip("\n") for block in blocks]
    return "\n".join(block for block in blocks if not block.startswith(OF_A_MACHINE))


@unittest.skipIf(os.geteuid() != 0, "needs root")
@unittest.skipIf([tool for tool in TOOLS if shutil.which(tool) is None], f"needs {', '.join(TOOLS)}")
class Guide(unittest.TestCase):
    def test_the_chapter_is_true(self):
        folder = tempfile.mkdtemp(prefix="outboard-guide-")
        self.addCleanup(shutil.rmtree, folder)
        script = commands()
        for pattern, replacement in IN_A_TEST:
            script, count = re.subn(pattern, replacement, script, flags=re.MULTILINE)
            self.assertGreater(count, 0, f"the chapter has no {pattern}: this test must follow it")
        path = os.path.join(folder, "script")
        with open(path, "w") as f:
            f.write(PROLOGUE + script)
        binary = tap.build("outboard")
        environment = {**os.environ, "FOLDER": folder, "OUTBOARD": binary, "PATH": f"{os.path.dirname(binary)}:{os.environ['PATH']}"}
        done = subprocess.run(["unshare", "--net", "--mount", "bash", path], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout)
        for said in ("64 bytes from 10.0.1.12", "64 bytes from 198.51.100.254", "Dropped (security_group_in)", "The packet arrives.",
                     "Directory listing for /", "\nclosed\n", "1 VPC: 0 created"):
            self.assertIn(said, done.stdout)


if __name__ == "__main__":
    tap.main()
