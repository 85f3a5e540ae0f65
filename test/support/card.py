"""The card process alone: this script stands in for control (and, where asked, for the vault's channel)."""
import fcntl
import json
import os
import signal
import socket
import subprocess
import uuid

import tap

PATIENCE_S = 60


def volume(name, backend="memory", size=64 << 20, **fields):
    """A volume object as control describes it (src/card/command.h)."""
    return {"id": str(uuid.uuid4()), "name": name, "size_bytes": size, "block_size_bytes": 4096, "backend": backend,
            "read_only": False, "iops": None, "throughput_bytes": None, "burst": False, "encryption": None, **fields}


INLINE_MAX_BYTES = 64 * 1024  # a longer command is a sealed memfd beside a stub


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.culprit = error["code"], error["message"], error.get("culprit")


class Card:
    """Starts outboard-card with a channel; `call` is one command and its reply, `wait_event` what it says by itself."""

    def __init__(self, log_path, *arguments, vault=None, inherited=()):
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE_S)
        self.events, self.last_id = [], 0
        descriptors = [("control", theirs.fileno())]
        if vault is not None:
            descriptors.append(("vault", vault.fileno()))
        descriptors += inherited
        self.log_path = log_path
        with open(log_path, "a") as log:
            self.process = start(tap.build("outboard-card"), arguments, descriptors, log)
        theirs.close()
        self.hello = self.wait_event("hello")

    def _receive(self):
        data, fds, _, _ = socket.recv_fds(self.channel, 1 << 20, 1)
        message = json.loads(data)
        if fds:  # a long body comes as a sealed memfd
            with os.fdopen(fds[0], "rb") as body:
                body.seek(0)
                message = json.loads(body.read())
        return message

    def send(self, op, **fields):
        self.last_id += 1
        body = json.dumps({"id": self.last_id, "op": op, **fields}).encode()
        if len(body) <= INLINE_MAX_BYTES:
            self.channel.send(body)
            return self.last_id
        fd = os.memfd_create("command", os.MFD_ALLOW_SEALING)
        with os.fdopen(fd, "wb") as memory:
            memory.write(body)
            memory.flush()
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            socket.send_fds(self.channel, [b'{"body":"memfd"}'], [fd])
        return self.last_id

    def reply(self, request_id):
        while True:
            message = self._receive()
            if message.get("id") == request_id and "event" not in message:
                if not message["ok"]:
                    raise Refused(message["error"])
                return message
            self.events.append(message)

    def call(self, op, **fields):
        return self.reply(self.send(op, **fields))

    def wait_event(self, name, **fields):
        """The next event of that name with those fields; earlier events stay."""
        def matches(e):
            return e.get("event") == name and all(e.get(k) == v for k, v in fields.items())
        while True:
            for event in self.events:
                if matches(event):
                    self.events.remove(event)
                    return event
            self.events.append(self._receive())

    def attach(self, described, socket_path, **fields):
        if described["backend"] != "null":
            self.call("storage_create", volume=described)
        return self.call("attach", volume=described, socket=socket_path, **fields)["socket"]

    def device(self, name):
        return next(d for d in self.call("stats", all=True)["devices"] if d["volume"] == name)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.channel.close()


def start(executable, arguments, descriptors, log):
    """Starts a process with named descriptors from 3 on (sd_listen_fds(3))."""
    environment = dict(os.environ, LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=":".join(name for name, _ in descriptors))
    environment.pop("LISTEN_PID", None)
    numbers = [fd for _, fd in descriptors]

    def place():
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(numbers)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, inheritable=True)
    return subprocess.Popen([executable, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            close_fds=False, preexec_fn=place)


def bench(socket_path, *arguments, timeout=PATIENCE_S):
    """`outboard bench blk`: its JSON object, with its exit status as `status`."""
    done = subprocess.run([tap.build("outboard"), "bench", "blk", "--socket", socket_path, "--json", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"bench blk printed no JSON (status {done.returncode}): {done.stdout!r} {done.stderr!r}")
    return {**result, "status": done.returncode}
