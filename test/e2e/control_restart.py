#!/usr/bin/python3
"""State of outboard-control over deaths: its own at every step, the card's, a full state disk, a damaged store, NBD servers."""
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import loop
import tap
from control import ControlTest, Refuse, Silence, wait_for


class Deaths(ControlTest):
    """outboard-control is killed in the middle of each command to the card. Afterwards the volume is as before, or as asked."""

    def setUp(self):
        super().setUp()
        self.start()

    def kill_during(self, op, call, before):
        """Kills control when the card has got `op`: before or after the card does it."""
        killed = threading.Event()
        do = getattr(self.card, "do_" + op)

        def die(message):
            reply = None if before else do(message)
            self.process.kill()
            self.process.wait()
            if before:
                reply = do(message)
            killed.set()
            return reply
        setattr(self.card, "do_" + op, die)

        def ask():
            try:
                call()
            except OSError:
                pass
        asking = threading.Thread(target=ask)
        asking.start()
        killed.wait()
        asking.join()
        setattr(self.card, "do_" + op, do)
        self.start_control()
        self.wait_card("up")

    def test_create(self):
        path = os.path.join(self.state, "volumes", "v.img")
        for before in (True, False):
            for encrypted in (True, False):
                self.kill_during("storage_create", lambda: self.create("v", backend="file", encrypted=encrypted), before)
                wait_for("the undoing", lambda: not os.path.exists(path))
                self.assertEqual(self.get("/v1/volumes").json, [])
                wait_for("the name to be free", lambda: self.call("POST", "/v1/volumes", {
                    "name": "v", "size_bytes": 4096, "backend": "file"}).status == 201)
                self.expect(204, "DELETE", "/v1/volumes/v")

    def test_create_undone_spares_what_is_not_ours(self):
        """Between the look and the making somebody put a file there: it survives the undoing."""
        path = os.path.join(self.state, "volumes", "v.img")

        def intrude(message):
            with open(path, "w") as f:
                f.write("somebody's data")

        def intrude_and_die(message):
            intrude(message)
            self.process.kill()
            self.process.wait()
            raise Refuse("exists", "it exists")
        self.card.hooks["storage_create"] = intrude_and_die
        try:
            self.create("v", backend="file")
        except OSError:
            pass
        del self.card.hooks["storage_create"]
        self.start_control()
        self.wait_card("up")
        wait_for("the row to go", lambda: self.call("POST", "/v1/volumes", {
            "name": "v", "size_bytes": 4096, "backend": "null"}).status == 201)
        with open(path) as f:
            self.assertEqual(f.read(), "somebody's data")

    def test_create_undone_spares_a_block_device(self):
        node = loop.device(self, os.path.join(self.state, "under"), 1 << 20)
        self.kill_during("storage_create", lambda: self.create("v", backend="file", path=node), True)
        wait_for("the name and the device to be free", lambda: self.call("POST", "/v1/volumes", {
            "name": "v", "size_bytes": 4096, "backend": "file", "path": node}).status == 201)
        self.assertTrue(loop.is_block_device(node))

    def test_delete(self):
        for before in (True, False):
            volume = self.create("v", backend="file", encrypted=True)
            self.kill_during("storage_delete", lambda: self.expect(204, "DELETE", "/v1/volumes/v"), before)
            wait_for("its end", lambda: self.get("/v1/volumes/v").status == 404)
            self.assertFalse(os.path.exists(volume["path"]))

    def test_attach(self):
        """Nobody was told that it is attached: it is not."""
        volume = self.create("v")
        for before in (True, False):
            self.kill_during("attach", lambda: self.attach("v"), before)
            wait_for("the undoing", lambda: self.get("/v1/attachments/v").status == 404)
            self.assertNotIn(volume["id"], self.card.attached)

    def test_detach(self):
        volume = self.create("v")
        for before in (True, False):
            self.attach("v")
            self.kill_during("detach", lambda: self.expect(204, "DELETE", "/v1/attachments/v"), before)
            wait_for("its end", lambda: self.get("/v1/attachments/v").status == 404)
            self.assertNotIn(volume["id"], self.card.attached)

    def test_resize(self):
        volume = self.create("v", backend="file")
        for before in (True, False):
            size = self.get("/v1/volumes/v").json["size_bytes"] * 2
            self.kill_during("resize", lambda: self.expect(200, "PATCH", "/v1/volumes/v", {"size_bytes": size}), before)
            wait_for("the new size", lambda: self.get("/v1/volumes/v").json["size_bytes"] == size)
            self.assertEqual(os.stat(volume["path"]).st_size, size)

    def test_rate(self):
        volume = self.create("v", iops=1)
        self.attach("v")
        self.kill_during("rate", lambda: self.expect(200, "PATCH", "/v1/volumes/v", {"iops": 7}), False)
        wait_for("the old rate at the card", lambda: self.card.rates[volume["id"]]["iops"] == 1)
        self.assertEqual(self.get("/v1/volumes/v").json["iops"], 1)


