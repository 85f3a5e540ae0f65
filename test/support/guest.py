"""A Linux guest in QEMU (scripts/guest-run) that does what it is told, command by command, over a second serial port.

Each command is a shell script; it comes as one line of base64, and what it prints goes back, followed by a line with its status.
"""
import base64
import os
import re
import secrets
import signal
import socket
import struct
import subprocess

import outboard
import tap

# After a reset the script starts anew and says "ready" again. `raw`: no limit on a line, nothing echoed.
AGENT = """
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo </dev/ttyS1
mkdir -p /run/cryptsetup
echo; echo "@ready"
while read -r mark line; do
	[ "$mark" = end ] && break
	echo "$line" | base64 -d >/tmp/command
	( . /tmp/command ) </dev/null
	status=$?
	echo; echo "@$mark $status"
done
"""


PHRASE = "This line is the plaintext of the guest"


def write_files(device, where="/mnt"):
    """A script: a file system with files, text and random, and their checksums; all of it synced."""
    return f"""
mkfs.ext4 -q -F {device}
mkdir -p {where}
mount -t ext4 {device} {where}
cd {where}
for i in 1 2 3 4; do yes "{PHRASE}, file $i." | head -c 1000000 >text$i; done
for i in 1 2 3 4; do head -c 2000000 /dev/urandom >random$i; done
sha256sum text* random* >sums
sync
cd /
"""


def check_files(device, where="/mnt", options="rw"):
    """A script: they are what they were, read from the disk."""
    return f"""
mkdir -p {where}
grep -q " {where} " /proc/mounts || mount -t ext4 -o {options} {device} {where}
echo 3 >/proc/sys/vm/drop_caches
cd {where}
[ "$(sha256sum -c sums | grep -c ': OK$')" = 8 ]
cd /
"""


class Broken(AssertionError):
    """A command failed in the guest, or the guest is gone."""


