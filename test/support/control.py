"""outboard-control as a process, with the real vault and a card that is played by the test; every answer is held against docs/openapi.yaml."""
import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import jsonschema
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import loop
import tap
from unix_http import Connection

PATIENCE_S = 60  # for what must happen, on however slow a machine; nothing here is measured

with open(os.path.join(tap.ROOT, "docs", "openapi.yaml")) as f:
    OPENAPI = yaml.safe_load(f)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Refuse(Exception):
    """Raised by an operation of the played card: the code and message it answers with, and the id of the culprit if there is one."""


class Silence(Exception):
    """Raised likewise: no answer at all."""


def stage(name, count):
    return {"name": name, "arrivals": count, "departures": count, "bytes": 4096 * count, "occupancy_ns": 1500 * count,
            "wait_ns": 1500 * count, "wait_ns_max": 2500000000, "wait_histogram_ns": [[255, count - 1], [3000000000, 1]]}


class FakeCard:
    """Keeps files, attachments and the network as the card does. `hooks` maps an op to a function called before it, which may raise."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.hooks = {}
        self.ops = []  # (op, message), as they came
        self.attached = {}
        self.memory = set()
        self.rates = {}
        self.network = {}  # id: (kind, object)
        self.enis = {}  # attached ones, by id
        self.incarnation = str(uuid.uuid4())
        self.answering = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        for end in (self.ours, self.theirs):
            end.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.ours.close()
        self.theirs.close()

    def restart(self):
        """A new card on the same channel: nothing attached, memory kept (the chassis keeps it)."""
        self.attached = {}
        self.network = {}
        self.enis = {}
        self.incarnation = str(uuid.uuid4())
        self.event("hello", **self.hello())

    def event(self, name, **fields):
        self.ours.send(json.dumps({"event": name, **fields}).encode())

    def hello(self):
        return {"incarnation": self.incarnation, "version": "0.1.0", "pid": 1, "pollers": [1, 3], "xts_kernel": "vaes-avx512",
                "secret_memory": "memfd_secret", "huge_pages": False, "attachments": list(self.attached),
                "wires": [{"device": "net_af_packet0", "address": "192.0.2.1/24", "mac": "02:00:00:00:00:01", "mtu": 1500}]}

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.ours, 1 << 20, 1)
        if not fds:
            return data
        with os.fdopen(fds[0], "rb") as body:  # a long one comes as a sealed memfd
            body.seek(0)
            return body.read()

    def serve(self):
        while True:
            data = self.receive()
            if not data:
                return
            message = json.loads(data)
            if not self.answering:
                continue
            op = message.pop("op")
            number = self.number = message.pop("id")
            self.ops.append((op, message))
            try:
                if op in self.hooks:
                    self.hooks[op](message)
                reply = {"ok": True, **(getattr(self, "do_" + op)(message) or {})}
            except Refuse as e:
                reply = {"ok": False, "error": dict(zip(("code", "message", "culprit"), e.args))}
            except Silence:
                continue
            self.ours.send(json.dumps({"id": number, **reply}).encode())

    def do_hello(self, message):
        return self.hello()

    def do_storage_create(self, message):
        volume = message["volume"]
        if volume["backend"] == "memory":
            self.memory.add(volume["id"])
        elif volume["backend"] == "file" and not loop.is_block_device(volume["path"]):
            try:
                fd = os.open(volume["path"], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                raise Refuse("exists", f"{volume['path']} exists")
            except OSError as e:
                raise Refuse("storage", e.strerror)
            os.ftruncate(fd, volume["size_bytes"])
            os.close(fd)

    def do_storage_delete(self, message):
        volume = message["volume"]
        self.memory.discard(volume["id"])
        if volume["backend"] == "file" and os.path.exists(volume["path"]) and not loop.is_block_device(volume["path"]):
            os.unlink(volume["path"])

    def do_attach(self, message):
        self.attached[message["volume"]["id"]] = message
        return {"socket": message["socket"]}

    def do_detach(self, message):
        self.attached.pop(message["volume_id"], None)

    def do_resize(self, message):
        if message["volume"]["path"]:
            os.truncate(message["volume"]["path"], message["size_bytes"])

    def do_rate(self, message):
        self.rates[message["volume_id"]] = message

    def do_net_apply(self, message):
        if message["reset"]:
            self.network = {}
        for change in message["changes"]:
            if change["object"] is None:
                self.network.pop(change["id"], None)
            else:
                self.network[change["id"]] = (change["kind"], change["object"])

    def do_eni_attach(self, message):
        if message["eni_id"] not in self.network:
            raise Refuse("not_found", f"there is no eni {message['eni_id']}")
        self.enis[message["eni_id"]] = message
        return {"socket": message["socket"]} if message["socket"] else {"tap": message["tap"], "mac": "02:00:00:00:00:02"}

    def do_eni_detach(self, message):
        self.enis.pop(message["eni_id"], None)

    def do_eni_trace(self, message):
        return {"lines": [{"stage": "parse", "verdict": "pass", "detail": message["packet"]}], "drop": None, "sentence": "It arrives."}

    def do_eni_capture(self, message):
        return {"start": {"capture": 7}, "read": {"data": "", "lost": 0}, "stop": {}}[message["action"]]

    def do_stats(self, message):
        devices = [{"volume": m["volume"]["name"], "volume_id": i, "socket": m["socket"], "state": "waiting", "poller": 1,
                    "connects": 1, "errors": 2, "last_error": "Input/output error", "crypt_bytes": 4096, "crypt_ns": 218,
                    "stages": [stage("backend", 5)],
                    "queues": [{"index": 0, "served": True, "kicks": 3, "kicks_suppressed": 1, "calls": 2, "errors": 1,
                                "unsupported": 0, "service_gap_max_ns": 4000, "stages": [stage("ring", 7), stage("device", 7)]}]}
                   for i, m in self.attached.items()]
        pollers = [{"core": 1, "busy_ns": 250, "idle_ns": 250, "sleep_ns": 500, "service_gap_max_ns": 10}]
        enis = [{"id": i, "name": self.network[i][1]["name"], "state": "waiting", "in": {"packets": 3, "bytes": 300},
                 "out": {"packets": 5, "bytes": 500}, "drops": {"acl_in": 2, "no_route": 1},
                 "allowances": {"bw_in_allowance_exceeded": 4, "conntrack_allowance_available": 99},
                 "flows": 6, "flows_created": 8, "slow_path": 9, "queues": []} for i in self.enis]
        network = {"flows": 6, "flows_max": 1024, "flows_created": 8, "flows_expired": 2, "drops": {"unknown_vni": 1},
                   "stages": [{"name": "parse", "cycles": 2500, "packets": 100}],
                   "wires": [{"name": "wire0", "device": "net_af_packet0", "link": True, "mac": "02:00:00:00:00:01", "address": "192.0.2.1/24",
                              "in": {"packets": 10, "bytes": 1000}, "out": {"packets": 20, "bytes": 2000}, "full": 1}]}
        return {"now_ns": 1, "pollers": pollers, "devices": devices, "enis": enis, "network": network}


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        self.json = json.loads(text) if text and headers["content-type"] == "application/json" else None

    @property
    def code(self):
        return self.json["error"]["code"]

    @property
    def message(self):
        return self.json["error"]["message"]


def documented(method, path):
    """(template, operation) of docs/openapi.yaml, or (None, None)."""
    for template, item in OPENAPI["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.split("?")[0]):
            return template, item.get(method.lower())
    return None, None


def is_network(path):
    """Whether a template of docs/openapi.yaml is about VPCs: those are held against the server by test/e2e/net_control.py."""
    return path.split("/")[2] in ("vpcs", "subnets", "security-groups", "acls", "route-tables", "peerings", "enis", "nats", "eips", "hosts",
                                  "vpc-load") if path.startswith("/v1/") else False


RESOLVER = jsonschema.RefResolver("", OPENAPI)


def resolve(node):
    return RESOLVER.resolve(node["$ref"])[1] if "$ref" in node else node


def hold_against_openapi(method, path, answer):
    template, operation = documented(method, path)
    if operation is None:
        assert answer.status in (404, 405), f"{method} {path} is not documented, and answers {answer.status}"
        schema = OPENAPI["components"]["schemas"]["Error"]
    else:
        assert str(answer.status) in operation["responses"], f"{method} {template} does not document {answer.status}: {answer.text}"
        content = resolve(operation["responses"][str(answer.status)]).get("content")
        if content is None:
            assert answer.text == "", answer.text
            return
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in content, f"{method} {template} answers {kind}"
        if kind != "application/json":
            return
        schema = content[kind]["schema"]
    jsonschema.Draft202012Validator(schema, resolver=RESOLVER).validate(answer.json)


class ControlTest(unittest.TestCase):
    vault_arguments = ()

    def setUp(self):
        self.state = os.path.realpath(tempfile.mkdtemp(prefix="obc-"))
        self.addCleanup(shutil.rmtree, self.state)
        self.logs = open(os.path.join(self.state, "log"), "w+")
        self.addCleanup(self.logs.close)
        self.seen = set()
        self.process = self.vault = None
        self.card = FakeCard()
        self.addCleanup(self.card.close)
        self.vault_ours, self.vault_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.vault_ours.close)
        self.addCleanup(self.vault_theirs.close)
        self.root = os.path.join(self.state, "vault.key")
        with open(self.root, "wb") as key:
            key.write(secrets.token_bytes(32))
        os.chmod(self.root, 0o400)
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in (self.process, self.vault):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def spawn(self, name, arguments, fds):
        """`fds` by name, inherited as the chassis hands them down."""
        numbers = [fd.fileno() if hasattr(fd, "fileno") else fd for fd in fds.values()]

        def place():

            high = [fcntl.fcntl(n, fcntl.F_DUPFD, 64) for n in numbers]
            for i, n in enumerate(high):
                os.dup2(n, 3 + i)
            os.closerange(3 + len(high), 256)
        environment = {**os.environ, "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(fds)}
        environment.pop("NOTIFY_SOCKET", None)
        if environment.get("OUTBOARD_SECCOMP") != "off":  # the search for leaks clones and traces, which the filter forbids
            environment.setdefault("ASAN_OPTIONS", "detect_leaks=0")
        return subprocess.Popen([tap.build(name), *arguments], env=environment, preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL,
                                stderr=self.logs)

    def start_vault(self, *arguments, root=None):
        with open(root or self.root, "r+b" if root else "rb") as key:
            self.vault_card = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in self.vault_card:
                self.addCleanup(end.close)
            self.vault = self.spawn("outboard-vault", arguments or ("--root", "file"),
                                    {"control": self.vault_theirs, "card": self.vault_card[0], "root": key})

    def start_control(self, *arguments):
        self.api = os.path.join(self.state, "api.sock")
        self.process = self.spawn("outboard-control", ("--state-dir", self.state, *arguments),
                                  {"card": self.card.theirs, "vault": self.vault_ours})
        wait_for("the API", lambda: self.process.poll() is not None or self.connects())
        self.assertIsNone(self.process.poll(), self.log())

    def connects(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.api)
            return True
        except OSError:
            return False

    def start(self):
        self.start_vault()
        self.start_control()
        self.wait_card("up")

    def wait_network(self, state="ok"):
        """The card has what is stored ("ok"), was not told ("pending"), or refused it: its message."""
        return wait_for(f"the network to be {state}", lambda: (lambda n: n["state"] == state and n)(self.get("/healthz").json["network"]))

    def wait_card(self, state):
        wait_for(f"the card to be {state}", lambda: self.get("/v1/cards/local").json["state"] == state)

    def kill_control(self):
        self.process.kill()
        self.process.wait()

    def stop_control(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(), 0, self.log())

    def log(self):
        with open(os.path.join(self.state, "log")) as log:
            return log.read()

    def call(self, method, path, body=None, raw=None):
        connection = Connection(self.api)
        try:
            data = raw if raw is not None else None if body is None else json.dumps(body)
            connection.request(method, path, data)
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        finally:
            connection.close()
        hold_against_openapi(method, path, answer)
        self.seen.add((method, documented(method, path)[0], answer.status))
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)

    def expect(self, status, method, path, body=None, code=None):
        answer = self.call(method, path, body)
        self.assertEqual(answer.status, status, answer.text)
        if code is not None:
            self.assertEqual(answer.code, code, answer.text)
        return answer

    def create(self, name, status=201, **fields):
        body = {"name": name, "size_bytes": 1 << 20, "backend": "null", **fields}
        return self.expect(status, "POST", "/v1/volumes", body).json

    def attach(self, name, status=201, **fields):
        return self.expect(status, "POST", "/v1/attachments", {"volume": name, **fields}).json
