#!/usr/bin/python3
"""Guests whose NICs misbehave, beside two that do not: the card lives on, the neighbours' packets arrive whole, and the offender can come
back. And captures and ENIs that go at the same moment."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap
from card import PATIENCE_S, Card
from card_net import Vpc, change

SENDER, RECEIVER, OFFENDER, ACCOMPLICE = 10, 11, 12, 13
# What a mode sends is for an accomplice: one that takes it as it comes, or one that misbehaves as well.
MODES = {"kick-storm": None, "slivers": "receiver", "tables": "receiver", "giants": "receiver", "crumbs": "receiver", "lies": "receiver",
         "babble": "receiver", "truncate-memory": "receiver", "restarts": "receiver", "vanish": "receiver", "bad-index": None,
         "sponge": "giants", "self-eater": "giants"}
BROKEN_RULE = ("bad-index", "truncate-memory")  # after these the card must have told why it stopped the queue
SECONDS = "2"


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-net-hostile-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.card = Card(os.path.join(cls.folder, "card.log"))
        cls.addClassCleanup(cls.card.kill)
        cls.vpc = Vpc()
        cls.card.call("net_apply", reset=True, changes=cls.vpc.changes(SENDER, RECEIVER, OFFENDER, ACCOMPLICE))
        cls.sockets = {n: cls.attach(n) for n in (SENDER, RECEIVER, OFFENDER, ACCOMPLICE)}

    @classmethod
    def attach(cls, number):
        return cls.card.call("eni_attach", eni_id=cls.vpc.enis[number], kind="vhost-user", queues=1,
                             socket=os.path.join(cls.folder, f"{number}.sock"))["socket"]

    def start(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def bench(self, source, *more):
        return self.start(tap.build("outboard"), "bench", "net", self.sockets[source], *more, "--source-ip", f"10.0.1.{source}", "--json")

    def misbehave(self, mode, source, target, *more):
        process = self.start(tap.build("test/hostile/hostile_net"), "--socket", self.sockets[source], "--mode", mode, "--from",
                             str(source), "--to", str(target), "--seconds", SECONDS, *more)
        self.assertEqual(process.stdout.readline(), "started\n")
        return process

    def packets_arrive(self, source, target):
        process = self.bench(source, self.sockets[target], "--destination-ip", f"10.0.1.{target}", "--rate", "2000", "--duration", "1")
        out, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0, errors)
        result = json.loads(out)
        self.assertGreater(result["received"], 0, result)
        self.assertEqual([d["damaged"] + d["duplicates"] for d in result["directions"]], [0] * len(result["directions"]))

    def run_mode(self, mode, *ring):
        others = []
        if MODES[mode] == "receiver":
            others.append(self.bench(ACCOMPLICE, "--receive-only", "--duration", SECONDS))
        offender = self.misbehave(mode, OFFENDER, ACCOMPLICE, *ring)
        if MODES[mode] not in (None, "receiver"):
            others.append(self.misbehave(MODES[mode], ACCOMPLICE, OFFENDER, *ring))
        self.packets_arrive(SENDER, RECEIVER)
        text = offender.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(offender.returncode, 0, text)
        for other in others:
            self.assertEqual((other.communicate(timeout=PATIENCE_S), other.returncode)[1], 0)
        self.assertIsNone(self.card.process.poll(), self.card.log())
        if mode in BROKEN_RULE:
            self.card.wait_event("device_broken", eni_id=self.vpc.enis[OFFENDER])
        self.packets_arrive(OFFENDER, RECEIVER)

    def test_captures_and_enis_that_go_together(self):
        """Whoever lets go of a capture and a change that takes its ENI away meet in any order."""
        eni = self.vpc.enis[ACCOMPLICE]
        for action in ("stop", "read") * 50:
            number = self.card.call("eni_capture", eni_id=eni, action="start")["capture"]
            asked = [self.card.send("eni_capture", eni_id=eni, action=action, capture=number),
                     self.card.send("net_apply", reset=False, changes=[change("eni", eni)]),
                     self.card.send("net_apply", reset=False, changes=[change("eni", self.vpc.enis[OFFENDER])])]
            self.assertEqual(self.answers(asked), [True] * len(asked))
            asked = [self.card.send("eni_capture", eni_id=eni, action="read", capture=number),
                     self.card.send("net_apply", reset=False, changes=[self.vpc.eni(ACCOMPLICE), self.vpc.eni(OFFENDER)])]
            self.assertEqual(self.answers(asked), [False, True])
        self.assertIsNone(self.card.process.poll(), self.card.log())

    def answers(self, requests):
        """Whether each was done; answers come in any order."""
        done = {}
        while len(done) < len(requests):
            message = self.card._receive()
            if "event" not in message:
                done[message["id"]] = message["ok"]
        return [done[r] for r in requests]

    def test_an_eni_that_goes_under_traffic(self):
        """Its slot is the next one's at once, with frames under way from and to it."""
        offender = self.misbehave("giants", OFFENDER, RECEIVER)
        receiver = self.misbehave("giants", RECEIVER, OFFENDER)
        while offender.poll() is None or receiver.poll() is None:
            gone = [change("eni", self.vpc.enis[OFFENDER])]
            for n in range(20, 24):  # one of these has its slot, and then it has another
                self.card.call("net_apply", reset=False, changes=gone)
                self.card.call("net_apply", reset=False, changes=[self.vpc.eni(n)])
                self.card.call("net_apply", reset=False, changes=[self.vpc.eni(OFFENDER)])
            self.card.call("net_apply", reset=False, changes=[change("eni", self.vpc.enis[n]) for n in range(20, 24)])
        self.assertIsNone(self.card.process.poll(), self.card.log())
        self.packets_arrive(OFFENDER, RECEIVER)


def add_test(mode, ring):
    def test(self):
        self.run_mode(mode, *(["--packed"] if ring == "packed" else []))
    setattr(Hostile, f"test_{mode.replace('-', '_')}_{ring}", test)


for each_mode in MODES:
    for each_ring in ("split", "packed"):
        add_test(each_mode, each_ring)

if __name__ == "__main__":
    tap.main()
