#!/usr/bin/python3
"""The whole system under bad luck: disks that fail or fill up, keys that are wrong, processes that are killed or hang, and callers
without manners. What must hold: one request fails, one sentence says why, everything else goes on, and it recovers by itself."""
import json
import os
import random
import re
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
import vhost_user
from memory_search import search_files, search_processes
from running import MIB, PATIENCE_S, Running, descendants

BLOCK = b"\x5a" * 4096


def fill(folder):
    """Leaves not a byte in a file system; the file that holds it all."""
    path = os.path.join(folder, "ballast")
    for size in (MIB, 4096, 1):
        try:
            with open(path, "ab", buffering=0) as f:
                while True:
                    f.write(bytes(size))
        except OSError:
            pass
    return path


class Storage(Running):
    """A file that fails: an I/O error for that request, a volume marked as degraded, and nothing else."""

    def setUp(self):
        super().setUp()
        self.place = os.path.join(self.folder, "place")
        os.mkdir(self.place)

    def check_degraded(self, name, *words):
        health = self.wait_for("the volume to be marked", lambda: (lambda h: h["state"] == "degraded" and h)(self.show(name)["health"]))
        for word in words:
            self.assertIn(word, health["message"])
        self.assertIn(f"volume {name}: ", self.log())
        self.assertEqual(self.call("status")["status"], "ok")

    def check_recovers(self, name):
        """An attachment that begins without errors is healthy again."""
        self.call("volume", "detach", name)
        self.attach(name)
        self.assertEqual(self.show(name)["health"]["state"], "ok")

    def check_failing(self, prepare, fail, mend, message):
        """The disk works, `fail`s at 12 MiB, and works again."""
        neighbour = self.neighbour()
        path = self.make("d", "--path", os.path.join(self.place, "d.img"))
        prepare()
        with self.disk(path) as disk:
            self.assertEqual(disk.write(0, BLOCK), vhost_user.S_OK)
            fail()
            self.assertEqual(disk.write(12 * MIB, BLOCK), vhost_user.S_IOERR)
            self.assertEqual(disk.read(0, 4096), (vhost_user.S_OK, BLOCK), "what was written is there")
            self.check_degraded("d", "write at byte 12582912", message)
            mend()
            self.assertEqual(disk.write(12 * MIB, BLOCK), vhost_user.S_OK)
            self.assertEqual(disk.read(12 * MIB, 4096), (vhost_user.S_OK, BLOCK))
            self.assertEqual(disk.request(vhost_user.T_FLUSH)[0], vhost_user.S_OK)
        neighbour.stop()
        self.check_recovers("d")

    def test_no_space(self):
        self.mount(self.place, "-t", "tmpfs", "-o", "size=4M", "tmpfs")
        self.check_failing(lambda: None, lambda: fill(self.place), lambda: os.unlink(os.path.join(self.place, "ballast")),
                           "No space left on device")

    def test_a_device_that_gives_eio(self):
        """A file system on a device that loses its second half; the file's blocks are there, so that nothing else than it fails."""
        image = os.path.join(self.folder, "image")
        with open(image, "wb") as f:
            f.truncate(20 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal", image], check=True)
        self.mount(self.place, "-o", "loop", image)
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.place], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

        def allocate():
            subprocess.run(["fallocate", "-l", str(16 * MIB), os.path.join(self.place, "d.img")], check=True)
            os.sync()

        def resize(size):
            os.truncate(image, size)
            subprocess.run(["losetup", "-c", device], check=True)
        self.check_failing(allocate, lambda: resize(10 * MIB), lambda: resize(20 * MIB), "Input/output error")

    def test_a_file_that_becomes_short(self):
        path = self.make("d", "--path", os.path.join(self.place, "d.img"))
        with self.disk(path) as disk:
            self.assertEqual(disk.write(0, BLOCK), vhost_user.S_OK)
            os.truncate(os.path.join(self.place, "d.img"), MIB)
            self.assertEqual(disk.read(8 * MIB, 4096)[0], vhost_user.S_IOERR)
            self.assertEqual(disk.read(MIB - 4096, 8192)[0], vhost_user.S_IOERR, "half of it is there")
            self.assertEqual(disk.read(0, 4096), (vhost_user.S_OK, BLOCK))
            self.check_degraded("d", "read at byte", "Input/output error")
            os.truncate(os.path.join(self.place, "d.img"), 16 * MIB)
            self.assertEqual(disk.read(8 * MIB, 4096), (vhost_user.S_OK, bytes(4096)))

    def test_a_file_that_is_gone(self):
        self.volume("d", "--path", os.path.join(self.place, "d.img"))
        self.volume("other")
        os.unlink(os.path.join(self.place, "d.img"))
        self.assertIn("d.img", self.refused("storage_error", "volume", "attach", "d"))
        self.assertIsNone(self.show("d")["attachment"])
        self.check_clean(self.attach("other"))


