#!/usr/bin/python3
"""The packet load client against dpdk-testpmd: a vhost-user-net back end that is not ours, and that counts for itself."""
import json
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
import tap

PATIENCE_S = 120  # for what must happen, on however slow a machine; nothing here is measured


class Testpmd:
    """Forwards between `count` vhost ports; their counters when it has ended."""

    def __init__(self, folder, count, mode, *arguments):
        self.sockets = [os.path.join(folder, f"port{i}.sock") for i in range(count)]
        self.log_path = os.path.join(folder, "testpmd.log")
        ports = [word for i, path in enumerate(self.sockets) for word in ("--vdev", f"net_vhost{i},iface={path},queues=2,tso=1")]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                ["dpdk-testpmd", "--no-huge", "-m", "512", "--no-pci", "--iova-mode=va", "--no-telemetry", "--no-shconf", "--lcores",
                 "0@0,1@0", f"--file-prefix=load{os.getpid()}", *ports, "--", f"--forward-mode={mode}", "--no-numa",
                 "--total-num-mbufs=16384", "--stats-period=3600", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + PATIENCE_S
        while "start packet forwarding" not in self.log():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"testpmd does not forward:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        """[{received, sent, dropped}] by port."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        found = re.findall(r"Forward statistics for port \d+ .*?RX-packets: (\d+).*?TX-packets: (\d+)\s+TX-dropped: (\d+)", self.log(),
                           re.DOTALL)
        if len(found) != len(self.sockets):
            raise AssertionError(f"testpmd told no figures:\n{self.log()}")
        return [dict(zip(("received", "sent", "dropped"), map(int, figures))) for figures in found]