class Restarts(ControlTest):
    """Everything comes back."""

    def setUp(self):
        super().setUp()
        self.start()

    def everything(self):
        return {path: self.get(path).json for path in ("/v1/volumes", "/v1/attachments", "/v1/keys")}

    def test_control(self):
        volumes = [self.create(f"v{i}", backend=b, encrypted=bool(i % 2)) for i, b in enumerate(("file", "memory", "null") * 3)]
        for i in range(5):
            self.attach(f"v{i}")
        self.card.event("device", volume_id=volumes[2]["id"], state="connected", reason=None)
        wait_for("a connection", lambda: self.get("/v1/attachments/v2").json["state"] == "connected")
        before = self.everything()
        self.stop_control()
        self.assertFalse(os.path.exists(self.api))
        self.card.do_stats = lambda message: {"now_ns": 1, "pollers": [], "devices": [
            {"volume_id": volumes[2]["id"], "state": "connected"}]}
        self.start_control()
        wait_for("all of it", lambda: self.everything() == before)

    def test_card(self):
        """A new card is told everything again: memory, then attachments; restarts are counted."""
        memory = self.create("m", backend="memory")
        self.create("p")
        for name in ("m", "p"):
            self.attach(name)
        self.card.ops.clear()
        self.card.memory.clear()
        self.card.restart()
        wait_for("both", lambda: len(self.card.attached) == 2)
        ops = [op for op, message in self.card.ops if message.get("volume", {}).get("id") == memory["id"]]
        self.assertEqual(ops, ["storage_create", "attach"])
        wait_for("the state", lambda: [a["state"] for a in self.get("/v1/attachments").json] == ["waiting", "waiting"])
        card = self.get("/v1/cards/local").json
        self.assertEqual((card["restarts"], card["incarnation"]), (1, self.card.incarnation))
        self.stop_control()
        self.card.incarnation = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"  # it was replaced while nobody looked
        self.start_control()
        wait_for("the count", lambda: self.get("/v1/cards/local").json["restarts"] == 2)

    def test_many_attachments(self):
        """More than are restored at a time."""
        count = 200
        for i in range(count):
            self.create(f"v{i}")
            self.attach(f"v{i}")
        self.card.restart()
        wait_for("all", lambda: len(self.card.attached) == count)
        wait_for("the states", lambda: all(a["state"] == "waiting" for a in self.get("/v1/attachments").json))

    def test_pending(self):
        """What cannot be attached again says why, and is tried again until it can."""
        self.create("v", encrypted=True)
        self.attach("v")

        def locked(message):
            raise Refuse("vault_locked", "the vault is locked")
        self.card.hooks["attach"] = locked
        self.card.restart()
        attachment = wait_for("the reason", lambda: (lambda a: "locked" in (a["reason"] or "") and a)(self.get("/v1/attachments/v").json))
        self.assertEqual(attachment["state"], "pending")
        shown = self.get("/v1/volumes/v").json["attachment"]
        self.assertEqual((shown["state"], shown["reason"]), ("pending", attachment["reason"]))
        del self.card.hooks["attach"]
        wait_for("the attachment", lambda: self.get("/v1/attachments/v").json["state"] == "waiting")

    def test_silent_card(self):
        """A card that hangs: reads go on, changes are refused, nothing is left; when it wakes up all is settled."""
        self.create("v")
        self.create("w")
        self.attach("w")

        def silent(message):
            raise Silence
        self.card.hooks["attach"] = silent
        self.expect(503, "POST", "/v1/attachments", {"volume": "v"}, "card_timeout")
        del self.card.hooks["attach"]
        wait_for("the undoing", lambda: self.get("/v1/attachments/v").status == 404)
        self.card.answering = False
        self.wait_card("down")
        self.assertEqual(self.get("/v1/attachments/w").json["state"], "pending")
        self.expect(503, "POST", "/v1/volumes", {"name": "x", "size_bytes": 4096, "backend": "null"}, "card_unavailable")
        self.expect(503, "POST", "/v1/attachments", {"volume": "v"}, "card_unavailable")
        self.expect(503, "DELETE", "/v1/attachments/w", code="card_unavailable")
        self.expect(503, "DELETE", "/v1/volumes/v", code="card_unavailable")
        self.expect(503, "PATCH", "/v1/volumes/v", {"size_bytes": 2 << 20}, "card_unavailable")
        self.expect(503, "GET", "/v1/cards/local/stats", code="card_unavailable")
        self.assertEqual(self.get("/healthz").json["card"], "down")
        self.card.answering = True
        self.wait_card("up")
        wait_for("w", lambda: self.get("/v1/attachments/w").json["state"] == "waiting")
        self.attach("v")

    def test_create_without_an_answer(self):
        """The card makes the storage and is never heard: the client is told that it failed, so the volume goes."""
        path = os.path.join(self.state, "volumes", "v.img")
        make = self.card.do_storage_create

        def make_silently(message):
            make(message)
            raise Silence
        self.card.hooks["storage_create"] = make_silently
        self.expect(503, "POST", "/v1/volumes", {"name": "v", "size_bytes": 4096, "backend": "file"}, "card_timeout")
        del self.card.hooks["storage_create"]
        wait_for("the undoing", lambda: not os.path.exists(path))
        self.assertEqual(self.get("/v1/volumes").json, [])

    def test_answers_before_it_stops(self):
        """Whoever waits is told that it ends."""
        self.create("v")
        entered = threading.Event()

        def hang(message):
            entered.set()
            raise Silence
        self.card.hooks["attach"] = hang
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.call("POST", "/v1/attachments", {"volume": "v"})))
        asking.start()
        entered.wait()
        self.stop_control()
        asking.join()
        self.assertEqual((answers[0].status, answers[0].code), (503, "busy"))

    def test_errors_survive(self):
        volume = self.create("v")
        self.attach("v")
        self.card.event("volume_error", volume_id=volume["id"], op="read", error="EIO", offset_bytes=0, message="Input/output error")
        health = wait_for("the error", lambda: (lambda h: h["errors"] and h)(self.get("/v1/volumes/v").json["health"]))
        self.stop_control()
        self.start_control()
        self.assertEqual(self.get("/v1/volumes/v").json["health"], health)


