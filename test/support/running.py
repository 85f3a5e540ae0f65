"""Outboard as a person runs it, `outboard run` with the real vault, card and control, for tests of what happens to it.

`Running` is the base of a test case: it starts in a state directory of its own (a small file system where `state_bytes` says so)
and at the end stops everything and looks that nothing is left. `Neighbour` is a tenant who checks every block it reads, meanwhile.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import tap
from vhost_user import Disk

PATIENCE_S = 120  # for what must happen, on however slow a machine; nothing here is measured
MIB = 1 << 20


def wait_for(what, condition, log=lambda: ""):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}\n{log()}")


def descendants(pid, deep=True):
    """{pid: name} of the children of a process, and of theirs."""
    found = {}
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            children = f.read().split()
    except OSError:
        return found
    for child in children:
        try:
            with open(f"/proc/{child}/cmdline") as f:
                found[int(child)] = os.path.basename(f.read().split("\0")[0])
        except OSError:
            continue
        if deep:
            found.update(descendants(child))
    return found


class Neighbour:
    """Loads a volume over and over, with every read checked, until `stop`; that says how many runs were clean, at least one of
    them begun after whatever happened in between."""

    def __init__(self, socket, *arguments):
        self.command = [tap.build("outboard"), "bench", "blk", "--json", "--socket", socket, "--qd", "8", "--rw", "mixed", "--verify",
                        "--region", "4M", "--seconds", "1", *arguments]
        self.results, self.ending, self.first = [], threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.first.wait(PATIENCE_S)

    def _run(self):
        while True:
            last = self.ending.is_set()
            process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.first.set()
            out, errors = process.communicate()
            self.results.append((process.returncode, out, errors))
            if last or process.returncode != 0:
                return

    def stop(self):
        self.ending.set()
        self.thread.join()
        for status, out, errors in self.results:
            if status != 0:
                raise AssertionError(f"a neighbour was harmed: {out}{errors}")
            result = json.loads(out)
            if result["errors"] or result["mismatches"] or not result["requests"]:
                raise AssertionError(f"a neighbour was harmed: {out}")
        return len(self.results)


class Running(unittest.TestCase):
    config = ""
    state_bytes = None  # of a file system for the state directory alone

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="obf-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = os.path.join(self.folder, "state")
        if self.state_bytes is not None:
            os.mkdir(self.state, 0o700)
            self.mount(self.state, "-t", "tmpfs", "-o", f"size={self.state_bytes},mode=0700", "tmpfs")
        self.conf = os.path.join(self.folder, "outboard.conf")
        with open(self.conf, "w") as f:
            f.write(self.config)
        self.api = os.path.join(self.state, "api.sock")
        self.environment = {**os.environ, "OUTBOARD_API": self.api}
        self.log_path = os.path.join(self.folder, "log")
        self.chassis = None
        self.addCleanup(self.stop)
        self.start()

    def mount(self, where, *arguments):
        done = subprocess.run(["mount", *arguments, where], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a file system here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", where], check=True)

    def start(self, **more):
        with open(self.log_path, "a") as log:
            self.chassis = subprocess.Popen([tap.build("outboard"), "run", "--state-dir", self.state, "--config", self.conf],
                                            stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.folder, **more)
        line = self.chassis.stdout.readline()
        self.assertEqual(line, f"outboard: ready, api {self.api}\n", self.log())

    def stop(self, sig=signal.SIGTERM):
        """Also the end of a test: no process outlives the chassis, however it ended."""
        if self.chassis is None:
            return
        below = descendants(self.chassis.pid)
        self.chassis.send_signal(sig)
        self.chassis.wait(PATIENCE_S)
        self.chassis.stdout.close()
        self.chassis = None
        self.wait_for("the end of all processes", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below))

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_for(self, what, condition, more=lambda: ""):
        return wait_for(what, condition, lambda: f"{more()}\n{self.log()}")

    def children(self):
        """{"vault": pid, ...}"""
        return {name.removeprefix("outboard-"): pid for pid, name in descendants(self.chassis.pid, deep=False).items()}

    def healthy(self):
        return self.call("status", check=False).get("status") == "ok"

    def kill(self, name):
        """kill -9, and wait until its successor is at work."""
        old = self.children()[name]
        os.kill(old, signal.SIGKILL)
        self.wait_for(f"another {name}", lambda: self.children().get(name, old) != old)
        self.wait_for("health", self.healthy)

    def freeze(self, name):
        pid = self.children()[name]
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.thaw, pid)
        return pid

    def thaw(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def call(self, *arguments, check=True, status=None):
        """The command's JSON. It succeeds, or ends with `status`, or, with check=False, in any way."""
        done = subprocess.run([tap.build("outboard"), "--json", *arguments], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        if check:
            self.assertEqual(done.returncode, status or 0, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()}")
        return json.loads(done.stdout)

    def get(self, path):
        """What the API says, without the command."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE_S)
            s.connect(self.api)
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            with s.makefile("rb") as f:
                return json.loads(f.read().partition(b"\r\n\r\n")[2])

    def refused(self, code, *arguments):
        """What the refusal says."""
        error = self.call(*arguments, status=1)["error"]
        self.assertEqual(error["code"], code, error["message"])
        return error["message"]

    def volume(self, name, *arguments, size="16M"):
        return self.call("volume", "create", name, "--size", size, *arguments)

    def attach(self, name, *arguments):
        """The socket."""
        return self.call("volume", "attach", name, *arguments)["socket"]

    def make(self, name, *arguments):
        """A volume that is attached: the socket."""
        self.volume(name, *arguments)
        return self.attach(name)

    @contextlib.contextmanager
    def disk(self, path):
        disk = Disk(path)
        try:
            yield disk
        finally:
            disk.close()

    def show(self, name):
        return self.call("volume", "show", name)

    def state_of(self, name):
        return self.show(name)["attachment"]["state"]

    def neighbour(self, name="neighbour", *arguments):
        self.volume(name, "--backend", "memory", *arguments)
        neighbour = Neighbour(self.attach(name))
        self.addCleanup(neighbour.ending.set)
        return neighbour

    def bench(self, socket, *arguments):
        """A short run of the load client: its result, with its exit status."""
        done = subprocess.run([tap.build("outboard"), "bench", "blk", "--json", "--socket", socket, "--seconds", "1", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        try:
            return {**json.loads(done.stdout), "status": done.returncode}
        except ValueError:
            raise AssertionError(f"bench blk printed no JSON (status {done.returncode}): {done.stdout}{done.stderr}\n{self.log()}")

    def check_clean(self, socket, *arguments):
        result = self.bench(socket, "--rw", "mixed", "--verify", "--region", "4M", "--qd", "8", *arguments)
        self.assertEqual((result["status"], result.get("errors"), result.get("mismatches")), (0, 0, 0), f"{result}\n{self.log()}")

    def resources(self, pid):
        """(open descriptors, bytes of memory of its own)"""
        with open(f"/proc/{pid}/smaps_rollup") as f:
            dirty = sum(int(line.split()[1]) << 10 for line in f if line.startswith("Private_Dirty"))
        return len(os.listdir(f"/proc/{pid}/fd")), dirty
