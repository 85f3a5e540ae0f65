#!/usr/bin/python3
"""Network namespaces as an ENI's guests, through taps: the kernel's own TCP, UDP, IPv6 and DHCP client, and what happens to a card whose
taps and namespaces are taken away under it."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import network
import outboard
import tap
from network import MIB

DHCP_SCRIPT = """#!/bin/sh
env >"$0.$1"
"""


class Taps(unittest.TestCase):
    """One card; each test has two namespaces with an ENI each."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-tap-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.card = network.Card(cls.folder)
        cls.addClassCleanup(cls.card.stop)
        cls.card.load(**network.vpc(enis=[("a", 10, {}), ("b", 11, {})]))

    def setUp(self):
        self.a, self.b = network.Namespace("a"), network.Namespace("b")
        for namespace, name, number in ((self.a, "a", 10), (self.b, "b", 11)):
            self.addCleanup(namespace.delete)
            self.card.attach_tap(name, namespace)
            self.addCleanup(self.detach, name)
            self.card.wait_eni(name)
            network.settle(namespace, number)

    def detach(self, name):
        if self.card.eni(name)["attachment"] is not None:
            self.card.detach_eni(name)

    def assert_works(self):
        network.ping(self.a, "10.0.1.11")
        network.transfer(self.a, self.b, "10.0.1.11", size=MIB)

    def test_the_interface_is_the_eni(self):
        eni = self.card.eni("a")
        self.assertEqual(self.a.mac("eth0"), eni["mac"])
        self.assertEqual(eni["attachment"]["tap"], "eth0")
        self.assertEqual(self.a.interfaces(), {"lo", "eth0"})

    def test_ping(self):
        for address in ("10.0.1.11", "fd00:1::11", "10.0.1.1"):
            network.ping(self.a, address)
        for size in (0, 1, 1400, 8000):  # the last in fragments
            for address in ("10.0.1.11", "fd00:1::11"):
                network.ping(self.a, address, "-s", str(size))

    def test_tcp_is_not_segmented(self):
        """Frames of more than an MTU pass from one kernel to the other as they are; the ENI's counters count what they stand for."""
        def queue(name, direction):
            stats = self.card.eni_stats(name)
            return next(q for q in stats["queues"] if q["direction"] == direction), stats["out"]

        for address in ("10.0.1.11", "fd00:1::11"):
            with self.subTest(address):
                before, (sent, counted) = self.b.counters("eth0"), queue("a", "transmit")
                seen = network.transfer(self.a, self.b, address, size=32 * MIB)
                after, (now_sent, now_counted) = self.b.counters("eth0"), queue("a", "transmit")
                self.assertEqual(seen, {"10.0.1.11": "10.0.1.10", "fd00:1::11": "fd00:1::10"}[address])
                frames = after["rx_packets"] - before["rx_packets"]
                self.assertGreater(32 * MIB / frames, 4 * 1500, f"{frames} frames: they were cut")
                frames, size = (now_sent[k] - sent[k] for k in ("packets", "bytes"))
                self.assertGreater(size, 32 * MIB)
                self.assertGreater(size / frames, 4 * 1500)
                self.assertGreater(now_counted["packets"] - counted["packets"], 32 * MIB / 1500)

    def test_udp(self):
        for address in ("10.0.1.11", "fd00:1::11"):
            with self.subTest(address):
                network.exchange(self.a, self.b, address, sizes=(1, 100, 1400, 9000))

    def iperf(self, *words):
        server = self.b.start("iperf3", "--server", "--one-off", "--json", stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        outboard.wait_for("iperf3's server", lambda: ":5201" in self.b.run("ss", "-ltn"))
        result = json.loads(self.a.run("iperf3", "--client", "10.0.1.11", "--json", "--time", "2", *words))
        server.wait(outboard.PATIENCE_S)
        return result["end"]

    def test_iperf3_both_directions(self):
        for direction in ((), ("--reverse",)):
            end = self.iperf(*direction)
            self.assertGreater(end["sum_received"]["bytes"], 10 * MIB)
            print(f"# {'b to a' if direction else 'a to b'}: {end['sum_received']['bits_per_second'] / 1e9:.2f} Gbit/s, "
                  f"{end['sum_sent']['retransmits']} retransmissions")

    def test_dhcp(self):
        """busybox's client: address, mask, router and MTU are those of the ENI."""
        script = os.path.join(self.folder, "dhcp")
        with open(script, "w") as f:
            f.write(DHCP_SCRIPT)
        os.chmod(script, 0o755)
        self.a.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", script, "-O", "mtu", "-O", "staticroutes")
        with open(f"{script}.bound") as f:
            said = dict(line.split("=", 1) for line in f.read().splitlines() if "=" in line)
        self.assertEqual({k: said.get(k) for k in ("ip", "mask", "router", "mtu")},
                         {"ip": "10.0.1.10", "mask": "24", "router": "10.0.1.1", "mtu": "1500"})

    def test_router_advertisement(self):
        """The kernel takes the default route from it."""
        def default():
            return re.search(r"^default via (fe80::\S+) dev eth0 proto ra", self.a.run("ip", "-6", "route"), re.MULTILINE)
        found = outboard.wait_for("a route", default)
        self.assertEqual(found[1], "fe80::c00:ff:fe00:1")  # of 0e:00:00:00:00:01, the gateway's in every subnet

    def test_neighbours_are_the_cards_answers(self):
        network.ping(self.a, "10.0.1.11")
        network.ping(self.a, "fd00:1::11")
        neighbours = self.a.run("ip", "neighbour")
        for address in ("10.0.1.11", "fd00:1::11"):
            self.assertRegex(neighbours, rf"(?m)^{address} dev eth0 lladdr 02:00:0a:00:01:0b ")

    def test_nobody_there(self):
        """An address of the subnet that no ENI has is not answered for."""
        self.assertNotEqual(network.ping(self.a, "10.0.1.99", check=False).returncode, 0)
        self.assertNotRegex(self.a.run("ip", "neighbour"), r"(?m)^10\.0\.1\.99 .*lladdr")

    # --- what is taken away ---

    def wait_gone(self):
        outboard.wait_for("it to be noticed", lambda: self.card.eni("a")["attachment"]["reason"])
        self.assertIn("is gone", self.card.eni("a")["attachment"]["reason"])

    def test_interface_deleted_under_the_card(self):
        self.assert_works()
        self.a.run("ip", "link", "delete", "eth0")
        self.wait_gone()
        network.ping(self.b, "10.0.1.1")  # the others do not care
        self.card.detach_eni("a")
        self.card.attach_tap("a", self.a)
        self.card.wait_eni("a")
        self.assertIsNone(self.card.eni("a")["attachment"]["reason"])
        network.settle(self.a, 10)
        self.assert_works()

    def test_namespace_deleted_under_the_card(self):
        """Its name is gone; the tap's descriptor keeps it in the kernel (tun's sockets hold their namespace) until the ENI is detached."""
        network.link(self.a, "inner", self.b, "outer")
        self.assert_works()
        self.a.delete()
        network.ping(self.b, "10.0.1.1")
        self.card.detach_eni("a")
        outboard.wait_for("the end of the namespace", lambda: "outer" not in self.b.interfaces())
        self.a = network.Namespace("again")
        self.addCleanup(self.a.delete)
        self.card.attach_tap("a", self.a)
        self.card.wait_eni("a")
        network.settle(self.a, 10)
        self.assert_works()

    def test_name_taken(self):
        """An interface that is there already is never taken over."""
        self.card.detach_eni("a")
        self.a.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
        said = self.card.ask("POST", "/v1/enis/a/attachment", {"kind": "tap", "tap": "eth0", "netns": self.a.name}, status=409)
        self.assertIn("eth0", said["error"]["message"])
        self.assertIsNone(self.card.eni("a")["attachment"])
        self.card.attach_tap("a", self.a, "eth1")
        self.card.wait_eni("a")
        self.a.run("ip", "link", "delete", "eth0")
        network.settle(self.a, 10, "eth1")
        self.assert_works()

    def test_no_such_namespace(self):
        self.card.detach_eni("a")
        said = self.card.ask("POST", "/v1/enis/a/attachment", {"kind": "tap", "tap": "eth0", "netns": "no-such-netns"}, status=404)
        self.assertIn("no-such-netns", said["error"]["message"])
        self.assertIsNone(self.card.eni("a")["attachment"])

    def test_attached_fifty_times(self):
        """Nothing stays in the card, its helper or the namespace; packets flow after each time."""
        def descriptors():
            helpers = outboard.children(self.card.pid("card"))
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (self.card.pid("card"), *helpers.values())]

        before = None
        for i in range(50):
            self.card.detach_eni("a")
            self.assertEqual(self.a.interfaces(), {"lo"})
            if before is None:
                before = descriptors()
            self.card.attach_tap("a", self.a)
            self.card.wait_eni("a")
            if i % 10 == 9:
                network.settle(self.a, 10)
                network.ping(self.a, "10.0.1.11")
        self.card.detach_eni("a")
        self.assertEqual(descriptors(), before)

    def test_card_restarted(self):
        """Killed: its interfaces are gone with it; its successor makes them again."""
        self.assert_works()
        self.card.kill_9("card")
        for namespace, name, number in ((self.a, "a", 10), (self.b, "b", 11)):
            self.card.wait_eni(name)
            outboard.wait_for("the interface", lambda: "eth0" in namespace.interfaces())
            network.settle(namespace, number)
        self.assert_works()

    def test_a_connection_outlives_what_others_do(self):
        """Many small writes, while the other tenants' ENIs come and go."""
        server = network.Listener(self.b, "10.0.1.11", 5002)
        with network.connect(self.a, "10.0.1.11", 5002) as s:
            for i in range(10):
                s.sendall(b"x" * 1000)
                more = network.vpc("w", enis=[("other", 20, {})], vni=4243)
                more["subnets"][0]["name"] = "t"
                more["security_groups"][0]["name"] = "h"
                more["enis"][0].update(subnet="t", security_groups=["h"])
                self.card.load(**more)
                self.card.attach_nic("other")
                self.card.detach_eni("other")
                self.card.ask("DELETE", "/v1/enis/other")
            s.shutdown(socket.SHUT_WR)
        server.finish()
        self.assertEqual(server.bytes, 10000)


if __name__ == "__main__":
    tap.main()
