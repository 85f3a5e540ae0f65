#!/usr/bin/python3
"""The card process, told what to do as control would: attach, detach, disconnect, reconnect, grow, stop, and nonsense."""
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
import vhost_user
from card import PATIENCE_S, Card, Refused, bench, volume

VERIFY = ("--rw", "mixed", "--verify", "--seconds", "1")


class CardTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-card-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.card = Card(self.path("card.log"))
        self.addCleanup(self.card.kill)

    def path(self, name):
        return os.path.join(self.folder, name)

    def connect(self, path):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(PATIENCE_S)
        s.connect(path)
        self.addCleanup(s.close)
        return s

    def refused(self, code, op, **fields):
        with self.assertRaises(Refused) as caught:
            self.card.call(op, **fields)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        return caught.exception.message


class Devices(CardTest):
    def test_memory_volume_holds_what_was_written(self):
        s = self.card.attach(volume("m"), self.path("m.sock"), queues=4)
        for more in ((), ("--packed",), ("--queues", "4"), ("--indirect",)):
            result = bench(s, *VERIFY, *more)
            self.assertEqual((result["status"], result["errors"]), (0, 0), result)

    def test_file_volume_holds_what_was_written(self):
        v = volume("f", "file", path=self.path("f.img"))
        s = self.card.attach(v, self.path("f.sock"), queues=2)
        result = bench(s, *VERIFY, "--queues", "2")
        self.assertEqual((result["status"], result["errors"]), (0, 0), result)
        self.assertEqual(os.stat(v["path"]).st_size, v["size_bytes"])
        self.assertEqual(stat.S_IMODE(os.stat(v["path"]).st_mode), 0o600)

    def test_attach_twice_is_attach_once(self):
        v = volume("m")
        s = self.card.attach(v, self.path("m.sock"))
        self.assertEqual(self.card.call("attach", volume=v, socket=s)["socket"], s)
        self.assertEqual(len(self.card.call("stats", all=True)["devices"]), 1)

    def test_attach_elsewhere_is_a_conflict(self):
        v = volume("m")
        s = self.card.attach(v, self.path("m.sock"))
        self.assertIn(s, self.refused("conflict", "attach", volume=v, socket=self.path("other.sock")))

    def test_detach_removes_the_socket_and_is_idempotent(self):
        v = volume("m")
        s = self.card.attach(v, self.path("m.sock"))
        for _ in range(2):
            self.card.call("detach", volume_id=v["id"])
            self.assertFalse(os.path.exists(s))

    def test_detach_in_the_middle_of_io_closes_the_connection(self):
        v = volume("f", "file", path=self.path("f.img"))
        s = self.card.attach(v, self.path("f.sock"))
        load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", s, "--seconds", "30", "--json"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.card.wait_event("device", volume_id=v["id"], state="connected")
        time.sleep(0.3)
        self.card.call("detach", volume_id=v["id"])
        self.assertNotEqual(load.wait(PATIENCE_S), 0)
        self.assertEqual(self.card.call("stats", all=True)["devices"], [])
        self.assertEqual(self.card.call("stats")["pollers"][0]["queues"], 0)

    def test_a_vmm_that_is_killed_and_one_that_comes_after(self):
        v = volume("f", "file", path=self.path("f.img"))
        s = self.card.attach(v, self.path("f.sock"))
        for _ in range(5):
            load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", s, "--seconds", "30", "--rw", "randwrite"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.card.wait_event("device", state="connected")
            time.sleep(0.1)
            load.kill()
            load.wait()
            self.card.wait_event("device", state="waiting")
        self.assertEqual(bench(s, *VERIFY)["status"], 0)
        self.assertEqual(self.card.device("f")["connects"], 6)

    def test_nothing_is_leaked_by_connections(self):
        s = self.card.attach(volume("m"), self.path("m.sock"))
        descriptors = f"/proc/{self.card.process.pid}/fd"

        def cycle():
            bench(s, "--seconds", "1", "--rate", "1000")
            self.card.wait_event("device", state="waiting")
        cycle()
        first = len(os.listdir(descriptors))
        for _ in range(3):
            self.connect(s).close()
        cycle()
        end = time.monotonic() + PATIENCE_S
        while len(os.listdir(descriptors)) > first:  # the kernel closes them in its own time
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_a_second_vmm_is_turned_away_and_the_first_unharmed(self):
        s = self.card.attach(volume("m"), self.path("m.sock"))
        first = self.connect(s)
        self.card.wait_event("device", state="connected")
        self.assertEqual(self.connect(s).recv(1), b"")
        first.close()
        self.card.wait_event("device", state="waiting")
        self.assertEqual(bench(s, *VERIFY)["status"], 0)

    def test_socket_permissions_are_as_asked(self):
        s = self.card.attach(volume("m"), self.path("m.sock"), uid=12345, gid=23456, mode=0o660)
        st = os.stat(s)
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (12345, 23456, 0o660))
        self.card.kill()
        self.card = Card(self.path("card.log"))  # the socket it left belongs to somebody else, and is replaced all the same
        self.addCleanup(self.card.kill)
        self.card.attach(volume("m"), s)
        s = self.card.attach(volume("n"), self.path("n.sock"))
        self.assertEqual(stat.S_IMODE(os.stat(s).st_mode), 0o600)

    def test_memory_is_there_before_the_guest_touches_it(self):
        self.card.attach(volume("m", size=96 << 20), self.path("m.sock"))

        def resident_bytes():
            with open(f"/proc/{self.card.process.pid}/smaps") as f:
                maps = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", f.read())
            return sum(int(kib) * 1024 for m in maps if "outboard-volume" in m
                       for kib in re.findall(r"^(?:Rss|Shared_Hugetlb|Private_Hugetlb): +(\d+) kB", m, re.MULTILINE))
        end = time.monotonic() + PATIENCE_S
        while resident_bytes() < 96 << 20:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_more_memory_than_the_host_has_is_refused(self):
        self.assertIn("smaller size", self.refused("no_space", "storage_create", volume=volume("m", size=1 << 50)))

    def test_a_read_only_volume_refuses_writes_and_is_unchanged(self):
        v = volume("f", "file", path=self.path("f.img"))
        s = self.card.attach(v, self.path("f.sock"))
        self.card.call("detach", volume_id=v["id"])
        v["read_only"] = True
        self.card.call("attach", volume=v, socket=s)
        self.assertEqual(bench(s, "--rw", "randread", "--seconds", "1")["status"], 0)
        refused = subprocess.run([tap.build("outboard"), "bench", "blk", "--socket", s, "--rw", "randwrite"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("read-only", refused.stdout)
        with open(v["path"], "rb") as f:
            self.assertEqual(f.read().strip(b"\0"), b"")

    def test_growth_reaches_a_connected_device_and_the_file(self):
        for v in (volume("f", "file", path=self.path("f.img")), volume("m")):
            s = self.card.attach(v, self.path(v["name"] + ".sock"))
            load = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", s, "--seconds", "2", *VERIFY[:3]],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.card.wait_event("device", volume_id=v["id"], state="connected")
            self.card.call("resize", volume_id=v["id"], volume=v, size_bytes=v["size_bytes"] * 2)
            self.assertEqual(load.wait(PATIENCE_S), 0)
            self.assertEqual(bench(s, *VERIFY, "--region", str(v["size_bytes"] * 2))["status"], 0)
            self.refused("bad_request", "resize", volume_id=v["id"], volume=v, size_bytes=4096)
        self.assertEqual(os.stat(self.path("f.img")).st_size, 128 << 20)

    def test_a_rate_is_kept_and_can_be_changed_while_busy(self):
        v = volume("m", iops=2000)
        s = self.card.attach(v, self.path("m.sock"))
        slow = bench(s, "--rw", "randread", "--qd", "16", "--seconds", "2")
        self.assertLess(slow["iops"], 2000 * 1.6)  # what the bucket holds at the start comes on top
        self.card.call("rate", volume_id=v["id"], iops=0, throughput_bytes=0, burst=False)
        self.assertGreater(bench(s, "--rw", "randread", "--qd", "16", "--seconds", "1")["iops"], slow["iops"])

    def test_sleeping_queues_cost_nothing_and_wake(self):
        s = self.card.attach(volume("m"), self.path("m.sock"))
        result = bench(s, "--qd", "1", "--rate", "200", "--seconds", "1")
        self.assertEqual(result["status"], 0)
        self.assertGreater(self.card.device("m")["queues"][0]["stages"][0]["departures"], 50)
        self.assertGreater(self.card.call("stats")["pollers"][0]["sleeps"], 10)


class Hostile(CardTest):
    def test_a_vmm_that_leaves_in_the_middle_of_giant_requests_is_let_in_again(self):
        """What was begun is served to its end, piece by piece, though nothing else keeps the poller awake."""
        s = self.card.attach(volume("m"), self.path("m.sock"))
        for _ in range(10):
            giant = subprocess.Popen([tap.build("test/hostile/hostile_blk"), "--socket", s, "--mode", "giant", "--seconds", "30"],
                                     stdout=subprocess.DEVNULL)
            self.card.wait_event("device", state="connected")
            time.sleep(0.1)
            giant.kill()
            giant.wait()
            self.card.wait_event("device", state="waiting")
        self.assertEqual(bench(s, *VERIFY)["status"], 0)

    def test_vmms_that_vanish_at_once_again_and_again(self):
        """Also before the poller has taken their queues in, and with the next one waiting already."""
        v = volume("m")
        s = self.card.attach(v, self.path("m.sock"), queues=4)
        for _ in range(40):
            subprocess.run([tap.build("test/hostile/hostile_blk"), "--socket", s, "--mode", "vanish"], stdout=subprocess.DEVNULL,
                           timeout=PATIENCE_S)
        self.assertIsNone(self.card.process.poll(), self.card.log())
        self.assertEqual(bench(s, *VERIFY)["status"], 0)

    def test_a_vmm_that_makes_the_call_block_is_cut_off_and_its_neighbour_lives(self):
        bad, good = volume("bad"), volume("good")
        s = self.card.attach(bad, self.path("bad.sock"))
        neighbour = subprocess.Popen([tap.build("outboard"), "bench", "blk", "--socket", self.card.attach(good, self.path("good.sock")),
                                      "--rw", "mixed", "--verify", "--seconds", "3"], stdout=subprocess.DEVNULL)
        self.card.wait_event("device", volume_id=good["id"], state="connected")
        done = subprocess.run([tap.build("test/hostile/hostile_blk"), "--socket", s, "--mode", "full-call", "--seconds", "30"],
                              stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        self.assertIn("connection closed", done.stdout)
        self.assertEqual(neighbour.wait(PATIENCE_S), 0)
        self.assertIn("cut off", self.card.log())
        self.assertEqual(self.connect(s).recv(1), b"")  # not again
        self.card.call("detach", volume_id=bad["id"])
        self.card.call("attach", volume=bad, socket=s)
        self.assertEqual(bench(s, *VERIFY)["status"], 0)


    def test_a_vmm_that_connects_for_ever_does_not_fill_the_log(self):
        s = self.card.attach(volume("m"), self.path("m.sock"))
        end = time.monotonic() + 3
        tries = 0
        while time.monotonic() < end:
            vmm = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            vmm.setblocking(False)
            try:
                vmm.connect(s)
                tries += 1
            except BlockingIOError:  # its backlog is full
                time.sleep(0.001)
            vmm.close()
        self.assertLessEqual(self.card.device("m")["connects"], 20 * 5)
        self.assertGreater(tries, self.card.device("m")["connects"])
        self.assertEqual(bench(s, *VERIFY)["status"], 0)

    def test_a_vmm_that_asks_for_the_impossible_for_ever_is_cut_off(self):
        disk = vhost_user.Disk(self.card.attach(volume("m"), self.path("m.sock")))
        self.addCleanup(disk.close)
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                disk.send(vhost_user.SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, 1, 4096, 1, 0), [disk.memory_fd],
                          flags=vhost_user.VERSION | vhost_user.NEED_REPLY)
                disk.receive()
        self.assertLess(len(self.card.log().splitlines()), 100)

    def lingering(self):
        """A socket whose last close(2) takes an hour: it has data to send that nobody reads."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            s = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
        self.addCleanup(peer.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        s.setblocking(False)
        try:
            while True:
                s.send(bytes(1 << 16))
        except BlockingIOError:
            return s

    def test_descriptors_that_are_slow_to_close_hold_nobody_up(self):
        """Refused ones, those beyond what a message may have, and those that nobody ever read."""
        s = self.card.attach(volume("m"), self.path("m.sock"))
        no_eventfd = struct.pack("=IIIQ", vhost_user.SET_VRING_CALL, vhost_user.VERSION, 8, 0)
        not_spoken = struct.pack("=III", 99, vhost_user.VERSION, 0)
        for before, message, count in ((b"", no_eventfd, 1), (b"", not_spoken, 20), (not_spoken, no_eventfd, 1)):
            slow = [self.lingering() for _ in range(count)]
            self.card.process.send_signal(signal.SIGSTOP)  # until all is sent and the descriptors are its only
            vmm = self.connect(s)
            vmm.send(before)
            socket.send_fds(vmm, [message], [each.fileno() for each in slow])
            for each in slow:
                each.close()
            self.card.process.send_signal(signal.SIGCONT)
            self.card.wait_event("device", state="waiting")
            self.card.call("hello")

    def test_a_vmm_that_makes_the_error_signal_block_is_cut_off(self):
        bad = volume("bad")
        disk = vhost_user.Disk(self.card.attach(bad, self.path("bad.sock")))
        self.addCleanup(disk.close)
        full = os.eventfd(0)
        self.addCleanup(os.close, full)
        disk.send(vhost_user.SET_VRING_ERR, struct.pack("=Q", 0), [full])
        self.assertTrue(disk.alive())
        fcntl.fcntl(full, fcntl.F_SETFL, fcntl.fcntl(full, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        os.eventfd_write(full, 0xfffffffffffffffe)
        struct.pack_into("=H", disk.memory, disk.AVAIL + 2, 1000)  # breaks the rules of the ring
        os.eventfd_write(disk.kick, 1)
        self.card.wait_event("device", volume_id=bad["id"], state="waiting")
        self.assertIn("cut off", self.card.log())
        self.assertEqual(bench(self.card.attach(volume("good"), self.path("good.sock")), *VERIFY)["status"], 0)

    def test_a_guest_is_called_when_its_queue_is_served_again(self):
        """Its last completion may have become visible without a call: to one with nothing else in flight that is a hang."""
        disk = vhost_user.Disk(self.card.attach(volume("m"), self.path("m.sock")))
        self.addCleanup(disk.close)
        self.assertEqual(disk.write(0, b"x" * 4096), vhost_user.S_OK)
        while select.select([disk.interrupt], [], [], 0.1)[0]:
            os.eventfd_read(disk.interrupt)
        disk.ask(vhost_user.GET_VRING_BASE, struct.pack("=II", 0, 0))
        disk.send(vhost_user.SET_VRING_CALL, struct.pack("=Q", 0), [disk.interrupt])
        disk.send(vhost_user.SET_VRING_KICK, struct.pack("=Q", 0), [disk.kick])
        self.assertTrue(select.select([disk.interrupt], [], [], PATIENCE_S)[0])


class Stats(CardTest):
    def test_little_s_law_holds_for_every_stage(self):
        v = volume("f", "file", path=self.path("f.img"), iops=5000)
        s = self.card.attach(v, self.path("f.sock"))
        bench(s, "--rw", "mixed", "--qd", "32", "--seconds", "1")
        device = self.card.device("f")
        stages = device["stages"] + [stage for q in device["queues"] for stage in q["stages"]]
        self.assertEqual({stage["name"] for stage in stages}, {"ring", "device", "held", "backend"})
        for stage in stages:
            self.assertEqual(stage["arrivals"], stage["departures"], stage["name"])
            self.assertEqual(sum(n for _, n in stage["wait_histogram_ns"]), stage["departures"], stage["name"])
            if stage["name"] != "ring":  # its wait is an upper bound by definition
                self.assertAlmostEqual(stage["occupancy_ns"] / max(stage["wait_ns"], 1), 1, delta=0.02, msg=stage["name"])

    def test_devices_that_never_worked_are_left_out_unless_asked_for(self):
        self.card.attach(volume("m"), self.path("m.sock"))
        self.assertEqual(self.card.call("stats")["devices"], [])
        self.assertEqual(len(self.card.call("stats", all=True)["devices"]), 1)

    def test_a_long_reply_arrives_whole(self):
        for i in range(400):
            self.card.attach(volume(f"v{i}", "null"), self.path(f"v{i}.sock"))
        self.assertEqual(len(self.card.call("stats", all=True)["devices"]), 400)


class Commands(CardTest):
    def test_nonsense_is_answered(self):
        self.refused("bad_request", "dance")
        self.refused("bad_request", "attach")
        self.refused("bad_request", "attach", volume=volume("m"), socket="relative")
        self.refused("bad_request", "attach", volume=volume("m"), socket="/" + "x" * 200)
        self.refused("bad_request", "attach", volume=volume("m"), socket=self.path("s"), queues=0)
        self.refused("bad_request", "attach", volume=volume("m"), socket=self.path("s"), queues="two")
        self.refused("bad_request", "detach", volume_id="nobody")
        self.refused("bad_request", "resize", volume_id="x", size_bytes=1)
        self.assertEqual(self.card.call("hello")["incarnation"], self.card.hello["incarnation"])

    def test_not_json_is_survived(self):
        for data in (b"{", b"[]", b"\xff" * 100, b"{}" * 5):
            self.card.channel.send(data)
        self.assertEqual(self.card.call("hello")["pid"], self.card.process.pid)

    def test_storage_errors_say_what_and_where(self):
        v = volume("f", "file", path=self.path("f.img"))
        self.card.call("storage_create", volume=v)
        self.assertIn(v["path"], self.refused("exists", "storage_create", volume=v))
        lost = volume("g", "file", path=self.path("no/such/folder.img"))
        self.assertIn("no/such", self.refused("not_found", "storage_create", volume=lost))
        self.assertIn("no/such", self.refused("not_found", "attach", volume=lost, socket=self.path("g.sock")))
        self.assertFalse(os.path.exists(self.path("g.sock")))

    def test_delete_while_attached_is_refused_and_twice_is_fine(self):
        v = volume("f", "file", path=self.path("f.img"))
        self.card.attach(v, self.path("f.sock"))
        self.refused("conflict", "storage_delete", volume=v)
        self.card.call("detach", volume_id=v["id"])
        self.card.call("storage_delete", volume=v)
        self.card.call("storage_delete", volume=v)
        self.assertFalse(os.path.exists(v["path"]))

    def test_an_encrypted_volume_without_a_vault_is_refused(self):
        v = volume("e", encryption={"dek_version": 1, "kek_id": volume("x")["id"], "kek_version": 1, "wrapped_kek": "00",
                                    "wrapped_dek": "00"})
        self.refused("vault_unavailable", "attach", volume=v, socket=self.path("e.sock"))
        self.assertEqual(self.card.call("stats", all=True)["devices"], [])

    def test_many_requests_at_once_are_all_answered(self):
        described = [volume(f"v{i}", "null") for i in range(300)]
        ids = [self.card.send("attach", volume=v, socket=self.path(v["name"])) for v in described]
        self.assertEqual({self.card.reply(i)["socket"] for i in ids}, {self.path(v["name"]) for v in described})


class End(CardTest):
    def test_sigterm_leaves_nothing(self):
        s = self.card.attach(volume("m"), self.path("m.sock"))
        connection = self.connect(s)
        self.assertEqual(self.card.stop(), 0)
        self.assertEqual(connection.recv(1), b"")
        self.assertEqual(os.listdir(self.folder), ["card.log"])

    def test_the_end_of_whoever_started_it_is_its_end(self):
        self.card.attach(volume("m"), self.path("m.sock"))
        self.card.channel.close()
        self.assertEqual(self.card.process.wait(PATIENCE_S), 0)
        self.assertEqual(os.listdir(self.folder), ["card.log"])

    def test_a_socket_left_by_a_killed_card_is_replaced(self):
        v = volume("f", "file", path=self.path("f.img"))
        s = self.card.attach(v, self.path("f.sock"))
        self.card.kill()
        self.assertTrue(os.path.exists(s))
        self.card = Card(self.path("card.log"))
        self.addCleanup(self.card.kill)
        self.card.call("attach", volume=v, socket=s)
        self.assertEqual(bench(s, *VERIFY)["status"], 0)

    def test_detach_removes_what_a_killed_card_left_and_nothing_else(self):
        v = volume("f", "file", path=self.path("f.img"))
        left = self.card.attach(v, self.path("f.sock"))
        self.card.kill()
        self.card = Card(self.path("card.log"))
        self.addCleanup(self.card.kill)
        served = socket.socket(socket.AF_UNIX)
        self.addCleanup(served.close)
        served.bind(self.path("served.sock"))
        served.listen()
        for path in (left, self.path("served.sock"), v["path"], self.path("nothing"), "relative", "/" + "x" * 200):
            self.card.call("detach", volume_id=v["id"], socket=path)
        self.assertEqual(sorted(os.listdir(self.folder)), ["card.log", "f.img", "served.sock"])


if __name__ == "__main__":
    tap.main()
