"""The whole of it, as a person starts it: `outboard run` with the real vault, card and control, and the outboard command."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import tap
from unix_http import Connection

PATIENCE_S = 120  # for what must happen, on however slow a machine; nothing here is measured


def wait_for(what, condition, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def children(pid):
    """The processes that a process started: {their executable's name: pid}."""
    found = {}
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        for child in f.read().split():
            try:
                with open(f"/proc/{child}/cmdline") as c:
                    found[os.path.basename(c.read().split("\0")[0])] = int(child)
            except FileNotFoundError:
                pass
    return found


class Outboard:
    """Keeps its state in FOLDER/state, its messages in FOLDER/log. `words`: more for `outboard run`, which `prefix` is put before."""

    def __init__(self, folder, *words, prefix=()):
        self.folder = folder
        self.words, self.prefix = words, prefix
        self.state = os.path.join(folder, "state")
        self.log_path = os.path.join(folder, "log")
        self.process = None
        self.start()

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([*self.prefix, tap.build("outboard"), "run", "--state-dir", self.state, *self.words],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line == f"outboard: ready, api {self.state}/api.sock\n", line + self.log()

    def stop(self):
        if self.process is None:
            return
        parts = children(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
        wait_for("the end of all its processes", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in parts.values()))

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def call(self, *words, check=True):
        """One command; the object it prints."""
        done = subprocess.run([tap.build("outboard"), "--api", f"{self.state}/api.sock", "--json", *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE_S)
        if check and done.returncode != 0:
            raise AssertionError(f"outboard {' '.join(words)}: status {done.returncode}: {done.stdout}{done.stderr}\n{self.log()}")
        return json.loads(done.stdout)

    def ask(self, method, path, body=None, status=None):
        """The API's answer, without the command. It succeeds, or is refused with `status`."""
        connection = Connection(f"{self.state}/api.sock")
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != status and (status is not None or answer.status >= 300):
            raise AssertionError(f"{method} {path} {body}: {answer.status} {text.decode()}\n{self.log()}")
        return json.loads(text) if text else None

    def volume(self, name, *words, size="64M"):
        return self.call("volume", "create", name, "--size", size, *words)

    def attach(self, name, *words):
        return self.call("volume", "attach", name, *words)["socket"]

    def pid(self, name):
        return children(self.process.pid)[f"outboard-{name}"]

    def kill_9(self, name):
        """The chassis starts another one; returns when that one is at work."""
        old = self.pid(name)
        os.kill(old, signal.SIGKILL)
        wait_for(f"another {name}", lambda: children(self.process.pid).get(f"outboard-{name}", old) != old)
        wait_for("health", lambda: self.call("status", check=False).get("status") == "ok")

    def counter(self, metric, volume, **labels):
        """The sum of a metric over those labels of a volume that are not named here, such as its queues."""
        wanted = {"volume": volume, **labels}
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(PATIENCE_S)
            api.connect(f"{self.state}/api.sock")
            api.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with api.makefile("r") as answer:
                lines = answer.read().splitlines()
        total = 0
        for line in lines:
            match = re.fullmatch(rf"{metric}{{(.*)}} (\d+)", line)
            if match and wanted.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1])).items():
                total += int(match[2])
        return total


class WithCard(unittest.TestCase):
    """A folder and a card for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-guest-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.card = Outboard(cls.folder)
        cls.addClassCleanup(cls.card.stop)

    def random_file(self, name, size):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(os.urandom(size))
        return path