class Store(ControlTest):
    """The file that it all stands in."""

    def refuses(self):
        """Starts it, sees it end, and returns what it said."""
        process = self.spawn("outboard-control", ("--state-dir", self.state), {"card": self.card.theirs, "vault": self.vault_ours})
        self.assertNotEqual(process.wait(), 0)
        return self.log()

    def make(self):
        self.start()
        self.create("v", encrypted=True)
        self.stop_control()

    def test_newer_schema(self):
        self.make()
        db = sqlite3.connect(os.path.join(self.state, "control.db"))
        db.execute("PRAGMA user_version = 1000")
        db.close()
        self.assertIn("written by a newer Outboard (schema 1000", self.refuses())

    def test_another_program(self):
        self.make()
        db = sqlite3.connect(os.path.join(self.state, "control.db"))
        db.execute("PRAGMA application_id = 1")
        db.close()
        self.assertIn("a database of another program", self.refuses())

    def test_damaged(self):
        self.make()
        path = os.path.join(self.state, "control.db")
        size = os.stat(path).st_size
        for offset, garbage in ((0, os.urandom(4096)), (4096, b"\xff" * (size - 4096))):
            with open(path, "rb") as f:
                good = f.read()
            with open(path, "r+b") as f:
                f.seek(offset)
                f.write(garbage)
            said = self.refuses()
            self.assertIn("is damaged", said)
            self.assertIn("put a backup in place", said)
            with open(path, "wb") as f:
                f.write(good)
        self.start_control()
        self.assertEqual(self.get("/v1/volumes/v").status, 200)

    def test_two_at_a_time(self):
        self.start()
        self.assertIn("in use by another process", self.refuses())
        self.assertEqual(self.get("/v1/version").status, 200)

    def test_no_state_directory(self):
        process = self.spawn("outboard-control", ("--state-dir", os.path.join(self.state, "none")), {"card": self.card.theirs, "vault": self.vault_ours})
        self.assertNotEqual(process.wait(), 0)
        self.assertIn("cannot use the state directory", self.log())

    def test_nowhere_to_listen(self):
        process = self.spawn("outboard-control", ("--state-dir", self.state, "--api", "/nonexistent/api.sock"),
                             {"card": self.card.theirs, "vault": self.vault_ours})
        self.assertEqual(process.wait(), 1, self.log())
        self.assertIn("cannot listen on /nonexistent/api.sock", self.log())

    def test_a_deleted_key_is_nowhere(self):
        """Crypto-erase: the wrapped key is in no file of the state directory any more."""
        self.start()
        self.create("v", encrypted=True)
        told = [m for op, m in self.card.ops if op == "storage_create"][-1]["volume"]["encryption"]
        wrapped = bytes.fromhex(told["wrapped_dek"])
        self.assertTrue(self.in_state(wrapped))
        self.expect(204, "DELETE", "/v1/volumes/v")
        self.assertFalse(self.in_state(wrapped))

    def in_state(self, data):
        for folder, _, names in os.walk(self.state):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        if data in f.read():
                            return True
        return False

    def test_full_disk(self):
        """507 with a sentence, no half-made volume, and all goes on when there is room again."""
        mounted = os.path.join(self.state, "small")
        os.mkdir(mounted)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", mounted])
        self.state, outer = mounted, self.state
        self.addCleanup(setattr, self, "state", outer)
        os.close(os.open(os.path.join(mounted, "log"), os.O_CREAT))
        self.start()
        self.create("before")
        with open(os.path.join(mounted, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        refused = wait_for("the disk to be full", lambda: self.fill())
        self.assertIn("the file system of the state directory is full", refused.message)
        self.assertEqual(refused.code, "state_full")
        for method, path, body in (("PATCH", "/v1/volumes/before", {"tags": {"a": "b" * 200}}), ("POST", "/v1/keys", {"name": "k"}),
                                   ("POST", "/v1/attachments", {"volume": "before"}), ("DELETE", "/v1/volumes/before", None)):
            self.expect(507, method, path, body, "state_full")
        volumes = self.get("/v1/volumes").json
        self.assertNotIn(self.refused_name, [v["name"] for v in volumes])
        os.unlink(os.path.join(mounted, "filler"))
        wait_for("room", lambda: self.call("POST", "/v1/volumes", {"name": "after", "size_bytes": 4096, "backend": "null"}).status == 201)
        self.kill_control()
        self.start_control()
        self.assertEqual([v["name"] for v in self.get("/v1/volumes").json], sorted([v["name"] for v in volumes] + ["after"]))

    def fill(self):
        self.refused_name = f"n{len(self.card.ops)}"
        answer = self.call("POST", "/v1/volumes", {"name": self.refused_name, "size_bytes": 4096, "backend": "null", "tags": {"a": "b" * 200}})
        return answer if answer.status == 507 else None


FAKE_NBDKIT = """#!/usr/bin/python3
import os, signal, socket, sys
with open(os.path.join(os.path.dirname(sys.argv[0]), "arguments"), "a") as f:
    f.write(" ".join(sys.argv[1:]) + "\\n")
if os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "broken")):
    sys.exit(3)
assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
assert sorted(os.listdir("/proc/self/fd"))[:5] == ["0", "1", "2", "3", "4"] and len(os.listdir("/proc/self/fd")) <= 6
s = socket.socket(fileno=3)
with open(sys.argv[sys.argv.index("--pidfile") + 1], "w") as f:
    f.write(str(os.getpid()))
while True:
    c, _ = s.accept()
    c.sendall(str(os.getpid()).encode())
    c.close()
"""


class Nbd(ControlTest):
    """NBD servers and their keeper, with a program in nbdkit's place."""

    def setUp(self):
        super().setUp()
        self.bin = tempfile.mkdtemp(prefix="obn-")
        self.addCleanup(shutil.rmtree, self.bin)
        with open(os.path.join(self.bin, "nbdkit"), "w") as f:
            f.write(FAKE_NBDKIT)
        os.chmod(os.path.join(self.bin, "nbdkit"), 0o755)
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{self.bin}:{path}"
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        self.start()

    def pid(self, name="v"):
        """Of the server that answers."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(os.path.join(self.state, "sockets", f"{name}.sock"))
            return int(s.recv(16) or 0)  # 0: it died with our connection

    def gone(self, pid):
        return not os.path.exists(f"/proc/{pid}")

    def arguments(self):
        with open(os.path.join(self.bin, "arguments")) as f:
            return f.read().splitlines()

    def test_life(self):
        volume = self.create("v", backend="memory")
        attachment = self.attach("v", kind="nbd", mode="0640", read_only=True)
        self.assertEqual((attachment["kind"], attachment["state"]), ("nbd", "waiting"))
        private = os.path.join(self.state, "sockets", ".nbd-v.sock")
        told = self.card.attached[volume["id"]]
        self.assertEqual((told["socket"], told["mode"], told["volume"]["read_only"]), (private, 0o600, True))
        self.assertIn("--readonly", self.arguments()[0])
        self.assertTrue(self.arguments()[0].endswith("vhost=" + private))
        path = os.path.join(self.state, "sockets", "v.sock")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        first = self.pid()
        os.kill(first, 9)
        wait_for("another server", lambda: self.pid() not in (0, first))  # connections wait while it starts
        pid = self.pid()
        self.expect(204, "DELETE", "/v1/attachments/v")
        self.assertTrue(self.gone(pid))
        self.assertFalse(os.path.exists(path))
        self.assertEqual(self.card.attached, {})

    def test_card_restart(self):
        """The server's connection to the old card is worth nothing: there is a new one, on the same path."""
        self.create("v", backend="memory")
        self.attach("v", kind="nbd")
        first = self.pid()
        self.card.restart()
        wait_for("the attachment", lambda: self.card.attached)
        wait_for("another server", lambda: self.gone(first) and self.get("/v1/attachments/v").json["state"] == "waiting")
        self.assertNotEqual(self.pid(), first)

    def test_control_death(self):
        self.create("v", backend="memory")
        self.attach("v", kind="nbd")
        first = self.pid()
        self.kill_control()
        wait_for("the server's end", lambda: self.gone(first))
        self.start_control()
        wait_for("another", lambda: self.get("/v1/attachments/v").json["state"] == "waiting")
        self.assertNotEqual(self.pid(), first)

    def test_failure_leaves_nothing(self):
        self.create("v", backend="memory")
        broken = os.path.join(self.bin, "broken")
        open(broken, "w").close()
        self.assertIn("nbdkit ended with status 3", self.expect(503, "POST", "/v1/attachments", {"volume": "v", "kind": "nbd"}, "nbd_unavailable").message)
        self.assertEqual((self.card.attached, self.get("/v1/attachments").json), ({}, []))
        self.assertFalse(os.path.exists(os.path.join(self.state, "sockets", "v.sock")))
        os.unlink(broken)
        self.attach("v", kind="nbd")

    def test_no_nbdkit(self):
        os.unlink(os.path.join(self.bin, "nbdkit"))
        self.stop_control()
        os.environ["PATH"] = self.bin
        self.start_control()
        self.wait_card("up")
        self.create("v", backend="memory")
        self.assertIn("install the package nbdkit", self.expect(503, "POST", "/v1/attachments", {"volume": "v", "kind": "nbd"}, "nbd_unavailable").message)

    def test_something_in_the_way(self):
        self.create("v", backend="memory")
        path = os.path.join(self.state, "sockets", "v.sock")
        open(path, "w").close()
        self.expect(503, "POST", "/v1/attachments", {"volume": "v", "kind": "nbd"}, "nbd_unavailable")
        self.assertTrue(os.path.exists(path))

    def test_keeper_death(self):
        """Without its keeper control ends, to be started anew with another."""
        self.create("v", backend="memory")
        self.attach("v", kind="nbd")
        first = self.pid()
        keeper = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(first)], capture_output=True, text=True).stdout)
        os.kill(keeper, 9)
        self.process.wait()
        wait_for("the server's end", lambda: self.gone(first))
        self.start_control()
        wait_for("another", lambda: self.get("/v1/attachments/v").json["state"] == "waiting")


if __name__ == "__main__":
    tap.main()
