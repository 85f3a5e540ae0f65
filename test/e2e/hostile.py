#!/usr/bin/python3
"""Guests that misbehave, each beside one that does not: the card lives on, the neighbour's data are right, and the offender can come back."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
from card import PATIENCE_S, Card, bench, volume

BROKEN_RULE = ("bad-index", "loop", "truncate-memory")  # after these the card must have told why it stopped the queue
MODES = ("kick-storm", "giant", "out-of-region", "vanish", *BROKEN_RULE)


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-hostile-")
        cls.card = Card(os.path.join(cls.folder, "card.log"))
        cls.victim = cls.card.attach(volume("victim"), os.path.join(cls.folder, "victim.sock"))
        cls.offender = cls.card.attach(volume("offender"), os.path.join(cls.folder, "offender.sock"))

    @classmethod
    def tearDownClass(cls):
        cls.card.kill()
        shutil.rmtree(cls.folder)

    def misbehave(self, mode, *more):
        command = [tap.build("test/hostile/hostile_blk"), "--socket", self.offender, "--mode", mode, "--seconds", "2", *more]
        offender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(offender.kill)
        self.assertEqual(offender.stdout.readline(), "started\n")
        result = bench(self.victim, "--verify", "--rw", "mixed", "--seconds", "1")
        self.assertEqual((result["status"], result["errors"], result["mismatches"]), (0, 0, 0), result)
        text = offender.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(offender.returncode, 0, text)
        self.assertIsNone(self.card.process.poll(), self.card.log())
        return text

    def offender_is_well_again(self):
        result = bench(self.offender, "--verify", "--seconds", "1")
        self.assertEqual((result["status"], result["errors"], result["mismatches"]), (0, 0, 0), result)


def add_test(mode, ring):
    def test(self):
        before = len(self.card.log())
        text = self.misbehave(mode, *(["--packed"] if ring == "packed" else []))
        if mode == "giant":
            self.assertGreater(int(text.split("completed ")[1]), 0)
        if mode == "out-of-region":
            self.assertIn("completed 12", text)  # each answered with an error, none carried out
        if mode in BROKEN_RULE:
            self.card.wait_event("device_broken")
            self.assertIn("offender", self.card.log()[before:])
        self.offender_is_well_again()
    setattr(Hostile, f"test_{mode.replace('-', '_')}_{ring}", test)


for each_mode in MODES:
    for each_ring in ("split", "packed"):
        add_test(each_mode, each_ring)

if __name__ == "__main__":
    tap.main()
