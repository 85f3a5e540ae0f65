#!/usr/bin/python3
"""ENIs under dpdk-testpmd's net_virtio_user: a vhost-user front end and a virtio driver that know nothing of ours.

It sends from one ENI to another one through the card's pipeline; what it counts is what the card counts.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import network
import outboard
import tap

GATEWAY_MAC = "0e:00:00:00:00:01"
PACKETS_MIN = 5000
RING_SLOTS = 256
EAL = ("--no-huge", "-m", "512", "--no-pci", "--iova-mode=va", "--no-telemetry", "--no-shconf", "--lcores", "0@0,1@0")


class Testpmd:
    """`ports`: devargs of net_virtio_user behind path=."""

    def __init__(self, folder, ports, *arguments):
        prefix = f"obt{os.getpid()}-{next(network.NUMBERS)}"
        self.log_path = os.path.join(folder, f"{prefix}.log")
        devices = [word for i, port in enumerate(ports) for word in ("--vdev", f"net_virtio_user{i},path={port}")]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(["dpdk-testpmd", *EAL, f"--file-prefix={prefix}", *devices, "--", "--no-numa", "--total-num-mbufs=16384", "--stats-period=3600",
                                             "--no-flush-rx", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

        def forwards():
            if self.process.poll() is not None:
                raise AssertionError(f"testpmd ended:\n{self.log()[-2000:]}")
            return "start packet forwarding" in self.log() or "packet forwarding -" in self.log()
        try:
            outboard.wait_for("testpmd to forward", forwards)
        except BaseException:
            self.kill()
            raise

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        """[{received, sent}] by port."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(outboard.PATIENCE_S)
        found = re.findall(r"Forward statistics for port \d+ .*?RX-packets: (\d+).*?TX-packets: (\d+)", self.log(), re.DOTALL)
        if not found:
            raise AssertionError(f"testpmd told no figures:\n{self.log()}")
        return [dict(zip(("received", "sent"), map(int, figures))) for figures in found]


