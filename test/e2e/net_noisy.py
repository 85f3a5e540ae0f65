#!/usr/bin/python3
"""What a bad neighbour on the same card does to a pair of ENIs: nothing is lost but what had no buffer, and only the neighbour's own
allowances are used up. How long packets take meanwhile is shown, not judged: bench/noisy-net measures that on a machine of its own.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import neighbours
import network
import outboard
import tap
from neighbours import BAD, CLOSED, SINK, VICTIMS

SECONDS, RATE = 1, 2000


class Noisy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-noisy-", dir="/dev/shm")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.card = network.Card(cls.folder)
        cls.addClassCleanup(cls.card.stop)
        cls.card.load(**neighbours.objects())
        cls.sockets = {name: cls.card.attach_nic(name) for name in neighbours.NUMBERS}

    def victims(self):
        """A run of them: its result, and how much the counters of their ENIs grew."""
        before = [self.card.eni_stats(name) for name in VICTIMS]
        done = subprocess.run([tap.build("outboard"), "bench", "net", *(self.sockets[name] for name in VICTIMS), "--json", "--dhcp", "--rate",
                               str(RATE), "--latency", "--verify", "--duration", str(SECONDS)], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE, timeout=outboard.PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        grown = {}
        for old, name in zip(before, VICTIMS):
            for reason, count in self.card.eni_stats(name)["drops"].items():
                grown[reason] = grown.get(reason, 0) + count - old["drops"].get(reason, 0)
        return json.loads(done.stdout), {reason: count for reason, count in grown.items() if count and reason != "answered"}

    def bad_progress(self):
        """Packets or kicks that were taken from the neighbour."""
        stats = self.card.eni_stats(BAD)
        return stats["out"]["packets"] + sum(stats["drops"].values()) + sum(q["kicks"] for q in stats["queues"])

    def check(self, kind):
        process = subprocess.Popen(neighbours.command(kind, tap.build("outboard"), self.sockets, 300), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        try:
            start = self.bad_progress()
            outboard.wait_for("the neighbour to be at it", lambda: self.bad_progress() > start + 1000 or process.poll() is not None)
            self.assertIsNone(process.poll(), process.poll() is not None and process.stderr.read())
            before = self.bad_progress()
            result, drops = self.victims()
            self.assertGreater(self.bad_progress(), before)
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        outboard.wait_for("its end to be seen", lambda: all(self.card.eni_state(name) == "waiting" for name in (BAD, SINK)))
        self.show(kind, result)
        self.judge(result, drops)

    def judge(self, result, drops):
        direction = result["directions"][0]
        self.assertGreater(direction["arrived"], 0)
        self.assertEqual(direction["arrived"] + direction["lost"], direction["sent"])
        self.assertEqual((direction["duplicates"], direction["damaged"], direction["reordered"]), (0, 0, 0))
        self.assertEqual(set(drops) - {"no_receive_buffer"}, set())
        self.assertEqual(direction["lost"], drops.get("no_receive_buffer", 0))
        for name in VICTIMS:
            allowances = self.card.eni_stats(name)["allowances"]
            self.assertEqual({k: v for k, v in allowances.items() if v and k != "conntrack_allowance_available"}, {})

    def show(self, kind, result):
        gap = max(poller["service_gap_max_ns"] for poller in self.card.stats()["pollers"])
        latency = result["directions"][0]["latency_ns"]
        print(f"# {kind}: {result['sent']} packets, {result['lost']} lost, p50 {latency['p50'] / 1e3:.1f} us, p99 {latency['p99'] / 1e3:.1f} us, "
              f"the longest wait for a visit so far {gap / 1e3:.1f} us")

    def drops_of_bad(self, *reasons):
        drops = self.card.eni_stats(BAD)["drops"]
        return [drops.get(reason, 0) for reason in reasons]

    def test_alone(self):
        result, drops = self.victims()
        self.show("alone", result)
        self.judge(result, drops)

    def test_flood(self):
        self.check("flood")

    def test_syn_storm(self):
        """The neighbour has no more flows than it may, nor more new ones a second, and that is counted as its own."""
        self.check("syn-storm")
        self.assertGreater(sum(self.drops_of_bad("conntrack_allowance_exceeded", "new_flow_rate_exceeded")), 0)
        self.assertLessEqual(self.card.eni_stats(BAD)["flows"], neighbours.FLOWS_MAX)

    def test_new_destinations(self):
        """Each is a decision of its own, or more of them than the neighbour may ask for."""
        reasons = ("no_mapping", "new_flow_rate_exceeded", "conntrack_allowance_exceeded")
        before, asked = self.drops_of_bad(*reasons), self.card.eni_stats(BAD)["slow_path"]
        self.check("new-destinations")
        self.assertGreater(sum(self.drops_of_bad(*reasons)), sum(before))
        self.assertGreater(self.card.eni_stats(BAD)["slow_path"], asked)

    def test_denied(self):
        self.check("denied")
        drops = self.card.eni_stats(CLOSED)["drops"].get("security_group_in", 0) + self.drops_of_bad("security_group_in")[0]
        self.assertGreater(drops, 0)
        self.assertEqual(self.card.eni_stats(CLOSED)["in"]["packets"], 0)

    def test_kick_storm(self):
        self.check("kick-storm")


if __name__ == "__main__":
    tap.main()
