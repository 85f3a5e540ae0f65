"""What the parts of the demo stand on: how they tell, cards and guests that end with the demo, and what is taken away afterwards."""
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
READY_TIMEOUT_S = 20
COMMAND_TIMEOUT_S = 30
END_TIMEOUT_S = 10
MIB = 1 << 20


class Failed(Exception):
    """Said to a person, without a traceback."""


def bound(line):
    """A command that is told to end when the demo is gone, however that went."""
    return ["setpriv", "--pdeathsig", "TERM", *line]


def inside(namespace):
    return ["nsenter", f"--net=/run/netns/{namespace}"]


def run(*line, **options):
    """The output of a command that has to succeed."""
    try:
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                              timeout=COMMAND_TIMEOUT_S, **options)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(line)}: did not end within {COMMAND_TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise Failed(f"{' '.join(line)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Stage:
    """The folder and the network namespaces in which everything happens, and the audience."""

    def __init__(self, options):
        self.build = options.build
        self.seconds = options.seconds
        self.folder = tempfile.mkdtemp(prefix="outboard-demo-")
        self.started = time.monotonic()
        self.facts = []
        self.tables = []
        self.namespaces = []

    def step(self, text):
        print(f"[{time.monotonic() - self.started:5.1f} s] {text}", flush=True)

    def detail(self, text):
        print(f"          {text}", flush=True)

    def fact(self, name, value):
        self.facts.append((name, value))
        self.detail(f"{name}: {value}")

    def table(self, title, headings, rows):
        """For the end."""
        self.tables.append((title, headings, rows))

    def namespace(self, name):
        name = f"demo-{os.getpid()}-{name}"
        self.namespaces.append(name)  # first: an interrupted command may have made it
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def close(self):
        """Takes away what is there; never fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # cleaning up is not to be interrupted
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


class Card:
    """A card with its vault and its API, while the block lasts. `core` polls."""

    def __init__(self, stage, name, core=None, namespace=None, wire=None):
        self.stage = stage
        self.state = f"{stage.folder}/{name}"
        self.log = f"{self.state}.log"
        self.line = [*(inside(namespace) if namespace else []), f"{stage.build}/outboard", "run", "--state-dir", self.state]
        if core is not None:
            with open(f"{self.state}.conf", "w", encoding="utf-8") as file:
                file.write(f"[card]\ncores = {core}\n")
            self.line += ["--config", f"{self.state}.conf"]
        if wire:
            self.line += ["--wire", wire]

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(bound(self.line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                            start_new_session=True)
        try:
            ready, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
            if not ready or "ready" not in self.process.stdout.readline():
                raise Failed(f"the card does not start:\n{self.log_tail()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()

    def command(self, *words):
        return [f"{self.stage.build}/outboard", "--api", f"{self.state}/api.sock", *words]

    def say(self, *words):
        """What the command says to a person."""
        try:
            return run(*self.command(*words))
        except Failed as error:
            raise Failed(f"{error}\nthe card's messages:\n{self.log_tail()}") from error

    def call(self, *words):
        return json.loads(self.say("--json", *words))

    def log_tail(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return "".join(log.readlines()[-15:]).rstrip()
        except FileNotFoundError:
            return ""


class Guest:
    """A virtual machine that runs a script, while the block lasts. What the script says behind "demo:" is for the demo."""

    def __init__(self, stage, name, script, *devices):
        self.stage = stage
        self.name = name
        self.output = []
        path = f"{stage.folder}/{name}.sh"
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        self.line = [f"{HERE}/guest-run", *devices, path]

    def __enter__(self):
        self.process = subprocess.Popen(bound(self.line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def hear(self, word):
        """Waits until it says `word`; returns the rest of the line."""
        for text in self.process.stdout:
            self.output.append(text.rstrip())
            said = text.split(None, 2)
            if said[:2] == ["outboard-guest:", "up"]:
                self.stage.detail(f"{self.name} {text.split(':', 1)[1].strip()}")
            elif said[:2] == ["demo:", word]:
                return "".join(said[2:]).strip()
        return self.broken()

    def end(self):
        """Waits until the script has come to its end."""
        self.output += [text.rstrip() for text in self.process.stdout]
        if self.process.wait() != 0:
            self.broken()

    def broken(self):
        if self.process.wait() == 130:  # Ctrl-C reached it before us
            raise KeyboardInterrupt
        raise Failed(f"the script of {self.name} failed:\n" + "\n".join(self.output))
