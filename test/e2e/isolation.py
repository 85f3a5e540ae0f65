#!/usr/bin/python3
"""What one guest or VMM can do to the others on a running card: nothing. How fast the others stay is for bench/noisy to measure."""
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
import vhost_user
from running import MIB, PATIENCE_S, Neighbour, Running
from vhost_user import Disk, Front

BREAKS_RULES = ("bad-index", "loop", "truncate-memory")  # a ring that makes no sense; the rest is only excessive, or fails alone
STORMS = ("kick-storm", "giant")


class Guests(Running):
    """Each way in which test/hostile/hostile_blk misbehaves, beside a neighbour who checks every block."""

    def misbehave(self, path, mode, *more):
        return subprocess.Popen([tap.build("test/hostile/hostile_blk"), "--socket", path, "--mode", mode, "--seconds", "1", *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def check_misdeed(self, path, mode, *more):
        process = self.misbehave(path, mode, *more)
        reason = None
        if mode in BREAKS_RULES:  # told while that VMM is there
            reason = self.wait_for(f"a word about {mode}", lambda: self.get("/v1/attachments/hostile")["reason"])
        out, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0, errors)
        self.assertTrue(out.startswith("started\n"), out)
        self.wait_for(f"the VMM of {mode} to be gone", lambda: self.state_of("hostile") == "waiting")
        with self.disk(path) as disk:
            self.assertEqual(disk.write(0, b"\x77" * 4096), vhost_user.S_OK, mode)
            self.assertEqual(disk.read(0, 4096), (vhost_user.S_OK, b"\x77" * 4096), mode)
        return reason

    def check_modes(self, modes, *more):
        card = self.children()["card"]
        path = self.make("hostile", "--backend", "memory")
        neighbour = self.neighbour()
        for mode in modes:
            with self.subTest(mode=mode):
                before = self.log().count("broke the rules")
                reason = self.check_misdeed(path, mode, *more)
                self.assertEqual(self.log().count("broke the rules") > before, mode in BREAKS_RULES, self.log())
                if mode in BREAKS_RULES:
                    self.assertIn(reason, self.log())
        self.assertGreaterEqual(neighbour.stop(), 2)
        self.assertEqual(self.children()["card"], card, "the card was restarted")
        self.assertEqual(self.show("hostile")["health"]["state"], "ok", "a guest's faults are not the volume's")

    def test_split_rings(self):
        self.check_modes((*STORMS, "vanish", "out-of-region", *BREAKS_RULES))

    def test_packed_rings(self):
        self.check_modes(("out-of-region", *BREAKS_RULES), "--packed")

    def test_storms_on_a_file_beside_an_encrypted_neighbour(self):
        storms = [self.misbehave(self.make(mode), mode, "--packed") for mode in STORMS]
        neighbour = self.neighbour("neighbour", "--encrypted")
        for storm in storms:
            out, errors = storm.communicate(timeout=PATIENCE_S)
            self.assertEqual(storm.returncode, 0, errors)
        self.assertGreaterEqual(neighbour.stop(), 2)

    def test_a_vmm_that_vanishes_in_the_middle_of_io_again_and_again(self):
        path = self.make("d", "--encrypted")
        neighbour = self.neighbour()
        for _ in range(10):
            load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", path, "--rw", "randwrite", "--seconds", "60"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.wait_for("the VMM", lambda: self.state_of("d") == "connected")
            load.kill()
            load.wait()
            self.wait_for("its end", lambda: self.state_of("d") == "waiting")
        self.check_clean(path)
        neighbour.stop()

    def test_requests_that_no_disk_can_do(self):
        path = self.make("d", "--block-size", "4096")
        end = 16 * MIB
        with self.disk(path) as disk:
            self.assertEqual(disk.write(end - 4096, b"\x11" * 4096), vhost_user.S_OK)
            for what, offset, size in (("the end", end, 4096), ("across it", end - 4096, 8192), ("far beyond", 1 << 62, 4096),
                                       ("an odd sector", 512, 4096), ("half a block", 0, 512), ("half a sector", 0, 100)):
                self.assertEqual(disk.read(offset, size)[0], vhost_user.S_IOERR, what)
                self.assertEqual(disk.write(offset, b"\xee" * size), vhost_user.S_IOERR, what)
            self.assertEqual(disk.request(99, into=4096)[0], vhost_user.S_UNSUPP)
            self.assertEqual(disk.read(end - 4096, 4096), (vhost_user.S_OK, b"\x11" * 4096))
            self.assertEqual(disk.read(0, 8192), (vhost_user.S_OK, bytes(8192)))
        self.assertEqual(self.show("d")["health"]["state"], "ok")

    def test_a_read_only_disk(self):
        self.volume("d")
        path = self.attach("d", "--read-only")
        with self.disk(path) as disk:
            self.assertEqual(disk.write(0, b"\xee" * 4096), vhost_user.S_IOERR)
            for kind in (vhost_user.T_DISCARD, vhost_user.T_WRITE_ZEROES):
                self.assertNotEqual(disk.request(kind, out=struct.pack("=QII", 0, 8, 0))[0], vhost_user.S_OK)
            self.assertEqual(disk.read(0, 4096), (vhost_user.S_OK, bytes(4096)))
        with open(self.show("d")["path"], "rb") as f:
            self.assertEqual(f.read().strip(b"\0"), b"")


class Messages(Running):
    """Malformed vhost-user messages of every type and none, in every state of a connection, with descriptors of every kind."""
    SEED = 20240711
    NUMBERS = (0, 1, 2, 7, 8, 0xff, 0x100, 0x7fff, 0xffff, 1 << 20, 1 << 31, (1 << 32) - 1, Disk.GUEST, Disk.USER, 1 << 63, (1 << 64) - 1)
    SIZES = (0, 4, 8, 12, 16, 20, 24, 36, 40, 72, 264, 268, 1032)
    FLAGS = (vhost_user.VERSION,) * 6 + (0, 2, 5, 9, 9, 0xffffffff)

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.SEED)
        self.card = self.children()["card"]
        self.path = self.make("victim", "--backend", "memory")
        pair, pipe = socket.socketpair(), os.pipe()
        small, file = os.memfd_create("small"), tempfile.TemporaryFile()
        os.ftruncate(small, 100)
        self.keep = [*pair, file]
        self.fds = [pair[0].fileno(), *pipe, small, file.fileno(), os.eventfd(7), os.open("/dev/zero", os.O_RDWR)]
        self.addCleanup(self.close_fds, pipe, small)

    def close_fds(self, pipe, small):
        for fd in (*pipe, small, *self.fds[5:]):
            os.close(fd)
        for one in self.keep:
            one.close()

    def payload(self, size):
        words = b"".join(struct.pack("=Q", self.random.choice(self.NUMBERS)) for _ in range(size // 8 + 1))
        return words[:size] if self.random.random() < 0.7 else self.random.randbytes(size)

    def front(self, state):
        if state == "running":
            return Disk(self.path)
        front = Front(self.path)
        if state == "negotiated":
            features = struct.unpack("=Q", front.ask(vhost_user.GET_PROTOCOL_FEATURES))[0]
            front.send(vhost_user.SET_PROTOCOL_FEATURES, struct.pack("=Q", features))
            front.send(vhost_user.SET_FEATURES, struct.pack("=Q", vhost_user.F_VERSION_1 | vhost_user.F_PROTOCOL_FEATURES))
        return front

    def misspeak(self, state, request):
        """One or a few messages, then the end; returns when the card has read all and hung up."""
        front = self.front(state)
        try:
            for _ in range(self.random.choice((1, 1, 3))):
                payload = self.payload(self.random.choice(self.SIZES))
                lie = self.random.choice((None, None, None, 0, len(payload) + 1, 1 << 20, 0xffffffff))
                fds = self.random.choices(self.fds, k=self.random.choice((0, 0, 1, 1, 1, 2, 8, 33, 64)))
                front.send(request, payload, fds, self.random.choice(self.FLAGS), lie)
            front.socket.shutdown(socket.SHUT_WR)
            while True:
                data, received, _, _ = socket.recv_fds(front.socket, 4096, 8)
                for fd in received:
                    os.close(fd)
                if not data:
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up earlier: its right
        finally:
            front.close()

    def round(self):
        for request in (*range(vhost_user.REQUEST_LIMIT + 2), 0x7fffffff, 0xffffffff):
            for state in ("fresh", "negotiated", "running", "running"):
                self.misspeak(state, request)

    def at_rest(self):
        for name in ("victim", "neighbour"):
            self.wait_for("the last VMM to be gone", lambda n=name: self.state_of(n) == "waiting")
        return self.resources(self.card)

    def test_they_harm_nobody_and_leave_nothing(self):
        neighbour = self.neighbour()
        self.round()
        neighbour.stop()
        descriptors, memory = self.at_rest()
        neighbour = Neighbour(self.attach("neighbour"))
        self.addCleanup(neighbour.ending.set)
        for _ in range(2):
            self.round()
        self.assertGreaterEqual(neighbour.stop(), 2)
        after, memory_after = self.at_rest()
        self.assertEqual(after, descriptors, "descriptors of connections that are gone")
        self.assertLess(memory_after - memory, MIB, "memory of connections that are gone")
        self.assertEqual(self.children()["card"], self.card, self.log()[-4000:])
        self.check_clean(self.path)

    def test_a_refusal_says_what_and_of_whom(self):
        front = Front(self.path)
        front.send(vhost_user.SET_FEATURES, bytes(3))
        self.assertFalse(front.alive())
        front.close()
        self.assertIn("device victim: vhost-user: SET_FEATURES refused: payload of 3 bytes, not 8 to 8", self.log())

    def test_memory_that_does_not_fit_its_description(self):
        neighbour = self.neighbour()
        for guest, size, user, offset in ((0, 1 << 40, 0, 0), (0, 0, 0, 0), ((1 << 64) - 4096, 8192, 0, 0), (0, 4096, (1 << 64) - 1, 0),
                                          (0, 4096, 0, (1 << 64) - 4096), (0, Disk.BYTES + 4096, 0, 0), (0, 4096, 0, 4 * Disk.BYTES)):
            disk = Disk(self.path)
            disk.send(vhost_user.SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, guest, size, user, offset), [disk.memory_fd])
            disk.alive()  # refused, or taken as it is: either way nobody else notices
            disk.close()
        neighbour.stop()
        self.assertEqual(self.children()["card"], self.card)


if __name__ == "__main__":
    tap.main()
