#!/usr/bin/python3
"""Unmodified Linux guests in QEMU, one on each of two cards, in one VPC: what they see is a network, whatever carries it.

The cards are on this machine, each in a network namespace with one end of a veth pair as its wire.
"""
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import guest
import network
import outboard
import tap

VNI, MTU = 4242, 1450  # what a wire of 1500 leaves to a guest
LEFT, RIGHT, SECOND = 10, 11, 12  # last numbers of the guests' addresses
UNDERLAY = {"left": "192.0.2.1", "right": "192.0.2.2"}
ENIS = [("l", LEFT, "left"), ("r", RIGHT, "right"), ("second", SECOND, "left")]
EGRESS = [{"direction": "egress", "protocol": "all", "cidr": block} for block in ("0.0.0.0/0", "::/0")]
RULES = network.OPEN + EGRESS
SIZE = 20 * network.MIB
MTU_IGNORED = 1500


class Guests(unittest.TestCase):
    """`l` on the card left has two queue pairs; `r` is on the card right; `second`, with packed rings, is beside l on left's card."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-net-guest-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        places = {}
        for name in UNDERLAY:
            places[name] = network.Namespace(name)
            cls.addClassCleanup(places[name].delete)
        network.link(places["left"], "wire", places["right"], "wire")
        cls.cards = {name: cls.start_card(name, places[name], core) for name, core in (("left", 0), ("right", 1))}
        cls.change(encapsulation="vxlan")
        cls.left, cls.right = cls.cards["left"], cls.cards["right"]
        sockets = {name: cls.cards[card].attach_nic(name, queues=2) for name, _, card in ENIS}
        macs = {name: f"02:00:0a:00:01:{number:02x}" for name, number, _ in ENIS}
        cls.guests = {name: cls.boot(name, f"{sockets[name]},{macs[name]}{more}", cpus) for name, more, cpus in (
            ("l", ",queues=2", 2), ("r", "", 1), ("second", ",packed", 1))}
        cls.l, cls.r, cls.second = (cls.guests[name] for name in ("l", "r", "second"))
        for name, number, _ in ENIS:
            cls.set_up_guest(name, number)
        cls.wait_reach(f"10.0.1.{RIGHT}")

    @classmethod
    def start_card(cls, name, place, core):
        card = network.Card(os.path.join(cls.folder, name), place, [f"address={UNDERLAY[name]}/24;device=net_af_packet0,iface=wire"], core)
        cls.addClassCleanup(card.stop)
        return card

    @classmethod
    def boot(cls, name, nic, cpus):
        booted = guest.Guest(os.path.join(cls.folder, f"guest-{name}"), [], nics=[nic], cpus=cpus, memory_mib=192)
        cls.addClassCleanup(booted.kill_9)
        return booted

    @classmethod
    def set_up_guest(cls, name, number):
        cls.guests[name].run(f"ip link set eth0 up; udhcpc -i eth0 -n -q -f >/tmp/dhcp 2>&1\n/sbin/ip address add fd00:1::{number}/64 dev eth0 nodad")

    @classmethod
    def change(cls, encapsulation=None, rules=None, grandfather=False):
        """What both cards are told."""
        for name, card in cls.cards.items():
            other = next(n for n in UNDERLAY if n != name)
            objects = network.vpc(vni=VNI, enis=[(eni, number, {"host": None if home == name else other}) for eni, number, home in ENIS],
                                  encapsulation=encapsulation or "vxlan")
            objects["security_groups"][0].update(rules=RULES if rules is None else rules, grandfather=grandfather)
            card.load(hosts=[{"name": other, "address": UNDERLAY[other]}], **objects)

    @classmethod
    def wait_reach(cls, address):
        outboard.wait_for(f"an answer of {address}", lambda: cls.l.try_run(f"ping -c 1 -W 1 {address}")[0] == 0)

    def tearDown(self):
        for one in self.guests.values():
            self.assertEqual(one.errors(), "")

    # --- what the guest is told ---

    def test_dhcp(self):
        for name, number, _ in ENIS:
            one = self.guests[name]
            self.assertRegex(one.run("/sbin/ip -4 -o address show dev eth0"), rf"inet 10\.0\.1\.{number}/24 ")
            self.assertIn("default via 10.0.1.1 dev eth0", one.run("/sbin/ip route"))
            self.assertEqual(one.run("cat /sys/class/net/eth0/mtu"), str(MTU))

    def test_router_advertisement(self):
        for one in self.guests.values():
            outboard.wait_for("a route of the router", lambda: re.search(r"default via fe80::\S+ dev eth0 proto ra", one.run("/sbin/ip -6 route")))

    def test_features(self):
        """VIRTIO 1.2 5.1.3: CSUM 0, GUEST_CSUM 1, MAC 5, TSO 7 8 11 12, MRG_RXBUF 15, STATUS 16, MQ 22; VERSION_1 32, RING_PACKED 34."""
        always = {0, 1, 5, 7, 8, 11, 12, 15, 16, 32}
        for name, more, never in (("l", {22}, {34}), ("r", set(), {22, 34}), ("second", {34}, {22})):
            bits = {bit for bit, value in enumerate(self.guests[name].run("cat /sys/class/net/eth0/device/features")) if value == "1"}
            self.assertEqual((always | more) - bits, set())
            self.assertEqual(bits & never, set())
        for name, queues in (("l", 2), ("r", 1)):
            self.assertEqual(self.guests[name].run("ls /sys/class/net/eth0/queues | grep -c rx"), str(queues))

    # --- traffic ---

    def both_families(self, number):
        return f"10.0.1.{number}", f"fd00:1::{number}"

    def test_ping(self):
        for number in (RIGHT, SECOND):
            for address in self.both_families(number):
                for size in (0, 56, MTU - 48, 8000):
                    self.l.run(f"ping -c 1 -W 20 -s {size} {address}")

    def listen(self, sink, name, port, then):
        """busybox's nc shuts its side down when its input ends, and its peer would leave: the input is a pipe that never does."""
        sink.start(name, f"[ -e /tmp/pipe ] || mkfifo /tmp/pipe\nnc -l -p {port} <>/tmp/pipe | {then}")
        outboard.wait_for("the guest to listen", lambda: sink.try_run(f"netstat -ltn | grep -q ':{port} '")[0] == 0)

    def send(self, source, sink, address, port=5000, size=SIZE):
        """TCP, whose every byte is checked. Guest to guest."""
        self.listen(sink, "sink", port, "sha256sum")
        sent = source.run(f"[ -e /tmp/data ] || head -c {SIZE} /dev/urandom >/tmp/data\nhead -c {size} /tmp/data | sha256sum\n"
                          f"head -c {size} /tmp/data | nc {address} {port}")
        self.assertEqual(sink.finish("sink").split()[0], sent.split()[0])

    def test_tcp_through_vxlan(self):
        self.check_tcp(0)

    def check_tcp(self, number):
        before = self.left.wire(), self.right.wire()
        self.send(self.l, self.r, self.both_families(RIGHT)[number])
        self.send(self.r, self.l, self.both_families(LEFT)[number])
        for old, now in zip(before, (self.left.wire(), self.right.wire())):
            for way in ("in", "out"):
                self.assertGreater(now[way]["bytes"] - old[way]["bytes"], SIZE)

    def test_tcp_through_geneve(self):
        """The same VPC, changed under the guests: a ping goes on meanwhile."""
        self.change(encapsulation="geneve")
        self.addCleanup(self.wait_reach, f"10.0.1.{RIGHT}")
        self.addCleanup(self.change, encapsulation="vxlan")
        self.wait_reach(f"10.0.1.{RIGHT}")
        self.check_tcp(1)

    def queue(self, card, name, direction):
        """(frames, bytes) that passed the rings of an ENI."""
        queues = [q for q in card.eni_stats(name)["queues"] if q["direction"] == direction]
        return sum(q["packets"] for q in queues), sum(q["bytes"] for q in queues)

    def test_guest_to_guest_is_not_segmented(self):
        """On one card a segment of 64 KiB is one frame in both rings."""
        def frames():
            received = self.second.run("cat /sys/class/net/eth0/statistics/rx_packets /sys/class/net/eth0/statistics/rx_bytes").split()
            return *self.queue(self.left, "l", "transmit"), *self.queue(self.left, "second", "receive"), *map(int, received)
        before = frames()
        self.send(self.l, self.second, f"10.0.1.{SECOND}")
        grown = [now - old for now, old in zip(frames(), before)]
        for packets, size in zip(grown[::2], grown[1::2]):
            self.assertGreater(size, SIZE)
            self.assertGreater(size / packets, 4 * MTU)

    # --- the size of packets ---

    def test_path_mtu(self):
        """A guest that thinks it may send 1500: whoever sets DF is told, and TCP works."""
        self.l.run(f"ip link set eth0 mtu {MTU_IGNORED}")
        self.addCleanup(self.l.run, f"ip link set eth0 mtu {MTU}; /sbin/ip route flush cache")
        said = self.l.run(f"traceroute -F -n -q 1 -m 1 -w 5 10.0.1.{RIGHT} {MTU_IGNORED} 2>&1 || true; /sbin/ip route get 10.0.1.{RIGHT}")
        self.assertRegex(said, rf"mtu {MTU}\b")
        self.send(self.l, self.r, f"10.0.1.{RIGHT}", size=network.MIB)
        self.l.run(f"ping -c 1 -W 20 -s {MTU_IGNORED - 48} fd00:1::{RIGHT} || ping -c 1 -W 20 -s {MTU_IGNORED - 48} fd00:1::{RIGHT}")
        self.assertRegex(self.l.run(f"/sbin/ip -6 route get fd00:1::{RIGHT}"), rf"mtu {MTU}\b")

    # --- policy ---

    def connection(self, name):
        """Begins one from l to r that says a number of its own every 0.2 s."""
        self.listen(self.r, f"{name}-sink", 5555, f"cat >/tmp/{name}")
        self.l.start(name, f"i=0; rm -f /tmp/{name}.stop; while [ ! -e /tmp/{name}.stop ]; do i=$((i + 1)); echo $i; usleep 200000; done | "
                           f"nc 10.0.1.{RIGHT} 5555")
        self.addCleanup(self.end_connection, name)
        self.wait_progress(name)

    def end_connection(self, name):
        self.l.run(f"touch /tmp/{name}.stop; killall nc 2>/dev/null || true")
        self.r.run("killall nc 2>/dev/null || true")

    def arrived(self, name):
        return int(self.r.run(f"wc -l </tmp/{name} 2>/dev/null || echo 0"))

    def wait_progress(self, name):
        before = self.arrived(name)
        outboard.wait_for(f"more of {name}", lambda: self.arrived(name) > before)

    def dropped(self):
        return self.right.eni_stats("r")["drops"].get("security_group_in", 0)

    def test_group_closed_cuts_what_is_established(self):
        self.connection("cut")
        before = self.dropped()
        self.change(rules=EGRESS)
        self.addCleanup(self.change)
        outboard.wait_for("a drop", lambda: self.dropped() > before)
        seen = self.arrived("cut")
        self.assertNotEqual(self.l.try_run(f"ping -c 1 -W 1 10.0.1.{RIGHT}")[0], 0)
        self.assertEqual(self.arrived("cut"), seen)
        self.change()
        self.wait_reach(f"10.0.1.{RIGHT}")
        self.end_connection("cut")  # which has no flow any more: only a SYN begins one
        self.send(self.l, self.r, f"10.0.1.{RIGHT}", size=network.MIB)

    def test_group_closed_grandfathers(self):
        self.change(grandfather=True)
        self.addCleanup(self.change)
        self.connection("old")
        self.change(rules=EGRESS, grandfather=True)
        self.assertNotEqual(self.l.try_run(f"ping -c 1 -W 1 10.0.1.{RIGHT}")[0], 0)
        self.wait_progress("old")

    # --- what dies ---

    def test_card_killed(self):
        """QEMU finds the next card by itself, and traffic goes on: with split rings, whose position is in the guest's memory."""
        for card, name in ((self.left, "l"), (self.right, "r")):
            card.kill_9("card")
            card.wait_eni(name)
            self.wait_reach(f"10.0.1.{RIGHT}")
            self.send(self.l, self.r, f"10.0.1.{RIGHT}", size=network.MIB)
            self.send(self.r, self.l, f"10.0.1.{LEFT}", size=network.MIB)
        self.second.reset()
        self.set_up_guest("second", SECOND)
        self.wait_reach(f"10.0.1.{SECOND}")

    def test_detached_and_attached(self):
        self.connection("detached")
        self.left.detach_eni("l")
        self.assertNotEqual(self.l.try_run(f"ping -c 1 -W 1 10.0.1.{RIGHT}")[0], 0)
        self.left.attach_nic("l", queues=2)
        self.left.wait_eni("l")
        self.wait_progress("detached")

    def test_guest_reset(self):
        """The machine is reset, and its driver finds the NIC in order."""
        self.r.reset()
        self.set_up_guest("r", RIGHT)
        self.wait_reach(f"10.0.1.{RIGHT}")
        self.send(self.l, self.r, f"10.0.1.{RIGHT}", size=network.MIB)


if __name__ == "__main__":
    tap.main()