class FullState(Running):
    state_bytes = 12 * MIB

    def test_nothing_is_half_made_and_what_runs_goes_on(self):
        neighbour = self.neighbour()
        self.volume("before", "--backend", "memory")
        ballast = fill(self.state)
        for arguments in (("a",), ("b", "--backend", "memory"), ("c", "--encrypted")):
            message = self.refused("state_full", "volume", "create", *arguments, "--size", "1M")
            self.assertIn(f'"{arguments[0]}"', message)
        self.refused("state_full", "volume", "attach", "before")
        self.assertEqual([v["name"] for v in self.call("volume", "list")["volumes"]], ["before", "neighbour"])
        self.assertEqual(os.listdir(os.path.join(self.state, "volumes")), [])
        self.assertEqual(sorted(os.listdir(os.path.join(self.state, "sockets"))), ["enis", "neighbour.sock"])
        self.assertEqual(os.listdir(os.path.join(self.state, "sockets", "enis")), [])
        self.kill("control")
        self.assertEqual(len(self.call("volume", "list")["volumes"]), 2)
        os.unlink(ballast)
        self.check_clean(self.make("a", "--encrypted"))
        self.check_clean(self.attach("before"))
        neighbour.stop()


class Vault(Running):
    def test_killed_again_and_again_under_io(self):
        neighbour = self.neighbour("neighbour", "--encrypted")
        for i in range(3):
            os.kill(self.children()["vault"], signal.SIGKILL)
            self.check_clean(self.make(f"d{i}", "--encrypted"))  # waits for the next one
        neighbour.stop()


class Locked(Running):
    config = "[vault]\nroot = passphrase\n"

    def unlock(self, passphrase):
        path = os.path.join(self.folder, "passphrase")
        with open(path, "w") as f:
            f.write(passphrase)
        return ("key", "unlock", "--passphrase-file", path)

    def test_a_passphrase_and_a_wrong_one(self):
        self.call(*self.unlock("correct horse"))
        self.volume("detached", "--encrypted")
        path = self.make("attached", "--encrypted")
        plain = self.make("plain")
        with self.disk(path) as disk:
            self.assertEqual(disk.write(0, BLOCK), vhost_user.S_OK)
        self.stop(signal.SIGKILL)
        self.start()
        self.assertIn("key unlock", self.refused("vault_locked", "volume", "attach", "detached"))
        self.refused("wrong_passphrase", *self.unlock("wrong donkey"))
        self.assertEqual(self.call("status")["vault"], "locked")
        self.assertIsNone(self.show("detached")["attachment"])
        self.wait_for("the plain volume", lambda: self.state_of("plain") == "waiting")
        self.check_clean(plain)
        self.assertEqual(self.state_of("attached"), "pending")
        self.assertIn("locked", self.wait_for("a reason", lambda: (lambda r: r and "locked" in r and r)(self.get("/v1/attachments/attached")["reason"])))
        self.call(*self.unlock("correct horse"))
        self.wait_for("the volume that waited", lambda: self.state_of("attached") == "waiting")
        with self.disk(path) as disk:
            self.assertEqual(disk.read(0, 4096), (vhost_user.S_OK, BLOCK))
        self.check_clean(self.attach("detached"))