class Guest:
    def __init__(self, folder, disks, *qemu_words, cpus=1, memory_mib=256, files=(), nics=(), prefix=()):
        """`disks`, `nics`: as guest-run takes them, SOCKET[,packed][,queues=N] and SOCKET,MAC[...]; the first are /dev/vda and eth0.
        `files`: in the guest as /NAME. `prefix`: put before the command that starts it."""
        os.makedirs(folder, exist_ok=True)
        self.console_path = os.path.join(folder, "console")
        agent, self.qmp_path = os.path.join(folder, "agent"), os.path.join(folder, "qmp")
        script = os.path.join(folder, "agent.sh")
        with open(script, "w") as f:
            f.write(AGENT)
        words = [*prefix, os.path.join(tap.ROOT, "scripts", "guest-run"), "--timeout", "400", "--cpus", str(cpus),
                 "--memory", str(memory_mib), "--qmp", self.qmp_path, "--kernel-output"]
        words += [word for disk in disks for word in ("--disk", disk)]
        words += [word for nic in nics for word in ("--nic", nic)]
        words += [word for name in files for word in ("--file", name)]
        words += [script, "--", "-chardev", f"socket,id=agent,path={agent},server=on,wait=off", "-serial", "chardev:agent"]
        words += ["-action", "reboot=reset", *qemu_words]
        with open(self.console_path, "a") as console:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.received = b""
        self.line = socket.socket(socket.AF_UNIX)
        try:
            outboard.wait_for("the guest's serial port", lambda: self._connected(agent))
            self.line.settimeout(outboard.PATIENCE_S)
            self._until(rb"@(ready)\r?\n")
        except BaseException:
            self.kill_9()
            raise

    def _connected(self, path):
        if self.process.poll() is not None:
            raise Broken(f"QEMU does not start:\n{self.console()}")
        return os.path.exists(path) and self.line.connect_ex(path) == 0

    def _until(self, pattern):
        """What came before the pattern, and what the pattern's group matched."""
        while True:
            match = re.search(pattern, self.received)
            if match:
                before, self.received = self.received[:match.start()], self.received[match.end():]
                return before.decode(errors="replace").replace("\r", ""), match[1].decode()
            try:
                chunk = self.line.recv(65536)
            except (TimeoutError, ConnectionError) as error:
                chunk = b""
                self.received += f" [{error}]".encode()
            if not chunk:
                raise Broken(f"no answer from the guest; it said {self.received!r}; console:\n{self.console()}")
            self.received += chunk

    def console(self):
        with open(self.console_path, errors="replace") as f:
            return f.read()[-3000:]

    def try_run(self, script):
        """Returns (status, output)."""
        mark = "m" + secrets.token_hex(4)
        self.line.sendall(f"{mark} {base64.b64encode(script.encode()).decode()}\n".encode())
        output, status = self._until(rf"\n@{mark} (\d+)\r?\n".encode())
        return int(status), output.strip()

    def run(self, script):
        """Runs a script that must succeed, each line of it; returns what it printed."""
        status, output = self.try_run("set -e\n" + script)
        if status != 0:
            raise Broken(f"status {status} of\n{script}\n{output}\n{self.console()}")
        return output

    def start(self, name, script):
        """Runs a script in the background, see finish()."""
        self.run(f"rm -f /tmp/{name}.status; cat >/tmp/{name}.sh <<'END OF SCRIPT'\nset -e\n{script}\nEND OF SCRIPT\n"
                 f"( set +e; sh /tmp/{name}.sh >/tmp/{name}.out 2>&1; echo $? >/tmp/{name}.end\n"
                 f"mv /tmp/{name}.end /tmp/{name}.status ) &")

    def running(self, name):
        return self.try_run(f"[ -e /tmp/{name}.status ]")[0] != 0

    def finish(self, name):
        outboard.wait_for(f"the end of {name} in the guest", lambda: not self.running(name))
        output = self.run(f"cat /tmp/{name}.out")
        if self.run(f"cat /tmp/{name}.status") != "0":
            raise Broken(f"{name} failed in the guest: {output}\n{self.console()}")
        return output

    def errors(self):
        """What the kernel says that it should not: I/O errors, hung tasks, file systems in trouble."""
        return self.run("dmesg | grep -iE 'I/O error|blocked for more|EXT4-fs error|buggy|Call Trace' || true")

    def reset(self):
        """As the button would: QEMU goes on, the guest begins anew."""
        with socket.socket(socket.AF_UNIX) as qmp:
            qmp.settimeout(outboard.PATIENCE_S)
            qmp.connect(self.qmp_path)
            qmp.sendall(b'{"execute":"qmp_capabilities"}{"execute":"system_reset"}')
            said = b""
            while b'"RESET"' not in said:
                chunk = qmp.recv(4096)
                assert chunk, f"QEMU left: {said!r}"
                said += chunk
        self._until(rb"@(ready)\r?\n")

    def power_off(self):
        """The guest ends itself, properly."""
        self.line.sendall(b"end\n")
        status = self.process.wait(outboard.PATIENCE_S)
        self.line.close()
        assert status == 0, f"the guest ended with status {status}:\n{self.console()}"

    def qemu(self):
        return outboard.children(self.process.pid).get("qemu-system-x86_64")

    def in_flight(self, packed):
        """How many requests the in-flight regions list that QEMU keeps for the card ("Inflight I/O tracking" of vhost-user)."""
        header_bytes, entry_bytes = (32, 32) if packed else (16, 16)
        count = 0
        with open(f"/proc/{self.qemu()}/maps") as maps, open(f"/proc/{self.qemu()}/mem", "rb") as memory:
            for line in (line for line in maps if "memfd:outboard-inflight" in line):
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(start)
                region = memory.read(end - start)
                while len(region) > header_bytes:
                    version, entries = struct.unpack_from("<HH", region, 8)
                    if version == 0:
                        break
                    end_of_entries = header_bytes + entries * entry_bytes
                    count += sum(region[header_bytes:end_of_entries:entry_bytes])
                    region = region[(end_of_entries + 63) // 64 * 64:]
        return count

    def kill_9(self):
        """Kills QEMU, in whatever it is doing."""
        if self.process.poll() is None:
            pid = self.qemu()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            else:
                self.process.terminate()
            self.process.wait(outboard.PATIENCE_S)
        self.line.close()


class WithGuests(outboard.WithCard):
    """A card, and guests that end with the class at the latest."""

    @classmethod
    def boot(cls, name, disks, *qemu_words, **more):
        booted = Guest(os.path.join(cls.folder, name), disks, *qemu_words, **more)
        cls.addClassCleanup(booted.kill_9)
        return booted