def load(*arguments, **more):
    return subprocess.Popen([tap.build("outboard"), "bench", "net", "--json", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def result_of(process):
    out, errors = process.communicate(timeout=PATIENCE_S)
    try:
        return {**json.loads(out), "status": process.returncode}
    except ValueError:
        raise AssertionError(f"bench net printed no JSON (status {process.returncode}): {out!r} {errors!r}")


class NetLoad(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-net-load-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.folder)

    def peer(self, count, mode, *arguments):
        peer = Testpmd(tempfile.mkdtemp(dir=self.folder), count, mode, *(arguments or ("--rxq=2", "--txq=2")))
        self.addCleanup(peer.kill)
        return peer

    def bench(self, *arguments, status=0):
        result = result_of(load("--duration", "1", *arguments))
        self.assertEqual(result["status"], status, result)
        if status == 0:
            self.assertNotIn("error", result)
        return result

    def start(self, *arguments):
        process = load(*arguments)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    KINDS = ((), ("--packed",), ("--indirect",), ("--packed", "--indirect", "--csum"), ("--queues", "2", "--flows", "64"),
             ("--size", "imix", "--ring-size", "1024"), ("--rate", "1000", "--source-ip", "2001:db8::1"),
             ("--vlan", "7", "--new-flows", "1000", "--flows", "100", "--size", "100"))

    def test_everything_sent_is_received(self):
        for kind in self.KINDS:
            with self.subTest(kind):
                peer = self.peer(1, "rxonly")
                result = self.bench(peer.sockets[0], *kind)
                self.assertGreater(result["sent"], 0)
                self.assertEqual(result["received"], 0)
                self.assertIsNone(result["lost"])  # nothing came back: nobody knows
                self.assertEqual(peer.finish()[0]["received"], result["sent"])

    def test_everything_comes_back_or_was_dropped(self):
        for kind in self.KINDS:
            with self.subTest(kind):
                peer = self.peer(1, "io", "--port-topology=loop", "--rxq=2", "--txq=2")
                result = self.bench(peer.sockets[0], "--verify", *kind)
                direction, end = result["directions"][0], result["ends"][0]
                counted = peer.finish()[0]
                self.assertEqual(counted["received"], direction["sent"])
                self.assertEqual(result["lost"], counted["dropped"])
                self.assertEqual(direction["arrived"], counted["sent"])
                self.assertEqual((direction["duplicates"], direction["damaged"], end["bad_checksums"], end["others"]), (0, 0, 0, 0))

    def test_two_ends_both_ways(self):
        for kind in self.KINDS[1::2] + self.KINDS[-2:-1]:
            with self.subTest(kind):
                peer = self.peer(2, "mac")
                result = self.bench(*peer.sockets, "--both-ways", "--verify", "--latency", *kind)
                counted = peer.finish()
                for i in range(2):
                    direction, latency = result["directions"][i], result["directions"][i]["latency_ns"]
                    self.assertEqual(counted[i]["received"], direction["sent"])
                    self.assertEqual(counted[1 - i]["dropped"], direction["lost"])
                    self.assertEqual((direction["duplicates"], direction["damaged"]), (0, 0))
                    self.assertEqual(result["ends"][i]["bad_checksums"], 0)
                    for a, b in (("p50", "p99"), ("p99", "p999"), ("p999", "max")):
                        self.assertLessEqual(latency[a], latency[b])

    def test_segmentation_offload_through_a_peer(self):
        peer = self.peer(2, "io")
        result = self.bench(*peer.sockets, "--tso", "64K", "--verify", "--rate", "1000")
        self.assertEqual(result["settings"]["sizes"], [65536])
        self.assertGreater(result["directions"][0]["arrived"], 0)
        self.assertEqual(result["ends"][1]["bad_checksums"], 0)

    def test_connections(self):
        peer = self.peer(2, "io")
        result = self.bench(*peer.sockets, "--protocol", "tcp", "--handshake", "--flows", "50", "--new-flows", "500", "--rate", "5000",
                            "--verify")
        direction = result["directions"][0]
        self.assertGreaterEqual(direction["opened"], 50)
        self.assertGreater(direction["signed"], 0)
        self.assertLessEqual(direction["established"], direction["opened"])
        self.assertGreater(direction["established"], 0)
        self.assertGreater(direction["closed"], 0)
        self.assertEqual(result["ends"][0]["others"] + result["ends"][1]["others"], 0)
        counted = peer.finish()
        answers = sum(result["ends"][1][k] for k in ("answered", "unanswered"))
        self.assertLessEqual(result["ends"][1]["answered"], counted[1]["received"])
        self.assertLessEqual(direction["established"], answers)

    def test_neighbours_are_resolved(self):
        for address in ("192.0.2.1", "2001:db8::1"):
            with self.subTest(address):
                peer = self.peer(2, "io")
                result = self.bench(*peer.sockets, "--arp", "--both-ways", "--source-ip", address, "--rate", "1000")
                a, b = result["ends"]
                self.assertEqual((a["next_hop_mac"], b["next_hop_mac"]), (b["mac"], a["mac"]))
                self.assertGreaterEqual(a["answered"], 1)

    def test_nobody_has_the_address(self):
        peer = self.peer(2, "io")
        result = self.bench(*peer.sockets, "--arp", "--gateway", "198.18.0.99", status=1)
        self.assertIn("nobody answers for 198.18.0.99", result["error"]["message"])
        self.assertIn("--gateway-mac", result["error"]["message"])

    def test_echo(self):
        for kind in ((), ("--protocol", "tcp", "--handshake")):
            with self.subTest(kind):
                peer = self.peer(2, "io")
                echo = self.start(peer.sockets[1], "--echo", "--source-ip", "198.19.0.1")
                result = self.bench(peer.sockets[0], "--arp", "--latency", "--verify", "--rate", "2000", "--size", "100", *kind)
                echo.send_signal(signal.SIGINT)
                echoed = result_of(echo)
                dropped = sum(port["dropped"] for port in peer.finish())
                self.assertEqual(echoed["status"], 0, echoed)  # it was to run until interrupted
                end = echoed["ends"][0]
                self.assertGreater(result["directions"][0]["arrived"], 0)
                self.assertIsNotNone(result["latency_ns"])
                self.assertLessEqual(result["lost"], dropped + end["echo_no_room"])
                self.assertEqual(end["bad_checksums"] + result["ends"][0]["bad_checksums"], 0)

    def test_receive_only(self):
        peer = self.peer(2, "io")
        sink = self.start(peer.sockets[1], "--receive-only")
        self.bench(peer.sockets[0], "--rate", "1000")
        sink.send_signal(signal.SIGINT)
        result = result_of(sink)
        counted = peer.finish()
        self.assertEqual(result["status"], 0)
        self.assertEqual((result["sent"], result["directions"]), (0, []))
        self.assertEqual(result["received"], counted[1]["sent"])

    def started(self, socket):
        """A long run with text for a person, that has started."""
        process = subprocess.Popen([tap.build("outboard"), "bench", "net", socket, "--duration", "300"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.assertIn("device", process.stdout.readline())
        return process

    def test_killed(self):
        peer = self.peer(1, "rxonly")
        process = self.started(peer.sockets[0])
        peer.kill()
        errors = process.communicate(timeout=PATIENCE_S)[1]
        self.assertEqual(process.returncode, 1)
        self.assertIn(f"bench net: {peer.sockets[0]}: ", errors)
        self.assertIn("closed the connection", errors)

    def test_interrupt_reports_what_there_is(self):
        process = self.started(self.peer(1, "rxonly").sockets[0])
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(process.returncode, 1)
        self.assertIn("Mpps", text)

    def test_a_queue_nobody_polls(self):
        """testpmd polls one of two queues: what waits in the other one is told, apart from what was lost on the way."""
        peer = self.peer(1, "rxonly", "--rxq=1", "--txq=1")
        result = self.bench(peer.sockets[0], "--queues", "2", "--flows", "2", "--ring-size", "64")
        untaken = result["ends"][0]["untaken"]
        self.assertGreater(untaken, 0)
        self.assertEqual(peer.finish()[0]["received"], result["sent"] - untaken)

    def test_nothing_arrives(self):
        peer = self.peer(2, "rxonly")
        result = self.bench(*peer.sockets, status=1)
        self.assertIn("nothing arrived here", result["error"]["message"])
        self.assertEqual(result["error"]["socket"], peer.sockets[1])

    def test_refusals_say_what_to_do(self):
        result = self.bench(os.path.join(self.folder, "none.sock"), status=1)
        self.assertIn("outboard eni attach", result["error"]["message"])
        peer = self.peer(1, "rxonly")
        peer.kill()
        result = self.bench(peer.sockets[0], status=1)
        self.assertIn("is the back end running", result["error"]["message"])
        done = subprocess.run([tap.build("outboard"), "bench", "net"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("SOCKET is missing", done.stderr)


if __name__ == "__main__":
    tap.main()