class Tampered(Running):
    """Wrapped keys altered behind our back: a refusal that names the volume, and not a byte is served."""

    def alter(self, *statements):
        """SQL, while nothing runs. flip(blob, n) alters a bit; other(name) is the key of the other one of a and b, as it was before."""
        self.stop()
        with sqlite3.connect(os.path.join(self.state, "control.db")) as db:
            keys = dict(db.execute("SELECT name, wrapped_dek FROM volumes"))
            db.create_function("flip", 2, lambda blob, at: bytes(b ^ (i == at) for i, b in enumerate(blob)))
            db.create_function("other", 1, lambda name: keys[{"a": "b", "b": "a"}[name]])
            for statement in statements:
                db.execute(statement)
        db.close()
        self.start()

    def check_refused(self, *names):
        for name in names:
            message = self.refused("key_refused", "volume", "attach", name)
            self.assertIn(f'"{name}"', message)
            self.assertIn("does not authenticate", message)
            self.assertFalse(os.path.exists(os.path.join(self.state, "sockets", f"{name}.sock")))
            key = os.path.join(self.folder, "key")
            self.refused("key_refused", "key", "export", name, "--out", key)
            self.assertFalse(os.path.exists(key))

    def test_altered_and_swapped(self):
        for name in ("a", "b"):
            with self.disk(self.make(name, "--encrypted")) as disk:
                self.assertEqual(disk.write(8 * MIB, BLOCK), vhost_user.S_OK)
            self.call("volume", "detach", name)
        plain = self.make("plain", "--backend", "memory")
        flip_a = "UPDATE volumes SET wrapped_dek = flip(wrapped_dek, 30) WHERE name = 'a'"
        swap = "UPDATE volumes SET wrapped_dek = other(name) WHERE name IN ('a', 'b')"
        flip_kek = "UPDATE keks SET wrapped = flip(wrapped, 20)"
        self.alter(flip_a)
        self.check_refused("a")
        self.check_clean(self.attach("b"))
        self.alter(flip_a, "DELETE FROM attachments WHERE volume_id = (SELECT id FROM volumes WHERE name = 'b')")
        self.check_clean(self.attach("a"))
        self.call("volume", "detach", "a")
        self.alter(swap)
        self.check_refused("a", "b")
        self.alter(swap, flip_kek)
        self.check_refused("a", "b")
        self.wait_for("the plain volume", lambda: self.state_of("plain") == "waiting")
        self.check_clean(plain)
        self.alter(flip_kek)
        with self.disk(self.attach("b")) as disk:
            self.assertEqual(disk.read(8 * MIB, 4096), (vhost_user.S_OK, BLOCK), "whole again")

    def test_altered_while_it_is_attached(self):
        self.make("a", "--encrypted")
        self.alter("UPDATE volumes SET wrapped_dek = flip(wrapped_dek, 40)")
        self.wait_for("a reason", lambda: "does not authenticate" in (self.get("/v1/attachments/a")["reason"] or ""))
        self.assertEqual(self.state_of("a"), "pending")
        self.assertFalse(os.path.exists(os.path.join(self.state, "sockets", "a.sock")))


