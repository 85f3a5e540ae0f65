#!/usr/bin/python3
"""Elastic IPs and a NAT gateway against a namespace that is the internet: the kernel of a router with routes to more of it.

    a (elastic IP)   \\
                      card --wire-- router --link-- server (203.0.113.2)
    b (NAT gateway)  /
"""
import os
import re
import shutil
import socket
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import network
import outboard
import tap
from network import DATAGRAM, MIB

ROUTER, SERVER = "192.0.2.254", "203.0.113.2"
ELASTIC, NAT = "198.51.100.10", "198.51.100.20"
IP_TTL, IP_RECVERR, IP_MTU_DISCOVER, IP_PMTUDISC_DO, SO_EE_ORIGIN_ICMP = 2, 11, 10, 2, 2
ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED = 3, 11


class Outside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-outside-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.middle, cls.router, cls.server, cls.a, cls.b = (cls.namespace(name) for name in ("card", "router", "server", "a", "b"))
        network.link(cls.middle, "wire", cls.router, "cards")
        network.link(cls.router, "servers", cls.server, "eth0")
        cls.set_up_router()
        cls.card = network.Card(cls.folder, cls.middle, [f"address=192.0.2.1/24;gateway={ROUTER};device=net_af_packet0,iface=wire"])
        cls.addClassCleanup(cls.card.stop)
        cls.set_up_vpc()
        network.wait_ping(cls.a, SERVER)
        network.wait_ping(cls.b, SERVER)

    @classmethod
    def namespace(cls, label):
        made = network.Namespace(label)
        cls.addClassCleanup(made.delete)
        return made

    @classmethod
    def set_up_router(cls):
        cls.router.address("cards", f"{ROUTER}/24")
        cls.router.address("servers", "203.0.113.1/24")
        cls.router.run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1")
        cls.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=100000")
        cls.server.address("eth0", f"{SERVER}/24")
        cls.server.run("ip", "route", "add", "default", "via", "203.0.113.1")
        cls.server.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=100000")

    @classmethod
    def set_up_vpc(cls):
        objects = network.vpc(enis=[("a", 10, {}), ("b", 11, {"subnet": "private"})])
        objects["subnets"][0]["route_table"] = "public"
        objects["subnets"].append({"name": "private", "vpc": "v", "cidr": "10.0.2.0/24", "route_table": "private"})
        objects["enis"][1]["addresses"] = ["10.0.2.11"]
        cls.card.load(**objects, nats=[{"name": "n", "subnet": "s", "address": "10.0.1.5"}],
                      eips=[{"name": "ea", "address": ELASTIC, "eni": "a"}, {"name": "en", "address": NAT, "nat": "n"}],
                      route_tables=[{"name": "public", "vpc": "v", "routes": [{"destination": "0.0.0.0/0", "target": "internet"}]},
                                    {"name": "private", "vpc": "v", "routes": [{"destination": "0.0.0.0/0", "target": "nat:n"}]}])
        for namespace, name, address, gateway in ((cls.a, "a", "10.0.1.10/24", "10.0.1.1"), (cls.b, "b", "10.0.2.11/24", "10.0.2.1")):
            cls.card.attach_tap(name, namespace)
            cls.card.wait_eni(name)
            namespace.address("eth0", address)
            namespace.run("ip", "route", "add", "default", "via", gateway)

    def guests(self):
        """Who sends, and the address that the internet sees."""
        yield self.a, ELASTIC
        yield self.b, NAT

    # --- traffic ---

    def test_ping(self):
        for guest, _ in self.guests():
            for size in (0, 56, 1400):
                network.ping(guest, SERVER, "-s", str(size))

    def test_tcp_out(self):
        for guest, public in self.guests():
            self.assertEqual(network.transfer(guest, self.server, SERVER, size=20 * MIB), public)

    def test_udp_out(self):
        for guest, _ in self.guests():
            network.exchange(guest, self.server, SERVER, sizes=(0, 1, 1400))

    def test_fragments_out(self):
        """The way in is test/conformance's: DPDK's af_packet driver has the kernel put fragments together (PACKET_FANOUT_FLAG_DEFRAG),
        and what that makes is larger than its slots."""
        for guest, _ in self.guests():
            with self.server.socket(kind=DATAGRAM) as server, guest.socket(kind=DATAGRAM) as client:
                server.bind((SERVER, 7002))
                client.sendto(b"x" * 8000, (SERVER, 7002))
                self.assertEqual(len(server.recv(1 << 16)), 8000)

    def test_tcp_in(self):
        """To the elastic IP, from anybody; the guest sees who it is."""
        listener = network.Listener(self.a, "10.0.1.10", 5003)
        with network.connect(self.server, ELASTIC, 5003) as s:
            s.sendall(b"x" * MIB)
        listener.finish()
        self.assertEqual((listener.bytes, listener.peer[0]), (MIB, SERVER))

    def test_nobody_comes_in_through_a_nat_gateway(self):
        listener = network.Listener(self.b, "10.0.2.11", 5004)
        with self.assertRaises(OSError):
            network.connect(self.server, NAT, 5004, timeout=2).close()
        with self.assertRaises(OSError):
            network.connect(self.server, NAT, 5004, source=(SERVER, 5000), timeout=2).close()
        with network.sniff(self.b, "eth0") as frames:
            network.ping(self.server, NAT)  # the gateway itself answers
        self.assertEqual([f for f in frames if f[23] == socket.IPPROTO_ICMP], [])
        self.assertEqual(listener.bytes, 0)
        network.connect(self.b, "10.0.2.11", 5004).close()  # it was there
        listener.finish()

    def test_one_guest_to_the_others_elastic_ip(self):
        """Through the gateway and back in, without leaving the card."""
        listener = network.Listener(self.a, "10.0.1.10", 5005)
        with network.connect(self.b, ELASTIC, 5005) as s:
            s.sendall(b"x" * MIB)
        listener.finish()
        self.assertEqual((listener.bytes, listener.peer[0]), (MIB, NAT))

    # --- ICMP errors, translated with what they are about ---

    def error_for(self, guest, address, port, data=b"x", ttl=None, dont_fragment=False):
        """(type, code, whom from, mtu) of the ICMP error that a datagram brings; the kernel tells only of its own socket's."""
        with guest.socket(kind=DATAGRAM) as s:
            s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            if ttl is not None:
                s.setsockopt(socket.IPPROTO_IP, IP_TTL, ttl)
            if dont_fragment:
                s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 3)  # IP_PMTUDISC_PROBE: what the path says is not kept
            s.connect((address, port))
            s.send(data)
            return self.read_error(s)

    def read_error(self, s):
        def read():
            try:
                return s.recvmsg(2000, 512, socket.MSG_ERRQUEUE)[1]
            except BlockingIOError:
                return None
        for level, kind, value in outboard.wait_for("an ICMP error", read):
            if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR):
                _, origin, icmp_type, code, _, info, _ = struct.unpack_from("=IBBBBII", value)
                self.assertEqual(origin, SO_EE_ORIGIN_ICMP)
                return icmp_type, code, socket.inet_ntoa(value[20:24]), info
        raise AssertionError("no ICMP error in the error queue")

    def test_port_unreachable(self):
        for guest, _ in self.guests():
            self.assertEqual(self.error_for(guest, SERVER, 9)[:3], (ICMP_UNREACHABLE, 3, SERVER))

    def test_no_route_at_the_router(self):
        for guest, _ in self.guests():
            self.assertEqual(self.error_for(guest, "203.0.114.1", 9)[:3], (ICMP_UNREACHABLE, 0, ROUTER))

    def test_time_exceeded(self):
        """A traceroute: the card is the first hop, as the subnet's gateway or as the NAT gateway; then the router and the server."""
        for guest, _ in self.guests():
            gateway = "10.0.1.1" if guest is self.a else "10.0.1.5"
            seen = [self.error_for(guest, SERVER, 33434 + ttl, ttl=ttl)[:3] for ttl in (1, 2, 3)]
            self.assertEqual(seen, [(ICMP_TIME_EXCEEDED, 0, gateway), (ICMP_TIME_EXCEEDED, 0, ROUTER), (ICMP_UNREACHABLE, 3, SERVER)])

    def test_traceroute(self):
        for guest, _ in self.guests():
            said = guest.run("busybox", "traceroute", "-n", "-q", "1", "-w", "5", SERVER)
            hops = re.findall(r"^\s*\d+\s+(\S+)", said, re.MULTILINE)
            self.assertEqual(hops, ["10.0.1.1" if guest is self.a else "10.0.1.5", ROUTER, SERVER], said)

    def test_refused(self):
        for guest, _ in self.guests():
            with self.assertRaises(ConnectionRefusedError):
                network.connect(guest, SERVER, 9)

    def test_path_mtu(self):
        """Beyond the router is a smaller MTU: its error reaches the guest, and TCP, that sends with DF, adapts."""
        for side, name in ((self.router, "servers"), (self.server, "eth0")):
            side.run("ip", "link", "set", name, "mtu", "1300")
            self.addCleanup(side.run, "ip", "link", "set", name, "mtu", "1500")
        for guest, public in self.guests():
            self.assertEqual(self.error_for(guest, SERVER, 9, b"x" * 1400, dont_fragment=True), (ICMP_UNREACHABLE, 4, ROUTER, 1300))
            self.assertEqual(network.transfer(guest, self.server, SERVER, 5006, size=MIB), public)
            guest.run("ip", "route", "flush", "cache")

    # --- the gateway's ports ---

    def test_ports_are_shared_between_destinations(self):
        """Many connections from one port to as many servers, and from many ports to one: all have ports of their own at the same server."""
        ports, sources = set(), set()  # the kernel may give a client a port that one before it had: then it is the same flow
        with self.server.socket(kind=DATAGRAM) as server:
            server.bind((SERVER, 7000))
            for _ in range(200):
                with self.b.socket(kind=DATAGRAM) as client:
                    client.connect((SERVER, 7000))
                    sources.add(client.getsockname()[1])
                    client.send(b"x")
                    _, sender = server.recvfrom(100)
                    self.assertEqual(sender[0], NAT)
                    ports.add(sender[1])
        self.assertGreater(len(sources), 150)
        self.assertEqual(len(ports), len(sources))

    def test_two_guests_with_one_port(self):
        """The same source port in both guests behind the gateway; answers find the right one."""
        self.card.load(enis=[{"name": "c", "subnet": "private", "addresses": ["10.0.2.12"], "security_groups": ["g"]}])
        c = network.Namespace("c")
        self.addCleanup(self.card.ask, "DELETE", "/v1/enis/c")
        self.addCleanup(c.delete)
        self.card.attach_tap("c", c)
        self.addCleanup(self.card.detach_eni, "c")
        self.card.wait_eni("c")
        c.address("eth0", "10.0.2.12/24")
        c.run("ip", "route", "add", "default", "via", "10.0.2.1")
        with self.server.socket(kind=DATAGRAM) as server:
            server.bind((SERVER, 7001))
            seen = []
            for guest in (self.b, c):
                client = guest.socket(kind=DATAGRAM)
                self.addCleanup(client.close)
                client.bind(("0.0.0.0", 4000))
                client.connect((SERVER, 7001))
                client.send(guest.name.encode())
                data, sender = server.recvfrom(100)
                seen.append((client, data, sender))
            self.assertNotEqual(seen[0][2], seen[1][2])
            for client, data, sender in reversed(seen):
                server.sendto(data, sender)
                self.assertEqual(client.recv(100), data)

    def test_ports_come_back(self):
        """A connection that was closed leaves its port; the next ones use the gateway as before."""
        before = next(n for n in self.card.stats()["network"]["nats"] if n["name"] == "n")["drops"].get("nat_ports_exhausted", 0)
        for _ in range(300):
            listener = network.Listener(self.server, SERVER, 5007)
            network.connect(self.b, SERVER, 5007).close()
            listener.finish()
        after = next(n for n in self.card.stats()["network"]["nats"] if n["name"] == "n")["drops"].get("nat_ports_exhausted", 0)
        self.assertEqual(after, before)

    def test_elastic_ip_moves(self):
        """To another guest, live: who asks afterwards gets that one; what was connected is cut."""
        self.card.ask("PATCH", "/v1/eips/ea", {"eni": "b", "private_address": None})
        self.addCleanup(network.wait_ping, self.a, SERVER)
        self.addCleanup(self.card.ask, "PATCH", "/v1/eips/ea", {"eni": "a"})
        self.assertNotEqual(network.ping(self.a, SERVER, check=False).returncode, 0)
        self.assertIn("no_public_address", self.card.eni_stats("a")["drops"])
        self.card.load(subnets=[{"name": "private", "vpc": "v", "cidr": "10.0.2.0/24", "route_table": "public"}])
        self.addCleanup(self.card.load, subnets=[{"name": "private", "vpc": "v", "cidr": "10.0.2.0/24", "route_table": "private"}])
        listener = network.Listener(self.b, "10.0.2.11", 5008)
        network.connect(self.server, ELASTIC, 5008).close()
        listener.finish()
        self.assertEqual(listener.peer[0], SERVER)


if __name__ == "__main__":
    tap.main()