class VirtioUser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-testpmd-", dir="/dev/shm")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.card = network.Card(cls.folder)
        cls.addClassCleanup(cls.card.stop)
        cls.card.load(**network.vpc(enis=[("a", 10, {}), ("b", 11, {})]))
        cls.sockets = [cls.card.attach_nic(name, queues=2) for name in ("a", "b")]

    def queue_packets(self, name, direction):
        return sum(q["packets"] for q in self.card.eni_stats(name)["queues"] if q["direction"] == direction)

    def run_pair(self, devargs, *arguments, queues=1):
        """a sends, b receives, in a process each: what they counted, and how much the card's counters grew."""
        common = (f"--rxq={queues}", f"--txq={queues}", "--auto-start", *arguments)
        before = {name: self.card.eni_stats(name) for name in ("a", "b")}
        devargs = f"queues={queues},{devargs}"
        receiver = Testpmd(self.folder, [f"{self.sockets[1]},{devargs},mac={self.card.eni('b')['mac']}"], "--forward-mode=rxonly", *common)
        self.addCleanup(receiver.kill)
        sender = Testpmd(self.folder, [f"{self.sockets[0]},{devargs},mac={self.card.eni('a')['mac']}"], "--forward-mode=txonly",
                         f"--eth-peer=0,{GATEWAY_MAC}", "--tx-ip=10.0.1.10,10.0.1.11", "--txpkts=64", *common)
        self.addCleanup(sender.kill)

        def grown(name, *path):
            now, old = self.card.eni_stats(name), before[name]
            for key in path:
                now, old = now.get(key, 0) if isinstance(now, dict) else now, old.get(key, 0) if isinstance(old, dict) else old
            return now - old
        def delivered():
            return grown("b", "in", "packets") - grown("b", "drops", "no_receive_buffer")
        outboard.wait_for("packets", lambda: delivered() >= PACKETS_MIN)
        old = {q["index"]: q["packets"] for q in before["a"]["queues"]}
        used = [q for q in self.card.eni_stats("a")["queues"] if q["direction"] == "transmit" and q["packets"] != old.get(q["index"], 0)]
        sent = sender.finish()[0]
        settled = None
        while settled != (settled := delivered()):  # the receiver has all that the card had
            time.sleep(0.2)
        received = receiver.finish()[0]
        drops = {reason for name in ("a", "b") for reason in self.card.eni_stats(name)["drops"] if grown(name, "drops", reason) > 0}
        return sent, received, {"out": grown("a", "out", "packets"), "in": grown("b", "in", "packets"), "delivered": delivered(),
                                "drops": drops - {"answered"}, "queues": len(used)}

    def check(self, devargs, *arguments, queues=1):
        sent, received, counted = self.run_pair(devargs, *arguments, queues=queues)
        print(f"# {devargs} {' '.join(arguments)}: sent {sent['sent']}, card {counted}, received {received['received']}")
        self.assertEqual(counted["out"], counted["in"])
        self.assertIn(sent["sent"] - counted["out"], range(RING_SLOTS * queues + 1), "what lay in its ring when the sender left")
        self.assertEqual(counted["delivered"], received["received"])
        self.assertGreaterEqual(received["received"], PACKETS_MIN)
        self.assertLessEqual(counted["drops"], {"no_receive_buffer"})
        self.assertEqual(counted["queues"], queues)

    def test_split(self):
        self.check("packed_vq=0")

    def test_packed(self):
        self.check("packed_vq=1")

    def test_split_without_mergeable_buffers(self):
        self.check("packed_vq=0,mrg_rxbuf=0")

    def test_packed_without_mergeable_buffers(self):
        self.check("packed_vq=1,mrg_rxbuf=0")

    def test_split_in_order(self):
        self.check("packed_vq=0,in_order=1,mrg_rxbuf=1")

    def test_packed_in_order(self):
        self.check("packed_vq=1,in_order=1,mrg_rxbuf=1")

    def test_vectorised(self):
        for kind in ("packed_vq=0,mrg_rxbuf=0,in_order=1,vectorized=1", "packed_vq=1,mrg_rxbuf=0,in_order=1,vectorized=1"):
            self.check(kind)

    def test_two_queues(self):
        for kind in ("packed_vq=0", "packed_vq=1"):
            self.check(kind, queues=2)

    def test_spoofed(self):
        """From an address that is not the ENI's: all of it is dropped, and b gets nothing."""
        before = self.card.eni_stats("b")["in"]["packets"]
        dropped = self.card.eni_stats("a")["drops"].get("spoofed_ip", 0)
        sender = Testpmd(self.folder, [f"{self.sockets[0]},queues=1,mac={self.card.eni('a')['mac']}"], "--forward-mode=txonly", "--auto-start",
                         f"--eth-peer=0,{GATEWAY_MAC}", "--tx-ip=10.0.1.99,10.0.1.11")
        self.addCleanup(sender.kill)
        outboard.wait_for("drops", lambda: self.card.eni_stats("a")["drops"].get("spoofed_ip", 0) > dropped + PACKETS_MIN)
        sender.finish()
        self.assertEqual(self.card.eni_stats("b")["in"]["packets"], before)

    def test_killed_and_back(self):
        """SIGKILL in the middle of sending; the next driver finds the ENI as new, the other one never noticed."""
        port = f"{self.sockets[0]},queues=1,packed_vq=1,mac={self.card.eni('a')['mac']}"
        for _ in range(3):
            sender = Testpmd(self.folder, [port], "--forward-mode=txonly", "--auto-start", f"--eth-peer=0,{GATEWAY_MAC}",
                             "--tx-ip=10.0.1.10,10.0.1.11")
            before = self.card.eni_stats("a")["out"]["packets"]
            outboard.wait_for("packets", lambda: self.card.eni_stats("a")["out"]["packets"] > before)
            sender.kill()
            self.card.wait_eni("a", "waiting")
        self.check("packed_vq=1")


if __name__ == "__main__":
    tap.main()