class Kills(Running):
    """kill -9 of a random process, time and again, under commands that change everything; in the end all is as the API says."""
    SEED, KILLS, NAMES = 7, 20, tuple(f"v{i}" for i in range(6))

    def operate(self, seed):
        choose = random.Random(seed)
        while not self.ending.is_set():
            name = choose.choice(self.NAMES)
            more = choose.choice(((), ("--encrypted",), ("--backend", "memory"), ("--backend", "memory", "--encrypted")))
            command = choose.choice((("create", name, "--size", "2M", *more), ("attach", name), ("detach", name),
                                     ("resize", name, "--size", f"{choose.randrange(2, 9)}M"), ("delete", name)))
            subprocess.run([tap.build("outboard"), "--json", "--timeout", "60", "volume", *command], env=self.environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE_S)
            self.done += 1

    def kill_all(self):
        old = descendants(self.chassis.pid)
        self.chassis.kill()
        self.chassis.wait()
        self.chassis.stdout.close()
        self.wait_for("the end of all processes", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old))
        self.start()

    def listens(self, path):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
            return True
        except OSError:
            return False

    def settled(self):
        """That a card is dead is known when the next one says hello: until then its devices look well, and nobody listens."""
        volumes = self.call("volume", "list")["volumes"]
        if not all(self.listens(v["attachment"]["socket"]) for v in volumes if v["attachment"]):
            return False
        return all(v["state"] == ("attached" if v["attachment"] else "available") and
                   (v["attachment"] is None or v["attachment"]["state"] == "waiting") for v in volumes)

    def check_nothing_else(self):
        volumes = self.call("volume", "list")["volumes"]
        self.assertEqual({os.path.join(self.state, "volumes", n) for n in os.listdir(os.path.join(self.state, "volumes"))},
                         {v["path"] for v in volumes if v["backend"] == "file"})
        self.assertEqual({os.path.join(self.state, "sockets", n) for n in os.listdir(os.path.join(self.state, "sockets")) if n != "enis"},
                         {v["attachment"]["socket"] for v in volumes if v["attachment"]})
        self.assertEqual(set(self.children()), {"vault", "card", "control"})
        for v in volumes:
            if v["backend"] == "file":
                self.assertEqual(os.stat(v["path"]).st_size, v["size_bytes"], v["name"])
        return volumes

    def kept(self):
        """What the chassis keeps for its children, by inode: descriptors of the same memory are the same."""
        folder = f"/proc/{self.chassis.pid}/fd"
        return len({os.stat(f"{folder}/{fd}").st_ino for fd in os.listdir(folder) if "memfd:" in os.readlink(f"{folder}/{fd}")})

    def test_of_everything(self):
        choose = random.Random(self.SEED)
        self.ending, self.done = threading.Event(), 0
        self.addCleanup(self.ending.set)
        threads = [threading.Thread(target=self.operate, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for i in range(self.KILLS):
            before = self.done
            self.wait_for("a few commands", lambda b=before: self.done >= b + 4)
            if i % 7 == 6:
                self.kill_all()
            else:
                victim = choose.choice(("vault", "card", "control"))
                pid = self.wait_for("a process to kill", lambda v=victim: self.children().get(v))
                os.kill(pid, signal.SIGKILL)
        self.ending.set()
        for thread in threads:
            thread.join()
        self.wait_for("health", self.healthy)
        self.wait_for("everything to settle", self.settled, lambda: self.call("volume", "list"))
        volumes = self.check_nothing_else()
        self.assertEqual(self.kept(), sum(v["backend"] == "memory" for v in volumes))
        for v in volumes:
            with self.disk(self.attach(v["name"]) if v["attachment"] is None else v["attachment"]["socket"]) as disk:
                self.assertEqual(disk.write(0, BLOCK), vhost_user.S_OK)
                self.assertEqual(disk.capacity(), v["size_bytes"])
            self.call("volume", "detach", v["name"])
            self.call("volume", "delete", v["name"])
        self.assertEqual(self.check_nothing_else(), [])
        self.assertEqual(self.kept(), 0)
        self.check_clean(self.make("v0", "--encrypted"))


class Secrets(Running):
    """A key is where no other process, and not even root, can read it: looked for everywhere, after showing that looking works."""

    def start(self):
        super().start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))

    def needles(self, key):
        """Every 16 bytes of it: a key schedule begins with the key itself, so that is found as well."""
        return [key[i:i + 16] for i in range(0, len(key), 16)]

    def keys_above(self, dek):
        """[root key, key derived from it, KEK], by another implementation, from root.h's and wrap.h's description; must lead to `dek`."""
        self.stop()
        with open(os.path.join(self.state, "vault.key"), "rb") as f:
            root = f.read()
        with sqlite3.connect(os.path.join(self.state, "control.db")) as db:
            kek_id, kek_version, wrapped_kek, volume_id, dek_version, wrapped_dek = db.execute(
                "SELECT k.id, k.version, k.wrapped, v.id, v.dek_version, v.wrapped_dek FROM volumes v JOIN keks k ON k.id = v.kek_id").fetchone()
        db.close()
        wrapping = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"outboard root wrap v1").derive(root)
        kek_name = kek_id + struct.pack("<I", kek_version)
        kek = AESGCM(wrapping).decrypt(wrapped_kek[4:16], wrapped_kek[16:], b"outboard kek v1\0" + kek_name + wrapped_kek[:4])
        data = b"outboard dek v1\0" + volume_id + struct.pack("<I", dek_version) + kek_name + wrapped_dek[:4]
        self.assertEqual(AESGCM(kek).decrypt(wrapped_dek[4:16], wrapped_dek[16:], data), dek)
        self.start()
        self.wait_for("the volume", lambda: self.state_of("d") == "waiting")
        return [root, wrapping, kek]

    def look(self, needles):
        found, searched = search_processes(needles)
        ours = {self.chassis.pid, *descendants(self.chassis.pid)}
        self.assertLessEqual(ours, searched, "all of ours were looked into")
        return found + search_files(self.folder, needles)

    def test_keys_are_nowhere(self):
        path = self.make("d", "--encrypted")
        exported = os.path.join(self.folder, "key")
        self.call("key", "export", "d", "--out", exported)
        with open(exported, "rb") as f:
            key = f.read()
        self.assertIn(f"file {exported}", self.look(self.needles(key)), "the search finds a key in a file")
        os.unlink(exported)
        planted = subprocess.Popen(["sleep", "600"], env={"KEY": "x" * 100 + key[:32].hex()})
        self.addCleanup(planted.wait)
        self.addCleanup(planted.kill)
        self.assertIn(f"process {planted.pid} (sleep)", search_processes([key[:32].hex().encode()])[0], "and in a process")
        planted.kill()
        planted.wait()
        root, *above = self.keys_above(key)
        load = self.load(path)
        self.volume("made", "--encrypted")  # the vault has just worked with all of them
        self.assertEqual(self.look([n for k in (key, *above) for n in self.needles(k)]), [])
        self.assertEqual(search_processes(self.needles(root))[0], [], "its file is the only place of the root key")
        self.assertEqual(self.look([key.hex().encode()[i:i + 32] for i in range(0, 128, 32)]), [], "nor in hexadecimal")
        for name in ("card", "vault"):
            os.kill(self.children()[name], signal.SIGSEGV)
            self.wait_for("health", self.healthy)
        load.kill()
        self.assertEqual([n for n in os.listdir(self.folder) if "core" in n], [], "they dump no core")
        self.assertEqual(search_files(self.folder, self.needles(key)), [])

    def load(self, path):
        load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", path, "--rw", "mixed", "--seconds", "300"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)
        self.wait_for("the VMM", lambda: self.state_of("d") == "connected")
        return load


