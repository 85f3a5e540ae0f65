#!/usr/bin/python3
"""The whole of it, as a person uses it: `outboard run` with the real vault, card and control, and the outboard command."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import loop
import tap

PATIENCE_S = 120
MIB = 1 << 20


def decrypt(data, key, unit):
    """AES-256-XTS by another implementation: the tweak is the number of the data unit, little endian."""
    plain = bytearray()
    for number in range(len(data) // unit):
        cipher = Cipher(algorithms.AES(key), modes.XTS(number.to_bytes(16, "little")))
        plain += cipher.decryptor().update(data[number * unit:(number + 1) * unit])
    return bytes(plain)


class Whole(unittest.TestCase):
    config = ""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-whole-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = os.path.join(self.folder, "state")
        self.conf = os.path.join(self.folder, "outboard.conf")
        with open(self.conf, "w") as f:
            f.write(self.config)
        self.environment = {**os.environ, "OUTBOARD_API": os.path.join(self.state, "api.sock")}
        self.loads = []
        self.addCleanup(self.end_loads)
        self.chassis = None
        self.addCleanup(self.stop)
        self.start()

    def start(self):
        self.errors = os.path.join(self.folder, "log")
        with open(self.errors, "a") as log:
            self.chassis = subprocess.Popen([tap.build("outboard"), "run", "--state-dir", self.state, "--config", self.conf],
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.chassis.stdout.readline()
        self.assertEqual(line, f"outboard: ready, api {self.state}/api.sock\n", self.log())

    def stop(self, sig=signal.SIGTERM):
        if self.chassis is None:
            return
        children = self.children()
        self.chassis.send_signal(sig)
        self.chassis.wait(PATIENCE_S)
        self.chassis.stdout.close()
        self.chassis = None
        self.wait_for("the end of all processes", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children.values()))

    def end_loads(self):
        for load in self.loads:
            if load.poll() is None:
                load.kill()
            load.communicate()

    def log(self):
        with open(self.errors) as f:
            return f.read()

    def wait_for(self, what, condition):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"waited in vain for {what}; log:\n{self.log()}")

    def children(self):
        """{"vault": pid, ...}"""
        found = {}
        with open(f"/proc/{self.chassis.pid}/task/{self.chassis.pid}/children") as f:
            for pid in f.read().split():
                try:
                    with open(f"/proc/{pid}/cmdline") as c:
                        found[c.read().split("\0")[0].rpartition("outboard-")[2]] = int(pid)
                except FileNotFoundError:
                    pass
        return found

    def kill(self, name):
        """kill -9, and wait until its successor is at work."""
        old = self.children()[name]
        os.kill(old, signal.SIGKILL)
        self.wait_for(f"another {name}", lambda: self.children().get(name, old) != old)
        self.wait_for("health", lambda: self.call("status", check=False).get("status") == "ok")

    def call(self, *arguments, check=True, status=None, **more):
        done = subprocess.run([tap.build("outboard"), "--json", *arguments], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL, **more)
        if check or status is not None:
            self.assertEqual(done.returncode, status or 0, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()}")
        return json.loads(done.stdout)

    def volume(self, name, *arguments, size="32M"):
        return self.call("volume", "create", name, "--size", size, *arguments)

    def load(self, socket, *arguments, seconds=3):
        """The load client, checking every block, in the background."""
        command = [tap.build("outboard"), "bench", "blk", "--json", "--socket", socket, "--seconds", str(seconds), "--qd", "8", "--rw", "mixed",
                   "--verify", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.loads.append(process)
        self.wait_for("the load client to connect", lambda: process.poll() is not None or self.connected(socket))
        return process

    def connected(self, socket):
        volumes = self.call("volume", "list", check=False).get("volumes", [])
        return any(v["attachment"] and v["attachment"]["socket"] == socket and v["attachment"]["state"] == "connected" for v in volumes)

    def finished(self, load):
        out, errors = load.communicate(timeout=PATIENCE_S)
        self.assertEqual(load.returncode, 0, f"{out}{errors}\n{self.log()}")
        result = json.loads(out)
        self.assertEqual((result["errors"], result["mismatches"]), (0, 0))
        return result

    def image(self, name, size):
        path = os.path.join(self.folder, name)
        data = os.urandom(size)
        with open(path, "wb") as f:
            f.write(data)
        return path, data


class Disk(Whole):
    def test_an_encrypted_volume_opens_with_its_exported_key(self):
        for unit in (512, 4096):
            with self.subTest(unit=unit):
                name = f"disk{unit}"
                path, data = self.image("image", 2 * MIB)
                backing = self.volume(name, "--encrypted", "--block-size", str(unit), size="2M")["path"]
                self.call("volume", "import", name, path)
                key = os.path.join(self.folder, f"{name}.key")
                self.call("key", "export", name, "--out", key)
                with open(backing, "rb") as f:
                    stored = f.read()
                self.assertNotIn(data[:64], stored)
                with open(key, "rb") as f:
                    self.assertEqual(decrypt(stored, f.read(), unit), data)

    def test_images_there_and_back(self):
        path, data = self.image("image", 3 * MIB + 512)
        qcow2 = os.path.join(self.folder, "image.qcow2")
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", path, qcow2], check=True)
        self.call("volume", "import", "d", qcow2, "--create", "--encrypted", "--backend", "memory")
        self.assertEqual(self.call("volume", "show", "d")["size_bytes"], 3 * MIB + 4096)
        out = os.path.join(self.folder, "out")
        self.call("volume", "export", "d", out)
        with open(out, "rb") as f:
            self.assertEqual(f.read()[:len(data)], data)
        self.assertIsNone(self.call("volume", "show", "d")["attachment"])

    def test_host_tools_over_nbd(self):
        self.volume("d")
        uri = self.call("volume", "nbd", "d")["uri"]
        subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 0x5a 1M 64k", "-c", "flush", "-c", "read -P 0x5a 1M 64k", uri], check=True,
                       stdout=subprocess.DEVNULL)
        self.call("volume", "detach", "d")
        with open(self.call("volume", "show", "d")["path"], "rb") as f:
            f.seek(MIB)
            self.assertEqual(f.read(65536), b"\x5a" * 65536)

    def test_a_life(self):
        self.volume("d", "--iops", "5000", "--tags", "a=b")
        self.volume("d", "--iops", "5000", "--tags", "a=b")  # twice is once
        self.assertEqual(self.call("volume", "create", "d", "--size", "64M", status=1)["error"]["code"], "volume_exists")
        self.call("volume", "attach", "d")
        self.assertEqual(self.call("volume", "delete", "d", status=1)["error"]["code"], "volume_attached")
        self.assertEqual(self.call("volume", "resize", "d", "--size", "64M")["size_bytes"], 64 * MIB)
        self.assertIsNone(self.call("volume", "limit", "d", "--iops", "0")["iops"])
        self.call("volume", "detach", "d")
        backing = self.call("volume", "show", "d")["path"]
        self.assertTrue(os.path.exists(backing))
        self.call("volume", "delete", "d")
        self.assertFalse(os.path.exists(backing))

    def refused(self, code, *arguments):
        error = self.call(*arguments, status=1)["error"]
        self.assertEqual(error["code"], code)
        return error["message"]

    def device_volume(self, name, path, size="32M"):
        return ("volume", "create", name, "--size", size, "--path", path, "--encrypted")

    def test_a_life_on_a_block_device(self):
        under = os.path.join(self.folder, "under")
        node = loop.device(self, under, 64 * MIB)
        message = self.refused("no_space", *self.device_volume("d", node, "128M"))
        self.assertEqual(message, f'Cannot create volume "d": the device {node} has {64 * MIB} bytes, fewer than the {128 * MIB} asked for; '
                                  "choose a smaller size.")
        self.assertEqual(self.call("volume", "list")["volumes"], [])
        self.assertEqual(self.call(*self.device_volume("d", node))["path"], node)
        self.call(*self.device_volume("d", node))  # twice is once
        self.finished(self.load(self.call("volume", "attach", "d")["socket"], "--region", "1M", seconds=1))
        self.assertEqual(self.call("volume", "resize", "d", "--size", "64M")["size_bytes"], 64 * MIB)
        self.assertIn("grow the device", self.refused("no_space", "volume", "resize", "d", "--size", "65M"))
        self.call("volume", "detach", "d")
        self.assertIn("grow the device", self.refused("no_space", "volume", "resize", "d", "--size", "65M"))
        image, data = self.image("image", MIB)
        self.call("volume", "import", "d", image)
        self.call("volume", "delete", "d")
        self.assertTrue(loop.is_block_device(node))
        with open(under, "rb") as f:
            left = f.read()
        self.assertEqual(len(left), 64 * MIB)
        self.assertEqual(left[:MIB].count(0) < MIB // 16, True, "what was written is there, encrypted")
        self.assertNotIn(data[:64], left)

    def test_a_block_device_is_not_shared(self):
        node = loop.device(self, os.path.join(self.folder, "under"), 64 * MIB)
        alias = os.path.join(self.folder, "by-another-name")
        os.symlink(node, alias)
        holder = os.open(node, os.O_RDONLY | os.O_EXCL)  # as a mount does
        self.assertIn("it is mounted, or another process uses it", self.refused("storage_error", *self.device_volume("d", node)))
        os.close(holder)
        self.call(*self.device_volume("d", alias))
        self.assertIn('"d" lies in', self.refused("path_in_use", *self.device_volume("e", alias)))
        self.assertIn('"d" lies in', self.refused("path_in_use", *self.device_volume("e", node)))
        self.call("volume", "delete", "d")
        self.assertTrue(os.path.islink(alias))
        self.call(*self.device_volume("e", node))

    def test_top_sees_what_is_done(self):
        self.volume("d", "--backend", "memory")
        load = self.load(self.call("volume", "attach", "d")["socket"], seconds=4)
        stats = self.wait_for("work", lambda: (lambda s: s if s["devices"] and s["devices"][0]["queues"] else None)(self.call("top")))
        self.assertEqual(stats["devices"][0]["volume"], "d")
        self.assertEqual([s["name"] for s in stats["devices"][0]["queues"][0]["stages"]], ["ring", "device"])
        self.assertEqual(len(stats["pollers"]), 1)
        self.finished(load)


class Restart(Whole):
    def requests_in_an_interval(self):
        stats = self.call("top")
        return sum(queue["stages"][0]["rate_per_s"] * stats["interval_ns"] / 1e9 for d in stats["devices"] for queue in d["queues"])

    def test_a_memory_volume_outlives_the_card(self):
        self.volume("d", "--backend", "memory", "--encrypted")
        load = self.load(self.call("volume", "attach", "d")["socket"], "--reconnect", "60", "--region", "1M", seconds=10)
        self.wait_for("more requests than it takes to fill the region", lambda: self.requests_in_an_interval() > 2 * MIB // 4096)
        self.kill("card")
        self.assertGreaterEqual(self.finished(load)["reconnects"], 1)

    def test_io_goes_on_without_vault_and_control(self):
        self.volume("d", "--encrypted")
        load = self.load(self.call("volume", "attach", "d")["socket"], seconds=6)
        self.kill("vault")
        self.kill("control")
        self.assertEqual(self.finished(load)["reconnects"], 0)
        self.volume("another", "--encrypted")
        self.call("volume", "attach", "another")

    def test_everything_comes_back_after_kill_9_of_everything(self):
        self.volume("d", "--encrypted")
        socket = self.call("volume", "attach", "d")["socket"]
        self.finished(self.load(socket, seconds=1))
        self.stop(signal.SIGKILL)
        self.start()
        self.wait_for("the attachment", lambda: self.call("volume", "show", "d")["attachment"]["state"] == "waiting")
        self.finished(self.load(socket, seconds=1))

    def test_keys_rotate_under_a_volume_in_use(self):
        self.call("key", "create", "tenant")
        self.volume("d", "--encrypted", "--kek", "tenant")
        load = self.load(self.call("volume", "attach", "d")["socket"], seconds=4)
        self.assertEqual(self.call("key", "rotate", "tenant")["rewrapped"], 1)
        self.call("key", "create", "other")
        self.assertEqual(self.call("volume", "rewrap", "d", "--kek", "other")["kek"], "other")
        self.call("key", "delete", "tenant")
        self.finished(load)
        self.call("volume", "detach", "d")
        self.finished(self.load(self.call("volume", "attach", "d")["socket"], seconds=1))

    def test_a_stop_leaves_state_and_nothing_else(self):
        self.volume("d")
        self.call("volume", "attach", "d")
        self.stop()
        left = [os.path.join(folder, name) for folder, _, names in os.walk(self.state) for name in names]
        self.assertEqual([p for p in left if os.path.basename(p) in ("lock", "notify.sock", "api.sock") or "/sockets/" in p], [])


class Passphrase(Whole):
    config = "[vault]\nroot = passphrase\n"

    def unlock(self, passphrase, **more):
        path = os.path.join(self.folder, "passphrase")
        with open(path, "w") as f:
            f.write(passphrase)
        return self.call("key", "unlock", "--passphrase-file", path, **more)

    def test_locked_until_it_is_told(self):
        self.assertEqual(self.call("status")["vault"], "locked")
        self.assertEqual(self.call("volume", "create", "d", "--size", "8M", "--encrypted", status=1)["error"]["code"], "vault_locked")
        self.assertEqual(self.unlock("correct horse")["state"], "unlocked")
        self.volume("d", "--encrypted")
        self.call("volume", "attach", "d")
        self.stop()
        self.start()
        self.assertEqual(self.call("status")["vault"], "locked")
        self.assertEqual(self.unlock("wrong donkey", status=1)["error"]["code"], "wrong_passphrase")
        self.assertEqual(self.unlock("correct horse")["state"], "unlocked")
        self.wait_for("the attachment that waited", lambda: self.call("volume", "show", "d")["attachment"]["state"] == "waiting")


class NoExport(Whole):
    config = "[vault]\nexport = no\n"

    def test_no_key_leaves_the_vault(self):
        self.volume("d", "--encrypted")
        path = os.path.join(self.folder, "key")
        self.assertEqual(self.call("key", "export", "d", "--out", path, status=1)["error"]["code"], "export_forbidden")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    tap.main()
