"""What the benchmarks share: a card of its own in a temporary folder, qemu-storage-daemon as the peer, and the load client.

Core CARD_CORE belongs to the one under test (ours or the peer), core CLIENT_CORE to the load client.
"""
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("OUTBOARD_BUILD", "build"))
CLIENT_CORE, CARD_CORE = 0, 1
PATIENCE_S = 30
SECRET = "only-a-benchmark"


def executable(name):
    path = os.path.join(BUILD, name)
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is not there; run `make` first")
    return path


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed; scripts/deps --bench installs what the benchmarks need")


def need_two_cores():
    if not {CLIENT_CORE, CARD_CORE} <= os.sched_getaffinity(0):
        sys.exit(f"the benchmarks need cores {CLIENT_CORE} and {CARD_CORE}")


def wait_until(condition, what, process=None):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if process is not None and process.poll() is not None:
            sys.exit(f"{what}: the process ended with status {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


def can_connect(path):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
        return True
    except OSError:
        return False


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class Connection(http.client.HTTPConnection):
    def __init__(self, path, patience_s):
        super().__init__("localhost", timeout=patience_s)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class HugePages:
    """Reserves huge pages for the time of a benchmark, where the host has none and we may: both the card's memory volumes and the
    load client use them when they are there, as a host that is set up for a data plane has them."""
    FILE = "/proc/sys/vm/nr_hugepages"

    def __init__(self, count):
        self.count, self.before = count, None

    def __enter__(self):
        with open(self.FILE) as f:
            before = int(f.read())
        if before < self.count and os.geteuid() == 0:
            self.before = before
            self._set(self.count)
        return self

    def _set(self, count):
        with open(self.FILE, "w") as f:
            f.write(f"{count}\n")

    def reserved(self):
        with open(self.FILE) as f:
            return int(f.read())

    def __exit__(self, *_):
        if self.before is not None:
            self._set(self.before)


class Outboard:
    """A whole card: `with Outboard() as card:`; `card_lines` go into the section [card] of its configuration."""

    def __init__(self, *card_lines):
        self.card_lines = [f"cores = {CARD_CORE}", *card_lines]

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-bench-", dir="/dev/shm")
        self.api = os.path.join(self.folder, "state", "api.sock")
        config = os.path.join(self.folder, "outboard.conf")
        with open(config, "w") as f:
            f.write("\n".join(["[card]", *self.card_lines, ""]))
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([executable("outboard"), "run", "--state-dir", os.path.join(self.folder, "state"),
                                             "--config", config], stdout=log, stderr=log, start_new_session=True)
        wait_until(self._ready, "outboard run", self.process)
        return self

    def _ready(self):
        with open(self.log) as f:
            if "outboard: ready" not in f.read():
                return False
        cards = self.get("/v1/cards")
        return bool(cards) and cards[0].get("state", "up") == "up"

    def __exit__(self, *_):
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, body=None, patience_s=PATIENCE_S):
        connection = Connection(self.api, patience_s)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = json.loads(response.read() or b"null")
        connection.close()
        if response.status >= 300:
            sys.exit(f"{method} {path}: {response.status} {data}")
        return data

    def get(self, path):
        return self.request("GET", path)

    def command(self, *arguments):
        done = subprocess.run([executable("outboard"), "--api", self.api, "--json", *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"outboard {' '.join(arguments)}: {done.stdout}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def volume(self, name, size, backend, encrypted=False):
        """Makes and attaches a volume; returns its socket."""
        self.command("volume", "create", name, "--size", size, "--backend", backend, *(["--encrypted"] if encrypted else []))
        return self.command("volume", "attach", name)["socket"]

    def poller(self):
        """The accounts of the one poller."""
        name = self.get("/v1/cards")[0]["name"]
        return self.get(f"/v1/cards/{name}/stats")["pollers"][0]

    def device(self, volume):
        """The counters of one attached volume."""
        return next(d for d in self.get("/v1/cards/local/stats?all=1")["devices"] if d["volume"] == volume)

    def card_pid(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read()
                with open(f"/proc/{pid}/comm") as f:
                    name = f.read().strip()
            except OSError:
                continue
            if name.startswith("outboard-card") and int(fields.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                return int(pid)
        sys.exit("outboard run has no outboard-card")


class Peer:
    """qemu-storage-daemon with one vhost-user-blk export: `with Peer("memory", 256 << 20) as peer:`; kinds null, memory, luks."""

    def __init__(self, kind, size_bytes):
        self.kind, self.size_bytes = kind, size_bytes

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-peer-", dir="/dev/shm")
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def _start(self):
        self.socket = os.path.join(self.folder, "blk.sock")
        arguments = ["taskset", "-c", str(CARD_CORE), "qemu-storage-daemon", *self._blockdev(), "--export",
                     f"type=vhost-user-blk,id=e,node-name=n,addr.type=unix,addr.path={self.socket},writable=on,num-queues=1,"
                     "logical-block-size=4096"]
        self.process = subprocess.Popen(arguments)
        wait_until(lambda: os.path.exists(self.socket), "qemu-storage-daemon", self.process)

    def _blockdev(self):
        if self.kind == "null":
            return ["--blockdev", f"driver=null-co,node-name=n,size={self.size_bytes},read-zeroes=off"]
        image = os.path.join(self.folder, "disk")
        file = ["--blockdev", f"driver=file,node-name=f,filename={image},aio=io_uring"]
        if self.kind == "memory":
            fill(image, self.size_bytes)
            return [*file, "--blockdev", "driver=raw,node-name=n,file=f"]
        secret = f"secret,id=s,data={SECRET}"
        create = ["qemu-img", "create", "-q", "--object", secret, "-f", "luks", "-o",
                  "key-secret=s,cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,iter-time=10", image, str(self.size_bytes)]
        # It times its key derivation first, and gives up ("Unable to get accurate CPU usage") when that was disturbed.
        wait_until(lambda: subprocess.run(create, stderr=subprocess.DEVNULL).returncode == 0, "qemu-img create -f luks")
        return ["--object", secret, *file, "--blockdev", "driver=luks,node-name=n,file=f,key-secret=s"]

    def __exit__(self, *_):
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def cpu_ns(self):
        return process_cpu_ns(self.process.pid)


def fill(path, size_bytes):
    with open(path, "wb") as f:
        for _ in range(size_bytes >> 20):
            f.write(os.urandom(1 << 20))


def process_cpu_ns(pid, task=None):
    path = f"/proc/{pid}/stat" if task is None else f"/proc/{pid}/task/{task}/stat"
    with open(path) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def load(socket_path, *arguments, pinned=True):
    """One run of the load client; its JSON object."""
    cpu = ["--cpu", str(CLIENT_CORE)] if pinned else []
    done = subprocess.run([executable("outboard"), "bench", "blk", "--socket", socket_path, "--json", *cpu, *arguments],
                          stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        sys.exit(f"bench blk {' '.join(arguments)} on {socket_path}: status {done.returncode}: {result.get('error')}")
    return result


def median(values):
    return statistics.median(values)


def print_table(headings, rows):
    """Text cells; the first column to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [headings, *rows]) for i in range(len(headings))]
    for row in [headings, *rows]:
        print("  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def progress_done():
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