class Api(Running):
    """Callers without manners, and parts that hang: an answer or a clear error, never silence."""

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.api)
        s.settimeout(PATIENCE_S)
        self.addCleanup(s.close)
        return s

    def at_once(self, count, *arguments):
        """The outcomes of as many commands side by side."""
        started = [subprocess.Popen([tap.build("outboard"), "--json", *arguments], env=self.environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True) for _ in range(count)]
        outcomes = set()
        for process in started:
            try:
                outcomes.add(process.communicate(timeout=PATIENCE_S)[0])
            finally:
                process.kill()
        return outcomes

    def test_many_at_once(self):
        self.assertEqual(len(self.at_once(150, "status")), 1)
        outcomes = [json.loads(o) for o in self.at_once(30, "volume", "create", "same", "--size", "1M", "--backend", "null")]
        self.assertEqual(len([o for o in outcomes if "id" in o]), 1, "one volume, and the same for all")
        self.assertLessEqual({o["error"]["code"] for o in outcomes if "id" not in o}, {"volume_busy"})

    def test_clients_that_say_nothing_or_little(self):
        silent = [self.connect() for _ in range(300)]
        for s in silent[::3]:
            s.sendall(b"GET /hea")
        for s in silent[1::3]:
            s.sendall(b"POST /v1/volumes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        self.assertTrue(self.healthy())
        self.assertEqual(len(self.at_once(20, "volume", "list")), 1)
        for s in silent:
            s.close()
        self.assertTrue(self.healthy())

    def test_a_full_house_that_leaves_at_once(self):
        """The API must begin to listen again: nobody else comes to wake it."""
        crowd = [self.connect() for _ in range(256)]
        later = self.connect()
        later.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        for s in crowd:
            s.close()
        self.assertIn(b"200 OK", later.recv(4096))

    def test_pipelined_requests(self):
        s = self.connect()
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with s.makefile("rb") as f:
            self.assertEqual(f.read().count(b"HTTP/1.1 200"), 51)

    def test_large_bodies(self):
        for size in (2 * MIB, 64 * MIB):
            s = self.connect()
            s.sendall(f"POST /v1/volumes HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            try:
                for _ in range(size // MIB):
                    s.sendall(b" " * MIB)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                self.assertIn(b"413", s.recv(4096))
            except ConnectionResetError:
                pass  # it hung up before the answer was read: the client was still talking
            self.assertTrue(self.healthy())

    def test_a_vault_that_hangs(self):
        self.make("d", "--encrypted")
        pid = self.freeze("vault")
        outcomes = self.at_once(150, "status")  # one after the other they would wait for minutes
        self.assertEqual({re.search('"vault":"(\\w+)"', o)[1] for o in outcomes}, {"down"})
        waiting = [threading.Thread(target=self.refused, args=("vault_unavailable", "volume", "create", f"v{i}", "--size", "1M", "--encrypted"))
                   for i in range(20)]
        for thread in waiting:
            thread.start()
        self.assertEqual(self.call("status")["vault"], "down")
        for thread in waiting:
            thread.join()
        self.assertEqual(len(self.call("volume", "list")["volumes"]), 1)
        self.call("volume", "detach", "d")
        self.assertIn('"d"', self.refused("vault_unavailable", "volume", "attach", "d"))
        self.thaw(pid)
        self.check_clean(self.attach("d"))

    def test_a_card_that_hangs(self):
        self.volume("d")
        pid = self.freeze("card")
        self.refused("card_timeout", "volume", "attach", "d")
        self.wait_for("it to be noticed", lambda: self.call("status")["card"] == "down")
        self.assertEqual([v["name"] for v in self.call("volume", "list")["volumes"]], ["d"])
        for command in (("volume", "create", "e", "--size", "1M"), ("top",)):
            self.refused("card_unavailable", *command)
        self.thaw(pid)
        self.wait_for("health", self.healthy)
        self.wait_for("what was begun to be undone", lambda: self.show("d")["attachment"] is None)
        self.check_clean(self.attach("d"))

    def test_an_api_that_hangs(self):
        pid = self.freeze("control")
        message = self.refused("timeout", "--timeout", "1", "status")
        self.assertIn("did not answer within 1 s", message)
        crowd = []
        while len(crowd) < 1000:  # until its queue is full
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.setblocking(False)
            try:
                s.connect(self.api)
            except BlockingIOError:
                break
            crowd.append(s)
        self.refused("timeout", "--timeout", "1", "status")
        self.thaw(pid)
        self.assertTrue(self.healthy())


if __name__ == "__main__":
    tap.main()
