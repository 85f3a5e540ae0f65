#!/usr/bin/python3
"""The load client and the nbdkit plugin against qemu-storage-daemon: a vhost-user-blk back end that is not ours."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
from card import PATIENCE_S, bench

SIZE_BYTES = 16 << 20


class Qsd:
    """qemu-storage-daemon that exports a raw file as `socket`."""

    def __init__(self, folder, writable=True, size=SIZE_BYTES):
        self.socket, self.image, self.writable = os.path.join(folder, "qsd.sock"), os.path.join(folder, "image"), writable
        with open(self.image, "wb") as f:
            f.truncate(size)
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen([
            "qemu-storage-daemon", "--blockdev",
            f"driver=file,node-name=f,filename={self.image},discard=unmap,read-only={'off' if self.writable else 'on'}", "--export",
            f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={self.socket},num-queues=2,"
            f"writable={'on' if self.writable else 'off'}"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.socket):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError("qemu-storage-daemon does not serve")
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()


class PeerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-load-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def qsd(self, **arguments):
        peer = Qsd(self.folder, **arguments)
        self.addCleanup(peer.kill)
        return peer

    def clean(self, result):
        self.assertEqual((result["status"], result["errors"], result["mismatches"]), (0, 0, 0), result)
        self.assertGreater(result["requests"], 0)
        self.assertNotIn("error", result)


class LoadClient(PeerTest):
    def test_every_pattern_is_verified(self):
        peer = self.qsd()
        for more in (("--rw", "mixed"), ("--rw", "randwrite", "--queues", "2"), ("--rw", "randread", "--bs", "512"),
                     ("--rw", "read", "--bs", "64K", "--qd", "8"), ("--rw", "write", "--bs", "1M", "--qd", "4"),
                     ("--rw", "mixed", "--indirect", "--qd", "1"), ("--rw", "mixed", "--ring-size", "256", "--rate", "2000")):
            with self.subTest(more):
                result = bench(peer.socket, "--verify", "--seconds", "1", *more)
                self.clean(result)
                for a, b in zip(("p50", "p99", "p999"), ("p99", "p999", "max")):
                    self.assertLessEqual(result["latency_ns"][a], result["latency_ns"][b])

    def test_what_it_wrote_is_in_the_file(self):
        peer = self.qsd()
        self.clean(bench(peer.socket, "--verify", "--rw", "write", "--seconds", "1"))
        with open(peer.image, "rb") as f:
            for offset in range(0, SIZE_BYTES, 4096):
                block = f.read(4096)
                self.assertEqual(block[:8], b"OBOBBLK1")
                self.assertEqual(int.from_bytes(block[16:24], "little"), offset)

    def test_nothing_is_lost_when_it_is_killed(self):
        peer = self.qsd()
        load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", peer.socket, "--json", "--rw", "mixed", "--verify",
                                 "--seconds", "4", "--reconnect", str(PATIENCE_S)], stdout=subprocess.PIPE, text=True)
        self.addCleanup(load.kill)
        for _ in range(3):
            time.sleep(0.8)
            peer.kill()
            peer.start()
        result = {**json.loads(load.communicate(timeout=PATIENCE_S)[0]), "status": load.returncode}
        self.clean(result)
        self.assertGreaterEqual(result["reconnects"], 1)
        self.assertLessEqual(result["reconnects"], 3)

    def test_killed_for_good(self):
        peer = self.qsd()
        load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", peer.socket, "--json", "--seconds", "30"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(load.kill)
        time.sleep(0.5)
        peer.kill()
        result = json.loads(load.communicate(timeout=PATIENCE_S)[0])
        self.assertEqual(load.returncode, 1)
        self.assertIn("closed the connection", result["error"]["message"])

    def test_interrupt_reports_what_there_is(self):
        peer = self.qsd()
        load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", peer.socket, "--seconds", "60"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(load.kill)
        load.stdout.readline()  # the header: it has started
        load.send_signal(signal.SIGINT)
        text = load.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(load.returncode, 1)
        self.assertIn("IOPS", text)

    def refused(self, says, socket, *arguments):
        result = bench(socket, "--seconds", "1", *arguments)
        self.assertEqual(result["status"], 1)
        self.assertIn(says, result["error"]["message"])

    def test_refusals_say_what_to_do(self):
        peer = self.qsd()
        self.refused("leave --packed out", peer.socket, "--packed")
        self.refused("smaller --queues", peer.socket, "--queues", "3")
        self.refused("smaller --region", peer.socket, "--region", "1G")
        self.refused("--qd", peer.socket, "--qd", "1000")
        self.refused("attach a volume first", self.path("none.sock"))
        peer.kill()
        self.refused("is the back end running", peer.socket)

    def test_read_only_device(self):
        peer = self.qsd(writable=False)
        self.clean(bench(peer.socket, "--seconds", "1"))
        self.refused("read-only", peer.socket, "--rw", "write")
        self.refused("read-only", peer.socket, "--verify")

    def test_device_smaller_than_a_request(self):
        self.refused("smaller --bs", self.qsd(size=4096).socket, "--bs", "1M")

    def test_options_that_make_no_sense(self):
        for arguments, says in ((("--qd", "0"), "from 1 to"), (("--bs", "1000"), "multiple of 512"), (("--rw", "sideways"), "randread"),
                                (("--seconds", "soon"), "number"), (("stray",), "every option has a name"),
                                (("--region", "512", "--bs", "4K"), "smaller than one request"), (("--nonsense",), "no such option"),
                                (("--qd",), "a value is missing")):
            with self.subTest(arguments):
                done = subprocess.run([tap.build("outboard"), "bench", "blk", "--socket", "x", *arguments], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)
                done = subprocess.run([tap.build("outboard"), "bench", "blk", "--socket", "x", "--json", *arguments], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
                self.assertEqual((done.returncode, done.stderr), (2, ""))
                error = json.loads(done.stdout)["error"]
                self.assertEqual(error["code"], "usage")
                self.assertIn(says, error["message"])
        done = subprocess.run([tap.build("outboard"), "bench", "blk"], stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--socket", done.stderr)


class NbdkitPlugin(PeerTest):
    def nbdkit(self, peer, script, **files):
        done = subprocess.run(["nbdkit", "-U", "-", tap.build("nbdkit-outboard-plugin.so"), f"vhost={peer.socket}", "--run", script],
                              env={**os.environ, **files}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=PATIENCE_S)
        return done.returncode, done.stdout

    def test_copy_in_and_out(self):
        peer = self.qsd()
        with open(self.path("in"), "wb") as f:
            f.write(os.urandom(SIZE_BYTES))
        status, text = self.nbdkit(peer, 'nbdcopy --flush "$IN" "$uri" && nbdcopy "$uri" "$OUT" && '
                                   'qemu-img convert -f raw "$uri" -O raw "$OUT2"',
                                   IN=self.path("in"), OUT=self.path("out"), OUT2=self.path("out2"))
        self.assertEqual(status, 0, text)
        with open(self.path("in"), "rb") as f:
            expected = f.read()
        for name in ("out", "out2", "image"):
            with open(self.path(name), "rb") as f:
                self.assertEqual(f.read(), expected, name)

    def test_flush_fua_zero_trim(self):
        peer = self.qsd()
        status, text = self.nbdkit(peer, 'qemu-io -f raw "$uri" -c "write -P 7 0 4M" -c "write -f -P 5 4096 8192" -c "write -z 1M 1M" '
                                   '-c "write -z -u 2M 1M" -c "discard 3M 512K" -c flush -c "read -P 5 4096 8192" '
                                   '-c "read -P 0 1M 2M" -c "read -P 7 3584K 512K"')
        self.assertEqual(status, 0, text)
        self.assertNotIn("Pattern verification failed", text)
        with open(peer.image, "rb") as f:
            data = f.read(4 << 20)
        self.assertEqual(data[4096:12288], b"\5" * 8192)
        self.assertEqual(data[1 << 20:3 << 20], bytes(2 << 20))
        self.assertEqual(data[:4096], b"\7" * 4096)

    def test_read_only(self):
        peer = self.qsd(writable=False)
        status, text = self.nbdkit(peer, 'nbdinfo "$uri"')
        self.assertEqual(status, 0, text)
        self.assertIn("is_read_only: true", text)

    def test_no_device(self):
        peer = self.qsd()
        peer.kill()
        status, text = self.nbdkit(peer, "true")
        self.assertNotEqual(status, 0)
        self.assertIn("is the back end running", text)

    def test_device_dies(self):
        peer = self.qsd()
        status, text = self.nbdkit(peer, f'qemu-io -f raw "$uri" -c "read 0 4096" && kill -9 {peer.process.pid} && '
                                   'qemu-io -f raw "$uri" -c "read 0 4096"')
        self.assertNotEqual(status, 0)
        self.assertIn("start nbdkit again", text)


if __name__ == "__main__":
    tap.main()
