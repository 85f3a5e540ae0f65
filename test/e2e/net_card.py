#!/usr/bin/python3
"""The card process and its network, told what to do as control would: changes, ENIs over vhost-user and over taps, wires, captures,
traces, flow logs, guests that break rules, and what privileges are left to whom."""
import base64
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
import network
import tap
from card import PATIENCE_S, Card, Refused, bench, volume
from card_net import Nic, Vpc, change, new_id, rule, udp

CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "NET_ADMIN": 12, "IPC_LOCK": 14, "SYS_PTRACE": 19, "SYS_ADMIN": 21}


def capability_set(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


def statuses(pid):
    """What the kernel says of each thread of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.02)
    return value


def bench_net(*arguments):
    """`outboard bench net`: its JSON object."""
    done = subprocess.run([tap.build("outboard"), "bench", "net", *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE_S, text=True)
    if done.returncode != 0:
        raise AssertionError(f"bench net: status {done.returncode}: {done.stdout!r} {done.stderr!r}")
    return json.loads(done.stdout)


class NetTest(unittest.TestCase):
    ARGUMENTS = ()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-net-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.card = Card(self.path("card.log"), *self.ARGUMENTS)
        self.addCleanup(self.card.kill)
        self.vpc = Vpc()

    def path(self, name):
        return os.path.join(self.folder, name)

    def apply(self, *changes, reset=False):
        return self.card.call("net_apply", reset=reset, changes=list(changes))

    def refused(self, code, op, **fields):
        with self.assertRaises(Refused) as caught:
            self.card.call(op, **fields)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        return caught.exception

    def attach(self, number, **fields):
        """ENI `number` of the VPC over vhost-user: its socket."""
        return self.card.call("eni_attach", **{"eni_id": self.vpc.enis[number], "kind": "vhost-user",
                                               "socket": self.path(f"{number}.sock"), "queues": 1, **fields})["socket"]

    def detach(self, number):
        self.card.call("eni_detach", eni_id=self.vpc.enis[number])

    def two(self, **fields):
        self.apply(*self.vpc.changes(10, 11), reset=True)
        return self.attach(10, **fields), self.attach(11, **fields)

    def nic(self, path):
        nic = Nic(path)
        self.addCleanup(nic.close)
        return nic

    def eni(self, number):
        stats = self.card.call("stats", all=True)
        return next(e for e in stats["enis"] if e["id"] == self.vpc.enis[number])


class Changes(NetTest):
    def test_a_card_without_a_network_has_none(self):
        self.assertEqual(self.card.hello["wires"], [])
        self.assertIsNone(self.card.call("stats", all=True)["network"])
        self.apply(reset=True)
        self.assertIsNone(self.card.call("stats", all=True)["network"])
        self.assertEqual(self.card.call("stats")["enis"], [])

    def test_what_was_applied_counts_at_once(self):
        a, b = (self.nic(s) for s in self.two())
        b.post_buffers()
        a.transmit(udp(10, 11))
        self.assertEqual(b.receive_frame()[42:], b"hello")
        self.vpc.rules = [r for r in self.vpc.rules if r["direction"] == "egress"]
        self.apply(self.vpc.group_change())
        a.transmit(udp(10, 11, b"refused"))
        a.wait_used(Nic.TRANSMIT), a.wait_used(Nic.TRANSMIT)
        self.assertEqual(self.eni(11)["drops"], {"security_group_in": 1})
        self.vpc.rules.append(rule("ingress", "10.0.1.10/32"))
        self.apply(self.vpc.group_change())
        a.transmit(udp(10, 11, b"let in"))
        self.assertEqual(b.receive_frame()[42:], b"let in")

    def test_all_or_nothing(self):
        self.two()
        good, bad = change("host", new_id(), name="h", address="192.0.2.9"), change("host", new_id(), name="i", address="nowhere")
        error = self.refused("bad_request", "net_apply", changes=[good, bad])
        self.assertEqual(error.culprit, bad["id"])
        self.assertIn('host "i": field "address"', error.message)
        # Had the first been taken, its address would now be there twice.
        self.apply(change("host", new_id(), name="j", address="192.0.2.9"))

    def test_who_is_at_fault_is_named(self):
        self.apply(*self.vpc.changes(10), reset=True)
        orphan = self.vpc.eni(12, security_groups=[new_id()])
        self.assertEqual(self.refused("not_found", "net_apply", changes=[orphan]).culprit, orphan["id"])
        double = self.vpc.eni(13, addresses=["10.0.1.10"])
        self.assertEqual(self.refused("conflict", "net_apply", changes=[double]).culprit, double["id"])
        self.assertEqual(self.refused("conflict", "net_apply", changes=[change("vpc", self.vpc.id)]).code, "conflict")
        self.assertIn("10.0.1.10", self.refused("conflict", "net_apply", changes=[double]).message)

    def test_nonsense_is_refused(self):
        for fields, says in (({}, "changes"), ({"changes": {}}, "changes"), ({"changes": [7]}, "kind"),
                             ({"changes": [{"kind": "bridge", "id": new_id()}]}, "kind"),
                             ({"changes": [{"kind": "vpc", "id": "v"}]}, "id"),
                             ({"changes": [{"kind": "vpc", "id": new_id(), "object": "v"}]}, "object")):
            with self.subTest(fields=fields):
                self.assertIn(says, self.refused("bad_request", "net_apply", **fields).message)
        self.apply(*self.vpc.changes(10))

    def test_deleting_what_is_not_there_is_no_error(self):
        for kind in ("host", "vpc", "security-group", "acl", "route-table", "subnet", "peering", "eni", "nat", "eip"):
            self.apply(change(kind, new_id()))

    def test_reset_forgets_the_rest(self):
        other = Vpc("w", vni=4097)
        self.apply(*self.vpc.changes(10), *other.changes(10), reset=True)
        self.apply(*other.changes(10), reset=True)
        self.refused("not_found", "eni_attach", eni_id=self.vpc.enis[10], kind="vhost-user", socket=self.path("s"))
        self.card.call("eni_attach", eni_id=other.enis[10], kind="vhost-user", socket=self.path("s"))

    def test_many_rules_come_in_a_memfd(self):
        self.vpc.rules += [rule("ingress", f"10.{i >> 8}.{i & 255}.0/24", protocol="tcp", ports=str(1000 + i)) for i in range(15000)]
        self.apply(*self.vpc.changes(10, 11), reset=True)
        self.vpc.rules[-1] = rule("ingress", "10.0.0.0/8", protocol="tcp", ports="0-65536")
        error = self.refused("bad_request", "net_apply", changes=[self.vpc.group_change()])
        self.assertIn('security-group "v-group": rules[15003]: field "ports"', error.message)
        self.assertEqual(error.culprit, self.vpc.group)


class Attachments(NetTest):
    def test_packets_pass_between_two_vmms(self):
        sockets = self.two(queues=2)
        common = (*sockets, "--source-ip", "10.0.1.10", "--destination-ip", "10.0.1.11", "--duration", "1", "--rate", "20000")
        for more in ((), ("--packed",), ("--queues", "2", "--flows", "100"), ("--indirect",), ("--both-ways",), ("--size", "imix")):
            with self.subTest(more=more):
                result = bench_net(*common, *more)
                self.assertGreater(result["received"], 0)
                self.assertEqual(sum(d["damaged"] + d["duplicates"] for d in result["directions"]), 0)
        result = bench_net(*sockets, "--source-ip", "10.0.1.10", "--destination-ip", "10.0.1.11", "--duration", "1", "--protocol", "tcp",
                           "--handshake", "--tso", "60000", "--rate", "500")
        self.assertGreater(result["received"], 0)
        self.assertEqual(result["directions"][0]["damaged"], 0)
        stats = self.eni(11)
        received = [q for q in stats["queues"] if q["direction"] == "receive"]
        self.assertGreater(sum(q["segments"] for q in received), sum(q["packets"] for q in received))  # unsegmented
        self.assertGreater(stats["in"]["packets"], 0)

    def test_the_guest_is_told_what_its_nic_is(self):
        self.apply(*self.vpc.changes(10), reset=True)
        self.assertEqual(self.nic(self.attach(10)).config(), bytes((2, 0, 0, 0, 0, 10, 1, 0, 1, 0)) + (1500).to_bytes(2, "little"))
        self.detach(10)
        nic = self.nic(self.attach(10, mtu=8950, queues=3))
        self.assertEqual(nic.config()[6:], bytes((1, 0, 3, 0)) + (8950).to_bytes(2, "little"))

    def test_attach_twice_is_attach_once(self):
        self.apply(*self.vpc.changes(10), reset=True)
        s = self.attach(10)
        self.assertEqual(self.attach(10), s)
        self.assertEqual(len(self.card.call("stats", all=True)["enis"]), 1)
        for fields in ({"socket": self.path("other.sock")}, {"queues": 2}, {"kind": "tap", "tap": "eth0"}):
            with self.subTest(fields=fields):
                described = {"eni_id": self.vpc.enis[10], "kind": "vhost-user", "socket": s, "queues": 1, **fields}
                self.assertIn("v10", self.refused("conflict", "eni_attach", **described).message)

    def test_what_cannot_be_attached(self):
        host = change("host", new_id(), name="h", address="192.0.2.9")
        nat = change("nat", new_id(), name="n", subnet=self.vpc.subnet, mac="02:00:00:00:00:99", address="10.0.1.99")
        self.apply(*self.vpc.changes(10), host, nat, self.vpc.eni(11, host=host["id"]), reset=True)
        good = {"kind": "vhost-user", "socket": self.path("s"), "eni_id": self.vpc.enis[10]}
        for code, says, fields in (("not_found", "no ENI", {"eni_id": new_id()}), ("not_found", "another host", {"eni_id": self.vpc.enis[11]}),
                                   ("not_found", "no ENI", {"eni_id": nat["id"]}), ("bad_request", "eni_id", {"eni_id": "v10"}),
                                   ("bad_request", "kind", {"kind": "vdpa"}), ("bad_request", "absolute path", {"socket": "s"}),
                                   ("bad_request", "queues", {"queues": 17}), ("bad_request", "queues", {"queues": 0}),
                                   ("bad_request", "mtu", {"mtu": 1279}), ("bad_request", "mode", {"mode": 0o1000}),
                                   ("storage", "cannot listen", {"socket": "/nowhere/s"}),
                                   ("bad_request", "tap", {"kind": "tap"}), ("bad_request", "named", {"kind": "tap", "tap": "a/b"}),
                                   ("bad_request", "netns", {"kind": "tap", "tap": "a", "netns": 7}),
                                   ("bad_request", "namespace", {"kind": "tap", "tap": "a", "netns": "a/b"})):
            with self.subTest(fields=fields):
                self.assertIn(says, self.refused(code, "eni_attach", **{**good, **fields}).message)
        self.card.call("eni_attach", **good)

    def test_something_is_in_the_way_of_the_socket(self):
        self.apply(*self.vpc.changes(10, 11), reset=True)
        s = self.attach(10)
        self.refused("conflict", "eni_attach", eni_id=self.vpc.enis[11], kind="vhost-user", socket=s)
        self.nic(s)  # unharmed
        with open(self.path("file"), "w"):
            pass
        self.refused("conflict", "eni_attach", eni_id=self.vpc.enis[11], kind="vhost-user", socket=self.path("file"))

    def test_detach_removes_the_socket_and_is_idempotent(self):
        s, _ = self.two()
        nic = self.nic(s)
        self.card.wait_event("device", eni_id=self.vpc.enis[10], state="connected")
        for _ in range(2):
            self.detach(10)
            self.assertFalse(os.path.exists(s))
        self.assertFalse(nic.alive())
        self.assertEqual(self.card.call("stats", all=True)["pollers"][0]["queues"], 1)  # the network's clock
        self.assertTrue(self.nic(self.attach(10)).alive())

    def test_detach_in_the_middle_of_a_flood(self):
        sockets = self.two()
        load = subprocess.Popen([tap.build("outboard"), "bench", "net", *sockets, "--source-ip", "10.0.1.10", "--destination-ip",
                                 "10.0.1.11", "--duration", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(load.kill)
        wait_for("packets", lambda: any(e["in"]["packets"] > 1000 for e in self.card.call("stats")["enis"]))
        self.detach(11)
        self.detach(10)
        self.assertNotEqual(load.wait(PATIENCE_S), 0)
        self.assertIsNone(self.card.process.poll())
        self.assertEqual(self.eni_states(), {"detached"})

    def eni_states(self):
        return {e["state"] for e in self.card.call("stats")["enis"]}

    def test_a_vmm_that_is_killed_and_one_that_comes_after(self):
        s, other = self.two()
        for _ in range(4):
            load = subprocess.Popen([tap.build("outboard"), "bench", "net", s, "--source-ip", "10.0.1.10", "--destination-ip",
                                     "10.0.1.11", "--duration", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.card.wait_event("device", eni_id=self.vpc.enis[10], state="connected")
            load.kill()
            load.wait()
            self.card.wait_event("device", eni_id=self.vpc.enis[10], state="waiting")
        a, b = self.nic(s), self.nic(other)
        b.post_buffers()
        a.transmit(udp(10, 11))
        self.assertEqual(b.receive_frame()[42:], b"hello")

    def test_an_eni_that_is_gone_from_the_policy_stays_attached_and_is_nobody(self):
        """Its slot may be somebody else's at once: what it sends and what is sent to it meet nobody."""
        a, b = (self.nic(s) for s in self.two())
        b.post_buffers()
        self.apply(change("eni", self.vpc.enis[11]), self.vpc.eni(12))
        c = self.nic(self.attach(12))
        c.post_buffers()
        for n in (11, 12):
            a.transmit(udp(10, n))
        self.assertEqual(c.receive_frame()[42:], b"hello")
        b.transmit(udp(11, 12, b"from the dead"))
        b.transmit(udp(12, 10, b"stolen"))
        b.wait_used(Nic.TRANSMIT), b.wait_used(Nic.TRANSMIT)
        self.assertEqual((b.used(Nic.RECEIVE), c.used(Nic.RECEIVE), a.used(Nic.RECEIVE)), (0, 1, 0))
        self.apply(self.vpc.eni(11))
        a.transmit(udp(10, 11, b"back again"))
        self.assertEqual(b.receive_frame()[42:], b"back again")

    def test_nothing_is_leaked_by_connections(self):
        s, _ = self.two()
        descriptors = f"/proc/{self.card.process.pid}/fd"

        def cycle():
            nic = Nic(s)
            nic.post_buffers()
            nic.alive()
            nic.close()
            self.card.wait_event("device", eni_id=self.vpc.enis[10], state="waiting")
        first = len(os.listdir(descriptors))
        for _ in range(5):
            cycle()
        wait_for("descriptors to go", lambda: len(os.listdir(descriptors)) <= first)

    def test_disks_and_nics_on_one_poller(self):
        self.two()
        s = self.card.attach(volume("m"), self.path("m.sock"))
        result = bench(s, "--rw", "mixed", "--verify", "--seconds", "1")
        self.assertEqual((result["status"], result["errors"]), (0, 0), result)

    def test_stop_takes_everything_along(self):
        s, _ = self.two()
        self.nic(s)
        namespace = network.Namespace("stop")
        self.addCleanup(namespace.delete)
        self.apply(self.vpc.eni(12))
        self.card.call("eni_attach", eni_id=self.vpc.enis[12], kind="tap", tap="eth0", netns=namespace.name)
        helper, = children(self.card.process.pid)
        self.assertEqual(self.card.stop(), 0)
        self.assertFalse(os.path.exists(s))
        self.assertEqual(namespace.interfaces(), {"lo"})
        wait_for("the helper's end", lambda: not os.path.exists(f"/proc/{helper}"))


class Hostile(NetTest):
    """A guest that breaks the rules of a ring loses that queue, and harms nobody."""

    def neighbours_talk(self):
        self.apply(self.vpc.eni(20), self.vpc.eni(21))
        a, b = self.nic(self.attach(20)), self.nic(self.attach(21))
        b.post_buffers()
        a.transmit(udp(20, 21))
        self.assertEqual(b.receive_frame()[42:], b"hello")

    def test_a_transmit_ring(self):
        s, _ = self.two()
        nic = self.nic(s)
        nic.set_available(Nic.TRANSMIT, 1000)  # more than there are entries
        event = self.card.wait_event("device_broken", eni_id=self.vpc.enis[10])
        self.assertEqual(event["queue"], 1)
        self.assertIn("v10", self.card.log())
        self.neighbours_talk()
        nic.close()
        self.card.wait_event("device", eni_id=self.vpc.enis[10], state="waiting")
        self.assertTrue(self.nic(s).alive())

    def test_a_receive_ring_is_found_out_by_who_sends_to_it(self):
        sockets = self.two()
        a, b = (self.nic(s) for s in sockets)
        b.set_available(Nic.RECEIVE, 1000)
        a.transmit(udp(10, 11))
        self.assertEqual(self.card.wait_event("device_broken", eni_id=self.vpc.enis[11])["queue"], 0)
        a.wait_used(Nic.TRANSMIT)
        self.assertEqual(self.eni(11)["drops"], {"no_receive_buffer": 1})
        self.neighbours_talk()

    def test_a_buffer_outside_its_memory(self):
        sockets = self.two()
        a, b = (self.nic(s) for s in sockets)
        b.make_available(Nic.RECEIVE, 2000, address=0x10)
        a.transmit(udp(10, 11))
        self.assertEqual(self.card.wait_event("device_broken", eni_id=self.vpc.enis[11])["queue"], 0)
        self.neighbours_talk()

    def test_frames_that_are_none_are_counted(self):
        s, _ = self.two()
        nic = self.nic(s)
        nic.transmit(b"short")
        nic.transmit(udp(10, 11), header=bytes((1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0)))  # a checksum far outside
        nic.transmit(udp(10, 11), header=bytes((0, 99)) + bytes(10))  # no such segmentation
        for _ in range(3):
            nic.wait_used(Nic.TRANSMIT)
        queue = next(q for q in self.eni(10)["queues"] if q["direction"] == "transmit")
        self.assertEqual(queue["malformed"], 3)
        self.assertNotIn("malformed", self.eni(10)["drops"])

    def test_memory_that_is_taken_away(self):
        sockets = self.two()
        a, b = (self.nic(s) for s in sockets)
        b.post_buffers()
        os.ftruncate(b.memory_fd, 0)
        for _ in range(2):  # one finds nothing in its place, the next one knows why
            a.transmit(udp(10, 11))
            a.wait_used(Nic.TRANSMIT)
        self.assertIn("memory", self.card.wait_event("device_broken", eni_id=self.vpc.enis[11])["message"])
        self.neighbours_talk()

    def test_messages_that_are_none(self):
        s, _ = self.two()
        for request in (0, 41, 1000):
            nic = Nic(s)
            nic.send(request, os.urandom(64))
            self.assertFalse(nic.alive())
            nic.close()
        self.neighbours_talk()


class Looking(NetTest):
    def test_trace(self):
        self.two()
        reply = self.card.call("eni_trace", eni_id=self.vpc.enis[10], packet="tcp 10.0.1.11:80 syn")
        self.assertIsNone(reply["drop"])
        self.assertIn("arrives", reply["sentence"])
        stages = [line["stage"] for line in reply["lines"]]
        self.assertEqual(stages[:2], ["parse", "anti-spoof"])
        self.assertTrue(all(line["verdict"] and "detail" in line for line in reply["lines"]))
        reply = self.card.call("eni_trace", eni_id=self.vpc.enis[10], packet="udp 10.0.1.77:53")
        self.assertEqual(reply["drop"], "no_mapping")
        self.assertEqual(self.card.call("stats")["network"]["flows_created"], 0)  # nothing happened
        for packet in ("", "tcp", "tcp 10.0.1.11", None):
            self.refused("bad_request", "eni_trace", eni_id=self.vpc.enis[10], packet=packet)
        self.refused("not_found", "eni_trace", eni_id=new_id(), packet="tcp 10.0.1.11:80 syn")
        self.refused("bad_request", "eni_trace", packet="tcp 10.0.1.11:80 syn")

    def capture(self, number, action, **fields):
        return self.card.call("eni_capture", eni_id=self.vpc.enis[number], action=action, **fields)

    def test_capture(self):
        a, b = (self.nic(s) for s in self.two())
        b.post_buffers()
        number = self.capture(10, "start")["capture"]
        a.transmit(udp(10, 11, b"caught in the act"))
        b.receive_frame()
        reply = self.capture(10, "read", capture=number)
        data = base64.b64decode(reply["data"])
        self.assertEqual((data[:4], reply["lost"]), (bytes((0x0a, 0x0d, 0x0d, 0x0a)), 0))
        self.assertIn(b"caught in the act", data)
        a.transmit(udp(10, 11, b"and again"))
        b.receive_frame()
        data = base64.b64decode(self.capture(10, "read", capture=number)["data"])
        self.assertIn(b"and again", data)
        self.assertNotIn(b"caught", data)
        self.assertEqual(self.capture(10, "read", capture=number)["data"], "")
        for _ in range(2):
            self.capture(10, "stop", capture=number)
        self.refused("not_found", "eni_capture", eni_id=self.vpc.enis[10], action="read", capture=number)

    def test_a_large_capture_is_read_in_pieces(self):
        sockets = self.two()
        number = self.capture(10, "start", snap_bytes=100)["capture"]
        bench_net(*sockets, "--source-ip", "10.0.1.10", "--destination-ip", "10.0.1.11", "--duration", "1", "--rate", "5000")
        pieces = []
        while piece := base64.b64decode(self.capture(10, "read", capture=number)["data"]):
            pieces.append(piece)
        self.assertGreater(len(pieces), 2)
        with open(self.path("x.pcapng"), "wb") as f:
            f.write(b"".join(pieces))
        blocks, at, data = 0, 0, b"".join(pieces)
        while at < len(data):  # whole blocks, each with its length before and behind
            size = int.from_bytes(data[at + 4:at + 8], "little")
            self.assertEqual(data[at + size - 4:at + size], data[at + 4:at + 8])
            at, blocks = at + size, blocks + 1
        self.assertGreater(blocks, 1000)

    def test_captures_end_with_their_eni(self):
        """Its slot may be another's: that one's packets are not for who captured the first."""
        self.two()
        number = self.capture(11, "start")["capture"]
        self.apply(change("eni", self.vpc.enis[11]), self.vpc.eni(12))
        self.refused("not_found", "eni_capture", eni_id=self.vpc.enis[11], action="read", capture=number)
        self.refused("not_found", "eni_capture", eni_id=self.vpc.enis[11], action="start")
        self.capture(12, "start")

    def test_a_card_runs_so_many_and_forgets_those_that_nobody_reads(self):
        self.two()
        numbers = [self.capture(10, "start")["capture"] for _ in range(16)]
        self.refused("limit", "eni_capture", eni_id=self.vpc.enis[10], action="start")
        self.refused("not_found", "eni_capture", eni_id=self.vpc.enis[11], action="read", capture=numbers[0])  # another's

        def refused():
            self.capture(10, "read", capture=numbers[0])  # this one is read
            try:
                return self.capture(10, "start")
            except Refused:
                return None
        wait_for("an idle capture to end", refused)
        self.refused("not_found", "eni_capture", eni_id=self.vpc.enis[10], action="read", capture=numbers[1])
        self.assertEqual(self.capture(10, "read", capture=numbers[0])["lost"], 0)

    def test_captures_that_are_none(self):
        self.two()
        for code, fields in (("bad_request", {"action": "pause"}), ("bad_request", {}), ("bad_request", {"action": "read"}),
                             ("not_found", {"action": "read", "capture": 1}), ("bad_request", {"action": "start", "snap_bytes": 13}),
                             ("bad_request", {"action": "start", "drops": 1})):
            self.refused(code, "eni_capture", eni_id=self.vpc.enis[10], **fields)
        self.capture(10, "stop", capture=7)

    def test_flow_log(self):
        self.vpc.fields["flow_log"] = {"traffic": "all", "interval_s": 10}
        a, b = (self.nic(s) for s in self.two())
        b.post_buffers()
        a.transmit(udp(10, 11))
        b.receive_frame()
        seen = set()
        while len(seen) < 2:
            event = self.card.wait_event("flow_log")
            self.assertEqual(event["lost"], 0)
            for line in event["lines"]:
                words = line.split(" ")
                self.assertEqual((words[0], len(words)), ("2", 14), line)
                if words[3:8] == ["10.0.1.10", "10.0.1.11", "4000", "4000", "17"]:
                    seen.add(words[2])
        self.assertEqual(len(seen), 2)  # at both ends


class Taps(NetTest):
    def namespace(self):
        namespace = network.Namespace("tap")
        self.addCleanup(namespace.delete)
        return namespace

    def attach_tap(self, number, netns, interface="eth0", **fields):
        return self.card.call("eni_attach", eni_id=self.vpc.enis[number], kind="tap", tap=interface, netns=netns, **fields)

    def pair(self):
        a, b = self.namespace(), self.namespace()
        self.apply(*self.vpc.changes(10, 11), reset=True)
        for number, namespace in ((10, a), (11, b)):
            self.attach_tap(number, namespace.name)
            network.settle(namespace, number)
        return a, b

    def test_two_namespaces(self):
        a, b = self.pair()
        network.ping(a, "10.0.1.11")
        network.ping(a, "fd00:1::11")
        network.transfer(a, b, "10.0.1.11")
        network.transfer(b, a, "fd00:1::10")
        network.exchange(a, b, "10.0.1.11")
        queues = {q["direction"]: q for q in self.eni(11)["queues"]}
        self.assertGreater(queues["receive"]["bytes"] / queues["receive"]["packets"], 3000)  # unsegmented
        self.assertEqual(queues["receive"]["no_buffer"], 0)

    def test_a_tap_and_a_vmm(self):
        a = self.namespace()
        self.apply(*self.vpc.changes(10, 11), reset=True)
        self.attach_tap(10, a.name)
        network.settle(a, 10)
        nic = self.nic(self.attach(11))
        nic.post_buffers()
        with a.socket(kind=network.socket.SOCK_DGRAM) as s:
            s.sendto(b"from a tap", ("10.0.1.11", 4000))
            frames = (nic.receive_frame() for _ in range(8))
            self.assertTrue(any(frame.endswith(b"from a tap") for frame in frames))

    def test_what_it_is_and_that_it_goes(self):
        a = self.namespace()
        self.apply(*self.vpc.changes(10), reset=True)
        reply = self.attach_tap(10, a.name, "net7", mtu=4000)
        self.assertEqual((reply["tap"], reply["mac"]), ("net7", "02:00:00:00:00:0a"))
        self.assertEqual(self.attach_tap(10, a.name, "net7", mtu=4000)["tap"], "net7")
        self.refused("conflict", "eni_attach", eni_id=self.vpc.enis[10], kind="tap", tap="net8", netns=a.name)
        self.card.wait_event("device", eni_id=self.vpc.enis[10], state="connected")
        link = a.run("ip", "-details", "link", "show", "net7")
        self.assertIn("02:00:00:00:00:0a", link)
        self.assertIn("mtu 4000", link)
        self.assertIn("LOWER_UP", link)
        self.assertIn("vnet_hdr on", link)
        for _ in range(2):
            self.detach(10)
            self.assertEqual(a.interfaces(), {"lo"})

    def test_a_namespace_by_name_by_path_and_of_a_process(self):
        a = self.namespace()
        self.apply(*self.vpc.changes(10), reset=True)
        with a.start("sleep", "60", stdout=subprocess.DEVNULL) as sleeper:
            self.addCleanup(sleeper.kill)
            wait_for("the process", lambda: os.readlink(f"/proc/{sleeper.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
            for netns in (a.name, f"/run/netns/{a.name}", f"/proc/{sleeper.pid}/ns/net"):
                with self.subTest(netns=netns):
                    self.attach_tap(10, netns)
                    self.assertEqual(a.interfaces(), {"lo", "eth0"})
                    self.detach(10)
            sleeper.kill()

    def test_in_the_cards_own_namespace(self):
        name = f"obt{os.getpid()}"
        self.apply(*self.vpc.changes(10), reset=True)
        self.attach_tap(10, None, name)
        self.assertTrue(os.path.exists(f"/sys/class/net/{name}"))
        self.refused("bad_request", "eni_attach", eni_id=self.vpc.enis[10], kind="tap", tap=name, netns="")
        self.detach(10)
        self.assertFalse(os.path.exists(f"/sys/class/net/{name}"))

    def test_what_cannot_be_made(self):
        a = self.namespace()
        a.run("ip", "link", "add", "taken", "type", "veth", "peer", "name", "end")
        a.run("ip", "tuntap", "add", "mine", "mode", "tap")
        self.apply(*self.vpc.changes(10), reset=True)
        for code, says, netns, interface in (("conflict", "taken", a.name, "taken"), ("conflict", "mine", a.name, "mine"),
                                             ("not_found", "/run/netns/nobody", "nobody", "eth0"),
                                             ("bad_request", "no network namespace", "/etc/passwd", "eth0"),
                                             ("bad_request", "not of a network", "/proc/self/ns/uts", "eth0")):
            with self.subTest(interface=interface, netns=netns):
                error = self.refused(code, "eni_attach", eni_id=self.vpc.enis[10], kind="tap", tap=interface, netns=netns)
                self.assertIn(says, error.message)
        self.assertEqual(a.interfaces(), {"lo", "taken", "end", "mine"})
        self.attach_tap(10, a.name)

    def test_an_interface_that_is_taken_away(self):
        a, b = self.pair()
        a.run("ip", "link", "delete", "eth0")
        event = self.card.wait_event("device_broken", eni_id=self.vpc.enis[10])
        self.assertIn("gone", event["message"])
        self.detach(10)
        self.attach_tap(10, a.name)
        network.settle(a, 10)
        network.ping(a, "10.0.1.11")
        b.delete()  # its name: the namespace itself lives as long as the interface
        self.assertEqual(self.eni(11)["state"], "connected")
        self.detach(11)

    def test_an_interface_that_is_down_is_no_reason_to_give_up(self):
        a, b = self.pair()
        network.ping(b, "10.0.1.10")
        a.run("ip", "link", "set", "eth0", "down")
        self.assertNotEqual(network.ping(b, "10.0.1.10", check=False).returncode, 0)
        network.settle(a, 10)
        network.ping(b, "10.0.1.10")

    def test_a_helper_that_is_gone(self):
        a, b = self.pair()
        helper, = children(self.card.process.pid)
        os.kill(helper, signal.SIGKILL)
        wait_for("its end", lambda: not os.path.exists(f"/proc/{helper}"))
        network.ping(a, "10.0.1.11")
        self.apply(self.vpc.eni(12), self.vpc.eni(13))
        wait_for("the card to notice", lambda: "is gone" in self.card.log())
        self.assertIn("gone", self.refused("internal", "eni_attach", eni_id=self.vpc.enis[12], kind="tap", tap="eth9", netns=a.name).message)
        self.nic(self.attach(13))
        self.detach(11)
        self.assertEqual(b.interfaces(), {"lo"})


class Privileges(NetTest):
    def assert_confined(self, pid, capabilities):
        for status in statuses(pid):
            for kind in ("CapEff", "CapPrm", "CapBnd"):
                self.assertEqual(int(status[kind], 16), capabilities, f"{status['Name']}: {kind}")
            self.assertEqual((int(status["CapInh"], 16), int(status["CapAmb"], 16)), (0, 0))
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), status["Name"])

    def test_the_helper_and_the_card(self):
        self.apply(*self.vpc.changes(10), reset=True)
        self.attach(10)
        helper, = children(self.card.process.pid)
        self.assert_confined(self.card.process.pid, capability_set("CHOWN", "DAC_OVERRIDE", "IPC_LOCK"))
        self.assert_confined(helper, capability_set("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"))
        links = [os.readlink(f"/proc/{helper}/fd/{fd}") for fd in os.listdir(f"/proc/{helper}/fd")]
        self.assertEqual(sum(link.startswith("socket:") for link in links), 1, links)
        self.assertEqual(len(links), 4, links)  # standard input, output, error, and the channel


class Wires(unittest.TestCase):
    """Two cards, and a veth pair between them."""
    DEVICES = {"net_af_packet": "net_af_packet0,iface={}"}

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-wire-")
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *arguments, name="card"):
        card = Card(os.path.join(self.folder, f"{name}.log"), *arguments)
        self.addCleanup(card.kill)
        return card

    def namespace(self, label):
        namespace = network.Namespace(label)
        self.addCleanup(namespace.delete)
        return namespace

    def veth(self):
        names = [f"obw{os.getpid()}{end}" for end in "ab"]
        network.run("ip", "link", "add", names[0], "mtu", "1600", "type", "veth", "peer", "name", names[1], "mtu", "1600")
        self.addCleanup(network.run, "ip", "link", "delete", names[0])
        for name in names:
            network.run("ip", "link", "set", name, "up")
        return names

    def cards(self, devices):
        cards, spaces = [], []
        vpc, hosts = Vpc(), (new_id(), new_id())
        for i, device in enumerate(devices):
            card = self.start("--wire", f"address=192.0.2.{i + 1}/24;device={device}", "--flows", "65536", name=f"card{i}")
            here, there = 10 + i, 11 - i
            card.call("net_apply", reset=True, changes=[
                *vpc.changes(here), change("host", hosts[1 - i], name="other", address=f"192.0.2.{2 - i}"),
                vpc.eni(there, host=hosts[1 - i])])
            space = self.namespace(f"w{i}")
            card.call("eni_attach", eni_id=vpc.enis[here], kind="tap", tap="eth0", netns=space.name)
            network.settle(space, here)
            cards.append(card)
            spaces.append(space)
        return cards, spaces

    def assert_they_talk(self, cards, spaces):
        network.wait_ping(spaces[0], "10.0.1.11")
        network.wait_ping(spaces[1], "fd00:1::10")
        network.transfer(*spaces, "10.0.1.11", size=network.MIB, back=1000)
        network.exchange(*spaces, "fd00:1::11", sizes=(1, 1000))
        for card in cards:
            wire, = card.call("stats")["network"]["wires"]
            self.assertGreater(wire["in"]["packets"], 0)
            self.assertGreater(wire["out"]["packets"], 0)
            wait_for("the link", lambda: card.call("stats")["network"]["wires"][0]["link"])
            self.assertEqual(wire["stages"][0]["name"], "transmit")

    def test_packet_sockets(self):
        names = self.veth()
        cards, spaces = self.cards([f"net_af_packet{i},iface={name}" for i, name in enumerate(names)])
        self.assert_they_talk(cards, spaces)
        wire, = cards[0].hello["wires"]
        with open(f"/sys/class/net/{names[0]}/address") as f:
            self.assertEqual(wire["mac"], f.read().strip())
        self.assertEqual((wire["device"], wire["address"]), (f"net_af_packet0,iface={names[0]}", "192.0.2.1/24"))
        self.assertIn(f"mtu {wire['mtu'] - 50} ", spaces[0].run("ip", "link", "show", "eth0"))  # what VXLAN leaves
        for card in cards:
            for status in statuses(card.process.pid):  # DPDK's own thread too
                self.assertEqual(int(status["CapEff"], 16), capability_set("CHOWN", "DAC_OVERRIDE", "IPC_LOCK"), status["Name"])
                self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), status["Name"])
            self.assertEqual(card.stop(), 0, card.log())

    def test_shared_memory(self):
        path = os.path.join(self.folder, "memif.sock")
        cards, spaces = self.cards([f"net_memif0,role={role},socket={path}" for role in ("server", "client")])
        self.assert_they_talk(cards, spaces)
        for card in cards:
            self.assertEqual(card.stop(), 0, card.log())

    def test_a_successor_opens_the_same_wire(self):
        name, _ = self.veth()
        for i in range(2):
            card = self.start("--wire", f"address=192.0.2.1/24;device=net_af_packet0,iface={name}", name=f"card{i}")
            self.assertEqual(len(card.hello["wires"]), 1)
            self.assertEqual(card.stop(), 0, card.log())

    def run_card(self, *arguments):
        """A card that does not start: its exit status and what it says."""
        with self.assertRaises(ValueError):  # its channel is closed without a word
            self.start(*arguments, name="bad")
        with open(os.path.join(self.folder, "bad.log")) as f:
            return f.read()

    def test_wires_that_cannot_be(self):
        self.assertIn("nothere", self.run_card("--wire", "address=192.0.2.1/24;device=net_af_packet0,iface=nothere"))
        self.assertIn("address", self.run_card("--wire", "address=192.0.2.1;device=net_null0"))
        self.assertIn("device", self.run_card("--wire", "address=192.0.2.1/24"))
        null = ("--wire", "address=192.0.2.1/24;device=net_null0")
        self.assertIn("an address of its own", self.run_card(*null, "--wire", "address=192.0.2.1/25;device=net_null1"))
        wires = (word for i in range(5) for word in ("--wire", f"address=192.0.{i}.1/24;device=net_null{i}"))
        self.assertIn("4 times", self.run_card(*wires))
        for flows in ("0", "1023", "67108865", "many", "-1", "2000x"):
            self.assertIn("--flows", self.run_card("--flows", flows))

    def test_flows_and_several_wires(self):
        card = self.start("--flows", "5000", *(word for i in range(4) for word in ("--wire", f"address=192.0.{i}.1/24;device=net_null{i}")))
        stats = card.call("stats")["network"]
        self.assertGreaterEqual(stats["flows_max"], 5000)
        self.assertLess(stats["flows_max"], 20000)
        self.assertEqual([w["name"] for w in stats["wires"]], ["wire0", "wire1", "wire2", "wire3"])
        self.assertEqual(card.stop(), 0, card.log())


if __name__ == "__main__":
    tap.main()
